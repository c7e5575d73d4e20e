//! What the peers count of the same tree. The one difference that there may be is computed from the tree itself: tokscale
//! tells responses apart by message and request, so that a side question's repeated response counts again.

use std::collections::BTreeMap;
use std::os::unix::fs::symlink;
use std::path::Path;

use anyhow::{Context as _, Result};
use serde_json::Value;

use crate::peer::{self, Program};
use crate::report::Section;
use crate::say;
use crate::scan::{Totals, Tree};

/// Input, output, cache written, cache read.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Four([u64; 4]);

impl Four {
    fn of(truth: &Totals) -> Self {
        let [input, output, minutes, hour, read, _] = truth.0;
        Self([input, output, minutes + hour, read])
    }

    fn read(value: &Value, names: [&str; 4]) -> Self {
        Self(names.map(|name| value[name].as_u64().unwrap_or(0)))
    }

    fn each(&mut self, other: Self, op: impl Fn(u64, u64) -> u64) {
        for (sum, other) in self.0.iter_mut().zip(other.0) {
            *sum = op(*sum, other);
        }
    }
}

pub(crate) fn ccusage(section: &mut Section, truth: &Totals, out: &[u8]) -> Result<()> {
    let said: Value = serde_json::from_slice(out).context("ccusage's report")?;
    let names = ["inputTokens", "outputTokens", "cacheCreationTokens", "cacheReadTokens"];
    let counted = Four::read(&said["totals"], names);
    if counted != Four::of(truth) {
        section.fail(format!("ccusage counted {counted:?}, generated {truth:?}"));
    }
    Ok(())
}

pub(crate) fn tokscale(section: &mut Section, truth: &Totals, tree: &Tree) -> Result<()> {
    let program = match peer::installed(&peer::TOKSCALE) {
        Ok(program) => program,
        Err(error) => {
            say(&format!("scan: tokscale is skipped: {error:#}"));
            return Ok(());
        }
    };
    // Its home has the tree as Claude Code's directory, and its own cache is empty.
    let home = tempfile::tempdir().context("a home for tokscale")?;
    symlink(&tree.root, home.path().join(".claude")).context("link the tree")?;
    let arguments = ["models", "--json", "-c", "claude", "--no-spinner"].map(String::from).to_vec();
    let run = peer::run(&Program::new(program, arguments).with_variable("HOME", home.path()))?;
    let said: Value = serde_json::from_slice(&run.out).context("tokscale's report")?;
    let mut counted = Four::default();
    let mut messages = 0;
    for entry in said["entries"].as_array().context("no entries")? {
        let of = Four::read(entry, ["input", "output", "cacheWrite", "cacheRead"]);
        counted.each(of, u64::saturating_add);
        messages += entry["messageCount"].as_u64().unwrap_or(0);
    }
    let (expected, requests) = by_request(&tree.root.join("projects"))?;
    if (counted, messages) != (expected, requests) {
        section.fail(format!(
            "tokscale counted {messages} and {counted:?}; by message and request there are {requests} and {expected:?}"
        ));
    }
    let (more, wall) = (messages.saturating_sub(truth.0[5]), run.wall);
    let beside = format!(
        "each a side question's repetition; its one run took {wall:.0} ms, ours counted every response once"
    );
    section.row("tokscale 4.17.0, responses more than there are", more as f64, "", beside);
    Ok(())
}

/// The largest figures of each message and request, added up, and how many there are.
fn by_request(directory: &Path) -> Result<(Four, u64)> {
    let mut largest: BTreeMap<(String, String), Four> = BTreeMap::new();
    let mut directories = vec![directory.to_owned()];
    while let Some(directory) = directories.pop() {
        for entry in std::fs::read_dir(directory)? {
            let path = entry?.path();
            if path.is_dir() {
                directories.push(path);
            } else if path.extension().is_some_and(|kind| kind == "jsonl") {
                std::fs::read_to_string(&path)?.lines().for_each(|line| take(line, &mut largest));
            }
        }
    }
    let mut sum = Four::default();
    largest.values().for_each(|of| sum.each(*of, u64::saturating_add));
    Ok((sum, largest.len() as u64))
}

fn take(line: &str, largest: &mut BTreeMap<(String, String), Four>) {
    let Ok(row) = serde_json::from_str::<Value>(line) else { return };
    let message = &row["message"];
    let (usage, model) = (&message["usage"], message["model"].as_str().unwrap_or_default());
    if row["type"] != "assistant" || usage.is_null() || model == "<synthetic>" {
        return;
    }
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let names = ["input_tokens", "output_tokens", "cache_creation_input_tokens", "cache_read_input_tokens"];
    let place = largest.entry((text(&message["id"]), text(&row["requestId"]))).or_default();
    place.each(Four::read(usage, names), u64::max);
}
