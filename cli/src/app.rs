//! The arguments, and the way from them to an exit code.

use std::process::ExitCode;

use clap::{CommandFactory, FromArgMatches, Parser, Subcommand};

use crate::client::Address;
use crate::error::{Code, Failure, Outcome};
use crate::lifecycle::keeper::Act;
use crate::verbs::{
    add, agent, budget, capture, completion, doctor, drift, events, explain, holder, init, install, launch,
    limits, man, prices, ps, remove, report, roster, schema, start, status, task, uninstall, up, update,
    usage, verify, wait,
};
use crate::{complete, output};

/// What something is, how it is used, and only then what it takes.
const HELP: &str = "{about-with-newline}\n{before-help}{usage-heading} {usage}\n\n{all-args}{after-help}";

const EXAMPLES: &str = "\
Examples:
  fleet ps                      every agent, what needs a person first
  fleet ps --watch              the same, kept up to date
  fleet ps --state stuck,dead   only those
  fleet explain coder0          why an agent is what it is
  fleet doctor                  what is missing on this machine, with the remedy";

const AFTER: &str = "\
Environment:
  MOSAIC_HOME      where rosters and settings are; default ~/.config/mosaic
  FLEET_COLLECTOR  the collector's address; default is its socket in the runtime directory
  NO_COLOR         no colours; CLICOLOR_FORCE=1 gives them to a pipe

Exit codes:
  0 done   1 failure   2 usage   3 what was asked is not so   4 no such agent, host or account
  5 not allowed, refused   6 no collector where one is needed   124 timed out   130 interrupted";

/// The truth about a fleet of AI coding agents: who works, who is stuck and on what, who is dead
#[derive(Debug, Parser)]
#[command(name = "fleet", version, before_help = EXAMPLES, after_long_help = AFTER, disable_help_subcommand = false)]
pub struct App {
    #[command(flatten)]
    pub global: Global,
    #[command(subcommand)]
    pub verb: Verb,
}

#[derive(Debug, Clone, clap::Args)]
pub struct Global {
    /// Collector to ask, `unix:///…`
    #[arg(long, value_name = "URL", global = true, env = "FLEET_COLLECTOR", hide_env_values = true)]
    pub collector: Option<String>,
}

impl Global {
    pub fn address(&self) -> Result<Address, Failure> {
        Address::resolve(self.collector.as_deref())
    }
}

#[derive(Debug, Subcommand)]
pub enum Verb {
    Ps(ps::Args),
    Explain(explain::Args),
    Events(events::Args),
    Wait(wait::Args),
    Capture(capture::Args),
    Agent(agent::Args),
    Usage(usage::Args),
    Limits(limits::Args),
    Prices(prices::Args),
    Budget(budget::Args),
    Task(task::Args),
    Report(report::Args),
    Doctor(doctor::Args),
    Init(init::Args),
    Install(install::Args),
    Up(up::UpArgs),
    Down(up::DownArgs),
    /// Start agents, or all of them; one that runs already is a success
    Start(start::Args),
    /// Stop agents, or all of them; the rest of the fleet goes on
    Stop(start::Args),
    /// Restart agents, or all of them, a few at a time
    Restart(start::Args),
    Status(status::Args),
    Drift(drift::Args),
    Verify(verify::Args),
    Add(add::Args),
    Remove(remove::Args),
    Roster(roster::Args),
    Update(update::Args),
    Uninstall(uninstall::Args),
    Launch(launch::Args),
    Holder(holder::Args),
    Completion(completion::Args),
    Man(man::Args),
    Schema(schema::Args),
}

impl Verb {
    /// The user reads JSON, so that errors are JSON too.
    fn speaks_json(&self) -> bool {
        match self {
            Self::Ps(args) => args.speaks_json(),
            Self::Explain(args) => args.json,
            Self::Events(args) => args.speaks_json(),
            Self::Agent(args) => args.speaks_json(),
            Self::Usage(args) => args.json,
            Self::Limits(args) => args.json,
            Self::Prices(args) => args.json,
            Self::Budget(args) => args.json,
            Self::Task(args) => args.json,
            Self::Doctor(args) => args.json,
            Self::Status(args) => args.json,
            Self::Drift(args) => args.json,
            Self::Verify(args) => args.json,
            Self::Roster(args) => args.json,
            _ => false,
        }
    }
}

