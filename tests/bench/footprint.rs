//! What a sidecar weighs: memory alone and with fifty of them, CPU, and how often it wakes the machine.

use std::time::Duration;

use anyhow::Result;
use fleet_testkit::fleet::{self, Daemon, PATIENCE};
use fleet_testkit::home::TestHome;
use fleet_testkit::wait::wait_until;

use crate::proc::{Memory, Spent, threads};
use crate::report::{Goal, Section};
use crate::stage::{Pace, Stage, pass};
use crate::stats::{Samples, figure};
use crate::{Effort, say};

const MANY: usize = 50;

const RSS: Goal = Goal::AtMost { must: 6.0, aim: 3.5 };
const PSS: Goal = Goal::AtMost { must: 0.6, aim: 0.4 };
const CPU: Goal = Goal::AtMost { must: 0.05, aim: 0.025 };
const WAKE_UPS: Goal = Goal::AtMost { must: 4.0, aim: 1.5 };

struct Seen {
    memory: Memory,
    /// In percent of a core, its tmux clients left out.
    own: f64,
    /// The same of the tmux clients that it ran.
    clients: f64,
    wake_ups: f64,
    threads: usize,
}

pub(crate) fn measure(effort: Effort) -> Result<Section> {
    let window = effort.pick(Duration::from_secs(5), Duration::from_secs(40));
    let mut section = Section::new(
        "footprint",
        "Footprint of a sidecar",
        format!(
            "Scripted agents (processes, state files and screens as the runtime's) in one tmux server, a collector that \
             listens, heartbeats every 15 s, processes looked at once a second, tmux listed every 5 s. Memory from \
             `smaps_rollup` after the window; CPU from the process's CPU clock and wake-ups from its voluntary context \
             switches over {} s. A sidecar's tmux clients are in the all-in section; here CPU is its own.",
            window.as_secs()
        ),
    );
    floor(&mut section)?;
    alone(&mut section, window)?;
    many(&mut section, window)?;
    Ok(section)
}

/// A process that does nothing, for what the system itself takes.
fn floor(section: &mut Section) -> Result<()> {
    let home = TestHome::new()?;
    let mut sleep = home.command("sleep").arg("30").spawn()?;
    pass(Duration::from_millis(200));
    let memory = Memory::of(sleep.id());
    sleep.kill()?;
    sleep.wait()?;
    section.row("floor: RSS of `sleep`", mib(memory?.rss), "MiB", "");
    Ok(())
}

/// One sidecar, one agent, no other sidecar to share pages with.
fn alone(section: &mut Section, window: Duration) -> Result<()> {
    for pace in [Pace::Quiet, Pace::AtWork] {
        let stage = Stage::of(1, pace)?;
        let _collector = fleet::collector(&stage.home, "off")?;
        for (shape, args) in
            [("--agent", vec!["--agent", stage.names[0].as_str()]), ("--host", vec!["--host"])]
        {
            say(&format!("footprint: {shape}, its agent {}", pace.as_str()));
            let sidecar = fleet::sidecar(&stage.home, &args)?;
            connected(&sidecar)?;
            let seen = watch(&[&sidecar], window)?.remove(0);
            let what = format!("`{shape}`, one agent, {}", pace.as_str());
            let beside = format!(
                "PSS {} MiB, private dirty {} MiB, {} thread(s)",
                figure(mib(seen.memory.pss)),
                figure(mib(seen.memory.private_dirty)),
                seen.threads
            );
            section.judged(format!("{what}: RSS"), mib(seen.memory.rss), "MiB", beside, RSS);
            let clients = format!("and {} % in its tmux clients", figure(seen.clients));
            section.judged(format!("{what}: CPU"), seen.own, "% of a core", clients, CPU);
            if pace == Pace::Quiet {
                section.judged(format!("{what}: wake-ups"), seen.wake_ups, "a second", "", WAKE_UPS);
            } else {
                section.row(format!("{what}: wake-ups"), seen.wake_ups, "a second", "");
            }
        }
    }
    Ok(())
}

