//! With a collector: what it says is what is shown, and what it loses is said.
#![expect(clippy::unwrap_used, clippy::expect_used, reason = "what fails here fails the test")]

mod support;

use std::sync::Arc;
use std::time::Duration;

use fleet_proto::pb::{self, State};
use support::{Says, World, agent, key};
use tokio::io::{AsyncBufReadExt, BufReader, Lines};
use tokio::process::{Child, ChildStdout};

fn fleet_of(agents: Vec<pb::Agent>) -> Arc<Says> {
    Arc::new(Says { agents, ..Says::default() })
}

fn stuck(name: &str) -> pb::Agent {
    let evidence = pb::AgentEvidence {
        kind: pb::StuckKind::Permission as i32,
        line: "Do you want to proceed?\u{1b}[31m".to_owned(),
        source: pb::Source::StateFile as i32,
        ..Default::default()
    };
    pb::Agent {
        kind: pb::StuckKind::Permission as i32,
        reason: "waits for permission".to_owned(),
        evidence: vec![evidence],
        ..agent(name, State::Stuck)
    }
}

#[tokio::test]
async fn the_table_in_a_pipe_is_plain_and_urgent_first() {
    let world = World::new();
    let _collector = world.collector(fleet_of(vec![agent("lead", State::Working), stuck("coder0")]));
    let answer = world.fleet(&["ps", "--columns", "agent,state,tokens,hb,why"]).await;
    assert_eq!((answer.code, answer.err.as_str()), (Some(0), ""));
    assert_eq!(
        answer.out,
        "AGENT   STATE             TOKENS          HB  WHY\n\
         coder0  stuck/permission    1.5k    4s/stuck  waits for permission: Do you want to proceed? [31m\n\
         lead    working             1.5k  4s/working  a turn is running\n"
    );
    let quiet = world.fleet(&["ps", "-q", "--state", "working"]).await;
    assert_eq!(quiet.out, "lead\n");
}

#[tokio::test]
async fn colour_is_given_where_it_is_forced_and_never_where_it_is_refused() {
    let world = World::new();
    let _collector = world.collector(fleet_of(vec![agent("lead", State::Working)]));
    let forced = world.command(&["ps"]).env("CLICOLOR_FORCE", "1").output().await.unwrap();
    assert!(String::from_utf8(forced.stdout).unwrap().contains("\u{1b}[32mworking"));
    let refused =
        world.command(&["ps"]).env("CLICOLOR_FORCE", "1").env("NO_COLOR", "1").output().await.unwrap();
    assert!(!String::from_utf8(refused.stdout).unwrap().contains('\u{1b}'));
}

#[tokio::test]
async fn an_explanation_has_the_signals_that_only_one_agent_gets() {
    let world = World::new();
    let _collector =
        world.collector(fleet_of(vec![agent("coder0", State::Working), agent("coder1", State::Working)]));
    let answer = world.fleet(&["explain", "coder1"]).await;
    assert!(answer.out.contains("claude runs as pid 7"), "{}", answer.out);
    let ambiguous = world.fleet(&["explain", "cod"]).await;
    assert_eq!(ambiguous.code, Some(4));
    assert!(ambiguous.err.contains("coder0, coder1"), "{}", ambiguous.err);
}

#[tokio::test]
async fn events_are_lines_or_json() {
    let transition = |session: &str| pb::Transition {
        key: Some(key(session)),
        at_unix_ms: 0,
        to: State::Working as i32,
        reason: "a turn is running".to_owned(),
        ..Default::default()
    };
    let says = Says { transitions: vec![transition("a"), transition("b")], ..Says::default() };
    let world = World::new();
    let _collector = world.collector(Arc::new(says));
    let text = world.fleet(&["events"]).await;
    assert!(text.out.starts_with("1970-01-01 00:00:00  a "), "{}", text.out);
    let json = world.fleet(&["events", "--agent", "b", "--json"]).await;
    let list: serde_json::Value = serde_json::from_str(&json.out).unwrap();
    assert_eq!(list["items"][0]["session"], "b");
    assert_eq!(world.fleet(&["events", "--jsonl"]).await.out.lines().count(), 2);
}

#[tokio::test]
async fn a_collector_that_refuses_is_not_taken_for_an_absent_one() {
    let world = World::new();
    let _collector = world.collector(Arc::new(Says { refuses: true, ..Says::default() }));
    let answer = world.fleet(&["ps"]).await;
    assert_eq!(answer.code, Some(0));
    assert!(answer.err.contains("refused: not your fleet"), "{}", answer.err);
    let doctor = world.fleet(&["doctor"]).await;
    assert_eq!(doctor.code, Some(1));
}

