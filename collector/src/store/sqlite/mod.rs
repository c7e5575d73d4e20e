//! The register in one SQLite file. One connection, one thread, and a lock beside the file: nobody else opens it.

mod asked;
mod auxiliary;
mod budget;
mod load;
mod masses;
mod past;
mod row;
mod schema;
mod sums;
mod usage;
mod windows;

use std::collections::BTreeMap;
use std::fs::{DirBuilder, OpenOptions};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use fleet_domain::fleet::Happening;
use fleet_domain::price::Table;
use fleet_domain::report::{By, Question, Report};
use fleet_domain::{AgentKey, Wall};
use rusqlite::{
    Connection, ErrorCode, OpenFlags, OptionalExtension, Transaction, TransactionBehavior, params,
};

use super::{
    Bill, Booked, KEEP_JOINS, KEEP_RECENT, KEEP_TRANSITIONS, KEEP_WINDOWS, Loaded, LogEntry, Numbered, Past,
    Place, SourceKey, Spent, Store, StoreError, Summed, Write,
};
use crate::lock::{LockError, PidLock};
use sums::Sums;

/// Rows deleted in one transaction, so that pruning never holds up the ledger for long.
const PRUNE_CHUNK: usize = 5_000;
/// Agents whose row numbers are remembered.
const MAX_IDS: usize = 20_000;

pub struct Sqlite {
    connection: Connection,
    path: PathBuf,
    ids: Ids,
    prices: Table,
    _lock: PidLock,
}

impl Sqlite {
    /// Opens the file, or begins it; its directory is made where it is missing.
    pub fn open(path: &Path) -> Result<Self, StoreError> {
        let io = |what| move |source| StoreError::Io { what, path: path.to_owned(), source };
        if let Some(dir) = path.parent() {
            DirBuilder::new().recursive(true).mode(0o700).create(dir).map_err(io("make the directory of"))?;
        }
        let lock = PidLock::take(&beside(path, ".lock")).map_err(|error| match error {
            LockError::Held(pid) => StoreError::Locked { path: path.to_owned(), pid },
            LockError::Open { source, .. } => io("lock")(source),
        })?;
        // An empty file is a new database; made here so that nobody else may ever read it.
        let options = OpenOptions::new().write(true).create(true).truncate(false).mode(0o600).open(path);
        options.map_err(io("open"))?;
        let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let mut connection = Connection::open_with_flags(path, flags).map_err(failed("open", path))?;
        schema::prepare(&mut connection, path)?;
        Ok(Self {
            connection,
            path: path.to_owned(),
            ids: Ids::default(),
            prices: Table::default(),
            _lock: lock,
        })
    }

