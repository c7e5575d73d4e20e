//! What one account says to one task on one model: every bound that the task would count against.

use crate::limits::Provenance;
use crate::time::Wall;

use super::super::amount::{Amount, Used};
use super::super::config::Config;
use super::super::decision::{Ask, Estimate, Figure, Reason, Urgency};
use super::Gate;
use super::meter::Whose;
use super::tasks::{meter, title};
use super::window::BURST;

/// Figures that an answer shows.
const MAX_FIGURES: usize = 8;

/// What a place would take.
#[derive(Debug, Clone, Copy)]
pub(super) struct Need {
    pub(super) estimate: Estimate,
    pub(super) used: Used,
    pub(super) priced: bool,
}

/// Why there is no room, until when, and whether there never will be.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Block {
    pub(super) reason: Reason,
    pub(super) until: Option<Wall>,
    pub(super) never: bool,
}

/// What one account says to one task on one model.
#[derive(Debug, Default)]
pub(super) struct Look {
    pub(super) blocks: Vec<Block>,
    /// Pace would hold it back, and does not.
    pub(super) advice: Option<Reason>,
    pub(super) authorized: bool,
    pub(super) figures: Vec<Figure>,
}

impl Look {
    fn block(&mut self, reason: Reason, until: Option<Wall>, never: bool) {
        self.blocks.push(Block { reason, until, never });
    }

    pub(super) fn fits(&self) -> bool {
        self.blocks.is_empty()
    }
}

impl Gate {
    pub(super) fn look(
        &mut self,
        ask: &Ask,
        model: &str,
        account: Option<&str>,
        need: Need,
        now: Wall,
    ) -> Look {
        let mut look = Look::default();
        let name = account.unwrap_or_default();
        self.look_at_account(name, &mut look, now);
        self.look_at_ceilings(ask, model, name, need, &mut look, now);
        self.look_at_windows(ask, model, name, need, &mut look, now);
        let tight = |figure: &Figure| (figure.used + figure.held + figure.needed) / figure.limit;
        look.figures.sort_by(|a, b| tight(b).total_cmp(&tight(a)));
        look.figures.truncate(MAX_FIGURES);
        look
    }

    fn look_at_account(&mut self, account: &str, look: &mut Look, now: Wall) {
        match self.stuck.get(account).copied() {
            Some(until) if now < until => look.block(Reason::LimitHit, Some(until), false),
            Some(_) => drop(self.stuck.remove(account)),
            None => {}
        }
        let running = self.running.get(account).copied().unwrap_or(0);
        if let Some(most) = self.config.account(account).and_then(|account| account.concurrency)
            && running >= most
        {
            look.block(Reason::Concurrency, None, false);
            look.figures.push(tasks_figure(format!("account {account} at once"), running, most));
        }
    }

    fn look_at_ceilings(
        &mut self,
        ask: &Ask,
        model: &str,
        account: &str,
        need: Need,
        look: &mut Look,
        now: Wall,
    ) {
        let Self { config, meters, book, .. } = self;
        let config: &Config = config;
        let whose = Whose {
            tenant: &ask.tenant,
            provider: config.account(account).map_or("", |account| &account.provider),
            account,
            class: &ask.class,
            agent: &ask.agent,
            model,
        };
        for (index, ceiling) in config.ceilings.iter().enumerate() {
            let Some(name) = whose.under(ceiling) else { continue };
            let Some(meter) = meter(meters, index, name) else {
                look.block(Reason::Ceiling, None, false);
                continue;
            };
            meter.refresh(ceiling, name, config, book, now);
            if let Some(most) = ceiling.concurrency
                && meter.tasks >= most
            {
                look.block(Reason::Concurrency, None, false);
                look.figures.push(tasks_figure(title(ceiling, name), meter.tasks, most));
            }
            let Some(hard) = ceiling.hard else { continue };
            let until = meter.period.map(|period| period.ends);
            if !need.priced && matches!(hard, Amount::Dollars(_)) {
                look.block(Reason::PriceUnknown, None, true);
                continue;
            }
            let needed = hard.of(need.used);
            if needed > hard.size() {
                look.block(Reason::TooLarge, None, true);
            } else if meter.taken(hard).saturating_add(needed) > hard.size() {
                look.block(Reason::Ceiling, until, false);
            }
            let figure = amounts(hard, hard.of(meter.used), hard.of(meter.held), needed);
            look.figures.push(Figure { what: title(ceiling, name), ..figure });
        }
    }

