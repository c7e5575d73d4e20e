//! The real Claude Code against the stub; and the scripted agent against the real one: same keys in the same order
//! with the same types, in every file that the fleet reads.
#![expect(clippy::unwrap_used, clippy::panic, reason = "helpers of tests")]

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use std::time::Duration;

use fleet_testkit::agent::{ScriptedAgent, ScriptedOptions, count_on_disk, whole_lines};
use fleet_testkit::claude::{ClaudeOptions, ClaudeSession, RealClaude};
use fleet_testkit::home::TestHome;
use fleet_testkit::stub::ModelStub;
use fleet_testkit::tmux::PrivateTmux;
use fleet_testkit::wait::wait_until;
use serde_json::Value;

const PATIENCE: Duration = Duration::from_secs(60);

struct Stage {
    tmux: PrivateTmux,
    stub: ModelStub,
    home: TestHome,
}

/// `None` where the real one cannot be had; told once for the whole file.
fn real() -> Option<RealClaude> {
    static REAL: OnceLock<Option<RealClaude>> = OnceLock::new();
    REAL.get_or_init(RealClaude::require_or_skip).clone()
}

fn stage() -> Stage {
    let home = TestHome::new().unwrap();
    Stage { tmux: PrivateTmux::new(&home).unwrap(), stub: ModelStub::start().unwrap(), home }
}

impl Stage {
    fn launch(&self, claude: &RealClaude, options: &ClaudeOptions) -> ClaudeSession<'_> {
        claude.launch_with(&self.tmux, &self.home, "w", &self.stub, options).unwrap()
    }

    fn scripted(&self, args: &[&str]) -> ScriptedAgent {
        self.scripted_with(options_of(args))
    }

    fn scripted_with(&self, options: ScriptedOptions) -> ScriptedAgent {
        ScriptedAgent::launch(&self.tmux, &self.home, "scripted", &options).unwrap()
    }
}

fn options_of(args: &[&str]) -> ScriptedOptions {
    ScriptedOptions {
        program: Some(PathBuf::from(env!("CARGO_BIN_EXE_scripted-agent"))),
        args: args.iter().map(|&arg| arg.to_owned()).collect(),
        ..ScriptedOptions::default()
    }
}

#[test]
fn one_prompt_goes_from_idle_over_busy_to_idle_with_a_usage_row() {
    let Some(claude) = real() else { return };
    let stage = stage();
    let session = stage.launch(&claude, &ClaudeOptions::default());
    assert_eq!(stage.tmux.pane("w").unwrap().command, "claude");
    assert!(!session.transcript_path().unwrap().exists(), "no transcript before the first prompt");
    session.send_prompt("SLOW2 tell me").unwrap();
    session.wait_for("busy").unwrap();
    let idle = session.wait_for("idle").unwrap();
    assert_eq!(idle["pid"], session.pid());
    session.wait_for_row("turn_duration", |row| row["subtype"] == "turn_duration").unwrap();
    let billed = count_on_disk(&stage.home.claude_config()).unwrap();
    assert_eq!((billed.responses, billed.tokens.output), (1, 50));
    assert!(session.screen().unwrap().contains("STUBOK"));
    assert!(stage.stub.requests().unwrap().iter().any(|request| request["api"] == "anthropic"));
}

#[test]
fn a_tool_call_waits_for_permission() {
    let Some(claude) = real() else { return };
    let stage = stage();
    let session = stage.launch(&claude, &ClaudeOptions::default());
    session.send_prompt("TOOL please").unwrap();
    let waiting = session.wait_for("waiting").unwrap();
    assert_eq!(waiting["waitingFor"], "permission prompt");
    session.answer("1").unwrap();
    session.wait_for("idle").unwrap();
}

#[test]
fn a_kill_leaves_the_state_file_of_the_real_one_too() {
    let Some(claude) = real() else { return };
    let stage = stage();
    let session = stage.launch(&claude, &ClaudeOptions::default());
    session.send_prompt("HANG now").unwrap();
    session.wait_for("busy").unwrap();
    session.kill().unwrap();
    assert_eq!(session.state().unwrap()["status"], "busy");
}

/// One row as text and as data.
struct Row {
    text: String,
    value: Value,
}

impl Row {
    fn of(text: &str) -> Self {
        Self { text: text.to_owned(), value: serde_json::from_str(text).unwrap() }
    }

