//! The pages on loopback: `/metrics`, `/-/healthy`, `/-/ready`. Any local user and any web page in a browser may reach
//! a loopback port, so connections are few and short, and the Host header must be a loopback name.

use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use axum::Router;
use axum::extract::{Request, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, watch};
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};

use crate::exposition::negotiate::Format;
use crate::exposition::render;
use crate::hub::HubHandle;
use crate::meters::Meters;

/// Each may leave a whole page unread.
const MAX_CONNECTIONS: usize = 16;
/// A scraper that keeps its connection open makes a new one now and then; one that does nothing holds no place.
const LIFETIME: Duration = Duration::from_secs(600);
const HEAD_LIMIT: Duration = Duration::from_secs(30);
const GRACE: Duration = Duration::from_secs(3);

#[derive(Debug, thiserror::Error)]
pub enum HttpError {
    #[error(
        "{address} is taken by another program; stop it, or give --http another port (`--http 127.0.0.1:0` takes a free one, `--http off` none)"
    )]
    Taken { address: SocketAddr },
    #[error("cannot listen on {address}")]
    Bind {
        address: SocketAddr,
        #[source]
        source: std::io::Error,
    },
}

pub fn bind(address: SocketAddr) -> Result<std::net::TcpListener, HttpError> {
    let failed = |source: std::io::Error| match source.kind() {
        std::io::ErrorKind::AddrInUse => HttpError::Taken { address },
        _ => HttpError::Bind { address, source },
    };
    let listener = std::net::TcpListener::bind(address).map_err(failed)?;
    listener.set_nonblocking(true).map_err(failed)?;
    Ok(listener)
}

/// Set once, when the store is open and the register restored: ready, and never not ready again.
#[derive(Clone, Default)]
pub struct Latch(Arc<OnceLock<HubHandle>>);

impl Latch {
    pub fn open(&self, hub: HubHandle) {
        let _ = self.0.set(hub);
    }

    fn hub(&self) -> Option<&HubHandle> {
        self.0.get()
    }
}

#[derive(Clone)]
struct Pages {
    latch: Latch,
    meters: Arc<Meters>,
}

pub fn router(latch: Latch, meters: Arc<Meters>) -> Router {
    Router::new()
        .route("/metrics", get(metrics))
        .route("/-/healthy", get(|| async { "healthy\n" }))
        .route("/-/ready", get(ready))
        .layer(middleware::from_fn(only_loopback_names))
        .with_state(Pages { latch, meters })
}

async fn metrics(State(pages): State<Pages>, headers: HeaderMap) -> Response {
    let Some(hub) = pages.latch.hub() else { return not_ready() };
    let Ok(snapshot) = hub.scrape().await else { return not_ready() };
    let format = Format::of(headers.get(header::ACCEPT).and_then(|accept| accept.to_str().ok()));
    // A large fleet's page takes a while, and nobody else should wait for it.
    let written = tokio::task::spawn_blocking(move || render(snapshot, &pages.meters, format));
    match written.await.unwrap_or(Err(std::fmt::Error)) {
        Ok(page) => ([(header::CONTENT_TYPE, format.content_type())], page).into_response(),
        Err(_) => (StatusCode::INTERNAL_SERVER_ERROR, "the page could not be written\n").into_response(),
    }
}

async fn ready(State(pages): State<Pages>) -> Response {
    if pages.latch.hub().is_some() { "ready\n".into_response() } else { not_ready() }
}

fn not_ready() -> Response {
    (StatusCode::SERVICE_UNAVAILABLE, "not ready: the register is being restored, or is closed\n")
        .into_response()
}

/// A name that resolves to loopback for the length of an attack is still another site's name.
pub(crate) async fn only_loopback_names(request: Request, next: Next) -> Response {
    let host = request.headers().get(header::HOST).and_then(|host| host.to_str().ok());
    // HTTP/2 has it in the address.
    let host = host.or_else(|| request.uri().host());
    if host.is_some_and(is_loopback_name) {
        next.run(request).await
    } else {
        (StatusCode::FORBIDDEN, "only by a loopback name, such as 127.0.0.1 or localhost\n").into_response()
    }
}

fn is_loopback_name(host: &str) -> bool {
    let without_port = match host.rsplit_once(':') {
        Some((name, port)) if port.chars().all(|c| c.is_ascii_digit()) && !name.ends_with(':') => name,
        _ => host,
    };
    let bare = without_port.strip_prefix('[').and_then(|name| name.strip_suffix(']')).unwrap_or(without_port);
    bare.eq_ignore_ascii_case("localhost") || bare.parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback())
}

/// Serves until told to stop, then lets what is under way end.
pub async fn serve(listener: TcpListener, router: Router, mut stop: watch::Receiver<bool>) {
    let places = Arc::new(Semaphore::new(MAX_CONNECTIONS));
    let mut connections = JoinSet::new();
    loop {
        let Ok(place) = places.clone().acquire_owned().await else { break };
        let accepted = tokio::select! {
            _ = stop.wait_for(|stop| *stop) => break,
            accepted = listener.accept() => accepted,
        };
        match accepted {
            Ok((stream, _)) => {
                let (router, stop) = (router.clone(), stop.clone());
                connections.spawn(async move {
                    connection(stream, router, stop).await;
                    drop(place);
                });
            }
            Err(error) => {
                tracing::warn!("cannot accept on the metrics port: {error}");
                sleep(Duration::from_millis(100)).await;
            }
        }
        while connections.try_join_next().is_some() {}
    }
    while connections.join_next().await.is_some() {}
}

async fn connection(stream: TcpStream, router: Router, mut stop: watch::Receiver<bool>) {
    let service = TowerToHyperService::new(router);
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_LIMIT)
        .max_buf_size(16 << 10)
        .serve_connection(TokioIo::new(stream), service);
    tokio::pin!(connection);
    tokio::select! {
        _ = connection.as_mut() => return,
        _ = stop.wait_for(|stop| *stop) => {}
        () = sleep(LIFETIME) => {}
    }
    connection.as_mut().graceful_shutdown();
    let _ = timeout(GRACE, connection).await;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_loopback_has_a_name_here() {
        for good in [
            "localhost",
            "LOCALHOST:9464",
            "127.0.0.1",
            "127.0.0.1:9464",
            "127.9.9.9:1",
            "[::1]:9464",
            "::1",
            "[::1]",
        ] {
            assert!(is_loopback_name(good), "{good}");
        }
        for bad in [
            "",
            "evil.example",
            "evil.example:9464",
            "localhost.evil.example",
            "10.0.0.1:9464",
            "0.0.0.0",
            "127.0.0.1.evil.example",
        ] {
            assert!(!is_loopback_name(bad), "{bad}");
        }
    }

    #[test]
    fn a_taken_port_is_said_so_with_the_way_out() {
        let first = bind(SocketAddr::from(([127, 0, 0, 1], 0))).unwrap();
        let address = first.local_addr().unwrap();
        let told = bind(address).unwrap_err().to_string();
        assert!(told.contains(&address.to_string()) && told.contains("--http off"), "{told}");
    }
}
