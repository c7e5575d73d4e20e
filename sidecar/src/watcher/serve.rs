//! What is done for each session: take in a listing, a death, a tick; guard its processes; write its heartbeat.

use std::collections::BTreeMap;
use std::fs::{DirBuilder, File, OpenOptions};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::time::Instant;

use anyhow::Context;
use fleet_adapters::heartbeat_file::Writer;
use fleet_adapters::hooks::Call;
use fleet_adapters::host::{concerns, wall_now};
use fleet_adapters::pidfd::Pidfd;
use fleet_adapters::sighted::Sighted;
use fleet_adapters::{look, memory};
use fleet_domain::SocketName;
use fleet_domain::observation::{Pane, Process, SocketState, Vantage};
use nix::fcntl::{Flock, FlockArg};

use super::agent::Watched;
use super::discovery::{CLOSELY, Discovered, EVERY, SELDOM};
use super::{Ended, Id, RESTS, SETTLED, THRIFT, Watcher, rules};
use crate::config::Config;

/// A lock that says: this agent has a sidecar of its own.
pub(super) struct Presence {
    _lock: Flock<File>,
}

impl Presence {
    pub(super) fn claim(config: &Config, agent: &str) -> anyhow::Result<Self> {
        DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(&config.home.runtime)
            .context("the runtime directory")?;
        let path = config.presence(agent);
        let file = OpenOptions::new().create(true).truncate(false).write(true).mode(0o600).open(&path)?;
        let lock = Flock::lock(file, FlockArg::LockExclusiveNonblock)
            .map_err(|(_, errno)| errno)
            .with_context(|| format!("{}: another sidecar serves {agent} already", path.display()))?;
        Ok(Self { _lock: lock })
    }

    /// True while somebody else holds it.
    fn held(config: &Config, agent: &str) -> bool {
        let Ok(file) = File::open(config.presence(agent)) else { return false };
        matches!(Flock::lock(file, FlockArg::LockSharedNonblock), Err((_, nix::errno::Errno::EWOULDBLOCK)))
    }
}

impl Watcher {
    /// The tick of a second: cheap looks, heartbeats that are due, a listing that is due.
    pub(super) fn sampled(&mut self) {
        let now = Instant::now();
        let ids: Vec<Id> = self.agents.keys().cloned().collect();
        for id in ids {
            let without_events = self.files.is_none();
            let Some(watched) = self.agents.get_mut(&id) else { continue };
            let mut changed = watched.sample();
            if without_events {
                changed |= watched.read_native();
            }
            let seeks = watched.seek_again();
            let beat = now >= watched.beat_at;
            if changed {
                self.due.insert(id.clone());
                self.guard(&id);
            }
            if seeks {
                self.follow_one(&id);
            }
            if self.watch_directories(&id) {
                self.reread(&id);
            }
            if beat {
                self.beat(&id, now);
            }
        }
        if self.files.is_none() {
            self.sources.stir_all();
            self.read_roster();
        }
        if now >= self.thrift {
            self.be_thrifty(now);
        }
        self.recover();
        self.list_if_due(now);
    }

    /// Holds no more than it needs: rules that no screen was held against for a while are read again when one is.
    fn be_thrifty(&mut self, now: Instant) {
        let rests = now.duration_since(self.looked) >= RESTS;
        if rests {
            self.rules.clear();
            self.agents.values_mut().for_each(|watched| watched.screen.rest());
        }
        memory::give_back();
        self.thrift = if rests { now + THRIFT } else { self.looked + RESTS };
    }

    fn list_if_due(&mut self, now: Instant) {
        if !self.discovery.due(now) {
            return;
        }
        let mut screens: BTreeMap<SocketName, Vec<String>> = BTreeMap::new();
        for watched in self.agents.values().filter(|watched| watched.wants_look()) {
            if !self.served_elsewhere(&watched.id) {
                screens.entry(watched.id.0.clone()).or_default().push(watched.row.pane.clone());
            }
        }
        let targets = self.targets();
        let every = if self.tells_itself() {
            SELDOM
        } else if self
            .agents
            .values()
            .any(|watched| watched.shows_alone() && !self.served_elsewhere(&watched.id))
        {
            CLOSELY
        } else {
            EVERY
        };
        self.discovery.start(targets, screens, (now, every));
    }

    /// One agent is watched, and its own files tell all there is to tell.
    fn tells_itself(&self) -> bool {
        self.config.vantage == Vantage::Agent
            && self.files.is_some()
            && !self.agents.is_empty()
            && self.agents.values().all(|watched| watched.tells_itself())
    }

