//! The roster and the directories: readable, writable, closed to others, with room left.

use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

use fleet_adapters::roster_file::{self, ReadError};
use fleet_domain::SocketName;
use fleet_domain::roster;
use fleet_framework::Home;
use fleet_framework::home::shown;
use nix::unistd::{AccessFlags, access, getuid};

use super::Check;
use crate::render::words::plural;

const MIB: u64 = 1 << 20;

/// The roster as far as the checks need it.
pub(super) struct Roster(Result<Option<roster::Roster>, ReadError>);

impl Roster {
    pub(super) fn read(home: &Home) -> Self {
        Self(roster_file::read(&home.roster()))
    }

    fn agents(&self) -> &[roster::Agent] {
        match &self.0 {
            Ok(Some(roster)) => &roster.agents,
            Ok(None) | Err(_) => &[],
        }
    }

    pub(super) fn len(&self) -> usize {
        self.agents().len()
    }

    /// An agent runs this runtime by the runtime's own command.
    pub(super) fn wants(&self, runtime: &str) -> bool {
        self.agents().iter().any(|agent| agent.runtime.as_str() == runtime && agent.command.is_none())
    }

    pub(super) fn sockets(&self) -> Vec<SocketName> {
        let Ok(Some(roster)) = &self.0 else { return Vec::new() };
        let own = std::iter::once(roster.tmux.socket_name.clone());
        let mut sockets: Vec<SocketName> =
            own.chain(roster.agents.iter().map(|agent| roster.socket_of(agent))).collect();
        sockets.sort();
        sockets.dedup();
        sockets
    }

    pub(super) fn checks(&self, home: &Home) -> Vec<Check> {
        let path = home.roster();
        let edit = format!("${{EDITOR:-vi}} {}", shown(&path));
        match &self.0 {
            Ok(Some(roster)) => {
                vec![Check::ok(
                    "roster",
                    format!("{}: {}", shown(&path), plural(roster.agents.len(), "agent")),
                )]
            }
            Ok(None) => vec![
                Check::info(
                    "roster",
                    format!("{} does not exist: every session counts as unmanaged", shown(&path)),
                )
                .remedy("fleet init"),
            ],
            Err(ReadError::Mistakes { source, .. }) => {
                let told =
                    |problem: &roster::Problem| Check::fail("roster", format!("{}: {problem}", shown(&path)));
                let mut checks: Vec<Check> = source.0.iter().map(told).collect();
                if let Some(last) = checks.pop() {
                    checks.push(last.remedy(edit));
                }
                checks
            }
            Err(error) => {
                vec![Check::fail("roster", error.to_string()).remedy(format!("ls -l {}", shown(&path)))]
            }
        }
    }
}

pub(super) fn checks(home: &Home) -> Vec<Check> {
    let mut checks = runtime_dir(&home.runtime);
    checks.push(heartbeats(&home.heartbeats()));
    checks.push(disk(&home.state));
    checks
}

fn runtime_dir(dir: &Path) -> Vec<Check> {
    const NAME: &str = "runtime dir";
    let mut checks = Vec::new();
    if std::env::var_os("XDG_RUNTIME_DIR").is_none_or(|value| value.is_empty()) {
        let says =
            format!("XDG_RUNTIME_DIR is not set; sockets go to {}, which outlives a logout", shown(dir));
        checks.push(Check::warn(NAME, says).remedy("loginctl enable-linger, then log in anew"));
    }
    checks.push(match std::fs::symlink_metadata(dir) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            Check::info(NAME, format!("{} does not exist yet; the first service makes it", shown(dir)))
        }
        Err(error) => {
            Check::fail(NAME, format!("{}: {error}", shown(dir))).remedy(format!("ls -ld {}", shown(dir)))
        }
        Ok(found) if !found.is_dir() => Check::fail(NAME, format!("{} is no directory", shown(dir)))
            .remedy(format!("mv {0} {0}.old", shown(dir))),
        Ok(found) if found.uid() != getuid().as_raw() => Check::fail(
            NAME,
            format!("{} belongs to uid {}", shown(dir), found.uid()),
        )
        .remedy(format!("sudo chown {}: {}", getuid(), dir.display())),
        Ok(found) if found.permissions().mode() & 0o777 != 0o700 => {
            let mode = found.permissions().mode() & 0o777;
            Check::fail(NAME, format!("{} has mode {mode:04o}: others may reach its sockets", shown(dir)))
                .remedy(format!("chmod 700 {}", dir.display()))
        }
        Ok(_) => Check::ok(NAME, format!("{}, mode 0700", shown(dir))),
    });
    checks
}

