//! The folder-trust gate, answered ahead of time where Claude Code records the answer: `.claude.json`, under the
//! directory's real path.
//!
//! The program itself rewrites this file while it runs, and other launches may be at it. Whoever writes holds the same
//! lock as the program (a directory beside the file, given up for dead after ten seconds), reads again under it, and
//! replaces the file whole. A file that cannot be understood is left as it is.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use serde_json::{Map, Value};

use crate::replace::replace;

/// The program's own measure of a lock whose holder died.
const STALE: Duration = Duration::from_secs(10);
/// A little longer, so that a dead holder's lock does not stop a launch.
const PATIENCE: Duration = Duration::from_secs(12);
const LOOK_AGAIN: Duration = Duration::from_millis(20);
/// Histories make it large, but not so large.
const MAX_BYTES: u64 = 64 << 20;

#[derive(Debug, thiserror::Error)]
pub enum TrustError {
    #[error("{}: cannot {what}: {source}", .path.display())]
    Io { what: &'static str, path: PathBuf, source: io::Error },
    #[error("{} is not what Claude Code writes ({why}); it was left as it is", .path.display())]
    Strange { path: PathBuf, why: String },
    #[error("{} stays locked", .path.display())]
    Locked { path: PathBuf },
}

/// The file that records trust, for these values of `$CLAUDE_CONFIG_DIR` and `$HOME`.
pub fn file(config_dir: Option<&Path>, home: &Path) -> PathBuf {
    let own = config_dir.map_or_else(|| home.join(".claude"), Path::to_owned);
    let path = config_dir.unwrap_or(home).join(".claude.json");
    let older = own.join(".config.json");
    if !path.exists() && older.is_file() { older } else { path }
}

/// Records that the directory, which must exist, is trusted; true where that was new.
///
/// # Errors
/// Why it could not be; the file is then as it was.
pub fn trust(file: &Path, directory: &Path) -> Result<bool, TrustError> {
    let failed = |what, path: &Path| {
        let path = path.to_owned();
        move |source| TrustError::Io { what, path, source }
    };
    let real = fs::canonicalize(directory).map_err(failed("resolve it", directory))?;
    let Some(key) = real.to_str() else {
        let why = "the work directory's name is not UTF-8".to_owned();
        return Err(TrustError::Strange { path: file.to_owned(), why });
    };
    // A link stays one: what it leads to is replaced.
    let file = fs::canonicalize(file).unwrap_or_else(|_| file.to_owned());
    if accepted(&read(&file)?, key) {
        return Ok(false);
    }
    if let Some(parent) = file.parent() {
        fs::create_dir_all(parent).map_err(failed("make it", parent))?;
    }
    let _lock = Lock::take(&file)?;
    let mut state = read(&file)?;
    if accepted(&state, key) {
        return Ok(false);
    }
    accept(&mut state, key).map_err(|why| TrustError::Strange { path: file.clone(), why })?;
    let text = serde_json::to_string_pretty(&state).map_err(io::Error::other);
    text.and_then(|text| replace(&file, text.as_bytes())).map_err(failed("write it", &file))?;
    Ok(true)
}

/// Empty where there is no file.
fn read(path: &Path) -> Result<Map<String, Value>, TrustError> {
    use io::Read as _;
    let mut bytes = Vec::new();
    let read = fs::File::open(path).and_then(|file| file.take(MAX_BYTES).read_to_end(&mut bytes));
    match read {
        Ok(_) => {}
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Map::new()),
        Err(source) => return Err(TrustError::Io { what: "read it", path: path.to_owned(), source }),
    }
    serde_json::from_slice(&bytes)
        .map_err(|error| TrustError::Strange { path: path.to_owned(), why: error.to_string() })
}

const PROJECTS: &str = "projects";
const ACCEPTED: &str = "hasTrustDialogAccepted";

fn accepted(state: &Map<String, Value>, key: &str) -> bool {
    state.get(PROJECTS).and_then(|projects| projects.get(key)?.get(ACCEPTED)?.as_bool()) == Some(true)
}

fn accept(state: &mut Map<String, Value>, key: &str) -> Result<(), String> {
    let projects = state.entry(PROJECTS).or_insert_with(|| Value::Object(Map::new()));
    let Value::Object(projects) = projects else { return Err(format!("`{PROJECTS}` is no object")) };
    let project = projects.entry(key).or_insert_with(|| Value::Object(Map::new()));
    let Value::Object(project) = project else { return Err(format!("the entry of {key} is no object")) };
    project.insert(ACCEPTED.to_owned(), Value::Bool(true));
    Ok(())
}

/// Held as long as the value.
struct Lock(PathBuf);