    fn look_at_windows(
        &mut self,
        ask: &Ask,
        model: &str,
        account: &str,
        need: Need,
        look: &mut Look,
        now: Wall,
    ) {
        let authorized: u64 = if ask.urgency == Urgency::High {
            let of = self.authorizations.iter().filter(|one| one.account == account);
            of.map(|one| one.left(now)).fold(0, u64::saturating_add)
        } else {
            0
        };
        let Self { config, windows, book, .. } = self;
        for window in
            windows.get_mut(account).into_iter().flatten().filter(|window| window.spec.counts(model))
        {
            let standing = window.standing(account, config, book, now);
            let Some(used) = standing.used else { continue };
            let ends = standing.stretch.map(|stretch| stretch.ends).filter(|ends| *ends > now);
            let part = window.share(&standing, need.used);
            if !need.priced && matches!(standing.limit, Some(Amount::Dollars(_))) {
                look.block(Reason::PriceUnknown, None, true);
                continue;
            }
            window.pulse.turn(window.held.tokens, now);
            let bound = window.bound(&standing, need.used, now).unwrap_or(used);
            let due = window.due(&standing, now);
            let what = format!("account {account}, window {}", window.spec.name);
            let held = window.share(&standing, window.held).unwrap_or(0.0);
            let figure = Figure {
                what,
                unit: "share",
                used,
                held: held * due,
                needed: part.unwrap_or(0.0) * due,
                limit: 1.0,
                by: standing.used_by,
            };
            look.figures.push(figure);
            let needed = part.unwrap_or(0.0);
            if needed > 1.0 {
                look.block(Reason::TooLarge, None, true);
            } else if full(&standing.limit, standing.at.is_some(), &standing.ours, window.held, need)
                // What is held beyond a reset is the next window's, which has no more room than this one.
                .unwrap_or(bound > 1.0 || held + needed > 1.0 || used >= 1.0)
            {
                look.block(Reason::WindowFull, ends, false);
            } else if let Some(rate) = window.accrue(&standing, now) {
                let length = standing.stretch.map_or(0.0, |stretch| stretch.length().as_secs_f64());
                let wanted = needed.min(rate * length * BURST);
                let saved = window.credit.saved;
                // What a share of a rounding error is short of is not short.
                if saved + 1e-9 < wanted || (saved < 0.0 && part.is_none()) {
                    if authorized >= need.estimate.reserved {
                        look.authorized = true;
                    } else if config.enforce {
                        let wait = if rate > 0.0 { (wanted - saved) / rate } else { f64::INFINITY };
                        let at = Wall(now.0.saturating_add((wait.min(3.2e9) * 1000.0).ceil() as i64));
                        look.block(Reason::AheadOfPace, Some(ends.map_or(at, |ends| at.min(ends))), false);
                    } else {
                        look.advice = Some(Reason::AheadOfPace);
                    }
                }
            }
        }
    }
}

/// Exactly, in whole tokens or pico-dollars, where the window is our ledger's alone; `None` where shares decide.
fn full(limit: &Option<Amount>, told: bool, ours: &Used, held: Used, need: Need) -> Option<bool> {
    let limit = limit.filter(|_| !told)?;
    let taken = limit.of(*ours).saturating_add(limit.of(held));
    Some(taken.saturating_add(limit.of(need.used)) > limit.size())
}

/// The block that lasts longest says when; one that never ends says never.
pub(super) fn worst(blocks: &[Block]) -> Block {
    let never = blocks.iter().find(|block| block.never);
    let open = || blocks.iter().find(|block| block.until.is_none());
    let last = || blocks.iter().rev().max_by_key(|block| block.until);
    let fallback = Block { reason: Reason::NoAccount, until: None, never: true };
    never.or_else(open).or_else(last).copied().unwrap_or(fallback)
}

fn amounts(limit: Amount, used: u64, held: u64, needed: u64) -> Figure {
    let show = |size: u64| match limit {
        Amount::Tokens(_) => size as f64,
        Amount::Dollars(_) => crate::price::Money(size).usd(),
    };
    Figure {
        what: String::new(),
        unit: limit.unit(),
        used: show(used),
        held: show(held),
        needed: show(needed),
        limit: show(limit.size()),
        by: Provenance::Estimated,
    }
}

fn tasks_figure(what: String, running: u32, most: u32) -> Figure {
    Figure {
        what,
        unit: "tasks",
        used: 0.0,
        held: f64::from(running),
        needed: 1.0,
        limit: f64::from(most),
        by: Provenance::Estimated,
    }
}
