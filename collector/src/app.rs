//! The collector as a whole: bind early, serve late, drain within a deadline.
//!
//! ```text
//! build: lock and bind the socket, bind the metrics port          (fails at once, with the remedy)
//! serve: metrics port ─► open the store ─► restore ─► hub ─► gRPC ─► READY
//! drain: no new calls ─► streams end, usage under way is acknowledged ─► hub ends ─► store closes ─► socket removed
//! ```

use std::future::Future;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use fleet_domain::budget::spend::KEEP;
use fleet_proto::FILE_DESCRIPTOR_SET;
use jiff::tz::TimeZone;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::timeout;
use tokio_stream::wrappers::UnixListenerStream;
use tonic::service::InterceptorLayer;
use tonic::transport::Server;

use crate::clock::Clock;
use crate::config::Config;
use crate::endpoint::{Endpoint, EndpointError};
use crate::http::{self, HttpError, Latch};
use crate::hub::{self, Hub, HubHandle, Input};
use crate::ingest::{Context, Ingest};
use crate::meters::Meters;
use crate::notify;
use crate::otlp::{self, Receiver};
use crate::peer::{Guard, own_host, own_tenant};
use crate::prices::Prices;
use crate::query::{BudgetRpc, Query};
use crate::store::actor;
use crate::store::handle::StoreHandle;
use crate::store::{Store, StoreError, sqlite::Sqlite};

/// From the signal to the end.
pub const DRAIN_LIMIT: Duration = Duration::from_secs(5);
/// Of it, for streams and readers to end; the rest is for the store.
const STREAMS_LIMIT: Duration = Duration::from_secs(3);
const KEEPALIVE: Duration = Duration::from_secs(20);
/// Calls at once on one connection.
const MAX_CALLS: u32 = 256;

