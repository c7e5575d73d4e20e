//! Tasks and what is held for them: from admission until it is spent, the task ends or its time is out.

use crate::price::Money;
use crate::time::Wall;

use super::super::amount::Used;
use super::super::config::Ceiling;
use super::super::decision::{Stage, Task, Unknown};
use super::super::spend::KEEP;
use super::meter::{Meter, Whose};
use super::pulse::SLICE;
use super::window::Window;
use super::{Gate, MAX_ENDED, MAX_NAMES, Stint};

/// Tasks of one agent whose account is remembered for what it spent on them.
const MAX_STINTS: usize = 1_000;

impl Gate {
    pub fn task(&self, name: &str) -> Option<&Task> {
        self.tasks.get(name)
    }

    /// Those that something is held for, then the ended ones, latest first.
    pub fn tasks(&self) -> impl Iterator<Item = &Task> {
        let held = self.due.iter().filter_map(|(_, name)| self.tasks.get(name));
        let ended = self.ended.iter().rev().filter_map(|(_, name)| self.tasks.get(name));
        held.chain(ended)
    }

    pub fn held(&self) -> usize {
        self.due.len()
    }

    /// The task that the agent is on.
    pub fn task_of(&self, agent: &str) -> Option<&str> {
        let stint = self.stints.get(agent)?.iter().rev().find(|stint| stint.to.is_none())?;
        Some(&stint.task)
    }

    /// # Errors
    /// No such task, or it is over.
    pub fn start(&mut self, name: &str, agent: Option<&str>, now: Wall) -> Result<&Task, Unknown> {
        self.expire(now);
        let task = self.tasks.get_mut(name).ok_or_else(|| unknown(name))?;
        if !task.stage.holds() {
            return Err(Unknown::Over { name: name.to_owned(), state: task.stage.as_str() });
        }
        let mut task = task.clone();
        if task.stage == Stage::Admitted {
            self.due.remove(&(self.due_at(&task), task.name.clone()));
            // Another agent may count under other ceilings.
            self.release(&task, task.held(), now);
            task.stage = Stage::Started;
            task.started = Some(now);
            if let Some(agent) = agent.filter(|agent| !agent.is_empty()) {
                agent.clone_into(&mut task.agent);
            }
            self.hold(&task, task.held(), now);
            self.remember(task);
        }
        self.task(name).ok_or_else(|| unknown(name))
    }

    /// The task is over: what is left of its place is free, and what it used is learned. `tokens` where the ledger could
    /// not see it.
    ///
    /// # Errors
    /// No such task, or it is over.
    pub fn end(&mut self, name: &str, tokens: Option<u64>, now: Wall) -> Result<&Task, Unknown> {
        let task = self.tasks.get(name).ok_or_else(|| unknown(name))?;
        if !task.stage.holds() {
            return Err(Unknown::Over { name: name.to_owned(), state: task.stage.as_str() });
        }
        let told = tokens.unwrap_or(0);
        self.over(name, Stage::Ended, told, now);
        self.task(name).ok_or_else(|| unknown(name))
    }

    /// Gives back the places of those whose time is out; answers who they are.
    pub fn expire(&mut self, now: Wall) -> Vec<String> {
        let mut gone = Vec::new();
        while let Some((_, name)) = self.due.first().filter(|(at, _)| *at <= now).cloned() {
            let started = self.tasks.get(&name).is_some_and(|task| task.stage == Stage::Started);
            self.over(&name, if started { Stage::TimedOut } else { Stage::Expired }, 0, now);
            gone.push(name);
        }
        gone
    }

    /// When the next place is given back by time alone.
    pub fn next_expiry(&self) -> Option<Wall> {
        self.due.first().map(|(at, _)| *at)
    }

    fn over(&mut self, name: &str, stage: Stage, told: u64, now: Wall) {
        let Some(mut task) = self.tasks.get(name).cloned() else { return };
        self.due.remove(&(self.due_at(&task), task.name.clone()));
        let unseen = told.saturating_sub(task.actual.tokens);
        for window in self.windows_of(&task).filter(|_| unseen > 0) {
            window.pulse.spent(unseen, window.held.tokens, now);
        }
        self.release(&task, task.held(), now);
        task.stage = stage;
        task.ended = Some(now);
        task.actual.tokens = task.actual.tokens.max(told);
        self.remember(task);
    }

    /// The account of the task that the agent was on at that time.
    pub(super) fn account_at(&self, agent: &str, at: Wall) -> Option<String> {
        self.stint_at(agent, at)?.account.clone()
    }

    /// Of several tasks at once, the one that was started last.
    fn stint_at(&self, agent: &str, at: Wall) -> Option<&Stint> {
        let stints = self.stints.get(agent)?;
        stints.iter().rev().find(|stint| stint.from <= at && stint.to.is_none_or(|to| at < to))
    }

    fn stint(&mut self, task: &Task, now: Wall) {
        let Some(from) = task.started.filter(|_| !task.agent.is_empty()) else { return };
        let stints = self.stints.entry(task.agent.clone()).or_default();
        let told = Stint { task: task.name.clone(), account: task.account.clone(), from, to: task.ended };
        let place = stints.partition_point(|known| (known.from, &known.task) < (from, &told.task));
        if let Some(known) =
            stints.get_mut(place).filter(|known| known.from == from && known.task == told.task)
        {
            *known = told;
            return;
        }
        stints.insert(place, told);
        let oldest = now.minus(KEEP);
        if stints.len() > MAX_STINTS || stints[0].to.is_some_and(|to| to <= oldest) {
            stints.remove(0);
        }
    }

