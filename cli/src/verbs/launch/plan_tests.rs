use std::collections::BTreeMap;

use super::*;

const ROSTER: &str = "
version: 1
tmux: {socket_name: mosaic-fleet}
agents:
  - {name: lead, runtime: claude, model_hint: opus, working_directory: $WORK/lead}
  - {name: coder0, runtime: codex, yolo: false}
  - {name: coder1, runtime: codex, model_hint: gpt}
  - {name: free, runtime: opencode}
  - {name: small, runtime: pi, model_hint: 'openai-codex/gpt:high'}
  - {name: own, runtime: mine, command: 'exec ./mine --all'}
  - {name: far, runtime: pi, host: elsewhere}
";

struct World {
    roster: Result<Option<Roster>, String>,
    vars: BTreeMap<String, String>,
    root: bool,
}

impl World {
    fn new(roster: Option<&str>, vars: &[(&str, &str)]) -> Self {
        let usual = [("HOME", "/h"), ("PATH", "/usr/bin"), ("WORK", "/w")];
        let vars =
            usual.iter().chain(vars).map(|(name, value)| (name.to_string(), value.to_string())).collect();
        Self { roster: Ok(roster.map(|text| Roster::parse(text).unwrap())), vars, root: false }
    }

    fn place(&self) -> Place<'_> {
        Place {
            roster: &self.roster,
            roster_path: "~/roster.yaml",
            host: HostId::new("here"),
            root: self.root,
            wiring: &|_| None,
        }
    }

    fn launch(&self, name: &str) -> Result<Launch, Failure> {
        self.place().launch(&AgentName::parse(name).unwrap(), &|name| self.vars.get(name).cloned())
    }

    fn socket_to_stop(&self, name: &str) -> Result<SocketName, Failure> {
        self.place().socket_to_stop(&AgentName::parse(name).unwrap(), &|name| self.vars.get(name).cloned())
    }
}

fn command(name: &str, vars: &[(&str, &str)]) -> String {
    let launch = World::new(Some(ROSTER), vars).launch(name).unwrap();
    let (prefix, own) = launch.command.split_at(6);
    let path = format!("PATH={}", launch.path());
    assert_eq!(prefix, ["env", "-u", "CLAUDECODE", "-u", "CLAUDE_CODE_CHILD_SESSION", path.as_str()]);
    own.join(" ")
}

#[test]
fn each_runtime_gets_its_own_flags_and_at_most_one_bypass() {
    assert_eq!(command("lead", &[]), "claude --model opus --dangerously-skip-permissions");
    assert_eq!(command("coder0", &[]), "codex");
    assert_eq!(command("coder1", &[]), "codex -m gpt --dangerously-bypass-approvals-and-sandbox");
    assert_eq!(command("free", &[]), "opencode --auto");
    assert_eq!(command("small", &[]), "pi --model openai-codex/gpt:high");
    assert_eq!(command("own", &[]), "sh -c exec ./mine --all");
}

#[test]
fn the_environment_overrides_the_roster_and_empty_is_none() {
    assert_eq!(
        command("lead", &[("MOSAIC_AGENT_MODEL", "haiku"), ("MOSAIC_AGENT_YOLO", "false")]),
        "claude --model haiku"
    );
    assert_eq!(
        command("coder0", &[("MOSAIC_AGENT_YOLO", "1")]),
        "codex --dangerously-bypass-approvals-and-sandbox"
    );
    assert_eq!(command("lead", &[("MOSAIC_AGENT_COMMAND", "bash -i")]), "sh -c exec bash -i");
    assert_eq!(command("lead", &[("MOSAIC_AGENT_RUNTIME", "pi")]), "pi --model opus");
    let empty = [("MOSAIC_AGENT_MODEL", ""), ("MOSAIC_AGENT_COMMAND", ""), ("MOSAIC_AGENT_YOLO", "")];
    assert_eq!(command("lead", &empty), command("lead", &[]));
}

