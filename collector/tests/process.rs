//! The program itself: what systemd is told, what a kill leaves, what a wrong call says.
#![expect(clippy::unwrap_used, clippy::panic, reason = "a test's helpers")]

use std::os::unix::net::UnixDatagram;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::time::{Duration, Instant};

use fleet_collector::app::DRAIN_LIMIT;
use fleet_domain::ids::SessionId;
use fleet_domain::observation::Vantage;
use fleet_domain::usage::{Record, Tokens};
use fleet_domain::{HostId, SocketName, Wall};
use fleet_proto::convert::{Answer, Hello, Report, UsageBatch, answer_from_pb, report_to_pb};
use fleet_proto::pb;
use fleet_proto::pb::report_service_client::ReportServiceClient;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::Streaming;
use tonic::transport::Endpoint;

const SOON: Duration = Duration::from_secs(30);

#[expect(clippy::disallowed_methods, reason = "the program under test")]
fn program(dir: &Path, args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_fleet-collector"));
    command.env_clear().env("HOME", dir).env("XDG_RUNTIME_DIR", dir.join("run")).args(args);
    command.stdin(Stdio::null());
    command
}

fn output(dir: &Path, args: &[&str]) -> Output {
    program(dir, args).output().unwrap()
}

fn told(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).unwrap()
}

/// A running collector, with systemd's end of its notifications.
struct Running {
    child: Child,
    notifications: UnixDatagram,
    socket: PathBuf,
}

impl Running {
    fn start(dir: &Path, watchdog: bool) -> Self {
        let notify = dir.join("notify");
        let _ = std::fs::remove_file(&notify);
        let notifications = UnixDatagram::bind(&notify).unwrap();
        notifications.set_read_timeout(Some(SOON)).unwrap();
        let mut command = program(dir, &["--http", "off", "--log", "warn"]);
        command.env("NOTIFY_SOCKET", &notify);
        if watchdog {
            command.env("WATCHDOG_USEC", "50000");
        }
        let child = command.spawn().unwrap();
        let running = Self { child, notifications, socket: dir.join("run/mosaic/collector.sock") };
        running.until("READY=1");
        running
    }

    fn until(&self, wanted: &str) {
        let mut buffer = [0; 512];
        loop {
            let length = self.notifications.recv(&mut buffer).unwrap();
            if String::from_utf8_lossy(&buffer[..length]).lines().any(|line| line == wanted) {
                return;
            }
        }
    }

    fn signal(&mut self, signal: Signal) -> ExitStatus {
        kill(Pid::from_raw(i32::try_from(self.child.id()).unwrap()), signal).unwrap();
        self.child.wait().unwrap()
    }

    async fn sidecar(&self) -> Sidecar {
        let uri = format!("unix://{}", self.socket.display());
        let channel = Endpoint::from_shared(uri).unwrap().connect().await.unwrap();
        let (up, messages) = mpsc::channel(64);
        let tenant = fleet_collector::peer::own_tenant();
        let hello = Hello {
            tenant,
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
        up.send(report_to_pb(&Report::Hello(hello))).await.unwrap();
        let stream = ReportServiceClient::new(channel).report(ReceiverStream::new(messages)).await.unwrap();
        let mut sidecar = Sidecar { up, down: stream.into_inner() };
        assert!(matches!(sidecar.hear().await, Some(Answer::Welcome { .. })));
        sidecar
    }
}

struct Sidecar {
    up: mpsc::Sender<pb::ReportRequest>,
    down: Streaming<pb::ReportResponse>,
}

impl Sidecar {
    async fn say(&self, report: Report) -> bool {
        self.up.send(report_to_pb(&report)).await.is_ok()
    }

    async fn hear(&mut self) -> Option<Answer> {
        let answer = tokio::time::timeout(SOON, self.down.message()).await.unwrap().ok()??;
        answer_from_pb(&answer).unwrap()
    }

