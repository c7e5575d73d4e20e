//! Who may call on the socket: the collector's own user, and nobody else. Root is no exception: root that wants to look
//! can become that user, and an accident of root's should not.

use fleet_domain::{HostId, TenantId};
use nix::unistd::{Uid, User};
use tonic::service::Interceptor;
use tonic::transport::server::UdsConnectInfo;
use tonic::{Request, Status};

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    #[error("this socket belongs to uid {own}; uid {peer} may not call")]
    OtherUser { peer: u32, own: u32 },
    #[error("the kernel does not say who calls")]
    Nobody,
}

pub fn admit(peer: Option<u32>, own: u32) -> Result<(), Refusal> {
    match peer {
        Some(peer) if peer == own => Ok(()),
        Some(peer) => Err(Refusal::OtherUser { peer, own }),
        None => Err(Refusal::Nobody),
    }
}

/// Before every call.
#[derive(Debug, Clone, Copy)]
pub struct Guard {
    own: Uid,
}

impl Guard {
    pub fn own_user() -> Self {
        Self { own: Uid::effective() }
    }
}

impl Interceptor for Guard {
    fn call(&mut self, request: Request<()>) -> Result<Request<()>, Status> {
        let credentials = request.extensions().get::<UdsConnectInfo>().and_then(|info| info.peer_cred);
        match admit(credentials.map(|peer| peer.uid()), self.own.as_raw()) {
            Ok(()) => Ok(request),
            Err(refusal) => {
                tracing::warn!(pid = credentials.and_then(|peer| peer.pid()), "refused a caller: {refusal}");
                Err(Status::permission_denied(refusal.to_string()))
            }
        }
    }
}

/// This machine by its short name, as its sidecars call it.
pub fn own_host() -> HostId {
    let name = nix::unistd::gethostname().ok().and_then(|name| name.into_string().ok()).unwrap_or_default();
    let short = name.split('.').next().unwrap_or_default();
    HostId::new(if short.is_empty() { "localhost" } else { short })
}

/// The tenant that calls on this socket: the user's name, or its number where it has none.
pub fn own_tenant() -> TenantId {
    let uid = Uid::effective();
    let name = User::from_uid(uid).ok().flatten().map(|user| user.name);
    TenantId::new(name.unwrap_or_else(|| uid.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_same_user_is_let_in_not_even_root() {
        assert_eq!(admit(Some(1000), 1000), Ok(()));
        assert_eq!(admit(Some(0), 0), Ok(()));
        assert_eq!(admit(Some(0), 1000), Err(Refusal::OtherUser { peer: 0, own: 1000 }));
        assert_eq!(admit(Some(1001), 1000), Err(Refusal::OtherUser { peer: 1001, own: 1000 }));
        assert_eq!(admit(None, 1000), Err(Refusal::Nobody));
    }

    #[test]
    fn a_call_without_credentials_is_refused() {
        let refused = Guard::own_user().call(Request::new(())).unwrap_err();
        assert_eq!(refused.code(), tonic::Code::PermissionDenied);
    }
}
