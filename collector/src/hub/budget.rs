//! The budget's owner: the gate, told of everything that bears on it, and what of its answers must become durable.
//!
//! Whatever it decides comes back as writes. Who asked is answered once those are on the disk, so that a place that was
//! promised survives whatever happens next.

use std::collections::BTreeMap;
use std::sync::Arc;

use fleet_domain::budget::amount::Used;
use fleet_domain::budget::config::Config;
use fleet_domain::budget::decision::{Ask, Authorization, Decision, Reason, Task, Unknown, Verdict};
use fleet_domain::budget::gate::{Gate, Kept, Outlook, Rostered, State};
use fleet_domain::budget::standing::{Fact, Setting};
use fleet_domain::limits::Reading;
use fleet_domain::price::{Table, cost};
use fleet_domain::stint::Stint;
use fleet_domain::usage::Record;
use fleet_domain::{AgentKey, Wall};
use fleet_proto::convert::{
    authorization_from_pb, authorization_to_pb, setting_from_pb, setting_to_pb, task_from_pb, task_to_pb,
};
use fleet_proto::pb;
use fleet_proto::prost::Message;
use jiff::tz::TimeZone;

use crate::budget::zone;
use crate::store::{Booked, BudgetRow, BudgetWrite, LogEntry, RowKind, Spent, StintRow};

/// A learned amount is kept again when it differs by more than this.
const CAPACITY_STEP: f64 = 0.02;

