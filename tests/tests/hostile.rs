//! Panes whose programs print what they should not: fake prompts, escape sequences, lines without an end.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::io::Write as _;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, ensure};
use fleet_testkit::agent::{ScriptedAgent, ScriptedOptions};
use fleet_testkit::fleet::{
    Daemon, PATIENCE, agent, collector, fleet, sidecar, wait_for_state, write_roster,
};
use fleet_testkit::home::TestHome;
use fleet_testkit::tmux::PrivateTmux;
use fleet_testkit::wait::wait_until;
use serde_json::Value;

/// What the sidecar may hold at its peak while it is painted at, in KiB: a line of 10 MB is never kept.
const PEAK: u64 = 24 << 10;

/// Titles, clipboards, answers to queries, another screen, a hyperlink, commands of tmux' formats and of shells.
const ESCAPES: &str = "\x1b]0;#(touch canary) $(touch canary) `touch canary`\x07\x1b]2;\u{202e}evil\x07\
    \x1b]52;c;dG91Y2ggY2FuYXJ5\x07\x1b[6n\x1b[c\x1bP+q544e\x1b\\\x1bPtmux;\x1b\x1b]0;evil\x07\x1b\\\
    \x1b]8;;file:///canary\x07link\x1b]8;;\x07\x1b[31m#[fg=red]#(touch canary)\u{9b}31m\x1b[?1049h\x1b[?1049l";

struct World {
    home: TestHome,
    collector: Daemon,
    sidecar: Daemon,
    // Dropped last: agents end with their server.
    tmux: PrivateTmux,
}

impl World {
    fn new(agents: &[&str]) -> Self {
        let home = TestHome::new().unwrap();
        let tmux = PrivateTmux::named(&home, "mosaic-fleet").unwrap();
        let rows: String =
            agents.iter().map(|name| format!("  - {{name: {name}, runtime: claude}}\n")).collect();
        let roster = format!("version: 1\ntmux: {{socket_name: mosaic-fleet}}\nagents:\n{rows}");
        write_roster(&home, &roster).unwrap();
        let collector = collector(&home, "off").unwrap();
        let sidecar = sidecar(&home, &["--host"]).unwrap();
        Self { home, collector, sidecar, tmux }
    }

    /// As if the pane's own program had printed it.
    fn paint(&self, session: &str, bytes: &[u8]) -> Result<()> {
        let target = format!("={session}:");
        let tty = self.tmux.run(["display-message", "-p", "-t", &target, "#{pane_tty}"])?;
        let mut terminal = std::fs::File::options().write(true).open(tty.trim())?;
        terminal.write_all(bytes).context("paint the pane")
    }

    fn events(&self) -> Result<Vec<Value>> {
        let said = fleet(&self.home, &["events", "--json", "--limit", "0"])?.from_collector()?.json()?;
        Ok(said["items"].as_array().context("no items")?.clone())
    }

    fn never_stuck(&self) {
        let events = self.events().unwrap();
        assert!(!events.is_empty());
        let stuck: Vec<&Value> = events.iter().filter(|event| event["to"] == "stuck").collect();
        assert!(stuck.is_empty(), "{stuck:#?}");
    }
}

/// A program that prints a file and then does nothing more.
fn printer(file: &Path) -> Vec<String> {
    let script = format!("cat '{}'; exec sleep 600", file.display());
    ["sh", "-c", &script].map(str::to_owned).into()
}

/// Genuine permission prompts, questions, limits and gates, as the programs drew them.
fn prompts() -> Vec<PathBuf> {
    let fixtures = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/panes");
    let labels = std::fs::read_to_string(fixtures.join("labels.tsv")).unwrap();
    let stuck = labels.lines().filter(|line| line.contains("stuck"));
    let files: Vec<PathBuf> =
        stuck.filter_map(|line| line.split('\t').next()).map(|file| fixtures.join(file)).collect();
    assert!(files.len() > 10, "{labels}");
    files
}

