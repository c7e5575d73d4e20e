//! The thread that owns the store.
//!
//! ```text
//! usage ───────►┐  what waits goes into one transaction      ┌─► hub: what changed
//! transitions ─►┼─► commit ──────────────────────────────────┴─► acknowledgement
//! questions ───►┘     └─ fails: kept, tried again with backoff; questions are still answered
//! ```
//!
//! Usage that waits holds back its stream (bounded), transitions that do not fit are counted and let go of: the
//! register itself has them.

use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::{mpsc, oneshot, watch};
use tokio::time::{Interval, MissedTickBehavior, interval, sleep_until};

use fleet_domain::Wall;
use fleet_domain::price::Table;

use super::handle::{Ack, BudgetJob, Question, Sink, StoreHandle, UsageJob, queues};
use super::{AuxiliaryWrite, Numbered, Store, StoreError, WindowWrite, Write};
use crate::chain::chain;
use crate::clock::Clock;
use crate::hub::Input;
use crate::meters::Meters;
use crate::prices::Prices;

/// Rows in one transaction, so that an acknowledgement is never far away and a long transcript costs little memory.
const MAX_ROWS: usize = 1_024;
const FIRST_RETRY: Duration = Duration::from_millis(100);
const LAST_RETRY: Duration = Duration::from_secs(10);
const PRUNE_EVERY: Duration = Duration::from_secs(24 * 3600);

/// What a started store hands out.
pub struct Started {
    pub handle: StoreHandle,
    pub sink: Sink,
    pub end: End,
}

/// Ends the store, whoever still has a handle.
pub struct End {
    ask: oneshot::Sender<()>,
    closed: oneshot::Receiver<()>,
}

impl End {
    /// What was sent before is written, what comes after is refused; then the store is closed.
    pub async fn close(self) {
        let _ = self.ask.send(());
        let _ = self.closed.await;
    }
}

/// Starts the thread.
pub fn start(
    store: Box<dyn Store>,
    hub: mpsc::Sender<Input>,
    clock: Clock,
    meters: Arc<Meters>,
    prices: Prices,
) -> std::io::Result<Started> {
    let (handle, sink, queues) = queues(store.describe().into());
    let (done, closed) = oneshot::channel();
    let (ask, end) = oneshot::channel();
    let actor = Actor {
        store,
        prices,
        hub,
        clock,
        meters,
        trouble: queues.trouble,
        usage: Some(queues.usage),
        transitions: Some(queues.transitions),
        windows: Some(queues.windows),
        budget: Some(queues.budget),
        done: Vec::new(),
        questions: Some(queues.questions),
        end: Some(end),
        writes: Vec::new(),
        acks: Vec::new(),
        rows: 0,
        retry: None,
    };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build()?;
    std::thread::Builder::new().name("store".to_owned()).spawn(move || {
        runtime.block_on(actor.run());
        let _ = done.send(());
    })?;
    Ok(Started { handle, sink, end: End { ask, closed } })
}

struct Retry {
    at: Instant,
    wait: Duration,
}

struct Actor {
    store: Box<dyn Store>,
    prices: Prices,
    hub: mpsc::Sender<Input>,
    clock: Clock,
    meters: Arc<Meters>,
    trouble: watch::Sender<Option<Arc<str>>>,
    /// Each is `None` once it is closed and empty.
    usage: Option<mpsc::Receiver<UsageJob>>,
    transitions: Option<mpsc::Receiver<Numbered>>,
    windows: Option<mpsc::Receiver<WindowWrite>>,
    budget: Option<mpsc::Receiver<BudgetJob>>,
    questions: Option<mpsc::Receiver<Question>>,
    end: Option<oneshot::Receiver<()>>,
    /// What the next transaction holds, and who waits for each.
    writes: Vec<Write>,
    acks: Vec<Option<mpsc::Sender<Ack>>>,
    /// Who waits for the transaction as a whole.
    done: Vec<oneshot::Sender<()>>,
    rows: usize,
    retry: Option<Retry>,
}

enum Wake {
    Retry,
    Question(Option<Question>),
    Usage(Option<UsageJob>),
    Happened(Option<Numbered>),
    Window(Option<WindowWrite>),
    Budget(Option<BudgetJob>),
    Prune,
    End,
}

