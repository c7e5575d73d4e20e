//! A whole tree of transcripts counted at once, without a collector: files by several threads, each response once.

use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use fleet_domain::tally::Tally;
use fleet_domain::usage::Record;

use super::{Follower, Reader, Source, Unknown, Whole};
use crate::runtimes::{claude, codex, gemini, opencode, pi};

/// Records that a thread collects before it hands them over.
const BATCH: usize = 256;
/// Read at a time, in bytes.
const BUDGET: usize = 1 << 20;
/// Deeper than any runtime nests.
const MAX_DEPTH: usize = 32;

/// The runtimes whose usage can be counted.
pub const RUNTIMES: [&str; 5] = [claude::NAME, codex::NAME, gemini::NAME, opencode::NAME, pi::NAME];

#[derive(Debug, Default)]
pub struct Scanned {
    pub tally: Tally,
    pub files: usize,
    /// Lines and rows that should have been readable.
    pub unreadable: u64,
    /// Rows that may bill and are not known here.
    pub unknown: Unknown,
    /// What could not be read at all, and why.
    pub failed: Vec<(PathBuf, io::Error)>,
}

/// Counts what lies at and below `paths`: of one runtime where it is named, else of whichever each file shows.
/// `tally` is an empty one. `told` hears of every file that is done, and of how many there are.
pub fn scan(
    paths: &[PathBuf],
    runtime: Option<&str>,
    tally: Tally,
    told: &(dyn Fn(usize, usize) + Sync),
) -> Scanned {
    let Found { sources: found, failed } = find(paths, runtime);
    let scanned = Scanned { files: found.len(), failed, tally, ..Scanned::default() };
    let (next, shared) = (AtomicUsize::new(0), Mutex::new(scanned));
    let threads = std::thread::available_parallelism().map_or(1, usize::from).min(found.len().max(1));
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                loop {
                    let at = next.fetch_add(1, Ordering::Relaxed);
                    let Some((runtime, source)) = found.get(at) else { return };
                    count(runtime, source, &shared);
                    told(at + 1, found.len());
                }
            });
        }
    });
    shared.into_inner().unwrap_or_else(std::sync::PoisonError::into_inner)
}

/// Sources below some paths, each with its runtime.
pub(super) struct Found {
    pub(super) sources: Vec<(&'static str, Source)>,
    pub(super) failed: Vec<(PathBuf, io::Error)>,
}

pub(super) fn find(paths: &[PathBuf], runtime: Option<&str>) -> Found {
    let (mut files, mut failed) = (Vec::new(), Vec::new());
    for path in paths {
        collect(path, 0, &mut files, &mut failed);
    }
    files.sort();
    files.dedup();
    Found { sources: files.iter().filter_map(|file| source(file, runtime)).collect(), failed }
}

fn count(runtime: &'static str, source: &Source, shared: &Mutex<Scanned>) {
    let locked = || shared.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    let mut batch: Vec<Record> = Vec::with_capacity(BATCH);
    let mut follower = Follower::new(source, &[]);
    loop {
        let mut unknown = Unknown::default();
        let mut take = |record| {
            batch.push(record);
            if batch.len() == BATCH {
                put(&mut locked().tally, runtime, &mut batch);
            }
        };
        let read = follower.count(BUDGET, &mut take, &mut |kind| unknown.add(runtime, kind, 1));
        let mut scanned = locked();
        unknown.iter().for_each(|(runtime, kind, rows)| scanned.unknown.add(runtime, kind.to_owned(), rows));
        put(&mut scanned.tally, runtime, &mut batch);
        match read {
            Ok(stretch) => {
                scanned.unreadable += stretch.unreadable;
                if !stretch.more {
                    return;
                }
            }
            Err(error) => {
                scanned.failed.push((source.path.clone(), error));
                return;
            }
        }
    }
}

fn put(tally: &mut Tally, runtime: &str, batch: &mut Vec<Record>) {
    batch.drain(..).for_each(|record| tally.add(runtime, &record));
}

fn collect(path: &Path, depth: usize, files: &mut Vec<PathBuf>, failed: &mut Vec<(PathBuf, io::Error)>) {
    let entries = match std::fs::metadata(path) {
        Ok(metadata) if metadata.is_file() => {
            files.push(path.to_owned());
            return;
        }
        Ok(metadata) if metadata.is_dir() && depth < MAX_DEPTH => std::fs::read_dir(path),
        Ok(_) => return,
        Err(error) => Err(error),
    };
    match entries {
        Ok(entries) => {
            for entry in entries.filter_map(Result::ok) {
                // A link that leads back up would be counted again and again.
                if depth == 0 || !entry.file_type().is_ok_and(|kind| kind.is_symlink()) {
                    collect(&entry.path(), depth + 1, files, failed);
                }
            }
        }
        Err(error) => failed.push((path.to_owned(), error)),
    }
}

/// `None` for a file that holds no usage of the runtime asked for.
fn source(path: &Path, asked: Option<&str>) -> Option<(&'static str, Source)> {
    let runtime = recognise(path)?;
    if asked.is_some_and(|asked| asked != runtime) {
        return None;
    }
    let packed = path.extension().is_some_and(|extension| extension == "zst");
    let source = match runtime {
        codex::NAME if packed => Source::whole(Whole::Compressed(Reader::new(codex::NAME)?), path),
        opencode::NAME if is_message(path) => Source::whole(Whole::Message, path),
        opencode::NAME => Source::opencode(path, opencode::store::Part::default()),
        codex::NAME => codex::whole(path),
        _ => Source::lines(runtime, path),
    };
    Some((runtime, source?))
}

/// By the name, and where that says nothing by how the file begins.
fn recognise(path: &Path) -> Option<&'static str> {
    let name = path.file_name()?.to_str()?;
    let in_chats =
        path.ancestors().skip(1).any(|above| above.file_name().is_some_and(|name| name == "chats"));
    match path.extension()?.to_str()? {
        "db" if name.starts_with("opencode") => Some(opencode::NAME),
        "jsonl" | "json" if in_chats => Some(gemini::NAME),
        "jsonl" if name.starts_with("rollout-") => Some(codex::NAME),
        "zst" if name.starts_with("rollout-") && name.ends_with(".jsonl.zst") => Some(codex::NAME),
        "json" if is_message(path) => Some(opencode::NAME),
        "jsonl" => begins(path),
        _ => None,
    }
}

