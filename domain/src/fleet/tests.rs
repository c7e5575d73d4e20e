use std::time::Duration;

use proptest::prelude::*;

use super::*;
use crate::ids::{AgentName, RuntimeName, SocketName};
use crate::observation::{
    Beat, Evidence, Native, NativeState, Process, RosterEntry, RosterPlane, SocketPlane, Source,
};
use crate::readiness::{State, StuckKind};
use crate::time::Wall;

const R: ReporterId = ReporterId(1);

pub(super) fn now(ms: i64) -> Now {
    Now { mono: Mono(ms), wall: Wall(1_000_000_000_000 + ms) }
}

pub(super) fn seen(session: &str, state: NativeState) -> Observation {
    Observation {
        socket: SocketName::new("mosaic-fleet"),
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
            age: Duration::ZERO,
            interval: Duration::from_secs(15),
            pid: Some(10),
            status: None,
            source: Source::StateFile,
            clock_skew: false,
        }),
        idle: Some(Duration::ZERO),
        model: None,
        conversation: None,
        draft: None,
    }
}

fn planes(names: &[&str]) -> HostPlanes {
    let socket = SocketName::new("mosaic-fleet");
    HostPlanes {
        roster: RosterPlane {
            path: "roster.yaml".to_owned(),
            error: None,
            agents: names
                .iter()
                .map(|name| RosterEntry {
                    name: AgentName::parse(name).unwrap(),
                    runtime: RuntimeName::new("claude"),
                    class: "worker".to_owned(),
                    alias: None,
                    model_hint: None,
                    socket: socket.clone(),
                    account: None,
                    runs_a_shell: false,
                    deviations: Vec::new(),
                })
                .collect(),
        },
        sockets: vec![SocketPlane { socket, holder: "_holder".to_owned(), state: SocketState::Up }],
        ..HostPlanes::default()
    }
}

pub(super) fn connected() -> Fleet {
    let mut fleet = Fleet::new(Thresholds::default());
    connect(&mut fleet, R, Vantage::Host, 0);
    fleet
}

fn connect(fleet: &mut Fleet, reporter: ReporterId, vantage: Vantage, at: i64) {
    let (tenant, host) = (TenantId::new("me"), HostId::new("box"));
    fleet.apply(Event::Connected { reporter, tenant, host, vantage }, now(at));
}

fn observe(fleet: &mut Fleet, reporter: ReporterId, observation: Observation, at: i64) -> Vec<Effect> {
    fleet.apply(Event::Observed { reporter, observation }, now(at))
}

fn transitions(effects: &[Effect]) -> Vec<(Option<State>, State)> {
    effects
        .iter()
        .filter_map(|effect| match effect {
            Effect::Transition(transition) => Some((transition.from, transition.to)),
            _ => None,
        })
        .collect()
}

fn states(fleet: &Fleet, at: i64) -> Vec<(String, State)> {
    fleet.list(now(at), Wall(0)).into_iter().map(|view| (view.name, view.state)).collect()
}

#[test]
fn a_session_is_seen_works_and_dies_each_change_told_once() {
    let mut fleet = connected();
    let first = observe(&mut fleet, R, seen("a", NativeState::Busy), 10);
    assert_eq!(transitions(&first), [(None, State::Working)]);
    assert_eq!(transitions(&observe(&mut fleet, R, seen("a", NativeState::Busy), 20)), []);
    let ended = observe(&mut fleet, R, seen("a", NativeState::TurnEnded), 30);
    assert_eq!(transitions(&ended), [(Some(State::Working), State::Available)]);
    let gone = observe(
        &mut fleet,
        R,
        Observation { process: Process::Exited, ..seen("a", NativeState::TurnEnded) },
        40,
    );
    assert_eq!(transitions(&gone), [(Some(State::Available), State::Dead)]);
}

