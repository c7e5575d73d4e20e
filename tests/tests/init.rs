//! `fleet init` as people meet it: in a terminal, in a script, twice, at once, cut off, without room.
#![expect(clippy::disallowed_methods, reason = "starts fleet under unshare, and several at once")]

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use fleet_testkit::bins::bin;
use fleet_testkit::fleet::{PATIENCE, fleet};
use fleet_testkit::home::TestHome;
use fleet_testkit::skip::require_or_skip;
use fleet_testkit::tmux::PrivateTmux;
use fleet_testkit::wait::wait_until;

fn roster(home: &TestHome) -> PathBuf {
    home.mosaic_home().join("fleet/roster.yaml")
}

fn read(path: &Path) -> Result<String> {
    std::fs::read_to_string(path).with_context(|| path.display().to_string())
}

/// Every file below, by its path.
fn files(root: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(root).into_iter().flatten().filter_map(|entry| Some(entry.ok()?.path()));
    let mut found: Vec<PathBuf> =
        entries.flat_map(|path| if path.is_dir() { files(&path) } else { vec![path] }).collect();
    found.sort();
    found
}

fn succeeds(home: &TestHome, args: &[&str]) -> Result<String> {
    let said = fleet(home, args)?;
    ensure!(said.code == 0, "exit {}: {}{}", said.code, said.stdout, said.stderr);
    Ok(said.stdout + &said.stderr)
}

struct Wizard<'t> {
    tmux: &'t PrivateTmux,
    screen: std::cell::RefCell<String>,
}

impl Wizard<'_> {
    fn answers(&self, question: &str, answer: &str) -> Result<()> {
        self.sees(question)?;
        self.tmux.type_text("init", answer)?;
        self.tmux.send_keys("init", &["Enter"])
    }

    /// The question stands in the last line, waiting.
    fn sees(&self, question: &str) -> Result<()> {
        wait_until(PATIENCE, format!("the question {question:?}"), || {
            let screen = self.tmux.capture("init").unwrap_or_default();
            let last = screen.trim_end().lines().last().unwrap_or_default().to_owned();
            *self.screen.borrow_mut() = screen.clone();
            if last.starts_with(question) && last.trim_end().ends_with(':') { Ok(()) } else { Err(screen) }
        })
        .map_err(Into::into)
    }
}

#[test]
fn in_a_terminal_it_asks_shows_and_writes_after_a_yes() -> Result<()> {
    let home = TestHome::new()?;
    let tmux = PrivateTmux::new(&home)?;
    std::os::unix::fs::symlink("/bin/true", home.bin().join("claude"))?;
    let program = bin("fleet")?.display().to_string();
    let line = format!("{program} init; echo exit=$?; exec sleep 1000");
    let argv = ["sh", "-c", &line].map(str::to_owned);
    tmux.new_session("init", home.root(), &home.env(), &argv)?;
    let wizard = Wizard { tmux: &tmux, screen: std::cell::RefCell::default() };
    wizard.answers("Preset, by number or name [coding]", "nonsense")?;
    wizard.answers("Preset, by number or name [coding]", "4")?;
    wizard.answers("Leave any out?", "orchestrator")?;
    ensure!(wizard.screen.borrow().contains("coder0"), "{}", wizard.screen.borrow());
    wizard.answers("Leave any out?", "coder1")?;
    wizard.answers("pi was not found. Run its agents with", "")?;
    wizard.answers("Work directory of the agents [~/src]", "~/code")?;
    wizard.answers("tmux socket", "crew")?;
    wizard.answers("Account that the claude agents spend from", "max")?;
    wizard.answers("Is max a subscription?", "")?;
    wizard.answers("Account that the claude agents spend from", "key-1")?;
    wizard.answers("Is key-1 a subscription?", "n")?;
    wizard.sees("Write this? [Y/n]")?;
    ensure!(!roster(&home).exists(), "nothing is written before the yes");
    tmux.send_keys("init", &["Enter"])?;
    wait_until(PATIENCE, "its end", || {
        let screen = tmux.capture("init").unwrap_or_default();
        if screen.contains("exit=0") && screen.contains("fleet up") { Ok(()) } else { Err(screen) }
    })?;
    let text = read(&roster(&home))?;
    for line in ["socket_name: crew", "working_directory: ~/code", "account: max", "- name: coder0"] {
        ensure!(text.contains(line), "{line} is not in\n{text}");
    }
    ensure!(!text.contains("coder1") && !text.contains("runtime: pi"), "{text}");
    let budget = read(&home.mosaic_home().join("fleet/budget.yaml"))?;
    for line in [
        "{name: max, provider: anthropic, kind: subscription}",
        "{name: key-1, provider: anthropic, kind: api}",
    ] {
        ensure!(budget.contains(line), "{line} is not in\n{budget}");
    }
    Ok(())
}

