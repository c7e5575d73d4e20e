//! The budget as people see it: a bar for each window with the mark of an even spread, ceilings, tasks; and as JSON.

use anstyle::{AnsiColor, Style};
use fleet_domain::budget::amount::{Amount, Used};
use fleet_domain::budget::config::Account;
use fleet_domain::budget::decision::{Authorization, Figure, Task, Verdict};
use fleet_domain::budget::gate::{Outlook, Room, State, Under};
use fleet_domain::price::Money;
use fleet_domain::time::Wall;
use serde::Serialize;

use super::Scene;
use super::grid::{Align, Cell, Fit, Grid, Head};
use super::item::API_VERSION;
use super::words::{NONE, age, count, safe};

const BAR: usize = 20;
/// A ratio beyond it is shown as more than it.
const MOST: f64 = 99.0;

pub fn grid(
    heads: &[(&str, Align, Fit)],
    rows: Vec<Vec<Cell<'_>>>,
    width: Option<usize>,
    colour: bool,
) -> String {
    let head = |(title, align, fit): &(&str, Align, Fit)| Head {
        title: (*title).to_owned(),
        align: *align,
        fit: *fit,
    };
    let mut grid = Grid::new(heads.iter().map(head).collect(), rows.len());
    rows.into_iter().for_each(|row| grid.push(row));
    match width {
        None => grid.plain(true, colour),
        Some(width) => grid.fitted(width, true, colour).lines.join("\n") + "\n",
    }
}

pub fn windows(state: &State, scene: &Scene, width: Option<usize>) -> String {
    let heads = [
        ("ACCOUNT", Align::Left, Fit::Shrinks { least: 8 }),
        ("WINDOW", Align::Left, Fit::Fixed),
        ("USED", Align::Right, Fit::Fixed),
        ("| IS EVEN", Align::Left, Fit::Leaves(4)),
        ("PACE", Align::Right, Fit::Fixed),
        ("LEFT TODAY", Align::Right, Fit::Leaves(6)),
        ("USED UP", Align::Left, Fit::Leaves(5)),
        ("RESETS", Align::Left, Fit::Leaves(7)),
        ("HELD", Align::Right, Fit::Leaves(1)),
        ("PROVENANCE", Align::Left, Fit::Leaves(3)),
        ("AGE", Align::Right, Fit::Leaves(2)),
    ];
    let mut rows = Vec::new();
    for (account, stuck, _) in &state.overview.accounts {
        let of = state.overview.windows.iter().filter(|window| window.account == account.name);
        let before = rows.len();
        rows.extend(of.map(|window| row(window, *stuck, scene)));
        if rows.len() == before {
            rows.push(bare(account));
        }
    }
    grid(&heads, rows, width, scene.colour)
}

fn row(window: &Outlook, stuck: Option<Wall>, scene: &Scene) -> Vec<Cell<'static>> {
    let (standing, pace) = (&window.standing, window.pace.as_ref());
    let used = standing.used;
    let ratio = pace.map(|pace| pace.ratio);
    let left = pace.map(|pace| format!("{} of {}", percent(pace.left_today), percent(pace.allowance)));
    let name = if stuck.is_some() {
        format!("{} (at its limit)", safe(&window.account))
    } else {
        safe(&window.account).into_owned()
    };
    vec![
        Cell::plain(name),
        Cell::plain(safe(&window.window).into_owned()),
        Cell::styled(used.map_or_else(|| NONE.to_owned(), percent), used.map_or(Style::new(), full)),
        Cell::plain(used.map_or_else(|| NONE.to_owned(), |used| bar(used, pace.map(|pace| pace.even)))),
        Cell::styled(ratio.map_or_else(|| NONE.to_owned(), shown_ratio), ratio.map_or(Style::new(), fast)),
        Cell::plain(left.unwrap_or_else(|| NONE.to_owned())),
        Cell::plain(exhaustion(window, scene)),
        Cell::plain(standing.stretch.map_or_else(|| NONE.to_owned(), |stretch| in_time(stretch.ends, scene))),
        Cell::plain(if window.held_share > 0.0 { percent(window.held_share) } else { NONE.to_owned() }),
        Cell::plain(if standing.stale { "estimated (stale)" } else { standing.used_by.as_str() }),
        Cell::plain(standing.at.map_or_else(|| NONE.to_owned(), |at| age(at.age_at(scene.now)))),
    ]
}

