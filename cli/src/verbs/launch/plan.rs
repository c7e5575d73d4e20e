//! What an agent's launch consists of, decided without touching anything: socket, directory, environment, command.

use std::fmt;
use std::path::{Path, PathBuf};

use fleet_domain::roster::{Agent, Roster};
use fleet_domain::{AgentName, HostId, SocketName, text};
use fleet_framework::files::quoted;
use fleet_framework::home::expand;
use fleet_framework::hooks::Wiring;

use super::is_here;
use crate::error::{Code, Failure};

/// Where a runtime's installer puts it and a service's PATH does not look; relative to the home.
const USER_BINS: [&str; 7] =
    [".local/bin", "bin", ".npm-global/bin", ".bun/bin", ".opencode/bin", ".cargo/bin", ".volta/bin"];
/// With these set, claude would take itself for a part of the session that started the fleet.
const SCRUBBED: [&str; 2] = ["CLAUDECODE", "CLAUDE_CODE_CHILD_SESSION"];
/// Bounds claude's context to 200k tokens.
const CLAUDE_CONTEXT: [(&str, &str); 2] =
    [("CLAUDE_CODE_DISABLE_1M_CONTEXT", "1"), ("CLAUDE_CODE_AUTO_COMPACT_WINDOW", "200000")];

/// What only a shell can do, at the beginning of a line that looks like a single command.
const SHELL_WORDS: [&str; 22] = [
    "exec", "cd", ".", "source", "eval", "exit", "export", "readonly", "set", "unset", "trap", "ulimit",
    "umask", "command", "type", "alias", "if", "for", "while", "until", "case", "time",
];

/// Variables by name; an empty one is not the same as none.
type Variables<'v> = &'v dyn Fn(&str) -> Option<String>;
type OwnVariables<'v> = Box<dyn Fn(&str) -> Option<String> + 'v>;

pub(super) struct Place<'p> {
    /// A bad one as its mistakes.
    pub(super) roster: &'p Result<Option<Roster>, String>,
    pub(super) roster_path: &'p str,
    pub(super) host: HostId,
    pub(super) root: bool,
    /// How this runtime is told to call the sidecars' hook.
    pub(super) wiring: &'p dyn Fn(&str) -> Option<Wiring>,
}

#[derive(Debug, PartialEq, Eq)]
pub(super) struct Launch {
    pub(super) name: AgentName,
    pub(super) socket: SocketName,
    pub(super) directory: PathBuf,
    /// The session's own variables; PATH is among them.
    pub(super) environment: Vec<(String, String)>,
    /// argv, whole.
    pub(super) command: Vec<String>,
    /// What must be found in PATH for the command to run; unknown for a user's own command line.
    pub(super) program: Option<String>,
    /// To be written before the start.
    pub(super) wiring: Option<Wiring>,
    pub(super) warnings: Vec<String>,
}

impl Launch {
    pub(super) fn path(&self) -> &str {
        self.environment.iter().find(|(name, _)| name == "PATH").map_or("", |(_, value)| value)
    }
}

impl fmt::Display for Launch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "session      {}", self.name)?;
        writeln!(f, "socket       {}", self.socket.shown())?;
        writeln!(f, "directory    {}", self.directory.display())?;
        for (name, value) in &self.environment {
            writeln!(f, "environment  {name}={value}")?;
        }
        writeln!(
            f,
            "command      {}",
            self.command.iter().map(|word| quoted(word)).collect::<Vec<_>>().join(" ")
        )
    }
}

