//! A fleet that spends, in virtual time, against the real gate: fifty agents, three accounts with two windows each, days
//! with bursts, nights, resets (one of them early), stale facts, and work that was authorized to hurry. The same trace is
//! played under three rules, so that what pacing does can be seen beside what is without it.

use std::collections::VecDeque;
use std::fmt::Write as _;
use std::time::Duration;

use fleet_domain::Wall;
use fleet_domain::budget::amount::Used;
use fleet_domain::budget::config::{Account, Config, Kind, Ladder, WindowSpec};
use fleet_domain::budget::decision::{Ask, Authorization, Urgency};
use fleet_domain::budget::gate::Gate;
use fleet_domain::budget::standing::Fact;

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

/// What holds work back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rule {
    Paced,
    /// Windows are respected, and spent as fast as work comes.
    CapOnly,
    /// Everything starts; the provider stops it.
    None,
}

/// The truth about one window of one account.
#[derive(Debug, Clone)]
struct Window {
    name: &'static str,
    length: i64,
    limit: f64,
    begins: Option<i64>,
    used: f64,
    /// Used when the present day began.
    day_used: f64,
    authorized: f64,
    day_authorized: f64,
    full_at: Option<i64>,
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
}

/// One whole day of a weekly window: what was spent, and what the day's part of the rest was, both as shares.
#[derive(Debug, Clone, Copy)]
pub struct DayPast {
    pub account: usize,
    pub spent: f64,
    pub allowance: f64,
    pub authorized: f64,
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
}

#[derive(Debug, Clone)]
struct Job {
    estimate: u64,
    actual: u64,
    minutes: i64,
    urgent: bool,
}

#[derive(Debug, Clone)]
struct Running {
    task: String,
    account: usize,
    left: u64,
    each: u64,
    urgent: bool,
}

/// Small, and the same everywhere.
struct Chance(u64);

impl Chance {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    fn within(&mut self, from: u64, to: u64) -> u64 {
        from + self.next() % (to - from)
    }
}

/// Weekly limits in tokens; of the second account the short window is the tighter one.
const WEEKLY: [f64; 3] = [560e6, 900e6, 420e6];
const SHORT: [f64; 3] = [40e6, 20e6, 30e6];

fn config(rule: Rule) -> Config {
    let account = |index: usize| Account {
        name: format!("max-{index}"),
        provider: "anthropic".to_owned(),
        kind: Kind::Subscription,
        agents: Default::default(),
        classes: Default::default(),
        models: Vec::new(),
        concurrency: Some(17),
        windows: vec![
            WindowSpec::told("5h", Duration::from_secs(5 * 3600)),
            WindowSpec::told("7d", Duration::from_secs(7 * 86_400)),
        ],
    };
    Config {
        enforce: rule == Rule::Paced,
        accounts: (0..3).map(account).collect(),
        ladder: Ladder { steps: Ladder::default().steps, rungs: Ladder::default().rungs[..1].to_vec() },
        ..Config::default()
    }
}

struct World {
    rule: Rule,
    gate: Gate,
    accounts: Vec<[Window; 2]>,
    agents: Vec<Option<Running>>,
    waiting: VecDeque<Job>,
    urgent: VecDeque<Job>,
    chance: Chance,
    outcome: Outcome,
}

/// Plays the trace of that seed under the rule.
pub fn play(rule: Rule, seed: u64) -> Outcome {
    let window = |name, length, limit| Window {
        name,
        length,
        limit,
        begins: None,
        used: 0.0,
        day_used: 0.0,
        authorized: 0.0,
        day_authorized: 0.0,
        full_at: None,
    };
    let accounts = (0..3)
        .map(|index| [window("5h", 5 * HOUR, SHORT[index]), window("7d", 7 * DAY, WEEKLY[index])])
        .collect();
    let mut gate = Gate::default();
    gate.configure(Some(config(rule)), Wall(START));
    let agents = vec![None; AGENTS];
    let chance = Chance(seed | 1);
    let mut world = World {
        rule,
        gate,
        accounts,
        agents,
        waiting: VecDeque::new(),
        urgent: VecDeque::new(),
        chance,
        outcome: Outcome::default(),
    };
    for step in 0..DAYS * STEPS {
        world.step(step);
    }
    world.outcome
}

impl World {
    fn step(&mut self, step: i64) {
        let now = START + step * STEP;
        if step % STEPS == 0 {
            self.new_day(now);
        }
        self.resets(now, step);
        self.arrivals(step);
        self.authorize(now, step);
        self.start(now);
        self.spend(now);
        self.tell(now, step);
    }

