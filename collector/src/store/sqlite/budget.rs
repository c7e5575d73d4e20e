//! The budget's register: tasks and what owners said as the wire writes them, the log of changes and decisions, and the
//! ledger's spending for a start.

use std::collections::BTreeMap;

use fleet_domain::Wall;
use fleet_domain::budget::amount::Used;
use fleet_domain::price::Table;
use fleet_domain::stint::{Stint, Stints};
use rusqlite::{Connection, Transaction, params};

use super::row::{key, reported, terms, tokens};
use crate::store::{BudgetRow, BudgetWrite, LogEntry, MAX_TASKS, RowKind, Spent};

/// Width of a stretch whose spending is summed, in milliseconds.
const STRETCH: i64 = 5 * 60 * 1000;

pub(super) fn keep(transaction: &Transaction<'_>, write: &BudgetWrite) -> rusqlite::Result<()> {
    match write {
        BudgetWrite::Put(row) => transaction
            .prepare_cached(
                "INSERT INTO budget (kind, key, at_ms, body) VALUES (?1, ?2, ?3, ?4)
                 ON CONFLICT DO UPDATE SET at_ms = excluded.at_ms, body = excluded.body",
            )?
            .execute(params![row.kind.as_str(), row.key, row.at.0, row.body])?,
        BudgetWrite::Drop(kind, key) => transaction
            .prepare_cached("DELETE FROM budget WHERE kind = ?1 AND key = ?2")?
            .execute(params![kind.as_str(), key])?,
        BudgetWrite::Stint(row) => transaction
            .prepare_cached(
                "INSERT INTO stints (tenant, task, session, from_ms, to_ms) VALUES (?1, ?2, ?3, ?4, ?5)
                 ON CONFLICT DO UPDATE SET
                     session = excluded.session, from_ms = excluded.from_ms, to_ms = excluded.to_ms",
            )?
            .execute(params![row.tenant, row.stint.task, row.session, row.stint.from.0, row.stint.to.map(|to| to.0)])?,
        BudgetWrite::Log(entry) => transaction
            .prepare_cached(
                "INSERT INTO budget_log (at_ms, who, what, decision, subject, detail) VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
            )?
            .execute(params![entry.at.0, entry.who, entry.what, entry.decision, entry.subject, entry.detail])?,
    };
    Ok(())
}

/// How much longer than tasks it is kept who was on them, in milliseconds: responses come late, too.
const KEEP_STINTS: i64 = 30 * 24 * 3_600_000;

/// Everything but the oldest of very many tasks.
pub(super) fn load(connection: &Connection) -> rusqlite::Result<Vec<BudgetRow>> {
    let mut statement = connection
        .prepare("SELECT kind, key, at_ms, body FROM budget ORDER BY kind = 'task', at_ms DESC LIMIT ?1")?;
    let rows = statement.query_map([MAX_TASKS], |row| {
        let kind = RowKind::parse(row.get_ref(0)?.as_str()?);
        Ok(kind.map(|kind| (kind, row)).map(|(kind, row)| {
            Ok::<_, rusqlite::Error>(BudgetRow {
                kind,
                key: row.get(1)?,
                at: Wall(row.get(2)?),
                body: row.get(3)?,
            })
        }))
    })?;
    rows.filter_map(|row| row.transpose()).map(|row| row.and_then(|row| row)).collect()
}

pub(super) fn stints(connection: &Connection) -> rusqlite::Result<Stints> {
    let mut statement =
        connection.prepare_cached("SELECT tenant, session, from_ms, task, to_ms FROM stints")?;
    let mut rows = statement.query([])?;
    let mut stints = Stints::default();
    while let Some(row) = rows.next()? {
        let to = row.get::<_, Option<i64>>(4)?.map(Wall);
        let stint = Stint { from: Wall(row.get(2)?), task: row.get(3)?, to };
        stints.add(row.get_ref(0)?.as_str()?, row.get_ref(1)?.as_str()?, stint);
    }
    Ok(stints)
}

/// The latest first.
pub(super) fn log(
    connection: &Connection,
    since: Wall,
    changes: bool,
    limit: u32,
) -> rusqlite::Result<Vec<LogEntry>> {
    let mut statement = connection.prepare_cached(
        "SELECT at_ms, who, what, decision, subject, detail FROM budget_log
         WHERE at_ms >= ?1 AND (decision = 0 OR NOT ?2) ORDER BY seq DESC LIMIT ?3",
    )?;
    let rows = statement.query_map(params![since.0, changes, limit], |row| {
        Ok(LogEntry {
            at: Wall(row.get(0)?),
            who: row.get(1)?,
            what: row.get(2)?,
            decision: row.get(3)?,
            subject: row.get(4)?,
            detail: row.get(5)?,
        })
    })?;
    rows.collect()
}

/// What every agent spent since then, by model and stretch, at the table's prices.
pub(super) fn spent(connection: &Connection, since: Wall, table: &Table) -> rusqlite::Result<Vec<Spent>> {
    let mut statement = connection.prepare_cached(
        "SELECT agents.tenant, host, socket, session, account, runtime, model, at_ms, terms, reported_pico,
                input, cache_read, cache_write_5m, cache_write_1h, output, reasoning, agent
         FROM usage JOIN agents USING (agent) WHERE at_ms >= ?1",
    )?;
    let mut sums: BTreeMap<(i64, i64, String), Spent> = BTreeMap::new();
    let mut rows = statement.query([since.0])?;
    while let Some(row) = rows.next()? {
        let at = Wall(row.get(7)?);
        let model = row.get_ref(6)?.as_str()?;
        let tokens = tokens(row, 10)?;
        let priced = || table.price(model, at, &tokens, terms(row, 8).unwrap_or_default());
        let used =
            Used { tokens: tokens.total(), dollars: reported(row, 9)?.or_else(priced).unwrap_or_default() };
        let place = (row.get(16)?, at.0.div_euclid(STRETCH), model.to_owned());
        if let Some(sum) = sums.get_mut(&place) {
            sum.used.add(used);
            continue;
        }
        let (account, runtime) = (row.get(4)?, row.get(5)?);
        sums.insert(
            place,
            Spent { agent: key(row, 0)?, account, runtime, model: model.to_owned(), at, used },
        );
    }
    Ok(sums.into_values().collect())
}

/// Tasks that are over, and the log, as long as transitions are kept.
pub(super) fn prune(connection: &Connection, before: Wall) -> rusqlite::Result<usize> {
    let tasks = connection.execute("DELETE FROM budget WHERE kind = 'task' AND at_ms < ?1", [before.0])?;
    // Whoever was on a task when a response was used that is not rolled up yet.
    let past = before.0.saturating_sub(KEEP_STINTS);
    let stints = connection.execute("DELETE FROM stints WHERE to_ms < ?1", [past])?;
    let decisions = connection.execute("DELETE FROM budget_log WHERE at_ms < ?1 AND decision", [before.0])?;
    Ok(tasks + stints + decisions)
}
