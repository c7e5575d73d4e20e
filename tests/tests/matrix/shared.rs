//! The lanes that differ between the runtimes in nothing but what is read on their screens.

use anyhow::Result;
use fleet_testkit::real::{Retries, Setup, Under};
use fleet_testkit::stub::ModelStub;
use nix::sys::signal::Signal;

use crate::lane::{Lane, available, dead, frozen, retrying, stuck, working};
use crate::world::{Cell, World};

/// What the line of a cell holds, for one runtime; empty where none is told.
pub(crate) struct Reads {
    pub(crate) waiting: &'static str,
    pub(crate) streaming: &'static str,
    pub(crate) small: &'static str,
    /// On the screen while it asks for a permission.
    pub(crate) asks: &'static str,
    pub(crate) retrying: &'static str,
    /// So that a failure is sent again for longer than anybody looks.
    pub(crate) retries: Retries,
}

impl Reads {
    pub(crate) fn turns(&self, world: &World) -> Result<Vec<Cell>> {
        let mut lane = Lane::launch(world, "turns", &Setup::default())?;
        lane.expect("idle", &available())?;
        lane.draft()?;
        lane.prompt("WAIT90")?;
        lane.expect("before the first token", &working(self.waiting))?;
        lane.session.interrupt()?;
        lane.expect("interrupted before the first token", &available())?;
        lane.prompt("SLOW90")?;
        lane.session.wait_for_screen("some of the answer", |screen| screen.contains("slow-word-3"))?;
        lane.expect("text streams", &working(self.streaming))?;
        lane.session.interrupt()?;
        lane.expect("interrupted", &available())?;
        lane.end()
    }

    /// Its model quotes every prompt there is, with escape sequences: words are no prompt.
    pub(crate) fn quotes(&self, world: &World) -> Result<Vec<Cell>> {
        let mut lane = Lane::launch(world, "quotes", &Setup::default())?;
        lane.prompt("QUOTE")?;
        lane.session
            .wait_for_screen("the end of the quotes", |screen| screen.contains("That is all of it"))?;
        lane.expect("prompts quoted", &available())?;
        lane.prompt("WAIT90")?;
        lane.expect("at work below the quotes", &working(self.waiting))?;
        lane.session.interrupt()?;
        lane.expect("interrupted below the quotes", &available())?;
        lane.end()
    }

    pub(crate) fn small(&self, world: &World) -> Result<Vec<Cell>> {
        let setup = Setup { under: Under::Shell, retries: self.retries, ..Setup::default() };
        let mut lane = Lane::launch(world, "small", &setup)?;
        lane.session.resize(40, 10)?;
        lane.expect("idle at 40x10", &available())?;
        lane.prompt("SLOW90")?;
        lane.expect("working at 40x10", &working(self.small))?;
        lane.session.interrupt()?;
        lane.expect("interrupted at 40x10", &available())?;
        lane.prompt("TOOL")?;
        lane.expect("a permission at 40x10", &stuck("stuck/permission", ""))?;
        lane.session.resize(120, 40)?;
        lane.answer("Escape", self.asks)?;
        lane.expect("a permission denied", &available())?;
        lane.settles()?;
        lane.prompt("ERR500")?;
        lane.expect("retrying", &retrying(self.retrying))?;
        lane.session.kill()?;
        lane.expect("killed", &dead(Some("dead/exited")))?;
        lane.end()
    }

    pub(crate) fn cut(&self, world: &World) -> Result<Vec<Cell>> {
        let stub = ModelStub::start()?;
        let setup = Setup { retries: self.retries, under: Under::Script, ..Setup::default() };
        let mut lane = Lane::launch_with(world, "cut", &stub, &setup)?;
        lane.expect("idle before it is stopped", &available())?;
        lane.session.signal(Signal::SIGSTOP);
        lane.expect("stopped", &frozen())?;
        lane.session.signal(Signal::SIGCONT);
        lane.expect("continued", &available())?;
        lane.prompt("SLOW90")?;
        lane.session.wait_for_screen("some of the answer", |screen| screen.contains("slow-word-3"))?;
        lane.cut(&stub)?;
        lane.expect("its network cut", &retrying(self.retrying))?;
        lane.session.kill()?;
        lane.expect("killed with its pane", &dead(None))?;
        lane.end()
    }
}
