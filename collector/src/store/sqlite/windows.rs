//! Windows of accounts: of each the newest sighting from each kind of teller.

use std::time::Duration;

use fleet_domain::ids::AccountName;
use fleet_domain::limits::{Reading, Source, WindowName};
use fleet_domain::{TenantId, Wall};
use rusqlite::{Connection, Row, Transaction, params};

use super::row::{signed, unsigned};
use crate::store::WindowWrite;

pub(super) fn keep(transaction: &Transaction<'_>, write: &WindowWrite) -> rusqlite::Result<()> {
    let reading = &write.reading;
    transaction
        .prepare_cached(
            "INSERT INTO windows (tenant, account, name, told_by, provider, length_s, used_ratio, resets_ms,
                                  observed_ms, source)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)
             ON CONFLICT DO UPDATE SET
                 provider = excluded.provider, length_s = excluded.length_s, used_ratio = excluded.used_ratio,
                 resets_ms = excluded.resets_ms, observed_ms = excluded.observed_ms, source = excluded.source",
        )?
        .execute(params![
            write.tenant.as_str(),
            reading.account.as_str(),
            reading.window.as_str(),
            reading.provenance().as_str(),
            reading.provider,
            reading.length.map(|length| signed(length.as_secs())),
            reading.used_ratio,
            reading.resets_at.map(|at| at.0),
            reading.observed_at.0,
            reading.source.as_str(),
        ])?;
    Ok(())
}

/// What a later version kept, or damage made of it, is passed over: it must not hide the rest.
pub(super) fn load(connection: &Connection) -> rusqlite::Result<Vec<WindowWrite>> {
    let mut statement = connection.prepare(
        "SELECT tenant, account, name, provider, length_s, used_ratio, resets_ms, observed_ms, source FROM windows",
    )?;
    let rows = statement.query_map([], window)?;
    rows.filter_map(Result::transpose).collect()
}

pub(super) fn prune(connection: &Connection, before: Wall) -> rusqlite::Result<usize> {
    connection.execute("DELETE FROM windows WHERE observed_ms < ?1", [before.0])
}

fn window(row: &Row<'_>) -> rusqlite::Result<Option<WindowWrite>> {
    let text = |column: usize| row.get_ref(column)?.as_str().map_err(rusqlite::Error::from);
    let (Ok(window), Some(source)) = (WindowName::parse(text(2)?), Source::parse(text(8)?)) else {
        return Ok(None);
    };
    let reading = Reading {
        account: AccountName::new(text(1)?),
        provider: row.get(3)?,
        window,
        length: row.get::<_, Option<i64>>(4)?.map(|seconds| Duration::from_secs(unsigned(seconds))),
        used_ratio: row.get(5)?,
        resets_at: row.get::<_, Option<i64>>(6)?.map(Wall),
        observed_at: Wall(row.get(7)?),
        source,
    };
    let tenant = TenantId::new(text(0)?);
    Ok(reading.checked().map(|reading| WindowWrite { tenant, reading }))
}
