//! One Report stream from its Hello to its end.
//!
//! ```text
//! message ─► convert ─┬─ observation, planes ─► hub (waits when the hub is busy)
//!                     └─ usage ─► waiting ─► store ─► acknowledgement ─► down
//! ```
//!
//! At [`MAX_USAGE_IN_FLIGHT`] unacknowledged batches the stream is not read further, so that a store that is down grows
//! nobody's memory.

use std::collections::VecDeque;
use std::time::Duration;

use fleet_domain::fleet::ReporterId;
use fleet_domain::limits::Reading;
use fleet_domain::observation::Vantage;
use fleet_domain::text;
use fleet_proto::convert::{Answer, Hello, Report, answer_to_pb, report_from_pb};
use fleet_proto::limits::{MAX_LINE, MAX_USAGE_IN_FLIGHT};
use fleet_proto::pb;
use tokio::sync::mpsc;
use tokio::time::timeout;
use tonic::{Status, Streaming};

use super::Context;
use crate::chain::chain;
use crate::hub::{Input, Stopped};
use crate::meters::Dropped;
use crate::store::handle::{Ack, UsageJob};
use crate::store::{SourceKey, UsageWrite};

pub(crate) const HELLO_LIMIT: Duration = Duration::from_secs(5);
/// A sender that is wrong this often is not going to be right.
const MAX_INVALID: u32 = 300;

type Outgoing = mpsc::Sender<Result<pb::ReportResponse, Status>>;
type Inbound = Streaming<pb::ReportRequest>;

pub(super) struct Stream {
    context: Context,
    reporter: ReporterId,
    out: Outgoing,
    acks: mpsc::Receiver<Ack>,
    /// Given to the store with each batch. There is room for all that may be under way.
    ack_sender: mpsc::Sender<Ack>,
    waiting: VecDeque<UsageWrite>,
    in_store: usize,
    invalid: u32,
}

/// Why a stream ends.
enum End {
    /// The sender said goodbye.
    Goodbye,
    /// Without a word, or by an error that it knows of.
    Vanished,
    Refused(Status),
    /// The collector ends.
    Drain,
}

#[expect(clippy::large_enum_variant, reason = "one at a time, for one step")]
enum Next {
    Message(Result<Option<pb::ReportRequest>, Status>),
    Ack(Ack),
    /// A waiting batch went to the store.
    Moved,
    End(End),
}

impl From<Stopped> for End {
    fn from(_: Stopped) -> Self {
        Self::Drain
    }
}

impl Stream {
    pub(super) fn new(context: Context, reporter: ReporterId, out: Outgoing) -> Self {
        let (ack_sender, acks) = mpsc::channel(MAX_USAGE_IN_FLIGHT);
        let waiting = VecDeque::new();
        Self { context, reporter, out, acks, ack_sender, waiting, in_store: 0, invalid: 0 }
    }

    pub(super) async fn run(mut self, mut inbound: Inbound) {
        let hello = match self.greet(&mut inbound).await {
            Ok(hello) => hello,
            Err(status) => {
                tracing::warn!("refused a stream: {}", status.message());
                let _ = self.out.send(Err(status)).await;
                return;
            }
        };
        let who = format!("{}/{}{}{}", hello.tenant, hello.host, slash(&hello.session), hello.session);
        tracing::debug!(version = hello.version, "{who} reports");
        let end = match self.begin(&hello).await {
            Ok(()) => self.serve(&mut inbound, &hello).await,
            Err(end) => end,
        };
        let clean = matches!(end, End::Goodbye);
        let _ = self.context.hub.send(Input::Disconnected { reporter: self.reporter, clean }).await;
        tracing::debug!(clean, "{who} left");
        self.finish(end, &who).await;
    }

