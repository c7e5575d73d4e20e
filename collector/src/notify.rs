//! What systemd is told: ready, alive while the hub answers, stopping. Elsewhere all of it does nothing.

use std::time::Duration;

use sd_notify::NotifyState;
use tokio::time::timeout;

use crate::hub::HubHandle;

const PATIENCE: Duration = Duration::from_secs(1);

pub async fn ready() {
    tell(NotifyState::Ready).await;
}

pub async fn stopping() {
    tell(NotifyState::Stopping).await;
}

/// On a thread of its own: where systemd does not read, the sending waits, and nothing else may wait with it.
async fn tell(state: NotifyState<'static>) {
    let sending = tokio::task::spawn_blocking(move || sd_notify::notify(&[state]));
    match timeout(PATIENCE, sending).await {
        Ok(Ok(Ok(()))) => {}
        Ok(Ok(Err(error))) => tracing::warn!("systemd was not told: {error}"),
        Ok(Err(_)) | Err(_) => tracing::warn!("systemd does not listen"),
    }
}

/// Tells the watchdog that we live, and says nothing while the hub does not answer: a collector that cannot answer is
/// to be started anew. Ends with the hub.
pub async fn watchdog(hub: HubHandle) {
    let Some(limit) = sd_notify::watchdog_enabled() else { return };
    let mut beat = tokio::time::interval((limit / 2).max(Duration::from_millis(1)));
    loop {
        beat.tick().await;
        match timeout(limit / 4, hub.ping()).await {
            Ok(Ok(())) => tell(NotifyState::Watchdog).await,
            Ok(Err(_)) => return,
            Err(_) => tracing::error!("the register does not answer; the watchdog is not fed"),
        }
    }
}
