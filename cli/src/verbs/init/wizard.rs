//! The questions of `fleet init`, one after the other. Enter takes what stands in brackets.

use std::io::{self, BufRead as _};

use fleet_domain::roster::{BUILT_IN_RUNTIMES, Roster};
use fleet_framework::presets;

use super::choice::{Choices, Chosen, compose};
use crate::error::{Code, Failure};
use crate::output;

/// Whoever answers.
pub(super) trait Ask {
    /// One line, without its end; `None` where nothing will come any more.
    fn ask(&mut self, question: &str) -> Result<Option<String>, Failure>;
    fn tell(&mut self, text: &str) -> Result<(), Failure>;
}

/// The person at the terminal.
pub(super) struct Terminal;

impl Ask for Terminal {
    fn ask(&mut self, question: &str) -> Result<Option<String>, Failure> {
        output::data(question)?;
        let mut line = String::new();
        match io::stdin().lock().read_line(&mut line) {
            Ok(0) => Ok(None),
            Ok(_) => Ok(Some(line.trim_end_matches(['\n', '\r']).to_owned())),
            Err(error) => Err(Failure::new(Code::Failure, format!("stdin: {error}"))),
        }
    }

    fn tell(&mut self, text: &str) -> Result<(), Failure> {
        output::data(text)
    }
}

/// An answer, or what stands in brackets; the end of the input is the end of the wizard.
fn answer(ask: &mut dyn Ask, question: &str, default: &str) -> Result<String, Failure> {
    let brackets = if default.is_empty() { String::new() } else { format!(" [{default}]") };
    let line = ask.ask(&format!("{question}{brackets}: "))?.ok_or_else(ended)?;
    let line = line.trim();
    Ok(if line.is_empty() { default.to_owned() } else { line.to_owned() })
}

fn ended() -> Failure {
    Failure::new(Code::Interrupted, "the input ended; nothing was written")
}

pub(super) fn yes(ask: &mut dyn Ask, question: &str, default: bool) -> Result<bool, Failure> {
    loop {
        let line = answer(ask, question, if default { "Y/n" } else { "y/N" })?;
        match line.to_ascii_lowercase().as_str() {
            "y" | "yes" => return Ok(true),
            "n" | "no" => return Ok(false),
            "y/n" => return Ok(default),
            _ => ask.tell("  y or n, please\n")?,
        }
    }
}

/// Which preset, by number or name.
pub(super) fn preset(ask: &mut dyn Ask) -> Result<&'static presets::Preset, Failure> {
    const SUGGESTED: &str = "coding";
    ask.tell("What is the fleet for?\n")?;
    for (index, preset) in presets::ALL.iter().enumerate() {
        ask.tell(&format!("  {} {:<13} {}\n", index + 1, preset.name, preset.about))?;
    }
    loop {
        let line = answer(ask, "Preset, by number or name", SUGGESTED)?;
        let by_number =
            line.parse::<usize>().ok().and_then(|number| presets::ALL.get(number.checked_sub(1)?));
        if let Some(preset) = by_number.or_else(|| presets::named(&line)) {
            return Ok(preset);
        }
        let near = fleet_domain::text::nearest(&line, presets::ALL.iter().map(|preset| preset.name));
        let near = near.map(|near| format!("; did you mean {near}?")).unwrap_or_default();
        ask.tell(&format!("  there is no such preset{near}\n"))?;
    }
}

/// Asks for what the flags left open. Wrong answers are told and asked for again.
pub(super) fn choices(
    ask: &mut dyn Ask,
    preset: &Chosen,
    given: Choices,
    found: &[&str],
) -> Result<Choices, Failure> {
    let roster = preset.roster()?;
    let mut choices = given;
    if choices.without.is_empty() {
        agents(ask, preset, &roster, &mut choices)?;
    }
    if choices.runtimes.is_empty() {
        runtimes(ask, preset, &roster, &mut choices, found)?;
    }
    if choices.working_directory.is_none() {
        let default = roster.defaults.working_directory.clone();
        retry(ask, preset, &mut choices, "Work directory of the agents", &default, |choices, line| {
            choices.working_directory = Some(line).filter(|line| *line != default);
        })?;
    }
    if choices.socket.is_none() {
        let default = roster.tmux.socket_name.shown().to_owned();
        let question = "tmux socket (its own server; `default` is the one you use yourself)";
        retry(ask, preset, &mut choices, question, &default, |choices, line| {
            choices.socket = Some(line).filter(|line| *line != default);
        })?;
    }
    if choices.accounts.is_empty() {
        accounts(ask, preset, &mut choices)?;
    }
    Ok(choices)
}

