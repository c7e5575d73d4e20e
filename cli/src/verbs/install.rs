//! `fleet install`: the framework's files, each agent's environment, and the systemd user units, written, enabled and
//! started.
//!
//! `steps` has what systemd is asked for; this file decides what is wanted and shows it first.

mod steps;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use fleet_adapters::identity;
use fleet_adapters::systemd::{Systemd, SystemdError};
use fleet_domain::roster::Roster;
use fleet_domain::{HostId, diff};
use fleet_framework::Home;
use fleet_framework::agents::changing;
use fleet_framework::home::shown;
use fleet_framework::seed;
use fleet_framework::units::{self, PlannedFile, Status};

use self::steps::Wanted;
use super::holder::{no_roster, read_roster};
use crate::error::{Code, Failure, Outcome};
use crate::lifecycle::{Site, files_failed};
use crate::output;

const EXAMPLES: &str = "\
Examples:
  fleet install --dry-run     show what would be written, enabled and started
  fleet install               the roster's fleet: framework files, holder, collector, sidecar, every agent
  fleet install --units       the same without the framework's files
  fleet install --host-only   only observe this host: collector and host-wide sidecar, no roster needed";

/// Install the fleet for good: files, systemd user units, boot; running it again changes only what differs
#[derive(Debug, clap::Args)]
#[command(before_help = EXAMPLES)]
pub struct Args {
    /// Only the units: leave the framework's files in the home alone
    #[arg(long)]
    units: bool,
    /// Show what would be done
    #[arg(long)]
    dry_run: bool,
    /// Enable the agents without starting them: they come at the next boot
    #[arg(long)]
    no_start: bool,
    /// Only the collector and the host-wide sidecar
    #[arg(long)]
    host_only: bool,
    /// Where fleet, fleet-collector and fleet-sidecar are; default is where this program is
    #[arg(long, value_name = "DIR")]
    bin: Option<PathBuf>,
}

/// As `fleet install` without a word more.
pub async fn whole(dry_run: bool) -> Outcome {
    run(Args { units: false, dry_run, no_start: false, host_only: false, bin: None }).await
}

pub async fn run(args: Args) -> Outcome {
    let home = Home::from_env().map_err(|error| Failure::of(Code::Failure, &error))?;
    let bin = programs(args.bin.as_deref())?;
    let roster = if args.host_only { None } else { Some(roster(&home)?) };
    let mut plan = units::plan(&home, &bin).map_err(|error| Failure::of(Code::Failure, &error))?;
    if args.host_only {
        plan.retain(|file| [units::COLLECTOR, units::HOST_SIDECAR].contains(&file.unit()));
    }
    let seed = match args.units || args.host_only {
        true => None,
        false => Some(seed::plan(&home, &bin).map_err(|error| Failure::of(Code::Failure, &error))?),
    };
    let wanted = wanted(&plan, roster.as_ref(), &identity::host(), !args.no_start);
    let site = roster.map(|roster| Site { home: home.clone(), roster, here: identity::host() });
    let files = seed.as_ref().map(ToString::to_string).unwrap_or_default();
    output::data(&(files + &environments(site.as_ref())? + &summary(&plan, &wanted)))?;
    if args.dry_run {
        return Ok(());
    }
    // Nothing is written where nobody would read it.
    let systemd = Systemd::connect().await.map_err(no_manager)?;
    let alone = changing(&home).map_err(|error| files_failed(&error))?;
    if let Some(seed) = &seed {
        output::note(&seed.verdict());
        seed::apply(seed, &home).map_err(|error| files_failed(&error))?;
    }
    units::write(&plan)
        .and_then(|()| units::prepare(&home))
        .map_err(|error| Failure::of(Code::Failure, &error))?;
    drop(alone);
    let site = site.map(Arc::new);
    if let Some(site) = &site {
        site.prepare(&site.agents().collect::<Vec<_>>()).await?;
    }
    steps::carry_out(&systemd, &wanted, site).await
}

