//! The world that is played: what comes in, who works on it, what is really spent, and what its providers tell.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use fleet_domain::Wall;
use fleet_domain::budget::amount::{Amount, Used};
use fleet_domain::budget::config::{Ceiling, Scope};
use fleet_domain::budget::decision::{Ask, Authorization, Reason, Urgency};
use fleet_domain::budget::gate::Gate;
use fleet_domain::budget::schedule::Period;
use fleet_domain::budget::standing::Fact;
use fleet_domain::price::Money;

use super::{
    AGENTS, CLASSES, DAY, DAYS, DayPast, HOUR, Outcome, PRICE, Past, REVIEWS, Rule, SHORT, START, STEP,
    STEPS, Size, WEEKLY, config,
};

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
    /// Steps of it, and those without work.
    steps: u32,
    idle: u32,
}

impl Window {
    fn new(name: &'static str, length: i64, limit: f64) -> Self {
        Self {
            name,
            length,
            limit,
            begins: None,
            used: 0.0,
            day_used: 0.0,
            authorized: 0.0,
            day_authorized: 0.0,
            full_at: None,
            steps: 0,
            idle: 0,
        }
    }
}

#[derive(Debug, Clone)]
struct Job {
    class: usize,
    estimate: u64,
    actual: u64,
    steps: u64,
    urgent: bool,
}

