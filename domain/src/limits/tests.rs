use proptest::prelude::*;

use super::*;

const MINUTE: i64 = 60_000;
const HOUR: i64 = 60 * MINUTE;

fn reading(used: f64, observed: i64, source: Source) -> Reading {
    Reading {
        account: AccountName::new("anthropic"),
        provider: "anthropic".to_owned(),
        window: WindowName::parse("5h").unwrap(),
        length: Some(Duration::from_secs(5 * 3600)),
        used_ratio: used,
        resets_at: Some(Wall(4 * HOUR)),
        observed_at: Wall(observed),
        source,
    }
}

fn standing(readings: &[Reading], now: i64) -> Standing {
    let mut windows = Windows::default();
    for reading in readings {
        windows.take(reading.clone());
    }
    windows.standings(Wall(now)).remove(0)
}

#[test]
fn windows_have_one_name_each_and_the_shorter_comes_first() {
    let name = |minutes: u64, scope| WindowName::of(Duration::from_secs(minutes * 60), scope).to_string();
    assert_eq!((name(300, None), name(10_080, Some("Opus 5"))), ("5h".to_owned(), "7d-opus-5".to_owned()));
    assert_eq!((name(90, None), name(1440, None)), ("90m".to_owned(), "1d".to_owned()));
    let parse = |name| WindowName::parse(name).map(|name| name.to_string());
    assert_eq!(parse("168h").unwrap(), "7d");
    assert_eq!(parse("month").unwrap(), "month");
    for bad in ["", "5 h", "5", "0h", "5w", "-5h", "a/b", "99999999999999999999d"] {
        assert!(parse(bad).unwrap_err().to_string().contains("is not a window"), "{bad}");
    }
    let mut names = ["month", "spend", "7d-opus", "7d", "5h"].map(|name| WindowName::parse(name).unwrap());
    names.sort();
    assert_eq!(names.map(|name| name.to_string()), ["5h", "7d", "7d-opus", "month", "spend"]);
    let opus = WindowName::parse("7d-opus").unwrap();
    assert_eq!((opus.scope(), opus.length()), (Some("opus"), Some(Duration::from_secs(7 * 86_400))));
}

#[test]
fn who_pays_is_the_rosters_word_else_the_provider() {
    let account =
        |rostered, runtime, model| account_of(rostered, runtime, model).map(AccountName::into_string);
    assert_eq!(account(Some("max-1"), "claude", None).as_deref(), Some("max-1"));
    assert_eq!(account(Some(""), "claude", None).as_deref(), Some("anthropic"));
    assert_eq!(account(None, "codex", None).as_deref(), Some("openai"));
    assert_eq!(account(None, "opencode", Some("anthropic/claude-sonnet-5")).as_deref(), Some("anthropic"));
    assert_eq!(account(None, "pi", Some("llama")), None);
}

#[test]
fn a_share_may_fall_before_its_reset_and_a_newer_sighting_wins() {
    let seen = [reading(0.9, 1, Source::Statusline), reading(0.2, 2, Source::Rollout)];
    assert_eq!(standing(&seen, 3).used_ratio(), Some(0.2));
}

#[test]
fn a_provider_that_holds_beats_a_newer_user_and_an_aged_one_does_not() {
    let seen = [reading(0.4, 0, Source::Statusline), reading(0.6, MINUTE, Source::User)];
    assert_eq!(standing(&seen, 15 * MINUTE).provenance, Provenance::Provider);
    let later = standing(&seen, 16 * MINUTE);
    assert_eq!((later.provenance, later.used_ratio()), (Provenance::User, Some(0.6)));
    let alone = standing(&seen[..1], 16 * MINUTE);
    assert_eq!((alone.provenance, alone.used_ratio()), (Provenance::Estimated, Some(0.4)));
}

#[test]
fn what_was_seen_before_the_reset_is_kept_with_its_age_and_says_nothing_of_now() {
    let past = standing(&[reading(0.4, 0, Source::Statusline)], 4 * HOUR);
    assert_eq!((past.provenance, past.used_ratio(), past.resets_at()), (Provenance::Unknown, None, None));
    assert_eq!((past.reading.used_ratio, past.age), (0.4, Duration::from_secs(4 * 3600)));
    let endless = Reading { resets_at: None, ..reading(0.4, 0, Source::Statusline) };
    assert!(!endless.is_past(Wall(5 * HOUR - 1)) && endless.is_past(Wall(5 * HOUR)));
}

