//! `fleet verify`: the promises of the installation, tried on canaries that it makes itself and takes away again.

use std::collections::BTreeMap;

use fleet_adapters::procfs;
use fleet_adapters::systemd::SystemdError;
use fleet_adapters::tmux::{Life, Server};
use fleet_domain::SocketName;
use fleet_framework::agents::{forget, write_env};
use fleet_framework::units::{HOLDER, agent_unit};

use super::doctor::{Check, text};
use crate::error::{Code, Failure, Outcome};
use crate::lifecycle::Site;
use crate::lifecycle::keeper::{Keeper, launcher};
use crate::output::{self, Screen};
use crate::render::item::List;

const EXAMPLES: &str = "\
Examples:
  fleet verify          try the fleet's promises on a canary; your agents are not touched
  fleet verify --json   the same for a script; the exit code is 1 when one is broken";

/// Try the promises of the installation: who owns the server, exact targets, a restart that touches nothing else
#[derive(Debug, clap::Args)]
#[command(before_help = EXAMPLES)]
pub struct Args {
    /// One JSON object
    #[arg(long)]
    pub json: bool,
}

/// Sessions by name with the process of their first pane.
type Panes = BTreeMap<String, u32>;

pub async fn run(args: &Args) -> Outcome {
    let site = Site::load()?;
    let keeper = Keeper::find().await;
    let server = Server::new(site.roster.tmux.socket_name.clone());
    let default = Server::new(SocketName::default_server());
    let before = panes(&default).await;
    let mut checks = vec![holder(&site, &keeper, &server).await];
    if server.socket().is_default() {
        checks.push(Check::info(
            "canary",
            "not tried: on the default tmux server only the roster's agents run",
        ));
    } else {
        checks.extend(canaries(&site, &keeper, &server).await);
        let after = panes(&default).await;
        checks.push(if before == after {
            Check::ok("default server", format!("its {} are as before", sessions(&before)))
        } else {
            Check::fail("default server", "its sessions are not what they were")
                .remedy("somebody else may have changed them meanwhile; try again")
        });
    }
    let broken = checks.iter().any(Check::failed);
    if args.json {
        output::json(&List::new("VerifyReport", &checks), true)?;
    } else {
        output::data(&text(&checks, Screen::detect().colour))?;
    }
    if broken { Err(Failure::silent(Code::Failure)) } else { Ok(()) }
}

fn sessions(panes: &Panes) -> String {
    crate::render::words::plural(panes.len(), "session")
}

async fn panes(server: &Server) -> Panes {
    let (rows, _) = server.panes().await.unwrap_or_default();
    rows.into_iter().map(|row| (row.session, row.pid)).collect()
}

/// The server's process stands in the holder's unit, so that no agent's stop can take it down.
async fn holder(site: &Site, keeper: &Keeper, server: &Server) -> Check {
    let session = &site.roster.tmux.holder_session;
    let lives = matches!(server.life(session).await, Ok(Some(Life::Runs)));
    let pid = server.pid().await.ok();
    let (true, Some(pid)) = (lives, pid) else {
        return Check::fail(
            "holder",
            format!("{session} does not run on socket {}", server.socket().shown()),
        )
        .remedy("fleet up");
    };
    let Keeper::Systemd(_) = keeper else {
        return Check::ok(
            "holder",
            format!("{session} runs, server PID {pid}; without systemd nobody owns it"),
        );
    };
    match procfs::cgroup(pid) {
        Some(group) if group.contains(HOLDER) => {
            Check::ok("holder", format!("{session} owns the server, PID {pid}"))
        }
        Some(group) => {
            Check::warn("holder", format!("the server, PID {pid}, runs in {group}, not in {HOLDER}"))
                .remedy(format!("it goes on; after the next fleet down and fleet up it is {HOLDER}'s"))
        }
        None => Check::warn("holder", format!("the control group of the server, PID {pid}, cannot be read")),
    }
}

