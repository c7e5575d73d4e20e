//! The real programs as `fleet launch` starts them: wired so that they can be listened to, and nobody is asked about it.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::path::Path;

use fleet_testkit::fleet::{PATIENCE, collector, fleet, sidecar, wait_for_state, write_roster};
use fleet_testkit::home::TestHome;
use fleet_testkit::real::{Kind, RealRuntime, Setup};
use fleet_testkit::stub::ModelStub;
use fleet_testkit::tmux::PrivateTmux;
use fleet_testkit::wait::wait_until;

/// Launches it, has it take a turn, and gives the sources that told of whose turn it is, with what tmux and the program's
/// own arguments show.
fn launched(kind: Kind, wanted: &[&str]) {
    let Some(runtime) = RealRuntime::require_or_skip(kind) else { return };
    let home = TestHome::new().unwrap();
    let tmux = PrivateTmux::named(&home, "mosaic-fleet").unwrap();
    let stub = ModelStub::start().unwrap();
    let work = home.work("a").unwrap();
    write_roster(
        &home,
        &format!(
            "version: 1\ntmux: {{socket_name: mosaic-fleet}}\nagents:\n  - {{name: a, runtime: {}, yolo: false, \
             working_directory: {}}}\n",
            kind.name(),
            work.display()
        ),
    )
    .unwrap();
    let _collector = collector(&home, "off").unwrap();
    let _sidecar = sidecar(&home, &["--host"]).unwrap();
    let session = runtime.launched_by_fleet(&tmux, &home, "a", &stub, &Setup::default()).unwrap();
    wait_for_state(&home, "a", "available").unwrap();
    session.send_prompt(&stub, "hello a 1").unwrap();
    wait_until(PATIENCE, "a source that is no screen", || {
        let explained = fleet(&home, &["explain", "a", "--json"]).unwrap().json().unwrap();
        let signals = explained["signals"].as_array().cloned().unwrap_or_default();
        let named: Vec<&str> = signals
            .iter()
            .filter(|line| line["signal"] == "native")
            .filter_map(|line| line["source"].as_str())
            .collect();
        if named.iter().any(|source| wanted.contains(source)) { Ok(()) } else { Err(format!("{named:?}")) }
    })
    .unwrap();
    wait_for_state(&home, "a", "available").unwrap();
    for pid in session.pids() {
        let arguments =
            std::fs::read(Path::new("/proc").join(pid.to_string()).join("cmdline")).unwrap_or_default();
        assert!(!String::from_utf8_lossy(&arguments).contains("PASSWORD="), "a secret among the arguments");
    }
}

#[test]
fn codex_is_launched_with_its_hooks_or_heard_by_its_daemon() {
    launched(Kind::Codex, &["api", "hook"]);
}

#[test]
fn opencode_is_launched_with_a_port_of_its_own() {
    launched(Kind::Opencode, &["api"]);
}
