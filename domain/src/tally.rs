//! Many millions of responses, each once, in little memory: what [`crate::usage::merge`] does, for whoever only wants
//! sums of a whole tree of files at its end.
//!
//! An entry is 40 bytes and an open-addressed index of four-byte places finds it. Responses are told apart by 64 bits of
//! their identity: among ten million, two meet with a probability of 3 in a million.

use std::collections::BTreeMap;
use std::hash::{DefaultHasher, Hash, Hasher};

use crate::price::{Cost, Money, Table};
use crate::report::{Group, Question, Report, Sum};
use crate::time::Wall;
use crate::usage::{Record, Terms, Tokens};

/// Entries come in blocks, so that growing never holds them twice.
const BLOCK: usize = 4096;
const EMPTY: u32 = u32::MAX;
const SIDECHAIN: u16 = 1 << 15;

/// Units: tokens; seconds since the epoch.
#[derive(Debug, Clone, Copy)]
struct Entry {
    identity: u64,
    /// Input, cache read, cache write for five minutes and for an hour, output, reasoning.
    counts: [u32; 6],
    at: u32,
    /// Place in the tally's models, and whether it was a side chain.
    model: u16,
    /// Place in the tally's runtimes.
    runtime: u8,
    terms: u8,
}

#[derive(Debug, Default)]
pub struct Tally {
    blocks: Vec<Vec<Entry>>,
    /// Places of entries; a power of two of them.
    index: Vec<u32>,
    models: Vec<String>,
    runtimes: Vec<String>,
    /// What runtimes told that a response cost, by the entry's place: most tell nothing.
    reported: BTreeMap<u32, Money>,
    /// Responses whose figures no model can have: in no sum.
    absurd: u64,
    /// Where conversations are to be told apart, which takes more memory.
    sessions: Option<Sessions>,
}

#[derive(Debug, Default)]
struct Sessions {
    names: Vec<String>,
    places: BTreeMap<String, u32>,
    /// Of each entry, by its place.
    of: Vec<u32>,
}

impl Sessions {
    fn place(&mut self, name: &str) -> u32 {
        if let Some(place) = self.places.get(name) {
            return *place;
        }
        let place = u32::try_from(self.names.len()).unwrap_or(u32::MAX);
        self.names.push(name.to_owned());
        self.places.insert(name.to_owned(), place);
        place
    }

    fn put(&mut self, place: u32, session: u32) {
        let place = place as usize;
        if self.of.len() <= place {
            self.of.resize(place + 1, session);
        }
        self.of[place] = session;
    }

    fn name(&self, place: u32) -> Option<String> {
        self.names.get(*self.of.get(place as usize)? as usize).cloned()
    }
}

impl Tally {
    pub fn new() -> Self {
        Self::default()
    }

    /// One that can tell conversations apart.
    pub fn with_sessions() -> Self {
        Self { sessions: Some(Sessions::default()), ..Self::default() }
    }

    pub fn responses(&self) -> usize {
        self.blocks.last().map_or(0, |last| (self.blocks.len() - 1) * BLOCK + last.len())
    }

    /// Records that said more than 2³² tokens of one kind, or came with a name too many, and were left out.
    pub fn absurd(&self) -> u64 {
        self.absurd
    }

    pub fn add(&mut self, runtime: &str, record: &Record) {
        let Some(entry) = self.entry(runtime, record) else {
            self.absurd += 1;
            return;
        };
        if self.index.len() * 4 <= (self.responses() + 1) * 5 {
            self.grow();
        }
        match self.find(entry.identity) {
            Ok(place) => self.merge(place, entry, record),
            Err(slot) => self.push(slot, entry, record),
        }
    }

    fn entry(&mut self, runtime: &str, record: &Record) -> Option<Entry> {
        let counts = counts(&record.tokens)?;
        let model = place(&mut self.models, &record.model, usize::from(SIDECHAIN))?;
        let model = u16::try_from(model).ok()?;
        let runtime = u8::try_from(place(&mut self.runtimes, runtime, 256)?).ok()?;
        let side = if record.sidechain { SIDECHAIN } else { 0 };
        let at = u32::try_from(record.at.0.div_euclid(1000)).unwrap_or(0);
        let identity = identity(&record.id);
        Some(Entry { identity, counts, at, model: model | side, runtime, terms: record.terms.bits() })
    }

