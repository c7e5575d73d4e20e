//! Which of several signals leads. One table, here and in docs/state.md:
//!
//! ```text
//! whose turn it is   1. state file, runtime's own server   they tell what holds; of two the later
//!                    2. hook, transcript                   they tell a moment; of two the later
//!                    3. screen                             after two looks that agree
//!                    a screen without what a hook said was asked, looked at two seconds later, ends it
//!                    background work on a screen refines a turn's end that a server or 2. told before
//! what is in the way evidence holds while it is confirmed, a limit until its reset
//!                    a state file or hook that says busy overrules what transcript and screen hold against it;
//!                    a hook only what they hold from before its moment, as none may tell what came then
//!                    a kind that says more ("question") refines one that says less ("a dialog is open")
//! ```
//!
//! A signal that nobody confirmed for three heartbeat intervals counts no more. What is overruled is still shown.

use std::time::Duration;

use crate::heartbeat;
use crate::observation::{Evidence, Native, NativeState, Source, StuckKind};
use crate::readiness::{EvidenceSignal, NativeSignal, Signals, Thresholds};
use crate::time::Mono;

/// The signal that says whose turn it is.
pub fn leading<'s>(signals: &'s Signals, thresholds: &Thresholds, now: Mono) -> Option<&'s NativeSignal> {
    lead(&signals.native, |confirmed| lapses_at(confirmed, signals, thresholds), now)
}

/// The same of what a sidecar sees at one moment, whose interval of heartbeats this is.
pub fn leading_of<'n>(
    native: &'n [Native],
    interval: Duration,
    thresholds: &Thresholds,
) -> Option<&'n Native> {
    let now = Mono::default();
    let signals: Vec<NativeSignal> = native.iter().map(|native| NativeSignal::of(native, now)).collect();
    let lapse = interval.saturating_mul(thresholds.evidence_intervals);
    let leading = lead(&signals, |confirmed| confirmed.plus(lapse), now)?;
    native.iter().zip(&signals).find(|(_, signal)| std::ptr::eq(*signal, leading)).map(|(native, _)| native)
}

fn lead(native: &[NativeSignal], lapses_at: impl Fn(Mono) -> Mono, now: Mono) -> Option<&NativeSignal> {
    let fresh = || native.iter().filter(|native| now <= lapses_at(native.confirmed));
    let leading = fresh().max_by_key(|native| {
        (std::cmp::Reverse(class(native.source)), native.since, std::cmp::Reverse(native.source))
    })?;
    Some(fresh().find(|native| goes_on(native, leading) || answered(native, leading)).unwrap_or(leading))
}

/// What a runtime asks is drawn by then.
const DRAWN: Duration = Duration::from_secs(2);

/// No hook tells that somebody answered: a screen does that was looked at after what was asked would have been drawn, and
/// shows something else.
fn answered(shown: &NativeSignal, asked: &NativeSignal) -> bool {
    asked.source == Source::Hook
        && asked.state == NativeState::Waiting
        && shown.source == Source::Screen
        && shows_after(shown, asked.since)
}

fn shows_after(shown: &NativeSignal, asked: Option<Mono>) -> bool {
    asked.is_some_and(|asked| shown.confirmed >= asked.plus(DRAWN))
}

/// The turn that was told to be over left work behind, as a look after that shows: its end is all that those tell.
fn goes_on(shown: &NativeSignal, told: &NativeSignal) -> bool {
    told.state == NativeState::TurnEnded
        && matches!(told.source, Source::Hook | Source::Transcript | Source::Api)
        && shown.state == NativeState::Background
        && shown.source == Source::Screen
        && told.since.is_none_or(|ended| shown.confirmed >= ended)
}

/// Smaller leads.
fn class(source: Source) -> u8 {
    match source {
        Source::StateFile | Source::Api => 0,
        Source::Hook | Source::Transcript => 1,
        Source::Screen => 2,
        Source::Process | Source::HeartbeatFile | Source::Tmux => 3,
    }
}

