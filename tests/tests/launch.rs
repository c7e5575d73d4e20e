//! `fleet launch` with the real programs: nothing is asked at the start, the agent knows who it is, and after a restart
//! it goes on with the same conversation.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, ensure};
use fleet_testkit::fleet::{Daemon, PATIENCE, fleet, sidecar_with, write_roster};
use fleet_testkit::home::TestHome;
use fleet_testkit::real::{Driven, Kind, RealRuntime, Setup};
use fleet_testkit::stub::ModelStub;
use fleet_testkit::tmux::PrivateTmux;
use fleet_testkit::wait::wait_until;

const SOCKET: &str = "mosaic-fleet";
/// As it stands in the role page of an orchestrator, and in the cheat-sheet.
const ROLE: &str = "Planner, who leads the fleet";
const PEERS: &str = "fleet agent send mate";
const SECRET: &str = "hush-1f3a";

struct World {
    home: TestHome,
    stub: ModelStub,
    tmux: PrivateTmux,
    work: PathBuf,
    kind: Kind,
}

impl World {
    /// An agent whose work directory is new and reached by a link, in a repository, where programs ask whether they may.
    fn new(runtime: &RealRuntime) -> Result<Self> {
        let home = TestHome::new()?;
        let stub = ModelStub::start()?;
        let work = home.work("real")?;
        let link = home.root().join("w/link");
        std::os::unix::fs::symlink(&work, &link)?;
        std::fs::create_dir_all(work.join(".git"))?;
        std::fs::write(work.join(".git/HEAD"), "ref: refs/heads/main\n")?;
        let mut env = runtime.prepare(&home, &work, &stub, &Setup { trusted: false, ..Setup::default() })?;
        env.push(("HUSH".to_owned(), SECRET.to_owned()));
        let lines: String = env.iter().map(|(name, value)| format!("{name}=\"{value}\"\n")).collect();
        let file = home.mosaic_home().join("fleet/agents/lead.env");
        std::fs::create_dir_all(file.parent().context("a directory")?)?;
        std::fs::write(file, lines)?;
        write_roster(
            &home,
            &format!(
                "version: 1\ntmux: {{socket_name: {SOCKET}}}\nagents:\n  - {{name: lead, runtime: {}, class: orchestrator, working_directory: {}}}\n  - {{name: mate, runtime: pi}}\n",
                runtime.kind().name(),
                link.display()
            ),
        )?;
        let tmux = PrivateTmux::named(&home, SOCKET)?;
        Ok(Self { home, stub, tmux, work, kind: runtime.kind() })
    }

    fn launch(&self, more: &[&str]) -> Result<String> {
        let said = fleet(&self.home, &[&["launch", "lead"], more].concat())?;
        ensure!(said.code == 0, "exit {}: {}{}", said.code, said.stdout, said.stderr);
        Ok(said.stdout)
    }

    fn lead(&self) -> Driven<'_> {
        Driven { tmux: &self.tmux, kind: self.kind, session: "lead" }
    }

    fn say(&self, text: &str) -> Result<()> {
        self.lead().say(&self.stub, text)
    }

    fn remembered(&self) -> Result<serde_json::Value> {
        let path = self.home.mosaic_home().join("fleet/run/lead.session");
        Ok(serde_json::from_str(&std::fs::read_to_string(path)?)?)
    }

    fn sidecar(&self) -> Result<Daemon> {
        sidecar_with(&self.home, &["--host"], &[("MOSAIC_HEARTBEAT_INTERVAL", "1")])
    }

    /// What the kernel shows everybody of the agent's process.
    fn arguments(&self) -> Result<String> {
        let pid = self.tmux.pane("lead")?.pid;
        Ok(String::from_utf8_lossy(&std::fs::read(format!("/proc/{pid}/cmdline"))?).replace('\0', " "))
    }
}

