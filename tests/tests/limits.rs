//! What the real runtimes tell of their accounts' windows, in `fleet limits` within seconds; and a statusline of the user's
//! own that goes on as it was.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::fs;
use std::os::unix::fs::symlink;
use std::time::Duration;

use anyhow::{Context as _, ensure};
use fleet_testkit::claude::RealClaude;
use fleet_testkit::fleet::{self, PATIENCE, collector, sidecar, write_roster};
use fleet_testkit::home::TestHome;
use fleet_testkit::real::{Kind, RealRuntime, Setup};
use fleet_testkit::stub::ModelStub;
use fleet_testkit::tmux::PrivateTmux;
use fleet_testkit::wait::wait_until;
use serde_json::{Value, json};

/// Between a sighting and its being told.
const SOON: Duration = Duration::from_secs(2);

fn world(roster: &str) -> (TestHome, PrivateTmux, ModelStub) {
    let home = TestHome::new().unwrap();
    let tmux = PrivateTmux::named(&home, "mosaic-fleet").unwrap();
    write_roster(&home, &format!("version: 1\ntmux: {{socket_name: mosaic-fleet}}\nagents: [{roster}]\n"))
        .unwrap();
    (home, tmux, ModelStub::start().unwrap())
}

/// Waits until a window is as `wanted`; the window, and the whole list.
fn window(home: &TestHome, account: &str, name: &str, wanted: impl Fn(&Value) -> bool) -> Value {
    wait_until(PATIENCE * 2, format!("{account} {name}"), || {
        let list = fleet::fleet(home, &["limits", "--json"])?.json()?;
        let items = list["items"].as_array().context("no items")?;
        let found =
            items.iter().find(|item| item["account"] == account && item["window"] == name && wanted(item));
        found.cloned().with_context(|| format!("{list}"))
    })
    .unwrap()
}

fn is_fresh(window: &Value) {
    let age = window["age_seconds"].as_u64().unwrap();
    assert!(age <= SOON.as_secs(), "seen {age} s ago: {window}");
}

#[test]
fn a_real_claudes_windows_are_told_and_its_users_statusline_goes_on() {
    let Some(claude) = RealClaude::require_or_skip() else { return };
    let (home, tmux, stub) = world("{name: coder0, runtime: claude, account: max-1}");
    let work = home.work("coder0").unwrap();
    fs::create_dir_all(home.bin()).unwrap();
    symlink(claude.program(), home.bin().join("claude")).unwrap();
    let known = json!({
        "hasCompletedOnboarding": true,
        "theme": "dark",
        "projects": {work.to_str().unwrap(): {"hasTrustDialogAccepted": true}},
    });
    fs::write(home.home().join(".claude.json"), known.to_string()).unwrap();
    fs::create_dir_all(home.claude_config()).unwrap();
    let own = r#"sed -n 's/.*"version":"\([0-9.]*\)".*/MINE \1/p'"#;
    let settings = json!({
        "skipDangerousModePermissionPrompt": true,
        "statusLine": {"type": "command", "command": own, "padding": 2},
    });
    let settings_file = home.claude_config().join("settings.json");
    fs::write(&settings_file, settings.to_string()).unwrap();
    let holder = ["sleep", "600"].map(str::to_owned);
    tmux.new_session("_holder", &work, &home.env(), &holder).unwrap();
    for (name, value) in [
        ("ANTHROPIC_BASE_URL", stub.base_url().as_str()),
        ("CLAUDE_CODE_OAUTH_TOKEN", "sk-ant-oat01-dummy-0000000000000000000"),
        ("CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC", "1"),
        ("DISABLE_AUTOUPDATER", "1"),
        ("DISABLE_TELEMETRY", "1"),
        ("IS_SANDBOX", "1"),
    ] {
        tmux.run(["set-environment", "-g", name, value]).unwrap();
    }
    let _collector = collector(&home, "off").unwrap();
    let sidecar = sidecar(&home, &["--host", "--ask-limits"]).unwrap();
    let launched = home
        .command(fleet_testkit::bins::bin("fleet").unwrap())
        .args(["launch", "coder0"])
        .env("IS_SANDBOX", "1")
        .env("MOSAIC_AGENT_WORKDIR", &work)
        .output()
        .unwrap();
    assert!(launched.status.success(), "{}", String::from_utf8_lossy(&launched.stderr));

    let screen = |what: &str| {
        wait_until(PATIENCE * 2, format!("the screen to show {what}"), || {
            let screen = tmux.capture("coder0")?;
            ensure!(screen.contains(what), "{screen}");
            Ok(())
        })
        .unwrap();
    };
    screen("MINE 2.1.330");
    // A session that nobody has seen yet is asked for whose it is later; this one is seen.
    fleet::wait_for_state(&home, "coder0", "available").unwrap();
    tmux.paste("coder0", "say hello").unwrap();
    screen("say hello");
    tmux.send_keys("coder0", &["Enter"]).unwrap();
    let five = window(&home, "max-1", "5h", |window| window["used_ratio"] == 0.42);
    is_fresh(&five);
    assert_eq!((&five["provenance"], &five["source"]), (&json!("provider"), &json!("statusline")));
    assert_eq!(window(&home, "max-1", "7d", |_| true)["used_ratio"], 0.17);
    assert_eq!(
        fs::read_to_string(&settings_file).unwrap(),
        settings.to_string(),
        "the user's file is not touched"
    );

    screen("STUBOK");
    tmux.paste("coder0", "now LIMIT").unwrap();
    screen("now LIMIT");
    tmux.send_keys("coder0", &["Enter"]).unwrap();
    let full = window(&home, "max-1", "5h", |window| window["used_ratio"] == 1.0);
    is_fresh(&full);
    // The answer that refused told of five hours only; the week's last value stays.
    assert_eq!(window(&home, "max-1", "7d", |_| true)["used_ratio"], 0.17);

    // It was asked as well, and answered: a token of this kind may not see its limits there.
    wait_until(PATIENCE, "the question", || {
        let asked = home.runtime_dir().join("mosaic/limits-max-1.asked");
        ensure!(asked.exists(), "{}", sidecar.log());
        Ok(())
    })
    .unwrap();
    assert!(!sidecar.log().contains("gave no answer"), "{}", sidecar.log());
}

#[test]
fn a_real_codexs_windows_are_told_from_its_rollout() {
    let Some(codex) = RealRuntime::require_or_skip(Kind::Codex) else { return };
    let (home, tmux, stub) = world("{name: co, runtime: codex}");
    let _collector = collector(&home, "off").unwrap();
    let _sidecar = sidecar(&home, &["--host"]).unwrap();
    let session = codex.launch(&tmux, &home, "co", &stub, &Setup::default()).unwrap();
    fleet::wait_for_state(&home, "co", "available").unwrap();
    session.send_prompt(&stub, "say hello").unwrap();
    let five = window(&home, "openai", "5h", |_| true);
    is_fresh(&five);
    assert_eq!((five["used_ratio"].as_f64(), &five["source"]), (Some(0.125), &json!("rollout")));
    assert_eq!(window(&home, "openai", "7d", |_| true)["used_ratio"], 0.34);
}
