//! The scripted agent in a private tmux, driven over its control socket.
#![expect(clippy::unwrap_used, reason = "helpers of tests")]

use std::path::PathBuf;
use std::time::Duration;

use fleet_testkit::agent::{ScriptedAgent, ScriptedOptions, count_on_disk, read_rows};
use fleet_testkit::home::TestHome;
use fleet_testkit::scripted::{Billed, Tokens};
use fleet_testkit::tmux::PrivateTmux;
use fleet_testkit::wait::wait_until;
use serde_json::Value;

struct Stage {
    agent: ScriptedAgent,
    tmux: PrivateTmux,
    home: TestHome,
}

fn options(args: &[&str]) -> ScriptedOptions {
    ScriptedOptions {
        program: Some(PathBuf::from(env!("CARGO_BIN_EXE_scripted-agent"))),
        args: args.iter().map(|&arg| arg.to_owned()).collect(),
        ..ScriptedOptions::default()
    }
}

fn stage_with(options: &ScriptedOptions) -> Stage {
    let home = TestHome::new().unwrap();
    let tmux = PrivateTmux::new(&home).unwrap();
    let agent = ScriptedAgent::launch(&tmux, &home, "w", options).unwrap();
    Stage { agent, tmux, home }
}

fn stage(args: &[&str]) -> Stage {
    stage_with(&options(args))
}

impl Stage {
    fn step(&mut self, step: &str) -> Billed {
        self.agent.step(step).unwrap()
    }

    fn status(&self) -> (String, Option<String>) {
        let state = self.agent.state().unwrap();
        let text = |key: &str| state[key].as_str().map(str::to_owned);
        (text("status").unwrap(), text("waitingFor"))
    }

    fn screen(&self) -> String {
        self.tmux.capture("w").unwrap()
    }

    fn rows(&self) -> Vec<Value> {
        read_rows(&self.agent.transcript_path(&self.home.work("w").unwrap())).unwrap()
    }

    fn kinds(&self) -> Vec<String> {
        let rows = self.rows();
        rows.iter().map(|row| row["type"].as_str().unwrap().to_owned()).collect()
    }
}

fn idle() -> (String, Option<String>) {
    ("idle".to_owned(), None)
}

#[test]
fn a_turn_is_on_disk_and_on_the_screen_when_the_step_is_answered() {
    let mut stage = stage(&[]);
    assert_eq!(stage.status(), idle());
    let transcript = stage.agent.transcript_path(&stage.home.work("w").unwrap());
    assert!(!transcript.exists(), "no transcript before the first prompt");
    assert!(stage.screen().contains("❯\u{a0}"), "{}", stage.screen());

    stage.step("prompt fix the tests");
    assert_eq!(stage.status().0, "busy");
    assert!(stage.screen().contains("esc to interrupt"), "{}", stage.screen());
    assert_eq!(stage.kinds().last().unwrap(), "attachment");

    let billed = stage.step("work 0s tokens=10,200,3000,400,50 blocks=4");
    let tokens = Tokens { input: 10, output: 200, cache_read: 3000, cache_write_5m: 400, cache_write_1h: 50 };
    assert_eq!(billed, Billed { responses: 1, tokens });
    let rows = stage.rows();
    let usage: Vec<&Value> =
        rows.iter().filter(|row| row["type"] == "assistant").map(|row| &row["message"]).collect();
    assert_eq!(usage.len(), 4, "a row for each block");
    assert!(
        usage.iter().all(|message| message["id"] == usage[0]["id"] && message["usage"] == usage[0]["usage"])
    );

    stage.step("end");
    assert_eq!(stage.status(), idle());
    assert!(stage.screen().contains("· done "), "{}", stage.screen());
    assert!(stage.rows().iter().any(|row| row["subtype"] == "turn_duration"));
    assert_eq!(count_on_disk(&stage.home.claude_config()).unwrap(), stage.agent.billed());
}

#[test]
fn everything_that_bills_is_counted() {
    let mut stage = stage(&["--noise", "50000"]);
    for step in [
        "prompt one",
        "work tokens=1,2,3,4,5 blocks=3",
        "subagent tokens=100,200,300,400,500",
        "permission \"Bash: rm x\" tokens=7",
        "allow",
        "question Which? tokens=0,9",
        "work",
        "end",
        "error server_error",
        "limit 30m",
    ] {
        stage.step(step);
    }
    let billed = stage.agent.billed();
    assert_eq!(billed.responses, 5);
    assert_eq!(count_on_disk(&stage.home.claude_config()).unwrap(), billed);
    stage.step("exit 0");
    let rows = stage.rows();
    let cost = rows.iter().rfind(|row| row["type"] == "cost-state").unwrap();
    assert_eq!(cost["modelUsage"]["claude-sonnet-5"]["outputTokens"], billed.tokens.output);
}

