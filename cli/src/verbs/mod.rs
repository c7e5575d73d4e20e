//! One file a verb.

pub mod budget;
pub mod capture;
pub mod check;
pub mod completion;
pub mod doctor;
pub mod events;
pub mod explain;
pub mod holder;
pub mod init;
pub mod install;
pub mod launch;
pub mod limits;
pub mod man;
pub mod prices;
pub mod ps;
pub mod report;
pub mod schema;
pub mod screen;
pub mod task;
pub mod usage;
pub mod wait;
pub mod watch;
