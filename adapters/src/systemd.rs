//! systemd. The only place of the project that speaks to it: the user's own manager over D-Bus, and logind for
//! lingering. No process is started and nothing is polled.
//!
//! [`Systemd::connect`] finds the bus; here is what is read, [`control`] has what changes something, [`changes`] the
//! signals, [`linger`] what outlives a logout. Words such as `active` and `enabled` are systemd's own.

mod changes;
mod control;
mod linger;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use fleet_domain::observation::{SystemdPlane, UnitState};
use tokio::sync::OnceCell;
use tokio::time::timeout;
use zbus::Connection;
use zbus::connection::Builder;
use zbus::proxy::CacheProperties;
use zbus_systemd::systemd1::{ManagerProxy, ServiceProxy, UnitProxy};

pub use changes::Changes;
pub use control::Verb;
pub use linger::{LingerError, enable_linger, linger};

/// A bus that is not there yet is started by the connection itself, which takes tens of milliseconds.
const CONNECT_LIMIT: Duration = Duration::from_secs(1);
/// For what is only read: a manager that does not answer within it is as good as absent.
const READ_LIMIT: Duration = Duration::from_secs(5);
/// For a single call: `Reload` reads every unit anew.
const CALL_LIMIT: Duration = Duration::from_secs(60);

const AGENT_PREFIX: &str = "mosaic-agent@";
const SUFFIX: &str = ".service";

#[derive(Debug, thiserror::Error)]
pub enum SystemdError {
    #[error(
        "no systemd user manager answers: neither DBUS_SESSION_BUS_ADDRESS nor XDG_RUNTIME_DIR is set; log in anew, or export XDG_RUNTIME_DIR=/run/user/{uid}"
    )]
    NoAddress { uid: u32 },
    /// Every way that was tried, each with what came of it.
    #[error("no systemd user manager answers ({tried})")]
    NoManager { tried: String },
    /// The manager's private socket is there, which no D-Bus library but its own can use.
    #[error(
        "a systemd user manager runs, but {path} is missing: it has no D-Bus; apt-get install dbus-user-session, then log in anew"
    )]
    NoBus { path: PathBuf },
    #[error("the systemd user manager gave no answer to {what} in {}s", limit.as_secs())]
    NoAnswer { what: String, limit: Duration },
    #[error("systemd knows no unit {unit}; fleet install writes it")]
    NoUnit { unit: String },
    #[error("{unit}: {verb} ended as `{result}`; look at it: systemctl --user status {unit}")]
    Job { unit: String, verb: Verb, result: String },
    #[error("systemd refused {what}: {source}")]
    Call { what: String, source: zbus::Error },
}

/// A unit by systemd's own words.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UnitProperties {
    /// `loaded`, `not-found`, `masked`, `bad-setting` …
    pub load: String,
    pub active: String,
    pub sub: String,
    /// `enabled`, `disabled`, `static` …; `not-found` where there is no file.
    pub file: String,
    pub main_pid: Option<u32>,
    /// `success`, or how the last run failed.
    pub result: String,
}

/// A connection to the user's manager. Clones share it.
#[derive(Debug, Clone)]
pub struct Systemd {
    connection: Connection,
    manager: ManagerProxy<'static>,
    subscribed: Arc<OnceCell<()>>,
}

/// Where a manager may be found.
#[derive(Debug, Clone, Default)]
struct Places {
    session_bus: Option<String>,
    runtime: Option<PathBuf>,
}

impl Places {
    fn from_env() -> Self {
        let var = |name| std::env::var(name).ok().filter(|value| !value.is_empty());
        Self {
            session_bus: var("DBUS_SESSION_BUS_ADDRESS"),
            runtime: var("XDG_RUNTIME_DIR").map(PathBuf::from),
        }
    }
}

/// The plane as a host-wide look wants it: no manager is a reason, not an error.
pub async fn plane(roster: &[impl AsRef<str>]) -> SystemdPlane {
    let units = match Systemd::connect().await {
        Ok(systemd) => systemd.agents(roster).await,
        Err(error) => Err(error),
    };
    match units {
        Ok(units) => SystemdPlane { unavailable: None, units },
        Err(error) => SystemdPlane { unavailable: Some(error.to_string()), units: Vec::new() },
    }
}

