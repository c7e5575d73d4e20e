//! The one owner of what a sidecar knows. [`Watcher::turn`] waits for one event and takes it in; everything that
//! could block runs elsewhere and comes back as an event.

mod agent;
mod discovery;
mod follow;
mod hooks;
mod planes;
mod recovery;
mod remember;
mod rules;
mod screen;
mod serve;
mod servers;
mod stand;
mod tells;
mod traces;

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::rc::Rc;
use std::time::{Duration, Instant};

use fleet_adapters::files::{Changed, Files};
use fleet_adapters::runtimes::live::Told;
use fleet_adapters::runtimes::usage::Machine;
use fleet_adapters::screens::RuleBook;
use fleet_domain::fleet::MassEnd;
use fleet_domain::observation::{HostPlanes, SystemdPlane, Vantage};
use fleet_domain::roster::Roster;
use fleet_domain::{RuntimeName, SocketName};
use fleet_proto::convert::{mass_end_to_pb, observation_to_pb, planes_to_pb};
use fleet_proto::pb;
use fleet_proto::pb::report_request::Message;
use tokio::sync::{mpsc, watch};
use tokio::time::{Interval, MissedTickBehavior, interval};

use crate::asker::{Answered, Asker};
use crate::config::Config;
use crate::limits::Limits;
use crate::notify::{NotifyState, tell};
use crate::units;
use crate::uplink::{FromCollector, Sender, Uplink, message};
use crate::usage::Sources;
use agent::Watched;
use discovery::{Discovered, Discovery};
use fleet_adapters::sighted::Datagram;
use hooks::{Hooks, Strangers};
use servers::Servers;

/// How often processes are looked at.
const SAMPLE: Duration = Duration::from_secs(1);

/// By then the start is over, and what it needed is free.
const SETTLED: Duration = Duration::from_secs(8);
/// After the last look at a screen, for how long more are expected.
const RESTS: Duration = Duration::from_secs(30);
/// Free memory is given back this seldom; sooner after screens were looked at.
const THRIFT: Duration = Duration::from_secs(300);

/// Socket and session.
pub(crate) type Id = (SocketName, String);

/// A process that ended, and whose it was.
struct Ended {
    id: Id,
    pid: u32,
}

pub(crate) struct Watcher {
    config: Config,
    roster: Option<Roster>,
    planes: HostPlanes,
    planes_due: bool,
    /// Boxed: a map keeps room for eleven.
    agents: BTreeMap<Id, Box<Watched>>,
    due: BTreeSet<Id>,
    sources: Sources,
    machine: Machine,
    limits: Limits,
    asker: Option<Asker>,
    rules: BTreeMap<RuntimeName, RuleBook>,
    /// What was told to be wrong with them: they are read again and again.
    bad_rules: BTreeSet<String>,
    files: Option<Files>,
    discovery: Discovery,
    hooks: Hooks,
    strangers: Strangers,
    servers: Servers,
    deaths: (mpsc::Sender<Ended>, mpsc::Receiver<Ended>),
    uplink: Uplink,
    link: Option<Sender>,
    sample: Interval,
    names: watch::Sender<Vec<String>>,
    keeper: Option<recovery::Keeper>,
    /// Of which the collector is still to be told.
    mass_ends: Vec<MassEnd>,
    /// Units in place that are not the shipped ones.
    units_differ: Vec<String>,
    units: mpsc::Receiver<SystemdPlane>,
    petted: Instant,
    /// When memory is next given back.
    thrift: Instant,
    /// When screens were last looked at.
    looked: Instant,
    /// Locked while this sidecar serves its one agent, so that the host's leaves it alone.
    _presence: Option<serve::Presence>,
}

enum Happened {
    Sampled,
    Discovered(Vec<Discovered>),
    Ended(Ended),
    Files(Vec<Changed>),
    Hook(Datagram),
    Answered(Answered),
    Served(Rc<Told>),
    Units(Option<SystemdPlane>),
    Collector(FromCollector),
    Room,
}

