//! opencode's own server: on which port of loopback a process has it, and how its events are listened to.

use std::io;
use std::time::{Duration, SystemTime};

use fleet_domain::Wall;
use tokio::time::timeout;

use super::sessions::Sessions;
use crate::procfs::{self, Stat};
use crate::runtimes::live::{Conversation, Events, Login, Teller, get, stream};

/// It sends a sign of life every ten seconds.
const QUIET: Duration = Duration::from_secs(30);
/// Whom it expects where nobody is named.
const USER: &str = "opencode";
/// What it takes where it is free and no other was asked for.
const USUAL: u16 = 4096;

#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Server {
    port: u16,
    login: Option<Login>,
}

/// Where a process serves, if it does: the kernel says on which ports it listens, its environment with which password.
pub(in crate::runtimes) fn server(process: &Stat) -> Option<Server> {
    let ports = procfs::listening(process.pid);
    let asked = asked_for(&procfs::arguments(process.pid));
    let is_there = |port: &u16| ports.contains(port);
    let port = asked.filter(is_there).or(Some(USUAL).filter(is_there)).or(ports.first().copied())?;
    let names = ["OPENCODE_SERVER_USERNAME", "OPENCODE_SERVER_PASSWORD"];
    let [user, password] = procfs::environment(process.pid, &names).try_into().ok()?;
    let text = |value: std::path::PathBuf| value.into_os_string().into_string().ok();
    let login = password.and_then(text).map(|password| {
        let user = user.and_then(text).unwrap_or_else(|| USER.to_owned());
        Login { user, password }
    });
    Some(Server { port, login })
}

fn asked_for(arguments: &[String]) -> Option<u16> {
    let at = arguments.iter().position(|word| word == "--port" || word.starts_with("--port="))?;
    let value = match arguments[at].split_once('=') {
        Some((_, value)) => value,
        None => arguments.get(at + 1)?,
    };
    value.parse().ok().filter(|port| *port > 0)
}

/// Listens until the process leaves.
///
/// # Errors
/// When it cannot be reached, wants another password, or is heard no more.
pub(in crate::runtimes) async fn follow(server: &Server, teller: &Teller) -> io::Result<()> {
    let Server { port, login } = server;
    let ask = |path: &'static str| get(*port, login.as_ref(), path);
    // First the events, so that nothing happens between the answers and them.
    let mut pieces = stream(*port, login.as_ref(), "/event").await?;
    let mut sessions =
        Sessions::begin(&ask("/session/status").await?, &ask("/permission").await?, &ask("/question").await?);
    teller.tell(told(&sessions)).await?;
    let mut events = Events::default();
    while let Some(piece) = timeout(QUIET, pieces.next()).await?? {
        let mut tells = false;
        events.take(&piece, |event| tells |= sessions.take(event, now()));
        if tells {
            teller.tell(told(&sessions)).await?;
        }
    }
    Ok(())
}

/// All of it as one: it is all of one process.
fn told(sessions: &Sessions) -> Vec<Conversation> {
    let standing = sessions.standing(now());
    vec![Conversation { id: String::new(), directory: None, began: None, standing }]
}

fn now() -> Wall {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    Wall(i64::try_from(since.as_millis()).unwrap_or(i64::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_port_that_was_asked_for_in_either_spelling() {
        let port = |line: &str| asked_for(&line.split(' ').map(str::to_owned).collect::<Vec<_>>());
        assert_eq!(port("opencode --port 5001 -m x"), Some(5001));
        assert_eq!(port("opencode --port=5001"), Some(5001));
        assert_eq!(port("opencode --port 0"), None);
        assert_eq!(port("opencode --port"), None);
        assert_eq!(port("opencode --portable 7"), None);
    }
}
