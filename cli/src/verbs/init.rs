//! `fleet init`: a fleet's first files, by questions or by flags. No AI is asked, nothing is started, and what is there
//! already stays.
//!
//! [`choice`] makes the roster, [`wizard`] asks; this file shows what will be written, and writes it.

mod accounts;
mod choice;
mod wizard;

use std::io::IsTerminal as _;
use std::path::{Path, PathBuf};

use fleet_domain::diff;
use fleet_domain::roster::{Agent, BUILT_IN_RUNTIMES, Roster};
use fleet_framework::files::{beside, put, put_new};
use fleet_framework::home::shown;
use fleet_framework::{Home, presets, seed};

use self::choice::{Choices, Chosen, compose};
use self::wizard::Terminal;
use super::holder::read_roster;
use super::launch::has_runtime;
use crate::error::{Code, Failure, Outcome};
use crate::output;

const EXAMPLES: &str = "\
Examples:
  fleet init                                      asks, shows, and writes after your yes
  fleet init --preset coding --yes                the same without questions
  fleet init --preset coding --dry-run            only show what would be written
  fleet init --preset coding --runtime pi=codex --without coder1 --account claude=max --yes";

const AFTER: &str = "\
Presets:
  minimal        one agent, to see that everything works
  local-canary   three agents to try a fleet on this machine
  general        one who leads, one who improves, one who does
  coding         software: two coders and a reviewer
  research       questions: two researchers and an analyst
  hybrid         both: a coder, a researcher and a reviewer
  full-crew      larger: six coders over two runtimes, three kinds of review
A path to a roster of your own is a preset too.";

/// Write a fleet's roster and the framework's files; what is there already stays
#[derive(Debug, clap::Args)]
#[command(before_help = EXAMPLES, after_help = AFTER)]
pub struct Args {
    /// What the fleet is for
    #[arg(long, value_name = "NAME|FILE")]
    preset: Option<String>,
    /// The tmux socket of the fleet; `default` is your own server
    #[arg(long, value_name = "NAME")]
    socket: Option<String>,
    /// Where agents work that do not say otherwise
    #[arg(long, value_name = "DIR")]
    working_directory: Option<String>,
    /// Where one agent works
    #[arg(long, value_name = "AGENT=DIR", value_parser = pair)]
    directory: Vec<(String, String)>,
    /// Another runtime for one agent, or for all of a runtime
    #[arg(long, value_name = "WHO=RUNTIME", value_parser = pair)]
    runtime: Vec<(String, String)>,
    /// The account that an agent, all of a runtime, or everybody spends from
    #[arg(long, value_name = "[WHO=]NAME", value_parser = account)]
    account: Vec<(String, String)>,
    /// This account is paid by use; without it one is taken for a subscription
    #[arg(long, value_name = "NAME")]
    api: Vec<String>,
    /// Leave this agent of the preset out
    #[arg(long, value_name = "AGENT")]
    without: Vec<String>,
    /// Begin anew where there is a roster; the one before is kept beside it
    #[arg(long)]
    replace: bool,
    /// Write without asking
    #[arg(long, short = 'y')]
    yes: bool,
    /// Only show what would be written
    #[arg(long)]
    dry_run: bool,
}

fn pair(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((name, value)) if !name.is_empty() && !value.is_empty() => {
            Ok((name.to_owned(), value.to_owned()))
        }
        _ => Err("two words with = between are wanted".to_owned()),
    }
}

fn account(text: &str) -> Result<(String, String), String> {
    if text.contains('=') { pair(text) } else { Ok((String::new(), text.to_owned())) }
}

