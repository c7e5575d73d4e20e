//! The budget as JSON: a contract. Keys may be added. Shares are parts of a limit; null is unknown.

use fleet_domain::budget::amount::Amount;
use fleet_domain::budget::decision::{Authorization, Figure, Task, Verdict};
use fleet_domain::budget::gate::{AccountView, Outlook, Room, State};
use fleet_domain::price::Money;
use fleet_domain::time::Wall;
use serde::Serialize;

use crate::render::item::API_VERSION;
use crate::render::words::safe;

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
    /// Days with spending, of the last fourteen, behind the two.
    days_known: Option<usize>,
    /// Sessions whose spending belongs to it now.
    agents: Vec<String>,
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

pub fn report(state: &State) -> BudgetReport {
    let overview = &state.overview;
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
        accounts: overview.accounts.iter().map(account_json).collect(),
        windows: overview.windows.iter().map(window).collect(),
        ceilings: overview.rooms.iter().map(ceiling_json).collect(),
        authorizations: state.authorizations.iter().map(authorization).collect(),
        typical: typical.collect(),
    }
}

fn account_json(view: &AccountView) -> AccountItem {
    let account = &view.account;
    AccountItem {
        name: safe(&account.name).into_owned(),
        provider: safe(&account.provider).into_owned(),
        account_kind: account.kind.as_str(),
        running: view.running,
        concurrency: account.concurrency,
        stuck_until: view.stuck_until.map(Wall::to_rfc3339),
        typical_day: view.forecast.as_ref().map(|forecast| forecast.typical_day),
        month_forecast: view.forecast.as_ref().map(|forecast| forecast.month),
        days_known: view.forecast.as_ref().map(|forecast| forecast.days_known),
        agents: view.agents.iter().map(|agent| safe(agent).into_owned()).collect(),
    }
}

fn amount_json(amount: Amount) -> AmountItem {
    let size = match amount {
        Amount::Tokens(tokens) => tokens as f64,
        Amount::Dollars(money) => money.usd(),
    };
    AmountItem { amount: size, unit: amount.unit() }
}

pub fn window(window: &Outlook) -> WindowItem {
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

pub fn verdict(verdict: &Verdict) -> VerdictItem {
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

pub fn task(task: &Task) -> TaskItem {
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
