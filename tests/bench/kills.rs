//! The law of the transcript under fire: collector and sidecar die by SIGKILL at moments that a seed chooses, while
//! agents write usage; at the end the totals equal the transcripts to the token.

use std::fs::File;
use std::process::{Child, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use fleet_testkit::agent::{ScriptedAgent, ScriptedOptions, count_on_disk};
use fleet_testkit::bins::bin;
use fleet_testkit::fleet::PATIENCE;
use fleet_testkit::home::TestHome;
use fleet_testkit::scripted::Tokens;
use fleet_testkit::wait::wait_until;

use crate::client::Client;
use crate::report::Section;
use crate::stage::{Stage, pass};
use crate::stats::{Chance, Samples};
use crate::{Effort, say};

const WRITERS: usize = 6;
const SEED: u64 = 20;

pub(crate) fn measure(effort: Effort) -> Result<Section> {
    let kills = effort.pick(10, 200);
    let mut section = Section::new(
        "kills",
        "Killed 200 times, counted to the token",
        format!(
            "{WRITERS} scripted agents write usage as fast as they can (responses of one to three blocks, sub-agents, several \
             turns). Collector or sidecar, by chance (seed {SEED}), dies by SIGKILL 10 to 500 ms after the last restart and \
             comes back 0 to 200 ms later; nothing waits for it, so that some kills find it starting. Then the writers stop, and the collector's totals \
             must become those that a slow and simple count of the transcripts gives."
        ),
    );
    let stage = Stage::empty(WRITERS)?;
    let began = Instant::now();
    let mut collector = Victim::start(&stage.home, "fleet-collector", &["--http", "off"])?;
    let mut sidecar = Victim::start(&stage.home, "fleet-sidecar", &["--host"])?;
    let load = Load::start(&stage)?;
    let mut chance = Chance(SEED);
    let (mut of_collector, mut lived) = (0u64, Vec::new());
    for kill in 0..kills {
        if kill % 50 == 49 {
            say(&format!("kills: {} of {kills}", kill + 1));
        }
        let life = Duration::from_millis(chance.between(10, 500));
        pass(life);
        lived.push(life.as_secs_f64() * 1e3);
        let heads = chance.between(0, 2) == 0;
        of_collector += u64::from(heads);
        let victim = if heads { &mut collector } else { &mut sidecar };
        victim.die_and_return(Duration::from_millis(chance.between(0, 200)))?;
    }
    let under_fire = began.elapsed();
    load.stop()?;
    let settling = Instant::now();
    let truth = count_on_disk(&stage.home.claude_config())?;
    let settled = wait_until(PATIENCE * 3, "the totals of the transcripts", || {
        let seen = totals(&stage.home)?;
        ensure!(seen == truth.tokens, "counted {seen} of {}", truth.tokens);
        Ok(())
    });
    let settling = settling.elapsed();
    // Nothing may be added afterwards either.
    pass(effort.pick(Duration::from_secs(1), Duration::from_secs(6)));
    let after = totals(&stage.home)?;
    section.row(
        "kills",
        f64::from(kills),
        "",
        format!("{of_collector} of the collector, the rest of the sidecar"),
    );
    section.row("responses in the transcripts", truth.responses as f64, "", "");
    section.row("tokens in them", truth.tokens.total() as f64, "", format!("by kind {}", truth.tokens));
    section.row("under fire for", under_fire.as_secs_f64(), "s", "");
    section.row(
        "until the totals were equal, after the last write (the slow count included)",
        settling.as_secs_f64(),
        "s",
        "",
    );
    section.row(
        "difference at the end",
        difference(after, truth.tokens) as f64,
        "tokens",
        "**0 is the law**",
    );
    section.series("time between a restart and the next kill", "ms", &Samples::new(lived));
    if let Err(why) = settled {
        section.fail(why.to_string());
    } else if after != truth.tokens {
        section.fail(format!("{after} are counted after {} were right", truth.tokens));
    }
    Ok(section)
}

/// One of ours that is killed and comes back, not waited for: the next kill may find it still starting.
struct Victim<'a> {
    home: &'a TestHome,
    program: &'static str,
    args: &'static [&'static str],
    child: Child,
}

