//! The lifecycle verbs under a real systemd user manager and a real tmux: a fleet installed, changed, booted, broken and
//! mended, by what systemd, tmux and the files say afterwards.

mod world;

use std::fs;
use std::path::PathBuf;

use anyhow::{Context as _, Result, ensure};
use fleet_testkit::fleet::{PATIENCE, agent, fleet, write_roster};
use fleet_testkit::home::TestHome;
use fleet_testkit::wait::wait_until;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use world::{HOLDER, World};

const ROSTER: &str = "\
version: 1
tmux: {socket_name: mosaic-fleet}
defaults: {working_directory: ~/work}
agents:
  # leads
  - {name: lead, runtime: scripted, class: orchestrator, command: sleep 1000}
  - {name: improver, runtime: scripted, class: enhancer, command: sleep 1001}
  - {name: agent, runtime: scripted, command: sleep 1002}
  - {name: agent0, runtime: scripted, command: sleep 1003}
";

/// A process of this test's own fleet.
fn killed(pid: u32) -> Result<()> {
    Ok(kill(Pid::from_raw(i32::try_from(pid)?), Signal::SIGKILL)?)
}

#[test]
fn a_fleet_is_changed_booted_and_taken_away_and_what_is_the_users_stays() -> Result<()> {
    let Some(mut world) = World::new(ROSTER, "mosaic-fleet")? else { return Ok(()) };
    // The default server of this home is somebody else's.
    let default = |args: &[&str]| -> Result<String> {
        let out = world.home.command("tmux").args(args).output()?;
        Ok(String::from_utf8(out.stdout)?)
    };
    default(&["new-session", "-d", "-s", "lead", "sleep", "2000"])?;
    let theirs = default(&["list-panes", "-a", "-F", "#{session_name} #{pane_pid} #{window_width}"])?;

    world.well(&["install"])?;
    let first = world.sessions()?;
    assert_eq!(world.names()?, ["_holder", "agent", "agent0", "improver", "lead"]);
    for seeded in ["fleet/roles/code.md", "fleet/examples/coding.yaml", "fleet/.framework-version"] {
        assert!(world.file(seeded).is_file(), "{seeded}");
    }
    let env = world.read("fleet/agents/agent.env")?;
    assert!(
        env.contains("\nMOSAIC_AGENT_MODEL=\n") && env.contains("\nMOSAIC_TMUX_SOCKET=mosaic-fleet\n"),
        "{env}"
    );
    let status = world.well(&["status"])?.stdout;
    assert!(status.contains("agents      4 of 4 up"), "{status}");
    let verified = world.well(&["verify"])?.stdout;
    assert!(verified.contains("0 failures") && verified.contains("owns the server"), "{verified}");
    assert_eq!(world.sessions()?, first, "verify left everything as it was");

    // One restarted, one stopped: nothing else is touched, not even one whose name begins so.
    world.well(&["restart", "agent0"])?;
    let second = world.sessions()?;
    assert_eq!(World::without(&second, "agent0"), World::without(&first, "agent0"));
    assert_ne!(second, first);
    world.well(&["stop", "agent"])?;
    assert_eq!(world.sessions()?, World::without(&second, "agent"));
    world.well(&["start", "agent"])?;

    // Added and removed; what the user wrote of the roster stays as it is.
    world.well(&["add", "late", "--runtime", "scripted", "--command", "sleep 1004"])?;
    world.well(&["add", "later", "--runtime", "scripted", "--command", "sleep 1005", "--no-start"])?;
    let roster = world.read("fleet/roster.yaml")?;
    assert!(roster.starts_with(ROSTER) && roster.contains("name: later"), "{roster}");
    assert!(!world.names()?.contains(&"later".to_owned()));
    let refused = world.run(&["remove", "lead"])?;
    assert_eq!((refused.code, world.read("fleet/roster.yaml")?), (5, roster), "{}", refused.stderr);
    world.well(&["remove", "late"])?;
    assert!(!world.file("fleet/agents/late.env").exists());
    world.well(&["add", "kept", "--runtime", "scripted", "--command", "sleep 1006"])?;
    world.well(&["remove", "kept", "--keep-files"])?;
    assert!(world.file("fleet/agents/kept.env").exists());

    // A boot: who is enabled is back, who was removed is not.
    world.manager = Some(world.manager.take().context("no manager")?.reboot(&world.home)?);
    world.wait_for(&["mosaic-agent@later.service", "mosaic-agent@agent.service"], "active enabled")?;
    wait_until(PATIENCE, "all sessions", || {
        let names = world.names()?;
        ensure!(names == ["_holder", "agent", "agent0", "improver", "later", "lead"], "{names:?}");
        anyhow::Ok(())
    })?;

    // Down and up again, then taken away.
    world.well(&["down"])?;
    assert!(world.tmux(&["list-sessions"]).is_err(), "the server is gone");
    world.well(&["up"])?;
    assert_eq!(world.names()?, ["_holder", "agent", "agent0", "improver", "later", "lead"]);
    assert_eq!(world.run(&["uninstall"])?.code, 2, "nobody is there to be asked");
    world.well(&["uninstall", "--yes"])?;
    assert!(!world.home.home().join(".config/systemd/user").join(HOLDER).exists());
    assert!(!world.file("fleet/roles/code.md").exists() && world.file("fleet/roster.yaml").is_file());
    assert!(world.file("fleet/agents/agent.env").is_file());
    let list = ["list-panes", "-a", "-F", "#{session_name} #{pane_pid} #{window_width}"];
    let now = world.home.command("tmux").args(list).output()?;
    assert_eq!(String::from_utf8(now.stdout)?, theirs, "the default server is as it was");
    let gone = world.home.command("tmux").args(["kill-server"]).output()?;
    ensure!(gone.status.success(), "the test's own default server ends");
    Ok(())
}

