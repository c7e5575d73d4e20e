//! opencode. Its database holds no titles.

use anyhow::Result;
use fleet_testkit::real::{Kind, Setup};

use crate::journey::World;

fn ready(screen: &str) -> bool {
    screen.contains("Ask anything") || screen.contains("ctrl+p commands")
}

#[test]
fn opencode_is_counted_as_it_was_billed() {
    let setup = Setup { unattended: true, ..Setup::default() };
    let holds = |purpose: &str| purpose != "title";
    let Some(world) = World::new(Kind::Opencode, setup, ".local/share/opencode", holds) else { return };
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
    let resumed = world.start(&["--continue"], ready)?;
    resumed.ask("hello again", 1)?;
    resumed.leave("/exit")?;
    let forked = world.start(&["--continue", "--fork"], ready)?;
    forked.ask("hello from a fork", 1)?;
    world.end()
}
