//! Observations and a host's planes.

use fleet_domain::drift::{Deviation, Kind};
use fleet_domain::ids::{AgentName, RuntimeName, SessionId, SocketName};
use fleet_domain::observation::{
    Beat, Evidence, HostPlanes, Native, NativeState, Observation, Pane, Process, RosterEntry, RosterPlane,
    SocketPlane, SocketState, Source, SystemdPlane, UnitState,
};
use fleet_domain::text;
use fleet_domain::time::Wall;

use super::scalar::{
    duration, kind_from_pb, kind_to_pb, ms, name, some, source_from_pb, source_to_pb, status_from_pb,
    status_to_pb,
};
use super::{Invalid, bounded};
use crate::limits::{MAX_ENTRIES, MAX_EVIDENCE, MAX_LINE};
use crate::pb;

pub fn observation_to_pb(seen: &Observation) -> pb::Observation {
    pb::Observation {
        socket: seen.socket.as_str().to_owned(),
        session: seen.session.clone(),
        pane: Some(pane_to_pb(&seen.pane)),
        process: process_to_pb(&seen.process),
        runtime: seen.runtime.as_ref().map(ToString::to_string).unwrap_or_default(),
        native: seen
            .native
            .iter()
            .take(MAX_EVIDENCE)
            .map(|native| pb::Native {
                state: native_to_pb(native.state) as i32,
                since_ms: native.since.map(ms),
                source: source_to_pb(Some(native.source)),
                confirmed_ms: ms(native.confirmed),
                line: text::clean(&native.line, MAX_LINE),
            })
            .collect(),
        evidence: seen.evidence.iter().take(MAX_EVIDENCE).map(evidence_to_pb).collect(),
        heartbeat: seen.heartbeat.as_ref().map(|beat| pb::Beat {
            age_ms: ms(beat.age),
            interval_ms: ms(beat.interval),
            pid: beat.pid.unwrap_or(0),
            status: status_to_pb(beat.status),
            source: source_to_pb(Some(beat.source)),
            clock_skew: beat.clock_skew,
        }),
        idle_ms: seen.idle.map(ms),
        model: seen.model.clone().unwrap_or_default(),
        conversation: seen.conversation.as_ref().map(ToString::to_string).unwrap_or_default(),
        draft: seen.draft,
    }
}

pub fn observation_from_pb(seen: &pb::Observation) -> Result<Observation, Invalid> {
    bounded("evidence", seen.evidence.len(), MAX_EVIDENCE)?;
    bounded("native", seen.native.len(), MAX_EVIDENCE)?;
    if seen.session.is_empty() {
        return Err(Invalid::Missing("session"));
    }
    Ok(Observation {
        socket: SocketName::new(&seen.socket),
        session: name(&seen.session),
        pane: pane_from_pb(seen.pane.as_ref())?,
        process: process_from_pb(seen.process.as_ref()),
        runtime: some(&seen.runtime).map(|runtime| RuntimeName::new(&runtime)),
        native: seen.native.iter().filter_map(told_from_pb).collect(),
        evidence: seen.evidence.iter().filter_map(evidence_from_pb).collect(),
        heartbeat: seen.heartbeat.as_ref().map(beat_from_pb).transpose()?,
        idle: seen.idle_ms.map(duration),
        model: some(&seen.model),
        conversation: some(&seen.conversation).map(|id| SessionId::new(&id)),
        draft: seen.draft,
    })
}

/// A state or source of a later version is passed over.
fn told_from_pb(native: &pb::Native) -> Option<Native> {
    Some(Native {
        state: native_from_pb(native.state)?,
        since: native.since_ms.map(duration),
        source: source_from_pb(native.source)?,
        confirmed: duration(native.confirmed_ms),
        line: text::clean(&native.line, MAX_LINE),
    })
}

fn beat_from_pb(beat: &pb::Beat) -> Result<Beat, Invalid> {
    if beat.interval_ms == 0 {
        return Err(Invalid::Missing("heartbeat.interval_ms"));
    }
    Ok(Beat {
        age: duration(beat.age_ms),
        interval: duration(beat.interval_ms),
        pid: (beat.pid > 0).then_some(beat.pid),
        status: status_from_pb(beat.status),
        source: source_from_pb(beat.source).unwrap_or(Source::Process),
        clock_skew: beat.clock_skew,
    })
}

