//! Simulated reporters: many agents over few streams, each stream a host, on a collector's Unix socket. They say
//! what sidecars say (hello, an observation of every agent, the planes, then a heartbeat of each agent once in an
//! interval) and change their agents' states by chance that a seed decides.
//!
//! A collector must be asked by its own user, so the tenant is this user; the hosts are `sim0`, `sim1`, …

mod agents;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use fleet_proto::limits::MAX_REPORT_BYTES;
use fleet_proto::pb;
use fleet_proto::pb::report_request::Message;
use fleet_proto::pb::report_service_client::ReportServiceClient;
use hyper_util::rt::TokioIo;
use tokio::net::UnixStream;
use tokio::sync::{mpsc, watch};
use tokio_stream::wrappers::ReceiverStream;
use tonic::transport::{Channel, Endpoint};

use self::agents::Simulated;
use crate::wait::wait_until;

const PATIENCE: Duration = Duration::from_secs(30);
/// Before a lost collector is looked for again.
const PAUSE: Duration = Duration::from_millis(200);
const QUEUE: usize = 64;

/// Who reports, and how often.
#[derive(Clone, Debug)]
pub struct Plan {
    /// In all; spread evenly over the hosts.
    pub agents: usize,
    /// A stream each.
    pub hosts: usize,
    /// Between two heartbeats of one agent.
    pub interval: Duration,
    /// How likely a heartbeat brings a new state with it.
    pub change: f64,
    /// The same seed gives the same states in the same order.
    pub seed: u64,
}

impl Default for Plan {
    fn default() -> Self {
        Self { agents: 10, hosts: 1, interval: Duration::from_secs(15), change: 0.05, seed: 1 }
    }
}

/// What was handed to the streams so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Sent {
    pub hellos: u64,
    pub planes: u64,
    /// Observations in all; the first of an agent, its heartbeats and its changes are among them.
    pub observations: u64,
    /// Heartbeats that brought a new state.
    pub changes: u64,
    /// Streams that ended without our doing.
    pub lost: u64,
}

#[derive(Debug, Default)]
struct Counters {
    hellos: AtomicU64,
    planes: AtomicU64,
    observations: AtomicU64,
    changes: AtomicU64,
    lost: AtomicU64,
}

/// Running reporters; they say goodbye and stop when this is dropped.
#[derive(Debug)]
pub struct Reporters {
    plan: Plan,
    stop: watch::Sender<bool>,
    counters: Arc<Counters>,
    thread: Option<JoinHandle<()>>,
}

impl Reporters {
    /// Starts them on a thread of their own, and comes back when the first report of every agent is on its way.
    ///
    /// # Errors
    /// When the collector does not take them in.
    pub fn start(socket: &Path, plan: Plan) -> Result<Self> {
        ensure!(plan.hosts > 0 && plan.agents >= plan.hosts, "a host needs an agent");
        let user = nix::unistd::User::from_uid(nix::unistd::getuid())?.context("this user has no name")?;
        let runtime =
            tokio::runtime::Builder::new_current_thread().enable_all().build().context("an event loop")?;
        let (stop, stopped) = watch::channel(false);
        let counters = Arc::new(Counters::default());
        let hosts: Vec<Host> = (0..plan.hosts)
            .map(|number| Host {
                tenant: user.name.clone(),
                name: format!("sim{number}"),
                socket: socket.to_owned(),
                agents: Simulated::of_host(number, &plan),
                plan: plan.clone(),
                counters: Arc::clone(&counters),
                stopped: stopped.clone(),
            })
            .collect();
        let thread = std::thread::spawn(move || {
            runtime.block_on(async {
                let mut tasks = tokio::task::JoinSet::new();
                hosts.into_iter().for_each(|host| drop(tasks.spawn(host.run())));
                while tasks.join_next().await.is_some() {}
            });
        });
        let reporters = Self { plan, stop, counters, thread: Some(thread) };
        let all = u64::try_from(reporters.plan.hosts)?;
        wait_until(PATIENCE, "the simulated reporters' first reports", || {
            let sent = reporters.sent();
            ensure!(sent.planes >= all, "{sent:?} after {} streams were lost", sent.lost);
            Ok(())
        })?;
        Ok(reporters)
    }