pub fn run(args: Args) -> Outcome {
    let home = Home::from_env().map_err(|error| Failure::of(Code::Failure, &error))?;
    let asks =
        std::io::stdin().is_terminal() && std::io::stdout().is_terminal() && !args.yes && !args.dry_run;
    let present = Present::of(&home, args.replace)?;
    let planned = match &present {
        Present::Kept(roster) => {
            kept(&home, &args, roster);
            output::note("  another one in its place, with a copy kept: fleet init --replace");
            None
        }
        Present::None | Present::Replaced(_) => Some(choose(&args, asks)?),
    };
    let seeds = seed::plan(&home, &programs()?).map_err(|error| failed(&error))?;
    let budget = planned.as_ref().and_then(|planned| planned.budget.as_deref());
    let change = Change {
        home: &home,
        present: &present,
        roster: planned.as_ref().map(|planned| planned.roster.as_str()),
        budget: budget.filter(|_| !home.budget().exists()),
        seeds: &seeds,
    };
    if change.is_nothing() {
        output::note(&format!("{}\nnothing is to be written", seeds.verdict()));
        return next_steps(&home);
    }
    output::data(&change.to_string())?;
    if let Some(planned) = &planned {
        lacking(&home, planned);
    }
    if args.dry_run {
        return Ok(());
    }
    if !args.yes {
        if !asks {
            return Err(needs("--yes", "to write without being asked"));
        }
        if !wizard::yes(&mut Terminal, "\nWrite this?", true)? {
            return Err(Failure::new(Code::Refused, "nothing was written"));
        }
    }
    change.write()?;
    next_steps(&home)
}

/// The roster that is there.
enum Present {
    None,
    /// It is right, and stays.
    Kept(Box<Roster>),
    /// Its text; another takes its place.
    Replaced(String),
}

impl Present {
    fn of(home: &Home, replace: bool) -> Result<Self, Failure> {
        if replace {
            return match std::fs::read(home.roster()) {
                Ok(bytes) => Ok(Self::Replaced(String::from_utf8_lossy(&bytes).into_owned())),
                Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(Self::None),
                Err(error) => Err(Failure::new(Code::Failure, format!("{}: {error}", shown(&home.roster())))),
            };
        }
        let read = read_roster(home).map_err(|failure| {
            failure.next("mend it, or begin anew and have it kept beside: fleet init --replace")
        })?;
        Ok(read.map_or(Self::None, |roster| Self::Kept(Box::new(roster))))
    }
}

/// Says what was asked for and is not so, because the roster is the user's.
fn kept(home: &Home, args: &Args, roster: &Roster) {
    output::note(&format!("{} is yours and stays as it is", shown(&home.roster())));
    let socket = roster.tmux.socket_name.shown();
    let differs = |flag: &str, asked: &Option<String>, is: &str| {
        if let Some(asked) = asked.as_ref().filter(|asked| *asked != is) {
            output::note(&format!("  {flag} {asked} is not taken over: it says {is}"));
        }
    };
    differs("--socket", &args.socket, socket);
    differs("--working-directory", &args.working_directory, &roster.defaults.working_directory);
    let missing = absent(args.preset.as_deref(), roster);
    if !missing.is_empty() {
        let preset = args.preset.as_deref().unwrap_or_default();
        output::note(&format!("  --preset {preset} is not taken over: it has no {}", missing.join(", ")));
    }
    for name in args.without.iter().filter(|name| roster.agent(name).is_some()) {
        output::note(&format!("  --without {name} is not taken over: fleet remove {name}"));
    }
    for (who, runtime) in &args.runtime {
        let asked = |agent: &&Agent| agent.name.as_str() == who && agent.runtime.as_str() != runtime;
        if let Some(agent) = roster.agents.iter().find(asked) {
            output::note(&format!(
                "  --runtime {who}={runtime} is not taken over: it says {}",
                agent.runtime
            ));
        }
    }
    let named: Vec<&str> = args.account.iter().map(|(_, account)| account.as_str()).collect();
    let has = |name: &str| roster.agents.iter().any(|agent| agent.account.as_deref() == Some(name));
    for name in named.into_iter().filter(|name| !has(name)) {
        output::note(&format!("  --account {name} is not taken over: no agent of it spends from that one"));
    }
}

/// The preset's agents that the roster lacks.
fn absent(preset: Option<&str>, roster: &Roster) -> Vec<String> {
    let shipped = preset.and_then(presets::named).and_then(|preset| Chosen::from(preset).roster().ok());
    let wanted = shipped.map(|shipped| shipped.agents).unwrap_or_default();
    let absent = wanted.into_iter().filter(|agent| roster.agent(agent.name.as_str()).is_none());
    absent.map(|agent| agent.name.to_string()).collect()
}

