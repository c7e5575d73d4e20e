//! The gate: whether a task may start now, on which model and which account. A plain value that takes `now`; it never
//! reads a clock, and two gates that were told the same say the same.
//!
//! What is admitted is held from that moment until it is spent, the task ends, or its time is out, so that many who ask
//! at once cannot have together what only one of them can. Figures: used by the ledger, held for tasks, in whole tokens
//! and pico-dollars. The laws are in `laws.rs`.

mod judge;
mod look;
mod meter;
mod pulse;
mod rates;
mod show;
mod tasks;
mod window;

use std::collections::{BTreeMap, BTreeSet};

use crate::price::Money;
use crate::text;
use crate::time::Wall;
use crate::usage::Record;

use super::amount::Used;
use super::config::{Account, Config, WindowSpec};
use super::decision::{Authorization, Task, Unknown};
use super::learn::Learned;
use super::spend::{Book, Payer};
use super::standing::{Capacity, Fact, Setting};
use meter::{Meter, Whose};
use rates::Rate;
use window::Window;

pub use show::{AccountView, Outlook, Overview, Room, State, Under};

/// Tasks that something is held for at once.
pub const MAX_HELD: usize = 10_000;
/// Ended tasks that are remembered, so that asking again with the same name does not begin anew.
pub const MAX_ENDED: usize = 20_000;
/// Times on screens are rounded by less, in milliseconds.
const ROUNDED: u64 = 3_600_000;
/// Names that a ceiling for each counts apart.
const MAX_NAMES: usize = 10_000;

type At = (usize, String);

#[derive(Debug, Clone, Default)]
pub struct Gate {
    config: Config,
    configured: bool,
    book: Book,
    /// By ceiling and name.
    meters: BTreeMap<At, Meter>,
    /// By account, in the order of the file; then those that only a provider told of.
    windows: BTreeMap<String, Vec<Window>>,
    /// Tasks at once, by account.
    running: BTreeMap<String, u32>,
    /// Until when a provider lets nothing through.
    stuck: BTreeMap<String, Wall>,
    settings: BTreeMap<(String, String), Setting>,
    /// Learned before a restart, by account and window: tokens that make it full.
    amounts: BTreeMap<(String, String), f64>,
    authorizations: Vec<Authorization>,
    tasks: BTreeMap<String, Task>,
    /// Of tasks, those that something is held for, by when their time is out.
    due: BTreeSet<(Wall, String)>,
    ended: BTreeSet<(Wall, String)>,
    /// By agent, in the order of their beginnings: from when to when an agent was on tasks of which account.
    stints: BTreeMap<String, Vec<Stint>>,
    roster: BTreeMap<String, Rostered>,
    learned: Learned,
    /// Pico-dollars a token, by model: what the ledger saw, decayed, and what a price table says where it saw nothing.
    rates: BTreeMap<String, Rate>,
    listed: BTreeMap<String, f64>,
    /// Which account a class or an agent had the last time.
    last: BTreeMap<(String, String), String>,
    made: u64,
}

/// What a roster says of an agent.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Rostered {
    pub class: String,
    pub account: Option<String>,
}

#[derive(Debug, Clone)]
struct Stint {
    task: String,
    account: Option<String>,
    from: Wall,
    to: Option<Wall>,
}

/// Everything that must outlive a restart; see [`Gate::restore`].
#[derive(Debug, Clone, Default)]
pub struct Kept {
    pub tasks: Vec<Task>,
    pub settings: Vec<(String, String, Setting)>,
    pub authorizations: Vec<Authorization>,
    pub capacities: Vec<(String, String, f64)>,
}

impl Gate {
    pub fn config(&self) -> &Config {
        &self.config
    }

    /// False where there is no budget file.
    pub fn configured(&self) -> bool {
        self.configured
    }