    async fn greet(&self, inbound: &mut Inbound) -> Result<Hello, Status> {
        let first = timeout(HELLO_LIMIT, inbound.message()).await;
        let first = first.map_err(|_| Status::deadline_exceeded("no Hello came in time"))??;
        let first = first.ok_or_else(|| Status::invalid_argument("the stream ended before its Hello"))?;
        let hello = match report_from_pb(&first) {
            Ok((_, Report::Hello(hello))) => hello,
            Ok(_) => {
                self.context.meters.drop_one(Dropped::Invalid);
                return Err(Status::invalid_argument("the first message must be a Hello"));
            }
            Err(invalid) => {
                self.context.meters.drop_one(Dropped::Invalid);
                return Err(Status::invalid_argument(invalid.to_string()));
            }
        };
        let own = &self.context.tenant;
        if hello.tenant != *own {
            self.context.meters.drop_one(Dropped::Foreign);
            let theirs = &hello.tenant;
            return Err(Status::permission_denied(format!(
                "this socket is of tenant {own}, not of {theirs}"
            )));
        }
        Ok(hello)
    }

    async fn begin(&mut self, hello: &Hello) -> Result<(), End> {
        self.context.hub.send(Input::Connected { reporter: self.reporter, hello: hello.clone() }).await?;
        self.answer(Answer::Welcome { version: env!("CARGO_PKG_VERSION").to_owned() }).await
    }

    async fn serve(&mut self, inbound: &mut Inbound, hello: &Hello) -> End {
        loop {
            let step = match self.next(inbound).await {
                Next::Message(Ok(Some(message))) => self.take(&message, hello).await,
                Next::Message(Ok(None)) => Err(End::Vanished),
                Next::Message(Err(status)) => Err(self.broken(status)),
                Next::Ack(ack) => self.acknowledge(ack).await,
                Next::Moved => Ok(()),
                Next::End(end) => Err(end),
            };
            if let Err(end) = step {
                return end;
            }
        }
    }

    async fn next(&mut self, inbound: &mut Inbound) -> Next {
        let room = self.waiting.len() + self.in_store < MAX_USAGE_IN_FLIGHT;
        let mut drain = self.context.drain.clone();
        tokio::select! {
            next = self.progress() => next,
            message = inbound.message(), if room => Next::Message(message),
            _ = drain.wait_for(|drain| *drain) => Next::End(End::Drain),
        }
    }

    /// What happens to usage under way, and whether anybody is left to hear of it.
    async fn progress(&mut self) -> Next {
        let place = tokio::select! {
            Some(ack) = self.acks.recv() => return Next::Ack(ack),
            place = self.context.store.reserve(), if !self.waiting.is_empty() => place,
            () = self.out.closed() => return Next::End(End::Vanished),
        };
        let (Some(place), Some(write)) = (place, self.waiting.pop_front()) else {
            return Next::End(End::Drain);
        };
        place.send(UsageJob { write, acks: self.ack_sender.clone() });
        self.in_store += 1;
        Next::Moved
    }

    async fn take(&mut self, message: &pb::ReportRequest, hello: &Hello) -> Result<(), End> {
        let (origin, report) = match report_from_pb(message) {
            Ok(report) => report,
            Err(invalid) => return self.wrong(Dropped::Invalid, &invalid.to_string()),
        };
        if origin.is_some_and(|origin| origin.tenant != hello.tenant || origin.host != hello.host) {
            return self.wrong(Dropped::Foreign, "a report of another host than the Hello's");
        }
        match report {
            Report::Hello(_) => return self.wrong(Dropped::Invalid, "a second Hello"),
            Report::Observed(seen) if hello.vantage == Vantage::Agent && seen.session != hello.session => {
                return self.wrong(Dropped::Foreign, "an observation of another session than the Hello's");
            }
            Report::Observed(observation) => {
                self.tell(|reporter| Input::Observed { reporter, observation }).await?;
            }
            Report::Planes(planes) => self.tell(|reporter| Input::Planes { reporter, planes }).await?,
            Report::MassEnd(told) => self.tell(|reporter| Input::MassEnd { reporter, told }).await?,
            Report::Dropped { reason, count } => {
                self.tell(|reporter| Input::SidecarDropped { reporter, reason, count }).await?;
            }
            Report::Usage(batch) => self.waiting.push_back(UsageWrite {
                tenant: hello.tenant.clone(),
                host: hello.host.clone(),
                received: (self.context.clock)().wall,
                batch,
            }),
            Report::Limits(readings) => {
                // What a user says comes another way, with who said it.
                let told = |reading: &Reading| reading.source.is_runtimes();
                let readings = readings.into_iter().filter(told).collect();
                let tenant = hello.tenant.clone();
                self.tell(|_| Input::Limits { tenant, readings }).await?;
            }
            Report::CursorQuery { source } => self.cursor(hello, source).await?,
            Report::NativeEvent => self.context.meters.native_events.add(1),
            Report::Receipt => self.context.meters.receipts.add(1),
            Report::Goodbye => return Err(End::Goodbye),
        }
        Ok(())
    }

