use fleet_domain::usage::Tokens;
use fleet_proto::convert::sums_from_pb;
use tokio::io::AsyncWriteExt as _;

use super::usage::batch;
use super::*;
use crate::otlp::export_for_test;

/// A call of Claude Code, as its telemetry tells it.
fn call(request: &str, conversation: &str, output: u64) -> Vec<u8> {
    let output = output.to_string();
    let attributes = [
        ("request_id", request),
        ("session.id", conversation),
        ("model", "m"),
        ("input_tokens", "3"),
        ("output_tokens", output.as_str()),
    ];
    export_for_test("claude_code.api_request", &attributes)
}

async fn post(collector: &Collector, path: &str, kind: &str, body: &[u8]) -> u16 {
    let mut stream = TcpStream::connect(collector.otlp).await.unwrap();
    let head = format!(
        "POST {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nContent-Type: {kind}\r\nContent-Length: {}\r\n\r\n",
        body.len()
    );
    stream.write_all(head.as_bytes()).await.unwrap();
    stream.write_all(body).await.unwrap();
    let mut answer = Vec::new();
    soon(stream.read_to_end(&mut answer)).await.unwrap();
    String::from_utf8_lossy(&answer).split(' ').nth(1).unwrap().parse().unwrap()
}

async fn tell(collector: &Collector, body: &[u8]) {
    assert_eq!(post(collector, "/v1/logs", "application/x-protobuf", body).await, 200);
}

/// Responses and output tokens by agent, by the ledger.
async fn used(collector: &Collector) -> Vec<(String, u64, u64)> {
    let by = vec![pb::UsageDimension::Agent as i32];
    let asked = pb::GetUsageRequest { by, ..Default::default() };
    let answer = collector.reader().await.get_usage(asked).await.unwrap().into_inner();
    let report = sums_from_pb(&answer).unwrap();
    let row = |(group, sum): (&fleet_domain::report::Group, &fleet_domain::report::Sum)| {
        (group.agent.as_ref().unwrap().session.clone(), sum.responses, sum.tokens.output)
    };
    report.0.iter().map(row).collect()
}

fn shown(request: &str, id: &str, output: u64, cursor: u8) -> UsageBatch {
    UsageBatch { requests: vec![request.to_owned()], ..batch("a", cursor, &[(id, output)]) }
}

#[tokio::test]
async fn what_a_transcript_holds_counts_once_in_either_order_and_the_rest_is_its_conversations() {
    let dir = tempfile::tempdir().unwrap();
    let collector = start(dir.path());
    let mut sidecar = collector.sidecar().await;
    let rows = |rows: &[(&str, u64, u64)]| {
        rows.iter().map(|(name, count, output)| ((*name).to_owned(), *count, *output)).collect::<Vec<_>>()
    };
    // Telemetry first: nobody's until the conversation is known.
    tell(&collector, &call("req_1", "c", 10)).await;
    tell(&collector, &call("req_title", "c", 4)).await;
    tell(&collector, &call("req_title", "c", 4)).await;
    assert_eq!(used(&collector).await, rows(&[("(unattributed)", 2, 14)]));
    sidecar.pay(shown("req_1", "msg_1", 10, 1)).await;
    sidecar.cursor().await;
    assert_eq!(used(&collector).await, rows(&[("a", 2, 14)]));
    // The transcript first.
    sidecar.pay(shown("req_2", "msg_2", 20, 2)).await;
    sidecar.cursor().await;
    tell(&collector, &call("req_2", "c", 20)).await;
    assert_eq!(used(&collector).await, rows(&[("a", 3, 34)]));
    // What a restart, a repetition and another copy do not change.
    collector.stop().await;
    let collector = start(dir.path());
    let mut sidecar = collector.sidecar().await;
    tell(&collector, &call("req_1", "c", 10)).await;
    tell(&collector, &call("req_title", "c", 4)).await;
    sidecar.pay(shown("req_2", "msg_2", 20, 3)).await;
    sidecar.cursor().await;
    assert_eq!(used(&collector).await, rows(&[("a", 3, 34)]));
    let listed =
        collector.reader().await.list_agents(pb::ListAgentsRequest::default()).await.unwrap().into_inner();
    let sum = |agent: &pb::Agent| agent.by_model.iter().map(|of| of.tokens.unwrap().output).sum::<u64>();
    assert!(
        listed.agents.iter().map(sum).all(|output| output == 0 || output == 34),
        "the register says the same"
    );
    assert_eq!(Tokens::default().total(), 0);
    collector.stop().await;
}

#[tokio::test]
async fn usage_is_told_apart_by_conversation_hour_and_class() {
    let dir = tempfile::tempdir().unwrap();
    let collector = start(dir.path());
    let mut sidecar = collector.sidecar().await;
    sidecar.say(Report::Planes(crate::fixture::planes(&["a"]))).await;
    sidecar.pay(shown("req_1", "msg_1", 10, 1)).await;
    sidecar.cursor().await;
    let by = [pb::UsageDimension::Session, pb::UsageDimension::Class, pb::UsageDimension::Hour];
    let now = clock::system()().wall.0;
    let asked = pb::GetUsageRequest {
        by: by.map(i32::from).to_vec(),
        days_unix_ms: vec![now - 7_200_000],
        ..Default::default()
    };
    let answer = collector.reader().await.get_usage(asked).await.unwrap().into_inner();
    let [sum] = &answer.sums[..] else { panic!("{answer:?}") };
    assert_eq!((sum.conversation.as_str(), sum.class.as_str(), sum.agent.is_none()), ("c", "worker", true));
    assert!((now - 3_700_000..=now).contains(&sum.hour_unix_ms) && (sum.hour_unix_ms - now) % 3_600_000 == 0);
    collector.stop().await;
}

#[tokio::test]
async fn grpc_is_taken_on_the_same_port_and_other_signals_are_let_go_of() {
    let dir = tempfile::tempdir().unwrap();
    let collector = start(dir.path());
    let channel = Endpoint::from_shared(format!("http://{}", collector.otlp)).unwrap();
    let channel = soon(channel.connect()).await.unwrap();
    for (signal, name) in [("logs", "Logs"), ("metrics", "Metrics"), ("trace", "Trace")] {
        let path = format!("/opentelemetry.proto.collector.{signal}.v1.{name}Service/Export");
        let mut grpc = tonic::client::Grpc::new(channel.clone());
        soon(grpc.ready()).await.unwrap();
        let codec = tonic_prost::ProstCodec::<crate::otlp::RawForTest, crate::otlp::RawForTest>::default();
        let request = tonic::Request::new(crate::otlp::raw_for_test(&call("req_9", "c", 9)));
        soon(grpc.unary(request, path.parse().unwrap(), codec)).await.unwrap();
    }
    assert_eq!(used(&collector).await, [("(unattributed)".to_owned(), 1, 9)]);
    assert_eq!(post(&collector, "/v1/metrics", "application/x-protobuf", b"").await, 200);
    assert_eq!(post(&collector, "/v1/logs", "application/json", b"{}").await, 415);
    assert_eq!(post(&collector, "/v1/logs", "application/x-protobuf", b"\xff\xff").await, 400);
    assert_eq!(post(&collector, "/elsewhere", "application/x-protobuf", b"").await, 404);
    assert!(
        (collector.metric("fleet_collector_telemetry_responses_total{result=\"taken\"}").await - 1.0).abs()
            < 0.1
    );
    collector.stop().await;
}
