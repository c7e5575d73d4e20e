//! The JSON of an agent: a stable contract. Keys may be added, none is ever removed or given another meaning.
//!
//! Times are RFC 3339, durations plain seconds (or milliseconds where the key says `Ms`), `null` is unknown.

use fleet_domain::drift::Drift;
use fleet_domain::fleet::{AgentView, EvidenceView, NextView, SignalLine};
use fleet_domain::usage::Tokens;
use serde::Serialize;

use super::Scene;
use super::columns::has_drift_flag;
use super::words::safe;

pub const API_VERSION: &str = "fleet/v1";

/// What every answer in JSON is: always a list for lists.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct List<T> {
    pub api_version: &'static str,
    pub kind: &'static str,
    /// `collector`, or `direct` where no collector answered: tokens and history are then null.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub origin: Option<&'static str>,
    pub items: Vec<T>,
}

impl<T> List<T> {
    pub fn new(kind: &'static str, items: Vec<T>) -> Self {
        Self { api_version: API_VERSION, kind, origin: None, items }
    }
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct AgentItem {
    /// The session's name; with `@socket` where two sockets of a host have it.
    pub name: String,
    #[serde(rename = "tenant_id")]
    pub tenant_id: String,
    pub host: String,
    /// tmux server: `default`, a `-L` name, or an absolute path.
    pub socket: String,
    pub session: String,
    pub runtime: Option<String>,
    pub class: Option<String>,
    pub alias: Option<String>,
    pub account: Option<String>,
    /// In the roster.
    pub managed: bool,
    /// systemd's own words, or `unknown`.
    pub systemd_active: String,
    pub systemd_enabled: String,
    pub pane_alive: Option<bool>,
    pub pane_id: Option<String>,
    pub pane_pid: Option<u32>,
    pub pane_command: Option<String>,
    pub pane_title: Option<String>,
    pub idle_seconds: Option<u64>,
    pub heartbeat: HeartbeatItem,
    /// dead, stuck, unknown, stale, working or available.
    pub readiness: &'static str,
    /// Why it is stuck; null in every other state.
    pub readiness_kind: Option<&'static str>,
    pub readiness_since: Option<String>,
    pub readiness_reason: String,
    pub evidence: Vec<EvidenceItem>,
    /// A person's unsent text stands in its box.
    pub draft: Option<bool>,
    /// Another runtime or model runs than the roster says.
    pub drift_flag: bool,
    /// Active, but not enabled: gone after the next boot.
    pub boot_enable_warning: bool,
    pub drift: Vec<DriftItem>,
    pub model: Option<String>,
    pub conversation: Option<String>,
    /// Since the reader's midnight.
    pub tokens_today: Option<TokensItem>,
    /// Who watches it: live, lost, stopped or none.
    pub link: &'static str,
    pub next: Option<NextItem>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct HeartbeatItem {
    /// When the runtime last answered.
    pub ts: Option<String>,
    pub pid: Option<u32>,
    /// ok or busy.
    pub status: Option<&'static str>,
    pub model: Option<String>,
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
pub struct EvidenceItem {
    pub kind: &'static str,
    pub line: String,
    pub source: &'static str,
    pub since: Option<String>,
    /// A limit's reset.
    pub until: Option<String>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct DriftItem {
    pub kind: &'static str,
    /// info, warning or critical.
    pub severity: &'static str,
    pub detail: String,
    /// What mends it.
    pub remedy: String,
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

/// What changes by time alone if nothing more is seen.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct NextItem {
    pub at: String,
    pub becomes: &'static str,
    pub kind: Option<&'static str>,
    pub because: String,
}

/// One signal, only in `fleet explain`.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct SignalItem {
    pub signal: String,
    pub says: String,
    pub source: Option<&'static str>,
    pub age_ms: Option<u64>,
}

impl AgentItem {
    pub fn of(agent: &AgentView, scene: &Scene) -> Self {
        Self {
            name: text(&agent.name),
            tenant_id: text(agent.key.tenant.as_str()),
            host: text(agent.key.host.as_str()),
            socket: text(agent.key.socket.shown()),
            session: text(&agent.key.session),
            runtime: agent.runtime.as_ref().map(|runtime| text(runtime.as_str())),
            class: some(&agent.class),
            alias: some(&agent.alias),
            account: some(&agent.account),
            managed: agent.managed,
            systemd_active: text(&agent.systemd_active),
            systemd_enabled: text(&agent.systemd_enabled),
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
            readiness_reason: text(&agent.reason),
            evidence: agent.evidence.iter().map(evidence).collect(),
            draft: agent.draft,
            drift_flag: has_drift_flag(agent),
            boot_enable_warning: agent
                .drift
                .iter()
                .any(|drift| drift.kind == fleet_domain::drift::Kind::Boot),
            drift: agent.drift.iter().map(drift).collect(),
            model: some(&agent.model),
            conversation: agent.conversation.as_ref().map(|id| text(id.as_str())),
            tokens_today: scene.tokens(agent).map(tokens),
            link: agent.link.as_str(),
            next: agent.next.as_ref().map(next),
        }
    }
}

impl SignalItem {
    pub fn of(line: &SignalLine) -> Self {
        Self {
            signal: text(&line.signal),
            says: text(&line.says),
            source: line.source.map(|source| source.as_str()),
            age_ms: line.age.map(millis),
        }
    }
}

fn heartbeat(agent: &AgentView) -> HeartbeatItem {
    let beat = &agent.heartbeat;
    HeartbeatItem {
        ts: beat.ts.map(|ts| ts.to_rfc3339()),
        pid: beat.pid,
        status: beat.status.map(|status| status.as_str()),
        model: agent.model.as_deref().filter(|_| beat.ts.is_some()).map(text),
        age_ms: beat.age.map(millis),
        health: beat.health.as_str(),
        source: beat.source.map(|source| source.as_str()),
        clock_skew: beat.clock_skew,
    }
}

fn evidence(evidence: &EvidenceView) -> EvidenceItem {
    EvidenceItem {
        kind: evidence.kind.as_str(),
        line: text(&evidence.line),
        source: evidence.source.as_str(),
        since: evidence.since.map(|since| since.to_rfc3339()),
        until: evidence.until.map(|until| until.to_rfc3339()),
    }
}

fn drift(drift: &Drift) -> DriftItem {
    DriftItem {
        kind: drift.kind.as_str(),
        severity: drift.kind.severity().as_str(),
        detail: text(&drift.detail),
        remedy: text(&drift.remedy),
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

fn next(next: &NextView) -> NextItem {
    NextItem {
        at: next.at.to_rfc3339(),
        becomes: next.becomes.as_str(),
        kind: next.kind.map(|kind| kind.as_str()),
        because: text(&next.because),
    }
}

fn text(value: &str) -> String {
    safe(value).into_owned()
}

fn some(value: &Option<String>) -> Option<String> {
    value.as_deref().map(text)
}

fn millis(duration: std::time::Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
#[path = "item_tests.rs"]
mod tests;
