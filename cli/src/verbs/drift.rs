//! `fleet drift`: where what runs is not what was configured, and mending it.

use std::collections::BTreeSet;
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
use crate::render::grid::{Align, Cell, Fit, Grid, Head, width_of};
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
    found.extend(of_agents(&snapshot.agents));
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
        let screen = Screen::detect();
        output::data(&table(&found, screen.terminal.then(|| screen.size().0), screen.colour))?;
    }
    if found.is_empty() {
        return Ok(());
    }
    if args.fix {
        return fix(home, &found, args.yes).await;
    }
    Err(Failure::silent(Code::NotSo))
}

/// One that is to move to another socket is seen twice, at work on the old one and missing on the new one.
fn of_agents(agents: &[AgentView]) -> Vec<Found> {
    let place = |agent: &AgentView| (agent.key.host.clone(), agent.key.session.clone());
    let at_work: BTreeSet<_> =
        agents.iter().filter(|agent| agent.state == State::Working).map(place).collect();
    let moves = |agent: &&AgentView| agent.drift.iter().any(|drift| drift.kind == Kind::Socket);
    let moving: BTreeSet<_> = agents.iter().filter(moves).map(place).collect();
    let is_old = |agent: &AgentView| !agent.managed && moving.contains(&place(agent));
    let rest = agents.iter().filter(|agent| !is_old(agent));
    rest.flat_map(|agent| of_agent(agent, at_work.contains(&place(agent)))).collect()
}

fn of_agent(agent: &AgentView, works: bool) -> impl Iterator<Item = Found> {
    agent.drift.iter().map(move |drift| Found {
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
            // What works is not interrupted.
            Kind::Missing => (!works).then_some(Mend::Start),
            Kind::Runtime | Kind::Model | Kind::Env | Kind::Socket => (!works).then_some(Mend::Restart),
        },
    })
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
        && let Some(behind) = plan.behind()
    {
        found.push(one("framework", behind, Mend::Seed));
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

/// On a terminal that is too narrow for it each remedy has a line of its own: a command that is cut off mends nothing.
fn table(found: &[Found], width: Option<usize>, colour: bool) -> String {
    let titles = ["SEVERITY", "AGENT", "KIND", "WHAT", "REMEDY"];
    let heads = titles.map(|title| Head { title: title.to_owned(), align: Align::Left, fit: Fit::Fixed });
    let mut grid = Grid::new(heads.into(), found.len());
    for one in found {
        grid.push([
            Cell::plain(one.severity),
            Cell::plain(one.agent.as_deref().map_or("-".into(), safe)),
            Cell::plain(one.kind),
            Cell::plain(safe(&one.detail)),
            Cell::plain(safe(&one.remedy)),
        ]);
    }
    let fits = |width: usize| grid.plain(true, false).lines().all(|line| width_of(line) <= width);
    if width.is_none_or(fits) {
        return grid.plain(true, colour);
    }
    grid.hide(titles.len() - 1);
    let narrow = grid.plain(true, colour);
    let mut lines = narrow.lines();
    let mut text = format!("{}\n", lines.next().unwrap_or_default());
    for (line, one) in lines.zip(found) {
        text.push_str(&format!("{line}\n          → {}\n", safe(&one.remedy)));
    }
    text
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

#[cfg(test)]
mod tests {
    use fleet_domain::SocketName;
    use fleet_domain::drift::Drift;

    use super::*;
    use crate::render::samples;

    #[test]
    fn an_agent_that_is_to_move_is_told_once_and_not_while_it_works() {
        let at = |socket: &str, managed, state, kinds: &[Kind]| {
            let mut agent = samples::fleet().remove(0);
            agent.key.socket = SocketName::new(socket);
            (agent.managed, agent.state) = (managed, state);
            let drift = |kind: &Kind| Drift { kind: *kind, detail: String::new(), remedy: String::new() };
            agent.drift = kinds.iter().map(drift).collect();
            agent
        };
        let told = |state| {
            let new = at("new", true, State::Dead, &[Kind::Socket, Kind::Missing]);
            let found = of_agents(&[new, at("old", false, state, &[Kind::Unmanaged])]);
            found.into_iter().map(|found| (found.kind, found.mend)).collect::<Vec<_>>()
        };
        let idle = [("socket", Some(Mend::Restart)), ("missing", Some(Mend::Start))];
        assert_eq!(told(State::Available), idle);
        assert_eq!(told(State::Working), [("socket", None), ("missing", None)]);
        let stranger = of_agents(&[at("old", false, State::Working, &[Kind::Unmanaged])]);
        assert_eq!(stranger.len(), 1);
    }

    #[test]
    fn a_remedy_is_never_cut_off() {
        let one = |agent: Option<&str>, kind, detail: &str, remedy: &str| Found {
            severity: "warning",
            host: "h".to_owned(),
            agent: agent.map(str::to_owned),
            kind,
            detail: detail.to_owned(),
            remedy: remedy.to_owned(),
            session: None,
            mend: None,
        };
        let boot = "systemctl --user enable mosaic-agent@coder1.service";
        let found = [
            one(None, "framework", "the framework in ~ is version 5, this program has 6", "fleet update"),
            one(Some("coder1"), "boot", "active but disabled: it will not come back after a boot", boot),
        ];
        insta::assert_snapshot!(table(&found, Some(80), false), @"
        SEVERITY  AGENT   KIND       WHAT
        warning   -       framework  the framework in ~ is version 5, this program has 6
                  → fleet update
        warning   coder1  boot       active but disabled: it will not come back after a boot
                  → systemctl --user enable mosaic-agent@coder1.service
        ");
        assert_eq!(table(&found, Some(300), false), table(&found, None, false));
        assert!(table(&found, None, false).lines().last().is_some_and(|line| line.ends_with(boot)));
    }
}
