//! Tests that need something the machine may not have. Locally such a test says `skipped: …` and passes; on CI
//! (`CI=true`) it fails, because there a missing part is a broken installation. `FLEET_TEST_SKIPS` may name a
//! file that gets a line for each skip, so that a runner can count them.

use std::fmt::Display;
use std::io::Write as _;
use std::path::Path;

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
    let count = std::env::var_os("FLEET_TEST_SKIPS").filter(|file| !file.is_empty());
    report(&format!("{what}: {reason}"), count.as_deref().map(Path::new));
    if std::env::var("CI").is_ok_and(|ci| ci == "true") {
        panic!("skipped on CI: {what}: {reason}");
    }
    None
}

fn report(skipped: &str, count: Option<&Path>) {
    // Written past the test harness, which hides what passing tests print.
    let _ = writeln!(std::io::stderr(), "skipped: {skipped}");
    if let Some(file) = count {
        let file = std::fs::OpenOptions::new().create(true).append(true).open(file);
        // One write for each line: several test processes share the file.
        let _ = file.and_then(|mut file| file.write_all(format!("{skipped}\n").as_bytes()));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_skip_is_a_line() {
        let dir = tempfile::tempdir().unwrap();
        let count = dir.path().join("skips");
        report("npm: not installed", Some(&count));
        report("systemd: not installed", Some(&count));
        assert_eq!(std::fs::read_to_string(count).unwrap().lines().count(), 2);
        assert_eq!(require_or_skip("nothing", Ok::<_, String>(1)), Some(1));
    }
}
