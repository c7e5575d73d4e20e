//! The one owner of the register. Streams and the store send it [`Input`], readers send it [`Ask`]; it applies what
//! happened to the domain's [`Fleet`] and performs the effects: transitions to the store and to those who follow,
//! changes to those who watch.
//!
//! [`Hub`] itself is a plain value without a runtime or a clock; [`run`](task::run) is the task around it.

mod readers;
mod streams;
mod task;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use fleet_domain::fleet::{AgentView, Effect, Event, Fleet, ReporterId, Transition, Unresolved, resolve};
use fleet_domain::observation::{HostPlanes, Observation};
use fleet_domain::readiness::Thresholds;
use fleet_domain::{AgentKey, HostId, Mono, Now, TenantId, Wall};
use fleet_proto::convert::Hello;
use jiff::tz::TimeZone;
use tokio::sync::oneshot;

use crate::clock::LocalDay;
use crate::meters::{Dropped, Meters};
use crate::store::actor::TransitionSink;
use crate::store::{Booked, Loaded, Numbered, Whose};
use readers::Readers;
use streams::Streams;

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
    /// Usage that is durable.
    Booked(Vec<Booked>),
}

/// What somebody wants to know.
pub enum Ask {
    List {
        day: Day,
        reply: oneshot::Sender<Listing>,
    },
    Get {
        name: String,
        day: Day,
        reply: oneshot::Sender<Result<AgentView, Unresolved>>,
    },
    Find {
        name: String,
        reply: oneshot::Sender<Result<AgentKey, Unresolved>>,
    },
    Watch {
        day: Day,
        reply: oneshot::Sender<Result<Watch, TooMany>>,
    },
    Follow {
        whose: Option<Whose>,
        reply: oneshot::Sender<Result<Follow, TooMany>>,
    },
    Status {
        reply: oneshot::Sender<Status>,
    },
    Scrape {
        reply: oneshot::Sender<Snapshot>,
    },
    Ping {
        reply: oneshot::Sender<()>,
    },
    /// What was sent before is still taken in; then the hub ends.
    Stop,
}

/// When the reader's day began.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Day {
    /// At the collector's own midnight.
    Local,
    From(Wall),
}

#[derive(Debug, Clone, PartialEq)]
pub struct Listing {
    pub agents: Vec<AgentView>,
    pub hosts: Vec<HostRow>,
    pub generation: u64,
}

/// A host's planes, as far as a table needs them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HostRow {
    pub tenant: TenantId,
    pub host: HostId,
    pub up: bool,
    pub stopped: bool,
    /// Every session that there was has been reported.
    pub listed: bool,
    pub roster_path: String,
    pub roster_error: Option<String>,
    pub systemd_unavailable: Option<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Status {
    pub streams: usize,
    pub agents: usize,
}

