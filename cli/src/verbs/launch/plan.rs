//! What an agent's launch consists of, decided without touching anything: socket, directory, environment, command, and
//! what is written before.

use std::fmt;
use std::path::{Path, PathBuf};

use fleet_adapters::runtimes::claude;
use fleet_adapters::session_file::Session;
use fleet_domain::roster::{Agent, DEFAULT_CLASS, Roster, peers};
use fleet_domain::{AgentName, HostId, SocketName};
use fleet_framework::files::quoted;
use fleet_framework::home::shown;
use fleet_framework::hooks::Wiring;
use fleet_framework::prompt::Prompt;
use fleet_framework::skills::{DEFAULT_FORCED, Mode};

use super::environment::{Variables, claude_environment, config_dir, own, places, search_path, unset};
use super::runtime::{Begin, Choice, Line, command_line, trust_file};
use crate::error::{Code, Failure};

pub(super) struct Place<'p> {
    /// A bad one as its mistakes.
    pub(super) roster: &'p Result<Option<Roster>, String>,
    pub(super) roster_path: &'p str,
    pub(super) host: HostId,
    pub(super) root: bool,
    pub(super) sources: &'p dyn Sources,
}

/// What a launch is made of besides roster and environment.
pub(super) trait Sources {
    /// How this runtime is told to call the sidecars' hook.
    fn wiring(&self, runtime: &str, own: Variables<'_>) -> Option<Wiring>;
    fn prompt(&self, class: &str, peers: Option<&str>) -> Prompt;
    fn prompt_file(&self, agent: &AgentName) -> PathBuf;
    /// The agent's environment file, and what stands in it.
    fn environment_file(&self) -> (PathBuf, &[(String, String)]);
    /// The conversation to go on with.
    fn remembered(&self) -> Option<Session>;
    /// A name for a new one.
    fn new_id(&self) -> Option<String>;
    /// The directory with its links resolved, also one that is not there yet.
    fn real(&self, directory: &Path) -> PathBuf;
    /// pi's arguments.
    fn skills(&self, pi: &Path, work: &Path, mode: Mode, forced: &[&str]) -> Vec<String>;
    /// Where the fleet's programs are.
    fn bin(&self) -> Option<PathBuf>;
}

#[derive(Debug, PartialEq, Eq)]
pub(super) struct Launch {
    pub(super) name: AgentName,
    pub(super) socket: SocketName,
    pub(super) directory: PathBuf,
    /// What the pane must not inherit.
    pub(super) unset: Vec<String>,
    /// The agent's own variables; PATH is among them.
    pub(super) environment: Vec<(String, String)>,
    /// More of them, whose values stand nowhere else: the file, and their names.
    pub(super) environment_file: (PathBuf, Vec<String>),
    /// argv, whole.
    pub(super) command: Vec<String>,
    /// What must be found in PATH for the command to run; unknown for a user's own command line.
    pub(super) program: Option<String>,
    /// To be written before the start.
    pub(super) wiring: Option<Wiring>,
    /// The same; the file, and what will stand in it.
    pub(super) prompt: Option<(PathBuf, String)>,
    /// Where the work directory is to be recorded as trusted.
    pub(super) trust: Option<PathBuf>,
    /// The new conversation, where its name is known beforehand.
    pub(super) session: Option<Session>,
    pub(super) warnings: Vec<String>,
}

impl Launch {
    pub(super) fn path(&self) -> &str {
        self.environment.iter().find(|(name, _)| name == "PATH").map_or("", |(_, value)| value)
    }

    /// As one would type it.
    fn line(&self) -> Vec<String> {
        let unset = self.unset.iter().flat_map(|name| ["-u".to_owned(), name.clone()]);
        let set = self.environment.iter().map(|(name, value)| format!("{name}={value}"));
        std::iter::once("env".to_owned())
            .chain(unset)
            .chain(set)
            .chain(self.command.iter().cloned())
            .collect()
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
        for name in &self.environment_file.1 {
            writeln!(f, "environment  {name} from {}", shown(&self.environment_file.0))?;
        }
        if let Some(wiring) = &self.wiring {
            writeln!(f, "hooks        {}", shown(&wiring.path))?;
        }
        if let Some((path, text)) = &self.prompt {
            writeln!(f, "prompt       {}, {} bytes (--print-prompt shows it)", shown(path), text.len())?;
        }
        if let Some(path) = &self.trust {
            writeln!(f, "trusted      {}, recorded in {}", self.directory.display(), shown(path))?;
        }
        let line = self.line();
        writeln!(f, "command      {}", line.iter().map(|word| quoted(word)).collect::<Vec<_>>().join(" "))
    }
}

/// Who is launched, once that is known.
struct Who<'w> {
    name: &'w AgentName,
    roster: Option<&'w Roster>,
    agent: Option<&'w Agent>,
    runtime: String,
}

