//! The collector over its Unix socket. Every call has a limit, and an absent collector is told from a broken one.

mod address;
mod again;
mod money;
mod views;

use std::io;
use std::time::Duration;

use fleet_domain::fleet::AgentView;
use fleet_domain::limits::Standing;
use fleet_domain::report::{Question, Report};
use fleet_domain::text;
use fleet_domain::time::Wall;
use fleet_proto::codec::ListingCodec;
use fleet_proto::convert::{agent_from_pb, question_to_pb, standings_from_pb, sums_from_pb};
use fleet_proto::limits::MAX_QUERY_BYTES;
use fleet_proto::pb;
use fleet_proto::pb::fleet_service_client::FleetServiceClient;
use hyper_util::rt::TokioIo;
use tokio::net::UnixStream;
use tonic::codegen::http::uri::PathAndQuery;
use tonic::transport::{Channel, Endpoint};
use tonic::{Code as Grpc, Status, Streaming};

use crate::error::{Code, Failure};
use crate::services::start_collector;

pub use address::Address;
pub use again::{Pause, again};
pub use money::{LogView, Money};
pub use views::{CollectorStatus, EventView, Happened, HostView, Listing, Update};

const CONNECT_LIMIT: Duration = Duration::from_millis(250);
/// A healthy collector answers in milliseconds.
const ANSWER_LIMIT: Duration = Duration::from_secs(2);
/// A long ledger is summed in seconds.
const LEDGER_LIMIT: Duration = Duration::from_secs(60);
/// A stream whose peer does not even answer a ping for this long is over.
const PING_EVERY: Duration = Duration::from_secs(5);

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ClientError {
    #[error("no collector at {0}")]
    Absent(Address),
    /// It is there and does not serve us.
    #[error("the collector at {at} {what}")]
    Broken { at: Address, what: String },
    #[error("the collector at {at} refused: {what}")]
    Refused { at: Address, what: String },
}

impl ClientError {
    /// For verbs that need a collector.
    pub fn into_failure(self) -> Failure {
        let message = self.to_string();
        match self {
            Self::Absent(_) => {
                Failure::new(Code::Unreachable, message).next(format!("start one: {}", start_collector()))
            }
            Self::Broken { .. } => Failure::new(Code::Unreachable, message)
                .next("look at it: fleet doctor; systemctl --user status mosaic-collector.service"),
            Self::Refused { .. } => {
                Failure::new(Code::Refused, message).next("ask as the user that the collector runs as")
            }
        }
    }
}

/// How much is wanted of each agent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Detail {
    /// What the usual table shows; of a large fleet it comes in half the time.
    Basic,
    Full,
}

pub struct Client {
    at: Address,
    inner: FleetServiceClient<Channel>,
    channel: Channel,
}

impl Client {
    pub async fn connect(at: &Address) -> Result<Self, ClientError> {
        let stream = dial(at).await?;
        let mut once = Some(TokioIo::new(stream));
        // A channel that lost its stream would dial again by itself; here whoever called decides that.
        let connector = tower::service_fn(move |_| {
            let stream = once.take().ok_or_else(|| io::Error::from(io::ErrorKind::NotConnected));
            async move { stream }
        });
        let endpoint = Endpoint::from_static("http://collector")
            .http2_keep_alive_interval(PING_EVERY)
            .keep_alive_timeout(PING_EVERY)
            .keep_alive_while_idle(true);
        let channel = tokio::time::timeout(CONNECT_LIMIT, endpoint.connect_with_connector(connector)).await;
        match channel {
            Err(_) => Err(broken(at, "does not answer")),
            Ok(Err(error)) => Err(broken(at, &Failure::of(Code::Unreachable, &error).message)),
            Ok(Ok(channel)) => {
                let inner =
                    FleetServiceClient::new(channel.clone()).max_decoding_message_size(MAX_QUERY_BYTES);
                Ok(Self { at: at.clone(), inner, channel })
            }
        }
    }

    pub async fn list(&mut self, day_start: Wall, detail: Detail) -> Result<Listing, ClientError> {
        let basic = detail == Detail::Basic;
        let request = pb::ListAgentsRequest { day_start_unix_ms: day_start.0, basic };
        let mut grpc =
            tonic::client::Grpc::new(self.channel.clone()).max_decoding_message_size(MAX_QUERY_BYTES);
        let call = async {
            grpc.ready().await.map_err(|error| Status::unavailable(error.to_string()))?;
            let path = PathAndQuery::from_static(ListingCodec::PATH);
            grpc.unary(tonic::Request::new(request), path, ListingCodec).await
        };
        Ok(views::listing(limited(&self.at, call).await?))
    }

    /// One agent with its signals; `None` where the collector knows no such agent, or several.
    pub async fn get(&mut self, name: &str, day_start: Wall) -> Result<Option<AgentView>, ClientError> {
        let request = pb::GetAgentRequest { name: name.to_owned(), day_start_unix_ms: day_start.0 };
        let answer = tokio::time::timeout(ANSWER_LIMIT, self.inner.get_agent(request)).await;
        match answer {
            Err(_) => Err(broken(&self.at, &no_answer(ANSWER_LIMIT))),
            Ok(Ok(answer)) => Ok(answer.into_inner().agent.and_then(|agent| agent_from_pb(agent).ok())),
            Ok(Err(status)) => match status.code() {
                Grpc::NotFound | Grpc::InvalidArgument | Grpc::FailedPrecondition => Ok(None),
                _ => Err(told(&self.at, &status)),
            },
        }
    }

