use fleet_domain::TenantId;
use fleet_domain::observation::NativeState;
use fleet_proto::limits::MAX_REPORT_BYTES;
use pb::report_request::Message;

use super::*;
use crate::fixture::seen;
use crate::ingest::HELLO_LIMIT;

fn wrong() -> pb::ReportRequest {
    let empty = pb::Observation { session: "a".to_owned(), ..Default::default() };
    pb::ReportRequest { origin: None, message: Some(Message::Observation(empty)) }
}

#[tokio::test]
async fn a_stream_begins_with_a_hello_of_the_sockets_own_tenant() {
    let dir = tempfile::tempdir().unwrap();
    let collector = start(dir.path());
    let mut rude = collector.stranger().await;
    rude.see(seen("a", NativeState::Busy)).await;
    let status = rude.end().await;
    assert_eq!(
        (status.code(), status.message()),
        (tonic::Code::InvalidArgument, "the first message must be a Hello")
    );
    let mut foreign = collector.stranger().await;
    foreign.say(Report::Hello(Hello { tenant: TenantId::new("somebody-else"), ..hello() })).await;
    let status = foreign.end().await;
    assert_eq!(status.code(), tonic::Code::PermissionDenied);
    assert!(status.message().contains("not of somebody-else"), "{status}");
    collector.stop().await;
}

#[tokio::test]
async fn a_stream_that_says_nothing_is_not_kept() {
    let dir = tempfile::tempdir().unwrap();
    let collector = start(dir.path());
    let mut silent = collector.stranger().await;
    tokio::time::pause();
    tokio::time::advance(HELLO_LIMIT * 2).await;
    tokio::time::resume();
    assert_eq!(silent.end().await.code(), tonic::Code::DeadlineExceeded);
    assert!(collector.metric("fleet_collector_streams").await.abs() < f64::EPSILON);
    collector.stop().await;
}

#[tokio::test]
async fn wrong_messages_are_counted_and_passed_over_until_they_are_too_many() {
    let dir = tempfile::tempdir().unwrap();
    let collector = start(dir.path());
    let mut sidecar = collector.sidecar().await;
    let mut watched = collector.watch().await;
    for _ in 0..250 {
        sidecar.send(wrong()).await;
    }
    let origin = Some(pb::Origin { tenant_id: "me".to_owned(), host: "elsewhere".to_owned() });
    for _ in 0..49 {
        let message = report_to_pb(&Report::Observed(seen("a", NativeState::Busy)));
        sidecar.send(pb::ReportRequest { origin: origin.clone(), ..message }).await;
    }
    sidecar.see(seen("b", NativeState::Busy)).await;
    watched.until("b", is(pb::State::Working)).await;
    assert!(
        (collector.metric("fleet_collector_dropped_total{reason=\"invalid\"}").await - 250.0).abs() < 0.1
    );
    assert!((collector.metric("fleet_collector_dropped_total{reason=\"foreign\"}").await - 49.0).abs() < 0.1);
    sidecar.send(wrong()).await;
    let status = sidecar.end().await;
    assert_eq!(status.code(), tonic::Code::InvalidArgument);
    assert!(
        status.message().contains("300 messages") && status.message().contains("pane is missing"),
        "{status}"
    );
    collector.stop().await;
}

#[tokio::test]
async fn an_oversized_message_ends_its_own_stream_only() {
    let dir = tempfile::tempdir().unwrap();
    let collector = start(dir.path());
    let healthy = collector.sidecar().await;
    let mut hostile = collector.sidecar().await;
    let title = "x".repeat(MAX_REPORT_BYTES + 1);
    let alive = pb::AlivePane { title, ..Default::default() };
    let pane = pb::Pane { state: Some(pb::pane::State::Alive(alive)) };
    let observation = pb::Observation { session: "a".to_owned(), pane: Some(pane), ..Default::default() };
    hostile.send(pb::ReportRequest { origin: None, message: Some(Message::Observation(observation)) }).await;
    assert_ne!(hostile.end().await.code(), tonic::Code::Ok);
    assert!(
        (collector.metric("fleet_collector_dropped_total{reason=\"undecodable\"}").await - 1.0).abs() < 0.1
    );
    let mut watched = collector.watch().await;
    healthy.see(seen("b", NativeState::Busy)).await;
    watched.until("b", is(pb::State::Working)).await;
    collector.stop().await;
}

#[tokio::test]
async fn an_agents_own_sidecar_speaks_for_its_agent_only() {
    let dir = tempfile::tempdir().unwrap();
    let collector = start(dir.path());
    let mut own = collector.stranger().await;
    own.say(Report::Hello(Hello { vantage: Vantage::Agent, session: "a".to_owned(), ..hello() })).await;
    own.hear().await.unwrap();
    let mut watched = collector.watch().await;
    own.see(seen("b", NativeState::Busy)).await;
    own.see(seen("a", NativeState::Busy)).await;
    watched.until("a", is(pb::State::Working)).await;
    let listing =
        collector.reader().await.list_agents(pb::ListAgentsRequest::default()).await.unwrap().into_inner();
    assert_eq!(listing.agents.len(), 1);
    collector.stop().await;
}
