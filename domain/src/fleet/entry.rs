//! What is known of one session: the latest from each vantage, its roster entry, its unit, its standing, its usage.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::ids::{AgentKey, RuntimeName, SocketName};
use crate::observation::{
    HostPlanes, Observation, Pane, Process, RosterEntry, RosterPlane, SocketState, UnitState, Vantage,
};
use crate::readiness::{
    BeatSignal, Deadline, EvidenceSignal, NativeSignal, PaneSignal, ProcessSignal, Signals, State, StuckKind,
    Verdict,
};
use crate::time::{Mono, Now, Wall};
use crate::usage::Book;

use super::event::{ReporterId, Transition};
use super::{LINGER, absent};

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Standing {
    pub(super) state: State,
    pub(super) kind: Option<StuckKind>,
    pub(super) since: Wall,
}

/// The latest verdict.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Judged {
    pub(super) verdict: Verdict,
    /// Before it, time alone changes nothing of the verdict.
    pub(super) until: Option<Mono>,
}

impl Judged {
    pub(super) fn holds_at(&self, now: Mono) -> bool {
        self.until.is_none_or(|until| now < until)
    }
}

/// The latest observation from one vantage, and when it arrived on this clock.
#[derive(Debug, Clone)]
pub(super) struct Slot {
    pub(super) reporter: ReporterId,
    pub(super) connected: bool,
    /// The reporter said goodbye.
    pub(super) stopped: bool,
    pub(super) at: Now,
    pub(super) seen: Observation,
}

/// By then the host's sidecar has listed every session twice.
const LISTED_BY: Duration = Duration::from_secs(12);

#[derive(Debug, Clone)]
pub(super) struct Entry {
    pub(super) roster: Option<RosterEntry>,
    /// The roster named it once.
    was_managed: bool,
    /// It does so no more; whoever took it out knows that it is gone.
    pub(super) taken_out: bool,
    /// Its place in the roster; unmanaged sessions come after all of it.
    pub(super) position: usize,
    pub(super) unit: Option<UnitState>,
    pub(super) socket: Option<SocketState>,
    pub(super) host_slot: Option<Slot>,
    pub(super) agent_slot: Option<Slot>,
    /// The runtime that this session was seen to run, so that a shell in its place means something.
    pub(super) runtime: Option<RuntimeName>,
    pub(super) standing: Option<Standing>,
    pub(super) judged: Option<Judged>,
    pub(super) book: Book,
    pub(super) transitions: BTreeMap<(State, State), u64>,
    pub(super) generation: u64,
    /// When an unmanaged agent that left is forgotten.
    pub(super) forget_at: Option<Mono>,
    /// Until when the word of its own sidecar, which is gone, stands, where the host's has not seen the session.
    pub(super) stands_until: Option<Mono>,
    /// The deadlines that this entry has in the fleet's queue.
    pub(super) planned: Vec<Mono>,
}

impl Entry {
    pub(super) fn boxed() -> Box<Self> {
        Box::new(Self::new())
    }

    fn new() -> Self {
        Self {
            roster: None,
            was_managed: false,
            taken_out: false,
            position: usize::MAX,
            unit: None,
            socket: None,
            host_slot: None,
            agent_slot: None,
            runtime: None,
            standing: None,
            judged: None,
            book: Book::default(),
            transitions: BTreeMap::new(),
            generation: 0,
            forget_at: None,
            stands_until: None,
            planned: Vec::new(),
        }
    }

    pub(super) fn observe(&mut self, reporter: ReporterId, vantage: Vantage, seen: Observation, now: Now) {
        if let Some(runtime) = &seen.runtime {
            self.runtime = Some(runtime.clone());
        }
        self.stands_until = None;
        let slot = Some(Slot { reporter, connected: true, stopped: false, at: now, seen });
        match vantage {
            Vantage::Host => self.host_slot = slot,
            Vantage::Agent => self.agent_slot = slot,
        }
    }

    /// What outlives the session: totals, counts, standing. Everything seen is dropped.
    pub(super) fn retire(self) -> Self {
        Self { book: self.book, transitions: self.transitions, standing: self.standing, ..Self::new() }
    }