#[test]
fn what_only_a_sidecar_that_left_has_seen_is_gone_once_the_hosts_would_have_listed_it() {
    let mut fleet = connected();
    fleet.apply(Event::Planes { reporter: R, planes: planes(&["a"]) }, now(0));
    let own = ReporterId(77);
    connect(&mut fleet, own, Vantage::Agent, 10);
    observe(&mut fleet, own, seen("a", NativeState::Busy), 20);
    fleet.apply(Event::Disconnected { reporter: own, clean: true }, now(30));
    assert_eq!(states(&fleet, 40), [("a".to_owned(), State::Working)]);
    let told = fleet.apply(Event::Tick, now(12_030));
    assert_eq!(transitions(&told), [(Some(State::Working), State::Dead)]);
    // One that comes back is believed at once.
    connect(&mut fleet, own, Vantage::Agent, 13_000);
    observe(&mut fleet, own, seen("a", NativeState::Busy), 13_010);
    assert_eq!(states(&fleet, 30_000)[0].1, State::Working);
}

#[test]
fn silence_becomes_stale_exactly_when_announced() {
    let mut fleet = connected();
    observe(&mut fleet, R, seen("a", NativeState::Busy), 0);
    let (at, _, next) = fleet.next_deadline().unwrap();
    assert_eq!((at, next.unwrap().becomes), (Mono(45_001), State::Stale));
    assert_eq!(transitions(&fleet.apply(Event::Tick, now(45_000))), []);
    assert_eq!(transitions(&fleet.apply(Event::Tick, now(45_001))), [(Some(State::Working), State::Stale)]);
}

#[test]
fn nothing_on_the_socket_is_invisible_and_the_roster_is_complete() {
    let mut fleet = connected();
    observe(&mut fleet, R, seen("zed", NativeState::Busy), 0);
    observe(&mut fleet, R, seen("coder0", NativeState::Busy), 0);
    fleet.apply(Event::Planes { reporter: R, planes: planes(&["lead", "coder0"]) }, now(1));
    let list = fleet.list(now(2), Wall(0));
    let shown: Vec<_> = list
        .iter()
        .map(|view| {
            (view.name.as_str(), view.managed, view.drift.iter().map(|d| d.kind.flag()).collect::<Vec<_>>())
        })
        .collect();
    assert_eq!(
        shown,
        [("lead", true, vec!["MISSING"]), ("coder0", true, vec![]), ("zed", false, vec!["UNMANAGED"])]
    );
    assert_eq!(list[0].state, State::Dead);
}

#[test]
fn a_shell_is_death_only_where_a_runtime_was() {
    let mut fleet = connected();
    let shell = |name: &str| Observation {
        process: Process::Shell { name: "bash".to_owned() },
        runtime: None,
        native: Vec::new(),
        heartbeat: None,
        ..seen(name, NativeState::Busy)
    };
    observe(&mut fleet, R, shell("plain"), 0);
    observe(&mut fleet, R, seen("agent", NativeState::Busy), 0);
    observe(&mut fleet, R, shell("agent"), 1);
    assert_eq!(states(&fleet, 2), [("agent".to_owned(), State::Dead), ("plain".to_owned(), State::Unknown)]);
}

#[test]
fn an_unmanaged_agent_that_left_lingers_and_a_plain_session_does_not() {
    let mut fleet = connected();
    observe(&mut fleet, R, seen("agent", NativeState::Busy), 0);
    let gone = Observation {
        pane: Pane::Gone,
        process: Process::Exited,
        runtime: None,
        ..seen("agent", NativeState::Busy)
    };
    observe(&mut fleet, R, gone, 5);
    assert_eq!(states(&fleet, 6), [("agent".to_owned(), State::Dead)]);
    let linger = i64::try_from(LINGER.as_millis()).unwrap();
    fleet.apply(Event::Tick, now(5 + linger));
    assert_eq!(states(&fleet, 6 + linger), []);
}