/// All that a scrape shows of the register.
#[derive(Debug, Clone, Default)]
pub struct Snapshot {
    pub at: Wall,
    pub agents: Vec<AgentView>,
    pub hosts: Vec<HostMeter>,
    pub sidecars: Vec<SidecarInfo>,
    pub drops: Vec<SidecarDrops>,
    pub streams: usize,
    /// Sessions that were not taken in.
    pub refused: u64,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HostMeter {
    pub tenant: TenantId,
    pub host: HostId,
    /// Its host-wide sidecar reports at this moment.
    pub up: bool,
    /// The sidecar's wall clock minus ours, in milliseconds.
    pub skew_ms: Option<i64>,
}

pub struct Hub {
    fleet: Fleet,
    streams: Streams,
    readers: Readers,
    day: LocalDay,
    sink: TransitionSink,
    meters: Arc<Meters>,
    last_seq: u64,
    /// Agents changed since the last [`Hub::publish`].
    changed: BTreeSet<AgentKey>,
    removed: Vec<(AgentKey, u64)>,
    hosts_told: Vec<HostRow>,
}

impl Hub {
    pub fn new(
        thresholds: Thresholds,
        loaded: Loaded,
        sink: TransitionSink,
        meters: Arc<Meters>,
        zone: TimeZone,
        now: Now,
    ) -> Self {
        let mut fleet = Fleet::new(thresholds);
        for restored in loaded.agents {
            fleet.apply(Event::Restored(Box::new(restored)), now);
        }
        Self {
            fleet,
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
            Input::Booked(booked) => {
                for Booked { owner, change } in booked {
                    self.apply(Event::Used { key: owner, change }, now);
                }
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

    pub fn answer(&mut self, ask: Ask, now: Now) {
        // What time brought due is settled first, so that no answer contradicts the transitions told.
        self.tick(now);
        match ask {
            Ask::List { day, reply } => drop(reply.send(self.listing(day, now))),
            Ask::Get { name, day, reply } => drop(reply.send(self.get(&name, day, now))),
            Ask::Find { name, reply } => drop(reply.send(self.find(&name))),
            Ask::Watch { day, reply } => {
                self.publish(now);
                self.hosts_told = self.host_rows();
                let listing = self.listing(day, now);
                drop(reply.send(self.readers.watch(day, listing)));
            }
            Ask::Follow { whose, reply } => drop(reply.send(self.readers.follow(whose, self.last_seq))),
            Ask::Status { reply } => {
                let _ = reply.send(Status { streams: self.streams.count(), agents: self.fleet.len() });
            }
            Ask::Scrape { reply } => drop(reply.send(self.snapshot(now))),
            Ask::Ping { reply } => drop(reply.send(())),
            Ask::Stop => {}
        }
    }

    fn listing(&mut self, day: Day, now: Now) -> Listing {
        let day_start = since(day, self.day.start(now.wall));
        Listing {
            agents: self.fleet.list(now, day_start),
            hosts: self.host_rows(),
            generation: self.fleet.generation(),
        }
    }

    fn find(&self, name: &str) -> Result<AgentKey, Unresolved> {
        let names: Vec<(&AgentKey, String)> = self.fleet.names().collect();
        resolve(name, &names).map(|key| (*key).clone())
    }

    fn get(&mut self, name: &str, day: Day, now: Now) -> Result<AgentView, Unresolved> {
        let key = self.find(name)?;
        let day_start = since(day, self.day.start(now.wall));
        self.fleet.view(&key, now, day_start).ok_or(Unresolved::Unknown { nearest: None })
    }

    fn host_rows(&self) -> Vec<HostRow> {
        self.fleet
            .hosts()
            .map(|(tenant, host, known)| HostRow {
                tenant: tenant.clone(),
                host: host.clone(),
                up: known.up,
                stopped: known.stopped,
                listed: known.listed,
                roster_path: known.planes.roster.path.clone(),
                roster_error: known.planes.roster.error.clone(),
                systemd_unavailable: known.planes.systemd.unavailable.clone(),
            })
            .collect()
    }

    fn snapshot(&self, now: Now) -> Snapshot {
        let mut seen: BTreeMap<(&TenantId, &HostId), bool> =
            self.fleet.hosts().map(|(tenant, host, known)| ((tenant, host), known.up)).collect();
        for host in self.streams.hosts() {
            seen.entry(host).or_default();
        }
        let hosts = seen.into_iter().map(|((tenant, host), up)| HostMeter {
            tenant: tenant.clone(),
            host: host.clone(),
            up,
            skew_ms: self.streams.skew(tenant, host),
        });
        Snapshot {
            at: now.wall,
            // Today's figures are no metric.
            agents: self.fleet.list(now, Wall(i64::MAX)),
            hosts: hosts.collect(),
            sidecars: self.streams.sidecars(|key| self.fleet.name(key)),
            drops: self.streams.drops(),
            streams: self.streams.count(),
            refused: self.fleet.refused(),
        }
    }
}

fn since(day: Day, local: Wall) -> Wall {
    match day {
        Day::Local => local,
        Day::From(start) => start,
    }
}

#[cfg(test)]
mod tests;
