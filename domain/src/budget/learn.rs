//! What tasks needed, by class and model: a median and a 90th percentile in which old tasks count less and less.

use std::collections::{BTreeMap, VecDeque};

use crate::time::Wall;

/// So many of the latest tasks are remembered of each kind.
const REMEMBERED: usize = 64;
/// A task counts half as much as one that ended so much later, in milliseconds.
const HALF_LIFE: f64 = 14.0 * 86_400_000.0;
/// And half as much as one that is so many tasks younger.
const HALF_COUNT: f64 = 20.0;
/// Fewer say too little.
const ENOUGH: usize = 3;
/// Kinds that are told apart.
const MAX_KINDS: usize = 2_000;

/// Tokens.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Typical {
    pub median: u64,
    pub p90: u64,
    pub tasks: usize,
}

#[derive(Debug, Clone, Default)]
pub struct Learned(BTreeMap<(String, String), VecDeque<(Wall, u64)>>);

impl Learned {
    /// A task of that class and model ended and had used so many tokens. Called in the order of their ends.
    pub fn learn(&mut self, class: &str, model: &str, tokens: u64, ended: Wall) {
        if tokens == 0 {
            return;
        }
        for model in [model, ""] {
            let kind = (class.to_owned(), model.to_owned());
            if self.0.len() >= MAX_KINDS && !self.0.contains_key(&kind) {
                continue;
            }
            let ends = self.0.entry(kind).or_default();
            if ends.len() == REMEMBERED {
                ends.pop_front();
            }
            ends.push_back((ended, tokens));
            if model.is_empty() {
                break;
            }
        }
    }

    /// Of the class on that model, else of the class on any; `None` before enough tasks ended.
    pub fn typical(&self, class: &str, model: &str, now: Wall) -> Option<Typical> {
        let of = |model: &str| {
            self.0.get(&(class.to_owned(), model.to_owned())).filter(|ends| ends.len() >= ENOUGH)
        };
        of(model).or_else(|| of("")).map(|ends| typical(ends, now))
    }

    /// Every kind that enough is known of, by class and model; an empty model is any.
    pub fn all(&self, now: Wall) -> impl Iterator<Item = (&str, &str, Typical)> {
        let known = self.0.iter().filter(|(_, ends)| ends.len() >= ENOUGH);
        known.map(move |((class, model), ends)| (class.as_str(), model.as_str(), typical(ends, now)))
    }
}

fn typical(ends: &VecDeque<(Wall, u64)>, now: Wall) -> Typical {
    let mut weighed: Vec<(u64, f64)> = ends
        .iter()
        .rev()
        .zip(0u32..)
        .map(|((at, tokens), younger)| {
            let age = at.age_at(now).as_millis() as f64 / HALF_LIFE + f64::from(younger) / HALF_COUNT;
            (*tokens, 0.5f64.powf(age))
        })
        .collect();
    weighed.sort_by_key(|(tokens, _)| *tokens);
    let whole: f64 = weighed.iter().map(|(_, weight)| weight).sum();
    let at = |share: f64| {
        let mut passed = 0.0;
        let found = weighed.iter().find(|(_, weight)| {
            passed += weight;
            passed >= share * whole * (1.0 - 1e-12)
        });
        found.or(weighed.last()).map_or(0, |(tokens, _)| *tokens)
    };
    Typical { median: at(0.5), p90: at(0.9), tasks: weighed.len() }
}

/// What a day usually takes: the median of the last days on which anything was used, and what a month comes to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Forecast {
    pub typical_day: u64,
    /// Used so far, and a typical day for each of the days left.
    pub month: u64,
    pub days_known: usize,
}

/// From the days before today (sizes of one unit, oldest first), what the month has used, and the days it has left.
pub fn forecast(days: &[u64], month_so_far: u64, days_left: u64) -> Option<Forecast> {
    let mut used: Vec<u64> = days.iter().copied().filter(|size| *size > 0).collect();
    if used.len() < ENOUGH {
        return None;
    }
    used.sort_unstable();
    let typical_day = used[(used.len() - 1) / 2];
    let share = used.len() as f64 / days.len() as f64;
    let to_come = typical_day as f64 * share * days_left as f64;
    Some(Forecast { typical_day, month: month_so_far.saturating_add(to_come as u64), days_known: used.len() })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const DAY: i64 = 86_400_000;

    #[test]
    fn a_few_tasks_say_nothing_and_many_say_two_figures() {
        let mut learned = Learned::default();
        learned.learn("implementer", "opus", 100, Wall(0));
        learned.learn("implementer", "opus", 100, Wall(0));
        assert_eq!(learned.typical("implementer", "opus", Wall(0)), None);
        for tokens in 3..=10 {
            learned.learn("implementer", "opus", tokens * 100, Wall(0));
        }
        let typical = learned.typical("implementer", "opus", Wall(0)).unwrap();
        assert_eq!((typical.median, typical.p90, typical.tasks), (600, 1_000, 10));
        assert_eq!(
            learned.typical("implementer", "haiku", Wall(0)),
            Some(typical),
            "another model: of the class"
        );
        assert_eq!(learned.typical("reviewer", "opus", Wall(0)), None);
    }

    #[test]
    fn what_is_old_counts_less() {
        let mut learned = Learned::default();
        for _ in 0..10 {
            learned.learn("c", "m", 1_000, Wall(0));
        }
        for _ in 0..4 {
            learned.learn("c", "m", 10, Wall(40 * DAY));
        }
        assert_eq!(learned.typical("c", "m", Wall(40 * DAY)).unwrap().median, 10);
    }

    #[test]
    fn a_month_is_what_was_and_what_is_usual() {
        assert_eq!(forecast(&[0, 5], 5, 3), None);
        let told = forecast(&[10, 0, 30, 20], 60, 8).unwrap();
        assert_eq!((told.typical_day, told.month, told.days_known), (20, 60 + 120, 3));
    }

    proptest! {
        #[test]
        fn the_figures_are_among_what_was_seen(seen in proptest::collection::vec((1u64..1_000_000, 0i64..100), 3..200)) {
            let mut learned = Learned::default();
            for (tokens, day) in &seen {
                learned.learn("c", "m", *tokens, Wall(day * DAY));
            }
            let typical = learned.typical("c", "m", Wall(100 * DAY)).unwrap();
            prop_assert!(typical.median <= typical.p90);
            prop_assert!(seen.iter().any(|(tokens, _)| *tokens == typical.p90));
            prop_assert!(typical.tasks <= REMEMBERED);
        }
    }
}
