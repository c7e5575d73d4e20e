//! Money, over the real socket: who asks is answered once it is durable, whatever the file says meanwhile.

use fleet_domain::Wall;
use fleet_domain::limits::{Reading, Source as LimitSource, WindowName};
use fleet_proto::pb::budget_service_client::BudgetServiceClient;
use tonic::Code;

use super::usage::batch;
use super::*;
use crate::store::flaky::{Disk, Flaky};
use crate::store::sqlite::Sqlite;

const BUDGET: &str = "version: 1
zone: UTC
accounts:
  - {name: a, provider: anthropic, concurrency: 1000}
ceilings: [{account: a, per: month, hard: 1M}]
";

type Client = BudgetServiceClient<Channel>;

impl Collector {
    async fn budget(&self) -> Client {
        BudgetServiceClient::new(self.channel().await)
    }
}

fn write(dir: &Path, budget: &str) {
    std::fs::write(dir.join("budget.yaml.new"), budget).unwrap();
    std::fs::rename(dir.join("budget.yaml.new"), dir.join("budget.yaml")).unwrap();
}

fn ask(tokens: u64) -> pb::CheckBudgetRequest {
    pb::CheckBudgetRequest {
        class: "implementer".to_owned(),
        model: "claude-opus-5".to_owned(),
        estimate_tokens: Some(tokens),
        hold: true,
        ..Default::default()
    }
}

async fn check(client: &mut Client, ask: pb::CheckBudgetRequest) -> pb::BudgetVerdict {
    soon(client.check_budget(ask)).await.unwrap().into_inner().verdict.unwrap()
}

async fn state(client: &mut Client) -> pb::GetBudgetResponse {
    soon(client.get_budget(pb::GetBudgetRequest::default())).await.unwrap().into_inner()
}

