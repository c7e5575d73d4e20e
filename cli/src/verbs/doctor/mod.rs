//! `fleet doctor`: what is missing on this machine, each with the command that mends it. It changes nothing.

mod collector;
mod installed;
mod machine;
mod places;
mod programs;
mod signals;
mod sockets;

use anstyle::{AnsiColor, Style};
use fleet_framework::Home;
use serde::Serialize;

use crate::app::Global;
use crate::error::{Code, Failure, Outcome};
use crate::output::{self, Screen};
use crate::render::grid::paint;
use crate::render::item::List;
use crate::render::words::{plural, safe};

const EXAMPLES: &str = "\
Examples:
  fleet doctor          what is missing, each with its remedy
  fleet doctor --json   the same for a script; the exit code is 1 when something failed";

/// Check every prerequisite on this machine and say how to mend what is missing
#[derive(Debug, clap::Args)]
#[command(before_help = EXAMPLES)]
pub struct Args {
    /// One JSON object
    #[arg(long)]
    pub json: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Level {
    Ok,
    /// Worth knowing; nothing to be done.
    Info,
    /// Something is missing that the fleet can do without.
    Warn,
    Fail,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct Check {
    name: &'static str,
    level: Level,
    says: String,
    /// A command, or the one thing to do.
    remedy: Option<String>,
}

impl Check {
    fn new(name: &'static str, level: Level, says: impl AsRef<str>) -> Self {
        Self { name, level, says: safe(says.as_ref()).into_owned(), remedy: None }
    }

    pub(crate) fn ok(name: &'static str, says: impl AsRef<str>) -> Self {
        Self::new(name, Level::Ok, says)
    }

    pub(crate) fn info(name: &'static str, says: impl AsRef<str>) -> Self {
        Self::new(name, Level::Info, says)
    }

    pub(crate) fn warn(name: &'static str, says: impl AsRef<str>) -> Self {
        Self::new(name, Level::Warn, says)
    }

    pub(crate) fn fail(name: &'static str, says: impl AsRef<str>) -> Self {
        Self::new(name, Level::Fail, says)
    }

    pub(crate) fn failed(&self) -> bool {
        self.level == Level::Fail
    }

    pub(crate) fn remedy(mut self, remedy: impl AsRef<str>) -> Self {
        self.remedy = Some(safe(remedy.as_ref()).into_owned());
        self
    }
}

pub async fn run(args: Args, global: &Global) -> Outcome {
    let home = Home::from_env().map_err(|error| Failure::of(Code::Failure, &error))?;
    let at = global.address()?;
    let roster = places::Roster::read(&home);
    let (programs, collector, systemd) =
        tokio::join!(programs::checks(&roster), collector::checks(&at), machine::systemd());
    let mut checks = programs;
    checks.extend(collector);
    checks.extend(roster.checks(&home));
    checks.extend(systemd);
    checks.extend(machine::checks(&roster));
    checks.extend(installed::checks(&home));
    checks.extend(places::checks(&home));
    checks.extend(sockets::checks(&roster));
    checks.extend(signals::checks(&home));
    let failed = checks.iter().any(Check::failed);
    if args.json {
        output::json(&List::new("DoctorReport", checks), true)?;
    } else {
        output::data(&text(&checks, Screen::detect().colour))?;
    }
    if failed { Err(Failure::silent(Code::Failure)) } else { Ok(()) }
}

pub(crate) fn text(checks: &[Check], colour: bool) -> String {
    let width = checks.iter().map(|check| check.name.len()).max().unwrap_or(0);
    let mut out = String::new();
    for check in checks {
        let (word, style) = word(check.level);
        paint(&mut out, word, style, colour);
        out.push_str(&format!("  {:<width$}  {}\n", check.name, check.says));
        if let Some(remedy) = &check.remedy {
            out.push_str(&format!("      {:<width$}  → {remedy}\n", ""));
        }
    }
    let count = |level| checks.iter().filter(|check| check.level == level).count();
    let (failures, warnings) = (count(Level::Fail), count(Level::Warn));
    out.push_str(&format!(
        "\n{}, {}, {} in order\n",
        plural(failures, "failure"),
        plural(warnings, "warning"),
        count(Level::Ok)
    ));
    out
}

fn word(level: Level) -> (&'static str, Style) {
    match level {
        Level::Ok => ("ok  ", AnsiColor::Green.on_default()),
        Level::Info => ("info", AnsiColor::Cyan.on_default()),
        Level::Warn => ("warn", AnsiColor::Yellow.on_default()),
        Level::Fail => ("FAIL", AnsiColor::Red.on_default().bold()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_check_is_a_line_and_its_remedy_another() {
        let checks = [
            Check::ok("tmux", "tmux 3.5"),
            Check::fail("runtime dir", "mode 0755").remedy("chmod 700 /run/x"),
        ];
        insta::assert_snapshot!(text(&checks, false));
    }

    #[test]
    fn what_a_program_says_of_itself_cannot_reach_the_terminal() {
        assert_eq!(Check::ok("x", "1.0\u{1b}[31m\n").says, "1.0 [31m");
    }
}
