//! Readiness: a pure, total function of signals, thresholds and `now`. The first row of [`assess`] that holds decides.
//!
//! ```text
//! dead ── pane gone or dead, runtime left to a shell, process ended
//!  └ stuck ── live runtime and evidence that still holds
//!     └ unknown ── tmux does not answer, or no heartbeat is known
//!        └ stale ── the heartbeat is too old
//!           └ working ── native or heartbeat says busy, or the pane moved lately
//!              └ available ── turn over, or idle past the threshold
//!                 └ unknown ── nothing of this is known
//! ```
//!
//! A verdict announces its next deadline: nothing changes before it unless an event comes.

use std::time::Duration;

use crate::fusion;
use crate::heartbeat;
pub use crate::observation::StuckKind;
use crate::observation::{Native, NativeState, Source};
use crate::time::{Mono, humanize};

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum State {
    Dead,
    Stuck,
    Unknown,
    Stale,
    Working,
    Available,
}

impl State {
    pub const ALL: [Self; 6] =
        [Self::Dead, Self::Stuck, Self::Unknown, Self::Stale, Self::Working, Self::Available];

    pub fn as_str(self) -> &'static str {
        match self {
            Self::Dead => "dead",
            Self::Stuck => "stuck",
            Self::Unknown => "unknown",
            Self::Stale => "stale",
            Self::Working => "working",
            Self::Available => "available",
        }
    }

    pub fn parse(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|state| state.as_str() == word)
    }

    /// Smaller is more urgent: the order in which tables list agents, so that what needs a person comes first.
    pub fn urgency(self) -> u8 {
        match self {
            Self::Stuck => 0,
            Self::Dead => 1,
            Self::Stale => 2,
            Self::Unknown => 3,
            Self::Available => 4,
            Self::Working => 5,
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Thresholds {
    /// A pane that moved within this time is working, unless the runtime said that its turn is over.
    pub activity: Duration,
    /// Evidence holds for this many heartbeat intervals after it was last confirmed.
    pub evidence_intervals: u32,
}

impl Default for Thresholds {
    fn default() -> Self {
        Self { activity: Duration::from_secs(300), evidence_intervals: 3 }
    }
}

/// What is known of one agent, on the receiver's clock.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Signals {
    pub pane: PaneSignal,
    pub process: ProcessSignal,
    pub evidence: Vec<EvidenceSignal>,
    pub heartbeat: Option<BeatSignal>,
    pub native: Vec<NativeSignal>,
    pub last_activity: Option<Mono>,
}

impl Signals {
    /// Nothing is known.
    pub fn unknown() -> Self {
        Self {
            pane: PaneSignal::Unknown,
            process: ProcessSignal::Unknown,
            evidence: Vec::new(),
            heartbeat: None,
            native: Vec::new(),
            last_activity: None,
        }
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PaneSignal {
    Alive,
    Dead { status: Option<i32>, signal: Option<i32> },
    Gone,
    Unreachable { why: String },
    Unknown,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ProcessSignal {
    Running {
        stopped: bool,
    },
    /// The runtime left the pane to this shell.
    LeftToShell {
        shell: String,
    },
    Exited,
    Unknown,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EvidenceSignal {
    pub kind: StuckKind,
    pub line: String,
    pub source: Source,
    pub since: Option<Mono>,
    pub confirmed: Mono,
    pub until: Option<Mono>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BeatSignal {
    pub confirmed: Mono,
    pub interval: Duration,
    pub status: Option<heartbeat::Status>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NativeSignal {
    pub state: NativeState,
    pub since: Option<Mono>,
    pub source: Source,
    pub confirmed: Mono,
}

impl NativeSignal {
    /// What was seen, with its ages as of `at`.
    pub fn of(native: &Native, at: Mono) -> Self {
        Self {
            state: native.state,
            since: native.since.map(|age| at.minus(age)),
            source: native.source,
            confirmed: at.minus(native.confirmed),
        }
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verdict {
    pub state: State,
    pub kind: Option<StuckKind>,
    /// One phrase.
    pub reason: String,
    /// Since when the deciding signal says so, where it tells.
    pub since: Option<Mono>,
    pub evidence: Vec<EvidenceSignal>,
    pub next: Option<Deadline>,
}

/// What changes by time alone, and why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Deadline {
    pub at: Mono,
    pub becomes: State,
    pub kind: Option<StuckKind>,
    pub because: String,
}

/// The verdict on `signals` at `now`, with its next deadline.
pub fn assess(signals: &Signals, thresholds: &Thresholds, now: Mono) -> Verdict {
    let mut verdict = judge(signals, thresholds, now);
    verdict.next = next_change(signals, thresholds, now, &verdict);
    verdict
}

/// The verdict alone, for whoever knows the next deadline already.
pub fn judge(signals: &Signals, thresholds: &Thresholds, now: Mono) -> Verdict {
    let holding = fusion::holding(signals, thresholds, now);
    let leading = fusion::leading(signals, thresholds, now);
    let say = |state, reason: String, since| Verdict {
        state,
        kind: None,
        reason,
        since,
        evidence: holding.clone(),
        next: None,
    };

    if let Some(reason) = death(signals) {
        return Verdict { evidence: Vec::new(), ..say(State::Dead, reason, None) };
    }
    if let PaneSignal::Unreachable { why } = &signals.pane {
        return say(State::Unknown, format!("tmux does not answer: {why}"), None);
    }
    if let ProcessSignal::Running { stopped } = signals.process {
        if stopped {
            return Verdict {
                kind: Some(StuckKind::Frozen),
                ..say(State::Stuck, "the process is stopped".to_owned(), None)
            };
        }
        if let Some(worst) = fusion::deciding(&holding, leading) {
            let verdict = say(State::Stuck, worst.kind.phrase().to_owned(), worst.since);
            return Verdict {
                kind: Some(worst.kind),
                evidence: fusion::most_telling(&holding, worst),
                ..verdict
            };
        }
    }
    let Some(beat) = signals.heartbeat else {
        return say(State::Unknown, "no heartbeat is known".to_owned(), None);
    };
    if heartbeat::health(beat.confirmed.age_at(now), beat.interval) == heartbeat::Health::Stale {
        let reason = format!("no answer for longer than {}", humanize(heartbeat::stale_after(beat.interval)));
        return say(State::Stale, reason, Some(stale_at(&beat)));
    }
    living(signals, (&beat, leading), thresholds, now, say)
}

/// The rows below `stale`: the runtime answers and nothing blocks it.
fn living(
    signals: &Signals,
    (beat, leading): (&BeatSignal, Option<&NativeSignal>),
    thresholds: &Thresholds,
    now: Mono,
    say: impl Fn(State, String, Option<Mono>) -> Verdict,
) -> Verdict {
    match leading.copied() {
        Some(NativeSignal { state: NativeState::Busy | NativeState::Retrying, since, .. }) => {
            return say(State::Working, busy_with(signals, thresholds, now).to_owned(), since);
        }
        Some(NativeSignal { state: NativeState::Background, since, .. }) => {
            return say(State::Working, "background work is running".to_owned(), since);
        }
        Some(NativeSignal { state: NativeState::TurnEnded, since, .. }) => {
            return say(State::Available, "the turn is over".to_owned(), since);
        }
        // A prompt that nothing explains any more: its evidence lapsed, so the rows below decide.
        Some(NativeSignal { state: NativeState::Waiting, .. }) | None => {}
    }
    if beat.status == Some(heartbeat::Status::Busy) {
        return say(State::Working, "its heartbeat says busy".to_owned(), None);
    }
    match signals.last_activity {
        Some(moved) if moved.age_at(now) < thresholds.activity => {
            say(State::Working, format!("its pane moved within {}", humanize(thresholds.activity)), None)
        }
        Some(moved) => {
            let reason = format!("idle for longer than {}", humanize(thresholds.activity));
            say(State::Available, reason, Some(moved.plus(thresholds.activity)))
        }
        None => say(State::Unknown, "nothing tells whether it works".to_owned(), None),
    }
}

/// That a request fails again and again, a state file calls busy.
fn busy_with(signals: &Signals, thresholds: &Thresholds, now: Mono) -> &'static str {
    let fresh = |native: &&NativeSignal| now <= fusion::lapses_at(native.confirmed, signals, thresholds);
    match signals.native.iter().filter(fresh).any(|native| native.state == NativeState::Retrying) {
        true => "a turn is running; its last request failed and is sent again",
        false => "a turn is running",
    }
}

fn death(signals: &Signals) -> Option<String> {
    match &signals.pane {
        PaneSignal::Gone => return Some("it has no session".to_owned()),
        PaneSignal::Dead { status, signal } => {
            return Some(match (status, signal) {
                (_, Some(signal)) => format!("its program was ended by signal {signal}"),
                (Some(status), None) => format!("its program ended with status {status}"),
                (None, None) => "its program ended".to_owned(),
            });
        }
        PaneSignal::Alive | PaneSignal::Unreachable { .. } | PaneSignal::Unknown => {}
    }
    match &signals.process {
        ProcessSignal::Exited => Some("its process ended".to_owned()),
        ProcessSignal::LeftToShell { shell } => Some(format!("the runtime left its pane to {shell}")),
        ProcessSignal::Running { .. } | ProcessSignal::Unknown => None,
    }
}

fn stale_at(beat: &BeatSignal) -> Mono {
    beat.confirmed.plus(heartbeat::stale_after(beat.interval)).plus(Duration::from_millis(1))
}

/// Before it, nothing of the verdict of `now` changes by time alone, not even its words; `None`: nothing ever does.
pub fn steady_until(signals: &Signals, thresholds: &Thresholds, now: Mono) -> Option<Mono> {
    moments(signals, thresholds).into_iter().map(|(at, _)| at).filter(|at| *at > now).min()
}

/// The first moment after `now` at which the verdict differs if nothing more is seen.
fn next_change(signals: &Signals, thresholds: &Thresholds, now: Mono, current: &Verdict) -> Option<Deadline> {
    let mut moments = moments(signals, thresholds);
    moments.sort();
    moments.into_iter().filter(|(at, _)| *at > now).find_map(|(at, because)| {
        let then = judge(signals, thresholds, at);
        let same = then.state == current.state && then.kind == current.kind;
        (!same).then(|| Deadline { at, becomes: then.state, kind: then.kind, because: because.to_owned() })
    })
}

/// When something that a verdict rests on lapses, and what that is.
fn moments(signals: &Signals, thresholds: &Thresholds) -> Vec<(Mono, &'static str)> {
    let mut moments = Vec::new();
    if let Some(beat) = &signals.heartbeat {
        moments.push((stale_at(beat), "its last heartbeat will then be three intervals old"));
    }
    for evidence in &signals.evidence {
        match evidence.until {
            Some(reset) => moments.push((reset, "the limit resets")),
            None => {
                let lapse = fusion::lapses_at(evidence.confirmed, signals, thresholds);
                moments
                    .push((lapse.plus(Duration::from_millis(1)), "nothing confirmed the evidence any more"));
            }
        }
    }
    for native in &signals.native {
        let lapse = fusion::lapses_at(native.confirmed, signals, thresholds);
        moments.push((lapse.plus(Duration::from_millis(1)), "nothing said any more whose turn it is"));
    }
    if let Some(moved) = signals.last_activity {
        moments.push((
            moved.plus(thresholds.activity),
            "its pane will not have moved for the activity threshold",
        ));
    }
    moments
}

#[cfg(test)]
#[path = "readiness_tests.rs"]
mod tests;
