//! `fleet wait` and `fleet capture` as a person types them, with a scripted agent.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::fs::File;
use std::io::{BufRead as _, BufReader};
use std::process::{Child, Stdio};

use anyhow::ensure;
use fleet_testkit::agent::{ScriptedAgent, ScriptedOptions};
use fleet_testkit::bins::bin;
use fleet_testkit::fleet::{self, PATIENCE, collector, sidecar, wait_for_state, write_roster};
use fleet_testkit::home::TestHome;
use fleet_testkit::tmux::PrivateTmux;
use fleet_testkit::wait::wait_until;
use serde_json::Value;

struct World {
    tmux: PrivateTmux,
    home: TestHome,
}

fn world() -> (World, ScriptedAgent) {
    let home = TestHome::new().unwrap();
    let tmux = PrivateTmux::named(&home, "mosaic-fleet").unwrap();
    write_roster(
        &home,
        "version: 1\ntmux: {socket_name: mosaic-fleet}\nagents:\n  - {name: coder0, runtime: claude}\n",
    )
    .unwrap();
    let agent = ScriptedAgent::launch(&tmux, &home, "coder0", &ScriptedOptions::default()).unwrap();
    (World { tmux, home }, agent)
}

#[test]
fn wait_ends_when_it_is_so_and_says_when_it_is_not() {
    let (world, mut agent) = world();
    let _collector = collector(&world.home, "off").unwrap();
    let _sidecar = sidecar(&world.home, &["--host"]).unwrap();
    let wait = |args: &[&str]| {
        let args: Vec<&str> = ["wait"].into_iter().chain(args.iter().copied()).collect();
        fleet::fleet(&world.home, &args).unwrap()
    };
    wait_for_state(&world.home, "coder0", "available").unwrap();
    agent.step("prompt go on").unwrap();
    assert_eq!(wait(&["coder0", "--for", "state=working", "--timeout", "30s"]).code, 0);
    assert_eq!(wait(&["coder0", "--for", "state=available", "--timeout", "1s"]).code, 124);
    agent.step("permission Bash").unwrap();
    let said = wait(&["cod", "--for", "kind=permission", "--timeout", "30s"]);
    assert_eq!(said.code, 0, "{}", said.stderr);
    assert!(said.stderr.contains("coder0 is stuck: waits for permission"), "{}", said.stderr);
    assert_eq!(wait(&["nobody", "--for", "state=stuck", "--timeout", "5s"]).code, 4);
    assert_eq!(wait(&["coder0", "--for", "state=tired"]).code, 2);
}

#[test]
fn a_collector_that_is_restarted_ends_nobodys_waiting_and_loses_no_event() {
    let (world, mut agent) = world();
    let first = collector(&world.home, "off").unwrap();
    let _sidecar = sidecar(&world.home, &["--host"]).unwrap();
    wait_for_state(&world.home, "coder0", "available").unwrap();
    let other = ScriptedAgent::launch(&world.tmux, &world.home, "writer0", &ScriptedOptions::default());
    let mut other = other.unwrap();
    other.step("prompt go on").unwrap();
    other.step("permission Bash").unwrap();
    wait_for_state(&world.home, "writer0", "stuck").unwrap();
    let mut waiting = Spoken::start(&world.home, &["wait", "coder0", "writer0", "--for", "kind=permission"]);
    // From then on it listens.
    waiting.says("writer0 is stuck: waits for permission");
    let mut following = Spoken::start(&world.home, &["events", "--follow", "--jsonl", "--agent", "coder0"]);
    agent.step("prompt go on").unwrap();
    following.says("\"to\":\"working\"");
    first.kill().unwrap();
    waiting.says("until it is back");
    following.says("until it is back");
    agent.step("permission Bash").unwrap();
    let _second = collector(&world.home, "off").unwrap();
    following.says("\"to\":\"stuck\"");
    waiting.says("coder0 is stuck: waits for permission");
    assert!(waiting.child.wait().unwrap().success());
    let mut told: Vec<&str> = following.heard.lines().filter(|line| line.starts_with('{')).collect();
    let all = told.len();
    told.sort_unstable();
    told.dedup();
    assert_eq!(told.len(), all, "{}", following.heard);
}

/// A command that goes on, and all that it says.
struct Spoken {
    child: Child,
    says: BufReader<File>,
    heard: String,
}

impl Spoken {
    fn start(home: &TestHome, args: &[&str]) -> Self {
        let (read, write) = nix::unistd::pipe().unwrap();
        let mut command = home.command(bin("fleet").unwrap());
        command.args(args).stdout(write.try_clone().unwrap()).stderr(write).stdin(Stdio::null());
        Self { child: command.spawn().unwrap(), says: BufReader::new(File::from(read)), heard: String::new() }
    }

    /// Reads on until it says that.
    fn says(&mut self, what: &str) {
        loop {
            let before = self.heard.len();
            assert!(self.says.read_line(&mut self.heard).unwrap() > 0, "no {what} in {}", self.heard);
            if self.heard[before..].contains(what) {
                return;
            }
        }
    }
}

impl Drop for Spoken {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn wait_needs_a_collector_and_capture_does_without() {
    let (world, mut agent) = world();
    agent.step("prompt export ANTHROPIC_API_KEY=sk-ant-api03-0123456789abcdef").unwrap();
    assert_eq!(fleet::fleet(&world.home, &["wait", "coder0", "--for", "state=stuck"]).unwrap().code, 6);

    let printed = wait_until(PATIENCE, "the prompt on the screen", || {
        let said = fleet::fleet(&world.home, &["capture", "coder0", "--print"])?;
        ensure!(said.stdout.contains("ANTHROPIC_API_KEY=[masked]"), "{}{}", said.stdout, said.stderr);
        Ok(said)
    })
    .unwrap();
    assert!(!printed.stdout.contains("0123456789abcdef") && !printed.stdout.contains('\u{1b}'));

    let directory = world.home.root().join("report");
    std::fs::create_dir(&directory).unwrap();
    let said = fleet::fleet(&world.home, &["capture", "coder0", "-o", directory.to_str().unwrap()]).unwrap();
    assert_eq!(said.code, 0, "{}", said.stderr);
    let paths: Vec<&str> = said.stdout.lines().collect();
    assert_eq!(paths.len(), 3, "{}", said.stdout);
    for path in &paths {
        let text = std::fs::read_to_string(path).unwrap();
        assert!(!text.contains("0123456789abcdef"), "{path}");
    }
    let report: Value = serde_json::from_str(&std::fs::read_to_string(paths[2]).unwrap()).unwrap();
    assert_eq!(report["kind"], "Capture");
    assert_eq!(report["screen"]["state"], "working");
    assert_eq!(report["explanation"]["agent"]["readiness"], "working");
}
