//! Who keeps the agents: systemd's user manager, or where none answers this command itself, through the same launcher.
#![expect(
    clippy::disallowed_methods,
    reason = "the programs of the fleet itself, started by their own names"
)]

use std::io;
use std::process::Stdio;
use std::sync::Arc;

use fleet_adapters::systemd::{Systemd, SystemdError};
use fleet_adapters::tmux::{Life, Server};
use fleet_domain::agent_env::values;
use fleet_domain::roster::Agent;
use fleet_domain::text;
use fleet_framework::agents::{read_env, release};
use fleet_framework::home::shown;
use fleet_framework::units::{HOLDER, agent_unit, sidecar_unit};
use tokio::process::Command;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

use super::Site;
use crate::error::{Code, Failure, Outcome};
use crate::output;
use crate::render::words::plural;

/// So many agents are brought up at a time: each runtime's start is a burst of work.
const AT_ONCE: usize = 4;

/// What is done with an agent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Act {
    Start,
    Stop,
    Restart,
}

impl Act {
    pub fn verb(self) -> &'static str {
        match self {
            Self::Start => "start",
            Self::Stop => "stop",
            Self::Restart => "restart",
        }
    }
}

/// Keeps agents running.
#[derive(Debug, Clone)]
pub enum Keeper {
    Systemd(Systemd),
    /// Nobody: a session is started and left alone, unless `fleet up` watches it.
    Direct,
}

impl Keeper {
    pub async fn find() -> Self {
        Self::look().await.0
    }

    /// The same, and why there is no systemd where there is none.
    pub async fn look() -> (Self, Option<String>) {
        match Systemd::connect().await {
            Ok(systemd) => (Self::Systemd(systemd), None),
            Err(error) => (Self::Direct, Some(error.to_string())),
        }
    }

    /// Has the agent and its sidecar come at every boot; without systemd nothing does.
    ///
    /// # Errors
    /// When systemd refuses.
    pub async fn enable(&self, agent: &str) -> Result<(), SystemdError> {
        match self {
            Self::Systemd(systemd) => systemd.enable(&[agent_unit(agent), sidecar_unit(agent)]).await,
            Self::Direct => Ok(()),
        }
    }

    /// One job for one agent; an error is one line that says what to do.
    pub async fn act(&self, site: &Site, act: Act, agent: &Agent) -> Result<(), String> {
        release(&site.home, agent.name.as_str()).map_err(|error| error.to_string())?;
        match self {
            Self::Systemd(systemd) => by_systemd(site, systemd, act, agent).await,
            Self::Direct => directly(site, act, agent).await,
        }
    }
}

async fn by_systemd(site: &Site, systemd: &Systemd, act: Act, agent: &Agent) -> Result<(), String> {
    let name = agent.name.as_str();
    let unit = agent_unit(name);
    mark_stopped(site, name, act == Act::Stop)?;
    if act != Act::Stop {
        hold(site, systemd).await?;
    }
    let done = match act {
        Act::Stop => systemd.stop(&unit).await,
        // A unit stays active when its session ends: to systemd there would be nothing to start.
        Act::Start if lives(site, agent).await => systemd.start(&unit).await,
        Act::Start | Act::Restart => systemd.restart(&unit).await,
    };
    done.map_err(|error| error.to_string())?;
    if act == Act::Stop {
        return Ok(());
    }
    // It comes with its agent where it is enabled, and is no reason to fail.
    let sidecar = sidecar_unit(name);
    match systemd.start(&sidecar).await {
        Ok(()) | Err(SystemdError::NoUnit { .. }) => {}
        Err(error) => {
            output::note(&format!("warning: {error}; the host-wide sidecar watches {name} meanwhile"))
        }
    }
    Ok(())
}

/// Has the holder's unit own the server that the agent is about to come to: its own stays active where that server died,
/// or where the roster names another socket by now, and an agent's unit would become the owner of everybody.
async fn hold(site: &Site, systemd: &Systemd) -> Result<(), String> {
    let server = Server::new(site.roster.tmux.socket_name.clone());
    if server.has_session(&site.roster.tmux.holder_session).await.map_err(|error| error.to_string())? {
        return Ok(());
    }
    let properties = systemd.unit_properties(HOLDER).await.map_err(|error| error.to_string())?;
    if properties.active != "active" {
        // It is started before its agents.
        return Ok(());
    }
    systemd.reload(HOLDER).await.map_err(|error| error.to_string())
}

