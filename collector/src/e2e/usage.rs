use fleet_domain::observation::NativeState;
use fleet_domain::reconcile::Told;
use fleet_domain::usage::{Record, Tokens};

use super::*;
use crate::fixture::{seen, socket};
use crate::store::SourceKey;
use crate::store::conformance::record;
use crate::store::flaky::{Disk, Flaky};
use crate::store::sqlite::Sqlite;

pub(super) fn batch(session: &str, cursor: u8, records: &[(&str, u64)]) -> UsageBatch {
    let now = clock::system()().wall.0;
    let record = |(id, output): &(&str, u64)| Record { ..record(id, *output, now) };
    UsageBatch {
        source: "/t.jsonl".to_owned(),
        socket: socket(),
        session: session.to_owned(),
        runtime: "claude".to_owned(),
        account: "a".to_owned(),
        cursor: vec![cursor],
        records: records.iter().map(record).collect(),
        unreadable: 1,
        requests: Vec::new(),
        told: Vec::new(),
        unknown: Vec::new(),
    }
}

fn source() -> SourceKey {
    SourceKey { tenant: own_tenant(), host: hello().host, source: "/t.jsonl".to_owned() }
}

#[tokio::test]
async fn what_is_acknowledged_is_on_the_disk_already() {
    let dir = tempfile::tempdir().unwrap();
    let collector = start(dir.path());
    let mut sidecar = collector.sidecar().await;
    sidecar.say(Report::CursorQuery { source: "/t.jsonl".to_owned() }).await;
    assert_eq!(sidecar.cursor().await, ("/t.jsonl".to_owned(), vec![]));
    for n in 1..=5 {
        sidecar.pay(batch("a", n, &[(&format!("r{n}"), 10)])).await;
        assert_eq!(sidecar.cursor().await.1, [n]);
        // What a power cut at this moment would leave.
        let left = tempfile::tempdir().unwrap();
        for name in ["register.sqlite3", "register.sqlite3-wal"] {
            std::fs::copy(dir.path().join("state").join(name), left.path().join(name)).unwrap();
        }
        let mut store = Sqlite::open(&left.path().join("register.sqlite3")).unwrap();
        assert_eq!(store.cursor(&source()).unwrap(), Some(vec![n]));
        let agents = store.load(fleet_domain::Wall(0)).unwrap().agents;
        assert_eq!(agents[0].by_model["m"].output, 10 * u64::from(n));
    }
    sidecar.say(Report::CursorQuery { source: "/t.jsonl".to_owned() }).await;
    assert_eq!(sidecar.cursor().await.1, [5]);
    assert!((collector.metric("fleet_collector_usage_unreadable_total").await - 5.0).abs() < f64::EPSILON);
    collector.stop().await;
}

/// The page's lines of a metric.
async fn lines(collector: &Collector, metric: &str) -> Vec<String> {
    let page = collector.page("/metrics", "Host: localhost\r\n").await;
    page.lines().filter(|line| line.starts_with(metric)).map(str::to_owned).collect()
}

