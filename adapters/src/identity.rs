//! Who and where we are: the tenant is the Linux user, the host its short name.

use fleet_domain::{HostId, TenantId};

/// The user's name; its number where it has none.
pub fn tenant() -> TenantId {
    let uid = nix::unistd::getuid();
    let name = nix::unistd::User::from_uid(uid).ok().flatten().map(|user| user.name);
    TenantId::new(name.unwrap_or_else(|| uid.to_string()))
}

/// The host name up to its first dot.
pub fn host() -> HostId {
    let name = nix::unistd::gethostname().ok().and_then(|name| name.into_string().ok()).unwrap_or_default();
    let short = name.split('.').next().unwrap_or_default();
    HostId::new(if short.is_empty() { "localhost" } else { short })
}

/// The kernel's boot id; empty where it cannot be read.
pub fn boot_id() -> String {
    std::fs::read_to_string("/proc/sys/kernel/random/boot_id")
        .map(|id| id.trim().to_owned())
        .unwrap_or_default()
}
