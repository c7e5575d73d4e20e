//! The sums that a start needs at once, kept beside the rows that they sum and in the same transaction: each agent's
//! totals by model, its recent quarters of an hour, its moves from state to state, when it was last heard of.

use std::collections::BTreeMap;

use fleet_domain::Wall;
use fleet_domain::price::{Cost, Table as Prices, cost};
use fleet_domain::usage::{Change, Record};
use rusqlite::{OptionalExtension, Transaction, params};

use super::row::{bucket, counts, signed, tokens};
use crate::store::{Bill, KEEP_RECENT};

/// Differences by column; wide, so that no order of additions overflows.
type Difference = [i128; 6];

pub(super) struct Sums<'p> {
    prices: &'p Prices,
    spent: BTreeMap<(i64, String), Bill>,
    totals: BTreeMap<(i64, String), Difference>,
    conversations: BTreeMap<(String, String), Difference>,
    recent: BTreeMap<(i64, i64), Difference>,
    moves: BTreeMap<(i64, &'static str, &'static str), i64>,
    /// Time, and the transition if it was one.
    active: BTreeMap<i64, (i64, i64)>,
}

impl<'p> Sums<'p> {
    pub(super) fn new(prices: &'p Prices) -> Self {
        let (spent, totals, recent, conversations) = Default::default();
        Self { prices, spent, totals, conversations, recent, moves: BTreeMap::new(), active: BTreeMap::new() }
    }

    /// Answers what it changed in what was spent, by model.
    pub(super) fn usage(&mut self, agent: i64, change: &Change, received: Wall) -> Vec<(String, Bill)> {
        let mut spent = Vec::with_capacity(1);
        if let Some(old) = &change.minus {
            self.record(agent, old, -1, received);
            spent.push((old.model.clone(), self.cost(old, -1)));
        }
        self.record(agent, &change.plus, 1, received);
        spent.push((change.plus.model.clone(), self.cost(&change.plus, 1)));
        for (model, difference) in &spent {
            self.spent.entry((agent, model.clone())).or_default().add(difference);
        }
        spent
    }

    /// The same by the runtime's conversation.
    pub(super) fn conversation(&mut self, tenant: &str, change: &Change) {
        for (record, sign) in change.minus.iter().map(|old| (old, -1)).chain([(&change.plus, 1)]) {
            let id = record.conversation.as_str();
            if !id.is_empty() {
                let counts = counts(&record.tokens).map(|count| sign * i128::from(count));
                add(self.conversations.entry((tenant.to_owned(), id.to_owned())).or_default(), &counts);
            }
        }
    }

    fn cost(&self, record: &Record, sign: i64) -> Bill {
        match cost(record, self.prices) {
            // What was taken back used nothing, whoever could have priced it.
            _ if record.tokens.is_zero() => Bill::default(),
            Cost::Reported(usd) | Cost::Priced(usd) => {
                Bill { pico_usd: i128::from(sign) * i128::from(usd.0), unpriced: 0 }
            }
            Cost::Unknown => Bill { pico_usd: 0, unpriced: sign },
        }
    }

    fn record(&mut self, agent: i64, record: &Record, sign: i128, received: Wall) {
        let counts = counts(&record.tokens).map(|count| sign * i128::from(count));
        add(self.totals.entry((agent, record.model.clone())).or_default(), &counts);
        if bucket(record.at) >= bucket(received.minus(KEEP_RECENT)) {
            add(self.recent.entry((agent, bucket(record.at))).or_default(), &counts);
        }
    }

    pub(super) fn moved(&mut self, agent: i64, from: &'static str, to: &'static str) {
        *self.moves.entry((agent, from, to)).or_default() += 1;
    }

    pub(super) fn active(&mut self, agent: i64, at: Wall, seq: Option<u64>) {
        let (latest, last) = self.active.entry(agent).or_default();
        *latest = at.0.max(*latest);
        *last = seq.map_or(0, signed).max(*last);
    }

    pub(super) fn flush(self, transaction: &Transaction<'_>) -> rusqlite::Result<()> {
        for ((agent, model), difference) in &self.totals {
            adjust(transaction, &TOTALS, params![agent, model], difference)?;
        }
        for ((tenant, conversation), difference) in &self.conversations {
            adjust(transaction, &COUNTED, params![tenant, conversation], difference)?;
        }
        for ((agent, bucket), difference) in &self.recent {
            adjust(transaction, &RECENT, params![agent, bucket], difference)?;
        }
        for ((agent, model), spent) in &self.spent {
            add_spent(transaction, *agent, model, spent)?;
        }
        for ((agent, from, to), count) in &self.moves {
            transaction
                .prepare_cached(
                    "INSERT INTO moves (agent, from_state, to_state, count) VALUES (?1, ?2, ?3, ?4)
                     ON CONFLICT DO UPDATE SET count = count + excluded.count",
                )?
                .execute(params![agent, from, to, count])?;
        }
        for (agent, (at, seq)) in &self.active {
            transaction
                .prepare_cached(
                    "UPDATE agents SET active_ms = max(active_ms, ?2), last_seq = max(last_seq, ?3) WHERE agent = ?1",
                )?
                .execute(params![agent, at, seq])?;
        }
        Ok(())
    }
}