/// The unit's commands, with the unit's environment.
async fn directly(site: &Site, act: Act, agent: &Agent) -> Result<(), String> {
    let name = agent.name.as_str();
    mark_stopped(site, name, act == Act::Stop)?;
    if act != Act::Start {
        launcher(site, name, &["launch", "--stop", name]).await?;
    }
    if act != Act::Stop {
        let holder = Server::new(site.roster.tmux.socket_name.clone());
        if !holder.has_session(&site.roster.tmux.holder_session).await.map_err(|error| error.to_string())? {
            launcher(site, name, &["holder", "start"]).await?;
        }
        launcher(site, name, &["launch", name]).await?;
    }
    Ok(())
}

async fn lives(site: &Site, agent: &Agent) -> bool {
    let server = Server::new(site.roster.socket_of(agent));
    matches!(server.life(agent.name.as_str()).await, Ok(Some(Life::Runs)))
}

/// Notes that the agent is down on purpose, or takes the note away, so that nobody brings it back.
fn mark_stopped(site: &Site, name: &str, stopped: bool) -> Result<(), String> {
    mark(site, name, stopped).map_err(|error| format!("{}: {error}", shown(&site.home.stopped(name))))
}

fn mark(site: &Site, name: &str, stopped: bool) -> io::Result<()> {
    let path = site.home.stopped(name);
    if stopped {
        std::fs::create_dir_all(site.home.heartbeats())?;
        return std::fs::write(&path, "stopped by `fleet stop`; `fleet start` takes this away\n");
    }
    match std::fs::remove_file(&path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

/// Runs this very program as the agent's unit would.
pub async fn launcher(site: &Site, agent: &str, args: &[&str]) -> Result<(), String> {
    let program =
        std::env::current_exe().map_err(|error| format!("this program is not to be found: {error}"))?;
    let env = read_env(&site.home, agent).map_err(|error| error.to_string())?;
    let inherited =
        std::env::vars_os().filter(|(name, _)| !name.to_string_lossy().starts_with("MOSAIC_AGENT_"));
    let mut command = Command::new(program);
    command.args(args).env_clear().envs(inherited).envs(values(&env.unwrap_or_default()));
    command
        .env("MOSAIC_HOME", &site.home.root)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::piped());
    let output = command.output().await.map_err(|error| format!("it cannot be started: {error}"))?;
    if output.status.success() {
        return Ok(());
    }
    let said = String::from_utf8_lossy(&output.stderr);
    let said = said.trim().strip_prefix("error: ").unwrap_or(said.trim());
    Err(said.lines().map(|line| text::clean(line.trim(), 400)).collect::<Vec<_>>().join("; "))
}

/// What became of each agent.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Done {
    pub well: Vec<String>,
    pub failed: Vec<(String, String)>,
}

/// The same for many, a few at a time. What is done is told as it happens, what failed too, and none stops the others.
pub async fn each(site: &Arc<Site>, keeper: &Keeper, act: Act, agents: &[&Agent]) -> Done {
    let room = Arc::new(Semaphore::new(AT_ONCE));
    let mut jobs = JoinSet::new();
    for agent in agents {
        let (site, keeper, room, agent) = (site.clone(), keeper.clone(), room.clone(), (*agent).clone());
        jobs.spawn(async move {
            let _turn = room.acquire_owned().await;
            let result = keeper.act(&site, act, &agent).await;
            (agent.name.to_string(), result)
        });
    }
    let mut done = Done::default();
    while let Some(job) = jobs.join_next().await {
        // A job neither panics nor is it cancelled.
        let Ok((name, result)) = job else { continue };
        match result {
            Ok(()) => {
                output::note(&format!("{:<10}{name}", past(act)));
                done.well.push(name);
            }
            Err(error) => {
                output::note(&format!("{:<10}{name}: {error}", "failed"));
                done.failed.push((name, error));
            }
        }
    }
    done
}

fn past(act: Act) -> &'static str {
    match act {
        Act::Start => "started",
        Act::Stop => "stopped",
        Act::Restart => "restarted",
    }
}

impl Done {
    /// The verb's last word.
    pub fn outcome(self, act: Act) -> Outcome {
        if self.failed.is_empty() {
            return Ok(());
        }
        let message = format!(
            "{} could not be {}: {}",
            plural(self.failed.len(), "agent"),
            past(act),
            self.failed.iter().map(|(name, _)| name.as_str()).collect::<Vec<_>>().join(", ")
        );
        Err(Failure::new(Code::Failure, message)
            .next("what each said is above; fleet doctor looks for the cause"))
    }
}
