//! What the providers of the real Claude Code and Codex tell of an account's windows, in `fleet budget`: used, reset and a
//! limit that is hit, within two seconds, with who said so.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use fleet_domain::Wall;
use fleet_testkit::fleet::{PATIENCE, fleet};
use fleet_testkit::real::{Kind, RealRuntime, Subscribed};
use fleet_testkit::wait::wait_until;
use serde_json::Value;

/// From the provider's answer to the figure.
const SOON: Duration = Duration::from_secs(2);
/// On a machine that does much else at the time a single look says little: one of so many must be in time.
const LOOKS: u32 = 12;

fn told(kind: Kind) {
    let Some(runtime) = RealRuntime::require_or_skip(kind) else { return };
    let world = Subscribed::start(kind).unwrap();
    let session = world.launch(&runtime).unwrap();
    let mut took = Vec::new();
    for look in 0..LOOKS {
        let percent = 50 + look;
        let share = f64::from(percent) / 100.0;
        let prompt = format!("look {look} USED{percent}");
        let is_share =
            |window: &Value| window["used"].as_f64().is_some_and(|used| (used - share).abs() < 1e-9);
        let told = world.tell(&session, &prompt, "5h", is_share).unwrap();
        assert_eq!(
            (&told.window["account"], &told.window["provenance"]),
            (&"sub".into(), &"provider".into())
        );
        resets_in(&told.window, 7_200);
        took.push((told.after, told.of_runtime));
        if told.after <= SOON {
            break;
        }
        // The next prompt is for a box that waits.
        session.wait_for_screen("the end of its answer", |screen| screen.contains("STUBOK")).unwrap();
    }
    eprintln!("{}: in fleet budget after, and of it the runtime's own: {took:?}", kind.name());
    assert!(took.iter().any(|(after, _)| *after <= SOON), "never within {SOON:?}: {took:?}");
    let week = world.budget().unwrap()["windows"]
        .as_array()
        .unwrap()
        .iter()
        .find(|one| one["window"] == "7d")
        .cloned();
    let week = week.unwrap();
    assert_eq!(week["provenance"], "provider");
    assert!(week["used"].as_f64().is_some_and(|used| (0.1..0.4).contains(&used)), "{week}");

    session.wait_for_screen("the end of its answer", |screen| screen.contains("STUBOK")).unwrap();
    let full = world.tell(&session, "now LIMIT", "5h", |window| window["used"] == 1.0).unwrap();
    eprintln!("{}: at its limit in fleet budget after {:?}", kind.name(), full.after);
    assert_eq!(full.window["provenance"], "provider");
    resets_in(&full.window, 7_200);
    let agents =
        fleet(&world.home, &["ps", "--columns", "agent,account,room"]).unwrap().from_collector().unwrap();
    let words: Vec<&str> =
        agents.stdout.lines().find(|line| line.starts_with("sub0 ")).unwrap().split_whitespace().collect();
    assert_eq!(words, ["sub0", "sub", "0.0%", "5h"]);
    // What a person sees, and what a task that asks is told.
    let table = fleet(&world.home, &["budget"]).unwrap().from_collector().unwrap().stdout;
    let row = table.lines().find(|line| line.contains(" 5h ")).unwrap();
    for shown in ["sub (at its limit)", "100.0%", "provider"] {
        assert!(row.contains(shown), "no {shown} in {row}");
    }
    let ask = ["budget", "check", "--account", "sub", "--estimate", "10k", "--json"];
    let verdict = wait_until(PATIENCE, "an answer of the gate", || {
        let said = fleet(&world.home, &ask).map_err(|error| error.to_string())?;
        if said.code == 3 {
            said.json().map_err(|error| error.to_string())
        } else {
            Err(said.stdout + &said.stderr)
        }
    });
    let verdict = verdict.unwrap();
    assert_eq!((&verdict["decision"], &verdict["reason"]), (&"queue".into(), &"limit_hit".into()));
    assert_eq!(verdict["until"], full.window["resetsAt"]);
}

fn resets_in(window: &Value, seconds: i64) {
    let at = Wall::parse_rfc3339(window["resetsAt"].as_str().unwrap()).unwrap();
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis();
    let left = at.0 / 1000 - i64::try_from(now).unwrap() / 1000;
    assert_eq!(window["resetProvenance"], "provider");
    assert!((seconds - 300..=seconds + 5).contains(&left), "it resets in {left} s: {window}");
}

#[test]
fn what_claude_is_told_of_its_subscription_is_in_the_budget() {
    told(Kind::Claude);
}

#[test]
fn what_codex_is_told_of_its_subscription_is_in_the_budget() {
    told(Kind::Codex);
}
