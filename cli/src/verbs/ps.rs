//! `fleet ps`: every agent, joined from five planes, what needs a person first.

use std::io::{self, Write};
use std::time::Duration;

use clap::ValueEnum;
use clap::builder::{PossibleValuesParser, TypedValueParser};
use fleet_domain::fleet::AgentView;
use fleet_domain::readiness::State;

use super::{events, watch};
use crate::app::Global;
use crate::client::Detail;
use crate::clock;
use crate::error::{Code, Failure, Outcome};
use crate::output::{self, Screen};
use crate::render::columns::Column;
use crate::render::grid::{cut, width_of};
use crate::render::item::{AgentItem, Items, List};
use crate::render::order::{self, Filters};
use crate::render::table::{self, Plan};
use crate::render::words::{plural, safe};
use crate::render::{Scene, summary, yaml};
use crate::services::start_sidecar;
use crate::source::{self, HostNote, Snapshot};

const EXAMPLES: &str = "\
Examples:
  fleet ps                                 every agent, what needs a person first
  fleet ps --watch                         kept up to date in place
  fleet ps --state stuck,dead --host box   only those
  fleet ps --columns agent,state,why       only these columns
  fleet ps --json | jq '.items[] | select(.readiness == \"stuck\") | .name'
  fleet ps -q --state available            names only, for a script";

/// List every agent and every other session on the fleet's sockets
#[derive(Debug, Clone, clap::Args)]
#[command(before_help = EXAMPLES)]
pub struct Args {
    /// How to print: a table on a terminal, plain columns in a pipe, or one of these
    #[arg(short, long, value_enum, value_name = "FORMAT")]
    output: Option<Format>,
    /// The same as `-o json`; a stable contract, see `fleet schema`
    #[arg(long, conflicts_with = "output")]
    json: bool,
    /// The same as `-o wide`
    #[arg(long, conflicts_with_all = ["output", "json"])]
    wide: bool,
    /// Names only, the same as `-o name`
    #[arg(short, long, conflicts_with_all = ["output", "json", "wide"])]
    quiet: bool,
    /// Keep it up to date; with JSON, one changed item a line
    #[arg(short, long)]
    watch: bool,
    /// Wait until a sidecar has reported, for so long at most (such as 30s)
    #[arg(long, value_name = "TIME", value_parser = patience, conflicts_with = "watch")]
    wait: Option<Duration>,
    /// Leave out the header line
    #[arg(long)]
    no_headers: bool,
    /// Only these columns, in this order
    #[arg(long, value_name = "COLUMN,…", value_delimiter = ',', value_parser = column(), hide_possible_values = true,
          long_help = columns_help())]
    columns: Vec<Column>,
    /// Sort by this column instead of by urgency
    #[arg(long, value_name = "COLUMN", value_parser = column(), hide_possible_values = true)]
    sort_by: Option<Column>,
    #[command(flatten)]
    only: Only,
}

/// Each may be given several times, or with several values separated by commas.
#[derive(Debug, Clone, clap::Args)]
#[command(next_help_heading = "Filters")]
struct Only {
    /// Only agents in one of these states
    #[arg(long, value_name = "STATE,…", value_delimiter = ',', value_parser = state())]
    state: Vec<State>,
    /// Only agents of one of these classes
    #[arg(long, value_name = "CLASS,…", value_delimiter = ',')]
    class: Vec<String>,
    /// Only agents of one of these hosts
    #[arg(long, value_name = "HOST,…", value_delimiter = ',')]
    host: Vec<String>,
    /// Only agents of one of these tenants
    #[arg(long, value_name = "TENANT,…", value_delimiter = ',')]
    tenant: Vec<String>,
    /// Only agents with one of these runtimes
    #[arg(long, value_name = "RUNTIME,…", value_delimiter = ',')]
    runtime: Vec<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Format {
    Table,
    /// With today's cost, account, pace, room, host, tenant, socket, pid, model, conversation and title
    Wide,
    /// One versioned object, items in roster order
    Json,
    /// One item a line
    Jsonl,
    /// The same object as JSON
    Yaml,
    /// Names only
    Name,
}

/// What was asked for, settled.
#[derive(Debug, Clone)]
pub struct Request {
    pub format: Format,
    pub plan: Plan,
    pub filters: Filters,
    pub sort_by: Option<Column>,
}

impl Args {
    pub fn speaks_json(&self) -> bool {
        matches!(self.format(), Format::Json | Format::Jsonl)
    }

