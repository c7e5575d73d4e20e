//! Gets the program by npm, once per machine.
#![expect(clippy::disallowed_methods, reason = "runs npm")]

use std::fs::File;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::OnceLock;
use std::time::Duration;

use super::{PACKAGE, VERSION};
use crate::process::Owned;
use crate::wait::wait_until;

const INSTALL: Duration = Duration::from_secs(300);

pub(super) fn program() -> Result<PathBuf, String> {
    static FOUND: OnceLock<Result<PathBuf, String>> = OnceLock::new();
    FOUND.get_or_init(find_or_install).clone()
}

fn find_or_install() -> Result<PathBuf, String> {
    if !cfg!(all(target_os = "linux", target_arch = "x86_64")) {
        return Err(format!("{PACKAGE} is for x86-64 Linux"));
    }
    let cache = cache_dir()?;
    std::fs::create_dir_all(&cache).map_err(|error| format!("make {}: {error}", cache.display()))?;
    // Other test processes want it too: one installs, the others wait and find it.
    let lock = File::create(cache.join(".lock")).and_then(|file| file.lock().map(|()| file));
    let _lock = lock.map_err(|error| format!("lock {}: {error}", cache.display()))?;
    if let Some(program) = installed(&cache) {
        return Ok(program);
    }
    install(&cache)?;
    installed(&cache).ok_or_else(|| format!("npm installed no {PACKAGE}@{VERSION} in {}", cache.display()))
}

fn cache_dir() -> Result<PathBuf, String> {
    let set = |name| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    let base = set("FLEET_TEST_CACHE").or_else(|| Some(set("HOME")?.join(".cache/mosaic-fleet-tests")));
    base.map(|base| base.join(format!("claude-{VERSION}"))).ok_or_else(|| "HOME is not set".to_owned())
}

/// npm moves a package into place when it is whole, so its description vouches for the program.
fn installed(cache: &Path) -> Option<PathBuf> {
    let package = cache.join("node_modules").join(PACKAGE);
    let about = std::fs::read_to_string(package.join("package.json")).ok()?;
    let about: serde_json::Value = serde_json::from_str(&about).ok()?;
    let program = package.join("claude");
    let mode = std::fs::metadata(&program).ok()?.permissions().mode();
    (about["version"] == VERSION && mode & 0o111 != 0).then_some(program)
}

fn install(cache: &Path) -> Result<(), String> {
    let mut command = Command::new("npm");
    command.args(["install", "--ignore-scripts", "--no-audit", "--no-fund", "--fetch-retries=1", "--prefix"]);
    command.arg(cache).arg(format!("{PACKAGE}@{VERSION}")).current_dir(cache);
    let said = cache.join("npm.log");
    let log = File::create(&said).and_then(|out| Ok((out.try_clone()?, out)));
    let (out, err) = log.map_err(|error| format!("write {}: {error}", said.display()))?;
    command.stdin(Stdio::null()).stdout(out).stderr(err);
    let mut child = Owned(command.spawn().map_err(|error| format!("start npm: {error}"))?);
    let ended = wait_until(INSTALL, "npm", || child.0.try_wait().transpose());
    match ended {
        Ok(Ok(status)) if status.success() => Ok(()),
        Ok(status) => Err(format!("npm: {status:?}: {}", last_error(&said))),
        Err(timed_out) => Err(timed_out.to_string()),
    }
}

fn last_error(log: &Path) -> String {
    let text = std::fs::read_to_string(log).unwrap_or_default();
    let errors: Vec<&str> = text.lines().filter(|line| line.contains("error")).take(3).collect();
    errors.join("; ")
}
