use fleet_domain::observation::NativeState;

use super::*;
use crate::fixture::{planes, seen};

#[tokio::test]
async fn what_a_sidecar_sees_a_reader_is_told() {
    let dir = tempfile::tempdir().unwrap();
    let collector = start(dir.path());
    let sidecar = collector.sidecar().await;
    let mut watched = collector.watch().await;
    sidecar.see(seen("lead", NativeState::Busy)).await;
    watched.until("lead", is(pb::State::Working)).await;
    sidecar.see(seen("lead", NativeState::TurnEnded)).await;
    watched.until("lead", is(pb::State::Available)).await;
    sidecar.say(Report::Planes(planes(&["lead", "gone"]))).await;
    watched.until("gone", is(pb::State::Dead)).await;

    let mut reader = collector.reader().await;
    let listing = reader.list_agents(pb::ListAgentsRequest::default()).await.unwrap().into_inner();
    let names: Vec<&str> = listing.agents.iter().map(|agent| agent.name.as_str()).collect();
    assert_eq!(names, ["lead", "gone"]);
    let host = &listing.hosts[0];
    assert!(host.up && host.listed && host.roster_path == "/h/roster.yaml");

    let request = pb::GetAgentRequest { name: "le".to_owned(), day_start_unix_ms: 0 };
    let lead = reader.get_agent(request).await.unwrap().into_inner().agent.unwrap();
    assert!(lead.managed && !lead.signals.is_empty() && lead.link == "live");
    let status = reader.get_status(pb::GetStatusRequest {}).await.unwrap().into_inner();
    assert_eq!((status.streams, status.agents, status.store_error), (1, 2, None));
    assert!(status.store.ends_with("register.sqlite3") && status.http.ends_with("/metrics"));
    collector.stop().await;
}

#[tokio::test]
async fn a_goodbye_is_told_apart_from_a_crash() {
    let dir = tempfile::tempdir().unwrap();
    let collector = start(dir.path());
    let mut watched = collector.watch().await;
    let mut polite = collector.sidecar().await;
    polite.see(seen("a", NativeState::Busy)).await;
    polite.say(Report::Goodbye).await;
    watched.until("a", |agent| agent.link == "stopped").await;
    assert_eq!(polite.end().await.code(), tonic::Code::Ok);
    let crashing = collector.sidecar().await;
    crashing.see(seen("a", NativeState::Busy)).await;
    watched.until("a", |agent| agent.link == "live").await;
    drop(crashing);
    watched.until("a", |agent| agent.link == "lost").await;
    collector.stop().await;
}

#[tokio::test]
async fn a_restart_keeps_since_totals_and_counts() {
    let dir = tempfile::tempdir().unwrap();
    let collector = start(dir.path());
    let mut sidecar = collector.sidecar().await;
    let mut watched = collector.watch().await;
    for state in [NativeState::Busy, NativeState::TurnEnded, NativeState::Busy] {
        sidecar.see(seen("a", state)).await;
    }
    sidecar.pay(usage::batch("a", 1, &[("r", 10)])).await;
    sidecar.cursor().await;
    let before = watched.until("a", |agent| agent.by_model.len() == 1).await;
    collector.stop().await;

    let collector = start(dir.path());
    let sidecar = collector.sidecar().await;
    sidecar.see(seen("a", NativeState::Busy)).await;
    let mut watched = collector.watch().await;
    let after = watched.until("a", is(pb::State::Working)).await;
    assert_eq!((after.since_unix_ms, &after.by_model), (before.since_unix_ms, &before.by_model));
    assert_eq!(after.tokens_today, before.tokens_today);
    let labels = format!(r#"tenant="{}",host="box",agent="a",class="",runtime="claude""#, own_tenant());
    let moves = format!(r#"fleet_agent_transitions_total{{{labels},from="available",to="working"}}"#);
    assert!((collector.metric(&moves).await - 1.0).abs() < f64::EPSILON);
    collector.stop().await;
}

#[tokio::test]
async fn a_second_collector_is_refused_and_the_first_lives_on() {
    let dir = tempfile::tempdir().unwrap();
    let collector = start(dir.path());
    let told = App::build(config(dir.path()), clock::system()).err().unwrap().to_string();
    assert!(told.contains("already serves") && told.contains("(pid "), "{told}");
    collector.sidecar().await;
    let socket = collector.socket.clone();
    collector.stop().await;
    assert!(!socket.exists());
}

#[tokio::test]
async fn health_and_reflection_answer() {
    use tonic_health::pb::health_client::HealthClient;
    let dir = tempfile::tempdir().unwrap();
    let collector = start(dir.path());
    collector.sidecar().await;
    let request = tonic_health::pb::HealthCheckRequest { service: "fleet.v1.FleetService".to_owned() };
    let health = HealthClient::new(collector.channel().await).check(request).await.unwrap().into_inner();
    assert_eq!(health.status(), tonic_health::pb::health_check_response::ServingStatus::Serving);

    use tonic_reflection::pb::v1::server_reflection_client::ServerReflectionClient;
    use tonic_reflection::pb::v1::server_reflection_request::MessageRequest;
    use tonic_reflection::pb::v1::server_reflection_response::MessageResponse;
    let request = tonic_reflection::pb::v1::ServerReflectionRequest {
        host: String::new(),
        message_request: Some(MessageRequest::ListServices(String::new())),
    };
    let mut client = ServerReflectionClient::new(collector.channel().await);
    let mut answers = client.server_reflection_info(tokio_stream::once(request)).await.unwrap().into_inner();
    let answer = soon(answers.message()).await.unwrap().unwrap();
    let Some(MessageResponse::ListServicesResponse(list)) = answer.message_response else {
        panic!("{answer:?}")
    };
    assert!(list.service.iter().any(|service| service.name == "fleet.v1.ReportService"));
    collector.stop().await;
}
