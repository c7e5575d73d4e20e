//! Which sessions there are: one `list-panes` a socket, every few seconds and after a death, never two at once and
//! never in the way. A server that does not answer is asked less and less often.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use fleet_adapters::host::{Listing, Target, list};
use fleet_domain::observation::SocketState;
use fleet_domain::{AgentName, SocketName};
use tokio::sync::mpsc;

pub(super) const EVERY: Duration = Duration::from_secs(5);
/// Where one agent is watched that says itself what it does: all that a listing adds is that the session was renamed.
pub(super) const SELDOM: Duration = Duration::from_secs(20);
/// While one is at work of which only its screen tells that it asks something.
pub(super) const CLOSELY: Duration = Duration::from_secs(1);
const AT_MOST: Duration = Duration::from_secs(60);
/// A redraw that was caught in the middle is over by then.
const SECOND_LOOK: Duration = Duration::from_millis(500);
/// After a death tmux needs a moment to know it.
const SOON: Duration = Duration::from_millis(50);

/// One socket, listed.
#[derive(Debug)]
pub(super) struct Discovered {
    pub(super) target: Target,
    /// With what those panes show that were asked for.
    pub(super) listing: Listing,
    /// What all of this tells was so at this moment; what came later it may not show.
    pub(super) asked: Instant,
}

pub(super) struct Discovery {
    results: (mpsc::Sender<Vec<Discovered>>, mpsc::Receiver<Vec<Discovered>>),
    running: bool,
    again_at: Instant,
    /// How long each server is left alone after it did not answer.
    patience: BTreeMap<SocketName, (Instant, Duration)>,
    rounds: u64,
    /// The one session that is asked for, where only one is watched.
    only: Option<AgentName>,
}

impl Discovery {
    pub(super) fn new(only: Option<AgentName>) -> Self {
        Self {
            results: mpsc::channel(1),
            running: false,
            again_at: Instant::now(),
            patience: BTreeMap::new(),
            rounds: 0,
            only,
        }
    }

    /// Every socket was listed at least once.
    pub(super) fn complete(&self) -> bool {
        self.rounds > 0
    }

    pub(super) fn soon(&mut self, now: Instant) {
        self.again_at = self.again_at.min(now + SOON);
    }

    /// A screen changed: it is looked at once more.
    pub(super) fn second_look(&mut self, now: Instant) {
        self.again_at = self.again_at.min(now + SECOND_LOOK);
    }

    pub(super) fn due(&self, now: Instant) -> bool {
        !self.running && now >= self.again_at
    }

    pub(super) fn start(
        &mut self,
        targets: Vec<Target>,
        screens: BTreeMap<SocketName, Vec<String>>,
        (now, every): (Instant, Duration),
    ) {
        self.running = true;
        self.again_at = now + every;
        let asked: Vec<Target> = targets
            .into_iter()
            .filter(|target| self.patience.get(&target.socket).is_none_or(|(until, _)| now >= *until))
            .collect();
        let (results, only) = (self.results.0.clone(), self.only.clone());
        tokio::spawn(async move {
            let mut found = Vec::new();
            for target in asked {
                let wanted = screens.get(&target.socket).map(Vec::as_slice).unwrap_or_default();
                let asked = Instant::now();
                let listing = list(&target, only.as_ref(), wanted).await;
                found.push(Discovered { target, listing, asked });
            }
            let _ = results.send(found).await;
        });
    }

    /// Ready when a listing came back, or when it is time for the next one (then empty-handed).
    pub(super) async fn finished(&mut self) -> Vec<Discovered> {
        let wake = tokio::time::Instant::from_std(self.again_at);
        let found = tokio::select! {
            found = self.results.1.recv() => found.unwrap_or_default(),
            () = tokio::time::sleep_until(wake), if !self.running => return Vec::new(),
        };
        self.running = false;
        self.rounds += 1;
        let now = Instant::now();
        for one in &found {
            match &one.listing.state {
                SocketState::Unreachable { .. } => {
                    let wait = self
                        .patience
                        .get(&one.target.socket)
                        .map_or(EVERY, |(_, wait)| (*wait * 2).min(AT_MOST));
                    self.patience.insert(one.target.socket.clone(), (now + wait, wait));
                }
                SocketState::Up | SocketState::Down => {
                    self.patience.remove(&one.target.socket);
                }
            }
        }
        found
    }
}
