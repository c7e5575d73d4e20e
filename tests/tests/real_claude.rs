//! Real Claude Code in a real pane, against a loopback model: what it does is what `fleet ps` says.

use anyhow::ensure;
use fleet_testkit::agent::count_on_disk;
use fleet_testkit::claude::RealClaude;
use fleet_testkit::fleet::{self, PATIENCE, agent, collector, sidecar, wait_for_state, write_roster};
use fleet_testkit::home::TestHome;
use fleet_testkit::stub::ModelStub;
use fleet_testkit::tmux::PrivateTmux;
use fleet_testkit::wait::wait_until;

#[test]
fn a_real_agent_works_asks_waits_and_dies_in_fleet_ps() {
    let Some(claude) = RealClaude::require_or_skip() else { return };
    let home = TestHome::new().unwrap();
    let tmux = PrivateTmux::named(&home, "mosaic-fleet").unwrap();
    let stub = ModelStub::start().unwrap();
    write_roster(
        &home,
        "version: 1\ntmux: {socket_name: mosaic-fleet}\nagents: [{name: coder0, runtime: claude}]\n",
    )
    .unwrap();
    let _collector = collector(&home, "off").unwrap();
    let _sidecar = sidecar(&home, &["--host"]).unwrap();
    let session = claude.launch(&tmux, &home, "coder0", &stub).unwrap();

    let idle = wait_for_state(&home, "coder0", "available").unwrap();
    assert_eq!(idle["runtime"], "claude");
    assert_eq!(idle["heartbeat"]["health"], "healthy", "{idle}");
    assert_eq!(idle["paneCommand"], "claude");

    session.send_prompt("WAIT5 think it over").unwrap();
    let working = wait_for_state(&home, "coder0", "working").unwrap();
    assert_eq!(working["readinessReason"], "a turn is running", "{working}");
    wait_for_state(&home, "coder0", "available").unwrap();

    session.send_prompt("TOOL please").unwrap();
    let stuck = wait_for_state(&home, "coder0", "stuck").unwrap();
    assert_eq!(stuck["readinessKind"], "permission", "{stuck}");
    // A key right after the prompt appeared is ignored, so that nobody answers by accident: until it counts, then.
    wait_until(PATIENCE, "the prompt's answer", || {
        session.send_keys(&["Enter"])?;
        let state = session.state()?;
        ensure!(state["status"] != "waiting", "{state}");
        Ok(())
    })
    .unwrap();
    wait_for_state(&home, "coder0", "available").unwrap();

    let truth = count_on_disk(&home.claude_config()).unwrap().tokens;
    assert!(truth.output > 0);
    wait_until(PATIENCE, "every token of the transcript", || {
        let agent = agent(&home, "coder0")?;
        let today = &agent["tokensToday"];
        let seen = (today["input"].as_u64(), today["output"].as_u64(), today["cacheRead"].as_u64());
        ensure!(
            seen == (Some(truth.input), Some(truth.output), Some(truth.cache_read)),
            "{seen:?} of {truth:?}"
        );
        Ok(())
    })
    .unwrap();

    let explained = fleet::fleet(&home, &["explain", "coder0"]).unwrap();
    assert!(
        explained.stdout.contains("available") && explained.stdout.contains("state-file"),
        "{}",
        explained.stdout
    );

    let pid = nix::unistd::Pid::from_raw(i32::try_from(session.pid()).unwrap());
    nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGKILL).unwrap();
    wait_for_state(&home, "coder0", "dead").unwrap();
    // The state file it left behind says idle for ever; nobody believes it.
    let direct = fleet::fleet(&home, &["--collector", "unix:///nonexistent/sock", "ps", "--json"])
        .unwrap()
        .json()
        .unwrap();
    assert_eq!(direct["items"][0]["readiness"], "dead", "{direct}");
}
