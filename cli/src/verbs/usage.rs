//! `fleet usage`: what was used, from the collector's ledger or from transcripts read here and now.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::time::Duration;

use clap::ValueEnum;
use fleet_adapters::runtimes::usage::Unknown;
use fleet_adapters::runtimes::usage::scan::{self, RUNTIMES, Scanned};
use fleet_domain::Wall;
use fleet_domain::report::{By, Group, Question, Report};
use fleet_domain::tally::Tally;
use fleet_proto::limits::MAX_DAYS;
use jiff::tz::TimeZone;

use super::events::{Since, since};
use super::watch::painter::Painter;
use super::{check, prices};
use crate::app::Global;
use crate::client::{Client, ClientError};
use crate::clock;
use crate::error::{Code, Failure, Outcome};
use crate::output::{self, Screen};
use crate::render::sheet;
use crate::render::spark::Progress;
use crate::render::spent::{self, Spent};
use crate::render::words::{plural, safe, unknown_kinds};

/// Days are told apart for this long where nothing else is asked for.
const DAYS: i64 = 30;
const DAY_MS: i64 = 86_400_000;
/// Days that are drawn beside the sums.
const COURSE: i64 = 14;
/// Between two looks at the ledger.
const WATCH: Duration = Duration::from_secs(2);

const EXAMPLES: &str = "\
Examples:
  fleet usage                              each agent's tokens, all that is kept
  fleet usage --by day,model --since 7d
  fleet usage --by account --json
  fleet usage --by task,model --since 7d   what each task used; (no task) is the rest
  fleet usage --by hour,class --csv > today.csv
  fleet usage --scan ~/.claude ~/.codex    transcripts read here and now, without a collector
  fleet usage --check                      what is counted beside what the runtimes tell";

/// Count tokens and what they cost: by agent, model, day, hour, account, class, task, session or runtime
#[derive(Debug, clap::Args)]
#[command(before_help = EXAMPLES)]
pub struct Args {
    /// Told apart by these, in this order [default: agent; with --scan runtime,model]
    #[arg(long, value_name = "WHAT", value_delimiter = ',')]
    by: Vec<Dimension>,
    /// Only since then: `36h`, `7d`, or a time such as 2026-11-21T10:00:00Z [default: all; with --by day 30 days, with --by hour one]
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
    /// For a spreadsheet: a line a row, with the same figures as --json
    #[arg(long, conflicts_with_all = ["json", "check"])]
    csv: bool,
    /// Keep it up to date: redrawn on a terminal, a line of JSON for each change in a pipe
    #[arg(long, conflicts_with_all = ["csv", "reads", "place"])]
    watch: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Dimension {
    Agent,
    Model,
    Day,
    Account,
    Runtime,
    Hour,
    Class,
    Session,
    Task,
}

impl From<Dimension> for By {
    fn from(dimension: Dimension) -> Self {
        match dimension {
            Dimension::Agent => Self::Agent,
            Dimension::Model => Self::Model,
            Dimension::Day => Self::Day,
            Dimension::Account => Self::Account,
            Dimension::Runtime => Self::Runtime,
            Dimension::Hour => Self::Hour,
            Dimension::Class => Self::Class,
            Dimension::Session => Self::Session,
            Dimension::Task => Self::Task,
        }
    }
}

pub async fn run(args: Args, global: &Global) -> Outcome {
    let paths: Vec<PathBuf> = args.path.iter().chain(&args.paths).cloned().collect();
    if args.check {
        return check::run(paths, args.runtime.as_deref(), args.json);
    }
    if paths.is_empty() && args.runtime.is_some() {
        return Err(Failure::new(Code::Usage, "--runtime chooses among transcripts that are read")
            .next("add --scan with a path, or --check"));
    }
    let asking = Asking::of(&args, paths)?;
    if args.watch {
        return watch(&args, &asking, global).await;
    }
    let told = asking.ask(global).await?;
    show(&told, &asking, &args)
}

/// What is asked, of whom.
struct Asking<'a> {
    args: &'a Args,
    paths: Vec<PathBuf>,
    by: Vec<By>,
    zone: TimeZone,
    screen: Screen,
}

/// And the answer.
struct Told {
    report: Report,
    course: Option<BTreeMap<Group, Vec<u64>>>,
    scanned: Option<Scanned>,
}

