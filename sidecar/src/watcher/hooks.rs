//! Where the hooks' calls come in, and what they make of an agent.

use std::fs::DirBuilder;
use std::os::unix::fs::DirBuilderExt;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use fleet_adapters::hooks::{Call, MAX_CALL};
use fleet_adapters::sighted::Datagram;
use fleet_domain::observation::{Evidence, Native, NativeState, Source};
use tokio::net::UnixDatagram;

use crate::config::Config;

/// The socket of this sidecar; without one, hooks are not heard.
pub(super) struct Hooks {
    socket: Option<UnixDatagram>,
    path: PathBuf,
    buffer: Vec<u8>,
}

impl Hooks {
    pub(super) fn open(config: &Config) -> Self {
        let name = config.agent.as_ref().map_or("host".to_owned(), |agent| format!("agent-{agent}"));
        let path = config.home.hooks().join(format!("{name}.sock"));
        let socket =
            bind(&path).map_err(|error| tracing::warn!("{}: hooks are not heard: {error}", path.display()));
        Self { socket: socket.ok(), path, buffer: vec![0; MAX_CALL] }
    }

    /// The next call or sighting; what is neither is passed over.
    pub(super) async fn next(&mut self) -> Datagram {
        let Some(socket) = &self.socket else { return std::future::pending().await };
        loop {
            match socket.recv(&mut self.buffer).await {
                Ok(length) => {
                    if let Some(datagram) = Datagram::decode(&self.buffer[..length]) {
                        return datagram;
                    }
                }
                Err(error) => {
                    tracing::warn!("{}: hooks are not heard any more: {error}", self.path.display());
                    return std::future::pending().await;
                }
            }
        }
    }
}

impl Drop for Hooks {
    fn drop(&mut self) {
        if self.socket.is_some() {
            let _ = std::fs::remove_file(&self.path);
        }
    }
}

fn bind(path: &std::path::Path) -> std::io::Result<UnixDatagram> {
    if let Some(directory) = path.parent() {
        DirBuilder::new().recursive(true).mode(0o700).create(directory)?;
    }
    // One that was killed leaves its socket; that no other sidecar holds it is what the lock is for.
    match std::fs::remove_file(path) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    UnixDatagram::bind(path)
}

/// Calls of agents that no listing showed yet: a first prompt may come before it.
#[derive(Default)]
pub(super) struct Strangers(Vec<(Call, Instant)>);

impl Strangers {
    /// How long one is kept, and how many.
    const KEPT: Duration = Duration::from_secs(10);
    const MOST: usize = 32;

    /// Keeps a call; true where it is the first of its process, so that it is worth to look for that one.
    pub(super) fn keep(&mut self, call: Call, now: Instant) -> bool {
        self.0.retain(|(_, at)| now.duration_since(*at) < Self::KEPT);
        let is_first = !self.0.iter().any(|(known, _)| known.pids == call.pids);
        // Of one process the last call says it all.
        self.0.retain(|(known, _)| known.pids != call.pids);
        if self.0.len() < Self::MOST {
            self.0.push((call, now));
        }
        is_first
    }

    /// What is kept for one of these processes.
    pub(super) fn take(&mut self, pids: &[u32]) -> Option<(Call, Instant)> {
        let at = self.0.iter().position(|(call, _)| call.pids.iter().any(|pid| pids.contains(pid)))?;
        Some(self.0.remove(at))
    }
}

/// The last thing that an agent's hooks told.
#[derive(Debug)]
pub(super) struct Told {
    call: Call,
    at: Instant,
}

impl Told {
    pub(super) fn new(call: Call, at: Instant) -> Self {
        Self { call, at }
    }

    /// Whose turn it is, and what is in the way. `moved` is how long ago something was drawn: a runtime at work draws,
    /// so one that says it is busy and does not draw has lost a hook.
    pub(super) fn says(&self, moved: Option<Duration>, now: Instant) -> (Native, Option<Evidence>) {
        let age = now.duration_since(self.at);
        let state = self.call.event.state();
        let confirmed = match state {
            NativeState::Busy => moved.map_or(age, |moved| moved.min(age)),
            _ => Duration::ZERO,
        };
        let native = Native { state, since: Some(age), source: Source::Hook, confirmed, line: String::new() };
        let evidence = self.call.event.stuck().map(|kind| Evidence {
            kind,
            line: self.call.line.clone(),
            source: Source::Hook,
            since: Some(age),
            confirmed: Duration::ZERO,
            until: None,
        });
        (native, evidence)
    }
}

#[cfg(test)]
mod tests {
    use fleet_adapters::hooks::Event;

    use super::*;

    #[test]
    fn a_strangers_last_call_is_kept_for_a_while_and_it_is_looked_for_once() {
        let call =
            |event, pid| Call { event, session: String::new(), line: String::new(), pids: vec![pid, 1] };
        let (mut strangers, now) = (Strangers::default(), Instant::now());
        assert!(strangers.keep(call(Event::Prompted, 7), now));
        assert!(!strangers.keep(call(Event::Stopped, 7), now));
        assert_eq!(strangers.take(&[8]), None);
        assert_eq!(strangers.take(&[9, 7]).map(|(call, _)| call.event), Some(Event::Stopped));
        assert_eq!(strangers.take(&[7]), None);
        strangers.keep(call(Event::Prompted, 7), now);
        assert!(strangers.keep(call(Event::Prompted, 8), now + Strangers::KEPT));
        assert_eq!(strangers.take(&[7]), None);
    }
}
