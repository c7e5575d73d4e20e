//! What each agent spent, by model, as it was booked.

use std::collections::BTreeMap;

use fleet_domain::AgentKey;

use crate::store::Bill;

#[derive(Default)]
pub(super) struct Purse(BTreeMap<AgentKey, BTreeMap<String, Bill>>);

impl Purse {
    pub(super) fn of(kept: Vec<(AgentKey, String, Bill)>) -> Self {
        let mut purse = Self::default();
        for (key, model, spent) in kept {
            purse.add(&key, vec![(model, spent)]);
        }
        purse
    }

    pub(super) fn add(&mut self, key: &AgentKey, differences: Vec<(String, Bill)>) {
        if !self.0.contains_key(key) {
            self.0.insert(key.clone(), BTreeMap::new());
        }
        let Some(models) = self.0.get_mut(key) else { return };
        for (model, difference) in differences {
            models.entry(model).or_default().add(&difference);
        }
    }

    pub(super) fn all(&self) -> &BTreeMap<AgentKey, BTreeMap<String, Bill>> {
        &self.0
    }
}
