//! The whole path once: pane, transcript, state file → sidecar → collector → `fleet ps`, with the scripted agent.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::io::Write as _;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::ensure;
use fleet_testkit::agent::{ScriptedAgent, ScriptedOptions, count_on_disk};
use fleet_testkit::fleet::{self, PATIENCE, agent, collector, sidecar, wait_for_state, write_roster};
use fleet_testkit::home::TestHome;
use fleet_testkit::tmux::PrivateTmux;
use fleet_testkit::wait::wait_until;
use serde_json::Value;

struct World {
    // Dropped in this order: agents end with their server, then the home goes.
    tmux: PrivateTmux,
    home: TestHome,
}

impl World {
    fn new() -> Self {
        let home = TestHome::new().unwrap();
        Self { tmux: PrivateTmux::named(&home, "mosaic-fleet").unwrap(), home }
    }

    fn agent(&self, name: &str) -> ScriptedAgent {
        ScriptedAgent::launch(&self.tmux, &self.home, name, &ScriptedOptions::default()).unwrap()
    }

    fn roster(&self, names: &[&str]) -> PathBuf {
        let agents: String =
            names.iter().map(|name| format!("  - {{name: {name}, runtime: claude}}\n")).collect();
        write_roster(
            &self.home,
            &format!("version: 1\ntmux: {{socket_name: mosaic-fleet}}\nagents:\n{agents}"),
        )
        .unwrap()
    }

    fn ps(&self) -> Value {
        fleet::fleet(&self.home, &["ps", "--json"]).unwrap().json().unwrap()
    }
}

fn tokens(agent: &Value) -> (u64, u64, u64, u64, u64) {
    let today = &agent["tokensToday"];
    let one = |key: &str| today[key].as_u64().unwrap_or_default();
    (one("input"), one("output"), one("cacheRead"), one("cacheWrite5m"), one("cacheWrite1h"))
}

#[test]
fn an_agent_is_followed_through_its_states_and_its_tokens_to_the_last() {
    let world = World::new();
    world.roster(&["coder0"]);
    let _collector = collector(&world.home, "off").unwrap();
    let _sidecar = sidecar(&world.home, &["--host"]).unwrap();
    let mut coder = world.agent("coder0");
    wait_for_state(&world.home, "coder0", "available").unwrap();
    coder.step("prompt build it").unwrap();
    let working = wait_for_state(&world.home, "coder0", "working").unwrap();
    assert_eq!((&working["managed"], &working["runtime"]), (&Value::Bool(true), &"claude".into()));
    coder.step("work tokens=100,20,3000,40,5 blocks=3").unwrap();
    coder.step("permission \"Bash: rm x\"").unwrap();
    let stuck = wait_for_state(&world.home, "coder0", "stuck").unwrap();
    assert_eq!(stuck["readinessKind"], "permission");
    coder.step("allow").unwrap();
    coder.step("subagent tokens=7,8,9").unwrap();
    coder.step("end").unwrap();
    wait_for_state(&world.home, "coder0", "available").unwrap();
    coder.step("prompt more").unwrap();
    coder.step("limit 30m").unwrap();
    let limited = wait_for_state(&world.home, "coder0", "stuck").unwrap();
    assert_eq!(limited["readinessKind"], "usage_limit");
    assert!(limited["evidence"][0]["until"].is_string(), "{limited}");

    let truth = count_on_disk(&world.home.claude_config()).unwrap();
    let billed = coder.billed();
    assert_eq!(format!("{truth:?}"), format!("{billed:?}"), "the kit's two counts");
    let wanted = billed.tokens;
    wait_until(PATIENCE, "every token", || {
        let seen = tokens(&agent(&world.home, "coder0")?);
        let wanted =
            (wanted.input, wanted.output, wanted.cache_read, wanted.cache_write_5m, wanted.cache_write_1h);
        ensure!(seen == wanted, "{seen:?} of {wanted:?}");
        Ok(())
    })
    .unwrap();

    // Of a row that is asked for whole, the usual columns are what they are of one that is not.
    let usual = "agent,state,runtime,class,tokens,unit,flags,host,tenant,socket,link,why";
    let rows = |columns: &str| {
        fleet::fleet(&world.home, &["ps", "--columns", columns]).unwrap().from_collector().unwrap().stdout
    };
    let whole = rows(&format!("{usual},pid"));
    let (basic, line) = (rows(usual), whole.lines().nth(1).unwrap());
    assert!(basic.contains("limit") && line.starts_with(basic.lines().nth(1).unwrap()), "{basic}{whole}");

    coder.kill().unwrap();
    wait_for_state(&world.home, "coder0", "dead").unwrap();
    let events = fleet::fleet(&world.home, &["events", "--json", "--agent", "coder0"]).unwrap();
    assert!(events.stdout.contains("\"dead\""), "{}{}", events.stdout, events.stderr);
}

