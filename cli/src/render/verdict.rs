//! What the rules make of a captured screen, and how well they do on a corpus of labelled ones.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use anstyle::Style;
use fleet_adapters::screens::Sight;
use fleet_domain::Wall;
use serde::Serialize;

use super::grid::paint;
use super::item::API_VERSION;
use crate::verbs::screen::{until, words};

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Verdict {
    api_version: &'static str,
    kind: &'static str,
    runtime: String,
    /// working, available, stuck, dead, or unknown where no rule holds.
    state: &'static str,
    readiness_kind: Option<&'static str>,
    /// A human's unsent text stands in the box; null where there is no box.
    draft: Option<bool>,
    /// When a limit resets, as the screen says it.
    until: Option<String>,
    evidence: Vec<Seen>,
}

#[derive(Debug, Serialize)]
struct Seen {
    rule: String,
    region: &'static str,
    line: String,
}

impl Verdict {
    pub fn new(runtime: &str, sight: &Sight, now: Wall) -> Self {
        let (state, kind) = words(sight.shows);
        Self {
            api_version: API_VERSION,
            kind: "Verdict",
            runtime: runtime.to_owned(),
            state,
            readiness_kind: sight.shows.map(|_| kind),
            draft: sight.draft,
            until: until(sight, now).map(|until| until.to_rfc3339()),
            evidence: sight
                .evidence
                .iter()
                .map(|seen| Seen {
                    rule: seen.rule.clone(),
                    region: seen.region.as_str(),
                    line: seen.line.clone(),
                })
                .collect(),
        }
    }
}

pub fn text(verdict: &Verdict, colour: bool) -> String {
    let mut out = format!("this screen of {} shows ", verdict.runtime);
    paint(&mut out, verdict.state, Style::new().bold(), colour);
    if let Some(kind) = verdict.readiness_kind {
        let _ = write!(out, " ({kind})");
    }
    out.push('\n');
    if verdict.draft == Some(true) {
        out.push_str("  unsent text stands in the box\n");
    }
    if let Some(until) = &verdict.until {
        let _ = writeln!(out, "  until {until}");
    }
    for seen in &verdict.evidence {
        let line = if seen.line.is_empty() { String::new() } else { format!(": {}", seen.line) };
        let _ = writeln!(out, "  by {} in {}{line}", seen.rule, seen.region);
    }
    if verdict.readiness_kind.is_none() {
        out.push_str("  no rule holds; docs/state.md says how to add one\n");
    }
    out
}

/// A corpus, scored.
#[derive(Debug, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Scored {
    screens: usize,
    /// State right.
    states: usize,
    /// State and kind right.
    kinds: usize,
    /// Called stuck and not so: the one mistake that wakes people for nothing.
    false_stuck: usize,
    /// True state, then what was said, then how often.
    matrix: BTreeMap<String, BTreeMap<String, usize>>,
    misses: Vec<Miss>,
}

#[derive(Debug, Serialize)]
struct Miss {
    path: String,
    is: String,
    said: String,
    rule: String,
}

impl Scored {
    pub fn add(&mut self, path: &str, is: (&str, &str), said: (&str, &str), rule: String) {
        self.screens += 1;
        self.states += usize::from(is.0 == said.0);
        self.kinds += usize::from(is == said);
        self.false_stuck += usize::from(said.0 == "stuck" && is.0 != "stuck");
        *self.matrix.entry(is.0.to_owned()).or_default().entry(said.0.to_owned()).or_default() += 1;
        if is != said {
            let both = |words: (&str, &str)| format!("{}/{}", words.0, words.1);
            self.misses.push(Miss { path: path.to_owned(), is: both(is), said: both(said), rule });
        }
    }
}

pub fn matrix(scored: &Scored) -> String {
    let said = ["working", "available", "stuck", "dead", "unknown"];
    let mut out = format!("{:12}", "is \\ said");
    said.iter().for_each(|word| {
        let _ = write!(out, "{word:>10}");
    });
    out.push('\n');
    for (is, row) in &scored.matrix {
        let _ = write!(out, "{is:12}");
        for word in said {
            let _ = write!(out, "{:>10}", row.get(word).copied().unwrap_or(0));
        }
        out.push('\n');
    }
    let percent = |part: usize| 100.0 * part as f64 / scored.screens.max(1) as f64;
    let _ = writeln!(
        out,
        "\n{} screens: state right {} ({:.1} %), with its kind {} ({:.1} %), falsely stuck {}",
        scored.screens,
        scored.states,
        percent(scored.states),
        scored.kinds,
        percent(scored.kinds),
        scored.false_stuck
    );
    for miss in &scored.misses {
        let rule = if miss.rule.is_empty() { "no rule" } else { &miss.rule };
        let _ = writeln!(out, "  {}: is {}, said {} by {rule}", miss.path, miss.is, miss.said);
    }
    out
}
