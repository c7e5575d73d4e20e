//! `fleet`: the truth about a fleet of AI coding agents, on the command line.
//!
//! [`app`] reads the arguments, [`verbs`] has one file a verb, [`source`] fetches, [`render`] shows, [`output`] writes.

#![expect(unreachable_pub, reason = "in a binary, `pub` says what a module offers to the others")]

mod app;
mod client;
mod clock;
mod complete;
mod direct;
mod error;
mod lifecycle;
mod output;
mod render;
mod rules;
mod services;
mod source;
mod verbs;

fn main() -> std::process::ExitCode {
    app::main()
}