    /// Takes a task into the ledger of tasks as it is.
    pub(super) fn remember(&mut self, task: Task) {
        let name = task.name.clone();
        self.stint(&task, task.ended.unwrap_or(task.admitted));
        if task.stage.holds() {
            self.due.insert((self.due_at(&task), name.clone()));
        } else {
            if task.stage == Stage::Ended {
                self.learned.learn(
                    &task.class,
                    &task.model,
                    task.actual.tokens,
                    task.ended.unwrap_or(task.admitted),
                );
            }
            self.ended.insert((task.ended.unwrap_or(task.admitted), name.clone()));
            if self.ended.len() > MAX_ENDED
                && let Some((_, oldest)) = self.ended.pop_first()
            {
                self.tasks.remove(&oldest);
            }
        }
        self.tasks.insert(name, task);
    }

    pub(super) fn due_at(&self, task: &Task) -> Wall {
        match task.started {
            Some(at) => at.plus(self.config.task_limit),
            None => task.admitted.plus(self.config.hold),
        }
    }

    /// The ledger saw the agent spend: it is its task's, and no longer held for it.
    pub(super) fn charge(&mut self, agent: &str, at: Wall, used: Used, now: Wall) {
        let Some(name) = self.stint_at(agent, at).map(|stint| &stint.task) else { return };
        let Some(mut task) = self.tasks.get(name).filter(|task| task.stage.holds()).cloned() else { return };
        let before = task.held();
        task.actual.add(used);
        let mut freed = before;
        freed.subtract(task.held());
        // What a restart tells again was spent long ago.
        let lately = at.age_at(now) < SLICE;
        for window in self.windows_of(&task).filter(|_| lately) {
            window.pulse.spent(used.tokens, window.held.tokens, now);
        }
        let (tasks, name) = (0, task.name.clone());
        self.move_held(&task, freed, Move::Release, tasks, now);
        self.tasks.insert(name, task);
    }

    fn windows_of(&mut self, task: &Task) -> impl Iterator<Item = &mut Window> {
        let windows = self.windows.get_mut(task.account.as_deref().unwrap_or_default());
        windows.into_iter().flatten().filter(|window| window.spec.counts(&task.model))
    }

    /// A place is about to be held for a new task.
    pub(super) fn promise(&mut self, task: &Task, now: Wall) {
        for window in self.windows_of(task) {
            window.pulse.promised(task.held().tokens, window.held.tokens, now);
        }
    }

    pub(super) fn hold(&mut self, task: &Task, held: Used, now: Wall) {
        self.move_held(task, held, Move::Hold, 1, now);
    }

    pub(super) fn release(&mut self, task: &Task, held: Used, now: Wall) {
        self.move_held(task, held, Move::Release, 1, now);
    }

    fn move_held(&mut self, task: &Task, held: Used, way: Move, tasks: u32, now: Wall) {
        let Self { config, meters, windows, book, running, .. } = self;
        let account = task.account.as_deref().unwrap_or_default();
        let whose = Whose {
            tenant: &task.tenant,
            provider: config.account(account).map_or("", |account| &account.provider),
            account,
            class: &task.class,
            agent: &task.agent,
            model: &task.model,
        };
        for (index, ceiling) in config.ceilings.iter().enumerate() {
            let Some(name) = whose.under(ceiling) else { continue };
            let Some(meter) = meter(meters, index, name) else { continue };
            meter.refresh(ceiling, name, config, book, now);
            way.apply(&mut meter.held, held, &mut meter.tasks, tasks);
        }
        for window in windows.get_mut(account).into_iter().flatten() {
            if window.spec.counts(&task.model) {
                way.apply(&mut window.held, held, &mut 0, 0);
            }
        }
        if !account.is_empty() {
            let count = running.entry(account.to_owned()).or_default();
            way.apply(&mut Used::default(), Used::default(), count, tasks);
        }
    }
}

/// The meter of a ceiling under a name, made where it is missing.
pub(super) fn meter<'m>(
    meters: &'m mut std::collections::BTreeMap<super::At, Meter>,
    ceiling: usize,
    name: &str,
) -> Option<&'m mut Meter> {
    let at = (ceiling, name.to_owned());
    if meters.len() >= MAX_NAMES && !meters.contains_key(&at) {
        return None;
    }
    Some(meters.entry(at).or_default())
}

/// A ceiling's name and unit for people.
pub(super) fn title(ceiling: &Ceiling, name: &str) -> String {
    Ceiling { name: name.to_owned(), ..ceiling.clone() }.title()
}

#[derive(Clone, Copy)]
enum Move {
    Hold,
    Release,
}

impl Move {
    fn apply(self, held: &mut Used, used: Used, count: &mut u32, tasks: u32) {
        match self {
            Self::Hold => {
                held.add(used);
                *count = count.saturating_add(tasks);
            }
            Self::Release => {
                held.subtract(used);
                *count = count.saturating_sub(tasks);
            }
        }
    }
}

fn unknown(name: &str) -> Unknown {
    Unknown::Task { name: crate::text::clean(name, 64) }
}

/// What so many tokens cost at a price a token; at most what money can say.
pub(super) fn dollars(tokens: u64, price: f64) -> Money {
    Money((tokens as f64 * price).min(i64::MAX as f64) as u64)
}
