//! Lingering: whether the user's units run from boot to shutdown, or only while the user is logged in.

use std::path::Path;
use std::time::Duration;

use tokio::time::timeout;
use zbus::connection::Builder;

/// logind keeps a file of the user's name here.
const LINGERING: &str = "/var/lib/systemd/linger";
/// polkit may ask somebody.
const LIMIT: Duration = Duration::from_secs(10);

#[derive(Debug, thiserror::Error)]
pub enum LingerError {
    #[error("user {uid} has no name in the user database, so that nobody can tell whether it lingers")]
    NoName { uid: u32 },
    /// As in most containers: there, units live as long as the manager that somebody started.
    #[error("no logind answers ({why}), so that units run only while the user manager does")]
    NoLogind { why: String },
    #[error("logind refused lingering ({why}); sudo loginctl enable-linger {user}")]
    Refused { user: String, why: String },
}

/// Whether the user's manager is started at boot and outlives the last logout.
///
/// # Errors
/// When the user has no name.
pub fn linger() -> Result<bool, LingerError> {
    Ok(Path::new(LINGERING).join(user()?).exists())
}

/// # Errors
/// Where there is no logind, or where it refuses; neither keeps units from running now.
pub async fn enable_linger() -> Result<(), LingerError> {
    let user = user()?;
    let absent = |why: String| LingerError::NoLogind { why };
    let system = timeout(LIMIT, Builder::system().method_timeout(LIMIT).build()).await;
    let system = system
        .map_err(|_| absent("the system bus gave no answer".to_owned()))?
        .map_err(|error| absent(error.to_string()))?;
    let (login, path, interface) =
        ("org.freedesktop.login1", "/org/freedesktop/login1", "org.freedesktop.login1.Manager");
    // The third: whether a person may be asked for a password.
    let ourselves = (nix::unistd::getuid().as_raw(), true, false);
    match system.call_method(Some(login), path, Some(interface), "SetUserLinger", &ourselves).await {
        Ok(_) => Ok(()),
        Err(zbus::Error::FDO(error))
            if matches!(
                *error,
                zbus::fdo::Error::ServiceUnknown(_) | zbus::fdo::Error::NameHasNoOwner(_)
            ) =>
        {
            Err(absent(error.to_string()))
        }
        Err(error) => Err(LingerError::Refused { user, why: error.to_string() }),
    }
}

fn user() -> Result<String, LingerError> {
    let uid = nix::unistd::getuid();
    let user = nix::unistd::User::from_uid(uid).ok().flatten();
    user.map(|user| user.name).ok_or(LingerError::NoName { uid: uid.as_raw() })
}
