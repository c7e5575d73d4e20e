//! `fleet up` and `fleet down`: everything, with systemd or without.

use std::sync::Arc;

use fleet_adapters::systemd::Systemd;
use fleet_framework::units::{COLLECTOR, HOLDER, HOST_SIDECAR};

use super::install;
use crate::error::{Code, Failure, Outcome};
use crate::lifecycle::keeper::{Act, Keeper, each, launcher};
use crate::lifecycle::{Site, foreground};
use crate::output;

const UP_EXAMPLES: &str = "\
Examples:
  fleet up                the whole fleet: tmux server, collector, sidecar, every agent
  fleet up --foreground   without systemd, in this terminal, until Ctrl-C stops it in order";

const DOWN_EXAMPLES: &str = "\
Examples:
  fleet down              stop everything; enabled agents come back with the next boot or fleet up";

/// Bring the whole fleet up; where no systemd user manager runs, watch over it in the foreground
#[derive(Debug, clap::Args)]
#[command(before_help = UP_EXAMPLES)]
pub struct UpArgs {
    /// Do not use systemd, even where it runs
    #[arg(long)]
    foreground: bool,
    /// Show what would be done
    #[arg(long)]
    dry_run: bool,
}

/// Stop the whole fleet, in order: agents, their tmux server, sidecar, collector
#[derive(Debug, clap::Args)]
#[command(before_help = DOWN_EXAMPLES)]
pub struct DownArgs {
    /// Show what would be done
    #[arg(long)]
    dry_run: bool,
}

const SERVICES: [&str; 3] = [HOLDER, COLLECTOR, HOST_SIDECAR];

pub async fn up(args: UpArgs) -> Outcome {
    let site = Arc::new(Site::load()?);
    let (keeper, why) = Keeper::look().await;
    let systemd = match &keeper {
        Keeper::Systemd(systemd) if !args.foreground => systemd,
        _ => {
            let why = why.unwrap_or_else(|| "without systemd, as asked".to_owned());
            if args.dry_run {
                return output::data(&listing(&site, "would supervise, in the foreground"));
            }
            return foreground::supervise(site, &why).await;
        }
    };
    let installed = systemd.file_state(HOLDER).await.map_err(|error| Failure::of(Code::Failure, &error))?;
    if installed == "not-found" {
        output::note("no units are installed here yet: doing what `fleet install` does");
        return install::whole(args.dry_run).await;
    }
    if args.dry_run {
        return output::data(&listing(&site, "would start"));
    }
    let agents: Vec<_> = site.agents().collect();
    site.prepare(&agents).await?;
    for unit in SERVICES {
        systemd.start(unit).await.map_err(|error| Failure::of(Code::Failure, &error))?;
    }
    each(&site, &keeper, Act::Start, &agents).await.outcome(Act::Start)?;
    output::note("all is up. See it: fleet ps");
    Ok(())
}

pub async fn down(args: DownArgs) -> Outcome {
    let site = Arc::new(Site::load()?);
    if args.dry_run {
        let agents = site.agents().map(|agent| agent.name.as_str());
        let order = agents.chain(["holder", "sidecar", "collector"]);
        return output::data(&order.map(|name| format!("would stop {name}\n")).collect::<String>());
    }
    let keeper = Keeper::find().await;
    let agents: Vec<_> = site.agents().collect();
    let Keeper::Systemd(systemd) = &keeper else {
        if foreground::end(&site.home, agents.len()).await? {
            output::note(
                "the `fleet up` that ran has ended. What brings the fleet back: fleet up; what still runs: fleet ps",
            );
            return Ok(());
        }
        let done = each(&site, &keeper, Act::Stop, &agents).await;
        launcher(&site, "", &["holder", "stop"]).await.map_err(|error| Failure::new(Code::Failure, error))?;
        return done.outcome(Act::Stop);
    };
    let done = each(&site, &keeper, Act::Stop, &agents).await;
    stop_services(systemd).await?;
    done.outcome(Act::Stop)?;
    output::note("all is down. What is enabled comes back at the next boot, or with fleet up");
    Ok(())
}

async fn stop_services(systemd: &Systemd) -> Outcome {
    for unit in [HOLDER, HOST_SIDECAR, COLLECTOR] {
        systemd.stop(unit).await.map_err(|error| Failure::of(Code::Failure, &error))?;
    }
    Ok(())
}

fn listing(site: &Site, what: &str) -> String {
    let agents = site.agents().map(|agent| agent.name.as_str());
    let all = ["holder", "collector", "sidecar"].into_iter().chain(agents);
    all.map(|name| format!("{what} {name}\n")).collect()
}