#[derive(Debug, Clone)]
struct Running {
    task: String,
    class: usize,
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

struct World {
    rule: Rule,
    size: Size,
    gate: Gate,
    accounts: Vec<[Window; 2]>,
    agents: Vec<Option<Running>>,
    idle_today: u32,
    /// By class.
    waiting: [VecDeque<Job>; 2],
    urgent: VecDeque<Job>,
    ceilings: Vec<Ceiling>,
    /// What was really used under a ceiling, by its place, name and the day that its period began.
    truth: BTreeMap<(usize, String, i64), Used>,
    chance: Chance,
    outcome: Outcome,
}

/// Plays the trace of that seed under the rule.
pub fn play(rule: Rule, size: Size, seed: u64) -> Outcome {
    let accounts = (0..3)
        .map(|index| [Window::new("5h", 5 * HOUR, SHORT[index]), Window::new("7d", 7 * DAY, WEEKLY[index])]);
    let (mut gate, config) = (Gate::default(), config(rule, size));
    let ceilings = config.ceilings.clone();
    gate.configure(Some(config), Wall(START));
    gate.price([("opus".to_owned(), PRICE)].into());
    let mut world = World {
        rule,
        size,
        gate,
        accounts: accounts.collect(),
        agents: vec![None; AGENTS],
        idle_today: 0,
        waiting: Default::default(),
        urgent: VecDeque::new(),
        ceilings,
        truth: BTreeMap::new(),
        chance: Chance(seed | 1),
        outcome: Outcome::default(),
    };
    for step in 0..DAYS * STEPS {
        world.step(step);
    }
    world.outcome.near = world.near();
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
        self.work();
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
            let job = self.job(day % 9 == 4 && hour == 10);
            if job.urgent { self.urgent.push_back(job) } else { self.waiting[job.class].push_back(job) }
        }
        // Nobody keeps a list of ten thousand.
        self.waiting.iter_mut().for_each(|jobs| jobs.truncate(6_000));
    }

    fn job(&mut self, urgent: bool) -> Job {
        let Size { tokens, steps, .. } = self.size;
        let actual = self.chance.within(tokens.0, tokens.1);
        Job {
            class: usize::from(self.chance.next().is_multiple_of(REVIEWS)),
            // Estimates are a little too large, as those of the 90th percentile are.
            estimate: actual * self.chance.within(100, 130) / 100,
            actual,
            steps: self.chance.within(steps.0, steps.1),
            urgent,
        }
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
                    begun: (begins - START) / STEP,
                    idle: f64::from(window.idle) / f64::from(window.steps.max(1)),
                };
                self.outcome.windows.push(past);
                let begins = (index == 1).then_some(now);
                *window = Window { begins, ..Window::new(window.name, window.length, window.limit) };
            }
        }
    }

    fn new_day(&mut self, now: i64) {
        let idle = f64::from(std::mem::take(&mut self.idle_today)) / STEPS as f64;
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
                    idle,
                });
            }
            (window.day_used, window.day_authorized) = (window.used, window.authorized);
        }
    }

    /// Idle agents ask one after the other: for what is urgent, then for what waits longest of a class that is not held up.
    fn start(&mut self, now: i64) {
        for agent in 0..AGENTS {
            if self.agents[agent].is_some() {
                continue;
            }
            let mut paced = false;
            for class in [None, Some(0), Some(1)] {
                let jobs = class.map_or(&mut self.urgent, |class: usize| &mut self.waiting[class]);
                let Some(job) = jobs.pop_front() else { continue };
                match self.admit(agent, &job, now) {
                    Ok((task, account)) => {
                        self.outcome.urgent += usize::from(job.urgent);
                        let each = job.actual.div_ceil(job.steps.max(1));
                        let Job { class, actual: left, urgent, .. } = job;
                        self.agents[agent] = Some(Running { task, class, account, left, each, urgent });
                        break;
                    }
                    Err(reason) => {
                        paced |= !matches!(reason, Reason::Ceiling | Reason::Concurrency);
                        self.waiting[job.class].push_front(Job { urgent: false, ..job });
                    }
                }
            }
            // What pace or a window says to one it says to all: nobody behind asks for much less.
            if paced && self.agents[agent].is_none() {
                return;
            }
        }
    }

    fn admit(&mut self, agent: usize, job: &Job, now: i64) -> Result<(String, usize), Reason> {
        if self.rule == Rule::None {
            return Ok((String::new(), agent % 3));
        }
        let ask = Ask {
            tenant: "me".to_owned(),
            agent: format!("agent{agent}"),
            class: CLASSES[job.class].to_owned(),
            model: "opus".to_owned(),
            estimate: Some(job.estimate),
            urgency: if job.urgent { Urgency::High } else { Urgency::Normal },
            ..Ask::default()
        };
        let verdict = self.gate.admit(&ask, false, Wall(now)).map_err(|_| Reason::NoAccount)?;
        let account = verdict.account.as_deref().and_then(|name| name.strip_prefix("max-")?.parse().ok());
        let (Some(task), Some(account)) = (verdict.task, account) else { return Err(verdict.reason) };
        let started = self.gate.start(&task, Some(&ask.agent), Wall(now)).is_ok();
        if started { Ok((task, account)) } else { Err(Reason::NoAccount) }
    }

    /// Counted apart from the gate.
    fn count(&mut self, running: &Running, agent: usize, used: Used, now: i64) {
        for (place, ceiling) in self.ceilings.iter().enumerate() {
            let name = match ceiling.scope {
                Scope::Agent => format!("agent{agent}"),
                Scope::Class => CLASSES[running.class].to_owned(),
                Scope::Account => format!("max-{}", running.account),
                _ => ceiling.name.clone(),
            };
            if ceiling.name != Ceiling::EACH && ceiling.name != name {
                continue;
            }
            // The four weeks lie within one month.
            let day = if ceiling.per == Period::Month { 0 } else { (now - START) / DAY };
            let sum = self.truth.entry((place, name, day)).or_default();
            sum.add(used);
            if ceiling.hard.is_some_and(|hard| hard.of(*sum) > hard.size()) {
                self.outcome.broken += 1;
            }
        }
    }

    fn near(&self) -> usize {
        let near = self.truth.iter().filter(|((place, ..), sum)| {
            let hard = self.ceilings[*place].hard.unwrap_or(Amount::Tokens(u64::MAX));
            hard.of(**sum) as f64 >= hard.size() as f64 * 0.9
        });
        near.count()
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
            let mut payer = self.gate.payer("me", &format!("agent{agent}"), "claude-opus-5", None);
            payer.class = CLASSES[running.class].to_owned();
            let used = Used { tokens: part, dollars: Money((part as f64 * PRICE) as u64) };
            self.count(&running, agent, used, now);
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

    /// Whether there was anything to do that no ceiling held up, of every window that is open.
    fn work(&mut self) {
        let idle = u32::from(self.waiting[0].is_empty() && self.urgent.is_empty());
        self.idle_today += idle;
        for window in self.accounts.iter_mut().flatten().filter(|window| window.begins.is_some()) {
            window.steps += 1;
            window.idle += idle;
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