#[test]
fn a_heartbeat_file_is_written_for_readers_of_v1_and_says_what_the_runtime_answered() {
    let world = World::new();
    world.roster(&["coder0"]);
    let coder = world.agent("coder0");
    let _sidecar = sidecar(&world.home, &["--host"]).unwrap();
    let path = world.home.mosaic_home().join("fleet/run/coder0.hb");
    let text = wait_until(PATIENCE, "the heartbeat file", || std::fs::read_to_string(&path)).unwrap();
    assert!(text.contains(&format!("pid={}\n", coder.pid())), "{text}");
    assert!(
        text.contains("status=ok\n")
            && text.contains("interval=15\n")
            && text.contains("source=state-file\n"),
        "{text}"
    );
}

#[test]
fn without_a_collector_the_table_is_joined_directly_and_says_so() {
    let world = World::new();
    world.roster(&["coder0", "ghost"]);
    let mut coder = world.agent("coder0");
    world.agent("stray");
    coder.step("prompt go").unwrap();
    let said = fleet::fleet(&world.home, &["ps", "--json"]).unwrap();
    assert!(said.stderr.contains("no collector"), "{}", said.stderr);
    let list = said.json().unwrap();
    let rows: Vec<(&str, &str)> = list["items"]
        .as_array()
        .unwrap()
        .iter()
        .map(|item| (item["name"].as_str().unwrap(), item["readiness"].as_str().unwrap()))
        .collect();
    assert_eq!(rows, [("coder0", "working"), ("ghost", "dead"), ("stray", "available")]);
    assert_eq!(list["items"][2]["managed"], false);
}

#[test]
fn a_restarted_collector_and_sidecar_count_nothing_twice_and_lose_nothing() {
    let world = World::new();
    world.roster(&["coder0"]);
    let mut coder = world.agent("coder0");
    let mut daemons = (collector(&world.home, "off").unwrap(), sidecar(&world.home, &["--host"]).unwrap());
    coder.step("prompt go").unwrap();
    let rounds = std::env::var("FLEET_TEST_KILLS").ok().and_then(|n| n.parse().ok()).unwrap_or(12);
    for round in 0..rounds {
        for _ in 0..20 {
            coder.step("work 0s tokens=11,13,17,19,23 blocks=2").unwrap();
        }
        // The kill falls where it falls: in mid-read, mid-batch, mid-transaction.
        if round % 2 == 0 {
            daemons.0.kill().unwrap();
            daemons.0 = collector(&world.home, "off").unwrap();
        } else {
            daemons.1.kill().unwrap();
            daemons.1 = sidecar(&world.home, &["--host"]).unwrap();
        }
    }
    let wanted = coder.billed().tokens;
    wait_until(PATIENCE, "every token, once", || {
        let seen = tokens(&agent(&world.home, "coder0")?);
        ensure!(
            seen.0 == wanted.input && seen.1 == wanted.output && seen.4 == wanted.cache_write_1h,
            "{seen:?} of {wanted:?}"
        );
        Ok(())
    })
    .unwrap();
}

#[test]
fn a_stopped_tmux_server_hangs_nobody_and_recovers_alone() {
    let world = World::new();
    world.roster(&["coder0"]);
    let _coder = world.agent("coder0");
    let _collector = collector(&world.home, "off").unwrap();
    let _sidecar = sidecar(&world.home, &["--host"]).unwrap();
    wait_for_state(&world.home, "coder0", "available").unwrap();
    let server = i32::try_from(world.tmux.server_pid().unwrap()).unwrap();
    let server = nix::unistd::Pid::from_raw(server);
    nix::sys::signal::kill(server, nix::sys::signal::Signal::SIGSTOP).unwrap();
    let seen = wait_until(Duration::from_secs(30), "unknown", || {
        let agent = agent(&world.home, "coder0")?;
        ensure!(agent["readiness"] == "unknown", "{agent}");
        Ok(agent)
    });
    nix::sys::signal::kill(server, nix::sys::signal::Signal::SIGCONT).unwrap();
    assert!(seen.unwrap()["readinessReason"].as_str().unwrap().contains("tmux does not answer"));
    wait_until(Duration::from_secs(60), "recovery", || {
        let agent = agent(&world.home, "coder0")?;
        ensure!(agent["readiness"] == "available", "{agent}");
        Ok(())
    })
    .unwrap();
}

#[test]
fn a_killed_tmux_server_takes_its_agents_to_dead() {
    let world = World::new();
    world.roster(&["coder0", "coder1"]);
    let _agents = (world.agent("coder0"), world.agent("coder1"));
    let _collector = collector(&world.home, "off").unwrap();
    let _sidecar = sidecar(&world.home, &["--host"]).unwrap();
    wait_for_state(&world.home, "coder1", "available").unwrap();
    let server = i32::try_from(world.tmux.server_pid().unwrap()).unwrap();
    nix::sys::signal::kill(nix::unistd::Pid::from_raw(server), nix::sys::signal::Signal::SIGKILL).unwrap();
    wait_for_state(&world.home, "coder0", "dead").unwrap();
    wait_for_state(&world.home, "coder1", "dead").unwrap();
}

