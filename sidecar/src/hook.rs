//! `fleet-sidecar hook`: what the runtimes' hooks call. It hands the event on and is gone; it says nothing, and its exit
//! status is 0 whatever happens.

use std::path::PathBuf;

use fleet_adapters::hooks::{MAX_PAYLOAD, ancestors, read};

use crate::client::{send, standard_input};

#[derive(Debug, clap::Args)]
pub struct Options {
    /// Directory of the sidecars' sockets instead of the one in the runtime directory.
    #[arg(long, value_name = "DIR")]
    to: Option<PathBuf>,
    /// The payload, where the runtime hands it over as an argument instead of on standard input.
    payload: Option<String>,
}

pub fn run(options: &Options) {
    let payload = match &options.payload {
        Some(payload) => payload.clone().into_bytes(),
        None => standard_input(MAX_PAYLOAD),
    };
    if let Some(bytes) = read(&payload, ancestors()).and_then(|call| call.encode()) {
        send(&bytes, options.to.as_deref());
    }
}
