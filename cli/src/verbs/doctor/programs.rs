//! tmux and the runtimes: whether they are there, and which versions.
#![expect(clippy::disallowed_methods, reason = "runtimes are asked for their version; tmux is not run here")]

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use fleet_adapters::tmux::{Server, TmuxError, Version};
use tokio::process::Command;
use tokio::task::JoinSet;

use super::Check;
use super::places::Roster;
use crate::render::words::safe;

/// The oldest tmux whose output we know.
const OLDEST: Version = Version(3, 2);
/// Runtimes are slow to start.
const VERSION_LIMIT: Duration = Duration::from_secs(5);

/// The runtimes that the launcher knows, and how each is installed.
const RUNTIMES: [(&str, &str); 4] = [
    ("claude", "npm install -g @anthropic-ai/claude-code"),
    ("codex", "npm install -g @openai/codex"),
    ("opencode", "npm install -g opencode-ai"),
    ("pi", "npm install -g @mariozechner/pi-coding-agent"),
];

pub(super) async fn checks(roster: &Roster) -> Vec<Check> {
    let (mut checks, runtimes) = tokio::join!(tmux(), runtimes(roster));
    checks.extend(runtimes);
    checks
}

async fn tmux() -> Vec<Check> {
    match Server::version().await {
        Ok((version, shown)) => of_tmux(version, &shown),
        Err(TmuxError::NotInstalled) => {
            vec![
                Check::fail("tmux", "not installed: every agent runs in it")
                    .remedy("sudo apt-get install tmux"),
            ]
        }
        Err(error) => vec![Check::fail("tmux", error.to_string()).remedy("tmux -V")],
    }
}

fn of_tmux(version: Version, shown: &str) -> Vec<Check> {
    if version < OLDEST {
        let says = format!("{shown} is older than {}.{}, the oldest that is understood", OLDEST.0, OLDEST.1);
        return vec![Check::fail("tmux", says).remedy("sudo apt-get install tmux")];
    }
    let mut checks = vec![Check::ok("tmux", shown)];
    if version == Version(3, 3) {
        checks.push(Check::info(
            "tmux",
            "3.3 crashes when text is pasted into a dead pane; the fleet checks before it pastes",
        ));
    }
    checks
}

async fn runtimes(roster: &Roster) -> Vec<Check> {
    let mut asked = JoinSet::new();
    for (place, (name, install)) in RUNTIMES.into_iter().enumerate() {
        let wanted = roster.wants(name);
        asked.spawn(async move { (place, runtime(name, install, wanted).await) });
    }
    let mut answers = asked.join_all().await;
    answers.sort_by_key(|(place, _)| *place);
    answers.into_iter().map(|(_, check)| check).collect()
}

async fn runtime(name: &'static str, install: &'static str, wanted: bool) -> Check {
    let Some(path) = on_path(name, std::env::var_os("PATH").unwrap_or_default().as_os_str()) else {
        return if wanted {
            Check::fail(name, "not on PATH, and the roster has agents that run it").remedy(install)
        } else {
            Check::info(name, "not on PATH; no agent of the roster needs it")
        };
    };
    let path_shown = fleet_framework::home::shown(&path);
    match version(&path).await {
        Ok(version) => Check::ok(name, format!("{version} ({path_shown})")),
        Err(why) => Check::warn(name, format!("{path_shown} does not tell its version: {why}"))
            .remedy(format!("{name} --version")),
    }
}

fn on_path(name: &str, path: &std::ffi::OsStr) -> Option<PathBuf> {
    use std::os::unix::fs::PermissionsExt;
    let runs = |file: &PathBuf| {
        std::fs::metadata(file).is_ok_and(|found| found.is_file() && found.permissions().mode() & 0o111 != 0)
    };
    std::env::split_paths(path).filter(|dir| dir.is_absolute()).map(|dir| dir.join(name)).find(runs)
}

async fn version(program: &Path) -> Result<String, String> {
    let child = Command::new(program)
        .arg("--version")
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .output();
    let output = tokio::time::timeout(VERSION_LIMIT, child)
        .await
        .map_err(|_| format!("no answer in {}s", VERSION_LIMIT.as_secs()))?
        .map_err(|error| error.to_string())?;
    if !output.status.success() {
        return Err(output.status.to_string());
    }
    // Some say it among their errors (pi).
    let first = |said: &[u8]| {
        let text = String::from_utf8_lossy(said);
        text.lines().map(str::trim).find(|line| !line.is_empty()).map(|line| safe(line).into_owned())
    };
    first(&output.stdout).or_else(|| first(&output.stderr)).ok_or_else(|| "it says nothing".to_owned())
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;
    use crate::verbs::doctor::Level;

    #[test]
    fn known_traps_are_said_and_an_old_tmux_fails() {
        let levels = |version| of_tmux(version, "tmux").iter().map(|check| check.level).collect::<Vec<_>>();
        assert_eq!(levels(Version(3, 3)), [Level::Ok, Level::Info]);
        assert_eq!(levels(Version(3, 5)), [Level::Ok]);
        assert_eq!(levels(Version(2, 9)), [Level::Fail]);
    }

    #[test]
    fn only_what_can_be_run_counts_and_only_from_absolute_directories() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("claude");
        std::fs::write(&file, "").unwrap();
        assert_eq!(on_path("claude", dir.path().as_os_str()), None);
        std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o755)).unwrap();
        assert_eq!(on_path("claude", dir.path().as_os_str()), Some(file));
        assert_eq!(on_path("claude", std::ffi::OsStr::new(".")), None);
    }

    #[tokio::test]
    async fn a_program_that_fails_has_no_version() {
        assert!(version(Path::new("/bin/false")).await.is_err());
        assert!(version(Path::new("/nowhere")).await.is_err());
    }

    #[tokio::test]
    async fn a_version_counts_wherever_it_is_said() {
        let dir = tempfile::tempdir().unwrap();
        for (name, script, said) in
            [("errors", "echo 0.73.1 >&2", "0.73.1"), ("both", "echo warning >&2; echo 1.2", "1.2")]
        {
            let file = dir.path().join(name);
            std::fs::write(&file, format!("#!/bin/sh\n{script}\n")).unwrap();
            std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o755)).unwrap();
            assert_eq!(version(&file).await.unwrap(), said);
        }
    }
}
