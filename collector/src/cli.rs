//! The program: arguments, log, runtime, signals, exit code (0 ended as asked, 1 failed, 2 wrongly called).

use std::io::{IsTerminal, Write};
use std::process::ExitCode;

use clap::Parser;
use fleet_framework::Home;
use tokio::signal::unix::{SignalKind, signal};
use tracing::level_filters::LevelFilter;

use crate::app::{App, AppError};
use crate::chain::chain;
use crate::config::{Args, Command, Config};
use crate::exposition::catalogue;
use crate::{clock, config};

pub fn main() -> ExitCode {
    let args = Args::parse();
    if let Some(Command::Metrics { json }) = args.command {
        return metrics(json);
    }
    let config = match Config::of(&args, Home::from_env()) {
        Ok(config) => config,
        Err(mistakes) => {
            for mistake in &mistakes.0 {
                complain(mistake);
            }
            return ExitCode::from(2);
        }
    };
    log_to_stderr(config.log);
    for warning in &config.warnings {
        tracing::warn!("{warning}");
    }
    match run(config) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            complain(&*error);
            ExitCode::FAILURE
        }
    }
}

fn run(config: config::Config) -> Result<(), Box<dyn std::error::Error>> {
    // One thread: a list is put together faster where nothing changes hands, and each further one keeps memory of its
    // own. What takes long (the store, a page of metrics) has threads beside it.
    let runtime =
        tokio::runtime::Builder::new_current_thread().max_blocking_threads(4).enable_all().build()?;
    let result = runtime.block_on(async {
        let stop = stop_signal()?;
        App::build(config, clock::system())?.serve(stop).await?;
        Ok::<_, Box<dyn std::error::Error>>(())
    });
    // Whatever did not end within the deadline is not waited for again.
    runtime.shutdown_background();
    result
}

fn stop_signal() -> Result<impl Future<Output = ()>, AppError> {
    let start = |source| AppError::Start { what: "listen for signals", source };
    let mut terminate = signal(SignalKind::terminate()).map_err(start)?;
    let mut interrupt = signal(SignalKind::interrupt()).map_err(start)?;
    Ok(async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
    })
}

fn metrics(json: bool) -> ExitCode {
    let text = if json { catalogue::json().map(|json| json + "\n") } else { Ok(catalogue::text()) };
    match text.map(|text| std::io::stdout().write_all(text.as_bytes())) {
        Ok(Ok(())) => ExitCode::SUCCESS,
        _ => ExitCode::FAILURE,
    }
}

fn complain(error: &dyn std::error::Error) {
    let _ = writeln!(std::io::stderr(), "fleet-collector: {}", chain(error));
}

fn log_to_stderr(level: LevelFilter) {
    let builder = tracing_subscriber::fmt()
        .with_writer(std::io::stderr)
        .with_max_level(level)
        .with_ansi(std::io::stderr().is_terminal())
        .with_target(false);
    // The journal stamps its lines itself.
    if std::env::var_os("JOURNAL_STREAM").is_some() {
        builder.without_time().init();
    } else {
        builder.init();
    }
}
