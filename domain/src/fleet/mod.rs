//! The collector's brain: `apply(event, now) → effects`, total and without I/O.
//!
//! ```text
//!            Event                        Effect
//! stream ──► Connected, Observed,  ┌───┐ ──► Transition (to the store, to those who follow)
//!            Planes, Disconnected ►│   │ ──► Changed / Removed (to watchers)
//! store  ──► Used, Restored ──────►│   │
//! timer  ──► Tick ────────────────►└───┘ ──► next_deadline() with its reason
//! ```
//!
//! One entry a session ([`entry`]); what a reader sees of it is a [`view`].

mod entry;
mod event;
mod glance;
mod list;
mod resolve;
mod row;
mod view;

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use crate::ids::{AgentKey, HostId, TenantId};
use crate::observation::{HostPlanes, Observation, Pane, SocketState, Vantage};
use crate::readiness::{Deadline, Thresholds, assess, steady_until};
use crate::time::{Mono, Now};

use entry::{Entry, Judged, Place, Places, Standing};

pub use event::{Effect, Event, Happening, MassDeath, MassEnd, ReporterId, Restored, Transition};
pub use glance::{Glance, Mark};
pub use resolve::{Unresolved, resolve};
pub use row::{PaneRow, Row};
pub use view::{AgentView, BeatView, EvidenceView, Link, NextView, SignalLine};

/// How long an unmanaged agent that died stays on the list before it is forgotten.
pub const LINGER: Duration = Duration::from_secs(15 * 60);
/// More sessions than this on one host are not taken in: a hostile or broken reporter cannot grow memory.
pub const MAX_SESSIONS_PER_HOST: usize = 20_000;

/// Of this many sessions that left, totals are kept in memory; the store has them all.
const MAX_ABSENT: usize = 10_000;

#[derive(Debug, Clone)]
struct Reporter {
    tenant: TenantId,
    host: HostId,
    vantage: Vantage,
}

/// What is known of a host beside its sessions.
#[derive(Debug, Clone, Default)]
pub struct Host {
    pub planes: HostPlanes,
    /// The host-wide sidecar's stream is open.
    pub up: bool,
    /// It ended its stream itself, so its silence is no fault.
    pub stopped: bool,
    /// Its planes arrived, and so did every session that it had to tell of.
    pub listed: bool,
    /// How often many of its agents ended at once.
    pub mass_deaths: u64,
}

pub struct Fleet {
    thresholds: Thresholds,
    /// Boxed, as the tree's nodes are half empty.
    agents: BTreeMap<AgentKey, Box<Entry>>,
    hosts: BTreeMap<(TenantId, HostId), Host>,
    reporters: BTreeMap<ReporterId, Reporter>,
    deadlines: BTreeSet<(Mono, AgentKey)>,
    /// Sessions that nobody reports now, for when they come back.
    absent: BTreeMap<AgentKey, Box<Entry>>,
    generation: u64,
    refused: u64,
}

impl Fleet {
    pub fn new(thresholds: Thresholds) -> Self {
        Self {
            thresholds,
            agents: BTreeMap::new(),
            hosts: BTreeMap::new(),
            reporters: BTreeMap::new(),
            deadlines: BTreeSet::new(),
            absent: BTreeMap::new(),
            generation: 0,
            refused: 0,
        }
    }

    /// Takes one event in and tells what follows from it. Whatever time brought due is settled on the way.
    pub fn apply(&mut self, event: Event, now: Now) -> Vec<Effect> {
        let mut effects = Vec::new();
        match event {
            Event::Connected { reporter, tenant, host, vantage } => {
                if vantage == Vantage::Host {
                    let entry = self.hosts.entry((tenant.clone(), host.clone())).or_default();
                    (entry.up, entry.stopped) = (true, false);
                }
                self.reporters.insert(reporter, Reporter { tenant, host, vantage });
            }
            Event::Disconnected { reporter, clean } => self.disconnect(reporter, clean, now, &mut effects),
            Event::Observed { reporter, observation } => {
                self.observe(reporter, observation, now, &mut effects)
            }
            Event::Planes { reporter, planes } => self.planes(reporter, planes, now, &mut effects),
            Event::MassDied { reporter, told } => {
                if let Some(Reporter { tenant, host, vantage: Vantage::Host }) = self.reporters.get(&reporter)
                {
                    let (tenant, host) = (tenant.clone(), host.clone());
                    self.hosts.entry((tenant.clone(), host.clone())).or_default().mass_deaths += 1;
                    effects.push(Effect::MassDeath(MassDeath { tenant, host, at: now.wall, end: told }));
                }
            }
            Event::Used { key, change } => {
                if let Some(entry) = self.agents.get_mut(&key) {
                    entry.book.apply(&change, now.wall);
                    self.touch(&key, now, &mut effects);
                } else {
                    self.absent_entry(key).book.apply(&change, now.wall);
                }
            }
            Event::Restored(restored) => self.restore(*restored, now),
            Event::Tick => {}
        }
        self.settle_due(now, &mut effects);
        effects
    }

