//! The fleet without systemd: collector and host-wide sidecar as children of this process, agents in tmux as always,
//! and each of them brought back when it ends, by the same rules as everywhere ([`fleet_domain::recovery`]).
#![expect(
    clippy::disallowed_methods,
    reason = "the programs of the fleet itself, started by their own names"
)]

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io::{Read as _, Seek as _, Write as _};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use fleet_adapters::tmux::{Life, Server};
use fleet_domain::recovery::{Effect, Policy, Recovery};
use fleet_domain::roster::Agent;
use fleet_framework::Home;
use fleet_framework::agents::{quarantine, release};
use fleet_framework::home::{recovery_pause, shown};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tokio::process::{Child, Command};
use tokio::signal::unix::{SignalKind, signal};
use tokio::time::{MissedTickBehavior, interval, sleep, timeout};

use super::keeper::{Act, Keeper, each, launcher};
use super::{Site, files_failed};
use crate::clock;
use crate::error::{Code, Failure, Outcome};
use crate::output;
use crate::render::words::plural;
use crate::verbs::install::programs;

/// How often sessions are looked at: one short question a tmux server.
const LOOK: Duration = Duration::from_secs(1);
/// What a child gets to end by itself.
const GRACE: Duration = Duration::from_secs(10);
/// What the whole fleet gets to end, when it was told to from elsewhere.
const END_LIMIT: Duration = Duration::from_secs(60);
/// And so long for each agent, as they end one after the other.
const END_EACH: Duration = Duration::from_secs(6);
const LOOK_AGAIN: Duration = Duration::from_millis(50);
const CHILDREN: [(&str, &[&str]); 2] = [("fleet-collector", &[]), ("fleet-sidecar", &["--host"])];

/// Keeps everything up until the user, or the system, asks for the end; then stops it in order.
pub async fn supervise(site: Arc<Site>, why: &str) -> Outcome {
    let _only = only_one(&site.home)?;
    let bin = programs(None)?;
    output::note(&format!("{why}: watching over the fleet in the foreground; Ctrl-C stops it in order"));
    let mut watch = Watch {
        bin,
        children: BTreeMap::new(),
        services: Recovery::new(Policy { short_lives: u32::MAX, ..Policy::default() }),
        agents: Recovery::new(Policy {
            pause: recovery_pause(Policy::default().pause).0,
            ..Policy::default()
        }),
        noted: BTreeSet::new(),
        roster_seen: modified(&site.home.roster()),
        site,
    };
    let kinds = [SignalKind::interrupt(), SignalKind::terminate(), SignalKind::hangup()];
    let [Ok(mut interrupt), Ok(mut terminate), Ok(mut hangup)] = kinds.map(signal) else {
        return Err(Failure::new(Code::Failure, "signals cannot be handled here"));
    };
    watch.begin().await?;
    let mut tick = interval(LOOK);
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            _ = tick.tick() => {}
            _ = interrupt.recv() => break,
            _ = terminate.recv() => break,
            _ = hangup.recv() => break,
        }
        watch.look().await;
        watch.act().await;
    }
    watch.end().await
}

/// Whether a supervisor watches over this fleet.
pub fn runs(home: &Home) -> bool {
    File::options().write(true).open(lock_path(home)).is_ok_and(|file| file.try_lock().is_err())
}

/// True where a supervisor ran, was told to end, and did.
///
/// # Errors
/// When it cannot be told, or still runs when all of so many agents should have ended.
pub async fn end(home: &Home, agents: usize) -> Result<bool, Failure> {
    let Ok(mut file) = File::options().read(true).write(true).open(lock_path(home)) else { return Ok(false) };
    if file.try_lock().is_ok() {
        return Ok(false);
    }
    let mut text = String::new();
    file.read_to_string(&mut text).map_err(|error| files_failed(&error))?;
    let Ok(pid) = text.trim().parse() else { return Ok(false) };
    kill(Pid::from_raw(pid), Signal::SIGTERM).map_err(|error| files_failed(&error))?;
    output::note("told the `fleet up` that runs to stop everything, which it does in order");
    let gone = async {
        while file.try_lock().is_err() {
            sleep(LOOK_AGAIN).await;
        }
    };
    let limit = END_LIMIT + END_EACH.saturating_mul(u32::try_from(agents).unwrap_or(u32::MAX));
    if timeout(limit, gone).await.is_err() {
        let message = format!("the `fleet up` of PID {pid} still stops the fleet after {}s", limit.as_secs());
        return Err(Failure::new(Code::TimedOut, message).next("what it waits for stands in its terminal"));
    }
    Ok(true)
}

