use proptest::prelude::*;

use super::*;

const INTERVAL: Duration = heartbeat::DEFAULT_INTERVAL;

fn quiet() -> Signals {
    Signals {
        pane: PaneSignal::Alive,
        process: ProcessSignal::Running { stopped: false },
        heartbeat: Some(BeatSignal { confirmed: Mono(0), interval: INTERVAL, status: None }),
        last_activity: Some(Mono(0)),
        ..Signals::unknown()
    }
}

fn permission() -> EvidenceSignal {
    EvidenceSignal {
        kind: StuckKind::Permission,
        line: "permission prompt".to_owned(),
        source: Source::StateFile,
        since: Some(Mono(0)),
        confirmed: Mono(0),
        until: None,
    }
}

fn state(signals: &Signals, now: i64) -> State {
    assess(signals, &Thresholds::default(), Mono(now)).state
}

#[test]
fn each_row_gives_way_only_to_the_rows_above_it() {
    let mut signals = quiet();
    assert_eq!(state(&signals, 1), State::Working);
    let native = |state| NativeSignal { state, since: None, source: Source::StateFile, confirmed: Mono(0) };
    signals.native = vec![native(NativeState::TurnEnded)];
    assert_eq!(state(&signals, 1), State::Available);
    signals.native = vec![native(NativeState::Busy)];
    assert_eq!(state(&signals, 1), State::Working);
    assert_eq!(state(&signals, 45_001), State::Stale);
    signals.heartbeat = None;
    assert_eq!(state(&signals, 1), State::Unknown);
    signals.evidence = vec![permission()];
    assert_eq!(state(&signals, 1), State::Stuck);
    signals.pane = PaneSignal::Unreachable { why: "no answer in 2s".to_owned() };
    assert_eq!(state(&signals, 1), State::Unknown);
    signals.process = ProcessSignal::LeftToShell { shell: "bash".to_owned() };
    assert_eq!(state(&signals, 1), State::Dead);
}

#[test]
fn long_idleness_is_available_never_stuck() {
    let mut signals = quiet();
    let month = 30 * 86_400_000;
    signals.heartbeat = Some(BeatSignal { confirmed: Mono(month), interval: INTERVAL, status: None });
    let verdict = assess(&signals, &Thresholds::default(), Mono(month));
    assert_eq!((verdict.state, verdict.kind), (State::Available, None));
}

#[test]
fn a_limit_holds_until_its_reset_however_old_and_says_when_it_ends() {
    let mut signals = quiet();
    let hour = 3_600_000;
    signals.heartbeat =
        Some(BeatSignal { confirmed: Mono(hour), interval: Duration::from_secs(7200), status: None });
    signals.evidence =
        vec![EvidenceSignal { kind: StuckKind::UsageLimit, until: Some(Mono(2 * hour)), ..permission() }];
    let verdict = assess(&signals, &Thresholds::default(), Mono(hour));
    assert_eq!((verdict.state, verdict.kind), (State::Stuck, Some(StuckKind::UsageLimit)));
    let next = verdict.next.unwrap();
    assert_eq!((next.at, next.becomes), (Mono(2 * hour), State::Available));
    assert_eq!(next.because, "the limit resets");
}

#[test]
fn a_stopped_process_is_frozen_and_a_dead_one_cannot_be_stuck() {
    let mut signals = Signals { process: ProcessSignal::Running { stopped: true }, ..quiet() };
    assert_eq!(assess(&signals, &Thresholds::default(), Mono(1)).kind, Some(StuckKind::Frozen));
    signals.process = ProcessSignal::Exited;
    signals.evidence = vec![permission()];
    let verdict = assess(&signals, &Thresholds::default(), Mono(1));
    assert_eq!((verdict.state, verdict.kind), (State::Dead, None));
    assert!(verdict.evidence.is_empty());
}

#[test]
fn the_next_deadline_of_a_healthy_agent_is_its_heartbeat() {
    let next = assess(&quiet(), &Thresholds::default(), Mono(1)).next.unwrap();
    assert_eq!((next.at, next.becomes), (Mono(45_001), State::Stale));
}

fn source() -> impl Strategy<Value = Source> {
    prop::sample::select(vec![
        Source::StateFile,
        Source::Hook,
        Source::Api,
        Source::Transcript,
        Source::Screen,
    ])
}