    /// What was used, from the ledger.
    pub async fn usage(&mut self, question: &Question) -> Result<Report, ClientError> {
        let call = self.inner.get_usage(question_to_pb(question));
        let answer = within(LEDGER_LIMIT, &self.at, call).await?;
        sums_from_pb(&answer)
            .map_err(|error| broken(&self.at, &format!("gave an answer that makes no sense: {error}")))
    }

    /// Every account's windows, as they stand.
    pub async fn limits(&mut self) -> Result<Vec<Standing>, ClientError> {
        let answer = limited(&self.at, self.inner.list_limits(pb::ListLimitsRequest {})).await?;
        standings_from_pb(&answer)
            .map_err(|error| broken(&self.at, &format!("gave an answer that makes no sense: {error}")))
    }

    pub async fn status(&mut self) -> Result<CollectorStatus, ClientError> {
        let answer = limited(&self.at, self.inner.get_status(pb::GetStatusRequest {})).await?;
        Ok(views::status(&answer))
    }

    pub async fn watch(&mut self, day_start: Wall) -> Result<Watch, ClientError> {
        let request = pb::WatchAgentsRequest { day_start_unix_ms: day_start.0 };
        let stream = limited(&self.at, self.inner.watch_agents(request)).await?;
        Ok(Watch { at: self.at.clone(), stream })
    }

    /// The latest `limit` transitions since then (0 is all that are kept), of one agent where it is named.
    pub async fn events(
        &mut self,
        since: Wall,
        agent: &str,
        limit: u32,
        follow: bool,
    ) -> Result<Events, ClientError> {
        let request = pb::EventsRequest { since_unix_ms: since.0, agent: agent.to_owned(), limit, follow };
        let stream = limited(&self.at, self.inner.events(request)).await?;
        Ok(Events { at: self.at.clone(), stream })
    }
}

/// What changes, as long as the collector is there.
pub struct Watch {
    at: Address,
    stream: Streaming<pb::WatchAgentsResponse>,
}

impl Watch {
    /// The next change; an error when the stream ended, however it did.
    pub async fn next(&mut self) -> Result<Update, ClientError> {
        loop {
            match self.stream.message().await {
                Ok(Some(message)) => {
                    if let Some(update) = views::update(message) {
                        return Ok(update);
                    }
                }
                Ok(None) => return Err(broken(&self.at, "ended the stream")),
                Err(status) => return Err(told(&self.at, &status)),
            }
        }
    }
}

pub struct Events {
    at: Address,
    stream: Streaming<pb::EventsResponse>,
}

impl Events {
    /// The next event; `None` at the end of those that were asked for.
    pub async fn next(&mut self) -> Result<Option<Happened>, ClientError> {
        loop {
            match self.stream.message().await {
                Ok(Some(message)) => {
                    if let Some(event) = views::happened(message) {
                        return Ok(Some(event));
                    }
                }
                Ok(None) => return Ok(None),
                Err(status) => return Err(told(&self.at, &status)),
            }
        }
    }
}

async fn dial(at: &Address) -> Result<UnixStream, ClientError> {
    match tokio::time::timeout(CONNECT_LIMIT, UnixStream::connect(&at.socket)).await {
        Err(_) => Err(broken(at, "does not answer")),
        Ok(Ok(stream)) => Ok(stream),
        Ok(Err(error)) => Err(match error.kind() {
            io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused | io::ErrorKind::NotADirectory => {
                ClientError::Absent(at.clone())
            }
            io::ErrorKind::PermissionDenied => {
                ClientError::Refused { at: at.clone(), what: error.to_string() }
            }
            _ => broken(at, &format!("cannot be reached: {error}")),
        }),
    }
}

async fn limited<T>(
    at: &Address,
    call: impl Future<Output = Result<tonic::Response<T>, Status>>,
) -> Result<T, ClientError> {
    within(ANSWER_LIMIT, at, call).await
}

async fn within<T>(
    limit: Duration,
    at: &Address,
    call: impl Future<Output = Result<tonic::Response<T>, Status>>,
) -> Result<T, ClientError> {
    match tokio::time::timeout(limit, call).await {
        Err(_) => Err(broken(at, &no_answer(limit))),
        Ok(Err(status)) => Err(told(at, &status)),
        Ok(Ok(answer)) => Ok(answer.into_inner()),
    }
}

fn no_answer(limit: Duration) -> String {
    format!("gave no answer in {}s", limit.as_secs())
}

fn broken(at: &Address, what: &str) -> ClientError {
    ClientError::Broken { at: at.clone(), what: text::clean(what, 200) }
}

fn told(at: &Address, status: &Status) -> ClientError {
    let message = text::clean(status.message(), 200);
    let what = if message.is_empty() { status.code().description().to_owned() } else { message };
    match status.code() {
        Grpc::PermissionDenied | Grpc::Unauthenticated => ClientError::Refused { at: at.clone(), what },
        _ => broken(at, &format!("failed: {what}")),
    }
}