fn lock_path(home: &Home) -> PathBuf {
    home.heartbeats().join(".up")
}

fn only_one(home: &Home) -> Result<File, Failure> {
    let path = lock_path(home);
    let open = || -> std::io::Result<File> {
        std::fs::create_dir_all(home.heartbeats())?;
        File::options().create(true).truncate(false).read(true).write(true).open(&path)
    };
    let mut file =
        open().map_err(|error| Failure::new(Code::Failure, format!("{}: {error}", shown(&path))))?;
    if file.try_lock().is_err() {
        return Err(Failure::new(Code::Refused, "another `fleet up` watches over this fleet already")
            .next("see it: fleet ps; end it: fleet down"));
    }
    let written =
        file.set_len(0).and_then(|()| file.rewind()).and_then(|()| write!(file, "{}", std::process::id()));
    written.map_err(|error| Failure::new(Code::Failure, format!("{}: {error}", shown(&path))))?;
    Ok(file)
}

fn modified(path: &Path) -> Option<SystemTime> {
    std::fs::metadata(path).and_then(|data| data.modified()).ok()
}

struct Watch {
    site: Arc<Site>,
    bin: PathBuf,
    children: BTreeMap<&'static str, Child>,
    services: Recovery,
    agents: Recovery,
    /// Of whom a note says that they are quarantined.
    noted: BTreeSet<String>,
    roster_seen: Option<SystemTime>,
}

impl Watch {
    async fn begin(&mut self) -> Outcome {
        for (name, args) in CHILDREN {
            let child = self.spawn(name, args)?;
            self.children.insert(name, child);
            self.services.up(name, clock::now().mono);
        }
        launcher(&self.site, "", &["holder", "start"])
            .await
            .map_err(|error| Failure::new(Code::Failure, error))?;
        let site = self.site.clone();
        let agents: Vec<&Agent> = site.agents().collect();
        site.prepare(&agents).await?;
        let done = each(&site, &Keeper::Direct, Act::Start, &agents).await;
        for (name, error) in &done.failed {
            self.agents.ended(name, error, clock::now().mono);
        }
        output::note(&match done.failed.len() {
            0 => "all is up. See it from another terminal: fleet ps".to_owned(),
            failed => format!(
                "{} of {} up; {failed} to be tried again. See it from another terminal: fleet ps",
                done.well.len(),
                plural(agents.len(), "agent")
            ),
        });
        Ok(())
    }

    fn spawn(&self, name: &str, args: &[&str]) -> Result<Child, Failure> {
        let log = self.site.home.state.join(format!("{name}.log"));
        let open = || -> std::io::Result<File> {
            std::fs::create_dir_all(&self.site.home.state)?;
            File::options().create(true).append(true).open(&log)
        };
        let start = || -> std::io::Result<Child> {
            let file = open()?;
            let mut command = Command::new(self.bin.join(name));
            // A group of its own: the terminal's Ctrl-C is for us, who stop things in order.
            command.args(args).process_group(0).kill_on_drop(true);
            command.stdin(Stdio::null()).stdout(file.try_clone()?).stderr(file).spawn()
        };
        start().map_err(|error| Failure::new(Code::Failure, format!("{name} cannot be started: {error}")))
    }

    fn is_stopped(&self, agent: &Agent) -> bool {
        self.site.home.stopped(agent.name.as_str()).exists()
    }

