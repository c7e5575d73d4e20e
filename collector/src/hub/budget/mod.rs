//! The budget's owner: the gate, told of everything that bears on it, and what of its answers must become durable.
//!
//! Whatever it decides comes back as writes. Who asked is answered once those are on the disk, so that a place that was
//! promised survives whatever happens next.

mod file;
mod rows;

use std::collections::BTreeMap;
use std::sync::Arc;

use fleet_domain::budget::amount::Used;
use fleet_domain::budget::decision::{Ask, Authorization, Decision, Reason, Stage, Task, Unknown, Verdict};
use fleet_domain::budget::gate::{Gate, Kept, Outlook, Rostered, State};
use fleet_domain::budget::standing::{Fact, Setting};
use fleet_domain::limits::Reading;
use fleet_domain::price::{Table, cost};
use fleet_domain::usage::Record;
use fleet_domain::{AgentKey, Wall, text};
use fleet_proto::convert::{authorization_to_pb, setting_to_pb};
use jiff::tz::TimeZone;

use crate::store::{Booked, BudgetRow, BudgetWrite, RowKind, Spent};
use file::File;
use rows::{capacity_to_pb, decided, describe, join, log, put, put_task, take_row};

/// A learned amount is kept again when it differs by more than this.
const CAPACITY_STEP: f64 = 0.02;

pub struct Budget {
    gate: Gate,
    zone: TimeZone,
    table: Arc<Table>,
    file: File,
    /// What was kept, until the budget and the ledger are known.
    reading: bool,
    decisions: BTreeMap<(Decision, Reason), u64>,
    capacities: BTreeMap<(String, String), f64>,
}

/// Counted since the start.
pub type Decisions = BTreeMap<(Decision, Reason), u64>;

impl Budget {
    pub(super) fn new(zone: TimeZone) -> Self {
        Self {
            gate: Gate::default(),
            zone,
            table: Arc::default(),
            file: File::default(),
            reading: true,
            decisions: Decisions::new(),
            capacities: BTreeMap::new(),
        }
    }

    pub(super) fn restore(&mut self, rows: Vec<BudgetRow>, now: Wall) {
        let mut kept = Kept::default();
        for row in rows {
            if row.kind == RowKind::File {
                self.file.restore(row);
                continue;
            }
            if take_row(&row, &mut kept).is_none() {
                tracing::warn!(
                    kind = row.kind.as_str(),
                    key = row.key,
                    "a row of the budget cannot be read and is left out"
                );
            }
        }
        self.capacities = kept
            .capacities
            .iter()
            .map(|(account, window, tokens)| ((account.clone(), window.clone()), *tokens))
            .collect();
        self.gate.restore(kept, now);
    }

    /// The ledger's spending of a month, at a start. Until it is told nothing is admitted.
    pub(super) fn spent(&mut self, spent: Result<Vec<Spent>, String>, now: Wall) {
        match spent {
            Ok(spent) => {
                for one in spent {
                    let payer = self.gate.payer(
                        one.agent.tenant.as_str(),
                        &one.agent.session,
                        &one.model,
                        Some(&one.account),
                    );
                    self.gate.used(&payer, None, (one.at, one.used), now);
                }
                self.reading = false;
            }
            Err(error) => tracing::error!("{error}; nothing is admitted before the ledger could be read"),
        }
    }

    pub(super) fn booked(&mut self, booked: &Booked, now: Wall) {
        // What is told before the ledger was read is in what is read.
        if self.reading {
            return;
        }
        let Booked { owner, change, .. } = booked;
        let payer = self.gate.payer(owner.tenant.as_str(), &owner.session, &change.plus.model, None);
        let minus = change.minus.as_ref().map(|record| self.used(record));
        let plus = self.used(&change.plus);
        self.gate.used(&payer, minus, plus, now);
    }

    fn used(&self, record: &Record) -> (Wall, Used) {
        let dollars = fleet_domain::price::Costs::of(cost(record, &self.table)).known().unwrap_or_default();
        (record.at, Used { tokens: record.tokens.total(), dollars })
    }

