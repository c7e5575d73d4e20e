//! How long to wait before the next try: doubling between two bounds, with jitter so that a thousand sidecars that
//! lost one collector do not come back in one moment. Pure: chance is passed in.

use std::time::Duration;

#[derive(Debug, Clone)]
pub struct Backoff {
    least: Duration,
    most: Duration,
    failures: u32,
}

impl Backoff {
    pub fn new(least: Duration, most: Duration) -> Self {
        Self { least: least.min(most), most, failures: 0 }
    }

    pub fn reset(&mut self) {
        self.failures = 0;
    }

    /// The next delay: between half of the doubled bound and the whole of it, `chance` in 0..=1 deciding where.
    pub fn next(&mut self, chance: f64) -> Duration {
        let whole = self.least.saturating_mul(1 << self.failures.min(20)).min(self.most);
        self.failures = self.failures.saturating_add(1);
        whole.mul_f64(0.5 + chance.clamp(0.0, 1.0) / 2.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn delays_stay_within_bounds_grow_and_start_over(
            least in 1u64..1000, factor in 1u64..1000, chances in proptest::collection::vec(-1.0f64..2.0, 1..50),
        ) {
            let (least, most) = (Duration::from_millis(least), Duration::from_millis(least * factor));
            let mut backoff = Backoff::new(least, most);
            let mut highest = Duration::ZERO;
            for chance in &chances {
                let delay = backoff.next(*chance);
                prop_assert!(delay >= least / 2 && delay <= most);
                prop_assert!(delay >= highest / 2, "a later delay fell below half of an earlier one");
                highest = highest.max(delay);
            }
            backoff.reset();
            prop_assert!(backoff.next(1.0) <= least);
        }
    }
}
