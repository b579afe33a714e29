//! Where to: parsed once, at the border.

use std::{fmt, path::PathBuf};

use serde::Deserialize;
use thiserror::Error;

/// That is no place to send to.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error(
    "{0:?} is no place to send to; write udp://HOST:PORT, tcp://HOST:PORT, tls://HOST:PORT or file:///PATH"
)]
pub struct BadPlace(String);

/// A host and a port.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HostPort {
    /// A name or an address, without brackets.
    pub host: String,
    /// The port, not 0.
    pub port: u16,
}

impl HostPort {
    /// Reads `host:port` and `[2001:db8::1]:port`.
    pub fn parse(text: &str) -> Option<Self> {
        let (host, port) = text.rsplit_once(':')?;
        let bare = host.strip_prefix('[').and_then(|host| host.strip_suffix(']'));
        let is_name =
            |host: &str| host.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-._".contains(&byte));
        let fits = match bare {
            Some(address) => address.parse::<std::net::Ipv6Addr>().is_ok(),
            None => !host.is_empty() && host.len() <= 253 && is_name(host),
        };
        let port = port.parse().ok().filter(|port| *port != 0)?;
        fits.then(|| Self { host: bare.unwrap_or(host).to_owned(), port })
    }

    /// Whether it is this machine: only there may a secret go in the open.
    pub(crate) fn is_here(&self) -> bool {
        self.host == "localhost" || self.host.parse::<std::net::IpAddr>().is_ok_and(|host| host.is_loopback())
    }
}

impl fmt::Display for HostPort {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { host, port } = self;
        if host.contains(':') { write!(f, "[{host}]:{port}") } else { write!(f, "{host}:{port}") }
    }
}

/// Where records go.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub enum Place {
    /// One datagram a record.
    Udp(HostPort),
    /// A connection in the open.
    Tcp(HostPort),
    /// A connection under TLS.
    Tls(HostPort),
    /// A file of lines.
    File(PathBuf),
}

impl TryFrom<String> for Place {
    type Error = BadPlace;

    fn try_from(text: String) -> Result<Self, BadPlace> {
        let (scheme, rest) = text.split_once("://").ok_or_else(|| BadPlace(text.clone()))?;
        let place = match scheme {
            "udp" => HostPort::parse(rest).map(Self::Udp),
            "tcp" => HostPort::parse(rest).map(Self::Tcp),
            "tls" => HostPort::parse(rest).map(Self::Tls),
            "file" => rest.starts_with('/').then(|| Self::File(rest.into())),
            _ => None,
        };
        place.ok_or(BadPlace(text))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_read_as_people_write_them() {
        let place = |text: &str| Place::try_from(text.to_owned());
        let named = HostPort { host: "siem.example.org".to_owned(), port: 6514 };
        assert_eq!(place("tls://siem.example.org:6514"), Ok(Place::Tls(named)));
        let Ok(Place::Udp(six)) = place("udp://[2001:db8::1]:514") else { panic!("no place") };
        assert_eq!((six.host.as_str(), six.to_string().as_str()), ("2001:db8::1", "[2001:db8::1]:514"));
        assert_eq!(place("file:///var/log/eve.json"), Ok(Place::File("/var/log/eve.json".into())));
    }

    #[test]
    fn what_is_no_place_is_refused() {
        for text in [
            "",
            "siem:514",
            "udp://siem",
            "udp://siem:0",
            "udp://:514",
            "udp://a b:514",
            "udp://[siem]:514",
            "tcp://user@siem:514",
            "http://siem:80",
            "file://relative",
            "udp://siem:99999",
            "udp://2001:db8::1:514",
        ] {
            assert!(Place::try_from(text.to_owned()).is_err(), "{text}");
        }
    }

    #[test]
    fn only_loopback_is_here() {
        let here = |text| HostPort::parse(text).unwrap().is_here();
        assert!(here("127.0.0.1:25") && here("[::1]:25") && here("localhost:25"));
        assert!(!here("10.0.0.1:25") && !here("localhost.example.org:25"));
    }
}
