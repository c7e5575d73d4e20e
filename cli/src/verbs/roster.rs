//! `fleet roster`: what should exist, and whether the file that says so is right.

use std::path::PathBuf;

use fleet_adapters::roster_file;
use fleet_domain::roster::{Agent, Roster};
use serde_json::{Value, json};

use crate::error::{Code, Failure, Outcome};
use crate::lifecycle::home;
use crate::output::{self, Screen};
use crate::render::grid::{Align, Cell, Fit, Grid, Head};
use crate::render::item::List;
use crate::render::words::{or_none, plural, safe};
use crate::verbs::holder::no_roster;

const EXAMPLES: &str = "\
Examples:
  fleet roster                     every agent that should exist
  fleet roster --check             every mistake of the file, with its line and key
  fleet roster --check my.yaml     of another file, before it is put in place
  $EDITOR \"$(fleet roster --path)\"  change it; then fleet drift";

/// Show or check the roster: which agents should exist
#[derive(Debug, clap::Args)]
#[command(before_help = EXAMPLES)]
pub struct Args {
    /// Another file than the fleet's own
    #[arg(value_name = "FILE")]
    file: Option<PathBuf>,
    /// Only say whether it is right; exit 1 where it is not
    #[arg(long, conflicts_with_all = ["json", "names", "path"])]
    check: bool,
    /// Where it is
    #[arg(long, conflicts_with_all = ["json", "names"])]
    path: bool,
    /// One JSON object
    #[arg(long)]
    pub json: bool,
    /// Names only
    #[arg(short = 'q', long, conflicts_with = "json")]
    names: bool,
}

pub fn run(args: &Args) -> Outcome {
    let home = home()?;
    let path = args.file.clone().unwrap_or_else(|| home.roster());
    if args.path {
        return output::data(&format!("{}\n", path.display()));
    }
    let read = roster_file::read(&path).map_err(|error| Failure::new(Code::Failure, error.to_string()))?;
    let roster = read.ok_or_else(|| match &args.file {
        Some(file) => Failure::new(Code::Failure, format!("{} does not exist", file.display())),
        None => no_roster(&home),
    })?;
    if args.check {
        return output::data(&format!(
            "{}: {}, no mistakes\n",
            path.display(),
            plural(roster.agents.len(), "agent")
        ));
    }
    if args.names {
        return output::data(
            &roster.agents.iter().map(|agent| format!("{}\n", agent.name)).collect::<String>(),
        );
    }
    if args.json {
        let items: Vec<Value> = roster.agents.iter().map(|agent| item(&roster, agent)).collect();
        return output::json(&List::new("Roster", items), true);
    }
    output::data(&table(&roster))
}

fn item(roster: &Roster, agent: &Agent) -> Value {
    json!({
        "name": agent.name.as_str(),
        "runtime": agent.runtime.as_str(),
        "class": agent.class,
        "alias": agent.alias,
        "model_hint": agent.model_hint,
        "working_directory": agent.working_directory.as_ref().unwrap_or(&roster.defaults.working_directory),
        "socket_name": roster.socket_of(agent).as_str(),
        "account": agent.account,
        "host": agent.host,
        "yolo": agent.yolo.unwrap_or(true),
        "command": agent.command,
    })
}

fn table(roster: &Roster) -> String {
    let head = |title: &str, fit| Head { title: title.to_owned(), align: Align::Left, fit };
    let mut grid = Grid::new(
        vec![
            head("NAME", Fit::Fixed),
            head("RUNTIME", Fit::Fixed),
            head("CLASS", Fit::Fixed),
            head("MODEL", Fit::Shrinks { least: 10 }),
            head("DIRECTORY", Fit::Rest { least: 12 }),
            head("SOCKET", Fit::Leaves(1)),
            head("HOST", Fit::Leaves(2)),
        ],
        roster.agents.len(),
    );
    for agent in &roster.agents {
        let directory = agent.working_directory.as_deref().unwrap_or(&roster.defaults.working_directory);
        grid.push([
            Cell::plain(agent.name.as_str()),
            Cell::plain(safe(agent.runtime.as_str())),
            Cell::plain(safe(&agent.class)),
            Cell::plain(or_none(agent.model_hint.as_deref())),
            Cell::plain(safe(directory)),
            Cell::plain(roster.socket_of(agent).shown().to_owned()),
            Cell::plain(or_none(agent.host.as_deref())),
        ]);
    }
    let screen = Screen::detect();
    if screen.terminal {
        let fitted = grid.fitted(screen.size().0, true, screen.colour);
        return fitted.lines.join("\n") + "\n";
    }
    grid.plain(true, false)
}
