use std::time::Duration;

use fleet_domain::budget::amount::Amount;
use fleet_domain::budget::decision::{Ask, Authorization, Urgency};
use fleet_domain::budget::gate::{Gate, State};
use fleet_domain::budget::read::parse;
use fleet_domain::budget::schedule::{Every, Schedule};
use fleet_domain::budget::spend::Payer;
use fleet_domain::budget::standing::{Fact, Setting};
use fleet_domain::price::Money;
use fleet_domain::time::Wall;
use fleet_domain::{budget::amount::Used, budget::gate::Kept};

use super::*;
use crate::pb;

const NOW: Wall = Wall(1_795_262_400_000);

fn gate() -> Gate {
    let yaml = "version: 1
accounts:
  - {name: max-1, provider: anthropic, concurrency: 4, windows: [{name: 7d, every: 7d, reset_at: 2026-11-21T09:00:00Z, limit: 70M}]}
ceilings: [{account: max-1, per: day, hard: $9, soft: 50%}, {agent: '*', hard: 10M, concurrency: 2}]
";
    let utc = jiff_utc();
    let mut gate = Gate::default();
    gate.configure(Some(parse(yaml, &utc, &|_| None, NOW).unwrap()), NOW);
    gate.price([("opus".to_owned(), 1_000_000.0)].into());
    gate.restore(Kept::default(), NOW);
    let payer = Payer {
        tenant: "me".into(),
        agent: "a".into(),
        class: "c".into(),
        model: "opus".into(),
        ..Payer::default()
    };
    gate.used(&payer, None, (Wall(NOW.0 - 60_000), Used { tokens: 500, dollars: Money(5_000_000) }), NOW);
    let fact = Fact { used: Some(0.25), resets_at: Some(Wall(NOW.0 + 3_600_000)), at: NOW };
    gate.observe("max-1", "5h", Duration::from_secs(18_000), fact);
    gate
}

/// The zone that a budget without one is given.
fn jiff_utc() -> jiff::tz::TimeZone {
    jiff::tz::TimeZone::UTC
}

fn ask() -> Ask {
    Ask {
        tenant: "me".into(),
        agent: "a".into(),
        class: "c".into(),
        model: "claude-opus-5".into(),
        account: Some("max-1".into()),
        estimate: Some(1_000),
        urgency: Urgency::High,
        mission: "m".into(),
        task: "job".into(),
    }
}

#[test]
fn a_question_its_answer_and_the_task_arrive_as_they_were_sent() {
    let mut gate = gate();
    assert_eq!(ask_from_pb(&ask_to_pb(&ask(), true), "me"), ask());
    let verdict = gate.admit(&ask(), false, NOW).unwrap();
    assert!(!verdict.figures.is_empty());
    assert_eq!(verdict_from_pb(&verdict_to_pb(&verdict)).unwrap(), verdict);
    let task = gate.start("job", None, NOW).unwrap();
    assert_eq!(&task_from_pb(&task_to_pb(task)).unwrap(), task);
}

#[test]
fn the_budget_arrives_as_it_was_sent() {
    let mut gate = gate();
    gate.admit(&ask(), false, NOW).unwrap();
    let authorization = Authorization {
        account: "max-1".into(),
        tokens: 5,
        drawn: 1,
        until: Wall(NOW.0 + 1),
        by: "ann".into(),
        at: NOW,
    };
    gate.authorize(authorization, NOW).unwrap();
    let mut overview = gate.overview(&jiff_utc(), NOW);
    let state = State {
        authorizations: gate.authorizations().to_vec(),
        typical: gate.typical(NOW),
        file: "/b.yaml".into(),
        file_error: "line 1\nline 2".into(),
        paused: true,
        reading: false,
        overview: overview.clone(),
    };
    let arrived = budget_from_pb(&budget_to_pb(&state)).unwrap();
    // What accounts serve is not told to readers; a ceiling for each is told as the one that it is.
    for view in &mut overview.accounts {
        view.account.windows.clear();
    }
    for room in &mut overview.rooms {
        room.ceiling.name.clone_from(&room.name);
    }
    assert_eq!(arrived.overview, overview);
    assert_eq!(arrived, State { overview, ..state });
    assert!(arrived.overview.windows.iter().any(|window| window.pace.is_some()));
}

#[test]
fn what_an_owner_says_arrives_and_nonsense_does_not() {
    let zones = |name: &str| (name == "UTC" || name.is_empty()).then(jiff_utc);
    let fixed = Schedule::Fixed { anchor: NOW, every: Every::Months(1), zone: jiff_utc() };
    for schedule in [
        None,
        Some(fixed),
        Some(Schedule::Rolling(Duration::from_secs(60))),
        Some(Schedule::Once { at: NOW, length: Duration::from_secs(9) }),
    ] {
        let setting = Setting { limit: Some(Amount::Dollars(Money(7))), used: Some((0.5, NOW)), schedule };
        let told = setting_from_pb(&setting_to_pb("a", "7d", &setting), &zones).unwrap();
        assert_eq!(told, ("a".to_owned(), "7d".to_owned(), setting));
    }
    let plain = pb::BudgetSetting { account: "a".into(), window: "7d".into(), ..Default::default() };
    for bad in [
        pb::BudgetSetting { account: String::new(), ..plain.clone() },
        pb::BudgetSetting { used: Some(-0.1), ..plain.clone() },
        pb::BudgetSetting { used: Some(f64::NAN), ..plain.clone() },
        pb::BudgetSetting {
            limit: Some(pb::BudgetAmount { size: 0, unit: "tokens".into() }),
            ..plain.clone()
        },
        pb::BudgetSetting {
            limit: Some(pb::BudgetAmount { size: 5, unit: "shells".into() }),
            ..plain.clone()
        },
        pb::BudgetSetting { reset_unix_ms: Some(5), every: "never".into(), ..plain.clone() },
        pb::BudgetSetting {
            reset_unix_ms: Some(5),
            every: "7d".into(),
            zone: "Mars".into(),
            ..plain.clone()
        },
        pb::BudgetSetting { rolling: true, ..plain },
    ] {
        assert!(setting_from_pb(&bad, &zones).is_err(), "{bad:?}");
    }
}
