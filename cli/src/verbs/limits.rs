//! `fleet limits`: what providers let each account use, as far as anybody told.

use fleet_domain::limits::Standing;

use crate::app::Global;
use crate::client::{Client, ClientError};
use crate::clock;
use crate::error::{Code, Failure, Outcome};
use crate::output::{self, Screen};
use crate::render::windows::{Windows, remark};
use crate::render::words::safe;

const EXAMPLES: &str = "\
Examples:
  fleet limits              every account's windows: used, reset, and how it is known
  fleet limits max-1 --json";

const AFTER: &str = "\
A window is told by the runtimes: Claude Code to its statusline (agents that `fleet launch` starts have one) and in its
transcript when a limit is hit, Codex in its rollouts. What nobody told is not shown: absent is unknown, not zero.";

/// Show each account's limits: how much is used, when they reset, who says so and how old that is
#[derive(Debug, clap::Args)]
#[command(before_help = EXAMPLES, after_help = AFTER)]
pub struct Args {
    /// Only this account
    account: Option<String>,
    /// One JSON object
    #[arg(long)]
    pub json: bool,
}

pub async fn run(args: Args, global: &Global) -> Outcome {
    let at = global.address()?;
    let mut client = Client::connect(&at).await.map_err(ClientError::into_failure)?;
    let all = client.limits().await.map_err(ClientError::into_failure)?;
    let standings = chosen(all, args.account.as_deref())?;
    let windows = Windows { standings: &standings, now: clock::now().wall, zone: &clock::zone() };
    if args.json {
        return output::json(&windows.json(), true);
    }
    if standings.is_empty() {
        output::note(
            "no runtime told of a limit yet: it takes an agent that has a subscription and had an answer",
        );
        return Ok(());
    }
    let screen = Screen::detect();
    output::data(&windows.table(screen.terminal.then(|| screen.size().0), screen.colour))?;
    remark(&standings).into_iter().for_each(output::note);
    Ok(())
}

fn chosen(all: Vec<Standing>, account: Option<&str>) -> Result<Vec<Standing>, Failure> {
    let Some(account) = account else { return Ok(all) };
    let mut known: Vec<String> = all.iter().map(|standing| standing.reading.account.to_string()).collect();
    known.dedup();
    let of: Vec<Standing> =
        all.into_iter().filter(|standing| standing.reading.account.as_str() == account).collect();
    if of.is_empty() {
        let message = format!("no window of an account {} is known", safe(account));
        let next = if known.is_empty() {
            "none of any is".to_owned()
        } else {
            format!("there are: {}", known.join(", "))
        };
        return Err(Failure::new(Code::NoSuch, message).next(next));
    }
    Ok(of)
}