#[test]
fn a_single_command_replaces_its_shell_and_a_line_of_shell_stays_one() {
    assert_eq!(command_line(" sleep $N 'a b' "), "exec sleep $N 'a b'");
    for line in [
        "exec x",
        "cd /x",
        "A=1 x",
        "cd /x && y",
        "x | y",
        "x; y",
        "x > y",
        "if true\nthen x\nfi",
        "(x)",
        "x `y`",
    ] {
        assert_eq!(command_line(line), line);
    }
}

#[test]
fn the_environment_of_another_agent_is_not_taken() {
    let vars = [("MOSAIC_AGENT_NAME", "lead"), ("MOSAIC_AGENT_COMMAND", "bash"), ("MOSAIC_AGENT_MODEL", "x")];
    assert_eq!(command("coder0", &vars), "codex");
}

#[test]
fn directory_socket_and_name_follow_the_roster() {
    let world = World::new(Some(ROSTER), &[("MOSAIC_TMUX_SOCKET", "other")]);
    let lead = world.launch("lead").unwrap();
    assert_eq!((lead.directory.as_path(), lead.socket.as_str()), (Path::new("/w/lead"), "mosaic-fleet"));
    assert!(lead.warnings[0].contains("other"), "{:?}", lead.warnings);
    assert!(lead.environment.contains(&("MOSAIC_AGENT_NAME".to_owned(), "lead".to_owned())));
    assert!(lead.path().starts_with("/usr/bin"));
    assert_eq!(world.launch("coder0").unwrap().directory, Path::new("/h/src"));
    let relative = World::new(Some(ROSTER), &[("MOSAIC_AGENT_WORKDIR", "x/y")]).launch("lead").unwrap();
    assert_eq!(relative.directory, Path::new("/h/x/y"));
    let error = World::new(Some(ROSTER), &[("MOSAIC_AGENT_WORKDIR", "$NOPE/y")]).launch("lead").unwrap_err();
    assert!(error.message.contains("$NOPE/y"), "{error}");
}

#[test]
fn claude_is_bounded_unless_told_otherwise() {
    let bounds = |vars: &[(&str, &str)]| {
        let launch = World::new(Some(ROSTER), vars).launch("lead").unwrap();
        launch.environment.into_iter().filter(|(name, _)| name.starts_with("CLAUDE_")).collect::<Vec<_>>()
    };
    let pair = |name: &str, value: &str| (name.to_owned(), value.to_owned());
    let window = "CLAUDE_CODE_AUTO_COMPACT_WINDOW";
    assert_eq!(bounds(&[]), [pair("CLAUDE_CODE_DISABLE_1M_CONTEXT", "1"), pair(window, "200000")]);
    assert_eq!(
        bounds(&[("CLAUDE_CODE_DISABLE_1M_CONTEXT", ""), (window, "500000")]),
        [pair(window, "500000")]
    );
    let codex = World::new(Some(ROSTER), &[]).launch("coder0").unwrap();
    assert!(!codex.environment.iter().any(|(name, _)| name.starts_with("CLAUDE")));
}

#[test]
fn root_runs_claude_unattended_only_in_a_sandbox() {
    let mut world = World::new(Some(ROSTER), &[]);
    world.root = true;
    let attended = world.launch("lead").unwrap();
    assert!(!attended.command.iter().any(|word| word.contains("dangerously")));
    assert!(attended.warnings[0].contains("IS_SANDBOX=1"));
    world.vars.insert("IS_SANDBOX".to_owned(), "1".to_owned());
    let unattended = world.launch("lead").unwrap();
    assert!(unattended.command.iter().any(|word| word == "--dangerously-skip-permissions"));
    assert!(unattended.environment.contains(&("IS_SANDBOX".to_owned(), "1".to_owned())));
}

