//! Deaths of many agents at once, numbered among the transitions.

use std::time::Duration;

use fleet_domain::fleet::{Happening, MassDeath, MassEnd};
use fleet_domain::{HostId, TenantId, Wall};
use rusqlite::{Connection, Row, Transaction, params};

use super::row::{signed, unsigned};
use crate::store::{Numbered, Past};

pub(super) fn keep(transaction: &Transaction<'_>, seq: u64, death: &MassDeath) -> rusqlite::Result<()> {
    let MassDeath { tenant, host, at, end } = death;
    let apart = end.apart.map(|apart| i64::try_from(apart.as_millis()).unwrap_or(i64::MAX));
    transaction
        .prepare_cached(
            "INSERT INTO mass_deaths (seq, tenant, host, at_ms, agents, apart_ms) VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
        )?
        // A name holds no space.
        .execute(params![signed(seq), tenant.as_str(), host.as_str(), at.0, end.agents.join(" "), apart])?;
    Ok(())
}

/// They are few: whose they are is asked of each.
pub(super) fn page(
    connection: &Connection,
    past: &Past,
    after: u64,
    limit: u32,
) -> rusqlite::Result<Vec<Numbered>> {
    let mut statement = connection.prepare_cached(
        "SELECT seq, tenant, host, at_ms, agents, apart_ms FROM mass_deaths
         WHERE seq > ?1 AND seq <= ?2 AND at_ms >= ?3 ORDER BY seq",
    )?;
    let rows = statement.query_map(params![signed(after), signed(past.up_to), past.since.0], numbered)?;
    let wanted = |row: &rusqlite::Result<Numbered>| {
        let covers =
            |numbered: &Numbered| past.whose.as_ref().is_none_or(|whose| whose.covers(&numbered.what));
        row.as_ref().map_or(true, covers)
    };
    rows.filter(wanted).take(usize::try_from(limit).unwrap_or(usize::MAX)).collect()
}

pub(super) fn prune(connection: &Connection, before: Wall) -> rusqlite::Result<usize> {
    connection.prepare_cached("DELETE FROM mass_deaths WHERE at_ms < ?1")?.execute([before.0])
}

fn numbered(row: &Row<'_>) -> rusqlite::Result<Numbered> {
    let apart: Option<i64> = row.get(5)?;
    let end = MassEnd {
        agents: row.get_ref(4)?.as_str()?.split(' ').map(str::to_owned).collect(),
        apart: apart.map(|apart| Duration::from_millis(unsigned(apart))),
    };
    let death = MassDeath {
        tenant: TenantId::new(row.get_ref(1)?.as_str()?),
        host: HostId::new(row.get_ref(2)?.as_str()?),
        at: Wall(row.get(3)?),
        end,
    };
    Ok(Numbered { seq: unsigned(row.get(0)?), what: Happening::MassDeath(death) })
}