    pub fn watches(&self) -> bool {
        self.watch
    }

    fn format(&self) -> Format {
        match self.output {
            Some(format) => format,
            None if self.json => Format::Json,
            None if self.quiet => Format::Name,
            None if self.wide => Format::Wide,
            None => Format::Table,
        }
    }

    fn request(self) -> Result<Request, Failure> {
        let format = self.format();
        let tabular = matches!(format, Format::Table | Format::Wide);
        if !tabular && !self.columns.is_empty() {
            return Err(Failure::new(Code::Usage, "--columns is for tables")
                .next("leave it out, or pick keys of the JSON with jq"));
        }
        let plan = Plan::of(&self.columns, format == Format::Wide, !self.no_headers);
        let Only { state, class, host, tenant, runtime } = self.only;
        let filters =
            Filters { states: state, classes: class, hosts: host, tenants: tenant, runtimes: runtime };
        Ok(Request { format, plan, filters, sort_by: self.sort_by })
    }
}

impl Request {
    pub fn tabular(&self) -> bool {
        matches!(self.format, Format::Table | Format::Wide)
    }

    /// Something of it is the budget's to tell: a column, its order, or a key.
    pub fn of_budget(&self) -> bool {
        let keys = matches!(self.format, Format::Json | Format::Jsonl | Format::Yaml);
        let columns = self.plan.columns.iter().filter(|_| self.tabular());
        keys || columns.chain(&self.sort_by).any(|column| column.of_budget())
    }

    /// What must be known of each agent to show it so.
    fn detail(&self) -> Detail {
        let shown = self.plan.columns.iter().chain(&self.sort_by);
        let basic = match self.format {
            Format::Name => self.sort_by.is_none_or(Column::is_basic),
            _ => self.tabular() && shown.copied().all(Column::is_basic),
        };
        if basic { Detail::Basic } else { Detail::Full }
    }

    /// Those that pass, in the order in which this format shows them.
    pub fn select<'a>(&self, agents: &'a [AgentView], scene: &Scene) -> Vec<&'a AgentView> {
        let mut shown: Vec<&AgentView> = agents.iter().filter(|agent| self.filters.pass(agent)).collect();
        if self.tabular() || self.format == Format::Name || self.sort_by.is_some() {
            order::sort(&mut shown, self.sort_by, scene);
        }
        shown
    }
}

pub async fn run(args: Args, global: &Global) -> Outcome {
    let at = global.address()?;
    let (watching, patience) = (args.watch, args.wait);
    let request = args.request()?;
    let screen = Screen::detect();
    if watching {
        return watch::run(&at, &request, screen).await;
    }
    let mut snapshot = match patience {
        Some(limit) => source::gather_listed(&at, request.detail(), limit).await?,
        None => source::gather_in(&at, request.detail()).await?,
    };
    if request.of_budget() && !snapshot.origin.is_direct() {
        snapshot.funds = source::funds(&at).await;
    }
    if let Some(notice) = snapshot.origin.notice() {
        output::note(&notice);
    }
    for note in &snapshot.hosts {
        output::note(&note_line(note));
    }
    output::stream(|out| show(out, &snapshot, &request, screen))?;
    if let Some(hint) = emptiness(&snapshot, &request) {
        output::note(&hint);
    }
    // The process ends here; giving back a thousand agents piece by piece would only delay that.
    std::mem::forget(snapshot);
    Ok(())
}

fn patience(text: &str) -> Result<Duration, String> {
    events::duration(text).ok_or_else(|| format!("{text:?} is no time; write 30s, 2m or 1h"))
}

