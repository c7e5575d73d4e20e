//! What the owner of a fleet wrote into `fleet/budget.yaml`: accounts with their windows, ceilings, and the ladder.

use std::collections::BTreeSet;
use std::time::Duration;

use jiff::tz::TimeZone;

use super::amount::{Amount, span_name};
use super::schedule::{Period, Schedule};

/// An admitted task that has not started within this time gives its reservation back.
pub const DEFAULT_HOLD: Duration = Duration::from_secs(10 * 60);
/// A started task that nobody ends gives back what is left of its reservation after this time.
pub const DEFAULT_TASK_LIMIT: Duration = Duration::from_secs(12 * 3_600);
/// A provider's figure older than this is carried on by our own ledger, and called estimated.
pub const DEFAULT_STALE_AFTER: Duration = Duration::from_secs(15 * 60);
/// What a task is taken to need before anything was learned.
pub const DEFAULT_ESTIMATE: u64 = 100_000;

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Config {
    /// Whose days, weeks and months are counted.
    pub zone: TimeZone,
    /// False: `zone` is this machine's, and whoever looks from elsewhere sees the days of his own.
    pub zone_named: bool,
    /// False: pace is shown and advised, and holds nobody up.
    pub enforce: bool,
    pub hold: Duration,
    pub task_limit: Duration,
    pub stale_after: Duration,
    /// Tokens.
    pub estimate: u64,
    pub accounts: Vec<Account>,
    pub ceilings: Vec<Ceiling>,
    pub ladder: Ladder,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            zone: TimeZone::UTC,
            zone_named: false,
            enforce: false,
            hold: DEFAULT_HOLD,
            task_limit: DEFAULT_TASK_LIMIT,
            stale_after: DEFAULT_STALE_AFTER,
            estimate: DEFAULT_ESTIMATE,
            accounts: Vec::new(),
            ceilings: Vec::new(),
            ladder: Ladder::default(),
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    Subscription,
    Api,
}

impl Kind {
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Subscription => "subscription",
            Self::Api => "api",
        }
    }

    pub fn parse(word: &str) -> Option<Self> {
        [Self::Subscription, Self::Api].into_iter().find(|kind| kind.as_str() == word)
    }
}

/// One subscription or API key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Account {
    pub name: String,
    pub provider: String,
    pub kind: Kind,
    /// Whom it serves; both empty is everybody.
    pub agents: BTreeSet<String>,
    pub classes: BTreeSet<String>,
    /// Which models it has; empty is all of its provider.
    pub models: Vec<String>,
    /// Tasks at once.
    pub concurrency: Option<u32>,
    pub windows: Vec<WindowSpec>,
}

impl Account {
    pub fn serves(&self, agent: &str, class: &str) -> bool {
        (self.agents.is_empty() && self.classes.is_empty())
            || self.agents.contains(agent)
            || self.classes.contains(class)
    }

    /// False where the model is another provider's, or is not among those named.
    pub fn has_model(&self, model: &str, provider: Option<&str>) -> bool {
        provider.is_none_or(|provider| provider == self.provider)
            && (self.models.is_empty() || self.models.iter().any(|word| names(word, model)))
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WindowSpec {
    pub name: String,
    pub length: Duration,
    /// `None`: when it resets is the provider's to say.
    pub schedule: Option<Schedule>,
    /// `None`: only a share of it is known.
    pub limit: Option<Amount>,
    /// Counted are these models only; empty is all.
    pub models: Vec<String>,
}

impl WindowSpec {
    /// A window that only its provider tells of: `7d`, or `7d-opus` for those models only.
    pub fn told(name: &str, length: Duration) -> Self {
        let name = if name.is_empty() { span_name(length) } else { name.to_owned() };
        let models = name.split_once('-').map(|(_, model)| model.to_owned()).into_iter().collect();
        Self { name, length, schedule: None, limit: None, models }
    }

    pub fn counts(&self, model: &str) -> bool {
        self.models.is_empty() || self.models.iter().any(|word| names(word, model))
    }
}

/// What a ceiling stands over. `*` in a name's place is each one by itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Scope {
    Tenant,
    Provider,
    Account,
    Class,
    Agent,
    Model,
}

impl Scope {
    pub const ALL: [Self; 6] =
        [Self::Tenant, Self::Provider, Self::Account, Self::Class, Self::Agent, Self::Model];

    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Tenant => "tenant",
            Self::Provider => "provider",
            Self::Account => "account",
            Self::Class => "class",
            Self::Agent => "agent",
            Self::Model => "model",
        }
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ceiling {
    pub scope: Scope,
    pub name: String,
    pub per: Period,
    /// Above it is told.
    pub soft: Option<Amount>,
    /// Above it nothing is admitted.
    pub hard: Option<Amount>,
    /// Tasks at once.
    pub concurrency: Option<u32>,
}

impl Ceiling {
    pub const EACH: &'static str = "*";

    /// `account api-1 per day`.
    pub fn title(&self) -> String {
        format!("{} {} per {}", self.scope.as_str(), self.name, self.per.as_str())
    }
}

/// What is tried, in this order, when a task cannot have what it asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    Downgrade,
    Queue,
    Refuse,
}