fn any_signals() -> impl Strategy<Value = Signals> {
    let time = || -1_000_000i64..1_000_000;
    let pane = prop_oneof![
        4 => Just(PaneSignal::Alive),
        1 => Just(PaneSignal::Gone),
        1 => Just(PaneSignal::Dead { status: Some(1), signal: None }),
        1 => Just(PaneSignal::Unreachable { why: "x".to_owned() }),
        1 => Just(PaneSignal::Unknown),
    ];
    let process = prop_oneof![
        4 => any::<bool>().prop_map(|stopped| ProcessSignal::Running { stopped }),
        1 => Just(ProcessSignal::Exited),
        1 => Just(ProcessSignal::LeftToShell { shell: "bash".to_owned() }),
        1 => Just(ProcessSignal::Unknown),
    ];
    let evidence = (0usize..StuckKind::ALL.len(), time(), proptest::option::of(time()), source()).prop_map(
        |(kind, at, until, source)| EvidenceSignal {
            kind: StuckKind::ALL[kind],
            line: String::new(),
            source,
            since: None,
            confirmed: Mono(at),
            until: until.map(Mono),
        },
    );
    let beat = (time(), 1u64..100, 0u8..3).prop_map(|(at, secs, status)| BeatSignal {
        confirmed: Mono(at),
        interval: Duration::from_secs(secs),
        status: [None, Some(heartbeat::Status::Ok), Some(heartbeat::Status::Busy)][usize::from(status)],
    });
    let native = (0usize..5, source(), time(), proptest::option::of(time())).prop_map(
        |(state, source, confirmed, since)| NativeSignal {
            state: [
                NativeState::Busy,
                NativeState::Background,
                NativeState::TurnEnded,
                NativeState::Waiting,
                NativeState::Retrying,
            ][state],
            since: since.map(Mono),
            source,
            confirmed: Mono(confirmed),
        },
    );
    (
        pane,
        process,
        proptest::collection::vec(evidence, 0..3),
        proptest::option::of(beat),
        proptest::collection::vec(native, 0..4),
        proptest::option::of(time()),
    )
        .prop_map(|(pane, process, evidence, heartbeat, native, moved)| Signals {
            pane,
            process,
            evidence,
            heartbeat,
            native,
            last_activity: moved.map(Mono),
        })
}

