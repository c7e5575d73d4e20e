//! Gets the program by npm, once per machine.

use std::path::PathBuf;

use super::VERSION;
use crate::npm::{self, Pinned};

const PACKAGE: &str = "@anthropic-ai/claude-code-linux-x64";

/// The package is the native program itself: no Node, no install script.
static CLAUDE: Pinned = Pinned {
    name: "claude",
    package: PACKAGE,
    version: VERSION,
    holder: (
        PACKAGE,
        "sha512-9Gn+V7DtJ8M1nztP9CeDVl9g3RtrepI7rOFTyPRRnZe8D6zebIHKmC7OvBauucuAP0X0k85SDN/LPVZyjsGezQ==",
    ),
    program: "@anthropic-ai/claude-code-linux-x64/claude",
};

pub(super) fn program() -> Result<PathBuf, String> {
    npm::provision(&CLAUDE)
}
