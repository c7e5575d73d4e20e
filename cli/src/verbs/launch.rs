//! `fleet launch`: the one launcher, for every agent. Called by `mosaic-agent@<name>.service`.
//!
//! [`plan`] decides, from the roster and the environment, what would run where; this file does it.

mod environment;
mod exec;
mod flags;
mod gather;
mod place;
mod plan;
mod runtime;

use std::cell::Cell;
use std::path::{Path, PathBuf};

use fleet_adapters::identity;
use fleet_adapters::runtimes::claude::trust;
use fleet_adapters::session_file;
use fleet_adapters::tmux::{Life, Server, TmuxError};
use fleet_domain::AgentName;
use fleet_framework::home::shown;
use fleet_framework::{Home, files, seed};
use tokio::signal::unix::{SignalKind, signal};

use self::exec::Start;
use self::gather::Gathered;
use self::plan::{Launch, Place, Sources as _};
use super::holder::{failed, read_roster, settle};
use crate::error::{Code, Failure, Outcome};
use crate::{complete, output};

const EXAMPLES: &str = "\
Examples:
  fleet launch coder0             start the agent's session, as its unit does
  fleet launch coder0 --dry-run   only show what would run where
  fleet launch coder0 --print-prompt   what the agent is told of itself
  fleet launch coder0 --fresh     begin a new conversation instead of going on with the last
  fleet launch coder0 --stop      end its session and nothing else";

const AFTER: &str = "\
Environment (overrides the roster; an empty value is as good as none):
  MOSAIC_AGENT_RUNTIME, MOSAIC_AGENT_MODEL, MOSAIC_AGENT_WORKDIR, MOSAIC_AGENT_YOLO, MOSAIC_AGENT_COMMAND
  MOSAIC_TMUX_SOCKET   for an agent that is in no roster
  CLAUDE_CODE_DISABLE_1M_CONTEXT, CLAUDE_CODE_AUTO_COMPACT_WINDOW
                       what claude gets instead of 1 and 200000; set empty, it gets none
  MOSAIC_PI_SKILL_MODE   pi's skills: none (default), all, discover
  MOSAIC_PI_FORCE_SKILLS names that pi gets in any case, with colons between; default mosaic-tools
All of fleet/agents/AGENT.env reaches the agent; its values are read in the pane and stand nowhere else.

Exit codes of this verb: 64 a name is missing or unknown, 69 there is no tmux";

/// Tells of a session by which framework it was started.
pub(crate) const VERSION_VARIABLE: &str = "MOSAIC_FRAMEWORK_VERSION";

/// Start an agent's session on the fleet's tmux server; one that runs already is a success
#[derive(Debug, clap::Args)]
#[command(before_help = EXAMPLES, after_help = AFTER)]
pub struct Args {
    /// The agent's name; default is $MOSAIC_AGENT_NAME
    #[arg(add = complete::agents())]
    agent: Option<String>,
    /// End the agent's session instead
    #[arg(long)]
    stop: bool,
    /// Show what would be done
    #[arg(long)]
    dry_run: bool,
    /// Show what the agent is told of itself: role, person, human, tools, peers
    #[arg(long, conflicts_with_all = ["stop", "dry_run"])]
    print_prompt: bool,
    /// Begin a new conversation; without it the agent goes on where it was, if its runtime can
    #[arg(long)]
    fresh: bool,
    /// In the pane: become what this file says
    #[arg(long, hide = true, value_name = "FILE")]
    exec: Option<PathBuf>,
}

/// Handles SIGTERM itself: a start that is broken off leaves no session behind.
pub async fn run(args: Args) -> Outcome {
    if let Some(path) = args.exec {
        return Err(exec::become_it(&path));
    }
    let home = Home::from_env().map_err(|error| Failure::of(Code::Failure, &error))?;
    let variable = |name: &str| std::env::var(name).ok();
    let Some(name) = args.agent.or_else(|| variable("MOSAIC_AGENT_NAME")).filter(|name| !name.is_empty())
    else {
        return Err(Failure::new(Code::LaunchUsage, "no agent is named").next("fleet launch AGENT"));
    };
    let name = AgentName::parse(&name).map_err(|error| Failure::of(Code::LaunchUsage, &error))?;
    let roster = read_roster(&home).map_err(|error| error.to_string());
    let gathered = Gathered::of(&home, &name, args.fresh)?;
    let place = Place {
        roster: &roster,
        roster_path: &shown(&home.roster()),
        host: identity::host(),
        root: nix::unistd::geteuid().is_root(),
        sources: &gathered,
    };
    if args.stop {
        let server = Server::new(place.socket_to_stop(&name, &variable)?);
        return stop(&server, &name, args.dry_run).await;
    }
    if args.print_prompt {
        let prompt = place.prompt(&name, &variable)?;
        warn(&prompt.warnings);
        return output::data(&prompt.text);
    }
    let mut launch = place.launch(&name, &variable)?;
    launch.environment.push((VERSION_VARIABLE.to_owned(), seed::version().to_string()));
    let sidecar = gathered.bin().map(|bin| bin.join("fleet-sidecar")).filter(|sidecar| sidecar.is_file());
    let secret = flags::add(&mut launch, &home, sidecar.as_deref(), gathered.new_id());
    warn(&launch.warnings);
    if args.dry_run {
        return output::data(&launch.to_string());
    }
    launch.environment.extend(secret);
    start(&launch, &home).await
}

fn warn(warnings: &[String]) {
    for warning in warnings {
        output::note(&format!("warning: {warning}"));
    }
}

