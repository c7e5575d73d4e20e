//! One window of one account in the gate: where it stands, what is held of it, and how much of an even spread it has
//! saved up.

use std::cell::RefCell;
use std::time::Duration;

use crate::limits::Provenance;
use crate::time::Wall;

use super::super::amount::{Amount, Used};
use super::super::config::{Config, WindowSpec};
use super::super::schedule::Stretch;
use super::super::spend::{Book, Payer};
use super::super::standing::{Capacity, Fact, Known, Ledger, Setting, Standing, share, standing};
use super::meter::Whose;
use super::pulse::Pulse;

/// At most so much of a window's time is saved up and may be spent at once: with it, a window cannot be through before
/// 98 % of its time are.
pub(super) const BURST: f64 = 0.02;
/// Debt beyond it is not paid back but spread over what is left, as every overspend is.
const DEBT: f64 = 0.05;
/// A standing is worked out anew after this time, as facts age.
const FRESH: Duration = Duration::from_secs(60);

#[derive(Debug, Clone)]
pub(super) struct Window {
    pub(super) spec: WindowSpec,
    pub(super) provider: Option<Fact>,
    pub(super) setting: Option<Setting>,
    pub(super) capacity: Capacity,
    pub(super) held: Used,
    /// How fast what is held is spent.
    pub(super) pulse: Pulse,
    pub(super) credit: Credit,
    /// To the response what was spent after each figure that somebody told.
    pub(super) since: Vec<(Wall, Used)>,
    /// The ledger's sum of the window at hand, kept up to date.
    pub(super) counted: RefCell<Option<(Stretch, Used)>>,
    pub(super) looked: RefCell<Option<Looked>>,
}

#[derive(Debug, Clone)]
pub(super) struct Looked {
    at: Wall,
    standing: Standing,
}

/// What of the even spread is saved up: it grows at the target rate, and what is committed is taken from it. A share of
/// the limit.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(super) struct Credit {
    pub(super) saved: f64,
    at: Option<Wall>,
    committed: f64,
    ends: Wall,
    /// What is used was told by somebody, once.
    told: bool,
}

/// One account's part of the ledger, as far as a window counts it.
struct Part<'p> {
    book: &'p Book,
    config: &'p Config,
    account: &'p str,
    spec: &'p WindowSpec,
    since: &'p [(Wall, Used)],
    counted: Option<&'p RefCell<Option<(Stretch, Used)>>>,
}

impl Part<'_> {
    fn counts(&self, payer: &Payer) -> bool {
        Whose::of(payer, self.config).account == self.account && self.spec.counts(&payer.model)
    }
}

impl Ledger for Part<'_> {
    fn spent(&self, stretch: Stretch) -> Used {
        let count = || self.book.within(stretch, |payer| self.counts(payer));
        let Some(counted) = self.counted.filter(|_| stretch.ends.0 != i64::MAX) else { return count() };
        let mut counted = counted.borrow_mut();
        match *counted {
            Some((known, used)) if known == stretch => used,
            _ => counted.insert((stretch, count())).1,
        }
    }

    fn first(&self, stretch: Stretch) -> Option<Wall> {
        self.book.first(stretch, |payer| self.counts(payer))
    }

    fn since(&self, at: Wall) -> Used {
        let known = self.since.iter().find(|(from, _)| *from == at);
        known.map_or_else(|| self.spent(Stretch { begins: at, ends: Wall(i64::MAX) }), |(_, used)| *used)
    }
}

impl Window {
    pub(super) fn new(spec: WindowSpec) -> Self {
        Self {
            spec,
            provider: None,
            setting: None,
            capacity: Capacity::default(),
            held: Used::default(),
            pulse: Pulse::default(),
            credit: Credit::default(),
            since: Vec::new(),
            counted: RefCell::default(),
            looked: RefCell::default(),
        }
    }

    /// Somebody says something of it beside the file.
    pub(super) fn told_of(&self) -> bool {
        self.provider.is_some() || self.setting.is_some()
    }

