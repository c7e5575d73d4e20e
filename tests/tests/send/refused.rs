//! Where nothing may be typed.

use fleet_testkit::home::TestHome;
use fleet_testkit::real::{Kind, Setup, Under};
use nix::sys::signal::Signal;

use crate::world::{Place, Sent, World};

const TEXT: &str = "a message that must not be typed";

/// Refused for this reason, with `--force` too, and what is in the way stands there as before.
fn refused(place: &Place, agent: &str, reason: &str, shows: &str) {
    for args in [&[][..], &["--force"][..]] {
        let sent = place.send(agent, args, TEXT).unwrap();
        let screen = place.tmux.capture(agent).unwrap();
        assert_eq!((sent.code, sent.result(), sent.reason()), (5, "refused", reason), "{sent:?}\n{screen}");
        assert_eq!(sent.receipt["enters"], 0);
        assert!(screen.contains(shows) && !screen.contains("must not be typed"), "{screen}");
    }
}

fn at_prompts(kind: Kind, asks: &str, gate: &str) {
    let Some(world) = World::new(kind, &["asks", "gate", "draft"]) else { return };
    let asked = world.launch("asks", &Setup::default()).unwrap();
    asked.send_prompt(&world.stub, "TOOL please").unwrap();
    asked.wait_for_screen("a prompt", |screen| screen.contains(asks)).unwrap();
    refused(&world.place, "asks", "permission", asks);

    let gated = world.start("gate", &Setup { trusted: false, ..Setup::default() }).unwrap();
    gated.wait_for_screen("a gate", |screen| screen.contains(gate)).unwrap();
    refused(&world.place, "gate", "trust", gate);

    // tmux goes on with a child of its own that was stopped.
    let drafted = world.launch("draft", &Setup { under: Under::Script, ..Setup::default() }).unwrap();
    drafted.draft("half a thought").unwrap();
    refused(&world.place, "draft", "draft", "half a thought");
    drafted.clear("half a thought").unwrap();
    world.place.tmux.run(["copy-mode", "-t", "=draft:"]).unwrap();
    refused(&world.place, "draft", "copy_mode", "");
    world.place.tmux.run(["send-keys", "-t", "=draft:", "-X", "cancel"]).unwrap();
    drafted.signal(Signal::SIGSTOP);
    refused(&world.place, "draft", "stopped", "");
    drafted.signal(Signal::SIGCONT);

    // The fleet's pause is nobody's to force.
    let pause = world.place.home.mosaic_home().join("fleet/run/PAUSED");
    std::fs::create_dir_all(pause.parent().unwrap()).unwrap();
    std::fs::write(&pause, "").unwrap();
    refused(&world.place, "draft", "paused", "");
    std::fs::remove_file(&pause).unwrap();
    assert!(!world.stub.heard(TEXT));
    // Nothing of all that is in the way any more.
    let sent = world.place.send("draft", &[], TEXT).unwrap();
    assert_eq!(sent.code, 0, "{sent:?}\n{}", drafted.screen().unwrap());
}

#[test]
fn claude_is_sent_nothing_where_a_key_would_answer() {
    at_prompts(Kind::Claude, "Do you want to proceed?", "Accessing workspace:");
}

#[test]
fn codex_is_sent_nothing_where_a_key_would_answer() {
    at_prompts(Kind::Codex, "Would you like to run", "Trust this folder?");
}

/// An Enter in it would run what stands there as a command.
#[test]
fn a_box_for_commands_is_no_box_for_a_message() {
    let Some(world) = World::new(Kind::Claude, &["one"]) else { return };
    let one = world.launch("one", &Setup::default()).unwrap();
    one.send_keys(&["!"]).unwrap();
    one.wait_for_screen("its mode", |screen| screen.lines().any(|line| line.starts_with('!'))).unwrap();
    refused(&world.place, "one", "mode", "!");
}

