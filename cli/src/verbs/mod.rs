//! One file a verb.

pub mod completion;
pub mod doctor;
pub mod events;
pub mod explain;
pub mod holder;
pub mod install;
pub mod launch;
pub mod man;
pub mod ps;
pub mod schema;
pub mod usage;
pub mod watch;
