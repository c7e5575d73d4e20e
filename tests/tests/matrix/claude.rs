//! Claude Code.

use anyhow::Result;
use fleet_testkit::real::{Credentials, Kind, Retries, Setup};

use crate::lane::{Lane, available, background, stuck, working};
use crate::shared::Reads;
use crate::world::{Cell, World, run};

const READS: Reads = Reads {
    waiting: "",
    streaming: "",
    small: "",
    asks: "Do you want to proceed?",
    retrying: "",
    retries: Retries::AsShipped,
};

#[test]
fn claude_in_every_state() {
    run(
        Kind::Claude,
        &[
            ("turns", turns),
            ("asks", asks),
            ("fails", fails),
            ("quotes", quotes),
            ("small", small),
            ("cut", cut),
            ("trust", trust),
            ("key", key),
        ],
    );
}

fn turns(world: &World) -> Result<Vec<Cell>> {
    let mut lane = Lane::launch(world, "turns", &Setup::default())?;
    lane.expect("idle", &available())?;
    lane.draft()?;
    let text = lane.prompt("WAIT90")?;
    lane.expect("before the first token", &working(""))?;
    lane.session.interrupt()?;
    lane.expect("interrupted before the first token", &available())?;
    // It gave the prompt back.
    lane.session.clear(&text)?;
    lane.prompt("SLOW90")?;
    lane.session.wait_for_screen("some of the answer", |screen| screen.contains("slow-word-3"))?;
    lane.expect("text streams", &working(""))?;
    lane.session.interrupt()?;
    lane.expect("interrupted", &available())?;
    lane.end()
}

fn asks(world: &World) -> Result<Vec<Cell>> {
    let mut lane = Lane::launch(world, "asks", &Setup::default())?;
    lane.prompt("ASK")?;
    lane.expect("a question", &stuck("stuck/question", ""))?;
    lane.answer("Enter", "Enter to select")?;
    lane.expect("the question answered", &available())?;
    lane.prompt("TOOLSLEEP90")?;
    lane.expect("a permission", &stuck("stuck/permission", ""))?;
    lane.answer("Enter", "Do you want to proceed?")?;
    lane.expect("a tool runs", &working(""))?;
    lane.session.interrupt()?;
    lane.expect("the tool interrupted", &available())?;
    lane.prompt("BGSLEEP90")?;
    lane.expect("a background shell", &background(""))?;
    lane.end()
}

fn fails(world: &World) -> Result<Vec<Cell>> {
    let setup = Setup { credentials: Credentials::Subscription, retries: Retries::Few, ..Setup::default() };
    let mut lane = Lane::launch(world, "fails", &setup)?;
    lane.prompt("ERR500")?;
    lane.expect("a final 500", &stuck("stuck/error", "API Error"))?;
    lane.prompt("hello")?;
    lane.expect("a turn after it", &available())?;
    lane.prompt("ERR401")?;
    lane.expect("a 401", &stuck("stuck/login", ""))?;
    lane.prompt("LIMIT")?;
    lane.expect("the plan's limit", &stuck("stuck/usage_limit", "limit"))?;
    lane.end()
}

fn quotes(world: &World) -> Result<Vec<Cell>> {
    READS.quotes(world)
}

fn small(world: &World) -> Result<Vec<Cell>> {
    READS.small(world)
}

fn cut(world: &World) -> Result<Vec<Cell>> {
    READS.cut(world)
}

fn trust(world: &World) -> Result<Vec<Cell>> {
    let mut lane = Lane::start(world, "trust", &Setup { trusted: false, ..Setup::default() })?;
    lane.session.wait_for_screen("a gate", |screen| screen.contains("Accessing workspace:"))?;
    lane.expect("the trust gate", &stuck("stuck/trust", ""))?;
    lane.end()
}

fn key(world: &World) -> Result<Vec<Cell>> {
    let setup = Setup { credentials: Credentials::UnapprovedKey, ..Setup::default() };
    let mut lane = Lane::start(world, "key", &setup)?;
    lane.session.wait_for_screen("a gate", |screen| screen.contains("Detected a custom API key"))?;
    lane.expect("the gate of a key", &stuck("stuck/dialog", "API key"))?;
    lane.end()
}
