//! The fleet in one line: `12 agents on 1 host: 2 stuck, 1 dead, 6 working, 3 available`.

use std::collections::BTreeSet;

use fleet_domain::fleet::AgentView;
use fleet_domain::readiness::State;

use super::columns::style_of;
use super::grid::paint;
use super::is_agent;
use super::words::plural;

/// What needs a person first.
const ORDER: [State; 6] =
    [State::Stuck, State::Dead, State::Stale, State::Unknown, State::Working, State::Available];

pub fn line(shown: &[&AgentView], colour: bool) -> String {
    let agents: Vec<&&AgentView> = shown.iter().filter(|agent| is_agent(agent)).collect();
    let hosts: BTreeSet<_> = shown.iter().map(|agent| (&agent.key.tenant, &agent.key.host)).collect();
    let mut out = format!("{} on {}", plural(agents.len(), "agent"), plural(hosts.len(), "host"));
    let mut parts = ORDER.into_iter().filter_map(|state| {
        let count = agents.iter().filter(|agent| agent.state == state).count();
        (count > 0).then_some((state, count))
    });
    if let Some(first) = parts.next() {
        out.push_str(": ");
        for (place, (state, count)) in std::iter::once(first).chain(parts).enumerate() {
            if place > 0 {
                out.push_str(", ");
            }
            paint(&mut out, &format!("{count} {}", state.as_str()), style_of(state), colour);
        }
    }
    let others = shown.len() - agents.len();
    if others > 0 {
        out.push_str(&format!("; {}", plural(others, "other session")));
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::render::samples;

    #[test]
    fn the_fleet_in_one_line() {
        let fleet = samples::fleet();
        let shown: Vec<&AgentView> = fleet.iter().collect();
        let expected =
            "7 agents on 1 host: 2 stuck, 1 dead, 1 stale, 2 working, 1 available; 1 other session";
        assert_eq!(line(&shown, false), expected);
        assert_eq!(line(&[], false), "0 agents on 0 hosts");
        assert!(line(&shown, true).contains("\u{1b}["));
    }
}
