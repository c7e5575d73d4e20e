//! The schema for editors and the parser know the same keys.

use std::collections::BTreeSet;

use fleet_domain::roster::Roster;
use serde_json::Value;

const SCHEMA: &str = include_str!("../fleet/roster.schema.json");
/// Near to no key, so that the parser lists those that it knows.
const UNKNOWN: &str = "zzzzzzzzzzzzzzzzzzzzzzzzzzzzzz";

fn parsers_keys(text: &str) -> Option<BTreeSet<String>> {
    let told = Roster::parse(text).err()?.to_string();
    let line = told.lines().find(|line| line.contains(UNKNOWN))?;
    let (_, keys) = line.split_once("known here are ")?;
    Some(keys.split(", ").map(str::to_owned).collect())
}

fn camel(key: &str) -> String {
    let mut words = key.split('_');
    let first = words.next().unwrap_or_default().to_owned();
    words.fold(first, |name, word| name + &word[..1].to_uppercase() + &word[1..])
}

#[test]
fn the_schema_has_the_parsers_keys_in_both_spellings() {
    let schema: Value = serde_json::from_str(SCHEMA).unwrap();
    let matrix = format!("connector: {{kind: matrix, matrix: {{{UNKNOWN}: 1}}}}");
    let discord = format!("connector: {{kind: discord, discord: {{{UNKNOWN}: 1}}}}");
    for (at, text) in [
        ("", format!("{UNKNOWN}: 1")),
        ("/properties/tmux", format!("tmux: {{{UNKNOWN}: 1}}")),
        ("/properties/defaults", format!("defaults: {{{UNKNOWN}: 1}}")),
        ("/properties/runtimes/additionalProperties", format!("runtimes: {{pi: {{{UNKNOWN}: 1}}}}")),
        ("/properties/agents/items", format!("agents: [{{name: a, runtime: pi, {UNKNOWN}: 1}}]")),
        ("/properties/connector", format!("connector: {{kind: tmux, {UNKNOWN}: 1}}")),
        ("/properties/connector/properties/matrix", matrix),
        ("/properties/connector/properties/discord", discord),
    ] {
        let known = parsers_keys(&format!("version: 1\n{text}\n")).unwrap();
        let both: BTreeSet<String> = known.iter().flat_map(|key| [key.clone(), camel(key)]).collect();
        let object = schema.pointer(at).unwrap();
        let properties = object["properties"].as_object().unwrap();
        assert_eq!(properties.keys().cloned().collect::<BTreeSet<_>>(), both, "at {at:?}");
        assert_eq!(object["additionalProperties"], false, "at {at:?}");
        for (key, property) in properties {
            assert!(property["description"].is_string(), "{at}: {key} has no description");
        }
    }
}
