//! How fast what is held of a window is spent: of what is held when a window ends, only so much can still be spent in it.
//!
//! Time is cut into slices of five minutes. Of each in which something was spent the part is taken that it is of what was
//! held, and the largest of late is what is reckoned with: what is held without being spent, or spent where nobody sees it,
//! teaches nothing. A window that its owner set a limit to holds everything whole.

use std::time::Duration;

use crate::time::Wall;

/// What was spent longer ago than one of these says nothing of how fast it is spent now.
pub(super) const SLICE: Duration = Duration::from_secs(300);
const SLICE_MS: i64 = SLICE.as_millis() as i64;
/// Fewer slices in which something was spent say too little.
const ENOUGH: u32 = 12;
/// A part counts half as much after so many slices in which something was spent: a day of work.
const HALF_LIFE: f64 = 288.0;
/// More than was ever seen may be spent.
const MARGIN: f64 = 1.5;

#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(super) struct Pulse {
    slice: i64,
    /// Tokens that were held when the slice began, and those that were promised in it.
    base: u64,
    spent: u64,
    most: f64,
    seen: u32,
}

impl Pulse {
    /// Tokens were promised; `held` is without them.
    pub(super) fn promised(&mut self, tokens: u64, held: u64, now: Wall) {
        self.turn(held, now);
        self.base = self.base.saturating_add(tokens);
    }

    /// Tokens were spent of what was held; `held` is still with them.
    pub(super) fn spent(&mut self, tokens: u64, held: u64, now: Wall) {
        self.turn(held, now);
        self.spent = self.spent.saturating_add(tokens);
    }

    /// The part of the slice at hand.
    fn now(&self) -> f64 {
        if self.spent == 0 { 0.0 } else { self.spent as f64 / self.base.max(1) as f64 }
    }

    /// Brings it up to `now`, where so many tokens are held.
    pub(super) fn turn(&mut self, held: u64, now: Wall) {
        let slice = now.0.div_euclid(SLICE_MS);
        if slice == self.slice {
            return;
        }
        // A clock that was put back says nothing of the slice.
        if slice > self.slice && self.spent > 0 {
            self.most = (self.most * 0.5f64.powf(1.0 / HALF_LIFE)).max(self.now());
            self.seen = self.seen.saturating_add(1);
        }
        (self.slice, self.base, self.spent) = (slice, held, 0);
    }

    /// What part of what is held can be spent in the time that is left; all of it where not enough was seen.
    pub(super) fn part(&self, left: Duration) -> f64 {
        if self.seen < ENOUGH {
            return 1.0;
        }
        let slices = (left.as_millis() as f64 / SLICE_MS as f64).ceil();
        (self.most.max(self.now()) * MARGIN * slices).min(1.0)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const MINUTES: fn(u64) -> Duration = |minutes| Duration::from_secs(minutes * 60);

    #[test]
    fn what_is_held_when_a_window_ends_counts_as_far_as_it_can_be_spent() {
        let mut pulse = Pulse::default();
        for slice in 1_000..1_012 {
            assert_eq!(pulse.part(MINUTES(5)), 1.0, "not enough was seen");
            let now = Wall(slice * SLICE_MS + 1);
            pulse.promised(100, 900, now);
            pulse.spent(if slice == 1_003 { 200 } else { 100 }, 1_000, now);
        }
        pulse.promised(100, 900, Wall(1_012 * SLICE_MS));
        let five = pulse.part(MINUTES(5));
        assert!((0.29..=0.3).contains(&five), "half as much again as was ever seen: {five}");
        assert_eq!(pulse.part(MINUTES(6)), 2.0 * five);
        assert_eq!((pulse.part(MINUTES(60)), pulse.part(Duration::ZERO)), (1.0, 0.0));
    }

    #[test]
    fn what_is_never_seen_to_be_spent_is_held_whole() {
        let mut pulse = Pulse::default();
        for slice in 0..100 {
            pulse.promised(1_000, 1_000, Wall(slice * SLICE_MS));
        }
        assert_eq!(pulse.part(MINUTES(5)), 1.0);
    }

    proptest! {
        #[test]
        fn it_is_a_part_whatever_comes(
            told in proptest::collection::vec((any::<bool>(), any::<u64>(), any::<u64>(), any::<i32>()), 0..100), left in 0u64..100_000,
        ) {
            let mut pulse = Pulse::default();
            for (promise, tokens, held, at) in told {
                let now = Wall(i64::from(at) * 10_000);
                if promise { pulse.promised(tokens, held, now) } else { pulse.spent(tokens, held, now) }
            }
            let part = pulse.part(Duration::from_secs(left));
            prop_assert!((0.0..=1.0).contains(&part));
        }
    }
}