    /// Another budget is in force. What is held stays held, and what was spent is counted by the new one's rules.
    pub fn configure(&mut self, config: Option<Config>, now: Wall) {
        self.configured = config.is_some();
        self.config = config.unwrap_or_default();
        // How long a place is held, and a task may go on, may have changed.
        let held = self.tasks.values().filter(|task| task.stage.holds());
        self.due = held.map(|task| (self.due_at(task), task.name.clone())).collect();
        let before = std::mem::take(&mut self.windows);
        for account in &self.config.accounts {
            let mut windows: Vec<Window> = account.windows.iter().cloned().map(Window::new).collect();
            for known in before.get(&account.name).into_iter().flatten() {
                match windows.iter_mut().find(|window| window.spec.name == known.spec.name) {
                    Some(window) => {
                        let Window { provider, capacity, credit, since, pulse, .. } = known.clone();
                        *window = Window { provider, capacity, credit, since, pulse, ..window.clone() };
                    }
                    None if known.provider.is_some() => {
                        let spec = WindowSpec::told(&known.spec.name, known.spec.length);
                        windows.push(Window { spec, held: Used::default(), ..known.clone() });
                    }
                    None => {}
                }
            }
            self.windows.insert(account.name.clone(), windows);
        }
        let settings: Vec<_> =
            self.settings.iter().map(|(at, setting)| (at.clone(), setting.clone())).collect();
        for ((account, window), setting) in settings {
            if self.config.account(&account).is_some() {
                self.say(&account, &window, Some(setting));
            }
        }
        for ((account, window), tokens) in self.amounts.clone() {
            if let Some(window) = self.window_mut(&account, &window) {
                window.capacity = Capacity::known(Some(tokens));
            }
        }
        self.recount(now);
    }

    /// False where the window is not known, and nothing says how long it is.
    fn say(&mut self, account: &str, name: &str, setting: Option<Setting>) -> bool {
        if self.window_mut(account, name).is_none() {
            let length = super::amount::parse_span(name.split('-').next().unwrap_or(name)).ok();
            let scheduled = || Some(setting.as_ref()?.schedule.as_ref()?.length());
            let Some(length) = length.or_else(scheduled).filter(|_| setting.is_some()) else { return false };
            let window = Window::new(WindowSpec::told(name, length));
            self.windows.entry(account.to_owned()).or_default().push(window);
        }
        if let Some(window) = self.window_mut(account, name) {
            window.set(setting);
        }
        self.drop_unknown(account, name);
        true
    }

    /// A window of which neither the file nor a provider nor its owner says anything is none.
    fn drop_unknown(&mut self, account: &str, name: &str) {
        let written = self.config.account(account).map(|account| account.windows.as_slice());
        if written.unwrap_or_default().iter().any(|spec| spec.name == name) {
            return;
        }
        if let Some(windows) = self.windows.get_mut(account) {
            windows.retain(|window| window.spec.name != name || window.told_of());
        }
    }

    /// Meters and what is held, counted from the ledger and the tasks alone.
    fn recount(&mut self, now: Wall) {
        self.meters.clear();
        self.running.clear();
        for window in self.windows.values_mut().flatten() {
            window.held = Used::default();
            window.recounted();
        }
        let held: Vec<Task> = self.tasks.values().filter(|task| task.stage.holds()).cloned().collect();
        for task in held {
            self.hold(&task, task.held(), now);
        }
    }

    /// Classes and accounts by agent, as the rosters say. Spending that was told before counts by them too.
    pub fn rostered(&mut self, roster: BTreeMap<String, Rostered>, now: Wall) {
        if self.roster == roster {
            return;
        }
        self.roster = roster;
        let roster = &self.roster;
        self.book.retell(|payer| {
            if let Some(rostered) = roster.get(&payer.agent) {
                payer.class.clone_from(&rostered.class);
                payer.account = rostered.account.clone().or(payer.account.take());
            }
        });
        self.recount(now);
    }

    /// Who pays for what an agent spends on a model; `told` is the account that its sidecar named.
    pub fn payer(&self, tenant: &str, agent: &str, model: &str, told: Option<&str>) -> Payer {
        let rostered = self.roster.get(agent);
        let account = rostered.and_then(|rostered| rostered.account.clone());
        Payer {
            tenant: tenant.to_owned(),
            agent: agent.to_owned(),
            class: rostered.map(|rostered| rostered.class.clone()).unwrap_or_default(),
            task_account: None,
            account: account.or_else(|| told.filter(|told| !told.is_empty()).map(str::to_owned)),
            model: model.to_owned(),
        }
    }

    /// The account that an agent's spending belongs to.
    pub fn account_of(&self, agent: &str) -> Option<&str> {
        let payer = self.payer("", agent, "", None);
        let account = self.config.account_of(agent, &payer.class, payer.account.as_deref());
        account.map(|account| account.name.as_str())
    }

