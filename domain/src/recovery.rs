//! Which ended agents are brought back, and when: soon at first, later each time, and not at all once an agent does
//! nothing but end. Many deaths at once are one event, and those agents come back one after the other.
//!
//! A state machine without a clock: it is told what ended and what came up, and [`Recovery::step`] says what is to be
//! done by now. [`Recovery::deadline`] is the first moment at which that would be more.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::text;
use crate::time::Mono;

/// The longest reason that is kept, in characters.
const REASON: usize = 200;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Policy {
    /// The pause before the first restart; it doubles with each short life.
    pub pause: Duration,
    pub longest_pause: Duration,
    /// A life at least as long forgets the deaths before it.
    pub healthy: Duration,
    /// So many short lives in a row, and the agent is left down.
    pub short_lives: u32,
    /// Deaths that follow each other this closely belong together.
    pub together: Duration,
    /// Restarts are this far apart at least.
    pub apart: Duration,
}

impl Default for Policy {
    fn default() -> Self {
        Self {
            pause: Duration::from_secs(2),
            longest_pause: Duration::from_secs(300),
            healthy: Duration::from_secs(600),
            short_lives: 5,
            together: Duration::from_secs(1),
            apart: Duration::from_secs(1),
        }
    }
}

/// Fewer than these are single deaths.
const MASS: usize = 3;

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Effect {
    Restart {
        name: String,
    },
    /// It ended as often as the policy allows; nobody but a person starts it again.
    Quarantine {
        name: String,
        reason: String,
    },
    /// So many ended at the same moment, at least half of those that were up: the cause is not in any one of them.
    Mass {
        names: Vec<String>,
    },
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Phase {
    Up {
        since: Mono,
    },
    /// Ended just now; whether alone is not known yet.
    Ended {
        at: Mono,
        lived: Option<Duration>,
        reason: String,
    },
    Waiting {
        due: Mono,
    },
    /// Told to come up; nobody has said that it did.
    Starting,
    Quarantined,
}

#[derive(Debug, Clone)]
struct Life {
    phase: Phase,
    /// Short lives in a row.
    short: u32,
}

/// The agents that are kept up.
#[derive(Debug, Clone, Default)]
pub struct Recovery {
    policy: Policy,
    lives: BTreeMap<String, Life>,
    last_restart: Option<Mono>,
}

impl Recovery {
    pub fn new(policy: Policy) -> Self {
        Self { policy, ..Self::default() }
    }

    /// It runs. A quarantine ends with it: somebody started it.
    pub fn up(&mut self, name: &str, now: Mono) {
        let life = self.lives.entry(name.to_owned()).or_insert(Life { phase: Phase::Starting, short: 0 });
        match life.phase {
            Phase::Up { .. } => {}
            Phase::Quarantined => *life = Life { phase: Phase::Up { since: now }, short: 0 },
            _ => life.phase = Phase::Up { since: now },
        }
    }

    /// It does not run, and should. Of one that was never up, too, and of one whose start failed.
    pub fn ended(&mut self, name: &str, reason: &str, now: Mono) {
        let life = self.lives.entry(name.to_owned()).or_insert(Life { phase: Phase::Starting, short: 0 });
        let lived = match life.phase {
            Phase::Up { since } => Some(since.age_at(now)),
            Phase::Starting => None,
            Phase::Ended { .. } | Phase::Waiting { .. } | Phase::Quarantined => return,
        };
        life.phase = Phase::Ended { at: now, lived, reason: text::clean(reason, REASON) };
    }

    /// It is down on purpose, or not one of ours any more.
    pub fn forget(&mut self, name: &str) {
        self.lives.remove(name);
    }

    /// It was seen to run, and has not ended since.
    pub fn is_up(&self, name: &str) -> bool {
        self.lives.get(name).is_some_and(|life| matches!(life.phase, Phase::Up { .. }))
    }

    pub fn is_quarantined(&self, name: &str) -> bool {
        self.lives.get(name).is_some_and(|life| life.phase == Phase::Quarantined)
    }

    /// As it was found: it ended as often as is allowed, before this watch began.
    pub fn quarantined(&mut self, name: &str) {
        self.lives
            .insert(name.to_owned(), Life { phase: Phase::Quarantined, short: self.policy.short_lives });
    }

    /// What is to be done by now.
    pub fn step(&mut self, now: Mono) -> Vec<Effect> {
        let mut effects = self.settle(now);
        effects.extend(self.restart(now));
        effects
    }

    /// When [`Self::step`] has something to do next, if nothing happens meanwhile.
    pub fn deadline(&self) -> Option<Mono> {
        let settled = self.settling().map(|last| last.plus(self.policy.together));
        let waiting = |life: &Life| match life.phase {
            Phase::Waiting { due } => Some(due),
            _ => None,
        };
        let due = self.lives.values().filter_map(waiting).min();
        let free = self.last_restart.map(|last| last.plus(self.policy.apart));
        let restart = due.map(|due| free.map_or(due, |free| free.max(due)));
        [settled, restart].into_iter().flatten().min()
    }

    /// The latest of the deaths that are not yet judged.
    fn settling(&self) -> Option<Mono> {
        let ended = |life: &Life| match life.phase {
            Phase::Ended { at, .. } => Some(at),
            _ => None,
        };
        self.lives.values().filter_map(ended).max()
    }

    /// Judges the deaths once no further one followed.
    fn settle(&mut self, now: Mono) -> Vec<Effect> {
        let Some(last) = self.settling() else { return Vec::new() };
        if now < last.plus(self.policy.together) {
            return Vec::new();
        }
        let of_age = |life: &Life| matches!(&life.phase, Phase::Ended { lived: Some(_), .. });
        let ended: Vec<String> =
            self.lives.iter().filter(|(_, life)| of_age(life)).map(|(name, _)| name.clone()).collect();
        let up = self.lives.values().filter(|life| matches!(life.phase, Phase::Up { .. })).count();
        let mass = ended.len() >= MASS && ended.len() >= up;
        let mut effects = Vec::new();
        let policy = self.policy;
        for (name, life) in &mut self.lives {
            let Phase::Ended { lived, reason, .. } = &life.phase else { continue };
            let blameless = mass && lived.is_some();
            if lived.is_some_and(|lived| lived >= policy.healthy) {
                life.short = 0;
            }
            life.short += u32::from(!blameless);
            if life.short >= policy.short_lives {
                let reason = format!("it ended {} times in a row; the last time: {reason}", life.short);
                effects.push(Effect::Quarantine { name: name.clone(), reason });
                life.phase = Phase::Quarantined;
            } else {
                life.phase = Phase::Waiting { due: last.plus(policy.pause_after(life.short)) };
            }
        }
        if mass {
            effects.insert(0, Effect::Mass { names: ended });
        }
        effects
    }

    fn restart(&mut self, now: Mono) -> Option<Effect> {
        if self.last_restart.is_some_and(|last| now < last.plus(self.policy.apart)) {
            return None;
        }
        let due = |life: &Life| match life.phase {
            Phase::Waiting { due } if due <= now => Some(due),
            _ => None,
        };
        let first = self.lives.iter().filter_map(|(name, life)| Some((due(life)?, name))).min();
        let name = first.map(|(_, name)| name.clone())?;
        self.lives.get_mut(&name)?.phase = Phase::Starting;
        self.last_restart = Some(now);
        Some(Effect::Restart { name })
    }
}

impl Policy {
    fn pause_after(&self, short: u32) -> Duration {
        let doubled = 1_u32.checked_shl(short.saturating_sub(1)).unwrap_or(u32::MAX);
        self.pause.saturating_mul(doubled).min(self.longest_pause)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn at(ms: i64) -> Mono {
        Mono(ms)
    }

    /// Steps from deadline to deadline until nothing is left to do; what was done, and when.
    fn run(recovery: &mut Recovery, until: i64) -> Vec<(i64, Effect)> {
        let mut done = Vec::new();
        while let Some(deadline) = recovery.deadline().filter(|deadline| deadline.0 <= until) {
            done.extend(recovery.step(deadline).into_iter().map(|effect| (deadline.0, effect)));
        }
        done
    }

    fn restart(name: &str) -> Effect {
        Effect::Restart { name: name.to_owned() }
    }

    #[test]
    fn one_that_ended_comes_back_soon_and_one_that_keeps_ending_is_left_down() {
        let mut recovery = Recovery::default();
        recovery.up("a", at(0));
        let mut now = 1000;
        let mut pauses = Vec::new();
        for _ in 0..4 {
            recovery.ended("a", "exit status 1", at(now));
            let done = run(&mut recovery, i64::MAX);
            assert_eq!(done.len(), 1, "{done:?}");
            assert_eq!(done[0].1, restart("a"));
            pauses.push(done[0].0 - now);
            now = done[0].0 + 10;
            recovery.up("a", at(now));
            now += 1000;
        }
        assert_eq!(pauses, [2000, 4000, 8000, 16000]);
        recovery.ended("a", "exit status 1", at(now));
        let reason = "it ended 5 times in a row; the last time: exit status 1".to_owned();
        let done = run(&mut recovery, i64::MAX);
        assert_eq!(done, [(now + 1000, Effect::Quarantine { name: "a".to_owned(), reason })]);
        assert!(recovery.is_quarantined("a"));
        recovery.up("a", at(now + 5000));
        assert!(!recovery.is_quarantined("a"));
    }

    #[test]
    fn a_long_life_forgets_the_deaths_before_it() {
        let mut recovery = Recovery::default();
        let mut now = 0;
        for _ in 0..20 {
            recovery.up("a", at(now));
            now += 600_000;
            recovery.ended("a", "", at(now));
            let done = run(&mut recovery, i64::MAX);
            assert_eq!(done, [(now + 2000, restart("a"))]);
            now += 2000;
        }
    }

    #[test]
    fn many_deaths_at_once_are_one_event_and_come_back_one_after_the_other() {
        let mut recovery = Recovery::default();
        for name in ["a", "b", "c", "d"] {
            recovery.up(name, at(0));
        }
        for (name, when) in [("c", 5000), ("a", 5200), ("b", 5900)] {
            recovery.ended(name, "the server is gone", at(when));
        }
        let names = ["a", "b", "c"].map(str::to_owned).into();
        assert_eq!(
            run(&mut recovery, i64::MAX),
            [
                (6900, Effect::Mass { names }),
                (7900, restart("a")),
                (8900, restart("b")),
                (9900, restart("c"))
            ]
        );
    }

    #[test]
    fn what_is_stopped_on_purpose_stays_down() {
        let mut recovery = Recovery::default();
        recovery.up("a", at(0));
        recovery.ended("a", "", at(10));
        recovery.forget("a");
        assert_eq!(recovery.deadline(), None);
        assert_eq!(recovery.step(at(100_000)), []);
    }

    #[derive(Debug, Clone)]
    enum Told {
        Up(u8),
        Ended(u8),
        Forget(u8),
        Wait(i64),
    }

    fn told() -> impl Strategy<Value = Told> {
        prop_oneof![
            (0..6_u8).prop_map(Told::Up),
            (0..6_u8).prop_map(Told::Ended),
            (0..6_u8).prop_map(Told::Forget),
            (0..20_000_i64).prop_map(Told::Wait),
        ]
    }

    proptest! {
        /// Whatever happens in whatever order: restarts keep their distance, only what ended is restarted, nothing
        /// changes before the announced deadline, and stepping from deadline to deadline comes to an end.
        #[test]
        fn restarts_keep_their_distance_and_deadlines_are_honest(story in proptest::collection::vec(told(), 0..80)) {
            let mut recovery = Recovery::default();
            let policy = Policy::default();
            let (mut now, mut last) = (0_i64, None::<i64>);
            let mut down = std::collections::BTreeSet::new();
            for told in story {
                match told {
                    Told::Up(n) => { recovery.up(&n.to_string(), at(now)); down.remove(&n.to_string()); }
                    Told::Ended(n) => { recovery.ended(&n.to_string(), "x", at(now)); down.insert(n.to_string()); }
                    Told::Forget(n) => { recovery.forget(&n.to_string()); down.remove(&n.to_string()); }
                    Told::Wait(by) => now += by,
                }
                if let Some(deadline) = recovery.deadline().filter(|deadline| deadline.0 > now) {
                    prop_assert_eq!(recovery.clone().step(at(now)), [], "before {:?}", deadline);
                }
                for effect in recovery.step(at(now)) {
                    if let Effect::Restart { name } = effect {
                        prop_assert!(down.contains(&name));
                        let apart = i64::try_from(policy.apart.as_millis()).unwrap();
                        prop_assert!(last.is_none_or(|last| now - last >= apart));
                        last = Some(now);
                    }
                }
            }
            let mut steps = 0;
            while let Some(deadline) = recovery.deadline() {
                recovery.step(deadline.max(at(now)));
                now = now.max(deadline.0);
                steps += 1;
                prop_assert!(steps < 50);
            }
        }
    }
}
