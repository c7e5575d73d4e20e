//! Whether a task that was delivered came to anything: assigned, and nothing moved.

use std::time::Duration;

use crate::time::Mono;

/// A task of which nothing came for longer than this made no progress.
pub const THRESHOLD: Duration = Duration::from_secs(600);

/// What was seen of an agent at one moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Sample {
    /// When its last task was accepted, where its turn neither ended nor asked anything since.
    pub task: Option<Mono>,
    /// When something was last drawn or written down.
    pub moved: Option<Mono>,
    /// A program that the task started runs, or the processor is used.
    pub works: bool,
}

/// One agent's task, followed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Progress {
    moved: Option<Mono>,
}

impl Progress {
    /// Takes in a sample; since when nothing moves, where that is longer than `threshold`.
    pub fn take(&mut self, sample: &Sample, threshold: Duration, now: Mono) -> Option<Mono> {
        let Some(task) = sample.task else {
            self.moved = None;
            return None;
        };
        let works = sample.works.then_some(now);
        let moved = [self.moved, sample.moved, works].into_iter().flatten().fold(task, Mono::max);
        self.moved = Some(moved);
        (moved.age_at(now) > threshold).then_some(moved)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const THRESHOLD: Duration = Duration::from_millis(100);

    fn any_sample() -> impl Strategy<Value = (Sample, i64)> {
        let moment = || prop::option::weighted(0.5, (0i64..2_000).prop_map(Mono));
        (moment(), moment(), prop::bool::weighted(0.2), 0i64..80)
            .prop_map(|(task, moved, works, later)| (Sample { task, moved, works }, later))
    }

    #[test]
    fn a_task_of_which_nothing_came_stands_still_since_it_was_accepted_until_it_moves() {
        let mut progress = Progress::default();
        let task = Sample { task: Some(Mono(10)), ..Sample::default() };
        assert_eq!(progress.take(&task, THRESHOLD, Mono(110)), None);
        assert_eq!(progress.take(&task, THRESHOLD, Mono(111)), Some(Mono(10)));
        assert_eq!(progress.take(&Sample { works: true, ..task }, THRESHOLD, Mono(120)), None);
        assert_eq!(progress.take(&task, THRESHOLD, Mono(221)), Some(Mono(120)));
        assert_eq!(progress.take(&Sample { moved: Some(Mono(215)), ..task }, THRESHOLD, Mono(222)), None);
        assert_eq!(progress.take(&Sample::default(), THRESHOLD, Mono(900)), None);
        assert_eq!(progress.take(&Sample { task: Some(Mono(890)), ..task }, THRESHOLD, Mono(901)), None);
    }

    proptest! {
        /// Whoever has a task, has had it for long, and neither drew, wrote nor worked since.
        #[test]
        fn nobody_stands_still_who_moved_within_the_threshold(
            samples in prop::collection::vec(any_sample(), 1..40),
        ) {
            let (mut progress, mut now, mut moved) = (Progress::default(), 0, i64::MIN);
            for (sample, later) in samples {
                now += later;
                moved = match sample.task {
                    None => i64::MIN,
                    Some(task) => {
                        let works = if sample.works { now } else { i64::MIN };
                        moved.max(task.0).max(works).max(sample.moved.map_or(i64::MIN, |moved| moved.0))
                    }
                };
                let since = progress.take(&sample, THRESHOLD, Mono(now));
                let stands = sample.task.is_some() && now.saturating_sub(moved) > 100;
                prop_assert_eq!(since, stands.then_some(Mono(moved)));
            }
        }
    }
}