/// The texts of the files to be.
struct Planned {
    roster: String,
    /// `None` where no account was named.
    budget: Option<String>,
    api: Vec<String>,
}

fn choose(args: &Args, asks: bool) -> Result<Planned, Failure> {
    let preset = match &args.preset {
        Some(name) => preset(name)?,
        None if asks => Chosen::from(wizard::preset(&mut Terminal)?),
        None => return Err(needs("--preset", "such as --preset coding, and --yes to write")),
    };
    let given = Choices {
        socket: args.socket.clone(),
        working_directory: args.working_directory.clone(),
        without: args.without.clone(),
        runtimes: args.runtime.clone(),
        accounts: args.account.clone(),
        directories: args.directory.clone(),
        api: args.api.clone(),
    };
    // Wrong flags, and a preset that is wrong in itself, are told before anything is asked.
    compose(&preset, &given)?;
    let found: Vec<&str> = BUILT_IN_RUNTIMES.into_iter().filter(|runtime| has_runtime(runtime)).collect();
    let choices = if asks { wizard::choices(&mut Terminal, &preset, given, &found)? } else { given };
    let text = compose(&preset, &choices)?;
    if !asks {
        missing(&text, &found);
    }
    let roster = Roster::parse(&text).map_err(|error| Failure::of(Code::Failure, &error))?;
    let budget = accounts::budget(&roster, &choices.api)?;
    Ok(Planned { roster: text, budget, api: choices.api })
}

/// Says what the budget that is there lacks: it is the user's.
fn lacking(home: &Home, planned: &Planned) {
    let (Ok(present), Ok(roster)) = (std::fs::read_to_string(home.budget()), Roster::parse(&planned.roster))
    else {
        return;
    };
    let lines = accounts::lacking(&present, &roster, &planned.api);
    if !lines.is_empty() {
        let path = shown(&home.budget());
        output::note(&format!(
            "{path} is yours and stays as it is; its accounts lack\n{}",
            lines.concat().trim_end()
        ));
    }
}

fn preset(name: &str) -> Result<Chosen, Failure> {
    if let Some(preset) = presets::named(name) {
        return Ok(preset.into());
    }
    let path = Path::new(name);
    if !name.contains('/') && path.extension().is_none() {
        let names: Vec<&str> = presets::ALL.iter().map(|preset| preset.name).collect();
        let near = fleet_domain::text::nearest(name, names.iter().copied());
        let near = near.map(|near| format!("; did you mean {near}?")).unwrap_or_default();
        let shown = fleet_domain::text::clean(name, 60);
        return Err(Failure::new(Code::Usage, format!("there is no preset {shown}{near}"))
            .next(format!("there are {}, and files of your own", names.join(", "))));
    }
    let text = std::fs::read_to_string(path)
        .map_err(|error| Failure::new(Code::Failure, format!("preset {}: {error}", path.display())))?;
    Ok(Chosen { name: name.to_owned(), text, floor: true })
}

/// Warns of runtimes that agents need and this machine does not have.
fn missing(text: &str, found: &[&str]) {
    let Ok(roster) = Roster::parse(text) else { return };
    for runtime in BUILT_IN_RUNTIMES {
        let needs =
            roster.agents.iter().any(|agent| agent.runtime.as_str() == runtime && agent.command.is_none());
        if needs && !found.contains(&runtime) {
            output::note(&format!(
                "warning: {runtime} was not found on this machine: install it, or choose another: --runtime {runtime}=…"
            ));
        }
    }
}

fn needs(flag: &str, why: &str) -> Failure {
    Failure::new(
        Code::Usage,
        format!("nobody can be asked here: stdin or stdout is no terminal; give {flag}"),
    )
    .next(format!("{flag}: {why}"))
}

/// Where the programs are that the units start.
fn programs() -> Result<PathBuf, Failure> {
    let own = std::env::current_exe().ok().and_then(|exe| Some(exe.parent()?.to_owned()));
    own.ok_or_else(|| Failure::new(Code::Failure, "it is not known where the programs are"))
}

