//! What the collector is told: flags, then the environment, then defaults. Every mistake is found before any is told.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};

use clap::{Parser, Subcommand};
use fleet_domain::readiness::Thresholds;
use fleet_framework::Home;
use fleet_framework::home::{DEFAULT_HTTP, NoHome, idle_threshold};
use tracing::level_filters::LevelFilter;

use crate::budget::Files;
use crate::endpoint::MAX_SOCKET_PATH;

/// Takes the reports of a host's sidecars, keeps the register, answers `fleet`, exports metrics.
#[derive(Debug, Parser)]
#[command(name = "fleet-collector", version, max_term_width = 100)]
#[command(
    after_help = "Environment: MOSAIC_HOME, XDG_RUNTIME_DIR and XDG_STATE_HOME say where socket and store are; \
                        MOSAIC_HEARTBEAT_IDLE_THRESHOLD (seconds, default 300) says how long a quiet pane still counts as working."
)]
pub struct Args {
    /// The socket that sidecars and `fleet` connect to [default: $XDG_RUNTIME_DIR/mosaic/collector.sock]
    #[arg(long, value_name = "PATH", env = "FLEET_COLLECTOR_SOCKET", hide_env_values = true)]
    pub socket: Option<PathBuf>,
    /// Where /metrics is served, on loopback; `off` serves nothing [default: 127.0.0.1:9464, if no other user's
    /// collector has it]
    #[arg(long, value_name = "ADDR", env = "FLEET_COLLECTOR_HTTP", hide_env_values = true)]
    pub http: Option<String>,
    /// Where OpenTelemetry logs of Claude Code and Codex are taken in (gRPC and HTTP), on loopback, such as
    /// 127.0.0.1:4318 [default: nowhere]
    #[arg(long, value_name = "ADDR", env = "FLEET_COLLECTOR_OTLP", hide_env_values = true)]
    pub otlp: Option<String>,
    /// The register's file [default: $XDG_STATE_HOME/mosaic/register.sqlite3]
    #[arg(long, value_name = "PATH", env = "FLEET_COLLECTOR_STORE", hide_env_values = true)]
    pub store: Option<PathBuf>,
    /// What is logged to stderr: error, warn, info, debug, trace or off
    #[arg(long, value_name = "LEVEL", env = "FLEET_LOG", hide_env_values = true, default_value = "info")]
    pub log: String,
    #[command(subcommand)]
    pub command: Option<Command>,
}

#[derive(Debug, Clone, Subcommand)]
pub enum Command {
    /// Print every metric that /metrics can have, and end
    Metrics {
        /// As a JSON array of name, type, unit, help, labels and their closed lists of values
        #[arg(long)]
        json: bool,
    },
}

#[derive(Debug, Clone)]
pub struct Config {
    pub socket: PathBuf,
    /// `None` is off.
    pub http: Option<SocketAddr>,
    /// It was asked for by name: without it the collector does not start.
    pub http_required: bool,
    /// Where telemetry is taken in; `None` is nowhere.
    pub otlp: Option<SocketAddr>,
    pub store: PathBuf,
    /// The user's budget, prices and pause switch.
    pub files: Files,
    pub log: LevelFilter,
    pub thresholds: Thresholds,
    /// Worth a line in the log, not worth an end.
    pub warnings: Vec<String>,
}

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Mistake {
    #[error("--http {given}: not an address such as {DEFAULT_HTTP}; `off` serves nothing")]
    HttpAddress { given: String },
    #[error(
        "--http {given}: not a loopback address, and without TLS the page would be open to the network; use {}:{}, and let Prometheus or a proxy with TLS run on this host",
        Ipv4Addr::LOCALHOST,
        .given.port()
    )]
    HttpNotLoopback { given: SocketAddr },
    #[error(
        "--otlp {given}: not a loopback address such as 127.0.0.1:4318; anybody who reaches it can tell of usage"
    )]
    Otlp { given: String },
    #[error("--log {given}: not one of error, warn, info, debug, trace, off")]
    LogLevel { given: String },
    #[error("{0}; or give --socket and --store")]
    NoHome(String),
    #[error(
        "--socket {path}: {length} bytes, and the kernel takes {MAX_SOCKET_PATH} at most; give a shorter path"
    )]
    SocketTooLong { path: PathBuf, length: usize },
    #[error("{what} is empty; give a path")]
    EmptyPath { what: &'static str },
}

impl Mistake {
    /// The same rules hold for both addresses.
    fn otlp(self) -> Self {
        match self {
            Self::HttpAddress { given } => Self::Otlp { given },
            Self::HttpNotLoopback { given } => Self::Otlp { given: given.to_string() },
            other => other,
        }
    }
}

/// All of them, a line each.
#[derive(Debug, PartialEq, Eq)]
pub struct Mistakes(pub Vec<Mistake>);

impl Mistakes {
    fn keep<T>(&mut self, result: Result<T, Mistake>) -> Option<T> {
        result.map_err(|mistake| self.0.push(mistake)).ok()
    }
}

impl std::error::Error for Mistakes {}

impl fmt::Display for Mistakes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let lines: Vec<String> = self.0.iter().map(ToString::to_string).collect();
        f.write_str(&lines.join("\n"))
    }
}

