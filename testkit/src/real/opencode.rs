//! opencode: the native program, against the stub's chat completions.

use anyhow::Result;
use serde_json::json;

use super::{Command, Place, Setup, write};
use crate::npm::Pinned;

/// The program for every processor: the package that users install picks one by an install script.
pub(super) static OPENCODE: Pinned = Pinned {
    name: "opencode",
    package: "opencode-linux-x64-baseline",
    version: "1.18.33",
    holder: (
        "opencode-linux-x64-baseline",
        "sha512-1KQGBiiDDeL/VHHbHkOvvFo8Jr97WT5+C1tear+p7IcDTnXgVHXqIjU4O4jM4mHQzykTP2i884FCnW5LDa+zCA==",
    ),
    program: "opencode-linux-x64-baseline/bin/opencode",
};

pub(super) fn configure(place: &Place<'_>, setup: &Setup) -> Result<Command> {
    let model = json!({
        "name": "Stub Model", "tool_call": true, "reasoning": true,
        "limit": {"context": 200_000, "output": 8192},
        "cost": {"input": 3, "output": 15, "cache_read": 0.3, "cache_write": 3.75}
    });
    let provider = json!({
        "npm": "@ai-sdk/openai-compatible", "name": "Stub",
        "options": {"baseURL": format!("{}/v1", place.base_url), "apiKey": "sk-dummy"},
        "models": {"stub-model": model}
    });
    let asks = if setup.unattended { "allow" } else { "ask" };
    let config = json!({
        "autoupdate": false, "share": "disabled",
        "model": "stub/stub-model", "small_model": "stub/stub-model",
        "enabled_providers": ["stub"], "provider": {"stub": provider},
        "permission": {"bash": asks, "edit": asks, "webfetch": asks}
    });
    write(&place.user_home.join(".config/opencode/opencode.json"), &config.to_string())?;
    let quiet = [
        ("OPENCODE_DISABLE_AUTOUPDATE", "1"),
        ("OPENCODE_DISABLE_MODELS_FETCH", "1"),
        ("OPENCODE_DISABLE_LSP_DOWNLOAD", "1"),
    ];
    let mut command = Command::new(&[], &quiet);
    if setup.served {
        command.args = ["--port", "0"].map(str::to_owned).into();
        command.env.push(("OPENCODE_SERVER_PASSWORD".to_owned(), "a secret of the test".to_owned()));
    }
    Ok(command)
}