#[test]
fn what_ended_comes_back_what_keeps_ending_is_left_down_and_what_was_stopped_stays_so() -> Result<()> {
    let crew = format!("{ROSTER}  - {{name: agent1, runtime: scripted, command: sleep 1010}}\n");
    let Some(world) = World::new(&crew, "mosaic-fleet")? else { return Ok(()) };
    world.well(&["install"])?;
    let running = |name: &'static str, not: u32| {
        wait_until(PATIENCE, "its return", || {
            let pid = world.pid_of(name)?;
            ensure!(pid != not, "{pid} is the old one");
            anyhow::Ok(pid)
        })
    };
    world.told_of("agent", "active")?;
    let old = world.pid_of("agent")?;
    killed(old)?;
    running("agent", old)?;

    // The server with everything on it: all come back, and the holder with them.
    let before = world.sessions()?;
    let server: u32 = before[0].split(' ').nth(1).context("no pid")?.parse()?;
    world.well(&["stop", "improver"])?;
    killed(server)?;
    wait_until(3 * PATIENCE, "the fleet's return", || {
        let names = world.names()?;
        ensure!(names == ["_holder", "agent", "agent0", "agent1", "lead"], "{names:?}");
        anyhow::Ok(())
    })?;
    // One event, with who ended and what becomes of them.
    let told = wait_until(PATIENCE, "the end of all", || {
        let told = world.run(&["events", "--since", "1h", "--json"])?.json()?;
        let items = told["items"].as_array().cloned().unwrap_or_default();
        let death = items.iter().find(|item| item["event"] == "mass_death").cloned();
        death.with_context(|| told.to_string())
    })?;
    let ended: Vec<&str> =
        told["agents"].as_array().into_iter().flatten().filter_map(|name| name.as_str()).collect();
    // `agent` had only just come back: whether it counts is the moment's.
    assert!(["agent0", "agent1", "lead"].iter().all(|name| ended.contains(name)), "{told}");
    assert_eq!(told["restartApartSeconds"], 1.0);
    let shown = world.well(&["events"])?.stdout;
    assert!(shown.contains(&format!("{} agents → dead at once", ended.len())), "{shown}");

    // One that does nothing but end.
    let roster = crew.replace("command: sleep 1003", "command: \"sh -c 'echo no login; exit 7'\"");
    write_roster(&world.home, &roster)?;
    let said = world.run(&["restart", "agent0"])?;
    assert_eq!(said.code, 1, "{}", said.stderr);
    assert!(said.stderr.contains("agent0"), "{}", said.stderr);
    wait_until(6 * PATIENCE, "the quarantine", || {
        let kinds = world.drift("agent0")?;
        ensure!(kinds.contains(&"quarantined".to_owned()), "{kinds:?}");
        anyhow::Ok(())
    })?;
    let note = world.read("fleet/run/agent0.quarantined")?;
    assert!(note.starts_with("it ended 5 times in a row"), "{note}");

    // Put right and started: the quarantine is over.
    write_roster(&world.home, &crew)?;
    world.well(&["start", "agent0"])?;
    wait_until(PATIENCE, "the end of the quarantine", || {
        let kinds = world.drift("agent0")?;
        ensure!(kinds.is_empty(), "{kinds:?}");
        anyhow::Ok(())
    })?;
    assert!(!world.names()?.contains(&"improver".to_owned()), "what was stopped stays down");
    Ok(())
}

