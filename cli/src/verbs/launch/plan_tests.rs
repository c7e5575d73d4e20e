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
    filed: Vec<(String, String)>,
    remembered: Option<Session>,
    hooks: bool,
    root: bool,
}

impl Sources for World {
    fn wiring(&self, runtime: &str, _: Variables<'_>) -> Option<Wiring> {
        let path = format!("/h/{runtime}.json").into();
        (self.hooks && runtime != "codex").then_some(Wiring { flag: "--with", path, content: String::new() })
    }

    /// Its words are its parts: tests without a roster's class have none.
    fn prompt(&self, class: &str, peers: Option<&str>) -> Prompt {
        let text =
            if class == "worker" { String::new() } else { format!("{class}\n{}", peers.unwrap_or("alone")) };
        Prompt { text, warnings: Vec::new() }
    }

    fn prompt_file(&self, agent: &AgentName) -> PathBuf {
        format!("/r/{agent}.prompt.md").into()
    }

    fn environment_file(&self) -> (PathBuf, &[(String, String)]) {
        ("/m/a.env".into(), &self.filed)
    }

    fn remembered(&self) -> Option<Session> {
        self.remembered.clone()
    }

    fn new_id(&self) -> Option<String> {
        Some("0-1".to_owned())
    }

    fn real(&self, directory: &Path) -> PathBuf {
        Path::new("/real").join(directory.strip_prefix("/").unwrap_or(directory))
    }

    fn skills(&self, pi: &Path, _: &Path, mode: Mode, forced: &[&str]) -> Vec<String> {
        vec![format!("{} {mode:?} {forced:?}", pi.display())]
    }

    fn bin(&self) -> Option<PathBuf> {
        None
    }
}

impl World {
    fn new(roster: Option<&str>, vars: &[(&str, &str)]) -> Self {
        let usual = [("HOME", "/h"), ("PATH", "/usr/bin"), ("WORK", "/w")];
        let vars =
            usual.iter().chain(vars).map(|(name, value)| (name.to_string(), value.to_string())).collect();
        Self {
            roster: Ok(roster.map(|text| Roster::parse(text).unwrap())),
            vars,
            filed: Vec::new(),
            remembered: None,
            hooks: false,
            root: false,
        }
    }

    fn place(&self) -> Place<'_> {
        Place {
            roster: &self.roster,
            roster_path: "~/roster.yaml",
            host: HostId::new("here"),
            root: self.root,
            sources: self,
        }
    }

    fn launch(&self, name: &str) -> Result<Launch, Failure> {
        self.place().launch(&AgentName::parse(name).unwrap(), &|name| self.vars.get(name).cloned())
    }

    fn socket_to_stop(&self, name: &str) -> Result<SocketName, Failure> {
        self.place().socket_to_stop(&AgentName::parse(name).unwrap(), &|name| self.vars.get(name).cloned())
    }
}

