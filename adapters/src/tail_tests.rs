use std::fs;
use std::io::Write;

use proptest::prelude::*;

use super::*;

const ALL: usize = usize::MAX;

fn lines(tail: &mut Tail, budget: usize) -> (Vec<String>, Progress) {
    let mut seen = Vec::new();
    let progress = tail.read(budget, |line| seen.push(String::from_utf8_lossy(line).into_owned())).unwrap();
    (seen, progress)
}

fn append(path: &Path, bytes: &[u8]) {
    File::options().create(true).append(true).open(path).unwrap().write_all(bytes).unwrap();
}

#[test]
fn a_torn_line_waits_for_its_end_and_nothing_is_read_twice() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("t.jsonl");
    let mut tail = Tail::new(path.clone(), None);
    assert_eq!(lines(&mut tail, ALL).0, Vec::<String>::new());
    append(&path, b"one\ntw");
    assert_eq!(lines(&mut tail, ALL).0, ["one"]);
    append(&path, b"o\n\nthree\n");
    assert_eq!(lines(&mut tail, ALL).0, ["two", "three"]);
    let mut resumed = Tail::new(path.clone(), Cursor::decode(&tail.cursor().encode()));
    append(&path, b"four\n");
    assert_eq!(lines(&mut resumed, ALL), (vec!["four".to_owned()], Progress::default()));
}

#[test]
fn a_replaced_cut_or_rewritten_file_is_read_from_its_start() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("t.jsonl");
    append(&path, b"one\ntwo\n");
    let mut tail = Tail::new(path.clone(), None);
    lines(&mut tail, ALL);
    fs::write(&path, b"three\n").unwrap();
    let (seen, progress) = lines(&mut tail, ALL);
    assert_eq!((seen, progress.restarted), (vec!["three".to_owned()], true));
    fs::write(&path, b"other beginning, and longer\n").unwrap();
    assert_eq!(lines(&mut tail, ALL).0, ["other beginning, and longer"]);
    let fresh = dir.path().join("new");
    fs::write(&fresh, b"other beginning, and longer\nmore\n").unwrap();
    fs::rename(&fresh, &path).unwrap();
    assert_eq!(lines(&mut tail, ALL).0, ["other beginning, and longer", "more"]);
}

#[test]
fn a_hundred_megabytes_without_an_end_are_passed_over_and_counted() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("t.jsonl");
    append(&path, b"before\n");
    let block = vec![b'x'; 1 << 20];
    for _ in 0..100 {
        append(&path, &block);
    }
    let mut tail = Tail::new(path.clone(), None);
    assert_eq!(lines(&mut tail, ALL).0, ["before"]);
    append(&path, b"\nafter\n");
    let (seen, progress) = lines(&mut tail, ALL);
    assert_eq!((seen, progress.overlong), (vec!["after".to_owned()], 1));
    assert_eq!(tail.cursor().offset, fs::metadata(&path).unwrap().len());
}

#[test]
fn a_directory_in_the_files_place_is_an_error_not_a_hang() {
    let dir = tempfile::tempdir().unwrap();
    assert!(Tail::new(dir.path().to_owned(), None).read(ALL, |_| {}).is_err());
}

#[test]
fn a_foreign_cursor_means_from_the_start() {
    assert_eq!(Cursor::decode(b""), None);
    assert_eq!(Cursor::decode(&[9; 41]), None);
    assert_eq!(Cursor::decode(&[1; 7]), None);
}

#[test]
fn a_budget_holds_wherever_lines_end() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("t");
    std::fs::write(&path, ("x".repeat(332) + "\n").repeat(6_000)).unwrap();
    let mut tail = Tail::new(path, None);
    let (mut reads, mut lines) = (0, 0);
    loop {
        let before = lines;
        let more = tail.read(100_000, |_| lines += 1).unwrap().more;
        assert!((lines - before) * 333 < 200_000, "{}", lines - before);
        reads += 1;
        if !more {
            break;
        }
    }
    assert_eq!((lines, reads > 10), (6_000, true));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(60))]

    /// However the writing is split, however small the budget, and however often the reader starts anew from its
    /// position: every line once, in order.
    #[test]
    fn every_line_once_in_order(
        text in proptest::collection::vec("[a-z]{0,12}", 0..60),
        splits in proptest::collection::vec(1usize..40, 1..40),
        budget in 1usize..200, resume in any::<bool>(),
    ) {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("t");
        let whole: String = text.iter().map(|line| format!("{line}\n")).collect();
        let mut rest = whole.as_bytes();
        let mut tail = Tail::new(path.clone(), None);
        let mut seen = Vec::new();
        let mut turns = splits.into_iter().cycle();
        while !rest.is_empty() {
            let (now, later) = rest.split_at(turns.next().unwrap().min(rest.len()));
            append(&path, now);
            rest = later;
            if resume {
                tail = Tail::new(path.clone(), Cursor::decode(&tail.cursor().encode()));
            }
            loop {
                let (lines, progress) = lines(&mut tail, budget);
                seen.extend(lines);
                if !progress.more { break; }
            }
        }
        let expected: Vec<String> = text.into_iter().filter(|line| !line.is_empty()).collect();
        prop_assert_eq!(seen, expected);
    }
}
