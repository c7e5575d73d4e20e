//! A store whose disk can be filled and cleared, for tests.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use fleet_domain::Wall;
use fleet_domain::price::Table;
use fleet_domain::report::Question;

use super::sqlite::Sqlite;
use super::{
    Booked, Loaded, LogEntry, Numbered, Past, Place, Residue, SourceKey, Spent, Store, StoreError, Summed,
    Write,
};

#[derive(Debug, Clone, Default)]
pub(crate) struct Disk(Arc<AtomicBool>);

impl Disk {
    pub(crate) fn fill(&self) {
        self.0.store(true, Ordering::SeqCst);
    }

    pub(crate) fn clear(&self) {
        self.0.store(false, Ordering::SeqCst);
    }
}

pub(crate) struct Flaky {
    pub(crate) inner: Sqlite,
    pub(crate) disk: Disk,
}

impl Store for Flaky {
    fn describe(&self) -> String {
        self.inner.describe()
    }

    fn price_by(&mut self, table: Table) {
        self.inner.price_by(table);
    }

    fn commit(&mut self, writes: &[Write]) -> Result<Vec<Vec<Booked>>, StoreError> {
        if self.disk.0.load(Ordering::SeqCst) {
            let source = std::io::Error::from(std::io::ErrorKind::StorageFull);
            return Err(StoreError::Io { what: "write", path: "x".into(), source });
        }
        self.inner.commit(writes)
    }

    fn cursor(&mut self, source: &SourceKey) -> Result<Option<Vec<u8>>, StoreError> {
        self.inner.cursor(source)
    }

    fn load(&mut self, now: Wall) -> Result<Loaded, StoreError> {
        self.inner.load(now)
    }

    fn transitions(&mut self, past: &Past, after: u64, limit: u32) -> Result<Vec<Numbered>, StoreError> {
        self.inner.transitions(past, after, limit)
    }

    fn skip_to_latest(&mut self, past: &Past, count: u32) -> Result<u64, StoreError> {
        self.inner.skip_to_latest(past, count)
    }

    fn summed(
        &mut self,
        question: &Question,
        table: &Table,
        after: &Place,
        limit: u32,
    ) -> Result<Summed, StoreError> {
        self.inner.summed(question, table, after, limit)
    }

    fn spent(&mut self, since: Wall, table: &Table) -> Result<Vec<Spent>, StoreError> {
        self.inner.spent(since, table)
    }

    fn budget_log(&mut self, since: Wall, changes: bool, limit: u32) -> Result<Vec<LogEntry>, StoreError> {
        self.inner.budget_log(since, changes, limit)
    }

    fn residues(&mut self) -> Result<Vec<Residue>, StoreError> {
        self.inner.residues()
    }

    fn prune(&mut self, now: Wall) -> Result<usize, StoreError> {
        self.inner.prune(now)
    }
}