/// The evidence that holds, overruled or not.
pub fn holding(signals: &Signals, thresholds: &Thresholds, now: Mono) -> Vec<EvidenceSignal> {
    let holds = |evidence: &&EvidenceSignal| match evidence.until {
        Some(reset) => now < reset,
        None => now <= lapses_at(evidence.confirmed, signals, thresholds),
    };
    signals.evidence.iter().filter(holds).cloned().collect()
}

/// Of the evidence that holds, what decides.
pub fn deciding<'e>(
    holding: &'e [EvidenceSignal],
    leading: Option<&NativeSignal>,
) -> Option<&'e EvidenceSignal> {
    let counts = |evidence: &&EvidenceSignal| !leading.is_some_and(|leading| overrules(leading, evidence));
    let refined = holding.iter().any(|evidence| {
        evidence.source == Source::Screen
            && !matches!(evidence.kind, StuckKind::Dialog | StuckKind::Permission)
    });
    let says_less = |evidence: &EvidenceSignal| {
        matches!(evidence.kind, StuckKind::Dialog | StuckKind::NoProgress)
            || (refined && evidence.kind == StuckKind::Permission && evidence.source == Source::StateFile)
    };
    holding.iter().filter(counts).min_by_key(|evidence| (says_less(evidence), evidence.source, evidence.kind))
}

/// The evidence, what decided first; where something is asked, the screen goes before it, as it names what.
pub fn most_telling(holding: &[EvidenceSignal], deciding: &EvidenceSignal) -> Vec<EvidenceSignal> {
    let asks = matches!(
        deciding.kind,
        StuckKind::Permission | StuckKind::Question | StuckKind::Dialog | StuckKind::Trust
    );
    let names = |evidence: &EvidenceSignal| asks && evidence.source == Source::Screen;
    let rank =
        |evidence: &EvidenceSignal| (evidence.kind != deciding.kind, !names(evidence), evidence.source);
    let mut sorted = holding.to_vec();
    sorted.sort_by_key(rank);
    sorted
}

/// No hook tells that an extension asks, nor that the last of several tries failed: what came up on the screen after the
/// hook spoke, or still stands there when the change that it told of would have been drawn, holds against it.
fn came_up_since(evidence: &EvidenceSignal, hook: &NativeSignal) -> bool {
    hook.source == Source::Hook
        && evidence.source == Source::Screen
        && hook.since.is_some_and(|told| {
            evidence.since.is_some_and(|shown| shown > told) || evidence.confirmed >= told.plus(DRAWN)
        })
}

/// The last look at it was before that moment; or so soon after that what stood there already may not be drawn over yet.
fn shown_before((since, confirmed): (Option<Mono>, Mono), moment: Mono, is_drawn_over: bool) -> bool {
    let left_over = is_drawn_over && since.is_some_and(|since| since < moment);
    confirmed < if left_over { moment.plus(DRAWN) } else { moment }
}

/// What a screen showed before a turn began says nothing of it, nor of anything after; all as ages.
pub fn is_of_before(shown: &Evidence, began: Duration) -> bool {
    let at = |age: Duration| Mono::default().minus(age);
    shown.source == Source::Screen
        && shown_before((shown.since.map(at), at(shown.confirmed)), at(began), true)
}

