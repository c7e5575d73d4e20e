//! The roster: which agents should exist. YAML or JSON, `version: 1`.
//!
//! [`Roster::parse`] tells every mistake at once, each with its line and key. [`yaml`] keeps the positions and walks
//! the mappings, [`read`] knows the keys.

pub mod edit;
pub mod floor;
mod messages;
pub mod peers;
mod read;
pub mod role;
pub mod write;

use crate::ids::{AgentName, RuntimeName, SocketName, TenantId};

use crate::yaml;
pub use crate::yaml::{MAX_BYTES as MAX_ROSTER_BYTES, Problem};

pub const DEFAULT_HOLDER: &str = "_holder";
pub const DEFAULT_WORKING_DIRECTORY: &str = "~/src";
pub const DEFAULT_CLASS: &str = "worker";

/// The runtimes that need no `command`.
pub const BUILT_IN_RUNTIMES: [&str; 4] = ["claude", "codex", "pi", "opencode"];

/// Every mistake of one roster, in the order of the file; never empty.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{}", join(.0))]
pub struct RosterError(pub Vec<Problem>);

fn join(problems: &[Problem]) -> String {
    problems.iter().map(Problem::to_string).collect::<Vec<_>>().join("\n")
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Roster {
    pub tmux: Tmux,
    pub defaults: Defaults,
    pub runtimes: Vec<RuntimeSettings>,
    pub agents: Vec<Agent>,
    pub connector: Connector,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tmux {
    pub socket_name: SocketName,
    pub holder_session: String,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Defaults {
    /// Not yet expanded: `~` and `$VAR` are the edge's business.
    pub working_directory: String,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RuntimeSettings {
    pub runtime: RuntimeName,
    pub reset_command: Option<String>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Agent {
    pub name: AgentName,
    pub runtime: RuntimeName,
    pub class: String,
    pub alias: Option<String>,
    pub model_hint: Option<String>,
    pub working_directory: Option<String>,
    pub persistent_persona: Persona,
    pub reset_between_tasks: bool,
    pub kickstart: Option<String>,
    pub kickstart_template: Option<String>,
    /// `None` where the roster does not say: the launcher then runs unattended.
    pub yolo: Option<bool>,
    pub command: Option<String>,
    pub channels: Vec<String>,
    pub host: Option<String>,
    pub ssh: Option<String>,
    pub socket: Option<SocketName>,
    pub account: Option<String>,
    pub tenant_id: Option<TenantId>,
}

/// Whether an agent keeps its context.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Persona {
    /// Between tasks.
    Persistent,
    /// Within a mission.
    Semi,
    #[default]
    Disposable,
}

#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Connector {
    #[default]
    Tmux,
    Discord {
        channel_id: String,
    },
    Matrix {
        homeserver_url: String,
        user_id: String,
        room_id: String,
    },
}

impl Roster {
    /// Parses and validates; a roster that is not wholly right is not read at all.
    pub fn parse(text: &str) -> Result<Self, RosterError> {
        let root = yaml::parse(text).map_err(|problem| RosterError(vec![problem]))?;
        read::roster(&root)
    }

    pub fn agent(&self, name: &str) -> Option<&Agent> {
        self.agents.iter().find(|agent| agent.name.as_str() == name)
    }

    /// The socket of one agent: its own, else the roster's. The one answer for holder, agent, `ps` and cheat-sheet.
    pub fn socket_of(&self, agent: &Agent) -> SocketName {
        agent.socket.clone().unwrap_or_else(|| self.tmux.socket_name.clone())
    }
}

impl Agent {
    /// True where the agent's own command is a shell, or a runtime of the user's own that a shell carries out, so
    /// that a shell in the pane is no sign of death.
    pub fn runs_a_shell(&self) -> bool {
        let Some(command) = &self.command else { return is_shell(self.runtime.as_str()) };
        if !BUILT_IN_RUNTIMES.contains(&self.runtime.as_str()) && command.contains(['&', ';', '|', '\n']) {
            return true;
        }
        let program =
            command.split_whitespace().find(|word| !word.contains('=') && *word != "exec" && *word != "env");
        program.is_some_and(|word| is_shell(word.rsplit('/').next().unwrap_or(word)))
            && !command.split_whitespace().any(|word| word == "-c" || word == "-lc")
    }
}

/// A login shell's name carries a leading dash.
pub fn is_shell(program: &str) -> bool {
    let name = program.strip_prefix('-').unwrap_or(program);
    matches!(
        name,
        "sh" | "bash" | "dash" | "zsh" | "fish" | "ksh" | "mksh" | "tcsh" | "csh" | "nu" | "xonsh" | "ash"
    )
}

#[cfg(test)]
mod tests;
