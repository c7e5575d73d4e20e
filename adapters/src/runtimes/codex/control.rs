//! The control socket of Codex' daemon: where it is, and how it is listened to.
//!
//! The daemon outlives the terminals that it serves, so it never vouches for an agent's life.

use std::io;
use std::os::unix::fs::FileTypeExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use tokio::net::UnixStream;
use tokio::time::timeout;

use super::places::{home, rollouts};
use super::threads::{Threads, hello};
use super::version::by_place;
use crate::procfs::{self, Stat};
use crate::runtimes::live::{Received, Teller, WebSocket};

/// Nothing came for so long: it is asked whether it is there.
const QUIET: Duration = Duration::from_secs(15);

/// The socket of the daemon that a process of this home would use, if one is there; never where the process was told to
/// do without.
pub(in crate::runtimes) fn control_socket(process: &Stat) -> Option<PathBuf> {
    if !uses_daemon(&procfs::arguments(process.pid)) {
        return None;
    }
    let link = home(process.pid)?.join("app-server-control/app-server-control.sock");
    let socket = link.canonicalize().ok()?;
    socket.metadata().is_ok_and(|metadata| metadata.file_type().is_socket()).then_some(socket)
}

/// Its daemon serves a terminal that was started so: with a setting on the command line it does without (0.169).
pub fn uses_daemon(arguments: &[String]) -> bool {
    const ALONE: [&str; 5] = ["-c", "--config", "--no-daemon", "--remote", "exec"];
    !arguments
        .iter()
        .skip(1)
        .any(|argument| ALONE.contains(&argument.split_once('=').map_or(argument.as_str(), |(flag, _)| flag)))
}

/// It holds a rollout open, which is what the daemon does for those that it serves.
pub(in crate::runtimes) fn writes_itself(process: &Stat) -> bool {
    procfs::tree(process.pid).iter().any(|stat| !rollouts(stat.pid).is_empty())
}

/// Listens until the daemon leaves.
///
/// # Errors
/// When it cannot be reached, is another user's, or answers no more.
pub(in crate::runtimes) async fn follow(socket: &Path, teller: &Teller) -> io::Result<()> {
    let stream = UnixStream::connect(socket).await?;
    let peer = stream.peer_cred()?;
    if peer.uid() != nix::unistd::geteuid().as_raw() {
        return Err(io::Error::new(io::ErrorKind::PermissionDenied, "it is another user's"));
    }
    let version = peer.pid().and_then(|pid| u32::try_from(pid).ok()).and_then(version);
    let mut socket = timeout(QUIET, WebSocket::connect(stream)).await??;
    socket.send(&hello(version.as_deref().unwrap_or("0"))).await?;
    let (mut threads, mut asked) = (Threads::default(), false);
    loop {
        let Ok(received) = timeout(QUIET, socket.next()).await else {
            if std::mem::replace(&mut asked, true) {
                return Err(io::ErrorKind::TimedOut.into());
            }
            socket.ping().await?;
            continue;
        };
        asked = false;
        let message = match received? {
            Received::Message(message) => message,
            // What was said holds.
            Received::Pong => {
                teller.tell(threads.conversations()).await?;
                continue;
            }
            Received::End => return Ok(()),
        };
        let next = threads.take(&message);
        for ask in &next.ask {
            socket.send(ask).await?;
        }
        if next.changed {
            teller.tell(threads.conversations()).await?;
        }
    }
}

/// The version of a running daemon.
fn version(pid: u32) -> Option<String> {
    by_place(&std::fs::read_link(format!("/proc/{pid}/exe")).ok()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_setting_on_the_command_line_is_an_end_to_the_daemon() {
        let uses = |line: &str| uses_daemon(&line.split(' ').map(str::to_owned).collect::<Vec<_>>());
        assert!(uses("codex -m gpt-5.2-codex -a on-request") && uses("codex resume --last"));
        for line in [
            "codex -c a=1",
            "codex --config=a=1",
            "codex --no-daemon",
            "codex exec hello",
            "codex --remote x",
        ] {
            assert!(!uses(line), "{line}");
        }
    }
}
