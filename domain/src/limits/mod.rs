//! What providers let an account use: one [`Reading`] per sighting of a window, and [`Windows`], which merges the
//! sightings of every session and host. Pure: who read them where is the edge's business, what follows from them is
//! pacing's and admission's.
//!
//! Three laws: the newest sighting wins, since a share may fall before its reset; what was not seen is unknown, never
//! zero; a window that is not told any more keeps its last value, with its age.

mod window;

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use crate::ids::AccountName;
use crate::text;
use crate::time::Wall;

pub use window::{BadWindow, WindowName};

/// Shares beyond this are nobody's: an account can be over its limit, not a thousand times.
const MAX_RATIO: f64 = 1000.0;
/// No window resets later than this after it was seen.
const MAX_AHEAD: Duration = Duration::from_secs(400 * 86_400);

/// Who pays for what an agent of this runtime and model uses: the account that the roster names, else one that is called
/// like the provider; `None` where neither is known.
pub fn account_of(rostered: Option<&str>, runtime: &str, model: Option<&str>) -> Option<AccountName> {
    let named = rostered.map(AccountName::new).filter(|name| !name.is_empty());
    named.or_else(|| provider_of(runtime, model).map(AccountName::new))
}

/// The provider by the runtime's own kind, else by the model's name (`anthropic/claude-…`, `gpt-…`).
pub fn provider_of(runtime: &str, model: Option<&str>) -> Option<&'static str> {
    match runtime {
        "claude" => return Some("anthropic"),
        "codex" => return Some("openai"),
        "gemini" => return Some("google"),
        _ => {}
    }
    let model = model?;
    let family = model.rsplit('/').next().unwrap_or(model);
    let starts = |any: &[&str]| any.iter().any(|start| family.starts_with(start));
    match () {
        () if starts(&["claude"]) => Some("anthropic"),
        () if starts(&["gpt", "o1", "o3", "o4", "codex"]) => Some("openai"),
        () if starts(&["gemini"]) => Some("google"),
        () => None,
    }
}

/// How a figure is known; the better first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Provenance {
    /// The provider said so, through its runtime.
    Provider,
    /// `fleet budget set`.
    User,
    /// Worked out from our own ledger, or a provider's word that has aged.
    Estimated,
    Unknown,
}

impl Provenance {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Provider => "provider",
            Self::User => "user",
            Self::Estimated => "estimated",
            Self::Unknown => "unknown",
        }
    }
}

impl Provenance {
    pub const ALL: [Self; 4] = [Self::Provider, Self::User, Self::Estimated, Self::Unknown];

    /// As [`Self::as_str`] says it.
    pub fn parse(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|known| known.as_str() == word)
    }
}

impl fmt::Display for Provenance {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Where a window was seen.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Source {
    /// What Claude Code hands to a statusline command.
    Statusline,
    /// A `rate_limit_event` of Claude Code's stream-json.
    RateLimitEvent,
    /// Claude Code's answer to the control request `get_usage`.
    GetUsage,
    /// The row that Claude Code's transcript has for a limit that was hit.
    LimitRow,
    /// `rate_limits` in a rollout of Codex.
    Rollout,
    /// Codex' app-server.
    AppServer,
    User,
    Ledger,
}

impl Source {
    pub const ALL: [Self; 8] = [
        Self::Statusline,
        Self::RateLimitEvent,
        Self::GetUsage,
        Self::LimitRow,
        Self::Rollout,
        Self::AppServer,
        Self::User,
        Self::Ledger,
    ];

    /// As it is kept, sent and shown.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Statusline => "statusline",
            Self::RateLimitEvent => "rate_limit_event",
            Self::GetUsage => "get_usage",
            Self::LimitRow => "limit_row",
            Self::Rollout => "rollout",
            Self::AppServer => "app_server",
            Self::User => "user",
            Self::Ledger => "ledger",
        }
    }

    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|source| source.as_str() == name)
    }

    /// It is a runtime's word, not a person's and not our own.
    pub fn is_runtimes(self) -> bool {
        self.provenance() == Provenance::Provider
    }

    pub fn provenance(self) -> Provenance {
        match self {
            Self::User => Provenance::User,
            Self::Ledger => Provenance::Estimated,
            _ => Provenance::Provider,
        }
    }
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// What a runtime tells of a window, before it is known whose account that is.
#[derive(Debug, Clone, PartialEq)]
pub struct Sighting {
    pub window: WindowName,
    /// As [`Reading::length`].
    pub length: Option<Duration>,
    /// As [`Reading::used_ratio`].
    pub used_ratio: f64,
    pub resets_at: Option<Wall>,
    pub observed_at: Wall,
    pub source: Source,
}

impl Sighting {
    /// As a reading of this account; `None` where the figures are none that a provider can mean.
    pub fn by(&self, account: &AccountName, provider: &str) -> Option<Reading> {
        let Self { window, length, used_ratio, resets_at, observed_at, source } = self.clone();
        let (account, provider) = (account.clone(), provider.to_owned());
        Reading { account, provider, window, length, used_ratio, resets_at, observed_at, source }.checked()
    }
}

/// One sighting of one window.
#[derive(Debug, Clone, PartialEq)]
pub struct Reading {
    pub account: AccountName,
    /// Whose limit it is: `anthropic`, `openai`.
    pub provider: String,
    pub window: WindowName,
    /// How long the window is; `None` where it is a calendar's or nobody said.
    pub length: Option<Duration>,
    /// The share of the limit that is used: 0 is none, 1 all of it; may be above 1.
    pub used_ratio: f64,
    pub resets_at: Option<Wall>,
    pub observed_at: Wall,
    pub source: Source,
}

