//! `fleet-sidecar`: beside each agent, or one for a host.

use std::process::ExitCode;

use clap::Parser;

fn main() -> ExitCode {
    let options = fleet_sidecar::config::Options::parse();
    if let Some(fleet_sidecar::config::Command::Hook(hook)) = &options.command {
        fleet_sidecar::hook::run(hook);
        return ExitCode::SUCCESS;
    }
    match fleet_sidecar::app::run(&options) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("fleet-sidecar: {error:#}");
            ExitCode::FAILURE
        }
    }
}
