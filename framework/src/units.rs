//! The systemd user units: what is shipped, how it looks for this user's directories, and writing it beside whatever
//! else stands in the user's unit directory.
//!
//! Whoever installs shows [`plan`] and then [`write`]s it; systemd itself is somebody else's business. Drop-ins
//! (`<unit>.d/*.conf`) are the user's and are never touched.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use crate::files::{make_dir, put};
use crate::home::Home;

/// systemd reads them; nothing in them is secret.
const UNIT_MODE: u32 = 0o644;

pub const HOLDER: &str = "mosaic-tmux-holder.service";
pub const COLLECTOR: &str = "mosaic-collector.service";
pub const HOST_SIDECAR: &str = "mosaic-sidecar.service";

/// What the units start: all of them in one directory.
pub const PROGRAMS: [&str; 3] = ["fleet", "fleet-collector", "fleet-sidecar"];

pub(crate) const SHIPPED: [(&str, &str); 5] = [
    (HOLDER, include_str!("../systemd/user/mosaic-tmux-holder.service")),
    ("mosaic-agent@.service", include_str!("../systemd/user/mosaic-agent@.service")),
    ("mosaic-sidecar@.service", include_str!("../systemd/user/mosaic-sidecar@.service")),
    (HOST_SIDECAR, include_str!("../systemd/user/mosaic-sidecar.service")),
    (COLLECTOR, include_str!("../systemd/user/mosaic-collector.service")),
];

/// The unit of an agent.
pub fn agent_unit(agent: &str) -> String {
    format!("mosaic-agent@{agent}.service")
}

