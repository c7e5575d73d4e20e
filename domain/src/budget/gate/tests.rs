use std::time::Duration;

use jiff::tz::TimeZone;

use super::*;
use crate::budget::decision::{Ask, Basis, Decision, Reason, Stage, Urgency};
use crate::budget::read::parse;

const HOUR: u64 = 3_600;

fn at(text: &str) -> Wall {
    Wall::parse_rfc3339(text).unwrap()
}

pub(super) fn noon() -> Wall {
    at("2026-11-21T12:00:00Z")
}

pub(super) fn gate(yaml: &str) -> Gate {
    let config = parse(yaml, &TimeZone::UTC, &|_| None, noon()).unwrap();
    let mut gate = Gate::default();
    gate.configure(Some(config), noon());
    gate.price(
        [
            ("opus".to_owned(), 20_000_000.0),
            ("haiku".to_owned(), 1_000_000.0),
            ("codex".to_owned(), 2_000_000.0),
        ]
        .into(),
    );
    gate
}

pub(super) fn ask(model: &str, tokens: u64) -> Ask {
    Ask {
        tenant: "me".to_owned(),
        class: "implementer".to_owned(),
        model: model.to_owned(),
        estimate: Some(tokens),
        ..Ask::default()
    }
}

fn payer(agent: &str, model: &str) -> Payer {
    Payer {
        tenant: "me".to_owned(),
        agent: agent.to_owned(),
        class: "implementer".to_owned(),
        model: model.to_owned(),
        ..Payer::default()
    }
}

fn tokens(tokens: u64) -> Used {
    Used { tokens, ..Used::default() }
}

pub(super) fn said(gate: &mut Gate, ask: &Ask, now: Wall) -> (Decision, Reason, String, Option<String>) {
    let verdict = gate.admit(ask, false, now).unwrap();
    (verdict.decision, verdict.reason, verdict.model, verdict.account)
}

const TWO: &str = "version: 1
enforce: true
accounts:
  - {name: max-1, provider: anthropic, windows: [{name: 7d, every: 7d, reset_at: 2026-11-21T12:00, limit: 70M}]}
  - {name: max-2, provider: anthropic, windows: [{name: 7d, every: 7d, reset_at: 2026-11-21T12:00, limit: 70M}]}
";

#[test]
fn without_a_budget_everything_may_start_and_is_kept_in_the_ledger() {
    let mut gate = Gate::default();
    let verdict = gate.admit(&ask("claude-opus-5", 5), false, noon()).unwrap();
    assert_eq!((verdict.decision, verdict.reason), (Decision::Admit, Reason::NoBudget));
    assert_eq!(gate.task(&verdict.task.unwrap()).unwrap().stage, Stage::Admitted);
}

#[test]
fn a_dollar_ceiling_goes_down_the_ladder_then_queues_then_refuses() {
    let mut gate = gate(
        "version: 1
accounts:
  - {name: api-1, provider: anthropic, kind: api}
  - {name: api-2, provider: openai, kind: api, concurrency: 1}
ceilings:
  - {account: api-1, per: day, hard: $10}
ladder: {models: [anthropic/opus, anthropic/haiku, openai/codex]}
",
    );
    // A million tokens of opus are $20, of haiku $1.
    let million = ask("claude-opus-5", 1_000_000);
    assert_eq!(
        said(&mut gate, &million, noon()),
        (Decision::Downgrade, Reason::TooLarge, "haiku".into(), Some("api-1".into()))
    );
    for _ in 0..9 {
        assert_eq!(said(&mut gate, &million, noon()).2, "haiku");
    }
    assert_eq!(
        said(&mut gate, &million, noon()),
        (Decision::Downgrade, Reason::TooLarge, "codex".into(), Some("api-2".into()))
    );
    let queued = gate.admit(&million, false, noon()).unwrap();
    assert_eq!(
        (queued.decision, queued.reason, queued.model.as_str()),
        (Decision::Queue, Reason::Ceiling, "codex")
    );
    assert_eq!(queued.until, Some(at("2026-11-22T00:00:00Z")));
    assert!(
        queued.figures[0]
            .to_string()
            .starts_with("account api-1 per day: $0.00 used, $10.00 held, $20.00 needed"),
        "{}",
        queued.figures[0]
    );
    // What no ceiling can ever hold is not queued for ever, where nobody else can have it.
    let mut own = ask("claude-opus-5", 500_000_000);
    own.account = Some("api-1".to_owned());
    gate.config.accounts.truncate(1);
    let refused = gate.admit(&own, false, noon()).unwrap();
    assert_eq!((refused.decision, refused.reason), (Decision::Refuse, Reason::TooLarge));
}

