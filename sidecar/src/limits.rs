//! Windows of accounts as this sidecar saw them, and what of it the collector has not heard. The newest of each window is
//! enough, so a slow collector costs nothing but freshness.

use std::collections::{BTreeMap, VecDeque};
use std::time::{Duration, Instant};

use fleet_adapters::sighted::Sighted;
use fleet_domain::AccountName;
use fleet_domain::limits::{Reading, Sighting, WindowName, Windows};
use fleet_proto::convert::readings_to_pb;
use fleet_proto::limits::MAX_WINDOWS;
use fleet_proto::pb::report_request::Message;

use crate::uplink::{Sender, message};

/// Conversations whose last words are remembered.
const MAX_SESSIONS: usize = 1_024;

/// Sightings that wait for a listing to show whose they are, and for how long.
const MAX_UNCLAIMED: usize = 64;
const UNCLAIMED_FOR: Duration = Duration::from_secs(15);

#[derive(Default)]
pub(crate) struct Limits {
    windows: Windows,
    due: BTreeMap<(AccountName, WindowName), Reading>,
    /// What each conversation told last: its stamp, and its windows without their times.
    told: BTreeMap<String, (u64, Vec<(WindowName, u64)>)>,
    /// Of sessions that no listing has shown yet.
    unclaimed: VecDeque<(Sighted, Instant)>,
}

impl Limits {
    /// A client's word. A conversation that repeats itself has seen nothing new: an idle one shows its old windows for ever,
    /// and they must not hide what another learned since.
    pub(crate) fn told(&mut self, account: &AccountName, provider: &str, told: &Sighted) {
        let windows =
            told.sightings.iter().map(|seen| (seen.window.clone(), seen.used_ratio.to_bits())).collect();
        let word = (told.stamp, windows);
        if !told.session.is_empty() {
            if self.told.get(&told.session) == Some(&word) {
                return;
            }
            if self.told.len() >= MAX_SESSIONS {
                self.told.clear();
            }
            self.told.insert(told.session.clone(), word);
        }
        told.sightings.iter().for_each(|sighting| self.saw(account, provider, sighting));
    }

    /// Kept until a listing shows whose it is: a session can speak before it was seen.
    pub(crate) fn whose(&mut self, sighted: Sighted, since: Instant) {
        if self.unclaimed.len() >= MAX_UNCLAIMED {
            self.unclaimed.pop_front();
        }
        self.unclaimed.push_back((sighted, since));
    }

    /// What may be claimed now, with since when it waits.
    pub(crate) fn unclaimed(&mut self) -> VecDeque<(Sighted, Instant)> {
        self.unclaimed.retain(|(_, since)| since.elapsed() < UNCLAIMED_FOR);
        std::mem::take(&mut self.unclaimed)
    }

    pub(crate) fn saw(&mut self, account: &AccountName, provider: &str, sighting: &Sighting) {
        let Some(reading) = sighting.by(account, provider) else { return };
        let known = self.windows.knows(&reading.account, &reading.window);
        if (known || self.windows.len() < MAX_WINDOWS) && self.windows.take(reading.clone()) {
            self.due.insert((reading.account.clone(), reading.window.clone()), reading);
        }
    }

    /// A new connection hears all of it: what the one before still had under way may be lost.
    pub(crate) fn connected(&mut self) {
        let all = self.windows.readings().cloned();
        self.due = all.map(|reading| ((reading.account.clone(), reading.window.clone()), reading)).collect();
    }

    pub(crate) fn has_news(&self) -> bool {
        !self.due.is_empty()
    }

    /// False where there was no room for it.
    pub(crate) fn flush(&mut self, link: &Sender) -> bool {
        if self.due.is_empty() {
            return true;
        }
        let due: Vec<Reading> = self.due.values().cloned().collect();
        let sent = link.try_send(message(Message::Limits(readings_to_pb(&due)))).is_ok();
        if sent {
            self.due.clear();
        }
        sent
    }
}

#[cfg(test)]
mod tests {
    use fleet_domain::Wall;
    use fleet_domain::limits::Source;
    use fleet_proto::pb;
    use tokio::sync::mpsc;

    use super::*;

    fn sighted(session: &str, stamp: u64, used: f64, at: i64) -> Sighted {
        let sighting = Sighting {
            window: WindowName::parse("5h").unwrap(),
            length: None,
            used_ratio: used,
            resets_at: None,
            observed_at: Wall(at),
            source: Source::Statusline,
        };
        Sighted { session: session.to_owned(), stamp, pids: Vec::new(), sightings: vec![sighting] }
    }

    fn sent(limits: &mut Limits) -> Vec<f64> {
        let (link, mut queue) = mpsc::channel(4);
        assert!(limits.flush(&link));
        match queue.try_recv().ok().and_then(|message| message.message) {
            Some(Message::Limits(pb::LimitReadings { readings })) => {
                readings.iter().map(|one| one.used_ratio).collect()
            }
            _ => Vec::new(),
        }
    }

    #[test]
    fn an_idle_conversation_does_not_hide_what_another_learned() {
        let (mut limits, account) = (Limits::default(), AccountName::new("a"));
        limits.told(&account, "p", &sighted("idle", 1, 0.1, 1));
        limits.told(&account, "p", &sighted("busy", 1, 0.4, 2));
        limits.told(&account, "p", &sighted("idle", 1, 0.1, 3));
        assert_eq!(sent(&mut limits), [0.4]);
        limits.told(&account, "p", &sighted("idle", 2, 0.5, 4));
        assert_eq!(sent(&mut limits), [0.5]);
        assert!(!limits.has_news());
    }

    #[test]
    fn what_finds_no_room_stays_and_a_new_connection_hears_all() {
        let (mut limits, account) = (Limits::default(), AccountName::new("a"));
        limits.told(&account, "p", &sighted("s", 1, 0.1, 1));
        let (link, queue) = mpsc::channel(1);
        drop(queue);
        assert!(!limits.flush(&link) && limits.has_news());
        assert_eq!(sent(&mut limits), [0.1]);
        limits.connected();
        assert_eq!(sent(&mut limits), [0.1]);
    }
}
