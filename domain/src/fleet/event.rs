//! What the fleet takes in and what follows from it.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::ids::{AgentKey, HostId, TenantId};
use crate::observation::{HostPlanes, Observation, Vantage};
use crate::readiness::{EvidenceSignal, State, StuckKind};
use crate::time::Wall;
use crate::usage::{Change, Tokens};

/// One stream of one sidecar; a reconnected one is another reporter.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ReporterId(pub u64);

#[derive(Debug, Clone)]
pub enum Event {
    Connected {
        reporter: ReporterId,
        tenant: TenantId,
        host: HostId,
        vantage: Vantage,
    },
    /// `clean`: the sidecar said goodbye; otherwise it vanished.
    Disconnected {
        reporter: ReporterId,
        clean: bool,
    },
    Observed {
        reporter: ReporterId,
        observation: Observation,
    },
    Planes {
        reporter: ReporterId,
        planes: HostPlanes,
    },
    /// So many agents ended at the same moment that the cause is in none of them.
    MassDied {
        reporter: ReporterId,
        told: MassEnd,
    },
    /// Usage that the store has taken in.
    Used {
        key: AgentKey,
        change: Change,
    },
    Restored(Box<Restored>),
    /// Time passed.
    Tick,
}

/// What the store remembers of one agent.
#[derive(Debug, Clone)]
pub struct Restored {
    pub key: AgentKey,
    pub standing: Option<(State, Option<StuckKind>, Wall)>,
    pub by_model: BTreeMap<String, Tokens>,
    /// The last day's usage, for today's figures.
    pub recent: Vec<(Wall, Tokens)>,
    pub transitions: BTreeMap<(State, State), u64>,
}

#[derive(Debug, Clone, PartialEq)]
pub enum Effect {
    Transition(Transition),
    MassDeath(MassDeath),
    Changed { key: AgentKey, generation: u64 },
    Removed { key: AgentKey, generation: u64 },
}

/// Who ended together, as the host's keeper tells it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MassEnd {
    /// Names from the roster, each once.
    pub agents: Vec<String>,
    /// They are started again one after the other, so far apart; `None` where nobody starts them.
    pub apart: Option<Duration>,
}

/// Many agents of one host that ended at once: one event, beside the change of state of each.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MassDeath {
    pub tenant: TenantId,
    pub host: HostId,
    pub at: Wall,
    pub end: MassEnd,
}

/// What readers of the past are told, in the order in which it happened.
#[derive(Debug, Clone, PartialEq)]
pub enum Happening {
    Transition(Transition),
    MassDeath(MassDeath),
}

/// A change of state, with what showed it.
#[derive(Debug, Clone, PartialEq)]
pub struct Transition {
    pub key: AgentKey,
    /// When it was settled.
    pub at: Wall,
    /// Since when the new state holds; earlier than `at` where the deciding signal tells.
    pub since: Wall,
    /// `None` when the agent was seen for the first time.
    pub from: Option<State>,
    pub to: State,
    pub kind: Option<StuckKind>,
    pub reason: String,
    pub evidence: Vec<EvidenceSignal>,
}