#[test]
fn an_agent_that_was_taken_out_of_the_roster_goes_with_its_session() {
    let mut fleet = connected();
    fleet.apply(Event::Planes { reporter: R, planes: planes(&["agent"]) }, now(0));
    observe(&mut fleet, R, seen("agent", NativeState::Busy), 1);
    fleet.apply(Event::Planes { reporter: R, planes: planes(&[]) }, now(2));
    assert_eq!(states(&fleet, 3), [("agent".to_owned(), State::Working)], "its session runs still");
    let gone = Observation {
        pane: Pane::Gone,
        process: Process::Exited,
        runtime: None,
        ..seen("agent", NativeState::Busy)
    };
    let effects = observe(&mut fleet, R, gone.clone(), 5);
    assert_eq!(transitions(&effects), [(Some(State::Working), State::Dead)], "its end is told");
    assert_eq!(states(&fleet, 6), []);

    // `fleet remove` ends it first. Of a roster that is not right nobody knows whom it names.
    fleet.apply(Event::Planes { reporter: R, planes: planes(&["agent"]) }, now(7));
    observe(&mut fleet, R, seen("agent", NativeState::Busy), 8);
    observe(&mut fleet, R, gone, 9);
    let mut broken = planes(&[]);
    broken.roster.error = Some("line 1".to_owned());
    fleet.apply(Event::Planes { reporter: R, planes: broken }, now(10));
    assert_eq!(states(&fleet, 11), [("agent".to_owned(), State::Dead)]);
    fleet.apply(Event::Planes { reporter: R, planes: planes(&[]) }, now(12));
    assert_eq!(states(&fleet, 13), []);
}

#[test]
fn the_agents_own_sidecar_has_precedence_and_the_host_stands_in_for_it() {
    let mut fleet = connected();
    let own = ReporterId(2);
    connect(&mut fleet, own, Vantage::Agent, 0);
    observe(&mut fleet, own, seen("a", NativeState::Busy), 1);
    observe(&mut fleet, R, seen("a", NativeState::TurnEnded), 2);
    assert_eq!(states(&fleet, 3)[0].1, State::Working);
    fleet.apply(Event::Disconnected { reporter: own, clean: false }, now(4));
    assert_eq!(states(&fleet, 5)[0].1, State::Available);
    fleet.apply(Event::Disconnected { reporter: R, clean: false }, now(6));
    let view = &fleet.list(now(7), Wall(0))[0];
    assert_eq!((view.link, view.state), (Link::Lost, State::Available));
}

#[test]
fn two_sessions_of_one_name_are_told_apart() {
    let mut fleet = connected();
    observe(&mut fleet, R, seen("a", NativeState::Busy), 0);
    observe(
        &mut fleet,
        R,
        Observation { socket: SocketName::new("other"), ..seen("a", NativeState::Busy) },
        0,
    );
    let names: Vec<String> = states(&fleet, 1).into_iter().map(|(name, _)| name).collect();
    assert_eq!(names, ["a@mosaic-fleet", "a@other"]);
}

#[test]
fn a_restart_keeps_since_and_totals() {
    let mut fleet = Fleet::new(Thresholds::default());
    let key = AgentKey::new(TenantId::new("me"), HostId::new("box"), SocketName::new("mosaic-fleet"), "a");
    let tokens = crate::usage::Tokens { output: 7, ..Default::default() };
    fleet.apply(
        Event::Restored(Box::new(Restored {
            key,
            standing: Some((State::Working, None, Wall(42))),
            by_model: BTreeMap::from([("m".to_owned(), tokens)]),
            recent: vec![(now(0).wall, tokens)],
            transitions: BTreeMap::from([((State::Available, State::Working), 3)]),
        })),
        now(0),
    );
    assert_eq!(fleet.list(now(0), Wall(0)), []);
    connect(&mut fleet, R, Vantage::Host, 1);
    let effects = observe(&mut fleet, R, seen("a", NativeState::Busy), 2);
    assert_eq!(transitions(&effects), []);
    let view = &fleet.list(now(3), Wall(0))[0];
    assert_eq!((view.since, view.tokens_today.output, view.by_model["m"].output), (Wall(42), 7, 7));
}

#[derive(Debug, Clone)]
enum Step {
    See(u8, u8),
    Gone(u8),
    Evidence(u8, u8),
    Silence(u32),
    Vanish,
}

