//! The agents that simulated reporters report: what each is doing, decided by a seed.

use fleet_proto::pb;

use super::Plan;

/// What an agent does, and how often one is found so, in percent.
const DOING: [(Doing, u32); 5] = [
    (Doing::Working, 55),
    (Doing::Available, 30),
    (Doing::Permission, 7),
    (Doing::Limited, 4),
    (Doing::Dead, 4),
];
const CLASSES: [&str; 4] = ["implementer", "reviewer", "orchestrator", "worker"];
const SOCKET: &str = "mosaic-fleet";
const HOUR_MS: i64 = 3_600_000;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Doing {
    Working,
    Available,
    Permission,
    Limited,
    Dead,
}

/// One simulated agent.
#[derive(Debug)]
pub(super) struct Simulated {
    name: String,
    class: &'static str,
    pid: u32,
    interval_ms: u64,
    doing: Doing,
    chance: Chance,
}

impl Simulated {
    /// The agents of one host: every `hosts`-th of all.
    pub(super) fn of_host(host: usize, plan: &Plan) -> Vec<Self> {
        (host..plan.agents)
            .step_by(plan.hosts)
            .map(|number| {
                let mut chance = Chance::new(plan.seed, number as u64);
                let doing = pick(&mut chance);
                Self {
                    name: format!("agent{number:04}"),
                    class: CLASSES[number % CLASSES.len()],
                    pid: 100_000 + u32::try_from(number).unwrap_or(0),
                    interval_ms: u64::try_from(plan.interval.as_millis()).unwrap_or(15_000).max(1),
                    doing,
                    chance,
                }
            })
            .collect()
    }

    /// A heartbeat's time passes; true when the agent does something else now.
    pub(super) fn live_on(&mut self, change: f64) -> bool {
        let before = self.doing;
        if self.chance.unit() < change {
            self.doing = pick(&mut self.chance);
        }
        self.doing != before
    }

    pub(super) fn observation(&self) -> pb::Observation {
        let dead = self.doing == Doing::Dead;
        let pane = pb::pane::State::Alive(pb::AlivePane {
            id: format!("%{}", self.pid),
            pid: self.pid,
            command: "claude".to_owned(),
            title: format!("✳ Work of {}", self.name),
        });
        let process = match self.doing {
            Doing::Dead => pb::process::State::Exited(pb::ExitedProcess {}),
            _ => pb::process::State::Running(pb::RunningProcess {
                pid: self.pid,
                name: "claude".to_owned(),
                stopped: false,
            }),
        };
        let (native, status) = match self.doing {
            Doing::Working => (pb::NativeState::Busy, pb::BeatStatus::Busy),
            Doing::Permission => (pb::NativeState::Waiting, pb::BeatStatus::Ok),
            Doing::Available | Doing::Limited | Doing::Dead => {
                (pb::NativeState::TurnEnded, pb::BeatStatus::Ok)
            }
        };
        pb::Observation {
            socket: SOCKET.to_owned(),
            session: self.name.clone(),
            pane: Some(pb::Pane { state: Some(pane) }),
            process: Some(pb::Process { state: Some(process) }),
            runtime: if dead { String::new() } else { "claude".to_owned() },
            native: (!dead)
                .then(|| pb::Native {
                    state: native as i32,
                    since_ms: Some(1000),
                    source: pb::Source::StateFile as i32,
                    confirmed_ms: 0,
                    line: String::new(),
                })
                .into_iter()
                .collect(),
            evidence: self.evidence(),
            heartbeat: (!dead).then_some(pb::Beat {
                age_ms: 0,
                interval_ms: self.interval_ms,
                pid: self.pid,
                status: status as i32,
                source: pb::Source::StateFile as i32,
                clock_skew: false,
            }),
            idle_ms: Some(if self.doing == Doing::Working { 0 } else { 60_000 }),
            model: "claude-sonnet-5".to_owned(),
            conversation: format!("00000000-0000-4000-8000-{:012}", self.pid),
            draft: None,
        }
    }

