//! What readers ask: agents, one agent, changes, events, the collector itself. Each handler asks the hub or the store
//! and puts the answer into words of the wire.

mod budget;
mod changes;
mod events;
mod listing;
mod used;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use fleet_domain::fleet::{Glance, Unresolved};
use fleet_domain::report::By;
use fleet_domain::{AgentKey, Wall};
use fleet_proto::convert::{agent_into_pb, question_from_pb, standings_to_pb, sums_to_pb};
use fleet_proto::limits::MAX_QUERY_BYTES;
use fleet_proto::pb;
use fleet_proto::pb::fleet_service_server::{FleetService, FleetServiceServer};
use tokio::sync::{mpsc, watch};
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Request, Response, Status};

pub use budget::BudgetRpc;

use crate::hub::{Day, HostRow, HubHandle, Listing, Rows, Stopped};
use crate::meters::Meters;
use crate::store::handle::StoreHandle;

/// A question is short.
const MAX_QUESTION_BYTES: usize = 64 << 10;
/// Messages written ahead for a reader; what it is behind beyond them waits in the hub's queue, which ends.
const AHEAD: usize = 4;

#[derive(Clone)]
pub struct Query {
    pub hub: HubHandle,
    pub store: StoreHandle,
    pub meters: Arc<Meters>,
    /// Where /metrics is; empty where it is off.
    pub http: String,
    /// The user's own prices; `None` where there is no home.
    pub prices: Option<PathBuf>,
    /// True once the collector ends: a stream that stayed open would hold up the end.
    pub drain: watch::Receiver<bool>,
}

impl Query {
    pub fn service(self) -> listing::Listing {
        let hub = self.hub.clone();
        let others = FleetServiceServer::new(self)
            .max_decoding_message_size(MAX_QUESTION_BYTES)
            .max_encoding_message_size(MAX_QUERY_BYTES);
        listing::Listing { hub, others, written: Arc::default() }
    }
}

type Answers<T> = ReceiverStream<Result<T, Status>>;

#[tonic::async_trait]
impl FleetService for Query {
    type WatchAgentsStream = Answers<pb::WatchAgentsResponse>;
    type EventsStream = Answers<pb::EventsResponse>;

    /// Answered by [`listing`] before it comes here.
    async fn list_agents(
        &self,
        request: Request<pb::ListAgentsRequest>,
    ) -> Result<Response<pb::ListAgentsResponse>, Status> {
        let listing = self.hub.list(day(request.get_ref().day_start_unix_ms)).await.map_err(gone)?;
        Ok(Response::new(listing_to_pb(listing)))
    }

    async fn get_agent(
        &self,
        request: Request<pb::GetAgentRequest>,
    ) -> Result<Response<pb::GetAgentResponse>, Status> {
        let request = request.into_inner();
        let day = day(request.day_start_unix_ms);
        let found = self.hub.get(request.name.clone(), day).await.map_err(gone)?;
        let view = found.map_err(|error| unresolved(&request.name, &error))?;
        Ok(Response::new(pb::GetAgentResponse { agent: Some(agent_into_pb(view, true)) }))
    }

    async fn watch_agents(
        &self,
        request: Request<pb::WatchAgentsRequest>,
    ) -> Result<Response<Self::WatchAgentsStream>, Status> {
        let day = day(request.get_ref().day_start_unix_ms);
        let watch = self.hub.watch(day).await.map_err(gone)?;
        let watch = watch.map_err(|error| Status::resource_exhausted(error.to_string()))?;
        let (out, answers) = mpsc::channel(AHEAD);
        tokio::spawn(changes::carry(watch, out, self.drain.clone()));
        Ok(Response::new(ReceiverStream::new(answers)))
    }

    async fn events(
        &self,
        request: Request<pb::EventsRequest>,
    ) -> Result<Response<Self::EventsStream>, Status> {
        let events = events::Events::begin(self, request.into_inner()).await?;
        let (out, answers) = mpsc::channel(AHEAD);
        tokio::spawn(events.carry(out));
        Ok(Response::new(ReceiverStream::new(answers)))
    }

