//! Usage of runtimes that say nothing of themselves: found by what their processes hold open and where they write, counted
//! as it is appended, never guessed. Their processes here are stand-ins of the same names.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};

use anyhow::ensure;
use fleet_testkit::fleet::{self, PATIENCE, collector, sidecar, write_roster};
use fleet_testkit::home::TestHome;
use fleet_testkit::tmux::PrivateTmux;
use fleet_testkit::wait::wait_until;
use rusqlite::{Connection, params};
use serde_json::Value;

struct World {
    tmux: PrivateTmux,
    home: TestHome,
}

impl World {
    fn new(agents: &[(&str, &str)]) -> Self {
        let home = TestHome::new().unwrap();
        let entries: String = agents
            .iter()
            .map(|(name, runtime)| format!("  - {{name: {name}, runtime: {runtime}}}\n"))
            .collect();
        let roster = format!("version: 1\ntmux: {{socket_name: mosaic-fleet}}\nagents:\n{entries}");
        write_roster(&home, &roster).unwrap();
        Self { tmux: PrivateTmux::named(&home, "mosaic-fleet").unwrap(), home }
    }

    /// A process that is called as the runtime is, in that directory; `open` stays open in it.
    fn agent(&self, session: &str, runtime: &str, directory: &Path, open: Option<&Path>) {
        let program = self.home.bin().join(runtime);
        fs::create_dir_all(self.home.bin()).unwrap();
        if !program.exists() {
            fs::copy("/bin/sleep", &program).unwrap();
        }
        let holding = open.map_or(String::new(), |path| format!("exec 9>>'{}'; ", path.display()));
        let command = format!("{holding}exec '{}' 600", program.display());
        let directory = directory.to_str().unwrap();
        self.tmux.run(["new-session", "-d", "-s", session, "-c", directory, "sh", "-c", &command]).unwrap();
    }

    /// Output tokens by agent.
    fn used(&self) -> Vec<(String, u64)> {
        let said = fleet::fleet(&self.home, &["usage", "--json"]).unwrap().json().unwrap();
        let rows = said["rows"].as_array().cloned().unwrap_or_default();
        let row = |row: &Value| Some((row["agent"].as_str()?.to_owned(), row["output"].as_u64()?));
        let mut used: Vec<_> = rows.iter().filter_map(row).collect();
        used.sort();
        used
    }

    fn wait_for(&self, expected: &[(&str, u64)]) {
        let expected: Vec<(String, u64)> =
            expected.iter().map(|(name, used)| ((*name).to_owned(), *used)).collect();
        wait_until(PATIENCE, format!("{expected:?}"), || {
            let used = self.used();
            ensure!(used == expected, "{used:?}");
            Ok(())
        })
        .unwrap();
    }

    fn pi_session(&self, directory: &Path, name: &str) -> PathBuf {
        let munged = directory.to_str().unwrap().trim_start_matches('/').replace('/', "-");
        let sessions = self.home.home().join(".pi/agent/sessions").join(format!("--{munged}--"));
        fs::create_dir_all(&sessions).unwrap();
        let path = sessions.join(format!("{name}.jsonl"));
        let now = humantime();
        let head = format!(
            r#"{{"type":"session","version":3,"id":"{name}","timestamp":"{now}","cwd":"{}"}}"#,
            directory.display()
        );
        append(&path, &head);
        path
    }
}

fn append(path: &Path, line: &str) {
    let mut file = fs::File::options().create(true).append(true).open(path).unwrap();
    writeln!(file, "{line}").unwrap();
}

fn humantime() -> String {
    jiff::Timestamp::now().to_string()
}

fn answer(id: &str, output: u64) -> String {
    format!(
        r#"{{"type":"message","id":"{id}","timestamp":"{}","message":{{"role":"assistant","model":"m","usage":{{"input":1,"output":{output},"cacheRead":0,"cacheWrite":0}}}}}}"#,
        humantime()
    )
}

fn counter(total: u64, last: u64) -> String {
    format!(
        r#"{{"timestamp":"{}","type":"event_msg","payload":{{"type":"token_count","info":{{"total_token_usage":{{"input_tokens":10,"output_tokens":{total}}},"last_token_usage":{{"output_tokens":{last}}}}}}}}}"#,
        humantime()
    )
}

