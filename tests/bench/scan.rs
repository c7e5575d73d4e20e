//! A tree of transcripts counted cold, beside ccusage on the same files in turn; and how long one appended row takes to
//! the ledger, with and without a long history.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, ensure};
use fleet_testkit::bins::bin;
use serde_json::Value;

use crate::agree;
use crate::append;
use crate::peer::{self, Run};
use crate::report::{Goal, Section};
use crate::stats::{Samples, figure};
use crate::{Effort, say};

const PEER: &str = "ccusage 20.0.24";
const GENERATOR: &str = include_str!("transcripts.py");

/// A generated tree, and what is true of it.
pub(crate) struct Tree {
    /// As `$CLAUDE_CONFIG_DIR`.
    pub(crate) root: PathBuf,
    manifest: Value,
}

/// Input, output, cache written for five minutes and for an hour, cache read; and responses.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Totals(pub(crate) [u64; 6]);

pub(crate) fn measure(effort: Effort) -> Result<Section> {
    let runs = effort.pick(2, 12);
    let mut section = Section::new(
        "scan",
        "Counting transcripts",
        format!(
            "A generated tree of Claude Code transcripts (seed 7, 200 MB: repeated blocks, partial rows, sub-agents, forks, \
             side questions), read from the page cache by `fleet usage --scan --json` and by the native program of {PEER} \
             (`claude daily --json --offline`) in turn, {runs} times each; wall time, CPU and peak memory as the kernel \
             counts them for the waited child. Our totals are compared with the generator's to the token, {PEER}'s too, and those \
             of tokscale 4.17.0 (`models --json`, one run) with what its way of telling responses apart comes to. The append: a \
             sidecar and a collector at work on one agent; the clock runs from before the write of one row until the \
             collector tells a watching reader of it, which it does after its transaction is on the disk."
        ),
    );
    let directory = tempfile::tempdir().context("a place for transcripts")?;
    let small = generate(&directory.path().join("small"), effort.pick(20, 200))?;
    let truth = totals_of(&small.manifest)?;
    let ours = ours(&small)?;
    let peer = match peer::installed(&peer::CCUSAGE) {
        Ok(program) => Some(program),
        Err(error) => {
            say(&format!("scan: {PEER} is skipped: {error:#}"));
            None
        }
    };
    let (mut we, mut they) = (Vec::new(), Vec::new());
    for _ in 0..=runs {
        we.push(peer::run(&ours)?);
        if let Some(program) = &peer {
            they.push(peer::run(&theirs(program, &small))?);
        }
    }
    let they_said = they.first().cloned();
    // The first of each filled the page cache.
    let (we, they) = (Runs::of(&we[1..]), Runs::of(they.get(1..).unwrap_or_default()));
    ensure_exact(&mut section, &truth, &small)?;
    if let Some(run) = they_said {
        agree::ccusage(&mut section, &truth, &run.out)?;
    }
    agree::tokscale(&mut section, &truth, &small)?;
    tell(&mut section, &we, &they, peer.is_some());
    let much = large(&mut section, directory.path(), effort, &we, &truth)?;
    append::measure(&mut section, effort, &small.root, &much.root)?;
    Ok(section)
}

struct Runs {
    wall: Samples,
    cpu: Samples,
    peak: Samples,
}

impl Runs {
    fn of(runs: &[Run]) -> Self {
        let of = |value: fn(&Run) -> f64| Samples::new(runs.iter().map(value).collect());
        Self { wall: of(|run| run.wall), cpu: of(|run| run.cpu), peak: of(|run| run.peak) }
    }
}

fn tell(section: &mut Section, we: &Runs, they: &Runs, with_peer: bool) {
    let beside = |of: &Samples, unit| {
        if with_peer { format!("{PEER}: {} {unit}", figure(of.median())) } else { String::new() }
    };
    section.row("200 MB, wall, p50", we.wall.median(), "ms", beside(&they.wall, "ms"));
    section.row("200 MB, CPU, p50", we.cpu.median(), "ms", beside(&they.cpu, "ms"));
    let goal = Goal::AtMost { must: 20.0, aim: 12.0 };
    section.judged("200 MB, peak memory, p50", we.peak.median(), "MiB", beside(&they.peak, "MiB"), goal);
    if with_peer {
        let share = we.wall.median() / they.wall.median();
        let goal = Goal::AtMost { must: 0.334, aim: 0.2 };
        section.judged("200 MB, wall, of the peer's", share, "×", "", goal);
        section.series(format!("{PEER} wall"), "ms", &they.wall);
        section.series(format!("{PEER} peak"), "MiB", &they.peak);
    } else {
        section.row("the peer was skipped: npm is unreachable", 0.0, "", "");
    }
    section.series("fleet usage --scan wall", "ms", &we.wall);
    section.series("fleet usage --scan peak", "MiB", &we.peak);
}