    /// The agent's own sidecar is gone, while the host's, which lists every session, has none of this name: soon it would
    /// have.
    pub(super) fn doubt(&mut self, now: Mono) {
        let silent = self.agent_slot.as_ref().is_some_and(|slot| !slot.connected);
        if silent && self.host_slot.is_none() {
            self.stands_until = Some(now.plus(LISTED_BY));
        }
    }

    /// Drops what does not stand any more.
    pub(super) fn drop_doubtful(&mut self, now: Mono) {
        if self.stands_until.is_some_and(|until| until <= now) {
            (self.stands_until, self.agent_slot) = (None, None);
        }
    }

    /// True where this entry heard from that reporter.
    pub(super) fn disconnect(&mut self, reporter: ReporterId, clean: bool) -> bool {
        let mut heard = false;
        for slot in [&mut self.host_slot, &mut self.agent_slot].into_iter().flatten() {
            if slot.reporter == reporter {
                (slot.connected, slot.stopped) = (false, clean);
                heard = true;
            }
        }
        heard
    }

    /// The agent's own sidecar while it is connected, else the host's; of two silent ones the later.
    pub(super) fn best(&self) -> Option<&Slot> {
        match (&self.agent_slot, &self.host_slot) {
            (Some(agent), _) if agent.connected => Some(agent),
            (_, Some(host)) if host.connected => Some(host),
            (Some(agent), Some(host)) => Some(if agent.at.mono >= host.at.mono { agent } else { host }),
            (agent, host) => agent.as_ref().or(host.as_ref()),
        }
    }

    /// A session counts as an agent when the roster names it or a runtime was seen in it.
    pub(super) fn is_agent(&self) -> bool {
        self.roster.is_some() || self.runtime.is_some()
    }

    /// What changes by time alone, and when.
    pub(super) fn next(&self) -> Option<&Deadline> {
        self.judged.as_ref()?.verdict.next.as_ref()
    }

    pub(super) fn pane(&self) -> PaneSignal {
        match self.best().map(|slot| &slot.seen.pane) {
            None => absent(self.socket.as_ref()),
            Some(Pane::Alive { .. }) => PaneSignal::Alive,
            Some(Pane::Dead { status, signal }) => PaneSignal::Dead { status: *status, signal: *signal },
            Some(Pane::Gone) => PaneSignal::Gone,
            Some(Pane::Unreachable { why }) => PaneSignal::Unreachable { why: why.clone() },
        }
    }

    pub(super) fn signals(&self) -> Signals {
        let Some(slot) = self.best() else {
            return Signals { pane: self.pane(), ..Signals::unknown() };
        };
        let ago = |age| slot.at.mono.minus(age);
        Signals {
            pane: self.pane(),
            process: self.process(&slot.seen.process),
            evidence: slot
                .seen
                .evidence
                .iter()
                .map(|evidence| EvidenceSignal {
                    kind: evidence.kind,
                    line: evidence.line.clone(),
                    source: evidence.source,
                    since: evidence.since.map(ago),
                    confirmed: ago(evidence.confirmed),
                    until: evidence.until.map(|reset| slot.at.mono_of(reset)),
                })
                .collect(),
            heartbeat: slot.seen.heartbeat.as_ref().map(|beat| BeatSignal {
                confirmed: ago(beat.age),
                interval: beat.interval,
                status: beat.status,
            }),
            native: slot.seen.native.iter().map(|native| NativeSignal::of(native, slot.at.mono)).collect(),
            last_activity: slot.seen.idle.map(ago),
        }
    }

    fn process(&self, seen: &Process) -> ProcessSignal {
        match seen {
            Process::Running { stopped, .. } => ProcessSignal::Running { stopped: *stopped },
            Process::Shell { name } => {
                let own_shell =
                    self.roster.as_ref().map_or(self.runtime.is_none(), |entry| entry.runs_a_shell);
                if own_shell {
                    ProcessSignal::Running { stopped: false }
                } else {
                    ProcessSignal::LeftToShell { shell: name.clone() }
                }
            }
            Process::Exited if !self.is_agent() => ProcessSignal::Unknown,
            Process::Exited => ProcessSignal::Exited,
            Process::Unknown => ProcessSignal::Unknown,
        }
    }

