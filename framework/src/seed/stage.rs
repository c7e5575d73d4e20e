//! Seeding as one step: everything is written aside first, then one rename decides, and from then on only renames are left,
//! which whoever comes next finishes.
//!
//! ```text
//! write aside, keep what will be replaced → rename `commit` into place → rename each file into place → remove the aside
//!        an end here leaves the old        │             an end here is finished by the next command: the new
//! ```

use std::fs;
use std::io;
use std::path::{Component, Path, PathBuf};

use super::{Done, Plan, SeedError, seeded};
use crate::files::{make_dir, put, remove_begun};
use crate::home::Home;

/// After which of its steps a seeding may be cut off, in a test.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Step {
    Aside,
    Kept,
    Committed,
    Placed,
}

/// Whether to go on after a step.
pub(super) type GoOn<'g> = &'g mut dyn FnMut(Step) -> bool;

fn aside(home: &Home) -> PathBuf {
    home.root.join("fleet/.seeding")
}

fn commit(home: &Home) -> PathBuf {
    aside(home).join("commit")
}

pub(super) fn is_committed(home: &Home) -> bool {
    commit(home).exists()
}

/// One seeding at a time; the lock ends with the value.
fn lock(home: &Home) -> Result<fs::File, SeedError> {
    let path = home.root.join("fleet/.seed.lock");
    make_dir(&home.root.join("fleet")).map_err(SeedError::io("make its directory", &path))?;
    let open = fs::OpenOptions::new().create(true).truncate(false).write(true).open(&path);
    let file = open.map_err(SeedError::io("open it", &path))?;
    file.lock().map_err(SeedError::io("lock it", &path))?;
    Ok(file)
}

pub(super) fn carry_out(plan: &Plan, home: &Home, go_on: GoOn<'_>) -> Result<Done, SeedError> {
    if !plan.is_due() && !is_committed(home) {
        return Ok(Done::default());
    }
    let _lock = lock(home)?;
    place(home, go_on)?;
    // Another command was here since the plan was made.
    if !plan.is_due() || seeded(home) != plan.seeded {
        return Ok(Done::default());
    }
    let cut = || Done::default();
    let staged = write_aside(plan, home, go_on);
    match staged {
        Ok(true) => {}
        Ok(false) => return Ok(cut()),
        Err(error) => {
            // Only what was written aside is taken back: nothing else was touched.
            let _ = fs::remove_dir_all(aside(home));
            remove_empty(&plan.backup());
            return Err(error);
        }
    }
    let path = commit(home);
    put(&path, list(plan).as_bytes(), 0o600).map_err(SeedError::io("write it", &path))?;
    if !go_on(Step::Committed) {
        return Ok(cut());
    }
    place(home, go_on)?;
    let replaced = plan.files.iter().any(|file| file.previous.is_some());
    Ok(Done { written: plan.files.len(), backup: replaced.then(|| plan.backup()) })
}

/// Takes the directory away where no file is in it, and the one around it likewise.
pub(super) fn remove_empty(dir: &Path) {
    fn below(dir: &Path) {
        for entry in fs::read_dir(dir).into_iter().flatten().flatten() {
            if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
                below(&entry.path());
            }
        }
        // One that holds something refuses.
        let _ = fs::remove_dir(dir);
    }
    below(dir);
    let _ = dir.parent().map(fs::remove_dir);
}

/// The files to be renamed, one a line; the version comes last.
fn list(plan: &Plan) -> String {
    let paths = plan.files.iter().map(|file| file.path.display().to_string());
    paths.chain([VERSION.to_owned()]).map(|path| path + "\n").collect()
}

const VERSION: &str = "fleet/.framework-version";

fn staged(home: &Home, index: usize) -> PathBuf {
    aside(home).join(format!("{index:04}"))
}

