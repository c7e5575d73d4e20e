use fleet_domain::readiness::State;
use serde_json::Value;

use super::*;
use crate::render::samples;

#[test]
fn the_list_as_json() {
    let fleet = samples::fleet();
    let scene = samples::funded(&fleet);
    let items: Vec<AgentItem<'_>> = fleet.iter().map(|agent| AgentItem::of(agent, &scene)).collect();
    let names: Vec<&str> = items.iter().map(|item| item.name.as_ref()).collect();
    assert_eq!(names, ["lead", "enhancer", "coder0", "coder1", "coder2", "reviewer0", "analyst", "notes"]);
    let chosen = items.into_iter().filter(|item| ["coder0", "coder2", "notes"].contains(&item.name.as_ref()));
    let list = List { origin: Some("collector"), ..List::new("AgentList", chosen.collect::<Vec<_>>()) };
    insta::assert_snapshot!(serde_json::to_string_pretty(&list).unwrap());
}

#[test]
fn the_keys_of_the_contract_are_there_whatever_is_known() {
    const KEYS: [&str; 17] = [
        "name",
        "tenant_id",
        "host",
        "runtime",
        "class",
        "systemdActive",
        "systemdEnabled",
        "paneAlive",
        "panePid",
        "paneCommand",
        "idleSeconds",
        "heartbeat",
        "readiness",
        "driftFlag",
        "bootEnableWarning",
        "managed",
        "evidence",
    ];
    let scene = samples::scene();
    for agent in samples::fleet() {
        let item = serde_json::to_value(AgentItem::of(&agent, &scene)).unwrap();
        for key in KEYS {
            assert!(item.get(key).is_some(), "{key} of {}", agent.name);
        }
        for key in ["ts", "pid", "status", "model", "ageMs", "health"] {
            assert!(item["heartbeat"].get(key).is_some(), "heartbeat.{key} of {}", agent.name);
        }
    }
}

#[test]
fn without_a_collector_tokens_and_untold_times_are_null() {
    let scene = Scene { direct: true, ..samples::scene() };
    let fresh = AgentView { since: crate::render::UNTOLD, ..samples::agent("a", State::Dead, 0) };
    let item = serde_json::to_value(AgentItem::of(&fresh, &scene)).unwrap();
    assert_eq!((&item["tokensToday"], &item["readinessSince"]), (&Value::Null, &Value::Null));
}
