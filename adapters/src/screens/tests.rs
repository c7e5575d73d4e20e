use proptest::prelude::*;

use super::*;
use fleet_domain::observation::StuckKind;

const RULES: &str = r#"
apiVersion: mosaic.fleet/v1
kind: ScreenRules
runtime: x
drawing:
  composer: {shape: ruled, edge: '^─{3,}$', first: '^❯( |$)'}
  block: '^\S'
  prompt: '^❯ '
  closing: '^✻ \S+ for '
  ghosts: ['^Try ']
rules:
  - {rule: permission, shows: stuck/permission, composer: absent, all: [{in: dialog, find: 'Do you want'}, {in: end, find: 'Esc to cancel'}]}
  - {rule: limit, shows: stuck/usage_limit, composer: present, all: [{in: outcome, find: '^● You hit your limit'}]}
  - {rule: error, shows: stuck/error, composer: present, all: [{in: outcome, find: '^● API Error'}]}
  - {rule: login, shows: stuck/login, composer: present, all: [{in: turn, find: '^● Log in', drawn: apart}]}
  - {rule: failed, shows: stuck/error, composer: present, all: [{in: last, find: '^● Failed', drawn: coloured}]}
  - {rule: titled, shows: working/turn, composer: present, all: [{in: title, find: '^[⠀-⣿] '}]}
  - {rule: spinner, shows: working/turn, composer: present, all: [{in: turn, find: '^✢ .*…'}], none: [{in: footer, find: paused}]}
  - {rule: prompt, shows: available/prompt, composer: present}
"#;

fn rules() -> Rules {
    parse(RULES).unwrap()
}

fn shows(screen: &str) -> Option<Shows> {
    rules().judge(&Grid::parse(screen), "").shows
}

const BOX: &str = "\n──────\n❯ \n──────\n  footer\n";

#[test]
fn a_prompt_that_is_only_quoted_is_none() {
    let quoted =
        format!("❯ what did it ask?\n\n● Do you want to proceed?\n  ❯ 1. Yes\n  Esc to cancel\n{BOX}");
    assert_eq!(shows(&quoted), Some(Shows::Prompt));
    let asked = "❯ go\n\n──────\n Do you want to proceed?\n ❯ 1. Yes\n   2. No\n Esc to cancel\n";
    assert_eq!(shows(asked), Some(Shows::Stuck(StuckKind::Permission)));
}

#[test]
fn an_error_counts_only_as_the_outcome_of_the_last_turn() {
    let failed = format!("❯ go\n● API Error: 500\n✻ Baked for 1s\n{BOX}");
    assert_eq!(shows(&failed), Some(Shows::Stuck(StuckKind::Error)));
    let recovered = format!("❯ go\n● API Error: 500\n● And yet it worked.\n{BOX}");
    assert_eq!(shows(&recovered), Some(Shows::Prompt));
    let earlier = format!("❯ go\n● API Error: 500\n❯ again\n● It worked.\n{BOX}");
    assert_eq!(shows(&earlier), Some(Shows::Prompt));
    let quoted = format!("❯ go\n● It said:\n  API Error: 500\n{BOX}");
    assert_eq!(shows(&quoted), Some(Shows::Prompt));
}

#[test]
fn a_limit_tells_its_end_and_a_forbidden_pattern_keeps_a_rule_silent() {
    let limited = format!("❯ go\n● You hit your limit\n  resets 1:07pm (UTC)\n{BOX}");
    let sight = rules().judge(&Grid::parse(&limited), "");
    assert_eq!(sight.reset, reset::find("resets 1:07pm (UTC)"));
    assert_eq!(sight.evidence[0].line, "You hit your limit");
    let spinning = format!("❯ go\n✢ Baking… (3s)\n{BOX}");
    assert_eq!(shows(&spinning), Some(Shows::Turn));
    assert_eq!(shows(&spinning.replace("footer", "paused")), Some(Shows::Prompt));
}

