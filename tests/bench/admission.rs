//! How many times a second one core answers whether a task may start.

use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use fleet_domain::Wall;
use fleet_domain::budget::amount::Used;
use fleet_domain::budget::decision::Ask;
use fleet_domain::budget::gate::Gate;
use fleet_domain::budget::read::parse;

use crate::report::{Goal, Section};
use crate::stats::Samples;
use crate::{Effort, say};

const BUDGET: &str = "version: 1
enforce: true
accounts:
  - {name: max-1, provider: anthropic, concurrency: 40, windows: [{name: 5h, rolling: true, limit: 100M}, {name: 7d, every: 7d, reset_at: 2026-11-20T09:00:00Z, limit: 2G}]}
  - {name: max-2, provider: anthropic, concurrency: 40, windows: [{name: 5h, rolling: true, limit: 100M}, {name: 7d, every: 7d, reset_at: 2026-11-20T09:00:00Z, limit: 2G}]}
  - {name: max-3, provider: anthropic, concurrency: 40, windows: [{name: 5h, rolling: true, limit: 100M}, {name: 7d, every: 7d, reset_at: 2026-11-20T09:00:00Z, limit: 2G}]}
ceilings:
  - {tenant: me, per: month, hard: 9G}
  - {class: implementer, per: day, hard: 1G}
  - {agent: '*', per: day, hard: 100M, concurrency: 2}
";
const NOW: Wall = Wall(1_795_262_400_000);
const AGENTS: usize = 50;
/// Checks of one sample.
const CHECKS: u32 = 20_000;

pub(crate) fn measure(effort: Effort) -> Result<Section> {
    let mut section = Section::new(
        "admission",
        "Whether a task may start",
        "The gate alone, in one thread: three accounts with two windows each, three ceilings, fifty agents with a week of \
         spending, fifty tasks under way. A check looks at the accounts and answers; an admission holds a place and gives \
         it back. What the wire and the disk add is not in it."
            .to_owned(),
    );
    let mut gate = gate()?;
    let samples = effort.pick(3, 30);
    say("admission: checks");
    let mut checks = Vec::with_capacity(samples);
    for sample in 0..samples {
        checks.push(rate(|number| {
            let at = Wall(NOW.0 + (sample as i64) * 1_000);
            gate.ask(&ask(number), false, at).is_ok_and(|verdict| !verdict.model.is_empty())
        })?);
    }
    say("admission: places held and given back");
    let mut held = Vec::with_capacity(samples);
    for sample in 0..samples {
        held.push(rate(|number| {
            let at = Wall(NOW.0 + 60_000 + (sample as i64) * 1_000);
            let verdict = gate.admit(&ask(number), false, at);
            let Ok(verdict) = verdict else { return false };
            verdict.task.is_none_or(|task| gate.end(&task, None, at).is_ok())
        })?);
    }
    let (checks, held) = (Samples::new(checks), Samples::new(held));
    let goal = Goal::AtLeast { must: 100_000.0 };
    section.judged("checks a second and core, p50".to_owned(), checks.median(), "/s", String::new(), goal);
    section.row("places held and given back a second and core, p50", held.median(), "/s", String::new());
    section.series("checks a second", "/s", &checks);
    Ok(section)
}

/// Times a second that `work` is done, of which each must succeed.
fn rate(mut work: impl FnMut(u32) -> bool) -> Result<f64> {
    let begun = Instant::now();
    let done = (0..CHECKS).filter(|number| work(*number)).count();
    anyhow::ensure!(done == CHECKS as usize, "{done} of {CHECKS} checks were answered");
    Ok(f64::from(CHECKS) / begun.elapsed().as_secs_f64())
}

fn ask(number: u32) -> Ask {
    Ask {
        tenant: "me".to_owned(),
        agent: format!("agent{}", number as usize % AGENTS),
        class: "implementer".to_owned(),
        model: "claude-opus-5".to_owned(),
        estimate: Some(10_000),
        ..Ask::default()
    }
}

fn gate() -> Result<Gate> {
    let utc = jiff::tz::TimeZone::UTC;
    let config = parse(BUDGET, &utc, &|_| None, NOW).map_err(|problems| anyhow::anyhow!("{problems:?}"))?;
    let mut gate = Gate::default();
    gate.configure(Some(config), NOW);
    for hour in 0..7 * 24 {
        for agent in 0..AGENTS {
            let account = format!("max-{}", agent % 3 + 1);
            let payer = gate.payer("me", &format!("agent{agent}"), "claude-opus-5", Some(&account));
            let at = NOW.minus(Duration::from_secs(hour * 3_600 + 1));
            gate.used(&payer, None, (at, Used { tokens: 20_000, ..Used::default() }), NOW);
        }
    }
    for agent in 0..AGENTS {
        let ask = Ask { task: format!("job-{agent}"), ..ask(u32::try_from(agent)?) };
        gate.admit(&ask, false, NOW).context("a task that is under way")?;
    }
    Ok(gate)
}
