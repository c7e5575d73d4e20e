//! `fleet report`: the register as Markdown, for people. The register stays the truth.

use fleet_domain::Wall;
use fleet_domain::budget::amount::Amount;
use fleet_domain::budget::decision::Task;
use fleet_domain::budget::gate::State;
use fleet_domain::fleet::AgentView;
use fleet_domain::report::{By, Question, Report};

use crate::app::Global;
use crate::client::{Client, ClientError, Detail};
use crate::clock;
use crate::error::Outcome;
use crate::output;
use crate::render::budget::{self as render, percent};
use crate::render::funds::Funds;
use crate::render::is_agent;
use crate::render::words::{NONE, count, safe};

const EXAMPLES: &str = "\
Examples:
  fleet report --md > fleet.md     agents, windows, tasks and spend, for people";

/// Write the register as Markdown: agents, windows, tasks, spend
#[derive(Debug, clap::Args)]
#[command(before_help = EXAMPLES)]
pub struct Args {
    /// As Markdown, which is the only form
    #[arg(long)]
    md: bool,
}

pub async fn run(args: Args, global: &Global) -> Outcome {
    let Args { md: _ } = args;
    let at = global.address()?;
    let mut client = Client::connect(&at).await.map_err(ClientError::into_failure)?;
    let (now, zone) = (clock::now().wall, clock::zone());
    let day = clock::day_start(now, &zone);
    let agents = client.list(day, Detail::Full).await.map_err(ClientError::into_failure)?.agents;
    let mut money = client.money();
    let state = money.state(zone.iana_name().unwrap_or_default()).await?;
    let tasks = money.tasks("", 100).await?;
    let since = Wall(now.0 - 7 * 86_400_000);
    let question = Question { since, by: [By::Model].into_iter().collect(), days: Vec::new() };
    let spent = client.usage(&question).await.map_err(ClientError::into_failure)?;
    output::data(&markdown(&agents, &state, &tasks, &spent, now))
}

/// No cell may end its row or its column.
fn cell(text: &str) -> String {
    let text = safe(text).replace('|', "\\|");
    if text.is_empty() { "–".to_owned() } else { text }
}

fn table(out: &mut String, title: &str, heads: &[&str], rows: Vec<Vec<String>>) {
    out.push_str(&format!("\n## {title}\n\n"));
    if rows.is_empty() {
        out.push_str("None.\n");
        return;
    }
    out.push_str(&format!("| {} |\n|{}\n", heads.join(" | "), "---|".repeat(heads.len())));
    for row in rows {
        let cells: Vec<String> = row.iter().map(|text| cell(text)).collect();
        out.push_str(&format!("| {} |\n", cells.join(" | ")));
    }
}