/// Asks until the budget is as wanted.
async fn until(
    client: &mut Client,
    wanted: impl Fn(&pb::GetBudgetResponse) -> bool,
) -> pb::GetBudgetResponse {
    let begun = std::time::Instant::now();
    loop {
        let state = state(client).await;
        if wanted(&state) {
            return state;
        }
        assert!(begun.elapsed() < SOON, "it never came: {state:?}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

#[tokio::test]
async fn a_place_is_on_the_disk_when_it_is_promised_and_a_restart_keeps_it() {
    let dir = tempfile::tempdir().unwrap();
    write(dir.path(), BUDGET);
    let collector = start(dir.path());
    let mut client = collector.budget().await;
    let verdict = check(&mut client, ask(600_000)).await;
    assert_eq!((verdict.decision(), verdict.reason.as_str()), (pb::BudgetDecision::Admit, "fits"));
    // What a power cut at this moment would leave.
    let left = tempfile::tempdir().unwrap();
    for name in ["register.sqlite3", "register.sqlite3-wal"] {
        std::fs::copy(dir.path().join("state").join(name), left.path().join(name)).unwrap();
    }
    let kept = Sqlite::open(&left.path().join("register.sqlite3")).unwrap().load(Wall(0)).unwrap().budget;
    assert!(kept.iter().any(|row| row.key == verdict.task), "{kept:?}");
    assert_eq!(check(&mut client, ask(600_000)).await.decision(), pb::BudgetDecision::Queue);
    let started = pb::StartTaskRequest { task: verdict.task.clone(), agent: "coder0".to_owned() };
    client.start_task(started).await.unwrap();
    collector.stop().await;

    let collector = start(dir.path());
    let mut client = collector.budget().await;
    let queued = check(&mut client, ask(600_000)).await;
    assert_eq!((queued.decision(), queued.reason.as_str()), (pb::BudgetDecision::Queue, "ceiling"));
    // What the agent spends is the task's, before and after a restart, and is not held any longer.
    let mut sidecar = collector.sidecar().await;
    sidecar.pay(batch("coder0", 1, &[("r1", 99_997)])).await;
    sidecar.cursor().await;
    let held = |state: &pb::GetBudgetResponse| state.ceilings[0].held.unwrap().tokens;
    until(&mut client, |state| held(state) == 500_000).await;
    collector.stop().await;
    let collector = start(dir.path());
    let mut client = collector.budget().await;
    let state = until(&mut client, |state| !state.reading).await;
    assert_eq!((held(&state), state.ceilings[0].used.unwrap().tokens), (500_000, 100_000));
    let ended =
        client.end_task(pb::EndTaskRequest { task: verdict.task.clone(), tokens: None }).await.unwrap();
    let task = ended.into_inner().task.unwrap();
    assert_eq!((task.stage.as_str(), task.actual.unwrap().tokens), ("ended", 100_000));
    assert_eq!(check(&mut client, ask(600_000)).await.decision(), pb::BudgetDecision::Admit);
    let again = client.end_task(pb::EndTaskRequest { task: verdict.task, tokens: None }).await.unwrap_err();
    assert_eq!(again.code(), Code::FailedPrecondition);
    let log = client.list_budget_log(pb::ListBudgetLogRequest::default()).await.unwrap().into_inner().entries;
    let what: Vec<&str> = log.iter().rev().map(|entry| entry.what.as_str()).collect();
    assert_eq!(what, ["budget", "admit", "queue", "start", "budget", "queue", "budget", "end", "admit"]);
    assert!(log.iter().any(|entry| entry.detail.contains("account a per month: 0 tokens used, 600000 tokens held, 600000 tokens needed, 1000000 tokens allowed")), "{log:?}");
    collector.stop().await;
}

#[tokio::test]
async fn what_an_agent_uses_while_it_is_on_a_task_is_the_tasks() {
    let dir = tempfile::tempdir().unwrap();
    write(dir.path(), BUDGET);
    let collector = start(dir.path());
    let mut client = collector.budget().await;
    let mut sidecar = collector.sidecar().await;
    sidecar.pay(batch("coder0", 1, &[("before", 5)])).await;
    sidecar.cursor().await;
    let task = check(&mut client, ask(1_000)).await.task;
    let started = pb::StartTaskRequest { task: task.clone(), agent: "coder0".to_owned() };
    // What was used in the very millisecond of the start is the task's.
    let now = clock::system()().wall.0;
    while clock::system()().wall.0 == now {}
    client.start_task(started).await.unwrap();
    sidecar.pay(batch("coder0", 2, &[("within", 10)])).await;
    sidecar.pay(batch("coder1", 3, &[("another's", 100)])).await;
    sidecar.cursor().await;
    sidecar.cursor().await;
    client.end_task(pb::EndTaskRequest { task: task.clone(), tokens: None }).await.unwrap();
    sidecar.pay(batch("coder0", 4, &[("after", 1_000)])).await;
    sidecar.cursor().await;
    let by = vec![pb::UsageDimension::Task.into()];
    let question = pb::GetUsageRequest { by, ..Default::default() };
    let sums = collector.reader().await.get_usage(question).await.unwrap().into_inner().sums;
    let told: Vec<(String, u64)> =
        sums.into_iter().map(|sum| (sum.task, sum.tokens.unwrap().output)).collect();
    assert_eq!(told, [(String::new(), 1_105), (task, 10)]);
    collector.stop().await;
}

#[tokio::test]
async fn a_bad_file_leaves_the_last_good_budget_in_force_and_says_so() {
    let dir = tempfile::tempdir().unwrap();
    write(dir.path(), BUDGET);
    let collector = start(dir.path());
    let mut client = collector.budget().await;
    until(&mut client, |state| state.configured).await;
    let bad = [
        &BUDGET[..BUDGET.len() - 8],
        // Cut off where it is still YAML: at the end of a line, and within the last figure.
        &BUDGET[..BUDGET.find("ceilings").unwrap()],
        "version: 1\nceilings:\n  - agent: x\n    hard: 5",
        "version: 1\nceilings: [{agent: x, hard: 99999999999G}]\n",
        "version: 1\nceilings: [{agent: x, hard: -5}]",
        "version: 1\naccounts: [{name: b, provider: x, windows: [{name: 5h}, {length: 5h}]}]",
        "version: 1\naccounts: [{name: b, provider: x, windows: [{length: 7d, reset_at: 2020-01-01T00:00:00Z}]}]",
        "version: 1\nceilings: [{account: nobody, hard: 5M}]",
        "\u{0}",
    ];
    for text in bad {
        std::fs::write(dir.path().join("budget.yaml"), text).unwrap();
        let state = until(&mut client, |state| state.file_error.contains("budget.yaml: ")).await;
        assert!(state.file_error.contains("line "), "{}", state.file_error);
        assert_eq!((state.configured, state.ceilings.len()), (true, 1));
        assert_eq!(check(&mut client, ask(2_000_000)).await.reason, "too_large");
        assert!((collector.metric("fleet_budget_file_error").await - 1.0).abs() < f64::EPSILON);
        write(dir.path(), BUDGET);
        until(&mut client, |state| state.file_error.is_empty()).await;
    }
    write(dir.path(), "version: 1\naccounts: [{name: c, provider: anthropic}]\n");
    until(&mut client, |state| state.accounts[0].name == "c" && state.ceilings.is_empty()).await;
    collector.stop().await;
}

#[tokio::test]
async fn a_file_that_is_cut_off_while_nobody_looks_loosens_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let whole = format!("{BUDGET}...\n");
    write(dir.path(), &whole);
    let collector = start(dir.path());
    until(&mut collector.budget().await, |state| state.configured).await;
    collector.stop().await;
    // Every other end of it, read at a start: what was in force before still is.
    for cut in [0, 11, whole.find("ceilings").unwrap(), BUDGET.len()] {
        write(dir.path(), &whole[..cut]);
        let collector = start(dir.path());
        let mut client = collector.budget().await;
        let state = until(&mut client, |state| !state.reading).await;
        assert!(
            (state.configured, state.ceilings.len()) == (true, 1) && !state.file_error.is_empty(),
            "{cut}: {state:?}"
        );
        assert_eq!(check(&mut client, ask(2_000_000)).await.reason, "too_large");
        collector.stop().await;
    }
    // Removed, it is no budget any more, and no later start brings it back.
    std::fs::remove_file(dir.path().join("budget.yaml")).unwrap();
    for _ in 0..2 {
        let collector = start(dir.path());
        let state = until(&mut collector.budget().await, |state| !state.reading).await;
        assert!(!state.configured && state.file_error.is_empty(), "{state:?}");
        collector.stop().await;
    }
}

#[tokio::test]
async fn a_pause_refuses_and_unknown_names_are_told() {
    let dir = tempfile::tempdir().unwrap();
    write(dir.path(), BUDGET);
    let collector = start(dir.path());
    let mut client = collector.budget().await;
    std::fs::write(dir.path().join("PAUSED"), "").unwrap();
    let verdict = check(&mut client, ask(5)).await;
    assert_eq!((verdict.decision(), verdict.reason.as_str()), (pb::BudgetDecision::Refuse, "paused"));
    std::fs::remove_file(dir.path().join("PAUSED")).unwrap();
    assert_eq!(check(&mut client, ask(5)).await.decision(), pb::BudgetDecision::Admit);
    let unknown = pb::CheckBudgetRequest { account: "b".to_owned(), ..ask(5) };
    let error = client.check_budget(unknown).await.unwrap_err();
    assert_eq!((error.code(), error.message()), (Code::NotFound, "no account is called `b`; is it `a`?"));
    let unknown = pb::CheckBudgetRequest { model: "opos".to_owned(), ..ask(5) };
    assert_eq!(client.check_budget(unknown).await.unwrap_err().code(), Code::NotFound);
    let setting = pb::BudgetSetting {
        account: "a".into(),
        window: "7d".into(),
        reset_unix_ms: Some(5),
        length_ms: 9,
        ..Default::default()
    };
    let past = pb::SetWindowRequest { setting: Some(setting), ..Default::default() };
    let error = client.set_window(past).await.unwrap_err();
    assert!(error.code() == Code::InvalidArgument && error.message().contains("in the past"), "{error}");
    let none = pb::AuthorizeRequest {
        authorization: Some(pb::BudgetAuthorization { account: "a".into(), ..Default::default() }),
        revoke: false,
    };
    assert_eq!(client.authorize(none).await.unwrap_err().code(), Code::InvalidArgument);
    collector.stop().await;
}

#[tokio::test]
async fn what_a_runtime_tells_of_a_window_is_in_the_budget_at_once_with_its_provenance() {
    let dir = tempfile::tempdir().unwrap();
    write(dir.path(), BUDGET);
    let collector = start(dir.path());
    let (mut client, sidecar) = (collector.budget().await, collector.sidecar().await);
    let now = clock::system()().wall;
    let reset = Wall(now.0 + 3_600_000);
    let reading = |used_ratio| Reading {
        account: fleet_domain::AccountName::new("anthropic"),
        provider: "anthropic".to_owned(),
        window: WindowName::parse("5h").unwrap(),
        length: Some(Duration::from_secs(18_000)),
        used_ratio,
        resets_at: Some(reset),
        observed_at: clock::system()().wall,
        source: LimitSource::Statusline,
    };
    let begun = std::time::Instant::now();
    sidecar.say(Report::Limits(vec![reading(0.42)])).await;
    let told = |share: f64| {
        move |state: &pb::GetBudgetResponse| state.windows.iter().any(|window| window.used == Some(share))
    };
    let state = until(&mut client, told(0.42)).await;
    assert!(begun.elapsed() < Duration::from_secs(2));
    let window = &state.windows[0];
    assert_eq!(
        (window.account.as_str(), window.used_by.as_str(), window.resets_unix_ms),
        ("a", "provider", Some(reset.0))
    );
    // The limit is hit: nothing more starts before the reset, and the metric says until when.
    sidecar.say(Report::Limits(vec![reading(1.0)])).await;
    until(&mut client, told(1.0)).await;
    let verdict = check(&mut client, ask(5)).await;
    assert_eq!(
        (verdict.decision(), verdict.reason.as_str(), verdict.until_unix_ms),
        (pb::BudgetDecision::Queue, "limit_hit", Some(reset.0))
    );
    let series = format!(
        "fleet_budget_stuck_until_timestamp_seconds{{tenant=\"{}\",account=\"a\",provider=\"anthropic\"}}",
        own_tenant()
    );
    assert!((collector.metric(&series).await - reset.0 as f64 / 1000.0).abs() < 1e-3);
    collector.stop().await;
    // It is known after a restart.
    let collector = start(dir.path());
    until(&mut collector.budget().await, told(1.0)).await;
    collector.stop().await;
}

#[tokio::test]
async fn what_an_owner_says_survives_and_is_taken_back() {
    let dir = tempfile::tempdir().unwrap();
    write(dir.path(), BUDGET);
    let collector = start(dir.path());
    let mut client = collector.budget().await;
    let setting = pb::BudgetSetting {
        account: "a".into(),
        window: "7d".into(),
        limit: Some(pb::BudgetAmount { size: 1_000, unit: "tokens".into() }),
        used: Some(0.5),
        reset_unix_ms: Some(1_795_000_000_000),
        every: "7d".into(),
        zone: "UTC".into(),
        ..Default::default()
    };
    let set = pb::SetWindowRequest { setting: Some(setting.clone()), unset: false, by: "ann".into() };
    let window = client.set_window(set).await.unwrap().into_inner().window.unwrap();
    assert_eq!((window.used, window.used_by.as_str(), window.limit_by.as_str()), (Some(0.5), "user", "user"));
    let until_ms = clock::system()().wall.0 + 3_600_000;
    let authorization = pb::BudgetAuthorization {
        account: "a".into(),
        tokens: 7,
        until_unix_ms: until_ms,
        ..Default::default()
    };
    let authorize = pb::AuthorizeRequest { authorization: Some(authorization), revoke: false };
    client.authorize(authorize.clone()).await.unwrap();
    collector.stop().await;
    let collector = start(dir.path());
    let mut client = collector.budget().await;
    let state = until(&mut client, |state| !state.reading).await;
    assert_eq!((state.windows[0].used, state.authorizations[0].tokens), (Some(0.5), 7));
    let revoke = pb::AuthorizeRequest { revoke: true, ..authorize };
    let taken_back = client.authorize(revoke.clone()).await.unwrap().into_inner().authorization.unwrap();
    assert_eq!((taken_back.account.as_str(), taken_back.tokens), ("a", 7));
    assert_eq!(client.authorize(revoke).await.unwrap_err().code(), Code::InvalidArgument);
    collector.stop().await;
    let collector = start(dir.path());
    let mut client = collector.budget().await;
    assert!(until(&mut client, |state| !state.reading).await.authorizations.is_empty());
    let unset = pb::SetWindowRequest { setting: Some(setting), unset: true, by: String::new() };
    client.set_window(unset).await.unwrap();
    let log = client
        .list_budget_log(pb::ListBudgetLogRequest { changes: true, ..Default::default() })
        .await
        .unwrap();
    let log = log.into_inner().entries;
    assert_eq!((log[0].what.as_str(), log[0].subject.as_str()), ("unset", "a 7d"));
    assert!(
        log.iter().any(|entry| entry.who.starts_with("ann (") && entry.detail.contains("used 50.0 %")),
        "{log:?}"
    );
    collector.stop().await;
}

#[tokio::test]
async fn a_full_disk_decides_nothing() {
    let dir = tempfile::tempdir().unwrap();
    write(dir.path(), BUDGET);
    let disk = Disk::default();
    let flaky = disk.clone();
    let collector =
        start_with(dir.path(), |path| Ok(Box::new(Flaky { inner: Sqlite::open(path)?, disk: flaky })));
    let mut client = collector.budget().await;
    until(&mut client, |state| !state.reading).await;
    disk.fill();
    let mut waiting = client.clone();
    let asked = tokio::spawn(async move { waiting.check_budget(ask(5)).await });
    let mut reader = collector.reader().await;
    while reader.get_status(pb::GetStatusRequest {}).await.unwrap().into_inner().store_error.is_none() {
        tokio::task::yield_now().await;
    }
    assert!(!asked.is_finished(), "nothing is promised that is not on the disk");
    disk.clear();
    let verdict = soon(asked).await.unwrap().unwrap().into_inner().verdict.unwrap();
    assert_eq!(verdict.decision(), pb::BudgetDecision::Admit);
    collector.stop().await;
}
