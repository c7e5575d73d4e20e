//! The keys of a roster and what may stand behind each.

use crate::ids::{AgentName, RuntimeName, SocketName, TenantId};
use crate::text;

use super::{
    Agent, BUILT_IN_RUNTIMES, Connector, DEFAULT_CLASS, DEFAULT_HOLDER, DEFAULT_WORKING_DIRECTORY, Defaults,
    Persona, Roster, RosterError, RuntimeSettings, Tmux,
};
use crate::yaml::{Fields, Kind, Node, Problems};

pub(super) fn roster(root: &Node) -> Result<Roster, RosterError> {
    let mut problems = Problems::default();
    let read = document(root, &mut problems);
    problems.finish(read).map_err(RosterError)
}

fn document(root: &Node, problems: &mut Problems) -> Option<Roster> {
    let mut top = Fields::of(root, "", problems)?;
    version(&mut top, problems);
    transport(&mut top, problems);
    let tmux = tmux(&mut top, problems);
    let defaults = defaults(&mut top, problems);
    let runtimes = runtimes(&mut top, problems);
    let connector = connector(&mut top, problems);
    let agents = agents(&mut top, problems);
    top.close(problems);
    Some(Roster { tmux, defaults, runtimes, agents, connector: connector.unwrap_or_default() })
}

fn version(top: &mut Fields<'_>, problems: &mut Problems) {
    if let Some((version, line)) = top.required("version", problems)
        && version != "1"
    {
        problems.add(
            line,
            "version",
            format!("`{}` is not known here; write `version: 1`", text::clean(&version, 20)),
        );
    }
}

fn transport(top: &mut Fields<'_>, problems: &mut Problems) {
    match top.text("transport", problems) {
        Some((transport, line)) if transport == "matrix" => {
            problems.add(
                line,
                "transport",
                "matrix is a connector (`connector.kind`), not a transport; write `tmux`",
            );
        }
        Some((transport, line)) if transport != "tmux" => {
            let message =
                format!("`{}` is not known; `tmux` is the only transport", text::clean(&transport, 20));
            problems.add(line, "transport", message);
        }
        _ => {}
    }
}

fn tmux(top: &mut Fields<'_>, problems: &mut Problems) -> Tmux {
    let mut tmux =
        Tmux { socket_name: SocketName::default_server(), holder_session: DEFAULT_HOLDER.to_owned() };
    let Some(node) = top.take("tmux", problems) else { return tmux };
    let Some(mut fields) = Fields::of(node, "tmux", problems) else { return tmux };
    if let Some(socket) = socket(&mut fields, "socket_name", problems) {
        tmux.socket_name = socket;
    }
    if let Some((session, line)) = fields.text("holder_session", problems) {
        if session.is_empty()
            || session.contains(['.', ':', '=', '/'])
            || session.chars().any(text::is_hostile)
        {
            problems.add(
                line,
                "tmux.holder_session",
                "a session name is wanted: no `.`, `:`, `=`, `/` or control characters",
            );
        }
        tmux.holder_session = session;
    }
    fields.close(problems);
    tmux
}

fn socket(fields: &mut Fields<'_>, key: &'static str, problems: &mut Problems) -> Option<SocketName> {
    let (name, line) = fields.text(key, problems)?;
    if name.contains('/')
        || name.starts_with('-')
        || name.starts_with('.')
        || name.chars().any(|c| text::is_hostile(c) || c == ' ')
    {
        let at = fields.at(key);
        problems.add(
            line,
            &at,
            "a socket name (as after `tmux -L`) is wanted: no `/`, blanks or leading `-` or `.`",
        );
        return None;
    }
    Some(SocketName::new(&name))
}

fn defaults(top: &mut Fields<'_>, problems: &mut Problems) -> Defaults {
    let mut directory = None;
    if let Some(node) = top.take("defaults", problems)
        && let Some(mut fields) = Fields::of(node, "defaults", problems)
    {
        directory = fields.string("working_directory", problems);
        fields.close(problems);
    }
    Defaults { working_directory: directory.unwrap_or_else(|| DEFAULT_WORKING_DIRECTORY.to_owned()) }
}

