//! What readers ask the hub, and its answers.

use std::collections::BTreeMap;

use fleet_domain::budget::gate::State;
use fleet_domain::fleet::{AgentView, Glance, Unresolved, resolve};
use fleet_domain::limits::Standing;
use fleet_domain::{AgentKey, HostId, Now, TenantId, Wall};
use tokio::sync::oneshot;

use super::Hub;
use super::budget::{Budget, Decisions};
use super::readers::{Follow, TooMany, Watch};
use super::streams::{SidecarDrops, SidecarInfo};
use crate::peer::own_tenant;
use crate::store::handle::Sink;
use crate::store::{Bill, Whose};

/// Something done by the budget's owner.
pub(super) type Act = Box<dyn FnOnce(&mut Budget, &Sink, Now) + Send>;

/// What somebody wants to know.
pub enum Ask {
    List {
        day: Day,
        reply: oneshot::Sender<Listing>,
    },
    /// The same as it stands, for whoever makes something else of it at once.
    Visit {
        day: Day,
        visit: Box<dyn FnOnce(Rows<'_>) + Send>,
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
    Limits {
        reply: oneshot::Sender<Vec<Standing>>,
    },
    Scrape {
        reply: oneshot::Sender<Snapshot>,
    },
    /// Something that the budget's owner does, and answers by itself: it must be quick.
    Budget(Act),
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

/// A [`Listing`] that is still the hub's own.
pub struct Rows<'r> {
    pub agents: Box<dyn Iterator<Item = Glance<'r>> + 'r>,
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
    /// Whose budget it is.
    pub tenant: TenantId,
    pub agents: Vec<AgentView>,
    pub hosts: Vec<HostMeter>,
    pub sidecars: Vec<SidecarInfo>,
    pub drops: Vec<SidecarDrops>,
    pub streams: usize,
    pub limits: Vec<(TenantId, Standing)>,
    /// By model.
    pub spent: BTreeMap<AgentKey, BTreeMap<String, Bill>>,
    /// `None` where no budget is in force and nothing was decided.
    pub budget: Option<(State, Decisions)>,
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
    /// How often many of its agents ended at once.
    pub mass_deaths: u64,
}

impl Hub {
    pub fn answer(&mut self, ask: Ask, now: Now) {
        // What time brought due is settled first, so that no answer contradicts the transitions told.
        self.tick(now);
        match ask {
            Ask::List { day, reply } => drop(reply.send(self.listing(day, now))),
            Ask::Visit { day, visit } => visit(self.rows(day, now)),
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
            Ask::Limits { reply } => {
                let standings = self.limits.standings(now.wall).into_iter().map(|(_, standing)| standing);
                drop(reply.send(standings.collect()));
            }
            Ask::Scrape { reply } => drop(reply.send(self.snapshot(now))),
            Ask::Budget(act) => act(&mut self.budget, &self.sink, now),
            Ask::Ping { reply } => drop(reply.send(())),
            Ask::Stop => {}
        }
    }

    pub(super) fn listing(&mut self, day: Day, now: Now) -> Listing {
        let day_start = since(day, self.day.start(now.wall));
        Listing {
            agents: self.fleet.list(now, day_start),
            hosts: self.host_rows(),
            generation: self.fleet.generation(),
        }
    }

    fn rows(&mut self, day: Day, now: Now) -> Rows<'_> {
        let day_start = since(day, self.day.start(now.wall));
        Rows {
            agents: Box::new(self.fleet.glances(now, day_start)),
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

    pub(super) fn host_rows(&self) -> Vec<HostRow> {
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

    fn snapshot(&mut self, now: Now) -> Snapshot {
        let state = self.budget.state(None, false, now.wall);
        let decisions = self.budget.decisions();
        let told = state.overview.configured || !decisions.is_empty() || !state.file_error.is_empty();
        let mut seen: BTreeMap<(&TenantId, &HostId), (bool, u64)> = self
            .fleet
            .hosts()
            .map(|(tenant, host, known)| ((tenant, host), (known.up, known.mass_deaths)))
            .collect();
        for host in self.streams.hosts() {
            seen.entry(host).or_default();
        }
        let hosts = seen.into_iter().map(|((tenant, host), (up, mass_deaths))| HostMeter {
            tenant: tenant.clone(),
            host: host.clone(),
            up,
            skew_ms: self.streams.skew(tenant, host),
            mass_deaths,
        });
        Snapshot {
            at: now.wall,
            tenant: own_tenant(),
            // Today's figures are no metric.
            agents: self.fleet.list(now, Wall(i64::MAX)),
            hosts: hosts.collect(),
            sidecars: self.streams.sidecars(|key| self.fleet.name(key)),
            drops: self.streams.drops(),
            streams: self.streams.count(),
            refused: self.fleet.refused(),
            budget: told.then_some((state, decisions)),
            limits: self.limits.standings(now.wall),
            spent: self.spent.all().clone(),
        }
    }
}

pub(super) fn since(day: Day, local: Wall) -> Wall {
    match day {
        Day::Local => local,
        Day::From(start) => start,
    }
}
