use std::os::unix::fs::PermissionsExt;

use super::*;
use crate::chain::chain;
use crate::store::conformance::{conformance, record, restored, usage};

fn file() -> (tempfile::TempDir, PathBuf) {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("state/register.sqlite3");
    (dir, path)
}

#[test]
fn it_conforms() {
    conformance(|| {
        let (dir, path) = file();
        Box::new(move || {
            let _alive = &dir;
            Sqlite::open(&path).unwrap()
        })
    });
}

#[test]
fn the_file_is_private_and_locked_with_the_holders_pid() {
    let (_dir, path) = file();
    let store = Sqlite::open(&path).unwrap();
    let mode = |path: &Path| path.metadata().unwrap().permissions().mode() & 0o777;
    assert_eq!((mode(&path), mode(path.parent().unwrap())), (0o600, 0o700));
    let error = Sqlite::open(&path).err().unwrap().to_string();
    assert!(error.contains(&format!("(pid {})", std::process::id())), "{error}");
    assert!(error.contains("another --store"), "{error}");
    drop(store);
    Sqlite::open(&path).unwrap();
}

#[test]
fn a_foreign_a_damaged_and_a_later_file_are_named_and_left_alone() {
    let (_dir, path) = file();
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    let refused = |content: &[u8]| {
        std::fs::write(&path, content).unwrap();
        let error = Sqlite::open(&path).err().unwrap();
        assert_eq!(std::fs::read(&path).unwrap(), content, "{error}");
        assert!(error.to_string().contains(path.to_str().unwrap()), "{error}");
        error
    };
    let noise: Vec<u8> = (0..9000u32).map(|n| (n * 7919 % 251) as u8).collect();
    assert!(matches!(refused(&noise), StoreError::Damaged { .. }));

    let other = database(|connection| connection.execute_batch("CREATE TABLE notes (text)").unwrap());
    assert!(matches!(refused(&other), StoreError::Foreign { .. }));

    let later = database(|connection| {
        connection.pragma_update(None, "application_id", 0x4d4f_5346).unwrap();
        connection.pragma_update(None, "user_version", 99).unwrap();
    });
    assert!(matches!(refused(&later), StoreError::Newer { found: 99, .. }));
}

fn database(fill: impl Fn(&Connection)) -> Vec<u8> {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("x");
    let connection = Connection::open(&path).unwrap();
    fill(&connection);
    drop(connection);
    std::fs::read(path).unwrap()
}

#[test]
fn damage_behind_the_header_is_told_when_it_is_met() {
    let (_dir, path) = file();
    let mut store = Sqlite::open(&path).unwrap();
    let records = (0..400).map(|n| record(&format!("r{n}"), n, 0)).collect();
    store.commit(&[Write::Usage(usage("a", "t", 1, records))]).unwrap();
    drop(store);
    let mut bytes = std::fs::read(&path).unwrap();
    let length = bytes.len();
    bytes[4096..length].fill(0xa5);
    std::fs::write(&path, &bytes).unwrap();
    let error = Sqlite::open(&path).and_then(|mut store| store.load(Wall(0)).map(drop)).unwrap_err();
    assert!(matches!(error, StoreError::Damaged { .. }), "{error}");
    assert!(error.to_string().contains("read anew from the transcripts"), "{error}");
}

#[test]
fn a_full_disk_loses_nothing_and_mends_itself() {
    let (_dir, path) = file();
    let mut store = Sqlite::open(&path).unwrap();
    store.commit(&[Write::Usage(usage("a", "t", 1, vec![record("r", 5, 0)]))]).unwrap();
    store.limit_pages(store.pages());
    let records = (0..400).map(|n| record(&format!("n{n}"), n, 0)).collect();
    let write = [Write::Usage(usage("b", "t", 2, records))];
    let error = store.commit(&write).unwrap_err();
    assert!(chain(&error).contains("full"), "{error}");
    let source = usage("b", "t", 2, Vec::new()).source();
    assert_eq!(store.cursor(&source).unwrap(), Some(vec![1]));
    assert!(!restored(&mut store).contains_key("b"));
    store.limit_pages(1_000_000);
    assert_eq!(store.commit(&write).unwrap()[0].len(), 400);
    assert_eq!(store.cursor(&source).unwrap(), Some(vec![2]));
}

#[test]
fn a_ledger_of_the_layout_before_keeps_its_usage_and_takes_prices() {
    let (_dir, path) = file();
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    let old = database(|connection| {
        connection.execute_batch(schema::MIGRATIONS[0]).unwrap();
        connection
            .execute_batch(
                "INSERT INTO agents (agent, tenant, host, socket, session) VALUES (1, 'me', 'box', 's', 'a');
                 INSERT INTO usage VALUES ('me', 'r', 1, 'claude', '', 'c', 'claude-opus-5', 0, 1000000, 0, 0, 0, 0, 0, 0)",
            )
            .unwrap();
        connection.pragma_update(None, "application_id", 0x4d4f_5346).unwrap();
        connection.pragma_update(None, "user_version", 1).unwrap();
    });
    std::fs::write(&path, old).unwrap();
    let mut store = Sqlite::open(&path).unwrap();
    let table = fleet_framework::prices::shipped();
    let summed = store.summed(&Question::default(), &table, &Place::default(), 10).unwrap();
    assert_eq!(summed.report.total().costs.known().map(fleet_domain::price::Money::usd), Some(5.0));
    store.price_by(table);
    let spent = store.load(Wall(0)).unwrap().spent;
    assert_eq!(spent[0].2, Bill { pico_usd: 5_000_000_000_000, unpriced: 0 });
    assert_eq!(store.load(Wall(0)).unwrap().spent, spent, "the past is priced once");
}
