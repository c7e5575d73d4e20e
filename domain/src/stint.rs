//! When an agent was on which task: what it used in that time is the task's.

use std::collections::BTreeMap;

use crate::time::Wall;

/// One agent's time on one task.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Stint {
    pub from: Wall,
    pub task: String,
    /// Not any more at this time; `None` while it is on it.
    pub to: Option<Wall>,
}

/// All agents' stints, by tenant and session.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Stints(BTreeMap<String, BTreeMap<String, Vec<Stint>>>);

impl Stints {
    pub fn add(&mut self, tenant: &str, session: &str, stint: Stint) {
        let of = self.0.entry(tenant.to_owned()).or_default().entry(session.to_owned()).or_default();
        let place = of.partition_point(|known| *known < stint);
        of.insert(place, stint);
    }

    /// The task that the agent was on at that time; of several at once, the one that was started last.
    pub fn task(&self, tenant: &str, session: &str, at: Wall) -> Option<&str> {
        let of = self.0.get(tenant)?.get(session)?;
        let before = of.partition_point(|stint| stint.from <= at);
        let there = of[..before].iter().rev().find(|stint| stint.to.is_none_or(|to| at < to));
        there.map(|stint| stint.task.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_task_that_was_started_last_is_the_one_that_pays() {
        let mut stints = Stints::default();
        let stint = |from, to: Option<i64>, task: &str| Stint {
            from: Wall(from),
            task: task.into(),
            to: to.map(Wall),
        };
        stints.add("me", "coder0", stint(50, None, "inner"));
        stints.add("me", "coder0", stint(10, Some(90), "outer"));
        stints.add("me", "coder1", stint(0, None, "other"));
        let at = |at| stints.task("me", "coder0", Wall(at));
        assert_eq!(
            [at(9), at(10), at(49), at(50), at(95)],
            [None, Some("outer"), Some("outer"), Some("inner"), Some("inner")]
        );
        let mut over = Stints::default();
        over.add("me", "a", stint(10, Some(20), "t"));
        assert_eq!((over.task("me", "a", Wall(19)), over.task("me", "a", Wall(20))), (Some("t"), None));
        assert_eq!((over.task("you", "a", Wall(15)), over.task("me", "b", Wall(15))), (None, None));
    }
}
