//! A roster as text, as a person would write it: what is the default is left out.

use super::{
    Agent, Connector, DEFAULT_CLASS, DEFAULT_HOLDER, DEFAULT_WORKING_DIRECTORY, Persona, Roster, floor,
};

/// YAML that is read as the same roster. `about` gives the comment above an agent, by its name.
pub fn write(roster: &Roster, header: &str, about: impl Fn(&str) -> Option<String>) -> String {
    let mut out = Writer::default();
    for line in header.lines() {
        out.comment(0, line);
    }
    out.line(0, "version", "1");
    out.line(0, "transport", "tmux");
    out.text.push_str("tmux:\n");
    out.value(1, "socket_name", roster.tmux.socket_name.as_str());
    if roster.tmux.holder_session != DEFAULT_HOLDER {
        out.value(1, "holder_session", &roster.tmux.holder_session);
    }
    if roster.defaults.working_directory != DEFAULT_WORKING_DIRECTORY {
        out.text.push_str("defaults:\n");
        out.value(1, "working_directory", &roster.defaults.working_directory);
    }
    let with_reset = roster
        .runtimes
        .iter()
        .filter_map(|settings| Some((settings.runtime.as_str(), settings.reset_command.as_deref()?)));
    for (index, (runtime, command)) in with_reset.enumerate() {
        if index == 0 {
            out.text.push_str("runtimes:\n");
        }
        out.text.push_str(&format!("  {}:\n", scalar(runtime)));
        out.value(2, "reset_command", command);
    }
    connector(&mut out, &roster.connector);
    out.text.push_str(if roster.agents.is_empty() { "agents: []\n" } else { "agents:\n" });
    for agent in &roster.agents {
        for line in about(agent.name.as_str()).iter().flat_map(|about| about.lines()) {
            out.comment(1, line);
        }
        out.agent(agent);
    }
    out.text
}

fn connector(out: &mut Writer, connector: &Connector) {
    match connector {
        Connector::Tmux => {}
        Connector::Discord { channel_id } => {
            out.text.push_str("connector:\n  kind: discord\n  discord:\n");
            out.value(2, "channel_id", channel_id);
        }
        Connector::Matrix { homeserver_url, user_id, room_id } => {
            out.text.push_str("connector:\n  kind: matrix\n  matrix:\n");
            out.value(2, "homeserver_url", homeserver_url);
            out.value(2, "user_id", user_id);
            out.value(2, "room_id", room_id);
        }
    }
}

#[derive(Default)]
struct Writer {
    text: String,
}

impl Writer {
    fn comment(&mut self, level: usize, text: &str) {
        let text = crate::text::clean(text, 200);
        self.text.push_str(format!("{}# {text}", "  ".repeat(level)).trim_end());
        self.text.push('\n');
    }

    fn line(&mut self, level: usize, key: &str, value: &str) {
        self.text.push_str(&format!("{}{key}: {value}\n", "  ".repeat(level)));
    }

    fn value(&mut self, level: usize, key: &str, value: &str) {
        self.line(level, key, &scalar(value));
    }

    fn agent(&mut self, agent: &Agent) {
        self.text.push_str(&format!("  - name: {}\n", scalar(agent.name.as_str())));
        self.value(2, "runtime", agent.runtime.as_str());
        if agent.class != DEFAULT_CLASS {
            self.value(2, "class", &agent.class);
        }
        let mut optional = |key: &str, value: Option<&str>| {
            if let Some(value) = value {
                self.value(2, key, value);
            }
        };
        optional("alias", agent.alias.as_deref());
        optional("command", agent.command.as_deref());
        optional("model_hint", agent.model_hint.as_deref());
        optional("working_directory", agent.working_directory.as_deref());
        optional("kickstart", agent.kickstart.as_deref());
        optional("kickstart_template", agent.kickstart_template.as_deref());
        optional("host", agent.host.as_deref());
        optional("ssh", agent.ssh.as_deref());
        optional("socket", agent.socket.as_ref().map(|socket| socket.as_str()));
        optional("account", agent.account.as_deref());
        optional("tenant_id", agent.tenant_id.as_ref().map(|tenant| tenant.as_str()));
        let core = [floor::ORCHESTRATOR, floor::ENHANCER].contains(&agent.class.as_str());
        match agent.persistent_persona {
            Persona::Persistent => self.line(2, "persistent_persona", "true"),
            Persona::Semi => self.line(2, "persistent_persona", "semi"),
            Persona::Disposable if core => self.line(2, "persistent_persona", "false"),
            Persona::Disposable => {}
        }
        if agent.reset_between_tasks {
            self.line(2, "reset_between_tasks", "true");
        }
        if let Some(yolo) = agent.yolo {
            self.line(2, "yolo", if yolo { "true" } else { "false" });
        }
        if !agent.channels.is_empty() {
            let channels: Vec<String> = agent.channels.iter().map(|channel| quoted(channel)).collect();
            self.line(2, "channels", &format!("[{}]", channels.join(", ")));
        }
    }
}

