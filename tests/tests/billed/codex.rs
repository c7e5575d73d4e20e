//! Codex. Its titles are asked for in threads that are not kept.

use anyhow::Result;
use fleet_testkit::real::{Kind, Setup};

use crate::journey::World;

fn ready(screen: &str) -> bool {
    screen.lines().any(|line| line.starts_with("› ")) && !screen.contains("Waiting for startup")
}

#[test]
fn codex_is_counted_as_it_was_billed() {
    let setup = Setup { unattended: true, ..Setup::default() };
    let holds = |purpose: &str| purpose != "title";
    let Some(world) = World::new(Kind::Codex, setup, ".codex", holds) else { return };
    journey(&world).unwrap();
}

fn journey(world: &World) -> Result<()> {
    let first = world.start(&[], ready)?;
    first.ask("THINK about one thing", 1)?;
    first.ask("PAR do two things", 2)?;
    first.ask("AGENT ask another", 3)?;
    first.ask("ERR429x1 refused at first", 1)?;
    first.ask_while_daemons_die("SLOW3 nobody watches")?;
    first.command("/compact")?;
    first.ask("hello after the compaction", 1)?;
    first.killed_while_answering("SLOW60 killed")?;
    let resumed = world.start(&["resume", "--last"], ready)?;
    resumed.ask("hello again", 1)?;
    resumed.leave("/quit")?;
    let forked = world.start(&["fork", "--last"], ready)?;
    forked.ask("hello from a fork", 1)?;
    forked.ask("PAR from the fork", 2)?;
    world.end()
}
