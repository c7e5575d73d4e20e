//! Where a window stands: what its provider told, what its owner set and what our own ledger knows, put together.
//!
//! The provider's figure beats the owner's, and the owner's beats the ledger's. A figure that grew old is carried on by
//! what our ledger saw since, and is then called estimated; so is a window that has reset since it was told of.

use std::time::Duration;

use crate::limits::Provenance;
use crate::time::Wall;

use super::amount::{Amount, Used};
use super::config::WindowSpec;
use super::schedule::{Schedule, Stretch};

/// What somebody said of a window at a moment.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Fact {
    /// A share of the limit; may be above one.
    pub used: Option<f64>,
    pub resets_at: Option<Wall>,
    pub at: Wall,
}

/// What a window's owner set by hand; what is `None` is as the file says.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Setting {
    pub limit: Option<Amount>,
    /// A share of the limit, and when it was so.
    pub used: Option<(f64, Wall)>,
    pub schedule: Option<Schedule>,
}

/// What our own ledger can say.
pub trait Ledger {
    fn spent(&self, stretch: Stretch) -> Used;
    fn first(&self, stretch: Stretch) -> Option<Wall>;

    /// What was spent after somebody told a figure.
    fn since(&self, at: Wall) -> Used {
        self.spent(Stretch { begins: at, ends: Wall(i64::MAX) })
    }
}

#[derive(Debug, Clone, PartialEq)]
pub struct Standing {
    pub stretch: Option<Stretch>,
    pub resets_by: Provenance,
    pub limit: Option<Amount>,
    pub limit_by: Provenance,
    /// A share of the limit; `None` where nobody knows.
    pub used: Option<f64>,
    pub used_by: Provenance,
    /// By our ledger within the window.
    pub ours: Used,
    /// Of the figure that `used` rests on; `None` where it is the ledger's alone.
    pub at: Option<Wall>,
    /// The provider's figure is old, and there was spending since.
    pub stale: bool,
    /// Of `used`, what our ledger added to somebody's figure.
    pub since: Used,
}

/// Tokens that make one window full, learned from how the provider's figure rose with our ledger. An estimate: others
/// may spend from the same account, which makes it smaller, so that it errs to the careful side.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Capacity {
    anchor: Option<Fact>,
    pub tokens: Option<f64>,
}

/// A step of the provider's figure below this says little of what made it.
const LEAST_STEP: f64 = 0.01;
/// How much of a new sample is taken on.
const WEIGHT: f64 = 0.3;

impl Capacity {
    pub fn known(tokens: Option<f64>) -> Self {
        Self { anchor: None, tokens: tokens.filter(|tokens| tokens.is_finite() && *tokens >= 1.0) }
    }

    /// When the figure was told from which the next step is measured.
    pub fn anchor_at(&self) -> Option<Wall> {
        self.anchor.map(|fact| fact.at)
    }

    /// Takes in a provider's figure; `spent` says what our ledger saw between two moments.
    pub fn learn(&mut self, fact: Fact, spent: impl FnOnce(Stretch) -> Used) {
        let Some(used) = fact.used else { return };
        let before =
            self.anchor.filter(|anchor| same_window(anchor.resets_at, fact.resets_at) && anchor.at < fact.at);
        let Some((anchor, was)) =
            before.and_then(|anchor| Some((anchor, anchor.used?))).filter(|(_, was)| used >= *was)
        else {
            self.anchor = Some(fact);
            return;
        };
        if used - was < LEAST_STEP {
            return;
        }
        let tokens = spent(Stretch { begins: anchor.at, ends: fact.at }).tokens as f64;
        self.anchor = Some(fact);
        if tokens > 0.0 {
            let sample = tokens / (used - was);
            self.tokens = Some(self.tokens.map_or(sample, |known| known + WEIGHT * (sample - known)));
        }
    }
}

/// Providers' reset times wander by seconds.
fn same_window(a: Option<Wall>, b: Option<Wall>) -> bool {
    match (a, b) {
        (Some(a), Some(b)) => a.0.abs_diff(b.0) < 120_000,
        (a, b) => a == b,
    }
}

/// All that is known of one window.
pub struct Known<'k> {
    pub spec: &'k WindowSpec,
    pub provider: Option<Fact>,
    pub setting: Option<&'k Setting>,
    pub capacity: Option<f64>,
    pub stale_after: Duration,
}

