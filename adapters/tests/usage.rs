//! Usage of the real runtimes, as recorded: it adds up to an independent counter's figures, however it is read.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use fleet_adapters::runtimes::usage::{Follower, Source};
use fleet_domain::usage::{Record, Tokens, merge};
use proptest::prelude::*;

type Known = BTreeMap<String, Record>;

fn fixtures(root: &str) -> Vec<PathBuf> {
    let mut files = Vec::new();
    below(&Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/usage").join(root), &mut files);
    files.sort();
    files
}

fn below(root: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(root).unwrap().map(Result::unwrap) {
        let path = entry.path();
        if path.is_dir() {
            below(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "jsonl") {
            found.push(path);
        }
    }
}

fn take(known: &mut Known, record: Record) {
    if let Some(change) = merge(known.get(&record.id), &record) {
        known.insert(record.id, change.plus);
    }
}

fn sum(known: &Known) -> Tokens {
    let mut sum = Tokens::default();
    known.values().for_each(|record| sum.add(&record.tokens));
    sum
}

fn whole(runtime: &str, files: &[PathBuf]) -> (Known, u64) {
    let (mut known, mut unreadable) = (Known::new(), 0);
    for file in files {
        let source = Source::lines(runtime, file).unwrap();
        let mut follower = Follower::new(&source, &[]);
        unreadable += follower.read(usize::MAX, &mut |record| take(&mut known, record)).unwrap().unreadable;
    }
    (known, unreadable)
}

/// The figures are an independent reference counter's on the same files.
#[test]
fn recorded_transcripts_add_up_to_the_reference() {
    let tokens = |input, cache_read, cache_write_5m, cache_write_1h, output| Tokens {
        input,
        cache_read,
        cache_write_5m,
        cache_write_1h,
        output,
        reasoning: 0,
    };
    for (runtime, root, responses, expected) in [
        ("claude", "claude-2.1.330", 489, tokens(245_295, 240_405_000, 48_900, 97_800, 338_205)),
        ("claude", "claude-2.1.330-compact", 4, tokens(68, 28_000, 400, 800, 828)),
        ("claude", "claude-2.1.330-interactive", 2, tokens(23, 3_000, 200, 400, 403)),
        ("codex", "codex-0.169.0", 6, tokens(900, 30_000, 300, 0, 210)),
        ("pi", "pi-0.73.1", 3, tokens(420, 36_000, 300, 0, 296)),
    ] {
        let (known, unreadable) = whole(runtime, &fixtures(root));
        assert_eq!((known.len(), unreadable), (responses, 0), "{root}");
        assert_eq!(Tokens { reasoning: 0, ..sum(&known) }, expected, "{root}");
    }
}

/// A file that grows by pieces, read by somebody who may die at any moment and goes on where it last was durable.
struct Growing {
    runtime: &'static str,
    bytes: Vec<u8>,
    written: usize,
    path: PathBuf,
    follower: Follower,
    durable: Vec<u8>,
}

impl Growing {
    fn new(dir: &Path, index: usize, runtime: &'static str, original: &Path) -> Self {
        let path = dir.join(format!("{index}.jsonl"));
        fs::write(&path, "").unwrap();
        let follower = Follower::new(&Source::lines(runtime, &path).unwrap(), &[]);
        Self { runtime, bytes: fs::read(original).unwrap(), written: 0, path, follower, durable: Vec::new() }
    }

    fn grow(&mut self, by: usize) {
        self.written = (self.written + by).min(self.bytes.len());
        let mut file = fs::File::options().write(true).truncate(false).open(&self.path).unwrap();
        std::io::Write::write_all(&mut file, &self.bytes[..self.written]).unwrap();
    }

    fn step(&mut self, action: u8, by: usize, known: &mut Known) {
        match action % 5 {
            0 => self.grow(by),
            1 => {
                let source = Source::lines(self.runtime, &self.path).unwrap();
                self.follower = Follower::new(&source, &self.durable);
            }
            2 => {
                self.read(by, known);
                self.durable = self.follower.position();
            }
            _ => self.read(by, known),
        }
    }

    fn read(&mut self, budget: usize, known: &mut Known) {
        self.follower.read(budget, &mut |record| take(known, record)).unwrap();
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn any_order_split_repetition_and_crash_give_the_same_totals(
        steps in proptest::collection::vec((any::<u8>(), any::<u8>(), 1usize..9_000), 0..60),
        which in 0usize..4,
    ) {
        let (runtime, root) = [
            ("claude", "claude-2.1.330-compact"),
            ("claude", "claude-2.1.330-interactive"),
            ("codex", "codex-0.169.0"),
            ("pi", "pi-0.73.1"),
        ][which];
        let originals = fixtures(root);
        let dir = tempfile::tempdir().unwrap();
        let mut files: Vec<Growing> = originals
            .iter()
            .enumerate()
            .map(|(index, original)| Growing::new(dir.path(), index, runtime, original))
            .collect();
        let mut known = Known::new();
        let count = files.len();
        for (file, action, by) in steps {
            files[usize::from(file) % count].step(action, by, &mut known);
        }
        for file in files.iter_mut().rev() {
            file.grow(usize::MAX / 2);
            file.read(usize::MAX, &mut known);
        }
        prop_assert_eq!(known, whole(runtime, &originals).0);
    }
}
