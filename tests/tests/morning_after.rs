//! From `fleet init` to the morning after a reboot, with the real programs on the loopback model, a real systemd user
//! manager and a real tmux: five agents of four runtimes, as somebody sets them up who has just installed the fleet.

#![expect(clippy::disallowed_methods, reason = "a person's own tmux server")]

mod world;

use std::fs;
use std::path::PathBuf;

use anyhow::{Context as _, Result, ensure};
use fleet_testkit::bins::bin;
use fleet_testkit::fleet::{agent, write_roster};
use fleet_testkit::home::TestHome;
use fleet_testkit::real::{Driven, Kind, RealRuntime, Setup};
use fleet_testkit::stub::ModelStub;
use fleet_testkit::tmux::PrivateTmux;
use fleet_testkit::wait::wait_until;
use serde_json::Value;

use world::World;

/// Four large programs start, and others run tests beside.
const LONG: std::time::Duration = std::time::Duration::from_secs(240);
const SOCKET: &str = "mosaic-fleet";
const KINDS: [Kind; 4] = [Kind::Claude, Kind::Codex, Kind::Opencode, Kind::Pi];
/// What `fleet init` makes of the preset, with two of the coders on other runtimes.
const CREW: [(&str, Kind); 5] = [
    ("orchestrator", Kind::Claude),
    ("enhancer", Kind::Claude),
    ("coder0", Kind::Codex),
    ("coder1", Kind::Opencode),
    ("reviewer", Kind::Pi),
];

const EVERYBODY: [&str; 5] = ["orchestrator", "enhancer", "coder0", "coder1", "reviewer"];
/// After one was added and one removed.
const LEFT: [(&str, Kind); 5] = [
    ("orchestrator", Kind::Claude),
    ("enhancer", Kind::Claude),
    ("coder0", Kind::Codex),
    ("reviewer", Kind::Pi),
    ("late", Kind::Pi),
];

struct Fleet {
    world: World,
    stub: ModelStub,
    tmux: PrivateTmux,
    /// What each program wants in its environment.
    env: Vec<(Kind, Vec<(String, String)>)>,
}

impl Fleet {
    /// The programs where installers put them, which is not where a service looks, and a person's own tmux beside.
    fn new() -> Result<Option<Self>> {
        let home = TestHome::new()?;
        let stub = ModelStub::start()?;
        let work = home.home().join("src");
        fs::create_dir_all(work.join(".git"))?;
        fs::write(work.join(".git/HEAD"), "ref: refs/heads/main\n")?;
        let mut env = Vec::new();
        for kind in KINDS {
            let Some(runtime) = RealRuntime::require_or_skip(kind) else { return Ok(None) };
            let untrusted = Setup { trusted: false, ..Setup::default() };
            env.push((kind, runtime.prepare(&home, &work, &stub, &untrusted)?));
        }
        let bin = home.home().join(".local/bin");
        fs::create_dir_all(&bin)?;
        for entry in fs::read_dir(home.bin())? {
            let entry = entry?;
            fs::rename(entry.path(), bin.join(entry.file_name()))?;
        }
        let tmux = PrivateTmux::named(&home, SOCKET)?;
        Ok(World::around(home, SOCKET)?.map(|world| Self { world, stub, tmux, env }))
    }

    fn driven<'a>(&'a self, (session, kind): (&'a str, Kind)) -> Driven<'a> {
        Driven { tmux: &self.tmux, kind, session }
    }

    fn crew(&self) -> impl Iterator<Item = Driven<'_>> {
        CREW.into_iter().map(|one| self.driven(one))
    }

    /// As its user writes it, before anything is installed.
    fn write_env(&self, name: &str, kind: Kind) -> Result<()> {
        let env = &self.env.iter().find(|(known, _)| *known == kind).context("no such program")?.1;
        let lines: String = env.iter().map(|(name, value)| format!("{name}=\"{value}\"\n")).collect();
        let path = self.env_file(name);
        fs::create_dir_all(path.parent().context("a directory")?)?;
        Ok(fs::write(path, format!("# by hand\n{lines}"))?)
    }

    fn env_file(&self, name: &str) -> PathBuf {
        self.world.file(&format!("fleet/agents/{name}.env"))
    }

