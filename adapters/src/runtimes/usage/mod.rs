//! Usage as every runtime writes it, through one door: [`Reader`] turns a transcript's lines into records, a
//! `Follower` reads a [`Source`] from a remembered position. Nobody outside `runtimes` needs to know which runtime it is.

use fleet_domain::limits::Sighting;
use fleet_domain::reconcile::Told;

pub mod check;
mod follower;
mod kinds;
mod reader;
pub mod scan;
mod source;
mod tracer;
mod whole;

pub use follower::{Follower, Stretch};
pub use kinds::Unknown;
pub use reader::Reader;
pub use source::Source;
pub use tracer::{Attribution, Machine, Memory, Trace, Tracer};
pub(super) use tracer::{Candidate, Evidence, attribution};
pub(super) use whole::Whole;

/// What a line of a transcript turned out to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Line {
    /// Whatever it held was taken; most lines hold nothing of usage.
    Understood,
    /// It should have been readable, and was not: counted and shown.
    Unreadable,
}

/// What stands in a transcript beside usage.
#[derive(Debug, Clone, PartialEq)]
pub enum Beside {
    /// Of a window of the account.
    Sighting(Sighting),
    /// The provider's identity of a request whose response is here.
    Request(String),
    /// What the runtime says that a conversation used.
    Told(Told),
    /// A row that speaks of tokens, of a kind that is not known here; the kind.
    Unknown(String),
}

/// FNV-1a of 64 bits: the same on every host and in every version, which a record's identity has to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Fingerprint(pub(super) u64);

impl Fingerprint {
    pub(super) const EMPTY: Self = Self(0xcbf2_9ce4_8422_2325);

    pub(super) fn with(mut self, bytes: &[u8]) -> Self {
        for byte in bytes {
            self.0 = (self.0 ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3);
        }
        self
    }
}