impl Watcher {
    pub(crate) fn new(config: Config, uplink: Uplink) -> anyhow::Result<Self> {
        let mut sample = interval(SAMPLE);
        sample.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let files = Files::new();
        if files.is_none() {
            tracing::warn!(
                "no inotify instance is left (fs.inotify.max_user_instances): files are looked at every second"
            );
        }
        let presence =
            config.agent.as_ref().map(|agent| serve::Presence::claim(&config, agent.as_str())).transpose()?;
        let (names, receiver) = watch::channel(Vec::new());
        let units =
            if config.vantage == Vantage::Host { units::follow(receiver) } else { mpsc::channel(1).1 };
        let units_differ = if config.vantage == Vantage::Host {
            recovery::units_that_differ(&config.home)
        } else {
            Vec::new()
        };
        let policy = config.recovery.filter(|_| config.vantage == Vantage::Host);
        let keeper = policy.map(recovery::Keeper::new);
        let asker = config.ask_limits.then(|| Asker::new(config.home.runtime.clone()));
        let mut watcher = Self {
            discovery: Discovery::new(config.agent.clone()),
            hooks: Hooks::open(&config),
            strangers: Strangers::default(),
            servers: Servers::new(),
            config,
            roster: None,
            planes: HostPlanes::default(),
            planes_due: true,
            agents: BTreeMap::new(),
            due: BTreeSet::new(),
            sources: Sources::default(),
            machine: Machine::default(),
            limits: Limits::default(),
            asker,
            rules: BTreeMap::new(),
            bad_rules: BTreeSet::new(),
            files,
            deaths: mpsc::channel(256),
            uplink,
            link: None,
            sample,
            names,
            units_differ,
            mass_ends: Vec::new(),
            keeper,
            units,
            petted: Instant::now(),
            thrift: Instant::now() + SETTLED,
            looked: Instant::now(),
            _presence: presence,
        };
        watcher.planes.systemd.unavailable = Some("not asked yet".to_owned());
        watcher.read_roster();
        Ok(watcher)
    }

    /// Waits for one event, takes it in, and passes on what follows.
    pub(crate) async fn turn(&mut self, watchdog: Option<Duration>) {
        let happened = self.wait().await;
        match happened {
            Happened::Sampled => self.sampled(),
            Happened::Discovered(found) => self.discovered(&found),
            Happened::Ended(ended) => self.ended(&ended),
            Happened::Files(changed) => self.files_changed(&changed),
            Happened::Answered(answered) => {
                for sighting in &answered.sightings {
                    self.limits.saw(&answered.account, answered.provider, sighting);
                }
            }
            Happened::Hook(Datagram::Call(call)) => self.hooked(call),
            Happened::Hook(Datagram::Sighted(sighted)) => self.sighted(sighted, Instant::now()),
            Happened::Served(told) => self.served(&told),
            Happened::Units(plane) => {
                if let Some(plane) = plane {
                    self.planes_due |= self.planes.systemd != plane;
                    self.planes.systemd = plane;
                }
            }
            Happened::Collector(event) => self.heard(event),
            Happened::Room => {}
        }
        self.flush();
        if watchdog.is_some_and(|limit| self.petted.elapsed() >= limit / 2) {
            tell(NotifyState::Watchdog);
            self.petted = Instant::now();
        }
    }

    async fn wait(&mut self) -> Happened {
        let waiting_for_room = self.pending();
        let files = async {
            match &mut self.files {
                Some(files) => files.changed().await,
                None => std::future::pending().await,
            }
        };
        let answered = async {
            match &mut self.asker {
                Some(asker) => asker.next().await,
                None => std::future::pending().await,
            }
        };
        let room = async {
            match &self.link {
                Some(link) if waiting_for_room => drop(link.reserve().await),
                _ => std::future::pending().await,
            }
        };
        tokio::select! {
            biased;
            Some(ended) = self.deaths.1.recv() => Happened::Ended(ended),
            event = self.uplink.next() => Happened::Collector(event),
            changed = files => Happened::Files(changed),
            call = self.hooks.next() => Happened::Hook(call),
            answered = answered => Happened::Answered(answered),
            told = self.servers.next() => Happened::Served(told),
            found = self.discovery.finished() => Happened::Discovered(found),
            plane = self.units.recv(), if !self.units.is_closed() => Happened::Units(plane),
            _ = self.sample.tick() => Happened::Sampled,
            () = room => Happened::Room,
        }
    }

