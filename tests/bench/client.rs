//! A reader of the collector, as other programs would be: one warm connection, blocking calls.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use fleet_proto::limits::MAX_QUERY_BYTES;
use fleet_proto::pb;
use fleet_proto::pb::fleet_service_client::FleetServiceClient;
use fleet_testkit::home::TestHome;
use hyper_util::rt::TokioIo;
use tokio::net::UnixStream;
use tokio::runtime::Runtime;
use tonic::Streaming;
use tonic::transport::{Channel, Endpoint};

pub(crate) struct Client {
    runtime: Runtime,
    inner: FleetServiceClient<Channel>,
}

impl Client {
    pub(crate) fn connect(home: &TestHome) -> Result<Self> {
        let runtime =
            tokio::runtime::Builder::new_current_thread().enable_all().build().context("an event loop")?;
        let channel = runtime.block_on(dial(socket(home)))?;
        let inner = FleetServiceClient::new(channel).max_decoding_message_size(MAX_QUERY_BYTES);
        Ok(Self { runtime, inner })
    }

    pub(crate) fn list(&mut self) -> Result<pb::ListAgentsResponse> {
        let call = self.inner.list_agents(pb::ListAgentsRequest::default());
        Ok(self.runtime.block_on(call)?.into_inner())
    }

    pub(crate) fn watch(mut self) -> Result<Watch> {
        let call = self.inner.watch_agents(pb::WatchAgentsRequest::default());
        let stream = self.runtime.block_on(call)?.into_inner();
        Ok(Watch { runtime: self.runtime, stream })
    }

    pub(crate) fn is_alive(agent: &pb::Agent) -> bool {
        agent.pane_alive == Some(true) && agent.state() != pb::State::Dead && agent.pane_pid.is_some()
    }
}

pub(crate) struct Watch {
    runtime: Runtime,
    stream: Streaming<pb::WatchAgentsResponse>,
}

impl Watch {
    /// The next agent that changed.
    pub(crate) fn changed(&mut self) -> Result<pb::Agent> {
        loop {
            let message = self.runtime.block_on(self.stream.message())?.context("the stream ended")?;
            if let Some(pb::watch_agents_response::Change::Changed(agent)) = message.change {
                return Ok(agent);
            }
        }
    }

    /// Takes what comes for this long.
    pub(crate) fn drain(&mut self, time: Duration) -> Result<()> {
        let until = Instant::now() + time;
        self.runtime.block_on(async {
            loop {
                match tokio::time::timeout_at(until.into(), self.stream.message()).await {
                    Err(_) => return Ok(()),
                    Ok(message) => drop(message?.context("the stream ended")?),
                }
            }
        })
    }
}

pub(crate) fn socket(home: &TestHome) -> PathBuf {
    home.runtime_dir().join("mosaic/collector.sock")
}

async fn dial(socket: PathBuf) -> Result<Channel> {
    let connector = tower::service_fn(move |_| {
        let socket = socket.clone();
        async move { UnixStream::connect(socket).await.map(TokioIo::new) }
    });
    Endpoint::from_static("http://collector")
        .connect_with_connector(connector)
        .await
        .context("dial the collector")
}