impl Actor {
    async fn run(mut self) {
        let mut prune = interval(PRUNE_EVERY);
        prune.set_missed_tick_behavior(MissedTickBehavior::Delay);
        while self.open() {
            match self.wake(&mut prune).await {
                Wake::Retry => self.flush().await,
                Wake::Prune => self.prune(),
                Wake::End => self.end(),
                Wake::Usage(None) => self.usage = None,
                Wake::Happened(None) => self.transitions = None,
                Wake::Question(None) => self.questions = None,
                Wake::Window(None) => self.windows = None,
                Wake::Budget(None) => self.budget = None,
                Wake::Budget(Some(job)) => {
                    self.hold(job);
                    self.flush_if_well().await;
                }
                Wake::Question(Some(Question::Spent(since, table))) => {
                    self.flush_if_well().await;
                    self.tell_spent(since, &table).await;
                }
                Wake::Window(Some(window)) => {
                    self.keep(Write::Window(window));
                    self.flush_if_well().await;
                }
                Wake::Usage(Some(job)) => {
                    self.take(job);
                    self.flush_if_well().await;
                }
                Wake::Happened(Some(numbered)) => {
                    self.keep(Write::Happened(numbered));
                    self.flush_if_well().await;
                }
                Wake::Question(Some(question)) => {
                    // What was sent before the question is part of the answer.
                    self.flush_if_well().await;
                    match question {
                        Question::Auxiliary(write, reply) => drop(reply.send(self.auxiliary(write).await)),
                        question => self.answer(question),
                    }
                }
            }
        }
        self.close().await;
    }

    fn open(&self) -> bool {
        self.usage.is_some()
            || self.transitions.is_some()
            || self.windows.is_some()
            || self.budget.is_some()
            || self.questions.is_some()
    }

    async fn wake(&mut self, prune: &mut Interval) -> Wake {
        let room = self.rows < MAX_ROWS;
        let retry = self.retry.as_ref().map(|retry| retry.at.into());
        tokio::select! {
            biased;
            () = sleep_until(retry.unwrap_or_else(tokio::time::Instant::now)), if retry.is_some() => Wake::Retry,
            question = receive(&mut self.questions) => Wake::Question(question),
            numbered = receive(&mut self.transitions), if room => Wake::Happened(numbered),
            window = receive(&mut self.windows), if room => Wake::Window(window),
            job = receive(&mut self.budget), if room => Wake::Budget(job),
            job = receive(&mut self.usage), if room => Wake::Usage(job),
            _ = prune.tick() => Wake::Prune,
            () = ended(&mut self.end) => Wake::End,
        }
    }

    /// Takes in whatever waits, up to the size of a transaction.
    fn collect(&mut self) {
        while self.rows < MAX_ROWS {
            if let Some(numbered) = self.transitions.as_mut().and_then(|queue| queue.try_recv().ok()) {
                self.keep(Write::Happened(numbered));
            } else if let Some(window) = self.windows.as_mut().and_then(|queue| queue.try_recv().ok()) {
                self.keep(Write::Window(window));
            } else if let Some(job) = self.budget.as_mut().and_then(|queue| queue.try_recv().ok()) {
                self.hold(job);
            } else if let Some(job) = self.usage.as_mut().and_then(|queue| queue.try_recv().ok()) {
                self.take(job);
            } else {
                return;
            }
        }
    }

    fn take(&mut self, job: UsageJob) {
        self.rows += 1 + job.write.batch.records.len();
        self.writes.push(Write::Usage(job.write));
        self.acks.push(Some(job.acks));
    }

    fn hold(&mut self, job: BudgetJob) {
        for write in job.writes {
            self.keep(Write::Budget(write));
        }
        self.done.extend(job.done);
    }

    /// What was booked before is in it; what is booked from now on is told after it.
    async fn tell_spent(&mut self, since: Wall, table: &Table) {
        let spent = self.store.spent(since, table).map_err(|error| {
            self.meters.store_errors.add(1);
            chain(&error)
        });
        let _ = self.hub.send(Input::Spent(spent)).await;
    }

    fn keep(&mut self, write: Write) {
        self.rows += 1;
        self.writes.push(write);
        self.acks.push(None);
    }

    async fn flush_if_well(&mut self) {
        if self.retry.is_none() {
            self.collect();
            self.flush().await;
        }
    }

    async fn flush(&mut self) {
        if self.writes.is_empty() {
            self.mended();
            return;
        }
        if let Some(table) = self.prices.changed() {
            self.store.price_by(table);
        }
        let begun = Instant::now();
        match self.store.commit(&self.writes) {
            Ok(booked) => {
                self.meters.commits.observe(begun.elapsed().as_secs_f64());
                self.mended();
                let booked: Vec<_> = booked.into_iter().flatten().collect();
                // The register first: who sees the acknowledgement may ask for the totals.
                if !booked.is_empty() {
                    let _ = self.hub.send(Input::Booked(booked)).await;
                }
                self.acknowledge();
            }
            Err(error) => self.failed(&error),
        }
    }