#[test]
fn a_ladder_without_a_step_does_not_take_it() {
    let yaml = "version: 1
accounts: [{name: a, provider: anthropic}]
ceilings: [{account: a, hard: 1M}]
ladder: {steps: [refuse]}
";
    let mut gate = gate(yaml);
    assert_eq!(said(&mut gate, &ask("claude-opus-5", 900_000), noon()).0, Decision::Admit);
    assert_eq!(said(&mut gate, &ask("claude-opus-5", 900_000), noon()).0, Decision::Refuse);
}

#[test]
fn pace_advises_and_holds_back_only_where_it_is_enforced() {
    let mut enforced = gate(TWO);
    enforced.config.accounts.truncate(1);
    let mut advised = enforced.clone();
    advised.config.enforce = false;
    // Two per cent of a fresh window may be spent at once: 1.4 million.
    let million = ask("claude-opus-5", 1_000_000);
    assert_eq!(said(&mut enforced, &million, noon()).1, Reason::Fits);
    let queued = enforced.admit(&million, false, noon()).unwrap();
    assert_eq!((queued.decision, queued.reason), (Decision::Queue, Reason::AheadOfPace));
    let wait = noon().age_at(queued.until.unwrap());
    assert!(wait > Duration::from_secs(HOUR) && wait < Duration::from_secs(2 * HOUR), "{wait:?}");
    assert_eq!(said(&mut enforced, &million, queued.until.unwrap()).1, Reason::Fits);
    assert_eq!(said(&mut advised, &million, noon()).1, Reason::Fits);
    let verdict = advised.admit(&million, false, noon()).unwrap();
    assert_eq!((verdict.decision, verdict.advice), (Decision::Admit, Some(Reason::AheadOfPace)));
}

#[test]
fn urgency_is_what_was_authorized_and_no_more() {
    let mut gate = gate(TWO);
    gate.config.accounts.truncate(1);
    let urgent = Ask { urgency: Urgency::High, ..ask("claude-opus-5", 1_000_000) };
    assert_eq!(said(&mut gate, &urgent, noon()).1, Reason::Fits);
    assert_eq!(said(&mut gate, &urgent, noon()).1, Reason::AheadOfPace);
    let until = noon().plus(Duration::from_secs(HOUR));
    let authorization = Authorization {
        account: "max-1".into(),
        tokens: 2_500_000,
        drawn: 0,
        until,
        by: "ann".into(),
        at: noon(),
    };
    gate.authorize(authorization.clone(), noon()).unwrap();
    assert_eq!(
        said(&mut gate, &ask("claude-opus-5", 1_000_000), noon()).1,
        Reason::AheadOfPace,
        "not urgent"
    );
    assert_eq!(said(&mut gate, &urgent, noon()).1, Reason::Authorized);
    assert_eq!(said(&mut gate, &urgent, noon()).1, Reason::Authorized);
    assert_eq!(said(&mut gate, &urgent, noon()).1, Reason::AheadOfPace, "half a million is left");
    assert_eq!(gate.authorizations()[0].left(noon()), 500_000);
    assert_eq!(gate.authorizations()[0].left(until), 0);
    gate.authorize(authorization.clone(), noon()).unwrap();
    assert_eq!(gate.revoke("max-1", noon()).ok(), Some(3_000_000));
    assert_eq!(said(&mut gate, &urgent, noon()).1, Reason::AheadOfPace, "it was taken back");
    assert!(gate.revoke("max-1", noon()).is_err(), "nothing is left to take back");
    assert!(gate.revoke("max-9", noon()).is_err());
    assert!(gate.authorize(Authorization { until: noon(), ..authorization.clone() }, noon()).is_err());
    assert!(gate.authorize(Authorization { account: "max-9".into(), ..authorization }, noon()).is_err());
}

