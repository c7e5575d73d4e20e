//! What was used, summed by what a reader asks for: the same groups whether a ledger or a tree of files is summed.

use std::collections::{BTreeMap, BTreeSet};

use crate::ids::AgentKey;
use crate::price::{Cost, Costs};
use crate::time::Wall;
use crate::usage::Tokens;

/// By what usage is told apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum By {
    Agent,
    Runtime,
    Account,
    Model,
    Day,
    /// Of the reader's day.
    Hour,
    /// Of the agent, as the roster has it now.
    Class,
    /// The runtime's conversation.
    Session,
    /// That the agent was on at the time.
    Task,
}

const HOUR_MS: i64 = 3_600_000;

/// Which usage, and how it is told apart.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Question {
    /// Not before.
    pub since: Wall,
    pub by: BTreeSet<By>,
    /// When the reader's days begin, ascending; what lies before the first belongs to it.
    pub days: Vec<Wall>,
}

impl Question {
    /// The beginning of the day in which `at` lies.
    pub fn day_of(&self, at: Wall) -> Option<Wall> {
        let after = self.days.partition_point(|start| *start <= at);
        self.days.get(after.saturating_sub(1)).copied()
    }

    /// The beginning of the hour in which `at` lies, counted from its day's: a day need not begin with one of UTC's.
    pub fn hour_of(&self, at: Wall) -> Option<Wall> {
        let day = self.day_of(at)?;
        Some(Wall(
            day.0.saturating_add(at.0.saturating_sub(day.0).div_euclid(HOUR_MS).saturating_mul(HOUR_MS)),
        ))
    }

    /// The group of one response: what was not asked for is left out.
    pub fn group(&self, of: Group, at: Wall) -> Group {
        let asked = |by| self.by.contains(&by);
        Group {
            agent: of.agent.filter(|_| asked(By::Agent)),
            runtime: of.runtime.filter(|_| asked(By::Runtime)),
            account: of.account.filter(|_| asked(By::Account)),
            model: of.model.filter(|_| asked(By::Model)),
            day: self.day_of(at).filter(|_| asked(By::Day)),
            hour: self.hour_of(at).filter(|_| asked(By::Hour)),
            class: of.class.filter(|_| asked(By::Class)),
            session: of.session.filter(|_| asked(By::Session)),
            task: of.task.filter(|_| asked(By::Task)),
        }
    }
}

/// What the responses of one sum have in common.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Default)]
pub struct Group {
    pub day: Option<Wall>,
    pub hour: Option<Wall>,
    pub agent: Option<AgentKey>,
    pub runtime: Option<String>,
    pub account: Option<String>,
    pub model: Option<String>,
    pub class: Option<String>,
    pub session: Option<String>,
    /// `None` for what was used outside of any task.
    pub task: Option<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Sum {
    pub tokens: Tokens,
    pub responses: u64,
    pub costs: Costs,
}

impl Sum {
    /// Of one response.
    pub fn one(tokens: Tokens, cost: Cost) -> Self {
        Self { tokens, responses: 1, costs: Costs::of(cost) }
    }

    pub fn add(&mut self, other: &Self) {
        self.tokens.add(&other.tokens);
        self.costs.add(&other.costs);
        self.responses = self.responses.saturating_add(other.responses);
    }

    /// Never below nothing.
    pub fn subtract(&mut self, other: &Self) {
        self.tokens.subtract(&other.tokens);
        self.costs.subtract(&other.costs);
        self.responses = self.responses.saturating_sub(other.responses);
    }
}

/// Sums by group, in the groups' order.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Report(pub BTreeMap<Group, Sum>);

impl Report {
    pub fn add(&mut self, group: Group, sum: &Sum) {
        self.0.entry(group).or_default().add(sum);
    }

    pub fn total(&self) -> Sum {
        self.0.values().fold(Sum::default(), |mut total, sum| {
            total.add(sum);
            total
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_response_lies_in_the_readers_day_and_keeps_what_was_asked_for() {
        let days = vec![Wall(100), Wall(200), Wall(290)];
        let question = Question { by: BTreeSet::from([By::Day, By::Model]), days, ..Question::default() };
        let told: Vec<Option<Wall>> = [50, 199, 200, 999].map(|at| question.day_of(Wall(at))).to_vec();
        assert_eq!(told, [Some(Wall(100)), Some(Wall(100)), Some(Wall(200)), Some(Wall(290))]);
        let of = Group { model: Some("m".into()), account: Some("a".into()), ..Group::default() };
        let group = question.group(of, Wall(250));
        assert_eq!(group, Group { day: Some(Wall(200)), model: Some("m".into()), ..Group::default() });
        assert_eq!(Question::default().day_of(Wall(1)), None);
        let half = Question { days: vec![Wall(HOUR_MS / 2)], ..Question::default() };
        assert_eq!(half.hour_of(Wall(HOUR_MS * 2)), Some(Wall(HOUR_MS * 3 / 2)));
    }
}
