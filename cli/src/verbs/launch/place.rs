//! Where an agent belongs, by the roster and the environment: its socket, its directory.

use std::path::{Path, PathBuf};

use fleet_domain::roster::{Agent, Roster};
use fleet_domain::{AgentName, SocketName, text};
use fleet_framework::home::expand;

use super::environment::{Variables, own};
use super::plan::Place;
use crate::error::{Code, Failure};

impl Place<'_> {
    /// An agent that left the roster still has a session to end; on the default server only the roster's may be.
    pub(super) fn socket_to_stop(&self, name: &AgentName, var: Variables<'_>) -> Result<SocketName, Failure> {
        let own = own(name, var, self.sources.environment_file().1);
        let told = own("MOSAIC_TMUX_SOCKET")
            .filter(|socket| !socket.is_empty())
            .map(|socket| SocketName::new(&socket));
        let roster = match (self.roster, &told) {
            (Ok(roster), _) => roster.as_ref(),
            (Err(_), Some(told)) => return Ok(told.clone()),
            (Err(error), None) => return Err(Failure::new(Code::Failure, error)),
        };
        if let Some((roster, agent)) = roster.and_then(|roster| Some((roster, roster.agent(name.as_str())?)))
        {
            return Ok(roster.socket_of(agent));
        }
        let socket =
            told.or_else(|| roster.map(|roster| roster.tmux.socket_name.clone())).unwrap_or_default();
        if socket.is_default() { Err(self.unknown(name, roster)) } else { Ok(socket) }
    }

    pub(super) fn unknown(&self, name: &AgentName, roster: Option<&Roster>) -> Failure {
        let Some(roster) = roster else {
            let message = format!("no agent {name}: {} does not exist", self.roster_path);
            return Failure::new(Code::LaunchUsage, message)
                .next("write a roster, or set MOSAIC_AGENT_RUNTIME and MOSAIC_TMUX_SOCKET");
        };
        let names: Vec<&str> = roster.agents.iter().map(|agent| agent.name.as_str()).collect();
        let near =
            text::nearest(name.as_str(), names.iter().copied()).map(|near| format!("; did you mean {near}?"));
        let message = format!("no agent {name} in {}{}", self.roster_path, near.unwrap_or_default());
        let known = if names.is_empty() {
            "it has no agents".to_owned()
        } else {
            format!("agents: {}", names.join(", "))
        };
        Failure::new(Code::LaunchUsage, message).next(known)
    }

    pub(super) fn socket(
        &self,
        name: &AgentName,
        roster: Option<&Roster>,
        agent: Option<&Agent>,
        set: &dyn Fn(&str) -> Option<String>,
        warnings: &mut Vec<String>,
    ) -> Result<SocketName, Failure> {
        let told = set("MOSAIC_TMUX_SOCKET").map(|socket| SocketName::new(&socket));
        if let (Some(roster), Some(agent)) = (roster, agent) {
            let socket = roster.socket_of(agent);
            if let Some(told) = told.filter(|told| *told != socket) {
                let (told, socket) = (told.shown(), socket.shown());
                warnings.push(format!(
                    "MOSAIC_TMUX_SOCKET is {told}, the roster says {socket}: the roster's is used"
                ));
            }
            return Ok(socket);
        }
        let socket =
            told.or_else(|| roster.map(|roster| roster.tmux.socket_name.clone())).unwrap_or_default();
        if socket.is_default() {
            let message =
                format!("{name} is in no roster, and on the default tmux server only a roster's agents run");
            return Err(Failure::new(Code::LaunchUsage, message)
                .next("set MOSAIC_TMUX_SOCKET, or add it to the roster"));
        }
        Ok(socket)
    }

    pub(super) fn directory(
        &self,
        name: &AgentName,
        roster: Option<&Roster>,
        agent: Option<&Agent>,
        set: &dyn Fn(&str) -> Option<String>,
        var: Variables<'_>,
    ) -> Result<PathBuf, Failure> {
        let asked = set("MOSAIC_AGENT_WORKDIR")
            .or_else(|| agent.and_then(|agent| agent.working_directory.clone()))
            .or_else(|| roster.map(|roster| roster.defaults.working_directory.clone()))
            .unwrap_or_else(|| fleet_domain::roster::DEFAULT_WORKING_DIRECTORY.to_owned());
        let expanded = expand(&asked, var);
        if expanded.to_string_lossy().contains('$') || expanded.to_string_lossy().starts_with('~') {
            let message = format!(
                "{name}: the work directory {asked} names a variable or a user that is not known here"
            );
            return Err(Failure::new(Code::Failure, message).next("write it out in the roster"));
        }
        // As for a service, which starts in the home.
        Ok(var("HOME").map_or(expanded.clone(), |home| Path::new(&home).join(expanded)))
    }

    pub(super) fn yolo(
        &self,
        set: &dyn Fn(&str) -> Option<String>,
        agent: Option<&Agent>,
        warnings: &mut Vec<String>,
    ) -> bool {
        match set("MOSAIC_AGENT_YOLO").as_deref() {
            Some("1" | "true" | "yes" | "on") => true,
            Some("0" | "false" | "no" | "off") => false,
            told => {
                if let Some(told) = told {
                    let told = text::clean(told, 40);
                    warnings.push(format!(
                        "MOSAIC_AGENT_YOLO={told} is neither true nor false: the roster's value is used"
                    ));
                }
                agent.and_then(|agent| agent.yolo).unwrap_or(true)
            }
        }
    }
}
