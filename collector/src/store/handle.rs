//! The ends of the store's queues: what streams, queries and the hub hold of it.

use std::sync::Arc;

use tokio::sync::{mpsc, oneshot, watch};

use fleet_domain::Wall;
use fleet_domain::price::Table;
use fleet_domain::report::Question as UsageQuestion;

use super::{
    AuxiliaryWrite, BudgetWrite, LogEntry, Numbered, Past, Place, SourceKey, StoreError, Summed, UsageWrite,
    WindowWrite,
};

/// Batches that wait for the thread, of all streams together.
const USAGE_QUEUE: usize = 32;
/// Transitions that wait for it; an hour of a large fleet without a disk.
const TRANSITION_QUEUE: usize = 8_192;
/// Windows of accounts that wait for it: as many as there may be.
const WINDOW_QUEUE: usize = 512;
/// Decisions that wait for it; who asks waits too.
const BUDGET_QUEUE: usize = 4_096;
const QUESTION_QUEUE: usize = 64;

/// To the store, for streams and queries.
#[derive(Clone)]
pub struct StoreHandle {
    usage: mpsc::Sender<UsageJob>,
    questions: mpsc::Sender<Question>,
    trouble: watch::Receiver<Option<Arc<str>>>,
    description: Arc<str>,
}

/// To the store, for the hub.
pub struct Sink {
    transitions: mpsc::Sender<Numbered>,
    windows: mpsc::Sender<WindowWrite>,
    budget: mpsc::Sender<BudgetJob>,
}

/// What a change of the budget writes, all of it or nothing, and who waits until it is durable.
#[derive(Debug)]
pub struct BudgetJob {
    pub writes: Vec<BudgetWrite>,
    pub done: Option<oneshot::Sender<()>>,
}

/// A batch, and where its acknowledgement goes. That channel must have room for all that its stream has under way.
pub struct UsageJob {
    pub write: UsageWrite,
    pub acks: mpsc::Sender<Ack>,
}

/// This much of a source is durable.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ack {
    pub source: String,
    pub cursor: Vec<u8>,
}

pub(super) enum Question {
    Cursor(SourceKey, oneshot::Sender<Result<Option<Vec<u8>>, StoreError>>),
    Page(Past, u64, u32, oneshot::Sender<Result<Vec<Numbered>, StoreError>>),
    Summed(Box<(UsageQuestion, Arc<Table>)>, Place, u32, oneshot::Sender<Result<Summed, StoreError>>),
    /// Answered to the hub, in the order of what it is told of new records.
    Spent(Wall, Arc<Table>),
    BudgetLog(Wall, bool, u32, oneshot::Sender<Result<Vec<LogEntry>, StoreError>>),
    /// Answered once it is durable.
    Auxiliary(AuxiliaryWrite, oneshot::Sender<Result<(), StoreError>>),
    Skip(Past, u32, oneshot::Sender<Result<u64, StoreError>>),
}

#[derive(Debug, thiserror::Error)]
pub enum Unavailable {
    #[error("the collector is shutting down")]
    Closed,
    #[error("the store does not answer")]
    Failed(#[from] StoreError),
}

impl StoreHandle {
    /// A place in the queue for one batch.
    pub async fn reserve(&self) -> Option<mpsc::Permit<'_, UsageJob>> {
        self.usage.reserve().await.ok()
    }

    pub async fn cursor(&self, source: SourceKey) -> Result<Option<Vec<u8>>, Unavailable> {
        self.ask(|reply| Question::Cursor(source, reply)).await
    }

    pub async fn page(&self, past: Past, after: u64, limit: u32) -> Result<Vec<Numbered>, Unavailable> {
        self.ask(|reply| Question::Page(past, after, limit, reply)).await
    }

    pub async fn summed(
        &self,
        question: UsageQuestion,
        table: Arc<Table>,
        after: Place,
        limit: u32,
    ) -> Result<Summed, Unavailable> {
        self.ask(|reply| Question::Summed(Box::new((question, table)), after, limit, reply)).await
    }

