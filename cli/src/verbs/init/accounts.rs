//! The accounts that a new roster names, as `fleet/budget.yaml` wants them. Pure, but for the time zone of this machine.

use fleet_domain::budget::config::Config;
use fleet_domain::budget::read::parse;
use fleet_domain::limits::provider_of;
use fleet_domain::roster::{Agent, Roster};

use crate::clock;
use crate::error::{Code, Failure};

const HEADER: &str = "\
# The accounts that your fleet spends from. This file is yours: no update touches it.
# Nothing is held back by it; windows, ceilings and `enforce: true` do so: see `fleet budget --help`.
version: 1
accounts:
";

/// One line of `accounts`.
fn line(name: &str, provider: &str, api: bool) -> String {
    let kind = if api { "api" } else { "subscription" };
    format!("  - {{name: {}, provider: {}, kind: {kind}}}\n", word(name), word(provider))
}

/// As YAML reads it back.
fn word(text: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
    if text.starts_with(|c: char| c.is_ascii_alphabetic()) && text.chars().all(plain) {
        return text.to_owned();
    }
    serde_json::Value::from(text).to_string()
}

/// Whose account it is, by who uses it: the runtime's own provider, else the model's.
fn provider(agent: &Agent) -> String {
    let hint = agent.model_hint.as_deref();
    let told = || Some(hint?.split_once('/')?.0.to_owned());
    let known = provider_of(agent.runtime.as_str(), hint).map(str::to_owned);
    known.or_else(told).unwrap_or_else(|| agent.runtime.to_string())
}

/// Each account of the roster once, with its line.
fn lines(roster: &Roster, api: &[String]) -> Vec<(String, String)> {
    let mut lines: Vec<(String, String)> = Vec::new();
    for agent in &roster.agents {
        let Some(name) = agent.account.as_ref() else { continue };
        if !lines.iter().any(|(known, _)| known == name) {
            lines.push((name.clone(), line(name, &provider(agent), api.contains(name))));
        }
    }
    lines
}

/// The budget's text; `None` where the roster names no account.
///
/// # Errors
/// When a name is none for an account, or `api` names one that no agent spends from.
pub(super) fn budget(roster: &Roster, api: &[String]) -> Result<Option<String>, Failure> {
    let lines = lines(roster, api);
    let known: Vec<&str> = lines.iter().map(|(name, _)| name.as_str()).collect();
    if let Some(stray) = api.iter().find(|name| !known.contains(&name.as_str())) {
        let shown = fleet_domain::text::clean(stray, 60);
        let next = format!("nothing was written; name it too: --account {shown}");
        return Err(Failure::new(Code::Usage, format!("--api {shown}: no agent spends from it")).next(next));
    }
    if lines.is_empty() {
        return Ok(None);
    }
    let text = lines.into_iter().fold(HEADER.to_owned(), |text, (_, line)| text + &line);
    read(&text).map_err(|problems| {
        Failure::new(Code::Usage, format!("with these accounts it is no budget:\n{problems}"))
            .next("nothing was written; choose other names")
    })?;
    Ok(Some(text))
}

/// The lines that a budget which is there lacks; none where it cannot be read, which `fleet budget` tells.
pub(super) fn lacking(present: &str, roster: &Roster, api: &[String]) -> Vec<String> {
    let Ok(config) = read(present) else { return Vec::new() };
    let has = |name: &str| config.accounts.iter().any(|account| account.name == name);
    lines(roster, api).into_iter().filter(|(name, _)| !has(name)).map(|(_, line)| line).collect()
}

fn read(text: &str) -> Result<Config, String> {
    let zones = |name: &str| jiff::tz::TimeZone::get(name).ok();
    parse(text, &clock::zone(), &zones, clock::now().wall)
        .map_err(|problems| problems.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn roster(agents: &str) -> Roster {
        Roster::parse(&format!("version: 1\nagents:\n{agents}")).unwrap()
    }

    #[test]
    fn each_account_stands_once_with_its_provider_and_kind() {
        let roster = roster(
            "  - {name: a, runtime: claude, account: max}\n  - {name: b, runtime: claude, account: max}\n  \
             - {name: c, runtime: pi, model_hint: 'openai-codex/gpt-5.5:high', account: key-1}\n  \
             - {name: d, runtime: pi, model_hint: groq/x, account: 7up}\n  - {name: e, runtime: codex}\n",
        );
        let text = budget(&roster, &["key-1".to_owned()]).unwrap().unwrap();
        insta::assert_snapshot!(text);
        let config = read(&text).unwrap();
        assert_eq!(config.accounts.len(), 3);
        assert!(!config.enforce, "a new budget holds nothing back");
        assert_eq!(lacking(&text, &roster, &[]), Vec::<String>::new());
        let lacks = lacking("version: 1\naccounts: [{name: max, provider: anthropic}]\n", &roster, &[]);
        assert!(lacks.len() == 2 && lacks[0].contains("key-1"), "{lacks:?}");
    }

    #[test]
    fn no_account_is_no_budget_and_a_bad_one_is_refused() {
        let none = roster("  - {name: a, runtime: claude}\n");
        assert!(budget(&none, &[]).unwrap().is_none());
        assert_eq!(budget(&none, &["max".to_owned()]).unwrap_err().code, Code::Usage);
        let bad = roster("  - {name: a, runtime: claude, account: 'a b'}\n");
        assert!(budget(&bad, &[]).unwrap_err().message.contains("without blanks"));
    }
}