    /// What a restart must know; the ledger comes after it, by [`Gate::used`]: what a started task spent is counted from
    /// there anew.
    pub fn restore(&mut self, kept: Kept, now: Wall) {
        for (account, window, setting) in kept.settings {
            if self.config.account(&account).is_some() {
                self.say(&account, &window, Some(setting.clone()));
            }
            self.settings.insert((account, window), setting);
        }
        self.authorizations = kept.authorizations;
        for (account, window, tokens) in kept.capacities {
            if let Some(window) = self.window_mut(&account, &window) {
                window.capacity = Capacity::known(Some(tokens));
            }
            self.amounts.insert((account, window), tokens);
        }
        let mut tasks = kept.tasks;
        tasks.sort_by(|a, b| (a.ended, &a.name).cmp(&(b.ended, &b.name)));
        for mut task in tasks {
            if task.stage == super::decision::Stage::Started {
                task.actual = Used::default();
            }
            self.remember(task);
        }
        self.recount(now);
    }

    /// The ledger took in a response, or a fuller version of one: `minus` is what it said before.
    pub fn used(&mut self, payer: &Payer, minus: Option<(Wall, Used)>, plus: (Wall, Used), now: Wall) {
        // What is spent on a task is its account's, wherever the agent belongs.
        let payer = &Payer { task_account: self.account_at(&payer.agent, plus.0), ..payer.clone() };
        if let Some((at, used)) = minus {
            self.book.subtract(at, payer, used);
        }
        let (at, used) = plus;
        self.book.add(at, payer, used);
        self.book.tidy(now);
        if minus.is_some() {
            self.count_anew(payer);
        } else {
            self.count(payer, at, used, now);
        }
        let mut more = used;
        if let Some((_, before)) = minus {
            more.subtract(before);
        }
        self.rate(&payer.model, more);
        self.charge(&payer.agent, at, more, now);
    }

    fn count(&mut self, payer: &Payer, at: Wall, used: Used, now: Wall) {
        let Self { config, meters, windows, book, .. } = self;
        let whose = Whose::of(payer, config);
        for (index, ceiling) in config.ceilings.iter().enumerate() {
            let Some(name) = whose.under(ceiling) else { continue };
            let Some(meter) = meters.get_mut(&(index, name.to_owned())) else { continue };
            match meter.period {
                Some(period) if period.holds(now) && period.holds(at) => meter.used.add(used),
                _ => meter.refresh(ceiling, name, config, book, now),
            }
        }
        for window in windows.get_mut(whose.account).into_iter().flatten() {
            if window.spec.counts(&payer.model) {
                window.spent(at, used);
            }
        }
    }

    /// A correction may lie in any period: those that count this payer are counted anew when they are next asked.
    fn count_anew(&mut self, payer: &Payer) {
        let whose = Whose::of(payer, &self.config);
        for ((index, name), meter) in &mut self.meters {
            if self.config.ceilings.get(*index).and_then(|ceiling| whose.under(ceiling)) == Some(name) {
                meter.period = None;
            }
        }
        let account = whose.account.to_owned();
        self.windows.get_mut(&account).into_iter().flatten().for_each(Window::recounted);
    }

    /// A runtime or a header told of a window.
    pub fn observe(&mut self, account: &str, window: &str, length: std::time::Duration, fact: Fact) {
        let Some(known) = self.config.called(account).map(|account| account.name.clone()) else { return };
        let account = known.as_str();
        let windows = self.windows.entry(known.clone()).or_default();
        let name = WindowSpec::told(window, length).name;
        let place = windows.iter().position(|window| window.spec.name == name);
        let place = place.unwrap_or_else(|| {
            let capacity = Capacity::known(self.amounts.get(&(known.clone(), name.clone())).copied());
            windows.push(Window { capacity, ..Window::new(WindowSpec::told(&name, length)) });
            windows.len() - 1
        });
        if windows[place].provider.is_some_and(|before| fact.at < before.at) {
            return;
        }
        windows[place].learn(fact, account, &self.config, &self.book);
        if fact.used.is_some_and(|used| used >= 1.0) {
            if let Some(until) = fact.resets_at {
                self.stuck(account, until);
            }
        } else if fact.used.is_some()
            && self.stuck.get(account).is_some_and(|until| Some(*until) == fact.resets_at)
        {
            self.stuck.remove(account);
        }
    }