#[test]
fn an_account_that_hit_its_limit_is_left_alone_until_the_reset() {
    let mut gate = gate(TWO);
    let reset = at("2026-11-21T15:00:00Z");
    let fact = Fact { used: Some(1.0), resets_at: Some(reset), at: noon() };
    gate.observe("max-1", "5h", Duration::from_secs(5 * HOUR), fact);
    let to = Ask { account: Some("max-1".into()), ..ask("claude-opus-5", 1_000) };
    assert_eq!(
        said(&mut gate, &to, noon()),
        (Decision::Reroute, Reason::LimitHit, "claude-opus-5".into(), Some("max-2".into()))
    );
    gate.stuck("max-2", at("2026-11-21T14:00:00Z"));
    let queued = gate.admit(&to, false, noon()).unwrap();
    assert_eq!(
        (queued.decision, queued.reason, queued.until),
        (Decision::Queue, Reason::LimitHit, Some(at("2026-11-21T14:00:00Z")))
    );
    // A screen says the same of the other one's limit, to the hour: what its provider said is exact.
    gate.stuck("max-1", at("2026-11-21T14:30:00Z"));
    gate.stuck("max-2", at("2026-11-21T16:00:00Z"));
    let queued = gate.admit(&to, false, noon()).unwrap();
    assert_eq!((queued.reason, queued.until), (Reason::LimitHit, Some(reset)));
    assert_eq!(said(&mut gate, &to, reset).3.as_deref(), Some("max-1"));
}

#[test]
fn work_goes_where_there_is_room_and_two_equals_do_not_alternate() {
    let mut gate = gate(TWO);
    let small = Ask { estimate: Some(10_000), ..ask("claude-opus-5", 1) };
    let first = said(&mut gate, &small, noon()).3.unwrap();
    for _ in 0..20 {
        assert_eq!(said(&mut gate, &small, noon()).3.unwrap(), first, "nothing tells the two apart");
    }
    let day = noon().plus(Duration::from_secs(24 * HOUR));
    gate.used(
        &Payer { account: Some(first.clone()), ..payer("x", "claude-opus-5") },
        None,
        (day, tokens(30_000_000)),
        day,
    );
    let other = said(&mut gate, &small, day).3.unwrap();
    assert_ne!(other, first);
    // It stays there, though the first has caught up by a little.
    gate.used(
        &Payer { account: Some(other.clone()), ..payer("y", "claude-opus-5") },
        None,
        (day, tokens(31_000_000)),
        day,
    );
    gate.config.enforce = false;
    assert_eq!(said(&mut gate, &small, day).3.unwrap(), other);
}

#[test]
fn a_place_is_given_back_when_its_time_is_out_and_a_started_task_keeps_it() {
    let mut gate = gate("version: 1\naccounts: [{name: a, provider: anthropic, concurrency: 1}]\n");
    let first = gate.admit(&ask("opus", 10), false, noon()).unwrap();
    assert_eq!(said(&mut gate, &ask("opus", 10), noon()).1, Reason::Concurrency);
    assert_eq!(first.expires, Some(at("2026-11-21T12:10:00Z")));
    let later = at("2026-11-21T12:10:00Z");
    let second = gate.admit(&ask("opus", 10), false, later).unwrap().task.unwrap();
    let first = first.task.unwrap();
    assert_eq!(gate.task(&first).unwrap().stage, Stage::Expired);
    assert!(matches!(gate.start(&first, None, later), Err(Unknown::Over { .. })));
    gate.start(&second, Some("coder0"), later).unwrap();
    let hours = |count| later.plus(Duration::from_secs(count * HOUR));
    assert_eq!(said(&mut gate, &ask("opus", 10), hours(11)).1, Reason::Concurrency);
    assert_eq!(said(&mut gate, &ask("opus", 10), hours(12)).1, Reason::Fits);
    assert_eq!(gate.task(&second).unwrap().stage, Stage::TimedOut);
    assert!(matches!(gate.end("nobody", None, later), Err(Unknown::Task { .. })));
}

