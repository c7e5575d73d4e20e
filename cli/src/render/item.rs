//! The JSON of an agent: a stable contract. Keys may be added, none is ever removed or given another meaning.
//!
//! Times are RFC 3339, durations plain seconds (or milliseconds where the key says `Ms`), `null` is unknown.

use std::borrow::Cow;

use fleet_domain::drift::Drift;
use fleet_domain::fleet::{AgentView, EvidenceView, NextView, SignalLine};
use fleet_domain::price::{Costs, Money};
use fleet_domain::usage::Tokens;
use serde::Serialize;

use super::Scene;
use super::columns::has_drift_flag;
use super::funds::Fund;
use super::words::safe;

pub const API_VERSION: &str = "fleet/v1";

/// What every answer in JSON is: always a list for lists.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct List<L> {
    pub api_version: &'static str,
    pub kind: &'static str,
    /// `collector`, or `direct` where no collector answered: tokens and history are then null.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub origin: Option<&'static str>,
    pub items: L,
}

impl<L> List<L> {
    pub fn new(kind: &'static str, items: L) -> Self {
        Self { api_version: API_VERSION, kind, origin: None, items }
    }
}

/// Agents as they are written: one item at a time, however many there are.
#[derive(Debug, Clone, Copy)]
pub struct Items<'a> {
    pub agents: &'a [&'a AgentView],
    pub scene: &'a Scene,
}

impl Serialize for Items<'_> {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self.agents.iter().map(|agent| AgentItem::of(agent, self.scene)))
    }
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct AgentItem<'a> {
    /// The session's name; with `@socket` where two sockets of a host have it.
    pub name: Cow<'a, str>,
    #[serde(rename = "tenant_id")]
    pub tenant_id: Cow<'a, str>,
    pub host: Cow<'a, str>,
    /// tmux server: `default`, a `-L` name, or an absolute path.
    pub socket: Cow<'a, str>,
    pub session: Cow<'a, str>,
    pub runtime: Option<Cow<'a, str>>,
    pub class: Option<Cow<'a, str>>,
    pub alias: Option<Cow<'a, str>>,
    pub account: Option<Cow<'a, str>>,
    /// In the roster.
    pub managed: bool,
    /// systemd's own words, or `unknown`.
    pub systemd_active: Cow<'a, str>,
    pub systemd_enabled: Cow<'a, str>,
    pub pane_alive: Option<bool>,
    pub pane_id: Option<Cow<'a, str>>,
    pub pane_pid: Option<u32>,
    pub pane_command: Option<Cow<'a, str>>,
    pub pane_title: Option<Cow<'a, str>>,
    pub idle_seconds: Option<u64>,
    pub heartbeat: HeartbeatItem<'a>,
    /// dead, stuck, unknown, stale, working or available.
    pub readiness: &'static str,
    /// Why it is stuck; null in every other state.
    pub readiness_kind: Option<&'static str>,
    pub readiness_since: Option<String>,
    pub readiness_reason: Cow<'a, str>,
    pub evidence: Vec<EvidenceItem<'a>>,
    /// A person's unsent text stands in its box.
    pub draft: Option<bool>,
    /// Another runtime or model runs than the roster says.
    pub drift_flag: bool,
    /// Active, but not enabled: gone after the next boot.
    pub boot_enable_warning: bool,
    pub drift: Vec<DriftItem<'a>>,
    pub model: Option<Cow<'a, str>>,
    pub conversation: Option<Cow<'a, str>>,
    /// Since the reader's midnight.
    pub tokens_today: Option<TokensItem>,
    /// What those cost; null where nothing was used, or no collector tells.
    pub cost_today: Option<CostItem>,
    /// The account that pays for it, by the budget in force; null where that tells of none.
    pub budget: Option<FundItem<'a>>,
    /// Who watches it: live, lost, stopped or none.
    pub link: &'static str,
    pub next: Option<NextItem<'a>>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct HeartbeatItem<'a> {
    /// When the runtime last answered.
    pub ts: Option<String>,
    pub pid: Option<u32>,
    /// ok or busy.
    pub status: Option<&'static str>,
    pub model: Option<Cow<'a, str>>,
    pub age_ms: Option<u64>,
    /// healthy, stale or unknown.
    pub health: &'static str,
    /// Which signal confirmed the runtime.
    pub source: Option<&'static str>,
    /// Its time lay in the reader's future.
    pub clock_skew: bool,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct EvidenceItem<'a> {
    pub kind: &'static str,
    pub line: Cow<'a, str>,
    pub source: &'static str,
    pub since: Option<String>,
    /// A limit's reset.
    pub until: Option<String>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct DriftItem<'a> {
    pub kind: &'static str,
    /// info, warning or critical.
    pub severity: &'static str,
    pub detail: Cow<'a, str>,
    /// What mends it.
    pub remedy: Cow<'a, str>,
}

/// The first five kinds are disjoint and add up to `total`; `reasoning` is part of `output`.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct TokensItem {
    pub input: u64,
    pub cache_read: u64,
    #[serde(rename = "cacheWrite5m")]
    pub cache_write_5m: u64,
    #[serde(rename = "cacheWrite1h")]
    pub cache_write_1h: u64,
    pub output: u64,
    pub reasoning: u64,
    pub total: u64,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct CostItem {
    /// US dollars of those responses whose cost is known; null where none's is.
    pub usd: Option<f64>,
    /// Responses that are not in `usd`.
    pub unpriced: u64,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct FundItem<'a> {
    pub account: Cow<'a, str>,
    /// Of the window that is used fastest; above 1 it will not last.
    pub pace: Option<PaceItem<'a>>,
    /// Of the window that has least left.
    pub room: Option<RoomItem<'a>>,
}

