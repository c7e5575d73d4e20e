//! A listing written straight from the register's rows into the bytes of a `ListAgentsResponse`.
//!
//! Ten thousand agents are ten thousand times thirty words; as messages each would be copied twice before it is on the
//! wire. A test holds these bytes against what [`super::agent_to_pb`] says of the same rows. What the usual table shows of
//! an agent is kept as it was written, for as long as nothing of it changes but its ages.

use std::collections::HashMap;
use std::time::Duration;

use fleet_domain::drift::Drift;
use fleet_domain::fleet::{BeatView, EvidenceView, Glance, Mark, NextView, Row};
use fleet_domain::ids::AgentKey;
use fleet_domain::usage::Tokens;
use prost::Message;
use prost::encoding::{WireType, encode_key, encode_varint};

use super::scalar::{kind_to_pb, ms, source_to_pb, state_to_pb, status_to_pb};
use super::usage::tokens_to_pb;
use crate::pb;

/// What an agent takes at least; a guess that saves growing the buffer many times.
const USUAL_BYTES: usize = 448;

/// What the usual table shows of agents, as it was written, without their ages.
#[derive(Debug, Default)]
pub struct Written {
    /// With the listing that they were last told in.
    rows: HashMap<Mark, (Box<[u8]>, u64)>,
    listing: u64,
}

impl Written {
    fn begin(&mut self) {
        self.listing = self.listing.wrapping_add(1);
    }

    fn row(&mut self, mark: Mark) -> Option<&[u8]> {
        let (bytes, told) = self.rows.get_mut(&mark)?;
        *told = self.listing;
        Some(bytes)
    }

    fn keep(&mut self, mark: Mark, bytes: &[u8]) {
        self.rows.insert(mark, (bytes.into(), self.listing));
    }

    /// What so many rows were told of is kept, and of the past no more than as much again.
    fn end(&mut self, listed: usize) {
        if self.rows.len() > 2 * listed + SPARE {
            self.rows.retain(|_, (_, told)| *told == self.listing);
        }
    }
}

const SPARE: usize = 64;

/// A `ListAgentsResponse` of these agents, each with all that is known of it; or, where there is something `written` to go
/// by, with no more than the usual table shows.
pub fn listing_bytes<'a>(
    agents: impl Iterator<Item = Glance<'a>>,
    hosts: impl IntoIterator<Item = pb::HostStatus>,
    generation: u64,
    mut written: Option<&mut Written>,
) -> Vec<u8> {
    let mut page = Writer(Vec::with_capacity(agents.size_hint().0 * USUAL_BYTES));
    let mut scratch = [Writer(Vec::new()), Writer(Vec::new())];
    let mut listed = 0;
    if let Some(written) = &mut written {
        written.begin();
    }
    for glance in agents {
        listed += 1;
        scratch.iter_mut().for_each(|part| part.0.clear());
        match &mut written {
            Some(written) => basic(&mut page, glance, written, &mut scratch),
            None => {
                let (row, [whole, _]) = (glance.row(), &mut scratch);
                steady(whole, &row);
                ages(whole, row.idle, &row.heartbeat);
                page.bytes(1, &whole.0);
            }
        }
    }
    if let Some(written) = written {
        written.end(listed);
    }
    for host in hosts {
        page.bytes(2, &host.encode_to_vec());
    }
    page.number(3, generation);
    page.0
}

/// What is steady of it as it was written before, where it was.
fn basic(page: &mut Writer, glance: Glance<'_>, written: &mut Written, [fresh, aged]: &mut [Writer; 2]) {
    let mut heartbeat = glance.heartbeat();
    heartbeat.keep_basic();
    ages(aged, glance.idle(), &heartbeat);
    let mark = glance.mark();
    if let Some(known) = mark.and_then(|mark| written.row(mark)) {
        return page.both(1, known, &aged.0);
    }
    let mut row = glance.row();
    row.keep_basic();
    steady(fresh, &row);
    page.both(1, &fresh.0, &aged.0);
    if let Some(mark) = mark {
        written.keep(mark, &fresh.0);
    }
}

