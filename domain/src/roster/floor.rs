//! The floor under a fleet: one who leads and one who improves. Without the first nobody gives out work, without the
//! second nothing that goes wrong twice is mended.

use std::fmt;

use super::{Agent, Roster};

pub const ORCHESTRATOR: &str = "orchestrator";
pub const ENHANCER: &str = "enhancer";

/// How a fleet breaks the floor.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub struct Broken {
    pub orchestrators: usize,
    pub enhancers: usize,
}

impl fmt::Display for Broken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "a fleet has exactly one agent of class {ORCHESTRATOR} and at least one of class {ENHANCER}; this one has {} and {}",
            self.orchestrators, self.enhancers
        )
    }
}

/// Why an agent may not leave.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{name} is the fleet's only {class}: without one the fleet is not whole")]
pub struct Sole {
    pub name: String,
    pub class: &'static str,
}

/// Whether these agents stand on the floor.
///
/// # Errors
/// How many there are of the classes that count.
pub fn check(agents: &[Agent]) -> Result<(), Broken> {
    let count = |class: &str| agents.iter().filter(|agent| agent.class == class).count();
    let broken = Broken { orchestrators: count(ORCHESTRATOR), enhancers: count(ENHANCER) };
    if broken.orchestrators == 1 && broken.enhancers > 0 { Ok(()) } else { Err(broken) }
}

/// Whether the agent of this name may leave; one that is not there may.
///
/// # Errors
/// When it is the sole orchestrator or the sole enhancer.
pub fn may_leave(roster: &Roster, name: &str) -> Result<(), Sole> {
    let Some(agent) = roster.agent(name) else { return Ok(()) };
    for class in [ORCHESTRATOR, ENHANCER] {
        let others = roster.agents.iter().filter(|other| other.class == class && other.name != agent.name);
        if agent.class == class && others.count() == 0 {
            return Err(Sole { name: name.to_owned(), class });
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn roster(classes: &[&str]) -> Roster {
        let agents: Vec<String> = classes
            .iter()
            .enumerate()
            .map(|(index, class)| format!("{{name: a{index}, runtime: pi, class: {class}}}"))
            .collect();
        Roster::parse(&format!("version: 1\nagents: [{}]", agents.join(", "))).unwrap()
    }

    #[test]
    fn one_leads_and_at_least_one_improves() {
        let check = |classes: &[&str]| super::check(&roster(classes).agents);
        assert_eq!(check(&["orchestrator", "enhancer"]), Ok(()));
        assert_eq!(check(&["enhancer", "worker", "orchestrator", "enhancer"]), Ok(()));
        assert_eq!(check(&[]), Err(Broken { orchestrators: 0, enhancers: 0 }));
        assert_eq!(
            check(&["orchestrator", "orchestrator", "enhancer"]),
            Err(Broken { orchestrators: 2, enhancers: 1 })
        );
        assert!(check(&["orchestrator"]).unwrap_err().to_string().ends_with("this one has 1 and 0"));
    }

    #[test]
    fn the_sole_ones_stay_and_everybody_else_may_go() {
        let fleet = roster(&["orchestrator", "enhancer", "worker"]);
        assert_eq!(may_leave(&fleet, "a0").unwrap_err().class, "orchestrator");
        assert_eq!(may_leave(&fleet, "a1").unwrap_err().class, "enhancer");
        assert!(may_leave(&fleet, "a2").is_ok() && may_leave(&fleet, "nobody").is_ok());
        assert!(may_leave(&roster(&["orchestrator", "enhancer", "enhancer"]), "a1").is_ok());
    }

    proptest! {
        #[test]
        fn who_may_leave_a_whole_fleet_leaves_a_whole_one(
            classes in proptest::collection::vec(prop_oneof![Just("orchestrator"), Just("enhancer"), Just("worker")], 1..6),
            who in any::<prop::sample::Index>(),
        ) {
            let mut fleet = roster(&classes);
            prop_assume!(check(&fleet.agents).is_ok());
            let name = fleet.agents[who.index(classes.len())].name.to_string();
            let may = may_leave(&fleet, &name).is_ok();
            fleet.agents.retain(|agent| agent.name.as_str() != name);
            prop_assert_eq!(may, check(&fleet.agents).is_ok());
        }
    }
}