impl Step {
    pub const ALL: [Self; 3] = [Self::Downgrade, Self::Queue, Self::Refuse];

    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Downgrade => "downgrade",
            Self::Queue => "queue",
            Self::Refuse => "refuse",
        }
    }
}

/// A model of the ladder: a name, or a word of one (`opus` is `claude-opus-5`).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rung {
    pub model: String,
    pub provider: Option<String>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ladder {
    pub steps: Vec<Step>,
    /// From the dearest to the cheapest.
    pub rungs: Vec<Rung>,
}

impl Default for Ladder {
    fn default() -> Self {
        let rung = |model: &str, provider: &str| Rung {
            model: model.to_owned(),
            provider: Some(provider.to_owned()),
        };
        Self {
            steps: Step::ALL.to_vec(),
            rungs: vec![
                rung("opus", "anthropic"),
                rung("sonnet", "anthropic"),
                rung("haiku", "anthropic"),
                rung("codex", "openai"),
            ],
        }
    }
}

impl Ladder {
    pub fn has(&self, step: Step) -> bool {
        self.steps.contains(&step)
    }

    pub fn place(&self, model: &str) -> Option<usize> {
        self.rungs.iter().position(|rung| names(&rung.model, model))
    }
}

impl Config {
    pub fn account(&self, name: &str) -> Option<&Account> {
        self.accounts.iter().find(|account| account.name == name)
    }

    /// The account that somebody means who may not know its name: one of that name, else the only one of that provider.
    pub fn called(&self, name: &str) -> Option<&Account> {
        self.account(name).or_else(|| {
            let mut of = self.accounts.iter().filter(|account| account.provider == name);
            of.next().filter(|_| of.next().is_none())
        })
    }

    /// The one account that an agent's spending belongs to: the one the agent is named in, then the one the roster
    /// names, then the one its class is named in, then the only one there is or that serves it.
    pub fn account_of(&self, agent: &str, class: &str, account_told: Option<&str>) -> Option<&Account> {
        let told = || self.called(account_told?);
        let classed =
            || (!class.is_empty()).then(|| self.accounts.iter().find(|one| one.classes.contains(class)));
        let named = self.accounts.iter().find(|one| one.agents.contains(agent));
        let only = || match self.accounts.as_slice() {
            [only] => Some(only),
            _ => self.serving(agent, class, account_told),
        };
        named.or_else(told).or_else(|| classed()?).or_else(only)
    }

    /// The only account that serves the agent, of those of the provider that was told if one was.
    fn serving(&self, agent: &str, class: &str, provider: Option<&str>) -> Option<&Account> {
        let provider = provider.filter(|name| self.accounts.iter().any(|one| one.provider == *name));
        let mut serving = self.accounts.iter().filter(|one| {
            one.serves(agent, class) && provider.is_none_or(|provider| one.provider == provider)
        });
        serving.next().filter(|_| serving.next().is_none())
    }
}

/// True where `word` is the model's name, or one of the words it is made of.
pub fn names(word: &str, model: &str) -> bool {
    word == model || model.split(['-', '/', '.', ':', '_']).any(|part| part == word)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_word_names_every_model_that_has_it() {
        assert!(names("opus", "claude-opus-5") && names("codex", "gpt-5.2-codex"));
        assert!(names("claude-opus-5", "claude-opus-5"));
        assert!(!names("opus", "claude-opusculum-5") && !names("claude-opus", "claude-opus-5-5"));
        assert_eq!(Ladder::default().place("claude-haiku-4-5"), Some(2));
    }

    #[test]
    fn spending_belongs_to_the_account_that_is_named_or_to_the_only_one_that_serves() {
        let account = |name: &str, provider: &str, class: Option<&str>| Account {
            name: name.to_owned(),
            provider: provider.to_owned(),
            kind: Kind::Subscription,
            agents: BTreeSet::new(),
            classes: class.map(str::to_owned).into_iter().collect(),
            models: Vec::new(),
            concurrency: None,
            windows: Vec::new(),
        };
        let mut config = Config {
            accounts: vec![
                account("max-1", "anthropic", Some("implementer")),
                account("max-2", "anthropic", None),
                account("api-1", "openai", None),
            ],
            ..Config::default()
        };
        let of = |config: &Config, class: &str, told| {
            config.account_of("a", class, told).map(|account| account.name.clone())
        };
        assert_eq!(of(&config, "implementer", Some("anthropic")).as_deref(), Some("max-1"));
        assert_eq!(of(&config, "reviewer", Some("anthropic")).as_deref(), Some("max-2"));
        assert_eq!(of(&config, "reviewer", Some("openai")).as_deref(), Some("api-1"));
        assert_eq!(of(&config, "reviewer", None), None, "two serve it, and nobody says which");
        config.accounts.pop();
        assert_eq!(of(&config, "reviewer", None).as_deref(), Some("max-2"));
        config.accounts.push(account("max-3", "anthropic", None));
        assert_eq!(of(&config, "reviewer", Some("anthropic")), None);
    }
}