/// What will be written.
struct Change<'c> {
    home: &'c Home,
    present: &'c Present,
    /// None where the present one stays.
    roster: Option<&'c str>,
    /// None where no account was named, or a budget is there.
    budget: Option<&'c str>,
    seeds: &'c seed::Plan,
}

impl std::fmt::Display for Change<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        writeln!(f, "{}", self.seeds.verdict())?;
        write!(f, "{}", self.seeds)?;
        // Last, where it is still on the screen when the question comes.
        if let Some(text) = self.roster {
            let path = shown(&self.home.roster());
            let before = if let Present::Replaced(before) = self.present { before } else { "" };
            writeln!(f, "{}  {path}", if before.is_empty() { "new    " } else { "changed" })?;
            f.write_str(&diff::lines(before, text))?;
        }
        if let Some(text) = self.budget {
            writeln!(f, "new      {}", shown(&self.home.budget()))?;
            f.write_str(&diff::lines("", text))?;
        }
        Ok(())
    }
}

impl Change<'_> {
    fn is_nothing(&self) -> bool {
        let same = match (self.roster, self.present) {
            (None, _) => true,
            (Some(text), Present::Replaced(before)) => text == before,
            (Some(_), _) => false,
        };
        same && !self.seeds.is_due() && !self.seeds.unfinished
    }

    fn write(&self) -> Outcome {
        let done = seed::apply(self.seeds, self.home).map_err(|error| failed(&error))?;
        if let Some(backup) = done.backup {
            output::note(&format!("what was replaced is kept in {}", shown(&backup)));
        }
        let Some(text) = self.roster else { return Ok(()) };
        let path = self.home.roster();
        let failed = |path: &Path, error: std::io::Error| {
            Failure::new(Code::Failure, format!("{} cannot be written: {error}", shown(path)))
                .next("the directory must be writable, with room on its disk; then run it again")
        };
        let wrote = |error| failed(&path, error);
        if let Some(text) = self.budget {
            let path = self.home.budget();
            match put_new(&path, text.as_bytes(), 0o600) {
                // What another command wrote meanwhile stays.
                Err(error) if error.kind() != std::io::ErrorKind::AlreadyExists => {
                    return Err(failed(&path, error));
                }
                _ => {}
            }
        }
        if let Present::Replaced(before) = self.present {
            let kept = free(&path);
            put(&kept, before.as_bytes(), 0o600).map_err(wrote)?;
            output::note(&format!("the roster before is kept as {}", shown(&kept)));
        }
        if matches!(self.present, Present::Replaced(_)) {
            return put(&path, text.as_bytes(), 0o600).map_err(wrote);
        }
        put_new(&path, text.as_bytes(), 0o600).map_err(|error| match error.kind() {
            // Another command was faster: what it wrote is not replaced unasked.
            std::io::ErrorKind::AlreadyExists => {
                let message = format!("{} was written by somebody else meanwhile, and stays", shown(&path));
                Failure::new(Code::Refused, message).next("look at it, and run this again")
            }
            _ => wrote(error),
        })
    }
}

/// `roster.yaml.bak`, or the first of its like that is free.
fn free(path: &Path) -> PathBuf {
    let first = std::iter::once(beside(path, ".bak"));
    let mut all = first.chain((2..).map(|number| beside(path, &format!(".bak{number}"))));
    all.find(|path| std::fs::symlink_metadata(path).is_err()).unwrap_or_else(|| beside(path, ".bak"))
}

fn failed(error: &seed::SeedError) -> Failure {
    Failure::of(Code::Failure, error)
        .next("nothing of yours was changed; the directory must be writable, with room on its disk")
}

fn next_steps(home: &Home) -> Outcome {
    output::data(&format!(
        "\nYour roster: {}\n\
         Log each runtime in once by hand, if you have not yet; then:\n  \
         fleet install    systemd units: the fleet comes back after a boot\n  \
         fleet up         everything now; also where there is no systemd\n  \
         fleet doctor     what this machine lacks\n",
        shown(&home.roster())
    ))
}
