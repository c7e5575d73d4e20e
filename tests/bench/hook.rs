//! What an agent waits for each time it calls the hook: a process from spawn to end.

use std::io::Write as _;
use std::path::Path;
use std::process::Stdio;
use std::time::Instant;

use anyhow::{Context as _, Result, ensure};
use fleet_testkit::bins::bin;
use fleet_testkit::fleet;
use fleet_testkit::home::TestHome;

use crate::report::{Goal, Section};
use crate::stats::{Samples, figure};
use crate::{Effort, say};

const PAYLOAD: &[u8] = br#"{"session_id":"f0084b5f","hook_event_name":"PermissionRequest","tool_name":"Bash","tool_input":{"command":"make deploy"}}"#;
const GOAL: Goal = Goal::AtMost { must: 5.0, aim: 3.0 };

pub(crate) fn measure(effort: Effort) -> Result<Section> {
    let samples = effort.pick(30, 1000);
    let mut section = Section::new(
        "hook",
        "What a hook costs the agent",
        "`fleet-sidecar hook` with a payload on its standard input, a new process each time; the clock runs from before \
         the spawn until it was waited for. Once with a sidecar that listens, once with none; `/bin/true` is run in turn \
         with it."
            .to_owned(),
    );
    let home = TestHome::new()?;
    let program = bin("fleet-sidecar")?;
    say("hook: nobody listens");
    let (floor, alone) = runs(&home, &program, samples)?;
    let sidecar = fleet::sidecar(&home, &["--host"])?;
    let socket = home.runtime_dir().join("mosaic/hooks/host.sock");
    fleet_testkit::wait::wait_until(fleet::PATIENCE, "the hooks' socket", || {
        ensure!(socket.exists(), "{} is not there", socket.display());
        Ok(())
    })?;
    say("hook: a sidecar listens");
    let (_, heard) = runs(&home, &program, samples)?;
    drop(sidecar);
    section.row(
        "floor: `/bin/true`, p50",
        floor.median(),
        "ms",
        format!("p99 {}", figure(floor.percentile(99.0))),
    );
    for (name, taken) in [("a sidecar listens", &heard), ("nobody listens", &alone)] {
        let beside = format!(
            "p99 {}, {} × the floor's p50",
            figure(taken.percentile(99.0)),
            figure(taken.median() / floor.median())
        );
        section.judged(format!("{name}, p50"), taken.median(), "ms", beside, GOAL);
    }
    section.series("/bin/true", "ms", &floor);
    section.series("hook heard", "ms", &heard);
    section.series("hook unheard", "ms", &alone);
    Ok(section)
}

fn runs(home: &TestHome, program: &Path, samples: usize) -> Result<(Samples, Samples)> {
    let (mut floor, mut hook) = (Vec::new(), Vec::new());
    for _ in 0..samples {
        floor.push(once(home, Path::new("/bin/true"), &[])?);
        hook.push(once(home, program, &["hook"])?);
    }
    Ok((Samples::new(floor), Samples::new(hook)))
}

fn once(home: &TestHome, program: &Path, args: &[&str]) -> Result<f64> {
    let mut command = home.command(program);
    command.args(args).stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null());
    let began = Instant::now();
    let mut child = command.spawn().with_context(|| program.display().to_string())?;
    // `true` does not read it.
    let _ = child.stdin.take().context("no standard input")?.write_all(PAYLOAD);
    let status = child.wait()?;
    let took = began.elapsed().as_secs_f64() * 1e3;
    ensure!(status.success(), "{}: {status}", program.display());
    Ok(took)
}
