//! Whom a message goes to, and who it is from: by the roster and the tmux servers of this host.

use std::path::Path;

use fleet_adapters::host::{self, Scope, own_sockets, targets};
use fleet_adapters::runtimes::codex;
use fleet_adapters::tmux::{PaneRow, Server};
use fleet_adapters::{hooks, look, procfs};
use fleet_domain::fleet::resolve;
use fleet_domain::message::{Label, short};
use fleet_domain::roster::{Agent, Roster, peers};
use fleet_domain::{HostId, SocketName};

use crate::error::{Code, Failure};
use crate::render::words::safe;
use crate::verbs::explain::unresolved_failure;

/// One session of this host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Whom {
    pub(super) socket: SocketName,
    pub(super) session: String,
}

/// The one that a word means: an agent of the roster, or a session that runs an agent; `host:session` where it names one.
pub(super) async fn whom(word: &str, roster: Option<&Roster>, here: &HostId) -> Result<Whom, Failure> {
    let (host, name) = match word.split_once(':') {
        Some((host, session)) => (Some(host), session),
        None => (None, word),
    };
    if host.is_some_and(|host| short(host) != here.as_str()) {
        return Err(elsewhere(word, host, name, roster, here));
    }
    let mut known: Vec<(Whom, String)> = Vec::new();
    let agents = roster.map(|roster| roster.agents.as_slice()).unwrap_or_default();
    for agent in agents {
        if !agent.is_on(here) {
            if agent.name.as_str() == name && host.is_none() {
                return Err(elsewhere(word, agent.host.as_deref(), name, roster, here));
            }
            continue;
        }
        let socket = roster.map(|roster| roster.socket_of(agent)).unwrap_or_default();
        known.push((Whom { socket, session: agent.name.to_string() }, agent.name.to_string()));
    }
    // An agent of the roster is meant wherever it may be; sessions are asked for only where none is.
    if !known.iter().any(|(_, known)| known == name) {
        known.extend(sessions(roster, &known).await);
    }
    // An address is a name, not the beginning of one.
    if host.is_some() {
        known.retain(|(_, known)| known == name);
    }
    resolve(name, &known).cloned().map_err(|unresolved| unresolved_failure(word, unresolved))
}

/// The sessions of this host that concern us and are not the roster's.
async fn sessions(roster: Option<&Roster>, known: &[(Whom, String)]) -> Vec<(Whom, String)> {
    let mut found = Vec::new();
    for target in targets(roster, &own_sockets(false)) {
        for (session, rows) in host::list(&target, None, &[]).await.sessions {
            let whom = Whom { socket: target.socket.clone(), session: session.clone() };
            let is_known = known.iter().any(|(other, _)| *other == whom);
            if target.scope != Scope::Roster && !is_known && runs_an_agent(&rows) {
                found.push((whom, session));
            }
        }
    }
    found
}

fn runs_an_agent(rows: &[PaneRow]) -> bool {
    look::choose(rows).is_some_and(|(_, found)| found.runtime.is_some())
}

/// Nothing is sent to a session of the same name here.
fn elsewhere(word: &str, host: Option<&str>, name: &str, roster: Option<&Roster>, here: &HostId) -> Failure {
    let host = host.unwrap_or_default();
    let message = format!("{} is on host {}, and this is {here}", safe(word), safe(short(host)));
    let failure = Failure::new(Code::NoSuch, message);
    let is_meant = |agent: &&Agent| {
        agent.name.as_str() == name && agent.host.as_deref().is_some_and(|there| short(there) == short(host))
    };
    let agent = roster.and_then(|roster| roster.agents.iter().find(is_meant));
    match agent.filter(|agent| agent.ssh.is_some()) {
        Some(agent) => failure.next(format!("send it there: {}", peers::command(agent, here))),
        None => failure.next(format!(
            "send it there: ssh {} fleet agent send {} < FILE",
            safe(short(host)),
            safe(name)
        )),
    }
}

/// Who writes, where nobody says so: the agent whose pane this is, else the operator. A pane's number alone is no proof:
/// each tmux server has its own.
pub(super) async fn writer(roster: Option<&Roster>, here: &HostId) -> Label {
    let session = match (std::env::var("TMUX_PANE"), roster) {
        (Ok(pane), Some(roster)) if !pane.is_empty() => own_session(&pane, roster, here).await,
        _ => None,
    };
    session.map_or_else(Label::operator, |session| Label::of(here.as_str(), &session))
}

async fn own_session(pane: &str, roster: &Roster, here: &HostId) -> Option<String> {
    let told = std::env::var("TMUX").ok().filter(|told| !told.is_empty());
    let told = told.as_deref().and_then(|told| told.split(',').next()).map(Path::new);
    let target = targets(Some(roster), &[]).into_iter().find(|target| {
        let path = Server::new(target.socket.clone()).path();
        told.map_or(target.socket == roster.tmux.socket_name, |told| same_file(told, &path))
    })?;
    let sessions = host::list(&target, None, &[]).await.sessions;
    let (session, rows) = sessions.into_iter().find(|(_, rows)| rows.iter().any(|row| row.pane == pane))?;
    let in_roster = roster.agents.iter().any(|agent| {
        agent.name.as_str() == session && agent.is_on(here) && roster.socket_of(agent) == target.socket
    });
    let is_agents = in_roster || (target.scope == Scope::All && runs_an_agent(&rows));
    let row = rows.iter().find(|row| row.pane == pane)?;
    (is_agents && !is_lent(row.pid)).then_some(session)
}

/// A shared server of a runtime has the environment of whoever started it first, and works for others too.
fn is_lent(pane: u32) -> bool {
    let ancestors = hooks::ancestors();
    !ancestors.contains(&pane) && ancestors.iter().any(|pid| codex::is_server(&procfs::arguments(*pid)))
}

fn same_file(one: &Path, other: &Path) -> bool {
    match (one.canonicalize(), other.canonicalize()) {
        (Ok(one), Ok(other)) => one == other,
        _ => one == other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ROSTER: &str = "
version: 1
tmux: {socket_name: mf-no-such-socket}
agents:
  - {name: lead, runtime: claude}
  - {name: far, runtime: pi, host: hill.example.org, ssh: ops@hill}
  - {name: further, runtime: pi, host: hill}
";

    fn asked(word: &str) -> Result<Whom, Failure> {
        let roster = Roster::parse(ROSTER).unwrap();
        let here = HostId::new("box");
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(whom(word, Some(&roster), &here))
    }

    #[test]
    fn an_agent_is_meant_by_its_name_and_its_address() {
        for word in ["lead", "box:lead", "box.example.org:lead", "le"] {
            assert_eq!(asked(word).unwrap().session, "lead", "{word}");
        }
    }

    #[test]
    fn another_hosts_agent_is_told_with_the_command_that_reaches_it() {
        for (word, command) in [
            ("far", "ssh ops@hill fleet agent send far < FILE"),
            ("hill:far", "ssh ops@hill fleet agent send far < FILE"),
            ("further", "ssh hill fleet agent send further < FILE"),
            ("moon:lead", "ssh moon fleet agent send lead < FILE"),
        ] {
            let failure = asked(word).unwrap_err();
            assert_eq!(failure.code, Code::NoSuch, "{word}");
            assert!(failure.next.as_deref().is_some_and(|next| next.ends_with(command)), "{failure}");
        }
    }

    #[test]
    fn a_slip_is_answered_with_the_nearest_name_and_an_address_is_no_beginning() {
        assert!(asked("leed").unwrap_err().next.unwrap().contains("lead"));
        assert_eq!(asked("box:le").unwrap_err().code, Code::NoSuch);
    }
}
