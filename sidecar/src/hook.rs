//! `fleet-sidecar hook`: what the runtimes' hooks call. It hands the event on and is gone: it starts nothing, waits for
//! nobody, says nothing, and its exit status is 0 whatever happens, as a hook's failure would be the agent's.

use std::io::Read;
use std::os::fd::AsFd;
use std::os::unix::net::UnixDatagram;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use fleet_adapters::hooks::{Call, MAX_PAYLOAD, ancestors, read};
use fleet_framework::Home;
use rustix::event::{PollFd, PollFlags, Timespec, poll};

/// A runtime writes its payload before it starts the command; one that does not is not waited for.
const PATIENCE: Duration = Duration::from_millis(500);

#[derive(Debug, clap::Args)]
pub struct Options {
    /// Directory of the sidecars' sockets instead of the one in the runtime directory.
    #[arg(long, value_name = "DIR")]
    to: Option<PathBuf>,
    /// The payload, where the runtime hands it over as an argument instead of on standard input.
    payload: Option<String>,
}

pub fn run(options: &Options) {
    let payload = match &options.payload {
        Some(payload) => payload.clone().into_bytes(),
        None => standard_input(),
    };
    let Some(call) = read(&payload, ancestors()) else { return };
    let Some(directory) = options.to.clone().or_else(|| Home::from_env().ok().map(|home| home.hooks()))
    else {
        return;
    };
    send(&call, &directory);
}

/// To the host's sidecar and the agent's own, whichever are there.
fn send(call: &Call, directory: &std::path::Path) {
    let (Some(bytes), Ok(socket)) = (call.encode(), UnixDatagram::unbound()) else { return };
    if socket.set_nonblocking(true).is_err() {
        return;
    }
    let own = std::env::var("MOSAIC_AGENT_NAME").ok().filter(|name| !name.is_empty() && !name.contains('/'));
    for name in std::iter::once("host".to_owned()).chain(own.map(|name| format!("agent-{name}"))) {
        // Nobody listens, or is too busy: the agent must not notice.
        let _ = socket.send_to(&bytes, directory.join(format!("{name}.sock")));
    }
}

fn standard_input() -> Vec<u8> {
    let mut stdin = std::io::stdin().lock();
    let (mut payload, end) = (Vec::new(), Instant::now() + PATIENCE);
    let mut piece = [0u8; 8192];
    while payload.len() < MAX_PAYLOAD {
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