pub fn standing(known: &Known<'_>, ledger: &impl Ledger, now: Wall) -> Standing {
    let (stretch, resets_by, told) = stretch(known, ledger, now);
    let (limit, limit_by) = limit(known);
    let ours = stretch.map(|stretch| ledger.spent(stretch)).unwrap_or_default();
    let set = known.setting.and_then(|setting| setting.used);
    let within = |at: Wall| stretch.is_none_or(|stretch| stretch.begins <= at);
    let by_provider = told.and_then(|fact| Some((fact.used?, fact.at, Provenance::Provider)));
    let by_user = set.map(|(used, at)| (used, at, Provenance::User)).filter(|(_, at, _)| within(*at));
    let mut standing = Standing {
        stretch,
        resets_by,
        limit,
        limit_by,
        used: None,
        used_by: Provenance::Unknown,
        ours,
        at: None,
        stale: false,
        since: Used::default(),
    };
    let share = |used: Used| share(limit, known.capacity, used);
    if let Some((used, at, by)) = by_provider.or(by_user) {
        let since = ledger.since(at);
        standing.stale = by == Provenance::Provider && at.age_at(now) > known.stale_after && !since.is_zero();
        standing.used = Some(used + share(since).unwrap_or(0.0));
        standing.used_by = if standing.stale { Provenance::Estimated } else { by };
        (standing.at, standing.since) = (Some(at), since);
    } else if let Some(used) = stretch.and_then(|_| share(ours)) {
        standing.used = Some(used);
        standing.used_by = Provenance::Estimated;
    }
    standing
}

/// What part of a full window so much is, where that can be told.
pub fn share(limit: Option<Amount>, capacity: Option<f64>, used: Used) -> Option<f64> {
    match limit {
        Some(limit) => Some(limit.of(used) as f64 / limit.size() as f64),
        None => Some(used.tokens as f64 / capacity?),
    }
}

/// The window's bounds, who says when it ends, and the provider's figure where it is of this window.
fn stretch(
    known: &Known<'_>,
    ledger: &impl Ledger,
    now: Wall,
) -> (Option<Stretch>, Provenance, Option<Fact>) {
    let length = known.spec.length;
    if let Some((fact, at)) = known.provider.and_then(|fact| Some((fact, fact.resets_at?)))
        && now < at
    {
        return (Some(Stretch { begins: at.minus(length), ends: at }), Provenance::Provider, Some(fact));
    }
    let set = known.setting.and_then(|setting| setting.schedule.as_ref());
    let schedule = set.or(known.spec.schedule.as_ref());
    // A figure without a reset is of the window at hand as long as that one has not ended since.
    let bare = known.provider.filter(|fact| fact.resets_at.is_none());
    match schedule {
        Some(Schedule::Rolling(length)) => {
            let first = known.provider.and_then(|fact| fact.resets_at).unwrap_or(now.minus(*length));
            let begun = ledger.first(Stretch { begins: first.max(now.minus(*length)), ends: now });
            let stretch = Schedule::Rolling(*length).around(now, begun);
            (Some(stretch), Provenance::Estimated, bare.filter(|fact| stretch.holds(fact.at)))
        }
        Some(Schedule::Once { at, .. }) if *at <= now => (None, Provenance::Unknown, bare),
        Some(schedule) => {
            let stretch = schedule.around(now, None);
            (Some(stretch), Provenance::User, bare.filter(|fact| stretch.holds(fact.at)))
        }
        None => match known.provider.and_then(|fact| fact.resets_at) {
            // It has reset since; the next one ends a length later at the soonest.
            Some(at) => {
                let stretch =
                    Schedule::Rolling(length).around(now, ledger.first(Stretch { begins: at, ends: now }));
                (Some(stretch), Provenance::Estimated, None)
            }
            None => (None, Provenance::Unknown, bare.filter(|fact| fact.at.age_at(now) < length)),
        },
    }
}

fn limit(known: &Known<'_>) -> (Option<Amount>, Provenance) {
    let set = known.setting.and_then(|setting| setting.limit).or(known.spec.limit);
    match set {
        Some(limit) => (Some(limit), Provenance::User),
        None => (None, if known.capacity.is_some() { Provenance::Estimated } else { Provenance::Unknown }),
    }
}

#[cfg(test)]
#[path = "standing_tests.rs"]
mod tests;