fn evidence_to_pb(evidence: &Evidence) -> pb::Evidence {
    pb::Evidence {
        kind: kind_to_pb(Some(evidence.kind)) as i32,
        line: text::clean(&evidence.line, MAX_LINE),
        source: source_to_pb(Some(evidence.source)),
        since_ms: evidence.since.map(ms),
        confirmed_ms: ms(evidence.confirmed),
        until_unix_ms: evidence.until.map(|until| until.0),
    }
}

/// A kind of a later version is passed over: it must not hide the rest.
fn evidence_from_pb(evidence: &pb::Evidence) -> Option<Evidence> {
    Some(Evidence {
        kind: kind_from_pb(evidence.kind)?,
        line: text::clean(&evidence.line, MAX_LINE),
        source: source_from_pb(evidence.source)?,
        since: evidence.since_ms.map(duration),
        confirmed: duration(evidence.confirmed_ms),
        until: evidence.until_unix_ms.map(Wall),
    })
}

fn pane_to_pb(pane: &Pane) -> pb::Pane {
    use pb::pane::State;
    pb::Pane {
        state: Some(match pane {
            Pane::Alive { id, pid, command, title } => State::Alive(pb::AlivePane {
                id: id.clone(),
                pid: *pid,
                command: command.clone(),
                title: title.clone(),
            }),
            Pane::Dead { status, signal } => State::Dead(pb::DeadPane { status: *status, signal: *signal }),
            Pane::Gone => State::Gone(pb::GonePane {}),
            Pane::Unreachable { why } => State::Unreachable(pb::UnreachablePane { why: why.clone() }),
        }),
    }
}

fn pane_from_pb(pane: Option<&pb::Pane>) -> Result<Pane, Invalid> {
    use pb::pane::State;
    Ok(match pane.and_then(|pane| pane.state.as_ref()).ok_or(Invalid::Missing("pane"))? {
        State::Alive(alive) => Pane::Alive {
            id: name(&alive.id),
            pid: alive.pid,
            command: name(&alive.command),
            title: name(&alive.title),
        },
        State::Dead(dead) => Pane::Dead { status: dead.status, signal: dead.signal },
        State::Gone(_) => Pane::Gone,
        State::Unreachable(unreachable) => Pane::Unreachable { why: text::clean(&unreachable.why, MAX_LINE) },
    })
}

fn process_to_pb(process: &Process) -> Option<pb::Process> {
    use pb::process::State;
    let state = match process {
        Process::Running { pid, name, stopped } => {
            State::Running(pb::RunningProcess { pid: *pid, name: name.clone(), stopped: *stopped })
        }
        Process::Shell { name } => State::Shell(pb::ShellProcess { name: name.clone() }),
        Process::Exited => State::Exited(pb::ExitedProcess {}),
        Process::Unknown => return None,
    };
    Some(pb::Process { state: Some(state) })
}

fn process_from_pb(process: Option<&pb::Process>) -> Process {
    use pb::process::State;
    match process.and_then(|process| process.state.as_ref()) {
        Some(State::Running(running)) => {
            Process::Running { pid: running.pid, name: name(&running.name), stopped: running.stopped }
        }
        Some(State::Shell(shell)) => Process::Shell { name: name(&shell.name) },
        Some(State::Exited(_)) => Process::Exited,
        None => Process::Unknown,
    }
}

fn native_to_pb(state: NativeState) -> pb::NativeState {
    match state {
        NativeState::Busy => pb::NativeState::Busy,
        NativeState::Retrying => pb::NativeState::Retrying,
        NativeState::Background => pb::NativeState::Background,
        NativeState::TurnEnded => pb::NativeState::TurnEnded,
        NativeState::Waiting => pb::NativeState::Waiting,
    }
}

fn native_from_pb(state: i32) -> Option<NativeState> {
    match pb::NativeState::try_from(state).ok()? {
        pb::NativeState::Unspecified => None,
        pb::NativeState::Busy => Some(NativeState::Busy),
        pb::NativeState::Retrying => Some(NativeState::Retrying),
        pb::NativeState::Background => Some(NativeState::Background),
        pb::NativeState::TurnEnded => Some(NativeState::TurnEnded),
        pb::NativeState::Waiting => Some(NativeState::Waiting),
    }
}

