//! A real systemd user manager that runs a unit.
#![expect(clippy::unwrap_used, reason = "helpers of tests")]

use std::time::Duration;

use fleet_testkit::home::TestHome;
use fleet_testkit::skip::require_or_skip;
use fleet_testkit::systemd::UserManager;
use fleet_testkit::wait::wait_until;

const ONESHOT: &str = "[Service]\nType=oneshot\nRemainAfterExit=yes\nExecStart=/bin/sh -c 'echo $HOME >%h/ran'\n\
                       [Install]\nWantedBy=default.target\n";
/// Its process escapes by double forking, and a stop of the unit leaves it.
const HOLDER: &str = "[Service]\nType=oneshot\nRemainAfterExit=yes\nKillMode=none\n\
                      ExecStart=/bin/sh -c 'setsid sleep 1000 & echo $! >%h/pid'\n";

fn home_with_units() -> TestHome {
    let home = TestHome::new().unwrap();
    let units = home.home().join(".config/systemd/user");
    std::fs::create_dir_all(&units).unwrap();
    std::fs::write(units.join("once@.service"), ONESHOT).unwrap();
    std::fs::write(units.join("holder.service"), HOLDER).unwrap();
    home
}

#[test]
fn it_runs_units_and_takes_what_they_started_with_it() {
    if require_or_skip("a systemd user manager", UserManager::available()).is_none() {
        return;
    }
    let home = home_with_units();
    let manager = UserManager::start(&home).unwrap();
    manager.systemctl(&["start", "once@x.service", "holder.service"]).unwrap();
    assert_eq!(manager.property("once@x.service", "ActiveState").unwrap(), "active");
    let ran = std::fs::read_to_string(home.home().join("ran")).unwrap();
    assert_eq!(ran.trim(), home.home().to_string_lossy());
    let error = manager.systemctl(&["start", "none.service"]).unwrap_err().to_string();
    assert!(error.contains("not found"), "{error}");

    let pid = std::fs::read_to_string(home.home().join("pid")).unwrap();
    let left = std::path::Path::new("/proc").join(pid.trim());
    assert!(left.exists());
    let of_manager = std::path::PathBuf::from(format!("/proc/{}", manager.pid()));
    manager.stop();
    assert!(!of_manager.exists());
    wait_until(Duration::from_secs(5), "the holder's process to be reaped", || !left.exists()).unwrap();
}

#[test]
fn an_enabled_unit_is_back_after_a_reboot() {
    if require_or_skip("a systemd user manager", UserManager::available()).is_none() {
        return;
    }
    let home = home_with_units();
    let manager = UserManager::start(&home).unwrap();
    manager.systemctl(&["enable", "once@x.service"]).unwrap();
    assert_eq!(manager.property("once@x.service", "ActiveState").unwrap(), "inactive");
    let manager = manager.reboot(&home).unwrap();
    wait_until(Duration::from_secs(20), "the enabled unit", || {
        let state =
            manager.property("once@x.service", "ActiveState").map_err(|error| format!("{error:#}"))?;
        if state == "active" { Ok(()) } else { Err(state) }
    })
    .unwrap();
}

#[test]
fn two_managers_with_units_of_the_same_name_leave_each_other_alone() {
    if require_or_skip("a systemd user manager", UserManager::available()).is_none() {
        return;
    }
    let unit = "[Service]\nExecStart=/bin/sleep 1000\n";
    let start = || {
        let home = home_with_units();
        std::fs::write(home.home().join(".config/systemd/user/same.service"), unit).unwrap();
        let manager = UserManager::start(&home).unwrap();
        manager.systemctl(&["start", "same.service"]).unwrap();
        (manager, home)
    };
    let (one, _home_of_one) = start();
    let (other, _home_of_other) = start();
    one.systemctl(&["stop", "same.service"]).unwrap();
    drop(one);
    assert_eq!(other.property("same.service", "ActiveState").unwrap(), "active");
}