    async fn get_usage(
        &self,
        request: Request<pb::GetUsageRequest>,
    ) -> Result<Response<pb::GetUsageResponse>, Status> {
        let question = question_from_pb(request.get_ref());
        let question = question.map_err(|error| Status::invalid_argument(error.to_string()))?;
        let table = used::prices(self.prices.clone()).await;
        let report = used::sum(&self.store, &used::with_agents(&question), table).await?;
        let classes = if question.by.contains(&By::Class) { self.classes().await? } else { BTreeMap::new() };
        Ok(Response::new(sums_to_pb(&used::classed(report, &question, &classes))))
    }

    async fn list_limits(
        &self,
        _: Request<pb::ListLimitsRequest>,
    ) -> Result<Response<pb::ListLimitsResponse>, Status> {
        let standings = self.hub.limits().await.map_err(gone)?;
        Ok(Response::new(standings_to_pb(&standings)))
    }

    async fn get_status(
        &self,
        _: Request<pb::GetStatusRequest>,
    ) -> Result<Response<pb::GetStatusResponse>, Status> {
        let status = self.hub.status().await.map_err(gone)?;
        Ok(Response::new(pb::GetStatusResponse {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            started_unix_ms: self.meters.started.0,
            streams: u32::try_from(status.streams).unwrap_or(u32::MAX),
            agents: u32::try_from(status.agents).unwrap_or(u32::MAX),
            http: self.http.clone(),
            store: self.store.description().to_owned(),
            store_error: self.store.trouble().map(|why| why.to_string()),
            usage_unreadable: self.meters.usage_unreadable.get(),
            usage_unknown: self
                .meters
                .usage_unknown
                .all()
                .into_iter()
                .map(|((runtime, kind), count)| pb::UnknownKind { runtime, kind, count })
                .collect(),
        }))
    }
}

impl Query {
    /// Of each agent that is listed now.
    async fn classes(&self) -> Result<BTreeMap<AgentKey, String>, Status> {
        let of = |rows: Rows<'_>| {
            rows.agents
                .map(Glance::row)
                .filter_map(|row| Some((row.key.clone(), row.class?.to_owned())))
                .collect()
        };
        self.hub.visit(Day::Local, of).await.map_err(gone)
    }
}

fn day(start: i64) -> Day {
    if start == 0 { Day::Local } else { Day::From(Wall(start)) }
}

fn listing_to_pb(listing: Listing) -> pb::ListAgentsResponse {
    pb::ListAgentsResponse {
        agents: listing.agents.into_iter().map(|view| agent_into_pb(view, false)).collect(),
        hosts: listing.hosts.iter().map(host_to_pb).collect(),
        generation: listing.generation,
    }
}

fn host_to_pb(host: &HostRow) -> pb::HostStatus {
    pb::HostStatus {
        tenant_id: host.tenant.to_string(),
        host: host.host.to_string(),
        up: host.up,
        roster_path: host.roster_path.clone(),
        roster_error: host.roster_error.clone(),
        systemd_unavailable: host.systemd_unavailable.clone(),
        stopped: host.stopped,
        listed: host.listed,
    }
}

fn gone(stopped: Stopped) -> Status {
    Status::unavailable(stopped.to_string())
}

/// Resolves when the collector ends, with what its readers are told.
async fn ending(mut drain: watch::Receiver<bool>) -> Status {
    let _ = drain.wait_for(|drain| *drain).await;
    gone(Stopped)
}

fn unresolved(word: &str, error: &Unresolved) -> Status {
    let word = fleet_domain::text::clean(word, 80);
    Status::not_found(match error {
        Unresolved::Unknown { nearest: Some(nearest) } => {
            format!("no agent is called `{word}`; is it `{nearest}`?")
        }
        Unresolved::Unknown { nearest: None } => format!("no agent is called `{word}`"),
        Unresolved::Ambiguous { candidates, count } => {
            let more = if *count > candidates.len() { ", …" } else { "" };
            format!("`{word}` may be any of {count}: {}{more}", candidates.join(", "))
        }
    })
}
