//! What the servers tell that some runtimes run beside their screens: Codex' daemon by its control socket, opencode by
//! HTTP on loopback. They are listened to and nothing else: none is ever started, nothing is answered, nothing is
//! changed.

mod http;
mod sse;
mod websocket;

use std::path::PathBuf;
use std::time::{Duration, SystemTime};

use fleet_domain::observation::{NativeState, StuckKind};
use fleet_domain::{RuntimeName, Wall};
use tokio::sync::mpsc;

pub(in crate::runtimes) use http::{Login, get, stream};
pub(in crate::runtimes) use sse::Events;
pub(in crate::runtimes) use websocket::{Received, WebSocket};

use super::usage::{Attribution, attribution};
use super::{codex, opencode};
use crate::procfs::{self, Stat};

/// A server that was lost is looked for again after this, and less and less often.
const AGAIN: Duration = Duration::from_secs(1);
const SELDOM: Duration = Duration::from_secs(60);
/// What stood for so long was no failure to connect.
const STOOD: Duration = Duration::from_secs(10);

/// Where a server listens.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Endpoint {
    /// The control socket of the daemon of one Codex home, which serves all who share that home.
    Codex(PathBuf),
    /// The process's own port on loopback.
    Opencode(opencode::Server),
}

/// Whose turn it is, by a server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Standing {
    pub state: NativeState,
    /// Since when, where that was seen.
    pub since: Option<Wall>,
    /// Why a request is sent again; empty otherwise.
    pub line: String,
    pub in_the_way: Option<InTheWay>,
}

/// Why it cannot go on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InTheWay {
    pub kind: StuckKind,
    pub line: String,
    /// When a limit resets.
    pub until: Option<Wall>,
}

/// One conversation that a server holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Conversation {
    pub id: String,
    /// Where it works; nothing where the server serves one process only.
    pub directory: Option<PathBuf>,
    pub began: Option<SystemTime>,
    pub standing: Standing,
}

/// What a server says now, all of it; sent again where nothing changed, which shows that it is there.
#[derive(Debug)]
pub struct Told {
    pub endpoint: Endpoint,
    /// Nothing where the server was lost.
    pub conversations: Option<Vec<Conversation>>,
}

/// The server that serves this process, if it has one.
pub fn endpoint(runtime: &RuntimeName, process: &Stat) -> Option<Endpoint> {
    match runtime.as_str() {
        codex::NAME => codex::control_socket(process).map(Endpoint::Codex),
        opencode::NAME => opencode::server(process).map(Endpoint::Opencode),
        _ => None,
    }
}

impl Endpoint {
    /// The process that was asked for it speaks with it still.
    pub fn serves(&self, process: &Stat) -> bool {
        match self {
            Self::Codex(_) => !codex::writes_itself(process),
            Self::Opencode(_) => true,
        }
    }

    /// That this server answers shows that the process does.
    pub fn is_the_process(&self) -> bool {
        matches!(self, Self::Opencode(_))
    }

    /// True where this conversation is the process's and nobody else's, by where and when it began.
    pub fn owns(&self, runtime: &RuntimeName, process: &Stat, conversation: &Conversation) -> bool {
        let Some(directory) = &conversation.directory else { return true };
        if procfs::directory(process.pid).as_ref() != Some(directory) {
            return false;
        }
        attribution(runtime, process, conversation.began) == Some(Attribution::Own)
    }
}

/// Listens to a server until nobody wants to hear it any more. Each time that it is lost it is told so, and looked for
/// again.
pub async fn follow(endpoint: Endpoint, to: mpsc::Sender<Told>) {
    let teller = Teller { endpoint, to };
    let mut wait = AGAIN;
    loop {
        let begun = tokio::time::Instant::now();
        let ended = match &teller.endpoint {
            Endpoint::Codex(socket) => codex::follow(socket, &teller).await,
            Endpoint::Opencode(server) => opencode::follow(server, &teller).await,
        };
        match ended {
            Ok(()) => tracing::debug!("the server of {:?} left", teller.endpoint),
            Err(error) => tracing::debug!("the server of {:?} is not heard: {error}", teller.endpoint),
        }
        if teller.send(None).await.is_err() {
            return;
        }
        wait = if begun.elapsed() >= STOOD { AGAIN } else { (wait * 2).min(SELDOM) };
        tokio::time::sleep(wait).await;
    }
}

pub(in crate::runtimes) struct Teller {
    endpoint: Endpoint,
    to: mpsc::Sender<Told>,
}

impl Teller {
    /// # Errors
    /// When nobody listens.
    pub(in crate::runtimes) async fn tell(&self, conversations: Vec<Conversation>) -> std::io::Result<()> {
        self.send(Some(conversations)).await
    }

    async fn send(&self, conversations: Option<Vec<Conversation>>) -> std::io::Result<()> {
        let told = Told { endpoint: self.endpoint.clone(), conversations };
        self.to.send(told).await.map_err(|_| std::io::ErrorKind::BrokenPipe.into())
    }
}

/// Of several conversations of one process: it waits if one waits, works if one works.
pub fn merged<'s>(standings: impl Iterator<Item = &'s Standing>) -> Option<Standing> {
    let rank = |standing: &Standing| match (standing.state, &standing.in_the_way) {
        (NativeState::Waiting, _) => 4,
        (NativeState::Busy | NativeState::Retrying, _) => 3,
        (NativeState::Background, _) => 2,
        (NativeState::TurnEnded, Some(_)) => 1,
        (NativeState::TurnEnded, None) => 0,
    };
    let mut standings: Vec<&Standing> = standings.collect();
    // What failed in a conversation is over when another one went on.
    standings.sort_by_key(|standing| match rank(standing) {
        rank @ 0..=1 => (0, standing.since, rank),
        rank => (rank, standing.since, rank),
    });
    standings.pop().cloned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn standing(state: NativeState, since: i64, kind: Option<StuckKind>) -> Standing {
        let in_the_way = kind.map(|kind| InTheWay { kind, line: String::new(), until: None });
        Standing { state, since: Some(Wall(since)), line: String::new(), in_the_way }
    }

    #[test]
    fn of_several_conversations_the_one_that_waits_is_told_and_of_ended_ones_the_last() {
        let busy = standing(NativeState::Busy, 3, None);
        let asks = standing(NativeState::Waiting, 1, Some(StuckKind::Permission));
        let failed = standing(NativeState::TurnEnded, 2, Some(StuckKind::Error));
        let ended = standing(NativeState::TurnEnded, 4, None);
        assert_eq!(merged([&busy, &asks, &ended].into_iter()), Some(asks));
        assert_eq!(merged([&busy, &failed, &ended].into_iter()), Some(busy));
        assert_eq!(merged([&ended, &failed].into_iter()), Some(ended));
        assert_eq!(merged([].into_iter()), None);
    }
}