pub fn planes_to_pb(planes: &HostPlanes) -> pb::HostPlanes {
    let text = |value: &Option<String>| value.clone().unwrap_or_default();
    pb::HostPlanes {
        roster: Some(pb::RosterPlane {
            path: planes.roster.path.clone(),
            error: planes.roster.error.clone(),
            agents: planes
                .roster
                .agents
                .iter()
                .map(|entry| pb::RosterEntry {
                    name: entry.name.to_string(),
                    runtime: entry.runtime.to_string(),
                    class: entry.class.clone(),
                    alias: text(&entry.alias),
                    model_hint: text(&entry.model_hint),
                    socket: entry.socket.as_str().to_owned(),
                    account: text(&entry.account),
                    runs_a_shell: entry.runs_a_shell,
                    deviations: entry.deviations.iter().map(deviation_to_pb).collect(),
                })
                .collect(),
        }),
        systemd: Some(pb::SystemdPlane {
            unavailable: planes.systemd.unavailable.clone(),
            units: planes
                .systemd
                .units
                .iter()
                .map(|unit| pb::UnitState {
                    agent: unit.agent.clone(),
                    active: unit.active.clone(),
                    enabled: unit.enabled.clone(),
                })
                .collect(),
        }),
        sockets: planes.sockets.iter().map(socket_to_pb).collect(),
    }
}

fn socket_to_pb(plane: &SocketPlane) -> pb::SocketPlane {
    let (state, why) = match &plane.state {
        SocketState::Up => (pb::SocketState::Up, String::new()),
        SocketState::Down => (pb::SocketState::Down, String::new()),
        SocketState::Unreachable { why } => (pb::SocketState::Unreachable, why.clone()),
    };
    pb::SocketPlane {
        socket: plane.socket.as_str().to_owned(),
        holder: plane.holder.clone(),
        state: state as i32,
        why,
    }
}

pub fn planes_from_pb(planes: &pb::HostPlanes) -> Result<HostPlanes, Invalid> {
    let roster = planes.roster.clone().unwrap_or_default();
    let systemd = planes.systemd.clone().unwrap_or_default();
    bounded("roster.agents", roster.agents.len(), MAX_ENTRIES)?;
    bounded("systemd.units", systemd.units.len(), MAX_ENTRIES)?;
    bounded("sockets", planes.sockets.len(), MAX_ENTRIES)?;
    Ok(HostPlanes {
        roster: RosterPlane {
            path: name(&roster.path),
            error: roster.error.map(|error| text::clean(&error, 2000)),
            agents: roster.agents.iter().map(entry_from_pb).collect::<Result<_, _>>()?,
        },
        systemd: SystemdPlane {
            unavailable: systemd.unavailable.map(|why| text::clean(&why, MAX_LINE)),
            units: systemd
                .units
                .iter()
                .map(|unit| UnitState {
                    agent: name(&unit.agent),
                    active: name(&unit.active),
                    enabled: name(&unit.enabled),
                })
                .collect(),
        },
        sockets: planes.sockets.iter().map(socket_from_pb).collect(),
    })
}

fn entry_from_pb(entry: &pb::RosterEntry) -> Result<RosterEntry, Invalid> {
    let bad = |why: String| Invalid::Bad { field: "roster.agents.name", why };
    Ok(RosterEntry {
        name: AgentName::parse(&entry.name).map_err(|error| bad(error.to_string()))?,
        runtime: RuntimeName::new(&entry.runtime),
        class: name(&entry.class),
        alias: some(&entry.alias),
        model_hint: some(&entry.model_hint),
        socket: SocketName::new(&entry.socket),
        account: some(&entry.account),
        runs_a_shell: entry.runs_a_shell,
        // A kind of a newer sender's is none that could be shown.
        deviations: entry.deviations.iter().filter_map(deviation_from_pb).collect(),
    })
}

fn deviation_to_pb(deviation: &Deviation) -> pb::Deviation {
    pb::Deviation { kind: deviation.kind.as_str().to_owned(), detail: deviation.detail.clone() }
}

fn deviation_from_pb(deviation: &pb::Deviation) -> Option<Deviation> {
    let kind = Kind::parse(&deviation.kind)?;
    Some(Deviation { kind, detail: text::clean(&deviation.detail, MAX_LINE) })
}

fn socket_from_pb(plane: &pb::SocketPlane) -> SocketPlane {
    let state = match pb::SocketState::try_from(plane.state) {
        Ok(pb::SocketState::Up) => SocketState::Up,
        Ok(pb::SocketState::Down) => SocketState::Down,
        _ => SocketState::Unreachable { why: text::clean(&plane.why, MAX_LINE) },
    };
    SocketPlane { socket: SocketName::new(&plane.socket), holder: name(&plane.holder), state }
}
