//! The judgement: one account after the other, on one model after the other down the ladder; and only then when to ask
//! again.

use crate::text;
use crate::time::Wall;

use super::super::amount::Used;
use super::super::config::{Account, Step};
use super::super::decision::{Ask, Basis, Decision, Estimate, Figure, Reason, Stage, Task, Unknown, Verdict};
use super::look::{Block, Need, worst};
use super::tasks::dollars;
use super::{Gate, MAX_HELD};

/// Another account must have so much more room before work goes over to it, so that two equals do not alternate.
const HYSTERESIS: f64 = 1.15;
/// Figures that are told of a place that was passed over.
const MAX_PASSED: usize = 4;

impl Gate {
    /// What the answer would be; nothing is held.
    ///
    /// # Errors
    /// An account or a model that nobody knows.
    pub fn ask(&mut self, ask: &Ask, paused: bool, now: Wall) -> Result<Verdict, Unknown> {
        self.expire(now);
        self.judge(&self.classed(ask), paused, now)
    }

    /// The answer; where it admits, a place is held until the task starts, ends or its time is out. Asking again with the
    /// same task's name while the place is held answers the same, and holds nothing more.
    ///
    /// # Errors
    /// An account or a model that nobody knows; too many places held; a task of that name that is over.
    pub fn admit(&mut self, ask: &Ask, paused: bool, now: Wall) -> Result<Verdict, Unknown> {
        self.expire(now);
        if let Some(task) = self.tasks.get(&ask.task).filter(|_| !ask.task.is_empty()) {
            if !task.stage.holds() {
                return Err(Unknown::Over { name: ask.task.clone(), state: task.stage.as_str() });
            }
            if !paused || task.stage == Stage::Started {
                return Ok(self.again(task));
            }
        }
        let ask = &self.classed(ask);
        let mut verdict = self.judge(ask, paused, now)?;
        if !verdict.decision.admits() {
            return Ok(verdict);
        }
        if self.held() >= MAX_HELD {
            return Err(Unknown::TooMany(MAX_HELD));
        }
        let name = if ask.task.is_empty() { self.new_name(now) } else { ask.task.clone() };
        let need = self.need(verdict.estimate, &verdict.model);
        let task = Task {
            name: name.clone(),
            tenant: ask.tenant.clone(),
            agent: ask.agent.clone(),
            class: ask.class.clone(),
            mission: ask.mission.clone(),
            model: verdict.model.clone(),
            account: verdict.account.clone(),
            stage: Stage::Admitted,
            estimate: verdict.estimate,
            price: need.used.dollars.0,
            actual: Used::default(),
            admitted: now,
            started: None,
            ended: None,
        };
        if verdict.reason == Reason::Authorized {
            self.draw(&verdict, need, now);
        }
        self.promise(&task, now);
        self.hold(&task, task.held(), now);
        self.remember(task);
        if let Some(account) = &verdict.account {
            self.last.insert((ask.class.clone(), ask.agent.clone()), account.clone());
        }
        verdict.expires = Some(now.plus(self.config.hold));
        verdict.task = Some(name);
        Ok(verdict)
    }

    /// An agent's class is what its roster says, where whoever asks does not say what the task is.
    fn classed(&self, ask: &Ask) -> Ask {
        let rostered = self.roster.get(&ask.agent).filter(|_| ask.class.is_empty());
        let class = rostered.map_or_else(|| ask.class.clone(), |rostered| rostered.class.clone());
        Ask { class, ..ask.clone() }
    }

    fn again(&self, task: &Task) -> Verdict {
        Verdict {
            decision: Decision::Admit,
            reason: Reason::Fits,
            model: task.model.clone(),
            account: task.account.clone(),
            estimate: task.estimate,
            until: None,
            figures: Vec::new(),
            advice: None,
            task: Some(task.name.clone()),
            expires: (task.stage == Stage::Admitted).then(|| task.admitted.plus(self.config.hold)),
        }
    }

    /// Unique among those that are remembered, and after a restart too, as it begins with the time.
    fn new_name(&mut self, now: Wall) -> String {
        loop {
            self.made += 1;
            let name = format!("t{:x}-{}", now.0.max(0) / 1000, self.made);
            if !self.tasks.contains_key(&name) {
                return name;
            }
        }
    }

    fn draw(&mut self, verdict: &Verdict, need: Need, now: Wall) {
        let Some(account) = verdict.account.as_deref() else { return };
        let mut left = need.estimate.reserved;
        for one in self.authorizations.iter_mut().filter(|one| one.account == account) {
            let part = one.left(now).min(left);
            one.drawn += part;
            left -= part;
        }
        let Self { config, windows, book, .. } = self;
        for window in windows.get_mut(account).into_iter().flatten() {
            let standing = window.standing(account, config, book, now);
            if window.spec.counts(&verdict.model)
                && let Some(part) = window.share(&standing, need.used)
            {
                window.forgive(part);
            }
        }
    }