    fn read(path: &Path) -> Vec<Self> {
        whole_lines(path).unwrap().iter().map(|line| Self::of(line)).collect()
    }

    /// What the row is, as finely as readers tell rows apart.
    fn kind(&self) -> String {
        let row = &self.value;
        let block = &row["message"]["content"][0];
        let parts = [
            &row["type"],
            &row["subtype"],
            &row["operation"],
            &row["error"],
            &row["attachment"]["type"],
            &row["origin"]["kind"],
            &row["isAbortedMidStream"],
            &row["isSidechain"],
            &block["type"],
            &block["name"],
            &block["is_error"],
        ];
        let known = parts.iter().filter(|part| !part.is_null());
        known.map(|part| part.to_string().replace('"', "")).collect::<Vec<_>>().join(" ")
    }

    /// The path of each key with the type of its value.
    fn types(&self) -> Vec<(String, &'static str)> {
        let mut found = Vec::new();
        walk("", &self.value, &mut found);
        found
    }

    /// All keys in the order in which they are written.
    fn keys(&self) -> Vec<&str> {
        let mut keys = Vec::new();
        let mut begin = None;
        let mut escaped = false;
        for (at, c) in self.text.char_indices() {
            match (begin, c) {
                (Some(_), _) if escaped => escaped = false,
                (Some(_), '\\') => escaped = true,
                (Some(from), '"') => {
                    if self.text[at + 1..].starts_with(':') {
                        keys.push(&self.text[from..at]);
                    }
                    begin = None;
                }
                (None, '"') => begin = Some(at + 1),
                _ => {}
            }
        }
        keys
    }
}

