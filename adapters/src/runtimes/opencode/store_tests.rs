use super::*;

const SCHEMA: &str = "
PRAGMA journal_mode = WAL;
CREATE TABLE session (id TEXT PRIMARY KEY, parent_id TEXT, directory TEXT NOT NULL, time_created INTEGER NOT NULL,
                      time_updated INTEGER NOT NULL);
CREATE TABLE message (id TEXT PRIMARY KEY, session_id TEXT NOT NULL, time_created INTEGER NOT NULL,
                      time_updated INTEGER NOT NULL, data TEXT NOT NULL);
CREATE INDEX message_session ON message (session_id, time_created, id);";

const SCHEMA_2: &str = "
CREATE TABLE session_v2 (id TEXT PRIMARY KEY, parent_id TEXT, fork_session_id TEXT, fork_boundary TEXT,
                         directory TEXT NOT NULL, time_created INTEGER NOT NULL, time_updated INTEGER NOT NULL);
CREATE TABLE session_message (id TEXT PRIMARY KEY, session_id TEXT NOT NULL, type TEXT NOT NULL, seq INTEGER NOT NULL,
                              time_created INTEGER NOT NULL, time_updated INTEGER NOT NULL, data TEXT NOT NULL);";

#[test]
fn a_sessions_own_sum_stands_beside_what_was_copied_into_it() {
    let live = Live::new();
    live.session("ses_1", "/w", 100, None);
    assert_eq!(sums(&live.dir.path().join("opencode.db")), []);
    live.writer
        .execute_batch(
            "ALTER TABLE session ADD COLUMN tokens_input INTEGER; ALTER TABLE session ADD COLUMN tokens_output INTEGER;
             ALTER TABLE session ADD COLUMN tokens_reasoning INTEGER; ALTER TABLE session ADD COLUMN tokens_cache_read INTEGER;
             ALTER TABLE session ADD COLUMN tokens_cache_write INTEGER;
             UPDATE session SET tokens_input = 1, tokens_output = 2, tokens_reasoning = 3, tokens_cache_read = 4",
        )
        .unwrap();
    live.message("m1", "ses_1", 50, 7, true);
    live.message("m2", "ses_1", 150, 9, true);
    let told = sums(&live.dir.path().join("opencode.db"));
    let expected = Tokens { input: 1, output: 5, reasoning: 3, cache_read: 4, ..Tokens::default() };
    assert_eq!((told.len(), told[0].told, told[0].copied.output), (1, expected, 7));
}

struct Live {
    dir: tempfile::TempDir,
    writer: Connection,
}

impl Live {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let writer = Connection::open(dir.path().join("opencode.db")).unwrap();
        writer.execute_batch(SCHEMA).unwrap();
        Self { dir, writer }
    }

    fn session(&self, id: &str, directory: &str, created: i64, parent: Option<&str>) {
        let sql = "INSERT INTO session VALUES (?1, ?2, ?3, ?4, ?4)";
        self.writer.execute(sql, params![id, parent, directory, created]).unwrap();
    }

    fn message(&self, id: &str, session: &str, created: i64, output: u64, complete: bool) {
        let sql = "INSERT OR REPLACE INTO message VALUES (?1, ?2, ?3, ?3, ?4)";
        self.writer.execute(sql, params![id, session, created, data(created, output, complete)]).unwrap();
    }

    fn follower(&self, root: Option<&str>, position: &[u8]) -> Follower {
        let part = Part { root: root.map(str::to_owned) };
        Follower::new(&self.dir.path().join("opencode.db"), part, position)
    }
}

fn data(created: i64, output: u64, complete: bool) -> String {
    let end = if complete { format!(",\"completed\":{}", created + 5) } else { String::new() };
    format!(
        r#"{{"role":"assistant","modelID":"m","tokens":{{"input":1,"output":{output},"reasoning":0,"cache":{{"read":0,"write":0}}}},"time":{{"created":{created}{end}}}}}"#
    )
}

fn read(follower: &mut Follower) -> Vec<(String, u64)> {
    let mut seen = Vec::new();
    follower.looked = None;
    let stretch = follower.read(&mut |record| seen.push((record.id, record.tokens.output))).unwrap();
    assert_eq!(stretch.unreadable, 0);
    seen
}

