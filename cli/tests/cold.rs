//! How long `fleet ps` takes as a cold process: `cargo nextest run --release -p fleet-cli --run-ignored only --no-capture`.
#![expect(clippy::unwrap_used, clippy::print_stdout, reason = "a measurement prints what it measured")]

mod support;

use std::sync::Arc;
use std::time::{Duration, Instant};

use fleet_proto::pb::{self, State};
use support::{Says, World, agent};

const RUNS: usize = 500;

fn thousand() -> Vec<pb::Agent> {
    let states = [State::Working, State::Available, State::Stuck, State::Stale];
    (0..1000).map(|n| agent(&format!("agent{n}"), states[n % states.len()])).collect()
}

async fn measure(what: &str, world: &World, args: &[&str]) {
    let mut took: Vec<Duration> = Vec::with_capacity(RUNS);
    let before = processor();
    for _ in 0..RUNS {
        let start = Instant::now();
        let output = world.command(args).output().await.unwrap();
        took.push(start.elapsed());
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    }
    took.sort();
    let at = |share: f64| took[(share * RUNS as f64) as usize].as_secs_f64() * 1000.0;
    let cpu = (processor() - before).as_secs_f64() * 1000.0 / RUNS as f64;
    println!(
        "{what:<28} cpu {cpu:5.2} ms  wall p50 {:6.2} ms  p90 {:6.2} ms  p99 {:6.2} ms",
        at(0.5),
        at(0.9),
        at(0.99)
    );
}

#[tokio::test]
#[ignore = "a measurement"]
async fn cold() {
    let world = World::new();
    measure("--version", &world, &["--version"]).await;
    measure("ps, no collector", &world, &["ps"]).await;
    let collector = world.collector(Arc::new(Says::default()));
    measure("ps, 0 agents", &world, &["ps"]).await;
    collector.abort();
    let _collector = world.collector(Arc::new(Says { agents: thousand(), ..Says::default() }));
    measure("ps, 1,000 agents", &world, &["ps"]).await;
    measure("ps --json, 1,000 agents", &world, &["ps", "--json"]).await;
}

/// What all commands so far took of a processor: it says more than the clock where others work beside us.
fn processor() -> Duration {
    use nix::sys::resource::{UsageWho, getrusage};
    let usage = getrusage(UsageWho::RUSAGE_CHILDREN).unwrap();
    let micros =
        |time: nix::sys::time::TimeVal| u64::try_from(time.tv_sec() * 1_000_000 + time.tv_usec()).unwrap();
    Duration::from_micros(micros(usage.user_time()) + micros(usage.system_time()))
}
