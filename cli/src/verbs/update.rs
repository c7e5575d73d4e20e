//! `fleet update`: what the framework owns brought to this program's version, and nothing of the user's touched.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use fleet_adapters::systemd::Systemd;
use fleet_adapters::tmux::Server;
use fleet_domain::diff;
use fleet_domain::readiness::State;
use fleet_domain::roster::Agent;
use fleet_domain::time::humanize;
use fleet_framework::agents::changing;
use fleet_framework::home::shown;
use fleet_framework::units::{self, HOLDER, PlannedFile, Status};
use fleet_framework::{Home, seed};
use tokio::time::{Instant, sleep};

use super::install::programs;
use super::launch::VERSION_VARIABLE;
use super::wait::time;
use crate::app::Global;
use crate::error::{Code, Failure, Outcome};
use crate::lifecycle::keeper::{Act, Keeper};
use crate::lifecycle::{Site, files_failed, home};
use crate::{output, source};

const EXAMPLES: &str = "\
Examples:
  fleet update --check      what would change, and which agents run an older version; exit 3 where something would
  fleet update              framework files, units, environments; agents go on as they are
  fleet update --relaunch   and each agent of an older version started anew, one after the other, at the end of its turn
  fleet update --runtimes   and the runtimes themselves, by their own updaters";

/// Bring what the framework owns to this program's version; your own files stay as they are
#[derive(Debug, clap::Args)]
#[command(before_help = EXAMPLES)]
pub struct Args {
    /// Only say what would change
    #[arg(long, visible_alias = "dry-run")]
    check: bool,
    /// Leave the framework's files in the home alone
    #[arg(long)]
    no_reseed: bool,
    /// Start agents of an older version anew, each when its turn is over
    #[arg(long, conflicts_with = "check")]
    relaunch: bool,
    /// How long an agent that works is waited for before it is left for another time, such as 10m
    #[arg(long, value_name = "TIME", default_value = "10m", value_parser = time, requires = "relaunch")]
    drain: Duration,
    /// Also update the runtimes of the roster by their own updaters
    #[arg(long, conflicts_with = "check")]
    runtimes: bool,
    /// Where fleet, fleet-collector and fleet-sidecar are; default is where this program is
    #[arg(long, value_name = "DIR")]
    bin: Option<PathBuf>,
}

/// Between two agents that are started anew.
const APART: Duration = Duration::from_secs(2);
const LOOK_AGAIN: Duration = Duration::from_secs(1);

