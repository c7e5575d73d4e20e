//! From the moment at which a runtime asks something to the reader who knows: told by a hook, and by its screen alone.

use std::fs::OpenOptions;
use std::io::Write as _;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use fleet_testkit::bins::bin;
use fleet_testkit::fleet::{self, PATIENCE, write_roster};
use fleet_testkit::home::TestHome;
use fleet_testkit::tmux::PrivateTmux;
use nix::sys::stat::Mode;
use nix::unistd::mkfifo;

use crate::report::{Goal, Section};
use crate::stats::{Chance, Samples, figure};
use crate::{Effort, say};

const NATIVE: Goal = Goal::AtMost { must: 100.0, aim: 20.0 };
const BY_SCREEN: Goal = Goal::AtMost { must: 2_000.0, aim: 1_000.0 };

/// Stands for a runtime: for each line that it is given it calls its hook with it, or draws the screen of that name; what it
/// draws while it works moves ten times a second.
const RUNTIME: &str = r#"
import os, select, subprocess, sys
pipe, hook, directory = sys.argv[1:4]
lines = os.open(pipe, os.O_RDWR)
screen, beat = None, 0
while True:
    ready, _, _ = select.select([lines], [], [], 0.1)
    if ready:
        line = os.read(lines, 65536).decode().strip()
        if not line:
            continue
        if line.startswith("{"):
            subprocess.run([hook, "hook", "--to", directory], input=line.encode())
        else:
            screen, moves = open(line).read().rstrip("\n").replace("\n", "\r\n"), "work" in line
            os.write(1, b"\x1b[2J\x1b[H" + screen.encode())
    elif screen and moves:
        beat += 1
        os.write(1, b"\x1b]0;%s\x07" % ("⠋⠙⠹⠸"[beat % 4] + " work").encode())
"#;

pub(crate) fn measure(effort: Effort) -> Result<Section> {
    let (hooks, screens) = (effort.pick(20, 300), effort.pick(3, 40));
    let mut section = Section::new(
        "seen",
        "From a prompt to a reader who knows",
        "One agent in a session of its own, one host-wide sidecar, one collector. The agent is told to ask for a permission; \
         the clock runs from then until the end of the first `fleet ps --json`, one process after the other, that says so. By \
         a hook: the runtime calls `fleet-sidecar hook`. By its screen alone: a turn is drawn, moving ten times a second, \
         then a real prompt of Codex in its place, at a random moment."
            .to_owned(),
    );
    say("seen: by a hook");
    let by_hook = Samples::new(by_hook(hooks)?);
    say("seen: by the screen alone");
    let by_screen = Samples::new(by_screen(screens)?);
    let beside =
        |samples: &Samples| format!("p50 {}; max {}", figure(samples.median()), figure(samples.max()));
    section.judged("by a hook, p99", by_hook.percentile(99.0), "ms", beside(&by_hook), NATIVE);
    section.judged(
        "by the screen alone, p99",
        by_screen.percentile(99.0),
        "ms",
        beside(&by_screen),
        BY_SCREEN,
    );
    section.series("by a hook", "ms", &by_hook);
    section.series("by the screen alone", "ms", &by_screen);
    Ok(section)
}

struct Agent {
    _sidecar: fleet::Daemon,
    _collector: fleet::Daemon,
    _tmux: PrivateTmux,
    home: TestHome,
    pipe: PathBuf,
}

impl Agent {
    fn start(runtime: &str) -> Result<Self> {
        let home = TestHome::new()?;
        let tmux = PrivateTmux::named(&home, "mosaic-fleet")?;
        write_roster(
            &home,
            &format!(
                "version: 1\ntmux: {{socket_name: mosaic-fleet}}\nagents: [{{name: a0, runtime: {runtime}}}]\n"
            ),
        )?;
        let (pipe, script) = (home.root().join("pipe"), home.root().join("runtime.py"));
        mkfifo(&pipe, Mode::S_IRWXU)?;
        std::fs::write(&script, RUNTIME)?;
        std::fs::create_dir_all(home.bin())?;
        let found =
            home.command("python3").args(["-c", "import sys; print(sys.executable)"]).output()?.stdout;
        let program = home.bin().join(runtime);
        symlink(std::fs::canonicalize(String::from_utf8(found)?.trim())?, &program)?;
        let words =
            [program, script, pipe.clone(), bin("fleet-sidecar")?, home.runtime_dir().join("mosaic/hooks")];
        let argv = words.map(|word| word.display().to_string());
        let collector = fleet::collector(&home, "off")?;
        let sidecar = fleet::sidecar(&home, &["--host"])?;
        tmux.new_session("a0", &home.work("a0")?, &home.env(), &argv)?;
        let agent = Self { _sidecar: sidecar, _collector: collector, _tmux: tmux, home, pipe };
        agent.until(|seen| seen["paneAlive"] == true && seen["runtime"] == runtime)?;
        Ok(agent)
    }

    fn tell(&self, line: &str) -> Result<()> {
        let mut pipe = OpenOptions::new().write(true).open(&self.pipe)?;
        pipe.write_all(format!("{line}\n").as_bytes()).context("tell the runtime")
    }

    /// Asks `fleet ps` until it says what is wanted; when that was said.
    fn until(&self, wanted: impl Fn(&serde_json::Value) -> bool) -> Result<Instant> {
        let began = Instant::now();
        loop {
            let seen = fleet::agent(&self.home, "a0")?;
            if wanted(&seen) {
                return Ok(Instant::now());
            }
            ensure!(began.elapsed() < PATIENCE, "never told: {seen}");
        }
    }

    /// From telling the runtime this to the reader who has it as stuck.
    fn asks(&self, line: &str) -> Result<f64> {
        let began = Instant::now();
        self.tell(line)?;
        let told = self.until(|seen| seen["readinessKind"] == "permission")?;
        Ok((told - began).as_secs_f64() * 1e3)
    }
}

fn by_hook(samples: usize) -> Result<Vec<f64>> {
    let agent = Agent::start("pi")?;
    let event = |name: &str| format!(r#"{{"session_id":"s","hook_event_name":"{name}","tool_name":"Bash"}}"#);
    let mut taken = Vec::with_capacity(samples);
    for _ in 0..samples {
        agent.tell(&event("UserPromptSubmit"))?;
        agent.until(|seen| seen["readiness"] == "working")?;
        taken.push(agent.asks(&event("PermissionRequest"))?);
    }
    Ok(taken)
}

fn by_screen(samples: usize) -> Result<Vec<f64>> {
    let agent = Agent::start("codex")?;
    let screens = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/screens/codex");
    let screen = |name: &str| screens.join(name).display().to_string();
    let (mut chance, mut taken) = (Chance(11), Vec::with_capacity(samples));
    for _ in 0..samples {
        agent.tell(&screen("work-exec60.ansi"))?;
        agent.until(|seen| seen["readiness"] == "working")?;
        std::thread::sleep(Duration::from_millis(chance.between(1_000, 3_000)));
        taken.push(agent.asks(&screen("perm-bash.ansi"))?);
    }
    Ok(taken)
}
