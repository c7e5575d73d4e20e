//! The last step of a launch, in the pane itself: `fleet launch --exec FILE` becomes the runtime.
//!
//! So nothing secret of the agent's environment file stands in anybody's arguments or in tmux's memory, and neither a
//! prompt nor a path meets tmux's limits.

use std::io;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::error::{Code, Failure};

/// What the pane becomes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Start {
    pub(super) directory: PathBuf,
    pub(super) unset: Vec<String>,
    /// Read at the last moment; its values never stand elsewhere.
    pub(super) environment_file: Option<PathBuf>,
    pub(super) set: Vec<(String, String)>,
    pub(super) argv: Vec<String>,
}

/// Does not come back but with the reason.
pub(super) fn become_it(path: &Path) -> Failure {
    let failed = |what: String| {
        Failure::new(Code::Failure, what).next("this verb is for the launcher: fleet launch AGENT")
    };
    let read = std::fs::read(path).and_then(|bytes| serde_json::from_slice(&bytes).map_err(io::Error::other));
    let start: Start = match read {
        Ok(start) => start,
        Err(error) => return failed(format!("{}: {error}", path.display())),
    };
    // Whatever comes now, nobody needs it again.
    let _ = std::fs::remove_file(path);
    let Some((program, arguments)) = start.argv.split_first() else {
        return failed("no command is told".to_owned());
    };
    #[expect(clippy::disallowed_methods, reason = "the pane becomes the runtime")]
    let mut command = std::process::Command::new(program);
    command.args(arguments).current_dir(&start.directory).env("PWD", &start.directory);
    start.unset.iter().for_each(|name| {
        command.env_remove(name);
    });
    let text = start.environment_file.as_ref().map(std::fs::read_to_string);
    match text {
        Some(Ok(text)) => {
            command.envs(fleet_domain::agent_env::values(&text));
        }
        Some(Err(error)) if error.kind() != io::ErrorKind::NotFound => {
            let file = start.environment_file.unwrap_or_default();
            return Failure::new(Code::Failure, format!("{}: {error}", file.display()));
        }
        _ => {}
    }
    let error = command.envs(start.set).exec();
    Failure::new(Code::Failure, format!("{program} cannot be started: {error}"))
        .next("fleet launch AGENT --dry-run shows what would run")
}