    /// Days have more work than the accounts have room for, in bursts; nights and Sundays have little of it.
    fn arrivals(&mut self, step: i64) {
        let (hour, day) = (step % STEPS / 12, step / STEPS);
        let few = !(7..22).contains(&hour) || day % 7 == 6;
        let burst = !few && (day * 7 + hour) % 5 == 0;
        let jobs = match (few, burst) {
            (true, _) => self.chance.next() % 3,
            (_, true) => self.chance.within(80, 160),
            _ => self.chance.within(15, 45),
        };
        for _ in 0..jobs {
            let actual = self.chance.within(10_000, 100_000);
            // Estimates are a little too large, as those of the 90th percentile are.
            let estimate = actual * self.chance.within(100, 130) / 100;
            let urgent = day % 9 == 4 && hour == 10;
            let minutes = i64::try_from(self.chance.within(1, 5)).unwrap_or(4) * 5;
            let job = Job { estimate, actual, minutes, urgent };
            if urgent { self.urgent.push_back(job) } else { self.waiting.push_back(job) }
        }
        // Nobody keeps a list of ten thousand.
        self.waiting.truncate(12_000);
    }

    fn authorize(&mut self, now: i64, step: i64) {
        if step % STEPS == 10 * 12 && step / STEPS % 9 == 4 && self.rule == Rule::Paced {
            let authorization = Authorization {
                account: "max-0".to_owned(),
                tokens: 20_000_000,
                drawn: 0,
                until: Wall(now + 3 * HOUR),
                by: "owner".to_owned(),
                at: Wall(now),
            };
            let _ = self.gate.authorize(authorization, Wall(now));
        }
    }

    fn resets(&mut self, now: i64, step: i64) {
        for account in 0..3 {
            for index in 0..2 {
                // Once the provider resets an account's week two days early.
                let early = index == 1 && account == 2 && step == 10 * STEPS + 77;
                let window = &mut self.accounts[account][index];
                let Some(begins) = window.begins else { continue };
                if now < begins + window.length && !early {
                    continue;
                }
                let exhausted = window.full_at.map(|at| (at - begins) as f64 / window.length as f64);
                let past = Past {
                    account,
                    weekly: index == 1,
                    used: window.used / window.limit,
                    exhausted,
                    authorized: window.authorized / window.limit,
                    early,
                };
                self.outcome.windows.push(past);
                *window = Window {
                    begins: (index == 1).then_some(now),
                    used: 0.0,
                    day_used: 0.0,
                    authorized: 0.0,
                    day_authorized: 0.0,
                    full_at: None,
                    ..window.clone()
                };
            }
        }
    }

    fn new_day(&mut self, now: i64) {
        for account in 0..3 {
            let window = &mut self.accounts[account][1];
            let Some(begins) = window.begins else { continue };
            let yesterday = now - DAY;
            if begins <= yesterday && now <= begins + window.length {
                let rest = (begins + window.length - yesterday) as f64;
                self.outcome.days.push(DayPast {
                    account,
                    spent: (window.used - window.day_used) / window.limit,
                    allowance: (1.0 - window.day_used / window.limit) * DAY as f64 / rest,
                    authorized: (window.authorized - window.day_authorized) / window.limit,
                });
            }
            (window.day_used, window.day_authorized) = (window.used, window.authorized);
        }
    }

    fn start(&mut self, now: i64) {
        for agent in 0..AGENTS {
            if self.agents[agent].is_some() {
                continue;
            }
            // The urgent first; then in the order in which they came.
            let Some(job) = self.urgent.pop_front().or_else(|| self.waiting.pop_front()) else { return };
            let Some((task, account)) = self.admit(agent, &job, now) else {
                // Whoever is refused is refused for all: nobody behind asks for much less.
                self.waiting.push_front(Job { urgent: false, ..job });
                return;
            };
            self.outcome.urgent += usize::from(job.urgent);
            let steps = u64::try_from(job.minutes * MINUTE / STEP).unwrap_or(1).max(1);
            let each = job.actual.div_ceil(steps);
            self.agents[agent] = Some(Running { task, account, left: job.actual, each, urgent: job.urgent });
        }
    }

    fn admit(&mut self, agent: usize, job: &Job, now: i64) -> Option<(String, usize)> {
        if self.rule == Rule::None {
            return Some((String::new(), agent % 3));
        }
        let ask = Ask {
            tenant: "me".to_owned(),
            agent: String::new(),
            class: "implementer".to_owned(),
            model: "opus".to_owned(),
            estimate: Some(job.estimate),
            urgency: if job.urgent { Urgency::High } else { Urgency::Normal },
            ..Ask::default()
        };
        let verdict = self.gate.admit(&ask, false, Wall(now)).ok()?;
        let task = verdict.task?;
        self.gate.start(&task, Some(&format!("agent{agent}")), Wall(now)).ok()?;
        let account = verdict.account?.strip_prefix("max-")?.parse().ok()?;
        Some((task, account))
    }

