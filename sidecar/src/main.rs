//! `fleet-sidecar`: beside each agent, or one for a host.

use std::process::ExitCode;

use clap::Parser;
use fleet_sidecar::config::Command;

fn main() -> ExitCode {
    let options = fleet_sidecar::config::Options::parse();
    let result = match &options.command {
        Some(Command::Hook(hook)) => {
            fleet_sidecar::hook::run(hook);
            Ok(())
        }
        Some(Command::Statusline(statusline)) => {
            fleet_sidecar::statusline::run(statusline);
            Ok(())
        }
        Some(Command::Tee(tee)) => fleet_sidecar::tee::run(tee).map_err(Into::into),
        None => fleet_sidecar::app::run(&options),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("fleet-sidecar: {error:#}");
            ExitCode::FAILURE
        }
    }
}