fn bare(account: &Account) -> Vec<Cell<'static>> {
    let mut row = vec![Cell::plain(safe(&account.name).into_owned())];
    row.extend((0..10).map(|_| Cell::plain(NONE)));
    row
}

/// `[######|...............]`: used, and where an even spread would stand.
fn bar(used: f64, even: Option<f64>) -> String {
    let place = |share: f64| ((share.clamp(0.0, 1.0) * BAR as f64).round() as usize).min(BAR);
    let (filled, mark) = (place(used), even.map(place));
    let mut bar = String::with_capacity(BAR + 3);
    bar.push('[');
    for at in 0..BAR {
        bar.push(match mark {
            Some(mark) if mark.min(BAR - 1) == at => '|',
            _ if at < filled => '#',
            _ => '.',
        });
    }
    bar.push(']');
    bar
}

fn exhaustion(window: &Outlook, scene: &Scene) -> String {
    let Some(told) = window.pace.and_then(|pace| pace.exhaustion) else { return NONE.to_owned() };
    if !told.before_reset {
        return "after the reset".to_owned();
    }
    let latest = told.latest.map_or_else(|| "?".to_owned(), |at| age(scene.now.age_at(at)));
    format!("in {} ({}..{latest})", age(scene.now.age_at(told.at)), age(scene.now.age_at(told.earliest)))
}

fn in_time(at: Wall, scene: &Scene) -> String {
    if at <= scene.now { "now".to_owned() } else { format!("in {}", age(scene.now.age_at(at))) }
}

pub fn ceilings(state: &State, scene: &Scene, width: Option<usize>) -> String {
    let heads = [
        ("CEILING", Align::Left, Fit::Shrinks { least: 16 }),
        ("USED", Align::Right, Fit::Fixed),
        ("HELD", Align::Right, Fit::Leaves(3)),
        ("SOFT", Align::Right, Fit::Leaves(2)),
        ("HARD", Align::Right, Fit::Fixed),
        ("TASKS", Align::Right, Fit::Leaves(1)),
        ("STATE", Align::Left, Fit::Fixed),
    ];
    let rows = state.overview.rooms.iter().map(|room| {
        let unit = room.ceiling.hard.or(room.ceiling.soft);
        let shown =
            |used: Used| unit.map_or_else(|| NONE.to_owned(), |unit| amount(unit.with(unit.of(used))));
        let style = match room.under() {
            Under::Reached => AnsiColor::Red.on_default(),
            Under::Near => AnsiColor::Yellow.on_default(),
            Under::Below => Style::new(),
        };
        let most = room
            .ceiling
            .concurrency
            .map_or_else(|| room.tasks.to_string(), |most| format!("{} of {most}", room.tasks));
        vec![
            Cell::plain(format!(
                "{} {} per {}",
                room.ceiling.scope.as_str(),
                safe(&room.name),
                room.ceiling.per.as_str()
            )),
            Cell::plain(shown(room.used)),
            Cell::plain(shown(room.held)),
            Cell::plain(room.ceiling.soft.map_or_else(|| NONE.to_owned(), amount)),
            Cell::plain(room.ceiling.hard.map_or_else(|| NONE.to_owned(), amount)),
            Cell::plain(most),
            Cell::styled(room.under().as_str(), style),
        ]
    });
    grid(&heads, rows.collect(), width, scene.colour)
}

pub fn tasks(tasks: &[Task], scene: &Scene, width: Option<usize>) -> String {
    let heads = [
        ("TASK", Align::Left, Fit::Shrinks { least: 10 }),
        ("STAGE", Align::Left, Fit::Fixed),
        ("AGENT", Align::Left, Fit::Shrinks { least: 8 }),
        ("CLASS", Align::Left, Fit::Leaves(3)),
        ("MODEL", Align::Left, Fit::Leaves(4)),
        ("ACCOUNT", Align::Left, Fit::Leaves(5)),
        ("PROJECTED", Align::Right, Fit::Fixed),
        ("BASIS", Align::Left, Fit::Leaves(1)),
        ("ACTUAL", Align::Right, Fit::Fixed),
        ("SINCE", Align::Right, Fit::Leaves(2)),
    ];
    let or = |text: &str| if text.is_empty() { NONE.to_owned() } else { safe(text).into_owned() };
    let rows = tasks.iter().map(|task| {
        let since = task.ended.or(task.started).unwrap_or(task.admitted);
        vec![
            Cell::plain(safe(&task.name).into_owned()),
            Cell::plain(task.stage.as_str()),
            Cell::plain(or(&task.agent)),
            Cell::plain(or(&task.class)),
            Cell::plain(or(&task.model)),
            Cell::plain(or(task.account.as_deref().unwrap_or_default())),
            Cell::plain(count(task.estimate.projected)),
            Cell::plain(task.estimate.basis.as_str()),
            Cell::plain(count(task.actual.tokens)),
            Cell::plain(age(since.age_at(scene.now))),
        ]
    });
    grid(&heads, rows.collect(), width, scene.colour)
}

