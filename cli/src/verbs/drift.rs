//! `fleet drift`: where what runs is not what was configured, and mending it.

use std::sync::Arc;

use fleet_domain::drift::{Kind, Severity};
use fleet_domain::fleet::AgentView;
use fleet_domain::readiness::State;
use fleet_framework::agents::changing;
use fleet_framework::units::{self, Status};
use fleet_framework::{Home, seed};
use serde::Serialize;

use super::holder::read_roster;
use super::install::programs;
use crate::app::Global;
use crate::error::{Code, Failure, Outcome};
use crate::lifecycle::keeper::{Act, Keeper};
use crate::lifecycle::{Site, confirm, files_failed, home};
use crate::output::{self, Screen};
use crate::render::grid::{Align, Cell, Fit, Grid, Head};
use crate::render::item::List;
use crate::render::words::safe;
use crate::source;

const EXAMPLES: &str = "\
Examples:
  fleet drift              each way in which the fleet is not what was configured, and the command that mends it
  fleet drift --fix        mend what can be mended without losing work, after asking
  fleet drift --json       for a script; the exit code is 3 where something drifts";

/// List where reality is not what was configured; exit 3 where it is not
#[derive(Debug, clap::Args)]
#[command(before_help = EXAMPLES)]
pub struct Args {
    /// Mend what is safe to mend
    #[arg(long, conflicts_with = "json")]
    fix: bool,
    /// Do not ask
    #[arg(long, requires = "fix")]
    yes: bool,
    /// One JSON object
    #[arg(long)]
    pub json: bool,
}

#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
struct Found {
    severity: &'static str,
    host: String,
    /// `null`: the whole host is meant.
    agent: Option<String>,
    kind: &'static str,
    detail: String,
    remedy: String,
    /// The agent's name in the roster.
    #[serde(skip)]
    session: Option<String>,
    #[serde(skip)]
    mend: Option<Mend>,
}

/// What `--fix` does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Mend {
    Seed,
    Units,
    Enable,
    Restart,
    Start,
}

pub async fn run(args: Args, global: &Global) -> Outcome {
    let home = home()?;
    let snapshot = source::gather(&global.address()?).await?;
    if let Some(notice) = snapshot.origin.notice() {
        output::note(&notice);
    }
    // Of a roster that is not right nothing can be said.
    let roster = read_roster(&home)?;
    let mut found = of_host(&home);
    found.extend(snapshot.agents.iter().flat_map(of_agent));
    found.sort_by_key(|found| std::cmp::Reverse(Severity::parse(found.severity)));
    if args.json {
        output::json(&List::new("DriftList", &found), true)?;
    } else if found.is_empty() {
        let managed = snapshot.agents.iter().any(|agent| agent.managed);
        output::note(match roster.is_some() || managed {
            true => "no drift: what runs is what was configured",
            false => "there is no roster, so that nothing was configured: fleet init",
        });
    } else {
        output::data(&table(&found))?;
    }
    if found.is_empty() {
        return Ok(());
    }
    if args.fix {
        return fix(home, &found, args.yes).await;
    }
    Err(Failure::silent(Code::NotSo))
}

fn of_agent(agent: &AgentView) -> Vec<Found> {
    let works = agent.state == State::Working;
    agent
        .drift
        .iter()
        .map(|drift| Found {
            severity: drift.kind.severity().as_str(),
            host: agent.key.host.to_string(),
            agent: Some(agent.name.clone()),
            session: Some(agent.key.session.to_string()),
            kind: drift.kind.as_str(),
            detail: drift.detail.clone(),
            remedy: drift.remedy.clone(),
            mend: match drift.kind {
                // A quarantine wants its cause put right first; whose an unmanaged session is, only a person knows.
                Kind::Unmanaged | Kind::Quarantined => None,
                Kind::Unit => Some(Mend::Units),
                Kind::Boot => Some(Mend::Enable),
                Kind::Missing => Some(Mend::Start),
                // What works is not interrupted.
                Kind::Runtime | Kind::Model | Kind::Env | Kind::Socket => (!works).then_some(Mend::Restart),
            },
        })
        .collect()
}

/// What is of no one agent: the framework's files and the services' units.
fn of_host(home: &Home) -> Vec<Found> {
    let here = fleet_adapters::identity::host().to_string();
    let Ok(bin) = programs(None) else { return Vec::new() };
    let one = |kind, detail: String, mend| Found {
        severity: Severity::Warning.as_str(),
        host: here.clone(),
        agent: None,
        session: None,
        kind,
        detail,
        remedy: "fleet update".to_owned(),
        mend: Some(mend),
    };
    let mut found = Vec::new();
    // Where nothing was ever seeded there is nothing to be out of date.
    if let Ok(plan) = seed::plan(home, &bin)
        && plan.seeded != seed::Seeded::Never
        && plan.is_due()
    {
        found.push(one("framework", plan.verdict(), Mend::Seed));
    }
    for unit in units::plan(home, &bin).unwrap_or_default() {
        if unit.status == Status::Changed && !unit.unit().contains('@') {
            found.push(one(
                Kind::Unit.as_str(),
                format!("{} in place is not the shipped one", unit.unit()),
                Mend::Units,
            ));
        }
    }
    found
}

