//! The one owner of the register. Streams and the store send it [`Input`], readers send it [`Ask`]; it applies what
//! happened to the domain's [`Fleet`] and performs the effects: transitions to the store and to those who follow,
//! changes to those who watch.
//!
//! [`Hub`] itself is a plain value without a runtime or a clock; [`run`](task::run) is the task around it.

mod answers;
mod budget;
mod limits;
mod purse;
mod readers;
mod streams;
mod task;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use fleet_domain::budget::gate::Rostered;
use fleet_domain::fleet::{Effect, Event, Fleet, Happening, MassEnd, ReporterId, Transition};
use fleet_domain::limits::Reading;
use fleet_domain::observation::RosterEntry;
use fleet_domain::observation::{HostPlanes, Observation};
use fleet_domain::price::Table;
use fleet_domain::readiness::{StuckKind, Thresholds};
use fleet_domain::{AgentKey, Mono, Now, TenantId};
use fleet_proto::convert::Hello;
use jiff::tz::TimeZone;

use crate::budget::Written;
use crate::clock::LocalDay;
use crate::meters::{Dropped, Meters};
use crate::store::handle::{BudgetJob, Sink};
use crate::store::{Booked, BudgetWrite, Loaded, Numbered, Spent, WindowWrite};
use answers::since;
use limits::{Limits, Taken};
use purse::Purse;
use readers::Readers;
use streams::Streams;

pub use answers::{Ask, Day, HostMeter, HostRow, Listing, Rows, Snapshot, Status};
pub use budget::{Budget, Decisions};
pub use readers::{Cut, Delta, Follow, TooMany, Watch};
pub use streams::{SidecarDrops, SidecarInfo};
pub use task::{HubHandle, Kept, Stopped, run};

/// What happened.
#[derive(Debug)]
pub enum Input {
    Connected {
        reporter: ReporterId,
        hello: Hello,
    },
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
    MassEnd {
        reporter: ReporterId,
        told: MassEnd,
    },
    SidecarDropped {
        reporter: ReporterId,
        reason: String,
        count: u64,
    },
    /// Windows of accounts, as somebody saw or said them.
    Limits {
        tenant: TenantId,
        readings: Vec<Reading>,
    },
    /// What the budget's file says, or what is wrong with it.
    BudgetFile {
        path: String,
        read: Result<Option<Written>, String>,
    },
    /// What responses cost from now on.
    Prices(Arc<Table>),
    /// A month's spending by the ledger, before anything that is booked after it was asked for.
    Spent(Result<Vec<Spent>, String>),
    /// Usage that is durable.
    Booked(Vec<Booked>),
}

pub struct Hub {
    fleet: Fleet,
    streams: Streams,
    readers: Readers,
    day: LocalDay,
    sink: Sink,
    meters: Arc<Meters>,
    last_seq: u64,
    /// Agents changed since the last [`Hub::publish`].
    changed: BTreeSet<AgentKey>,
    removed: Vec<(AgentKey, u64)>,
    hosts_told: Vec<HostRow>,
    limits: Limits,
    spent: Purse,
    budget: Budget,
}

impl Hub {
    pub fn new(
        thresholds: Thresholds,
        loaded: Loaded,
        sink: Sink,
        meters: Arc<Meters>,
        zone: TimeZone,
        now: Now,
    ) -> Self {
        let mut fleet = Fleet::new(thresholds);
        for restored in loaded.agents {
            fleet.apply(Event::Restored(Box::new(restored)), now);
        }
        let mut limits = Limits::default();
        for WindowWrite { tenant, reading } in loaded.windows {
            limits.restore(tenant, reading);
        }
        let mut budget = Budget::new(zone.clone());
        budget.restore(loaded.budget, now.wall);
        Self {
            fleet,
            limits,
            spent: Purse::of(loaded.spent),
            budget,
            streams: Streams::default(),
            readers: Readers::default(),
            day: LocalDay::new(zone),
            sink,
            meters,
            last_seq: loaded.last_seq,
            changed: BTreeSet::new(),
            removed: Vec::new(),
            hosts_told: Vec::new(),
        }
    }

    /// Takes in what happened. Watchers learn of it at the next [`Hub::publish`].
    pub fn step(&mut self, input: Input, now: Now) {
        match input {
            Input::Connected { reporter, hello } => {
                let (tenant, host, vantage) = (hello.tenant.clone(), hello.host.clone(), hello.vantage);
                self.streams.connected(reporter, hello, now.wall);
                self.apply(Event::Connected { reporter, tenant, host, vantage }, now);
            }
            Input::Disconnected { reporter, clean } => {
                self.streams.disconnected(reporter);
                self.apply(Event::Disconnected { reporter, clean }, now);
            }
            Input::Observed { reporter, observation } => {
                self.meters.observations.add(1);
                self.apply(Event::Observed { reporter, observation }, now);
            }
            Input::Planes { reporter, planes } => {
                self.apply(Event::Planes { reporter, planes }, now);
                self.budget.rostered(self.rosters(), now.wall);
            }
            Input::MassEnd { reporter, told } => self.apply(Event::MassDied { reporter, told }, now),
            Input::SidecarDropped { reporter, reason, count } => {
                self.streams.dropped(reporter, reason, count);
            }
            Input::Limits { tenant, readings } => self.limits_told(&tenant, readings, now),
            Input::BudgetFile { path, read } => {
                let writes = self.budget.file(path, read, now.wall);
                self.keep_budget(writes);
                for (_, standing) in self.limits.standings(now.wall) {
                    self.budget.told(&standing.reading, now.wall);
                }
            }
            Input::Prices(table) => self.budget.prices(table),
            Input::Spent(spent) => self.budget.spent(spent, now.wall),
            Input::Booked(booked) => {
                for one in &booked {
                    self.budget.booked(one, now.wall);
                }
                for Booked { owner, change, spent } in booked {
                    self.spent.add(&owner, spent);
                    self.apply(Event::Used { key: owner, change }, now);
                }
            }
        }
    }

