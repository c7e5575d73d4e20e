//! A window's name: its length, and what it is limited to where that is not the whole account.

use std::cmp::Ordering;
use std::fmt;
use std::time::Duration;

use crate::text;

const MONTH: &str = "month";
const MAX_NAME: usize = 64;

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "{0:?} is not a window; write a length (`5h`, `7d`, `90m`, `month`), and behind a dash what it is limited to (`7d-opus`)"
)]
pub struct BadWindow(pub String);

/// `5h`, `7d`, `month`; `7d-opus` where it holds for one model or family only; `spend` where nobody tells a length.
/// Sorted by length, then by name.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct WindowName(String);

impl WindowName {
    /// A window of this length: whole days, else whole hours, else minutes. What it is limited to becomes lower case, and
    /// everything but letters, digits, `_` and `.` a dash.
    pub fn of(length: Duration, scope: Option<&str>) -> Self {
        let minutes = length.as_secs() / 60;
        let name = match minutes {
            _ if minutes > 0 && minutes.is_multiple_of(1440) => format!("{}d", minutes / 1440),
            _ if minutes > 0 && minutes.is_multiple_of(60) => format!("{}h", minutes / 60),
            _ => format!("{minutes}m"),
        };
        Self::scoped(&name, scope)
    }

    /// A calendar's month.
    pub fn month(scope: Option<&str>) -> Self {
        Self::scoped(MONTH, scope)
    }

    /// A window whose length nobody tells.
    pub fn custom(name: &str) -> Self {
        let name = plain(name);
        Self(if name.starts_with(|c: char| c.is_ascii_alphabetic()) {
            name
        } else {
            cut(&format!("window-{name}"))
        })
    }

    fn scoped(name: &str, scope: Option<&str>) -> Self {
        let scope = plain(scope.unwrap_or_default());
        Self(if scope.is_empty() { name.to_owned() } else { cut(&format!("{name}-{scope}")) })
    }

    /// As a person or a file writes it; `168h` is `7d`.
    ///
    /// # Errors
    /// When it is empty, too long, or has characters that no window's name has.
    pub fn parse(name: &str) -> Result<Self, BadWindow> {
        let bad = || BadWindow(text::clean(name, 80));
        if name.is_empty() || plain(name) != name {
            return Err(bad());
        }
        let (first, scope) = parts(name);
        if !first.starts_with(|c: char| c.is_ascii_digit()) {
            return Ok(Self(name.to_owned()));
        }
        let length = length(first).filter(|length| !length.is_zero()).ok_or_else(bad)?;
        Ok(Self::of(length, scope))
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// What the name says of the length; a month's is the calendar's.
    pub fn length(&self) -> Option<Duration> {
        length(parts(&self.0).0)
    }

    pub fn is_month(&self) -> bool {
        parts(&self.0).0 == MONTH
    }

    /// The model or family that it is limited to.
    pub fn scope(&self) -> Option<&str> {
        parts(&self.0).1
    }
}

/// The length, and what stands behind the first dash.
fn parts(name: &str) -> (&str, Option<&str>) {
    name.split_once('-').map_or((name, None), |(first, scope)| (first, Some(scope)))
}

fn length(name: &str) -> Option<Duration> {
    let unit = name.chars().last()?;
    let count: u64 = name.strip_suffix(unit)?.parse().ok()?;
    let seconds = match unit {
        'm' => 60,
        'h' => 3600,
        'd' => 86_400,
        _ => return None,
    };
    Some(Duration::from_secs(count.checked_mul(seconds)?))
}

fn cut(name: &str) -> String {
    name.get(..MAX_NAME).unwrap_or(name).trim_end_matches('-').to_owned()
}

fn plain(name: &str) -> String {
    let kept = |c: char| if c.is_ascii_alphanumeric() || matches!(c, '_' | '.') { c } else { '-' };
    let name: String = name.chars().take(MAX_NAME).map(kept).collect();
    name.trim_matches('-').to_ascii_lowercase()
}

impl Ord for WindowName {
    fn cmp(&self, other: &Self) -> Ordering {
        let key = |name: &Self| (name.length().unwrap_or(Duration::MAX), name.0.clone());
        key(self).cmp(&key(other))
    }
}

impl PartialOrd for WindowName {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl fmt::Display for WindowName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for WindowName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", self.0)
    }
}
