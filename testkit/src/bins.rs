//! The built programs: beside the running test's own, where cargo puts them.

use std::path::PathBuf;

use anyhow::{Context as _, Result, ensure};

/// Path of a program of this workspace, such as `fleet`.
///
/// # Errors
/// When it was not built; `./test` builds all of them first.
pub fn bin(name: &str) -> Result<PathBuf> {
    let own = std::env::current_exe().context("where the test runs from")?;
    let profile = own.ancestors().skip(1).find(|dir| dir.file_name().is_some_and(|name| name != "deps"));
    let path = profile.context("the test runs from no directory")?.join(name);
    ensure!(path.exists(), "{} is not built: cargo build --workspace --bins", path.display());
    Ok(path)
}
