//! `fleet budget`: whether the budget lasts, whether a task may start, and what its owner says of a window.

mod set;

use clap::{Subcommand, ValueEnum};
use fleet_domain::Wall;
use fleet_domain::budget::amount::{parse_span, parse_tokens};
use fleet_domain::budget::decision::{Ask, Authorization, Decision, Urgency};
use fleet_domain::budget::gate::State;
use fleet_domain::budget::schedule::parse_reset;

use set::Set;

use super::events::{Since, since};
use crate::app::Global;
use crate::client::{Client, ClientError, Money};
use crate::clock;
use crate::error::{Code, Failure, Outcome};
use crate::output::{self, Screen};
use crate::render::Scene;
use crate::render::budget as render;
use crate::render::grid::{Align, Cell, Fit};
use crate::render::item::List;
use crate::render::words::{count, safe};

const EXAMPLES: &str = "\
Examples:
  fleet budget                                              each window: used, pace, what is left today
  fleet budget check --class implementer --estimate 120k    may a task start now? exit 0 yes, 3 later, 5 no
  fleet budget check --class implementer --hold             the same, and a place is held for it
  fleet budget set max-1 --window 7d --used 42% --reset-at 2026-11-24T09:00 --every 7d
  fleet budget authorize max-1 --tokens 5M --until 2h       faster than evenly, for so much and so long
  fleet budget log                                          who changed what, and what was decided";

const AFTER: &str = "\
Accounts, windows, ceilings and the ladder are written in $MOSAIC_HOME/fleet/budget.yaml; a changed file is in force within a
second, and one with a mistake leaves the last good one in force. While $MOSAIC_HOME/fleet/run/PAUSED exists nothing is admitted.";

/// Show whether each account's budget lasts; ask whether a task may start now
#[derive(Debug, clap::Args)]
#[command(before_help = EXAMPLES, after_help = AFTER, args_conflicts_with_subcommands = true)]
pub struct Args {
    /// One JSON object
    #[arg(long, global = true)]
    pub json: bool,
    #[command(subcommand)]
    what: Option<What>,
}

#[derive(Debug, Subcommand)]
enum What {
    /// Show windows and ceilings, as `fleet budget` does
    Show,
    /// May this task start now?
    Check(Check),
    /// Say how large a window is, how much of it is used, or when it resets
    Set(Box<Set>),
    /// Take back what was said of a window
    Unset {
        /// As the budget calls it
        account: String,
        /// Such as 5h or 7d
        #[arg(long)]
        window: String,
        /// Who says so, beside the user that you are
        #[arg(long, default_value = "", hide_default_value = true)]
        by: String,
    },
    /// Let an account go faster than evenly, for so many tokens and until then
    Authorize {
        /// As the budget calls it
        account: String,
        /// Such as 5M
        #[arg(long, value_parser = parse_tokens, allow_hyphen_values = true, required_unless_present = "revoke")]
        tokens: Option<u64>,
        /// A time on your clock, or a span such as 2h
        #[arg(long, value_name = "WHEN", required_unless_present = "revoke")]
        until: Option<String>,
        /// Take back what is left of it; what was started by it goes on
        #[arg(long, conflicts_with_all = ["tokens", "until"])]
        revoke: bool,
        /// Who says so, beside the user that you are
        #[arg(long, default_value = "", hide_default_value = true)]
        by: String,
    },
    /// Changes and decisions, the latest last
    Log {
        /// Only since then: `36h`, `7d`, or a time
        #[arg(long, value_name = "WHEN", value_parser = since)]
        since: Option<Since>,
        /// At most so many, the latest
        #[arg(long, default_value_t = 100)]
        limit: u32,
        /// Only what somebody changed
        #[arg(long)]
        changes: bool,
    },
}

#[derive(Debug, Clone, clap::Args)]
struct Check {
    #[command(flatten)]
    task: Asked,
    /// Hold a place for it, under this name if one is given; asking again with the name is the same task
    #[arg(long, value_name = "TASK", num_args = 0..=1, default_missing_value = "")]
    hold: Option<String>,
}