/// The table of the specification, row by row, written a second time as conditions that stand alone.
fn rows(signals: &Signals, now: Mono) -> [(bool, State); 9] {
    let thresholds = Thresholds::default();
    let running = matches!(signals.process, ProcessSignal::Running { .. });
    let stopped = matches!(signals.process, ProcessSignal::Running { stopped: true });
    let fresh = |at: Mono, by: Duration| now.0 - at.0 <= by.as_millis() as i64;
    let interval = signals.heartbeat.map_or(INTERVAL, |beat| beat.interval);
    // Who leads, told in another way than the code does: the best of each class in turn.
    let told = |sources: &[Source]| {
        let mut of_class: Vec<_> = signals
            .native
            .iter()
            .filter(|n| sources.contains(&n.source) && fresh(n.confirmed, interval * 3))
            .collect();
        of_class.sort_by_key(|n| (n.since, std::cmp::Reverse(n.source)));
        of_class.last().map(|n| (n.state, n.source, n.since))
    };
    let leading = told(&[Source::StateFile, Source::Api])
        .or_else(|| told(&[Source::Hook, Source::Transcript]))
        .or_else(|| told(&[Source::Screen]));
    let leading = match leading {
        Some((NativeState::TurnEnded, Source::Hook | Source::Transcript | Source::Api, ended)) => {
            let left_behind = signals.native.iter().find(|n| {
                (n.state, n.source) == (NativeState::Background, Source::Screen)
                    && fresh(n.confirmed, interval * 3)
                    && ended.is_none_or(|ended| n.confirmed >= ended)
            });
            left_behind.map(|n| (n.state, n.source, n.since)).or(leading)
        }
        Some((NativeState::Waiting, Source::Hook, Some(asked))) => {
            let answered = signals.native.iter().find(|n| {
                n.source == Source::Screen
                    && fresh(n.confirmed, interval * 3)
                    && n.confirmed.0 >= asked.0 + 2_000
            });
            answered.map(|n| (n.state, n.source, n.since)).or(leading)
        }
        other => other,
    };
    let contradicted = matches!(
        leading,
        Some((
            NativeState::Busy | NativeState::Background | NativeState::Retrying,
            Source::StateFile | Source::Hook,
            _
        ))
    );
    let came_since = |e: &EvidenceSignal| match leading {
        Some((_, Source::Hook, Some(told))) if e.source == Source::Screen => {
            e.since > Some(told) || e.confirmed.0 >= told.0 + 2_000
        }
        _ => false,
    };
    let of_before = |e: &EvidenceSignal| {
        e.source == Source::Screen
            && leading.is_some_and(|(state, source, since)| {
                let runs = state.runs();
                let ended = state == NativeState::TurnEnded;
                let by_a_turn = runs || (ended && !matches!(e.kind, StuckKind::Dialog | StuckKind::Trust));
                let left_over = by_a_turn && e.since.is_some() && e.since < since;
                let looked = if left_over { e.confirmed.0 - 2_000 } else { e.confirmed.0 };
                source != Source::Screen && since.is_some_and(|since| since.0 > looked)
            })
    };
    let evidence = signals.evidence.iter().any(|e| {
        e.until.map_or(fresh(e.confirmed, interval * 3), |reset| now < reset)
            && !(contradicted && matches!(e.source, Source::Screen | Source::Transcript) && !came_since(e))
            && !of_before(e)
    });
    let native = leading.map(|(state, ..)| state);
    let busy = matches!(native, Some(NativeState::Busy | NativeState::Background | NativeState::Retrying));
    let over = native == Some(NativeState::TurnEnded);
    let beat_busy = signals.heartbeat.is_some_and(|beat| beat.status == Some(heartbeat::Status::Busy));
    let idle = signals.last_activity.map(|moved| moved.age_at(now));
    let gone = matches!(signals.pane, PaneSignal::Gone | PaneSignal::Dead { .. });
    let left = matches!(signals.process, ProcessSignal::Exited | ProcessSignal::LeftToShell { .. });
    [
        (gone || left, State::Dead),
        (matches!(signals.pane, PaneSignal::Unreachable { .. }), State::Unknown),
        (running && (stopped || evidence), State::Stuck),
        (signals.heartbeat.is_none(), State::Unknown),
        (signals.heartbeat.is_some_and(|beat| !fresh(beat.confirmed, beat.interval * 3)), State::Stale),
        (busy || (!over && beat_busy), State::Working),
        (!over && idle.is_some_and(|idle| idle < thresholds.activity), State::Working),
        (over || idle.is_some_and(|idle| idle >= thresholds.activity), State::Available),
        (true, State::Unknown),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn the_first_row_that_holds_decides(signals in any_signals(), now in -1_500_000i64..1_500_000) {
        let verdict = assess(&signals, &Thresholds::default(), Mono(now));
        let row = rows(&signals, Mono(now)).into_iter().find(|(holds, _)| *holds).unwrap();
        prop_assert_eq!(verdict.state, row.1);
        prop_assert_eq!(verdict.state == State::Stuck, verdict.kind.is_some());
    }

    #[test]
    fn nothing_changes_before_the_announced_deadline_and_something_does_at_it(
        signals in any_signals(), now in -1_500_000i64..1_500_000, part in 0.0f64..1.0,
    ) {
        let thresholds = Thresholds::default();
        let verdict = assess(&signals, &thresholds, Mono(now));
        let end = verdict.next.as_ref().map_or(now + 4_000_000, |next| next.at.0 - 1);
        let between = now + ((end - now) as f64 * part) as i64;
        for moment in [between, end] {
            let then = assess(&signals, &thresholds, Mono(moment));
            prop_assert_eq!((then.state, then.kind), (verdict.state, verdict.kind));
        }
        if let Some(next) = &verdict.next {
            prop_assert!(next.at > Mono(now));
            let then = assess(&signals, &thresholds, next.at);
            prop_assert_eq!((then.state, then.kind), (next.becomes, next.kind));
            prop_assert_ne!((then.state, then.kind), (verdict.state, verdict.kind));
        }
    }

    #[test]
    fn what_is_steady_stays_to_the_word(
        signals in any_signals(), now in -1_500_000i64..1_500_000, part in 0.0f64..1.0,
    ) {
        let thresholds = Thresholds::default();
        let until = steady_until(&signals, &thresholds, Mono(now));
        let end = until.map_or(now + 4_000_000, |until| until.0 - 1);
        prop_assert!(end >= now);
        let between = now + ((end - now) as f64 * part) as i64;
        for moment in [between, end] {
            prop_assert_eq!(judge(&signals, &thresholds, Mono(moment)), judge(&signals, &thresholds, Mono(now)));
        }
    }
}
