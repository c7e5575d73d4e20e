//! What the collector counts of itself. Written by everybody, read at a scrape.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use fleet_domain::Wall;
use prometheus_client::metrics::histogram::Histogram;

use crate::store::Residue;

/// Upper bounds of the commit histogram, in seconds: from a good disk to one that is about to be noticed.
const COMMIT_BUCKETS: [f64; 11] = [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1.0, 5.0];

#[derive(Debug)]
pub struct Meters {
    pub started: Wall,
    pub observations: Count,
    pub usage_records: Count,
    pub usage_unreadable: Count,
    pub usage_unknown: Unknown,
    residues: Mutex<Vec<Residue>>,
    /// Taken in and not used yet.
    pub native_events: Count,
    pub receipts: Count,
    /// Responses that telemetry told of, and those that cannot be told from a transcript's.
    pub telemetry_responses: Count,
    pub telemetry_unusable: Count,
    pub store_errors: Count,
    pub commits: Histogram,
    dropped: [Count; Dropped::ALL.len()],
    scrape_nanos: AtomicU64,
}

impl Meters {
    pub fn new(started: Wall) -> Self {
        Self {
            started,
            observations: Count::default(),
            usage_records: Count::default(),
            usage_unreadable: Count::default(),
            usage_unknown: Unknown::default(),
            residues: Mutex::default(),
            native_events: Count::default(),
            receipts: Count::default(),
            telemetry_responses: Count::default(),
            telemetry_unusable: Count::default(),
            store_errors: Count::default(),
            commits: Histogram::new(COMMIT_BUCKETS),
            dropped: std::array::from_fn(|_| Count::default()),
            scrape_nanos: AtomicU64::new(0),
        }
    }

    pub fn drop_one(&self, reason: Dropped) {
        if let Some((_, count)) = Dropped::ALL.iter().zip(&self.dropped).find(|(known, _)| **known == reason)
        {
            count.add(1);
        }
    }

    pub fn dropped(&self) -> impl Iterator<Item = (Dropped, u64)> {
        Dropped::ALL.into_iter().zip(&self.dropped).map(|(reason, count)| (reason, count.get()))
    }

    pub fn tell_residues(&self, residues: Vec<Residue>) {
        *self.residues.lock().unwrap_or_else(PoisonError::into_inner) = residues;
    }

    /// As they were at the last comparison.
    pub fn residues(&self) -> Vec<Residue> {
        self.residues.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub fn scraped(&self, took: Duration) {
        self.scrape_nanos.store(u64::try_from(took.as_nanos()).unwrap_or(u64::MAX), Ordering::Relaxed);
    }

    /// How long the scrape before this one took.
    pub fn last_scrape(&self) -> Duration {
        Duration::from_nanos(self.scrape_nanos.load(Ordering::Relaxed))
    }
}

/// Rows that speak of tokens and are of kinds that nobody here knows, by runtime and kind.
#[derive(Debug, Default)]
pub struct Unknown(Mutex<BTreeMap<(String, String), u64>>);

impl Unknown {
    /// Their names are a runtime's: more than these are counted as `other`.
    const MOST: usize = 64;

    pub fn add(&self, runtime: &str, rows: &[(String, u64)]) {
        if rows.is_empty() {
            return;
        }
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        for (kind, count) in rows {
            let own = (runtime.to_owned(), kind.clone());
            let fits = known.len() < Self::MOST || known.contains_key(&own);
            let place = if fits { own } else { ("other".to_owned(), "other".to_owned()) };
            let sum = known.entry(place).or_default();
            *sum = sum.saturating_add(*count);
        }
    }

    pub fn all(&self) -> BTreeMap<(String, String), u64> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub fn by_runtime(&self) -> BTreeMap<String, u64> {
        let mut sums = BTreeMap::<String, u64>::new();
        for ((runtime, _), count) in self.all() {
            let sum = sums.entry(runtime).or_default();
            *sum = sum.saturating_add(count);
        }
        sums
    }
}

#[derive(Debug, Default)]
pub struct Count(AtomicU64);

impl Count {
    pub fn add(&self, count: u64) {
        self.0.fetch_add(count, Ordering::Relaxed);
    }

    pub fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// Why something that arrived, or was due, was let go of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Dropped {
    /// A message that does not say what it must.
    Invalid,
    /// Bytes that are no message, or a message that is too large; its stream ends.
    Undecodable,
    /// A message in another's name than its stream's.
    Foreign,
    /// A session beyond the number that one host may have.
    Session,
    /// A transition that the store could not take in time. Readers who follow saw it.
    Transition,
    /// A window of an account beyond the number that there may be, or that the store could not take in time.
    Window,
    /// A change of the budget that nobody waits for and the store could not take in time.
    Budget,
    /// A reader of changes who could not keep up and was cut off.
    Reader,
}

impl Dropped {
    pub const ALL: [Self; 8] = [
        Self::Invalid,
        Self::Undecodable,
        Self::Foreign,
        Self::Session,
        Self::Transition,
        Self::Window,
        Self::Reader,
        Self::Budget,
    ];

    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Invalid => "invalid",
            Self::Undecodable => "undecodable",
            Self::Foreign => "foreign",
            Self::Session => "too_many_sessions",
            Self::Transition => "transition_not_stored",
            Self::Window => "window",
            Self::Reader => "slow_reader",
            Self::Budget => "budget_not_stored",
        }
    }
}
