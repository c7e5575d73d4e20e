//! A fleet of two hundred agents, and a home that has no room or may not be written: clear words, and nothing lost.
#![expect(clippy::disallowed_methods, reason = "starts fleet under unshare, and several at once")]

mod world;

use std::process::{Command, Output, Stdio};

use anyhow::{Context as _, Result, ensure};
use fleet_testkit::bins::bin;
use fleet_testkit::fleet::{fleet, write_roster};
use fleet_testkit::home::TestHome;
use fleet_testkit::skip::require_or_skip;
use fleet_testkit::wait::wait_until;

use world::World;

const MANY: usize = 200;
/// Two hundred sessions come up in a few seconds; machines under test are busy.
const LONG: std::time::Duration = std::time::Duration::from_secs(180);

fn many() -> String {
    let agents: String = (0..MANY)
        .map(|n| format!("  - {{name: a{n:03}, runtime: scripted, command: sleep {}}}\n", 100_000 + n))
        .collect();
    format!(
        "version: 1\ntmux: {{socket_name: mosaic-fleet}}\ndefaults: {{working_directory: ~/work}}\nagents:\n{agents}"
    )
}

#[test]
fn two_hundred_agents_are_installed_seen_changed_and_stopped() -> Result<()> {
    let Some(world) = World::new(&many(), "mosaic-fleet")? else { return Ok(()) };
    let listed = world.well(&["roster", "-q"])?.stdout;
    assert_eq!(listed.lines().count(), MANY);
    let would = world.well(&["install", "--dry-run"])?.stdout;
    assert_eq!(would.matches("enable   mosaic-agent@").count(), MANY);
    // Sidecars beside each agent would be two hundred processes more: the host's serves them all, as in a large fleet.
    let masked = world.home.home().join(".config/systemd/user/mosaic-sidecar@.service");
    std::os::unix::fs::symlink("/dev/null", masked)?;
    world.well(&["install"])?;
    assert_eq!(world.names()?.len(), MANY + 1);
    let listed = wait_until(LONG, "the collector's word of all", || {
        let list = world.run(&["ps", "--json"])?.json()?;
        let items = list["items"].as_array().cloned().context("no items")?;
        let alive = items.iter().filter(|item| item["paneAlive"] == true).count();
        ensure!(alive == MANY, "{alive} of {}", items.len());
        anyhow::Ok(items)
    })?;
    assert_eq!(listed[7]["name"], "a007", "in the roster's order");
    let status = world.well(&["status"])?.stdout;
    assert!(status.contains(&format!("agents      {MANY} of {MANY} up")), "{status}");
    wait_until(LONG, "no drift", || {
        let drift = world.run(&["drift"])?;
        ensure!(drift.code == 0, "{}", drift.stdout);
        anyhow::Ok(())
    })?;

    // One of many is still only one.
    let before = world.sessions()?;
    world.well(&["restart", "a100"])?;
    let after = world.sessions()?;
    assert_eq!(World::without(&after, "a100"), World::without(&before, "a100"));
    world.well(&["remove", "a199"])?;
    world.well(&["add", "b000", "--runtime", "scripted", "--command", "sleep 99999"])?;
    let now = world.sessions()?;
    assert_eq!(World::without(&now, "b000"), World::without(&after, "a199"));
    let would = world.well(&["up", "--dry-run"])?.stdout;
    assert_eq!(would.lines().count(), MANY + 3);
    world.well(&["down"])?;
    assert!(world.tmux(&["list-sessions"]).is_err(), "the server is gone");
    Ok(())
}

const ROSTER: &str = "\
version: 1
tmux: {socket_name: mosaic-fleet}
agents:
  # kept
  - {name: lead, runtime: scripted, class: orchestrator, command: sleep 1000}
  - {name: improver, runtime: scripted, class: enhancer, command: sleep 1001}
  - {name: agent, runtime: scripted, command: sleep 1002}
";

/// A line of shell with `$FLEET` in a mount name space of its own, where root may mount over the home.
fn unshared(home: &TestHome, line: &str) -> Result<Output> {
    let mut command = Command::new("unshare");
    command.args(["--mount", "sh", "-c", line]).env_clear().envs(home.env());
    command.env("FLEET", bin("fleet")?).env("AT", home.mosaic_home()).current_dir(home.root());
    // Nobody answers here but the files.
    command.env_remove("XDG_RUNTIME_DIR").stdin(Stdio::null());
    command.output().context("run unshare")
}

