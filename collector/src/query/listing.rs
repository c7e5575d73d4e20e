//! `ListAgents` without a message in between: the hub's rows become the answer's bytes where they stand. It is what every
//! `fleet ps` waits for; all other calls go to the generated service.

use std::convert::Infallible;
use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};

use bytes::BufMut as _;
use fleet_proto::codec::ListingCodec;
use fleet_proto::convert::{Written, listing_bytes};
use fleet_proto::limits::MAX_QUERY_BYTES;
use fleet_proto::pb;
use fleet_proto::pb::fleet_service_server::FleetServiceServer;
use tonic::body::Body;
use tonic::codec::{Codec, EncodeBuf, Encoder};
use tonic::codegen::{Service, http};
use tonic::server::{Grpc, NamedService, UnaryService};
use tonic::{Request, Response, Status};
use tonic_prost::ProstDecoder;

use super::{MAX_QUESTION_BYTES, Query, day, gone, host_to_pb};
use crate::hub::HubHandle;

type Answer<T> = Pin<Box<dyn Future<Output = T> + Send>>;

/// The generated service, with this one call answered here.
#[derive(Clone)]
pub struct Listing {
    pub(super) hub: HubHandle,
    pub(super) others: FleetServiceServer<Query>,
    /// For the next one who asks for the usual table.
    pub(super) written: Arc<Mutex<Written>>,
}

impl NamedService for Listing {
    const NAME: &'static str = <FleetServiceServer<Query> as NamedService>::NAME;
}

impl Service<http::Request<Body>> for Listing {
    type Response = http::Response<Body>;
    type Error = Infallible;
    type Future = Answer<Result<Self::Response, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: http::Request<Body>) -> Self::Future {
        if request.uri().path() != ListingCodec::PATH {
            return self.others.call(request);
        }
        let call = ListAgents { hub: self.hub.clone(), written: self.written.clone() };
        Box::pin(async move {
            let mut grpc = Grpc::new(Bytes)
                .apply_max_message_size_config(Some(MAX_QUESTION_BYTES), Some(MAX_QUERY_BYTES));
            Ok(grpc.unary(call, request).await)
        })
    }
}

struct ListAgents {
    hub: HubHandle,
    written: Arc<Mutex<Written>>,
}

impl UnaryService<pb::ListAgentsRequest> for ListAgents {
    type Response = Vec<u8>;
    type Future = Answer<Result<Response<Vec<u8>>, Status>>;

    fn call(&mut self, request: Request<pb::ListAgentsRequest>) -> Self::Future {
        let (hub, written) = (self.hub.clone(), self.written.clone());
        Box::pin(async move {
            let pb::ListAgentsRequest { day_start_unix_ms, basic } = request.into_inner();
            let page = hub.visit(day(day_start_unix_ms), move |rows| {
                // The hub alone takes it, for one listing at a time.
                let mut written = basic.then(|| written.lock().unwrap_or_else(PoisonError::into_inner));
                let hosts = rows.hosts.iter().map(host_to_pb);
                listing_bytes(rows.agents, hosts, rows.generation, written.as_deref_mut())
            });
            Ok(Response::new(page.await.map_err(gone)?))
        })
    }
}

/// Messages that are written already.
struct Bytes;

impl Codec for Bytes {
    type Encode = Vec<u8>;
    type Decode = pb::ListAgentsRequest;
    type Encoder = Self;
    type Decoder = ProstDecoder<pb::ListAgentsRequest>;

    fn encoder(&mut self) -> Self {
        Self
    }

    fn decoder(&mut self) -> Self::Decoder {
        ProstDecoder::default()
    }
}

impl Encoder for Bytes {
    type Item = Vec<u8>;
    type Error = Status;

    fn encode(&mut self, message: Vec<u8>, out: &mut EncodeBuf<'_>) -> Result<(), Status> {
        out.reserve(message.len());
        out.put_slice(&message);
        Ok(())
    }
}