fn an_agent_knows_itself_and_goes_on(kind: Kind) -> Result<()> {
    let Some(runtime) = RealRuntime::require_or_skip(kind) else { return Ok(()) };
    let world = World::new(&runtime)?;
    let _sidecar = world.sidecar()?;
    world.launch(&[])?;
    world.lead().is_ready()?;
    ensure!(!world.arguments()?.contains(SECRET), "{}", world.arguments()?);
    let shared = world.tmux.run(["show-environment", "-t", "=lead"])?;
    ensure!(!shared.contains(SECRET) && shared.contains("MOSAIC_AGENT_NAME=lead"), "{shared}");

    world.say("first-words-4711")?;
    let asked = world.stub.asked_with(&["first-words-4711", ROLE, PEERS]);
    ensure!(asked > 0, "the model was not told who the agent is");
    let id = wait_until(PATIENCE * 2, "the conversation's name", || {
        let session = world.remembered()?;
        let transcript = session["transcript"].as_str().is_some_and(|path| Path::new(path).is_file());
        ensure!(transcript, "{session}");
        Ok::<_, anyhow::Error>(session["id"].as_str().unwrap_or_default().to_owned())
    })?;
    ensure!(world.remembered()?["directory"] == world.work.display().to_string(), "{}", world.remembered()?);

    world.launch(&["--stop"])?;
    let shown = world.launch(&["--dry-run"])?;
    ensure!(shown.contains(&id), "{shown}");
    world.launch(&[])?;
    world.lead().is_ready()?;
    world.say("second-words-4712")?;
    let asked = world.stub.asked_with(&["first-words-4711", "second-words-4712", ROLE]);
    ensure!(asked > 0, "the conversation did not go on");

    world.launch(&["--stop"])?;
    world.launch(&["--fresh"])?;
    world.lead().is_ready()?;
    world.say("third-words-4713")?;
    ensure!(world.stub.asked_with(&["first-words-4711", "third-words-4713"]) == 0, "it was to be a new one");
    Ok(())
}

#[test]
fn claude_starts_without_a_question_and_goes_on() -> Result<()> {
    an_agent_knows_itself_and_goes_on(Kind::Claude)
}

#[test]
fn codex_starts_without_a_question_and_goes_on() -> Result<()> {
    an_agent_knows_itself_and_goes_on(Kind::Codex)
}

#[test]
fn opencode_starts_without_a_question_and_goes_on() -> Result<()> {
    an_agent_knows_itself_and_goes_on(Kind::Opencode)
}

#[test]
fn pi_starts_without_a_question_and_goes_on() -> Result<()> {
    an_agent_knows_itself_and_goes_on(Kind::Pi)
}

/// The conversation that the agent is in, and not the one that it was launched with.
#[test]
fn claude_goes_on_with_what_it_cleared_to() -> Result<()> {
    let Some(runtime) = RealRuntime::require_or_skip(Kind::Claude) else { return Ok(()) };
    let world = World::new(&runtime)?;
    let _sidecar = world.sidecar()?;
    world.launch(&[])?;
    world.lead().is_ready()?;
    world.say("first-words-4711")?;
    let id = |world: &World| Ok::<_, anyhow::Error>(world.remembered()?["id"].clone());
    let first = wait_until(PATIENCE, "the conversation's name", || id(&world))?;
    world.tmux.type_text("lead", "/clear")?;
    world.lead().wait_for("the command", |screen| screen.contains("/clear"))?;
    world.tmux.send_keys("lead", &["Enter"])?;
    wait_until(PATIENCE, "an empty conversation", || {
        let now = id(&world)?;
        ensure!(now != first, "{now}\n{}", world.lead().screen());
        Ok(())
    })?;
    world.say("second-words-4712")?;
    world.launch(&["--stop"])?;
    world.launch(&[])?;
    world.lead().is_ready()?;
    world.say("third-words-4713")?;
    ensure!(world.stub.asked_with(&["second-words-4712", "third-words-4713", ROLE]) > 0, "it did not go on");
    ensure!(
        world.stub.asked_with(&["first-words-4711", "third-words-4713"]) == 0,
        "it went on with the first"
    );
    Ok(())
}

/// Trust of a work tree is asked for by its repository.
#[test]
fn claude_asks_nothing_in_a_second_work_tree() -> Result<()> {
    let Some(runtime) = RealRuntime::require_or_skip(Kind::Claude) else { return Ok(()) };
    let world = World::new(&runtime)?;
    let tree = world.home.root().join("w/tree");
    let git = world.work.join(".git");
    let beside = git.join("worktrees/tree");
    std::fs::create_dir_all(&beside)?;
    std::fs::create_dir_all(&tree)?;
    for dir in ["objects", "refs"] {
        std::fs::create_dir_all(git.join(dir))?;
    }
    std::fs::write(git.join("config"), "[core]\n\trepositoryformatversion = 0\n\tbare = false\n")?;
    std::fs::write(beside.join("HEAD"), "ref: refs/heads/tree\n")?;
    std::fs::write(beside.join("commondir"), "../..\n")?;
    std::fs::write(beside.join("gitdir"), format!("{}\n", tree.join(".git").display()))?;
    std::fs::write(tree.join(".git"), format!("gitdir: {}\n", beside.display()))?;
    write_roster(
        &world.home,
        &format!(
            "version: 1\ntmux: {{socket_name: {SOCKET}}}\nagents:\n  - {{name: lead, runtime: claude, working_directory: {}}}\n",
            tree.display()
        ),
    )?;
    world.launch(&[])?;
    world.lead().is_ready()
}
