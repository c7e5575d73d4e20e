//! `fleet holder`: the session that owns the fleet's tmux server. Called by `mosaic-tmux-holder.service`.

use std::path::Path;
use std::time::Duration;

use fleet_adapters::roster_file;
use fleet_adapters::tmux::{Life, Server, TmuxError};
use fleet_domain::roster::Roster;
use fleet_domain::{secrets, text};
use fleet_framework::Home;
use fleet_framework::home::shown;

use crate::error::{Code, Failure, Outcome};
use crate::output;

const EXAMPLES: &str = "\
Examples:
  fleet holder start   start the fleet's tmux server with its holder session
  fleet holder stop    end the fleet's own server, with every session; on the default server the holder only";

/// How long a server may take to be gone after it was told to.
const GONE_LIMIT: Duration = Duration::from_secs(5);
const LOOK_AGAIN: Duration = Duration::from_millis(20);
/// A session that a tmux.conf forbids is gone by then.
const SETTLE: Duration = Duration::from_millis(250);

/// Start or stop the session that owns the fleet's tmux server
#[derive(Debug, clap::Args)]
#[command(before_help = EXAMPLES)]
pub struct Args {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Clone, Copy, clap::Subcommand)]
enum Action {
    /// Start the holder session, and the server if none runs; one that runs already is a success
    Start,
    /// End the server that the roster names; on the default server only the holder session
    Stop,
}

pub async fn run(args: Args) -> Outcome {
    let home = Home::from_env().map_err(|error| Failure::of(Code::Failure, &error))?;
    let roster = read_roster(&home)?.ok_or_else(|| no_roster(&home))?;
    let server = Server::new(roster.tmux.socket_name.clone());
    let holder = roster.tmux.holder_session.as_str();
    match args.action {
        Action::Start => start(&server, holder).await,
        Action::Stop => stop(&server, holder).await,
    }
}

/// `None` where there is none; every mistake of a bad one with its line.
pub(crate) fn read_roster(home: &Home) -> Result<Option<Roster>, Failure> {
    roster_file::read(&home.roster()).map_err(|error| {
        Failure::new(Code::Failure, error.to_string())
            .next("put it right; whether it is: fleet roster --check")
    })
}

pub(crate) fn no_roster(home: &Home) -> Failure {
    let path = shown(&home.roster());
    Failure::new(Code::Failure, format!("there is no roster: {path} does not exist")).next(format!(
        "fleet init writes one, by questions; fleet init --preset coding --yes does so without.\n  \
         Or write {path} yourself, such as:\n\n    version: 1\n    tmux: {{socket_name: mosaic-fleet}}\n    agents:\n      \
         - {{name: lead, runtime: claude, class: orchestrator}}\n"
    ))
}

async fn start(server: &Server, holder: &str) -> Outcome {
    let socket = server.socket().shown();
    if server.has_session(holder).await.map_err(failed)? {
        output::note(&format!("{holder} runs already on socket {socket}"));
        return Ok(());
    }
    // It reads nothing, draws nothing and never wakes.
    let idle = ["sleep", "infinity"].map(str::to_owned);
    let started = server.new_session(holder, Some(Path::new("/")), &[], &idle).await;
    settle(server, holder, started).await?;
    output::note(&format!("{holder} runs on socket {socket}"));
    Ok(())
}

async fn stop(server: &Server, holder: &str) -> Outcome {
    let socket = server.socket().shown();
    if server.socket().is_default() {
        server.kill_session(holder).await.map_err(failed)?;
        output::note(&format!("{holder} ended; the default server and its other sessions go on"));
        return Ok(());
    }
    server.kill_server().await.map_err(failed)?;
    // Whoever starts the next one must not meet this one on its way out.
    let gone = async {
        while !matches!(server.panes().await, Err(TmuxError::NoServer { .. } | TmuxError::NotInstalled)) {
            tokio::time::sleep(LOOK_AGAIN).await;
        }
    };
    if tokio::time::timeout(GONE_LIMIT, gone).await.is_err() {
        let message = format!(
            "the tmux server on socket {socket} was told to end {}s ago and still runs",
            GONE_LIMIT.as_secs()
        );
        return Err(Failure::new(Code::Failure, message)
            .next(format!("look at it: {}", command_line(server, "list-sessions"))));
    }
    output::note(&format!("the server on socket {socket} ended"));
    Ok(())
}

/// Whether a session that was just started stays; one that somebody else started meanwhile is as good.
pub(super) async fn settle(server: &Server, session: &str, started: Result<(), TmuxError>) -> Outcome {
    if let Err(error) = started
        && !server.has_session(session).await.map_err(failed)?
    {
        return Err(failed(error));
    }
    tokio::time::sleep(SETTLE).await;
    let how = match server.life(session).await.map_err(failed)? {
        Some(Life::Runs) => return Ok(()),
        Some(ended) => {
            let how = format!(": {ended}{}", last_words(server, session).await);
            server.kill_session(session).await.map_err(failed)?;
            how
        }
        None => String::new(),
    };
    let message = format!("the session {session} ended as soon as it had started{how}");
    Err(Failure::new(Code::Failure, message).next(if how.is_empty() {
        "its command ended at once, or a tmux.conf sets exit-unattached or destroy-unattached; run the command by hand to see".to_owned()
    } else {
        format!("what it runs, to try by hand: fleet launch {session} --dry-run")
    }))
}

/// The last line on the screen of a session whose pane was kept.
async fn last_words(server: &Server, session: &str) -> String {
    let screen = server.last_lines(session).await.unwrap_or_default();
    let said = |line: &&str| !line.trim().is_empty() && !line.starts_with("Pane is dead");
    screen.lines().rev().find(said).map_or_else(String::new, |line| {
        format!("; its last line was: {}", text::clean(&secrets::mask(line), 160))
    })
}

pub(super) fn failed(error: TmuxError) -> Failure {
    Failure::of(Code::Failure, &error)
}

fn command_line(server: &Server, command: &str) -> String {
    let mut words = vec!["tmux".to_owned()];
    words.extend(server.address().iter().map(|word| word.to_string_lossy().into_owned()));
    words.push(command.to_owned());
    words.join(" ")
}