/// False where it was cut off.
fn write_aside(plan: &Plan, home: &Home, go_on: GoOn<'_>) -> Result<bool, SeedError> {
    remove_begun(&home.root.join("fleet/backup"));
    let dir = aside(home);
    match fs::remove_dir_all(&dir) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            return Err(SeedError::io("clear it", &dir)(error));
        }
        _ => {}
    }
    for (index, file) in plan.files.iter().enumerate() {
        if let Some(previous) = &file.previous {
            keep(&plan.backup().join(&file.path), previous)?;
            if !go_on(Step::Kept) {
                return Ok(false);
            }
        }
        // Its place must be one that a rename can reach, or the renames would stop half-way.
        let target = home.root.join(&file.path);
        let parent = target.parent().unwrap_or(&home.root);
        make_dir(parent).map_err(SeedError::io("make its directory", &target))?;
        if nix::unistd::access(parent, nix::unistd::AccessFlags::W_OK).is_err() {
            return Err(SeedError::io("write it", &target)(io::ErrorKind::PermissionDenied.into()));
        }
        let path = staged(home, index);
        put(&path, file.content.as_bytes(), file.mode).map_err(SeedError::io("write it", &target))?;
        if !go_on(Step::Aside) {
            return Ok(false);
        }
    }
    let path = staged(home, plan.files.len());
    put(&path, format!("{}\n", plan.version).as_bytes(), 0o644)
        .map_err(SeedError::io("write it", &home.framework_version()))?;
    Ok(true)
}

/// Once: what an earlier try kept is the true one.
fn keep(path: &Path, content: &[u8]) -> Result<(), SeedError> {
    if fs::symlink_metadata(path).is_ok() {
        return Ok(());
    }
    put(path, content, 0o600).map_err(SeedError::io("keep a copy as it", path))
}

/// Finishes a seeding that was broken off after it had been decided; cheap where there is none. Whoever reads what the
/// framework owns calls it first.
///
/// # Errors
/// When a file cannot be put into its place.
pub fn finish(home: &Home) -> Result<(), SeedError> {
    if !is_committed(home) {
        return Ok(());
    }
    let _lock = lock(home)?;
    place(home, &mut |_| true)
}

fn place(home: &Home, go_on: GoOn<'_>) -> Result<(), SeedError> {
    let list = match fs::read_to_string(commit(home)) {
        Ok(list) => list,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(SeedError::io("read it", &commit(home))(error)),
    };
    for (index, path) in list.lines().map(Path::new).enumerate() {
        if !path.components().all(|part| matches!(part, Component::Normal(_))) {
            let error = io::Error::other("it names a place outside of the home; remove it");
            return Err(SeedError::io("use it", &commit(home))(error));
        }
        let target = home.root.join(path);
        move_into_place(&staged(home, index), &target).map_err(SeedError::io("write it", &target))?;
        if !go_on(Step::Placed) {
            return Ok(());
        }
    }
    let dir = aside(home);
    // First what decides: a rest without it is nothing.
    fs::remove_file(commit(home)).map_err(SeedError::io("remove it", &commit(home)))?;
    fs::remove_dir_all(&dir).map_err(SeedError::io("remove it", &dir))
}

fn move_into_place(from: &Path, to: &Path) -> io::Result<()> {
    if let Some(parent) = to.parent() {
        make_dir(parent)?;
    }
    match fs::rename(from, to) {
        // It was moved before the end.
        Err(error) if error.kind() == io::ErrorKind::NotFound && !from.exists() => Ok(()),
        // A directory of the home is a link to another file system.
        Err(error) if error.kind() == io::ErrorKind::CrossesDevices => {
            use std::os::unix::fs::PermissionsExt as _;
            put(to, &fs::read(from)?, fs::metadata(from)?.permissions().mode() & 0o777)
        }
        done => done,
    }?;
    let parent = to.parent().ok_or(io::ErrorKind::InvalidInput)?;
    fs::File::open(parent)?.sync_all()
}
