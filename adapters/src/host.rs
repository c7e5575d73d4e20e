//! A whole host looked at once: roster, systemd, and every session of the sockets that concern us.
//!
//! For the CLI where no collector answers, and for the host-wide sidecar's first look. It never fails: what cannot be
//! known is in the planes, as a reason.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::{Duration, SystemTime};

use fleet_domain::observation::{
    HostPlanes, Observation, RosterPlane, SocketPlane, SocketState, SystemdPlane,
};
use fleet_domain::roster::{DEFAULT_HOLDER, Roster};
use fleet_domain::{AgentName, SocketName, Wall};

use crate::look::Look;
use crate::screens::{Grid, RuleBook, Rules};
use crate::tmux::{PaneRow, Screens, Server, TmuxError, default_socket_dir};
use crate::{identity, look, roster_file};

#[derive(Debug, Clone)]
pub struct SurveyOptions {
    pub roster: PathBuf,
    /// Directory of the heartbeat files.
    pub heartbeats: PathBuf,
    /// Sockets beside the roster's, whose agents are adopted.
    pub extra_sockets: Vec<SocketName>,
    /// Heartbeat interval of files that do not say theirs.
    pub interval: Duration,
}

#[derive(Debug, Clone, Default)]
pub struct Survey {
    pub planes: HostPlanes,
    pub observations: Vec<Observation>,
}

/// Which sessions of a socket concern us.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scope {
    /// The fleet's own socket: nothing on it is invisible.
    All,
    /// The user's default server, where the roster uses it: the roster's own sessions, and no others.
    Roster,
    /// An adopted socket: sessions that run an agent.
    Agents,
}

