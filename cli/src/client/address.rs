//! Where the collector is: `--collector`, `FLEET_COLLECTOR`, else the socket in the runtime directory.

use std::fmt;
use std::path::PathBuf;

use fleet_domain::text;
use fleet_framework::Home;

use crate::error::{Code, Failure};

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Address {
    pub socket: PathBuf,
}

impl Address {
    /// What was asked for, else the default. An empty value counts as none.
    pub fn resolve(asked: Option<&str>) -> Result<Self, Failure> {
        match asked.map(str::trim).filter(|url| !url.is_empty()) {
            Some(url) => Self::parse(url),
            None => {
                let home = Home::from_env().map_err(|error| Failure::of(Code::Failure, &error))?;
                Ok(Self { socket: home.collector_socket() })
            }
        }
    }

    fn parse(url: &str) -> Result<Self, Failure> {
        let shown = text::clean(url, 200);
        let refuse = |why: &str, next: &str| {
            Err(Failure::new(Code::Usage, format!("collector {shown}: {why}")).next(next))
        };
        if let Some(path) = url.strip_prefix("unix://") {
            if path.starts_with('/') {
                return Ok(Self { socket: PathBuf::from(path) });
            }
            return refuse(
                "the path is not absolute",
                "write three slashes: unix:///run/user/1000/mosaic/collector.sock",
            );
        }
        if url.starts_with("https://") {
            return refuse(
                "collectors over TLS are not available yet",
                "name a socket of this host, unix:///path/to/collector.sock, or leave it out",
            );
        }
        if url.starts_with("http://") {
            return refuse(
                "a collector is never spoken to without TLS",
                "name a socket of this host: unix:///path/to/collector.sock",
            );
        }
        if url.starts_with('/') {
            return refuse("a scheme is missing", &format!("write unix://{shown}"));
        }
        refuse("not an address", "write unix:///path/to/collector.sock")
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "unix://{}", text::clean(&self.socket.to_string_lossy(), 200))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_unix_socket_is_an_address_and_nothing_else_is() {
        assert_eq!(Address::parse("unix:///run/c.sock").unwrap().socket, PathBuf::from("/run/c.sock"));
        for (url, part) in [
            ("https://h:1", "not available yet"),
            ("http://h:1", "without TLS"),
            ("unix://c.sock", "not absolute"),
            ("/run/c.sock", "scheme"),
            ("here", "not an address"),
        ] {
            let failure = Address::parse(url).unwrap_err();
            assert_eq!(failure.code, Code::Usage);
            assert!(failure.message.contains(part) && failure.next.is_some(), "{failure}");
        }
    }
}
