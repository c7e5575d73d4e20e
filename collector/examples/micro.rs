#![allow(clippy::all, dead_code, unused_imports)]
use std::time::{Duration, Instant};
use fleet_domain::ids::{AgentName, RuntimeName, SessionId};
use fleet_domain::observation::*;
use fleet_domain::usage::*;
use fleet_domain::*;
use fleet_domain::fleet::*;
use fleet_domain::readiness::Thresholds;
use fleet_proto::convert::{UsageBatch, agent_to_pb};
use fleet_proto::pb;
fn socket() -> SocketName {
    SocketName::new("mosaic-fleet")
}

fn observation(n: usize, state: NativeState) -> Observation {
    Observation {
        socket: socket(),
        session: format!("agent-{n:05}"),
        pane: Pane::Alive {
            id: format!("%{n}"),
            pid: 10,
            command: "claude".to_owned(),
            title: "✳ Refactor the parser".to_owned(),
        },
        process: Process::Running { pid: 10, name: "claude".to_owned(), stopped: false },
        runtime: Some(RuntimeName::new("claude")),
        native: Some(Native { state, since: Some(Duration::from_secs(4)), source: Source::StateFile }),
        evidence: Vec::new(),
        heartbeat: Some(Beat {
            age: Duration::from_secs(1),
            interval: Duration::from_secs(15),
            pid: Some(10),
            status: None,
            source: Source::StateFile,
            clock_skew: false,
        }),
        idle: Some(Duration::from_secs(3)),
        model: Some("claude-opus-4-5".to_owned()),
        conversation: Some(SessionId::new("0196a3b2-51a4-7d41-b5a0-1f2e3d4c5b6a")),
        draft: Some(false),
    }
}

fn planes(count: usize) -> HostPlanes {
    let entry = |n: usize| RosterEntry {
        name: AgentName::parse(&format!("agent-{n:05}")).unwrap(),
        runtime: RuntimeName::new("claude"),
        class: "implementer".to_owned(),
        alias: None,
        model_hint: None,
        socket: socket(),
        account: Some("max-1".to_owned()),
        runs_a_shell: false,
    };
    HostPlanes {
        roster: RosterPlane {
            path: "r".to_owned(),
            error: None,
            agents: (0..count.min(2_000)).map(entry).collect(),
        },
        sockets: vec![SocketPlane { socket: socket(), holder: "_holder".to_owned(), state: SocketState::Up }],
        ..HostPlanes::default()
    }
}

fn batch(n: usize) -> UsageBatch {
    let record = |r: usize| Record {
        id: format!("msg_{n:05}_{r}"),
        conversation: SessionId::new("0196a3b2-51a4-7d41-b5a0-1f2e3d4c5b6a"),
        model: ["claude-opus-4-5", "claude-haiku-4-5"][r % 2].to_owned(),
        at: Wall(fleet_collector::clock::system()().wall.0 - 60_000 * r as i64),
        tokens: Tokens {
            input: 5,
            cache_read: 90_000,
            cache_write_5m: 1_200,
            output: 800,
            ..Tokens::default()
        },
        sidechain: false,
    };
    UsageBatch {
        source: format!("/t/{n}.jsonl"),
        socket: socket(),
        session: format!("agent-{n:05}"),
        runtime: "claude".to_owned(),
        account: "max-1".to_owned(),
        cursor: vec![1; 32],
        records: (0..40).map(record).collect(),
        unreadable: 0,
    }
}


fn main() {
    let count = 1000;
    let clock = fleet_collector::clock::system();
    let mut fleet = Fleet::new(Thresholds::default());
    let r = ReporterId(1);
    fleet.apply(Event::Connected { reporter: r, tenant: TenantId::new("root"), host: HostId::new("box"), vantage: Vantage::Host }, clock());
    for n in 0..count { fleet.apply(Event::Observed { reporter: r, observation: observation(n, NativeState::Busy) }, clock()); }
    fleet.apply(Event::Planes { reporter: r, planes: planes(count) }, clock());
    for n in 0..count { for rec in batch(n).records {
        let key = AgentKey::new(TenantId::new("root"), HostId::new("box"), socket(), &format!("agent-{n:05}"));
        fleet.apply(Event::Used { key, change: Change { minus: None, plus: rec } }, clock()); } }
    let day = Wall(clock().wall.0 - 8*3600*1000);
    let time = |name: &str, f: &mut dyn FnMut()| { let mut best = Duration::MAX; let t0=Instant::now(); for _ in 0..200 { let t = Instant::now(); f(); best = best.min(t.elapsed()); } println!("{name}: best {best:?} mean {:?}", t0.elapsed()/200); };
    time("list+drop", &mut || { std::hint::black_box(fleet.list(clock(), day)); });
    let views = fleet.list(clock(), day);
    time("clone views", &mut || { std::hint::black_box(views.clone()); });
    time("list+into_pb", &mut || { std::hint::black_box(fleet.list(clock(), day).into_iter().map(|v| fleet_proto::convert::agent_into_pb(v, false)).collect::<Vec<_>>()); });
    time("to_pb+drop", &mut || { std::hint::black_box(views.iter().map(|v| agent_to_pb(v, false)).collect::<Vec<_>>()); });
    let resp = pb::ListAgentsResponse { agents: views.iter().map(|v| agent_to_pb(v, false)).collect(), hosts: vec![], generation: 1 };
    use prost::Message;
    println!("bytes {}", resp.encoded_len());
    time("encode", &mut || { std::hint::black_box(resp.encode_to_vec()); });
    time("observe", &mut || { for n in 0..count { std::hint::black_box(fleet.apply(Event::Observed { reporter: r, observation: observation(n, NativeState::Busy) }, clock())); } });
    println!("sizes view {} pb {} ", std::mem::size_of::<AgentView>(), std::mem::size_of::<pb::Agent>());
}
