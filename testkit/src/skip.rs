//! Tests that need something the machine may not have. Locally such a test says `skipped: …` and passes; on CI
//! (`CI=true`) it fails, because there a missing part is a broken installation. `FLEET_TEST_SKIPS` may name a
//! file that gets a line for each skip, so that a runner can count them.

use std::fmt::Display;
use std::io::Write as _;

/// The value, or `None` after the skip was reported.
///
/// # Panics
/// With `CI=true` in the environment, when the value is missing.
#[expect(clippy::panic, reason = "a skip on CI is a failed test")]
pub fn require_or_skip<T, E: Display>(what: &str, got: Result<T, E>) -> Option<T> {
    let reason = match got {
        Ok(value) => return Some(value),
        Err(reason) => format!("{reason:#}").replace('\n', " "),
    };
    // Written past the test harness, which hides what passing tests print.
    let _ = writeln!(std::io::stderr(), "skipped: {what}: {reason}");
    if let Some(file) = std::env::var_os("FLEET_TEST_SKIPS").filter(|file| !file.is_empty()) {
        let line = format!("{what}: {reason}\n");
        let file = std::fs::OpenOptions::new().create(true).append(true).open(file);
        let _ = file.and_then(|mut file| file.write_all(line.as_bytes()));
    }
    if std::env::var("CI").is_ok_and(|ci| ci == "true") {
        panic!("skipped on CI: {what}: {reason}");
    }
    None
}
