//! What was used, summed page by page: a long ledger never holds up what waits to be stored.

use fleet_domain::price::{Cost, Table};
use fleet_domain::report::{By, Group, Question, Report, Sum};
use fleet_domain::stint::Stints;
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

/// What is of today is found without a look at the years before.
const SINCE: &str = "
SELECT usage.tenant, id, runtime, account, model, at_ms,
       input, cache_read, cache_write_5m, cache_write_1h, output, reasoning,
       agents.tenant, host, socket, session, terms, reported_pico, conversation
FROM usage INDEXED BY usage_by_time JOIN agents USING (agent)
WHERE (at_ms, usage.tenant, id) > (?4, ?1, ?2) ORDER BY at_ms, usage.tenant, id LIMIT ?3";

pub(super) fn page(
    connection: &Connection,
    question: &Question,
    table: &Table,
    after: &Place,
    limit: u32,
) -> rusqlite::Result<Summed> {
    let mut statement = connection.prepare_cached(if question.since.0 > 0 { SINCE } else { PAGE })?;
    let mut rows = match question.since.0 {
        since @ 1.. => statement.query(params![after.tenant, after.id, limit, after.at.0.max(since)])?,
        _ => statement.query(params![after.tenant, after.id, limit])?,
    };
    if let Some(place) = after.rolled {
        return rolled(connection, question, place, limit);
    }
    let by_task = question.by.contains(&By::Task);
    let stints = if by_task { super::budget::stints(connection)? } else { Stints::default() };
    let (mut report, mut last, mut count) = (Report::default(), None, 0);
    while let Some(row) = rows.next()? {
        count += 1;
        if count == limit {
            last = Some(Place { tenant: row.get(0)?, id: row.get(1)?, at: Wall(row.get(5)?), rolled: None });
        }
        let at = Wall(row.get(5)?);
        if at >= question.since {
            let sum = Sum::one(tokens(row, 6)?, cost(row, table, at)?);
            report.add(question.group(group(row, at, &stints)?, at), &sum);
        }
    }
    let all = Place { rolled: Some((i64::MIN, 0, 0)), ..Place::default() };
    let next = match last {
        None if connection.prepare_cached("SELECT 1 FROM rolled LIMIT 1")?.exists([])? => Some(all),
        last => last,
    };
    Ok(Summed { report, next, rolls: super::rolled::times(connection)? })
}

const ROLLED: &str = "
SELECT kind, span_ms, at_ms, responses, input, cache_read, cache_write_5m, cache_write_1h, output, reasoning,
       reported_pico, priced_pico, by_report, by_price,
       runtime, account, model, conversation, task, agents.tenant, host, socket, session
FROM rolled JOIN rolled_kinds USING (kind) JOIN agents USING (agent)
WHERE (kind, span_ms, at_ms) > (?1, ?2, ?3) ORDER BY kind, span_ms, at_ms LIMIT ?4";

/// The same for what was rolled up. It stands in the middle of its time: a day of UTC in the reader's day of that date.
fn rolled(
    connection: &Connection,
    question: &Question,
    after: (i64, i64, i64),
    limit: u32,
) -> rusqlite::Result<Summed> {
    let mut statement = connection.prepare_cached(ROLLED)?;
    let mut rows = statement.query(params![after.0, after.1, after.2, limit])?;
    let (mut report, mut last, mut count) = (Report::default(), None, 0);
    while let Some(row) = rows.next()? {
        count += 1;
        let (kind, span, begin) = (row.get(0)?, row.get(1)?, row.get::<_, i64>(2)?);
        if count == limit {
            last = Some(Place { rolled: Some((kind, span, begin)), ..Place::default() });
        }
        let at = Wall(begin.saturating_add(span / 2));
        if at >= question.since {
            let group = Group {
                agent: Some(key(row, 19)?),
                runtime: row.get(14)?,
                account: row.get(15)?,
                model: row.get(16)?,
                session: row.get(17)?,
                task: row.get(18).map(|task: String| Some(task).filter(|task| !task.is_empty()))?,
                ..Group::default()
            };
            report.add(question.group(group, at), &super::rolled::sum(row, 3)?);
        }
    }
    Ok(Summed { report, next: last, rolls: super::rolled::times(connection)? })
}

/// As [`fleet_domain::price::cost`], without a whole record.
fn cost(row: &Row<'_>, table: &Table, at: Wall) -> rusqlite::Result<Cost> {
    if let Some(reported) = reported(row, 17)? {
        return Ok(Cost::Reported(reported));
    }
    let model = row.get_ref(4)?.as_str()?;
    Ok(table.price(model, at, &tokens(row, 6)?, terms(row, 16)?).map_or(Cost::Unknown, Cost::Priced))
}

fn group(row: &Row<'_>, at: Wall, stints: &Stints) -> rusqlite::Result<Group> {
    let agent: AgentKey = key(row, 12)?;
    Ok(Group {
        task: stints.task(agent.tenant.as_str(), &agent.session, at).map(str::to_owned),
        agent: Some(agent),
        runtime: row.get(2)?,
        account: row.get(3)?,
        model: row.get(4)?,
        session: row.get(18)?,
        ..Group::default()
    })
}
