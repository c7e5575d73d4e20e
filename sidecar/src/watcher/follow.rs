//! What each agent writes and who serves it: found, watched, and followed.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::time::Instant;

use fleet_adapters::runtimes::live::Told;
use fleet_domain::limits::provider_of;

use super::agent::Watched;
use super::{Id, Watcher};
use crate::usage::Owner;

impl Watcher {
    /// Those of which it is sought anew what they write and who serves them.
    pub(super) fn sought_now(&mut self) -> BTreeSet<Id> {
        let due = self.agents.iter_mut().filter_map(|(id, watched)| watched.follow_is_due().then_some(id));
        due.cloned().collect()
    }

    /// Listens to the servers of those agents that are served here.
    pub(super) fn follow_servers(&mut self, sought: &BTreeSet<Id>) {
        let here: Vec<Id> = self.agents.keys().filter(|id| !self.served_elsewhere(id)).cloned().collect();
        for id in here.iter().filter(|id| sought.contains(*id)) {
            if let Some(watched) = self.agents.get_mut(id)
                && watched.find_server()
                && let Some(told) = watched.served.endpoint().and_then(|endpoint| self.servers.last(endpoint))
                && watched.heard(&told)
            {
                self.due.insert(id.clone());
            }
        }
        let agents = &self.agents;
        self.servers.follow(here.iter().filter_map(|id| agents.get(id)?.served.endpoint()));
    }

    pub(super) fn served(&mut self, told: &Told) {
        let concerns = |watched: &&mut Box<Watched>| watched.served.endpoint() == Some(&told.endpoint);
        let mut look = false;
        for watched in self.agents.values_mut().filter(concerns) {
            if watched.heard(told) {
                look |= watched.wants_look();
                self.due.insert(watched.id.clone());
            }
        }
        if look {
            self.discovery.second_look(Instant::now());
        }
    }

    /// What the runtime and its transcript say now.
    pub(super) fn reread(&mut self, id: &Id) {
        let Some(watched) = self.agents.get_mut(id) else { return };
        let changed = watched.read_native() | watched.read_ending();
        if changed {
            if watched.wants_look() {
                self.discovery.second_look(Instant::now());
            }
            self.due.insert(id.clone());
        }
        self.watch_directories(id);
        self.follow_one(id);
    }

    /// Watches what can be watched by now; true when a directory came to it, so that what was written before is read.
    pub(super) fn watch_directories(&mut self, id: &Id) -> bool {
        let (Some(watched), Some(files)) = (self.agents.get_mut(id), &mut self.files) else { return false };
        let fresh: Vec<PathBuf> =
            watched.directories().into_iter().filter(|directory| files.watch(directory)).collect();
        for path in watched.transcripts_below(&fresh) {
            self.sources.stir(&path);
        }
        !fresh.is_empty()
    }

    pub(super) fn follow_transcripts(&mut self, sought: &BTreeSet<Id>) {
        for id in sought {
            self.follow_one(id);
        }
        for (id, watched) in self.agents.iter_mut().filter(|(id, _)| !sought.contains(*id)) {
            if watched.read_ending() {
                self.due.insert(id.clone());
            }
        }
        let agents = &self.agents;
        self.sources.retain(|owner| agents.contains_key(&(owner.socket.clone(), owner.session.clone())));
    }

    pub(super) fn follow_one(&mut self, id: &Id) {
        if self.served_elsewhere(id) {
            return;
        }
        let Some(watched) = self.agents.get_mut(id) else { return };
        let Some(runtime) = &watched.found.runtime else { return };
        let owner = Owner {
            socket: id.0.clone(),
            session: id.1.clone(),
            runtime: runtime.to_string(),
            account: watched.pays().map(|(account, _)| account).unwrap_or_default(),
            provider: provider_of(runtime.as_str(), None).unwrap_or_default(),
        };
        for trace in watched.traces(&mut self.machine) {
            self.sources.follow(trace, &owner);
        }
        if watched.read_ending() {
            self.due.insert(id.clone());
        }
    }
}
