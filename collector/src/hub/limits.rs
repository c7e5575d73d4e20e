//! Windows of accounts as every session tells of them, and what of it is worth keeping on the disk.

use std::collections::BTreeMap;
use std::time::Duration;

use fleet_domain::limits::{Provenance, Reading, Standing, WindowName, Windows};
use fleet_domain::{AccountName, TenantId, Wall};
use fleet_proto::limits::MAX_WINDOWS;

/// A reading that says what was said before is kept again only after this long: its age is shown in minutes.
const KEEP_EVERY: Duration = Duration::from_secs(60);

type Place = (TenantId, AccountName, WindowName, Provenance);

#[derive(Default)]
pub(super) struct Limits {
    windows: BTreeMap<TenantId, Windows>,
    /// As the store has them.
    kept: BTreeMap<Place, Reading>,
}

/// What became of a reading.
#[derive(Debug, PartialEq)]
pub(super) enum Taken {
    /// It says something new, to be kept.
    News(Reading),
    /// Known already, or newer than what is kept by seconds only.
    Known,
    /// There are as many windows as can be.
    Full,
}

impl Limits {
    pub(super) fn restore(&mut self, tenant: TenantId, reading: Reading) {
        self.kept.insert(place(&tenant, &reading), reading.clone());
        self.windows.entry(tenant).or_default().take(reading);
    }

    /// Nothing is seen in the future: a wrong clock must not stand for ever.
    pub(super) fn take(&mut self, tenant: &TenantId, reading: Reading, now: Wall) -> Taken {
        let reading = Reading { observed_at: reading.observed_at.min(now), ..reading };
        let windows = self.windows.entry(tenant.clone()).or_default();
        if windows.len() >= MAX_WINDOWS && !windows.knows(&reading.account, &reading.window) {
            return Taken::Full;
        }
        if !windows.take(reading.clone()) {
            return Taken::Known;
        }
        let place = place(tenant, &reading);
        let same = self.kept.get(&place).is_some_and(|kept| {
            kept.used_ratio.to_bits() == reading.used_ratio.to_bits()
                && kept.resets_at == reading.resets_at
                && reading.observed_at.age_at(kept.observed_at).is_zero()
                && kept.observed_at.age_at(reading.observed_at) < KEEP_EVERY
        });
        if same {
            return Taken::Known;
        }
        self.kept.insert(place, reading.clone());
        Taken::News(reading)
    }

    pub(super) fn standings(&self, now: Wall) -> Vec<(TenantId, Standing)> {
        let of = |(tenant, windows): (&TenantId, &Windows)| {
            let tenant = tenant.clone();
            windows.standings(now).into_iter().map(move |standing| (tenant.clone(), standing))
        };
        self.windows.iter().flat_map(of).collect()
    }
}

fn place(tenant: &TenantId, reading: &Reading) -> Place {
    (tenant.clone(), reading.account.clone(), reading.window.clone(), reading.provenance())
}

#[cfg(test)]
mod tests {
    use fleet_domain::limits::Source;

    use super::*;

    fn reading(window: &str, used: f64, at: i64) -> Reading {
        Reading {
            account: AccountName::new("a"),
            provider: "anthropic".to_owned(),
            window: WindowName::parse(window).unwrap(),
            length: None,
            used_ratio: used,
            resets_at: None,
            observed_at: Wall(at),
            source: Source::Statusline,
        }
    }

    #[test]
    fn the_disk_hears_of_news_and_of_what_was_confirmed_a_minute_later() {
        let (mut limits, me) = (Limits::default(), TenantId::new("me"));
        let mut take =
            |used, at| matches!(limits.take(&me, reading("5h", used, at), Wall(90_000)), Taken::News(_));
        assert!(take(0.1, 1_000));
        assert!(!take(0.1, 2_000));
        assert!(take(0.2, 3_000));
        assert!(!take(0.1, 2_500), "an older one is no news");
        assert!(take(0.2, 63_000));
    }

    #[test]
    fn a_clock_that_is_ahead_does_not_stand_for_ever() {
        let (mut limits, me) = (Limits::default(), TenantId::new("me"));
        limits.take(&me, reading("5h", 0.1, i64::MAX), Wall(1_000));
        limits.take(&me, reading("5h", 0.2, 1_001), Wall(1_001));
        assert_eq!(limits.standings(Wall(1_001))[0].1.used_ratio(), Some(0.2));
    }

    #[test]
    fn windows_are_bounded() {
        let (mut limits, me) = (Limits::default(), TenantId::new("me"));
        for n in 0..MAX_WINDOWS {
            limits.take(&me, reading(&format!("7d-{n}"), 0.1, 1), Wall(1));
        }
        assert_eq!(limits.take(&me, reading("7d-more", 0.1, 1), Wall(1)), Taken::Full);
        assert!(matches!(limits.take(&me, reading("7d-1", 0.3, 1), Wall(1)), Taken::News(_)));
    }
}
