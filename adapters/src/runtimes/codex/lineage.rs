//! The thread that a fork's lineage began with, where the fork itself names only its parent.

use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

use serde::Deserialize;

const MAX_HEAD: u64 = 256 << 10;
/// Forks of forks are followed this far.
const MAX_FORKS: usize = 16;

#[derive(Deserialize)]
struct Head {
    payload: Meta,
}

#[derive(Deserialize)]
struct Meta {
    #[serde(default)]
    forked_from_id: Option<String>,
    #[serde(default)]
    history_base: Option<serde::de::IgnoredAny>,
}

/// `None` where the file's own words are enough: no fork, a fork without copies, or a parent that is no fork itself.
pub(super) fn root(path: &Path) -> Option<String> {
    let mut parent = parent(path)?;
    let mut last = None;
    for _ in 0..MAX_FORKS {
        let Some(grandparent) = beside(path, &parent).and_then(|file| self::parent(&file)) else { break };
        parent.clone_from(&grandparent);
        last = Some(grandparent);
    }
    last
}

fn parent(path: &Path) -> Option<String> {
    let mut bytes = Vec::new();
    File::open(path).ok()?.take(MAX_HEAD).read_to_end(&mut bytes).ok()?;
    let line = bytes.split(|byte| *byte == b'\n').next()?;
    let head: Head = serde_json::from_slice(line).ok()?;
    head.payload.forked_from_id.filter(|id| head.payload.history_base.is_none() && !id.is_empty())
}

/// The rollout of a thread, in the same tree of days or in the same directory.
fn beside(path: &Path, thread: &str) -> Option<PathBuf> {
    let ending = format!("-{thread}.jsonl");
    let days = path.ancestors().find(|above| above.file_name().is_some_and(|name| name == "sessions"));
    let mut places = vec![days.or(path.parent())?.to_owned()];
    while let Some(place) = places.pop() {
        for entry in std::fs::read_dir(place).ok()?.filter_map(Result::ok) {
            let name = entry.file_name();
            if name.to_string_lossy().ends_with(&ending) {
                return Some(entry.path());
            }
            if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
                places.push(entry.path());
            }
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fork_of_a_fork_is_led_to_the_first_thread() {
        let dir = tempfile::tempdir().unwrap();
        let day = dir.path().join("sessions/2026/06/01");
        std::fs::create_dir_all(&day).unwrap();
        let write = |id: &str, from: &str| {
            let meta = format!(r#"{{"type":"session_meta","payload":{{"id":"{id}"{from}}}}}"#);
            let path = day.join(format!("rollout-2026-06-01T10-00-00-{id}.jsonl"));
            std::fs::write(&path, meta + "\n").unwrap();
            path
        };
        let first = write("p", "");
        let second = write("a", r#","forked_from_id":"p""#);
        let third = write("b", r#","forked_from_id":"a""#);
        assert_eq!((root(&first), root(&second), root(&third)), (None, None, Some("p".to_owned())));
    }
}
