//! What is installed: the framework's files, the units, and the clock that everything is measured with.

use std::path::Path;
use std::time::{Duration, SystemTime};

use fleet_framework::units::{self, HOLDER, Status};
use fleet_framework::{Home, seed};

use super::Check;
use crate::verbs::install::programs;

/// Files that say that something keeps the clock, by who writes them.
const SYNCHRONISED: [&str; 2] = ["/run/systemd/timesync/synchronized", "/run/chrony/chronyd.pid"];
/// A heartbeat may be this far ahead of the clock: it was written while this looked.
const AHEAD: Duration = Duration::from_secs(5);

pub(super) fn checks(home: &Home) -> Vec<Check> {
    vec![framework(home), of_units(home), clock(home, &SYNCHRONISED.map(Path::new), SystemTime::now())]
}

fn framework(home: &Home) -> Check {
    const NAME: &str = "framework";
    match seed::seeded(home) {
        seed::Seeded::Never => {
            Check::info(NAME, "nothing is put into the home yet").remedy("fleet init, or fleet install")
        }
        seed::Seeded::Version(version) if version == seed::version() => {
            Check::ok(NAME, format!("version {version}"))
        }
        seed::Seeded::Version(version) if version < seed::version() => {
            let says = format!("version {version}, this program has {}", seed::version());
            Check::warn(NAME, says).remedy("fleet update")
        }
        seed::Seeded::Version(version) => {
            let says = format!("version {version} is newer than {} of this program", seed::version());
            Check::warn(NAME, says).remedy("install the newer program")
        }
        seed::Seeded::Unreadable(why) => Check::warn(NAME, format!("its version cannot be read: {why}"))
            .remedy("fleet update says what to do"),
    }
}

fn of_units(home: &Home) -> Check {
    const NAME: &str = "units";
    let plan = match programs(None) {
        Ok(bin) => units::plan(home, &bin),
        Err(failure) => return Check::warn(NAME, failure.message),
    };
    let plan = match plan {
        Ok(plan) => plan,
        Err(error) => return Check::warn(NAME, error.to_string()),
    };
    let of = |status: Status| -> Vec<&str> {
        plan.iter().filter(|file| file.status == status).map(units::PlannedFile::unit).collect()
    };
    let (new, changed) = (of(Status::New), of(Status::Changed));
    if new.contains(&HOLDER) {
        return Check::info(NAME, "no fleet is installed for this user").remedy("fleet install");
    }
    if !changed.is_empty() {
        let says = format!("not the shipped ones: {}", changed.join(", "));
        return Check::warn(NAME, says).remedy("fleet update; changes of your own belong into drop-ins");
    }
    Check::ok(NAME, format!("{} as shipped", plan.len() - new.len()))
}

/// A clock that jumps makes heartbeats look older or younger than they are.
fn clock(home: &Home, kept_by: &[&Path], now: SystemTime) -> Check {
    const NAME: &str = "clock";
    let beats = std::fs::read_dir(home.heartbeats()).into_iter().flatten().flatten();
    let ahead = beats
        .filter(|entry| entry.path().extension().is_some_and(|extension| extension == "hb"))
        .filter_map(|entry| entry.metadata().ok()?.modified().ok()?.duration_since(now).ok())
        .max()
        .filter(|ahead| *ahead > AHEAD);
    if let Some(ahead) = ahead {
        let says = format!("a heartbeat is {}s ahead of it: it was set back", ahead.as_secs());
        return Check::warn(NAME, says).remedy("timedatectl status");
    }
    if kept_by.iter().any(|path| path.exists()) {
        return Check::ok(NAME, "kept by the network's time");
    }
    Check::info(NAME, "nothing here says that it is kept by the network's time")
        .remedy("timedatectl set-ntp true, where several hosts are watched together")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::verbs::doctor::Level;

    #[test]
    fn a_clock_that_was_set_back_is_seen_by_the_heartbeats() {
        let dir = tempfile::tempdir().unwrap();
        let home = Home::from_vars(|name| (name == "HOME").then(|| dir.path().to_owned())).unwrap();
        let now = SystemTime::now();
        assert_eq!(clock(&home, &[], now).level, Level::Info);
        assert_eq!(clock(&home, &[dir.path()], now).level, Level::Ok);
        std::fs::create_dir_all(home.heartbeats()).unwrap();
        std::fs::write(home.heartbeat("a"), "").unwrap();
        let hour_ago = now - Duration::from_secs(3600);
        let check = clock(&home, &[dir.path()], hour_ago);
        assert_eq!(check.level, Level::Warn);
        assert!(check.says.contains("ahead of it"), "{}", check.says);
    }

    #[test]
    fn an_older_framework_is_named_with_what_brings_the_newer() {
        let dir = tempfile::tempdir().unwrap();
        let home = Home::from_vars(|name| (name == "HOME").then(|| dir.path().to_owned())).unwrap();
        assert_eq!(framework(&home).level, Level::Info);
        std::fs::create_dir_all(home.framework_version().parent().unwrap()).unwrap();
        for (version, level) in [("0", Level::Warn), ("999999", Level::Warn), ("x", Level::Warn)] {
            std::fs::write(home.framework_version(), version).unwrap();
            assert_eq!(framework(&home).level, level, "{version}");
        }
        std::fs::write(home.framework_version(), seed::version().to_string()).unwrap();
        assert_eq!(framework(&home).level, Level::Ok);
    }
}
