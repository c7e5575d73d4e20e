//! `fleet events`: which agent changed its state when, and on what evidence; and what befell many at once.

mod past;
mod told;

use std::time::Duration;

use fleet_domain::Wall;
use fleet_domain::fleet::{Unresolved, resolve};

use crate::app::Global;
use crate::client::{Client, ClientError, Detail, Happened, again};
use crate::error::{Failure, Outcome};
use crate::output::{self, Screen};
use crate::render::Scene;
use crate::render::item::List;
use crate::{clock, complete, source};

use self::past::Past;
use self::told::{Group, Line};
use super::explain::unresolved_failure;

const EXAMPLES: &str = "\
Examples:
  fleet events                          the latest changes of state
  fleet events --agent coder0 --since 1h
  fleet events --follow --jsonl         the latest, then each one that comes, one object a line";

/// List changes of state, oldest first
#[derive(Debug, clap::Args)]
#[command(before_help = EXAMPLES)]
pub struct Args {
    /// Only of this agent; an unambiguous beginning of its name is enough
    #[arg(long, value_name = "AGENT", add = complete::agents())]
    agent: Option<String>,
    /// Only since then: `10m`, `2h30m`, `3d`, or a time such as 2026-11-21T10:00:00Z
    #[arg(long, value_name = "WHEN", value_parser = since)]
    since: Option<Since>,
    /// At most this many changes of the past, the latest ones; 0 is all that are kept [default: 50; with --since all]
    #[arg(short = 'n', long = "limit", value_name = "N")]
    limit: Option<u32>,
    /// Go on with those to come
    #[arg(short, long)]
    follow: bool,
    /// One JSON object; with --follow one event a line
    #[arg(long)]
    json: bool,
    /// One event a line
    #[arg(long, conflicts_with = "json")]
    jsonl: bool,
}

impl Args {
    pub fn speaks_json(&self) -> bool {
        self.json || self.jsonl
    }

    fn by_line(&self) -> bool {
        self.jsonl || self.follow
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Since {
    Ago(Duration),
    At(Wall),
}

impl Since {
    pub(super) fn at(self, now: Wall) -> Wall {
        match self {
            Self::Ago(ago) => now.minus(ago),
            Self::At(at) => at,
        }
    }
}

pub async fn run(args: Args, global: &Global) -> Outcome {
    let at = global.address()?;
    let mut client = Client::connect(&at).await.map_err(ClientError::into_failure)?;
    let agent = match &args.agent {
        Some(word) => full_name(&mut client, word).await?,
        None => String::new(),
    };
    let now = clock::now().wall;
    let from = args.since.map_or(Wall(0), |since| since.at(now));
    let limit = args.limit.unwrap_or(if args.since.is_some() { 0 } else { 50 });
    let failed = ClientError::into_failure;
    let mut events = client.events(from, &agent, limit, args.follow).await.map_err(failed)?;
    let screen = Screen::detect();
    let mut printer = Printer { args: &args, screen, batch: Vec::new(), group: Group::default(), printed: 0 };
    let mut past = Past::new(now);
    loop {
        let why = match events.next().await {
            Ok(Some(event)) => {
                if past.takes(&event) {
                    printer.take(event)?;
                }
                continue;
            }
            Ok(None) if !args.follow => return printer.end(),
            Ok(None) => format!("the collector at {at} went away"),
            Err(why) if !args.follow => return Err(failed(why)),
            Err(why) => why.to_string(),
        };
        output::note(&format!("{why}; what happens until it is back is told then"));
        let since = past.end();
        let resume = async || Client::connect(&at).await?.events(since, &agent, 0, true).await;
        events = again(resume).await.map_err(failed)?;
    }
}

/// An agent that is known now by a beginning of its name; one that is not may still have a past.
async fn full_name(client: &mut Client, word: &str) -> Result<String, Failure> {
    let listing = client.list(source::today(), Detail::Basic).await.map_err(ClientError::into_failure)?;
    let named: Vec<(String, String)> =
        listing.agents.iter().map(|agent| (agent.name.clone(), agent.name.clone())).collect();
    match resolve(word, &named) {
        Ok(name) => Ok(name.clone()),
        Err(Unresolved::Unknown { .. }) => Ok(word.to_owned()),
        Err(ambiguous @ Unresolved::Ambiguous { .. }) => {
            let same = named.iter().any(|(_, name)| name == word);
            if same { Ok(word.to_owned()) } else { Err(unresolved_failure(word, ambiguous)) }
        }
    }
}

struct Printer<'a> {
    args: &'a Args,
    screen: Screen,
    batch: Vec<told::Item>,
    group: Group,
    printed: usize,
}

impl Printer<'_> {
    fn take(&mut self, event: Happened) -> Outcome {
        self.printed += 1;
        if self.args.speaks_json() {
            let item = told::item(&event);
            if self.args.by_line() {
                return output::json(&item, false);
            }
            self.batch.push(item);
            return Ok(());
        }
        let lines = if self.args.follow {
            // Who waits for it sees it at once.
            vec![Line { event, of_many: false }]
        } else {
            self.group.take(event)
        };
        self.print(&lines)
    }

    fn print(&self, lines: &[Line]) -> Outcome {
        let scene = Scene {
            now: clock::now().wall,
            zone: clock::zone(),
            direct: false,
            colour: self.screen.colour,
            funds: Default::default(),
        };
        output::data(&lines.iter().map(|line| told::line(line, &scene) + "\n").collect::<String>())
    }

    fn end(mut self) -> Outcome {
        if self.args.json && !self.args.follow {
            return output::json(&List::new("EventList", self.batch), true);
        }
        let left = self.group.end();
        self.print(&left)?;
        if self.printed == 0 && !self.args.speaks_json() {
            output::note(
                "no change of state is known; a new agent's first one is told as soon as it is seen",
            );
        }
        Ok(())
    }
}

pub(super) fn since(text: &str) -> Result<Since, String> {
    if let Some(at) = Wall::parse_rfc3339(text) {
        return Ok(Since::At(at));
    }
    duration(text)
        .map(Since::Ago)
        .ok_or_else(|| "write 45s, 10m, 2h30m or 3d, or a time such as 2026-11-21T10:00:00Z".to_owned())
}

/// `90s`, `10m`, `2h30m`, `3d`: each number with its unit.
pub(super) fn duration(text: &str) -> Option<Duration> {
    let mut seconds: u64 = 0;
    let mut rest = text.trim();
    if rest.is_empty() {
        return None;
    }
    while !rest.is_empty() {
        let end = rest.find(|c: char| !c.is_ascii_digit())?;
        let number: u64 = rest[..end].parse().ok()?;
        let unit = rest[end..].chars().next()?;
        let size = match unit {
            's' => 1,
            'm' => 60,
            'h' => 3600,
            'd' => 86_400,
            _ => return None,
        };
        seconds = seconds.checked_add(number.checked_mul(size)?)?;
        rest = &rest[end + unit.len_utf8()..];
    }
    Some(Duration::from_secs(seconds))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn since_is_an_age_or_a_time() {
        assert_eq!(since("2h30m"), Ok(Since::Ago(Duration::from_secs(9_000))));
        assert_eq!(since("2026-11-21T10:00:00Z"), Ok(Since::At(Wall(1_795_255_200_000))));
        for bad in ["", "10", "m", "yesterday", "10x", "99999999999999999999d", "5m ago"] {
            assert!(since(bad).is_err(), "{bad}");
        }
    }
}
