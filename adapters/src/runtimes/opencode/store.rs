//! opencode's database, read beside the living program: read-only, for the length of one look, never `immutable` while
//! somebody writes (what stands in its write-ahead log would be missed).
//!
//! A position is the creation time before which every message has its final form. What was created later is read again
//! on each look, through the index that the sessions' messages have; so a look costs what is new, not what there is.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use fleet_domain::price::Money;
use fleet_domain::usage::{Record, Tokens};
use rusqlite::{Connection, OpenFlags, Row as SqlRow, ToSql, params};

use super::message::{self, Row, Stored};
use crate::runtimes::usage::Stretch;

/// A writer holds the database for milliseconds.
const BUSY: Duration = Duration::from_millis(200);
/// Between two looks. A writer writes many times a second while an answer streams.
const PAUSE: Duration = Duration::from_secs(1);
/// Records that one look tells, about.
const AT_ONCE: usize = 128;
/// Rows that one question brings.
const PAGE: i64 = 64;
/// An answer without an end that is this much older than the newest one never gets one: its program was killed.
const ABANDONED_MS: i64 = 3_600_000;
/// Pages that one look keeps, in KiB (negative by SQLite's convention).
const CACHE: i64 = -64;

/// Which messages of a database: all, or those of one conversation with the sessions that it started.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Part {
    /// A session without a parent.
    pub root: Option<String>,
}

/// A session without a parent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Root {
    pub id: String,
    /// Milliseconds since the epoch.
    pub created: i64,
}

/// The conversations in a directory that moved at or after `since` (milliseconds since the epoch).
pub fn roots(path: &Path, directory: &str, since: i64) -> rusqlite::Result<Vec<Root>> {
    let connection = open(path)?;
    let mut found = Vec::new();
    for schema in [V1, V2] {
        if !schema.is_in(&connection)? {
            continue;
        }
        let sql = format!(
            "SELECT id, time_created FROM {} WHERE parent_id IS NULL AND directory = ?1 AND time_updated >= ?2",
            schema.sessions
        );
        let mut statement = connection.prepare(&sql)?;
        let rows = statement
            .query_map(params![directory, since], |row| Ok(Root { id: row.get(0)?, created: row.get(1)? }))?;
        for row in rows {
            found.push(row?);
        }
    }
    Ok(found)
}

/// Reads one part, again and again.
#[derive(Debug)]
pub struct Follower {
    path: PathBuf,
    part: Part,
    /// By layout: a database that was brought from one to the other has both.
    tracks: [Track; 2],
    looked: Option<Instant>,
}

/// What was told of a message: when it was created, what it had used, and cost.
type Told = (i64, Tokens, Option<Money>);

/// How far one layout's messages were read.
#[derive(Debug, Default)]
struct Track {
    /// Everything created before is final; milliseconds since the epoch.
    settled: i64,
    /// Of messages that are not settled.
    told: BTreeMap<String, Told>,
}

impl Follower {
    pub fn path(&self) -> &Path {
        &self.path
    }

    pub fn new(path: &Path, part: Part, position: &[u8]) -> Self {
        let mut tracks = [Track::default(), Track::default()];
        if position.len() == tracks.len() * 8 {
            for (track, bytes) in tracks.iter_mut().zip(position.chunks_exact(8)) {
                track.settled = <[u8; 8]>::try_from(bytes).map(i64::from_le_bytes).unwrap_or(0);
            }
        }
        Self { path: path.to_owned(), part, tracks, looked: None }
    }

    pub fn position(&self) -> Vec<u8> {
        self.tracks.iter().flat_map(|track| track.settled.to_le_bytes()).collect()
    }

    /// Reads what is new. A database that is not there yet is no error; one that was looked into a moment ago is left
    /// alone, for its writer writes many times a second.
    pub fn read(&mut self, emit: &mut dyn FnMut(Record)) -> io::Result<Stretch> {
        if self.looked.is_some_and(|at| at.elapsed() < PAUSE) {
            return Ok(Stretch { later: true, ..Stretch::default() });
        }
        if !self.path.exists() {
            return Ok(Stretch::default());
        }
        let stretch =
            self.look(emit).map_err(|error| io::Error::other(format!("opencode's database: {error}")))?;
        self.looked = Some(Instant::now()).filter(|_| !stretch.more);
        Ok(stretch)
    }

