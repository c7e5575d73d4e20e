//! From an agent's SIGKILL to the moment at which a reader has it as dead, by each way to read.

use std::os::fd::AsFd as _;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use fleet_proto::pb;
use fleet_testkit::fleet::{self, PATIENCE};
use fleet_testkit::home::TestHome;
use fleet_testkit::wait::wait_until;
use nix::sys::signal::Signal;
use rustix::event::{PollFd, PollFlags, poll};
use rustix::process::{Pid, PidfdFlags, pidfd_open};

use crate::client::Client;
use crate::proc::signal;
use crate::report::{Goal, Section};
use crate::stage::Stage;
use crate::stats::{Chance, Samples, figure};
use crate::{Effort, say};

const VISIBLE: Goal = Goal::AtMost { must: 50.0, aim: 10.0 };
/// Agents at a time; the dead are started anew together.
const BATCH: usize = 100;

pub(crate) fn measure(effort: Effort) -> Result<Section> {
    let samples = effort.pick(20, 600);
    let batch = effort.pick(10, BATCH);
    let mut section = Section::new(
        "death",
        "From an agent's death to a reader who knows",
        format!(
            "{batch} agents (programs named `claude` with a state file, asleep) in sessions of their own, one host-wide \
             sidecar, one collector. One after the other gets SIGKILL, 60 to 160 ms apart; the clock runs from the return of \
             `kill` until the reader has the word *dead*. Readers: the `WatchAgents` stream; `ListAgents` asked back to \
             back on a warm connection; `fleet ps --json`, one process after the other, until the end of the first that \
             says it. Floor: pidfd readable in the killer itself."
        ),
    );
    say("death: the floor");
    let floor = Samples::new(floor(samples)?);
    let stage = Stage::empty(batch)?;
    stage.hold()?;
    let _collector = fleet::collector(&stage.home, "off")?;
    let _sidecar = fleet::sidecar(&stage.home, &["--host"])?;
    let mut chance = Chance(7);
    let mut rows = Vec::new();
    for reader in [Reader::Stream, Reader::List, Reader::Ps] {
        say(&format!("death: {}", reader.name()));
        rows.push((reader, Samples::new(deaths(&stage, reader, samples, &mut chance)?)));
    }
    let alone = Samples::new((0..samples).map(|_| ps_alone(&stage.home)).collect::<Result<_>>()?);
    section.row("floor: pidfd, p99", floor.percentile(99.0), "ms", format!("p50 {}", figure(floor.median())));
    for (reader, samples) in &rows {
        let beside = format!(
            "p50 {}, {} × the floor's; max {}",
            figure(samples.median()),
            figure(samples.median() / floor.median()),
            figure(samples.max())
        );
        section.judged(format!("{}, p99", reader.name()), samples.percentile(99.0), "ms", beside, VISIBLE);
    }
    let beside = format!("p50 {}: the part of it that is the process", figure(alone.median()));
    section.row("one `fleet ps --json` without a death, p99", alone.percentile(99.0), "ms", beside);
    section.series("floor pidfd", "ms", &floor);
    for (reader, samples) in &rows {
        section.series(reader.name(), "ms", samples);
    }
    section.series("fleet ps --json alone", "ms", &alone);
    Ok(section)
}

#[derive(Clone, Copy, Debug)]
enum Reader {
    Stream,
    List,
    Ps,
}

impl Reader {
    fn name(self) -> &'static str {
        match self {
            Self::Stream => "`WatchAgents` stream",
            Self::List => "`ListAgents` repeated",
            Self::Ps => "`fleet ps --json` repeated",
        }
    }
}

