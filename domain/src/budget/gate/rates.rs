//! What a token of a model costs: what the ledger saw, decayed, and what a price table says where it saw nothing.

use std::collections::BTreeMap;

use crate::price::Money;

use super::super::amount::Used;
use super::super::config::names;
use super::{Gate, MAX_NAMES};

/// What a model's tokens were seen to cost.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Rate {
    tokens: f64,
    pico: f64,
}

/// Tokens behind a rate that count at most; older ones fade.
const RATE_MEMORY: f64 = 50_000_000.0;

impl Gate {
    /// Prices of a token in pico-dollars by model or word of one, for models that the ledger has not seen a price of.
    pub fn price(&mut self, listed: BTreeMap<String, f64>) {
        self.listed = listed;
    }

    pub(super) fn rate(&mut self, model: &str, used: Used) {
        if used.tokens == 0 || used.dollars == Money(0) || self.rates.len() >= MAX_NAMES {
            return;
        }
        let rate = self.rates.entry(model.to_owned()).or_default();
        let fade = (RATE_MEMORY / (rate.tokens + used.tokens as f64)).min(1.0);
        rate.tokens = (rate.tokens + used.tokens as f64) * fade;
        rate.pico = (rate.pico + used.dollars.0 as f64) * fade;
    }

    /// Pico-dollars a token; `None` where neither the ledger nor a list knows.
    pub(super) fn token_price(&self, model: &str) -> Option<f64> {
        let seen = |model: &str| {
            self.rates.get(model).filter(|rate| rate.tokens >= 1.0).map(|rate| rate.pico / rate.tokens)
        };
        let by_word = || self.rates.keys().find(|known| names(model, known)).and_then(|known| seen(known));
        let listed = || self.listed.iter().find(|(known, _)| names(model, known) || names(known, model));
        seen(model).or_else(by_word).or_else(|| listed().map(|(_, price)| *price))
    }
}