/// Bare where nobody could take it for something else.
fn scalar(text: &str) -> String {
    let inner = |c: char| c.is_ascii_alphanumeric() || "_./@+-:$~".contains(c);
    let first = |c: char| c.is_ascii_alphanumeric() || "/~$".contains(c);
    let odd = ["~", "null", "Null", "NULL"].contains(&text) || text.ends_with(':');
    if !odd && text.starts_with(first) && text.chars().all(inner) { text.to_owned() } else { quoted(text) }
}

fn quoted(text: &str) -> String {
    let mut out = String::from("\"");
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\t' => out.push_str("\\t"),
            c if c.is_control()
                || matches!(c, '\u{2028}' | '\u{2029}' | '\u{feff}' | '\u{fffe}' | '\u{ffff}') =>
            {
                out.push_str(&format!("\\u{:04x}", u32::from(c)));
            }
            c => out.push(c),
        }
    }
    out.push('"');
    out
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const ALL: &str = r##"
version: 1
tmux: {socket_name: "", holder_session: _h}
defaults: {working_directory: $X/src}
runtimes: {pi: {reset_command: /wipe}}
connector: {kind: matrix, matrix: {homeserver_url: "https://m.example", user_id: "@f:m", room_id: "!r:m"}}
agents:
  - {name: lead, runtime: claude, class: orchestrator, persistent_persona: false, channels: ["plugin:a@b"], yolo: false}
  - {name: b, runtime: own, command: "exec ./x --y 'z'", alias: "Ä # b", kickstart: "one\ntwo: three", account: main}
  - {name: c, runtime: pi, host: far, ssh: ops@far, socket: s2, tenant_id: t, reset_between_tasks: true, persistent_persona: semi, model_hint: "p/gpt-5.5:high", working_directory: "~"}
"##;

    #[test]
    fn every_key_comes_back() {
        let mut roster = Roster::parse(ALL).unwrap();
        roster.agents[2].working_directory = Some("~".to_owned());
        let text = write(&roster, "One\nTwo", |name| (name == "lead").then(|| "Leads.".to_owned()));
        assert_eq!(Roster::parse(&text).unwrap(), roster, "{text}");
        assert!(text.starts_with("# One\n# Two\nversion: 1\n"), "{text}");
        assert!(text.contains("  # Leads.\n  - name: lead\n    runtime: claude\n"), "{text}");
        assert!(
            text.contains("model_hint: p/gpt-5.5:high\n") && text.contains("socket_name: \"\"\n"),
            "{text}"
        );
    }

    proptest! {
        #[test]
        fn any_text_comes_back(
            kickstart in "[^\0]{1,60}", command in "[ -~]{0,30}x", directory in "[^\0]{1,20}", comment in "\\PC{0,30}"
        ) {
            let mut roster = Roster::parse("version: 1\nagents: [{name: a, runtime: own, command: x}]").unwrap();
            let agent = &mut roster.agents[0];
            agent.kickstart = Some(kickstart);
            agent.command = Some(command);
            agent.working_directory = Some(directory);
            let text = write(&roster, &comment, |_| Some(comment.clone()));
            prop_assert_eq!(Roster::parse(&text).unwrap(), roster, "{}", text);
        }
    }
}
