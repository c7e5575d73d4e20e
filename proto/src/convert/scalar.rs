//! Enums, keys, durations, text.

use std::borrow::Cow;
use std::time::Duration;

use fleet_domain::heartbeat::Status;
use fleet_domain::ids::{AgentKey, HostId, SocketName, TenantId};
use fleet_domain::observation::{Source, Vantage};
use fleet_domain::readiness::{State, StuckKind};
use fleet_domain::text;

use super::Invalid;
use crate::limits::MAX_NAME;
use crate::pb;

/// An age or duration beyond this is the sender's mistake, not a century of silence.
const MAX_MS: u64 = 1000 * 3600 * 24 * 366 * 100;

pub(super) fn ms(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(MAX_MS).min(MAX_MS)
}

pub(super) fn duration(ms: u64) -> Duration {
    Duration::from_millis(ms.min(MAX_MS))
}

pub(super) fn name<'t>(value: impl Into<Cow<'t, str>>) -> String {
    text::cleaned(value, MAX_NAME)
}

/// Cleaned; empty is none.
pub(super) fn some<'t>(value: impl Into<Cow<'t, str>>) -> Option<String> {
    Some(name(value)).filter(|value| !value.is_empty())
}

pub fn key_to_pb(key: &AgentKey) -> pb::AgentKey {
    key_into_pb(key.clone())
}

pub(super) fn key_into_pb(key: AgentKey) -> pb::AgentKey {
    pb::AgentKey {
        tenant_id: key.tenant.into_string(),
        host: key.host.into_string(),
        socket: key.socket.into_string(),
        session: key.session,
    }
}

pub fn key_from_pb(key: pb::AgentKey) -> AgentKey {
    AgentKey::new(
        TenantId::new(key.tenant_id),
        HostId::new(key.host),
        SocketName::new(key.socket),
        key.session,
    )
}

pub fn vantage_from_pb(vantage: i32) -> Result<Vantage, Invalid> {
    match pb::Vantage::try_from(vantage) {
        Ok(pb::Vantage::Host | pb::Vantage::Collector) => Ok(Vantage::Host),
        Ok(pb::Vantage::Agent) => Ok(Vantage::Agent),
        _ => Err(Invalid::Missing("vantage")),
    }
}

pub fn state_to_pb(state: State) -> pb::State {
    match state {
        State::Dead => pb::State::Dead,
        State::Stuck => pb::State::Stuck,
        State::Unknown => pb::State::Unknown,
        State::Stale => pb::State::Stale,
        State::Working => pb::State::Working,
        State::Available => pb::State::Available,
    }
}

/// `None` is unspecified, or a state of a later version.
pub fn state_from_pb(state: i32) -> Option<State> {
    State::ALL.into_iter().find(|known| state_to_pb(*known) as i32 == state)
}

pub fn kind_to_pb(kind: Option<StuckKind>) -> pb::StuckKind {
    match kind {
        None => pb::StuckKind::Unspecified,
        Some(StuckKind::Trust) => pb::StuckKind::Trust,
        Some(StuckKind::Login) => pb::StuckKind::Login,
        Some(StuckKind::Dialog) => pb::StuckKind::Dialog,
        Some(StuckKind::Permission) => pb::StuckKind::Permission,
        Some(StuckKind::Question) => pb::StuckKind::Question,
        Some(StuckKind::UsageLimit) => pb::StuckKind::UsageLimit,
        Some(StuckKind::Error) => pb::StuckKind::Error,
        Some(StuckKind::ContextFull) => pb::StuckKind::ContextFull,
        Some(StuckKind::Frozen) => pb::StuckKind::Frozen,
        Some(StuckKind::NoProgress) => pb::StuckKind::NoProgress,
    }
}

pub fn kind_from_pb(kind: i32) -> Option<StuckKind> {
    StuckKind::ALL.into_iter().find(|known| kind_to_pb(Some(*known)) as i32 == kind)
}

pub(super) fn source_to_pb(source: Option<Source>) -> i32 {
    (match source {
        None => pb::Source::Unspecified,
        Some(Source::Process) => pb::Source::Process,
        Some(Source::StateFile) => pb::Source::StateFile,
        Some(Source::Hook) => pb::Source::Hook,
        Some(Source::Api) => pb::Source::Api,
        Some(Source::Transcript) => pb::Source::Transcript,
        Some(Source::Screen) => pb::Source::Screen,
        Some(Source::HeartbeatFile) => pb::Source::HeartbeatFile,
        Some(Source::Tmux) => pb::Source::Tmux,
    }) as i32
}

pub(super) fn source_from_pb(source: i32) -> Option<Source> {
    match pb::Source::try_from(source).ok()? {
        pb::Source::Unspecified => None,
        pb::Source::Process => Some(Source::Process),
        pb::Source::StateFile => Some(Source::StateFile),
        pb::Source::Hook => Some(Source::Hook),
        pb::Source::Api => Some(Source::Api),
        pb::Source::Transcript => Some(Source::Transcript),
        pb::Source::Screen => Some(Source::Screen),
        pb::Source::HeartbeatFile => Some(Source::HeartbeatFile),
        pb::Source::Tmux => Some(Source::Tmux),
    }
}

pub(super) fn status_to_pb(status: Option<Status>) -> i32 {
    (match status {
        None => pb::BeatStatus::Unspecified,
        Some(Status::Ok) => pb::BeatStatus::Ok,
        Some(Status::Busy) => pb::BeatStatus::Busy,
    }) as i32
}

pub(super) fn status_from_pb(status: i32) -> Option<Status> {
    match pb::BeatStatus::try_from(status).ok()? {
        pb::BeatStatus::Unspecified => None,
        pb::BeatStatus::Ok => Some(Status::Ok),
        pb::BeatStatus::Busy => Some(Status::Busy),
    }
}
