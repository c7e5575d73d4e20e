//! Tokens: one canonical vector, one record per billed response, and which of two versions of a record counts.

use std::collections::BTreeMap;

use crate::ids::SessionId;
use crate::price::Money;
use crate::time::Wall;

/// In a session's place where usage is a tenant's, and which of its agents used it cannot be told. No session of tmux
/// that the fleet starts can be called so.
pub const UNATTRIBUTED: &str = "(unattributed)";

/// Five disjoint kinds, and `reasoning`, which is part of `output`. Units: tokens.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Tokens {
    /// Uncached input; excludes every cache kind.
    pub input: u64,
    pub cache_read: u64,
    pub cache_write_5m: u64,
    pub cache_write_1h: u64,
    /// Includes reasoning.
    pub output: u64,
    pub reasoning: u64,
}

impl Tokens {
    /// The five disjoint kinds added up; saturates, as the figures come from files that anyone can write.
    pub fn total(&self) -> u64 {
        [self.input, self.cache_read, self.cache_write_5m, self.cache_write_1h, self.output]
            .into_iter()
            .fold(0, u64::saturating_add)
    }

    pub fn is_zero(&self) -> bool {
        *self == Self::default()
    }

    pub fn add(&mut self, other: &Self) {
        self.each(other, u64::saturating_add);
    }

    pub fn subtract(&mut self, other: &Self) {
        self.each(other, u64::saturating_sub);
    }

    fn each(&mut self, other: &Self, op: impl Fn(u64, u64) -> u64) {
        self.input = op(self.input, other.input);
        self.cache_read = op(self.cache_read, other.cache_read);
        self.cache_write_5m = op(self.cache_write_5m, other.cache_write_5m);
        self.cache_write_1h = op(self.cache_write_1h, other.cache_write_1h);
        self.output = op(self.output, other.output);
        self.reasoning = op(self.reasoning, other.reasoning);
    }
}

/// On which terms a response was given, as far as they change its price.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub struct Terms(u8);

impl Terms {
    const FAST: u8 = 1;
    const US: u8 = 2;
    const OTHER: u8 = 4;

    /// From what the runtime says of speed and place of inference; a word that is not known here is remembered as such.
    pub fn of(speed: Option<&str>, place: Option<&str>) -> Self {
        let speed = match speed.unwrap_or_default() {
            "" | "standard" => 0,
            "fast" => Self::FAST,
            _ => Self::OTHER,
        };
        let place = match place.unwrap_or_default() {
            "" | "global" => 0,
            "us" => Self::US,
            _ => Self::OTHER,
        };
        Self(speed | place)
    }

    /// As a number for keeping; what a later version kept beside what is known here is unknown terms.
    pub fn from_bits(bits: u32) -> Self {
        let known = u32::from(Self::FAST | Self::US | Self::OTHER);
        let other = if bits & !known == 0 { 0 } else { Self::OTHER };
        Self((bits & known) as u8 | other)
    }

    pub fn bits(self) -> u8 {
        self.0
    }

    pub fn fast(self) -> bool {
        self.0 & Self::FAST != 0
    }

    pub fn us(self) -> bool {
        self.0 & Self::US != 0
    }

    /// Terms whose price nobody here knows.
    pub fn other(self) -> bool {
        self.0 & Self::OTHER != 0
    }
}

/// One billed model response.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
    /// The runtime's own identity of the response; the same in every copy of it.
    pub id: String,
    pub conversation: SessionId,
    pub model: String,
    pub at: Wall,
    pub tokens: Tokens,
    /// A side question or sub-agent: loses a tie against the main line's version.
    pub sidechain: bool,
    pub terms: Terms,
    /// What the runtime itself says that it cost.
    pub reported: Option<Money>,
}

/// The difference that a newly seen version of a record makes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    pub minus: Option<Record>,
    pub plus: Record,
}

/// Folds a newly seen version into what is known; `None` when nothing changes. The fullest version wins (most output,
/// then the larger total, then the main line), the earliest time stays; so order and repetition do not matter.
pub fn merge(known: Option<&Record>, seen: &Record) -> Option<Change> {
    let Some(known) = known else { return Some(Change { minus: None, plus: seen.clone() }) };
    let at = known.at.min(seen.at);
    let winner = if rank(seen) > rank(known) { seen } else { known };
    let plus = Record { at, ..winner.clone() };
    (plus != *known).then(|| Change { minus: Some(known.clone()), plus })
}

/// A total order over versions, so that the winner does not depend on which came first.
fn rank(record: &Record) -> impl Ord + use<'_> {
    let t = &record.tokens;
    (
        t.output,
        t.total(),
        !record.sidechain,
        (t.input, t.cache_read, t.cache_write_5m, t.cache_write_1h, t.reasoning),
        &record.model,
        record.conversation.as_str(),
        (record.terms, record.reported),
    )
}

