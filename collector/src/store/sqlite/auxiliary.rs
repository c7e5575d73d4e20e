//! Usage that a runtime told by telemetry: calls that no transcript holds, and calls that one does, which must not count
//! twice in whatever order the two come.
//!
//! What telemetry tells is booked as a row of its own and remembered under what a transcript would know it by: the request
//! (Claude Code), or the conversation as a whole (Codex, whose rollouts miss no response). Once a transcript shows that, the
//! row is taken back, or was never booked. A conversation that no transcript knows yet is nobody's until one does.

use std::collections::BTreeSet;

use fleet_domain::usage::{Change, Record, Tokens, UNATTRIBUTED, merge};
use fleet_domain::{AgentKey, SocketName, Wall};
use rusqlite::{OptionalExtension, Transaction, params};

use super::usage::{Known, Row, known, put};
use super::{Ids, Sums};
use crate::store::{AuxiliaryWrite, Booked, Join, UsageWrite};

/// One transaction's view of it.
pub(super) struct Ledger<'t, 'c, 'p> {
    pub(super) transaction: &'t Transaction<'c>,
    pub(super) ids: &'t mut Ids,
    pub(super) sums: &'t mut Sums<'p>,
    pub(super) tenant: &'t str,
    pub(super) received: Wall,
    pub(super) booked: Vec<Booked>,
}