/// The one verb that people wait for, alone: describing every other to the parser takes longer than to parse it.
#[derive(Debug, Parser)]
#[command(name = "fleet", disable_help_subcommand = true)]
struct Quick {
    #[command(flatten)]
    global: Global,
    #[command(subcommand)]
    verb: QuickVerb,
}

#[derive(Debug, Subcommand)]
enum QuickVerb {
    Ps(ps::Args),
}

/// `fleet ps …`, where it is right; whatever else is said of it, help and mistakes, is for the whole parser.
fn quick(args: impl Iterator<Item = std::ffi::OsString> + Clone) -> Option<App> {
    if args.clone().nth(1)? != "ps" {
        return None;
    }
    let Quick { global, verb: QuickVerb::Ps(args) } = Quick::try_parse_from(args).ok()?;
    Some(App { global, verb: Verb::Ps(args) })
}

/// The whole command line, as parsed, completed and documented.
pub fn command() -> clap::Command {
    App::command().help_template(HELP).mut_subcommands(|verb| verb.help_template(HELP))
}

pub fn main() -> ExitCode {
    complete::answer_shell();
    let whole = || command().try_get_matches().and_then(|matches| App::from_arg_matches(&matches));
    let app = match quick(std::env::args_os().collect::<Vec<_>>().into_iter()).map_or_else(whole, Ok) {
        Ok(app) => app,
        Err(error) => {
            // Nothing is left to be done where even this cannot be written.
            let _ = error.print();
            return ExitCode::from(u8::try_from(error.exit_code()).unwrap_or(Code::Usage as u8));
        }
    };
    let json = app.verb.speaks_json();
    match in_runtime(app) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            report(&failure, json);
            failure.code.into()
        }
    }
}

fn in_runtime(app: App) -> Outcome {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| Failure::new(Code::Failure, format!("no runtime: {error}")))?;
    let waited_for = matches!(&app.verb, Verb::Ps(args) if !args.watches());
    let outcome = runtime.block_on(run(app));
    if waited_for {
        // Nothing of it runs on, and the process ends here: to take it apart would only delay that.
        std::mem::forget(runtime);
    }
    outcome
}

async fn run(App { global, verb }: App) -> Outcome {
    match verb {
        Verb::Ps(args) => interruptible(ps::run(args, &global)).await,
        Verb::Explain(args) => interruptible(explain::run(args, &global)).await,
        Verb::Events(args) => interruptible(events::run(args, &global)).await,
        Verb::Wait(args) => interruptible(wait::run(args, &global)).await,
        Verb::Capture(args) => interruptible(capture::run(args, &global)).await,
        Verb::Agent(args) => interruptible(agent::run(args, &global)).await,
        Verb::Usage(args) => interruptible(usage::run(args, &global)).await,
        Verb::Limits(args) => interruptible(limits::run(args, &global)).await,
        Verb::Prices(args) => prices::run(&args),
        Verb::Budget(args) => interruptible(budget::run(args, &global)).await,
        Verb::Task(args) => interruptible(task::run(args, &global)).await,
        Verb::Report(args) => interruptible(report::run(args, &global)).await,
        Verb::Doctor(args) => interruptible(doctor::run(args, &global)).await,
        Verb::Init(args) => init::run(args),
        Verb::Install(args) => install::run(args).await,
        Verb::Up(args) => up::up(args).await,
        Verb::Down(args) => up::down(args).await,
        Verb::Start(args) => start::run(args, Act::Start).await,
        Verb::Stop(args) => start::run(args, Act::Stop).await,
        Verb::Restart(args) => start::run(args, Act::Restart).await,
        Verb::Status(args) => interruptible(status::run(&args)).await,
        Verb::Drift(args) => interruptible(drift::run(args, &global)).await,
        Verb::Update(args) => update::run(args, &global).await,
        Verb::Uninstall(args) => uninstall::run(args).await,
        Verb::Verify(args) => verify::run(&args).await,
        Verb::Add(args) => add::run(args).await,
        Verb::Remove(args) => remove::run(args).await,
        Verb::Roster(args) => roster::run(&args),
        Verb::Launch(args) => launch::run(args).await,
        Verb::Holder(args) => holder::run(args).await,
        Verb::Completion(args) => completion::run(&args),
        Verb::Man(args) => man::run(&args),
        Verb::Schema(args) => schema::run(&args),
    }
}