impl Place<'_> {
    pub(super) fn launch(&self, name: &AgentName, var: Variables<'_>) -> Result<Launch, Failure> {
        let (file, filed) = self.sources.environment_file();
        let own = own(name, var, filed);
        let set = |key: &str| own(key).filter(|value| !value.is_empty());
        let who = self.who(name, &set)?;
        let mut warnings = Vec::new();
        let socket = self.socket(name, who.roster, who.agent, &set, &mut warnings)?;
        let directory = self.directory(name, who.roster, who.agent, &set, &*own)?;
        let real = self.sources.real(&directory);
        let prompt = self.prompt_of(&who, &set);
        warnings.extend(prompt.warnings.iter().cloned());
        let prompt = Some((self.sources.prompt_file(name), prompt.text)).filter(|(_, text)| !text.is_empty());

        let mut environment = self.environment(&who, &*own);
        if let Some((path, _)) = &prompt {
            environment.push(("MOSAIC_AGENT_PROMPT_FILE".to_owned(), path.display().to_string()));
        }
        let command =
            set("MOSAIC_AGENT_COMMAND").or_else(|| who.agent.and_then(|agent| agent.command.clone()));
        let mut wiring = None;
        let mut session = None;
        let (line, program) = if let Some(command) = command {
            // A command of the user's own is not added to.
            let argv = ["sh", "-c", &command_line(&command)].map(str::to_owned).into();
            (Line { argv, environment: Vec::new() }, None)
        } else {
            let (begin, new) = self.begin(&who, &real, &set);
            session = new;
            wiring = self.sources.wiring(&who.runtime, &*own);
            let choice = Choice {
                model: set("MOSAIC_AGENT_MODEL")
                    .or_else(|| who.agent.and_then(|agent| agent.model_hint.clone())),
                yolo: self.yolo(&set, who.agent, &mut warnings),
                channels: who.agent.map(|agent| agent.channels.as_slice()).unwrap_or_default(),
                sandboxed: !self.root || set("IS_SANDBOX").is_some(),
                begin,
                real: &real,
                wiring: wiring.as_ref(),
                prompt: prompt.as_ref().map(|(path, text)| (text.as_str(), path.as_path())),
                kickstart: self.kickstart(&who, &directory),
                skills: self.skills(&who, &real, &*own, &mut warnings),
                configured: set("OPENCODE_CONFIG_CONTENT").is_some(),
            };
            (choice.line(name, &who.runtime, &mut warnings)?, Some(who.runtime.clone()))
        };
        environment.extend(line.environment);
        let trust = program.as_ref().and_then(|runtime| trust_file(runtime, &*own));
        let known = |name: &str| environment.iter().any(|(known, _)| known == name);
        let more = filed.iter().map(|(name, _)| name.clone()).filter(|name| !known(name)).collect();
        Ok(Launch {
            name: name.clone(),
            socket,
            directory,
            unset: unset(&environment, filed),
            environment_file: (file, more),
            environment,
            command: line.argv,
            program,
            wiring,
            prompt,
            trust,
            session,
            warnings,
        })
    }

    /// The whole of what the agent is told of itself.
    pub(super) fn prompt(&self, name: &AgentName, var: Variables<'_>) -> Result<Prompt, Failure> {
        let own = own(name, var, self.sources.environment_file().1);
        let set = |key: &str| own(key).filter(|value| !value.is_empty());
        Ok(self.prompt_of(&self.who(name, &set)?, &set))
    }

    fn who<'w>(&'w self, name: &'w AgentName, set: Variables<'_>) -> Result<Who<'w>, Failure> {
        let roster = self.roster.as_ref().map_err(|error| Failure::new(Code::Failure, error))?.as_ref();
        let agent = roster.and_then(|roster| roster.agent(name.as_str()));
        let runtime = match (set("MOSAIC_AGENT_RUNTIME"), agent) {
            (Some(runtime), _) => runtime,
            (None, Some(agent)) => agent.runtime.as_str().to_owned(),
            (None, None) if set("MOSAIC_AGENT_COMMAND").is_some() => String::new(),
            (None, None) => return Err(self.unknown(name, roster)),
        };
        if let Some(agent) = agent.filter(|agent| !agent.is_on(&self.host)) {
            let there = agent.host.as_deref().unwrap_or_default();
            let message = format!("{name} belongs on host {there}, this is {}", self.host);
            return Err(Failure::new(Code::Failure, message)
                .next("launch it there, or change its `host` in the roster"));
        }
        Ok(Who { name, roster, agent, runtime })
    }

    fn class(who: &Who<'_>, set: Variables<'_>) -> String {
        let rosters = who.agent.map(|agent| agent.class.clone());
        set("MOSAIC_AGENT_CLASS").or(rosters).unwrap_or_else(|| DEFAULT_CLASS.to_owned())
    }

    fn prompt_of(&self, who: &Who<'_>, set: Variables<'_>) -> Prompt {
        let peers = who.roster.zip(who.agent);
        let peers = peers.map(|(roster, agent)| peers::cheat_sheet(roster, agent, &self.host));
        self.sources.prompt(&Self::class(who, set), peers.as_deref())
    }

    fn environment(&self, who: &Who<'_>, own: Variables<'_>) -> Vec<(String, String)> {
        let set = |key: &str| own(key).filter(|value| !value.is_empty());
        let program = Some(who.runtime.as_str()).filter(|runtime| !runtime.is_empty());
        let path = search_path(own, self.sources.bin().as_deref(), program, Path::exists);
        let mut environment = vec![
            ("PATH".to_owned(), path),
            ("MOSAIC_AGENT_NAME".to_owned(), who.name.to_string()),
            ("MOSAIC_AGENT_CLASS".to_owned(), Self::class(who, &set)),
        ];
        environment.extend(places(own));
        if who.runtime == "claude" {
            environment.extend(claude_environment(own));
        }
        environment
    }

    /// Where the agent goes on, and what is to be remembered of a new conversation.
    fn begin(&self, who: &Who<'_>, real: &Path, set: Variables<'_>) -> (Begin, Option<Session>) {
        let remembered = self.sources.remembered();
        if let Some(session) = remembered.filter(|session| session.fits(&who.runtime, real)) {
            return (Begin::Resume(session.id), None);
        }
        if who.runtime != claude::NAME {
            return (Begin::New(None), None);
        }
        let id = self.sources.new_id();
        let config = config_dir(set);
        let session = id.clone().zip(config).and_then(|(id, config)| {
            let transcript = claude::transcript_path(&config, real.to_str()?, &id)?;
            Some(Session { runtime: who.runtime.clone(), id, directory: real.to_owned(), transcript })
        });
        (Begin::New(id), session)
    }

    fn kickstart(&self, who: &Who<'_>, directory: &Path) -> Option<String> {
        let agent = who.agent?;
        agent.first_message(&self.host, &directory.to_string_lossy())
    }

    fn skills(
        &self,
        who: &Who<'_>,
        real: &Path,
        own: Variables<'_>,
        warnings: &mut Vec<String>,
    ) -> Vec<String> {
        if who.runtime != "pi" {
            return Vec::new();
        }
        let set = |key: &str| own(key).filter(|value| !value.is_empty());
        // An empty one disables them: it is not the same as none.
        let forced = own("MOSAIC_PI_FORCE_SKILLS").unwrap_or_else(|| DEFAULT_FORCED.to_owned());
        let told = set("MOSAIC_PI_SKILL_MODE");
        let mode = told.as_deref().map_or(Some(Mode::default()), Mode::parse).unwrap_or_else(|| {
            warnings.push(format!(
                "MOSAIC_PI_SKILL_MODE={} is none of none, all and discover: none is used",
                fleet_domain::text::clean(&told.unwrap_or_default(), 40)
            ));
            Mode::default()
        });
        let forced: Vec<&str> = forced.split(':').filter(|name| !name.is_empty()).collect();
        let pi = set("PI_CODING_AGENT_DIR")
            .or_else(|| Some(format!("{}/.pi/agent", set("HOME")?)))
            .unwrap_or_default();
        self.sources.skills(Path::new(&pi), real, mode, &forced)
    }
}

#[cfg(test)]
#[path = "plan_tests.rs"]
mod tests;
