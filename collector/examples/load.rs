//! How fast and how large: a collector of its own, N agents on one host-wide stream, then `ListAgents` warm and on a
//! fresh connection, a scrape, a start from the store, and the memory of it all.
//!
//! `cargo run --release -p fleet-collector --example load -- 1000`
#![expect(clippy::unwrap_used, clippy::print_stdout, reason = "a measurement, run by hand")]

use std::io::{Read, Write};
use std::net::TcpStream;
use std::os::unix::net::UnixDatagram;
use std::path::Path;
use std::process::{Child, Command};
use std::time::{Duration, Instant};

use fleet_domain::ids::{AgentName, RuntimeName, SessionId};
use fleet_domain::observation::{
    Beat, HostPlanes, Native, NativeState, Observation, Pane, Process, RosterEntry, RosterPlane, SocketPlane,
    SocketState, Source, Vantage,
};
use fleet_domain::usage::{Record, Tokens};
use fleet_domain::{HostId, SocketName, Wall};
use fleet_proto::convert::{Hello, Report, UsageBatch, report_to_pb};
use fleet_proto::pb;
use fleet_proto::pb::fleet_service_client::FleetServiceClient;
use fleet_proto::pb::report_service_client::ReportServiceClient;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::transport::{Channel, Endpoint};

const HTTP: &str = "127.0.0.1:19464";

#[expect(clippy::disallowed_methods, reason = "the program measured")]
fn start(dir: &Path) -> (Child, Duration) {
    let notify = dir.join("notify");
    let _ = std::fs::remove_file(&notify);
    let notifications = UnixDatagram::bind(&notify).unwrap();
    let program = std::env::current_exe().unwrap().parent().unwrap().join("../fleet-collector");
    let began = Instant::now();
    let child = Command::new(program)
        .env_clear()
        .env("HOME", dir)
        .env("XDG_RUNTIME_DIR", dir.join("run"))
        .env("NOTIFY_SOCKET", &notify)
        .args(["--http", HTTP, "--log", "warn"])
        .spawn()
        .unwrap();
    notifications.recv(&mut [0; 64]).unwrap();
    (child, began.elapsed())
}

async fn channel(dir: &Path) -> Channel {
    let uri = format!("unix://{}", dir.join("run/mosaic/collector.sock").display());
    Endpoint::from_shared(uri).unwrap().connect().await.unwrap()
}

fn socket() -> SocketName {
    SocketName::new("mosaic-fleet")
}

fn observation(n: usize, state: NativeState) -> Observation {
    Observation {
        socket: socket(),
        session: format!("agent-{n:05}"),
        pane: Pane::Alive {
            id: format!("%{n}"),
            pid: 10,
            command: "claude".to_owned(),
            title: "✳ Refactor the parser".to_owned(),
        },
        process: Process::Running { pid: 10, name: "claude".to_owned(), stopped: false },
        runtime: Some(RuntimeName::new("claude")),
        native: vec![Native {
            state,
            since: Some(Duration::from_secs(4)),
            source: Source::StateFile,
            confirmed: Duration::ZERO,
            line: String::new(),
        }],
        evidence: Vec::new(),
        heartbeat: Some(Beat {
            age: Duration::from_secs(1),
            interval: Duration::from_secs(15),
            pid: Some(10),
            status: None,
            source: Source::StateFile,
            clock_skew: false,
        }),
        idle: Some(Duration::from_secs(3)),
        model: Some("claude-opus-4-5".to_owned()),
        conversation: Some(SessionId::new("0196a3b2-51a4-7d41-b5a0-1f2e3d4c5b6a")),
        draft: Some(false),
    }
}

fn planes(count: usize) -> HostPlanes {
    let entry = |n: usize| RosterEntry {
        name: AgentName::parse(&format!("agent-{n:05}")).unwrap(),
        runtime: RuntimeName::new("claude"),
        class: "implementer".to_owned(),
        alias: None,
        model_hint: None,
        socket: socket(),
        account: Some("max-1".to_owned()),
        runs_a_shell: false,
        deviations: Vec::new(),
    };
    HostPlanes {
        roster: RosterPlane {
            path: "r".to_owned(),
            error: None,
            agents: (0..count.min(2_000)).map(entry).collect(),
        },
        sockets: vec![SocketPlane { socket: socket(), holder: "_holder".to_owned(), state: SocketState::Up }],
        ..HostPlanes::default()
    }
}

