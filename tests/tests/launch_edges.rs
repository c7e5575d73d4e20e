//! The edges of `fleet launch`, with a stand-in for the runtime: odd names and places, many at once, files that are damaged.
#![expect(clippy::disallowed_methods, reason = "starts several launches at once")]

use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context as _, Result, ensure};
use fleet_testkit::bins::bin;
use fleet_testkit::fleet::{PATIENCE, Said, fleet, write_roster};
use fleet_testkit::home::TestHome;
use fleet_testkit::tmux::PrivateTmux;
use fleet_testkit::wait::wait_until;

const SOCKET: &str = "mosaic-fleet";

/// What it is started with is left in `$HOME/told.<agent>`: directory, environment, arguments.
const STAND_IN: &str = r#"#!/bin/sh
out="$HOME/told.$MOSAIC_AGENT_NAME"
{ echo "pwd=$(pwd -P)"; env; printf 'arg=%s\n' "$@"; } >"$out.new"
mv "$out.new" "$out"
exec sleep 1000
"#;

struct World {
    home: TestHome,
    tmux: PrivateTmux,
}

impl World {
    fn new(agents: &str) -> Result<Self> {
        let home = TestHome::new()?;
        let tmux = PrivateTmux::named(&home, SOCKET)?;
        for runtime in ["claude", "pi"] {
            let program = home.bin().join(runtime);
            std::fs::write(&program, STAND_IN)?;
            std::fs::set_permissions(&program, std::fs::Permissions::from_mode(0o755))?;
        }
        write_roster(&home, &format!("version: 1\ntmux: {{socket_name: {SOCKET}}}\nagents:\n{agents}"))?;
        Ok(Self { home, tmux })
    }

    fn launch(&self, args: &[&str]) -> Result<Said> {
        fleet(&self.home, &[&["launch"], args].concat())
    }

    fn told(&self, agent: &str) -> Result<String> {
        let path = self.home.home().join(format!("told.{agent}"));
        let told = wait_until(PATIENCE, "the runtime's word", || std::fs::read_to_string(&path));
        told.with_context(|| self.tmux.capture(agent).unwrap_or_default())
    }

    fn state_file(&self) -> PathBuf {
        self.home.home().join(".claude.json")
    }
}

fn runs(said: &Said) -> Result<()> {
    ensure!(said.code == 0, "{said:?}");
    Ok(())
}

#[test]
fn names_that_are_none_are_refused_in_the_words_of_sysexits() -> Result<()> {
    let world = World::new("  - {name: a, runtime: claude}\n")?;
    let long = "x".repeat(200);
    for name in ["a b", "..", "../a", "ä", "a.b", "-a", &long, "", "nobody"] {
        let said = world.launch(&["--", name])?;
        ensure!(said.code == 64 && said.stderr.starts_with("error: "), "{name:?}: {said:?}");
        ensure!(said.stderr.lines().count() <= 3 && said.stderr.len() < 600, "{name:?}: {said:?}");
    }
    let mut alone = world.home.command(bin("fleet")?);
    let out = alone.args(["launch", "a"]).env("PATH", world.home.bin()).output()?;
    ensure!(out.status.code() == Some(69), "{out:?}");
    Ok(())
}

#[test]
fn odd_work_directories_are_made_and_reached_and_nothing_in_them_is_run() -> Result<()> {
    let world = World::new("")?;
    let root = world.home.root().join("w");
    let odd = root.join("c# #{pid} #(touch pwned) ü 'x' \"y\" $Z");
    let link = world.home.root().join("link");
    std::fs::create_dir_all(&root)?;
    std::os::unix::fs::symlink(&root, &link)?;
    let yaml = |path: &Path| serde_json::Value::from(path.display().to_string()).to_string();
    // A dollar would be a variable of the roster's.
    let odd = PathBuf::from(odd.display().to_string().replace(" $Z", ""));
    write_roster(
        &world.home,
        &format!(
            "version: 1\ntmux: {{socket_name: {SOCKET}}}\nagents:\n  - {{name: odd, runtime: claude, working_directory: {}}}\n  - {{name: linked, runtime: claude, working_directory: {}}}\n",
            yaml(&odd),
            yaml(&link.join("new"))
        ),
    )?;
    for (agent, directory) in [("odd", &odd), ("linked", &root.join("new"))] {
        runs(&world.launch(&[agent])?)?;
        let told = world.told(agent)?;
        ensure!(told.starts_with(&format!("pwd={}\n", directory.display())), "{told}");
        let state: serde_json::Value = serde_json::from_str(&std::fs::read_to_string(world.state_file())?)?;
        let trusted = &state["projects"][directory.display().to_string()]["hasTrustDialogAccepted"];
        ensure!(*trusted == true, "{state}");
    }
    let panes = world.tmux.run(["list-panes", "-a", "-F", "#{session_name} #{pane_current_path}"])?;
    ensure!(panes.contains(&format!("odd {}", odd.display())), "{panes}");
    Ok(())
}