/// Two canaries of which one's name begins with the other's: started, one restarted and stopped, both taken away.
async fn canaries(site: &Site, keeper: &Keeper, server: &Server) -> Vec<Check> {
    let name = format!("verify-{}", std::process::id());
    let names = [name.clone(), format!("{name}0")];
    let checks = tried(site, keeper, server, &names).await;
    for name in &names {
        // What was never started is not there to be stopped.
        let _ = stop(site, keeper, name).await;
        let _ = server.kill_session(name).await;
        if let Err(error) = forget(&site.home, name) {
            output::note(&format!("warning: {error}"));
        }
    }
    match checks {
        Ok(checks) => checks,
        Err(error) => vec![Check::fail("canary", error).remedy("fleet doctor looks for the cause")],
    }
}

async fn tried(
    site: &Site,
    keeper: &Keeper,
    server: &Server,
    names: &[String; 2],
) -> Result<Vec<Check>, String> {
    let [one, other] = names;
    let (mine, pid) = (panes(server).await, server.pid().await.ok());
    for name in names {
        let env = format!(
            "MOSAIC_AGENT_NAME={name}\nMOSAIC_AGENT_RUNTIME=canary\nMOSAIC_AGENT_COMMAND=\"sleep infinity\"\nMOSAIC_TMUX_SOCKET={}\n",
            server.socket().as_str()
        );
        write_env(&site.home, name, &env).map_err(|error| error.to_string())?;
        start(site, keeper, name).await?;
    }
    let first = panes(server).await;
    restart(site, keeper, one).await?;
    let second = panes(server).await;
    let anew = first.get(one) != second.get(one) && second.contains_key(one);
    let same = |seen: &Panes| mine.iter().all(|(name, pid)| seen.get(name) == Some(pid));
    let untouched = same(&second) && first.get(other) == second.get(other);
    let mut checks = vec![match (anew, untouched, server.pid().await.ok() == pid) {
        (true, true, true) => Check::ok(
            "restart",
            format!("a canary was restarted; the server and {} are who they were", sessions(&mine)),
        ),
        (false, ..) => Check::fail("restart", "a canary was restarted and is not another process"),
        (_, _, false) => Check::fail("restart", "the restart of one agent restarted the tmux server")
            .remedy("fleet update puts the shipped units in place"),
        (_, false, _) => Check::fail("restart", "the restart of one agent touched another one")
            .remedy("fleet update puts the shipped units in place"),
    }];
    stop(site, keeper, one).await?;
    let third = panes(server).await;
    let exact = !third.contains_key(one) && third.get(other) == second.get(other) && same(&third);
    checks.push(if exact {
        Check::ok("exact targets", format!("stopping {one} left {other} alone"))
    } else {
        Check::fail("exact targets", format!("stopping {one} did not end just that session"))
    });
    Ok(checks)
}

async fn start(site: &Site, keeper: &Keeper, name: &str) -> Result<(), String> {
    match keeper {
        Keeper::Systemd(systemd) => said(systemd.start(&agent_unit(name)).await),
        Keeper::Direct => launcher(site, name, &["launch", name]).await,
    }
}

async fn restart(site: &Site, keeper: &Keeper, name: &str) -> Result<(), String> {
    match keeper {
        Keeper::Systemd(systemd) => said(systemd.restart(&agent_unit(name)).await),
        Keeper::Direct => {
            launcher(site, name, &["launch", "--stop", name]).await?;
            launcher(site, name, &["launch", name]).await
        }
    }
}

async fn stop(site: &Site, keeper: &Keeper, name: &str) -> Result<(), String> {
    match keeper {
        Keeper::Systemd(systemd) => said(systemd.stop(&agent_unit(name)).await),
        Keeper::Direct => launcher(site, name, &["launch", "--stop", name]).await,
    }
}

fn said(done: Result<(), SystemdError>) -> Result<(), String> {
    done.map_err(|error| error.to_string())
}
