//! The machine's own settings: systemd's user manager, lingering, inotify.

use fleet_adapters::systemd::{LingerError, Systemd, linger};

use super::Check;
use super::places::Roster;

/// Each sidecar watches with one instance; so many are left for everything else of the user.
const INSTANCES_FOR_OTHERS: u64 = 64;

pub(super) async fn systemd() -> Vec<Check> {
    let manager = match Systemd::connect().await {
        Ok(_) => Check::ok("systemd", "the user manager answers"),
        Err(error) => Check::warn("systemd", format!("{error}; agents do not come back after a boot"))
            .remedy("log in through a session that starts one (ssh, console), or: sudo loginctl enable-linger $USER"),
    };
    vec![manager, of_lingering(linger())]
}

fn of_lingering(lingers: Result<bool, LingerError>) -> Check {
    const NAME: &str = "lingering";
    match lingers {
        Ok(true) => Check::ok(NAME, "on: the fleet outlives a logout and starts at boot"),
        Ok(false) => Check::warn(NAME, "off: a logout may end the fleet, and a boot does not start it")
            .remedy("loginctl enable-linger"),
        Err(error) => Check::warn(NAME, error.to_string()).remedy("loginctl enable-linger"),
    }
}

pub(super) fn checks(roster: &Roster) -> Vec<Check> {
    vec![match std::fs::read_to_string("/proc/sys/fs/inotify/max_user_instances") {
        Ok(text) => inotify(text.trim().parse().unwrap_or(0), roster.len() as u64),
        Err(error) => Check::info(
            "inotify",
            format!("its limit cannot be read: {error}; transcripts are polled where needed"),
        ),
    }]
}

fn inotify(instances: u64, agents: u64) -> Check {
    let says = format!("{instances} instances for this user");
    let enough = instances >= agents.saturating_add(INSTANCES_FOR_OTHERS);
    if enough {
        return Check::ok("inotify", says);
    }
    let says = format!("{says}, with a sidecar for each of {agents} agents: some will poll instead");
    let wanted = (agents + INSTANCES_FOR_OTHERS).next_power_of_two().max(512);
    Check::warn("inotify", says).remedy(format!("sudo sysctl fs.inotify.max_user_instances={wanted}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::verbs::doctor::Level;

    #[test]
    fn a_large_fleet_needs_more_watchers_than_the_default() {
        assert_eq!(inotify(128, 12).level, Level::Ok);
        let check = inotify(128, 200);
        assert_eq!(check.level, Level::Warn);
        assert!(check.remedy.unwrap().ends_with("=512"));
    }

    #[test]
    fn what_ends_with_a_logout_is_a_warning() {
        assert_eq!(of_lingering(Ok(true)).level, Level::Ok);
        assert_eq!(of_lingering(Ok(false)).level, Level::Warn);
        assert_eq!(of_lingering(Err(LingerError::NoName { uid: 7 })).level, Level::Warn);
    }
}
