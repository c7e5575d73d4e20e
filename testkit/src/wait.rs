//! Waiting for something that can be observed. No other module of the tests sleeps: a test that needs time to
//! pass names the condition that the time was for.

use std::fmt;
use std::time::{Duration, Instant};

/// What one look at the world gave: the awaited value, or what was there instead.
pub trait Probe {
    type Value;
    /// # Errors
    /// What was seen instead of the awaited value, for the message.
    fn settle(self) -> Result<Self::Value, String>;
}

impl<T> Probe for Option<T> {
    type Value = T;
    fn settle(self) -> Result<T, String> {
        self.ok_or_else(|| "nothing".to_owned())
    }
}

impl Probe for bool {
    type Value = ();
    fn settle(self) -> Result<(), String> {
        if self { Ok(()) } else { Err("not so".to_owned()) }
    }
}

impl<T, E: fmt::Display> Probe for Result<T, E> {
    type Value = T;
    fn settle(self) -> Result<T, String> {
        self.map_err(|seen| format!("{seen:#}"))
    }
}

/// Looks until `probe` gives a value: a `Some`, a `true` or an `Ok`; an `Err` says what was seen instead.
///
/// # Errors
/// When `timeout` is over: what was waited for and what was seen last. The probe is always asked once more at
/// the end, so a starved machine does not fail a condition that holds.
pub fn wait_until<P: Probe>(
    timeout: Duration,
    what: impl fmt::Display,
    mut probe: impl FnMut() -> P,
) -> Result<P::Value, TimedOut> {
    let began = Instant::now();
    let mut pause = Duration::from_millis(2);
    loop {
        let over = began.elapsed() >= timeout;
        match probe().settle() {
            Ok(value) => return Ok(value),
            Err(seen) if over => return Err(TimedOut { what: what.to_string(), seen, timeout }),
            Err(_) => std::thread::park_timeout(pause),
        }
        pause = (pause * 2).min(Duration::from_millis(30));
    }
}

#[derive(Debug)]
pub struct TimedOut {
    pub what: String,
    pub seen: String,
    pub timeout: Duration,
}

impl fmt::Display for TimedOut {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "waited {:?} for {}; seen last: {}", self.timeout, self.what, self.seen)
    }
}

impl std::error::Error for TimedOut {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_error_names_the_wait_and_the_last_look() {
        let mut looks = 0;
        let error = wait_until(Duration::from_millis(5), "the third look", || {
            looks += 1;
            Err::<(), _>(format!("look {looks}"))
        })
        .unwrap_err()
        .to_string();
        assert!(error.contains("for the third look; seen last: look "), "{error}");
        assert!(looks >= 2, "asked again at the end");
    }

    #[test]
    fn a_value_ends_the_wait() {
        let mut left = 3;
        let got = wait_until(Duration::from_secs(10), "zero", || {
            left -= 1;
            (left == 0).then_some("there")
        });
        assert_eq!(got.unwrap(), "there");
    }
}
