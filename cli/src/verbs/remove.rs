//! `fleet remove`: one agent less, now and at every boot.

use std::sync::Arc;

use fleet_adapters::systemd::Systemd;
use fleet_domain::roster::{edit, floor};
use fleet_domain::{AgentName, diff};
use fleet_framework::agents::{changing, forget, own, write_roster};
use fleet_framework::home::shown;
use fleet_framework::units::{agent_unit, sidecar_unit};

use super::add::edit_failed;
use crate::complete;
use crate::error::{Code, Failure, Outcome};
use crate::lifecycle::keeper::{Act, Keeper};
use crate::lifecycle::{Site, files_failed};
use crate::output;

const EXAMPLES: &str = "\
Examples:
  fleet remove coder2                end it, and it comes back at no boot
  fleet remove coder2 --keep-files   its environment file stays for another time
  fleet remove coder2 --dry-run      show what would change";

/// Remove an agent: its session ended, disabled, out of the roster
#[derive(Debug, clap::Args)]
#[command(before_help = EXAMPLES)]
pub struct Args {
    /// Its whole name
    #[arg(add = complete::agents())]
    name: String,
    /// Keep its environment file, heartbeat and conversation
    #[arg(long)]
    keep_files: bool,
    /// Show what would change
    #[arg(long)]
    dry_run: bool,
}

pub async fn run(args: Args) -> Outcome {
    let site = Arc::new(Site::load()?);
    let name = AgentName::parse(&args.name).map_err(|error| Failure::of(Code::Usage, &error))?;
    let _alone = changing(&site.home).map_err(|error| files_failed(&error))?;
    let path = site.home.roster();
    let before = std::fs::read_to_string(&path)
        .map_err(|error| Failure::new(Code::Failure, format!("{}: {error}", path.display())))?;
    let Some(agent) = site.roster.agent(name.as_str()) else {
        return left_over(&site, &name, &args, &before).await;
    };
    if let Err(sole) = floor::may_leave(&site.roster, name.as_str()) {
        let another = format!("fleet add NAME --runtime {} --class {}", agent.runtime, sole.class);
        return Err(Failure::of(Code::Refused, &sole).next(format!("add another one first: {another}")));
    }
    let after = edit::remove(&before, name.as_str()).map_err(|error| edit_failed(error, &shown(&path)))?;
    if args.dry_run {
        return output::data(&plan(&site, &name, &args, &before, &after));
    }
    let keeper = Keeper::find().await;
    if let Keeper::Systemd(systemd) = &keeper {
        disable(systemd, name.as_str()).await;
    }
    if agent.is_on(&site.here) {
        keeper.act(&site, Act::Stop, agent).await.map_err(|error| {
            Failure::new(Code::Failure, error)
                .next(format!("{name} is still in the roster; once this is put right: fleet remove {name}"))
        })?;
    }
    write_roster(&site.home, &after).map_err(|error| {
        let failure = files_failed(&error);
        failure.next(format!(
            "{name} is stopped but still in the roster; fleet remove {name} once it can be written"
        ))
    })?;
    take_files(&site, &name, &args)?;
    output::note(&format!("{:<10}{name}", "removed"));
    Ok(())
}

/// An agent that is in no roster may still have been left enabled, or have files.
async fn left_over(site: &Site, name: &AgentName, args: &Args, roster: &str) -> Outcome {
    let absent = || edit_failed(edit::EditError::Absent(name.to_string()), &shown(&site.home.roster()));
    let keeper = Keeper::find().await;
    let Keeper::Systemd(systemd) = &keeper else { return Err(absent()) };
    let known = systemd.agents(&[] as &[&str]).await.unwrap_or_default();
    let has_env = site.home.agent_env(name.as_str()).exists();
    if !has_env && !known.iter().any(|unit| unit.agent == name.as_str()) {
        return Err(absent());
    }
    if args.dry_run {
        return output::data(&plan(site, name, args, roster, roster));
    }
    disable(systemd, name.as_str()).await;
    systemd.stop(&agent_unit(name.as_str())).await.map_err(|error| Failure::of(Code::Failure, &error))?;
    take_files(site, name, args)?;
    output::note(&format!("{:<10}{name}: it was in no roster, only left enabled or with files", "removed"));
    Ok(())
}

/// Never a reason to stop.
async fn disable(systemd: &Systemd, name: &str) {
    if let Err(error) = systemd.disable(&[agent_unit(name), sidecar_unit(name)]).await {
        output::note(&format!("warning: {name} may come back at the next boot: {error}"));
    }
}

fn take_files(site: &Site, name: &AgentName, args: &Args) -> Outcome {
    if !args.keep_files {
        forget(&site.home, name.as_str()).map_err(|error| files_failed(&error))?;
    }
    Ok(())
}

fn plan(site: &Site, name: &AgentName, args: &Args, before: &str, after: &str) -> String {
    let (unit, sidecar) = (agent_unit(name.as_str()), sidecar_unit(name.as_str()));
    let mut text = format!("disable   {unit}\ndisable   {sidecar}\nstop      {unit}\n");
    if before != after {
        text.push_str(&format!("change    {}\n{}", shown(&site.home.roster()), diff::lines(before, after)));
    }
    if !args.keep_files {
        for path in own(&site.home, name.as_str()).into_iter().filter(|path| path.exists()) {
            text.push_str(&format!("delete    {}\n", shown(&path)));
        }
    }
    text
}