    fn failed(&self, what: &'static str) -> impl FnOnce(rusqlite::Error) -> StoreError + use<'_> {
        failed(what, &self.path)
    }

    fn write(&mut self, writes: &[Write]) -> rusqlite::Result<Vec<Vec<Booked>>> {
        let transaction = self.connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        let mut sums = Sums::new(&self.prices);
        let mut booked = Vec::with_capacity(writes.len());
        for write in writes {
            booked.push(match write {
                Write::Usage(write) => usage::book(&transaction, &mut self.ids, &mut sums, write)?,
                Write::Happened(Numbered { seq, what }) => {
                    match what {
                        Happening::Transition(transition) => {
                            past::keep(&transaction, &mut self.ids, &mut sums, *seq, transition)?;
                        }
                        Happening::MassDeath(death) => masses::keep(&transaction, *seq, death)?,
                    }
                    Vec::new()
                }
                Write::Budget(write) => {
                    budget::keep(&transaction, write)?;
                    Vec::new()
                }
                Write::Auxiliary(write) => {
                    usage::book_auxiliary(&transaction, &mut self.ids, &mut sums, write)?
                }
                Write::Window(write) => {
                    windows::keep(&transaction, write)?;
                    Vec::new()
                }
            });
        }
        sums.flush(&transaction)?;
        transaction.commit()?;
        Ok(booked)
    }

    /// What was booked before anything was priced, once.
    fn price_the_past(&mut self) -> Result<(), rusqlite::Error> {
        const PAGE: u32 = 10_000;
        let done = "SELECT EXISTS (SELECT 1 FROM spent) OR NOT EXISTS (SELECT 1 FROM usage)";
        if self.connection.query_row(done, [], |row| row.get(0))? {
            return Ok(());
        }
        let question = Question { by: [By::Agent, By::Model].into(), ..Question::default() };
        let (mut all, mut after) = (Report::default(), Some(Place::default()));
        while let Some(place) = after {
            let page = asked::page(&self.connection, &question, &self.prices, &place, PAGE)?;
            page.report.0.into_iter().for_each(|(group, sum)| all.add(group, &sum));
            after = page.next;
        }
        let transaction = self.connection.transaction()?;
        for (group, sum) in &all.0 {
            let (Some(key), Some(model)) = (&group.agent, &group.model) else { continue };
            let agent = self.ids.of(&transaction, key)?;
            let usd = sum.costs.known().unwrap_or_default();
            let unpriced = i64::try_from(sum.costs.unpriced).unwrap_or(i64::MAX);
            sums::add_spent(&transaction, agent, model, &Bill { pico_usd: usd.0.into(), unpriced })?;
        }
        transaction.commit()
    }

    #[cfg(test)]
    pub(crate) fn limit_pages(&self, pages: u32) {
        self.connection.pragma_update(None, "max_page_count", pages).unwrap();
    }

    /// Makes a transaction fail after it has written its records.
    #[cfg(test)]
    pub(crate) fn refuse_cursors(&self, refuse: bool) {
        let sql = if refuse {
            "CREATE TEMP TRIGGER refuse BEFORE INSERT ON main.cursors BEGIN SELECT RAISE(ABORT, 'refused'); END"
        } else {
            "DROP TRIGGER refuse"
        };
        self.connection.execute_batch(sql).unwrap();
    }

    #[cfg(test)]
    pub(crate) fn pages(&self) -> u32 {
        self.connection.pragma_query_value(None, "page_count", |row| row.get(0)).unwrap()
    }
}

impl Store for Sqlite {
    fn describe(&self) -> String {
        format!("sqlite {}", fleet_framework::home::shown(&self.path))
    }

    fn price_by(&mut self, table: Table) {
        self.prices = table;
    }

    fn commit(&mut self, writes: &[Write]) -> Result<Vec<Vec<Booked>>, StoreError> {
        self.write(writes).map_err(|error| {
            // Rows that the failed transaction had made are gone with it.
            self.ids = Ids::default();
            failed("write", &self.path)(error)
        })
    }

    fn cursor(&mut self, source: &SourceKey) -> Result<Option<Vec<u8>>, StoreError> {
        let key = params![source.tenant.as_str(), source.host.as_str(), source.source];
        self.connection
            .prepare_cached("SELECT cursor FROM cursors WHERE tenant = ?1 AND host = ?2 AND source = ?3")
            .and_then(|mut statement| statement.query_row(key, |row| row.get(0)).optional())
            .map_err(self.failed("read a cursor"))
    }

    fn load(&mut self, now: Wall) -> Result<Loaded, StoreError> {
        self.price_the_past().map_err(self.failed("price the ledger"))?;
        load::load(&self.connection, now).map_err(self.failed("read the register"))
    }

    fn transitions(&mut self, past: &Past, after: u64, limit: u32) -> Result<Vec<Numbered>, StoreError> {
        let read = || -> rusqlite::Result<Vec<Numbered>> {
            let mut found = past::page(&self.connection, past, after, limit)?;
            found.extend(masses::page(&self.connection, past, after, limit)?);
            found.sort_by_key(|numbered| numbered.seq);
            found.truncate(usize::try_from(limit).unwrap_or(usize::MAX));
            Ok(found)
        };
        read().map_err(self.failed("read transitions"))
    }

    fn skip_to_latest(&mut self, past: &Past, count: u32) -> Result<u64, StoreError> {
        past::skip(&self.connection, past, count).map_err(self.failed("read transitions"))
    }