/// Width of a [`Book`]'s time buckets: time zones differ by quarters of an hour.
pub const BUCKET_MS: i64 = 15 * 60 * 1000;
/// How far back the buckets reach: a local day, with an hour of daylight saving and some clock skew.
const KEEP_MS: i64 = 30 * 3600 * 1000;

/// One agent's running totals: by model for ever, by quarter of an hour for a day.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Book {
    pub by_model: BTreeMap<String, Tokens>,
    buckets: BTreeMap<i64, Tokens>,
}

impl Book {
    pub fn apply(&mut self, change: &Change, now: Wall) {
        if let Some(old) = &change.minus {
            self.by_model.entry(old.model.clone()).or_default().subtract(&old.tokens);
            self.buckets.entry(bucket(old.at)).or_default().subtract(&old.tokens);
        }
        self.by_model.entry(change.plus.model.clone()).or_default().add(&change.plus.tokens);
        self.add_recent(change.plus.at, &change.plus.tokens, now);
    }

    /// Adds to the day's buckets only, as when totals were restored from the store.
    pub fn add_recent(&mut self, at: Wall, tokens: &Tokens, now: Wall) {
        self.buckets.entry(bucket(at)).or_default().add(tokens);
        let oldest = bucket(Wall(now.0.saturating_sub(KEEP_MS)));
        self.buckets.retain(|start, tokens| *start >= oldest && !tokens.is_zero());
    }

    /// What was used at or after `day_start`, to the quarter of an hour.
    pub fn since(&self, day_start: Wall) -> Tokens {
        let mut sum = Tokens::default();
        for tokens in self.buckets.range(bucket(day_start)..).map(|(_, tokens)| tokens) {
            sum.add(tokens);
        }
        sum
    }

    pub fn total(&self) -> Tokens {
        let mut sum = Tokens::default();
        for tokens in self.by_model.values() {
            sum.add(tokens);
        }
        sum
    }
}

fn bucket(at: Wall) -> i64 {
    at.0.div_euclid(BUCKET_MS)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn record(output: u64, at: i64) -> Record {
        Record {
            id: "msg_1".to_owned(),
            conversation: SessionId::new("s"),
            model: "m".to_owned(),
            at: Wall(at),
            tokens: Tokens { input: 3, output, ..Tokens::default() },
            sidechain: false,
            terms: Terms::default(),
            reported: None,
        }
    }

    #[test]
    fn the_fullest_version_wins_with_the_earliest_time() {
        let change = merge(Some(&record(1, 5)), &record(9, 7)).unwrap();
        assert_eq!((change.plus.tokens.output, change.plus.at), (9, Wall(5)));
        assert_eq!(merge(Some(&record(9, 5)), &record(1, 7)), None);
        assert_eq!(merge(Some(&record(9, 5)), &record(9, 5)), None);
    }

    #[test]
    fn today_begins_where_the_caller_says() {
        let mut book = Book::default();
        let day = 86_400_000;
        for at in [day - 1, day, day + 1] {
            let plus = Record { id: at.to_string(), ..record(10, at) };
            book.apply(&Change { minus: None, plus }, Wall(day + 2));
        }
        assert_eq!(book.since(Wall(day)).output, 20);
        assert_eq!(book.total().output, 30);
    }

    proptest! {
        #[test]
        fn any_order_and_any_repetition_give_the_same_totals(
            versions in proptest::collection::vec((0u8..4, 0u64..50, 0u64..3, 0i64..4, any::<bool>()), 1..40),
            shuffle in any::<prop::sample::Index>(), repeats in 1usize..3,
        ) {
            let seen: Vec<Record> = versions.iter().map(|(id, output, input, at, sidechain)| Record {
                id: id.to_string(), sidechain: *sidechain,
                tokens: Tokens { input: *input, output: *output, ..Tokens::default() }, ..record(0, at * BUCKET_MS)
            }).collect();
            let mut turned: Vec<Record> = (0..repeats).flat_map(|_| seen.clone()).collect();
            let pivot = shuffle.index(turned.len());
            turned.rotate_left(pivot);
            turned.reverse();
            prop_assert_eq!(replay(&seen), replay(&turned));
        }
    }

    fn replay(seen: &[Record]) -> (Tokens, Tokens) {
        let mut known: BTreeMap<String, Record> = BTreeMap::new();
        let mut book = Book::default();
        for record in seen {
            if let Some(change) = merge(known.get(&record.id), record) {
                book.apply(&change, Wall(4 * BUCKET_MS));
                known.insert(record.id.clone(), change.plus);
            }
        }
        let mut expected = Tokens::default();
        for record in known.values() {
            expected.add(&record.tokens);
        }
        assert_eq!(book.total(), expected);
        (book.total(), book.since(Wall(2 * BUCKET_MS)))
    }
}
