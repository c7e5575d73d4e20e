//! The binary in a world of its own, and a collector that says what a test wants it to say.
#![expect(
    clippy::disallowed_methods,
    clippy::unwrap_used,
    reason = "the tests run the binary; what fails here fails the test"
)]
#![allow(dead_code, unreachable_pub, reason = "each test file uses its own part")]

use std::path::PathBuf;
use std::process::Stdio;
use std::sync::{Arc, Mutex};

use fleet_proto::pb;
use fleet_proto::pb::fleet_service_server::{FleetService, FleetServiceServer};
use tokio::net::UnixListener;
use tokio::process::Command;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio_stream::wrappers::{ReceiverStream, UnixListenerStream};
use tonic::{Request, Response, Status};

/// A home, a runtime directory and a tmux directory that nothing else uses.
pub struct World {
    dir: tempfile::TempDir,
}

pub struct Answer {
    pub code: Option<i32>,
    pub out: String,
    pub err: String,
}

impl World {
    pub fn new() -> Self {
        use std::os::unix::fs::PermissionsExt;
        let world = Self { dir: tempfile::tempdir().unwrap() };
        for place in ["home", "run", "run/mosaic", "tmux"] {
            let place = world.path(place);
            std::fs::create_dir(&place).unwrap();
            std::fs::set_permissions(&place, std::fs::Permissions::from_mode(0o700)).unwrap();
        }
        world
    }

    pub fn path(&self, below: &str) -> PathBuf {
        self.dir.path().join(below)
    }

    pub fn socket(&self) -> PathBuf {
        self.path("run/mosaic/collector.sock")
    }

    pub fn write(&self, below: &str, text: &str) {
        let file = self.path(below);
        std::fs::create_dir_all(file.parent().unwrap()).unwrap();
        std::fs::write(file, text).unwrap();
    }

    pub fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_fleet"));
        command.args(args).env_clear().env("PATH", std::env::var_os("PATH").unwrap_or_default());
        command.env("HOME", self.path("home")).env("TMUX_TMPDIR", self.path("tmux")).env("TZ", "UTC");
        command.env("XDG_RUNTIME_DIR", self.path("run"));
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
        command
    }

    pub async fn fleet(&self, args: &[&str]) -> Answer {
        let output = self.command(args).output().await.unwrap();
        Answer {
            code: output.status.code(),
            out: String::from_utf8(output.stdout).unwrap(),
            err: String::from_utf8(output.stderr).unwrap(),
        }
    }

    /// Serves until the handle is aborted.
    pub fn collector(&self, says: Arc<Says>) -> JoinHandle<()> {
        let _ = std::fs::remove_file(self.socket());
        let listener = UnixListener::bind(self.socket()).unwrap();
        let service = FleetServiceServer::from_arc(says);
        tokio::spawn(async move {
            let server = tonic::transport::Server::builder().add_service(service);
            server.serve_with_incoming(UnixListenerStream::new(listener)).await.unwrap();
        })
    }
}

/// What the collector answers.
#[derive(Default)]
pub struct Says {
    pub agents: Vec<pb::Agent>,
    pub hosts: Vec<pb::HostStatus>,
    pub transitions: Vec<pb::Transition>,
    pub sums: Vec<pb::UsageSum>,
    /// The last question about usage.
    pub asked: Mutex<Option<pb::GetUsageRequest>>,
    pub windows: Vec<pb::LimitStanding>,
    pub refuses: bool,
    /// Every open watch, to send changes to.
    pub watches: Mutex<Vec<mpsc::Sender<Result<pb::WatchAgentsResponse, Status>>>>,
}

impl Says {
    fn listing(&self) -> pb::ListAgentsResponse {
        pb::ListAgentsResponse { agents: self.agents.clone(), hosts: self.hosts.clone(), generation: 1 }
    }

    /// To everybody who watches; a watch is awaited first.
    pub async fn tell(&self, change: pb::watch_agents_response::Change) {
        while self.watches.lock().unwrap().is_empty() {
            tokio::task::yield_now().await;
        }
        let watches = self.watches.lock().unwrap().clone();
        for watch in watches {
            let _ =
                watch.send(Ok(pb::WatchAgentsResponse { change: Some(change.clone()), generation: 2 })).await;
        }
    }
}

