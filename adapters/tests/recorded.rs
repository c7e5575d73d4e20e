//! What the real runtimes wrote, as recorded: the transcripts add up.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use fleet_adapters::runtimes::claude::transcript::{Row, parse};
use fleet_adapters::tail::Tail;
use fleet_domain::usage::{Record, Tokens, merge};

fn fixtures() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures")
}

fn transcripts(root: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(root).unwrap().map(Result::unwrap) {
        let path = entry.path();
        if path.is_dir() {
            transcripts(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "jsonl") {
            found.push(path);
        }
    }
}

fn totals(root: &str) -> (Tokens, usize, usize) {
    let mut files = Vec::new();
    transcripts(&fixtures().join("usage").join(root), &mut files);
    let (mut records, mut unreadable) = (BTreeMap::<String, Record>::new(), 0);
    for file in files {
        let read = |line: &[u8]| match parse(line) {
            Row::Response(record) => {
                if let Some(change) = merge(records.get(&record.id), &record) {
                    records.insert(record.id, change.plus);
                }
            }
            Row::Unreadable => unreadable += 1,
            Row::Failed(_) | Row::Prompted | Row::Other => {}
        };
        Tail::new(file, None).read(usize::MAX, read).unwrap();
    }
    let mut sum = Tokens::default();
    records.values().for_each(|record| sum.add(&record.tokens));
    (sum, records.len(), unreadable)
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
    for (root, responses, expected) in [
        ("claude-2.1.330", 489, tokens(245_295, 240_405_000, 48_900, 97_800, 338_205)),
        ("claude-2.1.330-compact", 4, tokens(68, 28_000, 400, 800, 828)),
        ("claude-2.1.330-interactive", 2, tokens(23, 3_000, 200, 400, 403)),
    ] {
        let (sum, records, unreadable) = totals(root);
        assert_eq!((records, unreadable), (responses, 0), "{root}");
        assert_eq!(Tokens { reasoning: 0, ..sum }, expected, "{root}");
    }
}
