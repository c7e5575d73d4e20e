//! The register as readers get it: in its order, under the names that are shown.

use std::borrow::Cow;
use std::collections::BTreeSet;

use super::entry::Entry;
use super::glance::Glance;
use super::row::Row;
use super::view::{self, AgentView};
use super::{Fleet, Host};
use crate::SocketName;
use crate::ids::AgentKey;
use crate::time::{Now, Wall};

impl Fleet {
    /// Every agent, hosts in order, and within a host as the roster has them, then unmanaged sessions by name.
    pub fn rows(&self, now: Now, day_start: Wall) -> impl Iterator<Item = Row<'_>> {
        self.glances(now, day_start).map(Glance::row)
    }

    /// The same, none of them looked at yet.
    pub fn glances(&self, now: Now, day_start: Wall) -> impl Iterator<Item = Glance<'_>> {
        let agents: Vec<(&AgentKey, &Entry)> =
            self.agents.iter().map(|(key, entry)| (key, entry.as_ref())).collect();
        let mut ordered = Vec::with_capacity(agents.len());
        let mut rest = agents.as_slice();
        while let Some((first, _)) = rest.first() {
            // In the order of their keys: a few comparisons find where the host ends.
            let of_host =
                rest.partition_point(|(key, _)| key.tenant == first.tenant && key.host == first.host);
            let (on_host, others) = rest.split_at(of_host);
            rest = others;
            let shared = shared_names(on_host);
            let host = on_host.first().and_then(|(key, _)| self.host_of(key));
            let from = ordered.len();
            ordered.extend(on_host.iter().map(|(key, entry)| {
                let collides = shared.contains(key.session.as_str());
                (*key, *entry, host, shown_name(key, collides))
            }));
            ordered[from..].sort_by_key(|(_, entry, ..)| entry.position);
        }
        let thresholds = &self.thresholds;
        ordered.into_iter().map(move |(key, entry, host, name)| Glance {
            key,
            entry,
            host,
            name,
            thresholds,
            now,
            day_start,
        })
    }

    /// The same, each without its signals, for whoever keeps them.
    pub fn list(&self, now: Now, day_start: Wall) -> Vec<AgentView> {
        self.rows(now, day_start).map(|row| row.to_view()).collect()
    }

    /// One agent with its signals.
    pub fn view(&self, key: &AgentKey, now: Now, day_start: Wall) -> Option<AgentView> {
        let signals = view::lines(self.agents.get(key)?, now);
        Some(AgentView { signals, ..self.row(key, now, day_start)? })
    }

    /// One agent without its signals.
    pub fn row(&self, key: &AgentKey, now: Now, day_start: Wall) -> Option<AgentView> {
        let (key, entry) = self.agents.get_key_value(key)?;
        let host = self.host_of(key);
        let name = shown_name(key, self.collides(key));
        let thresholds = &self.thresholds;
        Some(Glance { key, entry, host, name, thresholds, now, day_start }.row().to_view())
    }

    pub fn keys(&self) -> impl Iterator<Item = &AgentKey> {
        self.agents.keys()
    }

    /// Every session with its shown name.
    pub fn names(&self) -> impl Iterator<Item = (&AgentKey, String)> {
        self.agents.keys().map(|key| (key, self.name(key)))
    }

    fn host_of(&self, key: &AgentKey) -> Option<&Host> {
        self.hosts.get(&(key.tenant.clone(), key.host.clone()))
    }

    /// The shown name: the session's, and with its socket where two collide on a host.
    pub fn name(&self, key: &AgentKey) -> String {
        shown_name(key, self.collides(key)).into_owned()
    }

    /// Leaps from socket to socket, as a host has few sockets and may have many sessions.
    fn collides(&self, key: &AgentKey) -> bool {
        let mut probe =
            AgentKey { socket: SocketName::default_server(), session: String::new(), ..key.clone() };
        while let Some((found, _)) = self.agents.range(&probe..).next() {
            if found.tenant != key.tenant || found.host != key.host {
                return false;
            }
            probe.socket = found.socket.clone();
            probe.session.clone_from(&key.session);
            if found.socket != key.socket && self.agents.contains_key(&probe) {
                return true;
            }
            probe.session = char::MAX.to_string();
        }
        false
    }
}

fn shown_name(key: &AgentKey, collides: bool) -> Cow<'_, str> {
    if collides {
        Cow::Owned(format!("{}@{}", key.session, key.socket.shown()))
    } else {
        Cow::Borrowed(&key.session)
    }
}

/// The names that stand on several sockets of one host, whose agents are given in the order of their keys.
fn shared_names<'a>(on_host: &[(&'a AgentKey, &Entry)]) -> BTreeSet<&'a str> {
    let sockets = on_host.first().zip(on_host.last());
    if sockets.is_none_or(|((first, _), (last, _))| first.socket == last.socket) {
        return BTreeSet::new();
    }
    let mut seen = BTreeSet::new();
    on_host.iter().map(|(key, _)| key.session.as_str()).filter(|session| !seen.insert(*session)).collect()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::super::tests::{connected, now, seen};
    use super::*;
    use crate::fleet::{Event, ReporterId};
    use crate::observation::{NativeState, Observation};

    #[test]
    fn an_agent_has_one_name_however_it_is_asked_for() {
        let mut fleet = connected();
        for (session, socket) in [("a", ""), ("b", ""), ("a", "x"), ("c", "x"), ("b", "y"), ("a@x", "y")] {
            let observation =
                Observation { socket: SocketName::new(socket), ..seen(session, NativeState::Busy) };
            fleet.apply(Event::Observed { reporter: ReporterId(1), observation }, now(0));
        }
        let by_key: BTreeMap<&AgentKey, String> = fleet.names().collect();
        let mut listed = 0;
        for row in fleet.rows(now(1), Wall(0)) {
            assert_eq!(row.name, by_key[row.key]);
            assert_eq!(fleet.row(row.key, now(1), Wall(0)).unwrap(), row.to_view());
            listed += 1;
        }
        let names: BTreeSet<&str> = by_key.values().map(String::as_str).collect();
        assert_eq!((listed, names), (6, BTreeSet::from(["a@default", "a@x", "b@default", "b@y", "c"])));
    }
}
