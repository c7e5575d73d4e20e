//! `fleet add`: one agent more, in the roster, on the disk, at the next boot, and now.

use fleet_domain::agent_env::{merged, wanted};
use fleet_domain::roster::Roster;
use fleet_domain::roster::edit::{self, EditError, Entry, Value};
use fleet_domain::{AgentName, diff};
use fleet_framework::agents::{changing, write_roster};
use fleet_framework::home::shown;
use fleet_framework::units::{agent_unit, sidecar_unit};

use crate::error::{Code, Failure, Outcome};
use crate::lifecycle::keeper::{Act, Keeper};
use crate::lifecycle::{Site, files_failed, home};
use crate::output;
use crate::verbs::holder::no_roster;

const EXAMPLES: &str = "\
Examples:
  fleet add coder2 --runtime pi --class implementer
  fleet add night0 --runtime claude --model opus --no-start   from the next boot on, or fleet start night0
  fleet add watch0 --runtime top --command 'top -d 5'         any full-screen program
  fleet add coder3 --runtime codex --dry-run                  show what would change";

/// Add an agent: to the roster, enabled for every boot, and started
#[derive(Debug, clap::Args)]
#[command(before_help = EXAMPLES)]
pub struct Args {
    /// Its name: letters, digits, `_` and `-`, unique
    name: String,
    /// claude, codex, pi, opencode, or any name with a --command
    #[arg(long)]
    runtime: String,
    /// Its role, such as implementer or reviewer; default worker
    #[arg(long)]
    class: Option<String>,
    /// The model to ask for
    #[arg(long)]
    model: Option<String>,
    /// Where it works; default is the roster's
    #[arg(long, value_name = "DIR")]
    working_directory: Option<String>,
    /// A friendly name, for display only
    #[arg(long)]
    alias: Option<String>,
    /// The account it spends from
    #[arg(long)]
    account: Option<String>,
    /// The whole command to launch instead of the runtime's own
    #[arg(long)]
    command: Option<String>,
    /// Ask before it acts, instead of running unattended
    #[arg(long)]
    no_yolo: bool,
    /// It keeps no context between tasks
    #[arg(long)]
    ephemeral: bool,
    /// Enable it, but do not start it now
    #[arg(long)]
    no_start: bool,
    /// Show what would change
    #[arg(long)]
    dry_run: bool,
}

pub async fn run(args: Args) -> Outcome {
    let home = home()?;
    // The whole name is known to be fit for a file before anything is done with it.
    let name = AgentName::parse(&args.name).map_err(|error| Failure::of(Code::Usage, &error))?;
    let alone = changing(&home).map_err(|error| files_failed(&error))?;
    let path = home.roster();
    let before = match std::fs::read_to_string(&path) {
        Ok(text) => text,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Err(no_roster(&home)),
        Err(error) => return Err(Failure::new(Code::Failure, format!("{}: {error}", path.display()))),
    };
    let after = edit::add(&before, &entries(&args)).map_err(|error| edit_failed(error, &shown(&path)))?;
    if args.dry_run {
        return output::data(&plan(&args, &name, &home, &before, &after)?);
    }
    write_roster(&home, &after).map_err(|error| files_failed(&error))?;
    let site = std::sync::Arc::new(Site::at(home)?);
    let Some(agent) = site.roster.agent(name.as_str()).cloned() else {
        return Err(Failure::new(Code::Failure, format!("{}: {name} is not there any more", path.display()))
            .next("another program writes the roster at the same time; try again"));
    };
    site.refresh_env(&agent)?;
    drop(alone);
    output::note(&format!("{:<10}{name}", "added"));
    tell_two(&site.roster);
    if !agent.is_on(&site.here) {
        return Ok(());
    }
    let keeper = Keeper::find().await;
    // Never a reason to stop.
    if let Err(error) = keeper.enable(name.as_str()).await {
        output::note(&format!("warning: {name} will not start at boot: {error}"));
    }
    if args.no_start {
        output::note(&format!("it is not started; do so: fleet start {name}"));
        return Ok(());
    }
    keeper.act(&site, Act::Start, &agent).await.map_err(|error| {
        Failure::new(Code::Failure, error)
            .next(format!("{name} is in the roster; once this is put right: fleet start {name}"))
    })?;
    output::note(&format!("{:<10}{name}", "started"));
    Ok(())
}

/// Two who lead are fine while one takes over from the other, and wrong for long.
fn tell_two(roster: &Roster) {
    let leads: Vec<&str> = roster
        .agents
        .iter()
        .filter(|agent| agent.class == "orchestrator")
        .map(|agent| agent.name.as_str())
        .collect();
    if leads.len() > 1 {
        let names = leads.join(", ");
        output::note(&format!("a fleet has one orchestrator; this one has {names}: fleet remove the other"));
    }
}

fn entries(args: &Args) -> Vec<Entry> {
    let text = |key, value: &Option<String>| {
        value.as_ref().map(|value| Entry { key, value: Value::Text(value.clone()) })
    };
    let flag = |key, is: bool| is.then_some(Entry { key, value: Value::Flag(false) });
    [
        text("name", &Some(args.name.clone())),
        text("runtime", &Some(args.runtime.clone())),
        text("class", &args.class),
        text("alias", &args.alias),
        text("model_hint", &args.model),
        text("working_directory", &args.working_directory),
        text("account", &args.account),
        text("command", &args.command),
        flag("yolo", args.no_yolo),
        flag("persistent_persona", args.ephemeral),
    ]
    .into_iter()
    .flatten()
    .collect()
}

pub(super) fn edit_failed(error: EditError, path: &str) -> Failure {
    let (code, next) = match &error {
        EditError::Roster(_) => (Code::Failure, "put the roster right first: fleet roster --check"),
        EditError::Present(_) => (Code::Usage, "choose another name; fleet roster lists them"),
        EditError::Absent(_) => (Code::NoSuch, "fleet roster lists them"),
        EditError::Refused(_) => (Code::Usage, "nothing was changed; fleet add --help"),
        EditError::Unsafe => (Code::Failure, "nothing was changed; fleet roster --path says where it is"),
    };
    Failure::new(code, format!("{path}: {error}")).next(next)
}

fn plan(
    args: &Args,
    name: &AgentName,
    home: &fleet_framework::Home,
    before: &str,
    after: &str,
) -> Result<String, Failure> {
    let mut text = format!("change    {}\n{}", shown(&home.roster()), diff::lines(before, after));
    let roster = Roster::parse(after).map_err(|error| Failure::of(Code::Failure, &error))?;
    if let Some(agent) = roster.agent(name.as_str()) {
        text.push_str(&format!("write     {}\n", shown(&home.agent_env(name.as_str()))));
        let env = merged(Some(""), name.as_str(), &wanted(&roster, agent));
        text.extend(env.lines().filter(|line| !line.starts_with('#')).map(|line| format!("  + {line}\n")));
    }
    text.push_str(&format!(
        "enable    {}\nenable    {}\n",
        agent_unit(name.as_str()),
        sidecar_unit(name.as_str())
    ));
    if !args.no_start {
        text.push_str(&format!("start     {}\n", agent_unit(name.as_str())));
    }
    Ok(text)
}
