//! What the fleet takes in and what follows from it.

use std::collections::BTreeMap;

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
    Changed { key: AgentKey, generation: u64 },
    Removed { key: AgentKey, generation: u64 },
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
