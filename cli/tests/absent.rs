//! Without a collector: what works says so, what cannot work names the remedy, and each ends with its code.

mod support;

use support::World;

#[tokio::test]
async fn ps_joins_directly_and_says_so_on_stderr() {
    let world = World::new();
    let answer = world.fleet(&["ps"]).await;
    assert_eq!((answer.code, answer.out.as_str()), (Some(0), ""));
    assert!(answer.err.contains("joined directly") && answer.err.contains("no agents yet"), "{}", answer.err);
    let json = world.fleet(&["ps", "--json"]).await;
    let list: serde_json::Value = serde_json::from_str(&json.out).unwrap();
    assert_eq!((&list["kind"], &list["origin"]), (&"AgentList".into(), &"direct".into()));
}

#[tokio::test]
async fn a_roster_is_told_whole_though_nothing_runs() {
    let world = World::new();
    world.write(
        "home/.config/mosaic/fleet/roster.yaml",
        "version: 1\ntmux: {socket_name: fleet-cli-test}\nagents:\n  - {name: lead, runtime: claude}\n  - {name: coder0, runtime: pi}\n",
    );
    let answer = world.fleet(&["ps", "--columns", "agent,state,flags,tokens", "--no-headers"]).await;
    assert_eq!(answer.out, "coder0  dead  MISSING  -\nlead    dead  MISSING  -\n");
    let explained = world.fleet(&["explain", "le"]).await;
    assert!(explained.out.starts_with("lead is dead: it"), "{}", explained.out);
    assert!(explained.out.contains("only a collector keeps them"));
}

#[tokio::test]
async fn a_broken_roster_is_named_with_its_line_and_hides_nothing_else() {
    let world = World::new();
    world.write(
        "home/.config/mosaic/fleet/roster.yaml",
        "version: 1\nagents:\n  - {name: a b, runtime: pi}\n",
    );
    let answer = world.fleet(&["ps"]).await;
    assert_eq!(answer.code, Some(0));
    assert!(answer.err.contains("roster.yaml: line 3: agents[0].name"), "{}", answer.err);
    let doctor = world.fleet(&["doctor"]).await;
    assert_eq!(doctor.code, Some(1));
    assert!(doctor.out.contains("FAIL  roster"), "{}", doctor.out);
}

#[tokio::test]
async fn exit_codes_are_api() {
    let world = World::new();
    for (args, code) in [
        (&["events"][..], 6),
        (&["explain", "nobody"], 4),
        (&["ps", "--state", "busy"], 2),
        (&["ps", "--columns", "agent", "--json"], 2),
        (&["--collector", "https://elsewhere", "ps"], 2),
        (&["nonsense"], 2),
        (&["--version"], 0),
        (&["help", "ps"], 0),
        (&["schema"], 0),
        (&["completion", "zsh"], 0),
        (&["doctor", "--json"], 0),
    ] {
        let answer = world.fleet(args).await;
        assert_eq!(answer.code, Some(code), "{args:?}: {}{}", answer.out, answer.err);
    }
}

#[tokio::test]
async fn errors_for_a_reader_of_json_are_json() {
    let world = World::new();
    let answer = world.fleet(&["events", "--json"]).await;
    let error: serde_json::Value = serde_json::from_str(answer.err.trim()).unwrap();
    assert_eq!(error["code"], 6);
    assert!(error["hint"].as_str().unwrap().contains("fleet up (or run fleet-collector"));
}

#[tokio::test]
async fn without_a_home_there_is_an_error_and_no_panic() {
    let world = World::new();
    let output = world.command(&["ps"]).env_remove("HOME").output().await.unwrap();
    let error = String::from_utf8(output.stderr).unwrap();
    assert_eq!((output.status.code(), error.contains("set HOME")), (Some(1), true), "{error}");
}

#[tokio::test]
async fn manual_pages_are_written_one_a_verb() {
    let world = World::new();
    let dir = world.path("man");
    let answer = world.fleet(&["man", "--dir", dir.to_str().unwrap()]).await;
    assert_eq!(answer.code, Some(0), "{}", answer.err);
    assert!(dir.join("fleet.1").exists() && dir.join("fleet-ps.1").exists());
}

#[tokio::test]
async fn a_stale_socket_file_is_an_absent_collector() {
    let world = World::new();
    drop(std::os::unix::net::UnixListener::bind(world.socket()).unwrap());
    assert!(world.fleet(&["ps"]).await.err.starts_with("no collector at"));
}

#[tokio::test]
async fn a_collector_that_never_answers_is_not_waited_for() {
    let world = World::new();
    let _silent = std::os::unix::net::UnixListener::bind(world.socket()).unwrap();
    let answer = world.fleet(&["ps"]).await;
    assert_eq!(answer.code, Some(0));
    assert!(
        answer.err.contains("gave no answer") || answer.err.contains("does not answer"),
        "{}",
        answer.err
    );
}
