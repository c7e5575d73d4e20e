//! What is told of one session: everything that its sources say now, joined.

use std::time::{Duration, Instant, SystemTime};

use fleet_adapters::host::wall_now;
use fleet_adapters::look;
use fleet_domain::Wall;
use fleet_domain::fusion;
use fleet_domain::heartbeat::{Heartbeat, Status};
use fleet_domain::observation::{Beat, Evidence, Native, NativeState, Observation, Source};
use fleet_domain::readiness::Thresholds;

use super::agent::Watched;
use super::stand::{Ages, Stand};

/// What all sources together say of the turn.
struct Said {
    native: Vec<Native>,
    evidence: Vec<Evidence>,
    idle: Option<Duration>,
}

impl Watched {
    /// The heartbeat that a file would carry now.
    pub(super) fn heartbeat(&self, now: Instant, wall: Wall) -> Option<Heartbeat> {
        let (at, source) = self.confirmed?;
        Some(Heartbeat {
            ts: wall.minus(now.duration_since(at)),
            pid: self.found.stat.as_ref().map(|stat| stat.pid),
            status: self.status(&self.said(now, SystemTime::now(), wall).native),
            model: self.model(),
            interval: Some(self.interval),
            source: Some(source.as_str().to_owned()),
        })
    }

    /// The model of its last response: by its transcript, else by what it used.
    fn model(&self) -> Option<String> {
        self.ending.model().or_else(|| self.used.clone())
    }

    /// How long ago the runtime last answered.
    fn silence(&self, now: Instant) -> Duration {
        self.confirmed.map_or(Duration::ZERO, |(at, _)| now.duration_since(at))
    }

    /// What a heartbeat says of the turn: what the collector would say, whatever it holds against it.
    fn status(&self, native: &[Native]) -> Option<Status> {
        let leading = fusion::leading_of(native, self.interval, &Thresholds::default());
        leading.map(|native| look::status(native.state))
    }

    fn said(&self, now: Instant, time: SystemTime, wall: Wall) -> Said {
        let silence = self.silence(now);
        let idle = self.moved.map(|moved| time.duration_since(moved).unwrap_or_default());
        let read = self.reading.as_ref().and_then(|reading| reading.native.clone());
        let own = read.map(|native| Native { confirmed: silence, ..native });
        let own = own.or_else(|| self.served.native(now, wall));
        let (hooked, asked) = self.told.as_ref().map(|told| told.says(idle, now)).unzip();
        let told = if self.runs() { look::turn(&self.ending, wall) } else { None };
        let (shown, in_the_way) = self.screen.says(now, wall);
        // A server is heard no more before its terminal is known to have ended: what its last turn was the end of stays over.
        let began = self.began.map(|began| began.age_at(wall));
        let in_the_way =
            in_the_way.filter(|shown| !began.is_some_and(|age| fusion::is_of_before(shown, age)));
        let mut evidence = look::evidence(self.reading.as_ref(), &self.ending, self.began, silence, time);
        evidence.extend(self.stand.evidence(now));
        evidence.extend(self.served.evidence(now, wall));
        evidence.extend(asked.flatten());
        evidence.extend(in_the_way);
        Said { native: own.into_iter().chain(hooked).chain(told).chain(shown).collect(), evidence, idle }
    }

    /// Looks whether anything came of its task; true when that became another.
    pub(super) fn look_at_progress(&mut self, threshold: Duration, now: Instant) -> bool {
        let Some(process) = self.found.stat.clone().filter(|_| self.is_alive() && self.runs()) else {
            self.stand = Stand::default();
            return false;
        };
        let wall = wall_now();
        let hooked = self.told.as_ref().map(|told| told.says(None, now).0);
        let told: Vec<Native> =
            self.native().into_iter().chain(hooked).chain(look::turn(&self.ending, wall)).collect();
        // What goes on in the background is no task any more.
        let is_turn = |native: &&Native| matches!(native.state, NativeState::Busy | NativeState::Retrying);
        let over = told.iter().filter(|native| !is_turn(native)).filter_map(|native| native.since).min();
        let turns = told.iter().filter(is_turn).filter_map(|native| native.since);
        let turns: Vec<Duration> = turns.filter(|since| over.is_none_or(|over| *since < over)).collect();
        let (task, turn) = (turns.iter().min().copied(), turns.iter().max().copied());
        let drawn = self.moved.and_then(|moved| moved.elapsed().ok());
        let written = self.ended_at.and_then(|(at, _)| at.elapsed().ok());
        let moved = drawn.into_iter().chain(written).min();
        self.stand.look(Ages { task, turn, moved }, &process, threshold, now)
    }

    /// All of it, with ages as of now.
    pub(super) fn observation(&self, now: Instant) -> Observation {
        let said = self.said(now, SystemTime::now(), wall_now());
        let told = said.native.iter().filter(|native| native.source != Source::Screen);
        let draft = self.screen.draft(told.filter_map(|native| native.since).min(), now);
        let status = self.status(&said.native);
        Observation {
            socket: self.id.0.clone(),
            session: self.id.1.clone(),
            pane: self.pane.clone(),
            process: self.found.process.clone(),
            runtime: self.found.runtime.clone(),
            native: said.native,
            evidence: said.evidence,
            heartbeat: self.confirmed.map(|(at, source)| Beat {
                age: now.duration_since(at),
                interval: self.interval,
                pid: self.found.stat.as_ref().map(|stat| stat.pid),
                status,
                source,
                clock_skew: false,
            }),
            idle: said.idle,
            model: self.model(),
            conversation: self.reading.as_ref().and_then(|reading| reading.conversation.clone()),
            draft,
        }
    }
}