#[tokio::test]
async fn an_agent_of_a_later_version_is_counted_not_hidden() {
    let world = World::new();
    let unknown = pb::Agent { state: 99, ..agent("future", State::Working) };
    let _collector = world.collector(fleet_of(vec![unknown, agent("lead", State::Working)]));
    let answer = world.fleet(&["ps", "-q"]).await;
    assert_eq!(answer.out, "lead\n");
    assert!(answer.err.contains("later version"), "{}", answer.err);
}

#[tokio::test]
async fn a_reader_that_closes_the_pipe_ends_the_command_quietly() {
    let world = World::new();
    let agents = (0..5000).map(|n| agent(&format!("agent{n}"), State::Working)).collect();
    let _collector = world.collector(fleet_of(agents));
    let mut child = world.command(&["ps", "--json"]).spawn().unwrap();
    drop(child.stdout.take());
    let output = child.wait_with_output().await.unwrap();
    assert_eq!((output.status.code(), output.stderr.as_slice()), (Some(0), &b""[..]));
}

#[tokio::test]
async fn a_watch_tells_each_change_once_and_that_the_collector_went_away() {
    let world = World::new();
    let says = fleet_of(vec![agent("lead", State::Working)]);
    let collector = world.collector(says.clone());
    let (mut child, mut lines) = watch(&world, &["ps", "--watch", "-o", "jsonl"]);
    assert_eq!(next(&mut lines).await["readiness"], "working");
    let older = pb::Agent { idle_ms: Some(9000), generation: 5, ..agent("lead", State::Working) };
    says.tell(pb::watch_agents_response::Change::Changed(older)).await;
    says.tell(pb::watch_agents_response::Change::Changed(stuck("lead"))).await;
    assert_eq!(next(&mut lines).await["readinessKind"], "permission");
    says.tell(pb::watch_agents_response::Change::Removed(key("lead"))).await;
    let removed = next(&mut lines).await;
    assert_eq!((&removed["name"], &removed["removed"]), (&"lead".into(), &true.into()));

    collector.abort();
    says.watches.lock().unwrap().clear();
    let mut notes = BufReader::new(child.stderr.take().unwrap()).lines();
    assert!(soon(notes.next_line()).await.unwrap().unwrap().contains("reconnecting"));
    let _again = world.collector(fleet_of(vec![agent("back", State::Working)]));
    assert_eq!(next(&mut lines).await["name"], "back");
}

#[tokio::test]
async fn an_interrupt_ends_with_130() {
    let world = World::new();
    let _collector = world.collector(fleet_of(vec![agent("lead", State::Working)]));
    let (mut child, mut lines) = watch(&world, &["ps", "--watch", "--no-headers"]);
    assert!(soon(lines.next_line()).await.unwrap().unwrap().starts_with("lead"));
    let pid = nix::unistd::Pid::from_raw(i32::try_from(child.id().unwrap()).unwrap());
    nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGINT).unwrap();
    assert_eq!(soon(child.wait()).await.unwrap().code(), Some(130));
}

#[tokio::test]
async fn names_are_completed_from_the_collector() {
    let world = World::new();
    let _collector = world.collector(fleet_of(vec![agent("coder0", State::Working)]));
    let mut command = world.command(&["--", "fleet", "explain", ""]);
    command.env("COMPLETE", "bash").env("_CLAP_COMPLETE_INDEX", "2").env("_CLAP_COMPLETE_COMP_TYPE", "9");
    command.env("_CLAP_IFS", "\n").env("_CLAP_COMPLETE_SPACE", "true");
    let output = command.output().await.unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(text.lines().any(|line| line == "coder0"), "{text}");
}

fn watch(world: &World, args: &[&str]) -> (Child, Lines<BufReader<ChildStdout>>) {
    let mut child = world.command(args).spawn().unwrap();
    let lines = BufReader::new(child.stdout.take().unwrap()).lines();
    (child, lines)
}

async fn next(lines: &mut Lines<BufReader<ChildStdout>>) -> serde_json::Value {
    serde_json::from_str(&soon(lines.next_line()).await.unwrap().unwrap()).unwrap()
}