#[test]
fn unknown_and_foreign_agents_are_refused() {
    let world = World::new(Some(ROSTER), &[]);
    let error = world.launch("codr0").unwrap_err();
    assert_eq!(error.code, Code::LaunchUsage);
    assert!(error.message.contains("did you mean coder0?"), "{error}");
    assert!(world.launch("far").unwrap_err().message.contains("host elsewhere"));
    let error = World::new(None, &[]).launch("lead").unwrap_err();
    assert!(error.message.contains("~/roster.yaml does not exist"), "{error}");
    let strange =
        World::new(Some(ROSTER), &[("MOSAIC_AGENT_RUNTIME", "strange")]).launch("lead").unwrap_err();
    assert_eq!(strange.code, Code::LaunchUsage);
}

#[test]
fn an_agent_outside_the_roster_never_reaches_the_default_server() {
    let told = [("MOSAIC_AGENT_RUNTIME", "codex")];
    assert_eq!(World::new(None, &told).launch("guest").unwrap_err().code, Code::LaunchUsage);
    let world = World::new(None, &[told[0], ("MOSAIC_TMUX_SOCKET", "mine")]);
    assert_eq!(world.launch("guest").unwrap().socket.as_str(), "mine");
    assert_eq!(World::new(Some(ROSTER), &told).launch("guest").unwrap().socket.as_str(), "mosaic-fleet");
}

#[test]
fn what_left_the_roster_can_be_stopped_on_the_fleets_own_server_only() {
    let own = World::new(Some(ROSTER), &[]);
    assert_eq!(own.socket_to_stop("gone").unwrap().as_str(), "mosaic-fleet");
    let default = World::new(Some("{version: 1, agents: [{name: a, runtime: pi}]}"), &[]);
    assert!(default.socket_to_stop("a").unwrap().is_default());
    assert_eq!(default.socket_to_stop("mine").unwrap_err().code, Code::LaunchUsage);
    let broken =
        World { roster: Err("line 1".to_owned()), ..World::new(None, &[("MOSAIC_TMUX_SOCKET", "s")]) };
    assert_eq!(broken.socket_to_stop("a").unwrap().as_str(), "s");
    assert!(broken.launch("a").is_err());
}

#[test]
fn what_a_dry_run_shows_can_be_pasted_into_a_shell() {
    let shown = World::new(Some(ROSTER), &[]).launch("own").unwrap().to_string();
    assert!(shown.contains("sh -c 'exec ./mine --all'\n"), "{shown}");
    assert_eq!(quoted("it's"), r"'it'\''s'");
}

#[test]
fn the_users_own_program_directories_come_last_and_once() {
    let vars = |name: &str| match name {
        "PATH" => Some("/usr/bin:/h/bin".to_owned()),
        "HOME" => Some("/h".to_owned()),
        _ => None,
    };
    let exists = |dir: &Path| dir == Path::new("/h/.local/bin") || dir == Path::new("/h/bin");
    assert_eq!(search_path(&vars, exists), "/usr/bin:/h/bin:/h/.local/bin");
}

#[test]
fn a_built_in_runtime_is_wired_and_a_command_of_the_users_own_is_not_added_to() {
    let world = World::new(Some(ROSTER), &[]);
    let wiring = |runtime: &str| {
        let path = format!("/h/{runtime}.json").into();
        (runtime != "codex").then_some(Wiring { flag: "--with", path, content: String::new() })
    };
    let place = Place { wiring: &wiring, ..world.place() };
    let launch = |name: &str| {
        place.launch(&AgentName::parse(name).unwrap(), &|name| world.vars.get(name).cloned()).unwrap()
    };
    assert!(launch("lead").command.ends_with(&["--with".to_owned(), "/h/claude.json".to_owned()]));
    assert!(launch("lead").wiring.is_some());
    assert!(launch("coder0").wiring.is_none());
    assert!(
        launch("own").wiring.is_none() && launch("own").command.ends_with(&["exec ./mine --all".to_owned()])
    );
}