/// Asks until the roster with the answer in it is one.
fn retry(
    ask: &mut dyn Ask,
    preset: &Chosen,
    choices: &mut Choices,
    question: &str,
    default: &str,
    take: impl Fn(&mut Choices, String),
) -> Result<(), Failure> {
    loop {
        let line = answer(ask, question, default)?;
        let mut tried = choices.clone();
        take(&mut tried, line);
        match compose(preset, &tried) {
            Ok(_) => {
                *choices = tried;
                return Ok(());
            }
            Err(failure) => ask.tell(&format!("  {}\n", failure.message.replace('\n', "\n  ")))?,
        }
    }
}

fn agents(ask: &mut dyn Ask, preset: &Chosen, roster: &Roster, choices: &mut Choices) -> Result<(), Failure> {
    ask.tell("\nIts agents:\n")?;
    for agent in &roster.agents {
        ask.tell(&format!("  {:<15} {:<9} {}\n", agent.name.as_str(), agent.runtime.as_str(), agent.class))?;
    }
    retry(ask, preset, choices, "Leave any out? Names, or Enter for none", "", |choices, line| {
        choices.without = line.split([',', ' ']).filter(|name| !name.is_empty()).map(str::to_owned).collect();
    })
}

/// Only for those that are not on this machine.
fn runtimes(
    ask: &mut dyn Ask,
    preset: &Chosen,
    roster: &Roster,
    choices: &mut Choices,
    found: &[&str],
) -> Result<(), Failure> {
    let known = if found.is_empty() { "none of them".to_owned() } else { found.join(", ") };
    ask.tell(&format!("\nRuntimes on this machine: {known} (of {})\n", BUILT_IN_RUNTIMES.join(", ")))?;
    for runtime in used(roster, choices) {
        if found.contains(&runtime.as_str()) {
            continue;
        }
        let default = found.first().map_or(runtime.as_str(), |first| *first).to_owned();
        let question = format!("{runtime} was not found. Run its agents with");
        retry(ask, preset, choices, &question, &default, |choices, line| {
            choices.runtimes.retain(|(from, _)| *from != runtime);
            if line != runtime {
                choices.runtimes.push((runtime.clone(), line));
            }
        })?;
    }
    Ok(())
}

fn accounts(ask: &mut dyn Ask, preset: &Chosen, choices: &mut Choices) -> Result<(), Failure> {
    let roster = Roster::parse(&compose(preset, choices)?)
        .map_err(|error| Failure::new(Code::Failure, error.to_string()))?;
    // By what the preset calls them, as the choice is.
    for runtime in used(&preset.roster()?, choices) {
        let runs = preset.roster()?.agents.into_iter().find(|agent| agent.runtime.as_str() == runtime);
        let now =
            runs.and_then(|agent| roster.agent(agent.name.as_str()).map(|agent| agent.runtime.to_string()));
        let question = format!(
            "Account that the {} agents spend from, a name of your choice, or Enter for none",
            now.unwrap_or_else(|| runtime.clone())
        );
        let known: Vec<String> = choices.accounts.iter().map(|(_, account)| account.clone()).collect();
        retry(ask, preset, choices, &question, "", |choices, line| {
            if !line.is_empty() {
                choices.accounts.push((runtime.clone(), line));
            }
        })?;
        let new = choices.accounts.last().map(|(_, account)| account.clone());
        if let Some(new) = new.filter(|new| !known.contains(new))
            && !yes(ask, &format!("Is {new} a subscription? n where it is paid by use"), true)?
        {
            choices.api.push(new);
        }
    }
    Ok(())
}