    fn look(&mut self, emit: &mut dyn FnMut(Record)) -> rusqlite::Result<Stretch> {
        let connection = open(&self.path)?;
        let mut stretch = Stretch::default();
        for (schema, track) in [V1, V2].iter().zip(&mut self.tracks) {
            if schema.is_in(&connection)? {
                let part = track.read(&connection, schema, &self.part, emit)?;
                stretch.unreadable += part.unreadable;
                stretch.more |= part.more;
            }
        }
        Ok(stretch)
    }
}

impl Track {
    fn read(
        &mut self,
        connection: &Connection,
        schema: &Schema,
        part: &Part,
        emit: &mut dyn FnMut(Record),
    ) -> rusqlite::Result<Stretch> {
        let mut statement = connection.prepare(schema.messages)?;
        let mut seen = Seen { newest: self.settled, ..Seen::default() };
        let mut after = (self.settled, String::new());
        let mut stretch = Stretch::default();
        loop {
            let page: [&dyn ToSql; 4] = [&after.0, &after.1, &part.root, &PAGE];
            let mut rows = statement.query(&page[..])?;
            let mut count: i64 = 0;
            while let Some(row) = rows.next()? {
                count += 1;
                after = after.max(self.take(row, &mut seen, emit)?);
            }
            stretch.more = count == PAGE;
            if !stretch.more || seen.told >= AT_ONCE {
                break;
            }
        }
        let oldest = seen.newest.saturating_sub(ABANDONED_MS);
        let waiting = seen.open.iter().copied().filter(|created| *created >= oldest).min();
        // Two messages may share a millisecond: the newest one's is looked at again.
        self.settled = waiting.unwrap_or(seen.newest);
        self.told.retain(|_, (created, ..)| *created >= self.settled);
        stretch.unreadable = seen.unreadable;
        Ok(stretch)
    }

    fn take(
        &mut self,
        row: &SqlRow<'_>,
        seen: &mut Seen,
        emit: &mut dyn FnMut(Record),
    ) -> rusqlite::Result<(i64, String)> {
        let bytes =
            |column| Ok::<_, rusqlite::Error>(row.get_ref(column)?.as_bytes_or_null()?.unwrap_or_default());
        let utf8 = |column| bytes(column).map(|bytes| String::from_utf8_lossy(bytes).into_owned());
        let (id, session, created): (_, _, i64) = (utf8(0)?, utf8(1)?, row.get(3)?);
        seen.newest = seen.newest.max(created);
        let stored = Stored {
            id: &id,
            session: &session,
            session_created: row.get(2)?,
            copied: row.get(4)?,
            child: row.get(5)?,
            data: bytes(6)?,
        };
        match message::parse(&stored) {
            Row::Response { record, complete } => {
                if !complete {
                    seen.open.push(created);
                }
                let now = (created, record.tokens, record.reported);
                if self.told.insert(id.clone(), now) != Some(now) {
                    seen.told += 1;
                    emit(record);
                }
            }
            Row::Begun => seen.open.push(created),
            Row::Other => {}
            Row::Unreadable => seen.unreadable += 1,
        }
        Ok((created, id))
    }
}

/// What a session says that it used, and what was copied into it from the one that it was forked from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SessionSum {
    pub session: String,
    pub told: Tokens,
    pub copied: Tokens,
}

/// Every session's own sum; none where this layout of the database keeps none.
pub fn sums(path: &Path) -> Vec<SessionSum> {
    read_sums(path, None).unwrap_or_default()
}

/// The sums of these sessions.
pub fn sums_of(path: &Path, sessions: &BTreeSet<String>) -> Vec<SessionSum> {
    let of = |session: &String| read_sums(path, Some(session)).unwrap_or_default();
    sessions.iter().flat_map(of).collect()
}

fn read_sums(path: &Path, session: Option<&str>) -> rusqlite::Result<Vec<SessionSum>> {
    let connection = open(path)?;
    let mut statement = connection.prepare(
        "SELECT id, tokens_input, tokens_cache_read, tokens_cache_write, tokens_output, tokens_reasoning FROM session
         WHERE ?1 IS NULL OR id = ?1",
    )?;
    let mut copied = copied(&connection, session)?;
    let rows = statement.query_map([session], |row| {
        let count =
            |column| row.get(column).map(|count: Option<i64>| u64::try_from(count.unwrap_or(0)).unwrap_or(0));
        let session: String = row.get(0)?;
        let reasoning = count(5)?;
        let told = Tokens {
            input: count(1)?,
            cache_read: count(2)?,
            cache_write_5m: count(3)?,
            cache_write_1h: 0,
            output: count(4)?.saturating_add(reasoning),
            reasoning,
        };
        Ok(SessionSum { copied: copied.remove(&session).unwrap_or_default(), session, told })
    })?;
    rows.collect()
}