async fn soon<T>(what: impl Future<Output = T>) -> T {
    tokio::time::timeout(Duration::from_secs(20), what).await.expect("nothing came")
}

#[tokio::test]
async fn limits_are_told_by_account_and_an_unknown_one_is_named() {
    let world = World::new();
    let window = |account: &str, window: &str| pb::LimitStanding {
        reading: Some(pb::LimitReading {
            account: account.to_owned(),
            provider: "anthropic".to_owned(),
            window: window.to_owned(),
            used_ratio: 0.42,
            source: "statusline".to_owned(),
            ..Default::default()
        }),
        provenance: pb::LimitProvenance::Provider as i32,
        age_ms: 65_000,
    };
    let windows = vec![window("max-1", "5h"), window("max-1", "7d"), window("max-2", "5h")];
    let says = Arc::new(Says { windows, ..Says::default() });
    let _collector = world.collector(says);
    let answer = world.fleet(&["limits", "max-1"]).await;
    assert_eq!(
        (answer.code, answer.out.as_str()),
        (
            Some(0),
            "ACCOUNT  WINDOW  USED  RESETS  PROVENANCE  SOURCE      AGE\n\
             max-1    5h       42%  -       provider    statusline   1m\n\
             max-1    7d       42%  -       provider    statusline   1m\n"
        )
    );
    let all = world.fleet(&["limits", "--json"]).await;
    let list: serde_json::Value = serde_json::from_str(&all.out).unwrap();
    assert_eq!((&list["kind"], list["items"].as_array().unwrap().len()), (&"LimitList".into(), 3));
    assert_eq!(list["items"][2]["used_ratio"].as_f64(), Some(0.42));
    let unknown = world.fleet(&["limits", "max-3"]).await;
    assert_eq!(unknown.code, Some(4));
    assert!(unknown.err.contains("there are: max-1, max-2"), "{}", unknown.err);
}

#[tokio::test]
async fn usage_is_the_ledgers_by_what_is_asked_for() {
    let world = World::new();
    let sum = |model: &str, output| pb::UsageSum {
        agent: Some(key("coder0")),
        model: model.to_owned(),
        tokens: Some(pb::Tokens { input: 1200, output, ..Default::default() }),
        responses: 3,
        cost: (model == "b").then_some(pb::UsageCost {
            reported_pico_usd: 1_000_000_000_000,
            priced_pico_usd: 1_500_000_000_000,
            reported: 1,
            priced: 1,
            unpriced: 1,
        }),
        ..Default::default()
    };
    let says = Arc::new(Says { sums: vec![sum("a", 5), sum("b", 70_000)], ..Says::default() });
    let _collector = world.collector(says.clone());
    let answer = world.fleet(&["usage", "--by", "agent,model", "--since", "1970-01-02T00:00:00Z"]).await;
    assert_eq!(answer.code, Some(0));
    assert!(answer.err.starts_with("+ 4 responses of a, b unpriced"), "{}", answer.err);
    assert_eq!(
        answer.out,
        "AGENT   MODEL  RESPONSES  INPUT  CACHE READ  CACHE WRITE  OUTPUT  TOTAL  API-EQUIVALENT\n\
         coder0  b              3   1.2k           0            0   70.0k  71.2k          $2.50+\n\
         coder0  a              3   1.2k           0            0       5   1.2k         unknown\n\
         total                  6   2.4k           0            0   70.0k  72.4k          $2.50+\n"
    );
    let asked = says.asked.lock().unwrap().clone().unwrap();
    assert_eq!((asked.since_unix_ms, asked.by.len(), asked.days_unix_ms.len()), (86_400_000, 2, 0));
    let daily = world.fleet(&["usage", "--by", "day", "--json"]).await;
    let report: serde_json::Value = serde_json::from_str(&daily.out).unwrap();
    assert_eq!((&report["kind"], &report["totals"]["output"]), (&"UsageReport".into(), &70_005.into()));
    let totals = &report["totals"];
    assert_eq!((totals["cost_usd"].as_f64(), totals["unpriced"].as_u64()), (Some(2.5), Some(4)));
    assert_eq!((totals["cost_source"].as_str(), totals["notional"].as_bool()), (Some("mixed"), Some(true)));
    assert!((30..=32).contains(&says.asked.lock().unwrap().clone().unwrap().days_unix_ms.len()));
}

