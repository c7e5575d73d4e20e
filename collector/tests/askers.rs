//! A thousand askers at once against one window, over the real socket, while the collector is killed and started again
//! in between: what was promised is never more than there is.
#![expect(clippy::unwrap_used, reason = "a test's helpers")]

use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread::JoinHandle;
use std::time::Duration;

use fleet_proto::pb;
use fleet_proto::pb::budget_service_client::BudgetServiceClient;
use tokio::sync::watch;
use tokio::time::timeout;
use tonic::Code;
use tonic::transport::{Channel, Endpoint};

const ASKERS: usize = 1_000;
/// Tokens that each asks for, and that there are.
const EACH: u64 = 7_000;
const LIMIT: u64 = 2_000_000;
const KILLS: usize = 4;
const LONGEST: Duration = Duration::from_secs(120);

const BUDGET: &str = "version: 1
zone: UTC
accounts:
  - name: a
    provider: anthropic
    windows: [{name: 7d, every: 7d, reset_at: 2026-01-01T00:00, limit: 2M}]
";

/// `serving` becomes true when it says so.
#[expect(clippy::disallowed_methods, reason = "the program under test")]
fn start(home: &Path, serving: &watch::Sender<bool>) -> Collector {
    let mut command = Command::new(env!("CARGO_BIN_EXE_fleet-collector"));
    command.env_clear().env("HOME", home).env("XDG_RUNTIME_DIR", home.join("run"));
    command.args(["--http", "off", "--log", "info"]).stdin(Stdio::null()).stdout(Stdio::null());
    let mut child = command.stderr(Stdio::piped()).spawn().unwrap();
    let (said, serving) = (BufReader::new(child.stderr.take().unwrap()), serving.clone());
    let listener = std::thread::spawn(move || {
        for line in said.lines().map_while(Result::ok) {
            match line.contains(" serving") {
                true => drop(serving.send_replace(true)),
                false => eprintln!("collector: {line}"),
            }
        }
    });
    Collector { child, listener }
}

struct Collector {
    child: Child,
    /// Hears what it says.
    listener: JoinHandle<()>,
}

impl Collector {
    /// Dead, and heard to its end, when this returns.
    fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
        self.listener.join().unwrap();
    }
}

async fn client(socket: &Path) -> Option<BudgetServiceClient<Channel>> {
    let uri = format!("unix://{}", socket.display());
    Some(BudgetServiceClient::new(Endpoint::from_shared(uri).unwrap().connect().await.ok()?))
}

/// What the askers were told, by task.
type Promised = BTreeMap<String, u64>;

/// Asks for its own task until somebody answers, however often the collector dies meanwhile.
async fn asker(
    number: usize,
    socket: PathBuf,
    mut serving: watch::Receiver<bool>,
    promised: watch::Sender<Promised>,
) {
    let task = format!("job-{number}");
    let ask = pb::CheckBudgetRequest {
        class: "implementer".to_owned(),
        model: "claude-opus-5".to_owned(),
        estimate_tokens: Some(EACH),
        task: task.clone(),
        hold: true,
        ..Default::default()
    };
    loop {
        serving.wait_for(|serves| *serves).await.unwrap();
        let Some(mut client) = client(&socket).await else { continue };
        match client.check_budget(ask.clone()).await {
            Ok(answer) => {
                let verdict = answer.into_inner().verdict.unwrap();
                if verdict.task == task {
                    promised.send_modify(|promised| _ = promised.insert(task, EACH));
                }
                return;
            }
            Err(status) => assert!(
                matches!(status.code(), Code::Unavailable | Code::Unknown | Code::Cancelled | Code::Internal),
                "{status}"
            ),
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_thousand_askers_and_a_collector_that_dies_never_overcommit() {
    let home = tempfile::tempdir().unwrap();
    let fleet = home.path().join(".config/mosaic/fleet");
    std::fs::create_dir_all(&fleet).unwrap();
    std::fs::write(fleet.join("budget.yaml"), BUDGET).unwrap();
    let socket = home.path().join("run/mosaic/collector.sock");
    let (promise, mut promised) = watch::channel(Promised::new());
    let (serve, mut serving) = watch::channel(false);
    let mut collector = start(home.path(), &serve);
    let asking: Vec<_> = (0..ASKERS)
        .map(|number| tokio::spawn(asker(number, socket.clone(), serving.clone(), promise.clone())))
        .collect();
    for kill in 1..=KILLS {
        // In the middle of it: so many more were promised something.
        timeout(LONGEST, promised.wait_for(|promised| promised.len() >= kill * 40)).await.unwrap().unwrap();
        collector.kill();
        serve.send_replace(false);
        collector = start(home.path(), &serve);
    }
    for asker in asking {
        timeout(LONGEST, asker).await.unwrap().unwrap();
    }
    let promised = promised.borrow().clone();
    serving.wait_for(|serves| *serves).await.unwrap();
    let mut reader = client(&socket).await.unwrap();
    let tasks = reader.list_tasks(pb::ListTasksRequest::default()).await.unwrap().into_inner().tasks;
    let held: u64 = tasks.iter().map(|task| task.estimate.as_ref().unwrap().reserved_tokens).sum();
    let state = reader.get_budget(pb::GetBudgetRequest::default()).await.unwrap().into_inner();
    collector.kill();
    assert!(held <= LIMIT, "{held} tokens are held of {LIMIT}");
    assert_eq!(state.windows[0].held.unwrap().tokens, held);
    // Everybody who was promised a place has it, whatever died in between; and no room was left unused.
    for task in promised.keys() {
        assert!(tasks.iter().any(|known| known.name == *task), "{task} was promised a place and has none");
    }
    assert_eq!(tasks.len() as u64, LIMIT / EACH);
    assert_eq!(promised.len() as u64, LIMIT / EACH);
}
