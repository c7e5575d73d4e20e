//! From a preset and what was chosen to a roster. Pure: nothing is written before all of it is right.

use fleet_domain::roster::{Agent, BUILT_IN_RUNTIMES, Roster, RosterError, floor, write};
use fleet_domain::{RuntimeName, SocketName, text};
use fleet_framework::presets::Preset;

use crate::error::{Code, Failure};

/// What a fleet is made of besides its preset. `None` leaves what the preset says.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Choices {
    /// Empty is the default server.
    pub(super) socket: Option<String>,
    pub(super) working_directory: Option<String>,
    /// Agents that are left out.
    pub(super) without: Vec<String>,
    /// By agent, or by runtime of the preset: which runtime instead.
    pub(super) runtimes: Vec<(String, String)>,
    /// By agent or runtime: which account. An empty name is everybody.
    pub(super) accounts: Vec<(String, String)>,
    /// Which of these are paid by use.
    pub(super) api: Vec<String>,
    /// By agent: its own work directory.
    pub(super) directories: Vec<(String, String)>,
}

/// A preset, shipped or a file of the user's own.
#[derive(Debug, Clone)]
pub(super) struct Chosen {
    /// As it is shown.
    pub(super) name: String,
    pub(super) text: String,
    /// False where the floor need not be.
    pub(super) floor: bool,
}

impl From<&Preset> for Chosen {
    fn from(preset: &Preset) -> Self {
        Self { name: preset.name.to_owned(), text: preset.text.to_owned(), floor: preset.floor }
    }
}

impl Chosen {
    /// The roster as it stands in the preset.
    pub(super) fn roster(&self) -> Result<Roster, Failure> {
        Roster::parse(&self.text).map_err(|error: RosterError| {
            Failure::new(Code::Failure, format!("preset {} is no roster:\n{error}", self.name))
                .next("nothing was written; mend it, or choose another preset")
        })
    }

    /// The comments that stand above each agent.
    fn about(&self, name: &str) -> Option<String> {
        let lines: Vec<&str> = self.text.lines().map(str::trim).collect();
        let at = lines.iter().position(|line| line.strip_prefix("- name:").map(str::trim) == Some(name))?;
        let above = lines[..at].iter().rev().map_while(|line| line.strip_prefix('#').map(str::trim));
        let mut above: Vec<&str> = above.collect();
        above.reverse();
        Some(above.join("\n")).filter(|text| !text.is_empty())
    }
}

/// The roster's text.
///
/// # Errors
/// What is wrong with the preset or the choices, or that the fleet would not be whole.
pub(super) fn compose(preset: &Chosen, choices: &Choices) -> Result<String, Failure> {
    let mut roster = preset.roster()?;
    let from_preset = roster.clone();
    leave_out(&mut roster, &choices.without)?;
    if let Some(socket) = &choices.socket {
        roster.tmux.socket_name = SocketName::new(if socket == "default" { "" } else { socket });
    }
    if let Some(directory) = &choices.working_directory {
        roster.defaults.working_directory = directory.clone();
    }
    apply(&mut roster, &from_preset, "--runtime", &choices.runtimes, |agent, runtime| {
        change_runtime(agent, runtime);
    })?;
    apply(&mut roster, &from_preset, "--account", &choices.accounts, |agent, account| {
        agent.account = Some(account.to_owned()).filter(|account| !account.is_empty());
    })?;
    for (name, directory) in &choices.directories {
        let known = names(&roster);
        let agent = roster.agents.iter_mut().find(|agent| agent.name.as_str() == name);
        let agent = agent.ok_or_else(|| nobody("--directory", name, &known))?;
        agent.working_directory = Some(directory.clone());
    }
    if preset.floor {
        floor::check(&roster.agents).map_err(|broken| {
            Failure::new(Code::Refused, format!("preset {}: {broken}", preset.name))
                .next("nothing was written; keep one orchestrator and an enhancer")
        })?;
    }
    let header = format!(
        "yaml-language-server: $schema=roster.schema.json\nYour fleet, from preset {}. This file is yours: no update touches it.\n`fleet add` and `fleet remove` keep its comments; after a change by hand: fleet up",
        preset.name
    );
    let text = write::write(&roster, &header, |name| preset.about(name));
    // What was chosen must be a roster too: a bad socket is told as one in the file would be.
    Roster::parse(&text).map(|_| text).map_err(|error| {
        Failure::new(Code::Usage, format!("with these choices it is no roster:\n{error}"))
            .next("nothing was written")
    })
}

fn names(roster: &Roster) -> Vec<String> {
    roster.agents.iter().map(|agent| agent.name.to_string()).collect()
}