impl Systemd {
    /// Finds the user's manager: on the bus that the environment names, else on `$XDG_RUNTIME_DIR/bus`. A bus without
    /// a systemd behind it (`dbus-run-session`) does not count. Runs on the current tokio runtime, with no thread of
    /// its own.
    ///
    /// # Errors
    /// When no manager answers within about a second, with every reason.
    pub async fn connect() -> Result<Self, SystemdError> {
        Self::connect_at(Places::from_env()).await
    }

    async fn connect_at(places: Places) -> Result<Self, SystemdError> {
        let mut tried = Vec::new();
        if let Some(address) = &places.session_bus {
            match timeout(CONNECT_LIMIT, Self::open(Builder::address(address.as_str()))).await {
                Ok(Ok(systemd)) => return Ok(systemd),
                Ok(Err(error)) => tried.push(format!("{address}: {error}")),
                Err(_) => tried.push(format!("{address}: no answer")),
            }
        }
        let Some(runtime) = places.runtime else {
            if tried.is_empty() {
                return Err(SystemdError::NoAddress { uid: nix::unistd::getuid().as_raw() });
            }
            return Err(SystemdError::NoManager { tried: tried.join("; ") });
        };
        let path = runtime.join("bus");
        match timeout(CONNECT_LIMIT, Self::open_path(&path)).await {
            Ok(Ok(systemd)) => return Ok(systemd),
            // The private socket stamps a well-known name where D-Bus wants a unique one: zbus cannot read it.
            Ok(Err(zbus::Error::InputOutput(error)))
                if error.kind() == io::ErrorKind::NotFound && runtime.join("systemd/private").exists() =>
            {
                return Err(SystemdError::NoBus { path });
            }
            Ok(Err(error)) => tried.push(format!("{}: {error}", path.display())),
            Err(_) => tried.push(format!("{}: no answer", path.display())),
        }
        Err(SystemdError::NoManager { tried: tried.join("; ") })
    }

    async fn open_path(path: &std::path::Path) -> zbus::Result<Self> {
        let socket = tokio::net::UnixStream::connect(path).await?.into_std()?;
        Self::open(Builder::unix_stream(socket)).await
    }

    async fn open(builder: Builder<'_>) -> zbus::Result<Self> {
        let connection = builder.method_timeout(CALL_LIMIT).build().await?;
        let manager =
            ManagerProxy::builder(&connection).cache_properties(CacheProperties::No).build().await?;
        manager.version().await?;
        Ok(Self { connection, manager, subscribed: Arc::new(OnceCell::new()) })
    }

    /// Every agent unit that systemd has in memory, and those of the roster that it has not; by name. One listing,
    /// and one question for each unit's file, which the manager answers from memory until its next reload.
    ///
    /// # Errors
    /// When the manager does not answer, or refuses.
    pub async fn agents(&self, roster: &[impl AsRef<str>]) -> Result<Vec<UnitState>, SystemdError> {
        let names: Vec<&str> = roster.iter().map(AsRef::as_ref).collect();
        limited("the list of units", READ_LIMIT, self.list_agents(&names)).await
    }

    async fn list_agents(&self, roster: &[&str]) -> Result<Vec<UnitState>, SystemdError> {
        let pattern = vec![format!("{AGENT_PREFIX}*{SUFFIX}")];
        let listed = self.manager.list_units_by_patterns(Vec::new(), pattern).await;
        let mut found = BTreeMap::new();
        for (unit, _, _, active, _, _, path, ..) in listed.map_err(refused("the list of units"))? {
            let Some(agent) = agent_of(&unit) else { continue };
            let unit = self.unit_at(path).await?;
            let enabled = unit.unit_file_state().await.map(word).unwrap_or_else(|_| "unknown".to_owned());
            found.insert(agent.to_owned(), UnitState { agent: agent.to_owned(), active, enabled });
        }
        for &agent in roster {
            if !found.contains_key(agent) {
                let enabled = self.file_state(&agent_unit(agent)).await?;
                let state = UnitState { agent: agent.to_owned(), active: "inactive".to_owned(), enabled };
                found.insert(agent.to_owned(), state);
            }
        }
        Ok(found.into_values().collect())
    }

