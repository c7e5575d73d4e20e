//! Transitions: kept in the order in which they happened, read by pages.

use fleet_domain::Wall;
use fleet_domain::fleet::{Happening, Transition};
use fleet_domain::observation::Source;
use fleet_domain::readiness::{EvidenceSignal, State, StuckKind};
use fleet_domain::time::Mono;
use rusqlite::{Connection, OptionalExtension, Row, Transaction, params};

use super::row::{key, signed, unsigned};
use super::{Ids, Sums};
use crate::store::{Numbered, Past, Whose};

pub(super) fn keep(
    transaction: &Transaction<'_>,
    ids: &mut Ids,
    sums: &mut Sums<'_>,
    seq: u64,
    transition: &Transition,
) -> rusqlite::Result<()> {
    let Transition { key, at, since, from, to, kind, reason, evidence } = transition;
    let agent = ids.of(transaction, key)?;
    let decisive = kind.and_then(|kind| evidence.iter().find(|evidence| evidence.kind == kind));
    transaction
        .prepare_cached(
            "INSERT INTO transitions
                 (seq, agent, at_ms, since_ms, from_state, to_state, kind, reason, evidence, evidence_source)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)",
        )?
        .execute(params![
            signed(seq),
            agent,
            at.0,
            since.0,
            from.map(State::as_str),
            to.as_str(),
            kind.map(StuckKind::as_str),
            reason,
            decisive.map(|evidence| evidence.line.as_str()),
            decisive.map(|evidence| evidence.source.as_str()),
        ])?;
    if let Some(from) = from {
        sums.moved(agent, from.as_str(), to.as_str());
    }
    sums.active(agent, *at, Some(seq));
    Ok(())
}

pub(super) fn page(
    connection: &Connection,
    past: &Past,
    after: u64,
    limit: u32,
) -> rusqlite::Result<Vec<Numbered>> {
    let Some(filter) = Filter::of(connection, past)? else { return Ok(Vec::new()) };
    let sql = format!(
        "SELECT seq, at_ms, since_ms, from_state, to_state, kind, reason, evidence, evidence_source,
                tenant, host, socket, session
         FROM transitions JOIN agents USING (agent)
         WHERE seq >= ?1 AND seq <= ?2 AND at_ms >= ?3 {} ORDER BY seq LIMIT ?4",
        filter.agents
    );
    let first = filter.first.max(signed(after).saturating_add(1));
    let mut statement = connection.prepare_cached(&sql)?;
    let rows = statement.query_map(params![first, signed(past.up_to), past.since.0, limit], numbered)?;
    // A word of a later version is passed over: it must not hide the rest.
    rows.filter_map(Result::transpose).collect()
}

pub(super) fn skip(connection: &Connection, past: &Past, count: u32) -> rusqlite::Result<u64> {
    let Some(filter) = Filter::of(connection, past)? else { return Ok(0) };
    let sql = format!(
        "SELECT seq FROM transitions WHERE seq >= ?1 AND seq <= ?2 AND at_ms >= ?3 {}
         ORDER BY seq DESC LIMIT 1 OFFSET ?4",
        filter.agents
    );
    let found = connection
        .prepare_cached(&sql)?
        .query_row(params![filter.first, signed(past.up_to), past.since.0, count], |row| row.get(0))
        .optional()?;
    Ok(found.map_or(0, unsigned))
}

/// All but an agent's latest.
pub(super) fn prune(connection: &Connection, before: Wall, chunk: usize) -> rusqlite::Result<usize> {
    connection
        .prepare_cached(
            "DELETE FROM transitions WHERE seq IN (
                 SELECT seq FROM transitions JOIN agents USING (agent)
                 WHERE at_ms < ?1 AND seq <> last_seq LIMIT ?2)",
        )?
        .execute(params![before.0, i64::try_from(chunk).unwrap_or(i64::MAX)])
}

struct Filter {
    /// The first transition that is young enough, so that no query walks through ninety days to find an hour.
    first: i64,
    agents: String,
}

impl Filter {
    /// `None` where nothing can match.
    fn of(connection: &Connection, past: &Past) -> rusqlite::Result<Option<Self>> {
        let first: Option<i64> = connection
            .prepare_cached("SELECT min(seq) FROM transitions WHERE at_ms >= ?1")?
            .query_row([past.since.0], |row| row.get(0))?;
        let agents = match &past.whose {
            None => String::new(),
            Some(whose) => {
                let rows = rows_of(connection, whose)?;
                if rows.is_empty() {
                    return Ok(None);
                }
                let list: Vec<String> = rows.iter().map(i64::to_string).collect();
                format!("AND agent IN ({})", list.join(","))
            }
        };
        Ok(first.map(|first| Self { first, agents }))
    }
}

fn rows_of(connection: &Connection, whose: &Whose) -> rusqlite::Result<Vec<i64>> {
    match whose {
        Whose::Agent(key) => connection
            .prepare_cached(
                "SELECT agent FROM agents WHERE tenant = ?1 AND host = ?2 AND socket = ?3 AND session = ?4",
            )?
            .query_map(
                params![key.tenant.as_str(), key.host.as_str(), key.socket.as_str(), key.session],
                |row| row.get(0),
            )?
            .collect(),
        Whose::Session(session) => connection
            .prepare_cached("SELECT agent FROM agents WHERE session = ?1")?
            .query_map([session], |row| row.get(0))?
            .collect(),
    }
}

fn numbered(row: &Row<'_>) -> rusqlite::Result<Option<Numbered>> {
    let word = |column: usize| row.get_ref(column)?.as_str_or_null().map_err(rusqlite::Error::from);
    let Some(to) = word(4)?.and_then(State::parse) else { return Ok(None) };
    let kind = word(5)?.and_then(StuckKind::parse);
    let evidence = match (kind, word(7)?, word(8)?.and_then(Source::parse)) {
        // Its ages are of a clock that is gone; only the line and its source are told again.
        (Some(kind), Some(line), Some(source)) => vec![EvidenceSignal {
            kind,
            line: line.to_owned(),
            source,
            since: None,
            confirmed: Mono(0),
            until: None,
        }],
        _ => Vec::new(),
    };
    Ok(Some(Numbered {
        seq: unsigned(row.get(0)?),
        what: Happening::Transition(Transition {
            key: key(row, 9)?,
            at: Wall(row.get(1)?),
            since: Wall(row.get(2)?),
            from: word(3)?.and_then(State::parse),
            to,
            kind,
            reason: row.get(6)?,
            evidence,
        }),
    }))
}
