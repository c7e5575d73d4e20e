//! Config → build → run → drain.

use std::time::Duration;

use anyhow::Context;
use tokio::signal::unix::{SignalKind, signal};

use crate::config::{Config, Options};
use crate::log;
use crate::notify::{NotifyState, tell};
use crate::uplink::Uplink;
use crate::watcher::Watcher;

/// How long a drain may take.
const DRAIN: Duration = Duration::from_secs(2);

pub fn run(options: &Options) -> anyhow::Result<()> {
    log::open(options.log);
    let config = Config::resolve(options)?;
    for warning in &config.warnings {
        tracing::warn!("{warning}");
    }
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .max_io_events_per_tick(64)
        .build()
        .context("no event loop")?;
    let result = runtime.block_on(serve(config));
    // A wedged tmux or disk may still hold a blocking thread: it is not waited for.
    runtime.shutdown_timeout(Duration::from_millis(100));
    result
}

async fn serve(config: Config) -> anyhow::Result<()> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let uplink = Uplink::start(&config);
    let mut watcher = Watcher::new(config, uplink)?;
    let watchdog = sd_notify::watchdog_enabled().map(|limit| limit / 2);
    tell(NotifyState::Ready);
    loop {
        tokio::select! {
            _ = terminate.recv() => break,
            _ = interrupt.recv() => break,
            // The watcher itself pets the watchdog: a loop that hangs is restarted.
            () = watcher.turn(watchdog) => {}
        }
    }
    tell(NotifyState::Stopping);
    let _ = tokio::time::timeout(DRAIN, watcher.drain()).await;
    Ok(())
}
