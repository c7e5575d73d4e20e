//! What starts a service of the fleet that does not run: a command that works as things stand here.

use fleet_framework::Home;
use fleet_framework::units::{COLLECTOR, HOST_SIDECAR};

/// Where `fleet ps` has its tokens and its history from.
pub fn start_collector() -> String {
    start(COLLECTOR, "fleet-collector")
}

/// Who looks at the host.
pub fn start_sidecar() -> String {
    start(HOST_SIDECAR, "fleet-sidecar --host")
}

fn start(unit: &str, program: &str) -> String {
    let by = Home::from_env().map_or_else(|_| "fleet init, then fleet up".to_owned(), |home| by(&home, unit));
    format!("{by} (or run {program} in a terminal)")
}

/// Only a unit that is installed can be started, and only where there is a manager to ask.
fn by(home: &Home, unit: &str) -> String {
    let manager = home.runtime.parent().is_some_and(|run| run.join("bus").exists());
    if manager && home.units.join(unit).exists() {
        format!("systemctl --user start {unit}")
    } else if home.roster().exists() {
        "fleet up".to_owned()
    } else {
        "fleet init, then fleet up".to_owned()
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::PathBuf;

    use super::*;

    #[test]
    fn what_is_offered_can_be_done_now() {
        let dir = tempfile::tempdir().unwrap();
        let at = |below: &str| dir.path().join(below);
        let home = Home::from_vars(|name| match name {
            "HOME" => Some(at("home")),
            "XDG_RUNTIME_DIR" => Some(at("run")),
            _ => None::<PathBuf>,
        })
        .unwrap();
        let offered = || by(&home, COLLECTOR);
        assert_eq!(offered(), "fleet init, then fleet up");
        fs::create_dir_all(home.roster().parent().unwrap()).unwrap();
        fs::write(home.roster(), "version: 1\n").unwrap();
        assert_eq!(offered(), "fleet up");
        fs::create_dir_all(&home.units).unwrap();
        fs::write(home.units.join(COLLECTOR), "").unwrap();
        assert_eq!(offered(), "fleet up", "nobody is there who could start it");
        fs::create_dir_all(at("run")).unwrap();
        fs::write(at("run/bus"), "").unwrap();
        assert_eq!(offered(), "systemctl --user start mosaic-collector.service");
    }
}