pub struct Budget {
    gate: Gate,
    zone: TimeZone,
    table: Arc<Table>,
    file: String,
    file_error: String,
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
            file: String::new(),
            file_error: String::new(),
            reading: true,
            decisions: Decisions::new(),
            capacities: BTreeMap::new(),
        }
    }

    pub(super) fn restore(&mut self, rows: Vec<BudgetRow>, now: Wall) {
        let mut kept = Kept::default();
        for row in rows {
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

    /// The file was read: what it says is in force, or what is wrong with it is told and the last good one stays.
    pub fn file(
        &mut self,
        path: String,
        read: Result<Option<Config>, String>,
        now: Wall,
    ) -> Vec<BudgetWrite> {
        let first = self.file.is_empty();
        self.file = path;
        match read {
            Ok(config) => {
                let same = config.as_ref().map_or(!self.gate.configured(), |config| {
                    self.gate.configured() && config == self.gate.config()
                });
                self.file_error.clear();
                if same && !first {
                    return Vec::new();
                }
                let detail = match &config {
                    Some(config) => format!(
                        "{} accounts, {} ceilings in force",
                        config.accounts.len(),
                        config.ceilings.len()
                    ),
                    None => "there is no budget file".to_owned(),
                };
                self.gate.configure(config, now);
                self.list_prices();
                let log = log(now, "file", "budget", &self.file, &detail);
                if first && !self.gate.configured() { Vec::new() } else { vec![log] }
            }
            Err(error) => {
                tracing::warn!("the budget stays as it was: {}", error.replace('\n', "; "));
                self.file_error = error;
                Vec::new()
            }
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

    fn authorizations(&self) -> impl Iterator<Item = BudgetWrite> + '_ {
        self.gate.authorizations().iter().map(|one| {
            let key = format!("{} {} {}", one.account, one.at.0, one.until.0);
            put(RowKind::Authorization, key, one.at, &authorization_to_pb(one))
        })
    }

    /// # Errors
    /// No such task, or it is over.
    pub fn start(&mut self, name: &str, agent: &str, now: Wall) -> (Result<Task, Unknown>, Vec<BudgetWrite>) {
        let mut writes = self.tick(now);
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
                .filter(|one| now < one.until)
                .cloned()
                .collect(),
            typical: self.gate.typical(now),
            file: self.file.clone(),
            file_error: self.file_error.clone(),
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

fn take_row(row: &BudgetRow, kept: &mut Kept) -> Option<()> {
    let body = row.body.as_slice();
    match row.kind {
        RowKind::Task => kept.tasks.push(task_from_pb(&pb::BudgetTask::decode(body).ok()?).ok()?),
        RowKind::Setting => {
            let told = pb::BudgetSetting::decode(body).ok()?;
            kept.settings.push(setting_from_pb(&told, &|name| zone(name)).ok()?);
        }
        RowKind::Authorization => {
            kept.authorizations
                .push(authorization_from_pb(&pb::BudgetAuthorization::decode(body).ok()?).ok()?);
        }
        RowKind::Capacity => {
            let told = pb::BudgetWindow::decode(body).ok()?;
            kept.capacities.push((told.account, told.window, told.capacity_tokens?));
        }
    }
    Some(())
}

fn capacity_to_pb((account, window): &(String, String), tokens: f64) -> pb::BudgetWindow {
    pb::BudgetWindow {
        account: account.clone(),
        window: window.clone(),
        capacity_tokens: Some(tokens),
        ..Default::default()
    }
}

fn join(account: &str, window: &str) -> String {
    format!("{account} {window}")
}

fn put(kind: RowKind, key: String, at: Wall, message: &impl Message) -> BudgetWrite {
    BudgetWrite::Put(BudgetRow { kind, key, at, body: message.encode_to_vec() })
}

/// The task as it is now, and once it was started, whose time on it is which.
fn put_task(task: &Task, now: Wall) -> impl Iterator<Item = BudgetWrite> + use<> {
    let kept = put(RowKind::Task, task.name.clone(), now, &task_to_pb(task));
    let from = task.started.filter(|_| !task.agent.is_empty());
    let stint = from.map(|from| {
        let stint = Stint { from, task: task.name.clone(), to: task.ended };
        BudgetWrite::Stint(StintRow { tenant: task.tenant.clone(), session: task.agent.clone(), stint })
    });
    std::iter::once(kept).chain(stint)
}

fn log(at: Wall, who: &str, what: &str, subject: &str, detail: &str) -> BudgetWrite {
    let [who, what, subject, detail] = [who, what, subject, detail].map(str::to_owned);
    BudgetWrite::Log(LogEntry { at, who, what, decision: false, subject, detail })
}

fn decided(ask: &Ask, verdict: &Verdict, now: Wall) -> LogEntry {
    let figures = verdict.figures.iter().map(|figure| format!("; {figure}")).collect::<String>();
    let account = verdict.account.as_deref().unwrap_or("-");
    let advice = verdict.advice.map(|reason| format!(" (advice: {})", reason.as_str())).unwrap_or_default();
    let until = verdict.until.map(|at| format!(" until {at}")).unwrap_or_default();
    LogEntry {
        at: now,
        who: if ask.agent.is_empty() { ask.class.clone() } else { ask.agent.clone() },
        what: verdict.decision.as_str().to_owned(),
        decision: true,
        subject: verdict.task.clone().unwrap_or_default(),
        detail: format!(
            "{}{until}{advice}: {} on {account}, {} tokens ({}){figures}",
            verdict.reason.as_str(),
            if verdict.model.is_empty() { "-" } else { &verdict.model },
            verdict.estimate.reserved,
            verdict.estimate.basis.as_str(),
        ),
    }
}

fn describe(setting: &Setting) -> String {
    let limit = setting.limit.map(|limit| format!("limit {limit}"));
    let used = setting.used.map(|(used, at)| format!("used {:.1} % at {at}", used * 100.0));
    let resets = setting.schedule.as_ref().map(|schedule| match schedule {
        fleet_domain::budget::schedule::Schedule::Rolling(length) => {
            format!("rolling, {} s", length.as_secs())
        }
        fleet_domain::budget::schedule::Schedule::Once { at, .. } => format!("resets once at {at}"),
        fleet_domain::budget::schedule::Schedule::Fixed { anchor, every, .. } => {
            format!("resets at {anchor} and every {every}")
        }
    });
    [limit, used, resets].into_iter().flatten().collect::<Vec<_>>().join(", ")
}
