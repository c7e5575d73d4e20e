//! What counts against one ceiling: kept up to date as it is spent and held, counted anew when its period is over.

use crate::time::Wall;

use super::super::amount::{Amount, Used};
use super::super::config::{Ceiling, Config, Scope};
use super::super::schedule::Stretch;
use super::super::spend::{Book, Payer};

/// Everything by which spending is told apart.
#[derive(Debug, Clone, Copy)]
pub(super) struct Whose<'w> {
    pub(super) tenant: &'w str,
    pub(super) provider: &'w str,
    pub(super) account: &'w str,
    pub(super) class: &'w str,
    pub(super) agent: &'w str,
    pub(super) model: &'w str,
}

impl<'w> Whose<'w> {
    pub(super) fn of(payer: &'w Payer, config: &'w Config) -> Self {
        let by_task = payer.task_account.as_deref().and_then(|name| config.account(name));
        let account =
            by_task.or_else(|| config.account_of(&payer.agent, &payer.class, payer.account.as_deref()));
        Self {
            tenant: &payer.tenant,
            provider: account.map_or("", |account| &account.provider),
            account: account.map_or("", |account| &account.name),
            class: &payer.class,
            agent: &payer.agent,
            model: &payer.model,
        }
    }

    fn name(&self, scope: Scope) -> &'w str {
        match scope {
            Scope::Tenant => self.tenant,
            Scope::Provider => self.provider,
            Scope::Account => self.account,
            Scope::Class => self.class,
            Scope::Agent => self.agent,
            Scope::Model => self.model,
        }
    }

    /// The name that the ceiling counts it under; `None` where it does not.
    pub(super) fn under(&self, ceiling: &Ceiling) -> Option<&'w str> {
        let name = self.name(ceiling.scope);
        let named = match ceiling.scope {
            _ if ceiling.name == Ceiling::EACH => !name.is_empty(),
            Scope::Model => super::super::config::names(&ceiling.name, name),
            _ => ceiling.name == name,
        };
        named.then_some(name)
    }
}

#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Meter {
    pub(super) period: Option<Stretch>,
    pub(super) used: Used,
    pub(super) held: Used,
    pub(super) tasks: u32,
}

impl Meter {
    /// Counts anew where the period is another one: it is over, or the clock was put back.
    pub(super) fn refresh(&mut self, ceiling: &Ceiling, name: &str, config: &Config, book: &Book, now: Wall) {
        if self.period.is_some_and(|period| period.holds(now)) {
            return;
        }
        let period = ceiling.per.around(now, &config.zone);
        self.used = book.within(period, |payer| Whose::of(payer, config).under(ceiling) == Some(name));
        self.period = Some(period);
    }

    /// Used and held, in the amount's unit.
    pub(super) fn taken(&self, amount: Amount) -> u64 {
        amount.of(self.used).saturating_add(amount.of(self.held))
    }
}
