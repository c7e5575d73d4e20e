//! Whether anything came of an agent's task: what of it is looked at, and how often is the caller's business.

use std::time::{Duration, Instant, SystemTime};

use fleet_adapters::procfs::{self, Stat};
use fleet_domain::Mono;
use fleet_domain::observation::{Evidence, Source, StuckKind};
use fleet_domain::progress::{Progress, Sample};

/// Of a processor, in percent: a runtime that only draws its idle screen uses less.
const BUSY: u64 = 5;

/// Ages of what is known of a task and of what followed.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Ages {
    /// Since a task was accepted whose turn neither ended nor asked anything.
    pub(super) task: Option<Duration>,
    /// Since its turn began, as the source says that has it longest: what was started later was started for it.
    pub(super) turn: Option<Duration>,
    /// Since something was drawn or written down.
    pub(super) moved: Option<Duration>,
}

#[derive(Default)]
pub(super) struct Stand {
    progress: Progress,
    origin: Option<Instant>,
    /// The clock ticks that its processes had used by then.
    used: Option<(u64, Instant)>,
    since: Option<Mono>,
}

impl Stand {
    /// Looks anew; true when it came to stand still, or moves again.
    pub(super) fn look(&mut self, ages: Ages, process: &Stat, threshold: Duration, now: Instant) -> bool {
        let at = self.mono(now);
        let ago = |age: Duration| at.minus(age);
        let works = ages.turn.is_some_and(|turn| self.works(turn, process, now));
        let sample = Sample { task: ages.task.map(ago), moved: ages.moved.map(ago), works };
        let since = self.progress.take(&sample, threshold, at);
        std::mem::replace(&mut self.since, since).is_some() != since.is_some()
    }

    pub(super) fn evidence(&self, now: Instant) -> Option<Evidence> {
        let since = self.since?.age_at(mono(self.origin?, now));
        Some(Evidence {
            kind: StuckKind::NoProgress,
            line: "it took a task, and nothing was drawn, written down, started or computed since".to_owned(),
            source: Source::Process,
            since: Some(since),
            confirmed: Duration::ZERO,
            until: None,
        })
    }

    /// Something that was started for the task runs, or its processes use the processor.
    fn works(&mut self, turn: Duration, process: &Stat, now: Instant) -> bool {
        let tree = procfs::tree(process.pid);
        let began_at = SystemTime::now().checked_sub(turn);
        let is_later =
            |stat: &Stat| procfs::started(stat).zip(began_at).is_some_and(|(began, at)| began > at);
        let used = tree.iter().filter_map(|stat| procfs::used(stat.pid)).sum::<u64>();
        let before = self.used.replace((used, now));
        let busy = before.zip(procfs::ticks_a_second()).is_some_and(|((before, then), second)| {
            let passed = u64::try_from(now.duration_since(then).as_millis()).unwrap_or(u64::MAX);
            used.saturating_sub(before).saturating_mul(100_000) > passed.saturating_mul(second * BUSY)
        });
        busy || tree.iter().skip(1).any(|stat| !stat.ended() && is_later(stat))
    }

    fn mono(&mut self, now: Instant) -> Mono {
        mono(*self.origin.get_or_insert(now), now)
    }
}

fn mono(origin: Instant, now: Instant) -> Mono {
    Mono(i64::try_from(now.duration_since(origin).as_millis()).unwrap_or(i64::MAX))
}
