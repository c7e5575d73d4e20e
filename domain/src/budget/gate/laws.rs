//! The laws, over arbitrary interleavings of ask, start, spend, finish, time-out, crash, clock jump and reset.

use std::time::Duration;

use jiff::tz::TimeZone;
use proptest::prelude::*;

use super::*;
use crate::budget::amount::Amount;
use crate::budget::config::{Ceiling, Kind, Ladder, Scope};
use crate::budget::decision::{Ask, Stage, Urgency};
use crate::budget::schedule::{Every, Period, Schedule};

const START: Wall = Wall(1_795_000_000_000);

#[derive(Debug, Clone)]
enum Op {
    Ask {
        agent: u8,
        class: u8,
        model: u8,
        account: u8,
        estimate: Option<u64>,
        urgent: bool,
    },
    Start(prop::sample::Index),
    /// A part of what is held, in percent.
    Spend(prop::sample::Index, u64),
    Finish(prop::sample::Index),
    /// Seconds.
    Wait(u32),
    Back(u32),
    Crash,
    Told {
        account: u8,
        used: u8,
        resets_in: u32,
    },
    Stuck {
        account: u8,
        hours: u8,
    },
    Authorize {
        account: u8,
        tokens: u64,
    },
    Limit {
        account: u8,
        tokens: u64,
    },
    Reload {
        hard: u64,
    },
}

fn ops() -> impl Strategy<Value = Vec<Op>> {
    let index = any::<prop::sample::Index>;
    let op = prop_oneof![
        8 => (0u8..4, 0u8..2, 0u8..4, 0u8..4, proptest::option::of(1u64..4_000), any::<bool>()).prop_map(
            |(agent, class, model, account, estimate, urgent)| Op::Ask { agent, class, model, account, estimate, urgent }),
        4 => index().prop_map(Op::Start),
        6 => (index(), 0u64..101).prop_map(|(task, part)| Op::Spend(task, part)),
        3 => index().prop_map(Op::Finish),
        3 => (0u32..20_000).prop_map(Op::Wait),
        1 => (100_000u32..400_000).prop_map(Op::Wait),
        1 => (0u32..200_000).prop_map(Op::Back),
        1 => Just(Op::Crash),
        1 => (0u8..2, 0u8..120, 0u32..700_000).prop_map(|(account, used, resets_in)| Op::Told { account, used, resets_in }),
        1 => (0u8..2, 0u8..9).prop_map(|(account, hours)| Op::Stuck { account, hours }),
        1 => (0u8..2, 1u64..5_000).prop_map(|(account, tokens)| Op::Authorize { account, tokens }),
        1 => (0u8..2, 5_000u64..50_000).prop_map(|(account, tokens)| Op::Limit { account, tokens }),
        1 => (3_000u64..30_000).prop_map(|hard| Op::Reload { hard }),
    ];
    proptest::collection::vec(op, 1..120)
}

fn config(hard: u64, enforce: bool) -> Config {
    let window = |name: &str, limit: Option<u64>, every: &str| WindowSpec {
        name: name.to_owned(),
        length: Every::parse(every).unwrap().about(),
        schedule: Some(Schedule::Fixed {
            anchor: START,
            every: Every::parse(every).unwrap(),
            zone: TimeZone::UTC,
        }),
        limit: limit.map(Amount::Tokens),
        models: Vec::new(),
    };
    let account = |name: &str, provider: &str, windows| Account {
        name: name.to_owned(),
        provider: provider.to_owned(),
        kind: Kind::Subscription,
        agents: BTreeSet::new(),
        classes: BTreeSet::new(),
        models: Vec::new(),
        concurrency: Some(6),
        windows,
    };
    let ceiling = |scope, name: &str, hard: Option<Amount>, concurrency| Ceiling {
        scope,
        name: name.to_owned(),
        per: Period::Day,
        soft: None,
        hard,
        concurrency,
    };
    Config {
        enforce,
        hold: Duration::from_secs(600),
        task_limit: Duration::from_secs(7_200),
        estimate: 700,
        accounts: vec![
            account(
                "a0",
                "anthropic",
                vec![window("5h", Some(9_000), "5h"), window("7d", Some(40_000), "7d")],
            ),
            account("a1", "openai", vec![window("7d", None, "7d")]),
        ],
        ceilings: vec![
            ceiling(Scope::Tenant, "me", Some(Amount::Tokens(hard)), None),
            ceiling(Scope::Agent, "*", Some(Amount::Tokens(hard / 2)), Some(2)),
            ceiling(Scope::Class, "c0", Some(Amount::Dollars(Money(hard * 700))), Some(5)),
        ],
        ladder: Ladder::default(),
        ..Config::default()
    }
}

/// The gate, and what a store beside it would hold.
struct World {
    gate: Gate,
    config: Config,
    now: Wall,
    ledger: Vec<(Wall, Payer, Used)>,
    /// A budget in force may be made smaller than what is used already, and a clock that was put back brings back a day
    /// in which much was used: from then on only what is newly admitted is held to the law.
    broken: bool,
}