pub(crate) fn programs(told: Option<&Path>) -> Result<PathBuf, Failure> {
    let own = || std::env::current_exe().ok().and_then(|exe| Some(exe.parent()?.to_owned()));
    let dir = match told {
        Some(dir) => std::path::absolute(dir).ok(),
        None => own(),
    };
    let dir = dir.ok_or_else(|| {
        Failure::new(Code::Failure, "it is not known where the programs are")
            .next("name the directory: --bin DIR")
    })?;
    let missing: Vec<&str> =
        units::PROGRAMS.into_iter().filter(|program| !dir.join(program).is_file()).collect();
    if missing.is_empty() {
        return Ok(dir);
    }
    let message = format!("{} has no {}", shown(&dir), missing.join(", "));
    Err(Failure::new(Code::Failure, message)
        .next("put all programs of the fleet into one directory, or name another: --bin DIR"))
}

fn roster(home: &Home) -> Result<Roster, Failure> {
    read_roster(home)?.ok_or_else(|| {
        let Failure { code, message, next } = no_roster(home);
        let alone = "or, to observe this host without one: fleet install --host-only";
        Failure::new(code, message).next(format!("{}\n  {alone}", next.unwrap_or_default()))
    })
}

fn wanted(plan: &[PlannedFile], roster: Option<&Roster>, here: &HostId, start: bool) -> Wanted {
    let masked: BTreeSet<&str> =
        plan.iter().filter(|file| file.status == Status::Masked).map(PlannedFile::unit).collect();
    let mut services = vec![units::HOLDER, units::COLLECTOR, units::HOST_SIDECAR];
    services.retain(|unit| !masked.contains(unit) && plan.iter().any(|file| file.unit() == *unit));
    let agents = roster.map(|roster| roster.agents.as_slice()).unwrap_or_default();
    let (agents, elsewhere): (Vec<_>, Vec<_>) = agents.iter().partition(|agent| agent.is_on(here));
    let names = |agents: Vec<&fleet_domain::roster::Agent>| {
        agents.iter().map(|agent| agent.name.to_string()).collect()
    };
    let may = |template: &str| !masked.contains(template);
    Wanted {
        services: services.into_iter().map(str::to_owned).collect(),
        agents: if may("mosaic-agent@.service") { names(agents) } else { Vec::new() },
        sidecars: may("mosaic-sidecar@.service"),
        start_agents: start,
        elsewhere: names(elsewhere),
        changed: plan
            .iter()
            .filter(|file| file.status == Status::Changed)
            .map(|file| file.unit().to_owned())
            .collect(),
    }
}

/// The agents' environment files that are not there yet or not what the roster says.
fn environments(site: Option<&Site>) -> Result<String, Failure> {
    let Some(site) = site else { return Ok(String::new()) };
    let mut text = String::new();
    for agent in site.agents() {
        let path = site.home.agent_env(agent.name.as_str());
        match (path.exists(), site.env_differences(agent)?.as_slice()) {
            (false, _) => text.push_str(&format!("new      {}\n", shown(&path))),
            (true, []) => {}
            (true, names) => text.push_str(&format!("changed  {}: {}\n", shown(&path), names.join(", "))),
        }
    }
    Ok(text)
}

/// What will be written, line by line where something is replaced, and what will be enabled.
fn summary(plan: &[PlannedFile], wanted: &Wanted) -> String {
    let mut text = String::new();
    for file in plan {
        let word = match file.status {
            Status::New => "new      ",
            Status::Same => "same     ",
            Status::Changed => "changed  ",
            Status::Masked => "masked   ",
        };
        text.push_str(&format!("{word}{}\n", shown(&file.path)));
        if let (Status::Changed, Some(previous)) = (file.status, &file.previous) {
            text.push_str(&diff::lines(previous, &file.content));
        }
    }
    for unit in wanted.units() {
        text.push_str(&format!("enable   {unit}\n"));
    }
    for name in &wanted.elsewhere {
        text.push_str(&format!("skip     {name}: its host is another one\n"));
    }
    text
}

fn no_manager(error: SystemdError) -> Failure {
    let remedy = "nothing was written. Units need a user manager: log in through a login session, or as root `loginctl enable-linger USER`.\n  \
        Without systemd: fleet up, which watches over the fleet in the foreground";
    Failure::of(Code::Failure, &error).next(remedy)
}

#[cfg(test)]
#[path = "install_tests.rs"]
mod tests;
