//! Old responses rolled up: by the hour after ninety days, by the day after a year, with the sum that they had.
//!
//! ```text
//! usage ──90 days──► rolled by hour ──a year──► rolled by day
//!   ▲                      │
//!   └── a better version ──┘        rolled_ids: each response's identity and figures, for ever
//! ```
//!
//! What identifies a response outlives the roll-up, in some sixty bytes: a copy of it still counts as nothing, and a better
//! version that comes late is brought back, changed, and rolled up again with the next. A cost is what it was at the roll-up:
//! a price corrected later does not reach so far back. The task that the agent was on is looked up then, too.

use std::collections::BTreeMap;

use fleet_domain::Wall;
use fleet_domain::ids::SessionId;
use fleet_domain::price::{Cost, Costs, Money, Table, cost};
use fleet_domain::report::Sum;
use fleet_domain::stint::Stints;
use fleet_domain::usage::{Record, Terms, Tokens};
use rusqlite::{Connection, OptionalExtension, Row, Transaction, TransactionBehavior, params};

use super::row::{counts, signed, tokens, unsigned};
use super::usage::{Known, Row as Whose, known, put};
use crate::store::{KEEP_HOURS, KEEP_RESPONSES, ROLL_AT_ONCE};

const HOUR: i64 = 3_600_000;
const DAY: i64 = 24 * HOUR;
/// Rows of one transaction.
const CHUNK: u32 = 2_000;

/// A sum's place: what its responses have in common, how long its time is, and when that begins; milliseconds.
type Place = (i64, i64, i64);

/// Rolls up what is old enough; answers how many rows it let go of.
pub(super) fn roll(connection: &mut Connection, prices: &Table, now: Wall) -> rusqlite::Result<usize> {
    let hours = floor(now.minus(KEEP_RESPONSES).0, HOUR);
    let days = floor(now.minus(KEEP_HOURS).0, DAY);
    let mut gone = 0;
    while gone < ROLL_AT_ONCE {
        // Hours first: no hour may stand beside its own day.
        let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        let mut rolled = to_days(&transaction, days)?;
        if rolled == 0 {
            rolled = to_hours(&transaction, prices, (hours, days))?;
        }
        if rolled == 0 {
            return Ok(gone);
        }
        told(&transaction)?;
        transaction.commit()?;
        gone += rolled;
    }
    Ok(gone)
}

fn to_hours(
    transaction: &Transaction<'_>,
    prices: &Table,
    (hours, days): (i64, i64),
) -> rusqlite::Result<usize> {
    let stints = super::budget::stints(transaction)?;
    let mut sums: BTreeMap<Place, Sum> = BTreeMap::new();
    let old: Vec<(String, String)> = transaction
        .prepare_cached("SELECT tenant, id FROM usage WHERE at_ms < ?1 LIMIT ?2")?
        .query_map(params![hours, CHUNK], |row| Ok((row.get(0)?, row.get(1)?)))?
        .collect::<rusqlite::Result<_>>()?;
    for (tenant, id) in &old {
        let Some(response) = known(transaction, tenant, id)? else { continue };
        let cost = cost(&response.record, prices);
        let kind = kind(transaction, tenant, &response, &stints)?;
        let at = response.record.at.0;
        // Also where the clock was put back since its day was made.
        let by_day = at < days || at_place(transaction, (kind, DAY, floor(at, DAY)))?.is_some();
        let span = if by_day { DAY } else { HOUR };
        let place = (kind, span, floor(response.record.at.0, span));
        sums.entry(place).or_default().add(&Sum::one(response.record.tokens, cost));
        transaction
            .prepare_cached(
                "INSERT INTO rolled_ids (tenant, id, kind, at_ms, body) VALUES (?1, ?2, ?3, ?4, ?5)",
            )?
            .execute(params![tenant, id, kind, response.record.at.0, body(&response.record, cost)])?;
        transaction
            .prepare_cached("DELETE FROM usage WHERE tenant = ?1 AND id = ?2")?
            .execute([tenant, id])?;
    }
    sums.into_iter().try_for_each(|(place, sum)| add(transaction, place, &sum))?;
    Ok(old.len())
}

fn to_days(transaction: &Transaction<'_>, days: i64) -> rusqlite::Result<usize> {
    let old: Vec<(Place, Sum)> = transaction
        .prepare_cached(&format!("SELECT {SUM} FROM rolled WHERE span_ms = ?1 AND at_ms < ?2 LIMIT ?3"))?
        .query_map(params![HOUR, days, CHUNK], |row| {
            Ok(((row.get(0)?, row.get(1)?, row.get(2)?), sum(row, 3)?))
        })?
        .collect::<rusqlite::Result<_>>()?;
    for (place, sum) in &old {
        drop_place(transaction, *place)?;
        add(transaction, (place.0, DAY, floor(place.2, DAY)), sum)?;
    }
    Ok(old.len())
}

