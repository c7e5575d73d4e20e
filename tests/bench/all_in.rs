//! What watching costs in all: the sidecar, the tmux clients that it starts, and what both make the tmux server do,
//! beside a naive poller on the same sessions in the same run.

use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use fleet_testkit::fleet::{self, Daemon};
use nix::sys::signal::Signal;

use crate::client::Client;
use crate::proc::{Spent, signal};
use crate::report::{Goal, Section};
use crate::stage::{Pace, Stage, pass};
use crate::stats::{Samples, figure};
use crate::{Effort, say};

const SESSIONS: usize = 50;
/// What a watcher that was stopped a while needs to get back into its stride.
const SETTLE: Duration = Duration::from_secs(3);
const EACH: Goal = Goal::AtMost { must: 0.05, aim: 0.02 };

/// Who watches in a window.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Mode {
    Nobody,
    Ours,
    Naive,
}

/// One window, in percent of a core.
#[derive(Clone, Copy, Debug, Default)]
struct Window {
    server: f64,
    watcher: f64,
    collector: f64,
}

pub(crate) fn measure(effort: Effort) -> Result<Section> {
    let window = effort.pick(Duration::from_secs(3), Duration::from_secs(15));
    let rounds = effort.pick(2, 5);
    let mut section = Section::new(
        "all-in",
        "All-in CPU of watching 50 sessions",
        format!(
            "One tmux server with {SESSIONS} scripted agents. Windows of {} s in turn, {rounds} rounds, the order moved on in \
             each: nobody watches, one host-wide sidecar does, the naive poller does (one `list-panes` and one \
             `capture-pane` a second and session, no shell between); who does not watch is stopped by SIGSTOP. Counted \
             are the watcher, the tmux clients that it ran and waited for (from all of its windows together, as the kernel \
             tells them in clock ticks), and the tmux server's CPU above that of the same round with nobody watching; \
             medians of the rounds. *Active* panes are redrawn ten times a second; *at work* they also bill a response every \
             five seconds; *by screen alone*, programs named as a runtime draw a turn of its, ten redraws a second, and \
             nothing else tells of them. The agents' own CPU is not counted, the collector's is told apart. *One each* is the other shape: \
             {SESSIONS} sidecars, one beside each agent.",
            window.as_secs()
        ),
    );
    for pace in [Pace::Quiet, Pace::Active, Pace::AtWork, Pace::ByScreen] {
        say(&format!("all-in: {SESSIONS} sessions, {}", pace.as_str()));
        let stage = Stage::of(SESSIONS, pace)?;
        against_naive(&mut section, &stage, pace, (window, rounds))?;
        one_each(&mut section, &stage, pace, (window, rounds))?;
    }
    Ok(section)
}

fn against_naive(section: &mut Section, stage: &Stage, pace: Pace, effort: (Duration, usize)) -> Result<()> {
    let scene = Scene::new(stage, &[vec!["--host"]], true)?;
    let taken = scene.rounds([Mode::Nobody, Mode::Ours, Mode::Naive], effort)?;
    let name = pace.as_str();
    let alone = taken.of(|[nobody, ..]| nobody.server);
    let spread = format!("{} to {} over the rounds", figure(alone.percentile(0.0)), figure(alone.max()));
    section.row(format!("{name}: tmux server, nobody watching"), alone.median(), "% of a core", spread);
    let ours = taken.cost(1);
    section.judged(
        format!("{name}: **ours, a session**"),
        ours.each.median(),
        "% of a core",
        ours.parts,
        EACH,
    );
    let naive = taken.cost(2);
    section.row(format!("{name}: naive poller, a session"), naive.each.median(), "% of a core", naive.parts);
    let ratio = naive.each.median() / ours.each.median().max(1e-9);
    section.judged(
        format!("{name}: below the naive poller by"),
        ratio,
        "×",
        "",
        Goal::AtLeast { must: 10.0 },
    );
    let collector = taken.of(|[_, ours, _]| ours.collector);
    section.row(format!("{name}: collector, meanwhile"), collector.median(), "% of a core", "not in the sum");
    section.series(format!("{name}: tmux server alone"), "% of a core", &alone);
    section.series(format!("{name}: ours a session"), "% of a core", &ours.each);
    section.series(format!("{name}: naive a session"), "% of a core", &naive.each);
    Ok(())
}

fn one_each(section: &mut Section, stage: &Stage, pace: Pace, effort: (Duration, usize)) -> Result<()> {
    let each: Vec<Vec<&str>> = stage.names.iter().map(|name| vec!["--agent", name.as_str()]).collect();
    let scene = Scene::new(stage, &each, false)?;
    let ours = scene.rounds([Mode::Nobody, Mode::Ours], effort)?.cost(1);
    let name = pace.as_str();
    section.judged(
        format!("{name}: one each, a session"),
        ours.each.median(),
        "% of a core",
        ours.parts,
        EACH,
    );
    section.series(format!("{name}: one each a session"), "% of a core", &ours.each);
    Ok(())
}