fn floor(samples: usize) -> Result<Vec<f64>> {
    let home = TestHome::new()?;
    let mut taken = Vec::with_capacity(samples);
    for _ in 0..samples {
        let mut sleeper = home.command("sleep").arg("60").spawn().context("start a sleeper")?;
        let pid = Pid::from_raw(i32::try_from(sleeper.id())?).context("a process id")?;
        let pidfd = pidfd_open(pid, PidfdFlags::empty()).context("pidfd_open")?;
        std::thread::sleep(Duration::from_millis(3));
        signal(sleeper.id(), Signal::SIGKILL)?;
        let killed = Instant::now();
        let borrowed = pidfd.as_fd();
        let mut waits = [PollFd::new(&borrowed, PollFlags::IN)];
        poll(&mut waits, None).context("poll")?;
        taken.push(millis(killed.elapsed()));
        sleeper.wait()?;
    }
    Ok(taken)
}

fn deaths(stage: &Stage, reader: Reader, samples: usize, chance: &mut Chance) -> Result<Vec<f64>> {
    let mut taken = Vec::with_capacity(samples);
    while taken.len() < samples {
        let mut agents = revive(stage)?;
        chance.shuffle(&mut agents);
        let mut watch = Client::connect(&stage.home)?.watch()?;
        let mut client = Client::connect(&stage.home)?;
        for (name, pid) in agents.into_iter().take(samples - taken.len()) {
            // Reading on all the while: a reader that does not is cut off.
            watch.drain(Duration::from_millis(chance.between(60, 160)))?;
            signal(pid, Signal::SIGKILL)?;
            let killed = Instant::now();
            let dead = |agent: &pb::Agent| agent.state() == pb::State::Dead;
            let took = loop {
                let (told, at) = match reader {
                    Reader::Stream => {
                        let agent = watch.changed()?;
                        (agent.name == name && dead(&agent), Instant::now())
                    }
                    Reader::List => {
                        let list = client.list()?;
                        let at = Instant::now();
                        (list.agents.iter().any(|agent| agent.name == name && dead(agent)), at)
                    }
                    Reader::Ps => {
                        let said = fleet::fleet(&stage.home, &["ps", "--json"])?.from_collector()?;
                        let at = Instant::now();
                        let list = said.json()?;
                        let items = list["items"].as_array().context("no items")?;
                        (
                            items
                                .iter()
                                .any(|item| item["name"] == name.as_str() && item["readiness"] == "dead"),
                            at,
                        )
                    }
                };
                if told {
                    break at - killed;
                }
                ensure!(killed.elapsed() < PATIENCE, "the death of {name} was never told");
            };
            taken.push(millis(took));
        }
    }
    Ok(taken)
}

/// Everybody dead and gone, then everybody alive and known; names with process ids.
fn revive(stage: &Stage) -> Result<Vec<(String, u32)>> {
    for pane in stage.tmux.list()?.into_iter().filter(|pane| pane.session != "_holder") {
        signal(pane.pid, Signal::SIGKILL)?;
    }
    wait_until(PATIENCE, "the dead to leave tmux", || {
        let left = stage.tmux.list()?.len();
        ensure!(left == 1, "{left} sessions");
        Ok(())
    })?;
    stage.start_stand_ins()?;
    let panes = stage.tmux.list()?;
    let mut client = Client::connect(&stage.home)?;
    let known = wait_until(PATIENCE, "the living to be known", || {
        let list = client.list()?;
        let alive = list.agents.iter().filter(|agent| {
            Client::is_alive(agent)
                && panes.iter().any(|pane| Some(pane.pid) == agent.pane_pid && pane.session == agent.name)
        });
        let known: Vec<(String, u32)> =
            alive.filter_map(|agent| Some((agent.name.clone(), agent.pane_pid?))).collect();
        ensure!(known.len() == stage.names.len(), "{} of {}", known.len(), stage.names.len());
        Ok(known)
    })?;
    Ok(known)
}

fn ps_alone(home: &TestHome) -> Result<f64> {
    let began = Instant::now();
    fleet::fleet(home, &["ps", "--json"])?.from_collector()?;
    Ok(millis(began.elapsed()))
}

fn millis(time: Duration) -> f64 {
    time.as_secs_f64() * 1e3
}