#[test]
fn dialogs_show_the_status_and_the_screen_of_the_real_one() {
    let mut stage = stage(&[]);
    stage.step("permission \"Bash: rm -r target\"");
    assert_eq!(stage.status(), ("waiting".to_owned(), Some("permission prompt".to_owned())));
    for part in ["rm -r target", "Do you want to proceed?", "❯ 1. Yes", "Esc to cancel · Tab to amend"] {
        assert!(stage.screen().contains(part), "{part}: {}", stage.screen());
    }
    assert!(stage.agent.step("end").unwrap_err().to_string().contains("a dialog is open"));
    stage.step("deny");
    assert_eq!(stage.status(), idle());
    assert!(!stage.rows().iter().any(|row| row["subtype"] == "turn_duration"), "a refused turn has none");

    stage.step("question Which colour?");
    assert_eq!(stage.status(), ("waiting".to_owned(), Some("input needed".to_owned())));
    assert!(stage.screen().contains("Enter to select · ↑/↓ to navigate · Esc to cancel"));
    stage.step("allow");
    stage.step("background");
    assert_eq!(stage.status(), ("shell".to_owned(), None));
    assert!(stage.screen().contains("1 shell · ↓ to manage"), "{}", stage.screen());
    stage.step("end");
    assert_eq!(stage.status(), idle());
}

#[test]
fn limits_and_errors_are_idle_with_a_row_that_says_why() {
    let mut stage = stage(&[]);
    let now = unix_now();
    stage.step("limit 30m");
    assert_eq!(stage.status(), idle());
    let row = stage.rows().into_iter().find(|row| row["isApiErrorMessage"] == true).unwrap();
    assert_eq!((&row["error"], &row["apiErrorStatus"]), (&"rate_limit".into(), &429.into()));
    let resets = row["quotaLimits"]["resetsAt"].as_i64().unwrap();
    assert!((now + 1790..now + 1860).contains(&resets), "{resets} after {now}");
    assert!(stage.screen().contains("You've hit your 5-hour limit · resets "), "{}", stage.screen());
    assert!(stage.screen().contains("⚠ Usage limit reached · limit resets "), "{}", stage.screen());

    stage.step("error authentication_failed");
    assert!(stage.screen().contains("Not logged in · Please run /login"), "{}", stage.screen());
    let row = stage.rows().into_iter().rfind(|row| row["isApiErrorMessage"] == true).unwrap();
    assert_eq!(row["error"], "authentication_failed");
    assert_eq!(row["message"]["model"], "<synthetic>");
    assert_eq!(stage.agent.billed(), Billed::default());
}

fn unix_now() -> i64 {
    std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs() as i64
}

#[test]
fn a_kill_leaves_the_state_file_and_an_exit_removes_it() {
    for (step, stays) in [("kill", true), ("crash", true), ("exit 3", false)] {
        let mut stage = stage(&[]);
        stage.step("prompt hold on");
        let state = stage.agent.state().unwrap();
        match step {
            "kill" => stage.agent.kill().unwrap(),
            step => drop(stage.step(step)),
        }
        assert!(!stage.agent.is_alive(), "{step}");
        assert_eq!(stage.agent.state_path().exists(), stays, "{step}");
        if stays {
            assert_eq!(stage.agent.state().unwrap(), state, "with its last status");
        }
    }
}

#[test]
fn sigterm_and_a_killed_session_are_clean_ends() {
    for how in ["TERM", "session"] {
        let mut stage = stage(&[]);
        stage.step("prompt hold on");
        match how {
            "TERM" => nix::sys::signal::kill(
                nix::unistd::Pid::from_raw(stage.agent.pid() as i32),
                nix::sys::signal::Signal::SIGTERM,
            )
            .unwrap(),
            _ => stage.tmux.kill_session("w").unwrap(),
        }
        wait_until(Duration::from_secs(10), "the end", || !stage.agent.is_alive()).unwrap();
        assert!(!stage.agent.state_path().exists(), "{how}");
        assert!(stage.kinds().contains(&"cost-state".to_owned()), "{how}");
    }
}

#[test]
fn the_process_looks_like_claude() {
    let stage = stage(&["--dangerously-skip-permissions", "--settings", "{}"]);
    let pane = stage.tmux.pane("w").unwrap();
    assert_eq!((pane.pid, pane.command.as_str()), (stage.agent.pid(), "claude"));
    assert_eq!(pane.title, "✳ Claude Code");
    let comm = std::fs::read_to_string(format!("/proc/{}/comm", pane.pid)).unwrap();
    assert_eq!(comm, "claude\n");
    let stat = std::fs::read_to_string(format!("/proc/{}/stat", pane.pid)).unwrap();
    let start = stat.rsplit_once(") ").unwrap().1.split(' ').nth(19).unwrap();
    let state = stage.agent.state().unwrap();
    assert_eq!(state["procStart"], start);
    assert_eq!(state["sessionId"], stage.agent.session_id());
    assert!(stage.screen().contains("bypass permissions on"));
}

#[test]
fn a_script_runs_by_itself_and_durations_scale() {
    let script = "# a day in a minute\nprompt one\nwork 60s tokens=1,1\nend\nidle 60s\nloop\n";
    let stage =
        stage_with(&ScriptedOptions { script: Some(script.to_owned()), ..options(&["--speed", "600"]) });
    wait_until(Duration::from_secs(20), "three rounds", || {
        let billed = count_on_disk(&stage.home.claude_config()).map_err(|error| format!("{error:#}"))?;
        if billed.responses >= 3 { Ok(()) } else { Err(format!("{billed:?}")) }
    })
    .unwrap();
}

