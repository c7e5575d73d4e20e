//! `fleet start`, `fleet stop` and `fleet restart`: agents, by name or all of them.

use std::sync::Arc;

use fleet_framework::units::agent_unit;

use crate::complete;
use crate::error::{Code, Failure, Outcome};
use crate::lifecycle::keeper::{Act, Keeper, each};
use crate::lifecycle::{Site, foreground};
use crate::output;

#[derive(Debug, clap::Args)]
pub struct Args {
    /// Names from the roster, or unambiguous beginnings; all of this host where none is given
    #[arg(value_name = "AGENT", add = complete::agents())]
    agents: Vec<String>,
    /// Show what would be done
    #[arg(long)]
    dry_run: bool,
}

pub async fn run(args: Args, act: Act) -> Outcome {
    let site = Arc::new(Site::load()?);
    let agents = site.chosen(&args.agents)?;
    if agents.is_empty() {
        return Err(Failure::new(Code::NoSuch, "the roster has no agent for this host")
            .next("fleet add NAME --runtime claude"));
    }
    let (keeper, why) = Keeper::look().await;
    if args.dry_run {
        let lines = agents.iter().map(|agent| {
            let unit = agent_unit(agent.name.as_str());
            match &keeper {
                Keeper::Systemd(_) => format!("would {} {} ({unit})\n", act.verb(), agent.name),
                Keeper::Direct => format!("would {} {} (without systemd)\n", act.verb(), agent.name),
            }
        });
        return output::data(&lines.collect::<String>());
    }
    if act != Act::Stop {
        site.prepare(&agents).await?;
    }
    if let Some(why) = why.filter(|_| act != Act::Stop && !foreground::runs(&site.home)) {
        output::note(&format!(
            "{why}: what is started is not started again should it end, unless `fleet up` runs"
        ));
    }
    each(&site, &keeper, act, &agents).await.outcome(act)
}
