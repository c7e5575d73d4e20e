//! Four weeks of a fleet's spending in virtual time: pacing keeps its promises.

use fleet_testkit::budget::{Rule, play};

#[test]
fn paced_windows_last_are_used_and_spread_evenly() {
    let outcome = play(Rule::Paced, 7);
    assert!(outcome.most <= 1.0, "a limit was exceeded: {}", outcome.most);
    let (first, early) = outcome.early();
    assert_eq!(early, 0, "a window was through after {first} of its time");
    let (_, mean) = outcome.utilization();
    assert!(mean >= 0.95, "only {mean} of what there was has been used");
    assert!(outcome.uneven() <= 0.02, "a day was {} off its part", outcome.uneven());
    assert!(outcome.urgent > 0 && outcome.windows.iter().any(|past| past.early && past.account == 2));
    assert_eq!(outcome.stood_still, 0, "nobody stands at a limit");
}