    fn evidence(&self) -> Vec<pb::Evidence> {
        let (kind, line, source, until_unix_ms) = match self.doing {
            Doing::Permission => {
                (pb::StuckKind::Permission, "permission prompt", pb::Source::StateFile, None)
            }
            Doing::Limited => {
                let now = jiff::Timestamp::now().as_millisecond();
                (
                    pb::StuckKind::UsageLimit,
                    "You've hit your session limit",
                    pb::Source::Transcript,
                    Some(now + HOUR_MS),
                )
            }
            Doing::Working | Doing::Available | Doing::Dead => return Vec::new(),
        };
        vec![pb::Evidence {
            kind: kind as i32,
            line: line.to_owned(),
            source: source as i32,
            since_ms: Some(1000),
            confirmed_ms: 0,
            until_unix_ms,
        }]
    }
}

/// A roster of exactly these agents, on a socket that is up, under a systemd that runs them all.
pub(super) fn planes(agents: &[Simulated]) -> pb::HostPlanes {
    let roster = agents.iter().map(|agent| pb::RosterEntry {
        name: agent.name.clone(),
        runtime: "claude".to_owned(),
        class: agent.class.to_owned(),
        socket: SOCKET.to_owned(),
        ..pb::RosterEntry::default()
    });
    let units = agents.iter().map(|agent| pb::UnitState {
        agent: agent.name.clone(),
        active: "active".to_owned(),
        enabled: "enabled".to_owned(),
    });
    pb::HostPlanes {
        roster: Some(pb::RosterPlane {
            path: "roster.yaml".to_owned(),
            error: None,
            agents: roster.collect(),
        }),
        systemd: Some(pb::SystemdPlane { unavailable: None, units: units.collect() }),
        sockets: vec![pb::SocketPlane {
            socket: SOCKET.to_owned(),
            holder: "_holder".to_owned(),
            state: pb::SocketState::Up as i32,
            why: String::new(),
        }],
    }
}

fn pick(chance: &mut Chance) -> Doing {
    let mut at = u32::try_from(chance.next() % 100).unwrap_or(0);
    for (doing, share) in DOING {
        match at.checked_sub(share) {
            None => return doing,
            Some(rest) => at = rest,
        }
    }
    Doing::Working
}

/// SplitMix64: small, and the same on every machine.
#[derive(Debug)]
struct Chance(u64);

impl Chance {
    fn new(seed: u64, stream: u64) -> Self {
        Self(seed.wrapping_mul(0xD6E8_FEB8_6659_FD93) ^ stream.wrapping_mul(0xA24B_AED4_963E_E407))
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ (mixed >> 31)
    }

    /// In 0..1.
    fn unit(&mut self) -> f64 {
        (self.next() >> 11) as f64 / (1u64 << 53) as f64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_gives_the_same_fleet_again_and_shares_are_as_said() {
        let plan = Plan { agents: 2000, hosts: 4, change: 0.5, ..Plan::default() };
        let lived = || {
            let mut agents = Simulated::of_host(1, &plan);
            let changes: Vec<bool> =
                agents.iter_mut().flat_map(|agent| [agent.live_on(0.5), agent.live_on(0.5)]).collect();
            (changes, agents.iter().map(|agent| agent.doing).collect::<Vec<_>>())
        };
        let (changes, doing) = lived();
        assert_eq!((changes, doing.clone()), lived());
        assert_eq!(doing.len(), 500);
        let working = doing.iter().filter(|doing| **doing == Doing::Working).count();
        assert!((200..350).contains(&working), "{working} of 500");
    }

    #[test]
    fn every_simulated_observation_and_plane_is_one_that_a_collector_takes_in() {
        let plan = Plan { agents: 300, ..Plan::default() };
        let agents = Simulated::of_host(0, &plan);
        for agent in &agents {
            fleet_proto::convert::observation_from_pb(&agent.observation()).unwrap();
        }
        let planes = fleet_proto::convert::planes_from_pb(&planes(&agents)).unwrap();
        assert_eq!(planes.roster.agents.len(), 300);
    }
}