    async fn tell(&self, input: impl FnOnce(ReporterId) -> Input) -> Result<(), End> {
        Ok(self.context.hub.send(input(self.reporter)).await?)
    }

    async fn cursor(&mut self, hello: &Hello, source: String) -> Result<(), End> {
        let key =
            SourceKey { tenant: hello.tenant.clone(), host: hello.host.clone(), source: source.clone() };
        match self.context.store.cursor(key).await {
            Ok(cursor) => self.answer(Answer::Cursor { source, cursor: cursor.unwrap_or_default() }).await,
            Err(error) => Err(End::Refused(Status::unavailable(chain(&error)))),
        }
    }

    async fn acknowledge(&mut self, ack: Ack) -> Result<(), End> {
        self.in_store = self.in_store.saturating_sub(1);
        self.answer(Answer::Cursor { source: ack.source, cursor: ack.cursor }).await
    }

    async fn answer(&self, answer: Answer) -> Result<(), End> {
        self.out.send(Ok(answer_to_pb(&answer))).await.map_err(|_| End::Vanished)
    }

    /// Counted and passed over, until it is too often.
    fn wrong(&mut self, reason: Dropped, why: &str) -> Result<(), End> {
        self.context.meters.drop_one(reason);
        self.invalid += 1;
        tracing::debug!("passed over a message: {why}");
        if self.invalid < MAX_INVALID {
            return Ok(());
        }
        let why = text::clean(why, MAX_LINE);
        Err(End::Refused(Status::invalid_argument(format!(
            "{MAX_INVALID} messages were not valid, the last: {why}"
        ))))
    }

    /// The transport gave up: a message too large or no message at all, or the connection broke.
    fn broken(&self, status: Status) -> End {
        match status.code() {
            tonic::Code::OutOfRange | tonic::Code::Internal | tonic::Code::ResourceExhausted => {
                self.context.meters.drop_one(Dropped::Undecodable);
                End::Refused(status)
            }
            _ => End::Vanished,
        }
    }

    /// What was taken in is still written and acknowledged, as long as somebody is there to hear it.
    async fn finish(mut self, end: End, who: &str) {
        match end {
            End::Vanished => {}
            End::Refused(status) => {
                tracing::warn!("ended the stream of {who}: {}", status.message());
                let _ = self.out.send(Err(status)).await;
            }
            End::Goodbye | End::Drain => self.settle().await,
        }
    }

    async fn settle(&mut self) {
        while !self.waiting.is_empty() || self.in_store > 0 {
            let step = match self.progress().await {
                Next::Ack(ack) => self.acknowledge(ack).await,
                Next::Moved | Next::Message(_) => Ok(()),
                Next::End(end) => Err(end),
            };
            if step.is_err() {
                return;
            }
        }
    }
}

fn slash(session: &str) -> &'static str {
    if session.is_empty() { "" } else { "/" }
}
