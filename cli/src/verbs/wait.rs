//! `fleet wait`: until agents are in a state.

use std::time::Duration;

use fleet_domain::fleet::AgentView;
use fleet_domain::ids::AgentKey;
use fleet_domain::readiness::{State, StuckKind};

use super::events::duration;
use super::explain::find;
use crate::app::Global;
use crate::client::{Client, ClientError, Update, again};
use crate::error::{Code, Failure, Outcome};
use crate::output;
use crate::render::words::safe;
use crate::{complete, source};

const EXAMPLES: &str = "\
Examples:
  fleet wait coder0 --for state=available --timeout 60s
  fleet wait coder0 coder1 --for state=available,stuck      until each needs something
  fleet wait coder0 --for kind=permission && notify-send 'coder0 waits for a yes'";

/// Wait until agents are in a state; exit 0 then, 124 when the time is over
#[derive(Debug, clap::Args)]
#[command(before_help = EXAMPLES)]
pub struct Args {
    /// Names as `fleet ps` shows them, or unambiguous beginnings; all of them must get there
    #[arg(required = true, value_name = "AGENT", add = complete::agents())]
    agents: Vec<String>,
    /// What to wait for: `state=` or `kind=` with one or more values, such as state=available,stuck
    #[arg(long = "for", value_name = "WHAT", value_parser = wanted)]
    wanted: Wanted,
    /// How long at most, such as 30s or 2h; for ever where not given
    #[arg(long, value_name = "TIME", value_parser = time)]
    timeout: Option<Duration>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Wanted {
    State(Vec<State>),
    Kind(Vec<StuckKind>),
}

impl Wanted {
    fn is(&self, agent: &AgentView) -> bool {
        match self {
            Self::State(states) => states.contains(&agent.state),
            Self::Kind(kinds) => agent.kind.is_some_and(|kind| kinds.contains(&kind)),
        }
    }
}

fn wanted(text: &str) -> Result<Wanted, String> {
    let (what, values) = text.split_once('=').unwrap_or(("state", text));
    let unknown =
        |known: &[&str], value: &str| format!("`{value}` is not known; known are {}", known.join(", "));
    match what {
        "state" => {
            let names = State::ALL.map(State::as_str);
            let read = values.split(',').map(|word| State::parse(word).ok_or_else(|| unknown(&names, word)));
            read.collect::<Result<_, _>>().map(Wanted::State)
        }
        "kind" => {
            let names = StuckKind::ALL.map(StuckKind::as_str);
            let read =
                values.split(',').map(|word| StuckKind::parse(word).ok_or_else(|| unknown(&names, word)));
            read.collect::<Result<_, _>>().map(Wanted::Kind)
        }
        _ => Err("write state=… or kind=…".to_owned()),
    }
}

/// A length of time as an argument.
pub(super) fn time(text: &str) -> Result<Duration, String> {
    duration(text).ok_or_else(|| "write 45s, 10m or 2h30m".to_owned())
}

pub async fn run(args: Args, global: &Global) -> Outcome {
    let waiting = until_all(&args, global);
    match args.timeout {
        None => waiting.await,
        Some(limit) => tokio::time::timeout(limit, waiting).await.unwrap_or_else(|_| {
            let failure = Failure::new(Code::TimedOut, "not so in time");
            Err(failure.next(format!("fleet explain {}", args.agents.join(" or "))))
        }),
    }
}

async fn until_all(args: &Args, global: &Global) -> Outcome {
    let at = global.address()?;
    let failed = ClientError::into_failure;
    let subscribe = async || Client::connect(&at).await?.watch(source::today()).await;
    let mut watch = subscribe().await.map_err(failed)?;
    // The first message has everybody, so that a name is resolved against what is there now.
    let mut open: Option<Vec<AgentKey>> = None;
    loop {
        let update = match watch.next().await {
            Ok(update) => update,
            Err(why) => {
                output::note(&format!("{why}; waiting until it is back"));
                watch = again(subscribe).await.map_err(failed)?;
                continue;
            }
        };
        let seen = match update {
            Update::Snapshot(listing) => {
                let snapshot = source::from_listing(listing);
                if open.is_none() {
                    let found =
                        args.agents.iter().map(|word| find(word, &snapshot).map(|agent| agent.key.clone()));
                    open = Some(found.collect::<Result<_, _>>()?);
                }
                snapshot.agents
            }
            Update::Changed(agent) => vec![*agent],
            Update::Removed(key) => {
                if open.as_ref().is_some_and(|open| open.contains(&key)) {
                    return Err(gone(&key));
                }
                continue;
            }
        };
        let Some(open) = &mut open else { continue };
        for agent in seen.iter().filter(|agent| args.wanted.is(agent)) {
            if open.contains(&agent.key) {
                open.retain(|key| *key != agent.key);
                output::note(&format!(
                    "{} is {}: {}",
                    safe(&agent.name),
                    agent.state.as_str(),
                    safe(&agent.reason)
                ));
            }
        }
        if open.is_empty() {
            return Ok(());
        }
    }
}

fn gone(key: &AgentKey) -> Failure {
    Failure::new(Code::NotSo, format!("{} is gone and no longer known", safe(&key.session)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::render::samples;

    #[test]
    fn what_is_waited_for_is_a_state_or_a_kind() {
        assert_eq!(wanted("state=available"), Ok(Wanted::State(vec![State::Available])));
        assert_eq!(wanted("stuck,dead"), Ok(Wanted::State(vec![State::Stuck, State::Dead])));
        assert_eq!(wanted("kind=permission"), Ok(Wanted::Kind(vec![StuckKind::Permission])));
        assert!(wanted("state=idle").unwrap_err().contains("known are dead, stuck"));
        assert!(wanted("kind=").is_err());
        assert!(wanted("mood=good").is_err());
    }

    #[test]
    fn a_kind_is_only_that_of_who_is_stuck() {
        let agent = samples::agent("coder0", State::Working, 1);
        assert!(!wanted("kind=permission").unwrap().is(&agent));
        assert!(wanted("working,stuck").unwrap().is(&agent));
    }
}
