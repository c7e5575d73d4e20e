//! A collector that went away is asked again: it may only have been restarted.

use std::time::Duration;

use tokio::time::sleep;

use super::ClientError;

const FIRST: Duration = Duration::from_millis(100);
const LONGEST: Duration = Duration::from_secs(1);

/// How long it is left alone before it is asked again; longer each time.
#[derive(Debug)]
pub struct Pause(Duration);

impl Default for Pause {
    fn default() -> Self {
        Self(FIRST)
    }
}

impl Pause {
    pub async fn over(&mut self) {
        sleep(self.0).await;
        self.0 = (self.0 * 2).min(LONGEST);
    }
}

/// Asks until there is an answer.
///
/// # Errors
/// When it is there and refuses: it would do so again.
pub async fn again<T>(mut ask: impl AsyncFnMut() -> Result<T, ClientError>) -> Result<T, ClientError> {
    let mut pause = Pause::default();
    loop {
        match ask().await {
            Err(ClientError::Absent(_) | ClientError::Broken { .. }) => pause.over().await,
            answer => return answer,
        }
    }
}
