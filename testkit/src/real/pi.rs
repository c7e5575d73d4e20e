//! pi, against the stub's chat completions. It never asks before a command runs: an extension does here, as users have
//! them.

use anyhow::Result;
use serde_json::json;

use super::{Command, Credentials, Place, Retries, Setup, write};
use crate::npm::Pinned;

pub(super) static PI: Pinned = Pinned {
    name: "pi",
    package: "@mariozechner/pi-coding-agent",
    version: "0.73.1",
    holder: (
        "@mariozechner/pi-coding-agent",
        "sha512-gXQh3SaZmWTfVMc4Ao5+LGbVeKvzyO7tolok0nLsZgq9nGjZx/EEU3NM8C+qUnB4Nvs2rswG5qOVgLzQkq0fHQ==",
    ),
    program: "@mariozechner/pi-coding-agent/dist/cli.js",
};

const GATE: &str = r#"export default function (pi: any) {
  pi.on("tool_call", async (event: any, ctx: any) => {
    if (event.toolName !== "bash" || !ctx.hasUI) return;
    const answer = await ctx.ui.select(`Allow: ${event.input.command}?`, ["Yes", "No"]);
    if (answer !== "Yes") return { block: true, reason: "Blocked by user" };
  });
}
"#;

pub(super) fn configure(place: &Place<'_>, setup: &Setup) -> Result<Command> {
    let directory = place.user_home.join(".pi/agent");
    if setup.credentials != Credentials::None {
        let model = json!({
            "id": "stub-model", "name": "Stub Model", "reasoning": true, "input": ["text"],
            "contextWindow": 200_000, "maxTokens": 8192,
            "cost": {"input": 3, "output": 15, "cacheRead": 0.3, "cacheWrite": 3.75}
        });
        let provider = json!({
            "baseUrl": format!("{}/v1", place.base_url), "api": "openai-completions", "apiKey": "sk-dummy",
            "models": [model]
        });
        write(&directory.join("models.json"), &json!({"providers": {"stub": provider}}).to_string())?;
    }
    let mut settings = json!({
        "defaultProvider": "stub", "defaultModel": "stub-model", "enableInstallTelemetry": false
    });
    match setup.retries {
        Retries::AsShipped => {}
        Retries::Few => settings["retry"] = json!({"enabled": false}),
        Retries::Many => settings["retry"] = json!({"enabled": true, "maxRetries": 100}),
    }
    write(&directory.join("settings.json"), &settings.to_string())?;
    write(&directory.join("extensions/gate.ts"), GATE)?;
    Ok(Command::new(&[], &[("PI_OFFLINE", "1"), ("PI_TELEMETRY", "0"), ("PI_SKIP_VERSION_CHECK", "1")]))
}