fn runtimes(top: &mut Fields<'_>, problems: &mut Problems) -> Vec<RuntimeSettings> {
    let Some(node) = top.take("runtimes", problems) else { return Vec::new() };
    let Some(mut fields) = Fields::of(node, "runtimes", problems) else { return Vec::new() };
    let mut settings = Vec::new();
    for (name, node) in fields.rest() {
        let path = fields.at(&text::clean(&name.name, 60));
        let Some(mut one) = Fields::of(node, &path, problems) else { continue };
        let reset_command = one.string("reset_command", problems);
        one.close(problems);
        settings.push(RuntimeSettings { runtime: RuntimeName::new(&name.name), reset_command });
    }
    settings
}

fn connector(top: &mut Fields<'_>, problems: &mut Problems) -> Option<Connector> {
    let node = top.take("connector", problems)?;
    let mut fields = Fields::of(node, "connector", problems)?;
    let kind = fields.text("kind", problems);
    let matrix = fields.take("matrix", problems);
    let discord = fields.take("discord", problems);
    let line = fields.line;
    fields.close(problems);
    match kind.as_ref().map_or(("tmux", line), |(kind, line)| (kind.as_str(), *line)) {
        ("tmux", _) => Some(Connector::Tmux),
        ("matrix", at) => {
            let mut fields = section(matrix, "connector.matrix", at, problems)?;
            let homeserver_url = fields.required("homeserver_url", problems);
            let user_id = fields.required("user_id", problems);
            let room_id = fields.required("room_id", problems);
            fields.close(problems);
            Some(Connector::Matrix {
                homeserver_url: homeserver_url?.0,
                user_id: user_id?.0,
                room_id: room_id?.0,
            })
        }
        ("discord", at) => {
            let mut fields = section(discord, "connector.discord", at, problems)?;
            let channel_id = fields.required("channel_id", problems);
            fields.close(problems);
            Some(Connector::Discord { channel_id: channel_id?.0 })
        }
        (other, at) => {
            let message = format!("`{}` is not known; it is tmux, discord or matrix", text::clean(other, 40));
            problems.add(at, "connector.kind", message);
            None
        }
    }
}

fn section<'n>(
    node: Option<&'n Node>,
    path: &str,
    line: usize,
    problems: &mut Problems,
) -> Option<Fields<'n>> {
    match node {
        Some(node) => Fields::of(node, path, problems),
        None => {
            problems.add(line, path, "the chosen kind needs this section");
            None
        }
    }
}

fn agents(top: &mut Fields<'_>, problems: &mut Problems) -> Vec<Agent> {
    let Some(items) = top.list("agents", problems) else { return Vec::new() };
    let mut agents: Vec<(Agent, usize)> = Vec::new();
    for (index, item) in items.iter().enumerate() {
        let Some(agent) = agent(item, &format!("agents[{index}]"), problems) else { continue };
        if let Some((_, line)) = agents.iter().find(|(other, _)| other.name == agent.name) {
            let message =
                format!("`{}` is the name of the agent in line {line} already; names are unique", agent.name);
            problems.add(item.line, &format!("agents[{index}].name"), message);
        }
        agents.push((agent, item.line));
    }
    agents.into_iter().map(|(agent, _)| agent).collect()
}

