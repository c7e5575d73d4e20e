//! What was spent, by who and when: five-minute stretches for two days, hours for as long as a month and a few days.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::time::Wall;

use super::amount::Used;
use super::schedule::Stretch;

/// Width of a recent stretch, in milliseconds.
const FINE: i64 = 5 * 60 * 1000;
const HOUR: i64 = 3_600_000;
/// Older than this, stretches are joined to hours.
const FINE_FOR: i64 = 48 * HOUR;
/// How far back anything is kept: the longest month, and windows of that length.
pub const KEEP: Duration = Duration::from_secs(35 * 86_400);
/// Payers that are told apart; transcripts are files that anyone can write.
const MAX_PAYERS: usize = 50_000;

/// Whose spending it is, as it was told.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Default)]
pub struct Payer {
    pub tenant: String,
    /// The session's name.
    pub agent: String,
    pub class: String,
    /// The account of the task that it was spent on.
    pub task_account: Option<String>,
    /// The account that the roster names.
    pub account: Option<String>,
    pub model: String,
}

#[derive(Debug, Clone, Default)]
pub struct Book {
    payers: Vec<Payer>,
    places: BTreeMap<Payer, u32>,
    spent: BTreeMap<(i64, u32), Used>,
    joined: i64,
}

impl Book {
    /// Adds at `at`; what is older than [`KEEP`] is let go of.
    pub fn add(&mut self, at: Wall, payer: &Payer, used: Used) {
        if let Some(place) = self.place(payer) {
            self.spent.entry((slot(at, self.joined), place)).or_default().add(used);
        }
    }

    pub fn subtract(&mut self, at: Wall, payer: &Payer, used: Used) {
        if let Some(place) = self.place(payer)
            && let Some(known) = self.spent.get_mut(&(slot(at, self.joined), place))
        {
            known.subtract(used);
        }
    }

    fn place(&mut self, payer: &Payer) -> Option<u32> {
        if let Some(place) = self.places.get(payer) {
            return Some(*place);
        }
        if self.payers.len() >= MAX_PAYERS {
            return None;
        }
        let place = u32::try_from(self.payers.len()).ok()?;
        self.payers.push(payer.clone());
        self.places.insert(payer.clone(), place);
        Some(place)
    }

    /// Joins what is no longer recent, and lets go of what is old. To be called now and then.
    pub fn tidy(&mut self, now: Wall) {
        let joined = now.0.saturating_sub(FINE_FOR).div_euclid(HOUR) * HOUR;
        if joined <= self.joined {
            return;
        }
        let oldest = now.0.saturating_sub(i64::try_from(KEEP.as_millis()).unwrap_or(i64::MAX));
        while let Some(first) = self.spent.first_entry().filter(|first| first.key().0 < oldest) {
            first.remove();
        }
        // What was joined before stays where it is: a month of it is not to be moved every hour.
        let fine: Vec<_> = self.spent.range((self.joined, 0)..(joined, 0)).map(|(at, _)| *at).collect();
        for (at, payer) in fine {
            if let Some(used) = self.spent.remove(&(at, payer)).filter(|used| !used.is_zero()) {
                self.spent.entry((at.div_euclid(HOUR) * HOUR, payer)).or_default().add(used);
            }
        }
        self.joined = joined;
    }

    /// Everybody who spent; what is told of one may be told anew.
    pub fn payers(&self) -> &[Payer] {
        &self.payers
    }

    /// Class and account are the roster's to say, which may come later than what was spent.
    pub fn retell(&mut self, tell: impl Fn(&mut Payer)) {
        self.payers.iter_mut().for_each(tell);
        self.places = self.payers.iter().cloned().zip(0..).collect();
    }

    /// All of it, in the order of time.
    pub fn entries(&self) -> impl Iterator<Item = (Wall, &Payer, Used)> {
        self.spent.iter().filter_map(|((at, place), used)| {
            Some((Wall(*at), self.payers.get(usize::try_from(*place).ok()?)?, *used))
        })
    }