/// The unit of an agent's own sidecar.
pub fn sidecar_unit(agent: &str) -> String {
    format!("mosaic-sidecar@{agent}.service")
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Status {
    New,
    Same,
    Changed,
    /// The user masked it (a link to `/dev/null`): it stays so.
    Masked,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PlannedFile {
    pub path: PathBuf,
    pub content: String,
    pub status: Status,
    /// What stands there now.
    pub previous: Option<String>,
}

impl PlannedFile {
    /// The unit's name.
    pub fn unit(&self) -> &str {
        self.path.file_name().and_then(|name| name.to_str()).unwrap_or_default()
    }
}

#[derive(Debug, thiserror::Error)]
pub enum UnitsError {
    #[error("{path:?} cannot stand in a systemd unit: {why}; choose another directory")]
    BadPath { path: PathBuf, why: &'static str },
    #[error("{path}: cannot {what}: {source}", path = path.display())]
    Io { what: &'static str, path: PathBuf, source: io::Error },
}

/// The directories as the units name them.
struct Values {
    bin: String,
    mosaic_home: String,
    state: String,
    /// What the user manager would not know by itself.
    environment: String,
}

impl Values {
    fn new(home: &Home, bin: &Path, var: impl Fn(&str) -> Option<PathBuf>) -> Result<Self, UnitsError> {
        let user = var("HOME");
        let below_user = |path: &str| user.as_ref().map(|user| user.join(path));
        // `%h` stays true where the home is moved.
        let usual_home = below_user(".config/mosaic").is_some_and(|path| path == home.root);
        let usual_state = below_user(".local/state/mosaic").is_some_and(|path| path == home.state);
        let mut variables = Vec::new();
        if !usual_home {
            variables.push(("MOSAIC_HOME", home.root.clone()));
        }
        if !usual_state && let Some(parent) = home.state.parent().filter(|_| home.state.ends_with("mosaic")) {
            variables.push(("XDG_STATE_HOME", parent.to_owned()));
        }
        // Else the units' tmux and the user's would look for the same socket in two places.
        variables.extend(var("TMUX_TMPDIR").map(|path| ("TMUX_TMPDIR", path)));
        let mut environment = String::new();
        for (name, path) in variables {
            environment.push_str(&format!("Environment=\"{name}={}\"\n", escaped(&path)?));
        }
        Ok(Self {
            bin: escaped(bin)?,
            mosaic_home: if usual_home { "%h/.config/mosaic".to_owned() } else { escaped(&home.root)? },
            state: if usual_state { "%h/.local/state/mosaic".to_owned() } else { escaped(&home.state)? },
            environment,
        })
    }

    fn render(&self, template: &str) -> String {
        template
            .replace("@ENVIRONMENT@\n", &self.environment)
            .replace("@BIN@", &self.bin)
            .replace("@MOSAIC_HOME@", &self.mosaic_home)
            .replace("@STATE@", &self.state)
    }
}

/// For use between double quotes, where blanks are harmless; systemd would take `%` for a specifier.
fn escaped(path: &Path) -> Result<String, UnitsError> {
    let bad = |why| Err(UnitsError::BadPath { path: path.to_owned(), why });
    let Some(text) = path.to_str() else { return bad("it is not UTF-8") };
    if !path.is_absolute() {
        return bad("it is not absolute");
    }
    if text.chars().any(|c| c.is_control() || matches!(c, '"' | '\'' | '\\' | '$')) {
        return bad("it contains a quote, a backslash, a dollar sign or a control character");
    }
    Ok(text.replace('%', "%%"))
}

/// What [`write`] would write for this home and the programs in `bin`, beside what stands there now.
///
/// # Errors
/// When a directory cannot be named in a unit, or a present unit cannot be read.
pub fn plan(home: &Home, bin: &Path) -> Result<Vec<PlannedFile>, UnitsError> {
    plan_with(home, bin, crate::home::variable)
}

/// The same from any source of variables.
///
/// # Errors
/// As [`plan`].
pub fn plan_with(
    home: &Home,
    bin: &Path,
    var: impl Fn(&str) -> Option<PathBuf>,
) -> Result<Vec<PlannedFile>, UnitsError> {
    rendered(home, bin, var)?
        .into_iter()
        .map(|(name, content)| {
            let path = home.units.join(name);
            let previous = present(&path)?;
            let status = match &previous {
                _ if fs::read_link(&path).is_ok_and(|target| target == Path::new("/dev/null")) => {
                    Status::Masked
                }
                None => Status::New,
                Some(previous) if *previous == content => Status::Same,
                Some(_) => Status::Changed,
            };
            Ok(PlannedFile { path, content, status, previous })
        })
        .collect()
}

/// Every shipped unit by its name, as it looks for this home and the programs in `bin`.
pub(crate) fn rendered(
    home: &Home,
    bin: &Path,
    var: impl Fn(&str) -> Option<PathBuf>,
) -> Result<Vec<(&'static str, String)>, UnitsError> {
    let values = Values::new(home, bin, var)?;
    Ok(SHIPPED.iter().map(|(name, template)| (*name, values.render(template))).collect())
}

fn present(path: &Path) -> Result<Option<String>, UnitsError> {
    match fs::read(path) {
        Ok(bytes) => Ok(Some(String::from_utf8_lossy(&bytes).into_owned())),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(source) => Err(UnitsError::Io { what: "read it", path: path.to_owned(), source }),
    }
}

/// Writes what is new or changed, each file whole or not at all. What is replaced is kept as `<unit>.bak`, unless an
/// earlier one is kept there already.
///
/// # Errors
/// At the first file that cannot be written; the ones before it are in place.
pub fn write(plan: &[PlannedFile]) -> Result<(), UnitsError> {
    for file in plan {
        match file.status {
            Status::Same | Status::Masked => continue,
            Status::New => {}
            Status::Changed => back_up(file).map_err(failed("keep a copy of it", &file.path))?,
        }
        put(&file.path, file.content.as_bytes(), UNIT_MODE).map_err(failed("write it", &file.path))?;
    }
    Ok(())
}

/// The directories that the services may write to: their sandbox cannot make them.
///
/// # Errors
/// When one cannot be made.
pub fn prepare(home: &Home) -> Result<(), UnitsError> {
    for dir in [home.heartbeats(), home.state.clone()] {
        make_dir(&dir).map_err(failed("make it", &dir))?;
    }
    Ok(())
}

fn failed(what: &'static str, path: &Path) -> impl FnOnce(io::Error) -> UnitsError {
    move |source| UnitsError::Io { what, path: path.to_owned(), source }
}

fn back_up(file: &PlannedFile) -> io::Result<()> {
    let mut name = file.path.clone().into_os_string();
    name.push(".bak");
    if fs::symlink_metadata(&name).is_ok() {
        return Ok(());
    }
    put(Path::new(&name), &fs::read(&file.path)?, UNIT_MODE)
}

#[cfg(test)]
#[path = "units_tests.rs"]
mod tests;
