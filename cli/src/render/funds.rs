//! Of each agent: what its tokens of today cost, the account that pays for it, how fast that is being used, and what is
//! left of it.

use std::collections::BTreeMap;

use fleet_domain::AgentKey;
use fleet_domain::budget::gate::{Outlook, State};
use fleet_domain::fleet::AgentView;
use fleet_domain::price::Costs;
use fleet_domain::report::{Group, Report, Sum};

/// One account, by the window that is tightest.
#[derive(Debug, Clone, PartialEq)]
pub struct Fund {
    pub account: String,
    provider: String,
    /// The highest pace ratio of its windows, with the window's name; above one it will not last.
    pub pace: Option<(f64, String)>,
    /// What is left of the window that has least, neither used nor held; a share.
    pub room: Option<(f64, String)>,
}

/// Empty where no budget is in force, or nobody asked for it.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Funds {
    each: Vec<Fund>,
    /// By session.
    of: BTreeMap<String, usize>,
    /// Of today.
    costs: BTreeMap<AgentKey, Costs>,
}

impl Funds {
    pub fn of(state: &State) -> Self {
        let mut funds = Self::default();
        for (place, view) in state.overview.accounts.iter().enumerate() {
            let windows = state.overview.windows.iter().filter(|window| window.account == view.account.name);
            funds.each.push(fund(&view.account.name, &view.account.provider, windows));
            funds.of.extend(view.agents.iter().map(|agent| (agent.clone(), place)));
        }
        funds
    }

    /// With what was used today, by agent.
    pub fn with_today(mut self, report: Report) -> Self {
        let of = |(group, sum): (Group, Sum)| Some((group.agent?, sum.costs));
        self.costs = report.0.into_iter().filter_map(of).collect();
        self
    }

    /// `None` where it used nothing today.
    pub fn cost(&self, agent: &AgentView) -> Option<&Costs> {
        self.costs.get(&agent.key)
    }

    /// The collector knows whom each account pays for; of a session that no roster names, its runtime's provider is
    /// known, which tells where there is one account of it.
    pub fn fund(&self, agent: &AgentView) -> Option<&Fund> {
        let told = agent.account.as_deref();
        let named = || self.each.iter().find(|fund| Some(fund.account.as_str()) == told);
        let only = || {
            let mut of = self.each.iter().filter(|fund| Some(fund.provider.as_str()) == told);
            of.next().filter(|_| of.next().is_none())
        };
        let placed = self.of.get(&agent.key.session).and_then(|place| self.each.get(*place));
        placed.or_else(named).or_else(only)
    }
}

fn fund<'w>(account: &str, provider: &str, windows: impl Iterator<Item = &'w Outlook>) -> Fund {
    let mut fund =
        Fund { account: account.to_owned(), provider: provider.to_owned(), pace: None, room: None };
    for window in windows {
        if let Some(ratio) = window.pace.as_ref().map(|pace| pace.ratio)
            && fund.pace.as_ref().is_none_or(|(known, _)| ratio > *known)
        {
            fund.pace = Some((ratio, window.window.clone()));
        }
        if let Some(left) = window.standing.used.map(|used| (1.0 - used - window.held_share).max(0.0))
            && fund.room.as_ref().is_none_or(|(known, _)| left < *known)
        {
            fund.room = Some((left, window.window.clone()));
        }
    }
    fund
}

#[cfg(test)]
impl Funds {
    /// One account, which pays for that agent.
    pub fn sample(agent: &AgentView) -> Self {
        let fund = Fund {
            account: "max-1".to_owned(),
            provider: "anthropic".to_owned(),
            pace: Some((1.25, "7d".to_owned())),
            room: Some((0.375, "5h".to_owned())),
        };
        let costs = Costs {
            priced: fleet_domain::price::Money(1_250_000_000_000),
            by_price: 3,
            unpriced: 1,
            ..Costs::default()
        };
        let of = [(agent.key.session.clone(), 0)].into();
        Self { each: vec![fund], of, costs: [(agent.key.clone(), costs)].into() }
    }
}