/// The decision, why, and the figures behind it.
pub fn verdict(verdict: &Verdict, scene: &Scene) -> String {
    let or = |text: &str| if text.is_empty() { NONE.to_owned() } else { safe(text).into_owned() };
    let mut out = format!("{}: {}\n", verdict.decision.as_str(), verdict.reason.as_str().replace('_', " "));
    let account =
        verdict.account.as_deref().map_or_else(|| NONE.to_owned(), |account| safe(account).into_owned());
    out.push_str(&format!("  model {} on account {account}\n", or(&verdict.model)));
    let estimate = &verdict.estimate;
    out.push_str(&format!(
        "  estimate {} ({}), held {}\n",
        count(estimate.projected),
        estimate.basis.as_str(),
        count(estimate.reserved)
    ));
    if let Some(until) = verdict.until {
        out.push_str(&format!("  ask again {} ({})\n", in_time(until, scene), scene.time(until)));
    }
    if let Some(advice) = verdict.advice {
        out.push_str(&format!(
            "  advice: {}; the budget does not enforce it\n",
            advice.as_str().replace('_', " ")
        ));
    }
    if let Some(task) = &verdict.task {
        let until = verdict.expires.map(|at| format!(", held until {}", scene.time(at))).unwrap_or_default();
        out.push_str(&format!("  task {}{until}\n", safe(task)));
    }
    for figure in &verdict.figures {
        out.push_str(&format!("  {}\n", safe(&figure.to_string())));
    }
    out
}

pub fn amount(amount: Amount) -> String {
    match amount {
        Amount::Tokens(tokens) => count(tokens),
        Amount::Dollars(money) => money.to_string(),
    }
}

pub fn percent(share: f64) -> String {
    // −0.0 is 0.
    format!("{:.1}%", (share * 1_000.0).round() / 10.0 + 0.0)
}

fn shown_ratio(ratio: f64) -> String {
    if ratio > MOST { format!(">{MOST}x") } else { format!("{ratio:.2}x") }
}

fn full(used: f64) -> Style {
    match used {
        used if used >= 1.0 => AnsiColor::Red.on_default(),
        used if used >= 0.9 => AnsiColor::Yellow.on_default(),
        _ => Style::new(),
    }
}

fn fast(ratio: f64) -> Style {
    match ratio {
        ratio if ratio > 2.0 => AnsiColor::Red.on_default(),
        ratio if ratio > 1.1 => AnsiColor::Yellow.on_default(),
        _ => Style::new(),
    }
}

