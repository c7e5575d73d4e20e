//! Completion: the shell asks the binary itself, so that agents' names are among the candidates.

use std::time::Duration;

use clap_complete::engine::{ArgValueCandidates, CompletionCandidate};
use clap_complete::env::{CompleteEnv, Shells};

use crate::client::{Address, Client, Detail};
use crate::error::{Code, Failure};
use crate::{app, clock};

/// How the shell's script calls us back.
const VARIABLE: &str = "COMPLETE";
/// Nobody waits longer for a name.
const LIMIT: Duration = Duration::from_millis(200);

/// Ends the process where a shell asks for candidates; must come before anything is written.
pub fn answer_shell() {
    if std::env::var_os(VARIABLE).is_some() {
        CompleteEnv::with_factory(app::command).var(VARIABLE).complete();
    }
}

/// What a shell's start-up file sources.
pub fn script(shell: &str) -> Result<String, Failure> {
    let failed = |what: String| Failure::new(Code::Failure, what);
    let shells = Shells::builtins();
    let completer = shells.completer(shell).ok_or_else(|| failed(format!("no completion for {shell}")))?;
    let mut script = Vec::new();
    completer
        .write_registration(VARIABLE, "fleet", "fleet", "fleet", &mut script)
        .map_err(|error| failed(format!("completion for {shell}: {error}")))?;
    String::from_utf8(script).map_err(|error| failed(error.to_string()))
}

/// For arguments that name an agent.
pub fn agents() -> ArgValueCandidates {
    ArgValueCandidates::new(|| {
        names().unwrap_or_default().into_iter().map(CompletionCandidate::new).collect()
    })
}

/// The collector's agents; none where it does not answer at once.
fn names() -> Option<Vec<String>> {
    let asked = std::env::var("FLEET_COLLECTOR").ok();
    let at = Address::resolve(asked.as_deref()).ok()?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().ok()?;
    let ask = async {
        let mut client = Client::connect(&at).await.ok()?;
        let listing = client.list(clock::now().wall, Detail::Basic).await.ok()?;
        Some(listing.agents.into_iter().map(|agent| agent.name).collect())
    };
    runtime.block_on(async { tokio::time::timeout(LIMIT, ask).await.ok()? })
}