#[test]
fn where_nobody_can_be_asked_the_flag_is_named_and_nothing_written() -> Result<()> {
    let home = TestHome::new()?;
    for (args, flag) in [(&["init"][..], "--preset"), (&["init", "--preset", "coding"], "--yes")] {
        let said = fleet(&home, args)?;
        ensure!(said.code == 2 && said.stderr.contains(flag), "{said:?}");
    }
    let shown = succeeds(&home, &["init", "--preset", "coding", "--dry-run"])?;
    ensure!(
        shown.contains("+   - name: orchestrator") && shown.contains("fleet/roles/planner.md"),
        "{shown}"
    );
    ensure!(files(&home.mosaic_home()).is_empty(), "{:?}", files(&home.mosaic_home()));
    Ok(())
}

#[test]
fn what_is_wrong_is_refused_before_anything_is_written() -> Result<()> {
    let home = TestHome::new()?;
    let own = home.root().join("own.yaml");
    std::fs::write(&own, "version: 1\nagents:\n  - {name: a, runtime: pi}\n  - {name: b, runtyme: pi}\n")?;
    let small = home.root().join("small.yaml");
    std::fs::write(&small, "version: 1\nagents:\n  - {name: a, runtime: pi, class: orchestrator}\n")?;
    let path = |path: &Path| path.display().to_string();
    for (args, code, says) in [
        (vec!["--preset", "codng"], 2, "did you mean coding?"),
        (vec!["--preset", &path(&own)], 1, "line 4: agents[1].runtyme"),
        (vec!["--preset", &path(&small)], 5, "this one has 1 and 0"),
        (vec!["--preset", "coding", "--without", "orchestrator"], 5, "this one has 0 and 1"),
        (vec!["--preset", "coding", "--socket", "a/b"], 2, "socket name"),
        (vec!["--preset", "coding", "--runtime", "coder0=emacs"], 2, "`emacs` is not a runtime"),
        (vec!["--preset", "coding", "--account", "codr0=x"], 2, "did you mean coder0?"),
        (vec!["--preset", "coding", "--account", "a b"], 2, "without blanks"),
        (vec!["--preset", "coding", "--account", "a", "--api", "b"], 2, "no agent spends from it"),
    ] {
        let said = fleet(&home, &[&["init", "--yes"], &args[..]].concat())?;
        ensure!(said.code == code && said.stderr.contains(says), "{args:?}: {said:?}");
        ensure!(files(&home.mosaic_home()).is_empty(), "{args:?}: {:?}", files(&home.mosaic_home()));
    }
    Ok(())
}

#[test]
fn again_it_writes_nothing_keeps_edits_and_begins_anew_only_when_told() -> Result<()> {
    let home = TestHome::new()?;
    let coding = ["init", "--preset", "coding", "--yes", "--socket", "crew"];
    succeeds(&home, &coding)?;
    let mut edited = read(&roster(&home))?;
    edited.push_str("  # mine\n  - {name: extra, runtime: claude}\n");
    edited = edited.replace("socket_name: crew", "socket_name: other");
    std::fs::write(roster(&home), &edited)?;
    let before = files(&home.mosaic_home());
    let said = succeeds(&home, &coding)?;
    ensure!(said.contains("nothing is to be written") && said.contains("it says other"), "{said}");
    ensure!(read(&roster(&home))? == edited && files(&home.mosaic_home()) == before);
    let budget = home.mosaic_home().join("fleet/budget.yaml");
    ensure!(!budget.exists(), "no account was named");
    std::fs::write(&budget, "version: 1\naccounts: [{name: max, provider: anthropic}]\n")?;
    let shown = succeeds(
        &home,
        &[
            "init",
            "--preset",
            "coding",
            "--replace",
            "--dry-run",
            "--account",
            "claude=max",
            "--account",
            "coder0=k",
        ],
    )?;
    ensure!(
        shown.contains("its accounts lack") && shown.contains("name: k,") && !shown.contains("name: max,"),
        "{shown}"
    );

    let said = succeeds(&home, &["init", "--preset", "minimal", "--yes", "--replace"])?;
    ensure!(said.contains("  - ") && said.contains("roster.yaml.bak"), "{said}");
    ensure!(read(&home.mosaic_home().join("fleet/roster.yaml.bak"))? == edited);
    ensure!(read(&roster(&home))?.contains("canary-pi"));
    std::fs::write(roster(&home), "version: 1\nagents: {\n")?;
    let said = fleet(&home, &coding)?;
    ensure!(said.code == 1 && said.stderr.contains("--replace"), "{said:?}");
    Ok(())
}

#[test]
fn several_at_once_end_in_one_whole_fleet() -> Result<()> {
    let home = TestHome::new()?;
    let started: Vec<_> = ["coding", "research", "general", "hybrid"]
        .iter()
        .map(|preset| {
            let mut command = home.command(bin("fleet")?);
            command.args(["init", "--yes", "--preset", preset]).stdout(Stdio::null()).stderr(Stdio::piped());
            command.spawn().context("start")
        })
        .collect::<Result<_>>()?;
    let mut wrote = 0;
    for child in started {
        let out = child.wait_with_output()?;
        let code = out.status.code();
        ensure!(code == Some(0) || code == Some(5), "{code:?}: {}", String::from_utf8_lossy(&out.stderr));
        wrote += u32::from(code == Some(0));
    }
    ensure!(wrote >= 1, "nobody wrote");
    ensure!(succeeds(&home, &["init", "--yes"])?.contains("nothing is to be written"));
    let left: Vec<PathBuf> = files(&home.mosaic_home())
        .into_iter()
        .filter(|path| path.to_string_lossy().contains(".mosaic-"))
        .collect();
    ensure!(left.is_empty(), "{left:?}");
    Ok(())
}

