use std::collections::BTreeSet;
use std::io::Write;
use std::process::{Command, Stdio};

use fleet_domain::limits::{Reading, Source, WindowName};
use fleet_domain::observation::{NativeState, Observation, Vantage};
use fleet_domain::usage::{Change, Record, Tokens};
use fleet_domain::{AccountName, AgentKey, SocketName, Wall};
use tokio::sync::oneshot;

use super::*;
use crate::fixture::{NOON, hello, hub, now, planes, seen, shell, stuck};
use crate::hub::{Ask, Hub, Input};
use crate::meters::Dropped;
use crate::store::conformance::{key, record};
use crate::store::{Bill, Booked, Loaded};
use fleet_domain::fleet::ReporterId;

const R: ReporterId = ReporterId(1);

fn observe(hub: &mut Hub, observation: Observation, at: i64) {
    hub.step(Input::Observed { reporter: R, observation }, now(at));
}

fn use_tokens(hub: &mut Hub, owner: AgentKey, model: &str, tokens: Tokens) {
    let plus = Record { model: model.to_owned(), tokens, ..record("r", 0, NOON) };
    let cost = Bill { pico_usd: 1_500_000_000_000, unpriced: 1 };
    let booked =
        Booked { owner, spent: vec![(model.to_owned(), cost)], change: Change { minus: None, plus } };
    hub.step(Input::Booked(vec![booked]), now(5));
}

/// One that holds, one that began anew since.
fn windows() -> Vec<Reading> {
    let of = |name: &str, resets: i64| Reading {
        account: AccountName::new("max-1"),
        provider: "anthropic".to_owned(),
        window: WindowName::parse(name).unwrap(),
        length: None,
        used_ratio: 0.42,
        resets_at: Some(Wall(NOON + resets)),
        observed_at: Wall(NOON + 4_000),
        source: Source::Statusline,
    };
    vec![of("5h", 7_200_000), of("7d", 9_000)]
}

/// A budget with something of everything: a window ahead of pace, ceilings, a held task, an account at its limit.
fn budgeted(hub: &mut Hub) {
    let budget = "version: 1
accounts:
  - {name: max-1, provider: anthropic, classes: [worker], windows: [{name: day, every: 1d, reset_at: 2026-11-21T09:00:00Z, limit: 1M}]}
  - {name: api-1, provider: openai, kind: api}
ceilings: [{tenant: me, per: day, hard: 1M, soft: 1k}, {agent: '*', soft: 500k}]
";
    let config =
        fleet_domain::budget::read::parse(budget, &jiff::tz::TimeZone::UTC, &|_| None, now(0).wall).unwrap();
    let written = crate::budget::Written { config, text: budget.to_owned() };
    hub.step(Input::BudgetFile { path: "/b.yaml".to_owned(), read: Ok(Some(written)) }, now(5_000));
    hub.step(
        Input::BudgetFile { path: "/b.yaml".to_owned(), read: Err("line 1: version".to_owned()) },
        now(5_001),
    );
    hub.step(Input::Spent(Ok(Vec::new())), now(5_002));
    use_tokens(hub, key("lead"), "claude-opus-5", Tokens { output: 40_000, ..Tokens::default() });
    let (reply, mut answer) = oneshot::channel();
    let act = Box::new(
        move |budget: &mut crate::hub::Budget, _: &crate::store::handle::Sink, now: fleet_domain::Now| {
            let ask = fleet_domain::budget::decision::Ask {
                tenant: "me".to_owned(),
                class: "worker".to_owned(),
                ..Default::default()
            };
            let authorization = fleet_domain::budget::decision::Authorization {
                account: "max-1".to_owned(),
                tokens: 900,
                drawn: 0,
                until: fleet_domain::Wall(now.wall.0 + 60_000),
                by: "ann".to_owned(),
                at: now.wall,
            };
            budget.authorize(authorization, now.wall).0.unwrap();
            let decision = budget.check(&ask, true, false, now.wall).0.unwrap().decision;
            assert!(reply.send(decision).is_ok());
        },
    );
    hub.answer(Ask::Budget(act), now(6_000));
    assert!(answer.try_recv().unwrap().admits());
}

