//! pi 0.73. It has no sub-agents of its own; it writes no usage of compactions, and tells no reasoning apart.

use anyhow::Result;
use fleet_testkit::real::{Kind, Setup};

use crate::journey::World;

fn ready(screen: &str) -> bool {
    screen.lines().any(|line| line.starts_with("──────────")) && screen.contains("stub-model")
}

#[test]
fn pi_is_counted_as_it_was_billed() {
    let holds = |purpose: &str| purpose != "compaction";
    let Some(world) = World::new(Kind::Pi, Setup::default(), ".pi/agent", holds) else { return };
    journey(&world).unwrap();
}

fn journey(world: &World) -> Result<()> {
    let first = world.start(&[], ready)?;
    first.ask("THINK about one thing", 1)?;
    first.ask("READ a file", 2)?;
    first.ask("ERR429x1 refused at first", 1)?;
    first.ask_while_daemons_die("SLOW3 nobody watches")?;
    first.command("/compact")?;
    first.ask("hello after the compaction", 1)?;
    first.killed_while_answering("SLOW60 killed")?;
    let resumed = world.start(&["--continue"], ready)?;
    resumed.ask("hello again", 1)?;
    resumed.leave("/quit")?;
    let session = world.newest("sessions")?;
    let forked = world.start(&["--fork", &session], ready)?;
    forked.ask("hello from a fork", 1)?;
    world.end()
}
