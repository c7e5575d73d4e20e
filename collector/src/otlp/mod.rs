//! An optional receiver of OpenTelemetry logs on loopback, gRPC and HTTP on one port: Claude Code and Codex tell there of
//! calls that no transcript holds (compactions, titles). What a transcript holds as well counts once; the store sees to it.
//!
//! Metrics and traces are taken and let go of, so that a sender that has one endpoint for all does not complain.

mod events;
mod wire;

use std::net::SocketAddr;
use std::time::Duration;

use axum::Router;
use axum::body::{Bytes, to_bytes};
use axum::extract::{Request, State};
use axum::http::{StatusCode, header};
use axum::middleware;
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use fleet_domain::{HostId, TenantId};
use prost::Message as _;
use tokio::sync::watch;
use tokio_stream::wrappers::TcpListenerStream;
use tonic::Status;
use tonic::codegen::Service;
use tonic::server::{Grpc, UnaryService};
use tonic::service::Routes;
use tonic::transport::Server;
use tonic_prost::ProstCodec;

use crate::chain::chain;
use crate::clock::Clock;
use crate::http::only_loopback_names;
use crate::meters::Meters;
use crate::store::AuxiliaryWrite;
use crate::store::handle::StoreHandle;
use events::told;
use wire::{ExportLogs, Exported};

/// One export; senders keep to 512 records.
const MAX_EXPORT: usize = 4 << 20;
const LIMIT: Duration = Duration::from_secs(10);
const MAX_CALLS: usize = 16;
const PROTOBUF: &str = "application/x-protobuf";

/// What the receiver needs.
#[derive(Clone)]
pub struct Receiver {
    pub store: StoreHandle,
    pub meters: std::sync::Arc<Meters>,
    pub clock: Clock,
    pub tenant: TenantId,
    pub host: HostId,
}

/// Serves until told to stop.
pub async fn serve(
    listener: tokio::net::TcpListener,
    receiver: Receiver,
    mut stop: watch::Receiver<bool>,
) -> Result<(), tonic::transport::Error> {
    let stopped = async move {
        let _ = stop.wait_for(|stop| *stop).await;
    };
    Server::builder()
        .accept_http1(true)
        .timeout(LIMIT)
        .concurrency_limit_per_connection(MAX_CALLS)
        .http2_max_header_list_size(16 << 10)
        .add_routes(Routes::from(router(receiver)))
        .serve_with_incoming_shutdown(TcpListenerStream::new(listener), stopped)
        .await
}

/// Where the receiver is, for people.
pub fn shown(address: SocketAddr) -> String {
    format!("http://{address}")
}

fn router(receiver: Receiver) -> Router {
    let taken = || post(|| async { exported() });
    let ignored = || post(|request: Request| grpc(Ignored, request));
    let service =
        |signal: &str, name: &str| format!("/opentelemetry.proto.collector.{signal}.v1.{name}Service/Export");
    Router::new()
        .route("/v1/logs", post(logs))
        .route("/v1/metrics", taken())
        .route("/v1/traces", taken())
        .route(&service("logs", "Logs"), post(logs_by_grpc))
        .route(&service("metrics", "Metrics"), ignored())
        .route(&service("trace", "Trace"), ignored())
        // A page in a browser can reach this port too: it cannot send this content type without asking first, and is
        // refused by its Host where a foreign name resolves to here.
        .layer(middleware::from_fn(only_loopback_names))
        .with_state(receiver)
}

async fn logs(State(receiver): State<Receiver>, request: Request) -> Response {
    let kind =
        request.headers().get(header::CONTENT_TYPE).and_then(|kind| kind.to_str().ok()).unwrap_or_default();
    if !kind.starts_with(PROTOBUF) {
        let said = "only protobuf is taken here: OTEL_EXPORTER_OTLP_PROTOCOL=http/protobuf or grpc\n";
        return (StatusCode::UNSUPPORTED_MEDIA_TYPE, said).into_response();
    }
    let Ok(body) = to_bytes(request.into_body(), MAX_EXPORT).await else {
        return (StatusCode::PAYLOAD_TOO_LARGE, "more than one export may hold\n").into_response();
    };
    match ExportLogs::decode(body) {
        Err(_) => (StatusCode::BAD_REQUEST, "no export of logs\n").into_response(),
        Ok(export) => match receiver.take(&export).await {
            Ok(()) => exported(),
            // Senders try again.
            Err(status) => {
                (StatusCode::SERVICE_UNAVAILABLE, format!("{}\n", status.message())).into_response()
            }
        },
    }
}

fn exported() -> Response {
    ([(header::CONTENT_TYPE, PROTOBUF)], Bytes::from(Exported {}.encode_to_vec())).into_response()
}

async fn logs_by_grpc(State(receiver): State<Receiver>, request: Request) -> Response {
    grpc(Logs(receiver), request).await
}

async fn grpc<S>(service: S, request: Request) -> Response
where
    S: UnaryService<ExportLogs, Response = Exported>,
{
    let mut grpc = Grpc::new(ProstCodec::default()).apply_max_message_size_config(Some(MAX_EXPORT), None);
    grpc.unary(service, request).await.map(axum::body::Body::new)
}

/// Any message: all its fields are unknown here.
#[derive(Clone)]
struct Ignored;

type Answer = std::pin::Pin<Box<dyn Future<Output = Result<tonic::Response<Exported>, Status>> + Send>>;

impl Service<tonic::Request<ExportLogs>> for Ignored {
    type Response = tonic::Response<Exported>;
    type Error = Status;
    type Future = Answer;

    fn poll_ready(&mut self, _: &mut std::task::Context<'_>) -> std::task::Poll<Result<(), Status>> {
        std::task::Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: tonic::Request<ExportLogs>) -> Answer {
        Box::pin(async { Ok(tonic::Response::new(Exported {})) })
    }
}

#[derive(Clone)]
struct Logs(Receiver);

impl Service<tonic::Request<ExportLogs>> for Logs {
    type Response = tonic::Response<Exported>;
    type Error = Status;
    type Future = Answer;

    fn poll_ready(&mut self, _: &mut std::task::Context<'_>) -> std::task::Poll<Result<(), Status>> {
        std::task::Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: tonic::Request<ExportLogs>) -> Answer {
        let receiver = self.0.clone();
        Box::pin(async move {
            receiver.take(request.get_ref()).await?;
            Ok(tonic::Response::new(Exported {}))
        })
    }
}

impl Receiver {
    /// Booked when this returns.
    async fn take(&self, export: &ExportLogs) -> Result<(), Status> {
        let received = (self.clock)().wall;
        let told = told(export, received);
        self.meters.telemetry_unusable.add(told.unusable);
        if told.responses.is_empty() {
            return Ok(());
        }
        let count = told.responses.len() as u64;
        let write = AuxiliaryWrite {
            tenant: self.tenant.clone(),
            host: self.host.clone(),
            received,
            told: told.responses,
        };
        self.store.auxiliary(write).await.map_err(|error| Status::unavailable(chain(&error)))?;
        self.meters.telemetry_responses.add(count);
        Ok(())
    }
}

/// An export of one record, as bytes.
#[cfg(test)]
pub(crate) fn export_for_test(name: &str, attributes: &[(&str, &str)]) -> Vec<u8> {
    events::tests::export(name, attributes).encode_to_vec()
}

/// A message by the same numbers, for a client in tests.
#[cfg(test)]
pub(crate) type RawForTest = wire::ExportLogs;

#[cfg(test)]
pub(crate) fn raw_for_test(bytes: &[u8]) -> RawForTest {
    ExportLogs::decode(bytes).unwrap_or_default()
}