fn markdown(agents: &[AgentView], state: &State, tasks: &[Task], spent: &Report, now: Wall) -> String {
    let mut out = format!("# Fleet, {now}\n");
    let funds = Funds::of(state);
    let agents = agents.iter().filter(|agent| is_agent(agent)).map(|agent| {
        let payer = funds.fund(agent).map(|fund| fund.account.clone()).or_else(|| agent.account.clone());
        vec![
            agent.name.clone(),
            agent.state.as_str().to_owned(),
            agent.class.clone().unwrap_or_default(),
            payer.unwrap_or_default(),
            count(agent.tokens_today.total()),
            agent.reason.clone(),
        ]
    });
    table(
        &mut out,
        "Agents",
        &["agent", "state", "class", "account", "tokens today", "why"],
        agents.collect(),
    );
    let windows = state.overview.windows.iter().map(|window| {
        let pace = window.pace.as_ref();
        vec![
            window.account.clone(),
            window.window.clone(),
            window.standing.used.map(percent).unwrap_or_default(),
            pace.map(|pace| percent(pace.even)).unwrap_or_default(),
            pace.map(|pace| format!("{:.2}", pace.ratio)).unwrap_or_default(),
            pace.map(|pace| percent(pace.left_today)).unwrap_or_default(),
            window.standing.stretch.map(|stretch| stretch.ends.to_string()).unwrap_or_default(),
            window.standing.used_by.as_str().to_owned(),
        ]
    });
    let heads = ["account", "window", "used", "even", "pace", "left today", "resets", "provenance"];
    table(&mut out, "Windows", &heads, windows.collect());
    let accounts = state.overview.accounts.iter().map(|view| {
        let [day, month, from] = render::forecast(view);
        let mut row =
            vec![view.account.name.clone(), view.account.provider.clone(), view.running.to_string()];
        row.extend([day, month, from].map(|figure| if figure == NONE { String::new() } else { figure }));
        row
    });
    let heads = ["account", "provider", "tasks now", "typical day", "this month (forecast)", "known from"];
    table(&mut out, "Accounts", &heads, accounts.collect());
    let ceilings = state.overview.rooms.iter().map(|room| {
        let amount = |of: Option<Amount>| of.map(render::amount).unwrap_or_default();
        vec![
            format!("{} {} per {}", room.ceiling.scope.as_str(), room.name, room.ceiling.per.as_str()),
            room.share().map(percent).unwrap_or_default(),
            amount(room.ceiling.soft),
            amount(room.ceiling.hard),
            room.under().as_str().to_owned(),
        ]
    });
    table(&mut out, "Ceilings", &["ceiling", "used", "soft", "hard", "state"], ceilings.collect());
    let tasks = tasks.iter().map(|task| {
        vec![
            task.name.clone(),
            task.stage.as_str().to_owned(),
            task.agent.clone(),
            task.class.clone(),
            task.mission.clone(),
            task.model.clone(),
            format!("{} ({})", count(task.estimate.projected), task.estimate.basis.as_str()),
            count(task.actual.tokens),
        ]
    });
    table(
        &mut out,
        "Tasks",
        &["task", "stage", "agent", "class", "mission", "model", "projected", "actual"],
        tasks.collect(),
    );
    let rows = spent.0.iter().map(|(group, sum)| {
        let cost = sum.costs.known().map(|known| known.to_string()).unwrap_or_else(|| "unknown".to_owned());
        vec![
            group.model.clone().unwrap_or_default(),
            sum.responses.to_string(),
            count(sum.tokens.total()),
            cost,
        ]
    });
    table(
        &mut out,
        "Spend of seven days",
        &["model", "responses", "tokens", "API-equivalent"],
        rows.collect(),
    );
    out
}

#[cfg(test)]
mod tests {
    use fleet_domain::budget::gate::Gate;
    use fleet_domain::budget::read::parse;
    use fleet_domain::readiness::State as Readiness;
    use jiff::tz::TimeZone;

    use super::*;
    use crate::render::samples;

    fn state(gate: &mut Gate) -> State {
        State {
            overview: gate.overview(&TimeZone::UTC, samples::now()),
            authorizations: Vec::new(),
            typical: Vec::new(),
            file: String::new(),
            file_error: String::new(),
            paused: false,
            reading: false,
        }
    }

    #[test]
    fn hostile_names_stay_in_their_cells() {
        let agents = [samples::agent("a|b\n# c", Readiness::Working, 60)];
        let state = state(&mut Gate::default());
        insta::assert_snapshot!(
            "report_md",
            markdown(&agents, &state, &[], &Report::default(), samples::now())
        );
    }

    #[test]
    fn an_agent_stands_with_the_account_that_pays_and_a_reset_with_its_day() {
        let yaml = "version: 1\naccounts:\n  - {name: max-1, provider: anthropic, windows: [{name: 7d, every: 7d, reset_at: 2026-01-05T09:00, limit: 5M}]}\n";
        let mut gate = Gate::default();
        let config = parse(yaml, &TimeZone::UTC, &|_| None, samples::now()).unwrap();
        gate.configure(Some(config), samples::now());
        let mut agent = samples::agent("coder0", Readiness::Working, 60);
        agent.account = Some("anthropic".to_owned());
        let text = markdown(&[agent], &state(&mut gate), &[], &Report::default(), samples::now());
        let line = |begins: &str| text.lines().find(|line| line.starts_with(begins)).unwrap().to_owned();
        assert!(line("| coder0").contains("| max-1 |"), "{text}");
        assert!(line("| max-1 | 7d").contains("T09:00:00Z |"), "{text}");
    }
}
