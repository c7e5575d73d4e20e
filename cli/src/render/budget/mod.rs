//! The budget as people see it: a bar for each window with the mark of an even spread, accounts with what they will come
//! to, ceilings, and what tasks need; [`tasks`] and their verdicts; [`json`] for programs.

pub mod json;
pub mod tasks;

use anstyle::{AnsiColor, Style};
use fleet_domain::budget::amount::{Amount, Used};
use fleet_domain::budget::config::Account;
use fleet_domain::budget::gate::{AccountView, Outlook, State, Under};
use fleet_domain::time::Wall;

use super::Scene;
use super::grid::{Align, Cell, Fit, Grid, Head};
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
        ("| IS EVEN", Align::Left, Fit::Leaves(2)),
        ("PACE", Align::Right, Fit::Fixed),
        ("LEFT TODAY", Align::Right, Fit::Leaves(1)),
        ("USED UP", Align::Left, Fit::Leaves(3)),
        ("RESETS", Align::Left, Fit::Leaves(4)),
        ("HELD", Align::Right, Fit::Leaves(6)),
        ("PROVENANCE", Align::Left, Fit::Leaves(5)),
        ("AGE", Align::Right, Fit::Leaves(7)),
    ];
    let mut rows = Vec::new();
    for AccountView { account, stuck_until, .. } in &state.overview.accounts {
        let of = state.overview.windows.iter().filter(|window| window.account == account.name);
        let before = rows.len();
        rows.extend(of.map(|window| row(window, *stuck_until, scene)));
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
            Under::Full | Under::Near => AnsiColor::Yellow.on_default(),
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

/// Each account, and what it comes to: tokens of a usual day, and of this month by what was usual.
pub fn accounts(state: &State, scene: &Scene, width: Option<usize>) -> String {
    let heads = [
        ("ACCOUNT", Align::Left, Fit::Shrinks { least: 8 }),
        ("PROVIDER", Align::Left, Fit::Leaves(2)),
        ("KIND", Align::Left, Fit::Leaves(1)),
        ("TASKS", Align::Right, Fit::Leaves(4)),
        ("TYPICAL DAY", Align::Right, Fit::Fixed),
        ("THIS MONTH", Align::Right, Fit::Fixed),
        ("FROM", Align::Left, Fit::Leaves(3)),
        ("AGENTS", Align::Left, Fit::Rest { least: 12 }),
    ];
    let rows = state.overview.accounts.iter().map(|view| {
        let account = &view.account;
        let running = view.running;
        let tasks =
            account.concurrency.map_or_else(|| running.to_string(), |most| format!("{running} of {most}"));
        let [day, month, from] = forecast(view);
        let agents: Vec<_> = view.agents.iter().map(|agent| safe(agent)).collect();
        vec![
            Cell::plain(safe(&account.name).into_owned()),
            Cell::plain(safe(&account.provider).into_owned()),
            Cell::plain(account.kind.as_str()),
            Cell::plain(tasks),
            Cell::plain(day),
            Cell::plain(month),
            Cell::plain(from),
            Cell::plain(if agents.is_empty() { NONE.to_owned() } else { agents.join(" ") }),
        ]
    });
    grid(&heads, rows.collect(), width, scene.colour)
}

/// A typical day, this month, and from how many days that is known.
pub fn forecast(view: &AccountView) -> [String; 3] {
    match &view.forecast {
        Some(told) => {
            [count(told.typical_day), count(told.month), super::words::plural(told.days_known, "day")]
        }
        None => [NONE, NONE, NONE].map(str::to_owned),
    }
}

/// What tasks of a class on a model needed.
pub fn typical(state: &State, scene: &Scene, width: Option<usize>) -> String {
    let heads = [
        ("TASKS OF CLASS", Align::Left, Fit::Shrinks { least: 14 }),
        ("MODEL", Align::Left, Fit::Shrinks { least: 8 }),
        ("MEDIAN", Align::Right, Fit::Fixed),
        ("OF TEN, NINE BELOW", Align::Right, Fit::Fixed),
        ("SEEN", Align::Right, Fit::Leaves(1)),
    ];
    let rows = state.typical.iter().map(|(class, model, told)| {
        let or =
            |text: &str, none: &str| if text.is_empty() { none.to_owned() } else { safe(text).into_owned() };
        vec![
            Cell::plain(or(class, NONE)),
            Cell::plain(or(model, "any")),
            Cell::plain(count(told.median)),
            Cell::plain(count(told.p90)),
            Cell::plain(told.tasks.to_string()),
        ]
    });
    grid(&heads, rows.collect(), width, scene.colour)
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

pub fn shown_ratio(ratio: f64) -> String {
    if ratio > MOST { format!(">{MOST}x") } else { format!("{ratio:.2}x") }
}

pub fn full(used: f64) -> Style {
    match used {
        used if used >= 1.0 => AnsiColor::Red.on_default(),
        used if used >= 0.9 => AnsiColor::Yellow.on_default(),
        _ => Style::new(),
    }
}

pub fn fast(ratio: f64) -> Style {
    match ratio {
        ratio if ratio > 2.0 => AnsiColor::Red.on_default(),
        ratio if ratio > 1.1 => AnsiColor::Yellow.on_default(),
        _ => Style::new(),
    }
}

#[cfg(test)]
mod tests;
