//! One appended row, from its write to the ledger, and what the sidecar weighs after so much of the past.

use std::fs::File;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use fleet_proto::pb;
use fleet_testkit::fleet;

use crate::client::{Client, Watch};
use crate::proc::Memory;
use crate::report::{Goal, Section};
use crate::stage::{Stage, pass};
use crate::stats::{Samples, figure};
use crate::{Effort, say};

/// Between two rows: what one costs must not hide in the next one's.
const PAUSE: Duration = Duration::from_millis(40);
const PATIENCE: Duration = Duration::from_secs(600);

pub(crate) fn measure(section: &mut Section, effort: Effort, tree: &Path, large: &Path) -> Result<()> {
    let count = effort.pick(40, 500);
    let mut light = 0.0;
    for (what, history) in [("no history", None), ("200 MB of history", Some(tree))] {
        say(&format!("scan: {count} appended rows with {what}"));
        let Appended { samples, rss, .. } = appended(count, history)?;
        if history.is_none() {
            light = rss;
        }
        let beside =
            format!("p90 {}, p99 {}", figure(samples.percentile(90.0)), figure(samples.percentile(99.0)));
        let goal = Goal::AtMost { must: 5.0, aim: 2.0 };
        section.judged(format!("one row to the ledger, {what}, p50"), samples.median(), "ms", beside, goal);
        let goal = Goal::AtMost { must: 5.0, aim: 3.0 };
        section.judged("the same, p99", samples.percentile(99.0), "ms", "", goal);
        section.series(format!("append with {what}"), "ms", &samples);
    }
    say("scan: the sidecar follows the large tree");
    let Appended { rss, length, .. } = appended(1, Some(large))?;
    let what = format!("sidecar RSS, {} GB followed, more than without", figure(length as f64 / 1e9));
    let beside = format!("{} MiB, without {}", figure(rss), figure(light));
    section.judged(what, (rss - light).max(0.0), "MiB", beside, Goal::AtMost { must: 1.0, aim: 0.5 });
    Ok(())
}

struct Appended {
    samples: Samples,
    /// Of the sidecar afterwards, in MiB.
    rss: f64,
    /// Of the transcript, in bytes.
    length: u64,
}

fn appended(count: usize, history: Option<&Path>) -> Result<Appended> {
    let stage = Stage::empty(1)?;
    let transcript = begin(&stage, history)?;
    stage.hold()?;
    let _collector = fleet::collector(&stage.home, "off")?;
    let sidecar = fleet::sidecar(&stage.home, &["--host"])?;
    stage.start_stand_ins()?;
    stage.all_seen(&mut Client::connect(&stage.home)?)?;
    let mut file = File::options().append(true).open(&transcript).context("the transcript")?;
    let mut watch = Client::connect(&stage.home)?.watch()?;
    append(&mut file, "first")?;
    until(&mut watch, "first")?;
    let mut taken = Vec::with_capacity(count);
    for number in 0..count {
        pass(PAUSE);
        let model = format!("row{number}");
        let began = Instant::now();
        append(&mut file, &model)?;
        until(&mut watch, &model)?;
        taken.push(began.elapsed().as_secs_f64() * 1e3);
    }
    let (rss, length) = (Memory::of(sidecar.pid())?.rss as f64 / 1024.0, file.metadata()?.len());
    Ok(Appended { samples: Samples::new(taken), rss, length })
}

/// The stand-in's transcript, with all main files of the tree in it where there is a history.
fn begin(stage: &Stage, history: Option<&Path>) -> Result<PathBuf> {
    let name = &stage.names[0];
    let work = stage.home.work(name)?;
    let munged: String = work
        .display()
        .to_string()
        .chars()
        .map(|letter| if letter.is_ascii_alphanumeric() { letter } else { '-' })
        .collect();
    let directory = stage.home.home().join(".claude/projects").join(munged);
    std::fs::create_dir_all(&directory)?;
    let path = directory.join(format!("of-{name}.jsonl"));
    let mut file = File::create(&path)?;
    for project in
        history.map(|tree| std::fs::read_dir(tree.join("projects"))).transpose()?.into_iter().flatten()
    {
        for entry in std::fs::read_dir(project?.path())? {
            let entry = entry?.path();
            if entry.extension().is_some_and(|extension| extension == "jsonl") {
                std::io::copy(&mut File::open(entry)?, &mut file)?;
            }
        }
    }
    Ok(path)
}

/// A response of a model of its own, by which it is recognised.
fn append(file: &mut File, model: &str) -> Result<()> {
    let now = jiff::Timestamp::now();
    let row = serde_json::json!({
        "type": "assistant", "sessionId": "s", "timestamp": now.to_string(), "uuid": model,
        "message": {"id": format!("msg_{model}"), "model": model, "usage": {"input_tokens": 1, "output_tokens": 1}},
    });
    // One write: a reader between two would see half a row.
    file.write_all(format!("{row}\n").as_bytes()).context("append")
}

fn until(watch: &mut Watch, model: &str) -> Result<()> {
    let began = Instant::now();
    let has = |agent: &pb::Agent| agent.by_model.iter().any(|of| of.model == model);
    while !has(&watch.changed()?) {
        ensure!(began.elapsed() < PATIENCE, "the row {model} did not come");
    }
    Ok(())
}
