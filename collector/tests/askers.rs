//! A thousand askers at once against one window, over the real socket, while the collector is killed and started again
//! in between: what was promised is never more than there is.
#![expect(clippy::unwrap_used, reason = "a test's helpers")]

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use fleet_proto::pb;
use fleet_proto::pb::budget_service_client::BudgetServiceClient;
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

#[expect(clippy::disallowed_methods, reason = "the program under test")]
fn start(home: &Path) -> Child {
    let mut command = Command::new(env!("CARGO_BIN_EXE_fleet-collector"));
    command.env_clear().env("HOME", home).env("XDG_RUNTIME_DIR", home.join("run"));
    command.args(["--http", "off", "--log", "error"]).stdin(Stdio::null()).stdout(Stdio::null());
    command.spawn().unwrap()
}

async fn client(socket: &Path) -> Option<BudgetServiceClient<Channel>> {
    let uri = format!("unix://{}", socket.display());
    Some(BudgetServiceClient::new(Endpoint::from_shared(uri).unwrap().connect().await.ok()?))
}

/// What the askers were told, by task.
type Promised = Arc<Mutex<BTreeMap<String, u64>>>;

/// Asks for its own task until somebody answers, however often the collector dies meanwhile.
async fn asker(number: usize, socket: PathBuf, promised: Promised) {
    let begun = Instant::now();
    let task = format!("job-{number}");
    let ask = pb::CheckBudgetRequest {
        class: "implementer".to_owned(),
        model: "claude-opus-5".to_owned(),
        estimate_tokens: Some(EACH),
        task: task.clone(),
        hold: true,
        ..Default::default()
    };
    while begun.elapsed() < LONGEST {
        let Some(mut client) = client(&socket).await else {
            tokio::time::sleep(Duration::from_millis(5)).await;
            continue;
        };
        match client.check_budget(ask.clone()).await {
            Ok(answer) => {
                let verdict = answer.into_inner().verdict.unwrap();
                if verdict.task == task {
                    promised.lock().unwrap().insert(task, EACH);
                }
                return;
            }
            Err(status) => assert!(
                matches!(status.code(), Code::Unavailable | Code::Unknown | Code::Cancelled | Code::Internal),
                "{status}"
            ),
        }
    }
    assert!(begun.elapsed() < LONGEST, "nobody answered asker {number}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_thousand_askers_and_a_collector_that_dies_never_overcommit() {
    let home = tempfile::tempdir().unwrap();
    let fleet = home.path().join(".config/mosaic/fleet");
    std::fs::create_dir_all(&fleet).unwrap();
    std::fs::write(fleet.join("budget.yaml"), BUDGET).unwrap();
    let socket = home.path().join("run/mosaic/collector.sock");
    let promised = Promised::default();
    let mut collector = start(home.path());
    let asking: Vec<_> =
        (0..ASKERS).map(|number| tokio::spawn(asker(number, socket.clone(), promised.clone()))).collect();
    for kill in 1..=KILLS {
        // In the middle of it: so many more were promised something.
        let begun = Instant::now();
        let wanted = kill * 40;
        while promised.lock().unwrap().len() < wanted && begun.elapsed() < LONGEST {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        collector.kill().unwrap();
        collector.wait().unwrap();
        collector = start(home.path());
    }
    for asker in asking {
        asker.await.unwrap();
    }
    let promised = promised.lock().unwrap().clone();
    let begun = Instant::now();
    let mut reader = loop {
        if let Some(client) = client(&socket).await {
            break client;
        }
        assert!(begun.elapsed() < LONGEST);
        tokio::time::sleep(Duration::from_millis(5)).await;
    };
    let tasks = reader.list_tasks(pb::ListTasksRequest::default()).await.unwrap().into_inner().tasks;
    let held: u64 = tasks.iter().map(|task| task.estimate.as_ref().unwrap().reserved_tokens).sum();
    let state = reader.get_budget(pb::GetBudgetRequest::default()).await.unwrap().into_inner();
    collector.kill().unwrap();
    collector.wait().unwrap();
    assert!(held <= LIMIT, "{held} tokens are held of {LIMIT}");
    assert_eq!(state.windows[0].held.unwrap().tokens, held);
    // Everybody who was promised a place has it, whatever died in between; and no room was left unused.
    for task in promised.keys() {
        assert!(tasks.iter().any(|known| known.name == *task), "{task} was promised a place and has none");
    }
    assert_eq!(tasks.len() as u64, LIMIT / EACH);
    assert_eq!(promised.len() as u64, LIMIT / EACH);
}