#[test]
fn each_kind_of_drift_is_listed_with_what_mends_it_and_mended() -> Result<()> {
    let Some(world) = World::new(ROSTER, "mosaic-fleet")? else { return Ok(()) };
    world.well(&["install"])?;
    world.told_of("lead", "active")?;
    assert_eq!(world.run(&["drift"])?.code, 0);

    // Boot, environment, unit, missing, unmanaged, framework; the user's drop-in and comments stand meanwhile.
    world.systemctl(&["disable", "mosaic-agent@agent.service"])?;
    let env = world.read("fleet/agents/agent0.env")?;
    let changed = env.replace("MOSAIC_AGENT_CLASS=worker", "# mine\nHTTP_PROXY=x\nMOSAIC_AGENT_CLASS=boss");
    fs::write(world.file("fleet/agents/agent0.env"), changed)?;
    let unit = world.home.home().join(".config/systemd/user/mosaic-sidecar@.service");
    fs::write(&unit, fs::read_to_string(&unit)? + "# by hand\n")?;
    world.tmux(&["new-session", "-d", "-s", "stranger", "sleep", "1009"])?;
    world.systemctl(&["stop", "mosaic-agent@improver.service"])?;
    fs::write(world.file("fleet/.framework-version"), "1\n")?;
    // What the host's sidecar compares every half a minute, it compares at once after a change of the roster.
    write_roster(&world.home, &format!("{ROSTER}# touched\n"))?;

    let listed = |kinds: &[(&str, &str)]| {
        wait_until(3 * PATIENCE, "the drift", || {
            let said = world.run(&["drift"])?;
            for (agent, kind) in kinds {
                let line = said.stdout.lines().find(|line| {
                    let words: Vec<&str> = line.split_whitespace().collect();
                    words.get(1) == Some(agent) && words.get(2) == Some(kind)
                });
                ensure!(line.is_some(), "no {agent} {kind} in\n{}{}", said.stdout, said.stderr);
            }
            Ok(said)
        })
    };
    let said = listed(&[
        ("agent", "boot"),
        ("agent0", "env"),
        ("agent0", "unit"),
        ("stranger", "unmanaged"),
        ("improver", "missing"),
        ("-", "framework"),
    ])?;
    assert_eq!(said.code, 3);
    assert_eq!(world.run(&["drift", "--fix"])?.code, 2, "nobody is there to be asked");
    world.well(&["drift", "--fix", "--yes"])?;
    wait_until(3 * PATIENCE, "the end of the drift", || {
        let said = world.run(&["drift"])?;
        let left: Vec<&str> = said.stdout.lines().skip(1).collect();
        ensure!(left.len() == 1 && left[0].contains("stranger"), "{}", said.stdout);
        anyhow::Ok(())
    })?;
    let mended = world.read("fleet/agents/agent0.env")?;
    assert!(mended.contains("# mine\nHTTP_PROXY=x\nMOSAIC_AGENT_CLASS=worker\n"), "{mended}");
    let backup = fs::read_to_string(unit.with_file_name("mosaic-sidecar@.service.bak"))?;
    assert!(backup.ends_with("# by hand\n"), "{backup}");

    // The socket changed under a running agent: it moves, and does not run twice.
    let moved = ROSTER.replace("name: agent0, ", "name: agent0, socket: other, ");
    write_roster(&world.home, &moved)?;
    listed(&[("agent0@other", "socket")])?;
    world.well(&["restart", "agent0"])?;
    assert!(!world.names()?.contains(&"agent0".to_owned()));
    let there = world.home.command("tmux").args(["-L", "other", "has-session", "-t", "=agent0"]).output()?;
    assert!(there.status.success());
    // And the whole fleet: the new server has its holder's unit for owner, and nothing is left of the old ones.
    world.tmux(&["kill-session", "-t", "=stranger"])?;
    write_roster(&world.home, &ROSTER.replace("socket_name: mosaic-fleet", "socket_name: crew"))?;
    listed(&[("lead@crew", "socket"), ("agent0@crew", "socket")])?;
    world.well(&["restart"])?;
    for left in ["mosaic-fleet", "other"] {
        let there = world.home.command("tmux").args(["-L", left, "list-sessions"]).output()?;
        assert!(!there.status.success(), "{}", String::from_utf8_lossy(&there.stdout));
    }
    let verified = world.well(&["verify"])?.stdout;
    assert!(verified.contains("owns the server"), "{verified}");
    wait_until(3 * PATIENCE, "an end of what was left behind", || {
        let said = world.run(&["drift"])?;
        ensure!(said.code == 0, "{}", said.stdout);
        anyhow::Ok(())
    })?;
    let end = world.home.command("tmux").args(["-L", "crew", "kill-server"]).output()?;
    ensure!(end.status.success(), "{}", String::from_utf8_lossy(&end.stderr));
    Ok(())
}

