//! The shipped rules on screens that the real programs drew: the floors below may only rise.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::path::{Path, PathBuf};

use fleet_testkit::fleet;
use fleet_testkit::home::TestHome;
use serde_json::Value;

fn fixtures(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures").join(name)
}

fn explain(args: &[&str]) -> Value {
    let home = TestHome::new().unwrap();
    let args: Vec<&str> = ["explain", "--json"].into_iter().chain(args.iter().copied()).collect();
    fleet::fleet(&home, &args).unwrap().json().unwrap()
}

fn score(corpus: &str) -> Value {
    let directory = fixtures(corpus);
    let labels = directory.join("labels.tsv");
    explain(&["--dir", directory.to_str().unwrap(), "--labels", labels.to_str().unwrap()])
}

fn assert_floor(scored: &Value, (screens, states, kinds): (u64, u64, u64)) {
    let figure = |key: &str| scored[key].as_u64().unwrap();
    let misses = serde_json::to_string_pretty(&scored["misses"]).unwrap();
    assert!(figure("screens") >= screens, "{} screens", figure("screens"));
    assert!(figure("states") >= states, "{} states right: {misses}", figure("states"));
    assert!(figure("kinds") >= kinds, "{} kinds right: {misses}", figure("kinds"));
    assert_eq!(figure("falseStuck"), 0, "{misses}");
}

#[test]
fn the_screens_of_the_older_corpus_are_read_right() {
    assert_floor(&score("panes"), (64, 64, 64));
}

/// Five sizes, two versions of one runtime, ten kinds of prose that quotes a prompt, an error or a limit.
#[test]
fn the_screens_of_the_newer_corpus_are_read_right() {
    assert_floor(&score("screens"), (1144, 1141, 1137));
}

/// Between an answer's last word and the line that closes it, its words are all that stands above the box.
#[test]
fn what_an_answer_quotes_is_never_in_the_way_before_the_answer_is_closed() {
    let quotes = std::fs::read_dir(fixtures("screens/opencode")).unwrap().map(|entry| entry.unwrap().path());
    let quotes: Vec<PathBuf> = quotes
        .filter(|path| path.file_name().is_some_and(|name| name.to_string_lossy().starts_with("quote-")))
        .filter(|path| std::fs::read_to_string(path).is_ok_and(|screen| screen.contains('▣')))
        .collect();
    assert!(quotes.len() >= 10, "{quotes:?}");
    let unclosed = tempfile::tempdir().unwrap();
    for path in quotes {
        let screen = std::fs::read_to_string(&path).unwrap();
        let rows = screen.lines().map(|row| match row.split_once(" · Stub Model") {
            Some((agent, _)) if agent.contains('▣') => format!("{agent} · Stub Model"),
            _ => row.to_owned(),
        });
        let text = rows.collect::<Vec<_>>().join("\n");
        assert_ne!(text, screen.trim_end(), "{} has no closing line", path.display());
        let file = unclosed.path().join("screen.ansi");
        std::fs::write(&file, text).unwrap();
        let verdict = explain(&["--screen", file.to_str().unwrap(), "--runtime", "opencode"]);
        assert_ne!(verdict["state"], "stuck", "{}: {verdict}", path.display());
    }
}

#[test]
fn a_verdict_names_rule_region_and_line_and_a_limit_its_end() {
    let file = fixtures("panes/claude/limit-subscription.txt");
    let verdict = explain(&["--screen", file.to_str().unwrap(), "--runtime", "claude"]);
    assert_eq!((&verdict["state"], &verdict["readinessKind"]), (&"stuck".into(), &"usage_limit".into()));
    assert_eq!(verdict["kind"], "Verdict");
    assert_eq!(verdict["evidence"][0]["rule"], "limit-menu");
    assert_eq!(verdict["evidence"][0]["region"], "dialog");
    assert!(verdict["evidence"][0]["line"].as_str().unwrap().contains("You've hit your session limit"));
    assert!(verdict["until"].as_str().unwrap().ends_with("12:15:00Z"), "{verdict}");
}

#[test]
fn a_draft_is_told_from_a_suggestion() {
    let draft = |file: &str, runtime: &str| {
        let file = fixtures("screens").join(file);
        explain(&["--screen", file.to_str().unwrap(), "--runtime", runtime])["draft"].clone()
    };
    for runtime in ["claude", "codex", "opencode", "pi"] {
        assert_eq!(draft(&format!("{runtime}/draft-30.ansi"), runtime), true, "{runtime}");
        assert_eq!(draft(&format!("{runtime}/idle-turn.ansi"), runtime), false, "{runtime}");
    }
}

#[test]
fn a_users_own_rules_come_first_and_a_broken_file_is_told_and_left_out() {
    let home = TestHome::new().unwrap();
    let directory = home.mosaic_home().join("fleet/screens");
    std::fs::create_dir_all(&directory).unwrap();
    std::fs::write(
        directory.join("mine.yaml"),
        "apiVersion: mosaic.fleet/v1\nkind: ScreenRules\nruntime: mine\n\
         drawing: {block: paragraphs, composer: {shape: marked, first: '^>>'}}\n\
         rules:\n  - {rule: ask, shows: stuck/question, all: [{in: end, find: 'which\\?$'}]}\n",
    )
    .unwrap();
    std::fs::write(directory.join("broken.yaml"), "apiVersion: mosaic.fleet/v1\nkind: Rules\nruntime: [x]\n")
        .unwrap();
    let screen = home.root().join("screen.txt");
    std::fs::write(&screen, "some text\nwhich?\n").unwrap();
    let args = ["explain", "--json", "--screen", screen.to_str().unwrap(), "--runtime", "mine"];
    let said = fleet::fleet(&home, &args).unwrap();
    assert_eq!(said.json().unwrap()["readinessKind"], "question");
    assert!(said.stderr.contains("broken.yaml: line 2: kind: "), "{}", said.stderr);
    assert!(said.stderr.contains("broken.yaml: line 3: runtime: "), "{}", said.stderr);
}
