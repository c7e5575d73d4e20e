//! What a sidecar is told: flags over environment over defaults, every mistake at once.

use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, bail};
use clap::Parser;
use fleet_adapters::{host, identity};
use fleet_domain::observation::Vantage;
use fleet_domain::recovery::Policy;
use fleet_domain::{AgentName, HostId, SocketName, TenantId};
use fleet_framework::home::{self, Home};

/// Watches agents: writes their heartbeats, reads their token usage, reports both to a collector.
#[derive(Debug, Parser)]
#[command(
    version,
    about,
    subcommand_negates_reqs = true,
    args_conflicts_with_subcommands = true,
    after_help = "Examples:\n  fleet-sidecar --host                   every agent of the roster on this host\n  fleet-sidecar --host --adopt           and every agent in this user's other tmux servers\n  fleet-sidecar --agent coder0           one agent, beside it"
)]
pub struct Options {
    #[command(subcommand)]
    pub command: Option<Command>,
    /// Watch all agents of this host and its planes: roster, systemd, every session of the sockets.
    #[arg(long, conflicts_with = "agent", required_unless_present = "agent")]
    pub host: bool,
    /// Watch this one agent of the roster.
    #[arg(long, value_name = "NAME")]
    pub agent: Option<String>,
    /// Also adopt, read-only, the agents in this user's other tmux servers.
    #[arg(long, requires = "host")]
    pub adopt: bool,
    /// Also adopt those in the default tmux server.
    #[arg(long, requires = "host")]
    pub adopt_default: bool,
    /// Also adopt those on this socket (a name as after `tmux -L`, or an absolute path); may be repeated.
    #[arg(long, value_name = "SOCKET", requires = "host")]
    pub socket: Vec<String>,
    /// Do not start agents again that ended although systemd keeps them.
    #[arg(long, requires = "host", env = "FLEET_NO_RECOVERY", value_parser = clap::builder::FalseyValueParser::new())]
    pub no_recovery: bool,
    /// Ask Claude Code and Codex for their accounts' limits, each account at most every 15 minutes: a process of the
    /// runtime's own is started for it, with its login.
    #[arg(long, requires = "host", env = "FLEET_ASK_LIMITS", value_parser = clap::builder::FalseyValueParser::new())]
    pub ask_limits: bool,
    /// Roster to use instead of $MOSAIC_HOME/fleet/roster.yaml.
    #[arg(long, value_name = "FILE")]
    pub roster: Option<PathBuf>,
    /// Collector to report to.
    #[arg(long, value_name = "URL", env = "FLEET_COLLECTOR")]
    pub collector: Option<String>,
    /// error, warn, info, debug or trace.
    #[arg(long, value_name = "LEVEL", default_value = "info")]
    pub log: tracing::Level,
}

// Each is described to the parser when it is asked for: what a parser takes at the start, a heap keeps.
#[derive(Debug, clap::Subcommand)]
#[command(defer = true)]
pub enum Command {
    /// Hand a runtime's hook event on to the sidecars; exits 0 whatever happens.
    Hook(crate::hook::Options),
    /// Hand on what Claude Code tells its statusline of the account's limits, then run the user's own statusline.
    Statusline(crate::statusline::Options),
    /// Pass standard input on, and hand on what stream-json tells of the account's limits.
    Tee(crate::tee::Options),
}

/// The same, resolved.
#[derive(Debug, Clone)]
pub struct Config {
    pub tenant: TenantId,
    pub host: HostId,
    pub vantage: Vantage,
    pub agent: Option<AgentName>,
    pub adopt: bool,
    pub adopt_default: bool,
    pub ask_limits: bool,
    pub sockets: Vec<SocketName>,
    pub home: Home,
    pub roster: PathBuf,
    pub collector: PathBuf,
    pub interval: Duration,
    /// How long nothing may come of a task.
    pub progress: Duration,
    /// How agents that ended are started again; `None`: not at all.
    pub recovery: Option<Policy>,
    /// Said once the log is open.
    pub warnings: Vec<String>,
}

impl Config {
    pub fn resolve(options: &Options) -> anyhow::Result<Self> {
        let home = Home::from_env()?;
        let agent = options.agent.as_deref().map(AgentName::parse).transpose().context("--agent")?;
        let collector = match options.collector.as_deref().filter(|url| !url.is_empty()) {
            None => home.collector_socket(),
            Some(url) => match url.strip_prefix("unix://") {
                Some(path) if path.starts_with('/') => PathBuf::from(path),
                _ => bail!("the collector {url:?} is not reachable this way; use unix:///absolute/path"),
            },
        };
        let (interval, warning) = home::heartbeat_interval();
        let (progress, of_progress) = home::progress_threshold();
        let (pause, bad_pause) = home::recovery_pause(Policy::default().pause);
        Ok(Self {
            tenant: identity::tenant(),
            host: identity::host(),
            vantage: if agent.is_some() { Vantage::Agent } else { Vantage::Host },
            agent,
            adopt: options.adopt,
            adopt_default: options.adopt_default,
            ask_limits: options.ask_limits,
            sockets: options.socket.iter().map(SocketName::new).collect(),
            roster: options.roster.clone().unwrap_or_else(|| home.roster()),
            home,
            collector,
            recovery: (!options.no_recovery).then_some(Policy { pause, ..Policy::default() }),
            interval,
            progress,
            warnings: warning.into_iter().chain(of_progress).chain(bad_pause).collect(),
        })
    }

    /// The sockets beside the roster's, as they are at this moment.
    pub fn extra_sockets(&self) -> Vec<SocketName> {
        let mut sockets = self.sockets.clone();
        if self.adopt {
            sockets.extend(host::own_sockets(self.adopt_default));
        } else if self.adopt_default {
            sockets.push(SocketName::default_server());
        }
        sockets
    }

    /// While this file is locked, the agent has a sidecar of its own.
    pub fn presence(&self, agent: &str) -> PathBuf {
        self.home.runtime.join(format!("sidecar-{agent}.lock"))
    }
}
