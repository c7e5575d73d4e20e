//! What is installed on a user's machine: where its home is, and the files that are put there.

pub mod agents;
pub mod deviations;
pub mod files;
pub mod flags;
pub mod home;
pub mod hooks;
pub mod presets;
pub mod prices;
pub mod prompt;
pub mod screens;
pub mod seed;
pub mod skills;
pub mod units;

pub use home::Home;
