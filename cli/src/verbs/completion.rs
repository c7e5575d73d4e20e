//! `fleet completion`: what a shell sources.

use clap::builder::PossibleValuesParser;

use crate::error::Outcome;
use crate::{complete, output};

const EXAMPLES: &str = "\
Examples:
  source <(fleet completion bash)                              in ~/.bashrc
  source <(fleet completion zsh)                               in ~/.zshrc, after compinit
  fleet completion fish > ~/.config/fish/completions/fleet.fish";

/// Print the completion script of a shell; names of agents are completed too
#[derive(Debug, clap::Args)]
#[command(before_help = EXAMPLES)]
pub struct Args {
    #[arg(value_parser = PossibleValuesParser::new(["bash", "zsh", "fish"]))]
    shell: String,
}

pub fn run(args: &Args) -> Outcome {
    output::data(&complete::script(&args.shell)?)
}