fn batch(n: usize) -> UsageBatch {
    let record = |r: usize| Record {
        id: format!("msg_{n:05}_{r}"),
        conversation: SessionId::new("0196a3b2-51a4-7d41-b5a0-1f2e3d4c5b6a"),
        model: ["claude-opus-4-5", "claude-haiku-4-5"][r % 2].to_owned(),
        at: Wall(fleet_collector::clock::system()().wall.0 - 60_000 * r as i64),
        tokens: Tokens {
            input: 5,
            cache_read: 90_000,
            cache_write_5m: 1_200,
            output: 800,
            ..Tokens::default()
        },
        sidechain: false,
        terms: fleet_domain::usage::Terms::default(),
        reported: None,
    };
    UsageBatch {
        source: format!("/t/{n}.jsonl"),
        socket: socket(),
        session: format!("agent-{n:05}"),
        runtime: "claude".to_owned(),
        account: "max-1".to_owned(),
        cursor: vec![1; 32],
        records: (0..40).map(record).collect(),
        unreadable: 0,
        requests: Vec::new(),
        told: Vec::new(),
        unknown: Vec::new(),
    }
}

async fn feed(dir: &Path, count: usize, with_usage: bool) -> mpsc::Sender<pb::ReportRequest> {
    let (up, messages) = mpsc::channel(256);
    let mut client = ReportServiceClient::new(channel(dir).await);
    let hello = Hello {
        tenant: fleet_collector::peer::own_tenant(),
        host: HostId::new("box"),
        vantage: Vantage::Host,
        session: String::new(),
        socket: SocketName::default_server(),
        version: "0".to_owned(),
        boot_id: String::new(),
        wall: Wall(0),
        monotonic_ms: 0,
        runtime: None,
        class: None,
    };
    let send = |report: Report| {
        let up = up.clone();
        async move { up.send(report_to_pb(&report)).await.unwrap() }
    };
    send(Report::Hello(hello)).await;
    let mut down = client.report(ReceiverStream::new(messages)).await.unwrap().into_inner();
    let answers = tokio::spawn(async move {
        let wanted = 1 + if with_usage { count } else { 0 };
        for _ in 0..wanted {
            down.message().await.unwrap().unwrap();
        }
        down
    });
    for round in 0..3 {
        for n in 0..count {
            let state = if (n + round) % 3 == 0 { NativeState::Busy } else { NativeState::TurnEnded };
            send(Report::Observed(observation(n, state))).await;
        }
    }
    send(Report::Planes(planes(count))).await;
    if with_usage {
        for n in 0..count {
            send(Report::Usage(batch(n))).await;
        }
    }
    let mut down = answers.await.unwrap();
    tokio::spawn(async move { while let Ok(Some(_)) = down.message().await {} });
    up
}

fn rss(child: &Child) -> String {
    let status = std::fs::read_to_string(format!("/proc/{}/status", child.id())).unwrap();
    let field = |name: &str| {
        let line = status.lines().find_map(|line| line.strip_prefix(name)).unwrap_or_default();
        line.trim().trim_end_matches(" kB").trim().parse::<f64>().unwrap_or_default() / 1024.0
    };
    format!(
        "rss {:.1} MiB (anonymous {:.1}), peak {:.1}",
        field("VmRSS:"),
        field("RssAnon:"),
        field("VmHWM:")
    )
}

fn percentiles(mut times: Vec<Duration>) -> String {
    times.sort();
    let at = |p: usize| times[(times.len() - 1) * p / 100].as_secs_f64() * 1e3;
    format!("p50 {:.2} ms, p90 {:.2}, p99 {:.2}", at(50), at(90), at(99))
}

async fn list(client: &mut FleetServiceClient<Channel>) -> (usize, usize) {
    let request = pb::ListAgentsRequest::default();
    let listing = client.list_agents(request).await.unwrap().into_inner();
    (listing.agents.len(), prost_len(&listing))
}

fn prost_len(listing: &pb::ListAgentsResponse) -> usize {
    listing.agents.iter().map(|agent| agent.name.len() + agent.reason.len() + 200).sum()
}

async fn reader(dir: &Path) -> FleetServiceClient<Channel> {
    FleetServiceClient::new(channel(dir).await).max_decoding_message_size(64 << 20)
}