/// The fields of `Agent` that are another at every moment.
fn ages(out: &mut Writer, idle: Option<Duration>, heartbeat: &BeatView) {
    out.optional_number(15, idle.map(ms));
    out.message(16, |out| beat(out, heartbeat));
}

/// All others, by their numbers.
fn steady(out: &mut Writer, row: &Row<'_>) {
    out.message(1, |out| key(out, row.key));
    out.text(2, &row.name);
    out.text(3, row.runtime.map(|runtime| runtime.as_str()).unwrap_or_default());
    out.optional_text(4, row.class);
    out.text(5, row.alias.unwrap_or_default());
    out.text(6, row.account.unwrap_or_default());
    out.number(7, u64::from(row.managed));
    out.text(8, row.systemd_active);
    out.text(9, row.systemd_enabled);
    out.optional_number(10, row.pane_alive.map(u64::from));
    if let Some(pane) = row.pane {
        out.optional_text(11, Some(pane.id));
        out.optional_number(12, Some(u64::from(pane.pid)));
        out.optional_text(13, Some(pane.command));
        out.optional_text(14, Some(pane.title));
    }
    out.word(17, state_to_pb(row.state) as i32);
    out.word(18, kind_to_pb(row.kind) as i32);
    out.time(19, row.since.0);
    out.text(20, &row.reason);
    row.evidence.iter().for_each(|one| out.message(21, |out| evidence(out, one)));
    out.optional_number(22, row.draft.map(u64::from));
    row.drift.iter().for_each(|one| out.message(23, |out| drift(out, one)));
    out.text(24, row.model.unwrap_or_default());
    out.text(25, row.conversation.map(|id| id.as_str()).unwrap_or_default());
    out.message(26, |out| tokens(out, &row.tokens_today));
    for (model, used) in row.by_model {
        out.message(27, |out| {
            out.text(1, model);
            out.message(2, |out| tokens(out, used));
        });
    }
    out.text(28, row.link.as_str());
    if let Some(change) = &row.next {
        out.message(29, |out| next(out, change));
    }
    out.number(31, row.generation);
}

fn key(out: &mut Writer, key: &AgentKey) {
    out.text(1, key.tenant.as_str());
    out.text(2, key.host.as_str());
    out.text(3, key.socket.as_str());
    out.text(4, &key.session);
}

fn beat(out: &mut Writer, beat: &BeatView) {
    out.optional_time(1, beat.ts.map(|ts| ts.0));
    out.optional_number(2, beat.pid.map(u64::from));
    out.word(3, status_to_pb(beat.status));
    out.optional_number(4, beat.age.map(ms));
    out.text(5, beat.health.as_str());
    out.word(6, source_to_pb(beat.source));
    out.number(7, u64::from(beat.clock_skew));
}

fn evidence(out: &mut Writer, evidence: &EvidenceView) {
    out.word(1, kind_to_pb(Some(evidence.kind)) as i32);
    out.text(2, &evidence.line);
    out.word(3, source_to_pb(Some(evidence.source)));
    out.optional_time(4, evidence.since.map(|since| since.0));
    out.optional_time(5, evidence.until.map(|until| until.0));
}

fn drift(out: &mut Writer, drift: &Drift) {
    out.text(1, drift.kind.as_str());
    out.text(2, &drift.detail);
    out.text(3, &drift.remedy);
}

fn tokens(out: &mut Writer, tokens: &Tokens) {
    let pb::Tokens { input, cache_read, cache_write_5m, cache_write_1h, output, reasoning } =
        tokens_to_pb(tokens);
    for (tag, count) in (1..).zip([input, cache_read, cache_write_5m, cache_write_1h, output, reasoning]) {
        out.number(tag, count);
    }
}

fn next(out: &mut Writer, next: &NextView) {
    out.time(1, next.at.0);
    out.word(2, state_to_pb(next.becomes) as i32);
    out.word(3, kind_to_pb(next.kind) as i32);
    out.text(4, &next.because);
}

/// Fields as proto3 has them: a plain one that is zero or empty is left out, an optional one is not.
struct Writer(Vec<u8>);

impl Writer {
    fn text(&mut self, tag: u32, text: &str) {
        self.optional_text(tag, Some(text).filter(|text| !text.is_empty()));
    }

