//! What the clients share that runtimes call: they hand something on to the sidecars, and are gone. They start nothing,
//! wait for nobody, and fail silently, as their failure would be the agent's.

use std::io::Read;
use std::os::fd::AsFd;
use std::os::unix::net::UnixDatagram;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use fleet_framework::Home;
use rustix::event::{PollFd, PollFlags, Timespec, poll};

/// A runtime writes its payload before it starts the command; one that does not is not waited for.
const PATIENCE: Duration = Duration::from_millis(500);

/// To the host's sidecar and the agent's own, whichever are there.
pub(crate) fn send(bytes: &[u8], directory: Option<&Path>) {
    let home = || Home::from_env().ok().map(|home| home.hooks());
    let Some(directory): Option<PathBuf> = directory.map(Path::to_owned).or_else(home) else { return };
    let Ok(socket) = UnixDatagram::unbound() else { return };
    if socket.set_nonblocking(true).is_err() {
        return;
    }
    let own = std::env::var("MOSAIC_AGENT_NAME").ok().filter(|name| !name.is_empty() && !name.contains('/'));
    for name in std::iter::once("host".to_owned()).chain(own.map(|name| format!("agent-{name}"))) {
        // Nobody listens, or is too busy: the agent must not notice.
        let _ = socket.send_to(bytes, directory.join(format!("{name}.sock")));
    }
}

/// At most `most` bytes.
pub(crate) fn standard_input(most: usize) -> Vec<u8> {
    let mut stdin = std::io::stdin().lock();
    let (mut payload, end) = (Vec::new(), Instant::now() + PATIENCE);
    let mut piece = [0u8; 8192];
    while payload.len() < most {
        let left = end.saturating_duration_since(Instant::now());
        let timeout = Timespec { tv_sec: 0, tv_nsec: i64::from(left.subsec_nanos()) };
        let fd = std::io::stdin();
        let borrowed = fd.as_fd();
        let mut waits = [PollFd::new(&borrowed, PollFlags::IN)];
        if !matches!(poll(&mut waits, Some(&timeout)), Ok(ready) if ready > 0) {
            break;
        }
        match stdin.read(&mut piece) {
            Ok(0) | Err(_) => break,
            Ok(count) => payload.extend_from_slice(&piece[..count]),
        }
    }
    payload
}