#[test]
fn an_update_refreshes_what_is_the_frameworks_and_nothing_else() -> Result<()> {
    let Some(world) = World::new(ROSTER, "mosaic-fleet")? else { return Ok(()) };
    // Where no fleet is installed, none appears.
    world.well(&["update", "--no-reseed"])?;
    assert!(!world.home.home().join(".config/systemd/user").join(HOLDER).exists());

    world.well(&["install"])?;
    let current = world.read("fleet/.framework-version")?;
    assert_eq!(world.run(&["update", "--check"])?.code, 0);
    // As an older version left it, with the user's hand in everything.
    fs::write(world.file("fleet/.framework-version"), "0\n")?;
    fs::write(world.file("fleet/roles/code.md"), "mine now\n")?;
    fs::write(world.file("fleet/second.yaml"), "version: 1\nagents: []\n")?;
    fs::write(world.file("SOUL.md"), "be kind\n")?;
    let unit = world.home.home().join(".config/systemd/user/mosaic-agent@.service");
    let shipped = fs::read_to_string(&unit)?;
    fs::write(&unit, shipped.replace("TimeoutStartSec=60", "TimeoutStartSec=61"))?;
    let sessions = world.sessions()?;
    let check = world.run(&["update", "--check"])?;
    assert_eq!(check.code, 3);
    assert!(
        check.stdout.contains("- TimeoutStartSec=61") && check.stdout.contains("roles/code.md"),
        "{}",
        check.stdout
    );
    assert_eq!(world.read("fleet/roles/code.md")?, "mine now\n");

    world.well(&["update"])?;
    assert_eq!(fs::read_to_string(&unit)?, shipped);
    assert_eq!(world.property("mosaic-agent@lead.service", "NeedDaemonReload")?, "no");
    assert_eq!(world.read("fleet/.framework-version")?, current);
    assert_ne!(world.read("fleet/roles/code.md")?, "mine now\n");
    assert_eq!(world.read("fleet/backup/v0/fleet/roles/code.md")?, "mine now\n");
    assert_eq!(world.read("SOUL.md")?, "be kind\n");
    assert_eq!(world.read("fleet/roster.yaml")?, ROSTER);
    assert!(world.file("fleet/second.yaml").is_file());
    assert_eq!(world.sessions()?, sessions, "agents go on as they are");

    // Who was started by another version is told, and started anew on request.
    world.tmux(&["set-environment", "-t", "=agent", "MOSAIC_FRAMEWORK_VERSION", "0"])?;
    let said = world.run(&["update", "--check"])?;
    assert!(said.code == 3 && said.stderr.contains("agent (version 0)"), "{}", said.stderr);
    world.well(&["update", "--relaunch"])?;
    let after = world.sessions()?;
    assert_eq!(World::without(&after, "agent"), World::without(&sessions, "agent"));
    assert_ne!(after, sessions);
    assert_eq!(world.run(&["update", "--check"])?.code, 0);
    Ok(())
}

