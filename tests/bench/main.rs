//! The benchmarks: each sub-command measures one thing on real parts, beside a floor or a peer measured in the same
//! run, and writes its own section of `docs/performance.md`.
//!
//! ```text
//! fleet-bench [--quick] [--into DIR] NAME…
//! ```
//! Without `--into` the sections are printed; `--quick` takes few samples, to see whether it runs at all.
//! `fleet-bench simulate SOCKET AGENTS SECONDS` keeps simulated reporters on a collector, for a profiler's sake.

mod admission;
mod all_in;
mod append;
mod client;
mod death;
mod footprint;
mod hook;
mod kills;
mod limits;
mod machine;
mod peer;
mod proc;
mod ps;
mod report;
mod scan;
mod seen;
mod stage;
mod stand_in;
mod stats;

use std::io::Write as _;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context as _, Result, bail};

use crate::report::Section;

/// In the order of the document.
const NAMES: [&str; 10] =
    ["footprint", "all-in", "death", "seen", "ps", "hook", "kills", "scan", "admission", "limits"];

/// How much is measured.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Effort {
    pub(crate) quick: bool,
}

impl Effort {
    pub(crate) fn pick<T>(self, quick: T, full: T) -> T {
        if self.quick { quick } else { full }
    }
}

fn main() -> ExitCode {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let done = match words.first().map(String::as_str) {
        // Programs of the measurements themselves.
        Some("stand-in") => stand_in::agent(&words[1..]),
        Some("poll") => stand_in::naive_poller(&words[1..]),
        Some("spent") => peer::spent(&words[1..]),
        Some("simulate") => stand_in::simulate(&words[1..]),
        _ => run(words),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            say(&format!("fleet-bench: {error:#}"));
            ExitCode::FAILURE
        }
    }
}

fn run(words: Vec<String>) -> Result<()> {
    let mut effort = Effort { quick: false };
    let mut into: Option<PathBuf> = None;
    let mut names: Vec<String> = Vec::new();
    let mut words = words.into_iter();
    while let Some(word) = words.next() {
        match word.as_str() {
            "--quick" => effort.quick = true,
            "--into" => into = Some(words.next().context("--into needs a directory")?.into()),
            name if NAMES.contains(&name) => names.push(word),
            other => bail!("{other}: expected --quick, --into DIR, or some of {}", NAMES.join(", ")),
        }
    }
    if names.is_empty() {
        names = NAMES.map(str::to_owned).into();
    }
    for name in names {
        let machine = machine::Machine::look()?;
        say(&format!("{name}: the machine is {:.0} % busy before we start", machine.busy_before));
        let section = measure(&name, effort)?;
        say(&section.render(&machine));
        if let Some(directory) = &into {
            section.write(directory, &machine)?;
        }
        section.outcome()?;
    }
    Ok(())
}

fn measure(name: &str, effort: Effort) -> Result<Section> {
    match name {
        "footprint" => footprint::measure(effort),
        "all-in" => all_in::measure(effort),
        "death" => death::measure(effort),
        "seen" => seen::measure(effort),
        "ps" => ps::measure(effort),
        "hook" => hook::measure(effort),
        "scan" => scan::measure(effort),
        "admission" => admission::measure(effort),
        "limits" => limits::measure(effort),
        _ => kills::measure(effort),
    }
}

/// To the person who waits.
pub(crate) fn say(text: &str) {
    let _ = writeln!(std::io::stderr(), "{text}");
}