    /// The ledger itself is another.
    pub(super) fn recounted(&mut self) {
        self.counted.replace(None);
        self.changed();
    }

    /// Something that the standing rests on is another.
    pub(super) fn changed(&mut self) {
        self.looked.replace(None);
    }

    /// What was spent is added where it can be, so that not every response costs a new look.
    pub(super) fn spent(&mut self, at: Wall, used: Used) {
        for (_, since) in self.since.iter_mut().filter(|(from, _)| *from <= at) {
            since.add(used);
        }
        if let Some((stretch, sum)) = self.counted.get_mut()
            && stretch.holds(at)
        {
            sum.add(used);
        }
        let mut looked = self.looked.borrow_mut();
        let Some(Looked { standing, .. }) = looked.as_mut() else { return };
        let counted = standing.at.or(standing.stretch.map(|stretch| stretch.begins));
        // A window that nobody knows the bounds of, or that begins with this use.
        if standing.stretch.is_none_or(|stretch| !stretch.holds(at)) || standing.ours.is_zero() {
            *looked = None;
            return;
        }
        standing.ours.add(used);
        if counted.is_some_and(|from| from <= at) {
            if let Some(more) = share(standing.limit, self.capacity.tokens, used) {
                standing.used = standing.used.map(|known| known + more);
            }
            if standing.at.is_some() {
                standing.since.add(used);
            }
        }
    }

    pub(super) fn learn(&mut self, fact: Fact, account: &str, config: &Config, book: &Book) {
        let Self { spec, capacity, since, .. } = self;
        let anchor = capacity.anchor_at();
        // To the response where it was followed; stretches of five minutes would count those of the first one twice.
        let exact = since.iter().find(|(from, _)| Some(*from) == anchor).map(|(_, used)| *used);
        capacity.learn(fact, |stretch| {
            exact.unwrap_or_else(|| {
                Part { book, config, account, spec, since: &[], counted: None }.spent(stretch)
            })
        });
        self.provider = Some(fact);
        self.told(fact.at);
    }

    pub(super) fn set(&mut self, setting: Option<Setting>) {
        let at = setting.as_ref().and_then(|setting| setting.used).map(|(_, at)| at);
        self.setting = setting;
        // A correction is no spending.
        self.credit.told = false;
        match at {
            Some(at) => self.told(at),
            None => self.changed(),
        }
    }

    /// A figure of that moment is to be carried on.
    fn told(&mut self, at: Wall) {
        let set = self.setting.as_ref().and_then(|setting| setting.used).map(|(_, at)| at);
        let provider = self.provider.map(|fact| fact.at);
        let kept = [set, provider, self.capacity.anchor_at()];
        self.since.retain(|(from, _)| *from != at && kept.contains(&Some(*from)));
        self.since.push((at, Used::default()));
        self.changed();
    }

    pub(super) fn standing(&self, account: &str, config: &Config, book: &Book, now: Wall) -> Standing {
        self.with_standing(account, config, book, now, Standing::clone)
    }

    pub(super) fn with_standing<T>(
        &self,
        account: &str,
        config: &Config,
        book: &Book,
        now: Wall,
        look: impl FnOnce(&Standing) -> T,
    ) -> T {
        let mut looked = self.looked.borrow_mut();
        let fresh = looked.as_ref().is_some_and(|looked| {
            let same = looked.standing.stretch.is_none_or(|stretch| stretch.holds(now));
            same && looked.at <= now && looked.at.age_at(now) < FRESH
        });
        if !fresh {
            let known = Known {
                spec: &self.spec,
                provider: self.provider,
                setting: self.setting.as_ref(),
                capacity: self.capacity.tokens,
                stale_after: config.stale_after,
            };
            let part = Part { counted: Some(&self.counted), ..self.part(account, config, book) };
            *looked = Some(Looked { at: now, standing: standing(&known, &part, now) });
        }
        match looked.as_ref() {
            Some(looked) => look(&looked.standing),
            None => look(&UNKNOWN),
        }
    }