/// Some runtimes say busy while a prompt is open: only those that would say so themselves contradict it. And what a hook
/// told of a moment is over when a later signal says that the turn goes on or ended: that a prompt was refused, no hook
/// tells. A look at the screen from before the last change says nothing of after it; and what stood there before that
/// change still stands there until the change is drawn, but for a dialog, which no turn opens or closes.
fn overrules(leading: &NativeSignal, evidence: &EvidenceSignal) -> bool {
    let contradicts = leading.state.runs()
        && matches!(leading.source, Source::StateFile | Source::Hook)
        && matches!(evidence.source, Source::Transcript | Source::Screen)
        && !came_up_since(evidence, leading);
    let is_over = evidence.source == Source::Hook
        && leading.source != Source::Hook
        && leading.state != NativeState::Waiting
        && (leading.since.zip(evidence.since).is_some_and(|(later, asked)| later > asked)
            || (leading.source == Source::Screen && shows_after(leading, evidence.since)));
    let of_before = evidence.source == Source::Screen
        && leading.source != Source::Screen
        && leading.since.is_some_and(|since| {
            let of_a_turn = match leading.state {
                NativeState::Waiting => false,
                NativeState::TurnEnded => !matches!(evidence.kind, StuckKind::Dialog | StuckKind::Trust),
                NativeState::Busy | NativeState::Retrying | NativeState::Background => true,
            };
            shown_before((evidence.since, evidence.confirmed), since, of_a_turn)
        });
    contradicts || is_over || of_before
}

/// The last moment at which something confirmed then still counts.
pub fn lapses_at(confirmed: Mono, signals: &Signals, thresholds: &Thresholds) -> Mono {
    let interval = signals.heartbeat.map_or(heartbeat::DEFAULT_INTERVAL, |beat| beat.interval);
    confirmed.plus(interval.saturating_mul(thresholds.evidence_intervals))
}

/// After so many looks that agree with nothing, what was held before them is let go.
const RESTLESS: u8 = 4;

/// What a screen shows, once two looks in a row agree: a redraw caught in the middle changes nothing. The first look
/// of all is taken as it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Steady<T> {
    held: Option<(T, Mono)>,
    /// Seen once, and when first.
    candidate: Option<(T, Mono)>,
    /// Looks in a row that agreed neither with what is held nor with each other.
    restless: u8,
    looked: Option<Mono>,
}

impl<T> Default for Steady<T> {
    fn default() -> Self {
        Self { held: None, candidate: None, restless: 0, looked: None }
    }
}

impl<T: PartialEq> Steady<T> {
    /// Takes in a look; `same` tells whether two sights say the same. True when what is held became another.
    pub fn look(&mut self, seen: T, at: Mono, same: impl Fn(&T, &T) -> bool) -> bool {
        self.looked = Some(at);
        let Some((held, _)) = &mut self.held else {
            self.held = Some((seen, at));
            return true;
        };
        if same(held, &seen) {
            *held = seen;
            (self.candidate, self.restless) = (None, 0);
            return false;
        }
        let since = match &self.candidate {
            Some((candidate, since)) if same(candidate, &seen) => *since,
            // What was held is over at any rate; of what follows the latest is as good as any.
            _ if self.restless + 1 >= RESTLESS => at,
            _ => {
                self.restless += 1;
                self.candidate = Some((seen, at));
                return false;
            }
        };
        self.held = Some((seen, since));
        (self.candidate, self.restless) = (None, 0);
        true
    }

    /// What is held, and since which look.
    pub fn held(&self) -> Option<(&T, Mono)> {
        self.held.as_ref().map(|(seen, since)| (seen, *since))
    }

    /// A second look would decide something.
    pub fn wants_another(&self) -> bool {
        self.candidate.is_some()
    }

