//! The stream to the collector: connects, says hello, carries messages both ways, comes back with jitter.
//!
//! Each connection has a channel of its own, so that nothing written for a lost connection reaches the next one: the
//! watcher sends its whole state anew instead.

use std::path::PathBuf;
use std::time::Duration;

use fleet_adapters::identity;
use fleet_domain::observation::Vantage;
use fleet_proto::limits::MAX_REPORT_BYTES;
use fleet_proto::pb;
use fleet_proto::pb::report_request::Message;
use fleet_proto::pb::report_response::Message as Down;
use hyper_util::rt::TokioIo;
use tokio::net::UnixStream;
use tokio::sync::mpsc;
use tokio_stream::StreamExt as _;
use tokio_stream::wrappers::ReceiverStream;
use tonic::transport::{Channel, Endpoint};

use crate::backoff::Backoff;
use crate::config::Config;

/// Messages that may wait for the network; more stays where it can be merged with what is newer.
const QUEUE: usize = 64;
const CONNECT_LIMIT: Duration = Duration::from_secs(5);

/// Boxed: the channel keeps room for 32 messages at a time.
pub(crate) type Sender = mpsc::Sender<Box<pb::ReportRequest>>;

pub(crate) enum FromCollector {
    Connected(Sender),
    Lost,
    Cursor(pb::CursorAck),
}

pub(crate) struct Uplink {
    events: mpsc::Receiver<FromCollector>,
}

struct Link {
    socket: PathBuf,
    hello: pb::Hello,
    events: mpsc::Sender<FromCollector>,
}

impl Uplink {
    pub(crate) fn start(config: &Config) -> Self {
        let (events, receiver) = mpsc::channel(QUEUE);
        let hello = pb::Hello {
            tenant_id: config.tenant.to_string(),
            host: config.host.to_string(),
            vantage: match config.vantage {
                Vantage::Host => pb::Vantage::Host,
                Vantage::Agent => pb::Vantage::Agent,
            } as i32,
            session: config.agent.as_ref().map(ToString::to_string).unwrap_or_default(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            boot_id: identity::boot_id(),
            ..pb::Hello::default()
        };
        tokio::spawn(Link { socket: config.collector.clone(), hello, events }.run());
        Self { events: receiver }
    }

    /// Pending for ever once the link is gone, which happens at the end only.
    pub(crate) async fn next(&mut self) -> FromCollector {
        match self.events.recv().await {
            Some(event) => event,
            None => std::future::pending().await,
        }
    }
}

impl Link {
    async fn run(self) {
        let mut backoff = Backoff::new(Duration::from_millis(100), Duration::from_secs(5));
        let mut told = false;
        loop {
            match self.session(&mut backoff).await {
                Ok(()) => tracing::info!("the collector ended the stream"),
                Err(error) if !told => {
                    tracing::info!("no collector at {}: {error:#}; trying again", self.socket.display())
                }
                Err(error) => tracing::debug!("no collector: {error:#}"),
            }
            told = true;
            if self.events.is_closed() {
                return;
            }
            tokio::time::sleep(backoff.next(chance())).await;
        }
    }

    async fn session(&self, backoff: &mut Backoff) -> anyhow::Result<()> {
        let channel = connect(self.socket.clone()).await?;
        let mut client = pb::report_service_client::ReportServiceClient::new(channel)
            .max_decoding_message_size(MAX_REPORT_BYTES)
            .max_encoding_message_size(MAX_REPORT_BYTES);
        let (sender, receiver) = mpsc::channel(QUEUE);
        let clock = rustix::time::clock_gettime(rustix::time::ClockId::Boottime);
        let hello = pb::Hello {
            wall_unix_ms: fleet_adapters::host::wall_now().0,
            monotonic_ms: u64::try_from(clock.tv_sec).unwrap_or(0) * 1000,
            ..self.hello.clone()
        };
        sender.send(message(Message::Hello(hello))).await?;
        let mut down =
            client.report(ReceiverStream::new(receiver).map(|message| *message)).await?.into_inner();
        // Only an answer makes it a connection: the collector may refuse the hello.
        let Some(first) = down.message().await? else { return Ok(()) };
        tracing::info!("reporting to {}", self.socket.display());
        backoff.reset();
        let mut connected =
            self.deliver(first).await && self.events.send(FromCollector::Connected(sender)).await.is_ok();
        let result = loop {
            if !connected {
                return Ok(());
            }
            match down.message().await {
                Ok(Some(next)) => connected = self.deliver(next).await,
                Ok(None) => break Ok(()),
                Err(status) => break Err(status.into()),
            }
        };
        let _ = self.events.send(FromCollector::Lost).await;
        result
    }

    /// False when nobody listens any more.
    async fn deliver(&self, response: pb::ReportResponse) -> bool {
        match response.message {
            Some(Down::Cursor(ack)) => self.events.send(FromCollector::Cursor(ack)).await.is_ok(),
            // Settings and commands are not obeyed by this version; they are of no harm to it.
            Some(Down::Welcome(_) | Down::Command(_) | Down::Settings(_)) | None => !self.events.is_closed(),
        }
    }
}

async fn connect(socket: PathBuf) -> anyhow::Result<Channel> {
    let connector = tower::service_fn(move |_| {
        let socket = socket.clone();
        async move { UnixStream::connect(socket).await.map(TokioIo::new) }
    });
    let endpoint = Endpoint::from_static("http://collector")
        .connect_timeout(CONNECT_LIMIT)
        .http2_keep_alive_interval(Duration::from_secs(20))
        .keep_alive_timeout(Duration::from_secs(10))
        .keep_alive_while_idle(true);
    Ok(endpoint.connect_with_connector(connector).await?)
}

pub(crate) fn message(message: Message) -> Box<pb::ReportRequest> {
    Box::new(pb::ReportRequest { origin: None, message: Some(message) })
}

/// Chance enough for jitter: the low digits of the clock.
fn chance() -> f64 {
    let clock = rustix::time::clock_gettime(rustix::time::ClockId::Monotonic);
    f64::from(u32::try_from(clock.tv_nsec.rem_euclid(1_000_000)).unwrap_or(0)) / 1e6
}