    fn part<'p>(&'p self, account: &'p str, config: &'p Config, book: &'p Book) -> Part<'p> {
        Part { book, config, account, spec: &self.spec, since: &self.since, counted: None }
    }

    /// Used and held together, as a share; `None` where nobody knows what is used.
    pub(super) fn committed(&self, standing: &Standing) -> Option<f64> {
        Some(standing.used? + self.share(standing, self.held).unwrap_or(0.0))
    }

    /// What part of what is held counts before the window ends: all of it where its owner set a limit.
    pub(super) fn due(&self, standing: &Standing, now: Wall) -> f64 {
        match standing.stretch.filter(|_| standing.limit.is_none()) {
            Some(stretch) => self.pulse.part(now.age_at(stretch.ends)),
            None => 1.0,
        }
    }

    /// Used, and of what is held, with `more`, what can be spent before the window ends; as a share.
    pub(super) fn bound(&self, standing: &Standing, more: Used, now: Wall) -> Option<f64> {
        let mut held = self.held;
        held.add(more);
        Some(standing.used? + self.share(standing, held).unwrap_or(0.0) * self.due(standing, now))
    }

    pub(super) fn share(&self, standing: &Standing, used: Used) -> Option<f64> {
        share(standing.limit, self.capacity.tokens, used)
    }

    /// Brings the savings up to `now`; answers the rate at which they grow, in shares a second.
    pub(super) fn accrue(&mut self, standing: &Standing, now: Wall) -> Option<f64> {
        let (stretch, committed) = (standing.stretch?, self.committed(standing)?);
        let left = now.age_at(stretch.ends).as_secs_f64();
        let rate = if left > 0.0 { (1.0 - standing.used?).max(0.0) / left } else { 0.0 };
        let most = rate * stretch.length().as_secs_f64() * BURST;
        let credit = &mut self.credit;
        if standing.at.is_some() && !credit.told {
            (credit.told, credit.committed) = (true, committed);
        }
        match credit.at {
            // The same window: a reset time that a provider corrects by minutes is no new one.
            Some(at) if at <= now && credit.ends.0.abs_diff(stretch.ends.0) < 600_000 => {
                credit.saved += rate * at.age_at(now).as_secs_f64() - (committed - credit.committed);
            }
            _ => credit.saved = most,
        }
        credit.saved = credit.saved.clamp(-DEBT, most.max(-DEBT));
        (credit.at, credit.committed, credit.ends) = (Some(now), committed, stretch.ends);
        Some(rate)
    }

    /// So much will be committed by somebody's authorization: it is not taken from the savings.
    pub(super) fn forgive(&mut self, part: f64) {
        self.credit.committed += part;
    }

    /// By the same figures as [`super::super::pace`]: parts of a stretch as shares.
    pub(super) fn parts<const N: usize>(
        &self,
        account: &str,
        config: &Config,
        book: &Book,
        stretch: Stretch,
        limit: Option<Amount>,
    ) -> [f64; N] {
        let part = self.part(account, config, book);
        let spent = book.parts(stretch, N, |payer| part.counts(payer));
        let mut shares = [0.0; N];
        for (to, used) in shares.iter_mut().zip(spent) {
            *to = share(limit, self.capacity.tokens, used).unwrap_or(0.0);
        }
        shares
    }

    pub(super) fn within(&self, account: &str, config: &Config, book: &Book, stretch: Stretch) -> Used {
        self.part(account, config, book).spent(stretch)
    }
}

const UNKNOWN: Standing = Standing {
    stretch: None,
    resets_by: Provenance::Unknown,
    limit: None,
    limit_by: Provenance::Unknown,
    used: None,
    used_by: Provenance::Unknown,
    ours: Used { tokens: 0, dollars: crate::price::Money(0) },
    at: None,
    stale: false,
    since: Used { tokens: 0, dollars: crate::price::Money(0) },
};
