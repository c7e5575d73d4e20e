//! What people see of the budget: each window with its pace, each ceiling with its room.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use jiff::tz::TimeZone;

use crate::time::Wall;

use super::super::amount::Used;
use super::super::config::{Account, Ceiling};
use super::super::decision::Authorization;
use super::super::learn::{Forecast, Typical, forecast};
use super::super::pace::{PARTS, Pace, Question, horizon, pace};
use super::super::schedule::{Period, Stretch};
use super::super::spend::Payer;
use super::super::standing::Standing;
use super::Gate;
use super::meter::Whose;

/// Days that a typical one is taken from.
const DAYS: usize = 14;

/// One window.
#[derive(Debug, Clone, PartialEq)]
pub struct Outlook {
    pub account: String,
    pub window: String,
    pub length: Duration,
    pub standing: Standing,
    pub held: Used,
    /// Held, as a share of the limit.
    pub held_share: f64,
    /// Tokens that make it full, where only shares are told and it was learned.
    pub capacity: Option<f64>,
    /// `None` where nobody knows what is used, or when it resets.
    pub pace: Option<Pace>,
}

/// One ceiling, under one name.
#[derive(Debug, Clone, PartialEq)]
pub struct Room {
    pub ceiling: Ceiling,
    pub name: String,
    pub period: Stretch,
    pub used: Used,
    pub held: Used,
    pub tasks: u32,
}

/// Where a ceiling stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Under {
    Below,
    /// As many tasks at once as it lets.
    Full,
    /// Above the soft one.
    Near,
    /// Nothing more fits.
    Reached,
}

impl Under {
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Below => "below",
            Self::Full => "full",
            Self::Near => "near",
            Self::Reached => "reached",
        }
    }
}

impl Room {
    /// Used, as a share of the hard ceiling, or of the soft one where there is no other.
    pub fn share(&self) -> Option<f64> {
        let of = self.ceiling.hard.or(self.ceiling.soft)?;
        Some(of.of(self.used) as f64 / of.size() as f64)
    }

    pub fn under(&self) -> Under {
        let hard = self.ceiling.hard.is_some_and(|hard| hard.of(self.used) >= hard.size());
        let soft = self.ceiling.soft.is_some_and(|soft| soft.of(self.used) > soft.size());
        let full = self.ceiling.concurrency.is_some_and(|most| self.tasks >= most);
        match (hard, soft, full) {
            (true, ..) => Under::Reached,
            (_, true, _) => Under::Near,
            (.., true) => Under::Full,
            _ => Under::Below,
        }
    }
}

/// One account.
#[derive(Debug, Clone, PartialEq)]
pub struct AccountView {
    pub account: Account,
    /// Its provider lets nothing through until then.
    pub stuck_until: Option<Wall>,
    /// Tasks at once.
    pub running: u32,
    /// Sessions whose spending belongs to it now: by the task that they are on, else by where they belong.
    pub agents: BTreeSet<String>,
    /// `None` before its first whole day.
    pub forecast: Option<Forecast>,
}

/// All of it at one moment.
#[derive(Debug, Clone, PartialEq)]
pub struct Overview {
    pub at: Wall,
    pub configured: bool,
    pub enforce: bool,
    pub accounts: Vec<AccountView>,
    pub windows: Vec<Outlook>,
    pub rooms: Vec<Room>,
}

/// The budget as a reader sees it.
#[derive(Debug, Clone, PartialEq)]
pub struct State {
    pub overview: Overview,
    pub authorizations: Vec<Authorization>,
    /// By class and model; an empty model is any.
    pub typical: Vec<(String, String, Typical)>,
    pub file: String,
    /// What is wrong with the file as it stands; the one in force is the last good one.
    pub file_error: String,
    pub paused: bool,
    /// The ledger is still being read after a start: nothing is admitted before.
    pub reading: bool,
}

impl Gate {
    /// Days are those of the zone that the budget names, else those of the `reader`'s.
    pub fn overview(&mut self, reader: &TimeZone, now: Wall) -> Overview {
        self.expire(now);
        let named = self.config.zone_named.then(|| self.config.zone.clone());
        let zone = named.as_ref().unwrap_or(reader);
        let today = Period::Day.around(now, zone);
        let mut windows = Vec::new();
        for account in self.config.accounts.iter().map(|account| account.name.clone()).collect::<Vec<_>>() {
            windows.extend(self.outlooks(&account, today, now));
        }
        Overview {
            at: now,
            configured: self.configured,
            enforce: self.config.enforce,
            accounts: self.account_views(zone, now),
            windows,
            rooms: self.rooms(now),
        }
    }

