//! Each script of the demonstration shows what it is for, within its first minute.
#![expect(clippy::unwrap_used, reason = "helpers of tests")]

use std::path::{Path, PathBuf};
use std::time::Duration;

use fleet_testkit::agent::{ScriptedAgent, ScriptedOptions};
use fleet_testkit::home::TestHome;
use fleet_testkit::tmux::PrivateTmux;
use fleet_testkit::wait::wait_until;

/// A minute of a script takes three seconds.
const SPEED: &str = "20";
const MINUTE: Duration = Duration::from_secs(3);
/// Starting it, on a busy machine.
const SLACK: Duration = Duration::from_secs(10);

fn scripts() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("scripts/demo")
}

fn shows(script: &str, status: &str, evidence: &str) {
    let (tmux, _home, agent) = play(script);
    wait_until(MINUTE + SLACK, format!("{script}: {status}, {evidence}"), || {
        let state = agent.state().map_err(|error| format!("{error:#}"))?;
        let screen = tmux.capture("w").map_err(|error| format!("{error:#}"))?;
        if state["status"] == status && screen.contains(evidence) {
            Ok(())
        } else {
            Err(format!("{state}\n{screen}"))
        }
    })
    .unwrap();
}

fn play(script: &str) -> (PrivateTmux, TestHome, ScriptedAgent) {
    let home = TestHome::new().unwrap();
    let tmux = PrivateTmux::new(&home).unwrap();
    let options = ScriptedOptions {
        program: Some(PathBuf::from(env!("CARGO_BIN_EXE_scripted-agent"))),
        script: Some(std::fs::read_to_string(scripts().join(format!("{script}.script"))).unwrap()),
        args: ["--speed", SPEED].map(str::to_owned).into(),
        ..ScriptedOptions::default()
    };
    let agent = ScriptedAgent::launch(&tmux, &home, "w", &options).unwrap();
    (tmux, home, agent)
}

#[test]
fn working_works() {
    shows("working", "busy", "esc to interrupt");
}

#[test]
fn idle_is_done() {
    shows("idle", "idle", "· done ");
}

#[test]
fn permission_asks() {
    shows("permission", "waiting", "rm -rf target/release");
}

#[test]
fn question_asks() {
    shows("question", "waiting", "Enter to select");
}

#[test]
fn limit_stands_on_its_limit() {
    shows("limit", "idle", "You've hit your 5-hour limit");
}

#[test]
fn crash_dies_with_a_state_left_behind() {
    let (_tmux, _home, agent) = play("crash");
    wait_until(MINUTE + SLACK, "its death", || !agent.is_alive()).unwrap();
    assert_eq!(agent.state().unwrap()["status"], "busy");
}

#[test]
fn no_script_is_untested() {
    let mut names: Vec<_> =
        std::fs::read_dir(scripts()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    names.sort();
    let tested = ["crash", "idle", "limit", "permission", "question", "working"];
    assert_eq!(names, tested.map(|name| std::ffi::OsString::from(format!("{name}.script"))));
}
