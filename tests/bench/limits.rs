//! From a provider's answer to the figure in `fleet budget`, with the real Claude Code and Codex.

use anyhow::{Context as _, Result};
use fleet_testkit::real::{Kind, RealRuntime, Subscribed};
use serde_json::Value;

use crate::report::{Goal, Section};
use crate::stats::{Samples, figure};
use crate::{Effort, say};

const SOON: Goal = Goal::AtMost { must: 2_000.0, aim: 1_000.0 };

pub(crate) fn measure(effort: Effort) -> Result<Section> {
    let answers = effort.pick(3, 30);
    let mut section = Section::new(
        "limits",
        "From a provider's answer to `fleet budget`",
        "A real runtime on a subscription, one host-wide sidecar, one collector, and a model on loopback whose every answer \
         tells of another share of the five hours. The clock runs from the last byte of the answer until the end of the \
         first `fleet budget --json`, one process after the other, that has the share; the runtime's own time until it \
         tells anybody is in it."
            .to_owned(),
    );
    for (kind, title) in [(Kind::Claude, "Claude Code, p99"), (Kind::Codex, "Codex, p99")] {
        say(&format!("limits: {}", kind.name()));
        let (samples, of_runtime) = of(kind, answers)?;
        let beside = format!(
            "p50 {}; max {}; the runtime's own part p50 {}",
            figure(samples.median()),
            figure(samples.max()),
            figure(of_runtime.median())
        );
        section.judged(title, samples.percentile(99.0), "ms", beside, SOON);
        section.series(kind.name(), "ms", &samples);
    }
    Ok(section)
}

/// All of it, and the runtime's own part, in milliseconds.
fn of(kind: Kind, answers: u32) -> Result<(Samples, Samples)> {
    let runtime = RealRuntime::provision(kind).map_err(anyhow::Error::msg)?;
    let world = Subscribed::start(kind)?;
    let session = world.launch(&runtime)?;
    let (mut taken, mut own) = (Vec::new(), Vec::new());
    for answer in 0..answers {
        let percent = 50 + answer;
        let is_it = |window: &Value| {
            window["used"].as_f64().is_some_and(|used| (used - f64::from(percent) / 100.0).abs() < 1e-9)
        };
        let prompt = format!("answer {answer} USED{percent}");
        let told = world.tell(&session, &prompt, "5h", is_it).context(prompt)?;
        taken.push(told.after.as_secs_f64() * 1e3);
        own.push(told.of_runtime.as_secs_f64() * 1e3);
        session.wait_for_screen("the end of its answer", |screen| screen.contains("STUBOK"))?;
    }
    Ok((Samples::new(taken), Samples::new(own)))
}
