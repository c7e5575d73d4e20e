//! Columns ↔ values.

use fleet_domain::price::Money;
use fleet_domain::usage::{BUCKET_MS, Terms, Tokens};
use fleet_domain::{AgentKey, HostId, SocketName, TenantId, Wall};
use rusqlite::Row;

pub(super) fn key(row: &Row<'_>, first: usize) -> rusqlite::Result<AgentKey> {
    let text = |column: usize| row.get_ref(first + column)?.as_str().map_err(rusqlite::Error::from);
    Ok(AgentKey::new(TenantId::new(text(0)?), HostId::new(text(1)?), SocketName::new(text(2)?), text(3)?))
}

/// The six token columns, in their order.
pub(super) fn tokens(row: &Row<'_>, first: usize) -> rusqlite::Result<Tokens> {
    let count = |column: usize| row.get(first + column).map(|count: i64| u64::try_from(count).unwrap_or(0));
    Ok(Tokens {
        input: count(0)?,
        cache_read: count(1)?,
        cache_write_5m: count(2)?,
        cache_write_1h: count(3)?,
        output: count(4)?,
        reasoning: count(5)?,
    })
}

/// The same, as SQLite holds them.
pub(super) fn counts(tokens: &Tokens) -> [i64; 6] {
    [
        tokens.input,
        tokens.cache_read,
        tokens.cache_write_5m,
        tokens.cache_write_1h,
        tokens.output,
        tokens.reasoning,
    ]
    .map(|count| i64::try_from(count).unwrap_or(i64::MAX))
}

pub(super) fn terms(row: &Row<'_>, column: usize) -> rusqlite::Result<Terms> {
    row.get(column).map(|bits: i64| Terms::from_bits(u32::try_from(bits).unwrap_or(u32::MAX)))
}

pub(super) fn reported(row: &Row<'_>, column: usize) -> rusqlite::Result<Option<Money>> {
    row.get(column).map(|pico: Option<i64>| pico.map(|pico| Money(unsigned(pico))))
}

pub(super) fn bucket(at: Wall) -> i64 {
    at.0.div_euclid(BUCKET_MS)
}

pub(super) fn unsigned(value: i64) -> u64 {
    u64::try_from(value).unwrap_or(0)
}

pub(super) fn signed(value: u64) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}
