//! `fleet usage`: what was used, from the collector's ledger or from transcripts read here and now.

use std::collections::BTreeSet;
use std::path::PathBuf;

use clap::ValueEnum;
use fleet_adapters::runtimes::usage::scan::{self, RUNTIMES, Scanned};
use fleet_domain::Wall;
use fleet_domain::report::{By, Question, Report};
use fleet_proto::limits::MAX_DAYS;
use jiff::tz::TimeZone;

use super::events::{Since, since};
use super::{check, prices};
use crate::app::Global;
use crate::client::{Client, ClientError};
use crate::clock;
use crate::error::{Code, Failure, Outcome};
use crate::output::{self, Screen};
use crate::render::spent::{self, Spent};
use crate::render::words::{plural, safe};

/// Days are told apart for this long where nothing else is asked for.
const DAYS: i64 = 30;
const DAY_MS: i64 = 86_400_000;

const EXAMPLES: &str = "\
Examples:
  fleet usage                              each agent's tokens, all that is kept
  fleet usage --by day,model --since 7d
  fleet usage --by account --json
  fleet usage --scan ~/.claude ~/.codex    transcripts read here and now, without a collector
  fleet usage --check                      what is counted beside what the runtimes tell";

/// Count tokens and what they cost: by agent, model, day, account or runtime
#[derive(Debug, clap::Args)]
#[command(before_help = EXAMPLES)]
pub struct Args {
    /// Told apart by these, in this order [default: agent; with --scan runtime,model]
    #[arg(long, value_name = "WHAT", value_delimiter = ',')]
    by: Vec<Dimension>,
    /// Only since then: `36h`, `7d`, or a time such as 2026-11-21T10:00:00Z [default: all; with --by day 30 days]
    #[arg(long, value_name = "WHEN", value_parser = since)]
    since: Option<Since>,
    /// Days begin at midnight in UTC, not at yours
    #[arg(long)]
    utc: bool,
    /// Read the transcripts at and below the paths, without a collector
    #[arg(long, requires = "place", group = "reads")]
    scan: bool,
    /// Compare each conversation's sum with the runtime's own, at the paths or where the runtimes keep transcripts
    #[arg(long, group = "reads", conflicts_with_all = ["by", "since", "utc"])]
    check: bool,
    /// With --scan or --check, only transcripts of this runtime
    #[arg(long, value_name = "RUNTIME", value_parser = RUNTIMES)]
    runtime: Option<String>,
    /// The same as --scan with this path, and with --check this path
    #[arg(long = "path", value_name = "PATH", group = "place")]
    path: Vec<PathBuf>,
    /// Files and directories to scan or check; for opencode its database
    #[arg(value_name = "PATH", group = "place", requires = "reads")]
    paths: Vec<PathBuf>,
    /// One JSON object
    #[arg(long)]
    pub json: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Dimension {
    Agent,
    Model,
    Day,
    Account,
    Runtime,
}

impl From<Dimension> for By {
    fn from(dimension: Dimension) -> Self {
        match dimension {
            Dimension::Agent => Self::Agent,
            Dimension::Model => Self::Model,
            Dimension::Day => Self::Day,
            Dimension::Account => Self::Account,
            Dimension::Runtime => Self::Runtime,
        }
    }
}

pub async fn run(args: Args, global: &Global) -> Outcome {
    let zone = if args.utc { TimeZone::UTC } else { clock::zone() };
    let now = clock::now().wall;
    let from = args.since.map(|since| since.at(now));
    let paths: Vec<PathBuf> = args.path.iter().chain(&args.paths).cloned().collect();
    if args.check {
        return check::run(paths, args.runtime.as_deref(), args.json);
    }
    if paths.is_empty() && args.runtime.is_some() {
        return Err(Failure::new(Code::Usage, "--runtime chooses among transcripts that are read")
            .next("add --scan with a path, or --check"));
    }
    let fallback: &[By] = if paths.is_empty() { &[By::Agent] } else { &[By::Runtime, By::Model] };
    let by = chosen(&args.by, fallback);
    let asked: BTreeSet<By> = by.iter().copied().collect();
    let table = prices::in_force();
    let (report, source) = if paths.is_empty() {
        let begin =
            from.unwrap_or(if asked.contains(&By::Day) { Wall(now.0 - DAYS * DAY_MS) } else { Wall(0) });
        let question = question(begin, now, asked, &zone)?;
        (ledger(&question, global).await?, None)
    } else {
        if let Some(unknown) = by.iter().find(|by| matches!(by, By::Agent | By::Account)) {
            let what = if *unknown == By::Agent { "an agent" } else { "an account" };
            return Err(Failure::new(Code::Usage, format!("a transcript does not say {what}'s name"))
                .next("leave --scan out, or tell apart by runtime, model or day"));
        }
        let scanned = scan::scan(&paths, args.runtime.as_deref(), &|_, _| {});
        let span = scanned.tally.span().unwrap_or((now, now));
        let question = question(from.unwrap_or(span.0), span.1, asked, &zone)?;
        (scanned.tally.report(&question, &table), Some(scanned))
    };
    show(&Spent { report: &report, by: &by, zone: &zone }, source.as_ref(), &args)
}

fn chosen(asked: &[Dimension], fallback: &[By]) -> Vec<By> {
    let mut by: Vec<By> = Vec::new();
    for one in asked.iter().copied().map(By::from) {
        if !by.contains(&one) {
            by.push(one);
        }
    }
    if by.is_empty() { fallback.to_vec() } else { by }
}

async fn ledger(question: &Question, global: &Global) -> Result<Report, Failure> {
    let at = global.address()?;
    let mut client = Client::connect(&at).await.map_err(ClientError::into_failure)?;
    client.usage(question).await.map_err(ClientError::into_failure)
}

fn question(since: Wall, until: Wall, by: BTreeSet<By>, zone: &TimeZone) -> Result<Question, Failure> {
    let days = if by.contains(&By::Day) { days(since, until, zone) } else { Vec::new() };
    if days.len() > MAX_DAYS {
        return Err(Failure::new(Code::Usage, format!("more than {MAX_DAYS} days cannot be told apart"))
            .next("ask for less with --since"));
    }
    Ok(Question { since, by, days })
}

/// When the reader's days begin, from the one of `since` to the one of `until`.
fn days(since: Wall, until: Wall, zone: &TimeZone) -> Vec<Wall> {
    let mut days = vec![clock::day_start(since, zone)];
    while let Some(last) = days.last().copied()
        && days.len() <= MAX_DAYS
    {
        // A day has 23 to 25 hours: half a day into the next one is in it.
        let next = clock::day_start(Wall(last.0 + DAY_MS * 3 / 2), zone);
        if next <= last || next > until {
            break;
        }
        days.push(next);
    }
    days
}

fn show(spent: &Spent<'_>, scanned: Option<&Scanned>, args: &Args) -> Outcome {
    if let Some(scanned) = scanned {
        warn(scanned);
    }
    if args.json {
        return output::json(&spent::json(spent, scanned.map(spent::Scan::of)), true);
    }
    if spent.report.0.is_empty() {
        output::note(match scanned {
            Some(scanned) if scanned.files == 0 => "no transcript of a known runtime is there",
            Some(_) => "no transcript there holds usage of that time",
            None => "no usage of that time is in the ledger",
        });
        return Ok(());
    }
    let screen = Screen::detect();
    let width = screen.terminal.then(|| screen.size().0);
    output::data(&spent::table(spent, width, screen.colour))?;
    if let Some(told) = spent::unpriced(spent.report) {
        output::note(&told);
    }
    Ok(())
}

fn warn(scanned: &Scanned) {
    for (path, error) in &scanned.failed {
        output::note(&format!("{}: {error}", safe(&path.display().to_string())));
    }
    let unreadable = usize::try_from(scanned.unreadable + scanned.tally.absurd()).unwrap_or(usize::MAX);
    if unreadable > 0 {
        output::note(&format!("{} could not be read and counted as nothing", plural(unreadable, "line")));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn days_are_the_readers_even_when_the_clock_is_put_back() {
        let zone = TimeZone::posix("CET-1CEST,M3.5.0,M10.5.0/3").unwrap();
        let at = |text: &str| Wall::parse_rfc3339(text).unwrap();
        let days = days(at("2026-10-24T12:00:00Z"), at("2026-10-26T12:00:00Z"), &zone);
        let told: Vec<String> = days.into_iter().map(Wall::to_rfc3339).collect();
        assert_eq!(told, ["2026-10-23T22:00:00Z", "2026-10-24T22:00:00Z", "2026-10-25T23:00:00Z"]);
    }

    #[test]
    fn what_is_asked_for_twice_is_told_once() {
        assert_eq!(chosen(&[Dimension::Day, Dimension::Model, Dimension::Day], &[]), [By::Day, By::Model]);
        assert_eq!(chosen(&[], &[By::Agent]), [By::Agent]);
    }
}