fn heartbeats(dir: &Path) -> Check {
    const NAME: &str = "heartbeats";
    match access(dir, AccessFlags::W_OK | AccessFlags::X_OK) {
        Ok(()) => Check::ok(NAME, format!("{} is writable", shown(dir))),
        Err(nix::Error::ENOENT) => {
            Check::info(NAME, format!("{} does not exist yet; the first sidecar makes it", shown(dir)))
        }
        Err(error) => Check::fail(NAME, format!("{}: {}", shown(dir), error.desc()))
            .remedy(format!("chmod u+rwx {}", dir.display())),
    }
}

fn disk(state: &Path) -> Check {
    const NAME: &str = "disk";
    let existing: Option<PathBuf> = state.ancestors().find(|dir| dir.exists()).map(Path::to_owned);
    let space = existing.as_deref().and_then(|dir| nix::sys::statvfs::statvfs(dir).ok());
    let Some(space) = space else {
        return Check::warn(NAME, format!("the room for {} is not known", shown(state)))
            .remedy(format!("df -h {}", state.display()));
    };
    of_room(state, space.blocks_available().saturating_mul(space.fragment_size()))
}

fn of_room(state: &Path, bytes: u64) -> Check {
    const NAME: &str = "disk";
    let says = format!("{} MiB left for {}", bytes / MIB, shown(state));
    let remedy = format!("df -h {}", state.display());
    match bytes / MIB {
        0..100 => Check::fail(NAME, says).remedy(remedy),
        100..1024 => Check::warn(NAME, says).remedy(remedy),
        _ => Check::ok(NAME, says),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::verbs::doctor::Level;

    fn mode(dir: &Path, mode: u32) {
        std::fs::set_permissions(dir, std::fs::Permissions::from_mode(mode)).unwrap();
    }

    fn level_of(dir: &Path) -> Level {
        runtime_dir(dir).pop().unwrap().level
    }

    #[test]
    fn a_runtime_directory_is_closed_to_others() {
        let dir = tempfile::tempdir().unwrap();
        mode(dir.path(), 0o700);
        assert_eq!(level_of(dir.path()), Level::Ok);
        mode(dir.path(), 0o755);
        assert_eq!(level_of(dir.path()), Level::Fail);
        assert_eq!(level_of(&dir.path().join("absent")), Level::Info);
        let file = dir.path().join("file");
        std::fs::write(&file, "").unwrap();
        assert_eq!(level_of(&file), Level::Fail);
    }

    #[test]
    fn every_mistake_of_a_roster_is_told_and_the_last_has_the_remedy() {
        let dir = tempfile::tempdir().unwrap();
        let vars = |name: &str| (name == "MOSAIC_HOME").then(|| dir.path().to_owned());
        let home = Home::from_vars(vars).unwrap();
        assert_eq!(Roster::read(&home).checks(&home)[0].level, Level::Info);
        std::fs::create_dir(dir.path().join("fleet")).unwrap();
        std::fs::write(
            home.roster(),
            "version: 1\nagents:\n  - {nam: a, runtime: pi}\n  - {name: b, runtim: pi}\n",
        )
        .unwrap();
        let checks = Roster::read(&home).checks(&home);
        assert!(checks.len() > 1 && checks.iter().all(|check| check.level == Level::Fail), "{checks:?}");
        assert!(checks.last().unwrap().remedy.is_some());
    }

    #[test]
    fn little_room_is_a_warning_and_none_a_failure() {
        let levels = [50, 500, 5000].map(|mib| of_room(Path::new("/s"), mib * MIB).level);
        assert_eq!(levels, [Level::Fail, Level::Warn, Level::Ok]);
    }
}