#[derive(Debug, thiserror::Error)]
pub enum AppError {
    #[error(transparent)]
    Endpoint(#[from] EndpointError),
    #[error(transparent)]
    Http(#[from] HttpError),
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error("cannot {what}")]
    Start {
        what: &'static str,
        #[source]
        source: std::io::Error,
    },
    #[error("cannot describe the services")]
    Reflection(#[from] tonic_reflection::server::Error),
    #[error("the socket cannot be served")]
    Serve(#[from] tonic::transport::Error),
}

/// Bound, and not serving yet.
pub struct App {
    config: Config,
    clock: Clock,
    endpoint: Endpoint,
    listener: std::os::unix::net::UnixListener,
    http: Option<(std::net::TcpListener, SocketAddr)>,
    otlp: Option<(std::net::TcpListener, SocketAddr)>,
}

impl App {
    pub fn build(config: Config, clock: Clock) -> Result<Self, AppError> {
        let (endpoint, listener) = Endpoint::bind(&config.socket)?;
        let http = match config.http.map(http::bind).transpose() {
            // Two users of one host both have a default; the second does without rather than not at all.
            Err(error @ HttpError::Taken { .. }) if !config.http_required => {
                tracing::warn!("no metrics are served: {error}");
                None
            }
            bound => bound?,
        };
        let addressed = |listener: std::net::TcpListener| {
            let address = listener.local_addr();
            address.map(|address| (listener, address)).map_err(start("read the metrics port"))
        };
        let http = http.map(&addressed).transpose()?;
        let otlp = config.otlp.map(http::bind).transpose()?.map(addressed).transpose()?;
        Ok(Self { config, clock, endpoint, listener, http, otlp })
    }

    /// Where /metrics is.
    pub fn http(&self) -> Option<SocketAddr> {
        self.http.as_ref().map(|(_, address)| *address)
    }

    /// Where telemetry is taken in.
    pub fn otlp(&self) -> Option<SocketAddr> {
        self.otlp.as_ref().map(|(_, address)| *address)
    }

    /// Serves until `stop`, and drains.
    pub async fn serve(self, stop: impl Future<Output = ()>) -> Result<(), AppError> {
        self.serve_with(|path| Ok(Box::new(Sqlite::open(path)?)), stop).await
    }

    /// The same with another store.
    pub async fn serve_with(
        self,
        open: impl FnOnce(&std::path::Path) -> Result<Box<dyn Store>, StoreError> + Send + 'static,
        stop: impl Future<Output = ()>,
    ) -> Result<(), AppError> {
        let Self { config, clock, endpoint, listener, http, otlp } = self;
        let meters = Arc::new(Meters::new(clock().wall));
        let (drain, draining) = watch::channel(false);
        let latch = Latch::default();
        let address = http.as_ref().map(|(_, address)| format!("http://{address}/metrics"));
        let pages = http.map(|(listener, _)| pages(listener, &latch, &meters, &draining)).transpose()?;

        let core = Core::start(&config, &clock, &meters, open).await?;
        let receiver = Receiver {
            store: core.store.clone(),
            meters: meters.clone(),
            clock: clock.clone(),
            tenant: own_tenant(),
            host: own_host(),
        };
        let telemetry =
            otlp.map(|(listener, address)| receive(listener, address, receiver, &draining)).transpose()?;
        let context = Context {
            hub: core.hub.clone(),
            store: core.store.clone(),
            meters: meters.clone(),
            clock,
            tenant: own_tenant(),
            drain: draining.clone(),
        };
        let query = Query {
            hub: core.hub.clone(),
            store: core.store.clone(),
            meters,
            http: address.clone().unwrap_or_default(),
            prices: config.files.prices.clone(),
            drain: draining.clone(),
        };
        let budget = BudgetRpc {
            hub: core.hub.clone(),
            store: core.store.clone(),
            tenant: own_tenant(),
            files: config.files.clone(),
        };
        let follow = crate::budget::follow(
            config.files.clone(),
            core.hub.clone(),
            core.store.clone(),
            context.clock.clone(),
            draining.clone(),
        );
        tokio::spawn(follow);
        let services = serve_grpc(listener, context, query, budget, draining)?;
        latch.open(core.hub.clone());
        tokio::spawn(notify::watchdog(core.hub.clone()));
        notify::ready().await;
        tracing::info!(
            socket = %endpoint.path().display(),
            store = core.store.description(),
            metrics = address.as_deref().unwrap_or("off"),
            "serving"
        );

        let mut services = services;
        let ended = tokio::select! {
            () = stop => None,
            ended = &mut services => Some(ended),
        };
        tracing::info!("stopping");
        let _ = drain.send(true);
        notify::stopping().await;
        let drained = drained(services, ended.is_some(), [pages, telemetry], core);
        if timeout(DRAIN_LIMIT, drained).await.is_err() {
            tracing::warn!("not everything ended within {} s", DRAIN_LIMIT.as_secs());
        }
        drop(endpoint);
        match ended {
            Some(Ok(Err(error))) => Err(error.into()),
            _ => Ok(()),
        }
    }
}

type Services = JoinHandle<Result<(), tonic::transport::Error>>;

/// The register and its store.
struct Core {
    hub: HubHandle,
    store: StoreHandle,
    task: JoinHandle<()>,
    end: actor::End,
}

impl Core {
    async fn start(
        config: &Config,
        clock: &Clock,
        meters: &Arc<Meters>,
        open: impl FnOnce(&std::path::Path) -> Result<Box<dyn Store>, StoreError> + Send + 'static,
    ) -> Result<Self, AppError> {
        let (path, now, own) = (config.store.clone(), clock.clone(), config.files.prices.clone());
        let opened = tokio::task::spawn_blocking(move || {
            let mut store = open(&path)?;
            store.price_by(crate::prices::table(own));
            let loaded = store.load(now().wall)?;
            Ok::<_, StoreError>((store, loaded))
        });
        let (store, loaded) =
            opened.await.map_err(std::io::Error::from).map_err(start("open the store"))??;
        let (hub, queues) = HubHandle::new();
        let started = actor::start(
            store,
            hub.inputs(),
            clock.clone(),
            meters.clone(),
            Prices::new(config.files.prices.clone()),
        );
        let actor::Started { handle, sink, end } = started.map_err(start("start the store's thread"))?;
        let zone = TimeZone::system();
        let mut owner = Hub::new(config.thresholds, loaded, sink, meters.clone(), zone, clock());
        let files = config.files.clone();
        let at = clock().wall;
        let read = tokio::task::spawn_blocking(move || files.read(at)).await;
        let (budget, prices) = read.map_err(std::io::Error::from).map_err(start("read the budget"))?;
        let table = match &prices {
            Input::Prices(table) => table.clone(),
            _ => Arc::default(),
        };
        owner.step(prices, clock());
        owner.step(budget, clock());
        let asked = handle.tell_spent(at.minus(KEEP), table).await;
        asked.map_err(|error| std::io::Error::other(error.to_string())).map_err(start("read the ledger"))?;
        let task = tokio::spawn(hub::run(owner, queues, clock.clone()));
        Ok(Self { hub, store: handle, task, end })
    }

    /// The hub first, as it still has transitions for the store.
    async fn stop(self) {
        self.hub.stop().await;
        let _ = self.task.await;
        self.end.close().await;
    }
}

fn pages(
    listener: std::net::TcpListener,
    latch: &Latch,
    meters: &Arc<Meters>,
    draining: &watch::Receiver<bool>,
) -> Result<JoinHandle<()>, AppError> {
    let listener = tokio::net::TcpListener::from_std(listener).map_err(start("serve the metrics port"))?;
    let router = http::router(latch.clone(), meters.clone());
    Ok(tokio::spawn(http::serve(listener, router, draining.clone())))
}

fn receive(
    listener: std::net::TcpListener,
    address: SocketAddr,
    receiver: Receiver,
    draining: &watch::Receiver<bool>,
) -> Result<JoinHandle<()>, AppError> {
    let listener = tokio::net::TcpListener::from_std(listener).map_err(start("serve the telemetry port"))?;
    let draining = draining.clone();
    tracing::info!("telemetry is taken in at {}", otlp::shown(address));
    Ok(tokio::spawn(async move {
        if let Err(error) = otlp::serve(listener, receiver, draining).await {
            tracing::error!("telemetry is not taken in any more: {}", crate::chain::chain(&error));
        }
    }))
}

fn serve_grpc(
    listener: std::os::unix::net::UnixListener,
    context: Context,
    query: Query,
    budget: BudgetRpc,
    mut draining: watch::Receiver<bool>,
) -> Result<Services, AppError> {
    let listener = tokio::net::UnixListener::from_std(listener).map_err(start("serve the socket"))?;
    let (health, health_service) = tonic_health::server::health_reporter();
    let reflection = tonic_reflection::server::Builder::configure()
        .register_encoded_file_descriptor_set(FILE_DESCRIPTOR_SET)
        .register_encoded_file_descriptor_set(tonic_health::pb::FILE_DESCRIPTOR_SET)
        .build_v1()?;
    let (report, fleet) = (Ingest::service(context), query.service());
    let router = Server::builder()
        .http2_keepalive_interval(Some(KEEPALIVE))
        .http2_keepalive_timeout(Some(KEEPALIVE))
        .max_concurrent_streams(MAX_CALLS)
        .initial_stream_window_size(256 << 10)
        .initial_connection_window_size(1 << 20)
        .http2_max_header_list_size(16 << 10)
        .layer(InterceptorLayer::new(Guard::own_user()))
        .add_service(health_service)
        .add_service(reflection)
        .add_service(fleet)
        .add_service(budget.service())
        .add_service(report);
    Ok(tokio::spawn(async move {
        serving(&health, true).await;
        let stop = async move {
            let _ = draining.wait_for(|drain| *drain).await;
            serving(&health, false).await;
        };
        router.serve_with_incoming_shutdown(UnixListenerStream::new(listener), stop).await
    }))
}

async fn serving(health: &tonic_health::server::HealthReporter, serving: bool) {
    use fleet_proto::pb::budget_service_server::BudgetServiceServer;
    use fleet_proto::pb::fleet_service_server::FleetServiceServer;
    use fleet_proto::pb::report_service_server::ReportServiceServer;
    if serving {
        health.set_serving::<FleetServiceServer<Query>>().await;
        health.set_serving::<ReportServiceServer<Ingest>>().await;
        health.set_serving::<BudgetServiceServer<BudgetRpc>>().await;
    } else {
        health.set_not_serving::<FleetServiceServer<Query>>().await;
        health.set_not_serving::<ReportServiceServer<Ingest>>().await;
        health.set_not_serving::<BudgetServiceServer<BudgetRpc>>().await;
    }
}

async fn drained(mut services: Services, ended: bool, others: [Option<JoinHandle<()>>; 2], core: Core) {
    let calls = async {
        if !ended {
            let _ = (&mut services).await;
        }
        for other in others.into_iter().flatten() {
            let _ = other.await;
        }
    };
    // A peer that does not hang up may not keep the store from being closed properly.
    if timeout(STREAMS_LIMIT, calls).await.is_err() {
        services.abort();
    }
    core.stop().await;
}

fn start(what: &'static str) -> impl FnOnce(std::io::Error) -> AppError {
    move |source| AppError::Start { what, source }
}