#[test]
fn a_box_that_was_left_painted_above_a_conversation_is_none() {
    let left = "──────\n❯ Killed\n$ x again\n● hello\n──────\n Do you want to proceed?\n Esc to cancel\n";
    assert_eq!(shows(left), Some(Shows::Stuck(StuckKind::Permission)));
    assert_eq!(shows("just a shell\n$ ls\na b\n"), None);
    assert_eq!(shows(""), None);
}

#[test]
fn what_the_program_draws_in_colours_is_told_from_what_an_answer_says() {
    let failed = |row: &str, other: &str| shows(&format!("{other}❯ go\n{row}\n{BOX}"));
    let coloured = "\u{1b}[31m● Failed\u{1b}[39m";
    assert_eq!(failed(coloured, ""), Some(Shows::Stuck(StuckKind::Error)));
    assert_eq!(failed("● Failed", "\u{1b}[32m+ a line\u{1b}[39m\n"), Some(Shows::Prompt));
    // Where nothing has a colour, words are all that there is.
    assert_eq!(failed("● Failed", ""), Some(Shows::Stuck(StuckKind::Error)));
    assert_eq!(failed("● Failed", "\u{1b}[1mbold\u{1b}[0m\n"), Some(Shows::Stuck(StuckKind::Error)));
}

#[test]
fn an_edge_that_a_resize_left_behind_ends_no_box() {
    let rules = parse(&RULES.replace(", first: '^❯( |$)'", "")).unwrap();
    let sight = rules.judge(&Grid::parse("said\n──────\nwords of mine\n──────\n──────\n  footer\n"), "");
    assert_eq!((sight.shows, sight.draft), (Some(Shows::Prompt), Some(true)));
    let none = rules.judge(&Grid::parse("said\n──────\n──────\n  footer\n"), "");
    assert_eq!(none.shows, None);
}

#[test]
fn drafts_and_suggestions() {
    let draft = |inside: &str| rules().judge(&Grid::parse(&format!("──────\n{inside}\n──────\n")), "").draft;
    assert_eq!(draft("❯ fix it"), Some(true));
    assert_eq!(draft("❯ fix it\n  and that"), Some(true));
    assert_eq!(draft("❯"), Some(false));
    assert_eq!(draft("❯ Try \"fix lint\""), Some(false));
    assert_eq!(draft("❯ \u{1b}[7ms\u{1b}[0;2muggested\u{1b}[0m"), Some(false));
    assert_eq!(rules().judge(&Grid::parse("no box"), "").draft, None);
}

#[test]
fn words_that_a_narrow_terminal_wrapped_are_found() {
    let wrapped = "──────\n Do you\n want to proceed?\n Esc to\n cancel\n";
    assert_eq!(shows(wrapped), Some(Shows::Stuck(StuckKind::Permission)));
}

#[test]
fn every_mistake_in_a_file_is_told_with_its_line_and_key() {
    let broken = "apiVersion: v0\nkind: ScreenRules\nruntime: x\ndrawing:\n  block: '('\n  composer: {shape: round}\n\
                  rules:\n  - {rule: a, shows: stuck/tired}\n  - {shows: working/turn, all: [{in: middle, find: x}, {in: end}]}\n";
    let told: Vec<String> = parse(broken).unwrap_err().iter().map(ToString::to_string).collect();
    for expected in [
        "line 1: apiVersion: `v0`",
        "line 5: drawing.block: no regular expression",
        "line 6: drawing.composer.shape: `round` is not known",
        "line 8: rules[0].shows: `stuck/tired` is not known",
        "line 8: rules[0]: a rule needs a condition",
        "line 9: rules[1].rule: this key is required",
        "line 9: rules[1].all[0].in: `middle` is no region",
        "line 9: rules[1].all[1].find: this key is required",
    ] {
        assert!(told.iter().any(|line| line.starts_with(expected)), "{expected} in {told:#?}");
    }
}

