//! What an answer goes by: whose task it is, why something was passed over, and what may change while a place is held.

use std::time::Duration;

use super::tests::{ask, gate, noon, said};
use super::*;
use crate::budget::decision::{Ask, Decision, Reason, Stage};

const THREE: &str = "version: 1
accounts:
  - {name: max-1, provider: anthropic, classes: [implementer], concurrency: 1}
  - {name: max-2, provider: anthropic, agents: [lead], concurrency: 1}
  - {name: api-1, provider: openai, models: [codex], concurrency: 1}
ceilings:
  - {class: reviewer, per: day, hard: 1M}
";

fn rostered(gate: &mut Gate, agent: &str, class: &str, account: Option<&str>) {
    let entry = Rostered { class: class.to_owned(), account: account.map(str::to_owned) };
    gate.rostered([(agent.to_owned(), entry)].into(), noon());
}

fn of(agent: &str, tokens: u64) -> Ask {
    Ask { agent: agent.to_owned(), class: String::new(), ..ask("", tokens) }
}

#[test]
fn an_agent_is_of_the_class_that_its_roster_says() {
    let mut gate = gate(THREE);
    rostered(&mut gate, "r1", "reviewer", None);
    let verdict = gate.ask(&of("r1", 2_000_000), false, noon()).unwrap();
    assert_eq!((verdict.decision, verdict.reason), (Decision::Refuse, Reason::TooLarge));
    let verdict = gate.admit(&of("r1", 500_000), false, noon()).unwrap();
    assert_eq!(gate.task(&verdict.task.unwrap()).unwrap().class, "reviewer");
    rostered(&mut gate, "c1", "implementer", None);
    assert_eq!(said(&mut gate, &of("c1", 5), noon()).3.as_deref(), Some("max-1"));
}

#[test]
fn an_account_that_is_wanted_says_which_model_is_meant() {
    let mut gate = gate(THREE);
    let wanted = Ask { account: Some("api-1".into()), ..ask("", 5) };
    assert_eq!(
        said(&mut gate, &wanted, noon()),
        (Decision::Admit, Reason::Fits, "codex".into(), Some("api-1".into()))
    );
    assert_eq!(said(&mut gate, &of("lead", 5), noon()).3.as_deref(), Some("max-2"));
    // Nobody but api-1 serves whom no account names.
    let mut gate = self::gate(THREE);
    assert_eq!(
        said(&mut gate, &of("x", 5), noon()),
        (Decision::Admit, Reason::Fits, "codex".into(), Some("api-1".into()))
    );
    let mut gate = self::gate(THREE);
    rostered(&mut gate, "y", "other", Some("max-2"));
    assert_eq!(said(&mut gate, &of("y", 5), noon()).3.as_deref(), Some("max-2"), "the roster names it");
}

#[test]
fn a_downgrade_says_what_was_passed_over_and_why() {
    let mut gate = gate(THREE);
    let opus = ask("opus", 5);
    assert_eq!(said(&mut gate, &opus, noon()).0, Decision::Admit);
    let verdict = gate.admit(&opus, false, noon()).unwrap();
    assert_eq!((verdict.decision, verdict.reason), (Decision::Downgrade, Reason::Concurrency));
    assert!(verdict.figures[0].what.contains("max-1"), "{:?}", verdict.figures);
    // Who has to wait waits for what can be had.
    let verdict = gate.admit(&opus, false, noon()).unwrap();
    assert_eq!((verdict.decision, verdict.model.as_str()), (Decision::Queue, "codex"));
    assert_eq!(verdict.account.as_deref(), Some("api-1"));
}

#[test]
fn one_account_instead_of_another_is_no_more_than_routing() {
    let mut gate = gate(THREE);
    let everybodys = Config {
        accounts: gate
            .config()
            .accounts
            .iter()
            .cloned()
            .map(|one| crate::budget::config::Account {
                agents: Default::default(),
                classes: Default::default(),
                ..one
            })
            .collect(),
        ..gate.config().clone()
    };
    gate.configure(Some(everybodys), noon());
    let first = said(&mut gate, &ask("opus", 5), noon());
    let second = said(&mut gate, &ask("opus", 5), noon());
    assert_eq!(
        (first.0, first.1, second.0, second.1),
        (Decision::Admit, Reason::Fits, Decision::Admit, Reason::Fits)
    );
    assert_ne!(first.3, second.3, "one task at once each");
}

#[test]
fn nothing_that_is_held_starts_while_paused() {
    let mut gate = gate(THREE);
    let named = Ask { task: "job".into(), ..ask("opus", 5) };
    assert_eq!(said(&mut gate, &named, noon()).0, Decision::Admit);
    let paused = gate.admit(&named, true, noon()).unwrap();
    assert_eq!((paused.decision, paused.reason), (Decision::Refuse, Reason::Paused));
    assert_eq!(gate.task("job").unwrap().stage, Stage::Admitted, "it keeps its place");
    gate.start("job", None, noon()).unwrap();
    assert_eq!(gate.admit(&named, true, noon()).unwrap().decision, Decision::Admit, "it is under way");
}

#[test]
fn another_budget_says_anew_how_long_a_place_is_held() {
    let minutes = |minutes: u64| noon().plus(Duration::from_secs(minutes * 60));
    let mut gate = gate(&format!("{THREE}hold: 5m\n"));
    let named = |name: &str| Ask { task: name.into(), ..ask("", 5) };
    gate.admit(&named("job"), false, noon()).unwrap();
    gate.admit(&named("idle"), false, noon()).unwrap();
    let longer = self::gate(&format!("{THREE}hold: 20m\n")).config().clone();
    gate.configure(Some(longer), noon());
    gate.start("job", None, minutes(1)).unwrap();
    assert_eq!(gate.expire(minutes(10)), Vec::<String>::new());
    assert_eq!((gate.held(), gate.tasks().count()), (2, 2));
    assert_eq!(gate.task("job").unwrap().stage, Stage::Started);
    assert_eq!(gate.expire(minutes(20)), ["idle"]);
}

#[test]
fn todays_allowance_is_of_the_day_in_the_budgets_zone() {
    let yaml = "version: 1\naccounts:\n  - {name: a, provider: p, windows: [{name: 7d, every: 7d, reset_at: 2026-11-24T12:00, limit: 7M}]}\n";
    let east = jiff::tz::TimeZone::fixed(jiff::tz::offset(12));
    let zones = |_: &str| Some(jiff::tz::TimeZone::fixed(jiff::tz::offset(12)));
    let left = |yaml: &str, reader: &jiff::tz::TimeZone| {
        let config = crate::budget::read::parse(yaml, &jiff::tz::TimeZone::UTC, &zones, noon()).unwrap();
        let mut gate = Gate::default();
        gate.configure(Some(config), noon());
        let window = gate.overview(reader, noon()).windows.remove(0);
        // Of the same window, whoever looks: the file's own clock says when it resets.
        (window.standing.stretch.unwrap().ends, window.pace.unwrap().allowance)
    };
    let utc = jiff::tz::TimeZone::UTC;
    assert_ne!(left(yaml, &utc).1, left(yaml, &east).1, "no zone is named: the reader's");
    let named = format!("{yaml}zone: Pacific/Auckland\n");
    assert_eq!(left(&named, &utc), left(&named, &east));
}