    fn optional_text(&mut self, tag: u32, text: Option<&str>) {
        if let Some(text) = text {
            self.bytes(tag, text.as_bytes());
        }
    }

    fn number(&mut self, tag: u32, number: u64) {
        self.optional_number(tag, Some(number).filter(|number| *number != 0));
    }

    fn optional_number(&mut self, tag: u32, number: Option<u64>) {
        if let Some(number) = number {
            encode_key(tag, WireType::Varint, &mut self.0);
            encode_varint(number, &mut self.0);
        }
    }

    /// An enum's value.
    fn word(&mut self, tag: u32, word: i32) {
        self.time(tag, i64::from(word));
    }

    /// A signed number; a negative one takes ten bytes, as protobuf will have it.
    fn time(&mut self, tag: u32, time: i64) {
        self.number(tag, time.cast_unsigned());
    }

    fn optional_time(&mut self, tag: u32, time: Option<i64>) {
        self.optional_number(tag, time.map(i64::cast_unsigned));
    }

    fn bytes(&mut self, tag: u32, bytes: &[u8]) {
        self.both(tag, bytes, &[]);
    }

    /// One field of two parts.
    fn both(&mut self, tag: u32, first: &[u8], second: &[u8]) {
        encode_key(tag, WireType::LengthDelimited, &mut self.0);
        encode_varint((first.len() + second.len()) as u64, &mut self.0);
        self.0.extend_from_slice(first);
        self.0.extend_from_slice(second);
    }

    /// A message within. Nearly all are shorter than 128 bytes, whose length is one byte; a longer one makes room.
    fn message(&mut self, tag: u32, fill: impl FnOnce(&mut Self)) {
        encode_key(tag, WireType::LengthDelimited, &mut self.0);
        let at = self.0.len();
        self.0.push(0);
        fill(self);
        let length = self.0.len() - at - 1;
        if let Ok(short @ 0..=127) = u8::try_from(length) {
            self.0[at] = short;
            return;
        }
        let mut prefix = Vec::with_capacity(5);
        encode_varint(length as u64, &mut prefix);
        self.0.splice(at..=at, prefix);
    }
}

#[cfg(test)]
mod tests {
    use fleet_domain::fleet::{Event, Fleet, ReporterId};
    use fleet_domain::observation::{Observation, Vantage};
    use fleet_domain::readiness::Thresholds;
    use fleet_domain::time::{Mono, Now, Wall};
    use fleet_domain::usage::{Change, Record};
    use fleet_domain::{HostId, SessionId, TenantId};
    use proptest::prelude::*;

    use super::super::{agent_to_pb, observation_from_pb, planes_from_pb};
    use super::*;

    const R: ReporterId = ReporterId(1);

    fn now(ms: i64) -> Now {
        Now { mono: Mono(ms), wall: Wall(1_000_000_000_000 + ms) }
    }

    fn text() -> impl Strategy<Value = String> {
        prop_oneof![Just(String::new()), "[a-z]{1,8}", "\\PC{1,300}"]
    }

    prop_compose! {
        fn seen()(
            session in "[ab]", socket in "(x|y)?", runtime in text(), title in text(), line in text(), kind in 0i32..11,
            native in 0i32..5, source in 0i32..9, age in any::<u64>(), interval in 0u64..100_000, pid in any::<u32>(),
            idle in any::<Option<u64>>(), draft in any::<Option<bool>>(), until in any::<Option<i64>>(),
            alive in any::<bool>(), model in text(),
        ) -> pb::Observation {
            let state = if alive {
                pb::pane::State::Alive(pb::AlivePane { id: "%1".to_owned(), pid, command: model.clone(), title })
            } else {
                pb::pane::State::Dead(pb::DeadPane { status: None, signal: Some(9) })
            };
            pb::Observation {
                socket, session, runtime, model, idle_ms: idle, draft,
                pane: Some(pb::Pane { state: Some(state) }),
                process: Some(pb::Process { state: Some(pb::process::State::Running(pb::RunningProcess::default())) }),
                native: vec![pb::Native { state: native, since_ms: idle, source, confirmed_ms: age, line: line.clone() }; 2],
                evidence: vec![pb::Evidence { kind, line, source, since_ms: idle, confirmed_ms: 0, until_unix_ms: until }; 2],
                heartbeat: (interval > 0).then_some(pb::Beat {
                    age_ms: age, interval_ms: interval, pid, status: 1, source, clock_skew: alive,
                }),
                conversation: String::new(),
            }
        }
    }