    /// The conversation that the agent is in, as it is remembered.
    fn conversation(&self, name: &str) -> Result<String> {
        wait_until(LONG, format!("{name}: the conversation's name"), || {
            let told: Value = serde_json::from_str(&self.world.read(&format!("fleet/run/{name}.session"))?)?;
            let there = told["transcript"].as_str().is_some_and(|path| fs::metadata(path).is_ok());
            ensure!(there, "{told}");
            told["id"].as_str().map(str::to_owned).context("no name")
        })
        .map_err(Into::into)
    }

    fn all_are(&self, names: &[&str], state: &str) -> Result<()> {
        wait_until(LONG, format!("all to be {state}"), || {
            for name in names {
                let seen = agent(&self.world.home, name)?;
                ensure!(seen["readiness"] == state, "{name}: {seen}\n{}", self.screen(name));
            }
            Ok(())
        })
        .map_err(Into::into)
    }

    fn screen(&self, name: &str) -> String {
        self.tmux.capture(name).unwrap_or_else(|error| format!("{error:#}"))
    }

    /// Said to each, and answered with all that was said before.
    fn goes_on(&self, one: Driven<'_>, before: &str, now: &str) -> Result<()> {
        let (before, now) = (said(one.session, before), said(one.session, now));
        one.say(&self.stub, &now)?;
        let asked = self.stub.asked_with(&[&before, &now]);
        ensure!(asked > 0, "{}: the conversation did not go on: {}", one.session, one.screen());
        Ok(())
    }

    /// Kind and agent of each drift that is listed.
    fn drift(&self) -> Result<Vec<String>> {
        let listed = self.world.run(&["drift", "--json"])?;
        let items = listed.json()?["items"].as_array().cloned().context("no items")?;
        let mut found: Vec<String> = items
            .iter()
            .map(|item| {
                let agent = item["agent"].as_str().unwrap_or("-");
                format!("{agent} {}", item["kind"].as_str().unwrap_or_default())
            })
            .collect();
        found.sort();
        Ok(found)
    }

    fn drifts(&self, wanted: &[&str]) -> Result<()> {
        wait_until(LONG, format!("the drift {wanted:?}"), || {
            let found = self.drift()?;
            ensure!(found == wanted, "{found:?}");
            Ok(())
        })
        .map_err(Into::into)
    }
}

/// No two prompts are the same.
fn said(agent: &str, words: &str) -> String {
    format!("{words}-{agent}")
}

/// A server of the person's own, with a session that has an agent's name.
struct Theirs {
    root: PathBuf,
    env: Vec<(String, String)>,
}

impl Theirs {
    fn new(root: PathBuf, env: Vec<(String, String)>) -> Result<Self> {
        let own = Self { root, env };
        own.tmux(&["new-session", "-d", "-s", "orchestrator", "-x", "93", "-y", "27", "cat"])?;
        own.tmux(&["new-session", "-d", "-s", "_holder", "cat"])?;
        own.tmux(&["send-keys", "-t", "=orchestrator:", "my own words"])?;
        Ok(own)
    }

    fn tmux(&self, args: &[&str]) -> Result<String> {
        let mut tmux = std::process::Command::new("tmux");
        let out =
            tmux.args(args).env_clear().envs(self.env.iter().cloned()).current_dir(&self.root).output()?;
        ensure!(out.status.success(), "tmux {args:?}: {}", String::from_utf8_lossy(&out.stderr));
        Ok(String::from_utf8(out.stdout)?)
    }

    /// Sessions, sizes, programs and contents.
    fn picture(&self) -> Result<String> {
        let what = "#{pid} #{session_name} #{session_windows} #{window_width}x#{window_height} #{pane_pid}";
        let panes = self.tmux(&["list-panes", "-a", "-F", what])?;
        Ok(panes + &self.tmux(&["capture-pane", "-p", "-t", "=orchestrator:"])?)
    }
}

impl Drop for Theirs {
    fn drop(&mut self) {
        let _ = self.tmux(&["kill-server"]);
    }
}