fn walk(path: &str, value: &Value, found: &mut Vec<(String, &'static str)>) {
    let kind = match value {
        Value::Null => "null",
        Value::Bool(_) => "bool",
        Value::Number(_) => "number",
        Value::String(_) => "string",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
    };
    found.push((path.to_owned(), kind));
    match value {
        Value::Object(map) => {
            map.iter().for_each(|(key, value)| walk(&format!("{path}/{key}"), value, found))
        }
        Value::Array(items) => items.iter().for_each(|value| walk(&format!("{path}[]"), value, found)),
        _ => {}
    }
}

/// Of each kind the last row, which is past the peculiarities of a first one.
fn by_kind(rows: Vec<Row>) -> BTreeMap<String, Row> {
    rows.into_iter().map(|row| (row.kind(), row)).collect()
}

fn compare(what: &str, scripted: &Row, real: &Row) {
    assert_eq!(scripted.types(), real.types(), "{what}:\nscripted {}\nreal {}", scripted.text, real.text);
    assert_eq!(scripted.keys(), real.keys(), "{what}");
}

fn rows_by_kind(paths: &[PathBuf]) -> BTreeMap<String, Row> {
    by_kind(paths.iter().flat_map(|path| Row::read(path)).collect())
}

/// Every row that the scripted agent wrote has a real one of its kind, and the same keys and types.
fn compare_all(scripted: &[PathBuf], real: &[PathBuf], at_least: usize) {
    let (ours, real) = (rows_by_kind(scripted), rows_by_kind(real));
    for (kind, row) in &ours {
        let real =
            real.get(kind).unwrap_or_else(|| panic!("the real one writes no {kind}: {:?}", real.keys()));
        compare(kind, row, real);
    }
    assert!(ours.len() >= at_least, "{:?}", ours.keys());
}

/// In the scripted agent's words for what the real one does with the stub's words.
const PAIRS: [(&str, &[&str]); 4] = [
    ("PAR go", &["prompt x", "work blocks=4", "work", "end"]),
    ("TOOL go", &["prompt x", "permission \"Bash: ls\"", "allow", "work", "end"]),
    ("ASK go", &["prompt x", "question Which?"]),
    ("LIMIT go", &["prompt x", "limit 2h"]),
];

#[test]
fn the_scripted_agent_writes_the_rows_of_the_real_one() {
    let Some(claude) = real() else { return };
    let stage = stage();
    let options = ClaudeOptions { subscription: true, args: model(), ..ClaudeOptions::default() };
    let session = stage.launch(&claude, &options);
    let mut scripted = stage.scripted(&[]);
    for (word, steps) in PAIRS {
        session.send_prompt(word).unwrap();
        drive(&session, word);
        for step in steps {
            scripted.step(step).unwrap();
        }
        if word.starts_with("ASK") {
            compare_states(&session, &scripted);
            session.answer("Escape").unwrap();
            session.wait_for("idle").unwrap();
            scripted.step("deny").unwrap();
        }
    }
    session.wait_for_row("of the limit", |row| row["apiError"] == "usage_limit_reached").unwrap();
    let real = session.transcript_path().unwrap();
    session.terminate().unwrap();
    scripted.step("exit").unwrap();
    let ours = scripted.transcript_path(&stage.home.work("scripted").unwrap());
    compare_all(&[ours], &[real], 15);
}

#[test]
fn so_it_does_for_turns_that_fail_are_interrupted_or_delegate() {
    let Some(claude) = real() else { return };
    let stage = stage();
    let env = vec![("CLAUDE_CODE_MAX_RETRIES".to_owned(), "1".to_owned())];
    let options = ClaudeOptions { args: model(), env, ..ClaudeOptions::default() };
    let session = stage.launch(&claude, &options);
    session.send_prompt("ERR529 go").unwrap();
    session.wait_for_turn("ERR529 go").unwrap();
    session.send_prompt("SLOW60 go").unwrap();
    wait_until(PATIENCE, "a stream", || session.screen().is_ok_and(|screen| screen.contains("slow-word-2")))
        .unwrap();
    session.interrupt_stream().unwrap();
    session.wait_for("idle").unwrap();
    session.send_prompt("AGENT go").unwrap();

    let script = "error server_error\nprompt x\nsubagent\nwork 1h\n";
    let mut scripted =
        stage.scripted_with(ScriptedOptions { script: Some(script.to_owned()), ..options_of(&[]) });
    wait_until(PATIENCE, "the work", || scripted.state().is_ok_and(|state| state["status"] == "busy"))
        .unwrap();
    scripted.step("interrupt").unwrap();
    let ours = with_subagents(scripted.transcript_path(&stage.home.work("scripted").unwrap()));

    // Its rows come some time after what they tell, and those of a sub-agent before those of who asked it.
    let main = session.transcript_path().unwrap();
    let wanted = rows_by_kind(&ours);
    let all = wait_until(PATIENCE, "all kinds of rows", || {
        let files = with_subagents(main.clone());
        let there = rows_by_kind(&files);
        let missing: Vec<&String> = wanted.keys().filter(|kind| !there.contains_key(*kind)).collect();
        if missing.is_empty() { Ok(files) } else { Err(format!("no {missing:?} in {:?}", there.keys())) }
    })
    .unwrap();
    session.kill().unwrap();
    compare_all(&ours, &all, 10);
}

fn with_subagents(main: PathBuf) -> Vec<PathBuf> {
    subagent_files(&main).into_iter().chain([main]).collect()
}

fn subagent_files(transcript: &Path) -> Vec<PathBuf> {
    let dir = transcript.with_extension("").join("subagents");
    let files = std::fs::read_dir(dir).into_iter().flatten().map(|entry| entry.unwrap().path());
    files.filter(|path| path.extension().is_some_and(|extension| extension == "jsonl")).collect()
}

fn model() -> Vec<String> {
    ["--model", "claude-sonnet-5"].map(str::to_owned).into()
}

fn drive(session: &ClaudeSession<'_>, word: &str) {
    if word.starts_with("TOOL") {
        session.answer("1").unwrap();
    }
    if word.starts_with("ASK") {
        session.wait_for("waiting").unwrap();
    } else {
        session.wait_for_turn(word).unwrap();
    }
}

fn compare_states(real: &ClaudeSession<'_>, scripted: &ScriptedAgent) {
    let one = |path| Row::of(&std::fs::read_to_string(path).unwrap());
    let (ours, mut real) = (one(&scripted.state_path()), one(&real.state_path()));
    assert_eq!(real.value["waitingFor"], "input needed");
    // Asked of the tmux server, which the scripted agent leaves alone.
    let tmux = real.value.as_object_mut().unwrap().remove("tmux").unwrap();
    real.text = real.text.replace(&format!("\"tmux\":{tmux},"), "");
    compare("the state file", &ours, &real);
    for same in ["version", "peerProtocol", "peerFeatures", "kind", "entrypoint", "pidDomain", "nameSource"] {
        assert_eq!(ours.value[same], real.value[same], "{same}");
    }
}
