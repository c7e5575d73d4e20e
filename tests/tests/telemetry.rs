//! Calls that no transcript holds, as the real Claude Code tells them by OpenTelemetry: with them the ledger comes to what
//! the model's side billed, and nothing counts twice.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use anyhow::{Context as _, ensure};
use fleet_testkit::agent::count_on_disk;
use fleet_testkit::claude::{ClaudeOptions, RealClaude};
use fleet_testkit::fleet::{self, PATIENCE, collector_with, sidecar, wait_for_state, write_roster};
use fleet_testkit::home::TestHome;
use fleet_testkit::stub::ModelStub;
use fleet_testkit::tmux::PrivateTmux;
use fleet_testkit::wait::wait_until;

/// What the stub billed so far: responses, and tokens written to the cache, which differ from request to request.
fn billed(stub: &ModelStub) -> (u64, u64) {
    let requests = stub.requests().unwrap();
    let paid = requests.iter().filter(|request| {
        request["path"]
            .as_str()
            .is_some_and(|path| path.starts_with("/v1/messages?") || path == "/v1/messages")
    });
    let written: Vec<u64> = paid.map(|request| 1200 + request["n"].as_u64().unwrap()).collect();
    (written.len() as u64, written.iter().sum())
}

fn counted(home: &TestHome) -> anyhow::Result<(u64, u64)> {
    let report = fleet::fleet(home, &["usage", "--json"])?.json()?;
    let totals = &report["totals"];
    let responses = totals["responses"].as_u64().context("no responses")?;
    Ok((responses, totals["cache_write_5m"].as_u64().context("no cache writes")?))
}

fn a_real_claude_tells(protocol: &str) {
    let Some(claude) = RealClaude::require_or_skip() else { return };
    let home = TestHome::new().unwrap();
    let tmux = PrivateTmux::named(&home, "mosaic-fleet").unwrap();
    let stub = ModelStub::start().unwrap();
    let roster = "version: 1\ntmux: {socket_name: mosaic-fleet}\nagents: [{name: coder0, runtime: claude}]\n";
    write_roster(&home, roster).unwrap();
    let collector = collector_with(&home, &["--http", "off", "--otlp", "127.0.0.1:0"]).unwrap();
    let log = collector.log();
    let endpoint = log.split("taken in at ").nth(1).and_then(|rest| rest.split_whitespace().next()).unwrap();
    let _sidecar = sidecar(&home, &["--host"]).unwrap();
    let env = [
        ("CLAUDE_CODE_ENABLE_TELEMETRY", "1"),
        ("OTEL_LOGS_EXPORTER", "otlp"),
        ("OTEL_METRICS_EXPORTER", "otlp"),
        ("OTEL_EXPORTER_OTLP_PROTOCOL", protocol),
        ("OTEL_EXPORTER_OTLP_ENDPOINT", endpoint),
        ("OTEL_LOGS_EXPORT_INTERVAL", "200"),
    ]
    .map(|(name, value)| (name.to_owned(), value.to_owned()));
    let options = ClaudeOptions { env: env.into(), ..ClaudeOptions::default() };
    let session = claude.launch_with(&tmux, &home, "coder0", &stub, &options).unwrap();
    wait_for_state(&home, "coder0", "available").unwrap();
    session.send_prompt("say hello").unwrap();
    session.wait_for_row("the answer", |row| row["type"] == "assistant").unwrap();
    session.wait_for("idle").unwrap();
    session.send_prompt("/compact").unwrap();
    session.wait_for_row("the compaction", |row| row["subtype"] == "compact_boundary").unwrap();
    session.wait_for("idle").unwrap();
    wait_until(PATIENCE * 2, "all that was billed", || {
        let (billed, counted) = (billed(&stub), counted(&home)?);
        ensure!(billed == counted, "billed {billed:?}, counted {counted:?}: {}", collector.log());
        Ok(())
    })
    .unwrap();
    let on_disk = count_on_disk(&home.claude_config()).unwrap();
    assert!(
        on_disk.tokens.cache_write_5m < billed(&stub).1,
        "the transcript misses some, or this shows nothing"
    );
}

#[test]
fn what_a_real_claude_tells_by_http_makes_the_ledger_whole() {
    a_real_claude_tells("http/protobuf");
}

#[test]
fn what_a_real_claude_tells_by_grpc_makes_the_ledger_whole() {
    a_real_claude_tells("grpc");
}