/// By session, the messages that are older than itself.
fn copied(connection: &Connection, session: Option<&str>) -> rusqlite::Result<BTreeMap<String, Tokens>> {
    let mut statement = connection.prepare(
        "SELECT m.id, m.session_id, m.data FROM message m JOIN session s ON s.id = m.session_id
         WHERE (?1 IS NULL OR s.id = ?1) AND m.time_created < s.time_created",
    )?;
    let mut rows = statement.query([session])?;
    let mut copied: BTreeMap<String, Tokens> = BTreeMap::new();
    while let Some(row) = rows.next()? {
        let (id, session): (String, String) = (row.get(0)?, row.get(1)?);
        let data = row.get_ref(2)?.as_bytes()?;
        let as_own = Stored {
            id: &id,
            session: &session,
            session_created: i64::MIN,
            copied: false,
            child: false,
            data,
        };
        if let Row::Response { record, .. } = message::parse(&as_own) {
            copied.entry(session).or_default().add(&record.tokens);
        }
    }
    Ok(copied)
}

/// What one look saw of one layout.
#[derive(Default)]
struct Seen {
    newest: i64,
    /// Creation times of answers that may still grow.
    open: Vec<i64>,
    told: usize,
    unreadable: u64,
}

/// One layout of the database.
struct Schema {
    sessions: &'static str,
    table: &'static str,
    messages: &'static str,
}

/// A page is put in order by identities alone: what is sorted with its data is held twice.
const V1: Schema = Schema {
    sessions: "session",
    table: "message",
    messages: "
SELECT m.id, m.session_id, s.time_created, m.time_created, 0, s.parent_id IS NOT NULL, m.data
FROM (
    SELECT m.id AS id FROM session s CROSS JOIN message m ON m.session_id = s.id
    WHERE (m.time_created, m.id) > (?1, ?2) AND (?3 IS NULL OR s.id IN (
        WITH RECURSIVE tree (id) AS (
            SELECT ?3 UNION SELECT c.id FROM session c JOIN tree ON c.parent_id = tree.id)
        SELECT id FROM tree))
    ORDER BY m.time_created, m.id LIMIT ?4
) page CROSS JOIN message m ON m.id = page.id CROSS JOIN session s ON s.id = m.session_id",
};

/// A fork copies the messages up to its boundary with their places in the order kept.
const V2: Schema = Schema {
    sessions: "session_v2",
    table: "session_message",
    messages: "
SELECT m.id, m.session_id, s.time_created, m.time_created,
       s.fork_session_id IS NOT NULL AND m.seq <= coalesce(
           (SELECT b.seq FROM session_message b WHERE b.id = s.fork_boundary), -1),
       s.parent_id IS NOT NULL, m.data
FROM (
    SELECT m.id AS id FROM session_v2 s CROSS JOIN session_message m ON m.session_id = s.id
    WHERE m.type = 'assistant' AND (m.time_created, m.id) > (?1, ?2) AND (?3 IS NULL OR s.id IN (
        WITH RECURSIVE tree (id) AS (
            SELECT ?3 UNION SELECT c.id FROM session_v2 c JOIN tree ON c.parent_id = tree.id)
        SELECT id FROM tree))
    ORDER BY m.time_created, m.id LIMIT ?4
) page CROSS JOIN session_message m ON m.id = page.id CROSS JOIN session_v2 s ON s.id = m.session_id",
};

impl Schema {
    fn is_in(&self, connection: &Connection) -> rusqlite::Result<bool> {
        connection.query_row(
            "SELECT count(*) FROM sqlite_schema WHERE type = 'table' AND name IN (?1, ?2)",
            params![self.sessions, self.table],
            |row| row.get::<_, i64>(0).map(|count| count == 2),
        )
    }
}

fn open(path: &Path) -> rusqlite::Result<Connection> {
    let flags =
        OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX | OpenFlags::SQLITE_OPEN_URI;
    let connection = Connection::open_with_flags(path, flags)?;
    connection.busy_timeout(BUSY)?;
    connection.pragma_update(None, "cache_size", CACHE)?;
    connection.pragma_update(None, "mmap_size", 0)?;
    Ok(connection)
}

#[cfg(test)]
#[path = "store_tests.rs"]
mod tests;
