//! `fleet agent send`, to the real programs: what arrives at the model is what was sent, and where a key could answer
//! something, none is pressed.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod refused;
mod tasks;
mod world;

use fleet_testkit::real::{Kind, Setup};

use world::World;

/// Blank lines, blanks,  quotes, marks that programs read as commands, and an end at which an Enter would go on.
const MANY: &str = "first\n\n    second \u{201c}quoted\u{201d} \"so\" ünï 漢字 🎉\n!ls\n/help\n@file #note\n\n\nlast line \\";

fn big() -> String {
    (0..2_100).map(|at| format!("line {at:05} of a text that is longer than any box\n")).collect()
}

/// One line, many, and more than 100 kB: each is proven where the program keeps a record, and in the model's request
/// letter by letter.
fn arrives(kind: Kind, recorded: bool) {
    let Some(world) = World::new(kind, &["one"]) else { return };
    let one = world.launch("one", &Setup::default()).unwrap();
    let big = big();
    assert!(big.len() > 100_000);
    for (text, class) in [("is it ready?", "human"), (MANY, "actionable"), (&big, "terminal-log")] {
        let before = world.answers();
        let mut args = vec!["--class", class, "--source", "box:lead"];
        args.extend(recorded.then_some("--verify"));
        let sent = world.place.send("one", &args, text).unwrap();
        let told = || format!("{sent:?}\n{}", one.screen().unwrap());
        assert_eq!(sent.code, 0, "{}", told());
        let proven = if recorded { &["accepted"][..] } else { &["delivered", "queued"] };
        assert!(proven.contains(&sent.result()), "{}", told());
        assert_eq!(sent.receipt["proof"], if recorded { "transcript" } else { "screen" }, "{}", told());
        let to = sent.receipt["to"].as_str().unwrap();
        world.arrives(&format!("[box:lead -> {to} class={class}] {}", text.trim_end())).unwrap();
        world.answered(before).unwrap();
    }
}

#[test]
fn claude_gets_every_text_whole() {
    arrives(Kind::Claude, true);
}

#[test]
fn codex_gets_every_text_whole() {
    arrives(Kind::Codex, true);
}

#[test]
fn pi_gets_every_text_whole() {
    arrives(Kind::Pi, true);
}

#[test]
fn opencode_gets_every_text_whole() {
    arrives(Kind::Opencode, false);
}

/// Two senders at once: one waits for the other, and both texts stand in requests of their own.
fn at_once(kind: Kind) {
    let Some(world) = World::new(kind, &["one"]) else { return };
    let _one = world.launch("one", &Setup::default()).unwrap();
    let texts = ["alpha", "beta"].map(|who| format!("{who} begins\n\n{who} goes on\n{who} ends"));
    let sent: Vec<_> = std::thread::scope(|scope| {
        let place = &world.place;
        let started: Vec<_> =
            texts.iter().map(|text| scope.spawn(move || place.send("one", &[], text).unwrap())).collect();
        started.into_iter().map(|sender| sender.join().unwrap()).collect()
    });
    for (sent, text) in sent.iter().zip(&texts) {
        assert_eq!(sent.code, 0, "{sent:?}");
        let to = sent.receipt["to"].as_str().unwrap();
        world.arrives(&format!("[operator:fleet-cli -> {to}] {text}")).unwrap();
    }
}

#[test]
fn two_messages_to_one_claude_never_mix() {
    at_once(Kind::Claude);
}

#[test]
fn two_messages_to_one_codex_never_mix() {
    at_once(Kind::Codex);
}

/// While a turn runs a message waits in the program's own queue, or steers the turn; it arrives whole, once.
fn while_it_works(kind: Kind, results: &[&str]) {
    let Some(world) = World::new(kind, &["one"]) else { return };
    let one = world.launch("one", &Setup::default()).unwrap();
    one.send_prompt(&world.stub, "HOLD1 please").unwrap();
    one.wait_for_screen("a turn that runs", |screen| {
        screen.contains("slow-word") || screen.contains("HOLD1 please")
    })
    .unwrap();
    let text = "one more thing\n\nfor later";
    let sent = world.place.send("one", &[], text).unwrap();
    assert_eq!(sent.code, 0, "{sent:?}\n{}", one.screen().unwrap());
    assert!(results.contains(&sent.result()), "{sent:?}\n{}", one.screen().unwrap());
    world.stub.release(1).unwrap();
    world
        .arrives(&format!("[operator:fleet-cli -> {}] {text}", sent.receipt["to"].as_str().unwrap()))
        .unwrap();
}

#[test]
fn a_claude_at_work_queues_a_message() {
    while_it_works(Kind::Claude, &["queued"]);
}

#[test]
fn a_codex_at_work_takes_a_message() {
    while_it_works(Kind::Codex, &["accepted", "queued", "delivered"]);
}