fn leave_out(roster: &mut Roster, without: &[String]) -> Result<(), Failure> {
    for name in without {
        if roster.agent(name).is_none() {
            return Err(nobody("--without", name, &names(roster)));
        }
        roster.agents.retain(|agent| agent.name.as_str() != name);
    }
    if roster.agents.is_empty() {
        return Err(Failure::new(Code::Usage, "no agent is left").next("leave out fewer"));
    }
    Ok(())
}

fn apply(
    roster: &mut Roster,
    preset: &Roster,
    flag: &str,
    pairs: &[(String, String)],
    change: impl Fn(&mut Agent, &str),
) -> Result<(), Failure> {
    for (to, value) in pairs {
        let mut found = false;
        for agent in &mut roster.agents {
            let before = preset.agent(agent.name.as_str()).map_or("", |agent| agent.runtime.as_str());
            if to.is_empty() || agent.name.as_str() == to || before == to {
                change(agent, value);
                found = true;
            }
        }
        if !found {
            return Err(nobody(flag, to, &names(roster)));
        }
    }
    Ok(())
}

/// A model is the runtime's own: another runtime would not know it.
fn change_runtime(agent: &mut Agent, runtime: &str) {
    if agent.runtime.as_str() != runtime {
        agent.runtime = RuntimeName::new(runtime);
        agent.model_hint = None;
    }
}

fn nobody(flag: &str, name: &str, known: &[String]) -> Failure {
    let near = text::nearest(name, known.iter().map(String::as_str).chain(BUILT_IN_RUNTIMES));
    let near = near.map(|near| format!("; did you mean {near}?")).unwrap_or_default();
    let shown = text::clean(name, 60);
    Failure::new(Code::Usage, format!("{flag} {shown}: the preset has no such agent or runtime{near}"))
        .next(format!("its agents are {}", known.join(", ")))
}

#[cfg(test)]
mod tests {
    use fleet_framework::presets;

    use super::*;

    fn coding() -> Chosen {
        presets::named("coding").unwrap().into()
    }

    fn pairs(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
        pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
    }

    #[test]
    fn without_choices_the_roster_is_the_presets() {
        for preset in presets::ALL {
            let chosen = Chosen::from(&preset);
            let text = compose(&chosen, &Choices::default()).unwrap();
            assert_eq!(Roster::parse(&text).unwrap(), chosen.roster().unwrap(), "{}", preset.name);
        }
        insta::assert_snapshot!(compose(&coding(), &Choices::default()).unwrap());
    }

    #[test]
    fn choices_are_taken_by_agent_and_by_runtime() {
        let choices = Choices {
            socket: Some("default".to_owned()),
            working_directory: Some("~/code".to_owned()),
            without: vec!["coder1".to_owned()],
            runtimes: pairs(&[("pi", "codex"), ("coder0", "opencode")]),
            accounts: pairs(&[("", "main"), ("claude", "max")]),
            api: Vec::new(),
            directories: pairs(&[("coder0", "~/app")]),
        };
        let roster = Roster::parse(&compose(&coding(), &choices).unwrap()).unwrap();
        let told: Vec<_> = roster
            .agents
            .iter()
            .map(|agent| (agent.name.as_str(), agent.runtime.as_str(), agent.account.as_deref().unwrap()))
            .collect();
        assert_eq!(
            told,
            [
                ("orchestrator", "claude", "max"),
                ("enhancer", "claude", "max"),
                ("coder0", "opencode", "main"),
                ("reviewer", "codex", "main")
            ]
        );
        assert!(roster.tmux.socket_name.is_default());
        assert_eq!(roster.agents[2].working_directory.as_deref(), Some("~/app"));
        assert_eq!(roster.agents[3].model_hint, None);
    }

    #[test]
    fn what_breaks_the_floor_or_is_no_roster_is_refused() {
        let refused = |preset: &Chosen, choices: Choices| compose(preset, &choices).unwrap_err();
        let error =
            refused(&coding(), Choices { without: vec!["enhancer".to_owned()], ..Choices::default() });
        assert_eq!(error.code, Code::Refused);
        assert!(error.message.contains("this one has 1 and 0"), "{error}");
        let error = refused(&coding(), Choices { socket: Some("../x".to_owned()), ..Choices::default() });
        assert!(error.message.contains("socket name"), "{error}");
        let error = refused(&coding(), Choices { without: vec!["codr0".to_owned()], ..Choices::default() });
        assert!(error.message.contains("did you mean coder0?"), "{error}");
        let error = refused(&coding(), Choices { runtimes: pairs(&[("pi", "vim")]), ..Choices::default() });
        assert!(error.message.contains("`vim` is not a runtime"), "{error}");
        let own =
            Chosen { name: "own.yaml".to_owned(), text: "version: 1\nagents: x\n".to_owned(), floor: true };
        assert!(refused(&own, Choices::default()).message.contains("line 2"), "{own:?}");
    }
}
