//! Who watches agents and who follows transitions. Nobody waits for a slow reader: its queue is bounded, and when it is
//! full the reader is cut off and has to ask again.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use fleet_domain::AgentKey;
use fleet_domain::fleet::AgentView;
use tokio::sync::{mpsc, watch};

use super::{Day, Listing};
use crate::store::{Numbered, Whose};

/// Changes that a watcher may be behind.
pub(super) const WATCH_QUEUE: usize = 1_024;
/// More changes at once than this are told as a new snapshot.
pub(super) const MAX_DELTAS: usize = 256;
/// Transitions that a follower may be behind.
pub(super) const FOLLOW_QUEUE: usize = 1_024;
const MAX_READERS: usize = 512;

#[derive(Debug, thiserror::Error)]
#[error("{MAX_READERS} readers watch already")]
pub struct TooMany;

/// One change of the register.
#[derive(Debug, Clone)]
pub enum Delta {
    Changed(Arc<AgentView>),
    Removed { key: AgentKey, generation: u64 },
}

impl Delta {
    pub fn generation(&self) -> u64 {
        match self {
            Self::Changed(view) => view.generation,
            Self::Removed { generation, .. } => *generation,
        }
    }
}

/// Set where the queue's end means that its reader was too slow.
#[derive(Debug, Clone, Default)]
pub struct Cut(Arc<AtomicBool>);

impl Cut {
    pub fn is_set(&self) -> bool {
        self.0.load(Ordering::Acquire)
    }

    fn set(&self) {
        self.0.store(true, Ordering::Release);
    }
}

/// A watcher's end: the latest whole picture, and what changed after it. Changes up to a picture's generation are part
/// of it.
#[derive(Debug)]
pub struct Watch {
    pub snapshots: watch::Receiver<Arc<Listing>>,
    pub deltas: mpsc::Receiver<Delta>,
    pub cut: Cut,
}

/// A follower's end: transitions after number `after`.
#[derive(Debug)]
pub struct Follow {
    pub after: u64,
    pub transitions: mpsc::Receiver<Numbered>,
    pub cut: Cut,
}

struct Watcher {
    day: Day,
    snapshots: watch::Sender<Arc<Listing>>,
    deltas: mpsc::Sender<Delta>,
    cut: Cut,
}

struct Follower {
    whose: Option<Whose>,
    transitions: mpsc::Sender<Numbered>,
    cut: Cut,
}

#[derive(Default)]
pub(super) struct Readers {
    watchers: Vec<Watcher>,
    followers: Vec<Follower>,
}

impl Readers {
    pub(super) fn watch(&mut self, day: Day, listing: Listing) -> Result<Watch, TooMany> {
        self.watchers.retain(|watcher| !watcher.deltas.is_closed());
        if self.watchers.len() >= MAX_READERS {
            return Err(TooMany);
        }
        let (snapshots, latest) = watch::channel(Arc::new(listing));
        let (deltas, queue) = mpsc::channel(WATCH_QUEUE);
        let cut = Cut::default();
        self.watchers.push(Watcher { day, snapshots, deltas, cut: cut.clone() });
        Ok(Watch { snapshots: latest, deltas: queue, cut })
    }

    pub(super) fn follow(&mut self, whose: Option<Whose>, after: u64) -> Result<Follow, TooMany> {
        self.followers.retain(|follower| !follower.transitions.is_closed());
        if self.followers.len() >= MAX_READERS {
            return Err(TooMany);
        }
        let (sender, transitions) = mpsc::channel(FOLLOW_QUEUE);
        let cut = Cut::default();
        self.followers.push(Follower { whose, transitions: sender, cut: cut.clone() });
        Ok(Follow { after, transitions, cut })
    }

    pub(super) fn has_watchers(&self) -> bool {
        !self.watchers.is_empty()
    }

    pub(super) fn days(&self) -> BTreeSet<Day> {
        self.watchers.iter().map(|watcher| watcher.day).collect()
    }

    /// Everything anew; it replaces what a watcher has not looked at yet. Answers how many were cut off.
    pub(super) fn publish_anew(&mut self, listings: &BTreeMap<Day, Arc<Listing>>) -> usize {
        self.watchers.retain(|watcher| {
            if let Some(listing) = listings.get(&watcher.day) {
                watcher.snapshots.send_replace(listing.clone());
            }
            !watcher.deltas.is_closed()
        });
        0
    }

    /// Each change once for each day that somebody counts from. Answers how many were cut off.
    pub(super) fn publish(
        &mut self,
        changed: &BTreeSet<AgentKey>,
        removed: Vec<(AgentKey, u64)>,
        row: impl Fn(&AgentKey, Day) -> Option<AgentView>,
    ) -> usize {
        let mut deltas: BTreeMap<Day, Vec<Delta>> = BTreeMap::new();
        for day in self.days() {
            let removed = removed
                .iter()
                .map(|(key, generation)| Delta::Removed { key: key.clone(), generation: *generation });
            let changed = changed.iter().filter_map(|key| Some(Delta::Changed(Arc::new(row(key, day)?))));
            let mut of_day: Vec<Delta> = removed.chain(changed).collect();
            of_day.sort_by_key(Delta::generation);
            deltas.insert(day, of_day);
        }
        let before = self.watchers.len();
        let mut left = 0;
        self.watchers.retain(|watcher| {
            let all = deltas.get(&watcher.day).into_iter().flatten();
            match send_all(&watcher.deltas, all.cloned()) {
                Sent::All => true,
                Sent::Left => {
                    left += 1;
                    false
                }
                Sent::Full => {
                    watcher.cut.set();
                    false
                }
            }
        });
        before - self.watchers.len() - left
    }

    /// Answers how many were cut off.
    pub(super) fn tell(&mut self, numbered: &Numbered) -> usize {
        let mut cut = 0;
        self.followers.retain(|follower| {
            if follower.whose.as_ref().is_some_and(|whose| !whose.covers(&numbered.what)) {
                return true;
            }
            match send_all(&follower.transitions, [numbered.clone()]) {
                Sent::All => true,
                Sent::Left => false,
                Sent::Full => {
                    follower.cut.set();
                    cut += 1;
                    false
                }
            }
        });
        cut
    }
}

enum Sent {
    All,
    /// The reader went away.
    Left,
    Full,
}

fn send_all<T>(queue: &mpsc::Sender<T>, items: impl IntoIterator<Item = T>) -> Sent {
    for item in items {
        match queue.try_send(item) {
            Ok(()) => {}
            Err(mpsc::error::TrySendError::Closed(_)) => return Sent::Left,
            Err(mpsc::error::TrySendError::Full(_)) => return Sent::Full,
        }
    }
    Sent::All
}