/// All rounds of a scene, a window for each mode; the first mode is that of nobody watching.
struct Taken<const N: usize> {
    rounds: Vec<[Window; N]>,
    /// The tmux clients of each mode's watchers, in percent of a core while they watched.
    clients: [f64; N],
}

struct Cost {
    /// A session's, in percent of a core.
    each: Samples,
    parts: String,
}

impl<const N: usize> Taken<N> {
    fn of(&self, figure: impl Fn(&[Window; N]) -> f64) -> Samples {
        Samples::new(self.rounds.iter().map(figure).collect())
    }

    fn cost(&self, mode: usize) -> Cost {
        let clients = self.clients[mode];
        let watcher = self.of(|round| round[mode].watcher);
        let server = self.of(|round| round[mode].server - round[0].server);
        let sum = |round: &[Window; N]| round[mode].watcher + clients + round[mode].server - round[0].server;
        let parts = format!(
            "of 50 together: watching {}, its tmux clients {}, server {}",
            figure(watcher.median()),
            figure(clients),
            figure(server.median())
        );
        Cost { each: self.of(|round| sum(round) / SESSIONS as f64), parts }
    }
}

/// Everybody who takes part, for one state of the agents.
struct Scene {
    server: u32,
    collector: Daemon,
    sidecars: Vec<Daemon>,
    naive: Option<Poller>,
}

impl Scene {
    fn new(stage: &Stage, sidecars: &[Vec<&str>], naive: bool) -> Result<Self> {
        let collector = fleet::collector(&stage.home, "off")?;
        let sidecars =
            sidecars.iter().map(|args| fleet::sidecar(&stage.home, args)).collect::<Result<Vec<_>>>()?;
        stage.all_seen(&mut Client::connect(&stage.home)?)?;
        let naive = naive.then(|| Poller::start(stage)).transpose()?;
        let scene = Self { server: stage.server()?, collector, sidecars, naive };
        pass(SETTLE);
        [Mode::Ours, Mode::Naive].into_iter().try_for_each(|mode| scene.pause(mode, true))?;
        Ok(scene)
    }

    fn watchers(&self, mode: Mode) -> Vec<u32> {
        match mode {
            Mode::Nobody => Vec::new(),
            Mode::Ours => self.sidecars.iter().map(Daemon::pid).collect(),
            Mode::Naive => self.naive.iter().map(|poller| poller.0.id()).collect(),
        }
    }

    fn pause(&self, mode: Mode, pause: bool) -> Result<()> {
        let word = if pause { Signal::SIGSTOP } else { Signal::SIGCONT };
        self.watchers(mode).into_iter().try_for_each(|pid| signal(pid, word))
    }

    fn rounds<const N: usize>(
        &self,
        modes: [Mode; N],
        (window, rounds): (Duration, usize),
    ) -> Result<Taken<N>> {
        let before: Vec<Spent> =
            modes.iter().map(|mode| sum(&self.watchers(*mode))).collect::<Result<_>>()?;
        let mut taken = Taken { rounds: Vec::new(), clients: [0.0; N] };
        let mut watched = [Duration::ZERO; N];
        for round in 0..rounds {
            let mut windows = [Window::default(); N];
            for step in 0..N {
                let at = (round + step) % N;
                let began = Instant::now();
                windows[at] = self.window(modes[at], window)?;
                watched[at] += began.elapsed();
            }
            taken.rounds.push(windows);
        }
        for (at, mode) in modes.into_iter().enumerate() {
            let spent = sum(&self.watchers(mode))?.since(before[at]);
            taken.clients[at] = 100.0 * spent.children.as_secs_f64() / watched[at].as_secs_f64();
        }
        Ok(taken)
    }

    fn window(&self, mode: Mode, window: Duration) -> Result<Window> {
        self.pause(mode, false)?;
        pass(SETTLE);
        let look = || -> Result<[Spent; 3]> {
            Ok([Spent::by(self.server)?, sum(&self.watchers(mode))?, Spent::by(self.collector.pid())?])
        };
        let (began, before) = (Instant::now(), look()?);
        pass(window);
        let (took, after) = (began.elapsed(), look()?);
        self.pause(mode, true)?;
        let share = |at: usize| 100.0 * after[at].since(before[at]).own.as_secs_f64() / took.as_secs_f64();
        Ok(Window { server: share(0), watcher: share(1), collector: share(2) })
    }
}

impl Drop for Scene {
    fn drop(&mut self) {
        // What is stopped cannot end.
        let _ = self.pause(Mode::Ours, false);
    }
}

fn sum(pids: &[u32]) -> Result<Spent> {
    let mut sum = Spent::default();
    for pid in pids {
        let one = Spent::by(*pid)?;
        sum.own += one.own;
        sum.children += one.children;
        sum.sleeps += one.sleeps;
    }
    Ok(sum)
}

/// The naive poller as a process of its own, so that the kernel counts it apart.
struct Poller(std::process::Child);

impl Poller {
    fn start(stage: &Stage) -> Result<Self> {
        let mut command = stage.home.command(std::env::current_exe()?);
        command.arg("poll").arg(stage.tmux.socket()).args(&stage.names);
        command.spawn().map(Self).context("start the naive poller")
    }
}

impl Drop for Poller {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}