impl<'a> Asking<'a> {
    fn of(args: &'a Args, paths: Vec<PathBuf>) -> Result<Self, Failure> {
        let fallback: &[By] = if paths.is_empty() { &[By::Agent] } else { &[By::Runtime, By::Model] };
        let by = chosen(&args.by, fallback);
        let of_fleet = |by: &&By| matches!(by, By::Agent | By::Account | By::Class | By::Task);
        if let Some(unknown) = by.iter().find(of_fleet).filter(|_| !paths.is_empty()) {
            let what = match unknown {
                By::Agent => "an agent's name",
                By::Account => "an account's name",
                By::Task => "a task's name",
                _ => "an agent's class",
            };
            return Err(Failure::new(Code::Usage, format!("a transcript does not say {what}"))
                .next("leave --scan out, or tell apart by runtime, model, session, hour or day"));
        }
        let zone = if args.utc { TimeZone::UTC } else { clock::zone() };
        Ok(Self { args, paths, by, zone, screen: Screen::detect() })
    }

    async fn ask(&self, global: &Global) -> Result<Told, Failure> {
        let now = clock::now().wall;
        let asked: BTreeSet<By> = self.by.iter().copied().collect();
        let from = self.args.since.map(|since| since.at(now));
        let timed = asked.contains(&By::Day) || asked.contains(&By::Hour);
        let (report, course, scanned) = if self.paths.is_empty() {
            let begin = from.unwrap_or(match () {
                () if asked.contains(&By::Hour) => Wall(now.0 - DAY_MS),
                () if timed => Wall(now.0 - DAYS * DAY_MS),
                () => Wall(0),
            });
            let (report, course) = if timed || !self.draws() {
                (ledger(&question(begin, now, asked, &self.zone)?, global).await?, None)
            } else {
                let question = coursed(begin, now, asked, &self.zone);
                let (report, course) = apart(ledger(&question, global).await?, &question.days);
                (report, Some(course))
            };
            (report, course, None)
        } else {
            let tally = if asked.contains(&By::Session) { Tally::with_sessions() } else { Tally::new() };
            let progress = Progress::on_stderr();
            let scanned = scan::scan(&self.paths, self.args.runtime.as_deref(), tally, &|done, of| {
                progress.at(done, of)
            });
            drop(progress);
            let span = scanned.tally.span().unwrap_or((now, now));
            let table = prices::in_force();
            let begin = from.unwrap_or(span.0);
            let (report, course) = if timed || !self.draws() {
                let question = question(begin, span.1, asked, &self.zone)?;
                (scanned.tally.report(&question, &table), None)
            } else {
                // Old trees have a course too: the days before the newest response.
                let question = coursed(begin, span.1, asked, &self.zone);
                let (report, course) = apart(scanned.tally.report(&question, &table), &question.days);
                (report, Some(course))
            };
            (report, course, Some(scanned))
        };
        Ok(Told { report, course, scanned })
    }

    /// On a terminal, a table shows the latest days beside the sums.
    fn draws(&self) -> bool {
        self.screen.terminal && !self.args.json && !self.args.csv
    }
}

/// As [`question`], with the latest days told apart from what was before.
fn coursed(since: Wall, now: Wall, mut by: BTreeSet<By>, zone: &TimeZone) -> Question {
    by.insert(By::Day);
    let days = days(Wall(now.0 - COURSE * DAY_MS), now, zone);
    Question { since, by, days }
}

/// The sums of all days, and each day's tokens but the first's, in which all that was before lies.
fn apart(report: Report, days: &[Wall]) -> (Report, BTreeMap<Group, Vec<u64>>) {
    let (mut all, mut course) = (Report::default(), BTreeMap::<Group, Vec<u64>>::new());
    for (mut group, sum) in report.0 {
        let day = group.day.take().and_then(|day| days.iter().skip(1).position(|start| *start == day));
        let of = course.entry(group.clone()).or_insert_with(|| vec![0; days.len().saturating_sub(1)]);
        if let Some(figure) = day.and_then(|day| of.get_mut(day)) {
            *figure = figure.saturating_add(sum.tokens.total());
        }
        all.add(group, &sum);
    }
    (all, course)
}

