//! A real systemd user manager of one's own, with the home and the runtime directory of a [`TestHome`]. It needs
//! no systemd as process 1.
//!
//! A manager takes the control group in which it is started for its own: it moves the other processes there into
//! a scope, and two managers in one group share the groups of units of the same name. So each of ours gets a group
//! of its own, in every hierarchy that lets us.
#![expect(clippy::disallowed_methods, reason = "starts the manager as a child process")]

use std::collections::BTreeSet;
use std::fs::{File, Permissions};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Result, bail, ensure};
use nix::sys::signal::Signal;
use tempfile::TempDir;

use crate::home::TestHome;
use crate::process::{self, Owned};
use crate::wait::wait_until;

const MANAGERS: [&str; 2] = ["/lib/systemd/systemd", "/usr/lib/systemd/systemd"];
/// Without this directory a manager says that the system was not booted with systemd, and refuses.
const BOOTED: &str = "/run/systemd/system";

/// The manager and whatever it started end with the value; start another one with the same home to play a reboot.
#[derive(Debug)]
pub struct UserManager {
    child: Owned,
    env: Vec<(String, String)>,
    log: PathBuf,
    groups: Vec<PathBuf>,
    runtime: PathBuf,
    _home: Arc<TempDir>,
}

impl UserManager {
    /// # Errors
    /// Why no user manager can run here.
    pub fn available() -> Result<(), String> {
        program()?;
        if Path::new(BOOTED).is_dir() {
            return Ok(());
        }
        std::fs::create_dir_all(BOOTED)
            .map_err(|error| format!("{BOOTED} is missing and cannot be made: {error}"))
    }

    /// Ready to take commands when this returns.
    ///
    /// # Errors
    /// When it does not come up; with what it said.
    pub fn start(home: &TestHome) -> Result<Self> {
        Self::available().map_err(anyhow::Error::msg)?;
        let program = program().map_err(anyhow::Error::msg)?;
        let private = home.runtime_dir().join("systemd/private");
        forget_runtime(&home.runtime_dir());
        let groups = own_groups();
        let log = home.root().join("systemd.log");
        let mut command = Command::new("/bin/sh");
        // The shell enters the groups and becomes the manager: no moment in which it is outside.
        command.args([
            "-c",
            r#"for group; do echo $$ >"$group/cgroup.procs"; done 2>/dev/null; exec "$MANAGER" --user"#,
            "sh",
        ]);
        command.args(&groups).env_clear().envs(home.env());
        command.env("MANAGER", program).env("SYSTEMD_LOG_TARGET", "console");
        command.current_dir(home.root()).stdin(Stdio::null());
        command.stdout(File::create(&log)?).stderr(File::options().append(true).open(&log)?);
        let mut child = Owned(command.spawn().context("start the manager")?);
        let ready = wait_until(Duration::from_secs(30), "the user manager", || match child.0.try_wait() {
            Ok(None) if private.exists() => Some(Ok(())),
            Ok(None) => None,
            ended => Some(Err(format!("the user manager ended: {ended:?}"))),
        });
        let manager =
            Self { child, env: home.env(), log, groups, runtime: home.runtime_dir(), _home: home.keep() };
        match ready {
            Ok(Ok(())) => Ok(manager),
            Ok(Err(error)) => bail!("{error}: {}", manager.log()),
            Err(error) => bail!("{error}: {}", manager.log()),
        }
    }

    #[must_use]
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// What the manager said.
    #[must_use]
    pub fn log(&self) -> String {
        std::fs::read_to_string(&self.log).unwrap_or_default()
    }

    /// `systemctl --user ARGS`: its standard output.
    ///
    /// # Errors
    /// What it said, when it fails.
    pub fn systemctl(&self, args: &[&str]) -> Result<String> {
        let mut command = Command::new("systemctl");
        command.args(["--user", "--no-pager"]).args(args).env_clear().envs(self.env.iter().cloned());
        let out = command.stdin(Stdio::null()).output().context("run systemctl")?;
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).trim_end().to_owned();
        ensure!(out.status.success(), "systemctl {args:?}: {}{}", text(&out.stdout), text(&out.stderr));
        Ok(text(&out.stdout))
    }

    /// One property of a unit.
    ///
    /// # Errors
    /// What systemctl said.
    pub fn property(&self, unit: &str, name: &str) -> Result<String> {
        self.systemctl(&["show", "--value", "-p", name, "--", unit])
    }

    /// Down and up again: same home, empty runtime directory.
    ///
    /// # Errors
    /// When it does not come up again.
    pub fn reboot(self, home: &TestHome) -> Result<Self> {
        self.stop();
        let runtime = home.runtime_dir();
        for entry in std::fs::read_dir(&runtime).context("list the runtime directory")?.flatten() {
            let path = entry.path();
            let removed =
                if path.is_dir() { std::fs::remove_dir_all(&path) } else { std::fs::remove_file(&path) };
            removed.with_context(|| format!("remove {}", path.display()))?;
        }
        Self::start(home)
    }

    /// As at a shutdown: units are stopped, then whatever is left of what they started is killed.
    pub fn stop(self) {
        drop(self);
    }

    /// Processes below the manager. It adopts its units' orphans, so nothing escapes by double forking.
    fn started(&self) -> BTreeSet<(u32, String)> {
        let parents: Vec<(u32, u32)> =
            process::all_pids().into_iter().filter_map(|pid| Some((pid, process::parent(pid)?))).collect();
        let mut found = BTreeSet::from([self.pid()]);
        loop {
            let more = parents.iter().filter(|(_, parent)| found.contains(parent)).map(|(pid, _)| *pid);
            let grown: BTreeSet<u32> = found.iter().copied().chain(more).collect();
            if grown.len() == found.len() {
                break;
            }
            found = grown;
        }
        found.remove(&self.pid());
        found.into_iter().filter_map(|pid| Some((pid, process::start_ticks(pid)?))).collect()
    }
}