    pub(super) fn told(&mut self, reading: &Reading, now: Wall) -> Vec<BudgetWrite> {
        let length = reading.length.or_else(|| reading.window.length());
        let Some(length) = length else { return Vec::new() };
        let fact =
            Fact { used: Some(reading.used_ratio), resets_at: reading.resets_at, at: reading.observed_at };
        self.gate.observe(reading.account.as_str(), reading.window.as_str(), length, fact);
        let mut writes = Vec::new();
        for (account, window, tokens) in self.gate.capacities() {
            let at = (account, window);
            let known = self.capacities.get(&at).copied().unwrap_or(0.0);
            if (tokens - known).abs() > known * CAPACITY_STEP {
                writes.push(put(RowKind::Capacity, join(&at.0, &at.1), now, &capacity_to_pb(&at, tokens)));
                self.capacities.insert(at, tokens);
            }
        }
        writes
    }

    pub(super) fn rostered(&mut self, roster: BTreeMap<String, Rostered>, now: Wall) {
        self.gate.rostered(roster, now);
    }

    /// An agent stands at its provider's limit until then.
    pub(super) fn stuck(&mut self, key: &AgentKey, until: Wall) {
        if let Some(account) = self.gate.account_of(&key.session).map(str::to_owned) {
            self.gate.stuck(&account, until);
        }
    }

    pub fn prices(&mut self, table: Arc<Table>) {
        self.table = table;
        self.list_prices();
    }

    /// Before the ledger saw a model, a token of it is taken to cost what uncached input does.
    fn list_prices(&mut self) {
        let models = self.table.0.iter().rev().flat_map(|layer| &layer.book.models);
        let prices =
            models.filter_map(|model| Some((model.name.clone(), model.periods.last()?.base.input.0 as f64)));
        self.gate.price(prices.collect());
    }

    /// Gives back the places of those whose time is out.
    pub(super) fn tick(&mut self, now: Wall) -> Vec<BudgetWrite> {
        let gone = self.gate.expire(now);
        gone.iter().filter_map(|name| self.gate.task(name)).flat_map(|task| put_task(task, now)).collect()
    }

    /// The answer, and what must be durable before it is given.
    ///
    /// # Errors
    /// What makes no sense here.
    pub fn check(
        &mut self,
        ask: &Ask,
        hold: bool,
        paused: bool,
        now: Wall,
    ) -> (Result<Verdict, Unknown>, Vec<BudgetWrite>) {
        let mut writes = self.tick(now);
        let known = self.gate.task(&ask.task).is_some();
        let verdict = if hold { self.gate.admit(ask, paused, now) } else { self.gate.ask(ask, paused, now) };
        let Ok(told) = &verdict else { return (verdict, writes) };
        if hold {
            *self.decisions.entry((told.decision, told.reason)).or_default() += 1;
            if let Some(task) = told.task.as_deref().and_then(|name| self.gate.task(name)).filter(|_| !known)
            {
                writes.extend(put_task(task, now));
                if told.reason == Reason::Authorized {
                    writes.extend(self.authorizations());
                }
            }
            writes.push(BudgetWrite::Log(decided(ask, told, now)));
        }
        (verdict, writes)
    }

    /// # Errors
    /// No such account, or a window of unknown length.
    pub fn set(
        &mut self,
        (account, window): (&str, &str),
        setting: Option<Setting>,
        by: &str,
        now: Wall,
    ) -> (Result<Option<Outlook>, Unknown>, Vec<BudgetWrite>) {
        let unset = setting.is_none();
        let merged = setting.map(|new| {
            let old = self.gate.setting(account, window).cloned().unwrap_or_default();
            Setting {
                limit: new.limit.or(old.limit),
                used: new.used.or(old.used),
                schedule: new.schedule.or(old.schedule),
            }
        });
        if let Err(error) = self.gate.set(account, window, merged.clone(), now) {
            return (Err(error), Vec::new());
        }
        let mut writes = Vec::new();
        let key = join(account, window);
        let detail = match &merged {
            None => {
                writes.push(BudgetWrite::Drop(RowKind::Setting, key));
                "as the file and the provider say".to_owned()
            }
            Some(setting) => {
                let told = setting_to_pb(account, window, setting);
                let detail = describe(setting);
                writes.push(put(RowKind::Setting, key, now, &told));
                detail
            }
        };
        let what = if unset { "unset" } else { "set" };
        writes.push(log(now, by, what, &format!("{account} {window}"), &detail));
        let windows = self.gate.overview(&self.zone, now).windows;
        (Ok(windows.into_iter().find(|one| one.account == account && one.window == window)), writes)
    }

