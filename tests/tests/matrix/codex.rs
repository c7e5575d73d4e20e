//! OpenAI Codex.

use anyhow::{Context as _, Result};
use fleet_framework::Home;
use fleet_framework::flags::flags;
use fleet_testkit::bins::bin;
use fleet_testkit::real::{Credentials, Kind, Retries, Setup};

use crate::lane::{Lane, available, background, dead, stuck, working};
use crate::shared::Reads;
use crate::world::{Cell, World, run};

/// What it asks, or about what.
const COMMAND: &str = "Would you like to run|for i in";

const READS: Reads = Reads {
    waiting: "",
    streaming: "",
    small: "",
    asks: "Would you like to run",
    retrying: "Reconnecting",
    retries: Retries::Many,
};

#[test]
fn codex_in_every_state() {
    run(
        Kind::Codex,
        &[
            ("turns", turns),
            ("asks", asks),
            ("served", served),
            ("hooked", hooked),
            ("leaves", leaves),
            ("fails", fails),
            ("quotes", quotes),
            ("small", small),
            ("cut", cut),
            ("trust", trust),
            ("login", login),
        ],
    );
}

fn turns(world: &World) -> Result<Vec<Cell>> {
    READS.turns(world)
}

fn asks(world: &World) -> Result<Vec<Cell>> {
    let mut lane = Lane::launch(world, "asks", &Setup::default())?;
    runs_a_tool(&mut lane)?;
    lane.end()
}

fn runs_a_tool(lane: &mut Lane<'_>) -> Result<()> {
    lane.prompt("TOOLSLEEP90")?;
    lane.expect("a permission", &stuck("stuck/permission", COMMAND))?;
    lane.answer("y", "Would you like to run")?;
    lane.expect("a tool runs", &working(""))?;
    lane.session.interrupt()?;
    lane.expect("the tool interrupted", &available()).map(drop)
}

/// What is told without a screen: a turn, a permission, a tool.
fn works(lane: &mut Lane<'_>) -> Result<()> {
    lane.prompt("WAIT90")?;
    lane.expect("before the first token", &working(""))?;
    lane.session.interrupt()?;
    lane.expect("interrupted", &available())?;
    runs_a_tool(lane)
}

/// By its daemon, which is listened to.
fn served(world: &World) -> Result<Vec<Cell>> {
    let setup = Setup { served: true, retries: Retries::Few, ..Setup::default() };
    let mut lane = Lane::launch(world, "served", &setup)?;
    lane.is_told_by("api");
    lane.expect("idle", &available())?;
    works(&mut lane)?;
    lane.prompt("ERR500")?;
    lane.expect("a final 500", &stuck("stuck/error", "high demand"))?;
    lane.prompt("LIMIT")?;
    lane.expect("the plan's limit", &stuck("stuck/usage_limit", "usage limit"))?;
    lane.prompt("SLOW90")?;
    lane.expect("text streams", &working(""))?;
    lane.session.kill()?;
    lane.expect("killed while its daemon lives", &dead(None))?;
    lane.end()
}

/// By hooks that are handed over on its command line: nobody is asked to review them.
fn hooked(world: &World) -> Result<Vec<Cell>> {
    let variables = world.home.env();
    let variable =
        |name: &str| variables.iter().find(|(known, _)| known == name).map(|(_, value)| value.into());
    let home = Home::from_vars(variable)?;
    let flags = flags(Kind::Codex.name(), Some("0.169.0"), &home, Some(&bin("fleet-sidecar")?));
    let setup = Setup { args: flags.context("no flags")?.arguments, ..Setup::default() };
    let mut lane = Lane::launch(world, "hooked", &setup)?;
    lane.prompt("hello")?;
    lane.is_told_by("hook");
    lane.expect("a turn ended", &available())?;
    works(&mut lane)?;
    lane.prompt("TOOL")?;
    lane.expect("another permission", &stuck("stuck/permission", "Would you like to run|touch"))?;
    lane.answer("Escape", "Would you like to run")?;
    lane.expect("the permission denied", &available())?;
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
