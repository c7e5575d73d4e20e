use clap::Parser;

use super::*;
use crate::app::{App, Verb};
use crate::client::{Address, ClientError};
use crate::render::samples;
use crate::source::Origin;

const PIPE: Screen = Screen { terminal: false, colour: false, cursor: false };

fn args(words: &[&str]) -> Args {
    let words = ["fleet", "ps"].iter().chain(words);
    match App::try_parse_from(words).unwrap().verb {
        Verb::Ps(args) => args,
        other => panic!("{other:?}"),
    }
}

fn snapshot() -> Snapshot {
    Snapshot {
        agents: samples::fleet(),
        hosts: Vec::new(),
        heard: 1,
        origin: Origin::Collector,
        at: samples::now(),
        funds: Default::default(),
    }
}

fn printed(words: &[&str]) -> String {
    let mut out = Vec::new();
    show(&mut out, &snapshot(), &args(words).request().unwrap(), PIPE).unwrap();
    String::from_utf8(out).unwrap()
}

#[test]
fn json_keeps_the_order_of_the_roster_and_names_come_by_urgency() {
    let names = |text: &str| {
        let list: serde_json::Value = serde_json::from_str(text).unwrap();
        let items = list["items"].as_array().unwrap().clone();
        items.iter().map(|item| item["name"].as_str().unwrap().to_owned()).collect::<Vec<_>>().join(" ")
    };
    assert_eq!(names(&printed(&["--json"])), "lead enhancer coder0 coder1 coder2 reviewer0 analyst notes");
    assert_eq!(names(&printed(&["-o", "json", "--sort-by", "agent", "--runtime", "codex"])), "coder1");
    assert_eq!(printed(&["-q", "--state", "stuck,dead"]), "coder1\ncoder0\ncoder2\n");
}

#[test]
fn a_list_is_a_list_even_when_nothing_is_in_it() {
    let text = printed(&["--json", "--host", "nowhere"]);
    let list: serde_json::Value = serde_json::from_str(&text).unwrap();
    assert_eq!(
        (&list["apiVersion"], &list["kind"], &list["items"]),
        (&"fleet/v1".into(), &"AgentList".into(), &serde_json::json!([]))
    );
    assert_eq!(printed(&["--host", "nowhere"]), "");
}

#[test]
fn jsonl_is_an_item_a_line_and_yaml_the_same_object() {
    let lines = printed(&["-o", "jsonl"]);
    assert_eq!(lines.lines().count(), 8);
    assert!(lines.lines().all(|line| serde_json::from_str::<serde_json::Value>(line).is_ok()));
    assert!(printed(&["-o", "yaml"]).starts_with("apiVersion: \"fleet/v1\"\n"));
}

#[test]
fn headers_and_columns_are_the_users_choice() {
    assert_eq!(printed(&["--columns", "agent,state", "--state", "dead"]), "AGENT   STATE\ncoder2  dead\n");
    assert_eq!(printed(&["--columns", "agent", "--no-headers", "--state", "dead"]), "coder2\n");
    let refused = args(&["--json", "--columns", "agent"]).request().unwrap_err();
    assert_eq!(refused.code, Code::Usage);
}

#[test]
fn emptiness_tells_an_empty_fleet_from_a_narrow_filter() {
    let request = args(&["--host", "nowhere"]).request().unwrap();
    assert_eq!(emptiness(&snapshot(), &request).unwrap(), "none of 8 sessions passes the filters");
    let empty = Snapshot { agents: Vec::new(), ..snapshot() };
    assert!(emptiness(&empty, &request).unwrap().starts_with("no agents yet"));
    let unheard = Snapshot { heard: 0, ..empty };
    assert!(emptiness(&unheard, &request).unwrap().contains("fleet-sidecar --host"));
}

#[test]
fn a_missing_collector_is_said_with_how_to_start_one() {
    let why = ClientError::Absent(Address { socket: "/run/c.sock".into() });
    let notice = Origin::Direct { why }.notice().unwrap();
    assert!(notice.starts_with("no collector at unix:///run/c.sock: joined directly"), "{notice}");
    assert!(notice.contains("(or run fleet-collector in a terminal)"));
}

#[test]
fn the_summary_never_outgrows_the_terminal() {
    let request = args(&[]).request().unwrap();
    let fleet = samples::fleet();
    let scene = samples::scene();
    let shown = request.select(&fleet, &scene);
    for width in [20, 60, 100, 200] {
        assert!(
            lines(&shown, &request, &scene, width).iter().all(|line| width_of(line) <= width.max(40)),
            "{width}"
        );
    }
}