/// The home on a disk of its own, with a fleet in it; a copy of it beside; then `spoil`, and the command.
fn in_a_small_home(home: &TestHome, prepare: &str, spoil: &str, command: &str) -> Result<(String, String)> {
    let line = format!(
        "mount -t tmpfs -o size=600k none $AT && $FLEET init --preset own.yaml --yes >/dev/null || exit 9
        {prepare}
        rm -rf before && cp -a $AT before
        {spoil}
        $FLEET {command}; echo code=$?
        rm -f $AT/full
        find before $AT -mindepth 1 -type d -empty -delete 2>/dev/null
        diff -r -x run before $AT >&2 && echo same
        find $AT -name '.mosaic-*' | wc -l"
    );
    let out = unshared(home, &line)?;
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    ensure!(out.status.code() != Some(9), "the fleet in the small home: {}", text(&out.stderr));
    Ok((text(&out.stdout), text(&out.stderr)))
}

#[test]
fn without_room_nothing_is_added_removed_or_updated_by_half() -> Result<()> {
    let home = TestHome::new()?;
    std::fs::write(home.root().join("own.yaml"), ROSTER)?;
    let may = unshared(&home, "mount -t tmpfs -o size=64k none $AT").and_then(|out| {
        ensure!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
        Ok(())
    });
    if require_or_skip("mounts of one's own", may).is_none() {
        return Ok(());
    }
    let older = "echo 0 >$AT/fleet/.framework-version; echo old >$AT/fleet/roles/code.md";
    let spoilt = [
        ("cat /dev/zero >$AT/full 2>/dev/null", "No space left on device"),
        ("mount -o remount,ro $AT", "Read-only file system"),
    ];
    for (prepare, command) in [
        ("", "add late --runtime scripted --command 'sleep 1' --no-start"),
        ("", "remove agent"),
        (older, "update"),
    ] {
        for (spoil, wanted) in spoilt {
            let (told, said) = in_a_small_home(&home, prepare, spoil, command)?;
            let what = format!("{command}, {wanted}: {told}\n{said}");
            ensure!(told.contains("code=1") && said.contains(wanted), "{what}");
            // What went wrong, and what to do next.
            let error: Vec<&str> = said.lines().skip_while(|line| !line.starts_with("error: ")).collect();
            ensure!(error.len() >= 2, "{what}");
            ensure!(error.concat().matches(wanted).count() == 1, "it says so twice: {what}");
            ensure!(!error.concat().contains(".mosaic-"), "of a file that nobody knows: {what}");
            ensure!(told.contains("same\n0"), "something changed: {what}");
        }
    }
    Ok(())
}

/// Adding, removing and updating at once: each change is there afterwards, and no line of anybody is lost.
#[test]
fn commands_at_once_lose_nothing() -> Result<()> {
    let home = TestHome::new()?;
    write_roster(&home, ROSTER)?;
    for n in 0..4 {
        let old = format!("old{n}");
        let said =
            fleet(&home, &["add", &old, "--runtime", "scripted", "--command", "sleep 1", "--no-start"])?;
        ensure!(said.code == 0, "{}", said.stderr);
    }
    std::fs::write(home.mosaic_home().join("fleet/.framework-version"), "0\n")?;
    let mut started = Vec::new();
    for n in 0..4 {
        let (new, old) = (format!("new{n}"), format!("old{n}"));
        let add = ["add", &new, "--runtime", "scripted", "--command", "sleep 1", "--no-start"];
        for args in [&add[..], &["remove", &old], &["update"]] {
            let mut command = home.command(bin("fleet")?);
            command.args(args).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
            started.push((format!("{args:?}"), command.spawn()?));
        }
    }
    for (what, child) in started {
        let out = child.wait_with_output()?;
        ensure!(out.status.success(), "{what}: {}", String::from_utf8_lossy(&out.stderr));
    }
    let names = fleet(&home, &["roster", "-q"])?.stdout;
    let mut names: Vec<&str> = names.lines().collect();
    names.sort_unstable();
    assert_eq!(names, ["agent", "improver", "lead", "new0", "new1", "new2", "new3"]);
    let roster = std::fs::read_to_string(home.mosaic_home().join("fleet/roster.yaml"))?;
    ensure!(roster.starts_with(ROSTER), "{roster}");
    let check = fleet(&home, &["update", "--check"])?;
    ensure!(check.code == 0, "{}{}", check.stdout, check.stderr);
    Ok(())
}