/// Drops the work when the user, or the system, asks for the end, so that what it holds is put back.
async fn interruptible(work: impl Future<Output = Outcome>) -> Outcome {
    use tokio::signal::unix::{SignalKind, signal};
    let kinds = [SignalKind::interrupt(), SignalKind::terminate(), SignalKind::hangup()];
    let [Ok(mut interrupt), Ok(mut terminate), Ok(mut hangup)] = kinds.map(signal) else { return work.await };
    tokio::select! {
        outcome = work => outcome,
        _ = interrupt.recv() => Err(Failure::silent(Code::Interrupted)),
        _ = terminate.recv() => Err(Failure::silent(Code::Interrupted)),
        _ = hangup.recv() => Err(Failure::silent(Code::Interrupted)),
    }
}

fn report(failure: &Failure, json: bool) {
    if failure.message.is_empty() {
        return;
    }
    if json {
        let error = serde_json::json!({
            "code": failure.code as u8,
            "message": failure.message,
            "hint": failure.next,
        });
        output::note(&error.to_string());
    } else {
        output::error(failure);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn help(path: &[&str], long: bool) -> String {
        let mut command = command().term_width(100);
        command.build();
        let mut found = &mut command;
        for name in path {
            found = found.find_subcommand_mut(name).unwrap();
        }
        let help = if long { found.render_long_help() } else { found.render_help() };
        help.to_string()
    }

    #[test]
    fn the_command_line_is_consistent() {
        command().debug_assert();
    }

    #[test]
    fn help_of_all() {
        insta::assert_snapshot!("help", help(&[], false));
        insta::assert_snapshot!("help_long", help(&[], true));
    }

    #[test]
    fn help_of_each_verb() {
        for verb in [
            "ps",
            "explain",
            "events",
            "wait",
            "capture",
            "agent",
            "usage",
            "limits",
            "prices",
            "budget",
            "task",
            "report",
            "doctor",
            "init",
            "install",
            "up",
            "down",
            "start",
            "stop",
            "restart",
            "status",
            "drift",
            "verify",
            "add",
            "remove",
            "roster",
            "update",
            "uninstall",
            "launch",
            "holder",
            "completion",
            "man",
            "schema",
        ] {
            insta::assert_snapshot!(format!("help_{verb}"), help(&[verb], false));
        }
        insta::assert_snapshot!("help_ps_long", help(&["ps"], true));
        insta::assert_snapshot!("help_agent_send", help(&["agent", "send"], true));
    }

    #[test]
    fn ps_alone_is_read_as_among_all_the_others() {
        let words =
            |line: &str| line.split(' ').map(std::ffi::OsString::from).collect::<Vec<_>>().into_iter();
        for line in [
            "fleet ps",
            "fleet ps --json --collector unix:///x",
            "fleet ps -o wide --state dead,stuck --no-headers",
        ] {
            let all = command().try_get_matches_from(words(line)).unwrap();
            let all = App::from_arg_matches(&all).unwrap();
            assert_eq!(format!("{:?}", quick(words(line)).unwrap()), format!("{all:?}"));
        }
        for line in ["fleet", "fleet pss", "fleet ps --help", "fleet ps --nope", "fleet usage"] {
            assert!(quick(words(line)).is_none(), "{line}");
        }
    }

    fn refused(args: &[&str]) -> String {
        command().try_get_matches_from(args).unwrap_err().to_string()
    }

    #[test]
    fn a_slip_is_recognised() {
        assert!(refused(&["fleet", "pss"]).contains("'ps'"));
        assert!(refused(&["fleet", "ps", "--stat", "dead"]).contains("'--state'"));
    }

    #[test]
    fn an_unknown_state_is_answered_with_the_known_ones() {
        let error = refused(&["fleet", "ps", "--state", "stuk"]);
        assert!(error.contains("dead, stuck, unknown, stale, working, available"), "{error}");
        assert!(error.contains("'stuck'"), "{error}");
    }
}