pub fn scene(snapshot: &Snapshot, screen: Screen) -> Scene {
    Scene {
        now: snapshot.at,
        zone: clock::zone(),
        direct: snapshot.origin.is_direct(),
        colour: screen.colour,
        funds: snapshot.funds.clone(),
    }
}

pub fn note_line(note: &HostNote) -> String {
    format!("{}: {}", safe(&note.host), safe(&note.text))
}

fn show(out: &mut impl Write, snapshot: &Snapshot, request: &Request, screen: Screen) -> io::Result<()> {
    let scene = scene(snapshot, screen);
    let shown = request.select(&snapshot.agents, &scene);
    let items = Items { agents: &shown, scene: &scene };
    let list = List { origin: Some(snapshot.origin.as_str()), ..List::new("AgentList", items) };
    match request.format {
        Format::Table | Format::Wide if shown.is_empty() => Ok(()),
        Format::Table | Format::Wide if screen.terminal => lines(&shown, request, &scene, screen.size().0)
            .iter()
            .try_for_each(|line| writeln!(out, "{line}")),
        Format::Table | Format::Wide => out.write_all(table::last(&shown, &request.plan, &scene).as_bytes()),
        Format::Json => output::write_json(out, &list, true),
        Format::Yaml => out.write_all(yaml::of(&serde_json::to_value(list)?).as_bytes()),
        Format::Jsonl => {
            shown.iter().try_for_each(|agent| output::write_json(out, &AgentItem::of(agent, &scene), false))
        }
        Format::Name => shown.iter().try_for_each(|agent| writeln!(out, "{}", safe(&agent.name))),
    }
}

/// Summary and table for a terminal, no line wider than it.
pub fn lines(shown: &[&AgentView], request: &Request, scene: &Scene, width: usize) -> Vec<String> {
    let fitted = table::fitted(shown, &request.plan, scene, width);
    let mut summary = summary::line(shown, false);
    let plain = summary.clone();
    if scene.colour {
        summary = summary::line(shown, true);
    }
    if !fitted.left_out.is_empty() {
        let note = format!("  (no room for {})", fitted.left_out.join(", "));
        if width_of(&plain) + width_of(&note) <= width {
            summary.push_str(&note);
        }
    }
    if width_of(&plain) > width {
        summary = cut(&plain, width).0.into_owned();
    }
    let mut lines = vec![summary];
    lines.extend(fitted.lines);
    lines
}

/// What to do where there is nothing to see.
fn emptiness(snapshot: &Snapshot, request: &Request) -> Option<String> {
    if !request.tabular() {
        return None;
    }
    if snapshot.agents.is_empty() {
        return Some(if snapshot.heard == 0 { nobody_reports() } else { NOTHING_YET.to_owned() });
    }
    let passes = snapshot.agents.iter().any(|agent| request.filters.pass(agent));
    (!passes).then(|| format!("none of {} passes the filters", plural(snapshot.agents.len(), "session")))
}

fn nobody_reports() -> String {
    format!(
        "the collector has not heard from any host, so that nobody knows which agents run\n  \
         start a host-wide sidecar: {}",
        start_sidecar()
    )
}

pub const NOTHING_YET: &str = "\
no agents yet
  start one in a tmux session of its own: tmux -L mosaic-fleet new-session -d -s coder0 claude
  or set up a fleet: fleet init asks which agents should exist; fleet doctor says what is missing";

fn state() -> impl TypedValueParser<Value = State> {
    PossibleValuesParser::new(State::ALL.map(State::as_str))
        .try_map(|word| State::parse(&word).ok_or("unknown state"))
}

fn column() -> impl TypedValueParser<Value = Column> {
    PossibleValuesParser::new(Column::ALL.map(Column::name))
        .try_map(|word| Column::parse(&word).ok_or("unknown column"))
}

fn columns_help() -> String {
    let names: Vec<&str> = Column::ALL.iter().map(|column| column.name()).collect();
    format!("Only these columns, in this order. There are: {}", names.join(", "))
}

#[cfg(test)]
#[path = "ps_tests.rs"]
mod tests;
