//! The host's sidecar keeps up what systemd was told to keep up: an agent whose unit is active and whose session ended is
//! started again, by the rules of [`fleet_domain::recovery`]. Nothing that was stopped is touched.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use fleet_adapters::systemd::{Systemd, SystemdError};
use fleet_domain::Mono;
use fleet_domain::drift::Deviation;
use fleet_domain::fleet::MassEnd;
use fleet_domain::observation::{Pane, RosterEntry, SocketState};
use fleet_domain::recovery::{Effect, Policy, Recovery};
use fleet_domain::roster::Roster;
use fleet_framework::Home;
use fleet_framework::agents::{quarantine, release};
use fleet_framework::deviations;
use fleet_framework::units::{HOLDER, agent_unit};
use tokio::sync::mpsc;

use super::Watcher;

/// A session that has just been started is found by the listing after it.
const FOUND_BY: Duration = Duration::from_secs(12);
/// One that was seen is gone when it is missing for so long.
const GONE_BY: Duration = Duration::from_secs(2);
/// How often the agents' files are compared with the roster; a change of the roster, and a start, does it at once.
const COMPARE: Duration = Duration::from_secs(30);

/// Ends of many that wait for a collector; more of them would say nothing new.
const MAX_UNTOLD: usize = 16;

/// A start that failed: whose, and why.
type Failed = (String, String);

pub(super) struct Keeper {
    recovery: Recovery,
    /// Since when a session that should be there is not.
    missing: BTreeMap<String, Instant>,
    failed: (mpsc::Sender<Failed>, mpsc::Receiver<Failed>),
    started: Instant,
    compare_at: Instant,
    /// Of each agent's pane: a start writes its environment file, so that another one tells of that.
    panes: BTreeMap<String, u32>,
}

impl Keeper {
    pub(super) fn new(policy: Policy) -> Self {
        let now = Instant::now();
        Self {
            recovery: Recovery::new(policy),
            missing: BTreeMap::new(),
            failed: mpsc::channel(64),
            started: now,
            compare_at: now,
            panes: BTreeMap::new(),
        }
    }

    fn now(&self) -> Mono {
        Mono(i64::try_from(self.started.elapsed().as_millis()).unwrap_or(i64::MAX))
    }
}

/// What a look at one agent says.
enum Seen {
    Runs,
    Ended(String),
    /// Down on purpose, or not ours to keep.
    Left,
    Unknown,
}

impl Watcher {
    /// Once a second, beside the host's own agents only.
    pub(super) fn recover(&mut self) {
        let Some(mut keeper) = self.keeper.take() else { return };
        if self.planes.systemd.unavailable.is_none() && self.discovery.complete() {
            self.observe(&mut keeper);
            for effect in keeper.recovery.step(keeper.now()) {
                self.perform(&keeper, effect);
            }
        }
        if self.started_anew(&mut keeper) || Instant::now() >= keeper.compare_at {
            keeper.compare_at = Instant::now() + COMPARE;
            self.compare();
        }
        self.keeper = Some(keeper);
    }

    fn started_anew(&self, keeper: &mut Keeper) -> bool {
        let mut anew = false;
        for entry in &self.planes.roster.agents {
            let name = entry.name.as_str();
            let watched = self.agents.get(&(entry.socket.clone(), name.to_owned()));
            if let Some(Pane::Alive { pid, .. }) = watched.map(|watched| &watched.pane) {
                anew |= keeper.panes.insert(name.to_owned(), *pid) != Some(*pid);
            }
        }
        anew
    }

    fn observe(&mut self, keeper: &mut Keeper) {
        let now = keeper.now();
        while let Ok((name, error)) = keeper.failed.1.try_recv() {
            keeper.recovery.ended(&name, &error, now);
        }
        let mut released = false;
        for entry in &self.planes.roster.agents {
            let name = entry.name.as_str();
            let noted = self.config.home.quarantined(name).exists();
            match (keeper.recovery.is_quarantined(name), noted) {
                // Somebody took the note away: it gets its chances anew.
                (true, false) => keeper.recovery.forget(name),
                (false, true) => keeper.recovery.quarantined(name),
                _ => {}
            }
            match self.seen(keeper, entry) {
                Seen::Runs => {
                    if keeper.recovery.is_quarantined(name) {
                        released |= release(&self.config.home, name).is_ok();
                    }
                    keeper.missing.remove(name);
                    keeper.recovery.up(name, now);
                }
                Seen::Ended(why) => keeper.recovery.ended(name, &why, now),
                Seen::Left => {
                    keeper.missing.remove(name);
                    keeper.recovery.forget(name);
                }
                Seen::Unknown => {}
            }
        }
        if released {
            self.compare();
        }
    }

