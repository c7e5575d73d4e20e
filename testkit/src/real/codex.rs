//! OpenAI Codex, with its shared daemon or without, against the stub's Responses API.

use anyhow::Result;

use super::{Command, Credentials, Place, Retries, Setup, write};
use crate::npm::Pinned;

pub(super) static CODEX: Pinned = Pinned {
    name: "codex",
    package: "@openai/codex",
    version: "0.169.0",
    holder: (
        "@openai/codex-linux-x64",
        "sha512-o05NyAOCDygSPRo1yinzxvkRSdmsZyBD9E7mbpmjRanSfM8lypqWtQgEo4XfNkwhuCR2aFu8mlGOsQGFXVbVww==",
    ),
    program: "@openai/codex/bin/codex.js",
};

pub(super) fn configure(place: &Place<'_>, setup: &Setup) -> Result<Command> {
    let mut config = String::from("check_for_update_on_startup = false\n");
    if setup.credentials != Credentials::None {
        config.push_str(&provider(place.base_url, setup.retries));
    }
    config.push_str("[analytics]\nenabled = false\n[features]\nplugins = false\napps = false\n");
    if setup.trusted {
        config.push_str(&format!("[projects.{:?}]\ntrust_level = \"trusted\"\n", place.cwd));
    } else {
        // It asks in a repository only.
        write(&place.cwd.join(".git/HEAD"), "ref: refs/heads/main\n")?;
    }
    write(&place.user_home.join(".codex/config.toml"), &config)?;
    let mut args = Vec::new();
    if !setup.served {
        args.push("--no-daemon");
    }
    if setup.unattended {
        args.push("--yolo");
    } else if setup.trusted {
        // To be told how it may work counts as trust.
        args.extend(["-a", "on-request", "-s", "read-only"]);
    }
    Ok(Command::new(&args, &[("STUB_API_KEY", "sk-dummy")]))
}

fn provider(base_url: &str, retries: Retries) -> String {
    let retries = match retries {
        Retries::AsShipped => "",
        Retries::Few => "request_max_retries = 0\nstream_max_retries = 0\n",
        Retries::Many => "request_max_retries = 0\nstream_max_retries = 100\n",
    };
    format!(
        "model = \"stub-model\"\nmodel_provider = \"stub\"\n[model_providers.stub]\nname = \"Stub\"\n\
         base_url = \"{base_url}/v1\"\nwire_api = \"responses\"\nenv_key = \"STUB_API_KEY\"\n\
         requires_openai_auth = false\n{retries}"
    )
}