impl Lock {
    fn take(file: &Path) -> Result<Self, TrustError> {
        let mut name = file.as_os_str().to_owned();
        name.push(".lock");
        let path = PathBuf::from(name);
        let until = Instant::now() + PATIENCE;
        loop {
            match fs::create_dir(&path) {
                Ok(()) => return Ok(Self(path)),
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
                Err(source) => return Err(TrustError::Io { what: "make it", path, source }),
            }
            let age = fs::metadata(&path).and_then(|data| data.modified()).map(|at| at.elapsed());
            if matches!(age, Ok(Ok(age)) if age > STALE) {
                // Two that find it dead at once: one of them removes it, both try again.
                let _ = fs::remove_dir(&path);
            } else if Instant::now() >= until {
                return Err(TrustError::Locked { path: file.to_owned() });
            } else {
                std::thread::sleep(LOOK_AGAIN);
            }
        }
    }
}

impl Drop for Lock {
    fn drop(&mut self) {
        let _ = fs::remove_dir(&self.0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct World {
        dir: tempfile::TempDir,
        file: PathBuf,
    }

    impl World {
        fn new() -> Self {
            let dir = tempfile::tempdir().unwrap();
            let file = dir.path().join(".claude.json");
            Self { dir, file }
        }

        fn work(&self, name: &str) -> PathBuf {
            let path = self.dir.path().join(name);
            fs::create_dir_all(&path).unwrap();
            fs::canonicalize(path).unwrap()
        }

        fn trusts(&self, directory: &Path) -> bool {
            accepted(&read(&self.file).unwrap(), directory.to_str().unwrap())
        }
    }

    #[test]
    fn the_real_path_is_trusted_once_and_everything_else_stays() {
        let world = World::new();
        fs::write(&world.file, r#"{"theme":"dark","projects":{"/x":{"history":[1]}}}"#).unwrap();
        let work = world.work("w ä");
        let link = world.dir.path().join("link");
        std::os::unix::fs::symlink(&work, &link).unwrap();
        assert!(trust(&world.file, &link).unwrap());
        let written = fs::metadata(&world.file).unwrap().modified().unwrap();
        assert!(!trust(&world.file, &work).unwrap());
        assert_eq!(fs::metadata(&world.file).unwrap().modified().unwrap(), written);
        let state = read(&world.file).unwrap();
        assert!(world.trusts(&work) && !world.trusts(&link));
        assert_eq!((&state["theme"], &state["projects"]["/x"]["history"][0]), (&"dark".into(), &1.into()));
        assert!(!world.dir.path().join(".claude.json.lock").exists());
    }

    #[test]
    fn what_cannot_be_understood_is_left_untouched() {
        for text in ["{", "", "[]", r#"{"projects":[]}"#, "{\"projects\":\u{0}}"] {
            let world = World::new();
            fs::write(&world.file, text).unwrap();
            let error = trust(&world.file, &world.work("w")).unwrap_err();
            assert!(matches!(error, TrustError::Strange { .. }), "{text:?}: {error}");
            assert_eq!(fs::read_to_string(&world.file).unwrap(), text);
            assert!(!world.dir.path().join(".claude.json.lock").exists());
        }
    }

    #[test]
    fn many_launches_at_once_lose_nobodys_answer() {
        let world = World::new();
        let works: Vec<PathBuf> = (0..16).map(|index| world.work(&format!("w{index}"))).collect();
        std::thread::scope(|scope| {
            for work in &works {
                scope.spawn(|| trust(&world.file, work).unwrap());
            }
        });
        assert!(works.iter().all(|work| world.trusts(work)));
    }

    #[test]
    fn a_dead_holders_lock_does_not_stop_a_launch() {
        let world = World::new();
        let lock = world.dir.path().join(".claude.json.lock");
        fs::create_dir(&lock).unwrap();
        let long_ago = std::time::SystemTime::now() - Duration::from_secs(60);
        fs::File::open(&lock).unwrap().set_modified(long_ago).unwrap();
        assert!(trust(&world.file, &world.work("w")).unwrap());
    }

    #[test]
    fn a_linked_file_stays_a_link() {
        let world = World::new();
        let real = world.dir.path().join("dotfiles.json");
        fs::write(&real, "{}").unwrap();
        std::os::unix::fs::symlink(&real, &world.file).unwrap();
        trust(&world.file, &world.work("w")).unwrap();
        assert!(fs::symlink_metadata(&world.file).unwrap().is_symlink());
        assert!(fs::read_to_string(&real).unwrap().contains(ACCEPTED));
    }

    #[test]
    fn the_file_is_where_the_program_looks() {
        let world = World::new();
        let home = world.dir.path();
        assert_eq!(file(None, home), home.join(".claude.json"));
        assert_eq!(file(Some(&home.join("c")), home), home.join("c/.claude.json"));
        fs::create_dir(home.join(".claude")).unwrap();
        fs::write(home.join(".claude/.config.json"), "{}").unwrap();
        assert_eq!(file(None, home), home.join(".claude/.config.json"));
        fs::write(home.join(".claude.json"), "{}").unwrap();
        assert_eq!(file(None, home), home.join(".claude.json"));
    }
}