/// `None` where it is not built.
#[expect(clippy::disallowed_methods, reason = "the program measured")]
fn cold_ps(dir: &Path) -> Option<Vec<Duration>> {
    let fleet = std::env::current_exe().ok()?.parent()?.join("../fleet");
    let run = || {
        let began = Instant::now();
        let mut ps = Command::new(&fleet);
        ps.env_clear().env("HOME", dir).env("XDG_RUNTIME_DIR", dir.join("run")).arg("ps");
        let output = ps.output().ok()?;
        let rows = output.stdout.iter().filter(|byte| **byte == b'\n').count();
        (rows > 500 || !output.status.success()).then(|| began.elapsed())
    };
    (0..60).map(|_| run()).collect()
}

fn scrape() -> (Duration, usize) {
    let began = Instant::now();
    let mut stream = TcpStream::connect(HTTP).unwrap();
    stream.write_all(b"GET /metrics HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n").unwrap();
    let mut page = Vec::new();
    stream.read_to_end(&mut page).unwrap();
    (began.elapsed(), page.len())
}

fn cpu(child: &Child) -> f64 {
    let stat = std::fs::read_to_string(format!("/proc/{}/stat", child.id())).unwrap();
    let fields: Vec<&str> = stat.rsplit_once(')').unwrap().1.split_whitespace().collect();
    (fields[11].parse::<f64>().unwrap() + fields[12].parse::<f64>().unwrap()) / 100.0
}

#[tokio::main(flavor = "current_thread")]
async fn main() {
    let count: usize = std::env::args().nth(1).map_or(1_000, |count| count.parse().unwrap());
    let dir = tempfile::tempdir().unwrap();
    let (child, took) = start(dir.path());
    println!("empty start: {took:.1?}, {}", rss(&child));
    let began = Instant::now();
    let up = feed(dir.path(), count, false).await;
    println!("{count} agents, 3 observations each: {:.1?}, {}", began.elapsed(), rss(&child));
    drop(up);
    let began = Instant::now();
    let up = feed(dir.path(), count, true).await;
    println!("again, and {} usage records: {:.1?}, {}", count * 40, began.elapsed(), rss(&child));

    let mut client = reader(dir.path()).await;
    let (agents, _) = list(&mut client).await;
    assert_eq!(agents, count);
    let mut warm = Vec::new();
    let before = cpu(&child);
    for _ in 0..300 {
        let began = Instant::now();
        list(&mut client).await;
        warm.push(began.elapsed());
    }
    let each = (cpu(&child) - before) / 300.0 * 1e3;
    println!("ListAgents warm: {}; {each:.2} ms of the collector's cpu each", percentiles(warm));
    let mut cold = Vec::new();
    let before = cpu(&child);
    for _ in 0..200 {
        let began = Instant::now();
        list(&mut reader(dir.path()).await).await;
        cold.push(began.elapsed());
    }
    let each = (cpu(&child) - before) / 200.0 * 1e3;
    println!("ListAgents on a new connection: {}; {each:.2} ms of cpu, {}", percentiles(cold), rss(&child));
    if let Some(times) = cold_ps(dir.path()) {
        println!("`fleet ps` as a cold process: {}", percentiles(times));
    }
    let before = cpu(&child);
    let mut scrapes: Vec<Duration> = (0..50).map(|_| scrape().0).collect();
    let each = (cpu(&child) - before) / 50.0 * 1e3;
    scrapes.sort();
    println!(
        "scrape of {} KiB: p50 {:.1?}, {each:.1} ms of cpu, {}",
        scrape().1 >> 10,
        scrapes[25],
        rss(&child)
    );

    let before = cpu(&child);
    let rounds = 5;
    let began = Instant::now();
    for _ in 0..rounds {
        for n in 0..count {
            let message = report_to_pb(&Report::Observed(observation(n, NativeState::Busy)));
            up.send(message).await.unwrap();
        }
    }
    list(&mut client).await;
    let each = (cpu(&child) - before) / (rounds * count) as f64;
    println!("an observation: {:.1} µs of cpu, {:.1?} in all", each * 1e6, began.elapsed());
    drop((up, client));
    stop(child);
    let (child, took) = start(dir.path());
    println!("start from the store: {took:.1?}, {}", rss(&child));
    stop(child);
}

fn stop(mut child: Child) {
    nix::sys::signal::kill(
        nix::unistd::Pid::from_raw(i32::try_from(child.id()).unwrap()),
        nix::sys::signal::Signal::SIGTERM,
    )
    .unwrap();
    child.wait().unwrap();
}