impl<'a> Victim<'a> {
    fn start(home: &'a TestHome, program: &'static str, args: &'static [&'static str]) -> Result<Self> {
        let child = spawn(home, program, args)?;
        Ok(Self { home, program, args, child })
    }

    fn die_and_return(&mut self, gap: Duration) -> Result<()> {
        self.child.kill().with_context(|| format!("{} ended by itself", self.program))?;
        self.child.wait()?;
        pass(gap);
        self.child = spawn(self.home, self.program, self.args)?;
        Ok(())
    }
}

impl Drop for Victim<'_> {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn spawn(home: &TestHome, program: &'static str, args: &[&str]) -> Result<Child> {
    let log = File::options().create(true).append(true).open(home.root().join(format!("{program}.log")))?;
    let mut command = home.command(bin(program)?);
    command.args(args).stdin(Stdio::null()).stdout(Stdio::null()).stderr(log).spawn().context(program)
}

/// A thread an agent, each writing until it is told to stop.
struct Load {
    stop: Arc<AtomicBool>,
    writers: Vec<std::thread::JoinHandle<Result<()>>>,
}

impl Load {
    fn start(stage: &Stage) -> Result<Self> {
        let stop = Arc::new(AtomicBool::new(false));
        let agents = stage
            .names
            .iter()
            .map(|name| ScriptedAgent::launch(&stage.tmux, &stage.home, name, &ScriptedOptions::default()))
            .collect::<Result<Vec<_>>>()?;
        let writers = agents
            .into_iter()
            .enumerate()
            .map(|(number, agent)| {
                let stop = Arc::clone(&stop);
                std::thread::spawn(move || write(agent, number as u64, &stop))
            })
            .collect();
        Ok(Self { stop, writers })
    }

    fn stop(self) -> Result<()> {
        self.stop.store(true, Ordering::Relaxed);
        for writer in self.writers {
            writer.join().ok().context("a writer broke")??;
        }
        Ok(())
    }
}

fn write(mut agent: ScriptedAgent, number: u64, stop: &AtomicBool) -> Result<()> {
    let mut chance = Chance(number);
    while !stop.load(Ordering::Relaxed) {
        agent.step("prompt go on")?;
        for _ in 0..chance.between(5, 40) {
            let [input, output, read, five, hour] = [0; 5].map(|_| chance.between(0, 5000));
            let tokens = format!("tokens={input},{output},{read},{five},{hour}");
            if chance.between(0, 10) == 0 {
                agent.step(&format!("subagent {tokens}"))?;
            } else {
                agent.step(&format!("work 0s {tokens} blocks={}", chance.between(1, 4)))?;
            }
        }
        agent.step("end")?;
    }
    Ok(())
}

/// Of all agents and models, of all time.
fn totals(home: &TestHome) -> Result<Tokens> {
    let list = Client::connect(home)?.list()?;
    let counted =
        list.agents.iter().flat_map(|agent| &agent.by_model).filter_map(|model| model.tokens.as_ref());
    Ok(counted.fold(Tokens::default(), |sum, tokens| {
        sum + Tokens {
            input: tokens.input,
            output: tokens.output,
            cache_read: tokens.cache_read,
            cache_write_5m: tokens.cache_write_5m,
            cache_write_1h: tokens.cache_write_1h,
        }
    }))
}

fn difference(a: Tokens, b: Tokens) -> u64 {
    let kinds = |tokens: Tokens| {
        [tokens.input, tokens.output, tokens.cache_read, tokens.cache_write_5m, tokens.cache_write_1h]
    };
    kinds(a).into_iter().zip(kinds(b)).map(|(a, b)| a.abs_diff(b)).sum()
}