#[test]
fn what_an_agent_spends_is_its_tasks_and_ends_are_learned() {
    let mut gate =
        gate("version: 1\naccounts: [{name: a, provider: anthropic}]\nceilings: [{account: a, hard: 10M}]\n");
    for tokens_used in [100, 200, 300] {
        let task = gate.admit(&ask("claude-opus-5", 1_000), false, noon()).unwrap().task.unwrap();
        gate.start(&task, Some("coder0"), noon()).unwrap();
        gate.used(&payer("coder0", "claude-opus-5"), None, (noon(), tokens(tokens_used)), noon());
        let room = &gate.overview(&TimeZone::UTC, noon()).rooms[0];
        assert_eq!(room.held.tokens, 1_000 - tokens_used, "what is spent is no longer held");
        assert_eq!(gate.end(&task, None, noon()).unwrap().actual.tokens, tokens_used);
    }
    let learned = Ask { estimate: None, ..ask("claude-opus-5", 1) };
    let verdict = gate.ask(&learned, false, noon()).unwrap();
    assert_eq!(
        (verdict.estimate.basis, verdict.estimate.projected, verdict.estimate.reserved),
        (Basis::Learned, 200, 300)
    );
    let other = gate.ask(&Ask { class: "reviewer".into(), ..learned }, false, noon()).unwrap();
    assert_eq!((other.estimate.basis, other.estimate.reserved), (Basis::Default, 100_000));
    assert_eq!(gate.overview(&TimeZone::UTC, noon()).rooms[0].used.tokens, 600);
}

#[test]
fn asking_again_for_the_same_task_holds_one_place() {
    let mut gate = gate("version: 1\naccounts: [{name: a, provider: anthropic, concurrency: 1}]\n");
    let named = Ask { task: "job-7".into(), ..ask("opus", 10) };
    assert_eq!(said(&mut gate, &named, noon()).0, Decision::Admit);
    assert_eq!(said(&mut gate, &named, noon()).0, Decision::Admit);
    assert_eq!(gate.held(), 1);
    gate.end("job-7", Some(55), noon()).unwrap();
    assert!(matches!(gate.admit(&named, false, noon()), Err(Unknown::Over { .. })));
    assert_eq!(gate.task("job-7").unwrap().actual.tokens, 55);
}

#[test]
fn a_ceiling_is_full_with_as_many_tasks_at_once_as_it_lets() {
    let mut gate = gate(
        "version: 1\naccounts: [{name: a, provider: anthropic}]\nceilings: [{agent: coder0, hard: 1M, concurrency: 1}]\n",
    );
    let under = |gate: &mut Gate| gate.overview(&TimeZone::UTC, noon()).rooms[0].under();
    assert_eq!(under(&mut gate), Under::Below);
    gate.admit(&Ask { agent: "coder0".into(), ..ask("opus", 1_000) }, true, noon()).unwrap();
    assert_eq!(under(&mut gate), Under::Below, "while all is paused nothing gets a place");
    gate.admit(&Ask { agent: "coder0".into(), ..ask("opus", 1_000) }, false, noon()).unwrap();
    assert_eq!(under(&mut gate), Under::Full);
}

#[test]
fn a_ceiling_reached_in_mid_work_holds_up_what_comes_next() {
    let mut gate = gate(
        "version: 1\naccounts: [{name: a, provider: anthropic}]\nceilings: [{agent: coder0, per: day, hard: 1M, soft: 50%}]\n",
    );
    let task = gate
        .admit(&Ask { agent: "coder0".into(), ..ask("opus", 1_000) }, false, noon())
        .unwrap()
        .task
        .unwrap();
    gate.start(&task, None, noon()).unwrap();
    gate.used(&payer("coder0", "claude-opus-5"), None, (noon(), tokens(600_000)), noon());
    let under = |gate: &mut Gate| gate.overview(&TimeZone::UTC, noon()).rooms[0].under();
    assert_eq!(under(&mut gate), Under::Near);
    gate.used(&payer("coder0", "claude-opus-5"), None, (noon(), tokens(600_000)), noon());
    assert_eq!(under(&mut gate), Under::Reached);
    let next = gate.admit(&Ask { agent: "coder0".into(), ..ask("opus", 1_000) }, false, noon()).unwrap();
    assert_eq!((next.decision, next.reason), (Decision::Queue, Reason::Ceiling));
    assert_eq!(
        said(&mut gate, &Ask { agent: "coder1".into(), ..ask("opus", 1_000) }, noon()).0,
        Decision::Admit
    );
}

