//! The edge to the budget's files: `fleet/budget.yaml` and the prices, read at the start and whenever they change; and
//! the pause switch.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use fleet_domain::budget::config::Config;
use fleet_domain::budget::read::parse;
use fleet_domain::budget::spend::KEEP;
use fleet_domain::yaml::{MAX_BYTES, Problem};
use fleet_domain::{Now, Wall};
use fleet_framework::home::shown;
use jiff::tz::TimeZone;
use tokio::sync::watch;
use tokio::time::{MissedTickBehavior, interval};

use crate::clock::Clock;
use crate::hub::{HubHandle, Input};
use crate::prices::table;
use crate::store::handle::StoreHandle;

/// A changed file is read once it looked the same twice: whoever writes it has then written it whole.
const LOOK_EVERY: Duration = Duration::from_millis(500);
/// In looks.
const READ_AGAIN: u32 = 20;

/// Where the files are; `None` where there is no home.
#[derive(Debug, Clone, Default)]
pub struct Files {
    pub budget: Option<PathBuf>,
    pub prices: Option<PathBuf>,
    pub pause: Option<PathBuf>,
}

impl Files {
    /// While it exists nothing is admitted.
    pub fn paused(&self) -> bool {
        self.pause.as_deref().is_some_and(Path::exists)
    }

    /// What both files say now.
    pub fn read(&self, now: Wall) -> (Input, Input) {
        let path = self.budget.as_deref();
        let read = path.map_or(Ok(None), |path| budget(path, now));
        let path = path.map(shown).unwrap_or_default();
        (Input::BudgetFile { path, read }, Input::Prices(Arc::new(table(self.prices.clone()))))
    }
}

/// A time zone by name; the empty name is UTC.
pub fn zone(name: &str) -> Option<TimeZone> {
    if name.is_empty() { Some(TimeZone::UTC) } else { TimeZone::get(name).ok() }
}

/// A budget, and the text that says it.
#[derive(Debug, Clone, PartialEq)]
pub struct Written {
    pub config: Config,
    pub text: String,
}

impl Written {
    /// As it reads at `now`.
    ///
    /// # Errors
    /// Every mistake in it.
    pub fn of(text: String, now: Wall) -> Result<Self, Vec<Problem>> {
        let config = parse(&text, &TimeZone::system(), &|name| zone(name), now)?;
        Ok(Self { config, text })
    }
}

/// `None` where there is no such file.
///
/// # Errors
/// Every mistake in it, a line each with the file's name.
pub fn budget(path: &Path, now: Wall) -> Result<Option<Written>, String> {
    let whole = |error: std::io::Error| format!("cannot read {}: {error}", shown(path));
    match std::fs::metadata(path) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(whole(error)),
        Ok(metadata) if metadata.len() > MAX_BYTES as u64 => {
            return Err(format!("{} is larger than {} MiB; is it a budget?", shown(path), MAX_BYTES >> 20));
        }
        Ok(_) => {}
    }
    let text = std::fs::read_to_string(path).map_err(whole)?;
    Written::of(text, now).map(Some).map_err(|problems| {
        let lines = problems.iter().map(|problem| format!("{}: {problem}", shown(path)));
        lines.collect::<Vec<_>>().join("\n")
    })
}

/// How a file looks from outside; another look is another content.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Look(Option<(SystemTime, u64)>);

impl Look {
    fn at(path: Option<&Path>) -> Self {
        let seen = path.and_then(|path| std::fs::metadata(path).ok());
        Self(seen.and_then(|metadata| Some((metadata.modified().ok()?, metadata.len()))))
    }
}

/// Where the ledger could not be read at the start it is read again now and then; false once the collector ends.
async fn read(files: &Files, hub: &HubHandle, store: &StoreHandle, clock: &Clock) -> bool {
    let Ok((ready, _)) = hub.budget(|budget, _| (budget.ready(), Vec::new())).await else { return false };
    let since = clock().wall.minus(KEEP);
    ready || store.tell_spent(since, Arc::new(table(files.prices.clone()))).await.is_ok()
}

/// Tells the hub of every change until the collector ends.
pub async fn follow(
    files: Files,
    hub: HubHandle,
    store: StoreHandle,
    clock: Clock,
    mut drain: watch::Receiver<bool>,
) {
    let look = |files: &Files| (Look::at(files.budget.as_deref()), Look::at(files.prices.as_deref()));
    let mut known = look(&files);
    let mut before = known.clone();
    let mut every = interval(LOOK_EVERY);
    every.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut turns = 0u32;
    loop {
        tokio::select! {
            _ = every.tick() => {}
            _ = drain.wait_for(|drain| *drain) => return,
        }
        turns = turns.wrapping_add(1);
        if turns.is_multiple_of(READ_AGAIN) && !read(&files, &hub, &store, &clock).await {
            return;
        }
        let seen = look(&files);
        let settled = seen == before;
        before = seen.clone();
        if !settled || seen == known {
            continue;
        }
        known = seen;
        let Now { wall, .. } = clock();
        let (budget, prices) = files.read(wall);
        if hub.send(prices).await.is_err() || hub.send(budget).await.is_err() {
            return;
        }
    }
}
