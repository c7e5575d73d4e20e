//! Claude Code. No transcript holds its titles, side questions and compactions.

use anyhow::Result;
use fleet_testkit::real::{Kind, Setup};

use crate::journey::World;

fn ready(screen: &str) -> bool {
    // Its last line tells of shortcuts, or of sub-agents where there were some.
    let rests = screen.contains("? for shortcuts") || screen.contains("/tasks to see subagents");
    rests && screen.lines().any(|line| line.starts_with('❯'))
}

#[test]
fn claude_is_counted_as_it_was_billed() {
    let setup = Setup { args: vec!["--allowedTools=Bash,Agent,Task".to_owned()], ..Setup::default() };
    let holds = |purpose: &str| !matches!(purpose, "title" | "compaction" | "aside");
    let Some(world) = World::new(Kind::Claude, setup, ".claude", holds) else { return };
    journey(&world).unwrap();
}

fn journey(world: &World) -> Result<()> {
    let first = world.start(&[], ready)?;
    first.ask("THINK about one thing", 1)?;
    first.ask("PAR do two things", 2)?;
    first.ask("AGENT ask another", 3)?;
    first.ask("ERR429x1 refused at first", 1)?;
    first.ask_while_daemons_die("SLOW3 nobody watches")?;
    first.aside("/btw what is this", ready)?;
    first.command("/compact")?;
    first.ask("hello after the compaction", 1)?;
    first.killed_while_answering("SLOW60 killed")?;
    let resumed = world.start(&["--continue"], ready)?;
    resumed.ask("hello again", 1)?;
    resumed.leave("/exit")?;
    let forked = world.start(&["--continue", "--fork-session"], ready)?;
    forked.ask("hello from a fork", 1)?;
    forked.ask("AGENT ask another from the fork", 3)?;
    world.end()
}
