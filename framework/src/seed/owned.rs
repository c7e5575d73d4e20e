//! The list of what the framework owns.

use std::path::{Path, PathBuf};

use super::SeedError;
use crate::home::Home;
use crate::{hooks, presets, units};

/// First line `version N` and a checksum of the rest, then one of each file: a test holds it true, so that no file changes
/// without a new version.
const MANIFEST: &str = include_str!("../../seed.manifest");
/// Nothing in them is secret.
const MODE: u32 = 0o644;
/// Runtimes carry out what stands in them.
const PRIVATE: u32 = 0o600;

macro_rules! shipped {
    ($($path:literal),* $(,)?) => { [$(($path, include_str!(concat!("../../", $path)))),*] };
}

/// What is put into the home as it is shipped, by its path there.
pub const SOURCES: [(&str, &str); 17] = shipped![
    "fleet/roles/board.md",
    "fleet/roles/code.md",
    "fleet/roles/decomposition.md",
    "fleet/roles/documentation.md",
    "fleet/roles/enhancer.md",
    "fleet/roles/merge-gate.md",
    "fleet/roles/operations.md",
    "fleet/roles/operator.md",
    "fleet/roles/planner.md",
    "fleet/roles/rebase.md",
    "fleet/roles/research.md",
    "fleet/roles/review.md",
    "fleet/roles/security-review.md",
    "fleet/roles/session-review.md",
    "fleet/roles/site-tester.md",
    "fleet/roster.schema.json",
    "skills/mosaic-tools/SKILL.md",
];

/// The page of this name in the library, as it is shipped.
pub fn role(page: &str) -> Option<&'static str> {
    let path = format!("fleet/roles/{page}.md");
    SOURCES.iter().find(|(name, _)| *name == path).map(|(_, text)| *text)
}

pub(super) struct Owned {
    pub(super) path: PathBuf,
    pub(super) content: String,
    pub(super) mode: u32,
}

/// The version of the embedded framework.
pub fn version() -> u32 {
    let first = MANIFEST.lines().next().unwrap_or_default();
    first.split(' ').nth(1).and_then(|number| number.parse().ok()).unwrap_or_default()
}

/// Every file with its path in the home, before this machine's directories are filled in.
pub fn sources() -> Vec<(String, String)> {
    let plain = SOURCES.iter().map(|(path, text)| ((*path).to_owned(), (*text).to_owned()));
    let presets = presets::ALL
        .iter()
        .map(|preset| (format!("fleet/examples/{}.yaml", preset.name), preset.text.to_owned()));
    let units =
        units::SHIPPED.iter().map(|(name, text)| (format!("systemd/user/{name}"), (*text).to_owned()));
    let hooks = hooks::sources().map(|(path, text)| (path.to_owned(), text));
    plain.chain(presets).chain(units).chain(hooks).collect()
}

/// The same as it looks for this home and the programs in `bin`.
pub(super) fn files(
    home: &Home,
    bin: &Path,
    var: impl Fn(&str) -> Option<PathBuf>,
) -> Result<Vec<Owned>, SeedError> {
    let mut files: Vec<Owned> = sources()
        .into_iter()
        .filter(|(path, _)| !path.starts_with("systemd/") && !path.starts_with("hooks/"))
        .map(|(path, content)| Owned { path: path.into(), content, mode: MODE })
        .collect();
    for (name, content) in units::rendered(home, bin, var)? {
        files.push(Owned { path: Path::new("systemd/user").join(name), content, mode: MODE });
    }
    for runtime in ["claude", "pi"] {
        let sidecar = bin.join("fleet-sidecar");
        let Some(wiring) = hooks::wiring(runtime, home, &sidecar, hooks::Manner::default()) else { continue };
        if let Ok(path) = wiring.path.strip_prefix(&home.root) {
            files.push(Owned { path: path.to_owned(), content: wiring.content, mode: PRIVATE });
        }
    }
    Ok(files)
}