impl Ledger<'_, '_, '_> {
    /// What telemetry told.
    pub(super) fn auxiliary(&mut self, write: &AuxiliaryWrite) -> rusqlite::Result<()> {
        for told in &write.told {
            if self.is_told(&told.join)? {
                continue;
            }
            let conversation = told.record.conversation.as_str();
            let home = self.conversation(conversation)?;
            let floating = home.is_none();
            let (owner, account) = match home {
                Some(home) => home,
                None => (self.nobody(write)?, told.account.clone()),
            };
            let seen = known(self.transaction, self.tenant, &told.record.id)?;
            let owner = seen.as_ref().map_or(owner, |seen| seen.owner);
            if let Some(change) = merge(seen.as_ref().map(|seen| &seen.record), &told.record) {
                seen.map_or(Ok(()), |seen| seen.to_row(self.transaction, self.tenant))?;
                let row = Row { tenant: self.tenant, owner, runtime: &told.runtime, account: &account };
                put(self.transaction, &row, &change.plus)?;
                self.change(owner, change)?;
            }
            self.remember(&key(&told.join), &told.record.id)?;
            if floating {
                self.remember(&format!("of:{conversation}"), &told.record.id)?;
            }
        }
        Ok(())
    }

    /// What a transcript shows: rows of telemetry that it replaces are taken back, those that were nobody's are the reader's.
    pub(super) fn shown(&mut self, write: &UsageWrite, reader: i64) -> rusqlite::Result<()> {
        for request in &write.batch.requests {
            let new = self
                .transaction
                .prepare_cached("INSERT INTO requests (tenant, request, at_ms) VALUES (?1, ?2, ?3) ON CONFLICT DO NOTHING")?
                .execute(params![self.tenant, request, self.received.0])?;
            if new > 0 {
                self.retract_all(&key(&Join::Request(request.clone())))?;
            }
        }
        let conversations: BTreeSet<&str> = write
            .batch
            .records
            .iter()
            .map(|record| record.conversation.as_str())
            .filter(|id| !id.is_empty())
            .collect();
        for conversation in conversations {
            let new = self
                .transaction
                .prepare_cached(
                    "INSERT INTO conversations (tenant, conversation, agent, account) VALUES (?1, ?2, ?3, ?4)
                     ON CONFLICT DO NOTHING",
                )?
                .execute(params![self.tenant, conversation, reader, write.batch.account])?;
            if new > 0 {
                self.retract_all(&key(&Join::Conversation(conversation.to_owned())))?;
                self.settle(conversation, reader, &write.batch.account)?;
            }
        }
        Ok(())
    }

    fn is_told(&self, join: &Join) -> rusqlite::Result<bool> {
        let (sql, id) = match join {
            Join::Request(id) => ("SELECT 1 FROM requests WHERE tenant = ?1 AND request = ?2", id),
            Join::Conversation(id) => {
                ("SELECT 1 FROM conversations WHERE tenant = ?1 AND conversation = ?2", id)
            }
        };
        self.transaction.prepare_cached(sql)?.exists([self.tenant, id])
    }

    fn conversation(&self, id: &str) -> rusqlite::Result<Option<(i64, String)>> {
        self.transaction
            .prepare_cached(
                "SELECT agent, account FROM conversations WHERE tenant = ?1 AND conversation = ?2",
            )?
            .query_row([self.tenant, id], |row| Ok((row.get(0)?, row.get(1)?)))
            .optional()
    }

    fn nobody(&mut self, write: &AuxiliaryWrite) -> rusqlite::Result<i64> {
        let key = AgentKey::new(
            write.tenant.clone(),
            write.host.clone(),
            SocketName::default_server(),
            UNATTRIBUTED,
        );
        let id = self.ids.of(self.transaction, &key)?;
        self.sums.active(id, self.received, None);
        Ok(id)
    }

    fn remember(&self, key: &str, id: &str) -> rusqlite::Result<()> {
        self.transaction
            .prepare_cached("INSERT INTO auxiliary (tenant, key, id, at_ms) VALUES (?1, ?2, ?3, ?4) ON CONFLICT DO NOTHING")?
            .execute(params![self.tenant, key, id, self.received.0])?;
        Ok(())
    }

    /// The rows remembered under a key, which is then forgotten.
    fn recall(&self, key: &str) -> rusqlite::Result<Vec<String>> {
        let mut statement = self
            .transaction
            .prepare_cached("DELETE FROM auxiliary WHERE tenant = ?1 AND key = ?2 RETURNING id")?;
        let ids = statement.query_map([self.tenant, key], |row| row.get(0))?;
        ids.collect()
    }

    fn retract_all(&mut self, key: &str) -> rusqlite::Result<()> {
        for id in self.recall(key)? {
            if let Some(known) = known(self.transaction, self.tenant, &id)? {
                known.to_row(self.transaction, self.tenant)?;
                self.transaction
                    .prepare_cached("DELETE FROM usage WHERE tenant = ?1 AND id = ?2")?
                    .execute([self.tenant, &id])?;
                self.change(known.owner, emptied(known.record))?;
            }
        }
        Ok(())
    }

    /// What was nobody's becomes the conversation's agent's.
    fn settle(&mut self, conversation: &str, agent: i64, account: &str) -> rusqlite::Result<()> {
        for id in self.recall(&format!("of:{conversation}"))? {
            let Some(known) = known(self.transaction, self.tenant, &id)? else { continue };
            known.to_row(self.transaction, self.tenant)?;
            let Known { owner, record, .. } = known;
            self.transaction
                .prepare_cached("UPDATE usage SET agent = ?3, account = ?4 WHERE tenant = ?1 AND id = ?2")?
                .execute(params![self.tenant, id, agent, account])?;
            self.change(owner, emptied(record.clone()))?;
            self.change(agent, Change { minus: None, plus: record })?;
        }
        Ok(())
    }

    pub(super) fn change(&mut self, owner: i64, change: Change) -> rusqlite::Result<()> {
        self.sums.conversation(self.tenant, &change);
        let spent = self.sums.usage(owner, &change, self.received);
        self.booked.push(Booked { owner: self.ids.key(self.transaction, owner)?, change, spent });
        Ok(())
    }
}

pub(super) fn prune(connection: &rusqlite::Connection, before: Wall) -> rusqlite::Result<usize> {
    let gone = connection.execute("DELETE FROM requests WHERE at_ms < ?1", [before.0])?;
    Ok(gone + connection.execute("DELETE FROM auxiliary WHERE at_ms < ?1", [before.0])?)
}

fn emptied(record: Record) -> Change {
    Change { plus: Record { tokens: Tokens::default(), ..record.clone() }, minus: Some(record) }
}

fn key(join: &Join) -> String {
    match join {
        Join::Request(id) => format!("request:{id}"),
        Join::Conversation(id) => format!("conversation:{id}"),
    }
}