    /// How long ago the last look was.
    pub fn age(&self, now: Mono) -> Option<Duration> {
        self.looked.map(|at| at.age_at(now))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::readiness::BeatSignal;

    fn any_native() -> impl Strategy<Value = Native> {
        let state = prop::sample::select(vec![
            NativeState::Busy,
            NativeState::Retrying,
            NativeState::Background,
            NativeState::TurnEnded,
            NativeState::Waiting,
        ]);
        let source = prop::sample::select(vec![
            Source::StateFile,
            Source::Hook,
            Source::Api,
            Source::Transcript,
            Source::Screen,
        ]);
        let age = |most: u64| (0..most).prop_map(Duration::from_millis);
        (state, source, prop::option::of(age(90_000)), age(90_000)).prop_map(
            |(state, source, since, confirmed)| Native {
                state,
                since,
                source,
                confirmed,
                line: String::new(),
            },
        )
    }

    proptest! {
        #[test]
        fn a_sidecar_and_a_collector_follow_the_same_signal(
            native in prop::collection::vec(any_native(), 0..6), interval in 1u64..30, now in 0i64..1_000_000,
        ) {
            let (interval, thresholds) = (Duration::from_secs(interval), Thresholds::default());
            let now = Mono(now);
            let beat = BeatSignal { confirmed: now, interval, status: None };
            let signals = Signals {
                native: native.iter().map(|native| NativeSignal::of(native, now)).collect(),
                heartbeat: Some(beat),
                ..Signals::unknown()
            };
            let there = leading(&signals, &thresholds, now).copied();
            let here = leading_of(&native, interval, &thresholds).map(|native| NativeSignal::of(native, now));
            prop_assert_eq!(here, there);
        }
    }

    fn native(state: NativeState, source: Source, since: i64) -> NativeSignal {
        NativeSignal { state, since: Some(Mono(since)), source, confirmed: Mono(100) }
    }

    fn evidence(kind: StuckKind, source: Source) -> EvidenceSignal {
        EvidenceSignal { kind, line: String::new(), source, since: None, confirmed: Mono(100), until: None }
    }

    fn lead(native: Vec<NativeSignal>, now: i64) -> Option<(NativeState, Source)> {
        let signals = Signals { native, ..Signals::unknown() };
        leading(&signals, &Thresholds::default(), Mono(now)).map(|native| (native.state, native.source))
    }

    #[test]
    fn a_state_file_leads_over_moments_and_of_two_moments_the_later() {
        let hook = native(NativeState::Busy, Source::Hook, 10);
        let transcript = native(NativeState::TurnEnded, Source::Transcript, 20);
        let screen = native(NativeState::Busy, Source::Screen, 30);
        let file = native(NativeState::Waiting, Source::StateFile, 1);
        assert_eq!(
            lead(vec![screen, hook, transcript], 100),
            Some((NativeState::TurnEnded, Source::Transcript))
        );
        assert_eq!(lead(vec![hook, screen], 100), Some((NativeState::Busy, Source::Hook)));
        assert_eq!(lead(vec![transcript, file, hook], 100), Some((NativeState::Waiting, Source::StateFile)));
        assert_eq!(lead(vec![screen], 45_100), Some((NativeState::Busy, Source::Screen)));
        assert_eq!(lead(vec![screen], 45_101), None);
    }

    #[test]
    fn a_busy_state_file_overrules_the_screen_and_a_busy_server_does_not() {
        let seen = [evidence(StuckKind::Permission, Source::Screen)];
        let file = native(NativeState::Busy, Source::StateFile, 1);
        let server = native(NativeState::Busy, Source::Api, 1);
        assert_eq!(deciding(&seen, Some(&file)), None);
        assert_eq!(deciding(&seen, Some(&server)), Some(&seen[0]));
        let own = [evidence(StuckKind::Permission, Source::StateFile)];
        assert_eq!(deciding(&own, Some(&file)), Some(&own[0]));
    }

    #[test]
    fn a_busy_hook_overrules_what_the_screen_showed_before_and_not_what_came_up_since() {
        let hook = native(NativeState::Busy, Source::Hook, 10_000);
        let counts = |kind, source, since, confirmed| {
            let (since, confirmed) = (Some(Mono(since)), Mono(confirmed));
            let shown = EvidenceSignal { since, confirmed, ..evidence(kind, source) };
            deciding(&[shown], Some(&hook)).is_some()
        };
        for kind in [StuckKind::Permission, StuckKind::Error] {
            assert!(counts(kind, Source::Screen, 10_400, 10_900), "it came up after the hook spoke");
            assert!(!counts(kind, Source::Screen, 9_000, 11_999), "it may not be drawn yet that it is over");
            assert!(counts(kind, Source::Screen, 9_000, 12_000), "it would be drawn by now");
            assert!(!counts(kind, Source::Transcript, 10_400, 13_000));
        }
    }

    #[test]
    fn what_a_hook_told_is_over_when_a_later_signal_says_so() {
        let asked = EvidenceSignal { since: Some(Mono(10)), ..evidence(StuckKind::Permission, Source::Hook) };
        let holds = |leading| deciding(std::slice::from_ref(&asked), Some(&leading)).is_some();
        assert!(!holds(native(NativeState::TurnEnded, Source::StateFile, 20)));
        assert!(!holds(native(NativeState::TurnEnded, Source::Transcript, 20)));
        assert!(holds(native(NativeState::Busy, Source::Transcript, 5)));
        assert!(holds(native(NativeState::Waiting, Source::StateFile, 20)));
        assert!(holds(native(NativeState::Waiting, Source::Hook, 10)));
    }

    #[test]
    fn what_a_hook_asked_was_answered_when_the_screen_shows_that_it_goes_on() {
        let asked = native(NativeState::Waiting, Source::Hook, 10_000);
        let shown = |at| NativeSignal { confirmed: Mono(at), ..native(NativeState::Busy, Source::Screen, 1) };
        let lead = |at| {
            let signals = Signals {
                native: vec![NativeSignal { confirmed: Mono(20_000), ..asked }, shown(at)],
                ..Signals::unknown()
            };
            leading(&signals, &Thresholds::default(), Mono(20_000)).map(|native| native.source)
        };
        assert_eq!((lead(11_999), lead(12_000)), (Some(Source::Hook), Some(Source::Screen)));
        let evidence =
            EvidenceSignal { since: Some(Mono(10_000)), ..evidence(StuckKind::Permission, Source::Hook) };
        let holds = |at| deciding(std::slice::from_ref(&evidence), Some(&shown(at))).is_some();
        assert!(holds(11_999) && !holds(12_000));
    }

    #[test]
    fn a_look_from_before_the_last_change_says_nothing_of_after_it() {
        let seen = [evidence(StuckKind::Permission, Source::Screen)];
        let ended = |since| native(NativeState::TurnEnded, Source::StateFile, since);
        assert_eq!(deciding(&seen, Some(&ended(101))), None);
        assert_eq!(deciding(&seen, Some(&ended(100))), Some(&seen[0]));
    }

    #[test]
    fn what_stood_there_before_a_change_stands_there_until_that_change_is_drawn() {
        let holds = |kind, (since, at), state| {
            let seen = EvidenceSignal {
                since: Some(Mono(since)),
                confirmed: Mono(at),
                ..evidence(kind, Source::Screen)
            };
            deciding(&[seen], Some(&native(state, Source::Api, 10_000))).is_some()
        };
        for state in [NativeState::Busy, NativeState::TurnEnded] {
            assert!(!holds(StuckKind::UsageLimit, (9_000, 11_999), state));
            assert!(holds(StuckKind::UsageLimit, (9_000, 12_000), state));
            assert!(holds(StuckKind::UsageLimit, (10_001, 10_001), state));
        }
        assert!(!holds(StuckKind::Dialog, (9_000, 10_000), NativeState::Busy));
        assert!(holds(StuckKind::Dialog, (9_000, 10_000), NativeState::TurnEnded));
    }

    #[test]
    fn what_a_turn_was_the_end_of_stays_over_when_nobody_tells_of_the_turn_any_more() {
        let limit = |source, since, confirmed| Evidence {
            kind: StuckKind::UsageLimit,
            line: String::new(),
            source,
            since: Some(Duration::from_millis(since)),
            confirmed: Duration::from_millis(confirmed),
            until: None,
        };
        let over = |source, since, confirmed| {
            is_of_before(&limit(source, since, confirmed), Duration::from_secs(10))
        };
        assert!(over(Source::Screen, 11_000, 8_001), "it may not be drawn yet that it is over");
        assert!(!over(Source::Screen, 11_000, 8_000), "it still stands there");
        assert!(!over(Source::Screen, 9_999, 9_999), "it came up in the turn");
        assert!(!over(Source::Transcript, 11_000, 11_000), "what a transcript tells has its own time");
    }

    #[test]
    fn a_kind_that_says_more_refines_one_that_says_less() {
        let both =
            [evidence(StuckKind::Dialog, Source::StateFile), evidence(StuckKind::UsageLimit, Source::Screen)];
        assert_eq!(deciding(&both, None), Some(&both[1]));
        let asked = [
            evidence(StuckKind::Permission, Source::StateFile),
            evidence(StuckKind::Question, Source::Screen),
        ];
        assert_eq!(deciding(&asked, None), Some(&asked[1]));
        let same = [
            evidence(StuckKind::Permission, Source::Screen),
            evidence(StuckKind::Permission, Source::StateFile),
        ];
        assert_eq!(deciding(&same, None), Some(&same[1]));
    }

    #[test]
    fn background_work_on_a_screen_refines_a_turns_end_unless_a_state_file_told_it() {
        let shown = native(NativeState::Background, Source::Screen, 30);
        let ended = |source, since| native(NativeState::TurnEnded, source, since);
        let background = Some((NativeState::Background, Source::Screen));
        assert_eq!(lead(vec![shown, ended(Source::Transcript, 90)], 100), background);
        assert_eq!(lead(vec![shown, ended(Source::Hook, 100)], 100), background);
        let later = ended(Source::Transcript, 101);
        assert_eq!(lead(vec![shown, later], 110), Some((NativeState::TurnEnded, Source::Transcript)));
        let file = ended(Source::StateFile, 90);
        assert_eq!(lead(vec![shown, file], 100), Some((NativeState::TurnEnded, Source::StateFile)));
    }

    #[test]
    fn what_is_asked_is_told_by_the_screen_and_what_failed_by_the_transcript() {
        let first = |kind, sources: [Source; 2]| {
            let both = sources.map(|source| evidence(kind, source));
            most_telling(&both, &both[0])[0].source
        };
        assert_eq!(first(StuckKind::Permission, [Source::StateFile, Source::Screen]), Source::Screen);
        assert_eq!(first(StuckKind::Error, [Source::Screen, Source::Transcript]), Source::Transcript);
    }

    #[test]
    fn a_change_must_be_seen_twice_and_the_first_look_counts() {
        let mut steady = Steady::default();
        let same = |a: &u8, b: &u8| a == b;
        assert!(steady.look(1, Mono(0), same));
        assert!(!steady.look(2, Mono(10), same));
        assert!(steady.wants_another());
        assert!(!steady.look(3, Mono(20), same));
        assert!(!steady.look(1, Mono(30), same));
        assert!(!steady.look(2, Mono(40), same));
        assert!(steady.look(2, Mono(50), same));
        assert_eq!(steady.held(), Some((&2, Mono(40))));
        assert_eq!(steady.age(Mono(60)), Some(Duration::from_millis(10)));
    }

    #[test]
    fn what_never_comes_to_rest_does_not_keep_what_was_before_it() {
        let mut steady = Steady::default();
        let same = |a: &u8, b: &u8| a == b;
        steady.look(1, Mono(0), same);
        let changes: Vec<bool> =
            [2, 3, 2, 3].iter().zip(1..).map(|(seen, at)| steady.look(*seen, Mono(at), same)).collect();
        assert_eq!(changes, [false, false, false, true]);
        assert_eq!(steady.held(), Some((&3, Mono(4))));
    }
}