    fn summed(
        &mut self,
        question: &Question,
        table: &Table,
        after: &Place,
        limit: u32,
    ) -> Result<Summed, StoreError> {
        asked::page(&self.connection, question, table, after, limit).map_err(self.failed("read usage"))
    }

    fn spent(&mut self, since: Wall, table: &Table) -> Result<Vec<Spent>, StoreError> {
        budget::spent(&self.connection, since, table).map_err(self.failed("read what was spent"))
    }

    fn budget_log(&mut self, since: Wall, changes: bool, limit: u32) -> Result<Vec<LogEntry>, StoreError> {
        budget::log(&self.connection, since, changes, limit).map_err(self.failed("read the budget's log"))
    }

    fn prune(&mut self, now: Wall) -> Result<usize, StoreError> {
        let oldest = row::bucket(now.minus(KEEP_RECENT));
        let mut gone = self
            .connection
            .execute("DELETE FROM recent WHERE bucket < ?1", [oldest])
            .map_err(self.failed("prune"))?;
        gone += auxiliary::prune(&self.connection, now.minus(KEEP_JOINS)).map_err(self.failed("prune"))?;
        gone += windows::prune(&self.connection, now.minus(KEEP_WINDOWS)).map_err(self.failed("prune"))?;
        gone += masses::prune(&self.connection, now.minus(KEEP_TRANSITIONS)).map_err(self.failed("prune"))?;
        gone += budget::prune(&self.connection, now.minus(KEEP_TRANSITIONS)).map_err(self.failed("prune"))?;
        loop {
            let chunk = past::prune(&self.connection, now.minus(KEEP_TRANSITIONS), PRUNE_CHUNK)
                .map_err(self.failed("prune"))?;
            gone += chunk;
            if chunk < PRUNE_CHUNK {
                return Ok(gone);
            }
        }
    }
}

/// Agents by row number and back.
#[derive(Default)]
struct Ids {
    by_key: BTreeMap<AgentKey, i64>,
    by_id: BTreeMap<i64, AgentKey>,
}

impl Ids {
    /// The agent's row, made where it is missing.
    fn of(&mut self, transaction: &Transaction<'_>, key: &AgentKey) -> rusqlite::Result<i64> {
        if let Some(id) = self.by_key.get(key) {
            return Ok(*id);
        }
        let columns = params![key.tenant.as_str(), key.host.as_str(), key.socket.as_str(), key.session];
        transaction
            .prepare_cached(
                "INSERT INTO agents (tenant, host, socket, session) VALUES (?1, ?2, ?3, ?4)
                 ON CONFLICT DO NOTHING",
            )?
            .execute(columns)?;
        let id = transaction
            .prepare_cached(
                "SELECT agent FROM agents WHERE tenant = ?1 AND host = ?2 AND socket = ?3 AND session = ?4",
            )?
            .query_row(columns, |row| row.get(0))?;
        self.remember(id, key.clone());
        Ok(id)
    }

    fn key(&mut self, transaction: &Transaction<'_>, id: i64) -> rusqlite::Result<AgentKey> {
        if let Some(key) = self.by_id.get(&id) {
            return Ok(key.clone());
        }
        let key = transaction
            .prepare_cached("SELECT tenant, host, socket, session FROM agents WHERE agent = ?1")?
            .query_row([id], |row| row::key(row, 0))?;
        self.remember(id, key.clone());
        Ok(key)
    }

    fn remember(&mut self, id: i64, key: AgentKey) {
        if self.by_id.len() >= MAX_IDS {
            *self = Self::default();
        }
        self.by_key.insert(key.clone(), id);
        self.by_id.insert(id, key);
    }
}

fn failed<'p>(what: &'static str, path: &'p Path) -> impl FnOnce(rusqlite::Error) -> StoreError + use<'p> {
    move |source| match source.sqlite_error_code() {
        Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase) => {
            StoreError::Damaged { path: path.to_owned(), why: source.to_string() }
        }
        Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => {
            StoreError::Locked { path: path.to_owned(), pid: None }
        }
        _ => StoreError::Failed { what, path: path.to_owned(), source },
    }
}

fn beside(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    PathBuf::from(name)
}

#[cfg(test)]
mod tests;
