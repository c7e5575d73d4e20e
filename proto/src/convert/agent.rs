//! What readers see: agents and transitions.

use std::collections::BTreeMap;

use fleet_domain::drift::{Drift, Kind};
use fleet_domain::fleet::{
    AgentView, BeatView, EvidenceView, Happening, Link, MassDeath, NextView, SignalLine, Transition,
};
use fleet_domain::heartbeat::Health;
use fleet_domain::ids::{RuntimeName, SessionId};
use fleet_domain::time::Wall;

use super::scalar::{
    duration, key_from_pb, key_into_pb, key_to_pb, kind_from_pb, kind_to_pb, ms, name, some, source_from_pb,
    source_to_pb, state_from_pb, state_to_pb, status_from_pb, status_to_pb,
};
use super::usage::{tokens_from_pb, tokens_to_pb};
use super::{Invalid, mass_end_to_pb};
use crate::pb;

/// `detailed` adds the signals, which only a reader of one agent wants.
pub fn agent_to_pb(view: &AgentView, detailed: bool) -> pb::Agent {
    agent_into_pb(view.clone(), detailed)
}

/// The same without a copy, for a list of many.
pub fn agent_into_pb(view: AgentView, detailed: bool) -> pb::Agent {
    let by_model = view.by_model.into_iter();
    pb::Agent {
        key: Some(key_into_pb(view.key)),
        name: view.name,
        runtime: view.runtime.map(RuntimeName::into_string).unwrap_or_default(),
        class: view.class,
        alias: view.alias.unwrap_or_default(),
        account: view.account.unwrap_or_default(),
        managed: view.managed,
        systemd_active: view.systemd_active,
        systemd_enabled: view.systemd_enabled,
        pane_alive: view.pane_alive,
        pane_id: view.pane_id,
        pane_pid: view.pane_pid,
        pane_command: view.pane_command,
        pane_title: view.pane_title,
        idle_ms: view.idle.map(ms),
        heartbeat: Some(beat_to_pb(&view.heartbeat)),
        state: state_to_pb(view.state) as i32,
        kind: kind_to_pb(view.kind) as i32,
        since_unix_ms: view.since.0,
        reason: view.reason,
        evidence: view.evidence.into_iter().map(evidence_to_pb).collect(),
        draft: view.draft,
        drift: view.drift.into_iter().map(drift_to_pb).collect(),
        model: view.model.unwrap_or_default(),
        conversation: view.conversation.map(SessionId::into_string).unwrap_or_default(),
        tokens_today: Some(tokens_to_pb(&view.tokens_today)),
        by_model: by_model
            .map(|(model, tokens)| pb::ModelTokens { model, tokens: Some(tokens_to_pb(&tokens)) })
            .collect(),
        link: view.link.as_str().to_owned(),
        next: view.next.map(|next| pb::Next {
            at_unix_ms: next.at.0,
            becomes: state_to_pb(next.becomes) as i32,
            kind: kind_to_pb(next.kind) as i32,
            because: next.because,
        }),
        signals: if detailed { view.signals.into_iter().map(signal_to_pb).collect() } else { Vec::new() },
        generation: view.generation,
    }
}

fn drift_to_pb(drift: Drift) -> pb::Drift {
    pb::Drift { kind: drift.kind.as_str().to_owned(), detail: drift.detail, remedy: drift.remedy }
}

fn beat_to_pb(beat: &BeatView) -> pb::AgentBeat {
    pb::AgentBeat {
        ts_unix_ms: beat.ts.map(|ts| ts.0),
        pid: beat.pid,
        status: status_to_pb(beat.status),
        age_ms: beat.age.map(ms),
        health: beat.health.as_str().to_owned(),
        source: source_to_pb(beat.source),
        clock_skew: beat.clock_skew,
    }
}

fn evidence_to_pb(evidence: EvidenceView) -> pb::AgentEvidence {
    pb::AgentEvidence {
        kind: kind_to_pb(Some(evidence.kind)) as i32,
        line: evidence.line,
        source: source_to_pb(Some(evidence.source)),
        since_unix_ms: evidence.since.map(|since| since.0),
        until_unix_ms: evidence.until.map(|until| until.0),
    }
}

fn signal_to_pb(line: SignalLine) -> pb::Signal {
    pb::Signal {
        signal: line.signal,
        says: line.says,
        source: source_to_pb(line.source),
        age_ms: line.age.map(ms),
    }
}

