//! A fleet that spends, in virtual time, against the real gate: fifty agents of two classes, three accounts with two windows
//! each, hard ceilings, days with bursts, nights, resets (one of them early), stale facts, and work that was authorized to
//! hurry. The same traces are played under three rules, so that what pacing does can be seen beside what is without it.
//!
//! What was spent is counted a second time here, apart from the gate, so that it is the truth that is judged.

mod outcome;
mod world;

use std::time::Duration;

use fleet_domain::budget::amount::Amount;
use fleet_domain::budget::config::{Account, Ceiling, Config, Kind, Ladder, Scope, WindowSpec};
use fleet_domain::budget::schedule::Period;
use fleet_domain::price::Money;

pub use outcome::table;
pub use world::play;

const MINUTE: i64 = 60_000;
const HOUR: i64 = 60 * MINUTE;
const DAY: i64 = 24 * HOUR;
const STEP: i64 = 5 * MINUTE;
pub const DAYS: i64 = 28;
pub const AGENTS: usize = 50;
/// A Monday, at midnight.
const START: i64 = 1_793_577_600_000;
/// Of every day there are so many steps.
const STEPS: i64 = DAY / STEP;

/// Traces that are played; figures are the worst of them.
pub const SEEDS: [u64; 5] = [7, 19, 101, 4_242, 65_537];
/// Of all work so much is of the second class.
const REVIEWS: u64 = 5;
const CLASSES: [&str; 2] = ["implementer", "reviewer"];
/// Pico-dollars a token.
const PRICE: f64 = 5e6;

/// How large tasks are, and how many of them an account lets run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Size {
    /// Tokens, from and below.
    pub tokens: (u64, u64),
    /// Five minutes each, from and below.
    pub steps: (u64, u64),
    /// Of an account.
    pub at_once: u32,
}

/// Up to twenty minutes.
pub const SHORT_TASKS: Size = Size { tokens: (10_000, 100_000), steps: (1, 5), at_once: 22 };
/// So few at once that an account can hardly spend more than evenly.
pub const FEW_TASKS: Size = Size { at_once: 17, ..SHORT_TASKS };
/// Up to an hour and twenty minutes.
pub const LONG_TASKS: Size = Size { tokens: (40_000, 400_000), steps: (4, 17), at_once: 22 };

/// What holds work back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rule {
    Paced,
    /// Windows are respected, and spent as fast as work comes.
    CapOnly,
    /// Everything starts; the provider stops it.
    None,
}

/// How one window of an account went, from reset to reset.
#[derive(Debug, Clone, Copy)]
pub struct Past {
    pub account: usize,
    pub weekly: bool,
    pub used: f64,
    /// The part of its time after which nothing was left; `None`: never before the reset.
    pub exhausted: Option<f64>,
    pub authorized: f64,
    /// The provider reset it before its time.
    pub early: bool,
    /// The part of its time in which nobody had anything to do.
    pub idle: f64,
    /// In steps since the trace began.
    pub begun: i64,
}

/// One whole day of a weekly window: what was spent, and what the day's part of the rest was, both as shares.
#[derive(Debug, Clone, Copy)]
pub struct DayPast {
    pub account: usize,
    pub spent: f64,
    pub allowance: f64,
    pub authorized: f64,
    /// The part of it in which nobody had anything to do.
    pub idle: f64,
}

#[derive(Debug, Clone, Default)]
pub struct Outcome {
    pub windows: Vec<Past>,
    pub days: Vec<DayPast>,
    pub finished: usize,
    /// Steps of five minutes in which a started task stood at its provider's limit.
    pub stood_still: usize,
    /// The largest share that was ever used of any window.
    pub most: f64,
    pub urgent: usize,
    /// Steps after which a hard ceiling was exceeded.
    pub broken: usize,
    /// Hard ceilings that were reached to nine tenths, each day, week or month of each name by itself.
    pub near: usize,
}

/// Weekly limits in tokens; of the second account the short window is the tighter one.
const WEEKLY: [f64; 3] = [560e6, 900e6, 420e6];
const SHORT: [f64; 3] = [40e6, 20e6, 30e6];

fn config(rule: Rule, size: Size) -> Config {
    let account = |index: usize| Account {
        name: format!("max-{index}"),
        provider: "anthropic".to_owned(),
        kind: Kind::Subscription,
        agents: Default::default(),
        classes: Default::default(),
        models: Vec::new(),
        concurrency: Some(size.at_once),
        windows: vec![
            WindowSpec::told("5h", Duration::from_secs(5 * 3600)),
            WindowSpec::told("7d", Duration::from_secs(7 * 86_400)),
        ],
    };
    Config {
        enforce: rule == Rule::Paced,
        accounts: (0..3).map(account).collect(),
        ceilings: ceilings(),
        ladder: Ladder { steps: Ladder::default().steps, rungs: Ladder::default().rungs[..1].to_vec() },
        ..Config::default()
    }
}

/// Some that hold work back on most days, one of dollars, and one of tasks at once.
fn ceilings() -> Vec<Ceiling> {
    let over = |scope, name: &str, per, hard, concurrency| Ceiling {
        scope,
        name: name.to_owned(),
        per,
        soft: None,
        hard,
        concurrency,
    };
    vec![
        over(Scope::Agent, Ceiling::EACH, Period::Day, Some(Amount::Tokens(9_000_000)), Some(1)),
        over(Scope::Agent, "agent0", Period::Day, Some(Amount::Tokens(2_000_000)), None),
        over(Scope::Agent, "agent7", Period::Day, Some(Amount::Tokens(3_000_000)), None),
        over(Scope::Class, CLASSES[1], Period::Day, Some(Amount::Tokens(40_000_000)), Some(12)),
        over(Scope::Account, "max-2", Period::Day, Some(Amount::Tokens(66_000_000)), None),
        over(
            Scope::Tenant,
            "me",
            Period::Month,
            Some(Amount::Dollars(Money(36_000 * 1_000_000_000_000))),
            None,
        ),
    ]
}
