//! Programs that come from npm, pinned: each in a folder of its own in a cache, installed once per machine.
#![expect(clippy::disallowed_methods, reason = "runs npm")]

use std::collections::BTreeMap;
use std::fs::File;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;

use serde_json::Value;

use crate::process::Owned;
use crate::wait::wait_until;

const INSTALL: Duration = Duration::from_secs(300);

/// What is wanted of a package.
#[derive(Debug)]
pub(crate) struct Pinned {
    /// The cache's folder is `NAME-VERSION`.
    pub(crate) name: &'static str,
    pub(crate) package: &'static str,
    pub(crate) version: &'static str,
    /// npm's checksum of the package that holds the program, and its folder in `node_modules`.
    pub(crate) holder: (&'static str, &'static str),
    /// Below `node_modules`.
    pub(crate) program: &'static str,
}

type Found = Result<PathBuf, String>;

/// The program, in `$FLEET_TEST_CACHE` (default `~/.cache/mosaic-fleet-tests`), installed there when it is missing.
/// Asked once per process; several processes wait for each other.
pub(crate) fn provision(wanted: &'static Pinned) -> Found {
    static FOUND: Mutex<BTreeMap<&str, Arc<OnceLock<Found>>>> = Mutex::new(BTreeMap::new());
    let once = {
        let mut found = FOUND.lock().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(found.entry(wanted.name).or_default())
    };
    once.get_or_init(|| find_or_install(wanted)).clone()
}

fn find_or_install(wanted: &Pinned) -> Found {
    if !cfg!(all(target_os = "linux", target_arch = "x86_64")) {
        return Err(format!("{} is pinned for x86-64 Linux", wanted.package));
    }
    let cache = cache_dir()?.join(format!("{}-{}", wanted.name, wanted.version));
    std::fs::create_dir_all(&cache).map_err(|error| format!("make {}: {error}", cache.display()))?;
    // Other test processes want it too: one installs, the others wait and find it.
    let lock = File::create(cache.join(".lock")).and_then(|file| file.lock().map(|()| file));
    let _lock = lock.map_err(|error| format!("lock {}: {error}", cache.display()))?;
    installed(&cache, wanted).or_else(|_| {
        install(&cache, wanted)?;
        installed(&cache, wanted)
    })
}

fn cache_dir() -> Found {
    let set = |name| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    let base = set("FLEET_TEST_CACHE").or_else(|| Some(set("HOME")?.join(".cache/mosaic-fleet-tests")));
    base.ok_or_else(|| "HOME is not set".to_owned())
}

/// npm moves a package into place when it is whole and its checksum was right, and writes down both at the end.
fn installed(cache: &Path, wanted: &Pinned) -> Found {
    let modules = cache.join("node_modules");
    let read = |path: PathBuf| -> Result<Value, String> {
        let told = |error: String| format!("{}: {error}", path.display());
        let text = std::fs::read_to_string(&path).map_err(|error| told(error.to_string()))?;
        serde_json::from_str(&text).map_err(|error| told(error.to_string()))
    };
    let version = read(modules.join(wanted.package).join("package.json"))?["version"].clone();
    if version != wanted.version {
        return Err(format!("{} is {version} instead of {}", wanted.package, wanted.version));
    }
    let (holder, checksum) = wanted.holder;
    let lock = read(modules.join(".package-lock.json"))?;
    let integrity = &lock["packages"][format!("node_modules/{holder}")]["integrity"];
    if integrity != checksum {
        return Err(format!("{holder} has the checksum {integrity} instead of {checksum}"));
    }
    let program = modules.join(wanted.program);
    let mode = std::fs::metadata(&program).map(|metadata| metadata.permissions().mode());
    match mode {
        Ok(mode) if mode & 0o111 != 0 => Ok(program),
        _ => Err(format!("npm installed no program {}", program.display())),
    }
}

fn install(cache: &Path, wanted: &Pinned) -> Result<(), String> {
    let mut command = Command::new("npm");
    command.args(["install", "--ignore-scripts", "--no-audit", "--no-fund", "--fetch-retries=1", "--prefix"]);
    command.arg(cache).arg(format!("{}@{}", wanted.package, wanted.version)).current_dir(cache);
    let said = cache.join("npm.log");
    let log = File::create(&said).and_then(|out| Ok((out.try_clone()?, out)));
    let (out, err) = log.map_err(|error| format!("write {}: {error}", said.display()))?;
    command.stdin(Stdio::null()).stdout(out).stderr(err);
    let mut child = Owned(command.spawn().map_err(|error| format!("start npm: {error}"))?);
    let ended = wait_until(INSTALL, "npm", || child.0.try_wait().transpose());
    match ended {
        Ok(Ok(status)) if status.success() => Ok(()),
        Ok(Ok(status)) => Err(format!("npm: {status}: {}", last_error(&said))),
        Ok(Err(error)) => Err(format!("wait for npm: {error}")),
        Err(timed_out) => Err(timed_out.to_string()),
    }
}

fn last_error(log: &Path) -> String {
    let text = std::fs::read_to_string(log).unwrap_or_default();
    // Newer ones write `npm error`, older ones `npm ERR!`.
    let tells = |line: &&str| line.contains("error") || line.contains("ERR!");
    let errors: Vec<&str> = text.lines().filter(tells).take(3).collect();
    errors.join("; ")
}

#[cfg(test)]
mod tests {
    use super::*;

    const WANTED: Pinned = Pinned {
        name: "tool",
        package: "@x/tool",
        version: "1.2.3",
        holder: ("@x/tool", "sha512-right"),
        program: "@x/tool/bin/tool",
    };

    #[test]
    fn only_the_pinned_version_with_the_pinned_checksum_is_taken() {
        let cache = tempfile::tempdir().unwrap();
        let package = cache.path().join("node_modules/@x/tool");
        std::fs::create_dir_all(package.join("bin")).unwrap();
        let write = |version: &str, checksum: &str| {
            std::fs::write(package.join("package.json"), format!(r#"{{"version":"{version}"}}"#)).unwrap();
            let lock = format!(r#"{{"packages":{{"node_modules/@x/tool":{{"integrity":"{checksum}"}}}}}}"#);
            std::fs::write(cache.path().join("node_modules/.package-lock.json"), lock).unwrap();
        };
        std::fs::write(package.join("bin/tool"), "").unwrap();
        write("1.2.3", "sha512-right");
        assert!(installed(cache.path(), &WANTED).unwrap_err().contains("no program"));
        std::fs::set_permissions(package.join("bin/tool"), std::fs::Permissions::from_mode(0o755)).unwrap();
        assert_eq!(installed(cache.path(), &WANTED), Ok(package.join("bin/tool")));
        write("1.2.4", "sha512-right");
        assert!(installed(cache.path(), &WANTED).unwrap_err().contains("instead of 1.2.3"));
        write("1.2.3", "sha512-wrong");
        assert!(installed(cache.path(), &WANTED).unwrap_err().contains("checksum"));
    }
}
