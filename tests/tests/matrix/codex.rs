//! OpenAI Codex.

use anyhow::Result;
use fleet_testkit::real::{Credentials, Kind, Retries, Setup, Under};
use fleet_testkit::stub::ModelStub;
use nix::sys::signal::Signal;

use crate::lane::{Lane, available, background, dead, frozen, retrying, stuck, working};
use crate::world::{Cell, World, run};

/// What it asks, or about what.
const COMMAND: &str = "Would you like to run|for i in";

#[test]
fn codex_in_every_state() {
    run(
        Kind::Codex,
        &[
            ("turns", turns),
            ("asks", asks),
            ("leaves", leaves),
            ("fails", fails),
            ("small", small),
            ("cut", cut),
            ("trust", trust),
            ("login", login),
        ],
    );
}

fn turns(world: &World) -> Result<Vec<Cell>> {
    let mut lane = Lane::launch(world, "turns", &Setup::default())?;
    lane.expect("idle", &available())?;
    lane.draft()?;
    lane.prompt("WAIT90")?;
    lane.expect("before the first token", &working(""))?;
    lane.session.interrupt()?;
    lane.expect("interrupted before the first token", &available())?;
    lane.prompt("SLOW90")?;
    lane.session.wait_for_screen("some of the answer", |screen| screen.contains("slow-word-3"))?;
    lane.expect("text streams", &working(""))?;
    lane.session.interrupt()?;
    lane.expect("interrupted", &available())?;
    lane.end()
}

fn asks(world: &World) -> Result<Vec<Cell>> {
    let mut lane = Lane::launch(world, "asks", &Setup::default())?;
    lane.prompt("TOOLSLEEP90")?;
    lane.expect("a permission", &stuck("stuck/permission", COMMAND))?;
    lane.answer("y", "Would you like to run")?;
    lane.expect("a tool runs", &working(""))?;
    lane.session.interrupt()?;
    lane.expect("the tool interrupted", &available())?;
    lane.end()
}

fn leaves(world: &World) -> Result<Vec<Cell>> {
    let mut lane = Lane::launch(world, "leaves", &Setup { unattended: true, ..Setup::default() })?;
    lane.prompt("BGSLEEP90")?;
    lane.expect("a background terminal", &background("background terminal"))?;
    lane.end()
}

fn fails(world: &World) -> Result<Vec<Cell>> {
    let model = ["-m", "gpt-5.2-codex"].map(str::to_owned).into();
    let mut lane =
        Lane::launch(world, "fails", &Setup { retries: Retries::Few, args: model, ..Setup::default() })?;
    lane.prompt("ERR500")?;
    lane.expect("a final 500", &stuck("stuck/error", "high demand"))?;
    lane.prompt("hello")?;
    lane.expect("a turn after it", &available())?;
    lane.prompt("ERR401")?;
    lane.expect("a 401", &stuck("stuck/login", "401"))?;
    lane.prompt("hello")?;
    lane.expect("a second turn", &available())?;
    lane.prompt("LIMIT")?;
    lane.expect("the plan's limit", &stuck("stuck/usage_limit", "usage limit"))?;
    lane.prompt("hello")?;
    lane.expect("a third turn", &available())?;
    // It asks in its planning mode only.
    lane.session.draft("/plan")?;
    lane.session.press("Enter", "its planning mode", |screen| screen.contains("Plan mode"))?;
    lane.prompt("ASK")?;
    lane.expect("a question", &stuck("stuck/question", ""))?;
    lane.end()
}

fn small(world: &World) -> Result<Vec<Cell>> {
    let setup = Setup { under: Under::Shell, retries: Retries::Many, ..Setup::default() };
    let mut lane = Lane::launch(world, "small", &setup)?;
    lane.session.resize(40, 10)?;
    lane.expect("idle at 40x10", &available())?;
    lane.prompt("SLOW90")?;
    lane.expect("working at 40x10", &working(""))?;
    lane.session.interrupt()?;
    lane.expect("interrupted at 40x10", &available())?;
    lane.prompt("TOOL")?;
    lane.expect("a permission at 40x10", &stuck("stuck/permission", ""))?;
    lane.session.resize(120, 40)?;
    lane.answer("Escape", "Would you like to run")?;
    lane.expect("a permission denied", &available())?;
    lane.settles()?;
    lane.prompt("ERR500")?;
    lane.expect("retrying", &retrying("Reconnecting"))?;
    lane.session.kill()?;
    lane.expect("killed", &dead(Some("dead/exited")))?;
    lane.end()
}

fn cut(world: &World) -> Result<Vec<Cell>> {
    let stub = ModelStub::start()?;
    let setup = Setup { retries: Retries::Many, under: Under::Script, ..Setup::default() };
    let mut lane = Lane::launch_with(world, "cut", &stub, &setup)?;
    lane.expect("idle before it is stopped", &available())?;
    lane.session.signal(Signal::SIGSTOP);
    lane.expect("stopped", &frozen())?;
    lane.session.signal(Signal::SIGCONT);
    lane.expect("continued", &available())?;
    lane.prompt("SLOW90")?;
    lane.session.wait_for_screen("some of the answer", |screen| screen.contains("slow-word-3"))?;
    lane.cut(&stub)?;
    lane.expect("its network cut", &retrying("Reconnecting"))?;
    lane.session.kill()?;
    lane.expect("killed with its pane", &dead(None))?;
    lane.end()
}

fn trust(world: &World) -> Result<Vec<Cell>> {
    let mut lane = Lane::start(world, "trust", &Setup { trusted: false, ..Setup::default() })?;
    lane.session.wait_for_screen("a gate", |screen| screen.contains("Trust this folder?"))?;
    lane.expect("the trust gate", &stuck("stuck/trust", "rust"))?;
    lane.end()
}

fn login(world: &World) -> Result<Vec<Cell>> {
    let setup = Setup { credentials: Credentials::None, ..Setup::default() };
    let mut lane = Lane::start(world, "login", &setup)?;
    lane.session.wait_for_screen("a gate", |screen| screen.contains("Sign in with ChatGPT"))?;
    lane.expect("the choice of a login", &stuck("stuck/login", "ign in"))?;
    lane.end()
}
