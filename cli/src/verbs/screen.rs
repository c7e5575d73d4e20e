//! `fleet explain --screen` and `--dir`: the rules for screens, asked offline of captures in files.

use std::io::Read as _;
use std::path::{Path, PathBuf};

use fleet_adapters::screens::{Grid, RuleBook, Shows, Sight};
use fleet_domain::Wall;

use crate::error::{Code, Failure, Outcome};
use crate::output::{self, Screen};
use crate::render::verdict::{self, Scored, Verdict};
use crate::rules;

/// A capture larger than this is none.
const MAX_BYTES: u64 = 16 << 20;

#[derive(Debug, clap::Args)]
pub struct Offline {
    /// Read a captured screen instead of asking about an agent; `-` is standard input. Of `x.txt`, a sibling `x.ansi`
    /// with attributes is read where there is one
    #[arg(long, value_name = "FILE", conflicts_with = "agent")]
    screen: Option<PathBuf>,
    /// What runs on that screen: claude, codex, pi, opencode, gemini
    #[arg(long, value_name = "NAME", requires = "screen")]
    runtime: Option<String>,
    /// Version of what runs there, where rules differ by it
    #[arg(long, value_name = "VERSION")]
    runtime_version: Option<String>,
    /// The terminal's title at that moment
    #[arg(long, value_name = "TEXT", requires = "screen", default_value = "", hide_default_value = true)]
    title: String,
    /// Read every capture that a list of labels names, and score the rules
    #[arg(long, value_name = "DIR", requires = "labels", conflicts_with_all = ["agent", "screen"])]
    dir: Option<PathBuf>,
    /// The list: tab-separated path below DIR, runtime, state, kind
    #[arg(long, value_name = "FILE", requires = "dir")]
    labels: Option<PathBuf>,
}

impl Offline {
    pub fn is_asked(&self) -> bool {
        self.screen.is_some() || self.dir.is_some()
    }
}

pub fn run(args: &Offline, json: bool) -> Outcome {
    let book = rules::book()?;
    match (&args.screen, &args.dir, &args.labels) {
        (Some(file), ..) => one(args, file, &book, json),
        (None, Some(dir), Some(labels)) => score(args, dir, labels, &book, json),
        _ => Ok(()),
    }
}

fn one(args: &Offline, file: &Path, book: &RuleBook, json: bool) -> Outcome {
    let known = || {
        let mut names: Vec<&str> = book.runtimes().collect();
        names.dedup();
        names.join(", ")
    };
    let Some(runtime) = &args.runtime else {
        let failure = Failure::new(Code::Usage, "--screen needs --runtime: what runs on that screen?");
        return Err(failure.next(format!("known are {}", known())));
    };
    let Some(rules) = book.rules(runtime, args.runtime_version.as_deref()) else {
        let failure = Failure::new(Code::NoSuch, format!("no rules are known for {runtime}"));
        return Err(failure.next(format!("known are {}", known())));
    };
    let sight = rules.judge(&capture(file)?, &args.title);
    let verdict = Verdict::new(runtime, &sight, crate::clock::now().wall);
    match json {
        true => output::json(&verdict, true),
        false => output::data(&verdict::text(&verdict, Screen::detect().colour)),
    }
}

fn capture(file: &Path) -> Result<Grid, Failure> {
    let attributed = file.with_extension("ansi");
    let file = if file.extension().is_some_and(|extension| extension == "txt") && attributed.is_file() {
        &attributed
    } else {
        file
    };
    let mut bytes = Vec::new();
    let read = if file == Path::new("-") {
        std::io::stdin().lock().take(MAX_BYTES).read_to_end(&mut bytes)
    } else {
        std::fs::File::open(file).and_then(|file| file.take(MAX_BYTES).read_to_end(&mut bytes))
    };
    read.map_err(|error| Failure::new(Code::Failure, format!("{}: {error}", file.display())))?;
    Ok(Grid::parse(&String::from_utf8_lossy(&bytes)))
}

/// One line of a list of labels.
struct Label {
    path: String,
    runtime: String,
    state: String,
    kind: String,
}

fn score(args: &Offline, dir: &Path, labels: &Path, book: &RuleBook, json: bool) -> Outcome {
    let mut scored = Scored::default();
    let listed = read_labels(labels)?;
    if listed.is_empty() {
        let message = format!("{}: it names no capture", labels.display());
        return Err(Failure::new(Code::Failure, message).next("a line each: path, runtime, state, kind"));
    }
    for label in listed {
        let sight = match book.rules(&label.runtime, args.runtime_version.as_deref()) {
            Some(rules) => {
                let file = dir.join(&label.path);
                // A capture's title may lie beside it.
                let title = std::fs::read_to_string(file.with_extension("title")).unwrap_or_default();
                rules.judge(&capture(&file)?, title.trim())
            }
            None => Sight::default(),
        };
        let (state, kind) = words(sight.shows);
        let rule = sight.evidence.first().map(|seen| seen.rule.clone()).unwrap_or_default();
        scored.add(&label.path, (&label.state, &label.kind), (state, kind), rule);
    }
    match json {
        true => output::json(&scored, true),
        false => output::data(&verdict::matrix(&scored)),
    }
}

/// State and kind as a label has them.
pub fn words(shows: Option<Shows>) -> (&'static str, &'static str) {
    shows.map_or(("unknown", "unknown"), |shows| (shows.state(), shows.kind()))
}

fn read_labels(path: &Path) -> Result<Vec<Label>, Failure> {
    let told = |message: String| Failure::new(Code::Failure, format!("{}: {message}", path.display()));
    let text = std::fs::read_to_string(path).map_err(|error| told(error.to_string()))?;
    let lines =
        text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty() && !line.starts_with('#'));
    lines
        .filter(|(_, line)| !line.starts_with("path\t"))
        .map(|(at, line)| {
            let mut words = line.split('\t').map(str::trim);
            let mut next = || words.next().filter(|word| !word.is_empty()).map(str::to_owned);
            let label = (next(), next(), next(), next());
            let (Some(path), Some(runtime), Some(state), kind) = label else {
                return Err(told(format!(
                    "line {}: path, runtime, state and kind are wanted, with tabs between",
                    at + 1
                )));
            };
            Ok(Label { path, runtime, state, kind: kind.unwrap_or_default() })
        })
        .collect()
}

/// When a limit ends, as the screen says it.
pub fn until(sight: &Sight, now: Wall) -> Option<Wall> {
    sight.reset.as_ref().and_then(|reset| reset.after(now))
}