#[tonic::async_trait]
impl FleetService for Says {
    async fn list_agents(
        &self,
        _: Request<pb::ListAgentsRequest>,
    ) -> Result<Response<pb::ListAgentsResponse>, Status> {
        if self.refuses {
            return Err(Status::permission_denied("not your fleet"));
        }
        Ok(Response::new(self.listing()))
    }

    async fn get_agent(
        &self,
        request: Request<pb::GetAgentRequest>,
    ) -> Result<Response<pb::GetAgentResponse>, Status> {
        let name = request.into_inner().name;
        let found = self.agents.iter().find(|agent| agent.name == name).cloned();
        let mut agent = found.ok_or_else(|| Status::not_found("no such agent"))?;
        let says = "claude runs as pid 7".to_owned();
        agent.signals.push(pb::Signal { signal: "process".to_owned(), says, source: 1, age_ms: Some(1000) });
        Ok(Response::new(pb::GetAgentResponse { agent: Some(agent) }))
    }

    type WatchAgentsStream = ReceiverStream<Result<pb::WatchAgentsResponse, Status>>;

    async fn watch_agents(
        &self,
        _: Request<pb::WatchAgentsRequest>,
    ) -> Result<Response<Self::WatchAgentsStream>, Status> {
        let (send, receive) = mpsc::channel(16);
        let change = pb::watch_agents_response::Change::Snapshot(self.listing());
        let first = pb::WatchAgentsResponse { change: Some(change), generation: 1 };
        send.try_send(Ok(first)).map_err(|_| Status::internal("full"))?;
        self.watches.lock().unwrap().push(send);
        Ok(Response::new(ReceiverStream::new(receive)))
    }

    type EventsStream = ReceiverStream<Result<pb::EventsResponse, Status>>;

    async fn events(
        &self,
        request: Request<pb::EventsRequest>,
    ) -> Result<Response<Self::EventsStream>, Status> {
        let agent = request.into_inner().agent;
        let (send, receive) = mpsc::channel(64);
        for transition in &self.transitions {
            if agent.is_empty() || transition.key.as_ref().is_some_and(|key| key.session == agent) {
                let event = pb::EventsResponse { transition: Some(transition.clone()), mass_death: None };
                send.try_send(Ok(event)).map_err(|_| Status::internal("full"))?;
            }
        }
        Ok(Response::new(ReceiverStream::new(receive)))
    }

    async fn get_usage(
        &self,
        request: Request<pb::GetUsageRequest>,
    ) -> Result<Response<pb::GetUsageResponse>, Status> {
        *self.asked.lock().unwrap() = Some(request.into_inner());
        Ok(Response::new(pb::GetUsageResponse { sums: self.sums.clone() }))
    }

    async fn list_limits(
        &self,
        _: Request<pb::ListLimitsRequest>,
    ) -> Result<Response<pb::ListLimitsResponse>, Status> {
        Ok(Response::new(pb::ListLimitsResponse { windows: self.windows.clone() }))
    }

    async fn get_status(
        &self,
        _: Request<pb::GetStatusRequest>,
    ) -> Result<Response<pb::GetStatusResponse>, Status> {
        Ok(Response::new(pb::GetStatusResponse {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            store: "memory".to_owned(),
            ..Default::default()
        }))
    }
}

pub fn key(session: &str) -> pb::AgentKey {
    let text = str::to_owned;
    pb::AgentKey {
        tenant_id: text("ada"),
        host: text("box"),
        socket: text("mosaic-fleet"),
        session: text(session),
    }
}

pub fn agent(name: &str, state: pb::State) -> pb::Agent {
    pb::Agent {
        key: Some(key(name)),
        name: name.to_owned(),
        runtime: "claude".to_owned(),
        class: Some("worker".to_owned()),
        managed: true,
        systemd_active: "active".to_owned(),
        systemd_enabled: "enabled".to_owned(),
        pane_alive: Some(true),
        pane_pid: Some(7),
        idle_ms: Some(1000),
        heartbeat: Some(pb::AgentBeat {
            age_ms: Some(4000),
            health: "healthy".to_owned(),
            ..Default::default()
        }),
        state: state as i32,
        since_unix_ms: 1_795_255_200_000,
        reason: "a turn is running".to_owned(),
        tokens_today: Some(pb::Tokens { input: 1200, output: 300, ..Default::default() }),
        link: "live".to_owned(),
        ..Default::default()
    }
}