#[test]
fn many_launches_at_once_all_run_and_all_are_trusted() -> Result<()> {
    let names: Vec<String> = (0..12).map(|index| format!("a{index}")).collect();
    let line =
        |name: &String| format!("  - {{name: {name}, runtime: claude, working_directory: ~/w/{name}}}\n");
    let world = World::new(&names.iter().map(line).collect::<String>())?;
    std::fs::write(world.state_file(), r#"{"theme":"dark"}"#)?;
    ensure!(fleet(&world.home, &["holder", "start"])?.code == 0);
    let program = bin("fleet")?;
    let children: Vec<_> = names
        .iter()
        .map(|name| {
            let mut command = Command::new(&program);
            command.args(["launch", name]).env_clear().envs(world.home.env());
            command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn()
        })
        .collect::<Result<_, _>>()?;
    for child in children {
        let out = child.wait_with_output()?;
        ensure!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
    }
    let state: serde_json::Value = serde_json::from_str(&std::fs::read_to_string(world.state_file())?)?;
    let projects = state["projects"].as_object().context("projects")?;
    ensure!(projects.len() == names.len() && state["theme"] == "dark", "{state}");
    for name in &names {
        world.told(name)?;
    }
    // Again is a success, and starts nothing.
    let before = world.tmux.run(["list-panes", "-a", "-F", "#{session_name} #{pane_pid}"])?;
    let said = world.launch(&["a3"])?;
    ensure!(said.code == 0 && said.stderr.contains("runs already"), "{said:?}");
    ensure!(world.tmux.run(["list-panes", "-a", "-F", "#{session_name} #{pane_pid}"])? == before);
    Ok(())
}

#[test]
fn a_damaged_state_file_is_left_untouched_and_the_agent_starts() -> Result<()> {
    let world = World::new("  - {name: a, runtime: claude}\n")?;
    std::fs::write(world.state_file(), "{\"projects\": {")?;
    let said = world.launch(&["a"])?;
    ensure!(said.code == 0 && said.stderr.contains("it was left as it is"), "{said:?}");
    ensure!(std::fs::read_to_string(world.state_file())? == "{\"projects\": {");
    world.told("a").map(drop)
}

#[test]
fn the_agents_file_reaches_it_whole_and_what_is_not_its_own_does_not() -> Result<()> {
    let world = World::new("  - {name: a, runtime: pi, class: code, kickstart: \"one\\ntwo 'x'\"}\n")?;
    let env = world.home.mosaic_home().join("fleet/agents/a.env");
    std::fs::create_dir_all(env.parent().context("a directory")?)?;
    std::fs::write(&env, "# mine\nKEY=\"s e c r e t\"\nMULTI='a\nb'\nCLAUDECODE=\n")?;
    std::fs::set_permissions(&env, std::fs::Permissions::from_mode(0o600))?;
    let mut launch = world.home.command(bin("fleet")?);
    // As in the pane of another agent.
    launch.args(["launch", "a"]).env("MOSAIC_AGENT_NAME", "b").env("MOSAIC_AGENT_MODEL", "others");
    let out = launch.env("CODEX_THREAD_ID", "1").env("TMUX_PANE", "%9").output()?;
    ensure!(out.status.success(), "{out:?}");
    let told = world.told("a")?;
    let has = |line: &str| told.lines().any(|told| told == line);
    for line in ["KEY=s e c r e t", "MULTI=a", "MOSAIC_AGENT_NAME=a", "MOSAIC_AGENT_CLASS=code", "arg=one"] {
        ensure!(has(line), "{line} is missing in\n{told}");
    }
    ensure!(!told.contains("others") && !told.contains("CODEX_THREAD_ID"), "{told}");
    let prompt = world.home.mosaic_home().join("fleet/run/a.prompt.md");
    ensure!(has(&format!("MOSAIC_AGENT_PROMPT_FILE={}", prompt.display())), "{told}");
    let mode = std::fs::metadata(&prompt)?.permissions().mode() & 0o777;
    ensure!(std::fs::read_to_string(&prompt)?.starts_with("# Code\n") && mode == 0o600);
    ensure!(!world.home.mosaic_home().join("fleet/run/a.launch").exists(), "it was read");
    let shared =
        world.tmux.run(["show-environment", "-g"])? + &world.tmux.run(["show-environment", "-t", "=a"])?;
    ensure!(!shared.contains("s e c r e t"), "{shared}");
    let shown = world.launch(&["a", "--dry-run"])?.stdout;
    ensure!(shown.contains("KEY from ") && !shown.contains("s e c r e t"), "{shown}");
    Ok(())
}

#[test]
fn what_an_agent_is_told_can_be_read_before() -> Result<()> {
    let world = World::new("  - {name: a, runtime: claude, class: reviewer}\n  - {name: b, runtime: pi}\n")?;
    std::fs::write(world.home.mosaic_home().join("SOUL.md"), "I am calm.\n")?;
    let said = world.launch(&["a", "--print-prompt"])?;
    let told = &said.stdout;
    ensure!(
        told.starts_with("# Review\n") && told.contains("I am calm.") && told.contains("| b |"),
        "{told}"
    );
    ensure!(!world.home.mosaic_home().join("fleet/run").exists(), "it only looks");
    Ok(())
}
