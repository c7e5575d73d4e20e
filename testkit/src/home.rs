//! A throw-away home: every directory that the fleet, tmux, systemd or a runtime looks for, under one temporary
//! root that vanishes with the value.
#![expect(clippy::disallowed_methods, reason = "commands of tests start with this home's environment only")]

use std::ffi::OsStr;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;

use anyhow::{Context as _, Result};
use tempfile::TempDir;

#[derive(Debug)]
pub struct TestHome {
    root: Arc<TempDir>,
}

impl TestHome {
    /// The root lies directly in the system's temporary directory and has a short name: the paths of Unix
    /// sockets below it must stay under 108 bytes.
    ///
    /// # Errors
    /// When the directories cannot be made.
    pub fn new() -> Result<Self> {
        let root = tempfile::Builder::new().prefix("mf-").tempdir().context("make a temporary root")?;
        let home = Self { root: Arc::new(root) };
        let private = [home.home(), home.runtime_dir()];
        let shared = [home.mosaic_home(), home.state_home(), home.bin(), home.root().join("tmp")];
        for (mode, dirs) in [(0o700, &private[..]), (0o755, &shared[..])] {
            for dir in dirs {
                make_dir(dir, mode)?;
            }
        }
        Ok(home)
    }

    /// Servers keep their home from vanishing under them, in whatever order a test drops the two.
    pub(crate) fn keep(&self) -> Arc<TempDir> {
        Arc::clone(&self.root)
    }

    #[must_use]
    pub fn root(&self) -> &Path {
        self.root.path()
    }

    /// `$HOME`
    #[must_use]
    pub fn home(&self) -> PathBuf {
        self.root().join("h")
    }

    /// `$MOSAIC_HOME`
    #[must_use]
    pub fn mosaic_home(&self) -> PathBuf {
        self.home().join(".config/mosaic")
    }

    /// `$XDG_RUNTIME_DIR`, mode 0700
    #[must_use]
    pub fn runtime_dir(&self) -> PathBuf {
        self.root().join("run")
    }

    /// `$XDG_STATE_HOME`
    #[must_use]
    pub fn state_home(&self) -> PathBuf {
        self.home().join(".local/state")
    }

    /// First in `$PATH`: what a test puts here is found before the machine's programs.
    #[must_use]
    pub fn bin(&self) -> PathBuf {
        self.root().join("bin")
    }

    /// Where Claude Code keeps its files when `$CLAUDE_CONFIG_DIR` is not set.
    #[must_use]
    pub fn claude_config(&self) -> PathBuf {
        self.home().join(".claude")
    }

    /// A work directory of this name, made when it is not there.
    ///
    /// # Errors
    /// When it cannot be made.
    pub fn work(&self, name: &str) -> Result<PathBuf> {
        let dir = self.root().join("w").join(name);
        make_dir(&dir, 0o755)?;
        Ok(dir)
    }

    /// The whole environment of a child process: nothing of the caller's leaks in but the search path.
    #[must_use]
    pub fn env(&self) -> Vec<(String, String)> {
        let inherited = std::env::var("PATH").unwrap_or_else(|_| "/usr/local/bin:/usr/bin:/bin".to_owned());
        let text = |path: PathBuf| path.to_string_lossy().into_owned();
        [
            ("HOME", text(self.home())),
            ("PATH", format!("{}:{inherited}", self.bin().display())),
            ("MOSAIC_HOME", text(self.mosaic_home())),
            ("XDG_RUNTIME_DIR", text(self.runtime_dir())),
            ("XDG_STATE_HOME", text(self.state_home())),
            // Whatever a program under test does, it cannot find the user's own tmux servers.
            ("TMUX_TMPDIR", text(self.root().to_owned())),
            ("TMPDIR", text(self.root().join("tmp"))),
            ("LANG", "C.UTF-8".to_owned()),
            ("TERM", "xterm-256color".to_owned()),
            ("SHELL", "/bin/sh".to_owned()),
            ("TZ", "UTC".to_owned()),
        ]
        .map(|(key, value)| (key.to_owned(), value))
        .into()
    }

    /// [`Self::env`] with more variables; a later one replaces an earlier one of the same name.
    #[must_use]
    pub fn env_with(&self, more: &[(&str, &str)]) -> Vec<(String, String)> {
        let mut env = self.env();
        for &(key, value) in more {
            env.retain(|(known, _)| known != key);
            env.push((key.to_owned(), value.to_owned()));
        }
        env
    }

    /// A command with exactly [`Self::env`], in the root.
    #[must_use]
    pub fn command(&self, program: impl AsRef<OsStr>) -> Command {
        let mut command = Command::new(program);
        command.env_clear().envs(self.env()).current_dir(self.root());
        command
    }
}

fn make_dir(dir: &Path, mode: u32) -> Result<()> {
    std::fs::DirBuilder::new()
        .recursive(true)
        .mode(mode)
        .create(dir)
        .with_context(|| format!("make {}", dir.display()))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    #[test]
    fn it_is_private_and_vanishes() {
        let home = TestHome::new().unwrap();
        let root = home.root().to_owned();
        let mode = std::fs::metadata(home.runtime_dir()).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o700);
        assert!(home.mosaic_home().starts_with(&root));
        drop(home);
        assert!(!root.exists());
    }

    #[test]
    fn a_child_sees_this_home_and_nothing_of_the_callers() {
        let home = TestHome::new().unwrap();
        let out = home.command("env").output().unwrap();
        let seen = String::from_utf8(out.stdout).unwrap();
        assert!(seen.contains(&format!("HOME={}\n", home.home().display())), "{seen}");
        assert!(!seen.contains("CARGO"), "{seen}");
        assert_eq!(home.env_with(&[("TZ", "Asia/Tokyo")]).iter().filter(|(k, _)| k == "TZ").count(), 1);
    }
}
