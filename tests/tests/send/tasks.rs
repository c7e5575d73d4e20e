//! A task that begins with a message, over a real collector.

use fleet_testkit::fleet::{collector, fleet};
use fleet_testkit::real::{Kind, Setup};
use serde_json::Value;

use crate::world::World;

/// A task as the budget has it; null where it has none of this name.
fn task(world: &World, name: &str) -> Value {
    let list = fleet(&world.place.home, &["task", "show", "--json"]).unwrap().json().unwrap();
    let items = list["items"].as_array().unwrap();
    items.iter().find(|item| item["name"] == name).cloned().unwrap_or_default()
}

#[test]
fn a_task_begins_when_its_message_has_arrived_and_not_before() {
    let Some(world) = World::new(Kind::Codex, &["one"]) else { return };
    let _collector = collector(&world.place.home, "off").unwrap();
    let one = world.launch("one", &Setup::default()).unwrap();
    let send = |task: &str| {
        let args = ["--task", task, "--estimate", "120k", "--task-class", "implementer"];
        world.place.send("one", &args, "please begin").unwrap()
    };

    let sent = send("job-1");
    assert_eq!(
        (sent.code, &sent.receipt["task"]),
        (0, &"job-1".into()),
        "{sent:?}\n{}",
        one.screen().unwrap()
    );
    let begun = task(&world, "job-1");
    assert_eq!((&begun["stage"], &begun["agent"]), (&"started".into(), &"one".into()), "{begun}");
    assert_eq!((&begun["class"], &begun["projected"]), (&"implementer".into(), &120_000.into()), "{begun}");

    one.wait_for_screen("an answer", |screen| screen.contains("STUBOK")).unwrap();
    one.draft("half a thought").unwrap();
    let refused = send("job-2");
    assert_eq!((refused.code, refused.reason()), (5, "draft"), "{refused:?}");
    assert_eq!(refused.receipt["task"], Value::Null);
    assert_eq!(task(&world, "job-2")["startedAt"], Value::Null);

    // No room in the budget is told as the budget tells it, and nothing is typed.
    let pause = world.place.home.mosaic_home().join("fleet/run/PAUSED");
    std::fs::create_dir_all(pause.parent().unwrap()).unwrap();
    std::fs::write(&pause, "").unwrap();
    let paused = send("job-3");
    assert_eq!((paused.code, &paused.receipt["reason"]), (5, &"paused".into()), "{paused:?}");
    assert_eq!(task(&world, "job-3"), Value::Null);
}