impl World {
    fn new(enforce: bool) -> Self {
        let config = config(20_000, enforce);
        let mut gate = Gate::default();
        gate.configure(Some(config.clone()), START);
        gate.price(prices());
        Self { gate, config, now: START, ledger: Vec::new(), broken: false }
    }

    fn held(&self) -> Vec<Task> {
        self.gate.tasks().filter(|task| task.stage.holds()).cloned().collect()
    }

    fn step(&mut self, op: Op) {
        self.now.0 += 1;
        match op {
            Op::Ask { agent, class, model, account, estimate, urgent } => {
                let ask = Ask {
                    tenant: "me".to_owned(),
                    agent: format!("g{agent}"),
                    class: format!("c{class}"),
                    model: ["", "claude-opus-5", "claude-haiku-4-5", "gpt-5-codex"][usize::from(model)]
                        .to_owned(),
                    account: (account < 2).then(|| format!("a{account}")),
                    estimate,
                    urgency: if urgent { Urgency::High } else { Urgency::Normal },
                    ..Ask::default()
                };
                let verdict = self.gate.admit(&ask, false, self.now).unwrap();
                assert_eq!(verdict.decision.admits(), verdict.task.is_some());
                if let Some(task) = verdict.task {
                    self.law_for(&task);
                }
            }
            Op::Start(index) => {
                self.with(index, |world, task| drop(world.gate.start(&task.name, None, world.now)))
            }
            Op::Finish(index) => {
                self.with(index, |world, task| drop(world.gate.end(&task.name, None, world.now)))
            }
            Op::Spend(index, part) => self.with(index, |world, task| {
                let tokens = task.held().tokens * part / 100;
                let on = world.gate.task_of(&task.agent) == Some(task.name.as_str());
                if task.stage == Stage::Started && on && task.started <= Some(world.now) {
                    let dollars = tasks::dollars(tokens, 500.0);
                    let used = Used { tokens, dollars: dollars.min(task.held().dollars) };
                    let payer = Payer {
                        tenant: task.tenant,
                        agent: task.agent,
                        class: task.class,
                        model: task.model,
                        ..Payer::default()
                    };
                    world.gate.used(&payer, None, (world.now, used), world.now);
                    world.ledger.push((world.now, payer, used));
                }
            }),
            Op::Wait(seconds) => self.now = self.now.plus(Duration::from_secs(seconds.into())),
            Op::Back(seconds) => {
                self.now = self.now.minus(Duration::from_secs(seconds.into()));
                self.broken = true;
            }
            Op::Crash => self.crash(),
            Op::Told { account, used, resets_in } => {
                let resets_at = Some(self.now.plus(Duration::from_secs(resets_in.into())));
                let fact = Fact { used: Some(f64::from(used) / 100.0), resets_at, at: self.now };
                self.gate.observe(&format!("a{account}"), "7d", Duration::from_secs(7 * 86_400), fact);
            }
            Op::Stuck { account, hours } => {
                self.gate.stuck(
                    &format!("a{account}"),
                    self.now.plus(Duration::from_secs(u64::from(hours) * 3_600)),
                );
            }
            Op::Authorize { account, tokens } => {
                let until = self.now.plus(Duration::from_secs(7_200));
                let authorization = Authorization {
                    account: format!("a{account}"),
                    tokens,
                    drawn: 0,
                    until,
                    by: "owner".to_owned(),
                    at: self.now,
                };
                self.gate.authorize(authorization, self.now).unwrap();
            }
            Op::Limit { account, tokens } => {
                let setting = Setting { limit: Some(Amount::Tokens(tokens)), ..Setting::default() };
                self.gate.set(&format!("a{account}"), "7d", Some(setting), self.now).unwrap();
                self.broken = true;
            }
            Op::Reload { hard } => {
                self.broken |= hard < 20_000;
                self.config = config(hard, self.config.enforce);
                self.gate.configure(Some(self.config.clone()), self.now);
            }
        }
    }

    fn with(&mut self, index: prop::sample::Index, act: impl FnOnce(&mut Self, Task)) {
        let held = self.held();
        if !held.is_empty() {
            act(self, index.get(&held).clone());
        }
    }

    /// A new gate from what was kept knows what the old one knew.
    fn crash(&mut self) {
        self.gate.expire(self.now);
        let before = self.totals();
        let kept = Kept {
            tasks: self.gate.tasks().cloned().collect(),
            settings: self
                .gate
                .settings
                .iter()
                .map(|((a, w), s)| (a.clone(), w.clone(), s.clone()))
                .collect(),
            authorizations: self.gate.authorizations().to_vec(),
            capacities: self.gate.capacities(),
        };
        let mut gate = Gate::default();
        gate.configure(Some(self.config.clone()), self.now);
        gate.price(prices());
        gate.restore(kept, self.now);
        for (at, payer, used) in &self.ledger {
            gate.used(payer, None, (*at, *used), self.now);
        }
        self.gate = gate;
        if !self.broken {
            assert_eq!(self.totals(), before, "a restart changes no figure");
        }
    }