#[derive(Debug, Serialize)]
pub struct PaceItem<'a> {
    pub window: Cow<'a, str>,
    pub ratio: f64,
}

#[derive(Debug, Serialize)]
pub struct RoomItem<'a> {
    pub window: Cow<'a, str>,
    /// Neither used nor held, as a share of its limit.
    pub share: f64,
}

/// What changes by time alone if nothing more is seen.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct NextItem<'a> {
    pub at: String,
    pub becomes: &'static str,
    pub kind: Option<&'static str>,
    pub because: Cow<'a, str>,
}

/// One signal, only in `fleet explain`.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct SignalItem<'a> {
    pub signal: Cow<'a, str>,
    pub says: Cow<'a, str>,
    pub source: Option<&'static str>,
    pub age_ms: Option<u64>,
}

impl<'a> AgentItem<'a> {
    pub fn of(agent: &'a AgentView, scene: &'a Scene) -> Self {
        Self {
            name: safe(&agent.name),
            tenant_id: safe(agent.key.tenant.as_str()),
            host: safe(agent.key.host.as_str()),
            socket: safe(agent.key.socket.shown()),
            session: safe(&agent.key.session),
            runtime: agent.runtime.as_ref().map(|runtime| safe(runtime.as_str())),
            class: some(&agent.class),
            alias: some(&agent.alias),
            account: some(&agent.account),
            managed: agent.managed,
            systemd_active: safe(&agent.systemd_active),
            systemd_enabled: safe(&agent.systemd_enabled),
            pane_alive: agent.pane_alive,
            pane_id: some(&agent.pane_id),
            pane_pid: agent.pane_pid,
            pane_command: some(&agent.pane_command),
            pane_title: some(&agent.pane_title),
            idle_seconds: agent.idle.map(|idle| idle.as_secs()),
            heartbeat: heartbeat(agent),
            readiness: agent.state.as_str(),
            readiness_kind: agent.kind.map(|kind| kind.as_str()),
            readiness_since: scene.since(agent).map(|since| since.to_rfc3339()),
            readiness_reason: safe(&agent.reason),
            evidence: agent.evidence.iter().map(evidence).collect(),
            draft: agent.draft,
            drift_flag: has_drift_flag(agent),
            boot_enable_warning: agent
                .drift
                .iter()
                .any(|drift| drift.kind == fleet_domain::drift::Kind::Boot),
            drift: agent.drift.iter().map(drift).collect(),
            model: some(&agent.model),
            conversation: agent.conversation.as_ref().map(|id| safe(id.as_str())),
            tokens_today: scene.tokens(agent).map(tokens),
            cost_today: scene.funds.cost(agent).map(cost),
            budget: scene.funds.fund(agent).map(fund),
            link: agent.link.as_str(),
            next: agent.next.as_ref().map(next),
        }
    }
}

impl<'a> SignalItem<'a> {
    pub fn of(line: &'a SignalLine) -> Self {
        Self {
            signal: safe(&line.signal),
            says: safe(&line.says),
            source: line.source.map(|source| source.as_str()),
            age_ms: line.age.map(millis),
        }
    }
}

fn heartbeat(agent: &AgentView) -> HeartbeatItem<'_> {
    let beat = &agent.heartbeat;
    HeartbeatItem {
        ts: beat.ts.map(|ts| ts.to_rfc3339()),
        pid: beat.pid,
        status: beat.status.map(|status| status.as_str()),
        model: agent.model.as_deref().filter(|_| beat.ts.is_some()).map(safe),
        age_ms: beat.age.map(millis),
        health: beat.health.as_str(),
        source: beat.source.map(|source| source.as_str()),
        clock_skew: beat.clock_skew,
    }
}

fn evidence(evidence: &EvidenceView) -> EvidenceItem<'_> {
    EvidenceItem {
        kind: evidence.kind.as_str(),
        line: safe(&evidence.line),
        source: evidence.source.as_str(),
        since: evidence.since.map(|since| since.to_rfc3339()),
        until: evidence.until.map(|until| until.to_rfc3339()),
    }
}

fn drift(drift: &Drift) -> DriftItem<'_> {
    DriftItem {
        kind: drift.kind.as_str(),
        severity: drift.kind.severity().as_str(),
        detail: safe(&drift.detail),
        remedy: safe(&drift.remedy),
    }
}

fn tokens(tokens: &Tokens) -> TokensItem {
    TokensItem {
        input: tokens.input,
        cache_read: tokens.cache_read,
        cache_write_5m: tokens.cache_write_5m,
        cache_write_1h: tokens.cache_write_1h,
        output: tokens.output,
        reasoning: tokens.reasoning,
        total: tokens.total(),
    }
}

fn cost(costs: &Costs) -> CostItem {
    CostItem { usd: costs.known().map(Money::usd), unpriced: costs.unpriced }
}

fn fund(fund: &Fund) -> FundItem<'_> {
    FundItem {
        account: safe(&fund.account),
        pace: fund.pace.as_ref().map(|(ratio, window)| PaceItem { window: safe(window), ratio: *ratio }),
        room: fund.room.as_ref().map(|(share, window)| RoomItem { window: safe(window), share: *share }),
    }
}

fn next(next: &NextView) -> NextItem<'_> {
    NextItem {
        at: next.at.to_rfc3339(),
        becomes: next.becomes.as_str(),
        kind: next.kind.map(|kind| kind.as_str()),
        because: safe(&next.because),
    }
}

fn some(value: &Option<String>) -> Option<Cow<'_, str>> {
    value.as_deref().map(safe)
}

fn millis(duration: std::time::Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
#[path = "item_tests.rs"]
mod tests;
