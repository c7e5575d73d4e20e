//! The host's planes as this sidecar knows them: roster and sockets; systemd's comes from `units`.

use fleet_adapters::{host, roster_file};
use fleet_domain::SocketName;
use fleet_domain::observation::{Pane, RosterEntry, RosterPlane, SocketPlane, SocketState, Vantage};

use super::Watcher;

impl Watcher {
    /// Reads the roster; one that is broken is told, and the last good one stays.
    pub(super) fn read_roster(&mut self) {
        if let (Some(files), Some(directory)) = (&mut self.files, self.config.roster.parent()) {
            files.watch(directory);
        }
        let plane = match roster_file::read(&self.config.roster) {
            Ok(Some(mut roster)) => {
                // Beside one agent the others of a large roster are only weight.
                if let Some(own) = &self.config.agent {
                    roster.agents.retain(|agent| agent.name == *own);
                    roster.agents.shrink_to_fit();
                }
                let mut plane = roster_file::plane(&self.config.roster, &roster, &self.config.host);
                if self.config.vantage == Vantage::Host {
                    for entry in &mut plane.agents {
                        entry.deviations = self.deviations(&roster, entry);
                    }
                }
                self.roster = Some(roster);
                plane
            }
            Ok(None) => {
                self.roster = None;
                RosterPlane::default()
            }
            Err(error) => RosterPlane {
                path: self.config.roster.display().to_string(),
                error: Some(error.to_string()),
                agents: self.planes.roster.agents.clone(),
            },
        };
        if plane == self.planes.roster {
            return;
        }
        if let Some(error) = &plane.error {
            tracing::warn!("the roster is not taken over: {error}");
        }
        self.planes.roster = plane;
        self.planes_due = true;
        let names: Vec<String> =
            self.planes.roster.agents.iter().map(|entry| entry.name.to_string()).collect();
        self.names.send_if_modified(|known| {
            let changed = *known != names;
            *known = names;
            changed
        });
        let ids: Vec<_> = self.agents.keys().cloned().collect();
        for id in ids {
            let entry = self.entry(&id.0, &id.1).cloned();
            if let Some(watched) = self.agents.get_mut(&id) {
                watched.roster = entry;
            }
        }
        self.discovery.soon(std::time::Instant::now());
    }

    pub(super) fn entry(&self, socket: &SocketName, session: &str) -> Option<&RosterEntry> {
        self.planes
            .roster
            .agents
            .iter()
            .find(|entry| entry.name.as_str() == session && entry.socket == *socket)
    }

    /// The sockets to list: the roster's, the adopted ones, and one that the roster names no more until its last session
    /// is seen to be gone; of an agent's own sidecar, that agent's.
    pub(super) fn targets(&self) -> Vec<host::Target> {
        let mut targets = host::targets(self.roster.as_ref(), &self.config.extra_sockets());
        if let Some(agent) = &self.config.agent {
            let socket =
                self.roster.as_ref().and_then(|roster| Some(roster.socket_of(roster.agent(agent.as_str())?)));
            targets.retain(|target| Some(&target.socket) == socket.as_ref());
            return targets;
        }
        for watched in self.agents.values().filter(|watched| !matches!(watched.pane, Pane::Gone)) {
            let socket = &watched.id.0;
            if targets.iter().any(|target| target.socket == *socket) {
                continue;
            }
            if let Some(known) = self.planes.sockets.iter().find(|known| known.socket == *socket) {
                targets.push(host::Target {
                    socket: socket.clone(),
                    holder: known.holder.clone(),
                    scope: host::Scope::of(socket),
                });
            }
        }
        targets
    }

    pub(super) fn socket_state(&mut self, target: &host::Target, state: &SocketState) {
        let plane = SocketPlane {
            socket: target.socket.clone(),
            holder: target.holder.clone(),
            state: state.clone(),
        };
        match self.planes.sockets.iter_mut().find(|known| known.socket == plane.socket) {
            Some(known) if *known == plane => return,
            Some(known) => *known = plane,
            None => self.planes.sockets.push(plane),
        }
        self.planes_due = true;
    }
}