impl Drop for UserManager {
    fn drop(&mut self) {
        let mut started = self.started();
        self.child.end(Duration::from_secs(20));
        started.retain(|(pid, start)| {
            process::alive(*pid) && process::start_ticks(*pid).as_ref() == Some(start)
        });
        for (pid, _) in &started {
            process::signal(*pid, Signal::SIGKILL);
        }
        let _ = wait_until(Duration::from_secs(5), "the end of the manager's processes", || {
            !started.iter().any(|(pid, _)| process::alive(*pid))
        });
        for group in &self.groups {
            remove_groups(group);
        }
        forget_runtime(&self.runtime);
    }
}

/// A manager leaves its socket behind, which would look like the next one's readiness, and a directory that
/// nobody may read, which would keep the home from being removed.
fn forget_runtime(runtime: &Path) {
    let sealed = runtime.join("systemd/inaccessible/dir");
    if sealed.is_dir() {
        let _ = std::fs::set_permissions(&sealed, Permissions::from_mode(0o700));
    }
    let _ = std::fs::remove_dir_all(runtime.join("systemd"));
}

fn program() -> Result<&'static str, String> {
    let found = MANAGERS.into_iter().find(|program| Path::new(program).is_file());
    found.ok_or_else(|| "systemd is not installed".to_owned())
}

/// A new control group under our own in each hierarchy where that is allowed.
fn own_groups() -> Vec<PathBuf> {
    let name = format!("fleet-test-{}-{}", std::process::id(), jiff::Timestamp::now().as_nanosecond());
    let ours = std::fs::read_to_string("/proc/self/cgroup").unwrap_or_default();
    let mounts = std::fs::read_to_string("/proc/self/mounts").unwrap_or_default();
    let mut groups = Vec::new();
    for line in ours.lines() {
        let [_, controllers, path] = line.splitn(3, ':').collect::<Vec<_>>()[..] else { continue };
        let Some(mount) = mount_of(&mounts, controllers) else { continue };
        let group = Path::new(mount).join(path.trim_start_matches('/')).join(&name);
        if std::fs::create_dir(&group).is_ok() {
            groups.push(group);
        }
    }
    groups
}

/// Where the hierarchy of these controllers is mounted; none are named for the unified one.
fn mount_of<'a>(mounts: &'a str, controllers: &str) -> Option<&'a str> {
    mounts.lines().find_map(|line| {
        let [_, at, kind, options, ..] = line.split(' ').collect::<Vec<_>>()[..] else { return None };
        let found = match (kind, controllers) {
            ("cgroup2", "") => true,
            ("cgroup", "") => false,
            ("cgroup", names) => names.split(',').all(|name| options.split(',').any(|option| option == name)),
            _ => false,
        };
        found.then_some(at)
    })
}

/// Groups can only be removed from the leaves up, and only when they are empty.
fn remove_groups(group: &Path) {
    for entry in std::fs::read_dir(group).into_iter().flatten().flatten() {
        if entry.path().is_dir() {
            remove_groups(&entry.path());
        }
    }
    let _ = std::fs::remove_dir(group);
}

#[cfg(test)]
mod tests {
    use super::mount_of;

    #[test]
    fn hierarchies_are_found() {
        let mounts = "cgroup /c/cpu cgroup rw,cpu,cpuacct 0 0\ncgroup /c/systemd cgroup rw,name=systemd 0 0\ncgroup2 /c/unified cgroup2 rw 0 0";
        assert_eq!(mount_of(mounts, "cpu,cpuacct"), Some("/c/cpu"));
        assert_eq!(mount_of(mounts, "name=systemd"), Some("/c/systemd"));
        assert_eq!(mount_of(mounts, ""), Some("/c/unified"));
        assert_eq!(mount_of(mounts, "memory"), None);
    }
}
