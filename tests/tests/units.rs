//! The installed units under a real systemd user manager and a real tmux, by systemd's and tmux's own words. The tmux
//! directory is that of the test's home: whatever is called "default" below is not the machine's.

mod world;

use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, ensure};
use fleet_testkit::bins::bin;
use fleet_testkit::fleet::{PATIENCE, Said, agent, fleet, write_roster};
use fleet_testkit::home::TestHome;
use fleet_testkit::systemd::UserManager;
use fleet_testkit::tmux::PrivateTmux;
use fleet_testkit::wait::wait_until;

use world::{COLLECTOR, HOLDER, HOST_SIDECAR, World};

const OWN_SOCKET: &str = "
version: 1
tmux: {socket_name: mosaic-fleet}
defaults: {working_directory: ~/work}
agents:
  - {name: a0, runtime: scripted, command: sleep 1000}
  - {name: a-1, runtime: scripted, command: sleep 1001}
";

const DEFAULT_SOCKET: &str = "
version: 1
agents:
  - {name: a0, runtime: scripted, command: sleep 1000}
";

fn installed(world: &World, more: &[&str]) -> Result<Said> {
    let said = world.install(more)?;
    let log = world.manager.as_ref().map(UserManager::log).unwrap_or_default();
    ensure!(said.code == 0, "exit {}\n{}\n{}\n{log}", said.code, said.stdout, said.stderr);
    Ok(said)
}

#[test]
fn a_fleet_is_installed_survives_restarts_and_a_boot_and_ends_with_its_holder() -> Result<()> {
    let Some(mut world) = World::new(OWN_SOCKET, "mosaic-fleet")? else { return Ok(()) };
    let said = installed(&world, &[])?;
    let new = said.stdout.lines().filter(|line| line.starts_with("new ") && line.contains("/systemd/user/"));
    assert_eq!(new.count(), 5, "{}", said.stdout);

    let agents = ["mosaic-agent@a0.service", "mosaic-agent@a-1.service"];
    let sidecars = ["mosaic-sidecar@a0.service", "mosaic-sidecar@a-1.service"];
    let all = [&[HOLDER, COLLECTOR, HOST_SIDECAR][..], &agents, &sidecars].concat();
    let up: Vec<String> = all.iter().map(|unit| format!("{unit} active enabled")).collect();
    assert_eq!(world.states(&all)?, up);
    let first = world.sessions()?;
    let names: Vec<&str> = first.iter().filter_map(|row| row.split(' ').next()).collect();
    assert_eq!(names, ["server", "_holder", "a-1", "a0"]);
    assert!(world.home.home().join("work").is_dir(), "the work directory was made");
    assert_eq!(
        world.tmux(&["display-message", "-p", "-t", "=a0:", "#{pane_current_path}"])?,
        shown(&world.home.home().join("work"))
    );

    // The sandboxed services see and tell what they are there for.
    world.told_of("a0", "active")?;
    assert_eq!(agent(&world.home, "a0")?["paneAlive"], true);

    // Again: nothing differs, nothing is restarted.
    let collector = world.property(COLLECTOR, "MainPID")?;
    let said = installed(&world, &[])?;
    assert!(!said.stdout.contains("new ") && !said.stdout.contains("changed "), "{}", said.stdout);
    assert_eq!(world.property(COLLECTOR, "MainPID")?, collector);
    assert_eq!(world.sessions()?, first);

    // One agent restarted: the server and the siblings are who they were; its sidecar is beside it again.
    let sidecar = world.property(sidecars[0], "MainPID")?;
    let sibling = world.property(sidecars[1], "MainPID")?;
    world.systemctl(&["restart", agents[0]])?;
    let second = world.sessions()?;
    assert_eq!(World::without(&second, "a0"), World::without(&first, "a0"));
    assert_ne!(second, first);
    wait_until(PATIENCE, "the sidecar's return", || {
        let (active, now) =
            (world.property(sidecars[0], "ActiveState")?, world.property(sidecars[0], "MainPID")?);
        ensure!(active == "active" && now != sidecar, "{active}, MainPID {now}");
        Ok(())
    })?;
    assert_eq!(world.property(sidecars[1], "MainPID")?, sibling);

    // One agent stopped: exactly its session, and its sidecar with it.
    world.systemctl(&["stop", agents[0]])?;
    assert_eq!(world.sessions()?, World::without(&second, "a0"));
    assert_eq!(world.states(&[sidecars[0]])?, [format!("{} inactive enabled", sidecars[0])]);
    world.told_of("a0", "inactive")?;
    world.systemctl(&["start", agents[0]])?;
    world.wait_for(&[sidecars[0]], "active enabled")?;

    // A boot: the enabled units bring everything back.
    world.manager = Some(world.manager.take().context("no manager")?.reboot(&world.home)?);
    world.wait_for(&all, "active enabled")?;
    assert_eq!(world.sessions()?.len(), first.len());

    // The holder stopped: the fleet's own server is gone, and the agents with it; not the collector.
    world.systemctl(&["stop", HOLDER])?;
    assert!(world.tmux(&["list-sessions"]).is_err(), "the server is gone");
    world.wait_for(&[&[HOLDER][..], &agents, &sidecars].concat(), "inactive enabled")?;
    assert_eq!(world.states(&[COLLECTOR, HOST_SIDECAR])?, up[1..3]);
    ensure!(!default_socket(&world.home).exists(), "the default server was started");
    Ok(())
}

