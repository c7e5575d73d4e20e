use jiff::tz::TimeZone;

use super::*;
use crate::budget::schedule::Every;

const HOUR: i64 = 3_600_000;
const NOW: Wall = Wall(1_000 * HOUR);

/// Tokens at times.
struct Spent(Vec<(i64, u64)>);

impl Ledger for Spent {
    fn spent(&self, stretch: Stretch) -> Used {
        let tokens = self.0.iter().filter(|(at, _)| stretch.holds(Wall(*at))).map(|(_, tokens)| tokens).sum();
        Used { tokens, ..Used::default() }
    }

    fn first(&self, stretch: Stretch) -> Option<Wall> {
        self.0.iter().map(|(at, _)| Wall(*at)).filter(|at| stretch.holds(*at)).min()
    }
}

fn ago(hours: f64) -> Wall {
    Wall(NOW.0 - (hours * HOUR as f64) as i64)
}

fn weekly() -> WindowSpec {
    WindowSpec::told("7d", Duration::from_secs(7 * 86_400))
}

fn told(used: f64, at: Wall, resets_in_hours: i64) -> Fact {
    Fact { used: Some(used), resets_at: Some(Wall(NOW.0 + resets_in_hours * HOUR)), at }
}

fn look(known: &Known<'_>, spent: Vec<(i64, u64)>) -> Standing {
    standing(known, &Spent(spent), NOW)
}

fn known(spec: &WindowSpec) -> Known<'_> {
    Known { spec, provider: None, setting: None, capacity: None, stale_after: Duration::from_secs(900) }
}

#[test]
fn the_provider_beats_the_owner_who_beats_the_ledger() {
    let spec = WindowSpec { limit: Some(Amount::Tokens(1_000)), ..weekly() };
    let fixed = Schedule::Fixed { anchor: ago(24.0), every: Every::Days(7), zone: TimeZone::UTC };
    let setting = Setting { used: Some((0.42, ago(2.0))), schedule: Some(fixed), limit: None };
    let spent = vec![(ago(20.0).0, 100), (ago(1.0).0, 50)];
    let by_ledger = look(
        &Known { setting: Some(&Setting { used: None, ..setting.clone() }), ..known(&spec) },
        spent.clone(),
    );
    assert_eq!((by_ledger.used, by_ledger.used_by), (Some(0.15), Provenance::Estimated));
    let by_user = look(&Known { setting: Some(&setting), ..known(&spec) }, spent.clone());
    assert!((by_user.used.unwrap() - 0.47).abs() < 1e-9);
    assert_eq!((by_user.used_by, by_user.resets_by), (Provenance::User, Provenance::User));
    let fact = told(0.6, ago(0.1), 30);
    let by_provider = look(&Known { provider: Some(fact), setting: Some(&setting), ..known(&spec) }, spent);
    assert_eq!((by_provider.used, by_provider.used_by), (Some(0.6), Provenance::Provider));
    assert_eq!(by_provider.stretch.unwrap().ends, fact.resets_at.unwrap());
}

#[test]
fn an_old_figure_is_carried_on_by_the_ledger_and_called_estimated() {
    let spec = weekly();
    let of = Known { provider: Some(told(0.5, ago(3.0), 30)), capacity: Some(10_000.0), ..known(&spec) };
    let idle = look(&of, vec![(ago(5.0).0, 700)]);
    assert_eq!((idle.used, idle.used_by, idle.stale), (Some(0.5), Provenance::Provider, false));
    let busy = look(&of, vec![(ago(1.0).0, 500)]);
    assert_eq!((busy.used, busy.used_by, busy.stale), (Some(0.55), Provenance::Estimated, true));
}

#[test]
fn a_window_that_reset_since_begins_anew() {
    let spec = WindowSpec::told("5h", Duration::from_secs(5 * 3_600));
    let of = Known { provider: Some(told(0.9, ago(4.0), -2)), capacity: Some(1_000.0), ..known(&spec) };
    let standing = look(&of, vec![(ago(3.0).0, 900), (ago(1.0).0, 100)]);
    assert_eq!((standing.used, standing.used_by), (Some(0.1), Provenance::Estimated));
    assert_eq!(standing.stretch.unwrap(), Stretch { begins: ago(1.0), ends: Wall(NOW.0 + 4 * HOUR) });
}

#[test]
fn nothing_is_invented() {
    let spec = weekly();
    let standing = look(&known(&spec), vec![(ago(1.0).0, 100)]);
    assert_eq!((standing.used, standing.stretch, standing.limit), (None, None, None));
    assert_eq!(
        (standing.used_by, standing.resets_by, standing.limit_by),
        (Provenance::Unknown, Provenance::Unknown, Provenance::Unknown)
    );
}

#[test]
fn an_early_reset_and_a_changed_limit_hold_at_once() {
    let spec = weekly();
    let of = Known { provider: Some(told(0.02, ago(0.01), 24 * 7)), ..known(&spec) };
    assert_eq!(look(&of, vec![]).used, Some(0.02));
    let mut spec = WindowSpec { limit: Some(Amount::Tokens(1_000)), ..weekly() };
    spec.schedule = Some(Schedule::Fixed { anchor: ago(24.0), every: Every::Days(7), zone: TimeZone::UTC });
    let spent = vec![(ago(2.0).0, 200)];
    assert_eq!(look(&known(&spec), spent.clone()).used, Some(0.2));
    spec.limit = Some(Amount::Tokens(400));
    assert_eq!(look(&known(&spec), spent).used, Some(0.5));
}

#[test]
fn a_full_window_is_learned_from_how_the_figure_rises() {
    let mut capacity = Capacity::default();
    let spent = |tokens| move |_: Stretch| Used { tokens, ..Used::default() };
    capacity.learn(told(0.10, ago(5.0), 30), spent(0));
    capacity.learn(told(0.105, ago(4.0), 30), spent(999_999));
    assert_eq!(capacity.tokens, None, "a step too small says nothing");
    capacity.learn(told(0.20, ago(3.0), 30), spent(100));
    assert!((capacity.tokens.unwrap() - 1_000.0).abs() < 1e-6);
    capacity.learn(told(0.01, ago(2.0), 168), spent(100));
    assert!((capacity.tokens.unwrap() - 1_000.0).abs() < 1e-6, "a reset is no step");
    capacity.learn(told(0.11, ago(1.0), 168), spent(200));
    assert!((capacity.tokens.unwrap() - 1_300.0).abs() < 1e-6);
}