#[test]
fn a_typed_prompt_is_answered_and_one_in_a_turn_waits() {
    let mut stage = stage(&["--reply", "0s"]);
    stage.tmux.paste("w", "first line\nsecond line").unwrap();
    wait_until(Duration::from_secs(10), "the draft", || stage.screen().contains("❯\u{a0}first line"))
        .unwrap();
    stage.tmux.send_keys("w", &["Enter"]).unwrap();
    wait_until(Duration::from_secs(10), "the answer", || stage.screen().contains("· done ")).unwrap();
    let rows = stage.rows();
    let prompt = rows.iter().find(|row| row["type"] == "user").unwrap();
    assert_eq!(prompt["message"]["content"], "first line\nsecond line");

    stage.step("prompt busy now");
    stage.tmux.send_keys("w", &["later", "Enter"]).unwrap();
    wait_until(Duration::from_secs(10), "the queue", || stage.screen().contains("Queued")).unwrap();
    stage.step("end");
    wait_until(Duration::from_secs(10), "its turn", || {
        stage.rows().iter().any(|row| row["message"]["content"] == "later")
    })
    .unwrap();
    let operations = stage.rows().into_iter().filter(|row| row["type"] == "queue-operation");
    assert_eq!(operations.map(|row| row["operation"].clone()).collect::<Vec<_>>(), ["enqueue", "dequeue"]);
}

#[test]
fn enter_approves_and_escape_interrupts() {
    let mut stage = stage(&[]);
    stage.step("permission \"Bash: rm x\"");
    stage.tmux.send_keys("w", &["Enter"]).unwrap();
    wait_until(Duration::from_secs(10), "busy", || stage.status().0 == "busy").unwrap();
    stage.step("end");

    stage.step("prompt early");
    stage.tmux.send_keys("w", &["Escape"]).unwrap();
    wait_until(Duration::from_secs(10), "the draft", || stage.screen().contains("❯\u{a0}early")).unwrap();
    assert_eq!(stage.status(), idle());
    assert_eq!(count_on_disk(&stage.home.claude_config()).unwrap(), stage.agent.billed());
}

#[test]
fn an_interrupted_response_keeps_the_usage_of_its_beginning() {
    let script = "prompt one\nwork 1h tokens=5,600,7\n";
    let mut stage = stage_with(&ScriptedOptions { script: Some(script.to_owned()), ..options(&[]) });
    wait_until(Duration::from_secs(10), "busy", || stage.status().0 == "busy").unwrap();
    stage.step("interrupt");
    assert_eq!(stage.status(), idle());
    let billed = stage.step("status");
    assert_eq!(billed.tokens, Tokens { input: 5, output: 1, cache_read: 7, ..Tokens::default() });
    assert_eq!(count_on_disk(&stage.home.claude_config()).unwrap(), billed);
    assert!(stage.rows().iter().any(|row| row["isAbortedMidStream"] == true));
}

#[test]
fn it_is_still_while_idle_and_moves_while_it_works() {
    let mut stage = stage(&[]);
    let written = format!("/proc/{}/io", stage.agent.pid());
    let written = || {
        let io = std::fs::read_to_string(&written).unwrap();
        io.lines().find_map(|line| line.strip_prefix("wchar: ")).unwrap().parse::<u64>().unwrap()
    };
    let mut cost = |step: &str| {
        let before = written();
        stage.step(step);
        written() - before
    };
    cost("prompt move");
    // Ten frames are more than this, whatever the answers to the steps add.
    let frames = 400;
    let (moment, longer) = (cost("idle"), cost("idle 1s"));
    assert!(longer > moment + frames, "{longer} bytes against {moment}");
    cost("end");
    let (moment, longer) = (cost("idle"), cost("idle 1s"));
    assert!(longer < moment + frames / 2, "{longer} bytes against {moment}");
}

#[test]
fn mistakes_are_told() {
    let mut stage = stage(&[]);
    for (step, error) in [
        ("jump", "unknown step \"jump\""),
        ("end", "no turn is on"),
        ("allow", "nothing was asked"),
        ("loop", "loop is for scripts"),
    ] {
        let said = stage.agent.step(step).unwrap_err().to_string();
        assert!(said.contains(error), "{said}");
    }
    assert_eq!(stage.status(), idle());
}

#[test]
fn in_place_writes_keep_the_inode_and_renames_do_not() {
    use std::os::unix::fs::MetadataExt as _;
    for (args, same) in [(&["--in-place"][..], true), (&[][..], false)] {
        let mut stage = stage(args);
        let inode = |stage: &Stage| std::fs::metadata(stage.agent.state_path()).unwrap().ino();
        let before = inode(&stage);
        stage.step("prompt x");
        assert_eq!(inode(&stage) == before, same);
    }
}
