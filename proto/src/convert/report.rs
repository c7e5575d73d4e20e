//! The messages of a Report stream, as values: who reports, what it says, and what it is answered.

use std::time::Duration;

use fleet_domain::fleet::{MAX_SESSIONS_PER_HOST, MassEnd};
use fleet_domain::ids::{AgentName, HostId, RuntimeName, SocketName, TenantId};
use fleet_domain::limits::Reading;
use fleet_domain::observation::{HostPlanes, Observation, Vantage};
use fleet_domain::text;
use fleet_domain::time::Wall;

use super::scalar::{name, some, vantage_from_pb};
use super::{
    Invalid, UsageBatch, batch_from_pb, batch_to_pb, bounded, observation_from_pb, observation_to_pb,
    planes_from_pb, planes_to_pb, readings_from_pb, readings_to_pb,
};
use crate::limits::{MAX_CURSOR, MAX_NAME};
use crate::pb;

const MAX_REASON: usize = 64;

/// Who reports, and with which clocks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hello {
    pub tenant: TenantId,
    pub host: HostId,
    pub vantage: Vantage,
    /// Of an agent's own sidecar: its session on `socket`. Empty of a host-wide one.
    pub session: String,
    pub socket: SocketName,
    pub version: String,
    pub boot_id: String,
    /// The sender's clocks at the sending.
    pub wall: Wall,
    pub monotonic_ms: u64,
    pub runtime: Option<RuntimeName>,
    pub class: Option<String>,
}

/// One message upward.
#[derive(Debug, Clone, PartialEq)]
pub enum Report {
    Hello(Hello),
    Observed(Observation),
    Planes(HostPlanes),
    Usage(UsageBatch),
    /// Windows of accounts that a runtime told of.
    Limits(Vec<Reading>),
    /// Many agents ended at once.
    MassEnd(MassEnd),
    /// Where to go on in this source?
    CursorQuery {
        source: String,
    },
    /// Let go by the sender, with its reason.
    Dropped {
        reason: String,
        count: u64,
    },
    /// Taken in for later use; nothing reads it yet.
    NativeEvent,
    /// As [`Report::NativeEvent`].
    Receipt,
    /// The end is on purpose.
    Goodbye,
}

/// Whose report a message is, where it is not the Hello's.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Origin {
    pub tenant: TenantId,
    pub host: HostId,
}

/// One message downward.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answer {
    Welcome {
        version: String,
    },
    /// This much of the source is durable; an empty cursor is a source never read.
    Cursor {
        source: String,
        cursor: Vec<u8>,
    },
}

pub fn report_from_pb(request: &pb::ReportRequest) -> Result<(Option<Origin>, Report), Invalid> {
    use pb::report_request::Message;
    let origin = request
        .origin
        .as_ref()
        .map(|origin| Origin { tenant: TenantId::new(&origin.tenant_id), host: HostId::new(&origin.host) });
    let report = match request.message.as_ref().ok_or(Invalid::Missing("message"))? {
        Message::Hello(hello) => Report::Hello(hello_from_pb(hello)?),
        Message::Observation(seen) => Report::Observed(observation_from_pb(seen)?),
        Message::Planes(planes) => Report::Planes(planes_from_pb(planes)?),
        Message::Usage(batch) => Report::Usage(batch_from_pb(batch)?),
        Message::Limits(limits) => Report::Limits(readings_from_pb(limits)?),
        Message::MassEnd(end) => Report::MassEnd(mass_end_from_pb(end)?),
        Message::CursorQuery(query) => Report::CursorQuery { source: source(&query.source)? },
        Message::NativeEvent(_) => Report::NativeEvent,
        Message::Receipt(_) => Report::Receipt,
        Message::Dropped(dropped) => {
            Report::Dropped { reason: text::clean(&dropped.reason, MAX_REASON), count: dropped.count }
        }
        Message::Goodbye(_) => Report::Goodbye,
    };
    Ok((origin, report))
}

/// For a sender; what nothing sends yet has no value here.
pub fn report_to_pb(report: &Report) -> pb::ReportRequest {
    use pb::report_request::Message;
    let message = match report {
        Report::Hello(hello) => Some(Message::Hello(hello_to_pb(hello))),
        Report::Observed(seen) => Some(Message::Observation(observation_to_pb(seen))),
        Report::Planes(planes) => Some(Message::Planes(planes_to_pb(planes))),
        Report::Usage(batch) => Some(Message::Usage(batch_to_pb(batch))),
        Report::Limits(readings) => Some(Message::Limits(readings_to_pb(readings))),
        Report::MassEnd(end) => Some(Message::MassEnd(mass_end_to_pb(end))),
        Report::CursorQuery { source } => {
            Some(Message::CursorQuery(pb::CursorQuery { source: source.clone() }))
        }
        Report::Dropped { reason, count } => {
            Some(Message::Dropped(pb::Dropped { reason: reason.clone(), count: *count }))
        }
        Report::Goodbye => Some(Message::Goodbye(pb::Goodbye {})),
        Report::NativeEvent | Report::Receipt => None,
    };
    pb::ReportRequest { origin: None, message }
}