/// Never below nothing, also where prices changed between a record and its better version.
pub(super) fn add_spent(
    transaction: &Transaction<'_>,
    agent: i64,
    model: &str,
    spent: &Bill,
) -> rusqlite::Result<()> {
    if *spent == Bill::default() {
        return Ok(());
    }
    let pico = i64::try_from(spent.pico_usd).unwrap_or(if spent.pico_usd < 0 { i64::MIN } else { i64::MAX });
    // SQLite would refuse a sum that is too large.
    transaction
        .prepare_cached(
            "INSERT INTO spent (agent, model, pico_usd, unpriced) VALUES (?1, ?2, max(?3, 0), max(?4, 0))
             ON CONFLICT DO UPDATE SET
                 pico_usd = CASE WHEN ?3 > 0 AND pico_usd > 9223372036854775807 - ?3 THEN 9223372036854775807
                                 ELSE max(pico_usd + ?3, 0) END,
                 unpriced = max(unpriced + ?4, 0)",
        )?
        .execute(params![agent, model, pico, spent.unpriced])?;
    Ok(())
}

struct Table {
    read: &'static str,
    insert: &'static str,
    update: &'static str,
}

const TOTALS: Table = Table {
    read: "SELECT input, cache_read, cache_write_5m, cache_write_1h, output, reasoning FROM totals
           WHERE agent = ?1 AND model = ?2",
    insert: "INSERT INTO totals (agent, model, input, cache_read, cache_write_5m, cache_write_1h, output, reasoning)
             VALUES (?1, ?2, 0, 0, 0, 0, 0, 0) ON CONFLICT DO NOTHING",
    update: "UPDATE totals SET input = ?3, cache_read = ?4, cache_write_5m = ?5, cache_write_1h = ?6, output = ?7,
             reasoning = ?8 WHERE agent = ?1 AND model = ?2",
};

const COUNTED: Table = Table {
    read: "SELECT input, cache_read, cache_write_5m, cache_write_1h, output, reasoning FROM counted
           WHERE tenant = ?1 AND conversation = ?2",
    insert: "INSERT INTO counted (tenant, conversation, input, cache_read, cache_write_5m, cache_write_1h, output, reasoning)
             VALUES (?1, ?2, 0, 0, 0, 0, 0, 0) ON CONFLICT DO NOTHING",
    update: "UPDATE counted SET input = ?3, cache_read = ?4, cache_write_5m = ?5, cache_write_1h = ?6, output = ?7,
             reasoning = ?8 WHERE tenant = ?1 AND conversation = ?2",
};

const RECENT: Table = Table {
    read: "SELECT input, cache_read, cache_write_5m, cache_write_1h, output, reasoning FROM recent
           WHERE agent = ?1 AND bucket = ?2",
    insert: "INSERT INTO recent (agent, bucket, input, cache_read, cache_write_5m, cache_write_1h, output, reasoning)
             VALUES (?1, ?2, 0, 0, 0, 0, 0, 0) ON CONFLICT DO NOTHING",
    update: "UPDATE recent SET input = ?3, cache_read = ?4, cache_write_5m = ?5, cache_write_1h = ?6, output = ?7,
             reasoning = ?8 WHERE agent = ?1 AND bucket = ?2",
};

/// Adds in Rust, where a sum that nobody can have used saturates instead of failing for ever.
fn adjust(
    transaction: &Transaction<'_>,
    table: &Table,
    key: &[&dyn rusqlite::ToSql],
    difference: &Difference,
) -> rusqlite::Result<()> {
    if difference.iter().all(|count| *count == 0) {
        return Ok(());
    }
    let known = transaction.prepare_cached(table.read)?.query_row(key, |row| tokens(row, 0)).optional()?;
    if known.is_none() {
        transaction.prepare_cached(table.insert)?.execute(key)?;
    }
    let known = counts(&known.unwrap_or_default());
    let sums: Vec<i64> = known
        .iter()
        .zip(difference)
        .map(|(known, difference)| {
            i64::try_from((i128::from(*known) + difference).max(0)).unwrap_or(i64::MAX)
        })
        .collect();
    let columns = key.iter().copied().chain(sums.iter().map(|sum| sum as &dyn rusqlite::ToSql));
    transaction
        .prepare_cached(table.update)?
        .execute(rusqlite::params_from_iter(columns.collect::<Vec<_>>()))?;
    Ok(())
}

fn add(sum: &mut Difference, counts: &Difference) {
    for (sum, count) in sum.iter_mut().zip(counts) {
        *sum += count;
    }
}