    /// Has the hub told what was spent since then, before anything that is booked later.
    pub async fn tell_spent(&self, since: Wall, table: Arc<Table>) -> Result<(), Unavailable> {
        self.questions.send(Question::Spent(since, table)).await.map_err(|_| Unavailable::Closed)
    }

    pub async fn budget_log(
        &self,
        since: Wall,
        changes: bool,
        limit: u32,
    ) -> Result<Vec<LogEntry>, Unavailable> {
        self.ask(|reply| Question::BudgetLog(since, changes, limit, reply)).await
    }

    /// Books what telemetry told; durable when this returns.
    pub async fn auxiliary(&self, write: AuxiliaryWrite) -> Result<(), Unavailable> {
        self.ask(|reply| Question::Auxiliary(write, reply)).await
    }

    pub async fn skip_to_latest(&self, past: Past, count: u32) -> Result<u64, Unavailable> {
        self.ask(|reply| Question::Skip(past, count, reply)).await
    }

    async fn ask<T>(
        &self,
        question: impl FnOnce(oneshot::Sender<Result<T, StoreError>>) -> Question,
    ) -> Result<T, Unavailable> {
        let (reply, answer) = oneshot::channel();
        self.questions.send(question(reply)).await.map_err(|_| Unavailable::Closed)?;
        Ok(answer.await.map_err(|_| Unavailable::Closed)??)
    }

    #[cfg(test)]
    pub(super) fn watch_trouble(&self) -> watch::Receiver<Option<Arc<str>>> {
        self.trouble.clone()
    }

    /// Why nothing can be stored at the moment.
    pub fn trouble(&self) -> Option<Arc<str>> {
        self.trouble.borrow().clone()
    }

    pub fn description(&self) -> &str {
        &self.description
    }
}

impl Sink {
    /// False where it had to be let go of.
    pub fn put(&self, numbered: Numbered) -> bool {
        self.transitions.try_send(numbered).is_ok()
    }

    /// As [`Self::put`].
    pub fn put_window(&self, write: WindowWrite) -> bool {
        self.windows.try_send(write).is_ok()
    }

    /// As [`Self::put`].
    pub fn put_budget(&self, job: BudgetJob) -> bool {
        self.budget.try_send(job).is_ok()
    }

    #[cfg(test)]
    pub(crate) fn for_test(room: usize) -> (Self, mpsc::Receiver<Numbered>) {
        let (transitions, receiver) = mpsc::channel(room);
        (Self { transitions, windows: mpsc::channel(1).0, budget: mpsc::channel(1).0 }, receiver)
    }
}

/// What the thread reads.
pub(super) struct Queues {
    pub(super) usage: mpsc::Receiver<UsageJob>,
    pub(super) transitions: mpsc::Receiver<Numbered>,
    pub(super) windows: mpsc::Receiver<WindowWrite>,
    pub(super) budget: mpsc::Receiver<BudgetJob>,
    pub(super) questions: mpsc::Receiver<Question>,
    pub(super) trouble: watch::Sender<Option<Arc<str>>>,
}

pub(super) fn queues(description: Arc<str>) -> (StoreHandle, Sink, Queues) {
    let (usage, usage_queue) = mpsc::channel(USAGE_QUEUE);
    let (transitions, transition_queue) = mpsc::channel(TRANSITION_QUEUE);
    let (windows, window_queue) = mpsc::channel(WINDOW_QUEUE);
    let (budget, budget_queue) = mpsc::channel(BUDGET_QUEUE);
    let (questions, question_queue) = mpsc::channel(QUESTION_QUEUE);
    let (trouble_sender, trouble) = watch::channel(None);
    let handle = StoreHandle { usage, questions, trouble, description };
    let queues = Queues {
        usage: usage_queue,
        transitions: transition_queue,
        windows: window_queue,
        budget: budget_queue,
        questions: question_queue,
        trouble: trouble_sender,
    };
    (handle, Sink { transitions, windows, budget }, queues)
}