#[tokio::test]
async fn transcripts_are_counted_without_a_collector() {
    let world = World::new();
    let row = r#"{"type":"assistant","sessionId":"s","timestamp":"2026-11-21T10:16:58.932Z","message":{"id":"msg_1","model":"m","usage":{"input_tokens":28,"output_tokens":218}}}"#;
    world.write("tree/projects/-w/s.jsonl", &format!("{row}\n{row}\n"));
    let tree = world.path("tree");
    let answer = world.fleet(&["usage", "--scan", "--runtime", "claude", tree.to_str().unwrap()]).await;
    assert_eq!(answer.code, Some(0));
    assert!(answer.err.starts_with("+ 1 response of m unpriced"), "{}", answer.err);
    assert!(
        answer.out.contains("claude   m              1     28           0            0     218    246"),
        "{}",
        answer.out
    );
    let same = world.fleet(&["usage", "--path", tree.to_str().unwrap(), "--by", "day", "--json"]).await;
    let report: serde_json::Value = serde_json::from_str(&same.out).unwrap();
    assert_eq!(report["rows"][0]["day"], "2026-11-21");
    let checked = world.fleet(&["usage", "--check", "--json", tree.to_str().unwrap()]).await;
    let report: serde_json::Value = serde_json::from_str(&checked.out).unwrap();
    assert_eq!(report["conversations"][0]["cause"], "no_sum");
    let sessions = world
        .fleet(&["usage", "--path", tree.to_str().unwrap(), "--by", "session,hour", "--utc", "--csv"])
        .await;
    assert_eq!(
        sessions.out,
        "hour,session,responses,input,output,cache_write_5m,cache_write_1h,cache_read,reasoning,cost_usd,cost_source,unpriced\r\n\
         2026-11-21T10:00:00Z,s,1,28,218,0,0,0,0,,unknown,1\r\n"
    );
    assert_eq!(world.fleet(&["usage", "--scan"]).await.code, Some(2));
    assert_eq!(world.fleet(&["usage", "--check", "--by", "day"]).await.code, Some(2));
    assert_eq!(world.fleet(&["usage", "--runtime", "pi"]).await.code, Some(2));
    assert_eq!(world.fleet(&["usage", "--path", "x", "--by", "agent"]).await.code, Some(2));
}

#[tokio::test]
async fn prices_of_ones_own_are_checked_installed_and_counted_with() {
    let world = World::new();
    let row = r#"{"type":"assistant","sessionId":"s","timestamp":"2026-11-21T10:16:58.932Z","message":{"id":"msg_1","model":"m","usage":{"input_tokens":1000000,"output_tokens":0}}}"#;
    world.write("tree/s.jsonl", &format!("{row}\n"));
    world.write("wrong.yaml", "version: 1\nmodels:\n  - {model: m, input: dear, outptu: 1}\n");
    world.write("mine.yaml", "version: 1\nmodels:\n  - {model: m, input: 1.25, output: 1}\n");
    let path = |name: &str| world.path(name).to_str().unwrap().to_owned();
    let wrong = world.fleet(&["prices", "--update", &path("wrong.yaml")]).await;
    assert_eq!(wrong.code, Some(1));
    assert!(wrong.err.contains("line 3: models[0].input: dollars a million tokens"), "{}", wrong.err);
    assert!(
        wrong.err.contains("line 3: models[0].outptu: unknown key; did you mean `output`?"),
        "{}",
        wrong.err
    );
    assert_eq!(world.fleet(&["prices", "--check", &path("mine.yaml")]).await.code, Some(0));
    let updated = world.fleet(&["prices", "--update", &path("mine.yaml")]).await;
    assert!(updated.out.contains("prices.yaml is in force"), "{}{}", updated.out, updated.err);
    let told = world.fleet(&["prices", "--json"]).await;
    let told: serde_json::Value = serde_json::from_str(&told.out).unwrap();
    let prices = told["prices"].as_array().unwrap();
    let mine = prices.iter().find(|price| price["model"] == "m").unwrap();
    assert_eq!(mine["input"], "1.25");
    assert!(mine["source"].as_str().unwrap().ends_with("/fleet/prices.yaml"), "{mine}");
    let scanned = world.fleet(&["usage", "--json", "--scan", &path("tree")]).await;
    let scanned: serde_json::Value = serde_json::from_str(&scanned.out).unwrap();
    let totals = &scanned["totals"];
    assert_eq!((totals["cost_usd"].as_f64(), totals["cost_source"].as_str()), (Some(1.25), Some("priced")));
}
