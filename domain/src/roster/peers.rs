//! What an agent is told of its peers: its own address, the command that reaches each of them, and how to answer.

use crate::HostId;
use crate::message::short;

use super::{Agent, Roster};

impl Agent {
    /// True where the agent runs on `here`; one without a host runs wherever the roster is.
    pub fn is_on(&self, here: &HostId) -> bool {
        self.host.as_deref().is_none_or(|host| short(host) == here.as_str())
    }
}

/// The cheat-sheet of one agent of this roster on the host `here`.
pub fn cheat_sheet(roster: &Roster, agent: &Agent, here: &HostId) -> String {
    let own = roster.socket_of(agent);
    let mut text = format!(
        "# Your peers\n\nYou are `{}`: agent {}, class {}, on tmux socket {}.\n\n",
        address(agent, here),
        agent.name,
        agent.class,
        own.shown()
    );
    let peers: Vec<&Agent> = roster.agents.iter().filter(|peer| peer.name != agent.name).collect();
    if peers.is_empty() {
        text.push_str("You are the only agent of this fleet.\n\n");
    } else {
        text.push_str("| peer | class | where | how to reach it |\n|---|---|---|---|\n");
    }
    for peer in &peers {
        let socket = roster.socket_of(peer);
        let mut place = if peer.is_on(here) { "here".to_owned() } else { address(peer, here) };
        if socket != own {
            place.push_str(&format!(", socket {}", socket.shown()));
        }
        let name = match &peer.alias {
            Some(alias) if !alias.is_empty() => format!("{} ({})", peer.name, cell(alias)),
            _ => peer.name.to_string(),
        };
        text.push_str(&format!("| {name} | {} | {place} | `{}` |\n", cell(&peer.class), command(peer, here)));
    }
    if !peers.is_empty() {
        text.push('\n');
    }
    text.push_str(RULES);
    text
}

/// `host:session`
fn address(agent: &Agent, here: &HostId) -> String {
    format!("{}:{}", agent.host.as_deref().map_or(here.as_str(), short), agent.name)
}

/// The command that reaches this peer from the host `here`.
pub fn command(peer: &Agent, here: &HostId) -> String {
    match &peer.ssh {
        _ if peer.is_on(here) => format!("fleet agent send {} -m 'TEXT'", peer.name),
        // The text goes by stdin, so that no shell on the way reads it.
        Some(ssh) => format!("ssh {} fleet agent send {} < FILE", cell(ssh), peer.name),
        None => format!("fleet agent send {} -m 'TEXT'", address(peer, here)),
    }
}

/// Fits into a cell of a table.
fn cell(text: &str) -> String {
    crate::text::clean(text, 64).replace(['|', '`'], " ")
}

const RULES: &str = "\
Long text: `fleet agent send NAME -f FILE`. A message arrives as `[FROM -> TO] text`, both as `host:session`. To answer,
send to FROM: flip the two. A message may carry `class=terminal-log` (for the record, no answer), `class=human` (a person
wrote it) or `class=reaction`; without a class it wants something done. Never type into another agent's pane, and never
answer a prompt that another agent is asked.
";

#[cfg(test)]
mod tests {
    use super::*;

    const ROSTER: &str = "
version: 1
tmux: {socket_name: mosaic-fleet}
agents:
  - {name: lead, runtime: claude, class: orchestrator}
  - {name: coder0, runtime: pi, class: code, alias: 'Ada | `x`'}
  - {name: aside, runtime: pi, socket: other}
  - {name: far, runtime: pi, host: box.example.org, ssh: ops@box}
  - {name: further, runtime: pi, host: hill}
";

    #[test]
    fn each_peer_has_the_command_that_reaches_it() {
        let roster = Roster::parse(ROSTER).unwrap();
        let sheet = cheat_sheet(&roster, &roster.agents[0], &HostId::new("here"));
        insta::assert_snapshot!(sheet);
        let far = cheat_sheet(&roster, &roster.agents[3], &HostId::new("box"));
        assert!(far.contains("You are `box:far`") && !far.contains("| far |"), "{far}");
    }

    #[test]
    fn an_empty_socket_is_the_default_server_here_too() {
        let roster = Roster::parse("version: 1\nagents: [{name: a, runtime: pi}]").unwrap();
        let sheet = cheat_sheet(&roster, &roster.agents[0], &HostId::new("here"));
        assert!(sheet.contains("on tmux socket default") && sheet.contains("only agent"), "{sheet}");
    }
}
