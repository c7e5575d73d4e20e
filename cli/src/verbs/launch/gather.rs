//! What a launch is made of, read from the machine.

use std::path::{Path, PathBuf};

use fleet_adapters::runtimes::claude::settings;
use fleet_adapters::session_file::{self, Session};
use fleet_domain::{AgentName, agent_env};
use fleet_framework::hooks::{self, Manner, Wiring};
use fleet_framework::prompt::{self, Prompt};
use fleet_framework::skills::{self, Mode, Places};
use fleet_framework::{Home, agents};

use super::environment::{Variables, config_dir};
use super::plan::Sources;
use crate::error::{Code, Failure};

/// The kernel makes a random one each time it is read.
const RANDOM_UUID: &str = "/proc/sys/kernel/random/uuid";

pub(super) struct Gathered<'h> {
    home: &'h Home,
    environment_file: PathBuf,
    environment: Vec<(String, String)>,
    remembered: Option<Session>,
}

impl<'h> Gathered<'h> {
    /// `fresh`: no conversation is gone on with.
    pub(super) fn of(home: &'h Home, agent: &AgentName, fresh: bool) -> Result<Self, Failure> {
        let text = agents::read_env(home, agent.as_str()).map_err(|error| {
            Failure::of(Code::Failure, &error).next("it is the agent's environment: make it a readable text")
        })?;
        Ok(Self {
            home,
            environment_file: home.agent_env(agent.as_str()),
            environment: agent_env::values(&text.unwrap_or_default()),
            remembered: if fresh { None } else { session_file::read(&home.session(agent.as_str())) },
        })
    }
}

impl Sources for Gathered<'_> {
    fn wiring(&self, runtime: &str, own: Variables<'_>) -> Option<Wiring> {
        let sidecar = self.bin()?.join("fleet-sidecar");
        hooks::wiring(runtime, self.home, &sidecar, manner(own)).filter(|_| sidecar.is_file())
    }

    fn prompt(&self, class: &str, peers: Option<&str>) -> Prompt {
        prompt::prompt(self.home, class, peers)
    }

    fn prompt_file(&self, agent: &AgentName) -> PathBuf {
        self.home.prompt(agent.as_str())
    }

    fn environment_file(&self) -> (PathBuf, &[(String, String)]) {
        (self.environment_file.clone(), &self.environment)
    }

    fn remembered(&self) -> Option<Session> {
        self.remembered.clone()
    }

    fn new_id(&self) -> Option<String> {
        let id = std::fs::read_to_string(RANDOM_UUID).ok()?;
        Some(id.trim().to_owned()).filter(|id| !id.is_empty())
    }

    fn real(&self, directory: &Path) -> PathBuf {
        let known = directory.ancestors().find_map(|ancestor| {
            let rest = directory.strip_prefix(ancestor).ok()?;
            Some((std::fs::canonicalize(ancestor).ok()?, rest))
        });
        match known {
            Some((real, rest)) if rest.as_os_str().is_empty() => real,
            Some((real, rest)) => real.join(rest),
            None => directory.to_owned(),
        }
    }

    fn skills(&self, pi: &Path, work: &Path, mode: Mode, forced: &[&str]) -> Vec<String> {
        let places = Places { root: self.home.root.clone(), pi: pi.to_owned(), work: work.to_owned() };
        skills::arguments(&places, mode, forced)
    }

    fn bin(&self) -> Option<PathBuf> {
        Some(std::env::current_exe().ok()?.parent()?.to_owned())
    }
}

/// The user's own statusline keeps its place and its pace.
fn manner(own: Variables<'_>) -> Manner {
    let config = config_dir(own);
    let statusline = settings::statusline(config.as_deref(), None).unwrap_or_default();
    Manner { padding: statusline.padding, refresh: statusline.refresh }
}
