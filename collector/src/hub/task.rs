//! The task around the hub: waits for what comes first, an event, a question or a deadline, and hands it over with the
//! time.

use std::time::Duration;

use fleet_domain::fleet::{AgentView, Unresolved};
use fleet_domain::limits::Standing;
use fleet_domain::{AgentKey, Wall};
use tokio::sync::{mpsc, oneshot};
use tokio::time::sleep;

use super::{Ask, Budget, Day, Follow, Hub, Input, Listing, Rows, Snapshot, Status, TooMany, Watch};
use crate::clock::Clock;
use crate::store::handle::{BudgetJob, Sink};
use crate::store::{BudgetWrite, Whose};

/// Events that wait for the hub; beyond it streams wait.
const INPUT_QUEUE: usize = 256;
const ASK_QUEUE: usize = 64;
/// The timer does not run while the machine sleeps, so it is asked again now and then whether time passed.
const LONGEST_SLEEP: Duration = Duration::from_secs(5);

/// The hub has ended.
#[derive(Debug, Clone, Copy, thiserror::Error)]
#[error("the collector is shutting down")]
pub struct Stopped;

/// Whether what the budget's owner wrote is durable.
#[derive(Debug)]
pub enum Kept {
    Nothing,
    Waits(oneshot::Receiver<()>),
    /// The store is too far behind to take it.
    Full,
}

impl Kept {
    fn by(sink: &Sink, writes: Vec<BudgetWrite>) -> Self {
        if writes.is_empty() {
            return Self::Nothing;
        }
        let (done, waits) = oneshot::channel();
        if sink.put_budget(BudgetJob { writes, done: Some(done) }) { Self::Waits(waits) } else { Self::Full }
    }
}

#[derive(Clone)]
pub struct HubHandle {
    inputs: mpsc::Sender<Input>,
    asks: mpsc::Sender<Ask>,
}

/// What [`run`] reads.
pub struct Queues {
    inputs: mpsc::Receiver<Input>,
    asks: mpsc::Receiver<Ask>,
}

impl HubHandle {
    pub fn new() -> (Self, Queues) {
        let (inputs, input_queue) = mpsc::channel(INPUT_QUEUE);
        let (asks, ask_queue) = mpsc::channel(ASK_QUEUE);
        (Self { inputs, asks }, Queues { inputs: input_queue, asks: ask_queue })
    }

    pub fn inputs(&self) -> mpsc::Sender<Input> {
        self.inputs.clone()
    }

    pub async fn send(&self, input: Input) -> Result<(), Stopped> {
        self.inputs.send(input).await.map_err(|_| Stopped)
    }

    pub async fn list(&self, day: Day) -> Result<Listing, Stopped> {
        self.ask(|reply| Ask::List { day, reply }).await
    }

    /// Runs `visit` over the rows where they stand, in the hub's own task: it must be quick.
    pub async fn visit<T: Send + 'static>(
        &self,
        day: Day,
        visit: impl FnOnce(Rows<'_>) -> T + Send + 'static,
    ) -> Result<T, Stopped> {
        self.ask(|reply| Ask::Visit { day, visit: Box::new(move |rows| drop(reply.send(visit(rows)))) }).await
    }

    pub async fn get(&self, name: String, day: Day) -> Result<Result<AgentView, Unresolved>, Stopped> {
        self.ask(|reply| Ask::Get { name, day, reply }).await
    }

    pub async fn find(&self, name: String) -> Result<Result<AgentKey, Unresolved>, Stopped> {
        self.ask(|reply| Ask::Find { name, reply }).await
    }

    pub async fn watch(&self, day: Day) -> Result<Result<Watch, TooMany>, Stopped> {
        self.ask(|reply| Ask::Watch { day, reply }).await
    }

    pub async fn follow(&self, whose: Option<Whose>) -> Result<Result<Follow, TooMany>, Stopped> {
        self.ask(|reply| Ask::Follow { whose, reply }).await
    }

    pub async fn status(&self) -> Result<Status, Stopped> {
        self.ask(|reply| Ask::Status { reply }).await
    }

    pub async fn limits(&self) -> Result<Vec<Standing>, Stopped> {
        self.ask(|reply| Ask::Limits { reply }).await
    }

    pub async fn scrape(&self) -> Result<Snapshot, Stopped> {
        self.ask(|reply| Ask::Scrape { reply }).await
    }

    /// Has the budget's owner do something. What it writes is on its way to the disk when this answers; [`Kept`] says when
    /// it is there.
    pub async fn budget<T: Send + 'static>(
        &self,
        act: impl FnOnce(&mut Budget, Wall) -> (T, Vec<BudgetWrite>) + Send + 'static,
    ) -> Result<(T, Kept), Stopped> {
        let act = |reply: oneshot::Sender<(T, Kept)>| {
            Ask::Budget(Box::new(move |budget, sink, now| {
                let (answer, writes) = act(budget, now.wall);
                drop(reply.send((answer, Kept::by(sink, writes))));
            }))
        };
        self.ask(act).await
    }

    pub async fn ping(&self) -> Result<(), Stopped> {
        self.ask(|reply| Ask::Ping { reply }).await
    }

    pub async fn stop(&self) {
        let _ = self.asks.send(Ask::Stop).await;
    }

    async fn ask<T>(&self, ask: impl FnOnce(oneshot::Sender<T>) -> Ask) -> Result<T, Stopped> {
        let (reply, answer) = oneshot::channel();
        self.asks.send(ask(reply)).await.map_err(|_| Stopped)?;
        answer.await.map_err(|_| Stopped)
    }
}

/// Runs until [`Ask::Stop`].
pub async fn run(mut hub: Hub, mut queues: Queues, clock: Clock) {
    let mut inputs = Vec::new();
    loop {
        tokio::select! {
            ask = queues.asks.recv() => match ask {
                None | Some(Ask::Stop) => break,
                Some(ask) => hub.answer(ask, clock()),
            },
            _ = queues.inputs.recv_many(&mut inputs, INPUT_QUEUE) => {
                for input in inputs.drain(..) {
                    hub.step(input, clock());
                }
            }
            () = sleep(until_deadline(&hub, &clock)) => hub.tick(clock()),
        }
        hub.publish(clock());
    }
    while let Ok(input) = queues.inputs.try_recv() {
        hub.step(input, clock());
    }
}

fn until_deadline(hub: &Hub, clock: &Clock) -> Duration {
    hub.next_deadline().map_or(LONGEST_SLEEP, |at| at.until_from(clock().mono).min(LONGEST_SLEEP))
}
