//! pi. It has neither questions nor a gate of trust; an extension asks before a command runs.

use anyhow::Result;
use fleet_testkit::real::{Credentials, Kind, Retries, Setup, Under};
use fleet_testkit::stub::ModelStub;
use nix::sys::signal::Signal;

use crate::lane::{Lane, available, dead, frozen, retrying, stuck, working};
use crate::world::{Cell, World, run};

#[test]
fn pi_in_every_state() {
    run(
        Kind::Pi,
        &[
            ("turns", turns),
            ("asks", asks),
            ("fails", fails),
            ("small", small),
            ("cut", cut),
            ("login", login),
        ],
    );
}

fn turns(world: &World) -> Result<Vec<Cell>> {
    let mut lane = Lane::launch(world, "turns", &Setup::default())?;
    lane.expect("idle", &available())?;
    lane.draft()?;
    lane.prompt("WAIT90")?;
    lane.expect("before the first token", &working("Working"))?;
    lane.session.interrupt()?;
    lane.expect("interrupted before the first token", &available())?;
    lane.prompt("SLOW90")?;
    lane.session.wait_for_screen("some of the answer", |screen| screen.contains("slow-word-3"))?;
    lane.expect("text streams", &working("Working"))?;
    lane.session.interrupt()?;
    lane.expect("interrupted", &available())?;
    lane.end()
}

fn asks(world: &World) -> Result<Vec<Cell>> {
    let mut lane = Lane::launch(world, "asks", &Setup::default())?;
    lane.prompt("TOOLSLEEP90")?;
    lane.expect("a permission", &stuck("stuck/permission", "Allow: "))?;
    lane.answer("Enter", "Allow: ")?;
    lane.expect("a tool runs", &working("Working"))?;
    lane.session.interrupt()?;
    lane.expect("the tool interrupted", &available())?;
    lane.end()
}

fn fails(world: &World) -> Result<Vec<Cell>> {
    let mut lane = Lane::launch(world, "fails", &Setup { retries: Retries::Few, ..Setup::default() })?;
    lane.prompt("ERR500")?;
    lane.expect("a final 500", &stuck("stuck/error", "Error: 500"))?;
    lane.prompt("hello")?;
    lane.expect("a turn after it", &available())?;
    lane.prompt("ERR401")?;
    lane.expect("a 401", &stuck("stuck/login", "401"))?;
    lane.prompt("hello")?;
    lane.expect("a second turn", &available())?;
    lane.prompt("LIMIT")?;
    lane.expect("the plan's limit", &stuck("stuck/usage_limit", "quota"))?;
    lane.end()
}

fn small(world: &World) -> Result<Vec<Cell>> {
    let setup = Setup { under: Under::Shell, retries: Retries::Many, ..Setup::default() };
    let mut lane = Lane::launch(world, "small", &setup)?;
    lane.session.resize(40, 10)?;
    lane.expect("idle at 40x10", &available())?;
    lane.prompt("SLOW90")?;
    lane.expect("working at 40x10", &working("Working"))?;
    lane.session.interrupt()?;
    lane.expect("interrupted at 40x10", &available())?;
    lane.prompt("TOOL")?;
    lane.expect("a permission at 40x10", &stuck("stuck/permission", ""))?;
    lane.session.resize(120, 40)?;
    lane.answer("Escape", "Allow: ")?;
    lane.expect("a permission denied", &available())?;
    lane.settles()?;
    lane.prompt("ERR500")?;
    lane.expect("retrying", &retrying("Retrying"))?;
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
    lane.expect("its network cut", &retrying("Retrying"))?;
    lane.session.kill()?;
    lane.expect("killed with its pane", &dead(None))?;
    lane.end()
}

fn login(world: &World) -> Result<Vec<Cell>> {
    let setup = Setup { credentials: Credentials::None, ..Setup::default() };
    let mut lane = Lane::start(world, "login", &setup)?;
    lane.session.wait_for_screen("a gate", |screen| screen.contains("unknown"))?;
    lane.expect("without a model to ask", &stuck("stuck/login", ""))?;
    lane.end()
}
