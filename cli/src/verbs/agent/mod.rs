//! `fleet agent`: what is done with one agent.

mod receipt;
mod send;
mod whom;

use clap::Subcommand;

use crate::app::Global;
use crate::error::Outcome;

const EXAMPLES: &str = "\
Examples:
  fleet agent send coder0 -m 'Please review branch parse-dates.'   and the receipt says what became of it
  fleet agent send box:lead -f findings.md --verify                wait until a turn begins with it";

/// Speak to one agent
#[derive(Debug, clap::Args)]
#[command(before_help = EXAMPLES)]
pub struct Args {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, Subcommand)]
enum What {
    Send(Box<send::Args>),
}

impl Args {
    pub fn speaks_json(&self) -> bool {
        let What::Send(args) = &self.what;
        args.json
    }
}

pub async fn run(args: Args, global: &Global) -> Outcome {
    let What::Send(args) = args.what;
    send::run(*args, global).await
}
