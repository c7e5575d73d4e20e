//! What a client tells the sidecars of an account's windows: one datagram each, to the sockets that hooks call. Whose
//! account it is, the sidecar knows by the client's ancestors.

use std::time::Duration;

use fleet_domain::limits::{Sighting, Source, WindowName};
use fleet_domain::text;
use fleet_domain::time::Wall;
use serde::{Deserialize, Serialize};

use crate::hooks::{ANCESTORS, Call, MAX_CALL};

/// More windows than that nobody has.
const MAX_WINDOWS: usize = 16;

#[derive(Debug, Clone, PartialEq)]
pub struct Sighted {
    /// The runtime's identity of its conversation.
    pub session: String,
    /// The same windows of the same conversation under the same stamp are told again, not seen again.
    pub stamp: u64,
    /// As in [`Call::pids`].
    pub pids: Vec<u32>,
    pub sightings: Vec<Sighting>,
}

/// What comes in at a sidecar's socket.
#[derive(Debug, Clone, PartialEq)]
pub enum Datagram {
    Call(Call),
    Sighted(Sighted),
}

#[derive(Serialize, Deserialize)]
struct Wire {
    windows: Vec<Window>,
    session: String,
    stamp: u64,
    pids: Vec<u32>,
}

#[derive(Serialize, Deserialize)]
struct Window {
    name: String,
    length_s: Option<u64>,
    used: f64,
    resets_ms: Option<i64>,
    seen_ms: i64,
    source: String,
}

impl Sighted {
    /// As it travels; nothing where it would be larger than a call may be.
    pub fn encode(&self) -> Option<Vec<u8>> {
        let window = |seen: &Sighting| Window {
            name: seen.window.to_string(),
            length_s: seen.length.map(|length| length.as_secs()),
            used: seen.used_ratio,
            resets_ms: seen.resets_at.map(|at| at.0),
            seen_ms: seen.observed_at.0,
            source: seen.source.as_str().to_owned(),
        };
        let windows = self.sightings.iter().take(MAX_WINDOWS).map(window).collect();
        let wire =
            Wire { windows, session: self.session.clone(), stamp: self.stamp, pids: self.pids.clone() };
        serde_json::to_vec(&wire).ok().filter(|bytes| bytes.len() <= MAX_CALL)
    }

    fn decode(bytes: &[u8]) -> Option<Self> {
        let mut wire: Wire = serde_json::from_slice(bytes).ok()?;
        wire.pids.truncate(ANCESTORS);
        let sighting = |window: Window| {
            // A user's word does not come this way.
            let source = Source::parse(&window.source).filter(|source| source.is_runtimes())?;
            Some(Sighting {
                window: WindowName::parse(&window.name).ok()?,
                length: window.length_s.map(Duration::from_secs),
                used_ratio: window.used,
                resets_at: window.resets_ms.map(Wall),
                observed_at: Wall(window.seen_ms),
                source,
            })
        };
        Some(Self {
            session: text::clean(&wire.session, 80),
            stamp: wire.stamp,
            pids: wire.pids,
            sightings: wire.windows.into_iter().take(MAX_WINDOWS).filter_map(sighting).collect(),
        })
    }
}

impl Datagram {
    /// What came in: anyone of this user can send there.
    pub fn decode(bytes: &[u8]) -> Option<Self> {
        Call::decode(bytes).map(Self::Call).or_else(|| Sighted::decode(bytes).map(Self::Sighted))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn sighted(source: Source) -> Sighted {
        let sighting = Sighting {
            window: WindowName::parse("7d-opus").unwrap(),
            length: Some(Duration::from_secs(7 * 86_400)),
            used_ratio: 0.42,
            resets_at: Some(Wall(9)),
            observed_at: Wall(5),
            source,
        };
        Sighted { session: "s".to_owned(), stamp: u64::MAX, pids: vec![3, 4], sightings: vec![sighting] }
    }

    #[test]
    fn a_sighting_travels_and_nobody_speaks_for_the_user_here() {
        let sent = sighted(Source::Statusline);
        assert_eq!(Datagram::decode(&sent.encode().unwrap()), Some(Datagram::Sighted(sent)));
        let Some(Datagram::Sighted(forged)) = Datagram::decode(&sighted(Source::User).encode().unwrap())
        else {
            panic!("no sighting")
        };
        assert!(forged.sightings.is_empty());
    }

    #[test]
    fn a_call_is_told_from_a_sighting() {
        let call = crate::hooks::read(br#"{"hook_event_name":"Stop","session_id":"s"}"#, vec![3]).unwrap();
        assert_eq!(Datagram::decode(&call.encode().unwrap()), Some(Datagram::Call(call)));
    }

    proptest! {
        #[test]
        fn any_datagram_is_an_answer_never_a_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = Datagram::decode(&bytes);
        }
    }
}
