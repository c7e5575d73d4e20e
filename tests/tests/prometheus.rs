//! A real Prometheus scrapes a real collector; every query of the dashboard and every rule is executed there.
#![expect(clippy::disallowed_methods, reason = "starts Prometheus and the checker of dashboards")]
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::net::TcpListener;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use fleet_testkit::agent::{ScriptedAgent, ScriptedOptions};
use fleet_testkit::fleet::{collector, fleet, sidecar, wait_for_state, write_roster};
use fleet_testkit::home::TestHome;
use fleet_testkit::skip::require_or_skip;
use fleet_testkit::tmux::PrivateTmux;
use fleet_testkit::wait::wait_until;

const BUDGET: &str = "
version: 1
accounts:
  - name: anthropic
    provider: anthropic
    kind: subscription
    windows:
      - {name: 5h, rolling: true, limit: 50M}
      - {name: 7d, every: 7d, reset_at: 2026-01-05T09:00, limit: 500M}
ceilings:
  - {account: anthropic, per: day, hard: 20M, soft: 80%}
";

struct Prometheus(Child);

impl Drop for Prometheus {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

fn get(port: u16, path: &str) -> Result<String> {
    use std::io::{Read as _, Write as _};
    let mut stream = std::net::TcpStream::connect(("127.0.0.1", port))?;
    stream.set_read_timeout(Some(Duration::from_secs(10)))?;
    write!(stream, "GET {path} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nConnection: close\r\n\r\n")?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    ensure!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    Ok(answer)
}

#[test]
fn every_query_of_the_dashboards_and_rules_is_answered_by_a_real_prometheus() {
    let found =
        Command::new("prometheus").arg("--version").stdout(Stdio::null()).stderr(Stdio::null()).status();
    if require_or_skip("prometheus", found).is_none() {
        return;
    }
    let dashboards = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().join("dashboards");
    let home = TestHome::new().unwrap();
    let tmux = PrivateTmux::named(&home, "mosaic-fleet").unwrap();
    write_roster(
        &home,
        "version: 1\ntmux: {socket_name: mosaic-fleet}\nagents: [{name: coder0, runtime: claude, class: implementer}, {name: coder1, runtime: claude}, {name: ghost, runtime: pi}]\n",
    )
    .unwrap();
    std::fs::write(home.mosaic_home().join("fleet/budget.yaml"), BUDGET).unwrap();
    let (http, port) = (free_port(), free_port());
    let _collector = collector(&home, &format!("127.0.0.1:{http}")).unwrap();
    let _sidecar = sidecar(&home, &["--host"]).unwrap();
    let mut coder = ScriptedAgent::launch(&tmux, &home, "coder0", &ScriptedOptions::default()).unwrap();
    let mut asking = ScriptedAgent::launch(&tmux, &home, "coder1", &ScriptedOptions::default()).unwrap();
    let _stray = ScriptedAgent::launch(&tmux, &home, "stray", &ScriptedOptions::default()).unwrap();
    coder.step("prompt go").unwrap();
    coder.step("work 0s tokens=100,20,300,4,5").unwrap();
    asking.step("prompt go").unwrap();
    asking.step("permission \"Bash: rm x\"").unwrap();
    wait_for_state(&home, "coder1", "stuck").unwrap();

    for args in [
        &["budget", "check", "--class", "implementer", "--estimate", "10k", "--hold"][..],
        &["budget", "authorize", "anthropic", "--tokens", "1M", "--until", "2h"],
    ] {
        let said = fleet(&home, args).unwrap();
        assert_eq!(said.code, 0, "{args:?}: {}{}", said.stdout, said.stderr);
    }

    let rules = dashboards.join("prometheus/rules");
    let config = home.root().join("prometheus.yml");
    std::fs::write(
        &config,
        format!(
            "global: {{scrape_interval: 1s, evaluation_interval: 1s}}\nrule_files: ['{}/*.yml']\nscrape_configs:\n  - job_name: fleet\n    static_configs: [{{targets: ['127.0.0.1:{http}']}}]\n",
            rules.display()
        ),
    )
    .unwrap();
    let log = std::fs::File::create(home.root().join("prometheus.log")).unwrap();
    let child = home
        .command("prometheus")
        .arg(format!("--config.file={}", config.display()))
        .arg(format!("--storage.tsdb.path={}", home.root().join("tsdb").display()))
        .arg(format!("--web.listen-address=127.0.0.1:{port}"))
        .stdout(Stdio::null())
        .stderr(log)
        .spawn()
        .unwrap();
    let _prometheus = Prometheus(child);
    wait_until(Duration::from_secs(60), "prometheus", || get(port, "/-/ready")).unwrap();
    // Two scrapes and an evaluation are enough for rates and recording rules.
    wait_until(Duration::from_secs(60), "the recording rules and rates", || {
        for (index, tokens) in ["1,1,1,1,1", "2,2,2,2,2"].iter().enumerate() {
            coder.step(&format!("work 0s tokens={tokens}")).with_context(|| format!("step {index}"))?;
        }
        for query in ["fleet:agents:by_state", "rate(fleet_tokens_total[30s])%3E0", "fleet_agent_stuck"] {
            let answer = get(port, &format!("/api/v1/query?query={query}"))?;
            ensure!(answer.contains("\"value\""), "{query}: {answer}");
        }
        Ok(())
    })
    .unwrap();
    let checked = Command::new(dashboards.join("check"))
        .args(["--prometheus", &format!("http://127.0.0.1:{port}")])
        .output()
        .unwrap();
    let text =
        String::from_utf8_lossy(&checked.stdout).into_owned() + &String::from_utf8_lossy(&checked.stderr);
    assert!(checked.status.success(), "{text}");
}