    /// Something waits for room in the queue to the collector.
    fn pending(&self) -> bool {
        self.link.is_some()
            && (self.planes_to_send()
                || !self.due.is_empty()
                || !self.mass_ends.is_empty()
                || self.limits.has_news())
    }

    /// The planes are due and may go: only the host's sidecar tells them, and after the sessions, so that a roster's
    /// agent without a session is not missed too early.
    fn planes_to_send(&self) -> bool {
        self.planes_due && self.config.vantage == Vantage::Host && self.discovery.complete()
    }

    fn heard(&mut self, event: FromCollector) {
        match event {
            FromCollector::Connected(link) => {
                self.link = Some(link);
                self.sources.lost();
                self.limits.connected();
                self.due.extend(self.agents.keys().cloned());
                self.planes_due = true;
            }
            FromCollector::Lost => {
                self.link = None;
                self.sources.lost();
            }
            FromCollector::Cursor(ack) => self.sources.acknowledged(&ack),
        }
    }

    /// Passes on what changed, the latest only, as far as there is room; what is left stays due.
    fn flush(&mut self) {
        let now = Instant::now();
        let Some(link) = &self.link else {
            self.agents.retain(|_, watched| !watched.is_over());
            return;
        };
        while let Some(id) = self.due.pop_first() {
            let Some(watched) = self.agents.get_mut(&id) else { continue };
            let observation = observation_to_pb(&watched.observation(now));
            if link.try_send(message(Message::Observation(observation))).is_err() {
                self.due.insert(id);
                return;
            }
            if watched.is_over() {
                self.agents.remove(&id);
            }
        }
        if self.planes_to_send() {
            if link.try_send(message(Message::Planes(planes_to_pb(&self.planes)))).is_err() {
                return;
            }
            self.planes_due = false;
        }
        while let Some(end) = self.mass_ends.first() {
            if link.try_send(message(Message::MassEnd(mass_end_to_pb(end)))).is_err() {
                return;
            }
            self.mass_ends.remove(0);
        }
        while self.sources.pump(link, &mut self.limits) && link.capacity() >= 8 {}
        for (owner, at, model) in self.sources.take_answered() {
            let id = (owner.socket.clone(), owner.session.clone());
            if self.agents.get_mut(&id).is_some_and(|watched| watched.answered(at, model)) {
                self.due.insert(id);
            }
        }
        self.limits.flush(link);
    }

    fn files_changed(&mut self, changed: &[Changed]) {
        for change in changed {
            match change {
                Changed::Overflow => {
                    self.sources.stir_all();
                    self.read_roster();
                    let all: Vec<Id> = self.agents.keys().cloned().collect();
                    all.into_iter().for_each(|id| self.reread(&id));
                }
                Changed::At(path) => self.file_changed(path),
            }
        }
    }

    fn file_changed(&mut self, path: &PathBuf) {
        if *path == self.config.roster || Some(path.as_path()) == self.config.roster.parent() {
            self.read_roster();
            return;
        }
        self.sources.stir(path);
        let touched: Vec<Id> =
            self.agents.iter().filter(|(_, watched)| watched.reads(path)).map(|(id, _)| id.clone()).collect();
        for id in touched {
            if self.agents.get(&id).is_some_and(|watched| watched.may_be_answered()) {
                self.discovery.second_look(Instant::now());
            }
            self.reread(&id);
        }
    }

    /// Says goodbye, so that the silence that follows is no fault, and lets what is under way arrive.
    pub(crate) async fn drain(&mut self) {
        self.flush();
        while self.link.is_some() && self.sources.under_way() > 0 {
            let event = self.uplink.next().await;
            self.heard(event);
        }
        if let Some(link) = self.link.take() {
            let _ = link.send(message(Message::Goodbye(pb::Goodbye {}))).await;
            drop(link);
            while !matches!(self.uplink.next().await, FromCollector::Lost) {}
        }
    }
}
