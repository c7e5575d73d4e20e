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
use crate::procfs::{self, Stat};
use crate::runtimes::live::{Received, Teller, WebSocket};

/// Nothing came for so long: it is asked whether it is there.
const QUIET: Duration = Duration::from_secs(15);

/// The socket of the daemon that a process of this home would use, if one is there; never where the process was told to
/// do without.
pub(in crate::runtimes) fn control_socket(process: &Stat) -> Option<PathBuf> {
    let elsewhere = |argument: &String| {
        argument == "--no-daemon" || argument == "exec" || argument.starts_with("--remote")
    };
    if procfs::arguments(process.pid).iter().skip(1).any(elsewhere) {
        return None;
    }
    let link = home(process.pid)?.join("app-server-control/app-server-control.sock");
    let socket = link.canonicalize().ok()?;
    socket.metadata().is_ok_and(|metadata| metadata.file_type().is_socket()).then_some(socket)
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

/// The version of a running daemon, which its program's place names: `…/releases/0.169.0-x86_64-…/bin/codex`.
fn version(pid: u32) -> Option<String> {
    let program = std::fs::read_link(format!("/proc/{pid}/exe")).ok()?;
    program.iter().filter_map(|part| part.to_str()).find_map(version_in)
}

fn version_in(part: &str) -> Option<String> {
    let number = part.split_once('-').map_or(part, |(number, _)| number);
    let is_number = number.split('.').count() == 3
        && number.split('.').all(|digits| !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit()));
    is_number.then(|| number.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_programs_place_names_its_version() {
        assert_eq!(version_in("0.169.0-x86_64-unknown-linux-musl").as_deref(), Some("0.169.0"));
        assert_eq!(version_in("0.170.1").as_deref(), Some("0.170.1"));
        assert_eq!((version_in("releases"), version_in("x86_64-a"), version_in("1..2")), (None, None, None));
    }
}