/// What is asked of the budget for a task.
#[derive(Debug, Clone, clap::Args)]
pub struct Asked {
    /// What the task is: implementer, reviewer, … [default: the agent's]
    #[arg(long, default_value = "", hide_default_value = true)]
    class: String,
    /// Tokens, such as 120k [default: what such tasks needed]
    #[arg(long, value_parser = parse_tokens, allow_hyphen_values = true)]
    estimate: Option<u64>,
    /// Such as opus, or a whole name [default: the first of the ladder that the account has]
    #[arg(long, default_value = "", hide_default_value = true)]
    model: String,
    /// The account that is wanted
    #[arg(long)]
    account: Option<String>,
    /// The session that would work on it
    #[arg(long, default_value = "", hide_default_value = true, add = crate::complete::agents())]
    agent: String,
    /// High goes faster than evenly where that was authorized
    #[arg(long, default_value = "normal")]
    urgency: Haste,
    /// What the task is part of
    #[arg(long, default_value = "", hide_default_value = true)]
    mission: String,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Haste {
    Normal,
    High,
}

impl Asked {
    /// For the task of that name; empty: none yet.
    pub fn ask(&self, task: &str) -> Ask {
        Ask {
            tenant: String::new(),
            agent: self.agent.clone(),
            class: self.class.clone(),
            model: self.model.clone(),
            account: self.account.clone(),
            estimate: self.estimate,
            urgency: match self.urgency {
                Haste::Normal => Urgency::Normal,
                Haste::High => Urgency::High,
            },
            mission: self.mission.clone(),
            task: task.to_owned(),
        }
    }
}

pub async fn run(args: Args, global: &Global) -> Outcome {
    let at = global.address()?;
    let mut money = Client::connect(&at).await.map_err(ClientError::into_failure)?.money();
    let now = clock::now().wall;
    match args.what {
        None | Some(What::Show) => show(&mut money, args.json).await,
        Some(What::Check(check)) => self::check(&mut money, &check, args.json).await,
        Some(What::Set(set)) => {
            let setting = set.setting(now)?;
            let outlook = money.set(&set.account, &set.window, Some(&setting), &set.by).await?;
            output::note(&format!("window {} of {} is set", safe(&set.window), safe(&set.account)));
            match outlook {
                Some(outlook) if args.json => output::json(&render::json::window(&outlook), true),
                Some(_) => show(&mut money, false).await,
                None => Ok(()),
            }
        }
        Some(What::Unset { account, window, by }) => {
            money.set(&account, &window, None, &by).await?;
            output::note(&format!(
                "what was said of window {} of {} is taken back",
                safe(&window),
                safe(&account)
            ));
            Ok(())
        }
        Some(What::Authorize { account, by, revoke: true, .. }) => {
            let told = money.revoke(&account, &by).await?;
            let left = count(told.tokens);
            output::note(&format!("{} goes evenly again: {left} tokens are taken back", safe(&told.account)));
            Ok(())
        }
        Some(What::Authorize { account, tokens, until, by, revoke: false }) => {
            let until = moment(until.as_deref().unwrap_or_default(), now)?;
            let tokens = tokens.unwrap_or_default();
            let authorization = Authorization { account, tokens, drawn: 0, until, by, at: now };
            let told = money.authorize(&authorization).await?;
            output::note(&format!(
                "{} may go faster than evenly for {} tokens until {}, says {}",
                safe(&told.account),
                count(told.tokens),
                scene(Screen::detect()).time(told.until),
                safe(&told.by)
            ));
            Ok(())
        }
        Some(What::Log { since, limit, changes }) => {
            let from = since.map_or(Wall(0), |since| since.at(now));
            log(&mut money, from, limit, changes, args.json).await
        }
    }
}

/// `2h` from now, or a time.
fn moment(text: &str, now: Wall) -> Result<Wall, Failure> {
    if let Ok(span) = parse_span(text) {
        return Ok(now.plus(span));
    }
    let at = parse_reset(text, &clock::zone()).map_err(|_| {
        Failure::new(
            Code::Usage,
            "--until: a span such as `2h`, or a time such as `2026-11-24T09:00`, is wanted here",
        )
    })?;
    if at <= now {
        return Err(Failure::new(Code::Usage, format!("--until {at} is in the past")));
    }
    Ok(at)
}

pub fn scene(screen: Screen) -> Scene {
    Scene {
        now: clock::now().wall,
        zone: clock::zone(),
        direct: false,
        colour: screen.colour,
        funds: Default::default(),
    }
}

async fn show(money: &mut Money, json: bool) -> Outcome {
    let zone = clock::zone();
    let state = money.state(zone.iana_name().unwrap_or_default()).await?;
    if json {
        return output::json(&render::json::report(&state), true);
    }
    notes(&state);
    if !state.overview.configured {
        return Ok(());
    }
    let screen = Screen::detect();
    let (scene, width) = (scene(screen), screen.terminal.then(|| screen.size().0));
    output::data(&render::windows(&state, &scene, width))?;
    output::data(&format!("\n{}", render::accounts(&state, &scene, width)))?;
    if !state.overview.rooms.is_empty() {
        output::data(&format!("\n{}", render::ceilings(&state, &scene, width)))?;
    }
    if !state.typical.is_empty() {
        output::data(&format!("\n{}", render::typical(&state, &scene, width)))?;
    }
    for one in &state.authorizations {
        let left = one.left(scene.now);
        output::data(&format!(
            "\n{} may go faster than evenly for {} more tokens until {}, says {}\n",
            safe(&one.account),
            count(left),
            scene.time(one.until),
            safe(&one.by)
        ))?;
    }
    Ok(())
}

fn notes(state: &State) {
    if state.paused {
        output::note("paused: nothing is admitted while fleet/run/PAUSED exists below $MOSAIC_HOME");
    }
    if state.reading {
        output::note("the ledger is still being read; figures are not whole yet");
    }
    if !state.file_error.is_empty() {
        output::note(&format!("the budget in force is the last good one:\n{}", state.file_error));
    }
    if !state.overview.configured {
        output::note(&format!(
            "no budget is in force\n  write accounts and ceilings to {}; docs/budget.md has an example",
            safe(if state.file.is_empty() { "fleet/budget.yaml below $MOSAIC_HOME" } else { &state.file })
        ));
    } else if !state.overview.enforce {
        output::note("pace is advised, not enforced (`enforce: true` in the budget holds work back)");
    }
}

async fn check(money: &mut Money, check: &Check, json: bool) -> Outcome {
    let ask = check.task.ask(check.hold.as_deref().unwrap_or_default());
    let verdict = money.check(&ask, check.hold.is_some()).await?;
    if json {
        output::json(&render::json::verdict(&verdict), true)?;
    } else {
        output::data(&render::tasks::verdict(&verdict, &scene(Screen::detect())))?;
    }
    exit(verdict.decision)
}

/// Whether it may start, as an exit code.
pub fn exit(decision: Decision) -> Outcome {
    match decision {
        Decision::Queue => Err(Failure::silent(Code::NotSo)),
        Decision::Refuse => Err(Failure::silent(Code::Refused)),
        _ => Ok(()),
    }
}

#[derive(Debug, serde::Serialize)]
struct LogItem {
    at: String,
    who: String,
    what: String,
    subject: String,
    detail: String,
}

async fn log(money: &mut Money, since: Wall, limit: u32, changes: bool, json: bool) -> Outcome {
    let mut entries = money.log(since, limit, changes).await?;
    entries.reverse();
    if json {
        let item = |entry: &crate::client::LogView| LogItem {
            at: entry.at.to_rfc3339(),
            who: entry.who.clone(),
            what: entry.what.clone(),
            subject: entry.subject.clone(),
            detail: entry.detail.clone(),
        };
        let items: Vec<LogItem> = entries.iter().map(item).collect();
        return output::json(&List::new("BudgetLog", items), true);
    }
    let screen = Screen::detect();
    let scene = scene(screen);
    let heads = [
        ("AT", Align::Left, Fit::Fixed),
        ("WHO", Align::Left, Fit::Shrinks { least: 8 }),
        ("WHAT", Align::Left, Fit::Fixed),
        ("OF", Align::Left, Fit::Shrinks { least: 8 }),
        ("DETAIL", Align::Left, Fit::Rest { least: 20 }),
    ];
    let rows = entries.iter().map(|entry| {
        vec![
            Cell::plain(scene.time(entry.at)),
            Cell::plain(safe(&entry.who).into_owned()),
            Cell::plain(safe(&entry.what).into_owned()),
            Cell::plain(safe(&entry.subject).into_owned()),
            Cell::plain(safe(&entry.detail).into_owned()),
        ]
    });
    let width = screen.terminal.then(|| screen.size().0);
    output::data(&render::grid(&heads, rows.collect(), width, screen.colour))
}