#[test]
fn on_the_default_server_only_the_rosters_own_sessions_end() -> Result<()> {
    let Some(world) = World::new(DEFAULT_SOCKET, "")? else { return Ok(()) };
    installed(&world, &[])?;
    // The user's session on a server that the holder's unit happened to start.
    world.tmux(&["new-session", "-d", "-s", "a", "sleep", "1002"])?;
    world.tmux(&["new-session", "-d", "-s", "mine", "sleep", "1003"])?;
    let before = world.sessions()?;
    let users = |rows: &[String]| {
        rows.iter()
            .filter(|row| !row.starts_with('_') && !row.starts_with("a0 "))
            .cloned()
            .collect::<Vec<_>>()
    };
    world.systemctl(&["restart", HOLDER])?;
    world.wait_for(&["mosaic-agent@a0.service"], "active enabled")?;
    let after = world.sessions()?;
    assert_eq!((after.len(), users(&after)), (before.len(), users(&before)));
    world.systemctl(&["stop", HOLDER])?;
    assert_eq!(world.sessions()?, users(&before));

    // Stopped while the agent is still being launched: what the launch has begun is taken back.
    world.systemctl(&["start", "--no-block", "mosaic-agent@a0.service"])?;
    wait_until(PATIENCE, "the session", || world.tmux(&["has-session", "-t", "=a0"]))?;
    world.systemctl(&["stop", HOLDER])?;
    world.wait_for(&["mosaic-agent@a0.service"], "inactive enabled")?;
    assert_eq!(world.sessions()?, users(&before));

    // By hand, too, a session that is not in the roster is out of reach.
    let said = fleet(&world.home, &["launch", "mine", "--stop"])?;
    assert_eq!(said.code, 64, "{}", said.stderr);
    assert_eq!(world.sessions()?, users(&before));
    Ok(())
}

#[test]
fn agents_may_be_enabled_without_being_started() -> Result<()> {
    let Some(world) = World::new(OWN_SOCKET, "mosaic-fleet")? else { return Ok(()) };
    installed(&world, &["--no-start"])?;
    assert_eq!(
        world.states(&["mosaic-agent@a0.service", HOLDER])?,
        ["mosaic-agent@a0.service inactive enabled".to_owned(), format!("{HOLDER} active enabled")]
    );
    assert_eq!(world.sessions()?.len(), 2);
    Ok(())
}

#[test]
fn one_broken_agent_is_named_and_does_not_stop_the_others() -> Result<()> {
    let roster = OWN_SOCKET.replace("sleep 1001", "exit 3");
    let Some(world) = World::new(&roster, "mosaic-fleet")? else { return Ok(()) };
    let said = world.install(&[])?;
    assert_eq!(said.code, 1, "{}", said.stderr);
    assert!(said.stderr.contains("mosaic-agent@a-1.service"), "{}", said.stderr);
    let states = world.states(&[
        "mosaic-agent@a0.service",
        "mosaic-agent@a-1.service",
        "mosaic-sidecar@a0.service",
    ])?;
    assert_eq!(
        states,
        [
            "mosaic-agent@a0.service active enabled",
            "mosaic-agent@a-1.service failed enabled",
            "mosaic-sidecar@a0.service active enabled"
        ]
    );
    Ok(())
}