#[test]
fn figures_that_nobody_can_mean_are_no_reading() {
    for used in [f64::NAN, f64::INFINITY, -0.1, 1001.0] {
        assert_eq!(reading(used, 1, Source::User).checked(), None);
    }
    let far = Reading { resets_at: Some(Wall(i64::MAX)), ..reading(-0.0, 1, Source::User) };
    let checked = far.checked().unwrap();
    assert_eq!((checked.resets_at, checked.used_ratio.to_bits()), (None, 0));
    assert_eq!(Reading { account: AccountName::default(), ..reading(0.1, 1, Source::User) }.checked(), None);
}

#[test]
fn a_users_word_can_be_taken_back() {
    let mut windows = Windows::default();
    let user = reading(0.4, 0, Source::User);
    windows.take(user.clone());
    assert!(windows.forget(&user.account, &user.window, Provenance::User));
    assert!(!windows.forget(&user.account, &user.window, Provenance::User));
    assert!(windows.standings(Wall(0)).is_empty());
}

prop_compose! {
    fn sightings()(
        seen in proptest::collection::vec((0u8..3, 0u8..3, 0u8..4, 0i64..20, 0usize..8, any::<bool>()), 0..40)
    ) -> Vec<Reading> {
        let one = |(account, window, used, at, source, ends): (u8, u8, u8, i64, usize, bool)| Reading {
            account: AccountName::new(format!("a{account}")),
            window: WindowName::parse(["5h", "7d", "7d-opus"][usize::from(window)]).unwrap(),
            resets_at: ends.then_some(Wall(10 * MINUTE)),
            ..reading(f64::from(used) / 2.0, at * MINUTE, Source::ALL[source])
        };
        seen.into_iter().map(one).collect()
    }
}

fn merged(seen: &[Reading]) -> Windows {
    let mut windows = Windows::default();
    for reading in seen {
        windows.take(reading.clone());
    }
    windows
}

proptest! {
    #[test]
    fn order_and_repetition_do_not_matter(seen in sightings(), pivot in any::<prop::sample::Index>()) {
        let mut turned: Vec<Reading> = seen.iter().chain(&seen).cloned().collect();
        if !turned.is_empty() {
            let by = pivot.index(turned.len());
            turned.rotate_left(by);
            turned.reverse();
        }
        prop_assert_eq!(merged(&seen), merged(&turned));
    }

    #[test]
    fn only_what_was_seen_stands_and_nothing_that_was_seen_is_lost(seen in sightings(), now in 0i64..30) {
        let windows = merged(&seen);
        let now = Wall(now * MINUTE);
        let standings = windows.standings(now);
        for standing in &standings {
            prop_assert!(seen.contains(&standing.reading));
            prop_assert_eq!(standing.used_ratio().is_none(), standing.reading.is_past(now));
        }
        for reading in &seen {
            let here = |s: &&Standing| (&s.reading.account, &s.reading.window) == (&reading.account, &reading.window);
            prop_assert_eq!(standings.iter().filter(here).count(), 1);
        }
    }

    #[test]
    fn of_the_readings_of_one_teller_the_newest_stands(seen in sightings()) {
        let mut told = seen.clone();
        told.retain(|reading| reading.provenance() == Provenance::Provider);
        for standing in merged(&told).standings(Wall(0)) {
            let of = told.iter().filter(|r| (&r.account, &r.window) == (&standing.reading.account, &standing.reading.window));
            prop_assert_eq!(of.map(|r| r.observed_at).max(), Some(standing.reading.observed_at));
        }
    }

    #[test]
    fn any_text_is_a_window_or_a_mistake_and_a_window_reads_itself_again(text in "\\PC{0,90}|[0-9a-z-]{0,90}", minutes in 1u64..100_000) {
        if let Ok(name) = WindowName::parse(&text) {
            prop_assert_eq!(WindowName::parse(name.as_str()), Ok(name));
        }
        let name = WindowName::of(Duration::from_secs(minutes * 60), Some(&text));
        prop_assert_eq!(name.length(), Some(Duration::from_secs(minutes * 60)));
        prop_assert_eq!(WindowName::parse(name.as_str()), Ok(name.clone()));
        let custom = WindowName::custom(&text);
        prop_assert_eq!(WindowName::parse(custom.as_str()), Ok(custom));
    }
}