    /// Where to go on.
    async fn position(&mut self) -> u64 {
        self.say(Report::CursorQuery { source: "t".to_owned() }).await;
        match self.hear().await {
            Some(Answer::Cursor { cursor, .. }) => position_of(&cursor),
            other => panic!("{other:?}"),
        }
    }
}

fn position_of(cursor: &[u8]) -> u64 {
    cursor.try_into().map_or(0, u64::from_be_bytes)
}

/// Every batch of this transcript is three records, the last of which is repeated by the next batch.
fn batch(number: u64) -> UsageBatch {
    let record = |n: u64| Record {
        id: format!("r{n}"),
        conversation: SessionId::new("c"),
        model: "m".to_owned(),
        at: Wall(0),
        tokens: Tokens { output: 1, ..Tokens::default() },
        sidechain: false,
        terms: fleet_domain::usage::Terms::default(),
        reported: None,
    };
    UsageBatch {
        source: "t".to_owned(),
        socket: SocketName::default_server(),
        session: "a".to_owned(),
        runtime: "claude".to_owned(),
        account: String::new(),
        cursor: (number + 1).to_be_bytes().to_vec(),
        records: (2 * number..=2 * number + 2).map(record).collect(),
        unreadable: 0,
        requests: Vec::new(),
        told: Vec::new(),
        unknown: Vec::new(),
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_kill_at_any_moment_loses_nothing_acknowledged_and_counts_nothing_twice() {
    let dir = tempfile::tempdir().unwrap();
    let mut acknowledged = 0;
    for round in 0..12 {
        let mut collector = Running::start(dir.path(), false);
        let mut sidecar = collector.sidecar().await;
        let mut next = sidecar.position().await;
        assert!(next >= acknowledged, "{acknowledged} was acknowledged, {next} is known");
        // Several under way, and the kill comes after a different number of answers each time.
        for _ in 0..40 {
            sidecar.say(Report::Usage(batch(next))).await;
            next += 1;
        }
        for _ in 0..round * 3 {
            match sidecar.hear().await {
                Some(Answer::Cursor { cursor, .. }) => acknowledged = position_of(&cursor),
                other => panic!("{other:?}"),
            }
        }
        collector.signal(Signal::SIGKILL);
        assert!(collector.socket.exists(), "the next start finds a stale socket");
    }
    let mut collector = Running::start(dir.path(), false);
    let known = collector.sidecar().await.position().await;
    assert!(tokio::task::block_in_place(|| collector.signal(Signal::SIGTERM)).success());
    let store = rusqlite::Connection::open(dir.path().join(".local/state/mosaic/register.sqlite3")).unwrap();
    let sum = |sql: &str| store.query_row(sql, [], |row| row.get::<_, i64>(0)).unwrap();
    let expected = i64::try_from(2 * known + 1).unwrap();
    // They are so old that each start rolls up what the one before it took in.
    let rows = "SELECT (SELECT count(*) FROM usage) + (SELECT count(*) FROM rolled_ids)";
    let output = "SELECT (SELECT total(output) FROM usage) + (SELECT total(output) FROM rolled)";
    assert_eq!(sum(rows), expected);
    assert_eq!(sum(&format!("SELECT CAST(({output}) AS INTEGER)")), expected);
    assert_eq!(sum("SELECT sum(output) FROM totals"), expected);
    assert_eq!(sum("SELECT count(*) FROM pragma_integrity_check WHERE integrity_check = 'ok'"), 1);
}

#[test]
fn systemd_hears_ready_alive_and_stopping_and_the_socket_goes() {
    let dir = tempfile::tempdir().unwrap();
    let mut collector = Running::start(dir.path(), true);
    collector.until("WATCHDOG=1");
    collector.until("WATCHDOG=1");
    assert!(collector.socket.exists());
    assert!(collector.signal(Signal::SIGINT).success());
    collector.until("STOPPING=1");
    assert!(!collector.socket.exists());
}

/// Its queue fills within a second here; the collector must not wait for it.
#[tokio::test]
async fn a_systemd_that_does_not_read_and_peers_that_do_not_hang_up_hold_up_nobody() {
    let dir = tempfile::tempdir().unwrap();
    let mut collector = Running::start(dir.path(), true);
    for _ in 0..200 {
        let mut sidecar = collector.sidecar().await;
        assert_eq!(sidecar.position().await, 0);
    }
    let asked = Instant::now();
    // This test's only thread waits, so no peer hangs up either.
    assert!(collector.signal(Signal::SIGTERM).success());
    assert!(asked.elapsed() < DRAIN_LIMIT + Duration::from_secs(5), "{:?}", asked.elapsed());
    let wal = dir.path().join(".local/state/mosaic/register.sqlite3-wal");
    assert!(!wal.exists(), "the store was not closed");
}

#[test]
fn every_mistake_is_on_a_line_of_its_own_and_the_exit_code_says_wrongly_called() {
    let dir = tempfile::tempdir().unwrap();
    let output = output(dir.path(), &["--http", "0.0.0.0:1", "--log", "loud"]);
    assert_eq!(output.status.code(), Some(2));
    let told = told(&output);
    assert_eq!(told.lines().filter(|line| line.starts_with("fleet-collector: --")).count(), 2, "{told}");
}

#[test]
fn a_store_that_cannot_be_used_and_a_taken_port_are_one_line_and_exit_1() {
    let dir = tempfile::tempdir().unwrap();
    let store = dir.path().join("notes.txt");
    std::fs::write(&store, "not a database, and longer than a header of one would have to be".repeat(20))
        .unwrap();
    let store = store.to_str().unwrap();
    let refused = output(dir.path(), &["--http", "off", "--log", "warn", "--store", store]);
    assert_eq!((refused.status.code(), told(&refused).lines().count()), (Some(1), 1), "{}", told(&refused));
    assert!(told(&refused).contains(store) && told(&refused).contains("damaged"), "{}", told(&refused));
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let refused = output(dir.path(), &["--log", "warn", "--http", &address]);
    assert_eq!(refused.status.code(), Some(1));
    assert!(told(&refused).contains(&address) && told(&refused).contains("--http off"), "{}", told(&refused));
}

#[test]
fn the_catalogue_is_json_for_tools_and_lines_for_people() {
    let dir = tempfile::tempdir().unwrap();
    let json = output(dir.path(), &["metrics", "--json"]);
    let metrics: Vec<serde_json::Value> = serde_json::from_slice(&json.stdout).unwrap();
    assert!(
        metrics.iter().any(|metric| metric["name"] == "fleet_tokens_total" && metric["type"] == "counter")
    );
    let text = output(dir.path(), &["metrics"]);
    assert_eq!(String::from_utf8(text.stdout).unwrap().lines().count(), metrics.len());
}
