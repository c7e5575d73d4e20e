//! Programs that measurements start: a cheap agent, and the poller that we are compared with.
#![expect(clippy::disallowed_methods, reason = "the naive poller runs tmux as its authors would")]

use std::io::Write as _;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use fleet_testkit::reporters::{Plan, Reporters};

use crate::stage::pass;
use crate::{proc, say};

/// An idle agent at the least price: a state file as the runtime keeps it, then sleep until a signal. Of one that is given
/// a file the screen is all there is: what the file holds, with a title that moves ten times a second.
pub(crate) fn agent(words: &[String]) -> Result<()> {
    if let Some(screen) = words.first() {
        return draw(screen);
    }
    let home = std::env::var("HOME").context("HOME is not set")?;
    let directory = std::path::Path::new(&home).join(".claude/sessions");
    std::fs::create_dir_all(&directory).context("the directory of state files")?;
    let pid = std::process::id();
    let cwd = std::env::current_dir()?;
    let name = cwd.file_name().and_then(|name| name.to_str()).unwrap_or_default();
    let now = jiff::Timestamp::now().as_millisecond();
    let state = serde_json::json!({
        "pid": pid, "procStart": proc::start_ticks(pid)?.to_string(), "sessionId": format!("of-{name}"), "cwd": cwd,
        "status": "idle", "statusUpdatedAt": now, "updatedAt": now,
    });
    std::fs::write(directory.join(format!("{pid}.json")), state.to_string())
        .context("write the state file")?;
    loop {
        std::thread::park();
    }
}

fn draw(screen: &str) -> Result<()> {
    let screen = std::fs::read_to_string(screen).context("read the screen")?;
    let mut out = std::io::stdout();
    write!(out, "\x1b[2J\x1b[H{}", screen.trim_end().replace('\n', "\r\n"))?;
    for mark in ["⠋", "⠙", "⠹", "⠸"].iter().cycle() {
        write!(out, "\x1b]0;{mark} work\x07\x1b7\x1b[1;1H \x1b8")?;
        out.flush()?;
        pass(Duration::from_millis(100));
    }
    Ok(())
}

/// What one writes first: for each session and second one `list-panes` and one `capture-pane`. No shell between,
/// one at a time, so cheaper than most.
pub(crate) fn naive_poller(words: &[String]) -> Result<()> {
    let (socket, sessions) = words.split_first().context("poll SOCKET SESSION…")?;
    let tmux = |args: &[&str]| {
        let mut command = Command::new("tmux");
        command
            .args(["-S", socket])
            .args(args)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null());
        command.output().map(|output| output.stdout.len()).context("run tmux")
    };
    let mut round = Instant::now();
    loop {
        for session in sessions {
            tmux(&[
                "list-panes",
                "-t",
                &format!("={session}"),
                "-F",
                "#{pane_pid} #{pane_dead} #{pane_current_command}",
            ])?;
            tmux(&["capture-pane", "-p", "-t", &format!("={session}:")])?;
        }
        round += Duration::from_secs(1);
        std::thread::sleep(round.saturating_duration_since(Instant::now()));
        // After a pause nothing is made up for.
        round = round.max(Instant::now());
    }
}

/// Simulated reporters until somebody ends this program: `SOCKET AGENTS SECONDS`, the last a heartbeat's interval.
pub(crate) fn simulate(words: &[String]) -> Result<()> {
    let [socket, agents, seconds] = words else { anyhow::bail!("simulate SOCKET AGENTS SECONDS") };
    let agents: usize = agents.parse().context("AGENTS")?;
    let interval = Duration::try_from_secs_f64(seconds.parse().context("SECONDS")?)?;
    let plan = Plan { agents, hosts: agents.clamp(1, 10), interval, ..Plan::default() };
    let reporters = Reporters::start(socket.as_ref(), plan)?;
    loop {
        say(&format!("{:?}", reporters.sent()));
        pass(Duration::from_secs(10));
    }
}
