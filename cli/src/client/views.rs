//! Answers of the collector as values; nothing of protobuf goes further.

use fleet_domain::fleet::{AgentView, MassDeath};
use fleet_domain::ids::{AgentKey, HostId, TenantId};
use fleet_domain::readiness::{State, StuckKind};
use fleet_domain::text;
use fleet_domain::time::Wall;
use fleet_proto::convert::{
    Listed, agent_from_pb, key_from_pb, kind_from_pb, mass_end_from_pb, state_from_pb,
};
use fleet_proto::limits::MAX_NAME;
use fleet_proto::pb;

/// Every agent and every host, as the collector has them.
#[derive(Debug, Clone, Default)]
pub struct Listing {
    pub agents: Vec<AgentView>,
    pub hosts: Vec<HostView>,
    /// Agents that this version cannot read.
    pub unreadable: usize,
}

/// What a table needs of a host besides its agents.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HostView {
    pub tenant: TenantId,
    pub host: HostId,
    pub up: bool,
    /// Its host-wide sidecar said goodbye.
    pub stopped: bool,
    pub roster_path: String,
    pub roster_error: Option<String>,
    pub systemd_unavailable: Option<String>,
    /// Every session that there was has been reported.
    pub listed: bool,
}

#[derive(Debug, Clone)]
pub enum Update {
    Snapshot(Listing),
    Changed(Box<AgentView>),
    Removed(AgentKey),
}

/// A change of state.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EventView {
    pub key: AgentKey,
    pub at: Wall,
    /// `None` when the agent was seen for the first time.
    pub from: Option<State>,
    pub to: State,
    pub kind: Option<StuckKind>,
    pub reason: String,
    pub evidence: Option<String>,
}

/// What `fleet events` tells.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Happened {
    Moved(EventView),
    MassDeath(MassDeath),
}

/// The collector itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CollectorStatus {
    pub version: String,
    pub started: Wall,
    pub streams: u32,
    pub agents: u32,
    pub http: Option<String>,
    pub store: String,
    pub store_error: Option<String>,
    /// Lines of usage that should have been readable, since its start.
    pub usage_unreadable: u64,
    /// Rows that speak of tokens: runtime, the kind that nobody here knows, and how many.
    pub usage_unknown: Vec<(String, String, u64)>,
}

pub(super) fn listing(answer: Listed) -> Listing {
    let Listed { agents, hosts, unreadable } = answer;
    Listing { agents, hosts: hosts.iter().map(host).collect(), unreadable }
}

/// `None` for a change of a later version.
pub(super) fn update(answer: pb::WatchAgentsResponse) -> Option<Update> {
    use pb::watch_agents_response::Change;
    Some(match answer.change? {
        Change::Snapshot(snapshot) => Update::Snapshot(listing(snapshot.into())),
        Change::Changed(agent) => Update::Changed(Box::new(agent_from_pb(agent).ok()?)),
        Change::Removed(key) => Update::Removed(key_from_pb(key)),
    })
}

/// `None` for what a later version tells.
pub(super) fn happened(answer: pb::EventsResponse) -> Option<Happened> {
    if let Some(death) = &answer.mass_death {
        return Some(Happened::MassDeath(MassDeath {
            tenant: TenantId::new(&death.tenant_id),
            host: HostId::new(&death.host),
            at: Wall(death.at_unix_ms),
            end: mass_end_from_pb(death.end.as_ref()?).ok()?,
        }));
    }
    let transition = answer.transition?;
    Some(Happened::Moved(EventView {
        key: key_from_pb(transition.key?),
        at: Wall(transition.at_unix_ms),
        from: state_from_pb(transition.from),
        to: state_from_pb(transition.to)?,
        kind: kind_from_pb(transition.kind),
        reason: clean(&transition.reason),
        evidence: some(&transition.evidence),
    }))
}

pub(super) fn status(answer: &pb::GetStatusResponse) -> CollectorStatus {
    CollectorStatus {
        version: clean(&answer.version),
        started: Wall(answer.started_unix_ms),
        streams: answer.streams,
        agents: answer.agents,
        http: some(&answer.http),
        store: clean(&answer.store),
        store_error: answer.store_error.as_deref().map(clean),
        usage_unreadable: answer.usage_unreadable,
        usage_unknown: answer
            .usage_unknown
            .iter()
            .map(|of| (clean(&of.runtime), clean(&of.kind), of.count))
            .collect(),
    }
}

fn host(host: &pb::HostStatus) -> HostView {
    HostView {
        tenant: TenantId::new(&host.tenant_id),
        host: HostId::new(&host.host),
        up: host.up,
        stopped: host.stopped,
        roster_path: clean(&host.roster_path),
        roster_error: host.roster_error.as_deref().map(clean),
        systemd_unavailable: host.systemd_unavailable.as_deref().map(clean),
        listed: host.listed,
    }
}

fn clean(value: &str) -> String {
    text::clean(value, MAX_NAME)
}

fn some(value: &str) -> Option<String> {
    Some(clean(value)).filter(|value| !value.is_empty())
}