    fn planes() -> impl Strategy<Value = pb::HostPlanes> {
        (text(), any::<bool>()).prop_map(|(text, known)| pb::HostPlanes {
            roster: Some(pb::RosterPlane {
                path: "r".to_owned(),
                error: None,
                agents: vec![pb::RosterEntry {
                    name: "a".to_owned(),
                    socket: "x".to_owned(),
                    runtime: "claude".to_owned(),
                    class: text.clone(),
                    account: text.clone(),
                    alias: text,
                    ..Default::default()
                }],
            }),
            systemd: known.then(|| pb::SystemdPlane {
                unavailable: None,
                units: vec![pb::UnitState {
                    agent: "a".to_owned(),
                    active: "active".to_owned(),
                    enabled: "disabled".to_owned(),
                }],
            }),
            sockets: Vec::new(),
        })
    }

    fn fleet(seen: &[pb::Observation], planes: &pb::HostPlanes, counts: &[u64]) -> Fleet {
        let mut fleet = Fleet::new(Thresholds::default());
        let (tenant, host) = (TenantId::new("me"), HostId::new("box"));
        fleet.apply(Event::Connected { reporter: R, tenant, host, vantage: Vantage::Host }, now(0));
        for message in seen {
            let observation: Observation = observation_from_pb(message).unwrap();
            fleet.apply(Event::Observed { reporter: R, observation }, now(1));
        }
        fleet.apply(Event::Planes { reporter: R, planes: planes_from_pb(planes).unwrap() }, now(2));
        let keys: Vec<AgentKey> = fleet.keys().cloned().collect();
        for (n, (key, count)) in keys.into_iter().zip(counts).enumerate() {
            let plus = Record {
                id: n.to_string(),
                conversation: SessionId::new("c"),
                model: format!("m{}", n % 2),
                at: now(0).wall,
                tokens: Tokens { input: *count, reasoning: 1, ..Tokens::default() },
                sidechain: false,
                terms: fleet_domain::usage::Terms::default(),
                reported: None,
            };
            fleet.apply(Event::Used { key, change: Change { minus: None, plus } }, now(3));
        }
        fleet
    }

    proptest! {
        #[test]
        fn the_bytes_say_what_the_messages_say(
            seen in proptest::collection::vec(seen(), 0..6), planes in planes(),
            counts in proptest::collection::vec(any::<u64>(), 4), later in 0i64..200_000, generation in any::<u64>(),
            after in 0i64..200_000,
        ) {
            let fleet = fleet(&seen, &planes, &counts);
            let at = now(later);
            let host = pb::HostStatus { host: "box".to_owned(), up: true, ..Default::default() };
            let bytes = listing_bytes(fleet.glances(at, Wall(0)), [host.clone()], generation, None);
            let expected = pb::ListAgentsResponse {
                agents: fleet.list(at, Wall(0)).iter().map(|view| agent_to_pb(view, false)).collect(),
                hosts: vec![host],
                generation,
            };
            prop_assert_eq!(pb::ListAgentsResponse::decode(bytes.as_slice()).unwrap(), expected.clone());
            prop_assert_eq!(bytes.len(), expected.encoded_len());
            // What was written before is right at any later time.
            let mut written = Written::default();
            for at in [at, now(later), now(later + after), now(later + after)] {
                let basic = listing_bytes(fleet.glances(at, Wall(0)), [], generation, Some(&mut written));
                let basic = pb::ListAgentsResponse::decode(basic.as_slice()).unwrap();
                let basics = fleet.rows(at, Wall(0)).map(|mut row| {
                    row.keep_basic();
                    agent_to_pb(&row.to_view(), false)
                });
                let told: Vec<pb::Agent> = basics.collect();
                prop_assert_eq!(basic.agents, told);
            }
        }
    }
}
