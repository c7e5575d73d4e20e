//! A row of figures as a row of bars, and a bar for work under way.

use std::io::{IsTerminal as _, Write as _};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

const BARS: [char; 8] = ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];

/// One character each, by their share of the largest; nothing is a dot.
pub fn sparkline(figures: &[u64]) -> String {
    let most = figures.iter().copied().max().unwrap_or(0).max(1);
    let bar = |figure: &u64| match figure {
        0 => '·',
        figure => {
            let eighth = (u128::from(*figure) * BARS.len() as u128).div_ceil(u128::from(most));
            BARS[usize::try_from(eighth).unwrap_or(BARS.len()).clamp(1, BARS.len()) - 1]
        }
    };
    figures.iter().map(bar).collect()
}

/// How far a long scan is, on a terminal's stderr; nothing for a short one, nothing in a pipe.
pub struct Progress {
    begun: Instant,
    /// Milliseconds after `begun` of the last drawing; 0 is none.
    drawn: AtomicU64,
    shows: bool,
}

impl Progress {
    const PATIENCE: Duration = Duration::from_millis(300);
    const EVERY: u64 = 100;
    const WIDTH: usize = 30;

    pub fn on_stderr() -> Self {
        let dumb = std::env::var_os("TERM").is_some_and(|term| term == "dumb");
        Self {
            begun: Instant::now(),
            drawn: AtomicU64::new(0),
            shows: std::io::stderr().is_terminal() && !dumb,
        }
    }

    /// Called by several threads; one of them draws.
    pub fn at(&self, done: usize, of: usize) {
        let elapsed = self.begun.elapsed();
        if !self.shows || elapsed < Self::PATIENCE {
            return;
        }
        let now = u64::try_from(elapsed.as_millis()).unwrap_or(u64::MAX);
        let last = self.drawn.load(Ordering::Relaxed);
        let due = last == 0 || now >= last.saturating_add(Self::EVERY);
        if due && self.drawn.compare_exchange(last, now, Ordering::Relaxed, Ordering::Relaxed).is_ok() {
            let _ = write!(std::io::stderr(), "\r{}", bar(done, of, Self::WIDTH));
        }
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        if self.drawn.load(Ordering::Relaxed) > 0 {
            let _ = write!(std::io::stderr(), "\r\u{1b}[K");
        }
    }
}

fn bar(done: usize, of: usize, width: usize) -> String {
    let full = (done.min(of) * width).checked_div(of).unwrap_or(0);
    format!("{}{} {done} of {of} files", "█".repeat(full), "░".repeat(width - full))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn the_largest_is_a_whole_bar_and_nothing_is_a_dot() {
        assert_eq!(sparkline(&[0, 1, 4, 8]), "·▁▄█");
        assert_eq!(sparkline(&[u64::MAX, 1]), "█▁");
        assert_eq!(sparkline(&[]), "");
    }

    #[test]
    fn a_bar_is_as_long_as_what_is_done() {
        assert_eq!(bar(5, 10, 4), "██░░ 5 of 10 files");
        assert_eq!(bar(0, 0, 4), "░░░░ 0 of 0 files");
    }

    proptest! {
        #[test]
        fn each_figure_has_one_character(figures in proptest::collection::vec(any::<u64>(), 0..40)) {
            prop_assert_eq!(sparkline(&figures).chars().count(), figures.len());
        }
    }
}
