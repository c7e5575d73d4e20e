//! The whole collector in this process, over a real socket, with the generated client: what a sidecar, a reader and a
//! scraper meet.

mod budget;
mod limits;
mod pages;
mod readers;
mod reports;
mod telemetry;
mod usage;
mod windows;

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use fleet_domain::observation::{Observation, Vantage};
use fleet_domain::readiness::Thresholds;
use fleet_proto::convert::{Answer, Hello, Report, UsageBatch, answer_from_pb, report_to_pb};
use fleet_proto::limits::MAX_QUERY_BYTES;
use fleet_proto::pb;
use fleet_proto::pb::fleet_service_client::FleetServiceClient;
use fleet_proto::pb::report_service_client::ReportServiceClient;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinHandle;
use tokio::time::timeout;
use tokio_stream::wrappers::ReceiverStream;
use tonic::transport::{Channel, Endpoint};
use tonic::{Status, Streaming};
use tracing::level_filters::LevelFilter;

use crate::app::{App, AppError};
use crate::budget::Files;
use crate::config::Config;
use crate::peer::own_tenant;
use crate::store::{Store, StoreError};
use crate::{clock, fixture};

/// For what must come; it is never waited for in full.
const SOON: Duration = Duration::from_secs(30);

async fn soon<F: Future>(future: F) -> F::Output {
    timeout(SOON, future).await.unwrap()
}

struct Collector {
    socket: PathBuf,
    http: SocketAddr,
    otlp: SocketAddr,
    stop: oneshot::Sender<()>,
    task: JoinHandle<Result<(), AppError>>,
}

fn config(dir: &Path) -> Config {
    Config {
        socket: dir.join("run/collector.sock"),
        http: Some(SocketAddr::from(([127, 0, 0, 1], 0))),
        http_required: true,
        otlp: Some(SocketAddr::from(([127, 0, 0, 1], 0))),
        files: Files {
            budget: Some(dir.join("budget.yaml")),
            prices: Some(dir.join("prices.yaml")),
            pause: Some(dir.join("PAUSED")),
        },
        store: dir.join("state/register.sqlite3"),
        log: LevelFilter::OFF,
        thresholds: Thresholds::default(),
        warnings: Vec::new(),
    }
}

fn start(dir: &Path) -> Collector {
    start_with(dir, |path| Ok(Box::new(crate::store::sqlite::Sqlite::open(path)?)))
}

fn start_with(
    dir: &Path,
    open: impl FnOnce(&Path) -> Result<Box<dyn Store>, StoreError> + Send + 'static,
) -> Collector {
    let app = App::build(config(dir), clock::system()).unwrap();
    let http = app.http().unwrap();
    let otlp = app.otlp().unwrap();
    let (stop, stopped) = oneshot::channel();
    let task = tokio::spawn(app.serve_with(open, async move {
        let _ = stopped.await;
    }));
    Collector { socket: config(dir).socket, http, otlp, stop, task }
}

impl Collector {
    async fn channel(&self) -> Channel {
        let uri = format!("unix://{}", self.socket.display());
        soon(Endpoint::from_shared(uri).unwrap().connect()).await.unwrap()
    }

    async fn reader(&self) -> FleetServiceClient<Channel> {
        FleetServiceClient::new(self.channel().await).max_decoding_message_size(MAX_QUERY_BYTES)
    }

    /// A host-wide sidecar that was welcomed.
    async fn sidecar(&self) -> Sidecar {
        let mut sidecar = self.stranger().await;
        sidecar.say(Report::Hello(hello())).await;
        assert!(matches!(sidecar.hear().await, Ok(Some(Answer::Welcome { .. }))));
        sidecar
    }

    /// A stream on which nothing was said yet.
    async fn stranger(&self) -> Sidecar {
        let (up, messages) = mpsc::channel(64);
        let mut client = ReportServiceClient::new(self.channel().await);
        let down = soon(client.report(ReceiverStream::new(messages))).await.unwrap().into_inner();
        Sidecar { up, down }
    }

    async fn watch(&self) -> Watched {
        let request = pb::WatchAgentsRequest::default();
        Watched { stream: soon(self.reader().await.watch_agents(request)).await.unwrap().into_inner() }
    }

    async fn page(&self, path: &str, headers: &str) -> String {
        let mut stream = TcpStream::connect(self.http).await.unwrap();
        let request = format!("GET {path} HTTP/1.1\r\nConnection: close\r\n{headers}\r\n");
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut answer = String::new();
        soon(stream.read_to_string(&mut answer)).await.unwrap();
        answer
    }

    async fn metric(&self, series: &str) -> f64 {
        let page = self.page("/metrics", "Host: localhost\r\n").await;
        let line = page.lines().find_map(|line| line.strip_prefix(series)?.strip_prefix(' '));
        line.unwrap_or_else(|| panic!("no {series} in {page}")).parse().unwrap()
    }

    async fn stop(self) {
        self.stop.send(()).unwrap();
        soon(self.task).await.unwrap().unwrap();
    }
}

fn hello() -> Hello {
    Hello { tenant: own_tenant(), ..fixture::hello(Vantage::Host, "") }
}

struct Sidecar {
    up: mpsc::Sender<pb::ReportRequest>,
    down: Streaming<pb::ReportResponse>,
}

impl Sidecar {
    async fn say(&self, report: Report) {
        self.send(report_to_pb(&report)).await;
    }

    async fn send(&self, message: pb::ReportRequest) {
        soon(self.up.send(message)).await.unwrap();
    }

    async fn see(&self, observation: Observation) {
        self.say(Report::Observed(observation)).await;
    }

    async fn pay(&self, batch: UsageBatch) {
        self.say(Report::Usage(batch)).await;
    }

    async fn hear(&mut self) -> Result<Option<Answer>, Status> {
        let answer = soon(self.down.message()).await?;
        Ok(answer.and_then(|answer| answer_from_pb(&answer).unwrap()))
    }

    async fn cursor(&mut self) -> (String, Vec<u8>) {
        match self.hear().await {
            Ok(Some(Answer::Cursor { source, cursor })) => (source, cursor),
            other => panic!("{other:?}"),
        }
    }

    /// How the collector ended the stream.
    async fn end(&mut self) -> Status {
        loop {
            match soon(self.down.message()).await {
                Ok(Some(_)) => {}
                Ok(None) => return Status::ok("ended"),
                Err(status) => return status,
            }
        }
    }
}

/// The register as a watcher sees it.
struct Watched {
    stream: Streaming<pb::WatchAgentsResponse>,
}

impl Watched {
    /// The first state of an agent that is as wanted.
    async fn until(&mut self, name: &str, wanted: impl Fn(&pb::Agent) -> bool) -> pb::Agent {
        use pb::watch_agents_response::Change;
        let seen = |agent: &pb::Agent| agent.name == name && wanted(agent);
        loop {
            let message = soon(self.stream.message()).await.unwrap().unwrap();
            let found = match message.change.unwrap() {
                Change::Snapshot(listing) => listing.agents.into_iter().find(seen),
                Change::Changed(agent) => Some(agent).filter(seen),
                Change::Removed(_) => None,
            };
            if let Some(agent) = found {
                return agent;
            }
        }
    }
}

fn is(state: pb::State) -> impl Fn(&pb::Agent) -> bool {
    move |agent| agent.state == state as i32
}