/// Fifty agents: one sidecar for all, then one each.
fn many(section: &mut Section, window: Duration) -> Result<()> {
    let stage = Stage::of(MANY, Pace::Quiet)?;
    let collector = fleet::collector(&stage.home, "off")?;
    {
        say("footprint: --host with fifty agents");
        let sidecar = fleet::sidecar(&stage.home, &["--host"])?;
        connected(&sidecar)?;
        let seen = watch(&[&sidecar], window)?.remove(0);
        let goal = Goal::AtMost { must: 12.0, aim: 8.0 };
        let beside = format!("private dirty {} MiB", figure(mib(seen.memory.private_dirty)));
        section.judged("`--host`, 50 quiet agents: RSS", mib(seen.memory.rss), "MiB", beside, goal);
        let goal = Goal::AtMost { must: 2.0, aim: 1.0 };
        let each = format!("{} % an agent", figure(seen.own / MANY as f64));
        section.judged("`--host`, 50 quiet agents: CPU", seen.own, "% of a core", each, goal);
        section.row("`--host`, 50 quiet agents: wake-ups", seen.wake_ups, "a second", "");
    }
    say("footprint: fifty sidecars");
    let sidecars = stage
        .names
        .iter()
        .map(|name| fleet::sidecar(&stage.home, &["--agent", name]))
        .collect::<Result<Vec<_>>>()?;
    sidecars.iter().try_for_each(connected)?;
    let before = Spent::by(collector.pid())?;
    let seen = watch(&sidecars.iter().collect::<Vec<_>>(), window)?;
    let spent = Spent::by(collector.pid())?.since(before);
    let each = |of: fn(&Seen) -> f64| Samples::new(seen.iter().map(of).collect());
    let pss = each(|seen| mib(seen.memory.pss));
    let (rss, dirty) = (each(|seen| mib(seen.memory.rss)), each(|seen| mib(seen.memory.private_dirty)));
    let (own, wake_ups) = (each(|seen| seen.own), each(|seen| seen.wake_ups));
    let beside = format!(
        "largest {}; RSS {}, private dirty {} MiB",
        figure(pss.max()),
        figure(rss.median()),
        figure(dirty.median())
    );
    section.judged("50 × `--agent`, quiet: PSS, median", pss.median(), "MiB", beside, PSS);
    let largest = |samples: &Samples| format!("largest {}", figure(samples.max()));
    section.judged("50 × `--agent`, quiet: CPU, median", own.median(), "% of a core", largest(&own), CPU);
    section.judged(
        "50 × `--agent`, quiet: wake-ups, median",
        wake_ups.median(),
        "a second",
        largest(&wake_ups),
        WAKE_UPS,
    );
    let share = 100.0 * spent.own.as_secs_f64() / window.as_secs_f64();
    section.row("collector with these 50 streams: CPU", share, "% of a core", "");
    section.series("PSS of 50", "MiB", &pss);
    section.series("CPU of 50", "% of a core", &own);
    section.series("wake-ups of 50", "a second", &wake_ups);
    Ok(())
}

fn connected(sidecar: &Daemon) -> Result<()> {
    wait_until(PATIENCE, "the sidecar's stream", || sidecar.log().contains("reporting to"))?;
    Ok(())
}

/// Past the start's own work, then over the window.
fn watch(sidecars: &[&Daemon], window: Duration) -> Result<Vec<Seen>> {
    pass(window.min(Duration::from_secs(12)));
    let before: Vec<Spent> =
        sidecars.iter().map(|sidecar| Spent::by(sidecar.pid())).collect::<Result<_>>()?;
    pass(window);
    let after: Vec<Spent> = sidecars.iter().map(|sidecar| Spent::by(sidecar.pid())).collect::<Result<_>>()?;
    let seconds = window.as_secs_f64();
    let share = |time: Duration| 100.0 * time.as_secs_f64() / seconds;
    let costs = before.into_iter().zip(after).map(|(before, after)| after.since(before));
    sidecars
        .iter()
        .zip(costs)
        .map(|(sidecar, spent)| {
            Ok(Seen {
                memory: Memory::of(sidecar.pid())?,
                own: share(spent.own),
                clients: share(spent.children),
                wake_ups: spent.sleeps as f64 / seconds,
                threads: threads(sidecar.pid()),
            })
        })
        .collect()
}

fn mib(kib: u64) -> f64 {
    kib as f64 / 1024.0
}
