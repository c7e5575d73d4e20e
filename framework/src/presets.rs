//! The rosters that are shipped to begin with.

/// One shipped roster.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Preset {
    pub name: &'static str,
    /// What it is for, in a line.
    pub about: &'static str,
    pub text: &'static str,
    /// False where it may stand without an orchestrator and an enhancer.
    pub floor: bool,
}

macro_rules! preset {
    ($name:literal, $floor:literal, $about:literal) => {
        Preset {
            name: $name,
            about: $about,
            text: include_str!(concat!("../fleet/examples/", $name, ".yaml")),
            floor: $floor,
        }
    };
}

/// The smallest first.
pub const ALL: [Preset; 7] = [
    preset!("minimal", false, "one agent, to see that everything works"),
    preset!("local-canary", false, "three agents to try a fleet on this machine"),
    preset!("general", true, "one who leads, one who improves, one who does"),
    preset!("coding", true, "software: two coders and a reviewer"),
    preset!("research", true, "questions: two researchers and an analyst"),
    preset!("hybrid", true, "both: a coder, a researcher and a reviewer"),
    preset!("full-crew", true, "larger: six coders over two runtimes, three kinds of review"),
];

/// The preset of this name.
pub fn named(name: &str) -> Option<&'static Preset> {
    ALL.iter().find(|preset| preset.name == name)
}

#[cfg(test)]
mod tests {
    use fleet_domain::roster::{Persona, Roster, floor};

    use super::*;

    #[test]
    fn every_preset_is_a_roster_and_stands_on_the_floor_where_it_must() {
        for preset in ALL {
            let roster =
                Roster::parse(preset.text).unwrap_or_else(|error| panic!("{}: {error}", preset.name));
            assert_eq!(roster.tmux.socket_name.as_str(), "mosaic-fleet");
            assert_eq!(floor::check(&roster.agents).is_ok(), preset.floor, "{}", preset.name);
            assert!(preset.text.starts_with("# yaml-language-server: $schema=../roster.schema.json\n"));
            for agent in &roster.agents {
                let core = [floor::ORCHESTRATOR, floor::ENHANCER].contains(&agent.class.as_str());
                assert!(!core || agent.persistent_persona == Persona::Persistent, "{}", agent.name);
            }
        }
    }

    #[test]
    fn the_four_in_the_middle_ask_for_one_model() {
        for name in ["general", "coding", "research", "hybrid"] {
            let roster = Roster::parse(named(name).unwrap().text).unwrap();
            let pi: Vec<_> = roster.agents.iter().filter(|agent| agent.runtime.as_str() == "pi").collect();
            assert!(!pi.is_empty());
            for agent in pi {
                assert_eq!(agent.model_hint.as_deref(), Some("openai-codex/gpt-5.5:high"), "{}", agent.name);
            }
        }
    }
}
