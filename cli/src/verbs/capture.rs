//! `fleet capture`: an agent's screen with its verdict, for a bug report.

use std::fs::OpenOptions;
use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use fleet_adapters::identity;
use fleet_adapters::screens::Grid;
use fleet_adapters::tmux::Server;
use fleet_domain::fleet::AgentView;
use fleet_domain::secrets;
use serde_json::json;

use super::explain::find;
use super::ps::scene;
use crate::app::Global;
use crate::error::{Code, Failure, Outcome};
use crate::output::{self, Screen};
use crate::render::explain;
use crate::render::verdict::Verdict;
use crate::render::words::safe;
use crate::{clock, complete, rules, source};

const EXAMPLES: &str = "\
Examples:
  fleet capture coder0                  writes coder0-….txt, .ansi and .json here, secrets masked
  fleet capture coder0 --output /tmp    into that directory
  fleet capture coder0 --print          the masked screen alone, to the terminal";

/// Save an agent's screen with its verdict, secrets masked, for a bug report
#[derive(Debug, clap::Args)]
#[command(before_help = EXAMPLES)]
pub struct Args {
    /// Name as `fleet ps` shows it, or an unambiguous beginning of it
    #[arg(add = complete::agents())]
    agent: String,
    /// Directory to write into
    #[arg(short, long, value_name = "DIR", default_value = ".")]
    output: PathBuf,
    /// Print the screen, write nothing
    #[arg(long, conflicts_with = "output")]
    print: bool,
}

pub async fn run(args: Args, global: &Global) -> Outcome {
    let snapshot = source::gather(&global.address()?).await?;
    let agent = find(&args.agent, &snapshot)?;
    let (pane, capture) = shown(agent).await?;
    let attributed = masked(&capture);
    let plain: String = Grid::parse(&attributed).rows.iter().map(|row| format!("{}\n", row.text)).collect();
    if args.print {
        return output::data(&plain);
    }
    let runtime = agent.runtime.as_ref().map(ToString::to_string).unwrap_or_default();
    let book = rules::book()?;
    let sight = book.rules(&runtime, None).map(|rules| rules.judge(&Grid::parse(&capture), &pane.title));
    let verdict = sight.map(|sight| Verdict::new(&runtime, &sight, clock::now().wall));
    let report = json!({
        "apiVersion": "mosaic.fleet/v1",
        "kind": "Capture",
        "at": clock::now().wall.to_rfc3339(),
        "title": secrets::mask(&safe(&pane.title)),
        "size": {"columns": pane.columns, "rows": pane.rows},
        "tmux": {"alternate": pane.alternate, "command": safe(&pane.command)},
        "versions": {"fleet": env!("CARGO_PKG_VERSION")},
        "screen": verdict,
        "explanation": explain::json(agent, &scene(&snapshot, Screen::detect()), snapshot.origin.as_str()),
    });
    let report = serde_json::to_string_pretty(&report)
        .map_err(|error| Failure::new(Code::Failure, format!("the report: {error}")))?;
    let stem = format!("{}-{}", agent.name, clock::now().wall.to_rfc3339().replace([':', '.'], "-"));
    for (ending, text) in [("txt", &plain), ("ansi", &attributed), ("json", &report)] {
        let path = args.output.join(format!("{stem}.{ending}"));
        write(&path, text)
            .map_err(|error| Failure::new(Code::Failure, format!("{}: {error}", path.display())))?;
        output::data(&format!("{}\n", path.display()))?;
    }
    output::note("secrets are masked as far as they look like some: read the files before you share them");
    Ok(())
}

struct Pane {
    title: String,
    command: String,
    columns: String,
    rows: String,
    alternate: bool,
}

async fn shown(agent: &AgentView) -> Result<(Pane, String), Failure> {
    if agent.key.host != identity::host() {
        let message = format!("{} runs on {}", safe(&agent.name), safe(agent.key.host.as_str()));
        return Err(Failure::new(Code::Refused, message).next("run fleet capture on that host"));
    }
    let server = Server::new(agent.key.socket.clone());
    let failed = |error| Failure::of(Code::Failure, &error);
    let about = server.describe(&agent.key.session).await.map_err(failed)?;
    let Some([id, command, columns, rows, alternate, title]) = about else {
        let message = format!("{} has no session on its socket", safe(&agent.name));
        return Err(Failure::new(Code::NotSo, message).next(format!("fleet explain {}", agent.name)));
    };
    let captures = server.captures(&[id]).await.map_err(failed)?;
    let capture = captures.into_iter().next().map(|(_, capture)| capture).unwrap_or_default();
    Ok((Pane { title, command, columns, rows, alternate: alternate == "1" }, capture))
}

/// Masked line by line. An escape sequence in the middle of a secret would hide it: such a line loses its attributes.
fn masked(capture: &str) -> String {
    capture
        .lines()
        .map(|line| {
            let plain = Grid::parse(line).rows.into_iter().next().map(|row| row.text).unwrap_or_default();
            let safe = secrets::mask(&plain);
            if safe == plain { format!("{line}\n") } else { format!("{safe}\n") }
        })
        .collect()
}

fn write(path: &Path, text: &str) -> std::io::Result<()> {
    let mut file = OpenOptions::new().create_new(true).write(true).mode(0o600).open(path)?;
    file.write_all(text.as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_is_masked_even_where_colours_run_through_it() {
        let capture = "\u{1b}[1mhello\u{1b}[0m\nANTHROPIC_API_KEY=sk-ant\u{1b}[31m-api03-0123456789abcdef\n";
        assert_eq!(masked(capture), "\u{1b}[1mhello\u{1b}[0m\nANTHROPIC_API_KEY=[masked]\n");
    }
}
