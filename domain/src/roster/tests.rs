use proptest::prelude::*;

use super::*;

const GOOD: &str = r#"
version: 1
transport: tmux
tmux:
  socket_name: mosaic-fleet
defaults:
  workingDirectory: ~/src
runtimes:
  claude: { reset_command: /clear }
agents:
  - name: orchestrator
    runtime: claude
    class: orchestrator
    modelHint: claude-opus-5
  - name: coder0
    runtime: pi
    class: implementer
    persistent_persona: semi
    yolo: false
    working_directory: ~/src/app
  - name: helper
    runtime: local
    command: bash
connector: { kind: matrix, matrix: { homeserver_url: "https://m.example", user_id: "@f:m", room_id: "!r:m" } }
"#;

fn problems(text: &str) -> Vec<String> {
    Roster::parse(text).unwrap_err().0.iter().map(Problem::to_string).collect()
}

#[test]
fn a_good_roster_is_read_in_both_spellings() {
    let roster = Roster::parse(GOOD).unwrap();
    assert_eq!(roster.tmux.socket_name.as_str(), "mosaic-fleet");
    assert_eq!(roster.tmux.holder_session, "_holder");
    assert_eq!(roster.agents.len(), 3);
    assert_eq!(roster.agents[0].model_hint.as_deref(), Some("claude-opus-5"));
    assert_eq!(roster.agents[0].persistent_persona, Persona::Persistent);
    assert_eq!(roster.agents[1].persistent_persona, Persona::Semi);
    assert_eq!(roster.agents[1].yolo, Some(false));
    assert!(roster.agents[2].runs_a_shell() && !roster.agents[0].runs_a_shell());
    assert!(matches!(roster.connector, Connector::Matrix { .. }));
}

#[test]
fn a_shell_that_carries_out_a_custom_command_is_no_sign_of_death() {
    let runs = |runtime: &str, command: &str| {
        let text = format!("version: 1\nagents: [{{name: a, runtime: {runtime}, command: '{command}'}}]");
        Roster::parse(&text).unwrap().agents[0].runs_a_shell()
    };
    assert!(runs("local", "bash") && runs("local", "cd x && ./agent") && runs("local", "FOO=1 exec zsh"));
    assert!(
        !runs("local", "./agent") && !runs("claude", "cd x && claude") && !runs("local", "bash -c ./agent")
    );
}

#[test]
fn json_is_a_roster_too() {
    let roster = Roster::parse(r#"{"version": 1, "agents": [{"name": "a", "runtime": "codex"}]}"#).unwrap();
    assert_eq!(roster.agents[0].class, "worker");
    assert!(roster.tmux.socket_name.is_default());
}

#[test]
fn every_mistake_is_told_at_once_with_line_and_key() {
    let text = "version: 2\ntmux:\n  socket_nam: x\nagents:\n  - name: a.b\n    runtime: claud\n  - runtime: pi\n    yolo: maybe\n  - name: c\n    runtime: pi\n  - name: c\n    runtime: pi\n";
    assert_eq!(
        problems(text),
        [
            "line 1: version: `2` is not known here; write `version: 1`",
            "line 3: tmux.socket_nam: unknown key; did you mean `socket_name`?",
            "line 5: agents[0].name: \"a.b\" is not an agent name: tmux would rewrite `.` and `:`; use 1 to 64 letters, digits, `_` or `-`, beginning with a letter or digit",
            "line 6: agents[0].runtime: `claud` is not a runtime that is built in (claude, codex, pi, opencode); did you mean `claude`?; another one needs a `command`",
            "line 7: agents[1].name: this key is required",
            "line 8: agents[1].yolo: `true` or `false` is wanted here, not `maybe`",
            "line 11: agents[3].name: `c` is the name of the agent in line 9 already; names are unique",
        ]
    );
}

#[test]
fn broken_and_hostile_documents_are_one_clear_line() {
    for (text, part) in [
        ("", "empty"),
        ("just words", "a mapping is wanted"),
        ("version: 1\n  x: [", "not YAML"),
        ("version: 1\nversion: 1\nagents: []", "stands already in line 1"),
        ("version: 1\nagents: {a: b}", "a list is wanted"),
        ("a: &a [x, x]\nb: &b [*a, *a]\nc: *d", "not YAML"),
        ("version: 1\n---\nversion: 1", "second document"),
        ("version: 1\ntmux: {socket_name: ../../x}", "socket name"),
        ("version: 1\nconnector: {kind: matrix}", "needs this section"),
    ] {
        let told = problems(text).join("\n");
        assert!(told.contains(part), "{text:?} told {told:?}");
    }
}

#[test]
fn an_alias_bomb_is_refused_early() {
    let mut text = String::from("version: 1\na0: &a0 [x, x, x, x, x, x, x, x, x, x]\n");
    for level in 1..12 {
        let previous = format!("*a{}, ", level - 1).repeat(10);
        text.push_str(&format!("a{level}: &a{level} [{}]\n", previous.trim_end_matches(", ")));
    }
    assert!(problems(&text)[0].contains("aliases counted"));
}

proptest! {
    #[test]
    fn any_text_is_an_answer_never_a_panic(text in "\\PC{0,400}") {
        let _ = Roster::parse(&text);
    }

    #[test]
    fn any_damage_to_a_good_roster_is_an_answer_never_a_panic(at in 0..GOOD.len(), with in any::<char>()) {
        let mut text: Vec<char> = GOOD.chars().collect();
        let index = at.min(text.len() - 1);
        text[index] = with;
        let _ = Roster::parse(&text.into_iter().collect::<String>());
    }
}