#[test]
fn unknown_names_and_senseless_figures_are_told() {
    let mut gate = gate(TWO);
    let message = |gate: &mut Gate, ask: Ask| gate.admit(&ask, false, noon()).unwrap_err().to_string();
    assert_eq!(
        message(&mut gate, Ask { account: Some("max-3".into()), ..Ask::default() }),
        "no account is called `max-3`; is it `max-1`?"
    );
    assert_eq!(
        message(&mut gate, ask("opos", 1)),
        "no account, ladder or price knows a model `opos`; is it `opus`?"
    );
    assert!(message(&mut gate, ask("opus", 0)).contains("an estimate of nothing"));
    let error = gate.set("max-1", "monthly", Some(Setting::default()), noon()).unwrap_err();
    assert_eq!(error.to_string(), "account `max-1` has no window `monthly`; it has 7d");
}

#[test]
fn a_window_that_the_owner_set_is_in_force_until_it_is_unset() {
    let mut gate = gate("version: 1\naccounts: [{name: a, provider: anthropic}]\n");
    let fixed = crate::budget::schedule::Schedule::Once {
        at: noon().plus(Duration::from_secs(48 * HOUR)),
        length: Duration::from_secs(7 * 24 * HOUR),
    };
    let setting = Setting { limit: None, used: Some((0.42, noon())), schedule: Some(fixed) };
    gate.set("a", "7d", Some(setting), noon()).unwrap();
    let look = |gate: &mut Gate| gate.overview(&TimeZone::UTC, noon()).windows[0].clone();
    let outlook = look(&mut gate);
    assert_eq!((outlook.standing.used, outlook.standing.used_by.as_str()), (Some(0.42), "user"));
    let pace = outlook.pace.unwrap();
    assert!((pace.allowance - 0.58 * 24.0 / 60.0).abs() < 0.1, "{pace:?}");
    gate.set("a", "7d", None, noon()).unwrap();
    assert!(gate.overview(&TimeZone::UTC, noon()).windows.is_empty(), "nobody speaks of it any more");
    assert!(gate.set("a", "7d", None, noon()).is_err());
}

#[test]
fn what_is_told_of_a_window_for_the_first_time_is_no_spending() {
    let mut gate = gate(
        "version: 1\nenforce: true\naccounts:\n  - {name: a, provider: anthropic, windows: [{name: 7d, every: 7d, reset_at: 2026-11-24T09:00:00Z, limit: 500M}]}\n",
    );
    assert_eq!(said(&mut gate, &ask("opus", 100), noon()).0, Decision::Admit);
    // Behind the even mark, whatever the ledger has seen of it: nobody has to wait for that.
    let setting = |used| Some(Setting { used: Some((used, noon())), ..Setting::default() });
    for used in [0.2, 0.4] {
        gate.set("a", "7d", setting(used), noon()).unwrap();
        assert_eq!(said(&mut gate, &ask("opus", 100), noon()).0, Decision::Admit, "{used}");
    }
    let fact =
        Fact { used: Some(0.45), resets_at: Some(noon().plus(Duration::from_secs(69 * HOUR))), at: noon() };
    gate.observe("a", "7d", Duration::from_secs(7 * 24 * HOUR), fact);
    // From then on what the provider's figure rises by was spent.
    let later = noon().plus(Duration::from_secs(60));
    gate.observe("a", "7d", Duration::from_secs(7 * 24 * HOUR), Fact { used: Some(0.55), at: later, ..fact });
    assert_eq!(said(&mut gate, &ask("opus", 100), later).0, Decision::Queue);
}
