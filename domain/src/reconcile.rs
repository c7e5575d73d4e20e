//! Our sums of conversations against what the runtimes themselves say that these used: what is left over, and why that
//! is likely so.

use std::fmt;

use crate::usage::Tokens;

/// One conversation, as counted and as told.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Conversation {
    pub runtime: String,
    pub id: String,
    /// Its own responses.
    pub responses: u64,
    pub counted: Tokens,
    /// What it took over from the conversation that it was forked from, and did not pay.
    pub inherited: Tokens,
    /// The runtime's own sum, with what was inherited; `None` where it keeps none or did not come to write it.
    pub told: Option<Tokens>,
    /// How often the conversation was made shorter, by calls that no transcript holds.
    pub compactions: u64,
    /// Somebody sat before it: such conversations get titles.
    pub interactive: bool,
}

/// What a runtime says of itself that a conversation used, as its transcript says it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Told {
    pub conversation: String,
    /// With what it took over from another.
    pub sum: Tokens,
    pub inherited: Tokens,
    pub compactions: u64,
    pub interactive: bool,
}

impl Told {
    /// Sums only grow, and what was taken over came before: in any order the latest sum and the first beginning stay.
    pub fn merge(&mut self, other: &Self) {
        if other.sum.total() >= self.sum.total() {
            self.sum = other.sum;
        }
        if other.inherited.total() < self.inherited.total() {
            self.inherited = other.inherited;
        }
        self.compactions = self.compactions.max(other.compactions);
        self.interactive |= other.interactive;
    }

    /// Beside what was counted of it.
    pub fn against(self, runtime: &str, counted: Tokens) -> Conversation {
        Conversation {
            runtime: runtime.to_owned(),
            id: self.conversation,
            responses: 0,
            counted,
            inherited: self.inherited,
            told: Some(self.sum),
            compactions: self.compactions,
            interactive: self.interactive,
        }
    }
}

/// What was told and not counted; below zero where more was counted than told. Tokens: uncached input, cache read, cache
/// write (of both lifetimes), output.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Residual(pub [i64; 4]);

impl Residual {
    pub fn total(&self) -> i64 {
        self.0.into_iter().fold(0, i64::saturating_add)
    }

    pub fn is_zero(&self) -> bool {
        self.0 == [0; 4]
    }
}

/// Why told and counted differ, as far as can be seen.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Cause {
    None,
    /// No sum to compare with: it runs still, was killed before its exit, or its runtime keeps none.
    NoSum,
    /// More was counted than told: responses came after the last sum was written.
    AfterTheSum,
    Compaction,
    /// The parent's compactions and titles, which a fork's sum begins with.
    Parent,
    Titles,
    Unseen,
}

impl Cause {
    pub const ALL: [Self; 7] = [
        Self::None,
        Self::NoSum,
        Self::AfterTheSum,
        Self::Compaction,
        Self::Parent,
        Self::Titles,
        Self::Unseen,
    ];

    pub const fn as_str(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::NoSum => "no_sum",
            Self::AfterTheSum => "after_the_sum",
            Self::Compaction => "compaction",
            Self::Parent => "parent",
            Self::Titles => "titles",
            Self::Unseen => "unseen",
        }
    }
}

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::None => "none",
            Self::NoSum => "no sum: still running, killed before its exit, or its runtime keeps none",
            Self::AfterTheSum => "responses after its last sum: still running, or killed before its exit",
            Self::Compaction => "compaction: its calls are in no transcript",
            Self::Parent => "what the conversation it was forked from used beside its transcript",
            Self::Titles => "titles: their calls are in no transcript",
            Self::Unseen => "calls that the transcript does not hold",
        })
    }
}

impl Conversation {
    /// `None` where nothing was told. Whether a sum begins with what was inherited, runtimes do not say: where our own
    /// responses alone make it, it does not.
    pub fn residual(&self) -> Option<Residual> {
        let told = kinds(&self.told?);
        let (own, inherited) = (kinds(&self.counted), kinds(&self.inherited));
        let alone = told == own;
        let mut left = [0; 4];
        for (kind, left) in left.iter_mut().enumerate() {
            let counted = if alone { own[kind] } else { own[kind].saturating_add(inherited[kind]) };
            *left = told[kind].saturating_sub(counted);
        }
        Some(Residual(left))
    }

    pub fn cause(&self) -> Cause {
        let Some(residual) = self.residual() else { return Cause::NoSum };
        match () {
            () if residual.is_zero() => Cause::None,
            () if residual.0.iter().any(|kind| *kind < 0) => Cause::AfterTheSum,
            () if self.compactions > 0 => Cause::Compaction,
            () if !self.inherited.is_zero() => Cause::Parent,
            () if self.interactive => Cause::Titles,
            () => Cause::Unseen,
        }
    }
}

fn kinds(tokens: &Tokens) -> [i64; 4] {
    let written = tokens.cache_write_5m.saturating_add(tokens.cache_write_1h);
    [tokens.input, tokens.cache_read, written, tokens.output]
        .map(|count| i64::try_from(count).unwrap_or(i64::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tokens(output: u64) -> Tokens {
        Tokens { input: 1, output, ..Tokens::default() }
    }

    fn cause(counted: u64, told: u64, change: impl Fn(&mut Conversation)) -> (Cause, i64) {
        let mut conversation =
            Conversation { counted: tokens(counted), told: Some(tokens(told)), ..Conversation::default() };
        change(&mut conversation);
        (conversation.cause(), conversation.residual().unwrap_or_default().total())
    }

    #[test]
    fn what_is_left_over_has_its_likely_cause() {
        assert_eq!(cause(5, 5, |_| {}), (Cause::None, 0));
        assert_eq!(cause(5, 9, |_| {}), (Cause::Unseen, 4));
        assert_eq!(cause(5, 9, |of| of.interactive = true), (Cause::Titles, 4));
        assert_eq!(cause(5, 9, |of| of.compactions = 1), (Cause::Compaction, 4));
        assert_eq!(cause(9, 5, |of| of.compactions = 1), (Cause::AfterTheSum, -4));
        assert_eq!(cause(5, 9, |of| of.told = None), (Cause::NoSum, 0));
    }

    #[test]
    fn what_a_fork_inherited_is_no_difference() {
        let inherited = Tokens { output: 3, ..Tokens::default() };
        assert_eq!(cause(5, 8, |of| of.inherited = inherited), (Cause::None, 0));
        assert_eq!(cause(5, 5, |of| of.inherited = inherited), (Cause::None, 0));
        assert_eq!(cause(5, 9, |of| of.inherited = inherited), (Cause::Parent, 1));
    }
}
