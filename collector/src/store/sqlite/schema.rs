//! The layout of the database, by version, and the careful opening of a file that may be somebody else's.

use std::path::Path;

use rusqlite::Connection;

use crate::store::StoreError;

/// "MOSF": tells our file from any other SQLite database.
const APPLICATION_ID: i64 = 0x4d4f_5346;

/// Each brings a database of the version before it to the next; the first begins with an empty one. Never edit one
/// that was released: add another.
pub(super) const MIGRATIONS: [&str; 7] = [V1, V2, V3, V4, V5, V6, V7];

const V1: &str = "
CREATE TABLE agents (
    agent INTEGER PRIMARY KEY,
    tenant TEXT NOT NULL,
    host TEXT NOT NULL,
    socket TEXT NOT NULL,
    session TEXT NOT NULL,
    active_ms INTEGER NOT NULL DEFAULT 0,
    last_seq INTEGER NOT NULL DEFAULT 0,
    UNIQUE (tenant, host, socket, session)
) STRICT;
CREATE INDEX agents_by_session ON agents (session);

CREATE TABLE usage (
    tenant TEXT NOT NULL,
    id TEXT NOT NULL,
    agent INTEGER NOT NULL REFERENCES agents,
    runtime TEXT NOT NULL,
    account TEXT NOT NULL,
    conversation TEXT NOT NULL,
    model TEXT NOT NULL,
    at_ms INTEGER NOT NULL,
    input INTEGER NOT NULL,
    cache_read INTEGER NOT NULL,
    cache_write_5m INTEGER NOT NULL,
    cache_write_1h INTEGER NOT NULL,
    output INTEGER NOT NULL,
    reasoning INTEGER NOT NULL,
    sidechain INTEGER NOT NULL,
    PRIMARY KEY (tenant, id)
) STRICT, WITHOUT ROWID;

CREATE TABLE totals (
    agent INTEGER NOT NULL REFERENCES agents,
    model TEXT NOT NULL,
    input INTEGER NOT NULL,
    cache_read INTEGER NOT NULL,
    cache_write_5m INTEGER NOT NULL,
    cache_write_1h INTEGER NOT NULL,
    output INTEGER NOT NULL,
    reasoning INTEGER NOT NULL,
    PRIMARY KEY (agent, model)
) STRICT, WITHOUT ROWID;

CREATE TABLE recent (
    agent INTEGER NOT NULL REFERENCES agents,
    bucket INTEGER NOT NULL,
    input INTEGER NOT NULL,
    cache_read INTEGER NOT NULL,
    cache_write_5m INTEGER NOT NULL,
    cache_write_1h INTEGER NOT NULL,
    output INTEGER NOT NULL,
    reasoning INTEGER NOT NULL,
    PRIMARY KEY (agent, bucket)
) STRICT, WITHOUT ROWID;

CREATE TABLE cursors (
    tenant TEXT NOT NULL,
    host TEXT NOT NULL,
    source TEXT NOT NULL,
    cursor BLOB NOT NULL,
    saved_ms INTEGER NOT NULL,
    PRIMARY KEY (tenant, host, source)
) STRICT, WITHOUT ROWID;

CREATE TABLE transitions (
    seq INTEGER PRIMARY KEY,
    agent INTEGER NOT NULL REFERENCES agents,
    at_ms INTEGER NOT NULL,
    since_ms INTEGER NOT NULL,
    from_state TEXT,
    to_state TEXT NOT NULL,
    kind TEXT,
    reason TEXT NOT NULL,
    evidence TEXT,
    evidence_source TEXT
) STRICT;
CREATE INDEX transitions_by_agent ON transitions (agent, seq);
CREATE INDEX transitions_by_time ON transitions (at_ms);

CREATE TABLE moves (
    agent INTEGER NOT NULL REFERENCES agents,
    from_state TEXT NOT NULL,
    to_state TEXT NOT NULL,
    count INTEGER NOT NULL,
    PRIMARY KEY (agent, from_state, to_state)
) STRICT, WITHOUT ROWID;
";

/// What a response's price depends on beside its tokens. What was kept before is on the usual terms, and its runtime
/// said nothing.
const V2: &str = "
ALTER TABLE usage ADD COLUMN terms INTEGER NOT NULL DEFAULT 0;
ALTER TABLE usage ADD COLUMN reported_pico INTEGER;
";

/// Windows of accounts: the newest sighting of each, from each kind of teller.
const V3: &str = "
CREATE TABLE windows (
    tenant TEXT NOT NULL,
    account TEXT NOT NULL,
    name TEXT NOT NULL,
    told_by TEXT NOT NULL,
    provider TEXT NOT NULL,
    length_s INTEGER,
    used_ratio REAL NOT NULL,
    resets_ms INTEGER,
    observed_ms INTEGER NOT NULL,
    source TEXT NOT NULL,
    PRIMARY KEY (tenant, account, name, told_by)
) STRICT, WITHOUT ROWID;
";