    fn estimate(&self, ask: &Ask, model: &str, now: Wall) -> Estimate {
        if let Some(tokens) = ask.estimate {
            return Estimate { projected: tokens, reserved: tokens, basis: Basis::Given };
        }
        match self.learned.typical(&ask.class, model, now) {
            Some(typical) => {
                Estimate { projected: typical.median, reserved: typical.p90, basis: Basis::Learned }
            }
            None => {
                let tokens = self.config.estimate;
                Estimate { projected: tokens, reserved: tokens, basis: Basis::Default }
            }
        }
    }

    fn need(&self, estimate: Estimate, model: &str) -> Need {
        let tokens = estimate.reserved;
        let price = self.token_price(model);
        let dollars = price.map(|price| dollars(tokens, price)).unwrap_or_default();
        Need { estimate, used: Used { tokens, dollars }, priced: price.is_some() }
    }

    /// The model asked for and those below it. Where none is asked for, the ladder's first that the account which is wanted
    /// has, or else any that may serve, and those below that.
    fn models(&self, ask: &Ask, wanted: Option<&str>) -> Result<Vec<(String, Option<String>)>, Unknown> {
        let ladder = &self.config.ladder;
        let below = |place: usize| {
            let rungs = ladder.rungs.iter().skip(place).filter(|_| ladder.has(Step::Downgrade));
            rungs.map(|rung| (rung.model.clone(), rung.provider.clone()))
        };
        if ask.model.is_empty() {
            let top = |may: &dyn Fn(&Account) -> bool| {
                ladder.rungs.iter().position(|rung| {
                    let has = |one: &&Account| one.has_model(&rung.model, rung.provider.as_deref());
                    self.config.accounts.iter().filter(has).any(may)
                })
            };
            let place = top(&|account| Some(account.name.as_str()) == wanted);
            let place = place.or_else(|| top(&|account| account.serves(&ask.agent, &ask.class))).unwrap_or(0);
            let first = ladder.rungs.get(place).map(|rung| (rung.model.clone(), rung.provider.clone()));
            return Ok(first.into_iter().chain(below(place + 1)).collect());
        }
        match ladder.place(&ask.model) {
            Some(place) => {
                let first =
                    (ask.model.clone(), ladder.rungs.get(place).and_then(|rung| rung.provider.clone()));
                Ok(std::iter::once(first).chain(below(place + 1)).collect())
            }
            None if self.knows(&ask.model) => Ok(vec![(ask.model.clone(), None)]),
            None => {
                let known = ladder
                    .rungs
                    .iter()
                    .map(|rung| rung.model.as_str())
                    .chain(self.listed.keys().map(String::as_str));
                let nearest = text::nearest(&ask.model, known).map(str::to_owned);
                Err(Unknown::Model { name: text::clean(&ask.model, 64), nearest })
            }
        }
    }

    fn knows(&self, model: &str) -> bool {
        let listed = self
            .config
            .accounts
            .iter()
            .any(|account| !account.models.is_empty() && account.has_model(model, None));
        listed || self.token_price(model).is_some() || !self.configured
    }

    fn judge(&mut self, ask: &Ask, paused: bool, now: Wall) -> Result<Verdict, Unknown> {
        if let Some(account) = &ask.account {
            self.known_account(account)?;
        }
        if ask.estimate == Some(0) {
            return Err(Unknown::Senseless(
                "an estimate of nothing is none; leave it out, or say how many tokens".to_owned(),
            ));
        }
        let wanted = self.wanted(ask);
        let models = self.models(ask, wanted.as_deref())?;
        let first = models.first().cloned().unwrap_or_default();
        let empty = |gate: &Self, decision, reason, model: &str| Verdict {
            decision,
            reason,
            model: model.to_owned(),
            account: None,
            estimate: gate.estimate(ask, model, now),
            until: None,
            figures: Vec::new(),
            advice: None,
            task: None,
            expires: None,
        };
        if paused {
            return Ok(empty(self, Decision::Refuse, Reason::Paused, &first.0));
        }
        if !self.configured {
            return Ok(empty(self, Decision::Admit, Reason::NoBudget, &ask.model));
        }
        let (mut tightest, mut blocks): (Option<Verdict>, Vec<Block>) = (None, Vec::new());
        // The cheapest that may have room later.
        let mut floor: Option<(String, Option<String>)> = None;
        for (index, (model, provider)) in models.iter().enumerate() {
            let estimate = self.estimate(ask, model, now);
            for account in self.candidates(ask, model, provider.as_deref(), wanted.as_deref(), now) {
                let need = self.need(estimate, model);
                let look = self.look(ask, model, account.as_deref(), need, now);
                let other = account.is_some() && wanted.is_some() && account != wanted;
                let mut verdict = empty(self, Decision::Admit, Reason::Fits, model);
                (verdict.account, verdict.advice, verdict.figures) =
                    (account, look.advice, look.figures.clone());
                if look.fits() {
                    verdict.decision = match (index, other) {
                        (0, false) => Decision::Admit,
                        (0, true) => Decision::Reroute,
                        _ => Decision::Downgrade,
                    };
                    if look.authorized {
                        verdict.reason = Reason::Authorized;
                    }
                    // One account instead of another is routing; something else than was asked for has its reason.
                    if let (Some(first), Some(passed)) = (blocks.first(), tightest)
                        && verdict.decision != Decision::Admit
                    {
                        if !look.authorized {
                            verdict.reason = first.reason;
                        }
                        decided(&mut verdict.figures, passed.figures);
                    }
                    return Ok(verdict);
                }
                let block = worst(&look.blocks);
                if !block.never && floor.as_ref().is_none_or(|(known, _)| known != model) {
                    floor = Some((model.clone(), verdict.account.clone()));
                }
                blocks.push(block);
                tightest.get_or_insert(verdict);
            }
        }
        let Some(mut verdict) = tightest else {
            return Ok(empty(self, Decision::Refuse, Reason::NoAccount, &first.0));
        };
        let waits = blocks.iter().filter(|block| !block.never);
        let until = waits.clone().filter_map(|block| block.until).min();
        verdict.reason = blocks.first().map_or(Reason::NoAccount, |block| block.reason);
        if let Some(floor) = floor.filter(|_| self.config.ladder.has(Step::Queue)) {
            (verdict.model, verdict.account) = floor;
            verdict.reason = waits.clone().next().map_or(verdict.reason, |block| block.reason);
            (verdict.decision, verdict.until) = (Decision::Queue, until);
        } else {
            verdict.decision = Decision::Refuse;
        }
        Ok(verdict)
    }