    fn seen(&self, keeper: &mut Keeper, entry: &RosterEntry) -> Seen {
        let name = entry.name.as_str();
        let unit = self.planes.systemd.units.iter().find(|unit| unit.agent == name);
        match unit.map(|unit| unit.active.as_str()) {
            Some("active") => {}
            Some("failed") if !self.config.home.stopped(name).exists() => {
                return Seen::Ended("its unit failed to start".to_owned());
            }
            Some("activating" | "deactivating" | "reloading") => return Seen::Unknown,
            _ => return Seen::Left,
        }
        match self.agents.get(&(entry.socket.clone(), name.to_owned())).map(|watched| &watched.pane) {
            Some(Pane::Alive { .. }) => Seen::Runs,
            Some(Pane::Dead { status, signal, .. }) => Seen::Ended(match (status, signal) {
                (_, Some(signal)) => format!("signal {signal}"),
                (Some(status), _) => format!("exit status {status}"),
                _ => "it ended".to_owned(),
            }),
            Some(Pane::Unreachable { .. }) => Seen::Unknown,
            Some(Pane::Gone) | None => {
                let since = *keeper.missing.entry(name.to_owned()).or_insert_with(Instant::now);
                let patience = if keeper.recovery.is_up(name) { GONE_BY } else { FOUND_BY };
                if since.elapsed() < patience {
                    return Seen::Unknown;
                }
                Seen::Ended("its session is gone".to_owned())
            }
        }
    }

    fn perform(&mut self, keeper: &Keeper, effect: Effect) {
        match effect {
            Effect::Restart { name } => {
                tracing::info!("{name} ended and is started again");
                let entry = self.planes.roster.agents.iter().find(|entry| entry.name.as_str() == name);
                let socket = entry.map(|entry| &entry.socket);
                let down = self
                    .planes
                    .sockets
                    .iter()
                    .any(|plane| Some(&plane.socket) == socket && plane.state == SocketState::Down);
                let failed = keeper.failed.0.clone();
                tokio::spawn(async move {
                    if let Err(error) = restart(&name, down).await {
                        tracing::warn!("{name} could not be started again: {error}");
                        // A full queue holds enough to be judged by.
                        let _ = failed.try_send((name, error.to_string()));
                    }
                });
            }
            Effect::Quarantine { name, reason } => {
                tracing::warn!("{name} is left down: {reason}; once that is put right: fleet start {name}");
                if let Err(error) = quarantine(&self.config.home, &name, &reason) {
                    tracing::warn!("{error}");
                }
                self.compare();
            }
            Effect::Mass { names } => {
                tracing::warn!(
                    "{} agents ended at once ({}): they are started again one after the other",
                    names.len(),
                    names.join(", ")
                );
                let apart = self.config.recovery.map(|policy| policy.apart);
                if self.mass_ends.len() < MAX_UNTOLD {
                    self.mass_ends.push(MassEnd { agents: names, apart });
                }
            }
        }
    }

    /// Compares the agents' files with the roster, for drift.
    fn compare(&mut self) {
        let Some(roster) = self.roster.take() else { return };
        self.units_differ = units_that_differ(&self.config.home);
        let mut entries = std::mem::take(&mut self.planes.roster.agents);
        for entry in &mut entries {
            let found = self.deviations(&roster, entry);
            if entry.deviations != found {
                entry.deviations = found;
                self.planes_due = true;
            }
        }
        self.planes.roster.agents = entries;
        self.roster = Some(roster);
    }

    pub(super) fn deviations(&self, roster: &Roster, entry: &RosterEntry) -> Vec<Deviation> {
        let agent = roster.agent(entry.name.as_str());
        agent.map_or_else(Vec::new, |agent| {
            deviations::of(&self.config.home, roster, agent, &self.units_differ)
        })
    }
}

pub(super) fn units_that_differ(home: &Home) -> Vec<String> {
    let bin = std::env::current_exe().ok().and_then(|exe| Some(exe.parent()?.to_owned()));
    bin.map(|bin| deviations::units(home, &bin)).unwrap_or_default()
}

/// As a person would; where the tmux server is gone with everything on it, its holder comes first.
async fn restart(name: &str, server_down: bool) -> Result<(), SystemdError> {
    let systemd = Systemd::connect().await?;
    if server_down {
        systemd.reload(HOLDER).await?;
    }
    systemd.restart(&agent_unit(name)).await
}