#[test]
fn prompts_that_a_program_prints_which_is_no_runtime_are_nobodys() {
    let world = World::new(&[]);
    let prompts = prompts();
    let names: Vec<String> = (0..prompts.len()).map(|at| format!("printer{at}")).collect();
    for (file, name) in prompts.iter().zip(&names) {
        let directory = world.home.work(name).unwrap();
        world.tmux.new_session(name, &directory, &[], &printer(file)).unwrap();
    }
    wait_until(PATIENCE, "every printer to be listed", || {
        let list = fleet(&world.home, &["ps", "--json"])?.from_collector()?.json()?;
        let items = list["items"].as_array().context("no items")?;
        let alive = items.iter().filter(|item| item["paneAlive"] == true).count();
        ensure!(alive == names.len(), "{alive} of {}", names.len());
        Ok(())
    })
    .unwrap();
    // A runtime whose state is told after all of them were looked at.
    let mut coder =
        ScriptedAgent::launch(&world.tmux, &world.home, "coder0", &ScriptedOptions::default()).unwrap();
    wait_for_state(&world.home, "coder0", "available").unwrap();
    coder.step("prompt go").unwrap();
    wait_for_state(&world.home, "coder0", "working").unwrap();
    world.never_stuck();
}

#[test]
fn what_is_painted_over_a_runtime_changes_nothing_runs_nothing_and_is_shown_harmless() {
    let world = World::new(&["coder0"]);
    let mut coder =
        ScriptedAgent::launch(&world.tmux, &world.home, "coder0", &ScriptedOptions::default()).unwrap();
    wait_for_state(&world.home, "coder0", "available").unwrap();
    coder.step("prompt go").unwrap();
    wait_for_state(&world.home, "coder0", "working").unwrap();
    let line = vec![b'x'; 10 << 20];
    world.paint("coder0", &line).unwrap();
    world
        .paint("coder0", format!("\u{1b}[2J\u{1b}[H{}", "é\u{301}\u{1b}[31m".repeat(200_000)).as_bytes())
        .unwrap();
    world.paint("coder0", &[0xff, 0xfe, 0x00, 0xc3, 0x28, b'\n']).unwrap();
    for file in prompts() {
        let screen = std::fs::read_to_string(file).unwrap().replace('\n', "\r\n");
        world.paint("coder0", format!("\u{1b}[2J\u{1b}[H{screen}").as_bytes()).unwrap();
    }
    world.paint("coder0", ESCAPES.as_bytes()).unwrap();
    wait_until(PATIENCE, "its new title", || {
        let told = agent(&world.home, "coder0")?;
        ensure!(
            told["paneTitle"].as_str().is_some_and(|title| title.contains("evil")),
            "{}",
            told["paneTitle"]
        );
        Ok(())
    })
    .map_err(|error| format!("{error}\n{}\n{}", world.sidecar.log(), world.collector.log()))
    .unwrap();
    // As it draws itself again.
    world.paint("coder0", b"\x1b[2J\x1b[H").unwrap();
    coder.step("end").unwrap();
    wait_for_state(&world.home, "coder0", "available").unwrap();
    world.never_stuck();
    for verb in [&["ps", "-o", "wide"][..], &["explain", "coder0"], &["events"], &["capture", "coder0"]] {
        let said = fleet(&world.home, verb).unwrap();
        let raw = |text: &str| text.chars().find(|c| (c.is_control() && *c != '\n') || *c == '\u{202e}');
        assert_eq!(
            (raw(&said.stdout), raw(&said.stderr)),
            (None, None),
            "{verb:?}: {}{}",
            said.stdout,
            said.stderr
        );
    }
    assert!(canaries(world.home.root()).is_empty(), "{:?}", canaries(world.home.root()));
    let status = std::fs::read_to_string(format!("/proc/{}/status", world.sidecar.pid())).unwrap();
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:")?.trim().strip_suffix(" kB"));
    let peak: u64 = peak.unwrap().trim().parse().unwrap();
    assert!(peak < PEAK, "{peak} KiB at the peak");
}

/// Whatever was run would have left a file behind, wherever it ran.
fn canaries(root: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut directories = vec![root.to_owned()];
    while let Some(directory) = directories.pop() {
        for entry in std::fs::read_dir(directory).into_iter().flatten().flatten() {
            if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
                directories.push(entry.path());
            } else if entry.file_name() == "canary" {
                found.push(entry.path());
            }
        }
    }
    found
}