    fn limits_told(&mut self, tenant: &TenantId, readings: Vec<Reading>, now: Now) {
        for reading in readings {
            let writes = self.budget.told(&reading, now.wall);
            self.keep_budget(writes);
            let kept = match self.limits.take(tenant, reading, now.wall) {
                Taken::News(reading) => self.sink.put_window(WindowWrite { tenant: tenant.clone(), reading }),
                Taken::Known => true,
                Taken::Full => false,
            };
            if !kept {
                self.meters.drop_one(Dropped::Window);
            }
        }
    }

    /// Class and account by session, of every roster that is known.
    fn rosters(&self) -> BTreeMap<String, Rostered> {
        let agents = self.fleet.hosts().flat_map(|(_, _, host)| &host.planes.roster.agents);
        let rostered =
            |entry: &RosterEntry| Rostered { class: entry.class.clone(), account: entry.account.clone() };
        agents.map(|entry| (entry.name.to_string(), rostered(entry))).collect()
    }

    fn keep_budget(&self, writes: Vec<BudgetWrite>) {
        if !writes.is_empty() && !self.sink.put_budget(BudgetJob { writes, done: None }) {
            self.meters.drop_one(Dropped::Budget);
        }
    }

    /// An agent that stands at its limit says so for its whole account.
    fn limit_hit(&mut self, transition: &Transition, now: Now) {
        if transition.kind == Some(StuckKind::UsageLimit) {
            let until = transition.evidence.iter().filter_map(|evidence| evidence.until).max();
            if let Some(until) = until {
                self.budget.stuck(&transition.key, now.wall_of(until));
            }
        }
    }

    /// Time passed.
    pub fn tick(&mut self, now: Now) {
        let expired = self.budget.tick(now.wall);
        self.keep_budget(expired);
        self.apply(Event::Tick, now);
    }

    pub fn next_deadline(&self) -> Option<Mono> {
        self.fleet.next_deadline().map(|(at, _, _)| at)
    }

    fn apply(&mut self, event: Event, now: Now) {
        for effect in self.fleet.apply(event, now) {
            match effect {
                Effect::Transition(transition) => {
                    self.limit_hit(&transition, now);
                    self.tell(Happening::Transition(transition));
                }
                Effect::MassDeath(death) => {
                    let (agents, host) = (death.end.agents.len(), &death.host);
                    tracing::warn!("{agents} agents of {host} ended at once");
                    self.tell(Happening::MassDeath(death));
                }
                Effect::Changed { key, .. } => {
                    if self.readers.has_watchers() {
                        self.changed.insert(key);
                    }
                }
                Effect::Removed { key, generation } => {
                    if self.readers.has_watchers() {
                        self.changed.remove(&key);
                        self.removed.push((key, generation));
                    }
                }
            }
        }
    }

    fn tell(&mut self, what: Happening) {
        self.last_seq += 1;
        let numbered = Numbered { seq: self.last_seq, what };
        for _ in 0..self.readers.tell(&numbered) {
            self.meters.drop_one(Dropped::Reader);
        }
        if !self.sink.put(numbered) {
            self.meters.drop_one(Dropped::Transition);
        }
    }

    /// Sends watchers what changed since the last time: each change, or everything where that is shorter.
    pub fn publish(&mut self, now: Now) {
        if !self.readers.has_watchers() {
            (self.changed, self.removed) = Default::default();
            return;
        }
        let hosts = self.host_rows();
        let anew = hosts != self.hosts_told;
        self.hosts_told = hosts;
        let (changed, removed) = (std::mem::take(&mut self.changed), std::mem::take(&mut self.removed));
        let cut = if anew || changed.len() + removed.len() > readers::MAX_DELTAS {
            let days = self.readers.days();
            let listings = days.into_iter().map(|day| (day, Arc::new(self.listing(day, now)))).collect();
            self.readers.publish_anew(&listings)
        } else {
            let (fleet, local) = (&self.fleet, self.day.start(now.wall));
            let row = |key: &AgentKey, day| fleet.row(key, now, since(day, local));
            self.readers.publish(&changed, removed, row)
        };
        for _ in 0..cut {
            self.meters.drop_one(Dropped::Reader);
        }
    }
}

#[cfg(test)]
mod tests;