    pub(super) fn discovered(&mut self, found: &[Discovered]) {
        for one in found {
            self.socket_state(&one.target, &one.listing.state);
            match &one.listing.state {
                SocketState::Unreachable { why } => self.unreachable(&one.target.socket, why),
                SocketState::Up | SocketState::Down => self.listed(one),
            }
        }
        for (sighted, since) in self.limits.unclaimed() {
            self.sighted(sighted, since);
        }
        self.ask_for_limits();
        let sought = self.sought_now();
        self.follow_transcripts(&sought);
        self.follow_servers(&sought);
        // Something was drawn since the last look, as this listing told: looked at before the next one is due.
        let looked = |watched: &Watched| {
            let mut own = found.iter().filter(|one| one.target.socket == watched.id.0);
            own.any(|one| one.listing.screens.contains_key(&watched.row.pane))
        };
        let waits = |watched: &Watched| watched.wants_look() && !looked(watched);
        if self.agents.values().any(|watched| waits(watched) && !self.served_elsewhere(&watched.id)) {
            self.discovery.second_look(Instant::now());
        }
        self.list_if_due(Instant::now());
    }

    fn unreachable(&mut self, socket: &SocketName, why: &str) {
        for (id, watched) in self.agents.iter_mut().filter(|(id, _)| id.0 == *socket) {
            if watched.is_alive() {
                watched.pane = Pane::Unreachable { why: why.to_owned() };
                self.due.insert(id.clone());
            }
        }
    }

    fn listed(&mut self, found: &Discovered) {
        for (session, rows) in &found.listing.sessions {
            self.session(found, session, rows);
        }
        let gone: Vec<Id> = self
            .agents
            .keys()
            .filter(|(socket, session)| {
                *socket == found.target.socket && !found.listing.sessions.contains_key(session)
            })
            .cloned()
            .collect();
        for id in gone {
            if let Some(watched) = self.agents.get_mut(&id) {
                watched.pane = Pane::Gone;
                watched.found.process = Process::Exited;
                watched.found.runtime = None;
            }
            self.due.insert(id);
        }
        self.look_at_screens(found);
    }

    /// What was captured, by the rules; a change that was seen once is looked at again soon.
    fn look_at_screens(&mut self, found: &Discovered) {
        let now = Instant::now();
        if !found.listing.screens.is_empty() {
            // Soon, but not for each of several looks in a row.
            self.thrift = self.thrift.min(now + SETTLED);
            self.looked = now;
        }
        for watched in self.agents.values_mut().filter(|watched| watched.id.0 == found.target.socket) {
            let Some(capture) = found.listing.screens.get(&watched.row.pane) else { continue };
            let Some(runtime) = watched.found.runtime.clone() else { continue };
            let book = self
                .rules
                .entry(runtime.clone())
                .or_insert_with(|| rules::of(&self.config, &runtime, &mut self.bad_rules));
            let Some(rules) = book.rules(runtime.as_str(), None) else {
                watched.has_no_rules();
                continue;
            };
            if watched.saw(rules, capture, found.asked) {
                self.due.insert(watched.id.clone());
            }
            if watched.wants_second_look() {
                self.discovery.second_look(now);
            }
        }
    }

    fn session(&mut self, listing: &Discovered, session: &str, rows: &[fleet_adapters::tmux::PaneRow]) {
        let (target, asked) = (&listing.target, listing.asked);
        if self.config.agent.as_ref().is_some_and(|agent| agent.as_str() != session) {
            return;
        }
        let id: Id = (target.socket.clone(), session.to_owned());
        let Some((row, found)) = look::choose(rows) else { return };
        let changed = match self.agents.get_mut(&id) {
            Some(watched) => watched.listed(row.clone(), found, asked),
            None => {
                let roster = self.entry(&target.socket, session).cloned();
                let interval = self.config.interval;
                let mut watched = Box::new(Watched::new(id.clone(), roster, row.clone(), found, interval));
                if !concerns(target.scope, watched.roster.is_some(), &watched.observation(Instant::now())) {
                    return;
                }
                if let Some((call, at)) = self.strangers.take(&watched.vital()) {
                    watched.hooked(call, at);
                }
                self.agents.insert(id.clone(), watched);
                true
            }
        };
        if changed {
            self.guard(&id);
            self.reread(&id);
            self.due.insert(id);
        }
    }

