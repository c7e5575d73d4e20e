//! What the real runtimes drew, as recorded: their screens are recognised.

#![expect(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

use std::fs;
use std::path::{Path, PathBuf};

use fleet_adapters::runtimes;
use fleet_domain::RuntimeName;

fn fixtures() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures")
}

fn recognised(states: &[&str], kinds: Option<&[&str]>) -> (Vec<String>, Vec<String>) {
    let labels = fs::read_to_string(fixtures().join("panes/labels.tsv")).unwrap();
    let (mut yes, mut no) = (Vec::new(), Vec::new());
    for line in labels.lines() {
        let [path, runtime, state, kind] = line.split('\t').collect::<Vec<_>>()[..] else { panic!("{line}") };
        if !states.contains(&state) || kinds.is_some_and(|kinds| !kinds.contains(&kind)) {
            continue;
        }
        let screen = fs::read_to_string(fixtures().join("panes").join(path)).unwrap();
        let own = runtimes::screen_is_of(&RuntimeName::new(runtime), &screen);
        if own { &mut yes } else { &mut no }.push(path.to_owned());
    }
    (yes, no)
}

#[test]
fn working_and_idle_screens_are_their_runtimes_own() {
    let (own, missed) = recognised(&["working", "available"], None);
    assert!(own.len() > 30);
    assert_eq!(missed, Vec::<String>::new());
}

/// Recognised, an agent that waits for a yes would look idle, and after a while available.
#[test]
fn a_screen_with_a_dialog_is_no_answer() {
    let (mistaken, dialogs) = recognised(&["stuck"], Some(&["trust", "dialog", "permission", "question"]));
    assert!(dialogs.len() >= 10);
    assert_eq!(mistaken, Vec::<String>::new());
}

#[test]
fn a_shells_screen_is_no_runtimes() {
    let shell = "$ ls\na b c\n$ cargo build\n   Compiling x\n$ \n";
    for runtime in ["claude", "codex", "opencode", "pi"] {
        assert!(!runtimes::screen_is_of(&RuntimeName::new(runtime), shell), "{runtime}");
    }
}
