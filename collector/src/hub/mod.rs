//! The one owner of the register. Streams and the store send it [`Input`], readers send it [`Ask`]; it applies what
//! happened to the domain's [`Fleet`] and performs the effects: transitions to the store and to those who follow,
//! changes to those who watch.
//!
//! [`Hub`] itself is a plain value without a runtime or a clock; [`run`](task::run) is the task around it.

mod answers;
mod limits;
mod purse;
mod readers;
mod streams;
mod task;

use std::collections::BTreeSet;
use std::sync::Arc;

use fleet_domain::fleet::{Effect, Event, Fleet, ReporterId, Transition};
use fleet_domain::limits::Reading;
use fleet_domain::observation::{HostPlanes, Observation};
use fleet_domain::readiness::Thresholds;
use fleet_domain::{AgentKey, Mono, Now, TenantId};
use fleet_proto::convert::Hello;
use jiff::tz::TimeZone;

use crate::clock::LocalDay;
use crate::meters::{Dropped, Meters};
use crate::store::handle::Sink;
use crate::store::{Booked, Loaded, Numbered, WindowWrite};
use answers::since;
use limits::{Limits, Taken};
use purse::Purse;
use readers::Readers;
use streams::Streams;

pub use answers::{Ask, Day, HostMeter, HostRow, Listing, Rows, Snapshot, Status};
pub use readers::{Cut, Delta, Follow, TooMany, Watch};
pub use streams::{SidecarDrops, SidecarInfo};
pub use task::{HubHandle, Stopped, run};

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
        Self {
            fleet,
            limits,
            spent: Purse::of(loaded.spent),
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
            Input::Planes { reporter, planes } => self.apply(Event::Planes { reporter, planes }, now),
            Input::SidecarDropped { reporter, reason, count } => {
                self.streams.dropped(reporter, reason, count);
            }
            Input::Limits { tenant, readings } => self.limits_told(&tenant, readings, now),
            Input::Booked(booked) => {
                for Booked { owner, change, spent } in booked {
                    self.spent.add(&owner, spent);
                    self.apply(Event::Used { key: owner, change }, now);
                }
            }
        }
    }

    fn limits_told(&mut self, tenant: &TenantId, readings: Vec<Reading>, now: Now) {
        for reading in readings {
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

    /// Time passed.
    pub fn tick(&mut self, now: Now) {
        self.apply(Event::Tick, now);
    }

    pub fn next_deadline(&self) -> Option<Mono> {
        self.fleet.next_deadline().map(|(at, _, _)| at)
    }

    fn apply(&mut self, event: Event, now: Now) {
        for effect in self.fleet.apply(event, now) {
            match effect {
                Effect::Transition(transition) => self.tell(transition),
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

    fn tell(&mut self, transition: Transition) {
        self.last_seq += 1;
        let numbered = Numbered { seq: self.last_seq, transition };
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
