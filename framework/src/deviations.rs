//! Where an agent's files on this machine are not what roster and framework say: its environment, its unit, the tmux
//! server that it was started on, and whether it was left down.

use std::path::Path;

use fleet_domain::agent_env::{differences, values, wanted};
use fleet_domain::drift::{Deviation, Kind};
use fleet_domain::roster::{Agent, Roster};
use fleet_domain::{SocketName, text};

use crate::agents::{read_env, why_quarantined};
use crate::home::Home;
use crate::units::{self, Status};

const SOCKET: &str = "MOSAIC_TMUX_SOCKET";

/// What holds for every agent of the host: units in place that are not the shipped ones, by name.
#[must_use]
pub fn units(home: &Home, bin: &Path) -> Vec<String> {
    let Ok(plan) = units::plan(home, bin) else { return Vec::new() };
    let changed = plan.iter().filter(|file| file.status == Status::Changed);
    changed.map(|file| file.unit().to_owned()).collect()
}

/// What holds for one agent. `units` is what [`units`] found. Files that cannot be read are no deviation: `fleet
/// doctor` tells of them.
#[must_use]
pub fn of(home: &Home, roster: &Roster, agent: &Agent, units: &[String]) -> Vec<Deviation> {
    let name = agent.name.as_str();
    let mut found = Vec::new();
    let mut add = |kind, detail: String| found.push(Deviation { kind, detail });
    if let Some(why) = why_quarantined(home, name) {
        add(Kind::Quarantined, why);
    }
    if let Ok(Some(env)) = read_env(home, name) {
        let (mut differ, socket) = (differences(&env, &wanted(roster, agent)), roster.socket_of(agent));
        if let Some(at) = differ.iter().position(|variable| *variable == SOCKET) {
            let told = values(&env).into_iter().rev().find(|(name, _)| name == SOCKET);
            if let Some((_, told)) = told {
                differ.remove(at);
                let told = SocketName::new(text::clean(&told, 80));
                add(
                    Kind::Socket,
                    format!("it was set up for socket {}, the roster says {}", told.shown(), socket.shown()),
                );
            }
        }
        if !differ.is_empty() {
            add(Kind::Env, format!("its environment file differs from the roster in {}", differ.join(", ")));
        }
    }
    let own: Vec<&str> = units.iter().map(String::as_str).filter(|unit| unit.contains('@')).collect();
    if !own.is_empty() {
        add(Kind::Unit, format!("{} in place is not the shipped one", own.join(", ")));
    }
    found
}

#[cfg(test)]
mod tests {
    use fleet_domain::agent_env::merged;

    use super::*;
    use crate::agents::{quarantine, write_env};

    #[test]
    fn each_kind_has_its_cause_and_no_value_is_told() {
        let dir = tempfile::tempdir().unwrap();
        let home = Home::from_vars(|name| (name == "HOME").then(|| dir.path().to_owned())).unwrap();
        let roster = |socket: &str, model: &str| {
            Roster::parse(&format!(
                "version: 1\ntmux: {{socket_name: {socket}}}\nagents: [{{name: a, runtime: pi, model_hint: {model}}}]"
            ))
            .unwrap()
        };
        let now = roster("one", "gpt");
        assert_eq!(of(&home, &now, &now.agents[0], &[]), []);
        write_env(&home, "a", &merged(None, "a", &wanted(&now, &now.agents[0]))).unwrap();
        assert_eq!(of(&home, &now, &now.agents[0], &["mosaic-collector.service".to_owned()]), []);

        quarantine(&home, "a", "it ended 5 times").unwrap();
        let later = roster("two", "secret-model");
        let found = of(&home, &later, &later.agents[0], &["mosaic-agent@.service".to_owned()]);
        let said: Vec<(&str, &str)> =
            found.iter().map(|found| (found.kind.as_str(), found.detail.as_str())).collect();
        assert_eq!(
            said,
            [
                ("quarantined", "it ended 5 times"),
                ("socket", "it was set up for socket one, the roster says two"),
                ("env", "its environment file differs from the roster in MOSAIC_AGENT_MODEL"),
                ("unit", "mosaic-agent@.service in place is not the shipped one")
            ]
        );
    }
}
