//! What was used, summed page by page: a long ledger never holds up what waits to be stored.

use fleet_domain::price::{Cost, Table};
use fleet_domain::report::{Group, Question, Report, Sum};
use fleet_domain::{AgentKey, Wall};
use rusqlite::{Connection, Row, params};

use super::row::{key, reported, terms, tokens};
use crate::store::{Place, Summed};

const PAGE: &str = "
SELECT usage.tenant, id, runtime, account, model, at_ms,
       input, cache_read, cache_write_5m, cache_write_1h, output, reasoning,
       agents.tenant, host, socket, session, terms, reported_pico, conversation
FROM usage JOIN agents USING (agent)
WHERE (usage.tenant, id) > (?1, ?2) ORDER BY usage.tenant, id LIMIT ?3";

pub(super) fn page(
    connection: &Connection,
    question: &Question,
    table: &Table,
    after: &Place,
    limit: u32,
) -> rusqlite::Result<Summed> {
    let mut statement = connection.prepare_cached(PAGE)?;
    let mut rows = statement.query(params![after.tenant, after.id, limit])?;
    let (mut report, mut last, mut count) = (Report::default(), None, 0);
    while let Some(row) = rows.next()? {
        count += 1;
        if count == limit {
            last = Some(Place { tenant: row.get(0)?, id: row.get(1)? });
        }
        let at = Wall(row.get(5)?);
        if at >= question.since {
            let sum = Sum::one(tokens(row, 6)?, cost(row, table, at)?);
            report.add(question.group(group(row)?, at), &sum);
        }
    }
    Ok(Summed { report, next: last })
}

/// As [`fleet_domain::price::cost`], without a whole record.
fn cost(row: &Row<'_>, table: &Table, at: Wall) -> rusqlite::Result<Cost> {
    if let Some(reported) = reported(row, 17)? {
        return Ok(Cost::Reported(reported));
    }
    let model = row.get_ref(4)?.as_str()?;
    Ok(table.price(model, at, &tokens(row, 6)?, terms(row, 16)?).map_or(Cost::Unknown, Cost::Priced))
}

fn group(row: &Row<'_>) -> rusqlite::Result<Group> {
    let agent: AgentKey = key(row, 12)?;
    Ok(Group {
        agent: Some(agent),
        runtime: row.get(2)?,
        account: row.get(3)?,
        model: row.get(4)?,
        session: row.get(18)?,
        ..Group::default()
    })
}
