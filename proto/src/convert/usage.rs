//! Usage: records with the position up to which their source was read.

use fleet_domain::ids::{SessionId, SocketName};
use fleet_domain::price::Money;
use fleet_domain::time::Wall;
use fleet_domain::usage::{Record, Terms, Tokens};

use super::scalar::name;
use super::{Invalid, bounded};
use crate::limits::{MAX_CURSOR, MAX_NAME, MAX_RECORDS, MAX_REQUESTS};
use crate::pb;

/// A validated batch: records and position become durable together.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UsageBatch {
    pub source: String,
    pub socket: SocketName,
    pub session: String,
    pub runtime: String,
    pub account: String,
    pub cursor: Vec<u8>,
    pub records: Vec<Record>,
    pub unreadable: u64,
    /// Requests whose responses it holds.
    pub requests: Vec<String>,
}

pub fn batch_to_pb(batch: &UsageBatch) -> pb::UsageBatch {
    pb::UsageBatch {
        source: batch.source.clone(),
        socket: batch.socket.as_str().to_owned(),
        session: batch.session.clone(),
        cursor: batch.cursor.clone(),
        records: batch.records.iter().map(record_to_pb).collect(),
        unreadable: batch.unreadable,
        runtime: batch.runtime.clone(),
        account: batch.account.clone(),
        requests: batch.requests.clone(),
    }
}

pub fn batch_from_pb(batch: &pb::UsageBatch) -> Result<UsageBatch, Invalid> {
    bounded("usage.records", batch.records.len(), MAX_RECORDS)?;
    bounded("usage.requests", batch.requests.len(), MAX_REQUESTS)?;
    bounded("usage.cursor", batch.cursor.len(), MAX_CURSOR)?;
    bounded("usage.source", batch.source.len(), MAX_NAME * 8)?;
    if batch.source.is_empty() {
        return Err(Invalid::Missing("usage.source"));
    }
    if batch.session.is_empty() {
        return Err(Invalid::Missing("usage.session"));
    }
    Ok(UsageBatch {
        source: batch.source.clone(),
        socket: SocketName::new(&batch.socket),
        session: name(&batch.session),
        runtime: name(&batch.runtime),
        account: name(&batch.account),
        cursor: batch.cursor.clone(),
        records: batch.records.iter().map(record_from_pb).collect::<Result<_, _>>()?,
        unreadable: batch.unreadable,
        requests: batch.requests.iter().map(name).filter(|request| !request.is_empty()).collect(),
    })
}

fn record_to_pb(record: &Record) -> pb::UsageRecord {
    pb::UsageRecord {
        id: record.id.clone(),
        conversation: record.conversation.to_string(),
        model: record.model.clone(),
        at_unix_ms: record.at.0,
        tokens: Some(tokens_to_pb(&record.tokens)),
        sidechain: record.sidechain,
        task: String::new(),
        cost_usd: record.reported.map(Money::usd),
        terms: record.terms.bits().into(),
    }
}

fn record_from_pb(record: &pb::UsageRecord) -> Result<Record, Invalid> {
    if record.id.is_empty() {
        return Err(Invalid::Missing("usage.records.id"));
    }
    bounded("usage.records.id", record.id.len(), MAX_NAME)?;
    Ok(Record {
        id: record.id.clone(),
        conversation: SessionId::new(&record.conversation),
        model: name(&record.model),
        at: Wall(record.at_unix_ms),
        tokens: record.tokens.as_ref().map(tokens_from_pb).ok_or(Invalid::Missing("usage.records.tokens"))?,
        sidechain: record.sidechain,
        terms: Terms::from_bits(record.terms),
        reported: record.cost_usd.and_then(Money::from_usd),
    })
}

pub(super) fn tokens_to_pb(tokens: &Tokens) -> pb::Tokens {
    pb::Tokens {
        input: tokens.input,
        cache_read: tokens.cache_read,
        cache_write_5m: tokens.cache_write_5m,
        cache_write_1h: tokens.cache_write_1h,
        output: tokens.output,
        reasoning: tokens.reasoning,
    }
}

/// A count above 2⁵³ is nobody's usage; it is cut there, so that sums and floats stay exact.
pub(super) fn tokens_from_pb(tokens: &pb::Tokens) -> Tokens {
    let cut = |count: u64| count.min(1 << 53);
    Tokens {
        input: cut(tokens.input),
        cache_read: cut(tokens.cache_read),
        cache_write_5m: cut(tokens.cache_write_5m),
        cache_write_1h: cut(tokens.cache_write_1h),
        output: cut(tokens.output),
        reasoning: cut(tokens.reasoning),
    }
}