    /// As [`crate::usage::merge`]: the fullest version wins, the earliest time stays.
    fn merge(&mut self, place: u32, seen: Entry, record: &Record) {
        let told = record.reported;
        let Some(known) = self.at(place) else { return };
        let at = known.at.min(seen.at);
        let better = self.rank(&seen, told) > self.rank(&known, self.reported.get(&place).copied());
        let winner = if better { seen } else { known };
        if better {
            self.report_of(place, told);
            self.session_of(place, record);
        }
        if let Some(entry) = self.at_mut(place) {
            *entry = Entry { at, ..winner };
        }
    }

    fn rank(&self, entry: &Entry, told: Option<Money>) -> impl Ord + use<'_> {
        let [input, read, w5, w1, output, reasoning] = entry.counts;
        let total: u64 = [input, read, w5, w1, output].into_iter().map(u64::from).sum();
        let main = entry.model & SIDECHAIN == 0;
        let told = (entry.terms, told);
        (output, total, main, (input, read, w5, w1, reasoning), self.model(entry), told)
    }

    fn model(&self, entry: &Entry) -> &str {
        self.models.get(usize::from(entry.model & !SIDECHAIN)).map_or("", String::as_str)
    }

    fn at(&self, place: u32) -> Option<Entry> {
        let place = place as usize;
        self.blocks.get(place / BLOCK)?.get(place % BLOCK).copied()
    }

    fn at_mut(&mut self, place: u32) -> Option<&mut Entry> {
        let place = place as usize;
        self.blocks.get_mut(place / BLOCK)?.get_mut(place % BLOCK)
    }

    fn push(&mut self, slot: usize, entry: Entry, record: &Record) {
        let Ok(place) = u32::try_from(self.responses()) else { return };
        self.report_of(place, record.reported);
        self.session_of(place, record);
        match self.blocks.last_mut() {
            Some(block) if block.len() < BLOCK => block.push(entry),
            _ => {
                let mut block = Vec::with_capacity(BLOCK);
                block.push(entry);
                self.blocks.push(block);
            }
        }
        if let Some(free) = self.index.get_mut(slot) {
            *free = place;
        }
    }

    fn session_of(&mut self, place: u32, record: &Record) {
        if let Some(sessions) = &mut self.sessions {
            let session = sessions.place(record.conversation.as_str());
            sessions.put(place, session);
        }
    }

    fn report_of(&mut self, place: u32, told: Option<Money>) {
        match told {
            Some(told) => drop(self.reported.insert(place, told)),
            None => drop(self.reported.remove(&place)),
        }
    }

    /// The entry's place, or the free slot of the index where it belongs.
    fn find(&self, identity: u64) -> Result<u32, usize> {
        let mask = self.index.len() - 1;
        let mut slot = identity as usize & mask;
        loop {
            match self.index.get(slot).copied().unwrap_or(EMPTY) {
                EMPTY => return Err(slot),
                place if self.at(place).is_some_and(|entry| entry.identity == identity) => return Ok(place),
                _ => slot = (slot + 1) & mask,
            }
        }
    }

    fn grow(&mut self) {
        let room = (self.index.len() * 2).max(1024);
        self.index = Vec::new();
        self.index.resize(room, EMPTY);
        for place in 0..self.responses() {
            let Ok(place) = u32::try_from(place) else { return };
            let Some(entry) = self.at(place) else { return };
            if let Err(slot) = self.find(entry.identity) {
                self.index[slot] = place;
            }
        }
    }

    /// All of it, by what the question asks for, at the table's prices; agents and accounts are nobody's here.
    pub fn report(&self, question: &Question, table: &Table) -> Report {
        let mut report = Report::default();
        for (place, entry) in (0u32..).zip(self.blocks.iter().flatten()) {
            let at = Wall(i64::from(entry.at) * 1000);
            if at < question.since {
                continue;
            }
            let (model, tokens) = (self.model(entry), tokens(entry.counts));
            let runtime = self.runtimes.get(usize::from(entry.runtime)).cloned();
            let priced = || table.price(model, at, &tokens, Terms::from_bits(entry.terms.into()));
            let cost = match self.reported.get(&place) {
                Some(reported) => Cost::Reported(*reported),
                None => priced().map_or(Cost::Unknown, Cost::Priced),
            };
            let session = self.sessions.as_ref().and_then(|sessions| sessions.name(place));
            let of = Group { model: Some(model.to_owned()), runtime, session, ..Group::default() };
            report.add(question.group(of, at), &Sum::one(tokens, cost));
        }
        report
    }

    /// When the first and the last response began.
    pub fn span(&self) -> Option<(Wall, Wall)> {
        let times = || self.blocks.iter().flatten().map(|entry| Wall(i64::from(entry.at) * 1000));
        Some((times().min()?, times().max()?))
    }
}

