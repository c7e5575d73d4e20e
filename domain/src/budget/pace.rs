//! Pace: spending a window evenly over the time that is left of it.
//!
//! Everything is a share of the window's limit, so that it holds alike where tokens, dollars or only percentages are
//! known. `docs/budget.md` has the formulae; its worked example is a test here.

use std::time::Duration;

use crate::time::Wall;

use super::schedule::Stretch;

/// Into so many parts the horizon is cut to see how even the spending was.
pub const PARTS: usize = 8;
/// Eight of ten times the true rate lies within so many standard errors.
const ERRORS: f64 = 1.28;
const SHORTEST: Duration = Duration::from_secs(15 * 60);
const LONGEST: Duration = Duration::from_secs(12 * 3_600);

/// Over how long the actual rate is taken: a fourteenth of the window, a quarter of an hour to half a day.
pub fn horizon(length: Duration) -> Duration {
    (length / 14).clamp(SHORTEST, LONGEST)
}

#[derive(Debug, Clone, PartialEq)]
pub struct Question {
    pub window: Stretch,
    /// A share of the limit.
    pub used: f64,
    /// What was used in each part of the horizon, oldest first; shares.
    pub parts: [f64; PARTS],
    /// How long those parts are together.
    pub horizon: Duration,
    /// The reader's day.
    pub today: Stretch,
    /// Used within both, the window and the day; a share.
    pub used_today: f64,
}

/// All of it as shares of the limit; rates are shares a second.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Pace {
    pub remaining: f64,
    /// Where an even spread would stand now.
    pub even: f64,
    pub target: f64,
    pub actual: f64,
    /// Actual by target: above one is ahead of the even spread. Infinite where nothing is left and something is used.
    pub ratio: f64,
    /// For this day, as it stood at its beginning.
    pub allowance: f64,
    pub left_today: f64,
    /// When it is used up at this rate; `None` where nothing is being used.
    pub exhaustion: Option<Exhaustion>,
}

/// Eight of ten times it is between `earliest` and `latest`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Exhaustion {
    pub at: Wall,
    pub earliest: Wall,
    /// `None`: perhaps never.
    pub latest: Option<Wall>,
    pub before_reset: bool,
}

pub fn pace(question: &Question, now: Wall) -> Pace {
    let Question { window, used, .. } = question;
    let remaining = (1.0 - used).max(0.0);
    let left = now.age_at(window.ends).as_secs_f64();
    let target = if left > 0.0 { remaining / left } else { 0.0 };
    let (actual, error) = rate(question);
    let ratio = match (actual > 0.0, target > 0.0) {
        (false, _) => 0.0,
        (true, true) => actual / target,
        (true, false) => f64::INFINITY,
    };
    let allowance = allowance(question, remaining);
    Pace {
        remaining,
        even: window.elapsed(now),
        target,
        actual,
        ratio,
        allowance,
        left_today: allowance - question.used_today,
        exhaustion: exhaustion(remaining, actual, error, window.ends, now),
    }
}

/// The mean rate over the horizon and its standard error, in shares a second.
fn rate(question: &Question) -> (f64, f64) {
    let part = question.horizon.as_secs_f64() / PARTS as f64;
    if part <= 0.0 {
        return (0.0, 0.0);
    }
    let count = PARTS as f64;
    let mean = question.parts.iter().sum::<f64>() / count;
    let variance = question.parts.iter().map(|share| (share - mean).powi(2)).sum::<f64>() / (count - 1.0);
    (mean / part, (variance / count).sqrt() / part)
}

/// What was left when the day began, or the window in it, spread evenly over the window's rest: the day's part of it.
fn allowance(question: &Question, remaining: f64) -> f64 {
    let Question { window, today, used_today, .. } = question;
    let begins = window.begins.max(today.begins);
    let day = begins.age_at(window.ends.min(today.ends)).as_secs_f64();
    let rest = begins.age_at(window.ends).as_secs_f64();
    if rest <= 0.0 { 0.0 } else { (remaining + used_today) * (day / rest).min(1.0) }
}

fn exhaustion(remaining: f64, actual: f64, error: f64, resets: Wall, now: Wall) -> Option<Exhaustion> {
    if actual <= 0.0 {
        return None;
    }
    let at = |rate: f64| after(now, remaining / rate);
    let slow = actual - ERRORS * error;
    Some(Exhaustion {
        at: at(actual),
        earliest: at(actual + ERRORS * error),
        latest: (slow > 0.0).then(|| at(slow)),
        before_reset: at(actual) < resets,
    })
}

