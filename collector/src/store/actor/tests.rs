use fleet_domain::readiness::State;
use fleet_domain::{Now, Wall};
use tokio::time::timeout;

use super::*;
use crate::store::conformance::{T, key, record, transition, usage};
use crate::store::flaky::{Disk, Flaky};
use crate::store::sqlite::Sqlite;
use crate::store::{Past, Store};

const SOON: Duration = Duration::from_secs(20);

struct Bench {
    started: Started,
    hub: mpsc::Receiver<Input>,
    meters: Arc<Meters>,
    disk: Disk,
    dir: tempfile::TempDir,
}

fn bench() -> Bench {
    let dir = tempfile::tempdir().unwrap();
    let disk = Disk::default();
    let inner = Sqlite::open(&dir.path().join("r")).unwrap();
    let store = Box::new(Flaky { inner, disk: disk.clone() });
    let (inputs, hub) = mpsc::channel(64);
    let meters = Arc::new(Meters::new(Wall(T)));
    let clock: Clock = Arc::new(|| Now { mono: fleet_domain::Mono(0), wall: Wall(T) });
    let started = start(store, inputs, clock, meters.clone(), Prices::new(None)).unwrap();
    Bench { started, hub, meters, disk, dir }
}

fn job(session: &str, cursor: u8, id: &str, acks: &mpsc::Sender<Ack>) -> UsageJob {
    UsageJob { write: usage(session, session, cursor, vec![record(id, 5, T)]), acks: acks.clone() }
}

async fn put(bench: &Bench, job: UsageJob) {
    bench.started.handle.reserve().await.unwrap().send(job);
}

async fn soon<F: Future>(future: F) -> F::Output {
    timeout(SOON, future).await.unwrap()
}

#[tokio::test]
async fn the_register_hears_of_usage_before_its_sender_does() {
    let mut bench = bench();
    let (acks, mut acked) = mpsc::channel(8);
    put(&bench, job("a", 1, "r", &acks)).await;
    let ack = soon(acked.recv()).await.unwrap();
    assert_eq!(ack, Ack { source: "a".to_owned(), cursor: vec![1] });
    match bench.hub.try_recv().unwrap() {
        Input::Booked(booked) => assert_eq!(booked[0].owner, key("a")),
        other => panic!("{other:?}"),
    }
    put(&bench, job("a", 2, "r", &acks)).await;
    assert_eq!(soon(acked.recv()).await.unwrap().cursor, [2]);
    assert!(bench.hub.try_recv().is_err(), "a repeated record changes nothing");
    assert_eq!(bench.meters.usage_records.get(), 2);
}

#[tokio::test]
async fn a_full_disk_holds_acknowledgements_says_so_and_recovers_alone() {
    let mut bench = bench();
    let (acks, mut acked) = mpsc::channel(8);
    bench.disk.fill();
    put(&bench, job("a", 1, "r", &acks)).await;
    let mut trouble = bench.started.handle.watch_trouble();
    soon(trouble.wait_for(Option::is_some)).await.unwrap();
    assert!(bench.started.handle.trouble().unwrap().contains("cannot write"));
    assert!(acked.try_recv().is_err() && bench.hub.try_recv().is_err());
    // Questions are answered meanwhile, from what is durable.
    let source = usage("a", "a", 1, Vec::new()).source();
    assert_eq!(soon(bench.started.handle.cursor(source.clone())).await.unwrap(), None);
    bench.disk.clear();
    assert_eq!(soon(acked.recv()).await.unwrap().cursor, [1]);
    soon(trouble.wait_for(Option::is_none)).await.unwrap();
    assert_eq!(soon(bench.started.handle.cursor(source)).await.unwrap(), Some(vec![1]));
    assert!(bench.meters.store_errors.get() >= 1);
}

#[tokio::test]
async fn a_question_sees_what_was_sent_before_it() {
    let bench = bench();
    for seq in 1..=100 {
        let Write::Happened(numbered) = transition(seq, "a", Some(State::Working), State::Available, T)
        else {
            unreachable!()
        };
        assert!(bench.started.sink.put(numbered));
    }
    let all = Past { since: Wall(0), up_to: u64::MAX, whose: None };
    assert_eq!(soon(bench.started.handle.page(all.clone(), 0, 1000)).await.unwrap().len(), 100);
    assert_eq!(soon(bench.started.handle.skip_to_latest(all, 10)).await.unwrap(), 90);
}

#[tokio::test]
async fn it_closes_when_all_is_written_whoever_has_a_handle() {
    let bench = bench();
    let (acks, mut acked) = mpsc::channel(64);
    for n in 0..30 {
        put(&bench, job("a", n, &format!("r{n}"), &acks)).await;
    }
    let Bench { started: Started { handle, end, .. }, dir, .. } = bench;
    soon(end.close()).await;
    assert!(handle.reserve().await.is_none(), "whoever still has a handle is refused");
    let mut store = Sqlite::open(&dir.path().join("r")).unwrap();
    let source = usage("a", "a", 1, Vec::new()).source();
    assert_eq!(store.cursor(&source).unwrap(), Some(vec![29]));
    drop(acks);
    drop(handle);
    let mut count = 0;
    while acked.recv().await.is_some() {
        count += 1;
    }
    assert_eq!(count, 30);
}
