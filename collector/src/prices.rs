//! The prices in force: the user's own before the shipped ones, read again where the file changed.

use std::path::PathBuf;
use std::time::{Duration, Instant, SystemTime};

use fleet_domain::price::Table;
use fleet_framework::prices;

use crate::chain::chain;

/// Between two looks at the file.
const EVERY: Duration = Duration::from_secs(10);

pub struct Prices {
    own: Option<PathBuf>,
    looked: Option<Instant>,
    stamp: Option<(SystemTime, u64)>,
}

impl Prices {
    /// `None` where there is no home, and so no file of the user's.
    pub fn new(own: Option<PathBuf>) -> Self {
        Self { own, looked: None, stamp: None }
    }

    /// The table, at first and whenever the file is not as it was.
    pub fn changed(&mut self) -> Option<Table> {
        let first = self.looked.is_none();
        if self.looked.is_some_and(|looked| looked.elapsed() < EVERY) {
            return None;
        }
        self.looked = Some(Instant::now());
        let metadata = self.own.as_ref().and_then(|own| std::fs::metadata(own).ok());
        let stamp = metadata.and_then(|metadata| Some((metadata.modified().ok()?, metadata.len())));
        let same = !first && stamp == self.stamp;
        self.stamp = stamp;
        (!same).then(|| table(self.own.clone()))
    }
}

/// With a mistake in the user's file nothing is priced: a wrong price would not show.
pub fn table(own: Option<PathBuf>) -> Table {
    let Some(own) = own else { return prices::shipped() };
    prices::table(&own).unwrap_or_else(|error| {
        tracing::warn!("no cost is told: {}", chain(&error));
        Table::default()
    })
}
