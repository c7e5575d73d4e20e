//! One measurement's section: rows with figures, goals and verdicts, series of raw samples, and its place between
//! two marks of `docs/performance.md`, so that one can be redone alone.

use std::fmt::Write as _;
use std::path::Path;

use anyhow::{Context as _, Result, bail};

use crate::NAMES;
use crate::machine::Machine;
use crate::stats::{Samples, figure};

/// Raw samples go to a file of their own up to this size.
const MAX_RAW: usize = 200_000;

const HEAD: &str = "\
# Performance

Each section is written by one sub-command of `tests/bench/run` and can be redone alone: `tests/bench/run death`.
Figures are from the machine that the section names, taken with release builds on real tmux servers of the
benchmark's own; each stands beside a floor or a peer from the same run, because absolute figures do not travel.
*Must* is what the project holds itself to, *aim* what it works towards. Raw samples are in `docs/performance/`.
";

/// A figure that is judged.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Goal {
    AtMost { must: f64, aim: f64 },
    AtLeast { must: f64 },
}

#[derive(Clone, Debug)]
struct Row {
    what: String,
    value: f64,
    unit: &'static str,
    beside: String,
    goal: Option<Goal>,
}

#[derive(Clone, Debug)]
struct Series {
    name: String,
    unit: &'static str,
    samples: Samples,
}

#[derive(Clone, Debug)]
pub(crate) struct Section {
    id: &'static str,
    title: &'static str,
    /// What was done, for whoever doubts the figures.
    method: String,
    rows: Vec<Row>,
    series: Vec<Series>,
    wrong: Option<String>,
}

impl Section {
    pub(crate) fn new(id: &'static str, title: &'static str, method: String) -> Self {
        Self { id, title, method, rows: Vec::new(), series: Vec::new(), wrong: None }
    }

    /// `beside`: what the figure is to be seen next to.
    pub(crate) fn row(
        &mut self,
        what: impl Into<String>,
        value: f64,
        unit: &'static str,
        beside: impl Into<String>,
    ) {
        self.judged_row(what, value, unit, beside, None);
    }

    pub(crate) fn judged(
        &mut self,
        what: impl Into<String>,
        value: f64,
        unit: &'static str,
        beside: impl Into<String>,
        goal: Goal,
    ) {
        self.judged_row(what, value, unit, beside, Some(goal));
    }

    fn judged_row(
        &mut self,
        what: impl Into<String>,
        value: f64,
        unit: &'static str,
        beside: impl Into<String>,
        goal: Option<Goal>,
    ) {
        self.rows.push(Row { what: what.into(), value, unit, beside: beside.into(), goal });
    }

    pub(crate) fn series(&mut self, name: impl Into<String>, unit: &'static str, samples: &Samples) {
        self.series.push(Series { name: name.into(), unit, samples: samples.clone() });
    }

    /// Something is not slow but wrong.
    pub(crate) fn fail(&mut self, why: String) {
        self.wrong = Some(why);
    }

    pub(crate) fn outcome(&self) -> Result<()> {
        match &self.wrong {
            Some(why) => bail!("{}: {why}", self.id),
            None => Ok(()),
        }
    }

    pub(crate) fn render(&self, machine: &Machine) -> String {
        let mut text = format!("## {}\n\n{}\n\n{}\n\n", self.title, machine.line(), self.method);
        if let Some(why) = &self.wrong {
            let _ = writeln!(text, "**Wrong: {why}**\n");
        }
        text.push_str("| measured | figure | beside | must | aim |\n|---|---:|---|---|---|\n");
        for row in &self.rows {
            let (must, aim) =
                row.goal.map_or_else(Default::default, |goal| verdicts(goal, row.value, row.unit));
            let Row { what, unit, beside, .. } = row;
            let _ = writeln!(text, "| {what} | {} {unit} | {beside} | {must} | {aim} |", figure(row.value));
        }
        if !self.series.is_empty() {
            text.push_str("\nSamples, with a histogram on a logarithmic scale:\n\n");
        }
        for series in &self.series {
            let _ = writeln!(text, "- {}: {}", series.name, series.samples.line(series.unit));
        }
        if self.raw().is_some() {
            let _ = writeln!(text, "\nRaw: [performance/{0}.csv](performance/{0}.csv).", self.id);
        }
        text
    }

    /// A line a series, its values in the order in which they were taken.
    fn raw(&self) -> Option<String> {
        let mut text = String::from("series,unit,values\n");
        for series in &self.series {
            let values: Vec<String> = series.samples.taken().iter().map(|value| figure(*value)).collect();
            let _ = writeln!(text, "{},{},{}", series.name.replace(',', ""), series.unit, values.join(" "));
        }
        (!self.series.is_empty() && text.len() < MAX_RAW).then_some(text)
    }

    /// Puts the section into `performance.md` of the directory and its samples beside it.
    pub(crate) fn write(&self, directory: &Path, machine: &Machine) -> Result<()> {
        let path = directory.join("performance.md");
        let before = std::fs::read_to_string(&path).unwrap_or_default();
        let after = compose(&before, self.id, &self.render(machine));
        std::fs::write(&path, after).with_context(|| path.display().to_string())?;
        if let Some(raw) = self.raw() {
            let directory = directory.join("performance");
            std::fs::create_dir_all(&directory).with_context(|| directory.display().to_string())?;
            std::fs::write(directory.join(format!("{}.csv", self.id)), raw)
                .context("write the raw samples")?;
        }
        Ok(())
    }
}

fn verdicts(goal: Goal, value: f64, unit: &str) -> (String, String) {
    let verdict = |sign: &str, bound: f64, met: bool| {
        let word = if met { "met" } else { "**not met**" };
        format!("{sign} {bound} {unit}: {word}")
    };
    match goal {
        Goal::AtMost { must, aim } => (verdict("≤", must, value <= must), verdict("≤", aim, value <= aim)),
        Goal::AtLeast { must } => (verdict("≥", must, value >= must), String::new()),
    }
}

/// The document with one section replaced, all in their fixed order.
fn compose(before: &str, id: &str, text: &str) -> String {
    let mut document = HEAD.to_owned();
    for name in NAMES {
        let (begin, end) = (format!("<!-- begin: {name} -->\n"), format!("<!-- end: {name} -->\n"));
        let kept =
            before.split_once(&begin).and_then(|(_, rest)| rest.split_once(&end)).map(|(inner, _)| inner);
        let inner = if name == id { Some(text) } else { kept };
        if let Some(inner) = inner {
            let _ = write!(document, "\n{begin}{}\n{end}", inner.trim_end());
        }
    }
    document
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_section_is_replaced_alone_and_the_order_is_kept() {
        let one = compose("", "death", "## Death\n");
        let two = compose(&one, "footprint", "## Footprint\n");
        let three = compose(&two, "death", "## Death again\n");
        assert!(three.find("## Footprint") < three.find("## Death again"));
        assert!(!three.contains("## Death\n") && three.starts_with("# Performance"));
        assert_eq!(compose(&three, "death", "## Death again\n"), three);
    }

    #[test]
    fn verdicts_say_what_is_missed() {
        let (must, aim) = verdicts(Goal::AtMost { must: 6.0, aim: 3.5 }, 4.2, "MiB");
        assert_eq!((must.as_str(), aim.as_str()), ("≤ 6 MiB: met", "≤ 3.5 MiB: **not met**"));
        assert_eq!(verdicts(Goal::AtLeast { must: 10.0 }, 12.0, "×").0, "≥ 10 ×: met");
    }
}
