//! One file a verb.

pub mod add;
pub mod capture;
pub mod check;
pub mod completion;
pub mod doctor;
pub mod events;
pub mod explain;
pub mod holder;
pub mod install;
pub mod launch;
pub mod limits;
pub mod man;
pub mod prices;
pub mod ps;
pub mod remove;
pub mod roster;
pub mod schema;
pub mod screen;
pub mod start;
pub mod status;
pub mod up;
pub mod usage;
pub mod wait;
pub mod watch;
