//! What runtimes say that their conversations used, beside what was counted of each.

use std::collections::BTreeMap;

use fleet_domain::reconcile::Told;
use fleet_proto::convert::{told_from_pb, told_to_pb};
use fleet_proto::pb;
use fleet_proto::prost::Message;
use rusqlite::{Connection, OptionalExtension, Transaction, params};

use super::row::tokens;
use crate::store::{Residue, UsageWrite};

pub(super) fn keep(transaction: &Transaction<'_>, write: &UsageWrite) -> rusqlite::Result<()> {
    for told in write.batch.told.iter().filter(|told| !told.conversation.is_empty()) {
        let key = [write.tenant.as_str(), told.conversation.as_str()];
        let known = transaction
            .prepare_cached("SELECT body FROM told WHERE tenant = ?1 AND conversation = ?2")?
            .query_row(key, |row| Ok(read(row.get_ref(0)?.as_blob()?)))
            .optional()?
            .flatten();
        let mut merged = known.unwrap_or_else(|| told.clone());
        merged.merge(told);
        transaction
            .prepare_cached(
                "INSERT INTO told (tenant, conversation, host, runtime, at_ms, body) VALUES (?1, ?2, ?3, ?4, ?5, ?6)
                 ON CONFLICT DO UPDATE SET at_ms = excluded.at_ms, body = excluded.body",
            )?
            .execute(params![
                key[0],
                key[1],
                write.host.as_str(),
                write.batch.runtime,
                write.received.0,
                told_to_pb(&merged).encode_to_vec(),
            ])?;
    }
    Ok(())
}

/// By tenant, host, runtime and cause.
pub(super) fn all(connection: &Connection) -> rusqlite::Result<Vec<Residue>> {
    let mut statement = connection.prepare_cached(
        "SELECT told.tenant, host, runtime, body, input, cache_read, cache_write_5m, cache_write_1h, output, reasoning
         FROM told JOIN counted USING (tenant, conversation)",
    )?;
    let mut rows = statement.query([])?;
    let mut residues: BTreeMap<_, Residue> = BTreeMap::new();
    while let Some(row) = rows.next()? {
        let Some(told) = read(row.get_ref(3)?.as_blob()?) else { continue };
        let runtime: String = row.get(2)?;
        let conversation = told.against(&runtime, tokens(row, 4)?);
        let (tenant, host): (String, String) = (row.get(0)?, row.get(1)?);
        let cause = conversation.cause();
        let residue = residues
            .entry((tenant.clone(), host.clone(), runtime.clone(), cause))
            .or_insert_with(|| Residue { tenant, host, runtime, cause, tokens: 0, conversations: 0 });
        residue.conversations += 1;
        let left = conversation.residual().unwrap_or_default().total();
        residue.tokens = residue.tokens.saturating_add(left);
    }
    Ok(residues.into_values().collect())
}

fn read(body: &[u8]) -> Option<Told> {
    told_from_pb(&pb::ToldSum::decode(body).ok()?).ok()
}