/// By what usage told by telemetry is known again: requests that transcripts hold, whose each conversation is, and rows of
/// telemetry under what would replace them.
const V4: &str = "
CREATE TABLE requests (
    tenant TEXT NOT NULL,
    request TEXT NOT NULL,
    at_ms INTEGER NOT NULL,
    PRIMARY KEY (tenant, request)
) STRICT, WITHOUT ROWID;

CREATE TABLE conversations (
    tenant TEXT NOT NULL,
    conversation TEXT NOT NULL,
    agent INTEGER NOT NULL REFERENCES agents,
    account TEXT NOT NULL,
    PRIMARY KEY (tenant, conversation)
) STRICT, WITHOUT ROWID;
INSERT INTO conversations
    SELECT tenant, conversation, min(agent), min(account) FROM usage WHERE conversation <> '' GROUP BY 1, 2;

CREATE TABLE auxiliary (
    tenant TEXT NOT NULL,
    key TEXT NOT NULL,
    id TEXT NOT NULL,
    at_ms INTEGER NOT NULL,
    PRIMARY KEY (tenant, key, id)
) STRICT, WITHOUT ROWID;
";

/// The budget: tasks and what owners said, each as the wire writes it; what was changed and decided, in order. Spending
/// of a month is found by its time.
const V5: &str = "
CREATE TABLE budget (
    kind TEXT NOT NULL,
    key TEXT NOT NULL,
    at_ms INTEGER NOT NULL,
    body BLOB NOT NULL,
    PRIMARY KEY (kind, key)
) STRICT, WITHOUT ROWID;
CREATE INDEX budget_by_time ON budget (at_ms);

CREATE TABLE budget_log (
    seq INTEGER PRIMARY KEY,
    at_ms INTEGER NOT NULL,
    who TEXT NOT NULL,
    what TEXT NOT NULL,
    decision INTEGER NOT NULL,
    subject TEXT NOT NULL,
    detail TEXT NOT NULL
) STRICT;
CREATE INDEX usage_by_time ON usage (at_ms);
";

/// What was spent, as it was priced when it was booked: a counter that no later price moves. Filled from the ledger when it
/// is first read.
const V6: &str = "
CREATE TABLE spent (
    agent INTEGER NOT NULL REFERENCES agents,
    model TEXT NOT NULL,
    pico_usd INTEGER NOT NULL,
    unpriced INTEGER NOT NULL,
    PRIMARY KEY (agent, model)
) STRICT, WITHOUT ROWID;
";

/// Many agents of a host that ended at once; the number is one of the transitions'.
const V7: &str = "
CREATE TABLE mass_deaths (
    seq INTEGER PRIMARY KEY,
    tenant TEXT NOT NULL,
    host TEXT NOT NULL,
    at_ms INTEGER NOT NULL,
    agents TEXT NOT NULL,
    apart_ms INTEGER
) STRICT;
";

/// Looks before it touches: a file that is not ours, or of a later version, is left exactly as it is.
pub(super) fn prepare(connection: &mut Connection, path: &Path) -> Result<(), StoreError> {
    let failed = |what| super::failed(what, path);
    connection.pragma_update(None, "locking_mode", "EXCLUSIVE").map_err(failed("lock"))?;
    let found: i64 = pragma(connection, "user_version").map_err(failed("read the layout"))?;
    let owner: i64 = pragma(connection, "application_id").map_err(failed("read the layout"))?;
    let tables: i64 = connection
        .query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get(0))
        .map_err(failed("read the layout"))?;
    if owner != APPLICATION_ID && (tables > 0 || found != 0) {
        return Err(StoreError::Foreign { path: path.to_owned() });
    }
    let known = MIGRATIONS.len() as i64;
    if !(0..=known).contains(&found) {
        return Err(StoreError::Newer { path: path.to_owned(), found, known });
    }
    configure(connection).map_err(failed("configure"))?;
    for (version, migration) in (1..).zip(MIGRATIONS).skip(usize::try_from(found).unwrap_or(0)) {
        migrate(connection, version, migration).map_err(failed("bring up the layout"))?;
    }
    Ok(())
}

fn configure(connection: &Connection) -> rusqlite::Result<()> {
    connection.pragma_update(None, "journal_mode", "WAL")?;
    // An acknowledged cursor is never lost, not even with the power.
    connection.pragma_update(None, "synchronous", "FULL")?;
    connection.pragma_update(None, "foreign_keys", true)?;
    connection.pragma_update(None, "temp_store", "MEMORY")?;
    connection.pragma_update(None, "journal_size_limit", 32 << 20)?;
    // In KiB: one host's pages, as the ledger's rows are found by their keys.
    connection.pragma_update(None, "cache_size", -1024)?;
    connection.set_prepared_statement_cache_capacity(32);
    Ok(())
}

fn migrate(connection: &mut Connection, version: i64, migration: &str) -> rusqlite::Result<()> {
    let transaction = connection.transaction()?;
    transaction.execute_batch(migration)?;
    transaction.pragma_update(None, "application_id", APPLICATION_ID)?;
    transaction.pragma_update(None, "user_version", version)?;
    transaction.commit()
}

fn pragma(connection: &Connection, name: &str) -> rusqlite::Result<i64> {
    connection.pragma_query_value(None, name, |row| row.get(0))
}
