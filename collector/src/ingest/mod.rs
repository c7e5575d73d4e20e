//! The Report service: one task a stream, which turns messages into events for the hub and usage for the store.

mod stream;

#[cfg(test)]
pub(crate) use stream::HELLO_LIMIT;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use fleet_domain::TenantId;
use fleet_domain::fleet::ReporterId;
use fleet_proto::limits::MAX_REPORT_BYTES;
use fleet_proto::pb;
use fleet_proto::pb::report_service_server::{ReportService, ReportServiceServer};
use tokio::sync::{Semaphore, mpsc, watch};
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Request, Response, Status, Streaming};

use crate::clock::Clock;
use crate::hub::HubHandle;
use crate::meters::Meters;
use crate::store::handle::StoreHandle;
use stream::Stream;

/// Streams at once; a thousand agents' own sidecars ten times over.
const MAX_STREAMS: usize = 12_000;
/// Answers that a sidecar may leave unread before its stream waits.
const ANSWER_QUEUE: usize = 16;

/// What each stream needs.
#[derive(Clone)]
pub struct Context {
    pub hub: HubHandle,
    pub store: StoreHandle,
    pub meters: Arc<Meters>,
    pub clock: Clock,
    /// Whose reports are taken.
    pub tenant: TenantId,
    /// True once the collector ends.
    pub drain: watch::Receiver<bool>,
}

pub struct Ingest {
    context: Context,
    next: AtomicU64,
    places: Arc<Semaphore>,
}

impl Ingest {
    pub fn service(context: Context) -> ReportServiceServer<Self> {
        let places = Arc::new(Semaphore::new(MAX_STREAMS));
        ReportServiceServer::new(Self { context, next: AtomicU64::new(1), places })
            .max_decoding_message_size(MAX_REPORT_BYTES)
            .max_encoding_message_size(MAX_REPORT_BYTES)
    }
}

#[tonic::async_trait]
impl ReportService for Ingest {
    type ReportStream = ReceiverStream<Result<pb::ReportResponse, Status>>;

    async fn report(
        &self,
        request: Request<Streaming<pb::ReportRequest>>,
    ) -> Result<Response<Self::ReportStream>, Status> {
        let place = self.places.clone().try_acquire_owned().map_err(|_| {
            tracing::warn!("refused a stream: {MAX_STREAMS} are open");
            Status::resource_exhausted(format!("{MAX_STREAMS} streams are open already"))
        })?;
        let reporter = ReporterId(self.next.fetch_add(1, Ordering::Relaxed));
        let (out, answers) = mpsc::channel(ANSWER_QUEUE);
        let stream = Stream::new(self.context.clone(), reporter, out);
        tokio::spawn(async move {
            stream.run(request.into_inner()).await;
            drop(place);
        });
        Ok(Response::new(ReceiverStream::new(answers)))
    }
}
