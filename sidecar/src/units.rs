//! systemd's plane: asked once, then again when systemd says that something changed.

use std::time::Duration;

use fleet_adapters::systemd::Systemd;
use fleet_domain::observation::SystemdPlane;
use tokio::sync::{mpsc, watch};

/// How soon a missing bus is looked for again.
const RETRY: Duration = Duration::from_secs(30);

/// Follows the units of the roster's agents. `names` is the roster as it is now.
pub(crate) fn follow(names: watch::Receiver<Vec<String>>) -> mpsc::Receiver<SystemdPlane> {
    let (planes, receiver) = mpsc::channel(1);
    tokio::spawn(run(names, planes));
    receiver
}

async fn run(mut names: watch::Receiver<Vec<String>>, planes: mpsc::Sender<SystemdPlane>) {
    loop {
        let why = match session(&mut names, &planes).await {
            Ok(()) => return,
            Err(error) => error,
        };
        let plane = SystemdPlane { unavailable: Some(why), units: Vec::new() };
        if planes.send(plane).await.is_err() {
            return;
        }
        tokio::time::sleep(RETRY).await;
    }
}

/// Ends well only when nobody listens any more.
async fn session(
    names: &mut watch::Receiver<Vec<String>>,
    planes: &mpsc::Sender<SystemdPlane>,
) -> Result<(), String> {
    let systemd = Systemd::connect().await.map_err(|error| error.to_string())?;
    let mut changes = systemd.changes().await.map_err(|error| error.to_string())?;
    loop {
        let roster = names.borrow_and_update().clone();
        let units = systemd.agents(&roster).await.map_err(|error| error.to_string())?;
        if planes.send(SystemdPlane { unavailable: None, units }).await.is_err() {
            return Ok(());
        }
        tokio::select! {
            changed = changes.recv() => changed.ok_or("the user's systemd went away")?,
            renamed = names.changed() => if renamed.is_err() { return Ok(()) },
        }
    }
}
