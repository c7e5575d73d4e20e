//! A process's end as an event: a pidfd becomes readable within microseconds of it.

use std::os::fd::OwnedFd;

use rustix::process::{Pid, PidfdFlags, Signal};
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

/// Watches one process; a process that has ended already is told at once.
#[derive(Debug)]
pub struct Pidfd(AsyncFd<OwnedFd>);

impl Pidfd {
    /// `None` where the process is gone, or the kernel has no pidfd.
    pub fn open(pid: u32) -> Option<Self> {
        let pid = Pid::from_raw(i32::try_from(pid).ok()?)?;
        let fd = rustix::process::pidfd_open(pid, PidfdFlags::NONBLOCK).ok()?;
        #[expect(unsafe_code, reason = "registration is unsafe by its signature")]
        // SAFETY: the OwnedFd is open, and it moves into the AsyncFd, which keeps it until both are dropped.
        let fd = unsafe { AsyncFd::register_with_interest(fd, Interest::READABLE) };
        fd.ok().map(Self)
    }

    /// Asks the process to end; one that has ended already is left in peace.
    pub fn terminate(&self) {
        self.send(Signal::TERM);
    }

    /// Ends the process.
    pub fn kill(&self) {
        self.send(Signal::KILL);
    }

    /// To this very process, whoever has its number by now.
    fn send(&self, signal: Signal) {
        // Gone, or another user's by now: either way there is nothing more to do.
        let _ = rustix::process::pidfd_send_signal(self.0.get_ref(), signal);
    }

    /// Returns when the process has ended.
    pub async fn ended(&self) {
        // An error of the reactor means that nothing will ever come: the caller looks for itself then.
        let _ = self.0.readable().await;
    }
}