    /// # Errors
    /// No such account, or nothing that could be drawn.
    pub fn authorize(
        &mut self,
        authorization: Authorization,
        now: Wall,
    ) -> (Result<Authorization, Unknown>, Vec<BudgetWrite>) {
        if let Err(error) = self.gate.authorize(authorization.clone(), now) {
            return (Err(error), Vec::new());
        }
        let mut writes: Vec<BudgetWrite> = self.authorizations().collect();
        let detail = format!("{} tokens until {}", authorization.tokens, authorization.until);
        writes.push(log(now, &authorization.by, "authorize", &authorization.account, &detail));
        (Ok(authorization), writes)
    }

    /// # Errors
    /// No such account, or nothing to take back.
    pub fn revoke(
        &mut self,
        account: &str,
        by: String,
        now: Wall,
    ) -> (Result<Authorization, Unknown>, Vec<BudgetWrite>) {
        let tokens = match self.gate.revoke(account, now) {
            Ok(tokens) => tokens,
            Err(error) => return (Err(error), Vec::new()),
        };
        let mut writes: Vec<BudgetWrite> = self.authorizations().collect();
        writes.push(log(now, &by, "revoke", account, &format!("{tokens} tokens")));
        let revoked =
            Authorization { account: account.to_owned(), tokens, drawn: 0, until: now, by, at: now };
        (Ok(revoked), writes)
    }

    fn authorizations(&self) -> impl Iterator<Item = BudgetWrite> + '_ {
        self.gate.authorizations().iter().map(|one| {
            let key = format!("{} {} {}", one.account, one.at.0, one.until.0);
            put(RowKind::Authorization, key, one.at, &authorization_to_pb(one))
        })
    }

    /// # Errors
    /// No such task, or it is over, or nothing may start now.
    pub fn start(
        &mut self,
        name: &str,
        agent: &str,
        paused: bool,
        now: Wall,
    ) -> (Result<Task, Unknown>, Vec<BudgetWrite>) {
        let mut writes = self.tick(now);
        if paused && self.gate.task(name).is_some_and(|task| task.stage == Stage::Admitted) {
            return (Err(Unknown::Paused { name: text::clean(name, 64) }), writes);
        }
        let started = self.gate.start(name, Some(agent), now).cloned();
        if let Ok(task) = &started {
            writes.extend(put_task(task, now));
            writes.push(log(now, &task.agent, "start", name, &task.model));
        }
        (started, writes)
    }

    /// # Errors
    /// No such task, or it is over.
    pub fn end(
        &mut self,
        name: &str,
        tokens: Option<u64>,
        now: Wall,
    ) -> (Result<Task, Unknown>, Vec<BudgetWrite>) {
        let mut writes = self.tick(now);
        let ended = self.gate.end(name, tokens, now).cloned();
        if let Ok(task) = &ended {
            let (projected, actual) = (task.estimate.projected, task.actual.tokens);
            writes.extend(put_task(task, now));
            writes.push(log(
                now,
                &task.agent,
                "end",
                name,
                &format!("{actual} tokens of {projected} projected"),
            ));
        }
        (ended, writes)
    }

    pub fn tasks(&self, name: &str, limit: usize) -> Vec<Task> {
        if name.is_empty() {
            return self.gate.tasks().take(limit).cloned().collect();
        }
        self.gate.task(name).cloned().into_iter().collect()
    }

    pub fn state(&mut self, zone: Option<&TimeZone>, paused: bool, now: Wall) -> State {
        let overview = self.gate.overview(zone.unwrap_or(&self.zone), now);
        State {
            overview,
            authorizations: self
                .gate
                .authorizations()
                .iter()
                .filter(|one| one.left(now) > 0)
                .cloned()
                .collect(),
            typical: self.gate.typical(now),
            file: self.file.path.clone(),
            file_error: self.file.error.clone(),
            paused,
            reading: self.reading,
        }
    }

    /// False before the ledger was read: whoever decides then decides without knowing.
    pub fn ready(&self) -> bool {
        !self.reading
    }

    pub(super) fn decisions(&self) -> Decisions {
        self.decisions.clone()
    }
}