#[test]
fn a_fleet_of_real_programs_is_set_up_changed_booted_updated_and_mended() -> Result<()> {
    let Some(mut fleet) = Fleet::new()? else { return Ok(()) };
    let home = fleet.world.home.root().to_owned();
    let theirs = Theirs::new(home, fleet.world.home.env())?;
    let untouched = theirs.picture()?;
    set_up(&fleet).context("set up")?;
    all_work(&fleet).context("all work")?;
    one_is_restarted(&fleet).context("one is restarted")?;
    one_comes_and_one_goes(&fleet).context("one comes and one goes")?;
    boot(&mut fleet).context("a boot")?;
    update(&fleet).context("an update")?;
    relaunch(&fleet).context("a relaunch")?;
    drift(&fleet).context("drift")?;
    fleet.world.well(&["down"])?;
    ensure!(fleet.tmux.server_pid().is_none(), "the fleet's server is gone");
    assert_eq!(theirs.picture()?, untouched, "the person's own tmux server");
    Ok(())
}

fn set_up(fleet: &Fleet) -> Result<()> {
    let world = &fleet.world;
    let coding = ["init", "--preset", "coding", "--yes"];
    world.well(&[&coding[..], &["--runtime", "coder0=codex", "--runtime", "coder1=opencode"]].concat())?;
    let again = world.well(&coding)?;
    ensure!(again.stderr.contains("nothing is to be written"), "{}", again.stderr);
    // The model that its user has.
    let roster = world.read("fleet/roster.yaml")?.replace("openai-codex/gpt-5.5:high", "stub/stub-model");
    write_roster(&world.home, &roster)?;
    for (name, kind) in CREW {
        fleet.write_env(name, kind)?;
    }
    world.well(&["install"])?;
    let env = world.read("fleet/agents/coder0.env")?;
    ensure!(env.contains("# by hand\n") && env.contains("MOSAIC_AGENT_RUNTIME=codex\n"), "{env}");
    for one in fleet.crew() {
        one.is_ready()?;
    }
    Ok(())
}

fn all_work(fleet: &Fleet) -> Result<()> {
    for one in fleet.crew() {
        one.say(&fleet.stub, &said(one.session, "first"))?;
    }
    fleet.all_are(&EVERYBODY, "available")?;
    for one in fleet.crew() {
        one.send(&fleet.stub, &said(one.session, "HOLD1 second"))?;
    }
    fleet.all_are(&EVERYBODY, "working")?;
    let table = fleet.world.well(&["ps"])?.stdout;
    ensure!(table.matches(" working").count() >= EVERYBODY.len(), "{table}");
    fleet.stub.release(1)?;
    fleet.all_are(&EVERYBODY, "available")?;
    let status = fleet.world.well(&["status"])?.stdout;
    ensure!(status.contains("agents      5 of 5 up"), "{status}");
    fleet.drifts(&[])
}

fn one_is_restarted(fleet: &Fleet) -> Result<()> {
    let (before, conversation) = (fleet.world.sessions()?, fleet.conversation("coder0")?);
    fleet.world.well(&["restart", "coder0"])?;
    let after = fleet.world.sessions()?;
    // The first row is the server's.
    assert_eq!(World::without(&after, "coder0"), World::without(&before, "coder0"));
    ensure!(after != before, "it was restarted");
    let coder = fleet.driven(("coder0", Kind::Codex));
    coder.is_ready()?;
    fleet.goes_on(coder, "first", "third")?;
    assert_eq!(fleet.conversation("coder0")?, conversation);
    Ok(())
}

fn one_comes_and_one_goes(fleet: &Fleet) -> Result<()> {
    let world = &fleet.world;
    fleet.write_env("late", Kind::Pi)?;
    let before = world.sessions()?;
    let late = ["--working-directory", "~/late", "--model", "stub/stub-model", "--class", "implementer"];
    world.well(&[&["add", "late", "--runtime", "pi"], &late[..]].concat())?;
    let added = fleet.driven(("late", Kind::Pi));
    added.is_ready()?;
    added.say(&fleet.stub, &said("late", "first"))?;
    fleet.conversation("late")?;
    world.well(&["remove", "coder1"])?;
    let after = world.sessions()?;
    assert_eq!(World::without(&after, "late"), World::without(&before, "coder1"));
    ensure!(!fleet.env_file("coder1").exists(), "its file went with it");
    for (name, state) in [("late", "enabled"), ("coder1", "disabled")] {
        assert_eq!(world.property(&format!("mosaic-agent@{name}.service"), "UnitFileState")?, state);
    }
    Ok(())
}