/// `storage/message/<session>/<message>.json`
fn is_message(path: &Path) -> bool {
    let is = |depth: usize, name: &str| {
        path.ancestors().nth(depth).and_then(Path::file_name).is_some_and(|found| found == name)
    };
    is(2, "message") && is(3, "storage") && path.extension().is_some_and(|extension| extension == "json")
}

fn begins(path: &Path) -> Option<&'static str> {
    let mut head = Vec::new();
    File::open(path).ok()?.take(4096).read_to_end(&mut head).ok()?;
    let line = head.split(|byte| *byte == b'\n').next().unwrap_or_default();
    let has = |word: &[u8]| memchr::memmem::find(line, word).is_some();
    Some(match () {
        () if has(b"\"session_meta\"") => codex::NAME,
        () if has(b"\"type\":\"session\"") && has(b"\"cwd\"") => pi::NAME,
        () if has(b"\"projectHash\"") => gemini::NAME,
        () => claude::NAME,
    })
}

#[cfg(test)]
mod tests {
    use fleet_domain::report::{By, Question};

    use super::*;

    fn fixtures() -> PathBuf {
        Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/usage")
    }

    #[test]
    fn a_tree_of_several_runtimes_is_counted_by_each() {
        let scanned = scan(&[fixtures()], None, Tally::new(), &|_, _| {});
        assert_eq!((scanned.unreadable, scanned.failed.len()), (0, 0));
        assert!(scanned.unknown.is_empty(), "{:?}", scanned.unknown);
        let question = Question { by: [By::Runtime].into_iter().collect(), ..Question::default() };
        let told: Vec<(Option<String>, u64, u64)> = scanned
            .tally
            .report(&question, &fleet_domain::price::Table::default())
            .0
            .into_iter()
            .map(|(group, sum)| (group.runtime, sum.responses, sum.tokens.output))
            .collect();
        let expected = [("claude", 495, 339_436), ("codex", 6, 210), ("pi", 3, 296)]
            .map(|(runtime, responses, output)| (Some(runtime.to_owned()), responses, output));
        assert_eq!(told, expected);
    }

    #[test]
    fn one_runtime_alone_can_be_asked_for_and_what_is_missing_is_told() {
        let missing = fixtures().join("nowhere");
        let scanned = scan(&[fixtures(), missing.clone(), fixtures()], Some("pi"), Tally::new(), &|_, _| {});
        assert_eq!((scanned.tally.responses(), scanned.files), (3, 2));
        assert_eq!(scanned.failed.iter().map(|(path, _)| path).collect::<Vec<_>>(), [&missing]);
    }

    #[test]
    fn rows_of_unknown_kinds_are_told_by_runtime_and_kind() {
        let dir = tempfile::tempdir().unwrap();
        let claude = r#"{"type":"oracle","message":{"usage":{"input_tokens":3}}}"#;
        let user = r#"{"type":"user","message":{"role":"user","content":"how many tokens\" is it?"}}"#;
        std::fs::write(dir.path().join("a.jsonl"), format!("{user}\n{claude}\n{claude}\nno json\n")).unwrap();
        let codex =
            r#"{"timestamp":"2026-11-21T10:00:00Z","type":"token_bill","payload":{"total_tokens":1}}"#;
        std::fs::write(dir.path().join("rollout-b.jsonl"), format!("{codex}\n")).unwrap();
        let told = |unknown: &Unknown| {
            unknown.iter().map(|(runtime, kind, rows)| format!("{rows} {runtime} {kind}")).collect::<Vec<_>>()
        };
        let expected = ["2 claude oracle", "1 codex token_bill"];
        let paths = [dir.path().to_owned()];
        assert_eq!(told(&scan(&paths, None, Tally::new(), &|_, _| {}).unknown), expected);
        assert_eq!(told(&super::super::check::check(&paths, None).unknown), expected);
        let mut many = Unknown::default();
        (0..300).for_each(|kind| many.add("claude", kind.to_string(), 1));
        assert_eq!(many.iter().map(|(_, _, rows)| rows).sum::<u64>(), 300);
        assert_eq!(many.iter().count(), 101);
    }
}
