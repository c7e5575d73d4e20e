//! Which conversation an agent is in, left where its next launch looks.

use fleet_adapters::procfs;
use fleet_adapters::runtimes::{self, usage::Trace};
use fleet_adapters::session_file::{self, Session};
use fleet_framework::Home;

use super::agent::Watched;

impl Watched {
    /// Writes the conversation down where it is another one than before; whoever writes the heartbeat calls it.
    pub(super) fn remember(&mut self, home: &Home) {
        let Some(session) = self.moved_on() else { return };
        let path = home.session(&self.id.1);
        // A sidecar that starts anew finds what is there already.
        if session_file::read(&path).as_ref() != Some(&session)
            && let Err(error) = session_file::write(&path, &session)
        {
            tracing::warn!("{}: the conversation is not remembered: {error}", path.display());
        }
        self.session = Some(session);
    }

    fn moved_on(&self) -> Option<Session> {
        let (runtime, stat) = (self.found.runtime.as_ref()?, self.found.stat.as_ref()?);
        let traces: Vec<&Trace> = self.tracer.known().collect();
        let (id, transcript) = runtimes::session(runtime, self.reading.as_ref(), &traces)?;
        if self.session.as_ref().is_some_and(|known| known.id == id && known.transcript == transcript) {
            return None;
        }
        let directory = procfs::directory(stat.pid)?;
        Some(Session { runtime: runtime.as_str().to_owned(), id, directory, transcript })
    }
}
