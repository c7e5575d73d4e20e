//! One runtime's fleet: a collector, the host's sidecar, the model, and a session for each lane.

use std::fmt::Write as _;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use fleet_testkit::fleet::{Daemon, collector, fleet, sidecar, write_roster};
use fleet_testkit::home::TestHome;
use fleet_testkit::real::{Kind, RealRuntime};
use fleet_testkit::stub::ModelStub;
use fleet_testkit::tmux::PrivateTmux;
use serde_json::Value;

/// `fleet ps` is asked so often at most, however many lanes wait.
const FRESH: Duration = Duration::from_millis(250);

pub(crate) struct World {
    pub(crate) runtime: RealRuntime,
    pub(crate) stub: ModelStub,
    listed: Mutex<Option<(Instant, Value)>>,
    /// Held while a program starts: a dozen at once would all be slow.
    pub(crate) starting: Mutex<()>,
    daemons: (Daemon, Daemon),
    // Dropped last: agents end with their server, then the home goes.
    pub(crate) tmux: PrivateTmux,
    pub(crate) home: TestHome,
}

/// One state that came to be and was told right.
pub(crate) struct Cell {
    pub(crate) lane: &'static str,
    pub(crate) name: String,
    /// `stuck/permission`
    pub(crate) live: String,
    /// The line that it rests on.
    pub(crate) line: String,
    /// What was wanted of the screen alone, and what it told; nothing where it cannot tell.
    pub(crate) screen: Option<(String, String)>,
    pub(crate) took: Duration,
}

pub(crate) type Lane = (&'static str, fn(&World) -> Result<Vec<Cell>>);

/// Runs the lanes of this runtime side by side, and asks of all cells together what is asked of all. With
/// `FLEET_TEST_LANES=one,other` only those.
pub(crate) fn run(kind: Kind, lanes: &[Lane]) {
    let only = std::env::var("FLEET_TEST_LANES").unwrap_or_default();
    let wanted = |(name, _): &&Lane| only.is_empty() || only.split(',').any(|one| one == *name);
    let lanes: &[Lane] = &lanes.iter().filter(wanted).copied().collect::<Vec<_>>();
    let Some(runtime) = RealRuntime::require_or_skip(kind) else { return };
    let world = World::new(runtime, lanes).unwrap();
    let results: Vec<_> = std::thread::scope(|scope| {
        let world = &world;
        let started: Vec<_> = lanes.iter().map(|(_, lane)| scope.spawn(|| lane(world))).collect();
        started.into_iter().map(|lane| lane.join().unwrap()).collect()
    });
    let mut report = String::new();
    let (mut told, mut agreed, mut failed) = (0, 0, Vec::new());
    for ((name, _), result) in lanes.iter().zip(results) {
        match result {
            Ok(cells) => {
                for cell in &cells {
                    let alone = cell.screen.as_ref();
                    told += usize::from(alone.is_some());
                    agreed += usize::from(alone.is_some_and(|(wanted, seen)| wanted == seen));
                    writeln!(report, "{}", row(cell)).unwrap();
                }
            }
            Err(error) => failed.push(format!("{name}: {error:#}")),
        }
    }
    eprintln!("{report}{}: screen alone right in {agreed} of {told}", kind.name());
    assert!(failed.is_empty(), "{report}{}\n{}", failed.join("\n"), world.logs());
    assert!(agreed * 100 >= told * 95, "screen alone right in {agreed} of {told}\n{report}");
}

fn row(cell: &Cell) -> String {
    let screen = match &cell.screen {
        None => "-".to_owned(),
        Some((wanted, seen)) if wanted == seen => seen.clone(),
        Some((wanted, seen)) => format!("{seen} INSTEAD OF {wanted}"),
    };
    let place = format!("{}: {}", cell.lane, cell.name);
    format!("{place:<42} {:<20} {screen:<20} {:>5.1} s  {}", cell.live, cell.took.as_secs_f32(), cell.line)
}

impl World {
    fn new(runtime: RealRuntime, lanes: &[Lane]) -> Result<Self> {
        let home = TestHome::new()?;
        let tmux = PrivateTmux::named(&home, "mosaic-fleet")?;
        let kind = runtime.kind().name();
        let agents: String =
            lanes.iter().map(|(name, _)| format!("  - {{name: {name}, runtime: {kind}}}\n")).collect();
        write_roster(&home, &format!("version: 1\ntmux: {{socket_name: mosaic-fleet}}\nagents:\n{agents}"))?;
        let stub = ModelStub::start()?;
        let daemons = (collector(&home, "off")?, sidecar(&home, &["--host"])?);
        Ok(Self { runtime, stub, listed: Mutex::default(), starting: Mutex::default(), daemons, tmux, home })
    }

    /// The agent of this name as `fleet ps --json` has it, asked after `since`.
    pub(crate) fn agent(&self, name: &str, since: Instant) -> Result<Value> {
        let mut listed = self.listed.lock().unwrap_or_else(PoisonError::into_inner);
        let usable = listed.as_ref().filter(|(at, _)| *at >= since && at.elapsed() < FRESH);
        let list = match usable {
            Some((_, list)) => list.clone(),
            None => {
                let at = Instant::now();
                let list = self.json(&["ps", "--json"])?;
                *listed = Some((at, list.clone()));
                list
            }
        };
        let items = list["items"].as_array().context("no items")?;
        items
            .iter()
            .find(|item| item["name"] == name)
            .cloned()
            .with_context(|| format!("no {name} in {list}"))
    }

    pub(crate) fn json(&self, args: &[&str]) -> Result<Value> {
        fleet(&self.home, args)?.from_collector()?.json()
    }

    fn logs(&self) -> String {
        format!("collector: {}\nsidecar: {}", self.daemons.0.log(), self.daemons.1.log())
    }
}