/// The JSON is a contract: keys may be added. Shares are parts of a limit; null is unknown.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct BudgetReport {
    api_version: &'static str,
    kind: &'static str,
    at: String,
    configured: bool,
    enforce: bool,
    paused: bool,
    file: String,
    file_error: Option<String>,
    accounts: Vec<AccountItem>,
    windows: Vec<WindowItem>,
    ceilings: Vec<CeilingItem>,
    authorizations: Vec<AuthorizationItem>,
    typical: Vec<TypicalItem>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct AccountItem {
    name: String,
    provider: String,
    account_kind: &'static str,
    running: u32,
    concurrency: Option<u32>,
    stuck_until: Option<String>,
    /// Tokens.
    typical_day: Option<u64>,
    month_forecast: Option<u64>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct WindowItem {
    account: String,
    window: String,
    length_seconds: u64,
    used: Option<f64>,
    provenance: &'static str,
    observed_at: Option<String>,
    stale: bool,
    limit: Option<AmountItem>,
    limit_provenance: &'static str,
    capacity_tokens: Option<f64>,
    ledger_tokens: u64,
    held: f64,
    begins_at: Option<String>,
    resets_at: Option<String>,
    reset_provenance: &'static str,
    even: Option<f64>,
    /// Null where it is infinite too: nothing is left.
    pace: Option<f64>,
    allowance_today: Option<f64>,
    left_today: Option<f64>,
    exhausted_at: Option<String>,
    exhausted_earliest: Option<String>,
    exhausted_latest: Option<String>,
    exhausted_before_reset: Option<bool>,
}

#[derive(Debug, Serialize)]
struct AmountItem {
    amount: f64,
    unit: &'static str,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct CeilingItem {
    scope: &'static str,
    name: String,
    per: &'static str,
    soft: Option<AmountItem>,
    hard: Option<AmountItem>,
    concurrency: Option<u32>,
    used_tokens: u64,
    used_usd: f64,
    held_tokens: u64,
    held_usd: f64,
    tasks: u32,
    state: &'static str,
    ends_at: String,
}

#[derive(Debug, Serialize)]
struct AuthorizationItem {
    account: String,
    tokens: u64,
    drawn: u64,
    until: String,
    by: String,
    at: String,
}

#[derive(Debug, Serialize)]
struct TypicalItem {
    class: String,
    /// Null is any.
    model: Option<String>,
    median: u64,
    p90: u64,
    tasks: usize,
}

pub fn json(state: &State) -> BudgetReport {
    let overview = &state.overview;
    let account = |(account, stuck, running): &(Account, Option<Wall>, u32)| {
        let forecast =
            overview.forecast.iter().find(|(name, _)| *name == account.name).map(|(_, forecast)| forecast);
        AccountItem {
            name: safe(&account.name).into_owned(),
            provider: safe(&account.provider).into_owned(),
            account_kind: account.kind.as_str(),
            running: *running,
            concurrency: account.concurrency,
            stuck_until: stuck.map(Wall::to_rfc3339),
            typical_day: forecast.map(|forecast| forecast.typical_day),
            month_forecast: forecast.map(|forecast| forecast.month),
        }
    };
    let authorization = |one: &Authorization| AuthorizationItem {
        account: safe(&one.account).into_owned(),
        tokens: one.tokens,
        drawn: one.drawn,
        until: one.until.to_rfc3339(),
        by: safe(&one.by).into_owned(),
        at: one.at.to_rfc3339(),
    };
    let typical = state.typical.iter().map(|(class, model, typical)| TypicalItem {
        class: safe(class).into_owned(),
        model: Some(safe(model).into_owned()).filter(|model| !model.is_empty()),
        median: typical.median,
        p90: typical.p90,
        tasks: typical.tasks,
    });
    BudgetReport {
        api_version: API_VERSION,
        kind: "Budget",
        at: overview.at.to_rfc3339(),
        configured: overview.configured,
        enforce: overview.enforce,
        paused: state.paused,
        file: safe(&state.file).into_owned(),
        file_error: Some(state.file_error.clone()).filter(|error| !error.is_empty()),
        accounts: overview.accounts.iter().map(account).collect(),
        windows: overview.windows.iter().map(window_json).collect(),
        ceilings: overview.rooms.iter().map(ceiling_json).collect(),
        authorizations: state.authorizations.iter().map(authorization).collect(),
        typical: typical.collect(),
    }
}

fn amount_json(amount: Amount) -> AmountItem {
    let size = match amount {
        Amount::Tokens(tokens) => tokens as f64,
        Amount::Dollars(money) => money.usd(),
    };
    AmountItem { amount: size, unit: amount.unit() }
}

pub fn window_json(window: &Outlook) -> WindowItem {
    let (standing, pace) = (&window.standing, window.pace.as_ref());
    let exhaustion = pace.and_then(|pace| pace.exhaustion);
    WindowItem {
        account: safe(&window.account).into_owned(),
        window: safe(&window.window).into_owned(),
        length_seconds: window.length.as_secs(),
        used: standing.used,
        provenance: standing.used_by.as_str(),
        observed_at: standing.at.map(Wall::to_rfc3339),
        stale: standing.stale,
        limit: standing.limit.map(amount_json),
        limit_provenance: standing.limit_by.as_str(),
        capacity_tokens: window.capacity,
        ledger_tokens: standing.ours.tokens,
        held: window.held_share,
        begins_at: standing.stretch.map(|stretch| stretch.begins.to_rfc3339()),
        resets_at: standing.stretch.map(|stretch| stretch.ends.to_rfc3339()),
        reset_provenance: standing.resets_by.as_str(),
        even: pace.map(|pace| pace.even),
        pace: pace.map(|pace| pace.ratio).filter(|ratio| ratio.is_finite()),
        allowance_today: pace.map(|pace| pace.allowance),
        left_today: pace.map(|pace| pace.left_today),
        exhausted_at: exhaustion.map(|told| told.at.to_rfc3339()),
        exhausted_earliest: exhaustion.map(|told| told.earliest.to_rfc3339()),
        exhausted_latest: exhaustion.and_then(|told| told.latest).map(Wall::to_rfc3339),
        exhausted_before_reset: exhaustion.map(|told| told.before_reset),
    }
}

fn ceiling_json(room: &Room) -> CeilingItem {
    CeilingItem {
        scope: room.ceiling.scope.as_str(),
        name: safe(&room.name).into_owned(),
        per: room.ceiling.per.as_str(),
        soft: room.ceiling.soft.map(amount_json),
        hard: room.ceiling.hard.map(amount_json),
        concurrency: room.ceiling.concurrency,
        used_tokens: room.used.tokens,
        used_usd: room.used.dollars.usd(),
        held_tokens: room.held.tokens,
        held_usd: room.held.dollars.usd(),
        tasks: room.tasks,
        state: room.under().as_str(),
        ends_at: room.period.ends.to_rfc3339(),
    }
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct VerdictItem {
    api_version: &'static str,
    kind: &'static str,
    decision: &'static str,
    reason: &'static str,
    model: Option<String>,
    account: Option<String>,
    /// Tokens.
    projected: u64,
    reserved: u64,
    basis: &'static str,
    until: Option<String>,
    advice: Option<&'static str>,
    task: Option<String>,
    expires: Option<String>,
    figures: Vec<FigureItem>,
}

#[derive(Debug, Serialize)]
struct FigureItem {
    what: String,
    unit: &'static str,
    used: f64,
    held: f64,
    needed: f64,
    limit: f64,
    provenance: &'static str,
}

pub fn verdict_json(verdict: &Verdict) -> VerdictItem {
    let figure = |figure: &Figure| FigureItem {
        what: safe(&figure.what).into_owned(),
        unit: figure.unit,
        used: figure.used,
        held: figure.held,
        needed: figure.needed,
        limit: figure.limit,
        provenance: figure.by.as_str(),
    };
    VerdictItem {
        api_version: API_VERSION,
        kind: "BudgetDecision",
        decision: verdict.decision.as_str(),
        reason: verdict.reason.as_str(),
        model: Some(safe(&verdict.model).into_owned()).filter(|model| !model.is_empty()),
        account: verdict.account.as_deref().map(|account| safe(account).into_owned()),
        projected: verdict.estimate.projected,
        reserved: verdict.estimate.reserved,
        basis: verdict.estimate.basis.as_str(),
        until: verdict.until.map(Wall::to_rfc3339),
        advice: verdict.advice.map(|advice| advice.as_str()),
        task: verdict.task.as_deref().map(|task| safe(task).into_owned()),
        expires: verdict.expires.map(Wall::to_rfc3339),
        figures: verdict.figures.iter().map(figure).collect(),
    }
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct TaskItem {
    name: String,
    stage: &'static str,
    agent: String,
    class: String,
    mission: String,
    model: String,
    account: Option<String>,
    /// Tokens.
    projected: u64,
    reserved: u64,
    basis: &'static str,
    actual: u64,
    actual_usd: f64,
    admitted_at: String,
    started_at: Option<String>,
    ended_at: Option<String>,
}

pub fn task_json(task: &Task) -> TaskItem {
    let text = |text: &str| safe(text).into_owned();
    TaskItem {
        name: text(&task.name),
        stage: task.stage.as_str(),
        agent: text(&task.agent),
        class: text(&task.class),
        mission: text(&task.mission),
        model: text(&task.model),
        account: task.account.as_deref().map(text),
        projected: task.estimate.projected,
        reserved: task.estimate.reserved,
        basis: task.estimate.basis.as_str(),
        actual: task.actual.tokens,
        actual_usd: Money(task.actual.dollars.0).usd(),
        admitted_at: task.admitted.to_rfc3339(),
        started_at: task.started.map(Wall::to_rfc3339),
        ended_at: task.ended.map(Wall::to_rfc3339),
    }
}

#[cfg(test)]
#[path = "budget_tests.rs"]
mod tests;