    fn acknowledge(&mut self) {
        self.rows = 0;
        for done in self.done.drain(..) {
            let _ = done.send(());
        }
        for (write, acks) in self.writes.drain(..).zip(self.acks.drain(..)) {
            if let (Write::Usage(write), Some(acks)) = (write, acks) {
                self.meters.usage_records.add(write.batch.records.len() as u64);
                self.meters.usage_unreadable.add(write.batch.unreadable);
                let _ = acks.try_send(Ack { source: write.batch.source, cursor: write.batch.cursor });
            }
        }
    }

    fn failed(&mut self, error: &StoreError) {
        self.meters.store_errors.add(1);
        let why = chain(error);
        let wait = self.retry.as_ref().map_or(FIRST_RETRY, |retry| (retry.wait * 2).min(LAST_RETRY));
        if self.retry.is_none() {
            tracing::error!("{why}; acknowledgements are held, and it is tried again until it works");
        }
        self.trouble.send_replace(Some(why.into()));
        self.retry = Some(Retry { at: Instant::now() + wait, wait });
    }

    fn mended(&mut self) {
        if self.retry.take().is_some() {
            tracing::info!("the store works again");
            self.trouble.send_replace(None);
        }
    }

    fn answer(&mut self, question: Question) {
        match question {
            Question::Cursor(source, reply) => drop(reply.send(self.store.cursor(&source))),
            Question::Page(past, after, limit, reply) => {
                drop(reply.send(self.store.transitions(&past, after, limit)));
            }
            Question::Summed(asked, after, limit, reply) => {
                drop(reply.send(self.store.summed(&asked.0, &asked.1, &after, limit)));
            }
            // Answered to the hub by whoever called.
            Question::Spent(..) => {}
            Question::BudgetLog(since, changes, limit, reply) => {
                drop(reply.send(self.store.budget_log(since, changes, limit)));
            }
            // Answered by `auxiliary`, which also tells the register.
            Question::Auxiliary(..) => {}
            Question::Skip(past, count, reply) => drop(reply.send(self.store.skip_to_latest(&past, count))),
        }
    }

    async fn auxiliary(&mut self, write: AuxiliaryWrite) -> Result<(), StoreError> {
        if let Some(table) = self.prices.changed() {
            self.store.price_by(table);
        }
        let booked: Vec<_> = self.store.commit(&[Write::Auxiliary(write)])?.into_iter().flatten().collect();
        if !booked.is_empty() {
            let _ = self.hub.send(Input::Booked(booked)).await;
        }
        Ok(())
    }

    fn prune(&mut self) {
        match self.store.prune((self.clock)().wall) {
            Ok(rows) => tracing::debug!(rows, "pruned the store"),
            Err(error) => {
                self.meters.store_errors.add(1);
                tracing::warn!("{}", chain(&error));
            }
        }
    }

    /// Nothing more is taken; what waits still is.
    fn end(&mut self) {
        self.end = None;
        self.usage.iter_mut().for_each(mpsc::Receiver::close);
        self.transitions.iter_mut().for_each(mpsc::Receiver::close);
        self.windows.iter_mut().for_each(mpsc::Receiver::close);
        self.budget.iter_mut().for_each(mpsc::Receiver::close);
        self.questions.iter_mut().for_each(mpsc::Receiver::close);
    }

    async fn close(mut self) {
        self.flush().await;
        if !self.writes.is_empty() {
            let transitions = self.writes.iter().filter(|write| matches!(write, Write::Happened(_))).count();
            tracing::error!(
                transitions,
                "the store is closed before it works again: transitions are lost, usage is sent anew"
            );
        }
    }
}

/// The next of a queue; of a closed one, nothing ever.
async fn receive<T>(queue: &mut Option<mpsc::Receiver<T>>) -> Option<T> {
    match queue {
        Some(queue) => queue.recv().await,
        None => std::future::pending().await,
    }
}

/// When the end is asked for, or nobody is left to ask for it.
async fn ended(end: &mut Option<oneshot::Receiver<()>>) {
    match end {
        Some(asked) => drop(asked.await),
        None => std::future::pending().await,
    }
}

#[cfg(test)]
mod tests;
