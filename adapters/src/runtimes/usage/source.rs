//! Where usage lies.

use std::path::{Path, PathBuf};

use super::{Reader, Whole};
use crate::runtimes::opencode;

/// Bytes of an identity; no path that can be opened is longer.
const MAX_ID: usize = 4096;

/// One transcript, or one part of a database.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Source {
    /// The same for as long as the source is the same: a position is remembered under it.
    pub id: String,
    pub path: PathBuf,
    pub(super) kind: Kind,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Kind {
    Lines(Reader),
    Opencode(opencode::store::Part),
    Whole(Whole),
}

impl Source {
    /// `None` for a runtime without files of lines, and for a name that is no text (it could not be asked for on the
    /// wire; no runtime writes one).
    pub fn lines(runtime: &str, path: &Path) -> Option<Self> {
        Self::with(Reader::new(runtime)?, path)
    }

    /// A file whose reader knows already what the file does not say.
    pub(in crate::runtimes) fn with(reader: Reader, path: &Path) -> Option<Self> {
        let id = path.to_str().filter(|id| id.len() <= MAX_ID)?.to_owned();
        Some(Self { id, path: path.to_owned(), kind: Kind::Lines(reader) })
    }

    /// A file that nobody appends to.
    pub(in crate::runtimes) fn whole(whole: Whole, path: &Path) -> Option<Self> {
        let id = path.to_str().filter(|id| id.len() <= MAX_ID)?.to_owned();
        Some(Self { id, path: path.to_owned(), kind: Kind::Whole(whole) })
    }

    /// The messages of a database that belong to `part`.
    pub fn opencode(path: &Path, part: opencode::store::Part) -> Option<Self> {
        let scope = part.root.as_deref().unwrap_or_default();
        let id = Some(format!("{}#{scope}", path.to_str()?)).filter(|id| id.len() <= MAX_ID)?;
        Some(Self { id, path: path.to_owned(), kind: Kind::Opencode(part) })
    }

    /// The conversation that a part of a database is.
    pub(in crate::runtimes) fn root(&self) -> Option<&str> {
        match &self.kind {
            Kind::Lines(_) | Kind::Whole(_) => None,
            Kind::Opencode(part) => part.root.as_deref(),
        }
    }

    /// True where a change of this file may have brought something.
    pub fn concerns(&self, changed: &Path) -> bool {
        if changed == self.path {
            return true;
        }
        match &self.kind {
            Kind::Lines(_) | Kind::Whole(_) => false,
            Kind::Opencode(_) => {
                let name = |path: &Path| path.file_name().map(|name| name.to_string_lossy().into_owned());
                changed.parent() == self.path.parent()
                    && name(changed)
                        .zip(name(&self.path))
                        .is_some_and(|(changed, own)| changed == format!("{own}-wal"))
            }
        }
    }
}
