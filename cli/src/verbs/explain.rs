//! `fleet explain`: why an agent is what it is, and what will change that.

use fleet_domain::fleet::{AgentView, Unresolved, resolve};

use super::ps::{note_line, scene};
use super::screen;
use crate::app::Global;
use crate::client::{Address, Client};
use crate::complete;
use crate::error::{Code, Failure, Outcome};
use crate::output::{self, Screen};
use crate::render::explain;
use crate::source::{self, Origin, Snapshot};

const EXAMPLES: &str = "\
Examples:
  fleet explain coder0         verdict, evidence, signals, drift, what comes next
  fleet explain cod            as much of the name as no other agent shares
  fleet explain coder0 --json
  fleet explain --screen shot.txt --runtime claude    what a captured screen shows, and by which rule
  fleet explain --dir shots --labels labels.tsv       how right the rules are on a corpus";

/// Explain one agent: its verdict, every signal, and what changes next
#[derive(Debug, clap::Args)]
#[command(before_help = EXAMPLES)]
pub struct Args {
    /// Name as `fleet ps` shows it, or an unambiguous beginning of it
    #[arg(add = complete::agents(), required_unless_present_any = ["screen", "dir"])]
    agent: Option<String>,
    #[command(flatten)]
    offline: screen::Offline,
    /// One JSON object
    #[arg(long)]
    pub json: bool,
}

pub async fn run(args: Args, global: &Global) -> Outcome {
    if args.offline.is_asked() {
        return screen::run(&args.offline, args.json);
    }
    let word = args.agent.unwrap_or_default();
    let at = global.address()?;
    let snapshot = source::gather(&at).await?;
    if let Some(notice) = snapshot.origin.notice() {
        output::note(&notice);
    }
    let row = find(&word, &snapshot)?;
    for note in snapshot.hosts.iter().filter(|note| note.host == row.key.host.as_str()) {
        output::note(&note_line(note));
    }
    let detailed = detail(&at, &snapshot, row).await;
    let agent = detailed.as_ref().unwrap_or(row);
    let mut scene = scene(&snapshot, Screen::detect());
    if args.json {
        if !snapshot.origin.is_direct() {
            scene.funds = source::funds(&at).await;
        }
        return output::json(&explain::json(agent, &scene, snapshot.origin.as_str()), true);
    }
    output::data(&explain::text(agent, &scene))
}

/// The row with its signals; a collector gives those only of one agent.
async fn detail(at: &Address, snapshot: &Snapshot, row: &AgentView) -> Option<AgentView> {
    if snapshot.origin != Origin::Collector {
        return None;
    }
    let mut client = Client::connect(at).await.ok()?;
    let answer = client.get(&row.name, source::today()).await.ok()??;
    (answer.key == row.key).then_some(answer)
}

pub fn find<'s>(word: &str, snapshot: &'s Snapshot) -> Result<&'s AgentView, Failure> {
    let named: Vec<(&AgentView, String)> =
        snapshot.agents.iter().map(|agent| (agent, agent.name.clone())).collect();
    resolve(word, &named).copied().map_err(|unresolved| unresolved_failure(word, unresolved))
}

/// No agent, or too many, under this name.
pub fn unresolved_failure(word: &str, unresolved: Unresolved) -> Failure {
    let word = crate::render::words::safe(word).into_owned();
    match unresolved {
        Unresolved::Unknown { nearest } => {
            let failure = Failure::new(Code::NoSuch, format!("no agent is named {word}, and none begins so"));
            match nearest {
                Some(nearest) => failure.next(format!("did you mean {nearest}? fleet ps lists all")),
                None => failure.next("fleet ps lists all"),
            }
        }
        Unresolved::Ambiguous { candidates, count } => {
            let more = if count > candidates.len() { ", …" } else { "" };
            let message = format!("{count} agents are meant by {word}: {}{more}", candidates.join(", "));
            Failure::new(Code::NoSuch, message).next("write more of the name")
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::render::samples;

    fn snapshot() -> Snapshot {
        Snapshot {
            agents: samples::fleet(),
            hosts: Vec::new(),
            heard: 1,
            origin: Origin::Collector,
            at: samples::now(),
            funds: Default::default(),
        }
    }

    #[test]
    fn a_name_is_found_by_a_beginning_that_no_other_shares() {
        assert_eq!(find("rev", &snapshot()).unwrap().name, "reviewer0");
        assert_eq!(find("coder1", &snapshot()).unwrap().name, "coder1");
    }

    #[test]
    fn an_ambiguous_one_lists_the_candidates_and_an_unknown_one_the_nearest() {
        let ambiguous = find("coder", &snapshot()).unwrap_err();
        assert_eq!(ambiguous.code, Code::NoSuch);
        assert!(ambiguous.message.ends_with("coder0, coder1, coder2"), "{ambiguous}");
        let unknown = find("enhansser", &snapshot()).unwrap_err();
        assert_eq!(unknown.code, Code::NoSuch);
        assert!(unknown.next.unwrap().contains("enhancer"));
    }
}