fn large(section: &mut Section, directory: &Path, effort: Effort, we: &Runs, small: &Totals) -> Result<Tree> {
    let tree = generate(&directory.join("large"), effort.pick(60, 2000))?;
    let truth = totals_of(&tree.manifest)?;
    ensure_exact(section, &truth, &tree)?;
    let run = peer::run(&ours(&tree)?)?;
    let more = truth.0[5].saturating_sub(small.0[5]).max(1);
    let each = (run.peak - we.peak.median()).max(0.0) * f64::from(1 << 20) / more as f64;
    let beside = format!("{} responses more; {} ms, {} MiB", more, figure(run.wall), figure(run.peak));
    section.judged("2 GB, memory a response more", each, "B", beside, Goal::AtMost { must: 64.0, aim: 48.0 });
    Ok(tree)
}

fn ensure_exact(section: &mut Section, truth: &Totals, tree: &Tree) -> Result<()> {
    let run = peer::run(&ours(tree)?)?;
    let said: Value = serde_json::from_slice(&run.out).context("our report")?;
    let of = |key: &str| said["totals"][key].as_u64().unwrap_or(0);
    let ours =
        Totals(["input", "output", "cache_write_5m", "cache_write_1h", "cache_read", "responses"].map(of));
    if ours != *truth {
        section.fail(format!("counted {ours:?}, generated {truth:?}"));
    }
    let cost = said["totals"]["cost_usd"].as_f64().unwrap_or(f64::NAN);
    say(&format!("scan: exact: {ours:?}, {cost} $"));
    Ok(())
}

fn totals_of(manifest: &Value) -> Result<Totals> {
    let truth = &manifest["truth_unique_final"];
    let of = |key: &str| truth[key].as_u64().with_context(|| format!("the manifest has no {key}"));
    let responses = manifest["stats"]["unique_responses"].as_u64().context("responses")?;
    Ok(Totals([of("input")?, of("output")?, of("cc5m")?, of("cc1h")?, of("cache_read")?, responses]))
}

fn ours(tree: &Tree) -> Result<peer::Program> {
    let arguments = ["usage", "--json", "--scan"].map(String::from).to_vec();
    Ok(peer::Program::new(bin("fleet")?, arguments).with_path(&tree.root.join("projects")))
}

fn theirs(program: &Path, tree: &Tree) -> peer::Program {
    let arguments = ["claude", "daily", "--json", "--offline"].map(String::from).to_vec();
    peer::Program::new(program.to_owned(), arguments).with_variable("CLAUDE_CONFIG_DIR", &tree.root)
}

fn generate(root: &Path, megabytes: u32) -> Result<Tree> {
    say(&format!("scan: {megabytes} MB of transcripts"));
    std::fs::create_dir_all(root)?;
    let script = root.join("transcripts.py");
    std::fs::write(&script, GENERATOR)?;
    let path = |path: &Path| path.display().to_string();
    let arguments = vec![path(&script), path(root), megabytes.to_string()];
    peer::run(&peer::Program::new("python3".into(), arguments)).context("the generator needs python3")?;
    let manifest = std::fs::read(root.join("manifest.json")).context("the manifest")?;
    let manifest: Value = serde_json::from_slice(&manifest)?;
    let bytes = manifest["stats"]["bytes"].as_u64().unwrap_or(0);
    ensure!(bytes >= u64::from(megabytes) * 1_000_000, "the generator wrote {bytes} bytes");
    // A file of the history that is not written yet would be read from the disk.
    nix::unistd::sync();
    Ok(Tree { root: root.to_owned(), manifest })
}