    /// Gone for good: an unmanaged session that left; at once when it never was an agent, or was taken out of the roster.
    pub(super) fn is_over(&mut self, now: Now) -> bool {
        let left = match self.best() {
            Some(slot) => matches!(slot.seen.pane, Pane::Gone),
            None => true,
        };
        if self.roster.is_some() || !left {
            self.forget_at = None;
            return false;
        }
        if self.runtime.is_none() || self.taken_out {
            return true;
        }
        let at = *self.forget_at.get_or_insert(now.mono.plus(LINGER));
        now.mono >= at
    }

    /// Takes the verdict as the agent's standing; a change of state or kind is a transition.
    pub(super) fn settle(&mut self, key: &AgentKey, verdict: &Verdict, now: Now) -> Option<Transition> {
        let before = self.standing.as_ref();
        if before.is_some_and(|standing| standing.state == verdict.state && standing.kind == verdict.kind) {
            return None;
        }
        let told = verdict.since.map_or(now.wall, |since| now.wall_of(since)).min(now.wall);
        let since = before.map_or(told, |standing| told.max(standing.since));
        let from = before.map(|standing| standing.state);
        self.standing = Some(Standing { state: verdict.state, kind: verdict.kind, since });
        if let Some(from) = from {
            *self.transitions.entry((from, verdict.state)).or_default() += 1;
        }
        Some(Transition {
            key: key.clone(),
            at: now.wall,
            since,
            from,
            to: verdict.state,
            kind: verdict.kind,
            reason: verdict.reason.clone(),
            evidence: verdict.evidence.clone(),
        })
    }

    /// Takes in what its host's planes say of it.
    pub(super) fn place(&mut self, place: Place<'_>) {
        self.position = place.roster.map_or(usize::MAX, |(position, _)| position);
        self.roster = place.roster.map(|(_, entry)| entry.clone());
        self.was_managed |= self.roster.is_some();
        self.taken_out = self.was_managed && self.roster.is_none() && place.whole;
        self.unit = place.unit.cloned();
        self.socket = place.socket.cloned();
    }
}

fn is_whole(roster: &RosterPlane) -> bool {
    roster.error.is_none() && !roster.path.is_empty()
}

/// What a host's planes say of one session.
#[derive(Clone, Copy, Default)]
pub(super) struct Place<'p> {
    roster: Option<(usize, &'p RosterEntry)>,
    /// The roster is there, and is right.
    whole: bool,
    unit: Option<&'p UnitState>,
    socket: Option<&'p SocketState>,
}

impl<'p> Place<'p> {
    pub(super) fn find(planes: &'p HostPlanes, key: &AgentKey) -> Self {
        let named = |(_, entry): &(usize, &RosterEntry)| {
            entry.name.as_str() == key.session && entry.socket == key.socket
        };
        Self {
            roster: planes.roster.agents.iter().enumerate().find(named),
            whole: is_whole(&planes.roster),
            unit: planes.systemd.units.iter().find(|unit| unit.agent == key.session),
            socket: planes.sockets.iter().find(|plane| plane.socket == key.socket).map(|plane| &plane.state),
        }
    }
}

/// [`Place::find`] for many sessions: ten thousand agents must not mean a hundred million comparisons.
pub(super) struct Places<'p> {
    roster: BTreeMap<(&'p str, &'p SocketName), (usize, &'p RosterEntry)>,
    whole: bool,
    units: BTreeMap<&'p str, &'p UnitState>,
    sockets: BTreeMap<&'p SocketName, &'p SocketState>,
}

impl<'p> Places<'p> {
    pub(super) fn of(planes: &'p HostPlanes) -> Self {
        let agents = planes.roster.agents.iter().enumerate().rev();
        Self {
            roster: agents.map(|(at, entry)| ((entry.name.as_str(), &entry.socket), (at, entry))).collect(),
            whole: is_whole(&planes.roster),
            units: planes.systemd.units.iter().rev().map(|unit| (unit.agent.as_str(), unit)).collect(),
            sockets: planes.sockets.iter().rev().map(|plane| (&plane.socket, &plane.state)).collect(),
        }
    }

    pub(super) fn find(&self, key: &AgentKey) -> Place<'p> {
        Place {
            roster: self.roster.get(&(key.session.as_str(), &key.socket)).copied(),
            whole: self.whole,
            unit: self.units.get(key.session.as_str()).copied(),
            socket: self.sockets.get(&key.socket).copied(),
        }
    }
}