    /// What was spent within, by those whom `whose` names.
    pub fn within(&self, stretch: Stretch, whose: impl Fn(&Payer) -> bool) -> Used {
        let mut sum = Used::default();
        for (_, used) in self.range(stretch, whose) {
            sum.add(used);
        }
        sum
    }

    /// The same in `count` equal parts, oldest first.
    pub fn parts(&self, stretch: Stretch, count: usize, whose: impl Fn(&Payer) -> bool) -> Vec<Used> {
        let mut parts = vec![Used::default(); count];
        let length = (stretch.ends.0.saturating_sub(stretch.begins.0)).max(1);
        for (at, used) in self.range(stretch, whose) {
            let past = (at.0 - stretch.begins.0).max(0);
            let part = i128::from(past) * count as i128 / i128::from(length);
            if let Some(sum) = parts.get_mut(usize::try_from(part).unwrap_or(0)) {
                sum.add(used);
            }
        }
        parts
    }

    /// The first spending within.
    pub fn first(&self, stretch: Stretch, whose: impl Fn(&Payer) -> bool) -> Option<Wall> {
        self.range(stretch, whose).find(|(_, used)| !used.is_zero()).map(|(at, _)| at)
    }

    fn range(&self, stretch: Stretch, whose: impl Fn(&Payer) -> bool) -> impl Iterator<Item = (Wall, Used)> {
        let wanted: Vec<bool> = self.payers.iter().map(whose).collect();
        let begins = stretch.begins.0.div_euclid(FINE) * FINE;
        let ends = stretch.ends.0.max(begins);
        self.spent.range((begins, 0)..(ends, 0)).filter_map(move |((at, place), used)| {
            let wanted = wanted.get(usize::try_from(*place).ok()?).copied().unwrap_or(false);
            wanted.then_some((Wall(*at), *used))
        })
    }
}

fn slot(at: Wall, joined: i64) -> i64 {
    let width = if at.0 < joined { HOUR } else { FINE };
    at.0.div_euclid(width).saturating_mul(width)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn payer(agent: &str) -> Payer {
        Payer { agent: agent.to_owned(), ..Payer::default() }
    }

    fn tokens(tokens: u64) -> Used {
        Used { tokens, ..Used::default() }
    }

    #[test]
    fn what_is_corrected_is_counted_once() {
        let mut book = Book::default();
        book.add(Wall(1_000), &payer("a"), tokens(10));
        book.subtract(Wall(1_000), &payer("a"), tokens(10));
        book.add(Wall(1_000), &payer("a"), tokens(30));
        book.add(Wall(2_000), &payer("b"), tokens(5));
        let all = Stretch { begins: Wall(0), ends: Wall(HOUR) };
        assert_eq!(book.within(all, |_| true).tokens, 35);
        assert_eq!(book.within(all, |payer| payer.agent == "a").tokens, 30);
        assert_eq!(book.first(all, |payer| payer.agent == "b"), Some(Wall(0)));
    }

    proptest! {
        #[test]
        fn joining_to_hours_keeps_every_sum_of_whole_hours(
            spent in proptest::collection::vec((0i64..30 * 86_400_000, 0u8..4, 0u64..1000), 0..80),
            from in 0i64..700, hours in 1i64..100,
        ) {
            let mut book = Book::default();
            for (at, who, count) in &spent {
                book.add(Wall(*at), &payer(&who.to_string()), tokens(*count));
            }
            let stretch = Stretch { begins: Wall(from * HOUR), ends: Wall((from + hours) * HOUR) };
            let before = book.within(stretch, |_| true);
            prop_assert_eq!(before.tokens, spent.iter().filter(|(at, ..)| stretch.holds(Wall(*at))).map(|(_, _, count)| count).sum::<u64>());
            book.tidy(Wall(31 * 86_400_000));
            prop_assert_eq!(book.within(stretch, |_| true), before);
            let parts = book.parts(stretch, 7, |_| true);
            prop_assert_eq!(parts.iter().map(|used| used.tokens).sum::<u64>(), before.tokens);
        }
    }
}