#[test]
fn a_runtime_is_found_where_its_installer_put_it_and_starts_with_a_clean_environment() -> Result<()> {
    let home = TestHome::new()?;
    let tmux = PrivateTmux::named(&home, "mosaic-fleet")?;
    let agents = "agents:\n  - {name: lead, runtime: claude, model_hint: opus, yolo: false}\n";
    write_roster(&home, &format!("version: 1\ntmux: {{socket_name: mosaic-fleet}}\n{agents}"))?;
    let program = home.home().join(".local/bin/claude");
    std::fs::create_dir_all(program.with_file_name(""))?;
    std::fs::write(
        &program,
        "#!/bin/sh\nenv >\"$HOME/told\"; echo \"args=$*\" >>\"$HOME/told\"; exec sleep 1000\n",
    )?;
    std::fs::set_permissions(&program, std::fs::Permissions::from_mode(0o755))?;
    assert_eq!(fleet(&home, &["holder", "start"])?.code, 0);
    let mut launch = home.command(bin("fleet")?);
    let out = launch.args(["launch", "lead"]).env("CLAUDECODE", "1").output()?;
    ensure!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));

    let told = wait_until(PATIENCE, "the runtime's word", || {
        let told = std::fs::read_to_string(home.home().join("told"))?;
        ensure!(told.contains("args="), "{told}");
        Ok(told)
    })?;
    let has = |line: &str| told.lines().any(|told| told == line);
    let settings = home.mosaic_home().join("hooks/claude.json");
    let arguments = told.lines().find(|line| line.starts_with("args=")).unwrap_or_default();
    let wired = format!(" --settings {}", settings.display());
    assert!(arguments.starts_with("args=--model opus --session-id ") && arguments.contains(&wired), "{told}");
    assert!(has("MOSAIC_AGENT_NAME=lead") && settings.is_file(), "{told}");
    assert!(
        has("CLAUDE_CODE_DISABLE_1M_CONTEXT=1") && has("CLAUDE_CODE_AUTO_COMPACT_WINDOW=200000"),
        "{told}"
    );
    assert!(!told.contains("CLAUDECODE="), "{told}");
    let path = told.lines().find_map(|line| line.strip_prefix("PATH=")).unwrap_or_default();
    let own = bin("fleet")?;
    let first = format!("{}:", home.home().join(".local/bin").display());
    let last = format!(":{}", own.parent().context("a directory")?.display());
    // What the program needs lies beside it, and comes before what the machine has of it.
    assert!(path.starts_with(&first) && path.ends_with(&last), "{path}");
    assert_eq!(tmux.run(["list-sessions", "-F", "#{session_name}"])?, "_holder\nlead\n");
    assert_eq!(fleet(&home, &["holder", "stop"])?.code, 0);
    assert!(tmux.run(["list-sessions"]).is_err(), "the server is gone");
    Ok(())
}

#[test]
fn without_a_user_manager_nothing_is_written_and_the_remedy_is_told() -> Result<()> {
    let home = TestHome::new()?;
    write_roster(&home, OWN_SOCKET)?;
    let said = fleet(&home, &["install", "--units"])?;
    assert_eq!(said.code, 1, "{}", said.stderr);
    assert!(
        said.stderr.contains("no systemd user manager answers")
            && said.stderr.contains("nothing was written"),
        "{}",
        said.stderr
    );
    assert!(!home.home().join(".config/systemd").exists());
    let dry = fleet(&home, &["install", "--units", "--dry-run"])?;
    assert_eq!(dry.code, 0, "{}", dry.stderr);
    assert!(dry.stdout.contains("enable   mosaic-agent@a0.service\n"), "{}", dry.stdout);
    assert!(!home.home().join(".config/systemd").exists());
    Ok(())
}

#[test]
fn without_a_roster_the_file_is_named_and_the_host_can_still_be_observed() -> Result<()> {
    let home = TestHome::new()?;
    let said = fleet(&home, &["install", "--units", "--dry-run"])?;
    assert_eq!(said.code, 1);
    assert!(
        said.stderr.contains("fleet/roster.yaml does not exist") && said.stderr.contains("--host-only"),
        "{}",
        said.stderr
    );
    let said = fleet(&home, &["install", "--units", "--host-only", "--dry-run"])?;
    assert_eq!(said.code, 0, "{}", said.stderr);
    let enabled: Vec<&str> = said.stdout.lines().filter_map(|line| line.strip_prefix("enable   ")).collect();
    assert_eq!(enabled, [COLLECTOR, HOST_SIDECAR]);
    assert_eq!(fleet(&home, &["install"])?.code, 1);
    assert_eq!(fleet(&home, &["launch"])?.code, 64);
    assert_eq!(fleet(&home, &["launch", "nobody"])?.code, 64);
    Ok(())
}

fn default_socket(home: &TestHome) -> PathBuf {
    home.root().join(format!("tmux-{}", nix::unistd::getuid())).join("default")
}

fn shown(path: &Path) -> String {
    path.to_string_lossy().into_owned()
}