#[test]
fn bad_input_is_a_counted_skip_and_nothing_else_is_affected() {
    let world = World::new();
    world.roster(&["coder0", "coder1"]);
    let (mut coder, _other) = (world.agent("coder0"), world.agent("coder1"));
    let collector = collector(&world.home, "off").unwrap();
    let sidecar = sidecar(&world.home, &["--host"]).unwrap();
    wait_for_state(&world.home, "coder0", "available").unwrap();
    coder.step("prompt go").unwrap();
    coder.step("work 0s tokens=1,1").unwrap();
    let transcript = coder.transcript_path(&world.home.work("coder0").unwrap());
    let mut file = std::fs::File::options().append(true).open(&transcript).unwrap();
    file.write_all(b"{\"type\":\"assistant\",\"usage\": broken\n\xff\xfe\x00\"usage\"\n").unwrap();
    let block = vec![b'x'; 1 << 20];
    for _ in 0..100 {
        file.write_all(&block).unwrap();
    }
    file.write_all(b"\n").unwrap();
    // A hostile title, and a heartbeat directory with nonsense in it.
    world
        .tmux
        .run(["select-pane", "-t", "=coder1:", "-T", "$(touch /tmp/x)`id`;rm\u{202e}\u{200b}"])
        .unwrap();
    let heartbeats = world.home.mosaic_home().join("fleet/run");
    std::fs::create_dir_all(&heartbeats).unwrap();
    std::fs::write(heartbeats.join("coder1.hb.bak"), b"\xff\x00ts=").unwrap();
    coder.step("work 0s tokens=2,2").unwrap();
    wait_until(PATIENCE, "the tokens behind the damage", || {
        let seen = tokens(&agent(&world.home, "coder0")?);
        ensure!(seen.0 == 3, "{seen:?}");
        Ok(())
    })
    .map_err(|error| format!("{error}\n{}\n{}", sidecar.log(), collector.log()))
    .unwrap();
    // A roster that breaks is told; the last good one stays.
    std::fs::write(
        world.home.mosaic_home().join("fleet/roster.yaml"),
        "version: 1\nagents:\n  - name: ../etc\n    runtime: pi\n",
    )
    .unwrap();
    wait_until(PATIENCE, "the roster's mistake on stderr", || {
        let said = fleet::fleet(&world.home, &["ps"])?;
        ensure!(
            said.stderr.contains("line 3") && said.stderr.contains("not an agent name"),
            "{}",
            said.stderr
        );
        Ok(())
    })
    .unwrap();
    assert_eq!(world.ps()["items"].as_array().unwrap().len(), 2);
}

#[test]
fn the_agents_own_sidecar_takes_over_and_hands_back() {
    let world = World::new();
    world.roster(&["coder0"]);
    let _coder = world.agent("coder0");
    let _collector = collector(&world.home, "off").unwrap();
    let _host = sidecar(&world.home, &["--host"]).unwrap();
    wait_for_state(&world.home, "coder0", "available").unwrap();
    let own = sidecar(&world.home, &["--agent", "coder0"]).unwrap();
    wait_until(PATIENCE, "its own stream", || own.log().contains("reporting to")).unwrap();
    assert_eq!(agent(&world.home, "coder0").unwrap()["readiness"], "available");
    assert!(own.terminate().unwrap(), "a clean end");
    assert_eq!(agent(&world.home, "coder0").unwrap()["readiness"], "available");
}

#[test]
fn an_agent_that_is_stopped_with_its_sidecar_is_seen_dead_by_the_host() {
    let world = World::new();
    world.roster(&["coder0", "coder1"]);
    let _agents = (world.agent("coder0"), world.agent("coder1"));
    let _collector = collector(&world.home, "off").unwrap();
    let _host = sidecar(&world.home, &["--host"]).unwrap();
    wait_for_state(&world.home, "coder0", "available").unwrap();
    let own = sidecar(&world.home, &["--agent", "coder0"]).unwrap();
    wait_until(PATIENCE, "its own stream", || own.log().contains("reporting to")).unwrap();
    assert!(own.terminate().unwrap());
    world.tmux.kill_session("coder0").unwrap();
    wait_for_state(&world.home, "coder0", "dead").unwrap();
}

#[test]
fn a_second_users_collector_does_without_the_metrics_port_that_the_first_one_has() {
    let taken = std::net::TcpListener::bind("127.0.0.1:9464");
    let world = World::new();
    let collector = fleet::collector_with(&world.home, &[]).unwrap();
    assert!(collector.log().contains("no metrics are served"), "{}", collector.log());
    drop(taken);
}
