//! Four weeks of a fleet's spending in virtual time: pacing keeps its promises.

use fleet_testkit::budget::{Outcome, Rule, SEEDS, SHORT_TASKS, play};

/// What holds on every trace.
fn kept(outcome: &Outcome) {
    assert!(outcome.most <= 1.0, "a limit was exceeded: {}", outcome.most);
    assert_eq!(outcome.broken, 0, "a hard ceiling was broken");
    assert!(outcome.near > 0, "no hard ceiling was even near");
    let (first, early) = outcome.early();
    assert_eq!(early, 0, "a window was through after {first} of its time");
    assert!(outcome.uneven() <= 0.02, "a day was {} off its part", outcome.uneven());
    assert!(outcome.urgent > 0 && outcome.windows.iter().any(|past| past.early && past.account == 2));
    assert_eq!(outcome.stood_still, 0, "nobody stands at a limit");
}

fn used(outcome: &Outcome) {
    let (least, mean) = outcome.utilization();
    let (why, (wasted, all)) = (outcome.least_used(), outcome.wasted());
    assert!(mean >= 0.98, "only {mean} has been used in the mean");
    assert!(all > 100 && wasted == 0 && least >= 0.95, "{wasted} of {all}, the least {least}: {why:?}");
}

/// One of the traces whose figures stand in docs/budget.md: each takes a minute here.
#[test]
fn paced_windows_last_are_used_and_spread_evenly() {
    let outcome = play(Rule::Paced, SHORT_TASKS, SEEDS[0]);
    kept(&outcome);
    used(&outcome);
}

#[test]
fn without_a_gate_ceilings_break() {
    assert!(play(Rule::None, SHORT_TASKS, SEEDS[0]).broken > 0);
}
