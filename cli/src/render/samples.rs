//! A fixed fleet for the tests of this crate.

use std::collections::BTreeMap;
use std::time::Duration;

use fleet_domain::drift::{Drift, Kind};
use fleet_domain::fleet::{AgentView, BeatView, EvidenceView, Link, NextView, SignalLine};
use fleet_domain::heartbeat::{Health, Status};
use fleet_domain::ids::{AgentKey, HostId, RuntimeName, SessionId, SocketName, TenantId};
use fleet_domain::observation::Source;
use fleet_domain::readiness::{State, StuckKind};
use fleet_domain::time::Wall;
use fleet_domain::usage::Tokens;
use jiff::tz::TimeZone;

use super::Scene;

pub fn now() -> Wall {
    Wall::parse_rfc3339("2026-11-21T10:41:39Z").unwrap()
}

/// With a budget that pays for `coder0`.
pub fn funded(fleet: &[AgentView]) -> Scene {
    let coder = fleet.iter().find(|agent| agent.name == "coder0").unwrap();
    Scene { funds: std::sync::Arc::new(super::funds::Funds::sample(coder)), ..scene() }
}

pub fn scene() -> Scene {
    Scene { now: now(), zone: TimeZone::UTC, direct: false, colour: false, funds: Default::default() }
}

fn ago(seconds: u64) -> Wall {
    now().minus(Duration::from_secs(seconds))
}

pub fn agent(name: &str, state: State, since: u64) -> AgentView {
    AgentView {
        key: AgentKey::new(TenantId::new("ada"), HostId::new("box"), SocketName::new("mosaic-fleet"), name),
        name: name.to_owned(),
        runtime: Some(RuntimeName::new("claude")),
        class: Some("worker".to_owned()),
        alias: None,
        account: None,
        managed: true,
        systemd_active: "active".to_owned(),
        systemd_enabled: "enabled".to_owned(),
        pane_alive: Some(true),
        pane_id: Some("%3".to_owned()),
        pane_pid: Some(4242),
        pane_command: Some("claude".to_owned()),
        pane_title: Some("✳ Fix the parser".to_owned()),
        idle: Some(Duration::from_secs(since.min(40))),
        heartbeat: BeatView {
            ts: Some(ago(4)),
            pid: Some(4243),
            status: Some(Status::Ok),
            age: Some(Duration::from_secs(4)),
            health: Health::Healthy,
            source: Some(Source::StateFile),
            clock_skew: false,
        },
        state,
        kind: None,
        since: ago(since),
        reason: match state {
            State::Working => "a turn is running",
            State::Available => "the turn is over",
            State::Dead => "its process ended",
            State::Stale => "no answer for longer than 45s",
            State::Stuck | State::Unknown => "no heartbeat is known",
        }
        .to_owned(),
        evidence: Vec::new(),
        draft: Some(false),
        drift: Vec::new(),
        model: Some("claude-opus-4-5".to_owned()),
        conversation: Some(SessionId::new("0b6c7f4e-1f0a-4d55-9c3e-6a1f3d1f9a10")),
        tokens_today: Tokens { input: 1_200, cache_read: 84_000, output: 3_100, ..Tokens::default() },
        by_model: BTreeMap::new(),
        transitions: BTreeMap::new(),
        link: Link::Live,
        next: None,
        signals: Vec::new(),
        generation: 7,
    }
}

fn stuck(name: &str, since: u64, kind: StuckKind, line: &str) -> AgentView {
    AgentView {
        kind: Some(kind),
        reason: kind.phrase().to_owned(),
        evidence: vec![EvidenceView {
            kind,
            line: line.to_owned(),
            source: Source::StateFile,
            since: Some(ago(since)),
            until: (kind == StuckKind::UsageLimit).then(|| now().plus(Duration::from_secs(4_980))),
        }],
        ..agent(name, State::Stuck, since)
    }
}

fn drift(kind: Kind, detail: &str, remedy: &str) -> Drift {
    Drift { kind, detail: detail.to_owned(), remedy: remedy.to_owned() }
}

