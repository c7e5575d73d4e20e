//! `fleet status`: what keeps the fleet running, and whether all of it is up.

use fleet_adapters::systemd::{self, Systemd, SystemdError};
use fleet_adapters::tmux::{Life, Server};
use fleet_domain::observation::UnitState;
use fleet_framework::units::{COLLECTOR, HOLDER, HOST_SIDECAR};
use serde::Serialize;

use crate::error::{Code, Failure, Outcome};
use crate::lifecycle::Site;
use crate::output;
use crate::render::item::API_VERSION;
use crate::render::words::safe;

const EXAMPLES: &str = "\
Examples:
  fleet status          services, agents, and whether they come back after a boot
  fleet status --json   for a script; the exit code is 3 while something is down";

/// Show whether the fleet's services and agents are up; exit 3 while something is down
#[derive(Debug, clap::Args)]
#[command(before_help = EXAMPLES)]
pub struct Args {
    /// One JSON object
    #[arg(long)]
    pub json: bool,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Status {
    api_version: &'static str,
    kind: &'static str,
    version: &'static str,
    /// `systemd`, or `none` with the reason.
    manager: &'static str,
    manager_unavailable: Option<String>,
    /// Whether the services outlive the user's logout; `null` is unknown.
    lingering: Option<bool>,
    socket: String,
    services: Vec<Service>,
    agents: Vec<Service>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Service {
    name: String,
    /// systemd's own words; `unknown` without one.
    active: String,
    enabled: String,
    /// Its session on the fleet's tmux server lives, or without systemd the collector answers; `null` for what has none.
    session: Option<bool>,
}

impl Service {
    fn is_up(&self) -> bool {
        self.session.unwrap_or(true) && matches!(self.active.as_str(), "active" | "unknown")
    }
}

pub async fn run(args: &Args) -> Outcome {
    let site = Site::load()?;
    let status = look(&site).await;
    let up = status.services.iter().chain(&status.agents).all(Service::is_up);
    if args.json {
        output::json(&status, true)?;
    } else {
        output::data(&text(&status))?;
        if !up {
            output::note(next(&status));
        }
    }
    if up { Ok(()) } else { Err(Failure::silent(Code::NotSo)) }
}

fn next(status: &Status) -> &'static str {
    let installed = |service: &Service| service.enabled != "not-found";
    match status.manager {
        "systemd" if status.services.iter().all(installed) => {
            "up again: fleet up, or fleet start AGENT; why one is down: fleet explain AGENT"
        }
        "systemd" => "no fleet is installed: fleet install",
        _ => "without systemd this keeps the fleet up, in the foreground: fleet up",
    }
}

async fn look(site: &Site) -> Status {
    let (manager, why) = match Systemd::connect().await {
        Ok(systemd) => (Some(systemd), None),
        Err(error) => (None, Some(error.to_string())),
    };
    let names: Vec<&str> = site.agents().map(|agent| agent.name.as_str()).collect();
    let units = match &manager {
        Some(systemd) => systemd.agents(&names).await.unwrap_or_default(),
        None => Vec::new(),
    };
    let mut services = Vec::new();
    for (name, unit) in [("collector", COLLECTOR), ("sidecar", HOST_SIDECAR), ("holder", HOLDER)] {
        services.push(service(site, manager.as_ref(), name, unit).await);
    }
    let mut agents = Vec::new();
    for agent in site.agents() {
        let unit = units.iter().find(|unit| unit.agent == agent.name.as_str());
        let server = Server::new(site.roster.socket_of(agent));
        agents.push(Service {
            name: agent.name.to_string(),
            active: word(unit, |unit| &unit.active),
            enabled: word(unit, |unit| &unit.enabled),
            session: Some(lives(&server, agent.name.as_str()).await),
        });
    }
    Status {
        api_version: API_VERSION,
        kind: "FleetStatus",
        version: env!("CARGO_PKG_VERSION"),
        manager: if manager.is_some() { "systemd" } else { "none" },
        manager_unavailable: why,
        lingering: systemd::linger().ok(),
        socket: site.roster.tmux.socket_name.shown().to_owned(),
        services,
        agents,
    }
}

fn word(unit: Option<&UnitState>, of: impl Fn(&UnitState) -> &String) -> String {
    unit.map_or_else(|| "unknown".to_owned(), |unit| of(unit).clone())
}

async fn lives(server: &Server, session: &str) -> bool {
    matches!(server.life(session).await, Ok(Some(Life::Runs)))
}

async fn service(site: &Site, manager: Option<&Systemd>, name: &str, unit: &str) -> Service {
    let unknown = || "unknown".to_owned();
    let (active, enabled) = match manager {
        None => (unknown(), unknown()),
        Some(systemd) => match systemd.unit_properties(unit).await {
            Ok(unit) => (unit.active, unit.file),
            Err(SystemdError::NoUnit { .. }) => ("inactive".to_owned(), "not-found".to_owned()),
            Err(_) => (unknown(), unknown()),
        },
    };
    let session = match unit {
        HOLDER => {
            let server = Server::new(site.roster.tmux.socket_name.clone());
            Some(lives(&server, &site.roster.tmux.holder_session).await)
        }
        COLLECTOR if manager.is_none() => {
            Some(tokio::net::UnixStream::connect(site.home.collector_socket()).await.is_ok())
        }
        _ => None,
    };
    Service { name: name.to_owned(), active, enabled, session }
}

fn text(status: &Status) -> String {
    let mut out = String::new();
    let mut line = |name: &str, says: String| out.push_str(&format!("{name:<12}{says}\n"));
    let manager = match (&status.manager_unavailable, status.lingering) {
        (Some(why), _) => format!("none: {}", safe(why)),
        (None, Some(true)) => "systemd; lingering, so that the fleet outlives your logout".to_owned(),
        (None, Some(false)) => {
            "systemd; not lingering: the fleet ends with your logout (loginctl enable-linger)".to_owned()
        }
        (None, None) => "systemd; whether it lingers is unknown".to_owned(),
    };
    line("manager", manager);
    for service in &status.services {
        let socket = if service.name == "holder" {
            format!(", socket {}", safe(&status.socket))
        } else {
            String::new()
        };
        line(&service.name, format!("{}{socket}", words(service)));
    }
    let up = status.agents.iter().filter(|agent| agent.is_up()).count();
    line("agents", format!("{up} of {} up", status.agents.len()));
    for agent in status.agents.iter().filter(|agent| !agent.is_up() || agent.enabled == "disabled") {
        line("", format!("{}: {}", agent.name, words(agent)));
    }
    out
}

fn words(service: &Service) -> String {
    let session = match (service.session, service.name.as_str()) {
        (Some(true), "collector") => ", it answers",
        (Some(false), "collector") => ", it does not answer",
        (Some(true), _) => ", its session lives",
        (Some(false), _) => ", it has no living session",
        (None, _) => "",
    };
    match service.active.as_str() {
        "unknown" if session.is_empty() => "unknown".to_owned(),
        "unknown" => session.trim_start_matches(", ").to_owned(),
        active => format!("{active}, {}{session}", service.enabled),
    }
}