fn table(found: &[Found]) -> String {
    let head = |title: &str, fit| Head { title: title.to_owned(), align: Align::Left, fit };
    let mut grid = Grid::new(
        vec![
            head("SEVERITY", Fit::Fixed),
            head("AGENT", Fit::Fixed),
            head("KIND", Fit::Fixed),
            head("WHAT", Fit::Rest { least: 20 }),
            head("REMEDY", Fit::Shrinks { least: 20 }),
        ],
        found.len(),
    );
    for one in found {
        grid.push([
            Cell::plain(one.severity),
            Cell::plain(one.agent.as_deref().map_or("-".into(), safe)),
            Cell::plain(one.kind),
            Cell::plain(safe(&one.detail)),
            Cell::plain(safe(&one.remedy)),
        ]);
    }
    let screen = Screen::detect();
    if screen.terminal {
        return grid.fitted(screen.size().0, true, screen.colour).lines.join("\n") + "\n";
    }
    grid.plain(true, false)
}

/// Each agent once, files before what reads them.
async fn fix(home: Home, found: &[Found], yes: bool) -> Outcome {
    let mut mends: Vec<(Mend, Option<&str>)> =
        found.iter().filter_map(|found| Some((found.mend?, found.session.as_deref()))).collect();
    mends.sort_unstable();
    mends.dedup();
    // Starting anew is starting, and one start is enough.
    let restarted: Vec<_> =
        mends.iter().filter(|(mend, _)| *mend == Mend::Restart).map(|(_, agent)| *agent).collect();
    mends.retain(|(mend, agent)| *mend != Mend::Start || !restarted.contains(agent));
    // The files are everybody's.
    let mut units_done = false;
    mends.retain(|(mend, _)| *mend != Mend::Units || !std::mem::replace(&mut units_done, true));
    let left = found.iter().filter(|found| found.mend.is_none()).count();
    if mends.is_empty() {
        return Err(Failure::new(Code::NotSo, "nothing of this can be mended safely from here")
            .next("the remedies are in the table; what works is not interrupted"));
    }
    for (mend, agent) in &mends {
        output::note(&says(*mend, *agent));
    }
    confirm("Do this?", yes)?;
    let keeper = Keeper::find().await;
    let site = Arc::new(Site::at(home)?);
    for (mend, agent) in mends {
        carry_out(&site, &keeper, mend, agent).await?;
    }
    if left > 0 {
        output::note(&format!("{left} left for you: see the table"));
    }
    Ok(())
}

fn says(mend: Mend, agent: Option<&str>) -> String {
    let agent = safe(agent.unwrap_or_default());
    match mend {
        Mend::Seed => "write the framework's files anew, your own stay".to_owned(),
        Mend::Units => "write the shipped units, drop-ins stay; agents go on as they are".to_owned(),
        Mend::Enable => format!("enable {agent} for every boot"),
        Mend::Restart => format!("restart {agent}"),
        Mend::Start => format!("start {agent}"),
    }
}

async fn carry_out(site: &Arc<Site>, keeper: &Keeper, mend: Mend, agent: Option<&str>) -> Outcome {
    let failed = |error: &(dyn std::error::Error + 'static)| Failure::of(Code::Failure, error);
    match (mend, agent) {
        (Mend::Seed, _) => {
            let _alone = changing(&site.home).map_err(|error| files_failed(&error))?;
            let plan = seed::plan(&site.home, &programs(None)?).map_err(|error| failed(&error))?;
            seed::apply(&plan, &site.home).map_err(|error| files_failed(&error))?;
        }
        (Mend::Units, _) => {
            let plan = units::plan(&site.home, &programs(None)?).map_err(|error| failed(&error))?;
            let changed: Vec<_> = plan.into_iter().filter(|file| file.status == Status::Changed).collect();
            units::write(&changed).map_err(|error| failed(&error))?;
            if let Keeper::Systemd(systemd) = keeper {
                systemd.daemon_reload().await.map_err(|error| failed(&error))?;
            }
        }
        (Mend::Enable, Some(agent)) => keeper.enable(agent).await.map_err(|error| failed(&error))?,
        (Mend::Restart | Mend::Start, Some(name)) => {
            let Some(agent) = site.agents().find(|agent| agent.name.as_str() == name) else { return Ok(()) };
            let act = if mend == Mend::Restart { Act::Restart } else { Act::Start };
            site.prepare(&[agent]).await?;
            keeper.act(site, act, agent).await.map_err(|error| Failure::new(Code::Failure, error))?;
        }
        (Mend::Enable | Mend::Restart | Mend::Start, None) => {}
    }
    Ok(())
}