/// Eight sessions in roster order, one of each condition.
pub fn fleet() -> Vec<AgentView> {
    vec![
        AgentView {
            class: Some("orchestrator".to_owned()),
            idle: Some(Duration::from_secs(1)),
            tokens_today: Tokens {
                input: 20_000,
                cache_read: 1_150_000,
                cache_write_1h: 60_000,
                output: 41_000,
                reasoning: 9_000,
                ..Tokens::default()
            },
            ..agent("lead", State::Working, 11_100)
        },
        AgentView { class: Some("enhancer".to_owned()), ..agent("enhancer", State::Working, 95) },
        AgentView {
            tokens_today: Tokens { input: 3_000, cache_read: 420_000, output: 12_000, ..Tokens::default() },
            ..stuck("coder0", 252, StuckKind::Permission, "Do you want to make this edit to main.rs?")
        },
        AgentView {
            runtime: Some(RuntimeName::new("codex")),
            model: Some("gpt-5.5".to_owned()),
            draft: None,
            ..stuck(
                "coder1",
                7_500,
                StuckKind::UsageLimit,
                "You've hit your usage limit. Try again at 12:04 PM.",
            )
        },
        AgentView {
            pane_alive: Some(false),
            pane_pid: None,
            pane_id: None,
            pane_command: None,
            pane_title: None,
            idle: None,
            systemd_enabled: "disabled".to_owned(),
            drift: vec![
                drift(
                    Kind::Missing,
                    "in the roster, but it has no session",
                    "systemctl --user start mosaic-agent@coder2.service",
                ),
                drift(
                    Kind::Boot,
                    "active but disabled: it will not come back after a boot",
                    "systemctl --user enable mosaic-agent@coder2.service",
                ),
            ],
            ..agent("coder2", State::Dead, 40)
        },
        AgentView {
            class: Some("reviewer".to_owned()),
            draft: Some(true),
            next: Some(NextView {
                at: now().plus(Duration::from_secs(41)),
                becomes: State::Stale,
                kind: None,
                because: "its last heartbeat will then be three intervals old".to_owned(),
            }),
            ..agent("reviewer0", State::Available, 3_725)
        },
        AgentView {
            class: Some("analyst".to_owned()),
            link: Link::Lost,
            heartbeat: BeatView {
                ts: Some(ago(140)),
                age: Some(Duration::from_secs(140)),
                health: Health::Stale,
                clock_skew: true,
                ..agent("", State::Stale, 0).heartbeat
            },
            ..agent("analyst", State::Stale, 95)
        },
        AgentView {
            key: AgentKey::new(
                TenantId::new("ada"),
                HostId::new("box"),
                SocketName::default_server(),
                "notes",
            ),
            runtime: None,
            class: None,
            managed: false,
            systemd_active: "unknown".to_owned(),
            systemd_enabled: "unknown".to_owned(),
            pane_command: Some("vim".to_owned()),
            idle: Some(Duration::from_secs(187_200)),
            heartbeat: BeatView {
                ts: None,
                pid: None,
                status: None,
                age: None,
                health: Health::Unknown,
                source: None,
                clock_skew: false,
            },
            draft: None,
            drift: vec![drift(
                Kind::Unmanaged,
                "on the socket, but not in the roster",
                "add `notes` to fleet/roster.yaml, or end the session",
            )],
            model: None,
            conversation: None,
            tokens_today: Tokens::default(),
            ..agent("notes", State::Unknown, 187_200)
        },
    ]
}

/// One of them as `fleet explain` gets it.
pub fn explained(name: &str) -> AgentView {
    let line = |signal: &str, says: &str, source, age: Option<u64>| SignalLine {
        signal: signal.to_owned(),
        says: says.to_owned(),
        source,
        age: age.map(Duration::from_secs),
    };
    let agent = fleet().into_iter().find(|agent| agent.name == name).unwrap();
    let native = match agent.state {
        State::Stuck => "waiting",
        State::Available => "turn ended",
        _ => "busy",
    };
    let mut signals = vec![
        line("pane", "alive: %3, pid 4242, claude", Some(Source::Tmux), Some(1)),
        line("process", "claude runs as pid 4243", Some(Source::Process), Some(1)),
        line("native", native, Some(Source::StateFile), Some(252)),
        line("heartbeat", "ok, every 15s", Some(Source::StateFile), Some(4)),
        line("idle", "unknown", None, None),
    ];
    for evidence in &agent.evidence {
        let says = format!("{}: {}", evidence.kind.as_str(), evidence.line);
        signals.insert(3, line("evidence", &says, Some(evidence.source), Some(2)));
    }
    AgentView { signals, ..agent }
}

/// Every text of the agent replaced by `text`.
pub fn hostile(text: &str) -> AgentView {
    let own = || Some(text.to_owned());
    let mut agent = explained("coder0");
    agent.key.session = text.to_owned();
    agent.name = text.to_owned();
    (agent.class, agent.alias, agent.account, agent.model) = (own(), own(), own(), own());
    (agent.pane_id, agent.pane_command, agent.pane_title) = (own(), own(), own());
    agent.runtime = Some(RuntimeName::new(text));
    (agent.systemd_active, agent.systemd_enabled, agent.reason) =
        (text.to_owned(), text.to_owned(), text.to_owned());
    for evidence in &mut agent.evidence {
        evidence.line = text.to_owned();
    }
    for signal in &mut agent.signals {
        (signal.signal, signal.says) = (text.to_owned(), text.to_owned());
    }
    agent.drift = vec![drift(Kind::Runtime, text, text)];
    agent.next = Some(NextView { at: now(), becomes: State::Stale, kind: None, because: text.to_owned() });
    agent
}