/// As [`known`], among what was rolled up.
pub(super) fn find(transaction: &Transaction<'_>, tenant: &str, id: &str) -> rusqlite::Result<Option<Known>> {
    let found = transaction
        .prepare_cached(
            "SELECT agent, conversation, model, at_ms, body FROM rolled_ids JOIN rolled_kinds USING (kind)
             WHERE rolled_ids.tenant = ?1 AND id = ?2",
        )?
        .query_row([tenant, id], |row| {
            let (tokens, rest) = unfold(row.get_ref(4)?.as_blob()?);
            let record = Record {
                id: id.to_owned(),
                conversation: SessionId::new(row.get_ref(1)?.as_str()?),
                model: row.get(2)?,
                at: Wall(row.get(3)?),
                sidechain: rest.sidechain,
                tokens,
                terms: rest.terms,
                reported: match rest.cost {
                    Cost::Reported(usd) => Some(usd),
                    Cost::Priced(_) | Cost::Unknown => None,
                },
            };
            Ok(Known { owner: row.get(0)?, record, rolled: true })
        })
        .optional()?;
    Ok(found)
}

/// A response that was rolled up becomes a row of its own again, as it was.
pub(super) fn bring_back(
    transaction: &Transaction<'_>,
    tenant: &str,
    response: &Known,
) -> rusqlite::Result<()> {
    let id = &response.record.id;
    let (kind, runtime, account, body): (i64, String, String, Vec<u8>) = transaction
        .prepare_cached(
            "SELECT kind, runtime, account, body FROM rolled_ids JOIN rolled_kinds USING (kind)
             WHERE rolled_ids.tenant = ?1 AND id = ?2",
        )?
        .query_row([tenant, id], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?)))?;
    let at = response.record.at.0;
    let hour = (kind, HOUR, floor(at, HOUR));
    let place = if at_place(transaction, hour)?.is_some() { hour } else { (kind, DAY, floor(at, DAY)) };
    if let Some(mut sum) = at_place(transaction, place)? {
        let (tokens, rest) = unfold(&body);
        let one = Sum::one(tokens, rest.cost);
        drop_place(transaction, place)?;
        sum.subtract(&one);
        if sum.responses > 0 {
            add(transaction, place, &sum)?;
        }
    }
    transaction
        .prepare_cached("DELETE FROM rolled_ids WHERE tenant = ?1 AND id = ?2")?
        .execute([tenant, id])?;
    let whose = Whose { tenant, owner: response.owner, runtime: &runtime, account: &account };
    put(transaction, &whose, &response.record)?;
    told(transaction)
}

/// Where a reader has come to reads on: it must know that rows changed their place meanwhile.
fn told(transaction: &Transaction<'_>) -> rusqlite::Result<()> {
    transaction.prepare_cached("UPDATE rolls SET count = count + 1")?.execute([]).map(drop)
}

/// So often rows changed their place.
pub(super) fn times(connection: &Connection) -> rusqlite::Result<u64> {
    connection.prepare_cached("SELECT count FROM rolls")?.query_row([], |row| row.get(0)).map(unsigned)
}

fn kind(
    transaction: &Transaction<'_>,
    tenant: &str,
    response: &Known,
    stints: &Stints,
) -> rusqlite::Result<i64> {
    let (session, runtime, account): (String, String, String) = transaction
        .prepare_cached(
            "SELECT session, runtime, account FROM usage JOIN agents USING (agent) WHERE usage.tenant = ?1 AND id = ?2",
        )?
        .query_row([tenant, &response.record.id], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))?;
    let record = &response.record;
    let task = stints.task(tenant, &session, record.at).unwrap_or_default();
    let columns =
        params![tenant, response.owner, runtime, account, record.conversation.as_str(), record.model, task];
    transaction
        .prepare_cached(
            "INSERT INTO rolled_kinds (tenant, agent, runtime, account, conversation, model, task)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7) ON CONFLICT DO NOTHING",
        )?
        .execute(columns)?;
    transaction
        .prepare_cached(
            "SELECT kind FROM rolled_kinds WHERE tenant = ?1 AND agent = ?2 AND runtime = ?3 AND account = ?4
             AND conversation = ?5 AND model = ?6 AND task = ?7",
        )?
        .query_row(columns, |row| row.get(0))
}

/// The columns of a sum with its place.
const SUM: &str =
    "kind, span_ms, at_ms, responses, input, cache_read, cache_write_5m, cache_write_1h, output, reasoning,
                   reported_pico, priced_pico, by_report, by_price";

/// From the columns after its place.
pub(super) fn sum(row: &Row<'_>, first: usize) -> rusqlite::Result<Sum> {
    let count = |column: usize| row.get(first + column).map(unsigned);
    let responses = count(0)?;
    let (by_report, by_price) = (count(9)?, count(10)?);
    Ok(Sum {
        tokens: tokens(row, first + 1)?,
        responses,
        costs: Costs {
            reported: Money(count(7)?),
            priced: Money(count(8)?),
            by_report,
            by_price,
            unpriced: responses.saturating_sub(by_report).saturating_sub(by_price),
        },
    })
}

