//! What the framework owns in `$MOSAIC_HOME`, and putting it there: presets, role library, schema, skill, hooks, and a
//! copy of the units.
//!
//! [`plan`] says what would change and touches nothing; [`apply`] does it ([`stage`] says how an end at any moment leaves
//! the old files or the new ones). Everything else in the home is the user's and is not even looked at.

mod owned;
mod stage;

use std::fmt;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use fleet_domain::diff;

pub use self::owned::{SOURCES, role, sources, version};
use self::stage::Step;
pub use self::stage::finish;
use crate::home::{Home, shown};
use crate::units::UnitsError;

/// A larger version file is none of ours.
const MAX_VERSION_BYTES: u64 = 64;

#[derive(Debug, thiserror::Error)]
pub enum SeedError {
    #[error(transparent)]
    Units(#[from] UnitsError),
    #[error("{}: cannot {what}: {source}", shown(.path))]
    Io { what: &'static str, path: PathBuf, source: io::Error },
    #[error("{}: a file of the framework belongs here, but it is a directory; move it away", shown(.path))]
    Directory { path: PathBuf },
}

impl SeedError {
    fn io(what: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        move |source| Self::Io { what, path: path.to_owned(), source }
    }
}

/// The version of the framework that a home has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Seeded {
    Never,
    Version(u32),
    /// Why the version cannot be told.
    Unreadable(String),
}

/// Reads `fleet/.framework-version`.
pub fn seeded(home: &Home) -> Seeded {
    use io::Read as _;
    let mut text = String::new();
    let read = fs::File::open(home.framework_version())
        .and_then(|file| file.take(MAX_VERSION_BYTES).read_to_string(&mut text));
    match read {
        Ok(_) => match text.trim().parse() {
            Ok(version) => Seeded::Version(version),
            Err(_) => Seeded::Unreadable("it holds no number".to_owned()),
        },
        Err(error) if error.kind() == io::ErrorKind::NotFound => Seeded::Never,
        Err(error) => Seeded::Unreadable(error.to_string()),
    }
}

/// One file that would be written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PlannedFile {
    /// Below `$MOSAIC_HOME`.
    pub path: PathBuf,
    pub content: String,
    pub mode: u32,
    /// What stands there now, if that is something else.
    pub previous: Option<Vec<u8>>,
}

/// What [`apply`] would do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Plan {
    pub root: PathBuf,
    pub seeded: Seeded,
    /// The embedded one.
    pub version: u32,
    /// New and changed files; what stands there already is left out.
    pub files: Vec<PlannedFile>,
    /// An earlier seeding that was broken off after it had been decided: it is finished first.
    pub unfinished: bool,
}

impl Plan {
    /// True where the home has no framework or an older one; only then does [`apply`] write files.
    pub fn is_due(&self) -> bool {
        match self.seeded {
            Seeded::Never => true,
            Seeded::Version(version) => version < self.version,
            Seeded::Unreadable(_) => false,
        }
    }

    /// Where [`apply`] keeps what it replaces.
    pub fn backup(&self) -> PathBuf {
        let version = if let Seeded::Version(version) = self.seeded { version } else { 0 };
        self.root.join(format!("fleet/backup/v{version}"))
    }

    /// In one line: what is so, where the home has an older framework.
    pub fn behind(&self) -> Option<String> {
        let Seeded::Version(old) = self.seeded else { return None };
        let broken_off = if self.unfinished { "; an update to it was broken off" } else { "" };
        let (root, new) = (shown(&self.root), self.version);
        self.is_due()
            .then(|| format!("the framework in {root} is version {old}, this program has {new}{broken_off}"))
    }

    /// In one line: what is done, or why nothing is.
    pub fn verdict(&self) -> String {
        let (root, new) = (shown(&self.root), self.version);
        match &self.seeded {
            Seeded::Never => format!("the framework, version {new}, is put into {root}"),
            Seeded::Version(old) if *old < new => {
                format!("the framework in {root} goes from version {old} to {new}")
            }
            Seeded::Version(old) if *old == new => {
                format!("the framework in {root} is version {new} already")
            }
            Seeded::Version(old) => format!(
                "the framework in {root} is version {old}, newer than {new} of this program: nothing is changed; install the newer program"
            ),
            Seeded::Unreadable(why) => format!(
                "{} cannot be read ({why}), so it is not known what the framework is: nothing is changed; \
                 write the version's number into it, or 0 to have everything written anew",
                shown(&self.root.join("fleet/.framework-version"))
            ),
        }
    }
}

/// Each file in a line, and under one that is replaced what goes and what comes.
impl fmt::Display for Plan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for file in &self.files {
            let path = shown(&self.root.join(&file.path));
            match &file.previous {
                None => writeln!(f, "new      {path}")?,
                Some(previous) => {
                    writeln!(f, "changed  {path}")?;
                    f.write_str(&diff::lines(&String::from_utf8_lossy(previous), &file.content))?;
                }
            }
        }
        Ok(())
    }
}

/// What would be written into this home; `bin` is where the programs are. Reads only.
///
/// # Errors
/// When a directory cannot be named in a unit, or a file that would be replaced cannot be read.
pub fn plan(home: &Home, bin: &Path) -> Result<Plan, SeedError> {
    plan_with(home, bin, crate::home::variable)
}

/// The same from any source of variables.
///
/// # Errors
/// As [`plan`].
pub fn plan_with(home: &Home, bin: &Path, var: impl Fn(&str) -> Option<PathBuf>) -> Result<Plan, SeedError> {
    let mut plan = Plan {
        root: home.root.clone(),
        seeded: seeded(home),
        version: version(),
        files: Vec::new(),
        unfinished: stage::is_committed(home),
    };
    if plan.is_due() {
        for owned in owned::files(home, bin, var)? {
            let previous = present(&home.root.join(&owned.path))?;
            if previous.as_deref() != Some(owned.content.as_bytes()) {
                let owned::Owned { path, content, mode } = owned;
                plan.files.push(PlannedFile { path, content, mode, previous });
            }
        }
    }
    Ok(plan)
}

/// Where everything that the framework owns stands in this home.
///
/// # Errors
/// When a directory cannot be named in a unit.
pub fn paths(home: &Home, bin: &Path) -> Result<Vec<PathBuf>, SeedError> {
    let owned = owned::files(home, bin, crate::home::variable)?;
    Ok(owned.into_iter().map(|file| home.root.join(file.path)).collect())
}

fn present(path: &Path) -> Result<Option<Vec<u8>>, SeedError> {
    match fs::read(path) {
        Ok(bytes) => Ok(Some(bytes)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) if error.kind() == io::ErrorKind::IsADirectory => {
            Err(SeedError::Directory { path: path.to_owned() })
        }
        Err(source) => Err(SeedError::Io { what: "read it", path: path.to_owned(), source }),
    }
}

/// What was done.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Done {
    pub written: usize,
    /// Where what was replaced is kept; none where nothing was replaced.
    pub backup: Option<PathBuf>,
}

/// Carries the plan out; does nothing where it [is not due](Plan::is_due), or where another command was faster.
///
/// # Errors
/// What could not be written; the home is then as it was, or the next call finishes what was begun.
pub fn apply(plan: &Plan, home: &Home) -> Result<Done, SeedError> {
    stage::carry_out(plan, home, &mut |_: Step| true)
}

#[cfg(test)]
mod tests;
