//! What the lifecycle verbs share: the site (home, roster, host), the agents that a person means, their files, and who
//! keeps them running ([`keeper`]).

pub mod foreground;
pub mod keeper;

use fleet_adapters::identity;
use fleet_adapters::tmux::{Server, TmuxError};
use fleet_domain::HostId;
use fleet_domain::SocketName;
use fleet_domain::agent_env::{differences, merged, values, wanted};
use fleet_domain::fleet::resolve;
use fleet_domain::roster::{Agent, Roster};
use fleet_framework::Home;
use fleet_framework::agents::{AgentFileError, changing, read_env, write_env};

use crate::error::{Code, Failure};
use crate::verbs::explain::unresolved_failure;
use crate::verbs::holder::{no_roster, read_roster};

/// The fleet of this user on this host, as its files have it.
pub struct Site {
    pub home: Home,
    pub roster: Roster,
    pub here: HostId,
}

impl Site {
    /// # Errors
    /// Without a home or a roster, or with every mistake of a bad one.
    pub fn load() -> Result<Self, Failure> {
        Self::at(home()?)
    }

    pub fn at(home: Home) -> Result<Self, Failure> {
        let roster = read_roster(&home)?.ok_or_else(|| no_roster(&home))?;
        Ok(Self { home, roster, here: identity::host() })
    }

    /// The agents that belong on this host, in the roster's order.
    pub fn agents(&self) -> impl Iterator<Item = &Agent> {
        self.roster.agents.iter().filter(|agent| agent.is_on(&self.here))
    }

    /// The agents that are meant, each once; no word means all of this host.
    ///
    /// # Errors
    /// When a word means none or several, or one of another host.
    pub fn chosen(&self, words: &[String]) -> Result<Vec<&Agent>, Failure> {
        if words.is_empty() {
            return Ok(self.agents().collect());
        }
        let named: Vec<(&Agent, String)> =
            self.roster.agents.iter().map(|agent| (agent, agent.name.to_string())).collect();
        let mut chosen: Vec<&Agent> = Vec::new();
        for word in words {
            let agent = *resolve(word, &named).map_err(|unresolved| {
                let failure = unresolved_failure(word, unresolved);
                Failure {
                    next: failure.next.map(|next| next.replace("fleet ps lists", "fleet roster lists")),
                    ..failure
                }
            })?;
            if !agent.is_on(&self.here) {
                let there = agent.host.as_deref().unwrap_or_default();
                let message = format!("{} belongs on host {there}, this is {}", agent.name, self.here);
                return Err(Failure::new(Code::NoSuch, message).next("ask for it there"));
            }
            if !chosen.iter().any(|other| other.name == agent.name) {
                chosen.push(agent);
            }
        }
        Ok(chosen)
    }

    /// Makes the agent's environment file say what the roster says. True where it did not.
    ///
    /// # Errors
    /// When it cannot be read or written.
    pub fn refresh_env(&self, agent: &Agent) -> Result<bool, Failure> {
        let name = agent.name.as_str();
        let refresh = || -> Result<bool, AgentFileError> {
            let (existing, wanted) = (read_env(&self.home, name)?, wanted(&self.roster, agent));
            let after = merged(existing.as_deref(), name, &wanted);
            if existing.as_deref() == Some(&after) {
                return Ok(false);
            }
            write_env(&self.home, name, &after)?;
            Ok(true)
        };
        refresh().map_err(|error| files_failed(&error))
    }

    /// What goes before a start: each agent leaves the tmux server that it was set up for, where the roster names
    /// another one by now (else it would run twice), and its environment file says what the roster says.
    ///
    /// # Errors
    /// When a file cannot be read or written, or that server does not let go.
    pub async fn prepare(&self, agents: &[&Agent]) -> Result<(), Failure> {
        let _alone = changing(&self.home).map_err(|error| files_failed(&error))?;
        for agent in agents {
            // On the default server a session of this name may be anybody's by now.
            if let Some(old) = self.moves_from(agent)?.filter(|old| !old.is_default()) {
                let left = self.leave(&Server::new(old), agent).await;
                left.map_err(|error| Failure::of(Code::Failure, &error))?;
            }
            self.refresh_env(agent)?;
        }
        Ok(())
    }

    /// Ends the agent's session on a server that the roster gave up for it, and with the last one the holder, which
    /// holds it for nobody then.
    async fn leave(&self, old: &Server, agent: &Agent) -> Result<(), TmuxError> {
        old.kill_session(agent.name.as_str()).await?;
        let holder = &self.roster.tmux.holder_session;
        if *old.socket() == self.roster.tmux.socket_name {
            return Ok(());
        }
        let (panes, _) = match old.panes().await {
            Err(TmuxError::NoServer { .. }) => return Ok(()),
            panes => panes?,
        };
        if panes.iter().all(|pane| pane.session == *holder) { old.kill_session(holder).await } else { Ok(()) }
    }

    /// The tmux server that the agent's environment file names, where it is not the roster's.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn moves_from(&self, agent: &Agent) -> Result<Option<SocketName>, Failure> {
        let env = read_env(&self.home, agent.name.as_str()).map_err(|error| files_failed(&error))?;
        let values = values(&env.unwrap_or_default());
        let told = values.into_iter().rev().find(|(name, _)| name == "MOSAIC_TMUX_SOCKET");
        let told = told.map(|(_, told)| SocketName::new(&told));
        Ok(told.filter(|told| *told != self.roster.socket_of(agent)))
    }

    /// The variables of the agent's file that the roster has another value for.
    pub fn env_differences(&self, agent: &Agent) -> Result<Vec<&'static str>, Failure> {
        let existing = read_env(&self.home, agent.name.as_str()).map_err(|error| files_failed(&error))?;
        Ok(existing.map_or_else(Vec::new, |text| differences(&text, &wanted(&self.roster, agent))))
    }
}

pub fn home() -> Result<Home, Failure> {
    Home::from_env().map_err(|error| Failure::of(Code::Failure, &error))
}

/// Asks on a terminal; elsewhere `yes` must have been said.
///
/// # Errors
/// When the answer is no, or nobody can be asked.
pub fn confirm(question: &str, yes: bool) -> Result<(), Failure> {
    use std::io::{BufRead as _, IsTerminal as _, Write as _};
    if yes {
        return Ok(());
    }
    if !std::io::stdin().is_terminal() || !std::io::stdout().is_terminal() {
        return Err(
            Failure::new(Code::Usage, "this asks first, and here is nobody to ask").next("say it with --yes")
        );
    }
    let mut stderr = std::io::stderr();
    let _ = write!(stderr, "{question} [y/N] ").and_then(|()| stderr.flush());
    let mut answer = String::new();
    let read = std::io::stdin().lock().read_line(&mut answer);
    if read.is_ok() && matches!(answer.trim(), "y" | "Y" | "yes") {
        return Ok(());
    }
    Err(Failure::new(Code::Refused, "nothing was changed"))
}

/// The fleet's files could not be read or changed.
pub fn files_failed(error: &(dyn std::error::Error + 'static)) -> Failure {
    Failure::of(Code::Failure, error)
        .next("nothing else was changed; put this right and try again: fleet doctor")
}
