//! `fleet explain`: the verdict, what it rests on, what will change it, and what nobody could tell.

use anstyle::{AnsiColor, Style};
use fleet_domain::fleet::{AgentView, EvidenceView, Link, NextView};
use fleet_domain::readiness::State;
use fleet_domain::time::humanize;
use serde::Serialize;

use super::Scene;
use super::columns::{state, style_of};
use super::grid::{Align, Cell, Fit, Grid, Head, paint};
use super::item::{API_VERSION, AgentItem, SignalItem};
use super::words::{NONE, age, count, safe};

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Explanation<'a> {
    pub api_version: &'static str,
    pub kind: &'static str,
    pub origin: &'static str,
    pub agent: AgentItem<'a>,
    /// In their order of precedence.
    pub signals: Vec<SignalItem<'a>>,
    /// What was not known, and what would tell it.
    pub not_known: Vec<String>,
}

pub fn json<'a>(agent: &'a AgentView, scene: &'a Scene, origin: &'static str) -> Explanation<'a> {
    Explanation {
        api_version: API_VERSION,
        kind: "AgentExplanation",
        origin,
        agent: AgentItem::of(agent, scene),
        signals: agent.signals.iter().map(SignalItem::of).collect(),
        not_known: not_known(agent, scene),
    }
}

pub fn text(agent: &AgentView, scene: &Scene) -> String {
    let mut page = Page { out: String::new(), colour: scene.colour };
    verdict(&mut page, agent, scene);
    if !agent.evidence.is_empty() {
        page.section("Evidence");
        for evidence in &agent.evidence {
            page.line(&evidence_line(evidence, scene));
        }
    }
    if !agent.signals.is_empty() {
        page.section("Signals");
        page.grid(&signals(agent));
    }
    if !agent.drift.is_empty() {
        page.section("Drift");
        for drift in &agent.drift {
            page.line(&format!(
                "{} ({}): {}",
                drift.kind.flag(),
                drift.kind.severity().as_str(),
                safe(&drift.detail)
            ));
            page.line(&format!("  {}", safe(&drift.remedy)));
        }
    }
    page.section("Next");
    page.line(&next(agent, scene));
    let unknown = not_known(agent, scene);
    if !unknown.is_empty() {
        page.section("Not known");
        for line in unknown {
            page.line(&line);
        }
    }
    page.out
}

struct Page {
    out: String,
    colour: bool,
}

impl Page {
    fn section(&mut self, title: &str) {
        self.out.push('\n');
        paint(&mut self.out, title, Style::new().bold(), self.colour);
        self.out.push('\n');
    }

    fn line(&mut self, text: &str) {
        self.out.push_str("  ");
        self.out.push_str(text);
        self.out.push('\n');
    }

    fn grid(&mut self, grid: &Grid<'_>) {
        for line in grid.plain(true, self.colour).lines() {
            self.line(line);
        }
    }
}

fn verdict(page: &mut Page, agent: &AgentView, scene: &Scene) {
    paint(&mut page.out, &safe(&agent.name), Style::new().bold(), scene.colour);
    page.out.push_str(" is ");
    paint(&mut page.out, &state(agent), style_of(agent.state), scene.colour);
    let reason = safe(&agent.reason);
    if !reason.is_empty() {
        page.out.push_str(&format!(": {reason}"));
    }
    page.out.push('\n');
    page.line(&match scene.since(agent) {
        Some(since) => format!("for {}, since {}", humanize(since.age_at(scene.now)), scene.time(since)),
        None => "since when is not known".to_owned(),
    });
    page.line(&what_it_is(agent));
    if let Some(tokens) = scene.tokens(agent).filter(|tokens| !tokens.is_zero()) {
        page.line(&format!(
            "{} tokens today: {} input, {} cache read, {} cache write, {} output",
            count(tokens.total()),
            count(tokens.input),
            count(tokens.cache_read),
            count(tokens.cache_write_5m.saturating_add(tokens.cache_write_1h)),
            count(tokens.output),
        ));
    }
    if agent.draft == Some(true) {
        page.line("a person's unsent text stands in its box: senders wait");
    }
}

