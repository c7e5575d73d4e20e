//! Files that nobody appends to, read from end to end at once: rollouts that Codex compressed, and messages of opencode from
//! before its database, a file each.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read};
use std::path::Path;

use fleet_domain::usage::Record;
use ruzstd::decoding::StreamingDecoder;
use serde::Deserialize;

use super::{Line, Reader};
use crate::runtimes::opencode::message::{self, Row, Stored};
use crate::tail::MAX_LINE;

/// What a compressed rollout may come to; a hundred times the largest that was seen.
const MAX_UNPACKED: u64 = 8 << 30;
/// A message of opencode without its parts is short.
const MAX_MESSAGE: u64 = 1 << 20;

#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::runtimes) enum Whole {
    /// `rollout-….jsonl.zst`
    Compressed(Reader),
    /// `storage/message/<session>/<message>.json`
    Message,
}

impl Whole {
    /// Answers how much should have been readable and was not.
    pub(super) fn read(&self, path: &Path, emit: &mut dyn FnMut(Record)) -> io::Result<u64> {
        match self {
            Self::Compressed(fresh) => unpacked(path, fresh.clone(), emit),
            Self::Message => one_message(path, emit),
        }
    }
}

fn unpacked(path: &Path, mut reader: Reader, emit: &mut dyn FnMut(Record)) -> io::Result<u64> {
    let damaged =
        |error: &dyn std::fmt::Display| io::Error::new(io::ErrorKind::InvalidData, error.to_string());
    let packed = StreamingDecoder::new(BufReader::new(File::open(path)?)).map_err(|error| damaged(&error))?;
    let mut lines = BufReader::with_capacity(64 << 10, packed.take(MAX_UNPACKED));
    let (mut line, mut unreadable, mut skipping) = (Vec::new(), 0, false);
    loop {
        line.clear();
        if (&mut lines).take(MAX_LINE as u64).read_until(b'\n', &mut line)? == 0 {
            return Ok(unreadable);
        }
        let whole = line.last() == Some(&b'\n');
        if whole && !skipping {
            line.pop();
            unreadable += u64::from(reader.line(&line, emit) == Line::Unreadable);
        } else if whole {
            unreadable += 1;
        }
        skipping = !whole;
    }
}

#[derive(Deserialize)]
struct Ids<'a> {
    #[serde(borrow, default)]
    id: Option<&'a str>,
    #[serde(borrow, default, rename = "sessionID")]
    session: Option<&'a str>,
}

#[derive(Deserialize)]
struct Session {
    #[serde(default, rename = "parentID")]
    parent: Option<String>,
    #[serde(default)]
    time: Option<Time>,
}

#[derive(Deserialize)]
struct Time {
    #[serde(default)]
    created: Option<i64>,
}

fn one_message(path: &Path, emit: &mut dyn FnMut(Record)) -> io::Result<u64> {
    let mut data = Vec::new();
    File::open(path)?.take(MAX_MESSAGE).read_to_end(&mut data)?;
    let Ok(Ids { id: Some(id), session: Some(session) }) = serde_json::from_slice(&data) else {
        return Ok(1);
    };
    let about = session_of(path, session);
    let created = about.as_ref().and_then(|about| about.time.as_ref()?.created).unwrap_or(0);
    let child = about.is_some_and(|about| about.parent.is_some());
    let stored = Stored { id, session, session_created: created, copied: false, child, data: &data };
    match message::parse(&stored) {
        Row::Response { record, .. } => emit(record),
        Row::Begun | Row::Other => {}
        Row::Unreadable => return Ok(1),
    }
    Ok(0)
}

/// `storage/session/<project>/<session>.json`, beside `storage/message`.
fn session_of(message: &Path, session: &str) -> Option<Session> {
    let plain = session.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | '-'));
    let storage = message.ancestors().nth(3).filter(|_| plain)?;
    let projects = std::fs::read_dir(storage.join("session")).ok()?.filter_map(Result::ok);
    projects.map(|project| project.path().join(format!("{session}.json"))).find_map(|file| {
        let mut text = Vec::new();
        File::open(file).ok()?.take(MAX_MESSAGE).read_to_end(&mut text).ok()?;
        serde_json::from_slice(&text).ok()
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::runtimes::usage::scan::scan;
    use fleet_domain::price::Table;
    use fleet_domain::report::Question;
    use fleet_domain::tally::Tally;

    fn output(root: &Path) -> (u64, usize, u64) {
        let scanned = scan(&[root.to_owned()], None, Tally::new(), &|_, _| {});
        let total = scanned.tally.report(&Question::default(), &Table::default()).total();
        (total.tokens.output, scanned.tally.responses(), scanned.unreadable + scanned.failed.len() as u64)
    }

    #[test]
    fn a_compressed_rollout_counts_as_it_did_and_once_beside_its_copy() {
        let dir = tempfile::tempdir().unwrap();
        let row = |id: u32| {
            format!(
                r#"{{"timestamp":"2026-11-21T10:05:02Z","type":"token_usage_record","payload":{{"thread_id":"t","response_id":"r{id}","usage":{{"input_tokens":3,"output_tokens":7}}}}}}"#
            )
        };
        let text = format!("{}\n{}\nno json \"token_count\"\n", row(1), row(2));
        let name = "rollout-2026-11-21T10-05-02-t.jsonl";
        let packed =
            ruzstd::encoding::compress_to_vec(text.as_bytes(), ruzstd::encoding::CompressionLevel::Fastest);
        std::fs::write(dir.path().join(format!("{name}.zst")), &packed).unwrap();
        assert_eq!(output(dir.path()), (14, 2, 1));
        std::fs::write(dir.path().join(name), text).unwrap();
        assert_eq!(output(dir.path()), (14, 2, 2));
        std::fs::write(dir.path().join(format!("{name}.zst")), &packed[..packed.len() / 2]).unwrap();
        assert_eq!(output(dir.path()).0, 14, "a damaged one takes nothing away");
    }

    #[test]
    fn messages_of_before_the_database_count_and_a_forks_copies_do_not() {
        let dir = tempfile::tempdir().unwrap();
        let storage = dir.path().join("storage");
        let put = |below: &str, text: String| {
            let path = storage.join(below);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, text).unwrap();
        };
        for (session, created) in [("ses_a", 100), ("ses_b", 500)] {
            put(
                &format!("session/p/{session}.json"),
                format!(r#"{{"id":"{session}","time":{{"created":{created}}}}}"#),
            );
        }
        let message = |id: &str, session: &str, created: i64| {
            format!(
                r#"{{"id":"{id}","sessionID":"{session}","role":"assistant","modelID":"m","tokens":{{"input":1,"output":5,"reasoning":2}},"time":{{"created":{created},"completed":{created}}}}}"#
            )
        };
        put("message/ses_a/msg_1.json", message("msg_1", "ses_a", 200));
        put("message/ses_b/msg_2.json", message("msg_2", "ses_b", 200));
        put("message/ses_b/msg_3.json", message("msg_3", "ses_b", 600));
        put("message/ses_b/msg_4.json", r#"{"id":"msg_4","sessionID":"ses_b","role":"user"}"#.to_owned());
        put("part/msg_1/prt_1.json", r#"{"type":"text"}"#.to_owned());
        assert_eq!(output(dir.path()), (14, 2, 0));
        put("message/ses_b/msg_5.json", "{".to_owned());
        assert_eq!(output(dir.path()), (14, 2, 1));
    }
}