/// Something of everything.
fn scenario() -> (Snapshot, Arc<Meters>) {
    let (mut hub, meters, _sink) = hub(Loaded::default(), 64);
    hub.step(Input::Connected { reporter: R, hello: hello(Vantage::Host, "") }, now(0));
    hub.step(Input::Connected { reporter: ReporterId(2), hello: hello(Vantage::Agent, "lead") }, now(0));
    observe(&mut hub, seen("lead", NativeState::Busy), 0);
    observe(&mut hub, stuck("coder0"), 1_000);
    observe(&mut hub, shell("plain"), 1_000);
    observe(&mut hub, seen("it\"s \\ odd", NativeState::TurnEnded), 1_500);
    observe(
        &mut hub,
        Observation { heartbeat: None, idle: None, native: Vec::new(), ..seen("mute", NativeState::Busy) },
        2_000,
    );
    hub.step(Input::Planes { reporter: R, planes: planes(&["lead", "coder0", "gone"]) }, now(2_500));
    observe(&mut hub, seen("lead", NativeState::TurnEnded), 3_000);
    let tokens = Tokens {
        input: 1,
        cache_read: 20,
        cache_write_5m: 300,
        cache_write_1h: 4_000,
        output: 50_000,
        reasoning: 600,
    };
    use_tokens(&mut hub, key("lead"), "opus", tokens);
    use_tokens(&mut hub, key("lead"), "haiku", Tokens { output: 7, ..Tokens::default() });
    hub.step(Input::SidecarDropped { reporter: R, reason: "queue_full".to_owned(), count: 3 }, now(4_000));
    hub.step(Input::Limits { tenant: key("lead").tenant, readings: windows() }, now(5_000));
    meters.drop_one(Dropped::Invalid);
    meters.usage_records.add(2);
    meters.commits.observe(0.003);
    budgeted(&mut hub);
    let (reply, mut answer) = oneshot::channel();
    hub.answer(Ask::Scrape { reply }, now(10_000));
    (Snapshot { tenant: key("lead").tenant, ..answer.try_recv().unwrap() }, meters)
}

fn page(format: Format) -> String {
    let (snapshot, meters) = scenario();
    render(snapshot, &meters, format).unwrap().replace(env!("CARGO_PKG_VERSION"), "VERSION")
}

#[test]
fn the_openmetrics_page_is_as_it_was() {
    insta::assert_snapshot!(page(Format::OpenMetrics));
}

#[test]
fn the_classic_page_is_as_it_was() {
    insta::assert_snapshot!(page(Format::Classic));
}

#[test]
fn the_catalogue_names_exactly_what_is_exported() {
    let classic = page(Format::Classic);
    let exported: Vec<&str> =
        classic.lines().filter_map(|line| line.strip_prefix("# TYPE ")?.split(' ').next()).collect();
    let catalogue: Vec<String> = catalogue::ALL.iter().map(|metric| metric.name()).collect();
    assert_eq!(exported, catalogue);
    insta::assert_snapshot!("catalogue", catalogue::json().unwrap());
    assert_eq!(catalogue::text().lines().count(), catalogue.len());
}

#[test]
#[expect(clippy::disallowed_methods, reason = "promtool is the judge of the page")]
fn promtool_finds_nothing_to_say() {
    let promtool = Command::new("promtool")
        .args(["check", "metrics"])
        .stdin(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn();
    let Ok(mut promtool) = promtool else {
        eprintln!("skipped: promtool is not installed");
        return;
    };
    promtool.stdin.take().unwrap().write_all(page(Format::Classic).as_bytes()).unwrap();
    let said = promtool.wait_with_output().unwrap();
    assert!(said.status.success(), "{}", String::from_utf8_lossy(&said.stderr));
    assert_eq!(String::from_utf8_lossy(&said.stderr), "");
}

#[test]
fn no_series_stands_twice_whatever_sessions_are_called() {
    let (mut hub, meters, _sink) = hub(Loaded::default(), 64);
    hub.step(Input::Connected { reporter: R, hello: hello(Vantage::Host, "") }, now(0));
    for (session, socket) in [("a", ""), ("a", "b"), ("a@b", ""), ("a@default", ""), ("a@default", "default")]
    {
        let observation = Observation { socket: SocketName::new(socket), ..seen(session, NativeState::Busy) };
        observe(&mut hub, observation, 1);
    }
    let (reply, mut answer) = oneshot::channel();
    hub.answer(Ask::Scrape { reply }, now(2));
    let page = render(answer.try_recv().unwrap(), &meters, Format::Classic).unwrap();
    let series: Vec<&str> = page
        .lines()
        .filter(|line| !line.starts_with('#'))
        .filter_map(|line| line.rsplit_once(' '))
        .map(|(series, _)| series)
        .collect();
    let distinct: BTreeSet<&&str> = series.iter().collect();
    assert_eq!(distinct.len(), series.len(), "{page}");
}

#[test]
fn invented_models_do_not_grow_the_page() {
    let (mut hub, meters, _sink) = hub(Loaded::default(), 64);
    hub.step(Input::Connected { reporter: R, hello: hello(Vantage::Host, "") }, now(0));
    observe(&mut hub, seen("lead", NativeState::Busy), 0);
    for n in 0..500 {
        use_tokens(&mut hub, key("lead"), &format!("model-{n}"), Tokens { output: 2, ..Tokens::default() });
    }
    let (reply, mut answer) = oneshot::channel();
    hub.answer(Ask::Scrape { reply }, now(2));
    let page = render(answer.try_recv().unwrap(), &meters, Format::Classic).unwrap();
    let outputs =
        page.lines().filter(|line| line.starts_with("fleet_tokens_total{") && line.contains("\"output\""));
    let counts: Vec<u64> = outputs.map(|line| line.rsplit_once(' ').unwrap().1.parse().unwrap()).collect();
    assert_eq!((counts.len(), counts.iter().sum::<u64>()), (33, 1_000));
}