    fn spend(&mut self, now: i64) {
        for agent in 0..AGENTS {
            let Some(mut running) = self.agents[agent].take() else { continue };
            if self.accounts[running.account].iter().any(|window| window.used >= window.limit) {
                self.outcome.stood_still += 1;
                self.agents[agent] = Some(running);
                continue;
            }
            let part = running.each.min(running.left);
            running.left -= part;
            for window in &mut self.accounts[running.account] {
                window.begins.get_or_insert(now);
                window.used += part as f64;
                if running.urgent {
                    window.authorized += part as f64;
                }
                if window.used >= window.limit * 0.999 {
                    window.full_at.get_or_insert(now);
                }
                self.outcome.most = self.outcome.most.max(window.used / window.limit);
            }
            let payer = self.gate.payer("me", &format!("agent{agent}"), "claude-opus-5", None);
            let used = Used { tokens: part, ..Used::default() };
            self.gate.used(&payer, None, (Wall(now + 1), used), Wall(now + 1));
            if running.left > 0 {
                self.agents[agent] = Some(running);
                continue;
            }
            self.outcome.finished += 1;
            if self.rule != Rule::None {
                let _ = self.gate.end(&running.task, None, Wall(now + 2));
            }
        }
    }

    /// Providers tell after answers; of the second account for some hours of each day nobody hears.
    fn tell(&mut self, now: i64, step: i64) {
        for account in 0..3 {
            if account == 1 && step % STEPS / 12 % 8 < 3 {
                continue;
            }
            for window in &self.accounts[account] {
                let Some(begins) = window.begins else { continue };
                let fact = Fact {
                    used: Some(window.used / window.limit),
                    resets_at: Some(Wall(begins + window.length)),
                    at: Wall(now + 3),
                };
                let length = Duration::from_millis(u64::try_from(window.length).unwrap_or(0));
                self.gate.observe(&format!("max-{account}"), window.name, length, fact);
            }
        }
    }
}

/// The tighter of an account's windows: only it can be used up.
fn tight(past: &Past) -> bool {
    past.weekly != (past.account == 1)
}

impl Outcome {
    /// Windows that ended in their time, without the first of each, in which what a token is worth is not known yet.
    fn whole(&self) -> impl Iterator<Item = &Past> {
        (0..3).flat_map(move |account| {
            [false, true].into_iter().flat_map(move |weekly| {
                let of =
                    self.windows.iter().filter(move |past| past.account == account && past.weekly == weekly);
                of.skip(usize::from(!weekly)).filter(|past| !past.early)
            })
        })
    }

    /// The part of its time after which the first window was through, and how many were through before 98 % of it.
    pub fn early(&self) -> (f64, usize) {
        let exhausted = self.whole().filter(|past| past.authorized < 0.005).filter_map(|past| past.exhausted);
        let all: Vec<f64> = exhausted.collect();
        (all.iter().copied().fold(1.0, f64::min), all.iter().filter(|part| **part < 0.98).count())
    }

    /// The least and the mean that was used of the tighter windows.
    pub fn utilization(&self) -> (f64, f64) {
        let used: Vec<f64> = self.whole().filter(|past| tight(past)).map(|past| past.used).collect();
        let mean = used.iter().sum::<f64>() / used.len().max(1) as f64;
        (used.iter().copied().fold(f64::INFINITY, f64::min), mean)
    }

    /// The largest difference between what a day spent of a weekly window and its part, as a share of the window.
    pub fn uneven(&self) -> f64 {
        let days = self.days.iter().filter(|day| day.account != 1 && day.authorized < 0.001);
        days.map(|day| (day.spent - day.allowance).abs()).fold(0.0, f64::max)
    }
}

/// The three rules side by side, as a table for `docs/budget.md`.
pub fn table(seed: u64) -> String {
    let mut out = String::from("| | paced | cap only | no pacing |\n|---|---|---|---|\n");
    let outcomes = [Rule::Paced, Rule::CapOnly, Rule::None].map(|rule| play(rule, seed));
    let mut row = |what: &str, of: &dyn Fn(&Outcome) -> String| {
        let cells = outcomes.each_ref().map(of).join(" | ");
        let _ = writeln!(out, "| {what} | {cells} |");
    };
    let percent = |share: f64| format!("{:.1} %", share * 100.0);
    row("windows used up before 98 % of their time", &|outcome| outcome.early().1.to_string());
    row("the first was through after this part of its time", &|outcome| percent(outcome.early().0));
    row("used of the tighter windows, mean", &|outcome| percent(outcome.utilization().1));
    row("used of the tighter windows, least", &|outcome| percent(outcome.utilization().0));
    row("a day beside its part of the week, worst", &|outcome| percent(outcome.uneven()));
    row("most that was ever used of a limit", &|outcome| percent(outcome.most));
    row("agents standing at a limit, hours", &|outcome| (outcome.stood_still / 12).to_string());
    row("tasks finished", &|outcome| outcome.finished.to_string());
    out
}