#[test]
fn a_version_picks_its_file() {
    let old = RULES
        .replace("runtime: x\n", "runtime: x\nversions: {below: '2.1'}\n")
        .replace("rule: prompt", "rule: old");
    let (book, bad) = RuleBook::read([("old", old.as_str()), ("new", RULES)]);
    assert_eq!(bad, []);
    let last = |version| book.rules("x", version).unwrap().rules.last().unwrap().name.clone();
    assert_eq!(last(Some("2.0.99")), "old");
    assert_eq!(last(Some("2.1.197 (Claude Code)")), "prompt");
    assert_eq!(last(None), "prompt");
    assert!(book.rules("y", None).is_none());
}

#[test]
fn a_screen_of_megabytes_is_read_in_bounded_time() {
    let line = format!("{}\n", "a".repeat(10 << 20));
    assert_eq!(shows(&format!("{line}{BOX}")), Some(Shows::Prompt));
    assert_eq!(shows(&format!("{}{BOX}", "x\n".repeat(1 << 20))), Some(Shows::Prompt));
}

proptest! {
    #[test]
    fn any_screen_is_an_answer_never_a_panic(screen in "(─{3,9}|❯ ?|● |✢ a…|Esc to cancel|\n|\\PC{0,9}| ){0,60}") {
        let _ = rules().judge(&Grid::parse(&screen), &screen);
    }

    #[test]
    fn any_rule_file_is_an_answer_never_a_panic(at in 0..RULES.len(), with in "\\PC|\n| ") {
        let at = (0..=at).rev().find(|at| RULES.is_char_boundary(*at)).unwrap_or(0);
        let _ = parse(&format!("{}{with}{}", &RULES[..at], &RULES[at..]));
    }
}

const POOL: [&str; 16] = [
    "",
    "──────",
    "❯ ",
    "❯ go",
    "❯ Try \"fix it\"",
    "● You hit your limit · resets 1:07pm (UTC)",
    "● API Error: 500",
    "● It worked.",
    "✻ Baked for 1s",
    "✢ Baking… (3s)",
    "  paused",
    "● Log in to go on",
    "\u{1b}[31m● Log in to go on\u{1b}[0m",
    " Do you want to",
    " proceed? Esc to cancel",
    "a row wider than a narrow terminal, on which no sentence of the runtime's own is wrapped over rows",
];

proptest! {
    #[test]
    fn rows_that_answered_before_answer_the_same(
        screens in prop::collection::vec((prop::collection::vec(0..POOL.len(), 0..9), any::<bool>()), 1..9),
    ) {
        let (rules, other) = (rules(), rules());
        let mut known = Known::default();
        for (turn, (rows, titled)) in screens.iter().enumerate() {
            let title = if *titled { "⠋ go" } else { "go" };
            let rows: Vec<&str> = rows.iter().map(|row| POOL[*row]).collect();
            let grid = Grid::parse(&rows.join("\n"));
            // Rules that were read anew are others.
            let asked = if turn % 5 == 4 { &other } else { &rules };
            prop_assert_eq!(asked.judge_again(&grid, title, &mut known), rules.judge(&Grid::parse(&rows.join("\n")), title));
        }
    }
}

#[test]
fn what_other_rules_were_told_is_not_taken_for_an_answer() {
    let mut known = Known::default();
    let screen = format!("❯ go\n● It worked.\n{BOX}");
    assert_eq!(rules().judge_again(&Grid::parse(&screen), "", &mut known).shows, Some(Shows::Prompt));
    let changed = parse(&RULES.replace("API Error", "It worked")).unwrap();
    let grid = Grid::parse(&screen);
    assert_eq!(rules().judge(&grid, "").shows, Some(Shows::Prompt));
    assert_eq!(changed.judge(&grid, "").shows, Some(Shows::Stuck(StuckKind::Error)));
    let sight = changed.judge_again(&grid, "", &mut known);
    assert_eq!(sight.shows, Some(Shows::Stuck(StuckKind::Error)));
}