fn at_place(transaction: &Transaction<'_>, place: Place) -> rusqlite::Result<Option<Sum>> {
    transaction
        .prepare_cached(&format!("SELECT {SUM} FROM rolled WHERE kind = ?1 AND span_ms = ?2 AND at_ms = ?3"))?
        .query_row(params![place.0, place.1, place.2], |row| sum(row, 3))
        .optional()
}

fn drop_place(transaction: &Transaction<'_>, place: Place) -> rusqlite::Result<()> {
    transaction
        .prepare_cached("DELETE FROM rolled WHERE kind = ?1 AND span_ms = ?2 AND at_ms = ?3")?
        .execute(params![place.0, place.1, place.2])
        .map(drop)
}

/// Adds in Rust, where a sum that nobody can have used saturates instead of failing for ever.
fn add(transaction: &Transaction<'_>, place: Place, more: &Sum) -> rusqlite::Result<()> {
    let mut sum = at_place(transaction, place)?.unwrap_or_default();
    sum.add(more);
    let [input, cache_read, cache_write_5m, cache_write_1h, output, reasoning] = counts(&sum.tokens);
    let costs = &sum.costs;
    transaction
        .prepare_cached(
            "INSERT OR REPLACE INTO rolled (kind, span_ms, at_ms, responses, input, cache_read, cache_write_5m,
                 cache_write_1h, output, reasoning, reported_pico, priced_pico, by_report, by_price)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14)",
        )?
        .execute(params![
            place.0,
            place.1,
            place.2,
            signed(sum.responses),
            input,
            cache_read,
            cache_write_5m,
            cache_write_1h,
            output,
            reasoning,
            signed(costs.reported.0),
            signed(costs.priced.0),
            signed(costs.by_report),
            signed(costs.by_price),
        ])
        .map(drop)
}

fn floor(at: i64, span: i64) -> i64 {
    at.div_euclid(span).saturating_mul(span)
}

/// What a response's identity keeps beside its tokens.
struct Rest {
    sidechain: bool,
    terms: Terms,
    cost: Cost,
}

/// Numbers of seven bits a byte, the lowest first: tokens, terms, side chain and kind of cost, cost.
fn body(record: &Record, cost: Cost) -> Vec<u8> {
    let (kind, pico) = match cost {
        Cost::Unknown => (0, 0),
        Cost::Reported(usd) => (1, usd.0),
        Cost::Priced(usd) => (2, usd.0),
    };
    let [input, cache_read, cache_write_5m, cache_write_1h, output, reasoning] =
        counts(&record.tokens).map(unsigned);
    let flags = u64::from(record.sidechain) | kind << 1;
    let mut body = Vec::with_capacity(24);
    let terms = u64::from(record.terms.bits());
    for number in [input, cache_read, cache_write_5m, cache_write_1h, output, reasoning, terms, flags, pico] {
        let mut left = number;
        while left > 0x7f {
            body.push(left as u8 | 0x80);
            left >>= 7;
        }
        body.push(left as u8);
    }
    body
}

/// What is missing is nothing.
fn unfold(body: &[u8]) -> (Tokens, Rest) {
    let mut bytes = body.iter();
    let mut next = || {
        let (mut number, mut shift) = (0u64, 0);
        for byte in bytes.by_ref() {
            number |= u64::from(byte & 0x7f).checked_shl(shift).unwrap_or(0);
            shift += 7;
            if byte & 0x80 == 0 {
                break;
            }
        }
        number
    };
    let tokens = Tokens {
        input: next(),
        cache_read: next(),
        cache_write_5m: next(),
        cache_write_1h: next(),
        output: next(),
        reasoning: next(),
    };
    let (terms, flags, pico) = (next(), next(), next());
    let cost = match flags >> 1 {
        1 => Cost::Reported(Money(pico)),
        2 => Cost::Priced(Money(pico)),
        _ => Cost::Unknown,
    };
    let terms = Terms::from_bits(u32::try_from(terms).unwrap_or(u32::MAX));
    (tokens, Rest { sidechain: flags & 1 != 0, terms, cost })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::store::conformance::record;

    proptest! {
        #[test]
        fn what_an_identity_keeps_comes_back(
            counts in proptest::array::uniform6(0..=i64::MAX as u64), sidechain: bool, bits in 0u32..8, pico: u64, kind in 0u8..3,
        ) {
            let [input, cache_read, cache_write_5m, cache_write_1h, output, reasoning] = counts;
            let tokens = Tokens { input, cache_read, cache_write_5m, cache_write_1h, output, reasoning };
            let record = Record { tokens, sidechain, terms: Terms::from_bits(bits), ..record("r", 0, 0) };
            let cost = [Cost::Unknown, Cost::Reported(Money(pico)), Cost::Priced(Money(pico))][usize::from(kind)];
            let (back, rest) = unfold(&body(&record, cost));
            prop_assert_eq!((back, rest.sidechain, rest.terms, rest.cost), (tokens, sidechain, record.terms, cost));
        }

        #[test]
        fn any_bytes_are_an_answer(bytes in proptest::collection::vec(any::<u8>(), 0..60)) {
            let _ = unfold(&bytes);
        }
    }
}
