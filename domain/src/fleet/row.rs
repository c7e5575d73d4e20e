//! One agent's row, borrowed from the register: what a list of many is made from without a copy of each word.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::time::Duration;

use crate::drift::{self, Drift};
use crate::heartbeat::{self, Health};
use crate::ids::{AgentKey, RuntimeName, SessionId};
use crate::limits::provider_of;
use crate::observation::Pane;
use crate::readiness::{EvidenceSignal, PaneSignal, State, StuckKind, Thresholds, Verdict, assess};
use crate::time::{Mono, Now, Wall};
use crate::usage::Tokens;

use super::entry::{Entry, Slot};
use super::glance::Glance;
use super::view::{AgentView, BeatView, EvidenceView, Link, NextView};

/// An [`AgentView`] without its signals; the fields are described there.
#[derive(Debug, Clone, PartialEq)]
pub struct Row<'a> {
    pub key: &'a AgentKey,
    pub name: Cow<'a, str>,
    pub runtime: Option<&'a RuntimeName>,
    pub class: Option<&'a str>,
    pub alias: Option<&'a str>,
    pub account: Option<&'a str>,
    pub managed: bool,
    pub systemd_active: &'a str,
    pub systemd_enabled: &'a str,
    pub pane_alive: Option<bool>,
    pub pane: Option<PaneRow<'a>>,
    pub idle: Option<Duration>,
    pub heartbeat: BeatView,
    pub state: State,
    pub kind: Option<StuckKind>,
    pub since: Wall,
    pub reason: Cow<'a, str>,
    pub evidence: Vec<EvidenceView>,
    pub draft: Option<bool>,
    pub drift: Vec<Drift>,
    pub model: Option<&'a str>,
    pub conversation: Option<&'a SessionId>,
    pub tokens_today: Tokens,
    pub by_model: &'a BTreeMap<String, Tokens>,
    pub transitions: &'a BTreeMap<(State, State), u64>,
    pub link: Link,
    pub next: Option<NextView>,
    pub generation: u64,
}

/// A living pane.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PaneRow<'a> {
    pub id: &'a str,
    pub pid: u32,
    pub command: &'a str,
    pub title: &'a str,
}

/// Sums of no model.
static NONE: BTreeMap<String, Tokens> = BTreeMap::new();

impl Row<'_> {
    /// No more than the usual table shows: who it is, how it is and why, since when, and what is wrong with it.
    pub fn keep_basic(&mut self) {
        self.evidence.retain(|evidence| Some(evidence.kind) == self.kind);
        for drift in &mut self.drift {
            (drift.detail, drift.remedy) = (String::new(), String::new());
        }
        self.heartbeat.keep_basic();
        (self.alias, self.account, self.pane) = (None, None, None);
        (self.model, self.conversation, self.next) = (None, None, None);
        self.by_model = &NONE;
        self.generation = 0;
    }

    pub fn to_view(&self) -> AgentView {
        let owned = |text: Option<&str>| text.map(str::to_owned);
        AgentView {
            key: self.key.clone(),
            name: self.name.clone().into_owned(),
            runtime: self.runtime.cloned(),
            class: owned(self.class),
            alias: owned(self.alias),
            account: owned(self.account),
            managed: self.managed,
            systemd_active: self.systemd_active.to_owned(),
            systemd_enabled: self.systemd_enabled.to_owned(),
            pane_alive: self.pane_alive,
            pane_id: owned(self.pane.map(|pane| pane.id)),
            pane_pid: self.pane.map(|pane| pane.pid),
            pane_command: owned(self.pane.map(|pane| pane.command)),
            pane_title: owned(self.pane.map(|pane| pane.title)),
            idle: self.idle,
            heartbeat: self.heartbeat.clone(),
            state: self.state,
            kind: self.kind,
            since: self.since,
            reason: self.reason.clone().into_owned(),
            evidence: self.evidence.clone(),
            draft: self.draft,
            drift: self.drift.clone(),
            model: owned(self.model),
            conversation: self.conversation.cloned(),
            tokens_today: self.tokens_today,
            by_model: self.by_model.clone(),
            transitions: self.transitions.clone(),
            link: self.link,
            next: self.next.clone(),
            signals: Vec::new(),
            generation: self.generation,
        }
    }
}

