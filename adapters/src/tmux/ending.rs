//! Ending sessions so that nothing of them is left: a program that is told that its terminal is gone may go on without
//! one, and spin.

use std::time::Duration;

use tokio::time::{Instant, timeout_at};

use super::server::{Server, TmuxError, exact};
use crate::pidfd::Pidfd;
use crate::procfs;

/// What a program gets to end by itself: some write their conversation down.
const BY_ITSELF: Duration = Duration::from_secs(3);
/// What it gets after it was asked by name.
const ASKED: Duration = Duration::from_secs(2);

/// The programs of a session, held so that no other process can be meant later.
struct Programs(Vec<Pidfd>);

impl Programs {
    /// Of each pane its own process, and what has the terminal's foreground below it.
    fn of(panes: &[u32]) -> Self {
        let foreground = |pane: u32| {
            let tree = procfs::tree(pane);
            let group = tree.first().and_then(|stat| stat.foreground);
            tree.into_iter().filter(move |stat| stat.pid == pane || Some(stat.group) == group)
        };
        let pids = panes.iter().flat_map(|pane| foreground(*pane));
        Self(pids.filter_map(|stat| Pidfd::open(stat.pid)).collect())
    }

    /// Waits for those that end, and ends those that do not.
    async fn end(mut self) {
        self.wait(BY_ITSELF).await;
        self.0.iter().for_each(Pidfd::terminate);
        self.wait(ASKED).await;
        self.0.iter().for_each(Pidfd::kill);
    }

    async fn wait(&mut self, limit: Duration) {
        let until = Instant::now() + limit;
        let mut left = Vec::new();
        for program in self.0.drain(..) {
            if timeout_at(until, program.ended()).await.is_err() {
                left.push(program);
            }
        }
        self.0 = left;
    }
}

impl Server {
    /// Ends one session, exactly, and its programs with it; one that is not there is already ended.
    pub async fn kill_session(&self, name: &str) -> Result<(), TmuxError> {
        if !self.has_session(name).await? {
            return Ok(());
        }
        let programs = Programs::of(&self.pane_pids(&["-s", "-t", &exact(name)]).await);
        self.run("kill-session", &["kill-session", "-t", &exact(name)]).await?;
        programs.end().await;
        Ok(())
    }

    /// Ends the server with every session and their programs. Refused for the user's default one.
    pub async fn kill_server(&self) -> Result<(), TmuxError> {
        if self.socket().is_default() {
            let message = "the default server is never ended by the fleet".to_owned();
            let socket = self.socket().shown().to_owned();
            return Err(TmuxError::Failed { socket, command: "kill-server", message });
        }
        let programs = Programs::of(&self.pane_pids(&["-a"]).await);
        match self.run("kill-server", &["kill-server"]).await {
            Err(TmuxError::NoServer { .. }) | Ok(_) => {}
            Err(error) => return Err(error),
        }
        programs.end().await;
        Ok(())
    }

    /// None where the server does not tell: then there is nothing to wait for.
    async fn pane_pids(&self, which: &[&str]) -> Vec<u32> {
        if !self.path().exists() {
            return Vec::new();
        }
        let args = [&["list-panes"], which, &["-F", "#{pane_dead} #{pane_pid} #{pid}"]].concat();
        let output = self.run("list-panes", &args).await.unwrap_or_default();
        let living = |line: &str| -> Option<u32> {
            let mut words = line.split(' ');
            let (dead, pid, server): (u32, u32, u32) =
                (words.next()?.parse().ok()?, words.next()?.parse().ok()?, words.next()?.parse().ok()?);
            // The number of one that ended may be anybody's by now; a pane's own process is the server's child.
            (dead == 0 && procfs::stat(pid)?.parent == server).then_some(pid)
        };
        String::from_utf8_lossy(&output).lines().filter_map(living).collect()
    }
}
