//! Which agents are shown, and in which order: what needs a person first, what waits longest first among those.

use std::cmp::{Ordering, Reverse};

use fleet_domain::fleet::AgentView;
use fleet_domain::readiness::State;

use super::columns::Column;
use super::{Scene, is_agent};

/// Empty lists let everything pass.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Filters {
    pub states: Vec<State>,
    pub classes: Vec<String>,
    pub hosts: Vec<String>,
    pub tenants: Vec<String>,
    pub runtimes: Vec<String>,
}

impl Filters {
    pub fn pass(&self, agent: &AgentView) -> bool {
        (self.states.is_empty() || self.states.contains(&agent.state))
            && named(&self.classes, agent.class.as_deref())
            && named(&self.hosts, Some(agent.key.host.as_str()))
            && named(&self.tenants, Some(agent.key.tenant.as_str()))
            && named(&self.runtimes, agent.runtime.as_ref().map(|runtime| runtime.as_str()))
    }
}

fn named(wanted: &[String], value: Option<&str>) -> bool {
    wanted.is_empty() || value.is_some_and(|value| wanted.iter().any(|name| name == value))
}

/// Sorts for people, or by a column where one is asked for: the oldest, the largest, the first by name come first.
pub fn sort(agents: &mut [&AgentView], by: Option<Column>, scene: &Scene) {
    match by {
        // The agents themselves lie far apart: each is looked at once.
        None => agents.sort_by_cached_key(|&agent| (urgency(agent), identity(agent))),
        Some(column) => agents.sort_by(|a, b| {
            let asked = compare(column, a, b, scene);
            asked.then_with(|| urgency(a).cmp(&urgency(b))).then_with(|| identity(a).cmp(&identity(b)))
        }),
    }
}

/// Sessions that are no agents come last, whatever their state.
fn urgency(agent: &AgentView) -> (bool, u8, fleet_domain::Wall) {
    (!is_agent(agent), agent.state.urgency(), agent.since)
}

fn identity(agent: &AgentView) -> (&str, &fleet_domain::AgentKey) {
    (&agent.name, &agent.key)
}

fn compare(column: Column, a: &AgentView, b: &AgentView, scene: &Scene) -> Ordering {
    match column {
        Column::State => a.state.urgency().cmp(&b.state.urgency()).then(a.kind.cmp(&b.kind)),
        Column::Since => a.since.cmp(&b.since),
        Column::Tokens => {
            let total = |agent: &AgentView| scene.tokens(agent).map(|tokens| tokens.total());
            total(b).cmp(&total(a))
        }
        Column::Cost => {
            let known = |agent| scene.funds.cost(agent).and_then(|costs| costs.known());
            known(b).cmp(&known(a))
        }
        Column::Hb => b.heartbeat.age.cmp(&a.heartbeat.age),
        Column::Idle => b.idle.cmp(&a.idle),
        Column::Pace => {
            let ratio = |agent| scene.funds.fund(agent)?.pace.as_ref().map(|(ratio, _)| *ratio);
            ratio(b).unwrap_or(-1.0).total_cmp(&ratio(a).unwrap_or(-1.0))
        }
        Column::Room => {
            let left = |agent| scene.funds.fund(agent)?.room.as_ref().map(|(left, _)| *left);
            left(a).unwrap_or(f64::INFINITY).total_cmp(&left(b).unwrap_or(f64::INFINITY))
        }
        Column::Pid => last(a.pane_pid).cmp(&last(b.pane_pid)),
        column => {
            let (a, b) = (column.text(a, scene), column.text(b, scene));
            (a == super::words::NONE, a).cmp(&(b == super::words::NONE, b))
        }
    }
}

/// What is not known is sorted behind what is.
fn last<T: Ord>(value: Option<T>) -> Reverse<Option<Reverse<T>>> {
    Reverse(value.map(Reverse))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::render::samples;

    fn names(by: Option<Column>) -> Vec<String> {
        let (agents, scene) = (samples::fleet(), samples::scene());
        let mut shown: Vec<&AgentView> = agents.iter().collect();
        sort(&mut shown, by, &scene);
        shown.into_iter().map(|agent| agent.name.clone()).collect()
    }

    #[test]
    fn what_needs_a_person_comes_first_and_what_is_no_agent_last() {
        let expected = ["coder1", "coder0", "coder2", "analyst", "reviewer0", "lead", "enhancer", "notes"];
        assert_eq!(names(None), expected);
    }

    #[test]
    fn a_column_sorts_by_its_value_not_its_text() {
        assert_eq!(names(Some(Column::Tokens))[..2], ["lead", "coder0"]);
        assert_eq!(names(Some(Column::Idle))[0], "notes");
        assert_eq!(names(Some(Column::Agent))[..3], ["analyst", "coder0", "coder1"]);
    }

    #[test]
    fn what_is_unknown_is_sorted_last() {
        let with_pid = |pid| AgentView { pane_pid: pid, ..samples::fleet().remove(0) };
        let agents = [with_pid(None), with_pid(Some(9)), with_pid(Some(1))];
        let mut shown: Vec<&AgentView> = agents.iter().collect();
        sort(&mut shown, Some(Column::Pid), &samples::scene());
        assert_eq!(shown.iter().map(|agent| agent.pane_pid).collect::<Vec<_>>(), [Some(1), Some(9), None]);
    }

    #[test]
    fn filters_of_one_kind_add_and_of_two_kinds_narrow() {
        let fleet = samples::fleet();
        let pass = |filters: &Filters| {
            let shown = fleet.iter().filter(|agent| filters.pass(agent));
            shown.map(|agent| agent.name.as_str()).collect::<Vec<_>>().join(" ")
        };
        let stuck = Filters { states: vec![State::Stuck], ..Filters::default() };
        assert_eq!(pass(&stuck), "coder0 coder1");
        let more = Filters { states: vec![State::Stuck, State::Dead], ..Filters::default() };
        assert_eq!(pass(&more), "coder0 coder1 coder2");
        let narrowed = Filters { runtimes: vec!["codex".to_owned()], ..more };
        assert_eq!(pass(&narrowed), "coder1");
        assert_eq!(
            pass(&Filters { classes: vec!["reviewer".to_owned()], ..Filters::default() }),
            "reviewer0"
        );
        assert_eq!(pass(&Filters { hosts: vec!["elsewhere".to_owned()], ..Filters::default() }), "");
        assert_eq!(
            pass(&Filters { tenants: vec!["ada".to_owned()], ..Filters::default() }).split(' ').count(),
            8
        );
    }
}