fn any_step() -> impl Strategy<Value = Step> {
    prop_oneof![
        5 => (0u8..3, 0u8..4).prop_map(|(agent, state)| Step::See(agent, state)),
        1 => (0u8..3).prop_map(Step::Gone),
        2 => (0u8..3, 0u8..10).prop_map(|(agent, kind)| Step::Evidence(agent, kind)),
        2 => (1u32..200_000).prop_map(Step::Silence),
        1 => Just(Step::Vanish),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    /// Total; every transition starts where the last one ended; the list says what was told; and no agent changes
    /// more often than it was given cause: an event that touched it, or a deadline it had announced.
    #[test]
    fn any_history_is_consistent_and_never_flaps(steps in proptest::collection::vec(any_step(), 1..60), later in 0i64..400_000) {
        let mut fleet = connected();
        let mut reporter = R;
        let mut clock = 0i64;
        let mut told: BTreeMap<String, State> = BTreeMap::new();
        for step in steps {
            clock += 10;
            let agent = |n: u8| format!("a{n}");
            let native = |n: u8| [NativeState::Busy, NativeState::Background, NativeState::TurnEnded, NativeState::Waiting][usize::from(n % 4)];
            let event = match step {
                Step::See(n, state) => Event::Observed { reporter, observation: seen(&agent(n), native(state)) },
                Step::Gone(n) => Event::Observed { reporter, observation: Observation { pane: Pane::Gone, ..seen(&agent(n), NativeState::Busy) } },
                Step::Evidence(n, kind) => {
                    let evidence = Evidence {
                        kind: StuckKind::ALL[usize::from(kind)], line: "x".to_owned(), source: Source::Hook,
                        since: None, confirmed: Duration::ZERO, until: None,
                    };
                    Event::Observed { reporter, observation: Observation { evidence: vec![evidence], ..seen(&agent(n), NativeState::Waiting) } }
                }
                Step::Silence(ms) => { clock += i64::from(ms); Event::Tick }
                Step::Vanish => {
                    // A deadline may be due at this very moment.
                    let effects = fleet.apply(Event::Disconnected { reporter, clean: false }, now(clock));
                    told.extend(effects.iter().filter_map(|effect| match effect {
                        Effect::Transition(t) => Some((t.key.session.clone(), t.to)),
                        Effect::MassDeath(_) | Effect::Changed { .. } | Effect::Removed { .. } => None,
                    }));
                    reporter = ReporterId(reporter.0 + 1);
                    connect(&mut fleet, reporter, Vantage::Host, clock);
                    Event::Tick
                }
            };
            let due = fleet.next_deadline().is_some_and(|(at, _, _)| at <= Mono(clock));
            let caused = matches!(event, Event::Observed { .. });
            let effects = fleet.apply(event.clone(), now(clock));
            let mut changed = 0;
            for effect in &effects {
                match effect {
                    Effect::Transition(t) => {
                        changed += 1;
                        prop_assert_eq!(told.get(&t.key.session).copied(), t.from);
                        prop_assert!(t.from != Some(t.to) || t.kind.is_some());
                        told.insert(t.key.session.clone(), t.to);
                    }
                    Effect::MassDeath(_) | Effect::Changed { .. } | Effect::Removed { .. } => {}
                }
            }
            prop_assert!(changed == 0 || caused || due, "a change without a cause");
            let again = fleet.apply(event, now(clock));
            prop_assert_eq!(transitions(&again), [], "the same event twice changed something twice");
            for (name, state) in states(&fleet, clock) {
                prop_assert_eq!(told.get(&name).copied(), Some(state));
            }
            if let Some((at, _, _)) = fleet.next_deadline() {
                prop_assert!(at > Mono(clock), "a deadline in the past was left");
            }
            // What was judged then is told as if it were judged now, however much later that is.
            let later = now(clock + later);
            let listed: Vec<AgentView> = fleet.list(later, Wall(0));
            let judged: Vec<_> = fleet.agents.values_mut().map(|entry| entry.judged.take()).collect();
            prop_assert_eq!(&listed, &fleet.list(later, Wall(0)));
            fleet.agents.values_mut().zip(judged).for_each(|(entry, judged)| entry.judged = judged);
        }
    }
}