    /// What `systemctl is-enabled` would say, read from the files as they are now; `not-found` without a file.
    ///
    /// # Errors
    /// When the manager does not answer, or refuses.
    pub async fn file_state(&self, unit: &str) -> Result<String, SystemdError> {
        match self.manager.get_unit_file_state(unit.to_owned()).await {
            Ok(state) => Ok(word(state)),
            Err(error) if is_absence(&error) => Ok("not-found".to_owned()),
            Err(error) => Err(refused(format!("the state of {unit}"))(error)),
        }
    }

    /// Loads the unit if need be, which [`Self::changes`] reports: not for use in answer to a change.
    ///
    /// # Errors
    /// When the manager does not answer, or refuses.
    pub async fn unit_properties(&self, unit: &str) -> Result<UnitProperties, SystemdError> {
        limited(unit, READ_LIMIT, async {
            self.read_properties(unit).await.map_err(refused(format!("the properties of {unit}")))
        })
        .await
    }

    async fn read_properties(&self, unit: &str) -> zbus::Result<UnitProperties> {
        let path = self.manager.load_unit(unit.to_owned()).await?;
        let service = ServiceProxy::builder(&self.connection).cache_properties(CacheProperties::No);
        let service = service.path(path.clone()).build().await?;
        let unit = UnitProxy::builder(&self.connection)
            .cache_properties(CacheProperties::No)
            .path(path)
            .build()
            .await?;
        Ok(UnitProperties {
            load: unit.load_state().await?,
            active: unit.active_state().await?,
            sub: unit.sub_state().await?,
            file: word(unit.unit_file_state().await?),
            main_pid: Some(service.main_pid().await?).filter(|pid| *pid > 0),
            result: service.result().await?,
        })
    }

    async fn unit_at(&self, path: zbus::OwnedObjectPath) -> Result<UnitProxy<'static>, SystemdError> {
        let unit = UnitProxy::builder(&self.connection).cache_properties(CacheProperties::No).path(path);
        unit.build().await.map_err(refused("a unit"))
    }
}

/// The unit of an agent.
pub fn agent_unit(agent: &str) -> String {
    format!("{AGENT_PREFIX}{agent}{SUFFIX}")
}

fn agent_of(unit: &str) -> Option<&str> {
    unit.strip_prefix(AGENT_PREFIX)?.strip_suffix(SUFFIX).filter(|agent| !agent.is_empty())
}

/// A unit without a file has no word for it.
fn word(state: String) -> String {
    if state.is_empty() { "not-found".to_owned() } else { state }
}

async fn limited<T>(
    what: &str,
    limit: Duration,
    work: impl Future<Output = Result<T, SystemdError>>,
) -> Result<T, SystemdError> {
    timeout(limit, work)
        .await
        .unwrap_or_else(|_| Err(SystemdError::NoAnswer { what: what.to_owned(), limit }))
}

fn refused(what: impl Into<String>) -> impl FnOnce(zbus::Error) -> SystemdError {
    let what = what.into();
    move |source| match source {
        zbus::Error::InputOutput(error) if error.kind() == io::ErrorKind::TimedOut => {
            SystemdError::NoAnswer { what, limit: CALL_LIMIT }
        }
        source => SystemdError::Call { what, source },
    }
}

/// systemd has two answers for a unit that is not there.
fn is_absence(error: &zbus::Error) -> bool {
    match error {
        zbus::Error::FDO(error) => matches!(**error, zbus::fdo::Error::FileNotFound(_)),
        zbus::Error::MethodError(name, ..) => name.as_str() == "org.freedesktop.systemd1.NoSuchUnit",
        _ => false,
    }
}
