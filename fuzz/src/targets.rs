//! One target a parser: any input is an answer, never a panic, and what a reader says does not depend on where it was
//! interrupted. Also replayed over the corpus by the adapters' own tests.

use fleet_adapters::runtimes::opencode::message::{self, Stored};
use fleet_adapters::runtimes::usage::{Beside, Line, Reader};
use fleet_adapters::runtimes::{claude, codex};
use fleet_domain::usage::{Record, merge};

pub(crate) type Target = fn(&[u8]);

pub(crate) const TARGETS: [(&str, Target); 7] = [
    ("claude", |input| lines("claude", input)),
    ("codex", |input| {
        lines("codex", input);
        input.split(|byte| *byte == b'\n').for_each(|line| drop(codex::rollout::told(line)));
    }),
    ("pi", |input| lines("pi", input)),
    ("gemini", |input| lines("gemini", input)),
    ("opencode", opencode),
    ("marks", |input| input.split(|byte| *byte == b'\n').for_each(|line| drop(claude::marks::parse(line)))),
    ("prices", prices),
];

/// A transcript, read in one go and read by a reader that is put away and taken up again after each line.
fn lines(runtime: &str, input: &[u8]) {
    let Some(fresh) = Reader::new(runtime) else { return };
    let (mut whole, mut pieces) = (fresh.clone(), fresh.clone());
    let (mut all, mut parts): (Vec<Record>, Vec<Record>) = (Vec::new(), Vec::new());
    let (mut aside, mut asides): (Vec<Beside>, Vec<Beside>) = (Vec::new(), Vec::new());
    let mut resumable = true;
    for line in input.split(|byte| *byte == b'\n') {
        let one: Line = whole.line(line, &mut |record| all.push(record));
        let other = pieces.line(line, &mut |record| parts.push(record));
        whole.beside(line, &mut |beside| aside.push(beside));
        pieces.beside(line, &mut |beside| asides.push(beside));
        if resumable {
            assert_eq!(one, other, "a line reads differently after a resume");
        }
        match pieces.state() {
            Some(state) => pieces = fresh.resume(&state).expect("a reader takes its own state"),
            // Too large to be kept: the file would be read again from its start.
            None => resumable = false,
        }
    }
    if resumable {
        assert_eq!(all, parts, "records depend on where the reader was interrupted");
        assert_eq!(aside, asides, "what is told beside depends on where the reader was interrupted");
    }
    for record in &all {
        assert!(!record.id.is_empty(), "a record without an identity");
        assert_eq!(merge(Some(record), record), None, "a repetition changes something");
    }
}

fn opencode(input: &[u8]) {
    let row = Stored { id: "m", session: "s", session_created: 0, copied: false, child: false, data: input };
    if let message::Row::Response { record, .. } = message::parse(&row) {
        assert_eq!(message::parse(&Stored { copied: true, ..row }), message::Row::Other, "{record:?}");
    }
}

fn prices(input: &[u8]) {
    if let Ok(text) = std::str::from_utf8(input)
        && let Err(problems) = fleet_domain::price::parse(text)
    {
        assert!(!problems.is_empty(), "refused without a reason");
    }
}
