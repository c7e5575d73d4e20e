//! What patterns said of a screen's rows: most rows stand on the next capture too, and are not asked again.

use std::cell::Cell;
use std::hash::{BuildHasher, RandomState};

use super::grid::Row;

/// Patterns whose answers a row keeps; those of a longer rule file are asked each time.
const KEPT: usize = 128;

/// What one row answered, by the number of the pattern: one bit that it was asked, one what it said.
#[derive(Debug, Clone, Default)]
pub(super) struct Answers {
    asked: Cell<[u64; 2]>,
    held: Cell<[u64; 2]>,
}

/// It is no part of what a row shows.
impl PartialEq for Answers {
    fn eq(&self, _: &Self) -> bool {
        true
    }
}

impl Eq for Answers {}

impl Answers {
    /// The answer kept under that number, else the one that `ask` gives.
    pub(super) fn get(&self, number: usize, ask: impl FnOnce() -> bool) -> bool {
        if number >= KEPT {
            return ask();
        }
        let (word, bit) = (number / 64, 1u64 << (number % 64));
        let (mut asked, mut held) = (self.asked.get(), self.held.get());
        if asked[word] & bit != 0 {
            return held[word] & bit != 0;
        }
        let holds = ask();
        asked[word] |= bit;
        held[word] |= if holds { bit } else { 0 };
        self.asked.set(asked);
        self.held.set(held);
        holds
    }
}

impl Answers {
    fn join(&self, twin: &Self) {
        let both = |a: [u64; 2], b: [u64; 2]| [a[0] | b[0], a[1] | b[1]];
        self.asked.set(both(self.asked.get(), twin.asked.get()));
        self.held.set(both(self.held.get(), twin.held.get()));
    }
}

/// The answers of one screen's rows to one set of rules, by the rows' text.
#[derive(Debug, Default)]
pub struct Known {
    /// Sorted by the text's hash, whose keys nobody outside knows: two texts of one hash do not happen.
    rows: Vec<(u64, Answers)>,
    hasher: RandomState,
    /// Whose answers they are.
    rules: u64,
}

impl Known {
    /// Forgets what other rules than these were told.
    pub(super) fn of(&mut self, rules: u64) {
        if self.rules != rules {
            (self.rules, self.rows) = (rules, Vec::new());
        }
    }

    /// Gives a row what it answered before.
    pub(super) fn recall(&self, row: &Row) {
        let known = |hash| self.rows.binary_search_by_key(&hash, |(hash, _)| *hash).ok();
        let known = (!self.rows.is_empty()).then(|| known(self.hash(row))).flatten();
        // A row that others were told of has their answers: it loses them too.
        let Answers { asked, held } = known.map(|at| self.rows[at].1.clone()).unwrap_or_default();
        row.answers.asked.set(asked.get());
        row.answers.held.set(held.get());
    }

    /// Keeps what these rows answered, and forgets all others.
    pub(super) fn keep<'r>(&mut self, rows: impl Iterator<Item = &'r Row>) {
        let answered = rows.filter(|row| row.answers.asked.get() != [0; 2]);
        let mut rows: Vec<(u64, Answers)> =
            answered.map(|row| (self.hash(row), row.answers.clone())).collect();
        rows.sort_unstable_by_key(|(hash, _)| *hash);
        rows.dedup_by(|(hash, twin), (kept, answers)| {
            let same = hash == kept;
            if same {
                answers.join(twin);
            }
            same
        });
        self.rows = rows;
    }

    fn hash(&self, row: &Row) -> u64 {
        self.hasher.hash_one(&row.text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_is_asked_once_for_each_number_and_always_beyond_those_it_keeps() {
        let (answers, asked) = (Answers::default(), Cell::new(0));
        let ask = |holds: bool| {
            asked.set(asked.get() + 1);
            holds
        };
        for (number, holds) in [(0, true), (63, false), (64, true), (KEPT - 1, false)] {
            assert_eq!(answers.get(number, || ask(holds)), holds);
            assert_eq!(answers.get(number, || ask(!holds)), holds);
        }
        assert_eq!(asked.get(), 4);
        assert!(answers.get(KEPT, || ask(true)) && !answers.get(KEPT, || ask(false)));
        assert_eq!(asked.get(), 6);
    }
}