/// `claude, class worker, model opus, on box, socket mosaic-fleet, pane %3 as pid 42, managed`
fn what_it_is(agent: &AgentView) -> String {
    let mut parts =
        vec![agent.runtime.as_ref().map_or("no runtime seen".to_owned(), |runtime| runtime.to_string())];
    let mut add = |what: &str, value: Option<&str>| {
        if let Some(value) = value.filter(|value| !value.is_empty()) {
            parts.push(format!("{what} {value}"));
        }
    };
    add("alias", agent.alias.as_deref());
    add("class", agent.class.as_deref());
    add("model", agent.model.as_deref());
    add("account", agent.account.as_deref());
    add("host", Some(agent.key.host.as_str()));
    add("socket", Some(agent.key.socket.shown()));
    add("pane", agent.pane_id.as_deref());
    parts.push(if agent.managed { "in the roster" } else { "not in the roster" }.to_owned());
    safe(&parts.join(", ")).into_owned()
}

fn evidence_line(evidence: &EvidenceView, scene: &Scene) -> String {
    let mut line =
        format!("{}: {} (from {}", evidence.kind.as_str(), safe(&evidence.line), evidence.source.as_str());
    if let Some(since) = evidence.since {
        line.push_str(&format!(", since {}", scene.time(since)));
    }
    if let Some(until) = evidence.until {
        line.push_str(&format!(", until {}", scene.time(until)));
    }
    line + ")"
}

fn signals(agent: &AgentView) -> Grid<'_> {
    let head = |title: &str, align| Head { title: title.to_owned(), align, fit: Fit::Fixed };
    let heads = vec![
        head("SIGNAL", Align::Left),
        head("AGE", Align::Right),
        head("SOURCE", Align::Left),
        head("SAYS", Align::Left),
    ];
    let mut grid = Grid::new(heads, agent.signals.len());
    for line in &agent.signals {
        let known = if line.source.is_some() { Style::new() } else { AnsiColor::Magenta.on_default() };
        grid.push([
            Cell::plain(safe(&line.signal)),
            Cell::plain(line.age.map_or(NONE.to_owned(), age)),
            Cell::plain(line.source.map_or(NONE, |source| source.as_str())),
            Cell::styled(safe(&line.says), known),
        ]);
    }
    grid
}

/// `becomes stale at 10:42:10 (in 31s) if nothing more is seen, because … (it is of 10:41:25)`
fn next(agent: &AgentView, scene: &Scene) -> String {
    let Some(NextView { at, becomes, kind, because }) = &agent.next else {
        return "nothing changes by time alone".to_owned();
    };
    let what = match kind {
        Some(kind) => format!("{}/{}", becomes.as_str(), kind.as_str()),
        None => becomes.as_str().to_owned(),
    };
    let beat = agent.heartbeat.ts.filter(|_| *becomes == State::Stale);
    let of = beat.map_or(String::new(), |ts| format!(" (it is of {})", scene.time(ts)));
    let because = safe(because);
    let wait = humanize(scene.now.age_at(*at));
    format!(
        "becomes {what} at {} (in {wait}) if nothing more is seen, because {because}{of}",
        scene.time(*at)
    )
}

/// What is missing, each with what would tell it.
fn not_known(agent: &AgentView, scene: &Scene) -> Vec<String> {
    let mut lines = Vec::new();
    let mut add = |line: &str| lines.push(line.to_owned());
    if scene.direct {
        add("tokens and history: only a collector keeps them");
    }
    if agent.pane_alive.is_none() {
        add("whether its pane lives: tmux gave no answer");
    }
    if agent.heartbeat.age.is_none() {
        add("a heartbeat: nothing confirmed its runtime yet");
    }
    if agent.heartbeat.clock_skew {
        add("its heartbeat's true age: that time lies in the future, so the clocks differ");
    }
    if agent.idle.is_none() {
        add("how long it is idle: tmux tells no time of activity");
    }
    if agent.model.is_none() && agent.runtime.is_some() {
        match scene.tokens(agent).is_some_and(|tokens| !tokens.is_zero()) {
            true => add("its model: fleet usage --by agent,model tells what it used"),
            false => add("its model: no usage was seen yet"),
        }
    }
    if agent.draft.is_none() && agent.runtime.is_some() {
        add("whether a person's unsent text stands in its box");
    }
    if agent.managed && agent.systemd_active == "unknown" {
        add("its unit: systemd did not tell");
    }
    if !scene.direct && matches!(agent.link, Link::Lost | Link::Stopped) {
        add("anything newer: nobody watches it at the moment");
    }
    lines
}

#[cfg(test)]
#[path = "explain_tests.rs"]
mod tests;
