//! A stand-in for a runtime; see `fleet_testkit::scripted`.

use std::process::ExitCode;

fn main() -> ExitCode {
    fleet_testkit::scripted::main(std::env::args().skip(1))
}
