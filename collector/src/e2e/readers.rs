use fleet_domain::observation::NativeState;

use super::*;
use crate::fixture::{seen, stuck};

async fn events(collector: &Collector, request: pb::EventsRequest) -> Streaming<pb::EventsResponse> {
    soon(collector.reader().await.events(request)).await.unwrap().into_inner()
}

async fn next(stream: &mut Streaming<pb::EventsResponse>) -> Option<pb::Transition> {
    soon(stream.message()).await.unwrap().map(|response| response.transition.unwrap())
}

async fn states(mut stream: Streaming<pb::EventsResponse>) -> Vec<(String, pb::State)> {
    let mut found = Vec::new();
    while let Some(transition) = next(&mut stream).await {
        found.push((transition.key.clone().unwrap().session, transition.to()));
    }
    found
}

#[tokio::test]
async fn events_are_those_of_the_store_then_those_to_come() {
    let dir = tempfile::tempdir().unwrap();
    let collector = start(dir.path());
    let sidecar = collector.sidecar().await;
    let mut watched = collector.watch().await;
    sidecar.see(seen("a", NativeState::Busy)).await;
    sidecar.see(stuck("b")).await;
    sidecar.see(seen("a", NativeState::TurnEnded)).await;
    watched.until("a", is(pb::State::Available)).await;
    let of = |session: &str, state| (session.to_owned(), state);
    let all = states(events(&collector, pb::EventsRequest::default()).await).await;
    assert_eq!(all, [of("a", pb::State::Working), of("b", pb::State::Stuck), of("a", pb::State::Available)]);
    let latest = pb::EventsRequest { limit: 1, ..Default::default() };
    assert_eq!(states(events(&collector, latest).await).await, [of("a", pb::State::Available)]);
    let future = pb::EventsRequest { since_unix_ms: i64::MAX, ..Default::default() };
    assert_eq!(states(events(&collector, future).await).await, []);

    let followed = pb::EventsRequest { agent: "b".to_owned(), follow: true, ..Default::default() };
    let mut followed = events(&collector, followed).await;
    let first = next(&mut followed).await.unwrap();
    assert_eq!((first.to(), first.evidence.as_str()), (pb::State::Stuck, "Do you want to proceed?"));
    sidecar.see(seen("a", NativeState::Busy)).await;
    sidecar.see(seen("b", NativeState::Busy)).await;
    let second = next(&mut followed).await.unwrap();
    assert_eq!((second.key.unwrap().session.as_str(), second.to), ("b", pb::State::Working as i32));
    collector.stop().await;
}

#[tokio::test]
async fn events_of_an_agent_that_left_are_still_told() {
    let dir = tempfile::tempdir().unwrap();
    let collector = start(dir.path());
    let sidecar = collector.sidecar().await;
    let mut watched = collector.watch().await;
    sidecar.see(seen("old", NativeState::Busy)).await;
    watched.until("old", is(pb::State::Working)).await;
    collector.stop().await;
    let collector = start(dir.path());
    let request = pb::EventsRequest { agent: "old".to_owned(), ..Default::default() };
    assert_eq!(states(events(&collector, request).await).await, [("old".to_owned(), pb::State::Working)]);
    let request = pb::EventsRequest { agent: "never".to_owned(), ..Default::default() };
    let status = collector.reader().await.events(request).await.unwrap_err();
    assert_eq!(status.code(), tonic::Code::NotFound);
    collector.stop().await;
}

#[tokio::test]
async fn who_is_not_found_is_told_who_may_be_meant() {
    let dir = tempfile::tempdir().unwrap();
    let collector = start(dir.path());
    let sidecar = collector.sidecar().await;
    let mut watched = collector.watch().await;
    for session in ["coder0", "coder1", "reviewer"] {
        sidecar.see(seen(session, NativeState::Busy)).await;
        watched.until(session, is(pb::State::Working)).await;
    }
    let mut reader = collector.reader().await;
    for (name, told) in
        [("coder", "coder0, coder1"), ("reviwer", "is it `reviewer`?"), ("x\u{1b}[2J", "x [2J")]
    {
        let request = pb::GetAgentRequest { name: name.to_owned(), day_start_unix_ms: 0 };
        let status = reader.get_agent(request).await.unwrap_err();
        assert_eq!(status.code(), tonic::Code::NotFound);
        assert!(status.message().contains(told), "{status}");
    }
    collector.stop().await;
}

#[tokio::test]
async fn a_watcher_that_does_not_read_is_cut_off() {
    let dir = tempfile::tempdir().unwrap();
    let collector = start(dir.path());
    let sidecar = collector.sidecar().await;
    let mut slow = collector.watch().await.stream;
    let evidence = vec![fixture::stuck("a").evidence[0].clone(); 16];
    let long = fleet_domain::observation::Evidence { line: "x".repeat(240), ..evidence[0].clone() };
    // One a publication: each is told by itself, and none replaces another.
    let mut beat = collector.watch().await;
    let mut told = 0;
    while collector_dropped(&collector, told).await == 0.0 {
        let idle = Duration::from_millis(told);
        let observation = Observation { evidence: vec![long.clone(); 16], idle: Some(idle), ..stuck("a") };
        sidecar.see(observation).await;
        beat.until("a", |_| true).await;
        told += 1;
        assert!(told < 20_000, "nobody is cut off");
    }
    let status = loop {
        match soon(slow.message()).await {
            Ok(Some(_)) => {}
            Ok(None) => panic!("ended without a word"),
            Err(status) => break status,
        }
    };
    assert_eq!(status.code(), tonic::Code::ResourceExhausted);
    assert!(status.message().contains("ask again"), "{status}");
    collector.stop().await;
}

/// Asked now and then only, as a scrape is not free.
async fn collector_dropped(collector: &Collector, told: u64) -> f64 {
    if told % 200 != 199 {
        return 0.0;
    }
    collector.metric("fleet_collector_dropped_total{reason=\"slow_reader\"}").await
}

#[tokio::test]
async fn readers_are_told_that_the_collector_ends() {
    let dir = tempfile::tempdir().unwrap();
    let collector = start(dir.path());
    let mut watched = collector.watch().await.stream;
    soon(watched.message()).await.unwrap().unwrap();
    let request = pb::EventsRequest { follow: true, ..Default::default() };
    let mut followed = events(&collector, request).await;
    let began = std::time::Instant::now();
    collector.stop().await;
    assert!(began.elapsed() < crate::app::DRAIN_LIMIT, "a reader held up the end");
    assert_eq!(soon(watched.message()).await.unwrap_err().code(), tonic::Code::Unavailable);
    assert_eq!(soon(followed.message()).await.unwrap_err().code(), tonic::Code::Unavailable);
}