#[test]
fn what_codex_pi_and_opencode_use_is_their_agents() {
    let world = World::new(&[("co", "codex"), ("pie", "pi"), ("open", "opencode")]);
    let work = |name: &str| world.home.work(name).unwrap().canonicalize().unwrap();
    let (co, pie, open) = (work("co"), work("pie"), work("open"));
    let rollouts = world.home.home().join(".codex/sessions/2026/11/21");
    fs::create_dir_all(&rollouts).unwrap();
    let rollout = rollouts.join("rollout-2026-11-21T10-05-02-t1.jsonl");
    append(
        &rollout,
        r#"{"timestamp":"2026-11-21T10:05:02.138Z","type":"session_meta","payload":{"id":"t1"}}"#,
    );
    append(&rollout, &counter(5, 5));
    world.agent("co", "codex", &co, Some(&rollout));
    world.agent("pie", "pi", &pie, None);
    world.agent("open", "opencode", &open, None);
    let _collector = collector(&world.home, "off").unwrap();
    let host = sidecar(&world.home, &["--host"]).unwrap();
    world.wait_for(&[("co", 5)]);

    let session = world.pi_session(&pie, "s1");
    append(&session, &answer("a1", 7));
    let database = database(&world, &open);
    message(&database, "m1", 11);
    append(&rollout, &counter(9, 4));
    world.wait_for(&[("co", 9), ("open", 11), ("pie", 7)]);

    host.kill().unwrap();
    append(&rollout, &counter(9, 4));
    append(&rollout, &counter(20, 11));
    append(&session, &answer("a2", 2));
    message(&database, "m2", 100);
    let _host = sidecar(&world.home, &["--host"]).unwrap();
    world.wait_for(&[("co", 20), ("open", 111), ("pie", 9)]);
}

#[test]
fn what_a_shared_daemon_writes_is_of_the_agent_in_whose_directory_it_began() {
    let world = World::new(&[("co", "codex"), ("idle", "codex")]);
    let work = |name: &str| world.home.work(name).unwrap().canonicalize().unwrap();
    let (co, idle, rollouts) = (work("co"), work("idle"), work("rollouts"));
    world.agent("co", "codex", &co, None);
    world.agent("idle", "codex", &idle, None);
    let rollout = rollouts.join("rollout-2026-11-21T10-05-02-t1.jsonl");
    let meta = format!(
        r#"{{"timestamp":"{now}","type":"session_meta","payload":{{"id":"t1","timestamp":"{now}","cwd":"{}"}}}}"#,
        co.display(),
        now = humantime(),
    );
    append(&rollout, &meta);
    append(&rollout, &counter(5, 5));
    let daemon = world.home.work("daemon").unwrap().join("codex");
    fs::copy("/bin/sh", &daemon).unwrap();
    let script = format!("exec 9>>'{}'; sleep 600; :", rollout.display());
    let argv = [daemon.to_str().unwrap(), "-c", &script, "app-server"];
    world.tmux.run(["new-session", "-d", "-s", "elsewhere"].iter().chain(&argv)).unwrap();
    let _collector = collector(&world.home, "off").unwrap();
    let _host = sidecar(&world.home, &["--host"]).unwrap();
    world.wait_for(&[("co", 5)]);
    append(&rollout, &counter(9, 4));
    world.wait_for(&[("co", 9)]);
}

#[test]
fn what_either_of_two_may_have_used_is_nobodys() {
    let world = World::new(&[("one", "pi"), ("two", "pi")]);
    let shared = world.home.work("shared").unwrap().canonicalize().unwrap();
    world.agent("one", "pi", &shared, None);
    let _collector = collector(&world.home, "off").unwrap();
    let _host = sidecar(&world.home, &["--host"]).unwrap();
    let own = world.pi_session(&shared, "s1");
    append(&own, &answer("a1", 7));
    world.wait_for(&[("one", 7)]);
    world.agent("two", "pi", &shared, None);
    append(&own, &answer("a2", 1));
    world.wait_for(&[("one", 8)]);
    append(&world.pi_session(&shared, "s2"), &answer("b1", 30));
    world.wait_for(&[("(unattributed)", 30), ("one", 8)]);
}

fn database(world: &World, directory: &Path) -> Connection {
    let data = world.home.home().join(".local/share/opencode");
    fs::create_dir_all(&data).unwrap();
    let database = Connection::open(data.join("opencode.db")).unwrap();
    let layout = "PRAGMA journal_mode = WAL;
        CREATE TABLE session (id TEXT PRIMARY KEY, parent_id TEXT, directory TEXT, time_created INTEGER, time_updated INTEGER);
        CREATE TABLE message (id TEXT PRIMARY KEY, session_id TEXT, time_created INTEGER, time_updated INTEGER, data TEXT);";
    database.execute_batch(layout).unwrap();
    let now = jiff::Timestamp::now().as_millisecond();
    let session = "INSERT INTO session VALUES ('ses', NULL, ?1, ?2, ?2)";
    database.execute(session, params![directory.to_str().unwrap(), now]).unwrap();
    database
}

fn message(database: &Connection, id: &str, output: u64) {
    let now = jiff::Timestamp::now().as_millisecond();
    let data = format!(
        r#"{{"role":"assistant","modelID":"m","tokens":{{"input":1,"output":{output},"reasoning":0,"cache":{{"read":0,"write":0}}}},"time":{{"created":{now},"completed":{now}}}}}"#
    );
    database.execute("INSERT INTO message VALUES (?1, 'ses', ?2, ?2, ?3)", params![id, now, data]).unwrap();
    database.execute("UPDATE session SET time_updated = ?1", params![now]).unwrap();
}
