//! The contract `fleet.v1`: all that sidecar, collector and CLI share on the wire.
//!
//! [`pb`] is generated from `proto/fleet/v1` and checked in. Nothing of it goes further than [`convert`], where what
//! arrives is validated, cleaned and bounded, and becomes the domain's values.

pub use prost;

pub mod codec;
pub mod convert;
pub mod limits;

/// Generated types and services.
#[allow(clippy::all, clippy::pedantic, unreachable_pub, rust_2018_idioms, clippy::disallowed_types)]
pub mod pb {
    include!("gen/fleet.v1.rs");
}

/// For gRPC reflection.
pub const FILE_DESCRIPTOR_SET: &[u8] = include_bytes!("gen/fleet.v1.bin");