    /// When [`Event::Tick`] is wanted next, for whom, and why.
    pub fn next_deadline(&self) -> Option<(Mono, &AgentKey, Option<&Deadline>)> {
        let (at, key) = self.deadlines.first()?;
        let entry = self.agents.get(key)?;
        Some((*at, key, entry.next().filter(|next| next.at == *at)))
    }

    pub fn generation(&self) -> u64 {
        self.generation
    }

    /// Sessions that were not taken in because their host has too many.
    pub fn refused(&self) -> u64 {
        self.refused
    }

    pub fn hosts(&self) -> impl Iterator<Item = (&TenantId, &HostId, &Host)> {
        self.hosts.iter().map(|((tenant, host), entry)| (tenant, host, entry))
    }

    /// How many sessions are known.
    pub fn len(&self) -> usize {
        self.agents.len()
    }

    pub fn is_empty(&self) -> bool {
        self.agents.is_empty()
    }

    fn observe(&mut self, reporter: ReporterId, seen: Observation, now: Now, effects: &mut Vec<Effect>) {
        let Some(Reporter { tenant, host, vantage }) = self.reporters.get(&reporter).cloned() else { return };
        let key = AgentKey::new(tenant.clone(), host.clone(), seen.socket.clone(), &seen.session);
        if !self.agents.contains_key(&key) {
            if matches!(seen.pane, Pane::Gone) {
                return;
            }
            let low = AgentKey {
                socket: crate::SocketName::default_server(),
                session: String::new(),
                ..key.clone()
            };
            let on_host =
                self.agents.range(low..).take_while(|(k, _)| k.tenant == key.tenant && k.host == key.host);
            if on_host.count() >= MAX_SESSIONS_PER_HOST {
                self.refused += 1;
                return;
            }
        }
        let known = self.agents.contains_key(&key);
        let place =
            self.hosts.get(&(tenant, host)).filter(|_| !known).map(|host| Place::find(&host.planes, &key));
        let entry = self
            .agents
            .entry(key.clone())
            .or_insert_with(|| self.absent.remove(&key).unwrap_or_else(Entry::boxed));
        if let Some(place) = place {
            entry.place(place);
        }
        entry.observe(reporter, vantage, seen, now);
        self.touch(&key, now, effects);
    }

    fn planes(&mut self, reporter: ReporterId, planes: HostPlanes, now: Now, effects: &mut Vec<Effect>) {
        let Some(Reporter { tenant, host, vantage: Vantage::Host }) = self.reporters.get(&reporter).cloned()
        else {
            return;
        };
        let mut affected = self.keys_of(&tenant, &host);
        for roster in &planes.roster.agents {
            let key =
                AgentKey::new(tenant.clone(), host.clone(), roster.socket.clone(), roster.name.as_str());
            self.admit(&key);
            affected.insert(key);
        }
        let places = Places::of(&planes);
        for key in &affected {
            if let Some(entry) = self.agents.get_mut(key) {
                entry.place(places.find(key));
            }
        }
        let known = self.hosts.entry((tenant, host)).or_default();
        (known.planes, known.listed) = (planes, true);
        for key in affected {
            self.touch(&key, now, effects);
        }
    }