/// Cut off by the kernel at moments all over its run: the old framework or the new one, and nothing of the user's changed.
#[test]
fn killed_at_any_moment_it_leaves_the_old_or_the_new() -> Result<()> {
    let home = TestHome::new()?;
    succeeds(&home, &["init", "--preset", "coding", "--yes"])?;
    let at = |path: &str| home.mosaic_home().join(path);
    let owned = ["fleet/roles/code.md", "fleet/examples/coding.yaml", "systemd/user/mosaic-agent@.service"];
    let new: Vec<String> = owned.iter().map(|path| read(&at(path))).collect::<Result<_>>()?;
    let version = read(&at("fleet/.framework-version"))?;
    let users = [
        ("fleet/agents/lead.env", "A=1\n"),
        ("fleet/run/lead.hb", "x\n"),
        ("fleet/examples/own.yaml", "y\n"),
    ];
    for (path, text) in users {
        std::fs::create_dir_all(at(path).parent().context("a directory")?)?;
        std::fs::write(at(path), text)?;
    }
    let rosters = read(&roster(&home))?;
    let (mut old_left, mut finished) = (0, 0);
    for round in 0..40u64 {
        owned.iter().try_for_each(|path| std::fs::write(at(path), format!("old {path}\n")))?;
        std::fs::write(at("fleet/.framework-version"), "0\n")?;
        let mut command = home.command(bin("fleet")?);
        let mut child =
            command.args(["init", "--yes"]).stdout(Stdio::null()).stderr(Stdio::null()).spawn()?;
        let moment = Duration::from_micros(500 * round);
        let ended = wait_until(moment, "its end", || child.try_wait().ok().flatten()).is_ok();
        child.kill()?;
        child.wait()?;
        let is_old = read(&at("fleet/.framework-version"))? == "0\n" && !at("fleet/.seeding/commit").exists();
        for (path, new) in owned.iter().zip(&new) {
            let text = read(&at(path))?;
            ensure!(text == format!("old {path}\n") || text == *new, "{path} is neither: {text}");
            ensure!(!is_old || text.starts_with("old "), "{path} is new, the version is not");
        }
        old_left += u32::from(is_old);
        finished += u32::from(ended);
        succeeds(&home, &["init", "--yes"])?;
        for (path, new) in owned.iter().zip(&new) {
            ensure!(read(&at(path))? == *new, "{path} was not finished");
        }
        ensure!(read(&at("fleet/.framework-version"))? == version && read(&roster(&home))? == rosters);
        for (path, text) in users {
            ensure!(read(&at(path))? == text, "{path}");
        }
    }
    ensure!(old_left > 0, "no round was cut off early ({finished} ended by themselves)");
    Ok(())
}

/// A line of shell with `$FLEET` in a mount name space of its own, where root may mount over a directory.
fn unshared(home: &TestHome, line: &str) -> Result<std::process::Output> {
    let mut command = Command::new("unshare");
    command.args(["--mount", "sh", "-c", line]).env_clear().envs(home.env());
    command.env("FLEET", bin("fleet")?).env("AT", home.mosaic_home());
    command.output().context("run unshare")
}

#[test]
fn a_full_disk_and_a_home_that_cannot_be_written_are_told_and_lose_nothing() -> Result<()> {
    let home = TestHome::new()?;
    let may = unshared(&home, "mount -t tmpfs -o size=64k none $AT").and_then(|out| {
        ensure!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
        Ok(())
    });
    if require_or_skip("mounts of one's own", may).is_none() {
        return Ok(());
    }
    // Room for a part of it only.
    let line = "mount -t tmpfs -o size=64k none $AT && mkdir $AT/fleet && echo 'version: 1\nagents: []' >$AT/fleet/roster.yaml
        $FLEET init --yes; echo code=$?; cat $AT/fleet/roster.yaml; find $AT -type f | sort";
    let out = unshared(&home, line)?;
    let (told, said) = (String::from_utf8_lossy(&out.stdout), String::from_utf8_lossy(&out.stderr));
    ensure!(told.contains("code=1") && said.contains("No space left on device"), "{told}\n{said}");
    ensure!(
        told.contains("agents: []") && !told.contains("planner.md\n/") && !told.contains(".seeding/"),
        "{told}"
    );

    let line = "mkdir -p $AT/fleet && mount -t tmpfs -o ro none $AT/fleet && $FLEET init --preset coding --yes; echo code=$?";
    let out = unshared(&home, line)?;
    let (told, said) = (String::from_utf8_lossy(&out.stdout), String::from_utf8_lossy(&out.stderr));
    ensure!(told.contains("code=1") && said.contains("Read-only file system"), "{told}\n{said}");
    ensure!(said.contains("must be writable"), "{said}");
    Ok(())
}
