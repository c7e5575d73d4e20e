//! What is known at the moment, and what an update changed of it.

use std::collections::BTreeMap;
use std::sync::Arc;

use fleet_domain::fleet::AgentView;
use fleet_domain::{AgentKey, Mono};

use crate::client::Update;
use crate::render::funds::Funds;
use crate::source::HostNote;

use super::feed::{Fed, host_notes};

#[derive(Debug, Default)]
pub struct Board {
    rows: BTreeMap<AgentKey, Row>,
    pub hosts: Vec<HostNote>,
    pub notice: Option<String>,
    /// Nobody keeps a history at the moment.
    pub direct: bool,
    /// Something was received, so that an empty board means an empty fleet.
    pub filled: bool,
    /// What the budget last said.
    pub funds: Arc<Funds>,
}

#[derive(Debug)]
struct Row {
    agent: AgentView,
    /// Ages in it are of then.
    at: Mono,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Change {
    Changed(AgentKey),
    Removed(AgentKey),
}

impl Board {
    /// Takes an update in. What only grew older is no change.
    pub fn take(&mut self, fed: Fed, now: Mono) -> Vec<Change> {
        match fed {
            Fed::Notice(notice) => {
                self.notice = notice;
                Vec::new()
            }
            Fed::Direct(snapshot) => {
                self.direct = true;
                self.hosts = snapshot.hosts;
                self.replace(snapshot.agents, now)
            }
            Fed::Update(Update::Snapshot(listing)) => {
                self.direct = false;
                self.hosts = host_notes(&listing);
                self.replace(listing.agents, now)
            }
            Fed::Update(Update::Changed(agent)) => self.put(*agent, now).into_iter().collect(),
            Fed::Update(Update::Removed(key)) => {
                self.rows.remove(&key).map(|row| Change::Removed(row.agent.key)).into_iter().collect()
            }
            Fed::Funds(funds) => {
                self.funds = funds;
                Vec::new()
            }
            Fed::Failed(_) => Vec::new(),
        }
    }

    fn replace(&mut self, agents: Vec<AgentView>, now: Mono) -> Vec<Change> {
        self.filled = true;
        let mut left = std::mem::take(&mut self.rows);
        let mut changes = Vec::new();
        for agent in agents {
            if let Some(row) = left.remove(&agent.key) {
                self.rows.insert(agent.key.clone(), row);
            }
            changes.extend(self.put(agent, now));
        }
        changes.extend(left.into_keys().map(Change::Removed));
        changes
    }

    fn put(&mut self, agent: AgentView, now: Mono) -> Option<Change> {
        let key = agent.key.clone();
        let same = self.rows.get(&key).is_some_and(|row| timeless(&row.agent) == timeless(&agent));
        self.rows.insert(key.clone(), Row { agent, at: now });
        (!same).then_some(Change::Changed(key))
    }

    /// Every agent, grown older by the time that passed since it was reported.
    pub fn agents(&self, now: Mono) -> Vec<AgentView> {
        self.rows.values().map(|row| aged(row, now)).collect()
    }
}

fn aged(row: &Row, now: Mono) -> AgentView {
    let passed = row.at.age_at(now);
    let mut agent = row.agent.clone();
    agent.idle = agent.idle.map(|idle| idle + passed);
    agent.heartbeat.age = agent.heartbeat.age.map(|age| age + passed);
    agent
}

/// Without what changes by time alone, or with every look.
fn timeless(agent: &AgentView) -> AgentView {
    let mut agent = agent.clone();
    (agent.idle, agent.next, agent.generation) = (None, None, 0);
    (agent.heartbeat.age, agent.heartbeat.ts) = (None, None);
    agent.signals.clear();
    agent
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use fleet_domain::readiness::State;

    use super::*;
    use crate::client::Listing;
    use crate::render::samples;

    fn snapshot(agents: Vec<AgentView>) -> Fed {
        Fed::Update(Update::Snapshot(Listing { agents, ..Listing::default() }))
    }

    fn changed(agent: AgentView) -> Fed {
        Fed::Update(Update::Changed(Box::new(agent)))
    }

    #[test]
    fn only_what_differs_by_more_than_age_is_a_change() {
        let mut board = Board::default();
        let agent = samples::agent("a", State::Working, 9);
        let key = agent.key.clone();
        assert_eq!(board.take(snapshot(vec![agent.clone()]), Mono(0)), [Change::Changed(key.clone())]);
        let older = AgentView { idle: Some(Duration::from_secs(77)), generation: 8, ..agent.clone() };
        assert_eq!(board.take(changed(older), Mono(1)), []);
        let stuck = AgentView { state: State::Stuck, ..agent.clone() };
        assert_eq!(board.take(changed(stuck), Mono(2)), [Change::Changed(key.clone())]);
        assert_eq!(board.take(Fed::Update(Update::Removed(key.clone())), Mono(3)), [Change::Removed(key)]);
        assert!(board.agents(Mono(4)).is_empty());
    }

    #[test]
    fn a_new_snapshot_tells_what_left_and_what_came() {
        let mut board = Board::default();
        let (a, b) = (samples::agent("a", State::Working, 9), samples::agent("b", State::Working, 9));
        board.take(snapshot(vec![a.clone()]), Mono(0));
        let changes = board.take(snapshot(vec![b.clone()]), Mono(1));
        assert_eq!(changes, [Change::Changed(b.key), Change::Removed(a.key)]);
    }

    #[test]
    fn ages_go_on_while_nothing_is_heard() {
        let mut board = Board::default();
        board.take(snapshot(vec![samples::agent("a", State::Working, 9)]), Mono(1_000));
        let seen = board.agents(Mono(6_000));
        assert_eq!(seen[0].idle, Some(Duration::from_secs(14)));
        assert_eq!(seen[0].heartbeat.age, Some(Duration::from_secs(9)));
    }
}