impl Scope {
    /// Of a socket that the roster names.
    pub fn of(socket: &SocketName) -> Self {
        if socket.is_default() { Self::Roster } else { Self::All }
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Target {
    pub socket: SocketName,
    pub holder: String,
    pub scope: Scope,
}

/// The sockets to look at: the roster's, then the extra ones.
pub fn targets(roster: Option<&Roster>, extra: &[SocketName]) -> Vec<Target> {
    let mut targets: BTreeMap<SocketName, Target> = BTreeMap::new();
    if let Some(roster) = roster {
        let own = std::iter::once(roster.tmux.socket_name.clone());
        for socket in own.chain(roster.agents.iter().map(|agent| roster.socket_of(agent))) {
            let scope = Scope::of(&socket);
            let holder = roster.tmux.holder_session.clone();
            targets.insert(socket.clone(), Target { socket, holder, scope });
        }
    }
    for socket in extra {
        let adopted =
            Target { socket: socket.clone(), holder: DEFAULT_HOLDER.to_owned(), scope: Scope::Agents };
        targets
            .entry(socket.clone())
            .and_modify(|target| {
                if target.scope == Scope::Roster {
                    target.scope = Scope::Agents;
                }
            })
            .or_insert(adopted);
    }
    targets.into_values().collect()
}

/// The sockets in this user's tmux directory; the default server's only when asked for.
pub fn own_sockets(with_default: bool) -> Vec<SocketName> {
    let Ok(entries) = std::fs::read_dir(default_socket_dir()) else { return Vec::new() };
    let mut names: Vec<SocketName> = entries
        .filter_map(Result::ok)
        .filter(|entry| {
            use std::os::unix::fs::FileTypeExt;
            entry.file_type().is_ok_and(|kind| kind.is_socket())
        })
        .filter_map(|entry| entry.file_name().into_string().ok())
        .filter(|name| name != "default" && !name.starts_with('-'))
        .map(|name| SocketName::new(&name))
        .collect();
    if with_default {
        names.push(SocketName::default_server());
    }
    names.sort();
    names
}

/// A socket listed.
#[derive(Debug)]
pub struct Listing {
    pub state: SocketState,
    /// The panes by session, the holder left out.
    pub sessions: BTreeMap<String, Vec<PaneRow>>,
    pub screens: Screens,
}

/// What a socket has, of all sessions or of the one of this name, and what these panes show.
pub async fn list(target: &Target, session: Option<&AgentName>, panes: &[String]) -> Listing {
    let mut sessions: BTreeMap<String, Vec<PaneRow>> = BTreeMap::new();
    let (state, screens) = match Server::new(target.socket.clone()).look(session, panes).await {
        Ok((rows, screens)) => {
            for row in rows.into_iter().filter(|row| row.session != target.holder) {
                sessions.entry(row.session.clone()).or_default().push(row);
            }
            (SocketState::Up, screens)
        }
        Err(TmuxError::NoServer { .. }) => (SocketState::Down, Screens::new()),
        Err(error) => (SocketState::Unreachable { why: error.to_string() }, Screens::new()),
    };
    Listing { state, sessions, screens }
}

/// True where this session concerns us at all.
pub fn concerns(scope: Scope, in_roster: bool, observation: &Observation) -> bool {
    match scope {
        Scope::All => true,
        Scope::Roster => in_roster,
        Scope::Agents => in_roster || observation.runtime.is_some(),
    }
}

pub async fn survey(options: &SurveyOptions, book: &RuleBook) -> Survey {
    let host = identity::host();
    let (roster, plane) = match roster_file::read(&options.roster) {
        Ok(Some(roster)) => {
            let plane = roster_file::plane(&options.roster, &roster, &host);
            (Some(roster), plane)
        }
        Ok(None) => (None, RosterPlane::default()),
        Err(error) => {
            let plane = RosterPlane {
                path: options.roster.display().to_string(),
                error: Some(error.to_string()),
                agents: Vec::new(),
            };
            (None, plane)
        }
    };
    let names: Vec<String> = plane.agents.iter().map(|entry| entry.name.to_string()).collect();
    let mut survey = Survey::default();
    for target in targets(roster.as_ref(), &options.extra_sockets) {
        let Listing { state, sessions, .. } = list(&target, None, &[]).await;
        let mut looks = Vec::new();
        for (name, rows) in &sessions {
            let in_roster =
                plane.agents.iter().any(|entry| entry.name.as_str() == name && entry.socket == target.socket);
            let look = look::session(&target.socket, name, rows, options.interval, SystemTime::now());
            let concerned = look.filter(|look| concerns(target.scope, in_roster, &look.observation));
            looks.extend(concerned.map(|look| (look, in_roster)));
        }
        see_screens(&target.socket, looks.iter_mut().map(|(look, _)| look), book, options.interval).await;
        for (look, in_roster) in looks {
            let mut seen = look.observation;
            if seen.heartbeat.is_none() && in_roster {
                let file = options.heartbeats.join(format!("{}.hb", seen.session));
                seen.heartbeat = look::beat_of_file(&file, options.interval, wall_now());
            }
            survey.observations.push(seen);
        }
        survey.planes.sockets.push(SocketPlane { socket: target.socket, holder: target.holder, state });
    }
    survey.planes.roster = plane;
    survey.planes.systemd = systemd(&names).await;
    survey
}

/// Looks at the screens of those whose runtime there are rules for, in one call.
async fn see_screens(
    socket: &SocketName,
    looks: impl Iterator<Item = &mut Look>,
    book: &RuleBook,
    interval: Duration,
) {
    let mut wanted: BTreeMap<String, (&mut Look, &Rules)> = looks
        .filter_map(|look| {
            let rules = book.rules(look.found.runtime.as_ref()?.as_str(), None)?;
            Some((look.pane()?.to_owned(), (look, rules)))
        })
        .collect();
    let panes: Vec<String> = wanted.keys().cloned().collect();
    if panes.is_empty() {
        return;
    }
    // A server that answered a moment ago and is gone now is told by the next look.
    for (pane, capture) in Server::new(socket.clone()).captures(&panes).await.unwrap_or_default() {
        if let Some((look, rules)) = wanted.get_mut(&pane) {
            let sight = rules.judge(&Grid::parse(&capture), look.title());
            look.see(&sight, interval, wall_now());
        }
    }
}

/// The wall clock, at the edge.
pub fn wall_now() -> Wall {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    Wall(i64::try_from(since.as_millis()).unwrap_or(i64::MAX))
}

#[cfg(feature = "systemd")]
async fn systemd(names: &[String]) -> SystemdPlane {
    crate::systemd::plane(names).await
}

#[cfg(not(feature = "systemd"))]
async fn systemd(_names: &[String]) -> SystemdPlane {
    SystemdPlane { unavailable: Some("built without systemd".to_owned()), units: Vec::new() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_default_server_shows_only_what_the_roster_names() {
        let roster = Roster::parse(
            "version: 1\nagents: [{name: a, runtime: pi}, {name: b, runtime: pi, socket: other}]",
        )
        .unwrap();
        let found: Vec<_> =
            targets(Some(&roster), &[]).into_iter().map(|t| (t.socket.shown().to_owned(), t.scope)).collect();
        assert_eq!(found, [("default".to_owned(), Scope::Roster), ("other".to_owned(), Scope::All)]);
        let adopted = targets(Some(&roster), &[SocketName::default_server(), SocketName::new("x")]);
        assert_eq!(
            adopted.iter().map(|t| t.scope).collect::<Vec<_>>(),
            [Scope::Agents, Scope::All, Scope::Agents]
        );
        assert!(targets(None, &[]).is_empty());
    }
}