    /// A provider lets nothing of the account through until then. A screen says that to the minute or the hour: where a
    /// full window of the account resets about then, its reset is what was meant.
    pub fn stuck(&mut self, account: &str, until: Wall) {
        let Some(account) = self.config.called(account) else { return };
        let full = self.windows.get(&account.name).into_iter().flatten().filter_map(|window| window.provider);
        let resets = full.filter(|fact| fact.used.is_some_and(|used| used >= 1.0));
        let resets = resets.filter_map(|fact| fact.resets_at).filter(|at| at.0.abs_diff(until.0) < ROUNDED);
        let until = resets.min_by_key(|at| at.0.abs_diff(until.0)).unwrap_or(until);
        self.stuck.insert(account.name.clone(), until);
    }

    /// What the owner says of a window; what is `None` in it is as the file says, `None` altogether is nothing said.
    ///
    /// # Errors
    /// No such account; a window of unknown length.
    pub fn set(
        &mut self,
        account: &str,
        window: &str,
        setting: Option<Setting>,
        now: Wall,
    ) -> Result<(), Unknown> {
        self.known_account(account)?;
        let at = (account.to_owned(), window.to_owned());
        if !self.say(account, window, setting.clone()) {
            let known = self.windows.get(account).into_iter().flatten();
            let known = known.map(|window| window.spec.name.clone()).collect();
            return Err(Unknown::Window {
                account: account.to_owned(),
                name: text::clean(window, 40),
                known,
            });
        }
        match setting {
            Some(setting) => drop(self.settings.insert(at, setting)),
            None => drop(self.settings.remove(&at)),
        }
        self.recount(now);
        Ok(())
    }

    pub fn setting(&self, account: &str, window: &str) -> Option<&Setting> {
        self.settings.get(&(account.to_owned(), window.to_owned()))
    }

    /// # Errors
    /// No such account, or nothing that could be drawn.
    pub fn authorize(&mut self, authorization: Authorization, now: Wall) -> Result<(), Unknown> {
        self.known_account(&authorization.account)?;
        if authorization.until <= now {
            return Err(Unknown::Senseless("the authorization would end in the past".to_owned()));
        }
        if authorization.tokens == 0 {
            return Err(Unknown::Senseless("an authorization of nothing authorizes nothing".to_owned()));
        }
        self.authorizations.retain(|known| known.left(now) > 0);
        self.authorizations.push(authorization);
        Ok(())
    }

    /// Takes back what is left of all that was authorized for the account: so many tokens. What holds a place by them
    /// keeps it.
    ///
    /// # Errors
    /// No such account, or nothing that is left.
    pub fn revoke(&mut self, account: &str, now: Wall) -> Result<u64, Unknown> {
        self.known_account(account)?;
        let open = self.authorizations.iter_mut().filter(|one| one.account == account && one.left(now) > 0);
        let left = open.fold(0_u64, |sum, one| {
            let left = one.left(now);
            one.tokens = one.drawn;
            sum.saturating_add(left)
        });
        match left {
            0 => Err(Unknown::Senseless(format!("nothing is left of what was authorized for {account}"))),
            left => Ok(left),
        }
    }

    pub fn authorizations(&self) -> &[Authorization] {
        &self.authorizations
    }

    /// What was learned of windows of which only shares are known, for keeping: account, window, tokens.
    pub fn capacities(&self) -> Vec<(String, String, f64)> {
        let each = self
            .windows
            .iter()
            .flat_map(|(account, windows)| windows.iter().map(move |window| (account, window)));
        each.filter_map(|(account, window)| {
            Some((account.clone(), window.spec.name.clone(), window.capacity.tokens?))
        })
        .collect()
    }

    pub fn known_account(&self, name: &str) -> Result<&Account, Unknown> {
        self.config.account(name).ok_or_else(|| {
            let known = self.config.accounts.iter().map(|account| account.name.as_str());
            let nearest = text::nearest(name, known).map(str::to_owned);
            Unknown::Account { name: text::clean(name, 64), nearest }
        })
    }

    fn window_mut(&mut self, account: &str, name: &str) -> Option<&mut Window> {
        self.windows.get_mut(account)?.iter_mut().find(|window| window.spec.name == name)
    }
}

/// What one response used, at what it cost; unknown costs nothing here, and is told elsewhere.
pub fn used_of(record: &Record, cost: Option<Money>) -> (Wall, Used) {
    (record.at, Used { tokens: record.tokens.total(), dollars: cost.unwrap_or_default() })
}

#[cfg(test)]
mod asked_tests;
#[cfg(test)]
mod laws;
#[cfg(test)]
mod tests;