    /// The account that the task has without being rerouted: the one that is asked for, or the one that the budget or the
    /// roster names for the agent.
    fn wanted(&self, ask: &Ask) -> Option<String> {
        let named = || self.config.accounts.iter().find(|account| account.agents.contains(&ask.agent));
        let rostered = || self.config.called(self.roster.get(&ask.agent)?.account.as_deref()?);
        ask.account.clone().or_else(|| named().or_else(rostered).map(|account| account.name.clone()))
    }

    /// Accounts that may serve it, in the order in which they are tried: the one that is wanted, then the one that it had
    /// the last time unless another has clearly more room, then by room.
    fn candidates(
        &mut self,
        ask: &Ask,
        model: &str,
        provider: Option<&str>,
        wanted: Option<&str>,
        now: Wall,
    ) -> Vec<Option<String>> {
        if self.config.accounts.is_empty() {
            return vec![None];
        }
        let serves = |account: &&Account| {
            let mapped = Some(account.name.as_str()) == wanted || account.serves(&ask.agent, &ask.class);
            mapped && account.has_model(model, provider)
        };
        let names: Vec<String> =
            self.config.accounts.iter().filter(serves).map(|account| account.name.clone()).collect();
        if names.len() == 1 {
            return names.into_iter().map(Some).collect();
        }
        let last = self.last.get(&(ask.class.clone(), ask.agent.clone())).cloned();
        let mut ranked: Vec<(f64, String)> = names
            .into_iter()
            .map(|name| {
                let room = self.room(&name, model, now);
                let kept = if Some(&name) == last.as_ref() { HYSTERESIS } else { 1.0 };
                let first = if Some(name.as_str()) == wanted { f64::INFINITY } else { room * kept };
                (first, name)
            })
            .collect();
        ranked.sort_by(|(a, x), (b, y)| b.total_cmp(a).then_with(|| x.cmp(y)));
        ranked.into_iter().map(|(_, name)| Some(name)).collect()
    }

    /// What is left of an account by what an even spread would have left: one is on pace, more has room. Its tightest
    /// window counts; an account that nothing is known of is on pace.
    pub(super) fn room(&self, account: &str, model: &str, now: Wall) -> f64 {
        let windows =
            self.windows.get(account).into_iter().flatten().filter(|window| window.spec.counts(model));
        let rooms = windows.filter_map(|window| {
            window.with_standing(account, &self.config, &self.book, now, |standing| {
                let left = 1.0 - window.committed(standing)?;
                let rest = 1.0 - standing.stretch?.elapsed(now);
                Some(left.max(0.0) / rest.max(0.001))
            })
        });
        rooms.fold(f64::INFINITY, f64::min).min(1_000.0).min(match self.windows.get(account) {
            Some(windows) if !windows.is_empty() => 1_000.0,
            _ => 1.0,
        })
    }
}

/// Why something else was passed over, before the figures of what was found.
fn decided(found: &mut Vec<Figure>, passed: Vec<Figure>) {
    let passed = passed.into_iter().filter(|figure| !found.contains(figure)).take(MAX_PASSED);
    let passed: Vec<Figure> = passed.collect();
    found.splice(0..0, passed);
}