pub(super) fn of(glance: Glance<'_>) -> Row<'_> {
    let Glance { key, entry, host, name, thresholds, now, day_start } = glance;
    let slot = entry.best();
    let seen = slot.map(|slot| &slot.seen);
    let roster = entry.roster.as_ref();
    let verdict = verdict(entry, thresholds, now.mono);
    let (pane_alive, pane_exists) = match entry.pane() {
        PaneSignal::Alive => (Some(true), Some(true)),
        PaneSignal::Dead { .. } => (Some(false), Some(true)),
        PaneSignal::Gone => (Some(false), Some(false)),
        PaneSignal::Unreachable { .. } | PaneSignal::Unknown => (None, None),
    };
    let systemd_known = host
        .is_some_and(|host| host.planes.systemd.unavailable.is_none() && !host.planes.roster.path.is_empty());
    let unknown = if systemd_known && roster.is_some() { "not-found" } else { "unknown" };
    let runtime = roster.map(|roster| &roster.runtime).or(entry.runtime.as_ref());
    // As `limits::account_of`, without making a name of it.
    let provider = || provider_of(runtime?.as_str(), None);
    Row {
        key,
        name,
        runtime,
        class: roster.map(|roster| roster.class.as_str()),
        alias: roster.and_then(|roster| roster.alias.as_deref()),
        account: roster.and_then(|roster| roster.account.as_deref()).or_else(provider),
        managed: roster.is_some(),
        systemd_active: entry.unit.as_ref().map_or(unknown, |unit| &unit.active),
        systemd_enabled: entry.unit.as_ref().map_or(unknown, |unit| &unit.enabled),
        pane_alive,
        pane: match seen.map(|seen| &seen.pane) {
            Some(Pane::Alive { id, pid, command, title }) => Some(PaneRow { id, pid: *pid, command, title }),
            _ => None,
        },
        idle: slot.and_then(|slot| idle(slot, now)),
        heartbeat: beat(slot, now),
        state: verdict.state,
        kind: verdict.kind,
        since: entry.standing.as_ref().map_or(now.wall, |standing| standing.since),
        evidence: verdict.evidence.iter().map(|evidence| evidence_view(evidence, now)).collect(),
        draft: seen.and_then(|seen| seen.draft),
        drift: drift::find(&drift::Facts {
            name: &key.session,
            roster,
            roster_known: host.is_some_and(|host| {
                !host.planes.roster.path.is_empty() && host.planes.roster.error.is_none()
            }),
            unit: entry.unit.as_ref(),
            session_exists: pane_exists,
            runtime_seen: seen.and_then(|seen| seen.runtime.as_ref()),
            model_seen: seen.and_then(|seen| seen.model.as_deref()),
        }),
        model: seen.and_then(|seen| seen.model.as_deref()),
        conversation: seen.and_then(|seen| seen.conversation.as_ref()),
        tokens_today: entry.book.since(day_start),
        by_model: &entry.book.by_model,
        transitions: &entry.transitions,
        link: link(slot),
        next: verdict.next.as_ref().map(|next| NextView {
            at: now.wall_of(next.at),
            becomes: next.becomes,
            kind: next.kind,
            because: next.because.clone(),
        }),
        reason: match verdict {
            Cow::Borrowed(verdict) => Cow::Borrowed(&verdict.reason),
            Cow::Owned(verdict) => Cow::Owned(verdict.reason),
        },
        generation: entry.generation,
    }
}

/// The latest one, as long as time alone changed nothing of it; nothing but an event, which would have renewed it, did.
fn verdict<'a>(entry: &'a Entry, thresholds: &Thresholds, now: Mono) -> Cow<'a, Verdict> {
    match &entry.judged {
        Some(judged) if judged.holds_at(now) => Cow::Borrowed(&judged.verdict),
        _ => Cow::Owned(assess(&entry.signals(), thresholds, now)),
    }
}

fn evidence_view(evidence: &EvidenceSignal, now: Now) -> EvidenceView {
    EvidenceView {
        kind: evidence.kind,
        line: evidence.line.clone(),
        source: evidence.source,
        since: evidence.since.map(|since| now.wall_of(since)),
        until: evidence.until.map(|until| now.wall_of(until)),
    }
}

fn link(slot: Option<&Slot>) -> Link {
    match slot {
        None => Link::None,
        Some(slot) if slot.connected => Link::Live,
        Some(slot) if slot.stopped => Link::Stopped,
        Some(_) => Link::Lost,
    }
}

pub(super) fn idle(slot: &Slot, now: Now) -> Option<Duration> {
    Some(slot.at.mono.minus(slot.seen.idle?).age_at(now.mono))
}

pub(super) fn beat(slot: Option<&Slot>, now: Now) -> BeatView {
    let Some((slot, beat)) = slot.and_then(|slot| Some((slot, slot.seen.heartbeat.as_ref()?))) else {
        return BeatView {
            ts: None,
            pid: None,
            status: None,
            age: None,
            health: Health::Unknown,
            source: None,
            clock_skew: false,
        };
    };
    let confirmed = slot.at.mono.minus(beat.age);
    let age = confirmed.age_at(now.mono);
    BeatView {
        ts: Some(now.wall_of(confirmed)),
        pid: beat.pid,
        status: beat.status,
        age: Some(age),
        health: heartbeat::health(age, beat.interval),
        source: Some(beat.source),
        clock_skew: beat.clock_skew,
    }
}