/// On a terminal redrawn in place; in a pipe a line of JSON for each change.
async fn watch(args: &Args, asking: &Asking<'_>, global: &Global) -> Outcome {
    let mut drawing = Drawing(Painter::default());
    let mut last = None;
    let mut tick = tokio::time::interval(WATCH);
    tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        tick.tick().await;
        let told = asking.ask(global).await?;
        if asking.screen.cursor && !args.json {
            let size = asking.screen.size();
            let text = spent::table(&asking.spent(&told), Some(size.0), asking.screen.colour);
            let lines = text.lines().take(size.1.saturating_sub(1)).map(str::to_owned).collect();
            if let Some(text) = drawing.0.frame(lines, size) {
                output::data(&text)?;
            }
        } else if last.as_ref() != Some(&told.report) {
            output::json(&spent::json(&asking.spent(&told), None), false)?;
            last = Some(told.report);
        }
    }
}

/// Puts the cursor back, however the watching ends.
struct Drawing(Painter);

impl Drop for Drawing {
    fn drop(&mut self) {
        if let Some(text) = self.0.end() {
            let _ = output::data(&text);
        }
    }
}

impl Asking<'_> {
    fn spent<'t>(&'t self, told: &'t Told) -> Spent<'t> {
        Spent { report: &told.report, by: &self.by, zone: &self.zone, course: told.course.as_ref() }
    }
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
    let timed = by.contains(&By::Day) || by.contains(&By::Hour);
    let days = if timed { days(since, until, zone) } else { Vec::new() };
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

fn show(told: &Told, asking: &Asking<'_>, args: &Args) -> Outcome {
    let (spent, scanned) = (asking.spent(told), told.scanned.as_ref());
    if let Some(scanned) = scanned {
        warn(scanned);
    }
    if args.json {
        return output::json(&spent::json(&spent, scanned.map(spent::Scan::of)), true);
    }
    if args.csv {
        return output::data(&sheet::csv(&spent));
    }
    if spent.report.0.is_empty() {
        output::note(match scanned {
            Some(scanned) if scanned.files == 0 => "no transcript of a known runtime is there",
            Some(_) => "no transcript there holds usage of that time",
            None => "no usage of that time is in the ledger",
        });
        return Ok(());
    }
    let width = asking.screen.terminal.then(|| asking.screen.size().0);
    output::data(&spent::table(&spent, width, asking.screen.colour))?;
    if let Some(told) = spent::unpriced(spent.report) {
        output::note(&told);
    }
    Ok(())
}

/// What may be missing from the sums.
pub(super) fn tell_unknown(unknown: &Unknown) {
    if let Some(says) = unknown_kinds(unknown.iter()) {
        output::note(&format!("{says}; they count as nothing, and a later fleet may know them"));
    }
}

fn warn(scanned: &Scanned) {
    for (path, error) in &scanned.failed {
        output::note(&format!("{}: {error}", safe(&path.display().to_string())));
    }
    let unreadable = usize::try_from(scanned.unreadable + scanned.tally.absurd()).unwrap_or(usize::MAX);
    if unreadable > 0 {
        output::note(&format!("{} could not be read and counted as nothing", plural(unreadable, "line")));
    }
    tell_unknown(&scanned.unknown);
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
    fn the_course_of_the_latest_days_is_told_apart_from_the_sums() {
        let days = [Wall(0), Wall(10), Wall(20)];
        let mut report = Report::default();
        for (day, output) in [(0, 100), (10, 3), (20, 5)] {
            let tokens = fleet_domain::usage::Tokens { output, ..Default::default() };
            let sum = fleet_domain::report::Sum { tokens, responses: 1, ..Default::default() };
            report.add(Group { day: Some(Wall(day)), model: Some("m".to_owned()), ..Group::default() }, &sum);
        }
        let (all, course) = apart(report, &days);
        let group = Group { model: Some("m".to_owned()), ..Group::default() };
        assert_eq!((all.0[&group].tokens.output, all.0[&group].responses), (108, 3));
        assert_eq!(course[&group], [3, 5]);
    }

    #[test]
    fn what_is_asked_for_twice_is_told_once() {
        assert_eq!(chosen(&[Dimension::Day, Dimension::Model, Dimension::Day], &[]), [By::Day, By::Model]);
        assert_eq!(chosen(&[], &[By::Agent]), [By::Agent]);
    }
}
