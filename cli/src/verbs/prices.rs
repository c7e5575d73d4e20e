//! `fleet prices`: what models cost, where that is written, and another file in its place.

use std::path::PathBuf;

use fleet_domain::price::Table;
use fleet_framework::Home;
use fleet_framework::home::shown;
use fleet_framework::prices::{self, PricesError};

use crate::error::{Code, Failure, Outcome};
use crate::output::{self, Screen};
use crate::render::priced;
use crate::render::words::plural;

const EXAMPLES: &str = "\
Examples:
  fleet prices                     what is in force, and where each price comes from
  fleet prices --check mine.yaml   whether a file could be used
  fleet prices --update mine.yaml  use it, before the prices that are shipped";

/// Show what models cost, in US dollars a million tokens, or put prices of your own before the shipped ones
#[derive(Debug, clap::Args)]
#[command(before_help = EXAMPLES)]
pub struct Args {
    /// Only say what is wrong in this file
    #[arg(long, value_name = "FILE", conflicts_with_all = ["update", "json"])]
    check: Option<PathBuf>,
    /// Install this file as your own prices, $MOSAIC_HOME/fleet/prices.yaml; the one before is kept as prices.yaml.bak
    #[arg(long, value_name = "FILE", conflicts_with = "json")]
    update: Option<PathBuf>,
    /// One JSON object
    #[arg(long)]
    pub json: bool,
}

pub fn run(args: &Args) -> Outcome {
    if let Some(file) = &args.check {
        let models = prices::check(file).map_err(refused)?;
        return output::data(&format!("{}: {}, no mistake\n", shown(file), plural(models, "model")));
    }
    let home = Home::from_env().map_err(|error| Failure::of(Code::Failure, &error))?;
    if let Some(file) = &args.update {
        let backup = prices::install(file, &home.prices()).map_err(refused)?;
        let kept = backup.map(|path| format!("; the prices before are {}", shown(&path))).unwrap_or_default();
        return output::data(&format!("{} is in force{kept}\n", shown(&home.prices())));
    }
    let table = prices::table(&home.prices()).map_err(refused)?;
    if args.json {
        return output::json(&priced::json(&table), true);
    }
    let screen = Screen::detect();
    let width = screen.terminal.then(|| screen.size().0);
    output::data(&priced::table(&table, width, screen.colour))
}

/// What usage is priced with; with a mistake in the user's file nothing is priced, and the mistake is told.
pub fn in_force() -> Table {
    let Ok(home) = Home::from_env() else { return prices::shipped() };
    prices::table(&home.prices()).unwrap_or_else(|error| {
        output::note(&format!("no cost is told: {}", refused(error).message));
        Table::default()
    })
}

/// Each mistake in a line of its own.
fn refused(error: PricesError) -> Failure {
    match error {
        PricesError::Wrong { path, problems } => {
            let lines: String = problems.iter().map(|problem| format!("\n  {problem}")).collect();
            let count = plural(problems.len(), "mistake");
            Failure::new(Code::Failure, format!("{} has {count}:{lines}", shown(&path)))
        }
        error @ PricesError::Io { .. } => Failure::of(Code::Failure, &error),
    }
}