    async fn look(&mut self) {
        self.reread();
        let now = clock::now().mono;
        for (name, child) in &mut self.children {
            if let Ok(Some(status)) = child.try_wait() {
                output::note(&format!("{:<10}{name}: {status}", "ended"));
                self.services.ended(name, &status.to_string(), now);
            }
        }
        self.children.retain(|_, child| child.id().is_some());
        let site = self.site.clone();
        for agent in site.agents() {
            let name = agent.name.as_str();
            let released = self.noted.contains(name) && !site.home.quarantined(name).exists();
            if released {
                self.noted.remove(name);
            }
            // Somebody who took the note away wants it tried anew.
            if self.is_stopped(agent) || (released && self.agents.is_quarantined(name)) {
                self.agents.forget(name);
                continue;
            }
            match Server::new(site.roster.socket_of(agent)).life(name).await {
                Ok(Some(Life::Runs)) => {
                    if self.agents.is_quarantined(name) {
                        let _ = release(&site.home, name);
                    }
                    self.agents.up(name, clock::now().mono);
                }
                Ok(Some(ended)) => self.agents.ended(name, &ended.to_string(), clock::now().mono),
                Ok(None) => self.agents.ended(name, "its session is gone", clock::now().mono),
                // Of a server that does not answer nothing is known.
                Err(_) => {}
            }
        }
    }

    /// A roster that is not right leaves the last one that was in force.
    fn reread(&mut self) {
        let now = modified(&self.site.home.roster());
        if now == self.roster_seen {
            return;
        }
        self.roster_seen = now;
        match Site::at(self.site.home.clone()) {
            Ok(site) => {
                for gone in
                    self.site.agents().filter(|agent| site.roster.agent(agent.name.as_str()).is_none())
                {
                    self.agents.forget(gone.name.as_str());
                }
                self.site = Arc::new(site);
                output::note("the roster was read anew");
            }
            Err(failure) => output::note(&format!("the roster is left as it was: {failure}")),
        }
    }

    async fn act(&mut self) {
        for effect in self.services.step(clock::now().mono) {
            let Effect::Restart { name } = effect else { continue };
            let Some((name, args)) = CHILDREN.iter().find(|(child, _)| *child == name) else { continue };
            match self.spawn(name, args) {
                Ok(child) => {
                    output::note(&format!("{:<10}{name}", "restarted"));
                    self.children.insert(name, child);
                    self.services.up(name, clock::now().mono);
                }
                Err(failure) => self.services.ended(name, &failure.message, clock::now().mono),
            }
        }
        for effect in self.agents.step(clock::now().mono) {
            self.perform(effect).await;
        }
    }

    async fn perform(&mut self, effect: Effect) {
        match effect {
            Effect::Mass { names } => output::note(&format!(
                "{:<10}{} agents at once: {}; they come back one after the other",
                "ended",
                names.len(),
                names.join(", ")
            )),
            Effect::Quarantine { name, reason } => {
                let written = quarantine(&self.site.home, &name, &reason);
                output::note(&format!(
                    "{:<10}{name}: left down, {reason}; once it is put right: fleet start {name}",
                    "failed"
                ));
                match written {
                    Ok(()) => drop(self.noted.insert(name)),
                    Err(error) => output::note(&format!("warning: {error}")),
                }
            }
            Effect::Restart { name } => {
                let site = self.site.clone();
                let Some(agent) = site.roster.agent(&name) else { return self.agents.forget(&name) };
                match Keeper::Direct.act(&site, Act::Start, agent).await {
                    Ok(()) => output::note(&format!("{:<10}{name}", "restarted")),
                    Err(error) => {
                        output::note(&format!("{:<10}{name}: {error}", "failed"));
                        self.agents.ended(&name, &error, clock::now().mono);
                    }
                }
            }
        }
    }

    /// Agents first, then who watches them.
    async fn end(mut self) -> Outcome {
        output::note("stopping the fleet in order");
        let mut problems = Vec::new();
        let site = self.site.clone();
        for agent in site.agents() {
            let name = agent.name.as_str();
            problems.extend(launcher(&site, name, &["launch", "--stop", name]).await.err());
        }
        problems.extend(launcher(&site, "", &["holder", "stop"]).await.err());
        for (name, _) in CHILDREN.iter().rev() {
            let Some(mut child) = self.children.remove(name) else { continue };
            if let Some(pid) = child.id().and_then(|pid| i32::try_from(pid).ok()) {
                // It may have ended by itself just now.
                let _ = kill(Pid::from_raw(pid), Signal::SIGTERM);
            }
            if tokio::time::timeout(GRACE, child.wait()).await.is_err() {
                problems.push(format!("{name} did not end in {}s and was killed", GRACE.as_secs()));
            }
        }
        if problems.is_empty() {
            output::note("all is down");
            return Ok(());
        }
        Err(Failure::new(Code::Failure, problems.join("\n")).next("look at what is left: fleet ps"))
    }
}
