use std::time::Duration;

use fleet_domain::budget::decision::{Ask, Reason, Verdict};
use fleet_domain::budget::gate::Gate;
use fleet_domain::budget::read::parse;
use fleet_domain::budget::standing::Fact;
use fleet_domain::price::Money;
use jiff::tz::TimeZone;

use super::*;
use crate::render::samples;

const YAML: &str = "version: 1
accounts:
  - {name: max-1, provider: anthropic, windows: [{name: 7d, every: 7d, reset_at: 2026-11-20T09:00:00Z, limit: 70M}]}
  - {name: api-1, provider: openai, kind: api, concurrency: 2}
ceilings: [{tenant: me, per: month, hard: 100M}, {account: max-1, per: day, hard: $9, soft: 50%}, {agent: '*', hard: 10M, concurrency: 2}]
";

fn gate() -> Gate {
    let now = samples::now();
    let mut gate = Gate::default();
    gate.configure(Some(parse(YAML, &TimeZone::UTC, &|_| None, now).unwrap()), now);
    gate.price([("opus".to_owned(), 1_000_000.0)].into());
    let mut payer = gate.payer("me", "coder0", "claude-opus-5", Some("max-1"));
    payer.class = "implementer".to_owned();
    for (minutes, tokens) in [(600, 3_000_000), (70, 2_000_000), (5, 6_000_000)] {
        let used = Used { tokens, dollars: Money(tokens * 1_000_000) };
        gate.used(&payer, None, (now.minus(Duration::from_secs(minutes * 60)), used), now);
    }
    let fact = Fact {
        used: Some(0.96),
        resets_at: Some(now.plus(Duration::from_secs(7_200))),
        at: now.minus(Duration::from_secs(40)),
    };
    gate.observe("max-1", "5h", Duration::from_secs(18_000), fact);
    gate
}

fn ask() -> Ask {
    let class = "implementer".to_owned();
    Ask {
        tenant: "me".to_owned(),
        class,
        model: "claude-opus-5".to_owned(),
        task: "job-1".to_owned(),
        estimate: Some(1_200_000),
        ..Ask::default()
    }
}

fn state(gate: &mut Gate) -> State {
    State {
        overview: gate.overview(&TimeZone::UTC, samples::now()),
        authorizations: Vec::new(),
        typical: Vec::new(),
        file: "~/.config/mosaic/fleet/budget.yaml".to_owned(),
        file_error: String::new(),
        paused: false,
        reading: false,
    }
}

#[test]
fn a_window_has_a_bar_with_the_mark_of_an_even_spread() {
    assert_eq!(bar(0.5, Some(0.25)), "[#####|####..........]");
    assert_eq!(bar(0.0, None), "[....................]");
    assert_eq!(bar(1.4, Some(1.0)), "[###################|]");
    let mut gate = gate();
    gate.admit(&ask(), false, samples::now()).unwrap();
    let (state, scene) = (state(&mut gate), samples::scene());
    insta::assert_snapshot!("budget_windows", windows(&state, &scene, None));
    insta::assert_snapshot!("budget_windows_narrow", windows(&state, &scene, Some(80)));
    insta::assert_snapshot!("budget_ceilings", ceilings(&state, &scene, None));
    insta::assert_snapshot!("budget_json", serde_json::to_string_pretty(&json::report(&state)).unwrap());
    let held: Vec<fleet_domain::budget::decision::Task> = gate.tasks().cloned().collect();
    insta::assert_snapshot!("budget_tasks", tasks::table(&held, &scene, None));
    insta::assert_snapshot!("budget_task_json", serde_json::to_string_pretty(&json::task(&held[0])).unwrap());
}

#[test]
fn a_decision_is_told_with_the_figures_that_decided() {
    let mut gate = gate();
    let scene = samples::scene();
    let told = gate.ask(&ask(), false, samples::now()).unwrap();
    insta::assert_snapshot!("budget_verdict", tasks::verdict(&told, &scene));
    let huge = Ask { estimate: Some(600_000_000), ..ask() };
    let told = gate.ask(&huge, false, samples::now()).unwrap();
    insta::assert_snapshot!("budget_verdict_refused", tasks::verdict(&told, &scene));
    insta::assert_snapshot!(
        "budget_verdict_json",
        serde_json::to_string_pretty(&json::verdict(&told)).unwrap()
    );
    let told = Verdict { reason: Reason::PriceUnknown, model: "codex".into(), ..told };
    assert!(tasks::verdict(&told, &scene).contains("a price of codex: fleet prices --update"));
}

#[test]
fn accounts_are_shown_with_what_they_come_to_and_whom_they_pay_for() {
    let mut gate = gate();
    let payer = gate.payer("me", "coder0", "claude-opus-5", Some("max-1"));
    for (days, tokens) in [(1, 4_000_000), (2, 5_000_000), (4, 7_000_000)] {
        let at = samples::now().minus(Duration::from_secs(days * 86_400));
        gate.used(&payer, None, (at, Used { tokens, ..Used::default() }), samples::now());
    }
    let belongs = |account: &str| fleet_domain::budget::gate::Rostered {
        class: "implementer".to_owned(),
        account: Some(account.to_owned()),
    };
    let roster = [("coder0", "max-1"), ("coder1", "openai"), ("lead", "max-1")];
    let roster = roster.map(|(agent, account)| (agent.to_owned(), belongs(account)));
    gate.rostered(roster.into(), samples::now());
    let name = gate
        .admit(
            &Ask { agent: "lead".into(), account: Some("api-1".into()), estimate: Some(5), ..Ask::default() },
            false,
            samples::now(),
        )
        .unwrap();
    gate.start(&name.task.unwrap(), None, samples::now()).unwrap();
    let mut state = state(&mut gate);
    let typical = fleet_domain::budget::learn::Typical { median: 90_000, p90: 210_000, tasks: 12 };
    state.typical =
        vec![("implementer".into(), "opus".into(), typical), ("implementer".into(), String::new(), typical)];
    insta::assert_snapshot!("budget_accounts", accounts(&state, &samples::scene(), None));
    insta::assert_snapshot!("budget_typical", super::typical(&state, &samples::scene(), None));
    let funds = crate::render::funds::Funds::of(&state);
    let of = |session: &str, account: Option<&str>| {
        let mut agent = samples::agent(session, fleet_domain::readiness::State::Working, 1);
        agent.account = account.map(str::to_owned);
        funds.fund(&agent).map(|fund| fund.account.clone()).unwrap_or_default()
    };
    assert_eq!(
        (of("coder0", None), of("coder1", None), of("lead", None)),
        ("max-1".into(), "api-1".into(), "api-1".into()),
        "lead is on a task of api-1"
    );
    assert_eq!(
        (of("notes", Some("anthropic")), of("notes", Some("max-1")), of("notes", None)),
        ("max-1".into(), "max-1".into(), String::new())
    );
}