async fn start(launch: &Launch, home: &Home) -> Outcome {
    let server = Server::new(launch.socket.clone());
    let begun = Cell::new(false);
    let mut terminate =
        signal(SignalKind::terminate()).map_err(|error| Failure::of(Code::Failure, &error))?;
    tokio::select! {
        outcome = bring_up(launch, home, &server, &begun) => outcome,
        _ = terminate.recv() => {
            // systemd does not run a unit's stop command for a start that it breaks off.
            if begun.get() {
                server.kill_session(launch.name.as_str()).await.map_err(no_tmux)?;
            }
            Err(Failure::silent(Code::Interrupted))
        }
    }
}

/// `begun` tells that the session, should there be one, is ours.
async fn bring_up(launch: &Launch, home: &Home, server: &Server, begun: &Cell<bool>) -> Outcome {
    let (name, socket) = (launch.name.as_str(), launch.socket.shown());
    match server.life(name).await.map_err(no_tmux)? {
        Some(Life::Runs) => {
            output::note(&format!("{name} runs already on socket {socket}"));
            return Ok(());
        }
        // Its pane was kept to be read; what ended before does not run.
        Some(Life::Ended { .. }) => server.kill_session(name).await.map_err(no_tmux)?,
        None => {}
    }
    let directory = shown(&launch.directory);
    std::fs::create_dir_all(&launch.directory).map_err(|error| {
        let message = format!("{name}: the work directory {directory} cannot be made: {error}");
        Failure::new(Code::Failure, message).next("set working_directory in the roster")
    })?;
    if let Some(program) = &launch.program
        && !found(program, launch.path())
    {
        let message = format!("{name}: there is no program {program} in {}", launch.path());
        return Err(Failure::new(Code::Failure, message)
            .next(format!("install {program}, or set the agent's `command` in the roster to where it is")));
    }
    let start = prepare(launch, home)?;
    begun.set(true);
    let started = server.new_kept_session(name, &launch.directory, &shared(launch), &start).await;
    if matches!(started, Err(TmuxError::NotInstalled)) {
        return started.map_err(no_tmux);
    }
    settle(server, name, started).await?;
    output::note(&format!("{name} runs on socket {socket} in {directory}"));
    Ok(())
}

async fn stop(server: &Server, name: &AgentName, dry_run: bool) -> Outcome {
    let socket = server.socket().shown();
    if dry_run {
        return output::data(&format!("would end the session ={name} on socket {socket}\n"));
    }
    server.kill_session(name.as_str()).await.map_err(no_tmux)?;
    output::note(&format!("{name} does not run on socket {socket} any more"));
    Ok(())
}

fn no_tmux(error: TmuxError) -> Failure {
    match error {
        TmuxError::NotInstalled => Failure::of(Code::LaunchUnavailable, &error),
        error => failed(error),
    }
}

/// Writes what the runtime will read, and says how the pane becomes it.
fn prepare(launch: &Launch, home: &Home) -> Result<Vec<String>, Failure> {
    let name = launch.name.as_str();
    seed::finish(home).map_err(|error| Failure::of(Code::Failure, &error))?;
    if let Some(file) = &launch.trust
        && let Err(error) = trust::trust(file, &launch.directory)
    {
        output::note(&format!("warning: {name} may be asked whether it trusts its folder: {error}"));
    }
    let failed = |what: &str, error: &dyn std::fmt::Display| {
        Failure::new(Code::Failure, format!("{name}: {what} cannot be written: {error}"))
            .next("the directory must be writable, with room on its disk: fleet doctor")
    };
    if let Some(wiring) = &launch.wiring {
        wiring.write().map_err(|error| failed("the file of its hooks", &error))?;
    }
    if let Some((path, text)) = &launch.prompt {
        files::put(path, text.as_bytes(), 0o600).map_err(|error| failed("its prompt", &error))?;
    }
    if let Some(session) = &launch.session {
        let write = files::make_dir(&home.heartbeats())
            .and_then(|()| session_file::write(&home.session(name), session));
        if let Err(error) = write {
            output::note(&format!("warning: {name}: its conversation will not be found again: {error}"));
        }
    }
    let start = Start {
        directory: launch.directory.clone(),
        unset: launch.unset.clone(),
        environment_file: Some(launch.environment_file.0.clone()),
        set: launch.environment.clone(),
        argv: launch.command.clone(),
    };
    let path = home.heartbeats().join(format!("{name}.launch"));
    let text = serde_json::to_vec(&start).map_err(|error| failed("its start", &error))?;
    files::put(&path, &text, 0o600).map_err(|error| failed("its start", &error))?;
    let program = std::env::current_exe().map_err(|error| failed("its start", &error))?;
    let words = [program.as_path(), Path::new("launch"), Path::new("--exec"), &path];
    Ok(words.map(|word| word.to_string_lossy().into_owned()).into())
}

/// What further windows of the session get too.
fn shared(launch: &Launch) -> Vec<(String, String)> {
    let shared = |name: &str| name == "PATH" || name.starts_with("MOSAIC_");
    launch.environment.iter().filter(|(name, _)| shared(name)).cloned().collect()
}

/// True where a launch by this user would find the runtime.
pub(super) fn has_runtime(runtime: &str) -> bool {
    let path = environment::search_path(&|name| std::env::var(name).ok(), None, Some(runtime), Path::exists);
    found(runtime, &path)
}

fn found(program: &str, path: &str) -> bool {
    let runs =
        |file: &Path| nix::unistd::access(file, nix::unistd::AccessFlags::X_OK).is_ok() && file.is_file();
    std::env::split_paths(path).any(|dir| runs(&dir.join(program)))
}