fn agent(item: &Node, path: &str, problems: &mut Problems) -> Option<Agent> {
    let mut fields = Fields::of(item, path, problems)?;
    let name = fields.required("name", problems).and_then(|(name, line)| {
        AgentName::parse(&name)
            .map_err(|error| problems.add(line, &format!("{path}.name"), error.to_string()))
            .ok()
    });
    let runtime = fields.required("runtime", problems);
    let command = fields.string("command", problems).filter(|command| !command.trim().is_empty());
    if let Some((runtime, line)) = &runtime
        && !BUILT_IN_RUNTIMES.contains(&runtime.as_str())
        && command.is_none()
    {
        let near = text::nearest(runtime, BUILT_IN_RUNTIMES).map(|near| format!("; did you mean `{near}`?"));
        let message = format!(
            "`{}` is not a runtime that is built in ({}){}; another one needs a `command`",
            text::clean(runtime, 40),
            BUILT_IN_RUNTIMES.join(", "),
            near.unwrap_or_default()
        );
        problems.add(*line, &format!("{path}.runtime"), message);
    }
    let agent = AgentFields {
        class: fields.string("class", problems),
        alias: fields.string("alias", problems),
        model_hint: fields.string("model_hint", problems),
        working_directory: fields.string("working_directory", problems),
        persona: persona(&mut fields, problems),
        reset_between_tasks: fields.boolean("reset_between_tasks", problems),
        kickstart: fields.string("kickstart", problems),
        kickstart_template: fields.string("kickstart_template", problems),
        yolo: fields.boolean("yolo", problems),
        channels: channels(&mut fields, problems),
        host: fields.string("host", problems),
        ssh: fields.string("ssh", problems),
        socket: socket(&mut fields, "socket", problems),
        account: fields.string("account", problems),
        tenant_id: fields.string("tenant_id", problems),
    };
    fields.close(problems);
    Some(agent.build(name?, RuntimeName::new(&runtime?.0), command))
}

struct AgentFields {
    class: Option<String>,
    alias: Option<String>,
    model_hint: Option<String>,
    working_directory: Option<String>,
    persona: Option<Persona>,
    reset_between_tasks: Option<bool>,
    kickstart: Option<String>,
    kickstart_template: Option<String>,
    yolo: Option<bool>,
    channels: Vec<String>,
    host: Option<String>,
    ssh: Option<String>,
    socket: Option<SocketName>,
    account: Option<String>,
    tenant_id: Option<String>,
}

impl AgentFields {
    fn build(self, name: AgentName, runtime: RuntimeName, command: Option<String>) -> Agent {
        let class = self.class.map(|class| text::clean(&class, 64)).filter(|class| !class.is_empty());
        let class = class.unwrap_or_else(|| DEFAULT_CLASS.to_owned());
        let core = matches!(class.as_str(), "orchestrator" | "enhancer");
        Agent {
            persistent_persona: self.persona.unwrap_or(if core {
                Persona::Persistent
            } else {
                Persona::Disposable
            }),
            name,
            runtime,
            class,
            alias: self.alias.map(|alias| text::clean(&alias, 64)),
            model_hint: self.model_hint.filter(|hint| !hint.is_empty()),
            working_directory: self.working_directory,
            reset_between_tasks: self.reset_between_tasks.unwrap_or(false),
            kickstart: self.kickstart,
            kickstart_template: self.kickstart_template,
            yolo: self.yolo,
            command,
            channels: self.channels,
            host: self.host,
            ssh: self.ssh,
            socket: self.socket,
            account: self.account.map(|account| text::clean(&account, 64)),
            tenant_id: self.tenant_id.map(|tenant| TenantId::new(&tenant)),
        }
    }
}

fn persona(fields: &mut Fields<'_>, problems: &mut Problems) -> Option<Persona> {
    let (value, line) = fields.text("persistent_persona", problems)?;
    match value.as_str() {
        "true" => Some(Persona::Persistent),
        "semi" => Some(Persona::Semi),
        "false" => Some(Persona::Disposable),
        other => {
            let message =
                format!("`true`, `semi` or `false` is wanted here, not `{}`", text::clean(other, 40));
            problems.add(line, &fields.at("persistent_persona"), message);
            None
        }
    }
}

fn channels(fields: &mut Fields<'_>, problems: &mut Problems) -> Vec<String> {
    let Some(node) = fields.take("channels", problems) else { return Vec::new() };
    match &node.kind {
        Kind::Seq(items) => {
            items.iter().filter_map(|item| fields.scalar(item, "channels", problems)).collect()
        }
        _ => fields.scalar(node, "channels", problems).into_iter().collect(),
    }
}