/// A last turn that ended in an error is no prompt: whoever insists may write.
#[test]
fn an_agent_in_trouble_is_written_to_by_force() {
    let Some(world) = World::new(Kind::Claude, &["one"]) else { return };
    let one = world.launch("one", &Setup::default()).unwrap();
    one.send_prompt(&world.stub, "ERR400 please").unwrap();
    one.wait_for_screen("the error", |screen| screen.contains("API Error")).unwrap();
    let sent = world.place.send("one", &[], TEXT).unwrap();
    assert_eq!((sent.code, sent.result(), sent.reason()), (5, "refused", "error"), "{sent:?}");
    let sent = world.place.send("one", &["--force", "--verify"], TEXT).unwrap();
    assert_eq!((sent.code, sent.result()), (0, "accepted"), "{sent:?}");
}

fn place() -> Place {
    Place::new("claude", &["one", "two"]).unwrap()
}

fn run(place: &Place, session: &str, argv: &[&str]) {
    let argv: Vec<String> = argv.iter().map(|word| (*word).to_owned()).collect();
    place.tmux.new_session(session, place.home.root(), &[], &argv).unwrap();
}

#[test]
fn a_pane_that_nobody_can_read_gets_nothing() {
    let place = place();
    let sent = place.send("one", &[], TEXT).unwrap();
    assert_eq!((sent.code, sent.reason()), (5, "dead"), "{sent:?}");
    run(&place, "one", &["cat"]);
    refused(&place, "one", "unreadable", "");
    run(&place, "two", &["sh"]);
    refused(&place, "two", "dead", "");
}

#[test]
fn what_cannot_be_meant_is_said_before_anything_is_looked_at() {
    let place = place();
    let code = |to: &str, args: &[&str], text: &str| -> Sent { place.send(to, args, text).unwrap() };
    assert_eq!(code("one", &[], "").code, 2);
    assert_eq!(code("one", &[], " \n\n").code, 2);
    assert_eq!(code("one", &["--class", "loud"], "x").code, 2);
    assert_eq!(code("one", &["--source", "a b"], "x").code, 2);
    let key = code("one", &[], "a\nb\u{1b}[201~\r");
    assert_eq!(key.code, 2);
    assert!(key.stderr.contains("line 2") && key.stderr.contains("U+001B"), "{}", key.stderr);
    assert_eq!(code("nobody", &[], "x").code, 4);
    let far = code("far", &[], "x");
    assert_eq!(far.code, 4);
    assert!(far.stderr.contains("ssh ops@hill fleet agent send far < FILE"), "{}", far.stderr);
}

/// A label is an agent's only in its own pane on the fleet's server.
#[test]
fn nobody_writes_in_an_agents_name_by_accident() {
    let place = place();
    run(&place, "one", &["cat"]);
    run(&place, "visitor", &["cat"]);
    let pane = |session: &str| place.tmux.pane(session).unwrap().id;
    let tmux = format!("{},1,0", place.tmux.socket().display());
    let other = TestHome::new().unwrap();
    let elsewhere = format!("{},1,0", other.root().join("tmux-1/default").display());
    let from = |env: &[(&str, &str)]| {
        let sent = place.send_from(env, "two", &[], "x").unwrap();
        sent.receipt["from"].as_str().unwrap().to_owned()
    };
    let (one, visitor) = (pane("one"), pane("visitor"));
    assert!(from(&[("TMUX", &tmux), ("TMUX_PANE", &one)]).ends_with(":one"));
    for env in [
        &[][..],
        &[("TMUX", tmux.as_str()), ("TMUX_PANE", visitor.as_str())],
        &[("TMUX", elsewhere.as_str()), ("TMUX_PANE", one.as_str())],
        &[("TMUX", tmux.as_str()), ("TMUX_PANE", "%99")],
    ] {
        assert_eq!(from(env), "operator:fleet-cli", "{env:?}");
    }
}
