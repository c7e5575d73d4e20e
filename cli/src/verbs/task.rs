//! `fleet task`: a task's place in the budget, from admission to its end.

use clap::Subcommand;
use fleet_domain::budget::amount::parse_tokens;
use fleet_domain::budget::decision::{Ask, Task};

use super::budget::{self, Asked};
use crate::app::Global;
use crate::client::{Client, ClientError, Money};
use crate::error::{Code, Outcome};
use crate::output::{self, Screen};
use crate::render::budget as render;
use crate::render::item::List;
use crate::render::words::{count, safe};

const EXAMPLES: &str = "\
Examples:
  fleet task start job-7 --agent coder0 --class implementer --estimate 120k   ask, and start where it may
  fleet task end job-7                                                       its place is free, and what it used is learned
  fleet task show                                                            tasks with what was projected and used";

/// Start and end tasks, so that the budget knows what is under way
#[derive(Debug, clap::Args)]
#[command(before_help = EXAMPLES)]
pub struct Args {
    /// One JSON object
    #[arg(long, global = true)]
    pub json: bool,
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, Subcommand)]
enum What {
    /// Start a task that has a place, or ask for a place and start; exit 3: later, 5: no
    Start {
        /// Its name, your own
        task: String,
        #[command(flatten)]
        asked: Box<Asked>,
    },
    /// End a task
    End {
        /// Its name
        task: String,
        /// What it used, where no transcript tells
        #[arg(long, value_parser = parse_tokens)]
        tokens: Option<u64>,
    },
    /// Show one task, or those under way and the latest that are over
    Show {
        /// Its name
        task: Option<String>,
        /// At most so many
        #[arg(long, default_value_t = 50)]
        limit: u32,
    },
}

pub async fn run(args: Args, global: &Global) -> Outcome {
    let at = global.address()?;
    let mut money = Client::connect(&at).await.map_err(ClientError::into_failure)?.money();
    match args.what {
        What::Start { task, asked } => start(&mut money, &task, &asked, args.json).await,
        What::End { task, tokens } => {
            let task = money.end(&task, tokens).await?;
            told(&task, args.json)
        }
        What::Show { task, limit } => {
            let tasks = money.tasks(task.as_deref().unwrap_or_default(), limit).await?;
            if args.json {
                let items: Vec<_> = tasks.iter().map(render::json::task).collect();
                return output::json(&List::new("TaskList", items), true);
            }
            if tasks.is_empty() {
                output::note("no task is known; fleet task start begins one");
                return Ok(());
            }
            let screen = Screen::detect();
            let width = screen.terminal.then(|| screen.size().0);
            output::data(&render::tasks::table(&tasks, &budget::scene(screen), width))
        }
    }
}

async fn start(money: &mut Money, task: &str, asked: &Asked, json: bool) -> Outcome {
    let ask = asked.ask(task);
    admit(money, &ask, json).await?;
    told(&money.start(task, &ask.agent).await?, json)
}

/// Gives the task that is asked for a place, under its name; where there is none now, that is told, and is the outcome.
pub(super) async fn admit(money: &mut Money, ask: &Ask, json: bool) -> Outcome {
    let verdict = match money.check(ask, true).await {
        // It is over already: starting it says so.
        Err(failure) if failure.code == Code::NotSo => return Err(failure),
        verdict => verdict?,
    };
    if verdict.decision.admits() {
        return Ok(());
    }
    if json {
        output::json(&render::json::verdict(&verdict), true)?;
    } else {
        output::data(&render::tasks::verdict(&verdict, &budget::scene(Screen::detect())))?;
    }
    budget::exit(verdict.decision)
}

fn told(task: &Task, json: bool) -> Outcome {
    if json {
        return output::json(&render::json::task(task), true);
    }
    let on = [("model", task.model.as_str()), ("account", task.account.as_deref().unwrap_or_default())];
    let on: String = on
        .into_iter()
        .filter(|(_, name)| !name.is_empty())
        .map(|(what, name)| format!(", {what} {}", safe(name)))
        .collect();
    let (projected, actual) = (count(task.estimate.projected), count(task.actual.tokens));
    output::data(&format!(
        "{} {}{on}, projected {projected} ({}), used {actual}\n",
        safe(&task.name),
        task.stage.as_str(),
        task.estimate.basis.as_str()
    ))
}
