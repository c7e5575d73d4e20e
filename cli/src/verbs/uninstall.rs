//! `fleet uninstall`: units and framework files taken away; the roster and all that is the user's stays.

use std::path::PathBuf;

use fleet_adapters::systemd::Systemd;
use fleet_framework::agents::changing;
use fleet_framework::home::shown;
use fleet_framework::units::{self, Status, agent_unit, sidecar_unit};
use fleet_framework::{Home, seed};

use super::install::programs;
use crate::error::{Code, Failure, Outcome};
use crate::lifecycle::{Site, confirm, files_failed, home};
use crate::output;

const EXAMPLES: &str = "\
Examples:
  fleet uninstall --dry-run   what would be stopped and taken away
  fleet uninstall --yes       without asking";

/// Stop the fleet and take away its units and the framework's files; what is yours stays
#[derive(Debug, clap::Args)]
#[command(before_help = EXAMPLES)]
pub struct Args {
    /// Do not ask
    #[arg(long)]
    yes: bool,
    /// Show what would be done
    #[arg(long)]
    dry_run: bool,
    /// Where fleet, fleet-collector and fleet-sidecar are; default is where this program is
    #[arg(long, value_name = "DIR")]
    bin: Option<PathBuf>,
}

pub async fn run(args: Args) -> Outcome {
    let home = home()?;
    let bin = programs(args.bin.as_deref())?;
    let files = files(&home, &bin)?;
    let units = unit_names(&home).await;
    let mut text: String = units.iter().map(|unit| format!("stop, disable  {unit}\n")).collect();
    text.extend(files.iter().map(|path| format!("delete         {}\n", shown(path))));
    output::data(&text)?;
    if args.dry_run {
        return Ok(());
    }
    if text.is_empty() {
        output::note("nothing of the fleet is installed here");
        return Ok(());
    }
    confirm("Stop the fleet and take these away?", args.yes)?;
    let _alone = changing(&home).map_err(|error| files_failed(&error))?;
    match Systemd::connect().await {
        Ok(systemd) => {
            for unit in &units {
                systemd.stop(unit).await.map_err(|error| Failure::of(Code::Failure, &error))?;
            }
            if let Err(error) = systemd.disable(&units).await {
                output::note(&format!("warning: {error}"));
            }
            delete(&files)?;
            systemd.daemon_reload().await.map_err(|error| Failure::of(Code::Failure, &error))?;
        }
        Err(error) => {
            output::note(&format!("warning: {error}: nothing is stopped"));
            delete(&files)?;
        }
    }
    output::note(&format!(
        "the fleet is uninstalled; roster, environments and usage stay in {}",
        shown(&home.root)
    ));
    Ok(())
}

fn delete(files: &[PathBuf]) -> Outcome {
    for path in files {
        match std::fs::remove_file(path) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                return Err(Failure::new(Code::Failure, format!("{}: {error}", shown(path))).next(
                    "what comes after it is still there; fleet uninstall goes on once this is put right",
                ));
            }
            _ => {}
        }
    }
    Ok(())
}

/// Every unit of this fleet, agents first.
async fn unit_names(home: &Home) -> Vec<String> {
    let mut agents: Vec<String> = Site::at(home.clone())
        .map(|site| site.agents().map(|agent| agent.name.to_string()).collect())
        .unwrap_or_default();
    let Ok(systemd) = Systemd::connect().await else { return Vec::new() };
    for unit in systemd.agents(&[] as &[&str]).await.unwrap_or_default() {
        if !agents.contains(&unit.agent) {
            agents.push(unit.agent);
        }
    }
    let own = agents.iter().flat_map(|agent| [sidecar_unit(agent), agent_unit(agent)]);
    let services = [units::HOLDER, units::HOST_SIDECAR, units::COLLECTOR].map(str::to_owned);
    let mut known = Vec::new();
    for unit in own.chain(services) {
        if systemd.file_state(&unit).await.is_ok_and(|state| state != "not-found") {
            known.push(unit);
        }
    }
    known
}

/// The unit files and what was seeded, as far as they are there.
fn files(home: &Home, bin: &std::path::Path) -> Result<Vec<PathBuf>, Failure> {
    let failed = |error: &(dyn std::error::Error + 'static)| Failure::of(Code::Failure, error);
    let plan = units::plan(home, bin).map_err(|error| failed(&error))?;
    let units = plan.into_iter().filter(|file| file.status != Status::Masked).map(|file| file.path);
    let seeded = seed::paths(home, bin).map_err(|error| failed(&error))?;
    let version = home.framework_version();
    Ok(units.chain(seeded).chain([version]).filter(|path| path.is_file()).collect())
}
