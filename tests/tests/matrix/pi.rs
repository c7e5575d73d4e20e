//! pi. It has neither questions nor a gate of trust; an extension asks before a command runs.

use anyhow::Result;
use fleet_testkit::real::{Credentials, Kind, Retries, Setup};

use crate::lane::{Lane, available, stuck, working};
use crate::shared::Reads;
use crate::world::{Cell, World, run};

const READS: Reads = Reads {
    waiting: "Working",
    streaming: "Working",
    small: "Working",
    asks: "Allow: ",
    retrying: "Retrying",
    retries: Retries::Many,
};

#[test]
fn pi_in_every_state() {
    run(
        Kind::Pi,
        &[
            ("turns", turns),
            ("asks", asks),
            ("fails", fails),
            ("quotes", quotes),
            ("small", small),
            ("cut", cut),
            ("login", login),
        ],
    );
}

fn turns(world: &World) -> Result<Vec<Cell>> {
    READS.turns(world)
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

fn quotes(world: &World) -> Result<Vec<Cell>> {
    READS.quotes(world)
}

fn small(world: &World) -> Result<Vec<Cell>> {
    READS.small(world)
}

fn cut(world: &World) -> Result<Vec<Cell>> {
    READS.cut(world)
}

fn login(world: &World) -> Result<Vec<Cell>> {
    let setup = Setup { credentials: Credentials::None, ..Setup::default() };
    let mut lane = Lane::start(world, "login", &setup)?;
    lane.session.wait_for_screen("a gate", |screen| screen.contains("unknown"))?;
    lane.expect("without a model to ask", &stuck("stuck/login", ""))?;
    lane.end()
}
