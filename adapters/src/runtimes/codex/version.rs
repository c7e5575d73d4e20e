//! Which version a program of Codex is, by where it lies: nothing is started to find out.

use std::path::Path;

/// Of the package's manifest more is not read.
const MAX_MANIFEST: u64 = 64 << 10;
/// How far above the program the package's manifest may lie.
const ABOVE: usize = 3;

/// `0.169.0`; nothing where neither the program's place nor the package that it belongs to names a version.
pub fn installed(program: &Path) -> Option<String> {
    let program = program.canonicalize().ok()?;
    by_place(&program).or_else(|| program.ancestors().skip(1).take(ABOVE).find_map(by_manifest))
}

/// As a release's own directory is called: `…/releases/0.169.0-x86_64-unknown-linux-musl/bin/codex`.
pub(super) fn by_place(program: &Path) -> Option<String> {
    program.iter().filter_map(|part| part.to_str()).find_map(number)
}

fn number(part: &str) -> Option<String> {
    let number = part.split_once('-').map_or(part, |(number, _)| number);
    let is_number = number.split('.').count() == 3
        && number.split('.').all(|digits| !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit()));
    is_number.then(|| number.to_owned())
}

fn by_manifest(directory: &Path) -> Option<String> {
    let path = directory.join("package.json");
    if std::fs::metadata(&path).ok()?.len() > MAX_MANIFEST {
        return None;
    }
    let manifest: serde_json::Value = serde_json::from_slice(&std::fs::read(&path).ok()?).ok()?;
    (manifest.get("name")?.as_str()? == "@openai/codex").then_some(())?;
    number(manifest.get("version")?.as_str()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_programs_place_names_its_version() {
        assert_eq!(number("0.169.0-x86_64-unknown-linux-musl").as_deref(), Some("0.169.0"));
        assert_eq!(number("0.170.1").as_deref(), Some("0.170.1"));
        assert_eq!((number("releases"), number("x86_64-a"), number("1..2")), (None, None, None));
    }

    #[test]
    fn a_package_says_its_own_through_the_link_that_people_start() {
        let dir = tempfile::tempdir().unwrap();
        let package = dir.path().join("node_modules/@openai/codex");
        std::fs::create_dir_all(package.join("bin")).unwrap();
        std::fs::write(package.join("bin/codex.js"), "").unwrap();
        let link = dir.path().join("codex");
        std::os::unix::fs::symlink(package.join("bin/codex.js"), &link).unwrap();
        assert_eq!(installed(&link), None);
        let manifest = |name: &str| format!(r#"{{"name": "{name}", "version": "0.169.0"}}"#);
        std::fs::write(package.join("package.json"), manifest("other")).unwrap();
        assert_eq!(installed(&link), None);
        std::fs::write(package.join("package.json"), manifest("@openai/codex")).unwrap();
        assert_eq!(installed(&link).as_deref(), Some("0.169.0"));
        assert_eq!(installed(&dir.path().join("none")), None);
    }
}
