//! Values for tests.

use std::sync::Arc;
use std::time::Duration;

use fleet_domain::ids::{AgentName, RuntimeName};
use fleet_domain::observation::{
    Beat, Evidence, HostPlanes, Native, NativeState, Observation, Pane, Process, RosterEntry, RosterPlane,
    SocketPlane, SocketState, Source, SystemdPlane, UnitState, Vantage,
};
use fleet_domain::readiness::{StuckKind, Thresholds};
use fleet_domain::{HostId, Mono, Now, SocketName, TenantId, Wall};
use fleet_proto::convert::Hello;
use jiff::tz::TimeZone;
use tokio::sync::mpsc;

use crate::hub::Hub;
use crate::meters::Meters;
use crate::store::handle::Sink;
use crate::store::{Loaded, Numbered};

/// 2026-11-21T10:00:00Z
pub(crate) const NOON: i64 = 1_795_255_200_000;

pub(crate) fn now(ms: i64) -> Now {
    Now { mono: Mono(1_000_000 + ms), wall: Wall(NOON + ms) }
}

pub(crate) fn socket() -> SocketName {
    SocketName::new("mosaic-fleet")
}

pub(crate) fn hello(vantage: Vantage, session: &str) -> Hello {
    Hello {
        tenant: TenantId::new("me"),
        host: HostId::new("box"),
        vantage,
        session: session.to_owned(),
        socket: socket(),
        version: "0.1.0".to_owned(),
        boot_id: "b".to_owned(),
        wall: Wall(NOON + 250),
        monotonic_ms: 7,
        runtime: None,
        class: None,
    }
}

pub(crate) fn seen(session: &str, state: NativeState) -> Observation {
    Observation {
        socket: socket(),
        session: session.to_owned(),
        pane: Pane::Alive {
            id: "%1".to_owned(),
            pid: 10,
            command: "claude".to_owned(),
            title: String::new(),
        },
        process: Process::Running { pid: 10, name: "claude".to_owned(), stopped: false },
        runtime: Some(RuntimeName::new("claude")),
        native: vec![Native {
            state,
            since: None,
            source: Source::StateFile,
            confirmed: Duration::ZERO,
            line: String::new(),
        }],
        evidence: Vec::new(),
        heartbeat: Some(Beat {
            age: Duration::from_secs(2),
            interval: Duration::from_secs(15),
            pid: Some(10),
            status: None,
            source: Source::StateFile,
            clock_skew: false,
        }),
        idle: Some(Duration::from_secs(3)),
        model: Some("opus".to_owned()),
        conversation: None,
        draft: None,
    }
}

pub(crate) fn stuck(session: &str) -> Observation {
    let evidence = Evidence {
        kind: StuckKind::Permission,
        line: "Do you want to proceed?".to_owned(),
        source: Source::Screen,
        since: None,
        confirmed: Duration::ZERO,
        until: None,
    };
    Observation { evidence: vec![evidence], ..seen(session, NativeState::Waiting) }
}

/// A shell that never ran anything else.
pub(crate) fn shell(session: &str) -> Observation {
    Observation {
        process: Process::Shell { name: "bash".to_owned() },
        runtime: None,
        native: Vec::new(),
        heartbeat: None,
        idle: None,
        model: None,
        ..seen(session, NativeState::Busy)
    }
}

pub(crate) fn planes(names: &[&str]) -> HostPlanes {
    let entry = |name: &&str| RosterEntry {
        name: AgentName::parse(name).unwrap(),
        runtime: RuntimeName::new("claude"),
        class: "worker".to_owned(),
        alias: None,
        model_hint: None,
        socket: socket(),
        account: Some("max-1".to_owned()),
        runs_a_shell: false,
        deviations: Vec::new(),
    };
    let unit = |name: &&str| UnitState {
        agent: (*name).to_owned(),
        active: "active".to_owned(),
        enabled: "disabled".to_owned(),
    };
    HostPlanes {
        roster: RosterPlane {
            path: "/h/roster.yaml".to_owned(),
            error: None,
            agents: names.iter().map(entry).collect(),
        },
        systemd: SystemdPlane { unavailable: None, units: names.iter().map(unit).collect() },
        sockets: vec![SocketPlane { socket: socket(), holder: "_holder".to_owned(), state: SocketState::Up }],
    }
}

pub(crate) fn hub(loaded: Loaded, sink_room: usize) -> (Hub, Arc<Meters>, mpsc::Receiver<Numbered>) {
    let meters = Arc::new(Meters::new(Wall(NOON)));
    let (sink, transitions) = Sink::for_test(sink_room);
    let hub = Hub::new(Thresholds::default(), loaded, sink, meters.clone(), TimeZone::UTC, now(0));
    (hub, meters, transitions)
}