pub fn mass_end_from_pb(end: &pb::MassEnd) -> Result<MassEnd, Invalid> {
    const FIELD: &str = "mass_end.agents";
    bounded(FIELD, end.agents.len(), MAX_SESSIONS_PER_HOST)?;
    let name = |name: &String| AgentName::parse(name).map(|name| name.to_string());
    let mut agents: Vec<String> = end
        .agents
        .iter()
        .map(name)
        .collect::<Result<_, _>>()
        .map_err(|error| Invalid::Bad { field: FIELD, why: error.to_string() })?;
    agents.sort();
    agents.dedup();
    if agents.is_empty() {
        return Err(Invalid::Missing(FIELD));
    }
    Ok(MassEnd { agents, apart: end.apart_ms.map(Duration::from_millis) })
}

pub fn mass_end_to_pb(end: &MassEnd) -> pb::MassEnd {
    let apart_ms = end.apart.map(|apart| u64::try_from(apart.as_millis()).unwrap_or(u64::MAX));
    pb::MassEnd { agents: end.agents.clone(), apart_ms }
}

fn hello_from_pb(hello: &pb::Hello) -> Result<Hello, Invalid> {
    let tenant = TenantId::new(&hello.tenant_id);
    let host = HostId::new(&hello.host);
    let vantage = vantage_from_pb(hello.vantage)?;
    if tenant.is_empty() {
        return Err(Invalid::Missing("hello.tenant_id"));
    }
    if host.is_empty() {
        return Err(Invalid::Missing("hello.host"));
    }
    if vantage == Vantage::Agent && hello.session.is_empty() {
        return Err(Invalid::Missing("hello.session"));
    }
    Ok(Hello {
        tenant,
        host,
        vantage,
        session: name(&hello.session),
        socket: SocketName::new(&hello.socket),
        version: text::clean(&hello.version, MAX_REASON),
        boot_id: text::clean(&hello.boot_id, MAX_REASON),
        wall: Wall(hello.wall_unix_ms),
        monotonic_ms: hello.monotonic_ms,
        runtime: some(&hello.runtime).map(|runtime| RuntimeName::new(&runtime)),
        class: some(&hello.class),
    })
}

fn hello_to_pb(hello: &Hello) -> pb::Hello {
    pb::Hello {
        tenant_id: hello.tenant.to_string(),
        host: hello.host.to_string(),
        vantage: match hello.vantage {
            Vantage::Host => pb::Vantage::Host,
            Vantage::Agent => pb::Vantage::Agent,
        } as i32,
        session: hello.session.clone(),
        socket: hello.socket.as_str().to_owned(),
        version: hello.version.clone(),
        boot_id: hello.boot_id.clone(),
        wall_unix_ms: hello.wall.0,
        monotonic_ms: hello.monotonic_ms,
        runtime: hello.runtime.as_ref().map(ToString::to_string).unwrap_or_default(),
        class: hello.class.clone().unwrap_or_default(),
    }
}

pub fn answer_to_pb(answer: &Answer) -> pb::ReportResponse {
    use pb::report_response::Message;
    let message = match answer {
        Answer::Welcome { version } => Message::Welcome(pb::Welcome {
            version: version.clone(),
            settings: Some(pb::Settings::default()),
        }),
        Answer::Cursor { source, cursor } => {
            Message::Cursor(pb::CursorAck { source: source.clone(), cursor: cursor.clone() })
        }
    };
    pb::ReportResponse { message: Some(message) }
}

/// `None`: a message of a later version, or one that this version does not act on.
pub fn answer_from_pb(response: &pb::ReportResponse) -> Result<Option<Answer>, Invalid> {
    use pb::report_response::Message;
    Ok(match response.message.as_ref() {
        Some(Message::Welcome(welcome)) => {
            Some(Answer::Welcome { version: text::clean(&welcome.version, MAX_REASON) })
        }
        Some(Message::Cursor(ack)) => {
            bounded("cursor.cursor", ack.cursor.len(), MAX_CURSOR)?;
            Some(Answer::Cursor { source: source(&ack.source)?, cursor: ack.cursor.clone() })
        }
        Some(Message::Command(_) | Message::Settings(_)) | None => None,
    })
}

/// Opaque, and so taken as it is.
fn source(source: &str) -> Result<String, Invalid> {
    bounded("source", source.len(), MAX_NAME * 8)?;
    if source.is_empty() { Err(Invalid::Missing("source")) } else { Ok(source.to_owned()) }
}