impl Config {
    pub fn of(args: &Args, home: Result<Home, NoHome>) -> Result<Self, Mistakes> {
        let mut mistakes = Mistakes(Vec::new());
        let otlp = mistakes.keep(http(args.otlp.as_deref().unwrap_or("off")).map_err(Mistake::otlp));
        let http = mistakes.keep(http(args.http.as_deref().unwrap_or(DEFAULT_HTTP)));
        let log = args.log.parse().map_err(|_| Mistake::LogLevel { given: args.log.clone() });
        let log = mistakes.keep(log);
        let home = match (home, &args.socket, &args.store) {
            (Err(_), Some(_), Some(_)) => None,
            (home, ..) => mistakes.keep(home.map_err(|error| Mistake::NoHome(error.to_string()))),
        };
        let path = |given: &Option<PathBuf>, default: fn(&Home) -> PathBuf| {
            given.clone().or_else(|| home.as_ref().map(default)).unwrap_or_default()
        };
        let socket = path(&args.socket, Home::collector_socket);
        let store = path(&args.store, Home::store);
        mistakes.0.extend(socket_mistake(&socket, args.socket.is_some()));
        if args.store.as_ref().is_some_and(|store| store.as_os_str().is_empty()) {
            mistakes.0.push(Mistake::EmptyPath { what: "--store" });
        }
        let (Some(http), Some(otlp), Some(log), true) = (http, otlp, log, mistakes.0.is_empty()) else {
            return Err(mistakes);
        };
        let (activity, warning) = idle_threshold(Thresholds::default().activity);
        let thresholds = Thresholds { activity, ..Thresholds::default() };
        Ok(Self {
            socket,
            http,
            http_required: args.http.is_some(),
            otlp,
            store,
            files: Files {
                budget: home.as_ref().map(Home::budget),
                prices: home.as_ref().map(Home::prices),
                pause: home.as_ref().map(Home::pause),
            },
            log,
            thresholds,
            warnings: warning.into_iter().collect(),
        })
    }
}

fn http(given: &str) -> Result<Option<SocketAddr>, Mistake> {
    if given == "off" {
        return Ok(None);
    }
    let named = given.strip_prefix("localhost:").and_then(|port| port.parse().ok());
    let address = named.map(|port| SocketAddr::from((IpAddr::from(Ipv4Addr::LOCALHOST), port)));
    let address = address.or_else(|| given.parse().ok());
    match address {
        Some(address) if address.ip().is_loopback() => Ok(Some(address)),
        Some(given) => Err(Mistake::HttpNotLoopback { given }),
        None => Err(Mistake::HttpAddress { given: given.to_owned() }),
    }
}

fn socket_mistake(path: &Path, given: bool) -> Option<Mistake> {
    let length = path.as_os_str().len();
    if length > MAX_SOCKET_PATH {
        return Some(Mistake::SocketTooLong { path: path.to_owned(), length });
    }
    (given && length == 0).then_some(Mistake::EmptyPath { what: "--socket" })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn home() -> Result<Home, NoHome> {
        Home::from_vars(|name| (name == "HOME").then(|| PathBuf::from("/h")))
    }

    fn config(args: &[&str], home: Result<Home, NoHome>) -> Result<Config, Mistakes> {
        let args =
            Args::try_parse_from(std::iter::once("fleet-collector").chain(args.iter().copied())).unwrap();
        Config::of(&args, home)
    }

    #[test]
    fn defaults_are_the_homes() {
        let config = config(&[], home()).unwrap();
        assert_eq!(config.socket, Path::new("/h/.local/state/mosaic/run/collector.sock"));
        assert_eq!(config.store, Path::new("/h/.local/state/mosaic/register.sqlite3"));
        assert_eq!(config.http.unwrap().to_string(), DEFAULT_HTTP);
    }

    #[test]
    fn what_is_given_wins_and_off_is_off() {
        let given =
            config(&["--http", "off", "--socket", "/s", "--store", "/db", "--log", "debug"], Err(NoHome))
                .unwrap();
        assert_eq!(
            (given.http, given.socket.as_path(), given.log),
            (None, Path::new("/s"), LevelFilter::DEBUG)
        );
        for (text, address) in
            [("localhost:0", "127.0.0.1:0"), ("[::1]:9", "[::1]:9"), ("127.1.2.3:4", "127.1.2.3:4")]
        {
            assert_eq!(config(&["--http", text], home()).unwrap().http.unwrap().to_string(), address);
        }
    }

    #[test]
    fn every_mistake_is_told_at_once_with_its_remedy() {
        let long = format!("/{}", "x".repeat(120));
        let args = ["--http", "0.0.0.0:9464", "--log", "loud", "--socket", long.as_str()];
        let told = config(&args, Err(NoHome)).unwrap_err().to_string();
        let lines: Vec<&str> = told.lines().collect();
        assert_eq!(lines.len(), 4, "{told}");
        assert!(lines[0].contains("without TLS") && lines[0].contains("127.0.0.1:9464"), "{told}");
        assert!(
            lines[1].contains("--log loud") && lines[2].contains("set HOME") && lines[3].contains("shorter"),
            "{told}"
        );
        let told = config(&["--otlp", "0.0.0.0:4318"], home()).unwrap_err().to_string();
        assert!(told.starts_with("--otlp 0.0.0.0:4318: not a loopback address"), "{told}");
        assert!(
            config(&["--http", "nonsense"], home()).unwrap_err().to_string().contains("`off` serves nothing")
        );
    }
}
