//! `fleet man`: the manual, one page a verb.

use std::path::PathBuf;

use crate::error::{Code, Failure, Outcome};
use crate::{app, output};

const EXAMPLES: &str = "\
Examples:
  fleet man --dir ~/.local/share/man/man1
  man fleet-ps";

/// Write the manual pages into a directory
#[derive(Debug, clap::Args)]
#[command(before_help = EXAMPLES)]
pub struct Args {
    /// Where the pages go; created if missing
    #[arg(long, value_name = "DIR")]
    dir: PathBuf,
}

pub fn run(args: &Args) -> Outcome {
    let shown = args.dir.display();
    std::fs::create_dir_all(&args.dir)
        .and_then(|()| clap_mangen::generate_to(app::command(), &args.dir))
        .map_err(|error| {
            Failure::new(Code::Failure, format!("{shown}: {error}"))
                .next("name a directory that you may write: fleet man --dir DIR")
        })?;
    output::note(&format!("manual pages are in {shown}"));
    Ok(())
}