    fn disconnect(&mut self, reporter: ReporterId, clean: bool, now: Now, effects: &mut Vec<Effect>) {
        let Some(Reporter { tenant, host, vantage }) = self.reporters.remove(&reporter) else { return };
        let replaced = self
            .reporters
            .values()
            .any(|other| other.vantage == vantage && other.tenant == tenant && other.host == host);
        if vantage == Vantage::Host
            && !replaced
            && let Some(entry) = self.hosts.get_mut(&(tenant.clone(), host.clone()))
        {
            (entry.up, entry.stopped) = (false, clean);
        }
        let host_is_up = self.hosts.get(&(tenant.clone(), host.clone())).is_some_and(|host| host.up);
        for key in self.keys_of(&tenant, &host) {
            let Some(entry) = self.agents.get_mut(&key) else { continue };
            if entry.disconnect(reporter, clean) {
                if vantage == Vantage::Agent && host_is_up {
                    entry.doubt(now.mono);
                }
                self.touch(&key, now, effects);
            }
        }
    }

    fn restore(&mut self, restored: Restored, now: Now) {
        let Restored { key, standing, by_model, recent, transitions } = restored;
        let entry = self.absent_entry(key);
        entry.book.by_model = by_model;
        for (at, tokens) in recent {
            entry.book.add_recent(at, &tokens, now.wall);
        }
        entry.transitions = transitions;
        entry.standing = standing.map(|(state, kind, since)| Standing { state, kind, since });
    }

    /// The entry of a session that is reported now, with what is remembered of it.
    fn admit(&mut self, key: &AgentKey) -> &mut Entry {
        let absent = &mut self.absent;
        self.agents.entry(key.clone()).or_insert_with(|| absent.remove(key).unwrap_or_else(Entry::boxed))
    }

    fn absent_entry(&mut self, key: AgentKey) -> &mut Entry {
        if self.absent.len() >= MAX_ABSENT && !self.absent.contains_key(&key) {
            self.absent.pop_first();
        }
        self.absent.entry(key).or_insert_with(Entry::boxed)
    }

    fn keys_of(&self, tenant: &TenantId, host: &HostId) -> BTreeSet<AgentKey> {
        let low = AgentKey::new(tenant.clone(), host.clone(), crate::SocketName::default_server(), "");
        self.agents
            .range(low..)
            .map(|(key, _)| key)
            .take_while(|key| key.tenant == *tenant && key.host == *host)
            .cloned()
            .collect()
    }

    /// Judges one agent again, announces what changed, and plans its next deadline.
    fn touch(&mut self, key: &AgentKey, now: Now, effects: &mut Vec<Effect>) {
        let Some(entry) = self.agents.get_mut(key) else { return };
        for at in entry.planned.drain(..) {
            self.deadlines.remove(&(at, key.clone()));
        }
        entry.drop_doubtful(now.mono);
        if entry.is_over(now) {
            if entry.taken_out {
                let verdict = assess(&entry.signals(), &self.thresholds, now.mono);
                effects.extend(entry.settle(key, &verdict, now).map(Effect::Transition));
            }
            if let Some(entry) = self.agents.remove(key) {
                *self.absent_entry(key.clone()) = entry.retire();
            }
            self.generation += 1;
            effects.push(Effect::Removed { key: key.clone(), generation: self.generation });
            return;
        }
        let signals = entry.signals();
        let verdict = assess(&signals, &self.thresholds, now.mono);
        if let Some(transition) = entry.settle(key, &verdict, now) {
            effects.push(Effect::Transition(transition));
        }
        let deadlines = verdict
            .next
            .as_ref()
            .map(|next| next.at)
            .into_iter()
            .chain(entry.forget_at)
            .chain(entry.stands_until);
        for at in deadlines {
            entry.planned.push(at);
            self.deadlines.insert((at, key.clone()));
        }
        let until = steady_until(&signals, &self.thresholds, now.mono);
        entry.judged = Some(Judged { verdict, until });
        self.generation += 1;
        entry.generation = self.generation;
        effects.push(Effect::Changed { key: key.clone(), generation: self.generation });
    }

    fn settle_due(&mut self, now: Now, effects: &mut Vec<Effect>) {
        while let Some((at, key)) = self.deadlines.first().cloned() {
            if at > now.mono {
                return;
            }
            self.deadlines.remove(&(at, key.clone()));
            self.touch(&key, now, effects);
        }
    }
}

/// What a session's absence means, given its socket.
fn absent(socket: Option<&SocketState>) -> crate::readiness::PaneSignal {
    use crate::readiness::PaneSignal;
    match socket {
        Some(SocketState::Up | SocketState::Down) => PaneSignal::Gone,
        Some(SocketState::Unreachable { why }) => PaneSignal::Unreachable { why: why.clone() },
        None => PaneSignal::Unknown,
    }
}

#[cfg(test)]
mod tests;