impl Place<'_> {
    pub(super) fn launch(&self, name: &AgentName, var: Variables<'_>) -> Result<Launch, Failure> {
        let own = self.own(name, var);
        let set = |key: &str| own(key).filter(|value| !value.is_empty());
        let roster = self.roster.as_ref().map_err(|error| Failure::new(Code::Failure, error))?.as_ref();
        let agent = roster.and_then(|roster| roster.agent(name.as_str()));
        let runtime = match (set("MOSAIC_AGENT_RUNTIME"), agent) {
            (Some(runtime), _) => runtime,
            (None, Some(agent)) => agent.runtime.as_str().to_owned(),
            (None, None) if set("MOSAIC_AGENT_COMMAND").is_some() => String::new(),
            (None, None) => return Err(self.unknown(name, roster)),
        };
        if let Some(agent) = agent.filter(|agent| !is_here(agent, &self.host)) {
            let there = agent.host.as_deref().unwrap_or_default();
            let message = format!("{name} belongs on host {there}, this is {}", self.host);
            return Err(Failure::new(Code::Failure, message)
                .next("launch it there, or change its `host` in the roster"));
        }
        let mut warnings = Vec::new();
        let socket = self.socket(name, roster, agent, &set, &mut warnings)?;
        let directory = self.directory(name, roster, agent, &set, var)?;
        let mut environment = vec![
            ("PATH".to_owned(), search_path(var, Path::is_dir)),
            ("MOSAIC_AGENT_NAME".to_owned(), name.to_string()),
        ];
        if runtime == "claude" {
            environment.extend(claude_environment(&*own));
        }
        let choice = Choice {
            command: set("MOSAIC_AGENT_COMMAND").or_else(|| agent.and_then(|agent| agent.command.clone())),
            model: set("MOSAIC_AGENT_MODEL").or_else(|| agent.and_then(|agent| agent.model_hint.clone())),
            yolo: self.yolo(&set, agent, &mut warnings),
            channels: agent.is_some_and(|agent| !agent.channels.is_empty()),
            sandboxed: !self.root || set("IS_SANDBOX").is_some(),
        };
        let (mut argv, program) = choice.argv(name, &runtime, &mut warnings)?;
        // A command of the user's own is not added to.
        let wiring = program.as_ref().and_then(|_| (self.wiring)(&runtime));
        if let Some(wiring) = &wiring {
            argv.extend([wiring.flag.to_owned(), wiring.path.display().to_string()]);
        }
        let mut command: Vec<String> = vec!["env".to_owned()];
        command.extend(SCRUBBED.iter().flat_map(|variable| ["-u", variable]).map(str::to_owned));
        // tmux gives a new session's first pane the PATH of who asked for it, whatever the session's is.
        command.push(format!("PATH={}", environment[0].1));
        command.extend(argv);
        Ok(Launch { name: name.clone(), socket, directory, environment, command, program, wiring, warnings })
    }

    /// An agent that left the roster still has a session to end; on the default server only the roster's may be.
    pub(super) fn socket_to_stop(&self, name: &AgentName, var: Variables<'_>) -> Result<SocketName, Failure> {
        let own = self.own(name, var);
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

    /// The environment of another agent, as in that one's pane, is none of ours.
    fn own<'v>(&self, name: &AgentName, var: Variables<'v>) -> OwnVariables<'v> {
        let of = var("MOSAIC_AGENT_NAME").filter(|of| !of.is_empty());
        let others = of.is_some_and(|of| of != name.as_str());
        Box::new(move |key| if others && key.starts_with("MOSAIC_") { None } else { var(key) })
    }

    fn unknown(&self, name: &AgentName, roster: Option<&Roster>) -> Failure {
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

    fn socket(
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

    fn directory(
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

    fn yolo(
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

/// What was asked for, of whatever runtime.
struct Choice {
    command: Option<String>,
    model: Option<String>,
    yolo: bool,
    channels: bool,
    /// claude takes its flag from root only in what is declared to be a sandbox.
    sandboxed: bool,
}

impl Choice {
    fn argv(
        self,
        name: &AgentName,
        runtime: &str,
        warnings: &mut Vec<String>,
    ) -> Result<(Vec<String>, Option<String>), Failure> {
        if let Some(command) = self.command {
            return Ok((["sh", "-c", &command_line(&command)].map(str::to_owned).into(), None));
        }
        let (model_flag, bypass) = match runtime {
            "claude" => ("--model", Some("--dangerously-skip-permissions")),
            "codex" => ("-m", Some("--dangerously-bypass-approvals-and-sandbox")),
            "opencode" => ("-m", Some("--auto")),
            // It never asks.
            "pi" => ("--model", None),
            other => {
                let message =
                    format!("{name}: `{}` is not a runtime that is built in", text::clean(other, 40));
                return Err(Failure::new(Code::LaunchUsage, message)
                    .next("claude, codex, pi and opencode are; another one needs a command"));
            }
        };
        if self.channels {
            warnings.push("`channels` of the roster is not passed on by this version".to_owned());
        }
        let mut argv = vec![runtime.to_owned()];
        if let Some(model) = self.model {
            argv.extend([model_flag.to_owned(), model]);
        }
        if runtime == "claude" && self.yolo && !self.sandboxed {
            warnings.push("claude refuses to run unattended as root: launched with its prompts; set IS_SANDBOX=1 in the agent's .env where this is a sandbox".to_owned());
        } else if let Some(bypass) = bypass.filter(|_| self.yolo) {
            argv.push(bypass.to_owned());
        }
        Ok((argv, Some(runtime.to_owned())))
    }
}

/// The line for the shell. Of a single command it becomes that command: a shell that stays would be taken for one
/// that a runtime left behind.
fn command_line(command: &str) -> String {
    let command = command.trim();
    let first = command.split_whitespace().next().unwrap_or_default();
    let single = !command.contains(|c: char| ";&|<>()`{}!#\n".contains(c)) && !first.contains('=');
    if single && !SHELL_WORDS.contains(&first) { format!("exec {command}") } else { command.to_owned() }
}

fn claude_environment(own: &dyn Fn(&str) -> Option<String>) -> Vec<(String, String)> {
    let mut environment: Vec<(String, String)> = CLAUDE_CONTEXT
        .into_iter()
        .map(|(name, value)| (name.to_owned(), own(name).unwrap_or_else(|| value.to_owned())))
        .filter(|(_, value)| !value.is_empty())
        .collect();
    environment.extend(
        own("IS_SANDBOX").filter(|value| !value.is_empty()).map(|value| ("IS_SANDBOX".to_owned(), value)),
    );
    environment
}

/// Our own PATH, and behind it the user's usual places that it lacks.
fn search_path(var: Variables<'_>, exists: impl Fn(&Path) -> bool) -> String {
    let path = var("PATH")
        .filter(|path| !path.is_empty())
        .unwrap_or_else(|| "/usr/local/bin:/usr/bin:/bin".to_owned());
    let home = var("HOME").filter(|home| !home.is_empty());
    let usual = home.iter().flat_map(|home| USER_BINS.iter().map(move |bin| Path::new(home).join(bin)));
    let known: Vec<PathBuf> = std::env::split_paths(&path).collect();
    let more =
        usual.filter(|dir| !known.contains(dir) && exists(dir)).map(|dir| dir.to_string_lossy().into_owned());
    std::iter::once(path.clone()).chain(more).collect::<Vec<_>>().join(":")
}

#[cfg(test)]
#[path = "plan_tests.rs"]
mod tests;
