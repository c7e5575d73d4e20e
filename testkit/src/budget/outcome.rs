//! What came of it, as figures.

use std::fmt::Write as _;

use super::world::play;
use super::{FEW_TASKS, LONG_TASKS, Outcome, Past, Rule, SEEDS, SHORT_TASKS};

/// The tighter of an account's windows: only it can be used up.
fn tight(past: &Past) -> bool {
    past.weekly != (past.account == 1)
}

impl Outcome {
    /// Windows that ended in their time, without the first of each, in which what a token is worth is not known yet.
    fn whole(&self) -> impl Iterator<Item = &Past> {
        let mut seen = [[false; 2]; 3];
        let not_the_first = move |past: &&Past| {
            std::mem::replace(&mut seen[past.account][usize::from(past.weekly)], true) || past.weekly
        };
        self.windows.iter().filter(not_the_first).filter(|past| !past.early)
    }

    /// The part of its time after which the first window was through, and how many were through before 98 % of it.
    pub fn early(&self) -> (f64, usize) {
        let exhausted = self.whole().filter(|past| past.authorized < 0.005).filter_map(|past| past.exhausted);
        let all: Vec<f64> = exhausted.collect();
        (all.iter().copied().fold(1.0, f64::min), all.iter().filter(|part| **part < 0.98).count())
    }

    /// The tighter windows, as long as there was work in all of their time.
    fn worked(&self) -> impl Iterator<Item = &Past> {
        self.whole().filter(|past| tight(past) && past.idle < 0.02)
    }

    /// How many of them were used less than 95 %, and how many there are.
    pub fn wasted(&self) -> (usize, usize) {
        (self.worked().filter(|past| past.used < 0.95).count(), self.worked().count())
    }

    /// The least and the mean that was used of them.
    pub fn utilization(&self) -> (f64, f64) {
        let used: Vec<f64> = self.worked().map(|past| past.used).collect();
        let mean = used.iter().sum::<f64>() / used.len().max(1) as f64;
        (used.iter().copied().fold(f64::INFINITY, f64::min), mean)
    }

    /// The window that was used least, for those who ask why.
    pub fn least_used(&self) -> Option<Past> {
        self.worked().min_by(|a, b| a.used.total_cmp(&b.used)).copied()
    }

    /// The largest difference between what a day with work spent of a weekly window and its part, as a share of the window.
    pub fn uneven(&self) -> f64 {
        let days =
            self.days.iter().filter(|day| day.account != 1 && day.authorized < 0.001 && day.idle < 0.02);
        days.map(|day| (day.spent - day.allowance).abs()).fold(0.0, f64::max)
    }
}

/// The three rules side by side, each by the worst of its traces, and beside them fewer tasks at once and longer ones, as a table for
/// `docs/budget.md`.
pub fn table() -> String {
    let mut out = String::from(
        "| | paced | cap only | no pacing | paced, few at once | paced, long tasks |\n|---|---|---|---|---|---|\n",
    );
    let of = |rule, size| -> Vec<Outcome> {
        std::thread::scope(|scope| {
            let traces = SEEDS.map(|seed| scope.spawn(move || play(rule, size, seed)));
            traces.into_iter().filter_map(|trace| trace.join().ok()).collect()
        })
    };
    let outcomes = [
        of(Rule::Paced, SHORT_TASKS),
        of(Rule::CapOnly, SHORT_TASKS),
        of(Rule::None, SHORT_TASKS),
        of(Rule::Paced, FEW_TASKS),
        of(Rule::Paced, LONG_TASKS),
    ];
    let mut row = |what: &str, of: &dyn Fn(&[Outcome]) -> String| {
        let cells = outcomes.each_ref().map(|traces| of(traces)).join(" | ");
        let _ = writeln!(out, "| {what} | {cells} |");
    };
    let percent = |share: f64| format!("{:.1} %", share * 100.0);
    let most = |traces: &[Outcome], of: &dyn Fn(&Outcome) -> f64| traces.iter().map(of).fold(0.0, f64::max);
    let least = |traces: &[Outcome], of: &dyn Fn(&Outcome) -> f64| {
        traces.iter().map(of).fold(f64::INFINITY, f64::min)
    };
    let sum =
        |traces: &[Outcome], of: &dyn Fn(&Outcome) -> usize| traces.iter().map(of).sum::<usize>().to_string();
    row("hard ceilings broken", &|traces| sum(traces, &|one| one.broken));
    row("hard ceilings used to nine tenths and more", &|traces| sum(traces, &|one| one.near));
    row("windows used up before 98 % of their time", &|traces| sum(traces, &|one| one.early().1));
    row("the first was through after this part of its time", &|traces| {
        percent(least(traces, &|one| one.early().0))
    });
    row("used of the tighter windows, mean", &|traces| percent(least(traces, &|one| one.utilization().1)));
    row("used of the tighter windows, least", &|traces| percent(least(traces, &|one| one.utilization().0)));
    row("of so many of them, used less than 95 %", &|traces| {
        let (below, all) =
            traces.iter().map(Outcome::wasted).fold((0, 0), |sum, one| (sum.0 + one.0, sum.1 + one.1));
        format!("{below} of {all}")
    });
    row("a day beside its part of the week, worst", &|traces| percent(most(traces, &Outcome::uneven)));
    row("most that was ever used of a limit", &|traces| percent(most(traces, &|one| one.most)));
    row("agents standing at a limit, hours", &|traces| sum(traces, &|one| one.stood_still / 12));
    row("tasks finished", &|traces| sum(traces, &|one| one.finished));
    out
}