/// Where the name stands among those below `room`; put there where it is new.
fn place(names: &mut Vec<String>, name: &str, room: usize) -> Option<usize> {
    if let Some(place) = names.iter().position(|known| known == name) {
        return Some(place);
    }
    (names.len() < room).then(|| names.push(name.to_owned()))?;
    Some(names.len() - 1)
}

fn identity(id: &str) -> u64 {
    let mut hasher = DefaultHasher::new();
    id.hash(&mut hasher);
    hasher.finish()
}

fn counts(tokens: &Tokens) -> Option<[u32; 6]> {
    let Tokens { input, cache_read, cache_write_5m, cache_write_1h, output, reasoning } = *tokens;
    let mut counts = [0; 6];
    let kinds = [input, cache_read, cache_write_5m, cache_write_1h, output, reasoning];
    for (count, kind) in counts.iter_mut().zip(kinds) {
        *count = u32::try_from(kind).ok()?;
    }
    Some(counts)
}

fn tokens(counts: [u32; 6]) -> Tokens {
    let [input, cache_read, cache_write_5m, cache_write_1h, output, reasoning] = counts.map(u64::from);
    Tokens { input, cache_read, cache_write_5m, cache_write_1h, output, reasoning }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::ids::SessionId;
    use crate::price::cost;
    use crate::report::By;
    use crate::usage::merge;

    fn record(id: u16, output: u64, input: u64, second: i64, sidechain: bool, model: u8) -> Record {
        Record {
            id: format!("msg_{id}"),
            conversation: SessionId::new("c"),
            model: format!("m{model}"),
            at: Wall(second * 1000),
            tokens: Tokens { input, output, ..Tokens::default() },
            sidechain,
            terms: Terms::default(),
            reported: (input == 2).then_some(Money(output)),
        }
    }

    #[test]
    fn an_entry_is_small() {
        assert_eq!(size_of::<Entry>(), 40);
    }

    #[test]
    fn figures_that_no_model_can_have_are_counted_and_not_summed() {
        let mut tally = Tally::new();
        tally.add("r", &record(1, u64::MAX, 0, 1, false, 0));
        tally.add("r", &record(2, 7, 0, 1, false, 0));
        assert_eq!((tally.absurd(), tally.responses()), (1, 1));
        assert_eq!(tally.report(&Question::default(), &Table::default()).total().tokens.output, 7);
    }

    proptest! {
        #[test]
        fn a_tally_says_what_merging_one_by_one_says(
            seen in proptest::collection::vec(
                (0u16..3000, 0u64..50, 0u64..3, 0i64..400_000, any::<bool>(), 0u8..3), 0..6000),
        ) {
            let (mut tally, mut known) = (Tally::new(), BTreeMap::<String, Record>::new());
            for (id, output, input, second, sidechain, model) in seen {
                let record = record(id, output, input, second, sidechain, model);
                tally.add("r", &record);
                if let Some(change) = merge(known.get(&record.id), &record) {
                    known.insert(record.id, change.plus);
                }
            }
            let days = (0..5).map(|day| Wall(day * 86_400_000)).collect();
            let by = [By::Day, By::Model].into_iter().collect();
            let question = Question { days, by, ..Question::default() };
            let mut expected = Report::default();
            for record in known.values() {
                let of = Group { model: Some(record.model.clone()), ..Group::default() };
                let sum = Sum::one(record.tokens, cost(record, &Table::default()));
                expected.add(question.group(of, record.at), &sum);
            }
            prop_assert_eq!(tally.report(&question, &Table::default()), expected);
            prop_assert_eq!(tally.responses(), known.len());
        }
    }
}
