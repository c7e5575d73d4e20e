//! What changes something: jobs on units, enabling and disabling them, reading the unit files anew.

use std::fmt;
use std::pin::Pin;
use std::time::Duration;

use zbus::OwnedObjectPath;
use zbus::export::futures_core::Stream;

use super::{Systemd, SystemdError, is_absence, limited, refused};

/// Longer than the units themselves may take to start or stop.
const JOB_LIMIT: Duration = Duration::from_secs(120);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verb {
    Start,
    Stop,
    Restart,
    Reload,
}

impl fmt::Display for Verb {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Start => "start",
            Self::Stop => "stop",
            Self::Restart => "restart",
            Self::Reload => "reload",
        })
    }
}

impl Systemd {
    /// Returns when the unit is up; one that is up already is a success.
    ///
    /// # Errors
    /// When systemd knows no such unit, or the job ended in any other way than `done`.
    pub async fn start(&self, unit: &str) -> Result<(), SystemdError> {
        self.job(Verb::Start, unit).await
    }

    /// Returns when the unit is down; one that is not up is a success.
    ///
    /// # Errors
    /// As [`Self::start`].
    pub async fn stop(&self, unit: &str) -> Result<(), SystemdError> {
        self.job(Verb::Stop, unit).await
    }

    /// Returns when the unit is up again.
    ///
    /// # Errors
    /// As [`Self::start`].
    pub async fn restart(&self, unit: &str) -> Result<(), SystemdError> {
        self.job(Verb::Restart, unit).await
    }

    /// Returns when what the unit reloads is done; the unit, and what depends on it, goes on meanwhile.
    ///
    /// # Errors
    /// As [`Self::start`]; also when the unit is not up.
    pub async fn reload(&self, unit: &str) -> Result<(), SystemdError> {
        self.job(Verb::Reload, unit).await
    }

    async fn job(&self, verb: Verb, unit: &str) -> Result<(), SystemdError> {
        let what = format!("the {verb} of {unit}");
        self.subscribe().await?;
        // Listening begins before the call: a quick job is over before its answer is read.
        let mut removed = self.manager.receive_job_removed().await.map_err(refused(&what))?;
        let (name, mode) = (unit.to_owned(), "replace".to_owned());
        let called = match verb {
            Verb::Start => self.manager.start_unit(name, mode).await,
            Verb::Stop => self.manager.stop_unit(name, mode).await,
            Verb::Restart => self.manager.restart_unit(name, mode).await,
            Verb::Reload => self.manager.reload_unit(name, mode).await,
        };
        let job: OwnedObjectPath = match called {
            Ok(job) => job,
            Err(error) if is_absence(&error) && verb == Verb::Stop => return Ok(()),
            Err(error) if is_absence(&error) => return Err(SystemdError::NoUnit { unit: unit.to_owned() }),
            Err(error) => return Err(refused(what)(error)),
        };
        let result = limited(&what, JOB_LIMIT, async {
            while let Some(signal) = next(&mut removed).await {
                let args = signal.args().map_err(refused(&what))?;
                if args.job == job {
                    return Ok(args.result);
                }
            }
            Err(SystemdError::NoManager { tried: "the connection ended".to_owned() })
        })
        .await?;
        match result.as_str() {
            "done" => Ok(()),
            _ => Err(SystemdError::Job { unit: unit.to_owned(), verb, result }),
        }
    }

    /// For every boot, not only for this one.
    ///
    /// # Errors
    /// When systemd knows no such unit, or refuses (a masked one, an unwritable directory).
    pub async fn enable(&self, units: &[impl AsRef<str>]) -> Result<(), SystemdError> {
        let (names, shown) = named(units);
        match self.manager.enable_unit_files(names, false, false).await {
            Ok(_) => self.daemon_reload().await,
            Err(error) if is_absence(&error) => Err(SystemdError::NoUnit { unit: shown }),
            Err(error) => Err(refused(format!("to enable {shown}"))(error)),
        }
    }

    /// So that a unit does not come back at the next boot. One that was not enabled is a success.
    ///
    /// # Errors
    /// When systemd refuses.
    pub async fn disable(&self, units: &[impl AsRef<str>]) -> Result<(), SystemdError> {
        let (names, shown) = named(units);
        match self.manager.disable_unit_files(names, false).await {
            Ok(_) => self.daemon_reload().await,
            Err(error) if is_absence(&error) => Ok(()),
            Err(error) => Err(refused(format!("to disable {shown}"))(error)),
        }
    }

    /// Reads every unit file anew; returns when that is done.
    ///
    /// # Errors
    /// When systemd refuses.
    pub async fn daemon_reload(&self) -> Result<(), SystemdError> {
        self.manager.reload().await.map_err(refused("to read its units anew"))
    }

    /// Without it a manager that nobody else watches sends no signals at all. A second call is an error there, so
    /// that it is made once a connection.
    pub(super) async fn subscribe(&self) -> Result<(), SystemdError> {
        let subscribe =
            || async { self.manager.subscribe().await.map_err(refused("a subscription to its signals")) };
        self.subscribed.get_or_try_init(subscribe).await.map(|_| ())
    }
}

fn named(units: &[impl AsRef<str>]) -> (Vec<String>, String) {
    let names: Vec<String> = units.iter().map(|unit| unit.as_ref().to_owned()).collect();
    let shown = names.join(", ");
    (names, shown)
}

pub(super) async fn next<S: Stream + Unpin>(stream: &mut S) -> Option<S::Item> {
    std::future::poll_fn(|context| Pin::new(&mut *stream).poll_next(context)).await
}
