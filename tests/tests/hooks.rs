//! Hooks from the runtime's call to `fleet explain`, and a client that the agent never notices.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::fs::OpenOptions;
use std::io::Write as _;
use std::path::PathBuf;
use std::process::Stdio;
use std::time::{Duration, Instant};

use anyhow::ensure;
use fleet_testkit::bins::bin;
use fleet_testkit::fleet::{self, PATIENCE, collector, sidecar, sidecar_with, wait_for_state, write_roster};
use fleet_testkit::home::TestHome;
use fleet_testkit::tmux::PrivateTmux;
use fleet_testkit::wait::wait_until;
use nix::sys::stat::Mode;
use nix::unistd::mkfifo;

/// Stands for a runtime that tells of itself by hooks alone: it calls the hook for each line that it is given.
const RUNTIME: &str = r#"
import subprocess, sys
pipe, hook, directory = sys.argv[1:4]
print("ready", flush=True)
while True:
    with open(pipe) as lines:
        for line in lines:
            subprocess.run([hook, "hook", "--to", directory], input=line.encode())
"#;

struct Agent {
    _tmux: PrivateTmux,
    home: TestHome,
    pipe: PathBuf,
}

impl Agent {
    fn start() -> Self {
        let home = TestHome::new().unwrap();
        let tmux = PrivateTmux::named(&home, "mosaic-fleet").unwrap();
        write_roster(
            &home,
            "version: 1\ntmux: {socket_name: mosaic-fleet}\nagents: [{name: a0, runtime: pi}]\n",
        )
        .unwrap();
        let (pipe, script) = (home.root().join("pipe"), home.root().join("runtime.py"));
        mkfifo(&pipe, Mode::S_IRWXU).unwrap();
        std::fs::write(&script, RUNTIME).unwrap();
        std::fs::create_dir_all(home.bin()).unwrap();
        let python = String::from_utf8(
            home.command("python3")
                .args(["-c", "import sys; print(sys.executable)"])
                .output()
                .unwrap()
                .stdout,
        )
        .unwrap();
        let program = home.bin().join("pi");
        std::os::unix::fs::symlink(std::fs::canonicalize(python.trim()).unwrap(), &program).unwrap();
        let words = [
            program,
            script,
            pipe.clone(),
            bin("fleet-sidecar").unwrap(),
            home.runtime_dir().join("mosaic/hooks"),
        ];
        let argv = words.map(|word| word.to_str().unwrap().to_owned());
        tmux.new_session("a0", &home.work("a0").unwrap(), &home.env(), &argv).unwrap();
        Self { _tmux: tmux, home, pipe }
    }

    fn hook(&self, payload: &str) {
        let mut pipe = OpenOptions::new().write(true).open(&self.pipe).unwrap();
        writeln!(pipe, "{payload}").unwrap();
    }

    fn is_seen(&self) {
        wait_until(PATIENCE, "the runtime to be seen", || {
            let seen = fleet::agent(&self.home, "a0")?;
            ensure!(seen["runtime"] == "pi" && seen["paneAlive"] == true, "{seen}");
            Ok(())
        })
        .unwrap();
    }

    fn event(&self, name: &str) {
        self.hook(&format!(r#"{{"session_id":"s","hook_event_name":"{name}"}}"#));
    }
}

#[test]
fn a_turn_told_by_hooks_alone() {
    let agent = Agent::start();
    let _collector = collector(&agent.home, "off").unwrap();
    let _sidecar = sidecar(&agent.home, &["--host"]).unwrap();
    agent.is_seen();
    agent.event("UserPromptSubmit");
    wait_for_state(&agent.home, "a0", "working").unwrap();
    agent.hook(
        r#"{"session_id":"s","hook_event_name":"PermissionRequest","tool_name":"Bash","tool_input":{"command":"make deploy"}}"#,
    );
    let stuck = wait_for_state(&agent.home, "a0", "stuck").unwrap();
    assert_eq!(stuck["readinessKind"], "permission");
    assert_eq!(stuck["evidence"][0]["line"], "Bash: make deploy");
    assert_eq!(stuck["evidence"][0]["source"], "hook");
    agent.event("PostToolUse");
    wait_for_state(&agent.home, "a0", "working").unwrap();
    agent.hook(r#"{"session_id":"s","hook_event_name":"Stop","agent_id":"sub"}"#);
    agent.hook("no json at all");
    agent.event("Stop");
    wait_for_state(&agent.home, "a0", "available").unwrap();
}

#[test]
fn a_task_of_which_nothing_comes_is_told_and_its_end_ends_that() {
    let agent = Agent::start();
    let _collector = collector(&agent.home, "off").unwrap();
    let often = [("MOSAIC_HEARTBEAT_INTERVAL", "1"), ("MOSAIC_PROGRESS_THRESHOLD", "3")];
    let _sidecar = sidecar_with(&agent.home, &["--host"], &often).unwrap();
    agent.is_seen();
    agent.event("UserPromptSubmit");
    wait_for_state(&agent.home, "a0", "working").unwrap();
    let stuck = wait_for_state(&agent.home, "a0", "stuck").unwrap();
    assert_eq!(stuck["readinessKind"], "no_progress", "{stuck}");
    assert_eq!(stuck["evidence"][0]["source"], "process", "{stuck}");
    agent.event("PostToolUse");
    wait_for_state(&agent.home, "a0", "working").unwrap();
    agent.event("Stop");
    wait_for_state(&agent.home, "a0", "available").unwrap();
}

#[test]
fn the_client_ends_well_and_says_nothing_whatever_it_is_given() {
    let home = TestHome::new().unwrap();
    let run = |args: &[&str], input: &[u8]| {
        let mut child = home
            .command(bin("fleet-sidecar").unwrap())
            .arg("hook")
            .args(args)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        // It may be gone before it has read all of it.
        let _ = child.stdin.take().unwrap().write_all(input);
        let output = child.wait_with_output().unwrap();
        assert!(output.status.success());
        assert_eq!((output.stdout.len(), output.stderr.len()), (0, 0), "{input:?}");
    };
    run(&[], br#"{"hook_event_name":"Stop"}"#);
    run(&[], b"");
    run(&[], b"{{{{");
    run(&[], &vec![b'x'; 4 << 20]);
    run(&["--to", "/nowhere/at/all"], br#"{"hook_event_name":"Stop"}"#);
    run(&[r#"{"type":"agent-turn-complete","thread-id":"t"}"#], b"");
}

#[test]
fn a_runtime_that_never_ends_its_payload_is_not_waited_for() {
    let home = TestHome::new().unwrap();
    let mut child =
        home.command(bin("fleet-sidecar").unwrap()).arg("hook").stdin(Stdio::piped()).spawn().unwrap();
    let held = child.stdin.take();
    let began = Instant::now();
    assert!(child.wait().unwrap().success());
    assert!(began.elapsed() < Duration::from_secs(30), "it waited for an end that never came");
    drop(held);
}