pub async fn run(args: Args, global: &Global) -> Outcome {
    let home = home()?;
    let bin = programs(args.bin.as_deref())?;
    let failed = |error: &(dyn std::error::Error + 'static)| Failure::of(Code::Failure, error);
    let seed = match args.no_reseed {
        true => None,
        false => Some(seed::plan(&home, &bin).map_err(|error| failed(&error))?),
    };
    let units = installed(units::plan(&home, &bin).map_err(|error| failed(&error))?);
    let site = Site::at(home.clone()).ok();
    let environments = environments(site.as_ref())?;
    let mut text = seed.as_ref().map(ToString::to_string).unwrap_or_default();
    for unit in &units {
        let word = if unit.previous.is_some() { "changed " } else { "new     " };
        text.push_str(&format!("{word} {}\n", shown(&unit.path)));
        text.push_str(&unit.previous.as_ref().map(|old| diff::lines(old, &unit.content)).unwrap_or_default());
    }
    text.extend(environments.iter().map(|name| format!("changed  {}\n", shown(&home.agent_env(name)))));
    output::data(&text)?;
    if let Some(seed) = &seed {
        output::note(&seed.verdict());
    }
    let old = match &site {
        Some(site) => older(site).await,
        None => Vec::new(),
    };
    tell_older(&old, args.relaunch);
    if args.check {
        let due = !text.is_empty() || !old.is_empty();
        if !text.is_empty() {
            output::note("nothing was changed; do so: fleet update");
        }
        return if due { Err(Failure::silent(Code::NotSo)) } else { Ok(()) };
    }
    apply(&home, seed.as_ref(), &units, site.as_ref()).await?;
    if let Some(site) = site {
        if args.runtimes {
            update_runtimes(&site).await;
        }
        if args.relaunch {
            let old = old.into_iter().map(|(name, _)| name).collect::<Vec<_>>();
            return relaunch(&Arc::new(site), &old, args.drain, global).await;
        }
    }
    Ok(())
}

/// What would be written of the units, where a fleet is installed; those of a host that is only observed stay two.
fn installed(plan: Vec<PlannedFile>) -> Vec<PlannedFile> {
    let has = |file: &PlannedFile| !matches!(file.status, Status::New);
    let whole = plan.iter().any(|file| file.unit() == HOLDER && has(file));
    plan.into_iter()
        .filter(|file| match file.status {
            Status::Changed => true,
            Status::New => whole,
            Status::Same | Status::Masked => false,
        })
        .collect()
}

/// The agents whose environment file is not what the roster says.
fn environments(site: Option<&Site>) -> Result<Vec<String>, Failure> {
    let Some(site) = site else { return Ok(Vec::new()) };
    let mut names = Vec::new();
    for agent in site.agents() {
        if site.moves_from(agent)?.is_none() && !site.env_differences(agent)?.is_empty() {
            names.push(agent.name.to_string());
        }
    }
    Ok(names)
}

async fn apply(
    home: &Home,
    seed: Option<&seed::Plan>,
    units: &[PlannedFile],
    site: Option<&Site>,
) -> Outcome {
    {
        let _alone = changing(home).map_err(|error| files_failed(&error))?;
        if let Some(seed) = seed {
            let done = seed::apply(seed, home).map_err(|error| files_failed(&error))?;
            if let Some(backup) = done.backup {
                output::note(&format!("what was replaced is kept in {}", shown(&backup)));
            }
        }
        if let Some(site) = site {
            for agent in site.agents().filter(|agent| home.agent_env(agent.name.as_str()).exists()) {
                // One that is to move runs where its file says until it is restarted.
                if site.moves_from(agent)?.is_none() {
                    site.refresh_env(agent)?;
                }
            }
        }
        units::write(units).map_err(|error| files_failed(&error))?;
    }
    if units.is_empty() {
        return Ok(());
    }
    let systemd = match Systemd::connect().await {
        Ok(systemd) => systemd,
        Err(error) => {
            output::note(&format!("warning: {error}: the units are written, and read with the next log-in"));
            return Ok(());
        }
    };
    systemd.daemon_reload().await.map_err(|error| Failure::of(Code::Failure, &error))?;
    // Restarting these loses nothing; holder and agents go on as they are.
    for unit in units
        .iter()
        .map(PlannedFile::unit)
        .filter(|unit| [units::COLLECTOR, units::HOST_SIDECAR].contains(unit))
    {
        if let Err(error) = systemd.restart(unit).await {
            output::note(&format!("warning: {error}"));
        }
    }
    Ok(())
}

/// The agents whose session was started by an older framework, with its version where it is known.
async fn older(site: &Site) -> Vec<(String, Option<u32>)> {
    let mut old = Vec::new();
    for agent in site.agents() {
        let server = Server::new(site.roster.socket_of(agent));
        let name = agent.name.as_str();
        if !server.has_session(name).await.unwrap_or(false) {
            continue;
        }
        let version = server.session_variable(name, VERSION_VARIABLE).await.ok().flatten();
        let version = version.and_then(|version| version.parse().ok());
        if version.is_none_or(|version: u32| version < seed::version()) {
            old.push((agent.name.to_string(), version));
        }
    }
    old
}

fn tell_older(old: &[(String, Option<u32>)], relaunch: bool) {
    if old.is_empty() {
        return;
    }
    let names: Vec<String> = old
        .iter()
        .map(|(name, version)| match version {
            Some(version) => format!("{name} (version {version})"),
            None => name.clone(),
        })
        .collect();
    let next = "\n  they go on as they are; to start them anew: fleet update --relaunch";
    output::note(&format!(
        "started by an older framework than version {}: {}{}",
        seed::version(),
        names.join(", "),
        if relaunch { "" } else { next }
    ));
}

/// One after the other, each when it does not work.
async fn relaunch(site: &Arc<Site>, names: &[String], drain: Duration, global: &Global) -> Outcome {
    let keeper = Keeper::find().await;
    let mut left = Vec::new();
    for (index, agent) in site.agents().filter(|agent| names.contains(&agent.name.to_string())).enumerate() {
        if index > 0 {
            sleep(APART).await;
        }
        if !drained(agent, drain, global).await? {
            output::note(&format!("{:<10}{}: it still works", "left", agent.name));
            left.push(agent.name.to_string());
            continue;
        }
        site.prepare(&[agent]).await?;
        match keeper.act(site, Act::Restart, agent).await {
            Ok(()) => output::note(&format!("{:<10}{}", "restarted", agent.name)),
            Err(error) => {
                output::note(&format!("{:<10}{}: {error}", "failed", agent.name));
                left.push(agent.name.to_string());
            }
        }
    }
    if left.is_empty() {
        return Ok(());
    }
    Err(Failure::new(Code::Failure, format!("not started anew: {}", left.join(", ")))
        .next("later: fleet update --relaunch; at once: fleet restart AGENT"))
}

/// True once the agent does not work; false where it still does when the time is over.
async fn drained(agent: &Agent, limit: Duration, global: &Global) -> Result<bool, Failure> {
    let at = global.address()?;
    let until = Instant::now() + limit;
    let mut told = false;
    loop {
        let snapshot = source::gather(&at).await?;
        let state =
            snapshot.agents.iter().find(|view| view.managed && view.key.session == agent.name.as_str());
        if state.is_none_or(|view| view.state != State::Working) {
            return Ok(true);
        }
        if Instant::now() >= until {
            return Ok(false);
        }
        if !std::mem::replace(&mut told, true) {
            output::note(&format!("{:<10}{}: it works; at most {}", "waits", agent.name, humanize(limit)));
        }
        sleep(LOOK_AGAIN).await;
    }
}

/// Each runtime of the roster that has an updater of its own; one that fails is told and is no reason to stop.
#[expect(clippy::disallowed_methods, reason = "the runtimes' own updaters, on request")]
async fn update_runtimes(site: &Site) {
    const UPDATERS: [(&str, &str); 4] =
        [("claude", "update"), ("codex", "update"), ("pi", "update"), ("opencode", "upgrade")];
    for (runtime, verb) in UPDATERS {
        if !site.agents().any(|agent| agent.runtime.as_str() == runtime) {
            continue;
        }
        output::note(&format!("{runtime} {verb}"));
        match tokio::process::Command::new(runtime).arg(verb).status().await {
            Ok(status) if status.success() => {}
            Ok(status) => output::note(&format!("warning: {runtime} {verb}: {status}")),
            Err(error) => output::note(&format!("warning: {runtime} {verb}: {error}")),
        }
    }
}
