//! `fleet agent send`: a message to an agent, with a receipt.

use std::io::{IsTerminal as _, Read as _};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use fleet_adapters::identity;
use fleet_adapters::post::{Order, PostError, post};
use fleet_adapters::tmux::Server;
use fleet_domain::budget::amount::parse_tokens;
use fleet_domain::budget::decision::Ask;
use fleet_domain::fleet::AgentView;
use fleet_domain::message::gate::Trouble;
use fleet_domain::message::{Body, Class, Label, MAX_BODY, Message};
use fleet_domain::readiness::State;
use fleet_framework::Home;

use super::receipt::Receipt;
use super::whom::{Whom, whom, writer};
use crate::app::Global;
use crate::client::{Client, ClientError, Detail, Money};
use crate::error::{Code, Failure, Outcome};
use crate::lifecycle;
use crate::verbs::holder::read_roster;
use crate::verbs::task;
use crate::verbs::wait::time;
use crate::{complete, rules, source};

const EXAMPLES: &str = "\
Examples:
  fleet agent send coder0 -m 'Please review branch parse-dates.'
  fleet agent send coder0 -f findings.md --verify    a long text; wait until a turn begins with it
  git diff | fleet agent send box:reviewer --class actionable
  fleet agent send coder0 -m 'noted' --class terminal-log --json
  fleet agent send coder0 -f job-7.md --task job-7     and the budget has it under way";

const AFTER: &str = "\
The text arrives as `[FROM -> TO] text`, both as host:session. It is pasted whole and submitted
by Enter, never through a shell, and only where the agent's process, its own word and its screen
say that its prompt box is free. At a prompt, a dialog, a menu, in copy mode, or where somebody's
unsent text stands in the box, nothing is typed; --force does not change that. Messages to one
agent never mix.

Receipt, exit code:
  accepted 0   the agent's transcript has the turn
  queued 0     the agent is at work, and takes the message after that
  delivered 0  its screen shows it submitted; its runtime keeps no record that says so
  draft 3      it was pasted and not taken, or something came in between
  unknown 1    Enter was pressed, and nobody can tell what became of it; never sent again by itself
  refused 5    nothing was sent: paused, stuck or limited (--force), a prompt, a draft
  No such agent is 4; --verify that saw no turn in time is 124.";

/// Send an agent a message, and say what became of it
#[derive(Debug, clap::Args)]
#[command(before_help = EXAMPLES, after_long_help = AFTER)]
pub(super) struct Args {
    /// Its name, or as much of it as no other shares; or host:session
    #[arg(value_name = "AGENT", add = complete::agents())]
    to: String,
    /// The text
    #[arg(short, long, value_name = "TEXT", allow_hyphen_values = true, conflicts_with = "file")]
    message: Option<String>,
    /// Read the text from a file, `-` is standard input [default: standard input]
    #[arg(short, long, value_name = "FILE")]
    file: Option<PathBuf>,
    /// What it wants of its reader: terminal-log (for the record), actionable, human (a person wrote it), reaction
    #[arg(long, value_name = "CLASS", value_parser = class)]
    class: Option<Class>,
    /// Who writes, as host:session [default: the agent whose pane this is, else operator:fleet-cli]
    #[arg(long, value_name = "WHO", value_parser = label)]
    source: Option<Label>,
    /// Wait until a turn has begun with it
    #[arg(long)]
    verify: bool,
    /// Send although the agent is stuck or limited; never at a prompt
    #[arg(long)]
    force: bool,
    /// How long at most, such as 30s or 2m
    #[arg(long, value_name = "TIME", value_parser = time, default_value = "30s")]
    timeout: Duration,
    /// Start this task in the budget when the agent has the message; where the budget has no room for it now, nothing is
    /// sent
    #[arg(long, value_name = "TASK")]
    task: Option<String>,
    /// Tokens that the task needs, such as 120k [default: what such tasks needed]
    #[arg(long, value_parser = parse_tokens, requires = "task")]
    estimate: Option<u64>,
    /// What the task is: implementer, reviewer, …
    #[arg(long, value_name = "CLASS", requires = "task")]
    task_class: Option<String>,
    /// The receipt as one JSON object
    #[arg(long)]
    pub(super) json: bool,
}

fn class(word: &str) -> Result<Class, String> {
    let known = Class::ALL.map(Class::as_str).join(", ");
    Class::parse(word).ok_or_else(|| format!("`{word}` is not known; known are {known}"))
}

fn label(word: &str) -> Result<Label, String> {
    Label::parse(word).map_err(|error| error.to_string())
}

