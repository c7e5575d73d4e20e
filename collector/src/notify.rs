//! What systemd is told: ready, alive while the hub answers, stopping. Elsewhere all of it does nothing.

use std::time::Duration;

use sd_notify::NotifyState;

use crate::hub::HubHandle;

pub fn ready() {
    tell(&[NotifyState::Ready]);
}

pub fn stopping() {
    tell(&[NotifyState::Stopping]);
}

fn tell(state: &[NotifyState<'_>]) {
    if let Err(error) = sd_notify::notify(state) {
        tracing::warn!("systemd was not told: {error}");
    }
}

/// Tells the watchdog that we live, and says nothing while the hub does not answer: a collector that cannot answer is
/// to be started anew. Ends with the hub.
pub async fn watchdog(hub: HubHandle) {
    let Some(limit) = sd_notify::watchdog_enabled() else { return };
    let mut beat = tokio::time::interval((limit / 2).max(Duration::from_millis(1)));
    loop {
        beat.tick().await;
        match tokio::time::timeout(limit / 4, hub.ping()).await {
            Ok(Ok(())) => tell(&[NotifyState::Watchdog]),
            Ok(Err(_)) => return,
            Err(_) => tracing::error!("the register does not answer; the watchdog is not fed"),
        }
    }
}
