//! `fleet-collector`.

fn main() -> std::process::ExitCode {
    fleet_collector::cli::main()
}