#[test]
fn what_a_living_writer_adds_and_completes_is_seen_once_each() {
    let live = Live::new();
    live.session("s", "/w", 10, None);
    live.session("elsewhere", "/other", 10, None);
    live.message("a", "s", 20, 5, true);
    live.message("x", "elsewhere", 21, 99, true);
    live.message("b", "s", 30, 2, false);
    let mut follower = live.follower(Some("s"), &[]);
    assert_eq!(read(&mut follower), [("opencode:a".to_owned(), 5), ("opencode:b".to_owned(), 2)]);
    assert_eq!(read(&mut follower), []);
    live.message("c", "s", 40, 7, true);
    live.message("b", "s", 30, 4, true);
    let mut resumed = live.follower(Some("s"), &follower.position());
    let late = [("opencode:b".to_owned(), 4), ("opencode:c".to_owned(), 7)];
    assert_eq!(read(&mut follower), late);
    assert_eq!(read(&mut resumed), late);
    assert_eq!(read(&mut live.follower(None, &follower.position())), [("opencode:c".to_owned(), 7)]);
}

#[test]
fn forks_copy_and_children_add() {
    let live = Live::new();
    live.session("s", "/w", 10, None);
    live.session("fork", "/w", 35, None);
    live.session("child", "/w", 36, Some("s"));
    live.message("a", "s", 20, 5, true);
    live.message("copy", "fork", 20, 5, true);
    live.message("own", "fork", 40, 7, true);
    live.message("sub", "child", 41, 3, true);
    let path = live.dir.path().join("opencode.db");
    let found: Vec<String> = roots(&path, "/w", 30).unwrap().into_iter().map(|root| root.id).collect();
    assert_eq!(found, ["fork"]);
    assert_eq!(read(&mut live.follower(Some("s"), &[])).len(), 2);
    assert_eq!(read(&mut live.follower(Some("fork"), &[])), [("opencode:own".to_owned(), 7)]);
    let mut total = 0;
    let mut sidechains = 0;
    live.follower(None, &[])
        .read(&mut |record| {
            total += record.tokens.output;
            sidechains += u64::from(record.sidechain);
        })
        .unwrap();
    assert_eq!((total, sidechains), (15, 1));
}

#[test]
fn the_later_layout_knows_its_forks() {
    let live = Live::new();
    live.writer.execute_batch(SCHEMA_2).unwrap();
    let session = "INSERT INTO session_v2 VALUES (?1, NULL, ?2, ?3, '/w', ?4, ?4)";
    live.writer.execute(session, params!["s", None::<&str>, None::<&str>, 10]).unwrap();
    live.writer.execute(session, params!["fork", "s", "copy", 10]).unwrap();
    let message = "INSERT INTO session_message VALUES (?1, ?2, 'assistant', ?3, ?4, ?4, ?5)";
    for (id, session, seq, created) in [("a", "s", 1, 20), ("copy", "fork", 1, 20), ("own", "fork", 2, 30)] {
        live.writer.execute(message, params![id, session, seq, created, data(created, 5, true)]).unwrap();
    }
    assert_eq!(
        read(&mut live.follower(None, &[])),
        [("opencode:a".to_owned(), 5), ("opencode:own".to_owned(), 5)]
    );
}

#[test]
fn a_killed_answer_holds_nothing_up_for_ever() {
    let live = Live::new();
    live.session("s", "/w", 10, None);
    live.message("killed", "s", 20, 5, false);
    live.message("later", "s", 21 + ABANDONED_MS, 5, true);
    let mut follower = live.follower(None, &[]);
    assert_eq!(read(&mut follower).len(), 2);
    assert!(follower.tracks[0].settled > 20);
}

#[test]
fn no_database_yet_is_no_error_and_damage_is_one() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("opencode.db");
    let mut follower = Follower::new(&path, Part::default(), &[]);
    assert_eq!(read(&mut follower), []);
    std::fs::write(&path, vec![7; 8192]).unwrap();
    follower.looked = None;
    assert!(follower.read(&mut |_| {}).is_err());
}

#[test]
fn a_long_past_is_told_in_pieces_and_a_busy_writer_is_left_alone() {
    let live = Live::new();
    live.session("s", "/w", 10, None);
    live.writer.execute_batch("BEGIN").unwrap();
    for index in 0..AT_ONCE as i64 + 100 {
        live.message(&format!("m{index}"), "s", 20 + index / 300, 1, true);
    }
    live.writer.execute_batch("COMMIT").unwrap();
    let mut follower = live.follower(None, &[]);
    let mut told = 0;
    let first = follower.read(&mut |_| told += 1).unwrap();
    assert!(first.more && (AT_ONCE..AT_ONCE + 200).contains(&told), "{told}");
    let mut resumed = live.follower(None, &follower.position());
    let second = follower.read(&mut |_| told += 1).unwrap();
    assert!(!second.more && told == AT_ONCE + 100);
    assert!(follower.read(&mut |_| told += 1).unwrap().later && told == AT_ONCE + 100);
    assert!(read(&mut resumed).len() >= 100);
}