#[test]
fn a_program_that_goes_on_without_its_terminal_is_ended_with_its_session() -> Result<()> {
    let home = TestHome::new()?;
    let deaf = "sh -c 'trap \\\"\\\" HUP; echo deaf; while :; do sleep 1; done'";
    write_roster(&home, &ROSTER.replace("command: sleep 1002", &format!("command: \"{deaf}\"")))?;
    let tmux = fleet_testkit::tmux::PrivateTmux::named(&home, "mosaic-fleet")?;
    for args in [["holder", "start"], ["launch", "agent"], ["launch", "agent0"]] {
        let said = fleet(&home, &args)?;
        ensure!(said.code == 0, "{args:?}: {}", said.stderr);
    }
    let pid = |name: &str| tmux.run(["list-panes", "-t", &format!("={name}:"), "-F", "#{pane_pid}"]);
    let (deaf, other) = (pid("agent")?, pid("agent0")?);
    let lives = |pid: &str| PathBuf::from("/proc").join(pid.trim()).exists();
    assert!(lives(&deaf));
    assert_eq!(fleet(&home, &["launch", "--stop", "agent"])?.code, 0);
    assert!(!lives(&deaf), "it goes on without its terminal");
    assert!(lives(&other));
    Ok(())
}

/// Two commands at once, a home that cannot be written, names that are none.
#[test]
fn mistakes_cost_a_message_and_nothing_else() -> Result<()> {
    let home = TestHome::new()?;
    write_roster(&home, ROSTER)?;
    let roster = || fs::read_to_string(home.mosaic_home().join("fleet/roster.yaml"));
    for name in ["a b", "../x", "ä", &"n".repeat(200), ""] {
        let said = fleet(&home, &["add", name, "--runtime", "pi"])?;
        assert_eq!(said.code, 2, "{name}: {}", said.stderr);
    }
    let said = fleet(&home, &["add", "x", "--runtime", "pu"])?;
    assert!(said.code == 2 && said.stderr.contains("did you mean `pi`?"), "{}", said.stderr);
    assert_eq!(fleet(&home, &["start", "nobody"])?.code, 4);
    let said = fleet(&home, &["stop", "agen"])?;
    assert!(said.code == 4 && said.stderr.contains("agent, agent0"), "{}", said.stderr);
    assert_eq!(roster()?, ROSTER);

    let adds: Vec<_> = (0..8)
        .map(|n| {
            let name = format!("new{n}");
            home.command(fleet_testkit::bins::bin("fleet")?)
                .args(["add", &name, "--runtime", "pi", "--no-start"])
                .stderr(std::process::Stdio::null())
                .spawn()
                .context("start")
        })
        .collect::<Result<_>>()?;
    for mut add in adds {
        ensure!(add.wait()?.success());
    }
    let names = fleet(&home, &["roster", "-q"])?.stdout;
    assert_eq!(names.lines().count(), 12, "{names}");
    Ok(())
}

