//! No file of the framework changes without a new version of it: homes that have the old one would never get it.

use std::path::Path;

use fleet_framework::seed;

/// Two branches that change different files both change the first line, so that they cannot be joined without a look.
fn manifest(version: u32) -> String {
    let mut files = seed::sources();
    files.sort();
    let line =
        |(path, content): (String, String)| format!("{:08x} {path}\n", crc32fast::hash(content.as_bytes()));
    let lines: String = files.into_iter().map(line).collect();
    format!("version {version} {:08x}\n{lines}", crc32fast::hash(lines.as_bytes()))
}

#[test]
fn a_changed_file_needs_a_new_version() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("seed.manifest");
    let checked_in = std::fs::read_to_string(&path).unwrap();
    if checked_in == manifest(seed::version()) {
        return;
    }
    assert!(
        std::env::var_os("FLEET_REGENERATE").is_some(),
        "a file of the framework changed without a new version; give it one: \
         FLEET_REGENERATE=1 cargo test -p fleet-framework --test manifest"
    );
    std::fs::write(path, manifest(seed::version() + 1)).unwrap();
}

#[test]
fn what_is_shipped_names_no_operator() {
    for (path, text) in seed::sources() {
        for word in ["/home/", "/root", "/work/", "localhost:"] {
            assert!(!text.contains(word), "{path} names {word}");
        }
    }
}

#[test]
fn every_file_of_the_folders_is_embedded() {
    let sources = seed::sources();
    for folder in ["fleet/examples", "fleet/roles", "skills/mosaic-tools", "systemd/user"] {
        let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join(folder);
        for entry in std::fs::read_dir(&dir).unwrap_or_else(|error| panic!("{}: {error}", dir.display())) {
            let path = format!("{folder}/{}", entry.unwrap().file_name().to_string_lossy());
            assert!(sources.iter().any(|(known, _)| *known == path), "{path} is not embedded");
        }
    }
}

#[test]
fn every_role_page_has_its_three_parts() {
    let pages: Vec<(String, String)> =
        seed::sources().into_iter().filter(|(path, _)| path.starts_with("fleet/roles/")).collect();
    assert_eq!(pages.len(), 15);
    for (path, text) in pages {
        assert!(text.starts_with("# "), "{path}");
        for part in ["\n## Mandate\n", "\n## Boundaries\n", "\n## Persona\n"] {
            assert!(text.contains(part), "{path} has no {part:?}");
        }
    }
    for class in ["orchestrator", "enhancer", "coder", "final_reviewer", "security_reviewer", "analyst"] {
        let pages = fleet_domain::roster::role::pages(class);
        assert!(pages.iter().any(|page| seed::role(page).is_some()), "{class} finds no page");
    }
}
