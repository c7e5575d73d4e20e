//! What one message may hold. A peer that sends more is cut off; it cannot grow anybody's memory.

/// One encoded message on a Report stream, in bytes: the planes of a host with ten thousand agents fit.
pub const MAX_REPORT_BYTES: usize = 4 << 20;
/// One encoded answer to a query, in bytes: ten thousand agents fit.
pub const MAX_QUERY_BYTES: usize = 64 << 20;
/// Usage records in a batch.
pub const MAX_RECORDS: usize = 512;
/// Requests that a batch may name.
pub const MAX_REQUESTS: usize = 8_192;
/// Usage batches of one stream that await their acknowledgement. A sidecar keeps below it: at it the collector stops
/// reading the stream, observations included.
pub const MAX_USAGE_IN_FLIGHT: usize = 64;
/// Days that a question about usage may tell apart; ten years.
pub const MAX_DAYS: usize = 3_700;
/// Sums in an answer about usage.
pub const MAX_SUMS: usize = 100_000;
/// Windows in a message; of one tenant, all together.
pub const MAX_WINDOWS: usize = 512;
/// Pieces of evidence in an observation.
pub const MAX_EVIDENCE: usize = 16;
/// Agents in a roster, units in a plane.
pub const MAX_ENTRIES: usize = 20_000;
/// A cursor, in bytes.
pub const MAX_CURSOR: usize = 1024;
/// An identity, name or path, in characters.
pub const MAX_NAME: usize = 512;
/// A line for people, in characters.
pub const MAX_LINE: usize = 240;
/// Kinds of rows that one batch may tell to be unknown.
pub const MAX_UNKNOWN: usize = 8;
