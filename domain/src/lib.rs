//! The rules of Mosaic Fleet, pure: values and a passed-in [`Now`] go in, values come out.
//!
//! Nothing here reads a clock, a file, a socket or the environment, and nothing is async; `domain/clippy.toml`
//! makes each of these a build error. Who observes lives in `adapters`, who speaks on the wire in `proto`.

pub mod agent_env;
pub mod budget;
pub mod diff;
pub mod drift;
pub mod fleet;
pub mod fusion;
pub mod heartbeat;
pub mod ids;
pub mod limits;
pub mod message;
pub mod observation;
pub mod price;
pub mod progress;
pub mod readiness;
pub mod reconcile;
pub mod recovery;
pub mod report;
pub mod roster;
pub mod secrets;
pub mod stint;
pub mod tally;
pub mod text;
pub mod time;
pub mod usage;
pub mod yaml;

pub use ids::{AccountName, AgentKey, AgentName, HostId, RuntimeName, SessionId, SocketName, TenantId};
pub use time::{Mono, Now, Wall};
