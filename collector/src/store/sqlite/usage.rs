//! The usage ledger: each response once, whoever tells of it and however often.

use fleet_domain::Wall;
use fleet_domain::ids::SessionId;
use fleet_domain::usage::{Record, merge};
use rusqlite::{OptionalExtension, Transaction, params};

use super::auxiliary::Ledger;
use super::row::{counts, reported, signed, terms, tokens};
use super::{Ids, Sums, residues, rolled};
use crate::store::{AuxiliaryWrite, Booked, UsageWrite};

pub(super) fn book(
    transaction: &Transaction<'_>,
    ids: &mut Ids,
    sums: &mut Sums<'_>,
    write: &UsageWrite,
) -> rusqlite::Result<Vec<Booked>> {
    let reader = ids.of(transaction, &write.reader())?;
    sums.active(reader, write.received, None);
    let (tenant, received) = (write.tenant.as_str(), write.received);
    let mut ledger = Ledger { transaction, ids, sums, tenant, received, booked: Vec::new() };
    for record in &write.batch.records {
        let known = known(transaction, tenant, &record.id)?;
        let owner = known.as_ref().map_or(reader, |known| known.owner);
        if let Some(change) = merge(known.as_ref().map(|known| &known.record), record) {
            known.map_or(Ok(()), |known| known.to_row(transaction, tenant))?;
            let row = Row { tenant, owner, runtime: &write.batch.runtime, account: &write.batch.account };
            put(transaction, &row, &change.plus)?;
            ledger.change(owner, change)?;
        }
    }
    ledger.shown(write, reader)?;
    let booked = ledger.booked;
    residues::keep(transaction, write)?;
    save_cursor(transaction, write)?;
    Ok(booked)
}

/// As [`book`], for what telemetry told.
pub(super) fn book_auxiliary(
    transaction: &Transaction<'_>,
    ids: &mut Ids,
    sums: &mut Sums<'_>,
    write: &AuxiliaryWrite,
) -> rusqlite::Result<Vec<Booked>> {
    let (tenant, received) = (write.tenant.as_str(), write.received);
    let mut ledger = Ledger { transaction, ids, sums, tenant, received, booked: Vec::new() };
    ledger.auxiliary(write)?;
    Ok(ledger.booked)
}

/// What a row has beside its record.
pub(super) struct Row<'r> {
    pub(super) tenant: &'r str,
    pub(super) owner: i64,
    pub(super) runtime: &'r str,
    pub(super) account: &'r str,
}

/// A response that was booked before.
pub(super) struct Known {
    pub(super) owner: i64,
    pub(super) record: Record,
    /// It has no row of its own any more.
    pub(super) rolled: bool,
}

impl Known {
    /// Sees to it that it has a row of its own, before that is changed.
    pub(super) fn to_row(&self, transaction: &Transaction<'_>, tenant: &str) -> rusqlite::Result<()> {
        if self.rolled { rolled::bring_back(transaction, tenant, self) } else { Ok(()) }
    }
}

pub(super) fn known(
    transaction: &Transaction<'_>,
    tenant: &str,
    id: &str,
) -> rusqlite::Result<Option<Known>> {
    let found = transaction
        .prepare_cached(
            "SELECT agent, conversation, model, at_ms, sidechain,
                    input, cache_read, cache_write_5m, cache_write_1h, output, reasoning,
                    terms, reported_pico
             FROM usage WHERE tenant = ?1 AND id = ?2",
        )?
        .query_row([tenant, id], |row| {
            Ok(Known { owner: row.get(0)?, record: record(row, id)?, rolled: false })
        })
        .optional()?;
    match found {
        Some(known) => Ok(Some(known)),
        None => rolled::find(transaction, tenant, id),
    }
}

fn record(row: &rusqlite::Row<'_>, id: &str) -> rusqlite::Result<Record> {
    Ok(Record {
        id: id.to_owned(),
        conversation: SessionId::new(row.get_ref(1)?.as_str()?),
        model: row.get(2)?,
        at: Wall(row.get(3)?),
        sidechain: row.get(4)?,
        tokens: tokens(row, 5)?,
        terms: terms(row, 11)?,
        reported: reported(row, 12)?,
    })
}

/// Who read it first keeps it: agent, runtime and account are written once.
pub(super) fn put(transaction: &Transaction<'_>, of: &Row<'_>, record: &Record) -> rusqlite::Result<()> {
    let [input, cache_read, cache_write_5m, cache_write_1h, output, reasoning] = counts(&record.tokens);
    transaction
        .prepare_cached(
            "INSERT INTO usage (tenant, id, agent, runtime, account, conversation, model, at_ms, sidechain,
                                input, cache_read, cache_write_5m, cache_write_1h, output, reasoning,
                                terms, reported_pico)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17)
             ON CONFLICT DO UPDATE SET
                 conversation = excluded.conversation, model = excluded.model, at_ms = excluded.at_ms,
                 sidechain = excluded.sidechain, input = excluded.input, cache_read = excluded.cache_read,
                 cache_write_5m = excluded.cache_write_5m, cache_write_1h = excluded.cache_write_1h,
                 output = excluded.output, reasoning = excluded.reasoning,
                 terms = excluded.terms, reported_pico = excluded.reported_pico",
        )?
        .execute(params![
            of.tenant,
            record.id,
            of.owner,
            of.runtime,
            of.account,
            record.conversation.as_str(),
            record.model,
            record.at.0,
            record.sidechain,
            input,
            cache_read,
            cache_write_5m,
            cache_write_1h,
            output,
            reasoning,
            record.terms.bits(),
            record.reported.map(|reported| signed(reported.0)),
        ])?;
    Ok(())
}

fn save_cursor(transaction: &Transaction<'_>, write: &UsageWrite) -> rusqlite::Result<()> {
    transaction
        .prepare_cached(
            "INSERT INTO cursors (tenant, host, source, cursor, saved_ms) VALUES (?1, ?2, ?3, ?4, ?5)
             ON CONFLICT DO UPDATE SET cursor = excluded.cursor, saved_ms = excluded.saved_ms",
        )?
        .execute(params![
            write.tenant.as_str(),
            write.host.as_str(),
            write.batch.source,
            write.batch.cursor,
            write.received.0,
        ])?;
    Ok(())
}
