//! What watching costs in all: the sidecar, the tmux clients that it starts, and what both make the tmux server do,
//! beside a naive poller on the same sessions in the same run.

use std::time::Duration;

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

const MODES: [Mode; 3] = [Mode::Nobody, Mode::Ours, Mode::Naive];

/// One window, in percent of a core.
#[derive(Clone, Copy, Debug, Default)]
struct Window {
    server: f64,
    watcher: f64,
    clients: f64,
    collector: f64,
}

pub(crate) fn measure(effort: Effort) -> Result<Section> {
    let window = effort.pick(Duration::from_secs(3), Duration::from_secs(15));
    let rounds = effort.pick(2, 6);
    let mut section = Section::new(
        "all-in",
        "All-in CPU of watching 50 sessions",
        format!(
            "One tmux server with {SESSIONS} scripted agents. Windows of {} s in turn, {rounds} rounds, the order moved on in \
             each: nobody watches, one host-wide sidecar does, the naive poller does (one `list-panes` and one \
             `capture-pane` a second and session, no shell between); who does not watch is stopped by SIGSTOP. Counted \
             are the watcher, the tmux clients that it ran and waited for, and the tmux server's CPU above that of the same \
             round with nobody watching; medians of the rounds. *Active* panes are redrawn ten times a second; *at work* \
             they also bill a response every five seconds. The agents' own CPU is not counted, the collector's is told \
             apart.",
            window.as_secs()
        ),
    );
    for pace in [Pace::Quiet, Pace::Active, Pace::AtWork] {
        say(&format!("all-in: {SESSIONS} sessions, {}", pace.as_str()));
        state(&mut section, pace, window, rounds)?;
    }
    Ok(section)
}

fn state(section: &mut Section, pace: Pace, window: Duration, rounds: usize) -> Result<()> {
    let stage = Stage::scripted(SESSIONS, pace)?;
    let scene = Scene::new(&stage)?;
    let mut taken: Vec<[Window; 3]> = Vec::new();
    for round in 0..rounds {
        let mut windows = [Window::default(); 3];
        for step in 0..MODES.len() {
            let at = (round + step) % MODES.len();
            windows[at] = scene.window(MODES[at], window)?;
        }
        taken.push(windows);
    }
    let of = |figure: fn(&[Window; 3]) -> f64| Samples::new(taken.iter().map(figure).collect());
    let alone = of(|[nobody, ..]| nobody.server);
    let ours =
        of(|[nobody, ours, _]| (ours.watcher + ours.clients + ours.server - nobody.server) / SESSIONS as f64);
    let naive = of(|[nobody, _, naive]| {
        (naive.watcher + naive.clients + naive.server - nobody.server) / SESSIONS as f64
    });
    let name = pace.as_str();
    let spread = format!("{} to {} over the rounds", figure(alone.percentile(0.0)), figure(alone.max()));
    section.row(format!("{name}: tmux server, nobody watching"), alone.median(), "% of a core", spread);
    let parts = |watcher: Samples, clients: Samples, server: Samples| {
        let [watcher, clients, server] = [watcher, clients, server].map(|samples| figure(samples.median()));
        format!("of 50 together: watcher {watcher}, its tmux clients {clients}, server {server}")
    };
    let ours_parts = parts(
        of(|[_, ours, _]| ours.watcher),
        of(|[_, ours, _]| ours.clients),
        of(|[nobody, ours, _]| ours.server - nobody.server),
    );
    section.judged(format!("{name}: **ours, a session**"), ours.median(), "% of a core", ours_parts, EACH);
    let naive_parts = parts(
        of(|[_, _, naive]| naive.watcher),
        of(|[_, _, naive]| naive.clients),
        of(|[nobody, _, naive]| naive.server - nobody.server),
    );
    section.row(format!("{name}: naive poller, a session"), naive.median(), "% of a core", naive_parts);
    let ratio = naive.median() / ours.median().max(1e-9);
    section.judged(
        format!("{name}: below the naive poller by"),
        ratio,
        "×",
        "",
        Goal::AtLeast { must: 10.0 },
    );
    let collector = of(|[_, ours, _]| ours.collector);
    section.row(format!("{name}: collector, meanwhile"), collector.median(), "% of a core", "not in the sum");
    section.series(format!("{name}: tmux server alone"), "% of a core", &alone);
    section.series(format!("{name}: ours a session"), "% of a core", &ours);
    section.series(format!("{name}: naive a session"), "% of a core", &naive);
    Ok(())
}

/// Everybody who takes part, for one state of the agents.
struct Scene {
    server: u32,
    collector: Daemon,
    sidecar: Daemon,
    naive: Poller,
}

impl Scene {
    fn new(stage: &Stage) -> Result<Self> {
        let collector = fleet::collector(&stage.home, "off")?;
        let sidecar = fleet::sidecar(&stage.home, &["--host"])?;
        stage.all_seen(&mut Client::connect(&stage.home)?)?;
        let scene = Self { server: stage.server()?, collector, sidecar, naive: Poller::start(stage)? };
        scene.naive.pause(true)?;
        signal(scene.sidecar.pid(), Signal::SIGSTOP)?;
        Ok(scene)
    }

    fn window(&self, mode: Mode, window: Duration) -> Result<Window> {
        match mode {
            Mode::Nobody => {}
            Mode::Ours => signal(self.sidecar.pid(), Signal::SIGCONT)?,
            Mode::Naive => self.naive.pause(false)?,
        }
        pass(SETTLE);
        let look = || -> Result<[Spent; 4]> {
            let pids = [self.server, self.sidecar.pid(), self.naive.pid(), self.collector.pid()];
            let [server, sidecar, naive, collector] = pids.map(Spent::by);
            Ok([server?, sidecar?, naive?, collector?])
        };
        let before = look()?;
        pass(window);
        let after = look()?;
        match mode {
            Mode::Nobody => {}
            Mode::Ours => signal(self.sidecar.pid(), Signal::SIGSTOP)?,
            Mode::Naive => self.naive.pause(true)?,
        }
        let share = |time: Duration| 100.0 * time.as_secs_f64() / window.as_secs_f64();
        let [server, sidecar, naive, collector] = [0, 1, 2, 3].map(|at| after[at].since(before[at]));
        let watcher = if mode == Mode::Naive { naive } else { sidecar };
        Ok(Window {
            server: share(server.own),
            watcher: share(watcher.own),
            clients: share(watcher.children),
            collector: share(collector.own),
        })
    }
}

impl Drop for Scene {
    fn drop(&mut self) {
        // What is stopped cannot end.
        let _ = signal(self.sidecar.pid(), Signal::SIGCONT);
    }
}

/// The naive poller as a process of its own, so that the kernel counts it apart.
struct Poller(std::process::Child);

impl Poller {
    fn start(stage: &Stage) -> Result<Self> {
        let mut command = stage.home.command(std::env::current_exe()?);
        command.arg("poll").arg(stage.tmux.socket()).args(&stage.names);
        command.spawn().map(Self).context("start the naive poller")
    }

    fn pid(&self) -> u32 {
        self.0.id()
    }

    fn pause(&self, pause: bool) -> Result<()> {
        signal(self.pid(), if pause { Signal::SIGSTOP } else { Signal::SIGCONT })
    }
}

impl Drop for Poller {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}