pub(super) async fn run(args: Args, global: &Global) -> Outcome {
    let began = Instant::now();
    let body = body(&args)?;
    let home = lifecycle::home()?;
    let (roster, here) = (read_roster(&home)?, identity::host());
    let to = whom(&args.to, roster.as_ref(), &here).await?;
    let from = match &args.source {
        Some(label) => label.clone(),
        None => writer(roster.as_ref(), &here).await,
    };
    let message = Message { from, to: Label::of(here.as_str(), &to.session), class: args.class, body };
    let server = Server::new(to.socket.clone());
    let order = Order {
        server: &server,
        session: &to.session,
        message: &message,
        known: known(&to, global).await,
        pause: &home.pause(),
        locks: &locks(&home),
        force: args.force,
        verify: args.verify,
        limit: args.timeout,
    };
    let book = rules::book()?;
    let mut money = match &args.task {
        Some(task) => Some(admitted(task, &args, &to, global).await?),
        None => None,
    };
    let posted = post(&order, &book).await.map_err(|error| failed(&error))?;
    let mut receipt = Receipt::of(&message, &posted, began.elapsed());
    let mut started = Ok(());
    // What was refused is no task under way; the place that it was given is given back by itself.
    if let (Some(money), Some(task), true) = (&mut money, &args.task, posted.arrived()) {
        started = money.start(task, &to.session).await.map(|task| receipt.started(&task));
    }
    receipt.tell(&posted, args.json)?;
    started.map_err(|failure| Failure {
        message: format!("the message arrived, and its task was not started: {}", failure.message),
        ..failure
    })
}

/// The collector's budget, in which the task has a place now.
async fn admitted(task: &str, args: &Args, to: &Whom, global: &Global) -> Result<Money, Failure> {
    let mut money = Client::connect(&global.address()?).await.map_err(ClientError::into_failure)?.money();
    let ask = Ask {
        agent: to.session.clone(),
        class: args.task_class.clone().unwrap_or_default(),
        estimate: args.estimate,
        task: task.to_owned(),
        ..Ask::default()
    };
    task::admit(&mut money, &ask, args.json).await?;
    Ok(money)
}

fn locks(home: &Home) -> PathBuf {
    home.runtime.join("send")
}

fn failed(error: &PostError) -> Failure {
    Failure::of(Code::Failure, error)
        .next("nothing was sent; fleet doctor looks at tmux and the runtime directory")
}

/// What the collector says is the matter with the agent: it hears hooks, and sees for longer. Without one, or where it
/// does not know the agent, the look at the pane decides alone.
async fn known(to: &Whom, global: &Global) -> Option<Trouble> {
    let at = global.address().ok()?;
    let listing = Client::connect(&at).await.ok()?.list(source::today(), Detail::Basic).await.ok()?;
    let here = identity::host();
    let is_meant = |agent: &&AgentView| {
        agent.key.host == here && agent.key.socket == to.socket && agent.key.session == to.session
    };
    let agent = listing.agents.iter().find(is_meant)?;
    let kind = agent.kind.filter(|_| agent.state == State::Stuck)?;
    Some(Trouble { kind, line: agent.reason.clone() })
}

fn body(args: &Args) -> Result<Body, Failure> {
    let text = match (&args.message, &args.file) {
        (Some(text), _) => text.clone(),
        (None, Some(file)) if file != Path::new("-") => {
            let told = |error| Failure::new(Code::Usage, format!("{}: {error}", file.display()));
            read(std::fs::File::open(file).map_err(told)?, &file.display().to_string())?
        }
        (None, None) if std::io::stdin().is_terminal() => {
            return Err(Failure::new(Code::Usage, "what is to be said?").next("-m TEXT, -f FILE, or a pipe"));
        }
        (None, _) => read(std::io::stdin().lock(), "standard input")?,
    };
    Body::parse(&text).map_err(|error| {
        Failure::new(Code::Usage, error.to_string())
            .next("nothing was sent; a long text is better named by its file")
    })
}

/// No more than a message can have, and a byte to tell that there is more.
fn read(from: impl std::io::Read, name: &str) -> Result<String, Failure> {
    let told = |what: String| Failure::new(Code::Usage, format!("{name}: {what}"));
    let mut bytes = Vec::new();
    let limit = u64::try_from(MAX_BODY).unwrap_or(u64::MAX).saturating_mul(2);
    from.take(limit).read_to_end(&mut bytes).map_err(|error| told(error.to_string()))?;
    String::from_utf8(bytes).map_err(|error| {
        told(format!("it is no UTF-8 text, from byte {} on", error.utf8_error().valid_up_to()))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_text_is_told_with_its_place() {
        let failure = read(&b"ab\xff"[..], "x.md").unwrap_err();
        assert_eq!(failure.code, Code::Usage);
        assert!(failure.message.contains("x.md: it is no UTF-8 text, from byte 2 on"), "{failure}");
        assert_eq!(read(&b"plain"[..], "x").unwrap(), "plain");
    }

    #[test]
    fn an_unknown_class_is_answered_with_the_known_ones() {
        assert!(class("loud").unwrap_err().contains("known are terminal-log, actionable, human, reaction"));
        assert_eq!(class("human"), Ok(Class::Human));
    }
}