impl Reading {
    /// Made harmless: `None` where the figures are none that a provider can mean, or nobody is named.
    pub fn checked(mut self) -> Option<Self> {
        let sound = self.used_ratio.is_finite() && (0.0..=MAX_RATIO).contains(&self.used_ratio);
        if !sound || self.account.is_empty() {
            return None;
        }
        self.used_ratio += 0.0; // −0 is 0.
        self.provider = text::clean(&self.provider, 64);
        self.length = self.length.filter(|length| !length.is_zero() && *length <= MAX_AHEAD);
        let latest = self.observed_at.plus(MAX_AHEAD);
        self.resets_at = self.resets_at.filter(|at| at.0 > 0 && *at <= latest);
        Some(self)
    }

    pub fn provenance(&self) -> Provenance {
        self.source.provenance()
    }

    /// The window has begun anew since, so that this says nothing of the present one.
    pub fn is_past(&self, now: Wall) -> bool {
        let whole = self.length.map(|length| self.observed_at.plus(length));
        [self.resets_at, whole].into_iter().flatten().any(|end| end <= now)
    }

    /// A provider's word holds for a twentieth of its window (a quarter of an hour to six hours), then it is an estimate.
    pub fn is_aged(&self, now: Wall) -> bool {
        let (least, most) = (Duration::from_secs(15 * 60), Duration::from_secs(6 * 3600));
        let holds = self.length.map_or(least, |length| (length / 20).clamp(least, most));
        self.observed_at.age_at(now) > holds
    }

    /// When the present window began, as far as its end and length tell.
    pub fn began_at(&self) -> Option<Wall> {
        Some(self.resets_at?.minus(self.length?))
    }

    /// A total order over sightings: newer ones last, and of one moment always the same one.
    fn rank(&self) -> impl Ord + use<> {
        let bits = self.used_ratio.to_bits(); // In the order of the shares, as none is below zero.
        (self.observed_at, bits, self.resets_at, self.length, self.source)
    }
}

/// A window as it stands at a moment.
#[derive(Debug, Clone, PartialEq)]
pub struct Standing {
    pub reading: Reading,
    /// [`Provenance::Estimated`] where a provider's word has aged, [`Provenance::Unknown`] where the window began anew
    /// since it was seen.
    pub provenance: Provenance,
    pub age: Duration,
}

impl Standing {
    fn of(reading: &Reading, now: Wall) -> Self {
        let provenance = match reading.provenance() {
            _ if reading.is_past(now) => Provenance::Unknown,
            Provenance::Provider if reading.is_aged(now) => Provenance::Estimated,
            told => told,
        };
        Self { reading: reading.clone(), provenance, age: reading.observed_at.age_at(now) }
    }

    /// The share used of the present window; `None` where nobody has said anything of it yet.
    pub fn used_ratio(&self) -> Option<f64> {
        (self.provenance != Provenance::Unknown).then_some(self.reading.used_ratio)
    }

    /// When the present window ends, as far as it is known.
    pub fn resets_at(&self) -> Option<Wall> {
        self.reading.resets_at.filter(|_| self.provenance != Provenance::Unknown)
    }
}

/// The newest sighting of each account's windows, from each kind of teller.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Windows(BTreeMap<(AccountName, WindowName), BTreeMap<Provenance, Reading>>);

impl Windows {
    /// How many windows are known.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub fn knows(&self, account: &AccountName, window: &WindowName) -> bool {
        self.0.contains_key(&(account.clone(), window.clone()))
    }

    /// Takes a sighting in; false where one as new or newer is known. Order and repetition do not matter.
    pub fn take(&mut self, reading: Reading) -> bool {
        let key = (reading.account.clone(), reading.window.clone());
        let told = self.0.entry(key).or_default();
        match told.get(&reading.provenance()) {
            Some(known) if known.rank() >= reading.rank() => false,
            _ => told.insert(reading.provenance(), reading).is_none_or(|_| true),
        }
    }

    /// What a user or the ledger said is taken back; false where nothing was said.
    pub fn forget(&mut self, account: &AccountName, window: &WindowName, told_by: Provenance) -> bool {
        let key = (account.clone(), window.clone());
        let Some(told) = self.0.get_mut(&key) else { return false };
        let gone = told.remove(&told_by).is_some();
        if told.is_empty() {
            self.0.remove(&key);
        }
        gone
    }

    /// Every sighting that is kept.
    pub fn readings(&self) -> impl Iterator<Item = &Reading> {
        self.0.values().flat_map(BTreeMap::values)
    }

    /// Each window by account, the shorter before the longer.
    pub fn standings(&self, now: Wall) -> Vec<Standing> {
        let mut all: Vec<Standing> =
            self.0.values().filter_map(|told| Some(Standing::of(leading(told, now)?, now))).collect();
        all.sort_by(|a, b| {
            (&a.reading.account, &a.reading.window).cmp(&(&b.reading.account, &b.reading.window))
        });
        all
    }

    pub fn standing(&self, account: &AccountName, window: &WindowName, now: Wall) -> Option<Standing> {
        let told = self.0.get(&(account.clone(), window.clone()))?;
        Some(Standing::of(leading(told, now)?, now))
    }
}

/// A provider's word that holds, else the newest of the present window, else the newest of all.
fn leading(told: &BTreeMap<Provenance, Reading>, now: Wall) -> Option<&Reading> {
    let holds = |reading: &&Reading| !reading.is_past(now) && !reading.is_aged(now);
    let newest = |present: bool| {
        let of = told.values().filter(|reading| !present || !reading.is_past(now));
        of.max_by_key(|reading| (reading.observed_at, std::cmp::Reverse(reading.provenance())))
    };
    told.get(&Provenance::Provider).filter(holds).or_else(|| newest(true)).or_else(|| newest(false))
}

#[cfg(test)]
mod tests;