    /// Waits for the end of the processes that matter, each by a pidfd of its own.
    fn guard(&mut self, id: &Id) {
        let Some(watched) = self.agents.get_mut(id) else { return };
        let vital = watched.vital();
        watched.guards.retain(|(pid, guard)| {
            let keep = vital.contains(pid);
            if !keep {
                guard.abort();
            }
            keep
        });
        for pid in vital {
            if watched.guards.iter().any(|(guarded, _)| *guarded == pid) {
                continue;
            }
            // A process that ended before it could be watched is found by the next look.
            let Some(pidfd) = Pidfd::open(pid) else { continue };
            let (deaths, id) = (self.deaths.0.clone(), id.clone());
            let task = tokio::spawn(async move {
                pidfd.ended().await;
                let _ = deaths.send(Ended { id, pid }).await;
            });
            watched.guards.push((pid, task.abort_handle()));
        }
    }

    pub(super) fn ended(&mut self, ended: &Ended) {
        let Some(watched) = self.agents.get_mut(&ended.id) else { return };
        if watched.ended(ended.pid) {
            self.due.insert(ended.id.clone());
            self.guard(&ended.id);
            self.discovery.soon(Instant::now());
        }
    }

    /// A hook of the agent whose runtime is one of the caller's ancestors.
    pub(super) fn hooked(&mut self, call: Call) {
        let is_callers =
            |watched: &&mut Box<Watched>| watched.vital().iter().any(|pid| call.pids.contains(pid));
        let now = Instant::now();
        let Some(watched) = self.agents.values_mut().find(is_callers) else {
            if self.strangers.keep(call, now) {
                self.discovery.soon(now);
            }
            return;
        };
        watched.hooked(call, now);
        if watched.wants_look() {
            self.discovery.second_look(Instant::now());
        }
        self.due.insert(watched.id.clone());
    }

    /// Windows of the account that an agent spends from, as its runtime told a client of ours.
    pub(super) fn sighted(&mut self, sighted: Sighted, since: Instant) {
        let is_callers = |watched: &&Watched| watched.vital().iter().any(|pid| sighted.pids.contains(pid));
        let Some((watched, (account, provider))) = self
            .agents
            .values()
            .map(Box::as_ref)
            .find(is_callers)
            .and_then(|watched| Some((watched, watched.pays()?)))
        else {
            self.limits.whose(sighted, since);
            return;
        };
        if !self.served_elsewhere(&watched.id) {
            self.limits.told(&account, provider, &sighted);
        }
    }

    /// Of each account, one of its agents is asked.
    fn ask_for_limits(&mut self) {
        let Some(asker) = &mut self.asker else { return };
        for watched in self.agents.values().filter(|watched| watched.is_alive()) {
            let (Some((account, provider)), Some(runtime), Some(stat)) =
                (watched.pays(), &watched.found.runtime, &watched.found.stat)
            else {
                continue;
            };
            asker.ask(&account, provider, runtime.as_str(), stat.pid);
        }
    }

    /// True where the agent's own sidecar does the work.
    pub(super) fn served_elsewhere(&self, id: &Id) -> bool {
        self.config.vantage == Vantage::Host
            && self.agents.get(id).is_some_and(|watched| watched.roster.is_some())
            && Presence::held(&self.config, &id.1)
    }

    /// A heartbeat is due: asks the runtime again, writes the file, reports.
    fn beat(&mut self, id: &Id, now: Instant) {
        let elsewhere = self.served_elsewhere(id);
        let Some(watched) = self.agents.get_mut(id) else { return };
        watched.beat_at = now + watched.interval;
        if !watched.is_alive() {
            return;
        }
        watched.read_native();
        watched.look_at_progress(self.config.progress, now);
        self.due.insert(id.clone());
        if watched.roster.is_none() || elsewhere {
            watched.writer = None;
            return;
        }
        let path = self.config.home.heartbeat(&id.1);
        if watched.writer.is_none() {
            match Writer::claim(&path) {
                Ok(writer) => watched.writer = writer,
                Err(error) => tracing::warn!("{}: no heartbeat can be written: {error}", path.display()),
            }
        }
        if let (Some(writer), Some(beat)) = (&watched.writer, watched.heartbeat(now, wall_now()))
            && let Err(error) = writer.write(&beat)
        {
            tracing::warn!("{}: {error}", path.display());
        }
        if watched.writer.is_some() {
            watched.remember(&self.config.home);
        }
    }
}