    fn totals(&mut self) -> Vec<(String, Used, Used, u32)> {
        let rooms = self.gate.rooms_for_test(self.now);
        rooms
            .into_iter()
            .map(|room| (room.ceiling.title() + &room.name, room.used, room.held, room.tasks))
            .collect()
    }

    /// What was just admitted leaves nothing above a hard bound.
    fn law_for(&mut self, name: &str) {
        let task = self.gate.task(name).unwrap().clone();
        for room in self.gate.rooms_for_test(self.now) {
            let mine = match room.ceiling.scope {
                Scope::Tenant => true,
                Scope::Agent => room.name == task.agent,
                _ => room.name == task.class,
            };
            if mine {
                within(&room);
            }
        }
        let account = task.account.clone().unwrap();
        assert!(self.gate.running[&account] <= 6);
        for window in &self.gate.windows[&account] {
            let standing = window.standing(&account, &self.gate.config, &self.gate.book, self.now);
            if let (Some(limit), None) = (standing.limit, standing.at) {
                let taken = limit.of(standing.ours) + limit.of(window.held);
                assert!(taken <= limit.size(), "{account} {}: {taken} of {limit}", window.spec.name);
            }
            if let Some(committed) = window.bound(&standing, Used::default(), self.now) {
                assert!(committed <= 1.0 + 1e-9, "{account} {}: {committed}", window.spec.name);
            }
        }
    }

    fn laws(&mut self) {
        self.gate.expire(self.now);
        if !self.broken {
            for room in self.gate.rooms_for_test(self.now) {
                within(&room);
            }
        }
        for (at, _) in &self.gate.due {
            assert!(*at > self.now, "a place outlives its time");
        }
        for one in self.gate.authorizations() {
            assert!(one.drawn <= one.tokens, "more was drawn than authorized");
        }
    }
}

fn within(room: &Room) {
    if let Some(hard) = room.ceiling.hard {
        let taken = hard.of(room.used) + hard.of(room.held);
        assert!(taken <= hard.size(), "{}: {taken} of {}", room.ceiling.title(), hard.size());
    }
    if let Some(most) = room.ceiling.concurrency {
        assert!(room.tasks <= most, "{}: {} tasks of {most}", room.ceiling.title(), room.tasks);
    }
}

fn prices() -> BTreeMap<String, f64> {
    [("opus", 500.0), ("sonnet", 500.0), ("haiku", 500.0), ("codex", 500.0)]
        .map(|(model, price)| (model.to_owned(), price))
        .into()
}

impl Gate {
    fn rooms_for_test(&mut self, now: Wall) -> Vec<Room> {
        self.overview(&TimeZone::UTC, now).rooms
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, ..ProptestConfig::default() })]

    #[test]
    fn what_is_used_and_held_never_exceeds_a_hard_ceiling(ops in ops(), enforce in any::<bool>()) {
        let mut world = World::new(enforce);
        for op in ops {
            world.step(op);
            world.laws();
        }
    }

    /// Incremental counting and counting anew say the same.
    #[test]
    fn a_recount_changes_nothing(ops in ops()) {
        let mut world = World::new(true);
        for op in ops {
            world.step(op);
        }
        world.gate.expire(world.now);
        let before = world.totals();
        let now = world.now;
        world.gate.recount(now);
        prop_assert_eq!(world.totals(), before);
    }

    /// Without an authorization nobody is urgent.
    #[test]
    fn urgency_is_nothing_without_an_authorization(ops in ops()) {
        let (mut urgent, mut normal) = (World::new(true), World::new(true));
        for op in ops {
            if matches!(op, Op::Authorize { .. }) {
                continue;
            }
            let calm = match op.clone() {
                Op::Ask { agent, class, model, account, estimate, .. } => Op::Ask { agent, class, model, account, estimate, urgent: false },
                op => op,
            };
            urgent.step(op);
            normal.step(calm);
        }
        prop_assert_eq!(urgent.held().len(), normal.held().len());
        let now = urgent.now;
        urgent.gate.expire(now);
        normal.gate.expire(now);
        prop_assert_eq!(urgent.totals(), normal.totals());
    }

    #[test]
    fn a_pause_lets_nothing_through(ops in ops()) {
        let mut world = World::new(true);
        for op in ops {
            world.step(op);
        }
        let (held, now) = (world.gate.held(), world.now);
        let verdict = world.gate.admit(&Ask::default(), true, now).unwrap();
        prop_assert_eq!((verdict.decision.as_str(), verdict.reason.as_str()), ("refuse", "paused"));
        prop_assert!(world.gate.held() <= held);
    }
}
