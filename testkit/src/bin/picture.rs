//! Prints, with its colours, what `fleet ps` shows of a few real Claude Code agents: the picture of the README.
//! Run by `scripts/picture`.
#![expect(clippy::print_stdout, reason = "the screen is what this program is for")]

use anyhow::{Context as _, Result, ensure};
use fleet_testkit::claude::{ClaudeOptions, RealClaude};
use fleet_testkit::fleet::{PATIENCE, agent, collector, sidecar, wait_for_state, write_roster};
use fleet_testkit::home::TestHome;
use fleet_testkit::stub::ModelStub;
use fleet_testkit::tmux::PrivateTmux;
use fleet_testkit::wait::wait_until;

const ROSTER: &str = "\
version: 1
tmux: {socket_name: mosaic-fleet}
agents:
  - {name: orchestrator, runtime: claude, class: orchestrator}
  - {name: enhancer, runtime: claude, class: enhancer}
  - {name: coder0, runtime: claude, class: implementer}
  - {name: coder1, runtime: claude, class: implementer}
  - {name: reviewer, runtime: claude, class: reviewer}
  - {name: researcher, runtime: claude, class: researcher}
";

/// Session, what it is asked, whether by subscription, and the state that follows.
const AGENTS: [(&str, &str, bool, &str); 6] = [
    ("orchestrator", "SLOW60 plan the release and keep me posted", false, "working"),
    ("enhancer", "THINK look over yesterday", false, "available"),
    ("coder0", "TOOL make the change", false, "stuck"),
    ("coder1", "LIMIT go on", true, "stuck"),
    ("reviewer", "ASK which of the two?", false, "stuck"),
    ("scratch", "hello", false, "available"),
];

fn main() -> Result<()> {
    let claude = RealClaude::provision().map_err(anyhow::Error::msg)?;
    let home = TestHome::new()?;
    let tmux = PrivateTmux::named(&home, "mosaic-fleet")?;
    let stub = ModelStub::start()?;
    write_roster(&home, ROSTER)?;
    let _collector = collector(&home, "off")?;
    let _sidecar = sidecar(&home, &["--host"])?;
    for (name, prompt, subscription, state) in AGENTS {
        let options = ClaudeOptions { subscription, ..ClaudeOptions::default() };
        let session = claude.launch_with(&tmux, &home, name, &stub, &options)?;
        session.send_prompt(prompt)?;
        if name == "coder1" {
            // A limit is a dialog first; the picture shows the limit.
            wait_until(PATIENCE, "the limit", || {
                let seen = agent(&home, name)?;
                ensure!(seen["readiness"] == "stuck", "{seen}");
                Ok(())
            })?;
        } else {
            wait_for_state(&home, name, state).with_context(|| name.to_owned())?;
        }
    }
    let fleet = fleet_testkit::bins::bin("fleet")?.display().to_string();
    let screen = PrivateTmux::new(&home)?;
    let script = format!("read _; clear; printf '$ fleet ps\\n'; {fleet} ps 2>/dev/null; sleep 600");
    let shell = ["/bin/sh".to_owned(), "-c".to_owned(), script];
    screen.new_session("screen", home.root(), &home.env(), &shell)?;
    screen.run(["resize-window", "-t", "=screen:", "-x", "142", "-y", "24"])?;
    screen.send_keys("screen", &["Enter"])?;
    let shown = wait_until(PATIENCE, "the table", || {
        let shown = screen.capture_ansi("screen")?;
        ensure!(shown.contains("reviewer") && shown.contains("scratch"), "{shown}");
        Ok(shown)
    })?;
    println!("{}", shown.trim_end());
    Ok(())
}