    fn account_views(&self, zone: &TimeZone, now: Wall) -> Vec<AccountView> {
        let mut agents: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
        for agent in self.roster.keys().chain(self.stints.keys()) {
            let account = self.account_at(agent, now).or_else(|| self.account_of(agent).map(str::to_owned));
            if let Some(account) = account {
                agents.entry(account).or_default().insert(agent.clone());
            }
        }
        let view = |account: &Account| AccountView {
            account: account.clone(),
            stuck_until: self.stuck.get(&account.name).copied().filter(|until| now < *until),
            running: self.running.get(&account.name).copied().unwrap_or(0),
            agents: agents.remove(&account.name).unwrap_or_default(),
            forecast: self.forecast(&account.name, zone, now),
        };
        self.config.accounts.iter().map(view).collect()
    }

    fn outlooks(&self, account: &str, today: Stretch, now: Wall) -> Vec<Outlook> {
        let (config, book) = (&self.config, &self.book);
        let windows = self.windows.get(account).into_iter().flatten();
        let each = windows.map(|window| {
            let standing = window.standing(account, config, book, now);
            let asked = standing.stretch.zip(standing.used).map(|(stretch, used)| {
                let begun = stretch.begins.age_at(now).max(Duration::from_secs(1));
                let part =
                    Stretch { begins: stretch.begins.max(today.begins), ends: stretch.ends.min(today.ends) };
                let used_today = window.within(account, config, book, part);
                let known = window.share(&standing, used_today);
                let (horizon, parts) = match known {
                    Some(_) => {
                        let horizon = horizon(window.spec.length).min(begun);
                        let past =
                            Stretch { begins: now.minus(horizon), ends: now.plus(Duration::from_millis(1)) };
                        (horizon, window.parts::<PARTS>(account, config, book, past, standing.limit))
                    }
                    // What a token is of it nobody knows yet: the rate is that of the window so far.
                    None => (begun, [used / PARTS as f64; PARTS]),
                };
                let day_of_it = || {
                    let since = part.begins.age_at(now).as_secs_f64();
                    used * (since / begun.as_secs_f64()).min(1.0)
                };
                let used_today = known.unwrap_or_else(day_of_it);
                Question { window: stretch, used, parts, horizon, today, used_today }
            });
            Outlook {
                account: account.to_owned(),
                window: window.spec.name.clone(),
                length: window.spec.length,
                held: window.held,
                held_share: window.share(&standing, window.held).unwrap_or(0.0),
                capacity: window.capacity.tokens,
                pace: asked.map(|asked| pace(&asked, now)),
                standing,
            }
        });
        each.collect()
    }

    /// Every ceiling that names somebody, and of those for each the ones that something counts against.
    fn rooms(&mut self, now: Wall) -> Vec<Room> {
        let Self { config, meters, book, .. } = self;
        for (index, ceiling) in
            config.ceilings.iter().enumerate().filter(|(_, ceiling)| ceiling.name != Ceiling::EACH)
        {
            super::tasks::meter(meters, index, &ceiling.name);
        }
        let mut names: Vec<(usize, String)> = Vec::new();
        for payer in book.payers() {
            let whose = Whose::of(payer, config);
            for (index, ceiling) in config.ceilings.iter().enumerate() {
                let name =
                    whose.under(ceiling).filter(|name| !meters.contains_key(&(index, (*name).to_owned())));
                names.extend(name.map(|name| (index, name.to_owned())));
            }
        }
        for (index, name) in names {
            super::tasks::meter(meters, index, &name);
        }
        let mut rooms = Vec::new();
        for ((index, name), meter) in meters {
            let Some(ceiling) = config.ceilings.get(*index) else { continue };
            meter.refresh(ceiling, name, config, book, now);
            let Some(period) = meter.period else { continue };
            let (used, held, tasks) = (meter.used, meter.held, meter.tasks);
            if ceiling.name == Ceiling::EACH && used.is_zero() && held.is_zero() && tasks == 0 {
                continue;
            }
            rooms.push(Room { ceiling: ceiling.clone(), name: name.clone(), period, used, held, tasks });
        }
        rooms
    }

    /// Of an account's tokens.
    fn forecast(&self, account: &str, zone: &TimeZone, now: Wall) -> Option<Forecast> {
        let whose = |payer: &Payer| Whose::of(payer, &self.config).account == account;
        let today = Period::Day.around(now, zone);
        let mut days = Vec::with_capacity(DAYS);
        let mut begins = today.begins;
        for _ in 0..DAYS {
            let day = Period::Day.around(Wall(begins.0 - 1), zone);
            days.push(self.book.within(day, whose).tokens);
            begins = day.begins;
        }
        days.reverse();
        // Days before the first use say nothing of what is usual.
        let known = days.iter().position(|tokens| *tokens > 0)?;
        let month = Period::Month.around(now, zone);
        let left = now.age_at(month.ends).as_secs() / 86_400;
        let so_far = self.book.within(month, whose).tokens;
        forecast(&days[known..], so_far, left)
    }

    /// Every kind of task that enough is known of.
    pub fn typical(&self, now: Wall) -> Vec<(String, String, Typical)> {
        let all = self.learned.all(now);
        all.map(|(class, model, typical)| (class.to_owned(), model.to_owned(), typical)).collect()
    }
}
