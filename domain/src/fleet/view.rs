//! What a reader sees of one agent: the five planes joined, the verdict, and why.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::drift::Drift;
use crate::heartbeat::{Health, Status};
use crate::ids::{AgentKey, RuntimeName, SessionId};
use crate::observation::{Pane, Process, Source};
use crate::readiness::{PaneSignal, State, StuckKind};
use crate::time::{Mono, Now, Wall, humanize};
use crate::usage::Tokens;

use super::entry::Entry;

#[derive(Debug, Clone, PartialEq)]
pub struct AgentView {
    pub key: AgentKey,
    pub name: String,
    /// As the roster says; where it says nothing, as seen.
    pub runtime: Option<RuntimeName>,
    pub class: Option<String>,
    pub alias: Option<String>,
    pub account: Option<String>,
    pub managed: bool,
    /// systemd's own words, or `unknown`.
    pub systemd_active: String,
    pub systemd_enabled: String,
    pub pane_alive: Option<bool>,
    pub pane_id: Option<String>,
    pub pane_pid: Option<u32>,
    pub pane_command: Option<String>,
    pub pane_title: Option<String>,
    pub idle: Option<Duration>,
    pub heartbeat: BeatView,
    pub state: State,
    pub kind: Option<StuckKind>,
    pub since: Wall,
    pub reason: String,
    pub evidence: Vec<EvidenceView>,
    pub draft: Option<bool>,
    pub drift: Vec<Drift>,
    pub model: Option<String>,
    pub conversation: Option<SessionId>,
    pub tokens_today: Tokens,
    pub by_model: BTreeMap<String, Tokens>,
    pub transitions: BTreeMap<(State, State), u64>,
    pub link: Link,
    pub next: Option<NextView>,
    /// Only where a single agent is asked for.
    pub signals: Vec<SignalLine>,
    pub generation: u64,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BeatView {
    pub ts: Option<Wall>,
    pub pid: Option<u32>,
    pub status: Option<Status>,
    pub age: Option<Duration>,
    pub health: Health,
    pub source: Option<Source>,
    pub clock_skew: bool,
}

impl BeatView {
    /// No more than the usual table shows.
    pub fn keep_basic(&mut self) {
        (self.ts, self.pid, self.status, self.source) = (None, None, None, None);
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EvidenceView {
    pub kind: StuckKind,
    pub line: String,
    pub source: Source,
    pub since: Option<Wall>,
    pub until: Option<Wall>,
}

/// Whether somebody watches this agent at this moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Link {
    Live,
    /// The sidecar vanished.
    Lost,
    /// The sidecar was stopped.
    Stopped,
    /// No sidecar ever reported it.
    None,
}

impl Link {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Live => "live",
            Self::Lost => "lost",
            Self::Stopped => "stopped",
            Self::None => "none",
        }
    }

    pub fn parse(word: &str) -> Option<Self> {
        [Self::Live, Self::Lost, Self::Stopped, Self::None].into_iter().find(|link| link.as_str() == word)
    }
}

/// What will change by time alone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NextView {
    pub at: Wall,
    pub becomes: State,
    pub kind: Option<StuckKind>,
    pub because: String,
}

/// One signal as `fleet explain` prints it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SignalLine {
    pub signal: String,
    pub says: String,
    pub source: Option<Source>,
    pub age: Option<Duration>,
}

/// The signals in their order of precedence, what is missing included.
pub(super) fn lines(entry: &Entry, now: Now) -> Vec<SignalLine> {
    let line = |signal: &str, says: String, source, at: Option<Mono>| SignalLine {
        signal: signal.to_owned(),
        says,
        source,
        age: at.map(|at| at.age_at(now.mono)),
    };
    let Some(slot) = entry.best() else {
        return vec![line("pane", describe_pane_signal(&entry.signals().pane), Some(Source::Tmux), None)];
    };
    let at = slot.at.mono;
    let mut lines = vec![
        line("pane", describe_pane(&slot.seen.pane), Some(Source::Tmux), Some(at)),
        line("process", describe_process(&slot.seen.process), Some(Source::Process), Some(at)),
    ];
    if slot.seen.native.is_empty() {
        lines.push(line("native", "nothing known".to_owned(), None, None));
    }
    for native in &slot.seen.native {
        let state = native.state.as_str();
        let says =
            if native.line.is_empty() { state.to_owned() } else { format!("{state}: {}", native.line) };
        lines.push(line("native", says, Some(native.source), native.since.map(|since| at.minus(since))));
    }
    for evidence in &slot.seen.evidence {
        lines.push(line(
            "evidence",
            format!("{}: {}", evidence.kind.as_str(), evidence.line),
            Some(evidence.source),
            Some(at.minus(evidence.confirmed)),
        ));
    }
    lines.push(match &slot.seen.heartbeat {
        Some(beat) => line(
            "heartbeat",
            format!("{}, every {}", beat.status.map_or("no status", Status::as_str), humanize(beat.interval)),
            Some(beat.source),
            Some(at.minus(beat.age)),
        ),
        None => line("heartbeat", "none known".to_owned(), None, None),
    });
    lines.push(match slot.seen.idle {
        Some(idle) => {
            let moved = at.minus(idle);
            line(
                "idle",
                format!("nothing moved for {}", humanize(moved.age_at(now.mono))),
                Some(Source::Tmux),
                Some(moved),
            )
        }
        None => line("idle", "unknown".to_owned(), None, None),
    });
    lines
}

fn describe_pane(pane: &Pane) -> String {
    match pane {
        Pane::Alive { id, pid, command, .. } => format!("alive: {id}, pid {pid}, {command}"),
        Pane::Dead { status, signal } => match (signal, status) {
            (Some(signal), _) => format!("dead by signal {signal}"),
            (None, Some(status)) => format!("dead with status {status}"),
            (None, None) => "dead".to_owned(),
        },
        Pane::Gone => "gone".to_owned(),
        Pane::Unreachable { why } => format!("unreachable: {why}"),
    }
}

fn describe_pane_signal(pane: &PaneSignal) -> String {
    match pane {
        PaneSignal::Gone => "no such session".to_owned(),
        PaneSignal::Unreachable { why } => format!("unreachable: {why}"),
        PaneSignal::Alive | PaneSignal::Dead { .. } | PaneSignal::Unknown => "nobody looked yet".to_owned(),
    }
}

fn describe_process(process: &Process) -> String {
    match process {
        Process::Running { pid, name, stopped: false } => format!("{name} runs as pid {pid}"),
        Process::Running { pid, name, stopped: true } => format!("{name}, pid {pid}, is stopped"),
        Process::Shell { name } => format!("a shell ({name}) has the pane"),
        Process::Exited => "ended".to_owned(),
        Process::Unknown => "unknown".to_owned(),
    }
}