fn boot(fleet: &mut Fleet) -> Result<()> {
    let conversations: Vec<String> =
        LEFT.iter().map(|(name, _)| fleet.conversation(name)).collect::<Result<_>>()?;
    let world = &mut fleet.world;
    world.manager = Some(world.manager.take().context("no manager")?.reboot(&world.home)?);
    world.wait_for_boot()?;
    wait_until(LONG, "all sessions", || {
        let names = fleet.world.names()?;
        ensure!(names == ["_holder", "coder0", "enhancer", "late", "orchestrator", "reviewer"], "{names:?}");
        anyhow::Ok(())
    })?;
    for ((name, kind), before) in LEFT.into_iter().zip(conversations) {
        let one = fleet.driven((name, kind));
        one.is_ready()?;
        fleet.goes_on(one, "first", "after-the-boot")?;
        assert_eq!(fleet.conversation(name)?, before, "{name}");
    }
    fleet.all_are(&LEFT.map(|(name, _)| name), "available")?;
    ensure!(fleet.world.run(&["explain", "coder1"])?.code == 4, "who was removed is nowhere");
    fleet.drifts(&[])
}

fn update(fleet: &Fleet) -> Result<()> {
    let world = &fleet.world;
    let current = world.read("fleet/.framework-version")?;
    // What the person wrote, in every place that there is.
    let roster = world.read("fleet/roster.yaml")? + "# the last line is mine\n";
    let env = world.read("fleet/agents/coder0.env")? + "# and here\nMINE=1\n";
    let mine = [
        ("fleet/roster.yaml", roster.as_str()),
        ("fleet/agents/coder0.env", &env),
        ("fleet/second.yaml", "version: 1\nagents: []\n"),
        ("fleet/budget.yaml", "version: 1\n"),
        ("fleet/roles/own.md", "# Own\n"),
        ("fleet/roles/code.local.md", "More of it.\n"),
        ("fleet/examples/own.yaml", "version: 1\nagents: []\n"),
        ("fleet/run/note", "x\n"),
        ("skills-local/own/SKILL.md", "---\nname: own\ndescription: x\n---\n"),
        ("hooks/own.json", "{}\n"),
        ("SOUL.md", "be kind\n"),
        ("USER.local.md", "me\n"),
        ("credentials.json", "{}\n"),
        ("../systemd/user/mosaic-agent@.service.d/own.conf", "[Service]\nEnvironment=MINE=2\n"),
    ];
    for (path, text) in mine {
        let path = world.file(path);
        fs::create_dir_all(path.parent().context("a directory")?)?;
        fs::write(path, text)?;
    }
    // And what is the framework's, as an older one left it and the person changed it.
    let unit = "../systemd/user/mosaic-agent@.service";
    let shipped = world.read(unit)?;
    fs::write(world.file(unit), shipped.replace("TimeoutStopSec=30", "TimeoutStopSec=31"))?;
    fs::write(world.file("fleet/roles/code.md"), "mine now\n")?;
    fs::write(world.file("fleet/.framework-version"), "0\n")?;
    fs::remove_file(world.file("fleet/roles/board.md"))?;
    let sessions = world.sessions()?;
    let check = world.run(&["update", "--check"])?;
    ensure!(check.code == 3 && check.stdout.contains("roles/code.md"), "{}{}", check.stdout, check.stderr);

    world.well(&["update"])?;
    for (path, text) in mine {
        assert_eq!(world.read(path)?, text, "{path}");
    }
    assert_eq!((world.read(unit)?, world.read("fleet/.framework-version")?), (shipped, current));
    assert_eq!(world.read("fleet/backup/v0/fleet/roles/code.md")?, "mine now\n");
    ensure!(world.read(&format!("{unit}.bak"))?.contains("TimeoutStopSec=31"));
    ensure!(world.file("fleet/roles/board.md").is_file());
    assert_eq!(world.property("mosaic-agent@coder0.service", "NeedDaemonReload")?, "no");
    assert_eq!(world.sessions()?, sessions, "agents go on as they are");
    Ok(())
}

