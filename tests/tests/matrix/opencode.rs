//! opencode. It retries a server's errors for ever, and has no gate of trust; its Escape is asked for twice.

use anyhow::Result;
use fleet_testkit::real::{Kind, Retries, Setup, Under};
use fleet_testkit::stub::ModelStub;
use nix::sys::signal::Signal;

use crate::lane::{Lane, available, dead, frozen, retrying, stuck, working};
use crate::shared::Reads;
use crate::world::{Cell, World, run};

const READS: Reads = Reads {
    waiting: "",
    streaming: "interrupt",
    small: "",
    asks: "Permission required",
    retrying: "retrying",
    retries: Retries::AsShipped,
};

#[test]
fn opencode_in_every_state() {
    run(
        Kind::Opencode,
        &[
            ("turns", turns),
            ("asks", asks),
            ("served", served),
            ("fails", fails),
            ("quotes", quotes),
            ("small", small),
            ("cut", cut),
        ],
    );
}

fn turns(world: &World) -> Result<Vec<Cell>> {
    READS.turns(world)
}

fn asks(world: &World) -> Result<Vec<Cell>> {
    let mut lane = Lane::launch(world, "asks", &Setup::default())?;
    lane.prompt("ASK")?;
    lane.expect("a question", &stuck("stuck/question", ""))?;
    lane.answer("Enter", "esc dismiss")?;
    lane.expect("the question answered", &available())?;
    lane.prompt("TOOLSLEEP90")?;
    lane.expect("a permission", &stuck("stuck/permission", "Permission required|for i in"))?;
    lane.answer("Enter", "Permission required")?;
    lane.expect("a tool runs", &working(""))?;
    lane.session.interrupt()?;
    lane.expect("the tool interrupted", &available())?;
    lane.end()
}

/// By its server, which is listened to.
fn served(world: &World) -> Result<Vec<Cell>> {
    let mut lane = Lane::launch(world, "served", &Setup { served: true, ..Setup::default() })?;
    lane.is_told_by("api");
    lane.expect("idle", &available())?;
    lane.prompt("WAIT90")?;
    lane.expect("before the first token", &working(""))?;
    lane.session.interrupt()?;
    lane.expect("interrupted", &available())?;
    lane.prompt("ASK")?;
    lane.expect("a question", &stuck("stuck/question", "Which colour?"))?;
    lane.answer("Escape", "esc dismiss")?;
    lane.expect("the question dismissed", &available())?;
    lane.prompt("TOOLSLEEP90")?;
    lane.expect("a permission", &stuck("stuck/permission", "for i in"))?;
    lane.answer("Enter", "Permission required")?;
    lane.expect("a tool runs", &working(""))?;
    lane.session.interrupt()?;
    lane.expect("the tool interrupted", &available())?;
    lane.prompt("ERR400")?;
    lane.expect("a final 400", &stuck("stuck/error", "bad request"))?;
    lane.prompt("ERR401")?;
    lane.expect("a 401", &stuck("stuck/login", "Incorrect API key"))?;
    lane.prompt("ERR429x99")?;
    lane.expect("retrying", &retrying("ate limit"))?;
    lane.session.interrupt()?;
    // Between two tries it is interrupted; in the midst of one it ends with that try's error.
    lane.may_be_stuck("error");
    lane.prompt("LIMIT")?;
    lane.expect("the plan's limit", &stuck("stuck/usage_limit", "quota"))?;
    lane.end()
}

fn fails(world: &World) -> Result<Vec<Cell>> {
    let mut lane = Lane::launch(world, "fails", &Setup::default())?;
    lane.prompt("ERR400")?;
    lane.expect("a final 400", &stuck("stuck/error", "bad request"))?;
    lane.prompt("hello")?;
    lane.expect("a turn after it", &available())?;
    lane.prompt("ERR401")?;
    lane.expect("a 401", &stuck("stuck/login", "Incorrect API key"))?;
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
    let stub = ModelStub::start()?;
    let mut lane =
        Lane::launch_with(world, "cut", &stub, &Setup { under: Under::Script, ..Setup::default() })?;
    lane.expect("idle before it is stopped", &available())?;
    lane.session.signal(Signal::SIGSTOP);
    lane.expect("stopped", &frozen())?;
    lane.session.signal(Signal::SIGCONT);
    lane.expect("continued", &available())?;
    lane.cut(&stub)?;
    lane.draft_and_enter("hello nobody")?;
    lane.expect("its network cut", &retrying("retrying"))?;
    lane.session.kill()?;
    lane.expect("killed with its pane", &dead(None))?;
    lane.end()
}