/// But for what stands there in any case: the trusted folder of codex, the skills of pi, the name of a conversation.
fn command(name: &str, vars: &[(&str, &str)]) -> String {
    let launch = World::new(Some(ROSTER), vars).launch(name).unwrap();
    let words = launch.command.join(" ");
    let trusted =
        format!(" -c projects={{\"/real{}\"={{trust_level=\"trusted\"}}}}", launch.directory.display());
    words
        .replace(" --session-id 0-1", "")
        .replace(&trusted, "")
        .replace(" /h/.pi/agent None [\"mosaic-tools\"]", "")
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
fn a_built_in_runtime_is_wired_and_a_command_of_the_users_own_is_not_added_to() {
    let world = World { hooks: true, ..World::new(Some(ROSTER), &[]) };
    assert!(
        world.launch("lead").unwrap().command.ends_with(&["--with".to_owned(), "/h/claude.json".to_owned()])
    );
    assert!(world.launch("lead").unwrap().wiring.is_some());
    assert!(world.launch("coder0").unwrap().wiring.is_none());
    let own = world.launch("own").unwrap();
    assert!(own.wiring.is_none() && own.trust.is_none() && own.session.is_none());
    assert!(own.command.ends_with(&["exec ./mine --all".to_owned()]));
}

#[test]
fn an_agent_of_the_roster_is_told_of_its_peers_and_another_is_not() {
    let roster = ROSTER.replace("runtime: claude,", "runtime: claude, class: orchestrator,");
    let world = World::new(Some(&roster), &[("MOSAIC_AGENT_CLASS", "")]);
    let (path, text) = world.launch("lead").unwrap().prompt.unwrap();
    assert_eq!(path, Path::new("/r/lead.prompt.md"));
    assert!(text.starts_with("orchestrator\n# Your peers") && text.contains("| coder0 |"), "{text}");
    let guest = [("MOSAIC_AGENT_RUNTIME", "claude"), ("MOSAIC_AGENT_CLASS", "code")];
    let launch = World::new(Some(&roster), &guest).launch("guest").unwrap();
    assert_eq!(launch.prompt.unwrap().1, "code\nalone");
    let told = ("MOSAIC_AGENT_PROMPT_FILE".to_owned(), "/r/guest.prompt.md".to_owned());
    assert!(launch.environment.contains(&told));
}

#[test]
fn a_conversation_goes_on_where_it_can_and_else_a_new_one_is_remembered() {
    let transcript = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(transcript.path(), "{}").unwrap();
    let session = |runtime: &str, directory: &str| Session {
        runtime: runtime.to_owned(),
        id: "45b1".to_owned(),
        directory: directory.into(),
        transcript: transcript.path().to_owned(),
    };
    let launch =
        |session| World { remembered: session, ..World::new(Some(ROSTER), &[]) }.launch("lead").unwrap();
    let resumed = launch(Some(session("claude", "/real/w/lead")));
    assert!(
        resumed.command.ends_with(&["--resume".to_owned(), "45b1".to_owned()]) && resumed.session.is_none()
    );
    for other in [None, Some(session("pi", "/real/w/lead")), Some(session("claude", "/w/lead"))] {
        let new = launch(other).session.unwrap();
        assert_eq!((new.id.as_str(), new.directory.as_path()), ("0-1", Path::new("/real/w/lead")));
        assert_eq!(new.transcript, Path::new("/h/.claude/projects/-real-w-lead/0-1.jsonl"));
    }
}

#[test]
fn the_agents_file_counts_and_its_values_are_shown_nowhere() {
    let filed = [("API_KEY", "hush"), ("CODEX_HOME", "/c"), ("MOSAIC_AGENT_MODEL", "filed")];
    let filed = filed.map(|(name, value)| (name.to_owned(), value.to_owned())).to_vec();
    let world = World { filed, ..World::new(Some(ROSTER), &[("CODEX_HOME", "/other")]) };
    let launch = world.launch("coder1").unwrap();
    assert!(launch.command.join(" ").contains("-m filed"), "{:?}", launch.command);
    assert!(launch.environment.contains(&("CODEX_HOME".to_owned(), "/c".to_owned())));
    let shown = launch.to_string();
    assert!(shown.contains("environment  API_KEY from /m/a.env") && !shown.contains("hush"), "{shown}");
    assert!(shown.contains("-u CLAUDE_CONFIG_DIR") && !shown.contains("-u CODEX_HOME"), "{shown}");
    let mut tried = world;
    tried.vars.insert("MOSAIC_AGENT_MODEL".to_owned(), "now".to_owned());
    assert!(tried.launch("coder1").unwrap().command.join(" ").contains("-m now"));
}

#[test]
fn pis_skills_follow_the_environment() {
    let skills = |vars: &[(&str, &str)]| {
        World::new(Some(ROSTER), vars).launch("small").unwrap().command.pop().unwrap()
    };
    assert_eq!(skills(&[]), "/h/.pi/agent None [\"mosaic-tools\"]");
    assert_eq!(
        skills(&[("MOSAIC_PI_SKILL_MODE", "discover"), ("MOSAIC_PI_FORCE_SKILLS", "a:b")]),
        "/h/.pi/agent Discover [\"a\", \"b\"]"
    );
    assert_eq!(skills(&[("MOSAIC_PI_FORCE_SKILLS", ""), ("PI_CODING_AGENT_DIR", "/p")]), "/p None []");
    let odd = World::new(Some(ROSTER), &[("MOSAIC_PI_SKILL_MODE", "some")]).launch("small").unwrap();
    assert!(odd.warnings[0].contains("MOSAIC_PI_SKILL_MODE=some"), "{:?}", odd.warnings);
}

#[test]
fn claudes_trust_is_recorded_where_it_looks() {
    assert_eq!(
        World::new(Some(ROSTER), &[]).launch("lead").unwrap().trust.unwrap(),
        Path::new("/h/.claude.json")
    );
    let vars = [("CLAUDE_CONFIG_DIR", "/c")];
    assert_eq!(
        World::new(Some(ROSTER), &vars).launch("lead").unwrap().trust.unwrap(),
        Path::new("/c/.claude.json")
    );
    assert!(World::new(Some(ROSTER), &[]).launch("small").unwrap().trust.is_none());
}