fn after(now: Wall, seconds: f64) -> Wall {
    // Beyond a century it is never.
    Wall(now.0.saturating_add((seconds.clamp(0.0, 3.2e9) * 1000.0) as i64))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const DAY: i64 = 86_400_000;
    const HOUR: i64 = 3_600_000;

    fn week() -> Stretch {
        Stretch { begins: Wall(0), ends: Wall(7 * DAY) }
    }

    fn day(index: i64) -> Stretch {
        Stretch { begins: Wall(index * DAY), ends: Wall((index + 1) * DAY) }
    }

    fn asked(used: f64, today: i64, used_today: f64, parts: [f64; PARTS]) -> Question {
        let horizon = horizon(Duration::from_secs(7 * 86_400));
        Question { window: week(), used, parts, horizon, today: day(today), used_today }
    }

    fn near(a: f64, b: f64) -> bool {
        (a - b).abs() < 5e-4
    }

    /// The worked example of docs/budget.md.
    #[test]
    fn the_worked_example_is_what_the_page_says() {
        let page = include_str!("../../../docs/budget.md");
        // Wednesday noon: two and a half days of a window of seven are over, 43 % are used, 6 % of it today; in the last
        // twelve hours 6 %, most of it in the morning.
        let parts = [0.0, 0.0, 0.005, 0.010, 0.015, 0.010, 0.010, 0.010];
        let now = Wall(2 * DAY + 12 * HOUR);
        let pace = pace(&asked(0.43, 2, 0.06, parts), now);
        let percent = |share: f64| format!("{:.1} %", share * 100.0);
        let hours = |at: Wall| format!("{:.0} h", (at.0 - now.0) as f64 / HOUR as f64);
        let exhaustion = pace.exhaustion.unwrap();
        for told in [
            format!("remaining = 1 − 0.43 = {}", percent(pace.remaining)),
            format!("even mark = 60 h ÷ 168 h = {}", percent(pace.even)),
            format!("target = 57.0 % ÷ 108 h = {:.3} % an hour", pace.target * 3_600.0 * 100.0),
            format!("actual = 6.0 % ÷ 12 h = {:.3} % an hour", pace.actual * 3_600.0 * 100.0),
            format!("pace = {:.2}", pace.ratio),
            format!("allowance = 63.0 % × 24 h ÷ 120 h = {}", percent(pace.allowance)),
            format!("left today = 12.6 % − 6.0 % = {}", percent(pace.left_today)),
            format!("used up in 57.0 % ÷ 0.500 % = {}", hours(exhaustion.at)),
            format!("between {} and {}", hours(exhaustion.earliest), hours(exhaustion.latest.unwrap())),
        ] {
            assert!(page.contains(&told), "docs/budget.md does not say: {told}");
        }
        assert_eq!(exhaustion.before_reset, exhaustion.at < week().ends);
    }

    #[test]
    fn a_fresh_week_is_a_seventh_a_day() {
        let pace = pace(&asked(0.0, 0, 0.0, [0.0; PARTS]), Wall(0));
        assert!(near(pace.allowance, 1.0 / 7.0) && near(pace.target * 86_400.0, 1.0 / 7.0));
        assert_eq!((pace.ratio, pace.exhaustion), (0.0, None));
    }

    #[test]
    fn savings_are_spread_and_overspend_narrows() {
        let after = |used| pace(&asked(used, 1, 0.0, [0.0; PARTS]), Wall(DAY)).allowance;
        assert!(near(after(1.0 / 7.0), 1.0 / 7.0));
        assert!(near(after(0.0), 1.0 / 6.0) && near(after(0.4), 0.1));
    }

    #[test]
    fn a_used_up_window_has_no_target() {
        let pace = pace(&asked(1.2, 3, 0.1, [0.01; PARTS]), Wall(3 * DAY));
        assert_eq!(
            (pace.remaining, pace.ratio, pace.exhaustion.unwrap().at),
            (0.0, f64::INFINITY, Wall(3 * DAY))
        );
        assert!(pace.exhaustion.unwrap().before_reset);
    }

    #[test]
    fn even_spending_is_certain_and_uneven_is_not() {
        let even = pace(&asked(0.5, 3, 0.0, [0.01; PARTS]), Wall(3 * DAY)).exhaustion.unwrap();
        assert_eq!((even.earliest, even.latest), (even.at, Some(even.at)));
        let mut burst = [0.0; PARTS];
        burst[7] = 0.08;
        let uneven = pace(&asked(0.5, 3, 0.0, burst), Wall(3 * DAY)).exhaustion.unwrap();
        assert_eq!((uneven.at, uneven.latest), (even.at, None));
        assert!(uneven.earliest < even.earliest);
    }

    proptest! {
        /// Whoever spends each day what the day allows is through at the end, whatever was before.
        #[test]
        fn allowances_add_up_to_what_is_left(used in 0.0f64..1.0, from in 0i64..7) {
            let mut spent = used;
            for today in from..7 {
                spent += pace(&asked(spent, today, 0.0, [0.0; PARTS]), Wall(today * DAY)).allowance;
            }
            prop_assert!((spent - 1.0).abs() < 1e-9);
        }

        #[test]
        fn the_allowance_of_a_day_does_not_change_while_it_is_spent(used in 0.0f64..0.9, part in 0.0f64..0.1, hour in 0i64..24) {
            let at = |spent: f64, hour: i64| pace(&asked(used + spent, 3, spent, [0.0; PARTS]), Wall(3 * DAY + hour * HOUR)).allowance;
            prop_assert!((at(0.0, 0) - at(part, hour)).abs() < 1e-9);
        }

        #[test]
        fn figures_are_finite_or_told(used in 0.0f64..3.0, part in 0.0f64..1.0, now in -10 * DAY..20 * DAY) {
            let pace = pace(&asked(used, 3, part, [part; PARTS]), Wall(now));
            prop_assert!(pace.remaining >= 0.0 && pace.target >= 0.0 && !pace.ratio.is_nan() && pace.allowance.is_finite());
        }
    }
}