/// The preset's runtimes, but for those of agents that are left out; each once.
fn used(roster: &Roster, choices: &Choices) -> Vec<String> {
    let stays = |name: &str| !choices.without.iter().any(|left| left == name);
    let mut used = Vec::new();
    for agent in roster.agents.iter().filter(|agent| stays(agent.name.as_str())) {
        if !used.iter().any(|known| known == agent.runtime.as_str()) {
            used.push(agent.runtime.to_string());
        }
    }
    used
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Script {
        answers: Vec<&'static str>,
        told: String,
    }

    impl Script {
        fn new(answers: &[&'static str]) -> Self {
            Self { answers: answers.iter().rev().copied().collect(), told: String::new() }
        }
    }

    impl Ask for Script {
        fn ask(&mut self, question: &str) -> Result<Option<String>, Failure> {
            let answer = self.answers.pop();
            self.told.push_str(&format!("{question}{}\n", answer.unwrap_or("^D")));
            Ok(answer.map(str::to_owned))
        }

        fn tell(&mut self, text: &str) -> Result<(), Failure> {
            self.told.push_str(text);
            Ok(())
        }
    }

    fn coding() -> Chosen {
        presets::named("coding").unwrap().into()
    }

    #[test]
    fn enter_all_the_way_is_the_preset() {
        let mut script = Script::new(&["", "", "", "", "", ""]);
        let chosen = choices(&mut script, &coding(), Choices::default(), &["claude", "pi"]).unwrap();
        assert_eq!(chosen, Choices::default());
    }

    #[test]
    fn wrong_answers_are_told_and_asked_for_again() {
        let mut script = Script::new(&[
            "enhancer", "coder1", "vim", "codex", "~/code", "a b", "crew", "max", "", "key-1", "n",
        ]);
        let chosen = choices(&mut script, &coding(), Choices::default(), &["claude", "codex"]).unwrap();
        assert_eq!(chosen.without, ["coder1"]);
        assert_eq!(chosen.runtimes, [("pi".to_owned(), "codex".to_owned())]);
        let pair = |runtime: &str, account: &str| (runtime.to_owned(), account.to_owned());
        assert_eq!(chosen.accounts, [pair("claude", "max"), pair("pi", "key-1")]);
        assert_eq!(chosen.api, ["key-1"]);
        assert_eq!(
            (chosen.socket.as_deref(), chosen.working_directory.as_deref()),
            (Some("crew"), Some("~/code"))
        );
        insta::assert_snapshot!(script.told);
    }

    #[test]
    fn what_a_flag_said_is_not_asked() {
        let given = Choices {
            socket: Some("crew".to_owned()),
            working_directory: Some("~/x".to_owned()),
            without: vec!["coder1".to_owned()],
            runtimes: vec![("pi".to_owned(), "claude".to_owned())],
            accounts: vec![(String::new(), "main".to_owned())],
            api: Vec::new(),
            directories: Vec::new(),
        };
        let mut script = Script::new(&[]);
        assert_eq!(choices(&mut script, &coding(), given.clone(), &[]).unwrap(), given);
        assert_eq!(script.told, "");
    }

    #[test]
    fn presets_go_by_number_and_name_and_the_end_of_the_input_ends_it() {
        assert_eq!(preset(&mut Script::new(&["0", "9", "codin", "3"])).unwrap().name, "general");
        assert_eq!(preset(&mut Script::new(&["research"])).unwrap().name, "research");
        assert_eq!(preset(&mut Script::new(&[""])).unwrap().name, "coding");
        assert_eq!(preset(&mut Script::new(&["x"])).unwrap_err().code, Code::Interrupted);
        assert!(!yes(&mut Script::new(&["maybe", "n"]), "Write?", true).unwrap());
        assert!(yes(&mut Script::new(&[""]), "Write?", true).unwrap());
    }
}