/// A program of ours that is told to end, and waited for, whatever becomes of the test.
struct Foreground(std::process::Child);

impl Drop for Foreground {
    fn drop(&mut self) {
        if matches!(self.0.try_wait(), Ok(None)) {
            let _ = i32::try_from(self.0.id()).map(|pid| kill(Pid::from_raw(pid), Signal::SIGTERM));
            let _ = self.0.wait();
        }
    }
}

#[test]
fn without_systemd_the_fleet_is_watched_over_in_the_foreground() -> Result<()> {
    let home = TestHome::new()?;
    write_roster(&home, ROSTER)?;
    let log = home.root().join("up.log");
    let child = home
        .command(fleet_testkit::bins::bin("fleet")?)
        .arg("up")
        .envs([("FLEET_COLLECTOR_HTTP", "127.0.0.1:0"), ("MOSAIC_RECOVERY_PAUSE", "0.2")])
        .stderr(fs::File::create(&log)?)
        .spawn()?;
    let mut up = Foreground(child);
    let said = || fs::read_to_string(&log).unwrap_or_default();
    let pids = || -> Result<Vec<(String, u32)>> {
        let list = ["-L", "mosaic-fleet", "list-panes", "-a", "-F", "#{session_name} #{pane_pid}"];
        let out = home.command("tmux").args(list).output()?;
        let text = String::from_utf8(out.stdout)?;
        let row =
            |line: &str| Some((line.split_once(' ')?.0.to_owned(), line.split_once(' ')?.1.parse().ok()?));
        Ok(text.lines().filter_map(row).collect())
    };
    let pid = |name: &str| -> Result<u32> {
        pids()?.into_iter().find(|(session, _)| session == name).map(|(_, pid)| pid).context("not there")
    };
    wait_until(PATIENCE, "all up", || {
        ensure!(said().contains("all is up"), "{}", said());
        anyhow::Ok(())
    })?;
    let status = fleet(&home, &["status"])?;
    assert!(
        status.code == 0 && status.stdout.contains("agents      4 of 4 up"),
        "{}\n{}",
        status.stdout,
        said()
    );
    assert_eq!(fleet(&home, &["up"])?.code, 5, "one watches, and only one");
    let verified = fleet(&home, &["verify"])?;
    assert_eq!(verified.code, 0, "{}{}", verified.stdout, verified.stderr);

    // One stopped on purpose, one killed: the one comes back, the other does not.
    assert_eq!(fleet(&home, &["stop", "agent0"])?.code, 0);
    let (old, server) = (pid("agent")?, pid("_holder")?);
    killed(old)?;
    wait_until(PATIENCE, "its return", || {
        let now = pid("agent")?;
        ensure!(now != old, "the old one");
        anyhow::Ok(())
    })?;
    assert!(pid("agent0").is_err());
    assert_eq!(pid("_holder")?, server, "the server is who it was");

    // Added beside it, and seen by the collector that it runs.
    let added = fleet(&home, &["add", "late", "--runtime", "scripted", "--command", "sleep 1004"])?;
    assert_eq!(added.code, 0, "{}", added.stderr);
    wait_until(PATIENCE, "the collector's word", || {
        let seen = agent(&home, "late")?;
        ensure!(seen["paneAlive"] == true, "{seen}");
        anyhow::Ok(())
    })?;

    assert_eq!(fleet(&home, &["down"])?.code, 0);
    let ended = wait_until(PATIENCE, "the end", || up.0.try_wait()?.with_context(said))?;
    assert!(ended.success(), "{}", said());
    assert_eq!(pids()?, []);
    Ok(())
}
