//! `fleet ps` as a person meets it: a new process each time, beside what any process costs here.

use std::path::Path;
use std::process::Stdio;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use fleet_testkit::bins::bin;
use fleet_testkit::fleet::{self, PATIENCE};
use fleet_testkit::home::TestHome;
use fleet_testkit::reporters::{Plan, Reporters};
use fleet_testkit::wait::wait_until;

use crate::client::{Client, socket};
use crate::proc::{Memory, Spent};
use crate::report::{Goal, Section};
use crate::stage::pass;
use crate::stats::{Samples, figure};
use crate::{Effort, say};

const SIZES: [usize; 3] = [10, 100, 1000];
const BEAT: Duration = Duration::from_secs(15);

pub(crate) fn measure(effort: Effort) -> Result<Section> {
    let samples = effort.pick(20, 600);
    let window = effort.pick(Duration::from_secs(3), Duration::from_secs(40));
    let mut section = Section::new(
        "ps",
        "`fleet ps` as a cold process",
        format!(
            "Simulated reporters (10 hosts, heartbeats every {} s, one in twenty brings a new state) on one collector. \
             `fleet ps` writes its table to a pipe; the clock runs from before the spawn until the process was waited \
             for. `/bin/true` and `fleet --version` are run in turn with it, so all three see the same machine.",
            BEAT.as_secs()
        ),
    );
    for agents in SIZES {
        say(&format!("ps: {agents} agents"));
        size(&mut section, agents, samples)?;
    }
    for interval in [BEAT, Duration::from_secs(1)] {
        say(&format!("ps: the collector with 1000 agents, a heartbeat each {} s", interval.as_secs()));
        collector_alone(&mut section, interval, window)?;
    }
    Ok(section)
}

fn plan(agents: usize, interval: Duration) -> Plan {
    Plan { agents, hosts: 10, interval, ..Plan::default() }
}

fn size(section: &mut Section, agents: usize, count: usize) -> Result<()> {
    let home = TestHome::new()?;
    let _collector = fleet::collector(&home, "off")?;
    let _reporters = Reporters::start(&socket(&home), plan(agents, BEAT))?;
    let program = bin("fleet")?;
    let mut client = Client::connect(&home)?;
    wait_until(PATIENCE, "every simulated agent", || {
        let seen = client.list()?.agents.len();
        ensure!(seen == agents, "{seen} of {agents}");
        Ok(())
    })?;
    let rows = lines(&home, &program)?;
    ensure!(rows > agents, "a table of {rows} lines for {agents} agents");
    let (mut nothing, mut version, mut ps, mut rpc) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    for _ in 0..count {
        nothing.push(cold(&home, Path::new("/bin/true"), &[])?);
        version.push(cold(&home, &program, &["--version"])?);
        ps.push(cold(&home, &program, &["ps"])?);
        let began = Instant::now();
        let list = client.list()?;
        rpc.push(millis(began.elapsed()));
        ensure!(list.agents.len() == agents, "{} of {agents} agents", list.agents.len());
    }
    let [nothing, version, ps, rpc] = [nothing, version, ps, rpc].map(Samples::new);
    let beside = format!(
        "p99 {}; {} × `fleet --version` ({}), {} × `/bin/true` ({})",
        figure(ps.percentile(99.0)),
        figure(ps.median() / version.median()),
        figure(version.median()),
        figure(ps.median() / nothing.median()),
        figure(nothing.median())
    );
    let what = format!("`fleet ps`, {agents} agents, p50");
    if agents == 1000 {
        section.judged(what, ps.median(), "ms", beside, Goal::AtMost { must: 8.0, aim: 4.0 });
        let goal = Goal::AtMost { must: 25.0, aim: 10.0 };
        section.judged("`fleet ps`, 1000 agents, p99", ps.percentile(99.0), "ms", "", goal);
        let goal = Goal::AtMost { must: 2.0, aim: 0.8 };
        let beside = format!("p99 {}", figure(rpc.percentile(99.0)));
        section.judged("warm `ListAgents`, 1000 agents, p50", rpc.median(), "ms", beside, goal);
    } else {
        section.row(what, ps.median(), "ms", beside);
        section.row(format!("warm `ListAgents`, {agents} agents, p50"), rpc.median(), "ms", "");
    }
    section.series(format!("fleet ps {agents}"), "ms", &ps);
    section.series(format!("fleet --version beside {agents}"), "ms", &version);
    section.series(format!("/bin/true beside {agents}"), "ms", &nothing);
    section.series(format!("ListAgents warm {agents}"), "ms", &rpc);
    Ok(())
}

/// What the collector itself takes while nobody reads.
fn collector_alone(section: &mut Section, interval: Duration, window: Duration) -> Result<()> {
    let home = TestHome::new()?;
    let collector = fleet::collector(&home, "off")?;
    let reporters = Reporters::start(&socket(&home), plan(1000, interval))?;
    pass(Duration::from_secs(3));
    let (before, sent) = (Spent::by(collector.pid())?, reporters.sent());
    pass(window);
    let spent = Spent::by(collector.pid())?.since(before);
    let now = reporters.sent();
    let (observations, changes) = (now.observations - sent.observations, now.changes - sent.changes);
    ensure!(now.lost == 0, "{} streams were lost", now.lost);
    let memory = Memory::of(collector.pid())?;
    let seconds = window.as_secs_f64();
    let every = interval.as_secs();
    let each = spent.own.as_secs_f64() * 1e6 / observations.max(1) as f64;
    let beside = format!(
        "{} heartbeats and {} changes a second, {} µs each",
        figure(observations as f64 / seconds),
        figure(changes as f64 / seconds),
        figure(each)
    );
    let cpu = 100.0 * spent.own.as_secs_f64() / seconds;
    let what = format!("collector, 1000 agents over 10 streams, a heartbeat each {every} s");
    if interval == BEAT {
        section.judged(
            format!("{what}: CPU"),
            cpu,
            "% of a core",
            beside,
            Goal::AtMost { must: 0.3, aim: 0.15 },
        );
    } else {
        section.row(format!("{what}: CPU"), cpu, "% of a core", beside);
    }
    let beside = format!("private dirty {} MiB", figure(memory.private_dirty as f64 / 1024.0));
    let goal = Goal::AtMost { must: 15.0, aim: 8.0 };
    section.judged(format!("{what}: RSS"), memory.rss as f64 / 1024.0, "MiB", beside, goal);
    Ok(())
}

fn cold(home: &TestHome, program: &Path, args: &[&str]) -> Result<f64> {
    let began = Instant::now();
    let mut command = home.command(program);
    let child =
        command.args(args).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null()).spawn()?;
    let output = child.wait_with_output().context("read its table")?;
    let took = began.elapsed();
    ensure!(output.status.success(), "{} {args:?} failed", program.display());
    Ok(millis(took))
}

fn lines(home: &TestHome, program: &Path) -> Result<usize> {
    let output = home.command(program).arg("ps").output()?;
    let errors = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success() && !errors.contains("no collector"), "{errors}");
    Ok(output.stdout.iter().filter(|byte| **byte == b'\n').count())
}

fn millis(time: Duration) -> f64 {
    time.as_secs_f64() * 1e3
}