    #[must_use]
    pub fn sent(&self) -> Sent {
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        Sent {
            hellos: read(&self.counters.hellos),
            planes: read(&self.counters.planes),
            observations: read(&self.counters.observations),
            changes: read(&self.counters.changes),
            lost: read(&self.counters.lost),
        }
    }

    #[must_use]
    pub fn plan(&self) -> &Plan {
        &self.plan
    }
}

impl Drop for Reporters {
    fn drop(&mut self) {
        let _ = self.stop.send(true);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// One stream.
struct Host {
    tenant: String,
    name: String,
    socket: PathBuf,
    agents: Vec<Simulated>,
    plan: Plan,
    counters: Arc<Counters>,
    stopped: watch::Receiver<bool>,
}

impl Host {
    async fn run(mut self) {
        while self.session().await.is_err() {
            self.counters.lost.fetch_add(1, Ordering::Relaxed);
            tokio::select! {
                () = asked_to_stop(self.stopped.clone()) => return,
                () = tokio::time::sleep(PAUSE) => {}
            }
        }
    }

    /// Ends well only when it was stopped.
    async fn session(&mut self) -> Result<()> {
        let mut client = ReportServiceClient::new(connect(self.socket.clone()).await?)
            .max_encoding_message_size(MAX_REPORT_BYTES)
            .max_decoding_message_size(MAX_REPORT_BYTES);
        let (up, queue) = mpsc::channel(QUEUE);
        send(&up, Message::Hello(self.hello())).await?;
        let mut down = client.report(ReceiverStream::new(queue)).await?.into_inner();
        ensure!(down.message().await?.is_some(), "the collector did not answer the hello");
        self.counters.hellos.fetch_add(1, Ordering::Relaxed);
        let stopped = self.stopped.clone();
        tokio::select! {
            () = asked_to_stop(stopped) => {
                send(&up, Message::Goodbye(pb::Goodbye {})).await?;
                drop(up);
                // The collector ends the stream when it has read to its end.
                while let Ok(Some(_)) = down.message().await {}
                Ok(())
            }
            told = self.report(&up) => told,
            end = async { while down.message().await?.is_some() {} Ok::<_, tonic::Status>(()) } => {
                end?;
                anyhow::bail!("the collector ended the stream")
            }
        }
    }

    /// Everything once, then a heartbeat at a time, evenly over the interval.
    async fn report(&mut self, up: &mpsc::Sender<pb::ReportRequest>) -> Result<()> {
        for agent in &self.agents {
            send(up, Message::Observation(agent.observation())).await?;
            self.counters.observations.fetch_add(1, Ordering::Relaxed);
        }
        let planes = agents::planes(&self.agents);
        send(up, Message::Planes(planes)).await?;
        self.counters.planes.fetch_add(1, Ordering::Relaxed);
        let began = Instant::now();
        let count = u32::try_from(self.agents.len())?;
        for beat in 1u32.. {
            let due = began + self.plan.interval * beat / count;
            tokio::time::sleep_until(due.into()).await;
            let agent = &mut self.agents[(beat % count) as usize];
            let changed = agent.live_on(self.plan.change);
            send(up, Message::Observation(agent.observation())).await?;
            self.counters.observations.fetch_add(1, Ordering::Relaxed);
            self.counters.changes.fetch_add(u64::from(changed), Ordering::Relaxed);
        }
        Ok(())
    }

    fn hello(&self) -> pb::Hello {
        pb::Hello {
            tenant_id: self.tenant.clone(),
            host: self.name.clone(),
            vantage: pb::Vantage::Host as i32,
            version: "simulated".to_owned(),
            boot_id: format!("boot-of-{}", self.name),
            ..pb::Hello::default()
        }
    }
}

async fn asked_to_stop(mut stopped: watch::Receiver<bool>) {
    // An error means that nobody is left who could ask, which is as good.
    drop(stopped.wait_for(|stop| *stop).await);
}

async fn send(up: &mpsc::Sender<pb::ReportRequest>, message: Message) -> Result<()> {
    up.send(pb::ReportRequest { origin: None, message: Some(message) }).await.context("the stream is gone")
}

async fn connect(socket: PathBuf) -> Result<Channel> {
    let connector = tower::service_fn(move |_| {
        let socket = socket.clone();
        async move { UnixStream::connect(socket).await.map(TokioIo::new) }
    });
    Ok(Endpoint::from_static("http://collector").connect_with_connector(connector).await?)
}