#[tokio::test]
async fn what_a_runtime_tells_and_nobody_counted_is_a_metric_with_its_cause() {
    let dir = tempfile::tempdir().unwrap();
    let collector = start(dir.path());
    let mut sidecar = collector.sidecar().await;
    let told = |output, compactions| Told {
        conversation: "c".to_owned(),
        sum: Tokens { input: 3, output, ..Tokens::default() },
        compactions,
        ..Told::default()
    };
    let unknown = vec![("oracle".to_owned(), 2)];
    sidecar.pay(UsageBatch { told: vec![told(10, 0)], unknown, ..batch("a", 1, &[("r", 10)]) }).await;
    // A sum that comes late is no later sum.
    sidecar.pay(UsageBatch { told: vec![told(510, 1)], ..batch("a", 2, &[]) }).await;
    sidecar.pay(UsageBatch { told: vec![told(10, 0)], ..batch("a", 3, &[]) }).await;
    for _ in 0..3 {
        sidecar.cursor().await;
    }
    let begun = std::time::Instant::now();
    loop {
        let lines = lines(&collector, "fleet_usage_re").await;
        let compaction = |line: &&String| line.contains(r#"runtime="claude",cause="compaction""#);
        let values = lines.iter().filter(compaction).filter_map(|line| line.rsplit(' ').next());
        if values.collect::<Vec<_>>() == ["500.0", "1"] {
            break;
        }
        assert!(begun.elapsed() < SOON * 3, "{lines:?}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let unknown = lines(&collector, "fleet_collector_usage_unknown_total").await;
    assert_eq!(unknown, [r#"fleet_collector_usage_unknown_total{runtime="claude"} 2"#]);
    let status = collector.reader().await.get_status(pb::GetStatusRequest {}).await.unwrap().into_inner();
    assert_eq!(status.usage_unknown[0].kind, "oracle");
    collector.stop().await;
}

#[tokio::test]
async fn a_repeat_from_another_session_pays_nothing_and_corrects_the_owner() {
    let dir = tempfile::tempdir().unwrap();
    let collector = start(dir.path());
    let mut sidecar = collector.sidecar().await;
    let mut watched = collector.watch().await;
    for session in ["a", "b"] {
        sidecar.see(seen(session, NativeState::Busy)).await;
    }
    sidecar.pay(batch("a", 1, &[("r", 10)])).await;
    sidecar.pay(batch("b", 2, &[("r", 30)])).await;
    sidecar.cursor().await;
    sidecar.cursor().await;
    let output = |agent: &pb::Agent| agent.by_model.iter().map(|of| of.tokens.unwrap().output).sum::<u64>();
    watched.until("a", |agent| output(agent) == 30).await;
    let listing =
        collector.reader().await.list_agents(pb::ListAgentsRequest::default()).await.unwrap().into_inner();
    assert_eq!(listing.agents.iter().map(output).collect::<Vec<_>>(), [30, 0]);
    collector.stop().await;
}

#[tokio::test]
async fn a_full_disk_holds_acknowledgements_and_nothing_else() {
    let dir = tempfile::tempdir().unwrap();
    let disk = Disk::default();
    disk.fill();
    let flaky = disk.clone();
    let collector =
        start_with(dir.path(), |path| Ok(Box::new(Flaky { inner: Sqlite::open(path)?, disk: flaky })));
    let mut sidecar = collector.sidecar().await;
    let mut watched = collector.watch().await;
    sidecar.pay(batch("a", 1, &[("r", 10)])).await;
    for state in [NativeState::Busy, NativeState::TurnEnded] {
        sidecar.see(seen("a", state)).await;
    }
    watched.until("a", is(pb::State::Available)).await;
    let mut reader = collector.reader().await;
    // The trouble is known once the first try has failed.
    loop {
        let status = reader.get_status(pb::GetStatusRequest {}).await.unwrap().into_inner();
        if let Some(why) = status.store_error {
            assert!(why.contains("cannot write"), "{why}");
            break;
        }
        tokio::task::yield_now().await;
    }
    assert!(collector.metric("fleet_collector_store_errors_total").await >= 1.0);
    disk.clear();
    assert_eq!(sidecar.cursor().await.1, [1]);
    let agent = watched.until("a", |agent| !agent.by_model.is_empty()).await;
    assert_eq!(agent.by_model[0].tokens.unwrap().output, 10);
    let status = reader.get_status(pb::GetStatusRequest {}).await.unwrap().into_inner();
    assert_eq!(status.store_error, None);
    collector.stop().await;
}

#[tokio::test]
async fn a_drain_acknowledges_what_was_taken_in() {
    let dir = tempfile::tempdir().unwrap();
    let collector = start(dir.path());
    let mut sidecar = collector.sidecar().await;
    for n in 1..=20 {
        sidecar.pay(batch("a", n, &[(&format!("r{n}"), 10)])).await;
    }
    assert_eq!(sidecar.cursor().await.1, [1]);
    collector.stop().await;
    let mut last = 1;
    while let Ok(Some(Answer::Cursor { cursor, .. })) = sidecar.hear().await {
        last = cursor[0];
    }
    let mut store = Sqlite::open(&config(dir.path()).store).unwrap();
    assert_eq!(store.cursor(&source()).unwrap(), Some(vec![last]));
}