/// One that an older version started, and that works: it is waited for, and goes on where it was.
fn relaunch(fleet: &Fleet) -> Result<()> {
    let world = &fleet.world;
    let (before, conversation) = (world.sessions()?, fleet.conversation("enhancer")?);
    world.tmux(&["set-environment", "-t", "=enhancer", "MOSAIC_FRAMEWORK_VERSION", "0"])?;
    let enhancer = fleet.driven(("enhancer", Kind::Claude));
    enhancer.send(&fleet.stub, &said("enhancer", "HOLD2 fourth"))?;
    fleet.all_are(&["enhancer"], "working")?;
    let log = world.home.root().join("relaunch.log");
    let mut relaunch = world.home.command(bin("fleet")?);
    let mut relaunch = relaunch.args(["update", "--relaunch"]).stderr(fs::File::create(&log)?).spawn()?;
    let told = wait_until(LONG, "it waits", || {
        let told = fs::read_to_string(&log)?;
        ensure!(told.contains("waits     enhancer"), "{told}");
        Ok(told)
    });
    let meanwhile = world.sessions();
    fleet.stub.release(2)?;
    let ended = relaunch.wait()?;
    told?;
    assert_eq!(meanwhile?, before, "what works is not interrupted");
    ensure!(ended.success(), "{}", fs::read_to_string(&log)?);
    let after = world.sessions()?;
    assert_eq!(World::without(&after, "enhancer"), World::without(&before, "enhancer"));
    ensure!(after != before, "it was started anew");
    enhancer.is_ready()?;
    fleet.goes_on(enhancer, "first", "after-the-update")?;
    assert_eq!(fleet.conversation("enhancer")?, conversation);
    assert_eq!(world.run(&["update", "--check"])?.code, 0);
    Ok(())
}

fn drift(fleet: &Fleet) -> Result<()> {
    let world = &fleet.world;
    fleet.drifts(&[])?;
    let roster = world.read("fleet/roster.yaml")?;
    let agents = |change: &dyn Fn(&str, &str) -> String| {
        let mut blocks: Vec<String> = roster.split("  - name: ").map(str::to_owned).collect();
        for block in &mut blocks[1..] {
            let name = block.lines().next().unwrap_or_default().to_owned();
            *block = change(&name, block);
        }
        blocks.join("  - name: ")
    };
    let changed = agents(&|name, block| match name {
        "reviewer" => {
            block.replace("runtime: pi", "runtime: claude").replace("    model_hint: stub/stub-model\n", "")
        }
        "enhancer" => block.replace("class: enhancer", "class: enhancer\n    model_hint: haiku"),
        "coder0" => block.replace("class: code", "class: documentation"),
        "orchestrator" => block.replace("class: orchestrator", "class: orchestrator\n    socket: other"),
        _ => block.to_owned(),
    });
    fleet.write_env("reviewer", Kind::Claude)?;
    world.systemctl(&["disable", "mosaic-agent@coder0.service"])?;
    world.systemctl(&["stop", "mosaic-agent@late.service"])?;
    let unit = world.file("../systemd/user/mosaic-collector.service");
    fs::write(&unit, fs::read_to_string(&unit)? + "# by hand\n")?;
    fs::write(world.file("fleet/.framework-version"), "1\n")?;
    world.tmux(&["new-session", "-d", "-s", "stranger", "sleep", "1009"])?;
    write_roster(&world.home, &changed)?;
    fleet.drifts(&[
        "- framework",
        "- unit",
        "coder0 boot",
        "coder0 env",
        "enhancer env",
        "enhancer model",
        "late missing",
        // Its session is still on the old one, and is no stranger there.
        "orchestrator@other socket",
        "reviewer env",
        "reviewer runtime",
        "stranger unmanaged",
    ])?;
    let listed = world.run(&["drift"])?;
    ensure!(listed.code == 3 && listed.stdout.contains("fleet restart reviewer"), "{}", listed.stdout);

    world.well(&["drift", "--fix", "--yes"])?;
    let other = PrivateTmux::named(&world.home, "other")?;
    Driven { tmux: &other, kind: Kind::Claude, session: "orchestrator" }.is_ready()?;
    for one in [("reviewer", Kind::Claude), ("coder0", Kind::Codex), ("late", Kind::Pi)] {
        fleet.driven(one).is_ready()?;
    }
    // Which model it uses is known once it has used it.
    let enhancer = fleet.driven(("enhancer", Kind::Claude));
    enhancer.is_ready()?;
    fleet.goes_on(enhancer, "first", "after-the-mending")?;
    // Whose it is, only a person knows.
    fleet.drifts(&["stranger unmanaged"])?;
    assert_eq!(world.property("mosaic-agent@coder0.service", "UnitFileState")?, "enabled");
    Ok(())
}