/// Takes the message apart: its words become the view's.
pub fn agent_from_pb(agent: pb::Agent) -> Result<AgentView, Invalid> {
    let state = state_from_pb(agent.state).ok_or(Invalid::Missing("agent.state"))?;
    let heartbeat = agent.heartbeat.ok_or(Invalid::Missing("agent.heartbeat"))?;
    Ok(AgentView {
        key: key_from_pb(agent.key.ok_or(Invalid::Missing("agent.key"))?),
        name: name(agent.name),
        runtime: some(agent.runtime).map(RuntimeName::new),
        class: agent.class.map(name),
        alias: some(agent.alias),
        account: some(agent.account),
        managed: agent.managed,
        systemd_active: name(agent.systemd_active),
        systemd_enabled: name(agent.systemd_enabled),
        pane_alive: agent.pane_alive,
        pane_id: agent.pane_id.map(name),
        pane_pid: agent.pane_pid,
        pane_command: agent.pane_command.map(name),
        pane_title: agent.pane_title.map(name),
        idle: agent.idle_ms.map(duration),
        heartbeat: BeatView {
            ts: heartbeat.ts_unix_ms.map(Wall),
            pid: heartbeat.pid,
            status: status_from_pb(heartbeat.status),
            age: heartbeat.age_ms.map(duration),
            health: match heartbeat.health.as_str() {
                "healthy" => Health::Healthy,
                "stale" => Health::Stale,
                _ => Health::Unknown,
            },
            source: source_from_pb(heartbeat.source),
            clock_skew: heartbeat.clock_skew,
        },
        state,
        kind: kind_from_pb(agent.kind),
        since: Wall(agent.since_unix_ms),
        reason: name(agent.reason),
        evidence: agent
            .evidence
            .into_iter()
            .filter_map(|evidence| {
                Some(EvidenceView {
                    kind: kind_from_pb(evidence.kind)?,
                    line: name(evidence.line),
                    source: source_from_pb(evidence.source)?,
                    since: evidence.since_unix_ms.map(Wall),
                    until: evidence.until_unix_ms.map(Wall),
                })
            })
            .collect(),
        draft: agent.draft,
        drift: agent
            .drift
            .into_iter()
            .filter_map(|drift| {
                Some(Drift {
                    kind: Kind::parse(&drift.kind)?,
                    detail: name(drift.detail),
                    remedy: name(drift.remedy),
                })
            })
            .collect(),
        model: some(agent.model),
        conversation: some(agent.conversation).map(SessionId::new),
        tokens_today: agent.tokens_today.as_ref().map(tokens_from_pb).unwrap_or_default(),
        by_model: agent
            .by_model
            .into_iter()
            .map(|entry| (name(entry.model), entry.tokens.as_ref().map(tokens_from_pb).unwrap_or_default()))
            .collect(),
        transitions: BTreeMap::new(),
        link: Link::parse(&agent.link).unwrap_or(Link::None),
        next: agent.next.and_then(|next| {
            Some(NextView {
                at: Wall(next.at_unix_ms),
                becomes: state_from_pb(next.becomes)?,
                kind: kind_from_pb(next.kind),
                because: name(next.because),
            })
        }),
        signals: agent
            .signals
            .into_iter()
            .map(|line| SignalLine {
                signal: name(line.signal),
                says: name(line.says),
                source: source_from_pb(line.source),
                age: line.age_ms.map(duration),
            })
            .collect(),
        generation: agent.generation,
    })
}

pub fn happening_to_pb(happening: &Happening) -> pb::EventsResponse {
    match happening {
        Happening::Transition(transition) => {
            pb::EventsResponse { transition: Some(transition_to_pb(transition)), mass_death: None }
        }
        Happening::MassDeath(MassDeath { tenant, host, at, end }) => {
            let mass_death = pb::MassDeath {
                tenant_id: tenant.to_string(),
                host: host.to_string(),
                at_unix_ms: at.0,
                end: Some(mass_end_to_pb(end)),
            };
            pb::EventsResponse { transition: None, mass_death: Some(mass_death) }
        }
    }
}

pub fn transition_to_pb(transition: &Transition) -> pb::Transition {
    let decisive =
        transition.kind.and_then(|kind| transition.evidence.iter().find(|evidence| evidence.kind == kind));
    pb::Transition {
        key: Some(key_to_pb(&transition.key)),
        at_unix_ms: transition.at.0,
        from: transition.from.map_or(pb::State::Unspecified, state_to_pb) as i32,
        to: state_to_pb(transition.to) as i32,
        kind: kind_to_pb(transition.kind) as i32,
        reason: transition.reason.clone(),
        evidence: decisive.map(|evidence| evidence.line.clone()).unwrap_or_default(),
    }
}
