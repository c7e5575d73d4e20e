//! Tasks, and what the gate said to one.

use fleet_domain::budget::decision::{Reason, Task, Verdict};

use super::{grid, in_time};
use crate::render::Scene;
use crate::render::grid::{Align, Cell, Fit};
use crate::render::words::{NONE, age, count, safe};

pub fn table(tasks: &[Task], scene: &Scene, width: Option<usize>) -> String {
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
    if verdict.reason == Reason::PriceUnknown {
        out.push_str(&format!(
            "  a limit in dollars wants a price of {}: fleet prices --update FILE gives it one\n",
            or(&verdict.model)
        ));
    }
    let estimate = &verdict.estimate;
    out.push_str(&format!(
        "  estimate {} ({}), {} {}\n",
        count(estimate.projected),
        estimate.basis.as_str(),
        if verdict.task.is_some() { "held" } else { "to be held" },
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
