//! What a start reads: for each agent of the latest activity its totals, its recent usage, its standing, its moves.

use std::collections::BTreeMap;

use fleet_domain::fleet::Restored;
use fleet_domain::readiness::{State, StuckKind};
use fleet_domain::usage::BUCKET_MS;
use fleet_domain::{AgentKey, Wall};
use rusqlite::{Connection, Row};

use super::row::{bucket, key, tokens, unsigned};
use crate::store::{Bill, KEEP_RECENT, Loaded, MAX_RESTORED};

type Agents = BTreeMap<i64, Restored>;

pub(super) fn load(connection: &Connection, now: Wall) -> rusqlite::Result<Loaded> {
    let mut agents = agents(connection)?;
    each(connection, &mut agents, TOTALS, i64::MIN, |restored, row| {
        restored.by_model.insert(row.get(1)?, tokens(row, 2)?);
        Ok(())
    })?;
    each(connection, &mut agents, RECENT, bucket(now.minus(KEEP_RECENT)), |restored, row| {
        let start: i64 = row.get(1)?;
        restored.recent.push((Wall(start.saturating_mul(BUCKET_MS)), tokens(row, 2)?));
        Ok(())
    })?;
    each(connection, &mut agents, MOVES, i64::MIN, |restored, row| {
        let state = |column: usize| Ok::<_, rusqlite::Error>(State::parse(row.get_ref(column)?.as_str()?));
        if let (Some(from), Some(to)) = (state(1)?, state(2)?) {
            restored.transitions.insert((from, to), unsigned(row.get(3)?));
        }
        Ok(())
    })?;
    each(connection, &mut agents, STANDINGS, i64::MIN, |restored, row| {
        let state = State::parse(row.get_ref(2)?.as_str()?);
        let kind = row.get_ref(3)?.as_str_or_null()?.and_then(StuckKind::parse);
        let since = Wall(row.get(4)?);
        restored.standing = state.map(|state| (state, kind, since));
        Ok(())
    })?;
    let last: Option<i64> = connection.query_row(
        "SELECT max(seq) FROM (SELECT max(seq) AS seq FROM transitions UNION ALL SELECT max(seq) FROM mass_deaths)",
        [],
        |row| row.get(0),
    )?;
    Ok(Loaded {
        agents: agents.into_values().collect(),
        last_seq: last.map_or(0, unsigned),
        windows: super::windows::load(connection)?,
        spent: spent(connection)?,
        budget: super::budget::load(connection)?,
    })
}

const TOTALS: &str =
    "SELECT agent, model, input, cache_read, cache_write_5m, cache_write_1h, output, reasoning
                      FROM totals WHERE agent >= ?1";
const RECENT: &str =
    "SELECT agent, bucket, input, cache_read, cache_write_5m, cache_write_1h, output, reasoning
                      FROM recent WHERE bucket >= ?1";
const MOVES: &str = "SELECT agent, from_state, to_state, count FROM moves WHERE agent >= ?1";
const STANDINGS: &str = "SELECT agents.agent, seq, to_state, kind, since_ms
                         FROM agents JOIN transitions ON seq = last_seq WHERE agents.agent >= ?1";

fn agents(connection: &Connection) -> rusqlite::Result<Agents> {
    let mut statement = connection.prepare(
        "SELECT agent, tenant, host, socket, session FROM agents ORDER BY active_ms DESC LIMIT ?1",
    )?;
    let rows = statement.query_map([MAX_RESTORED], |row| {
        let restored = Restored {
            key: key(row, 1)?,
            standing: None,
            by_model: BTreeMap::new(),
            recent: Vec::new(),
            transitions: BTreeMap::new(),
        };
        Ok((row.get(0)?, restored))
    })?;
    rows.collect()
}

fn spent(connection: &Connection) -> rusqlite::Result<Vec<(AgentKey, String, Bill)>> {
    let mut statement = connection.prepare(
        "SELECT tenant, host, socket, session, model, pico_usd, unpriced FROM spent JOIN agents USING (agent)
         ORDER BY active_ms DESC LIMIT ?1",
    )?;
    let rows = statement.query_map([MAX_RESTORED * 8], |row| {
        let spent = Bill { pico_usd: i128::from(row.get::<_, i64>(5)?), unpriced: row.get(6)? };
        Ok((key(row, 0)?, row.get(4)?, spent))
    })?;
    rows.collect()
}

fn each(
    connection: &Connection,
    agents: &mut Agents,
    sql: &str,
    from: i64,
    mut take: impl FnMut(&mut Restored, &Row<'_>) -> rusqlite::Result<()>,
) -> rusqlite::Result<()> {
    let mut statement = connection.prepare(sql)?;
    let mut rows = statement.query([from])?;
    while let Some(row) = rows.next()? {
        if let Some(restored) = agents.get_mut(&row.get(0)?) {
            take(restored, row)?;
        }
    }
    Ok(())
}
