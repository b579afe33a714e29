//! Where a feed is.

use std::{fmt, path::PathBuf};

use reqwest::Url;
use thiserror::Error;

use crate::geo::Wanted;

/// Longer addresses are no addresses, bytes.
const LONGEST: usize = 2048;

/// What addresses of places begin with.
const GEOIP: &str = "geoip:";

/// Where a feed is. Shown without what may be a secret.
#[derive(Clone, PartialEq, Eq)]
pub enum Source {
    /// On a server, over TLS.
    Https(Url),
    /// A file on this host, which another program writes.
    File(PathBuf),
    /// A country or an autonomous system, as the operator's own file says.
    Place(Wanted),
}

/// The text is no address that a feed can be fetched from. It is not repeated: it may hold a secret.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum UnusableSource {
    /// Whoever sits in between would choose who is blocked.
    #[error("a feed is not fetched over plain http, where anybody on the way may change it: use https://")]
    Plain,
    /// It is neither form.
    #[error(
        "that is no address of a feed: https://HOST/PATH, file:///PATH, geoip:country:CODE or geoip:as:NUMBER"
    )]
    Form,
    /// A user or password stands before the host.
    #[error(
        "a user or password before the host is not supported: use a token in the query, or fetch the file with another program and name it as file:///PATH"
    )]
    Login,
}

impl Source {
    /// Reads an address.
    ///
    /// # Errors
    /// [`UnusableSource`]: why nothing can be fetched from it.
    pub fn parse(text: &str) -> Result<Self, UnusableSource> {
        if text.len() > LONGEST {
            return Err(UnusableSource::Form);
        }
        if let Some(place) = text.strip_prefix(GEOIP) {
            return place.parse().map(Self::Place).map_err(|_| UnusableSource::Form);
        }
        let url = Url::parse(text).map_err(|_| UnusableSource::Form)?;
        match url.scheme() {
            "https" if !url.username().is_empty() || url.password().is_some() => Err(UnusableSource::Login),
            "https" if url.host_str().is_some_and(|host| !host.is_empty()) => Ok(Self::Https(url)),
            "file" => url.to_file_path().map(Self::File).map_err(|()| UnusableSource::Form),
            "http" => Err(UnusableSource::Plain),
            _ => Err(UnusableSource::Form),
        }
    }

    /// As it was written, whatever it holds: for files that only root reads.
    pub fn in_full(&self) -> String {
        match self {
            Self::Https(url) => url.to_string(),
            Self::File(_) | Self::Place(_) => self.to_string(),
        }
    }
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(path) => write!(f, "file://{}", path.display()),
            Self::Place(wanted) => write!(f, "{GEOIP}{wanted}"),
            Self::Https(url) => {
                write!(f, "https://{}", url.host_str().unwrap_or_default())?;
                url.port().map_or(Ok(()), |port| write!(f, ":{port}"))?;
                f.write_str(url.path())?;
                // Keys of accounts stand there.
                if url.query().is_some() { f.write_str("?…") } else { Ok(()) }
            }
        }
    }
}

impl fmt::Debug for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_tls_and_files_are_sources() {
        assert!(matches!(Source::parse("https://example.org/drop.txt"), Ok(Source::Https(_))));
        assert_eq!(Source::parse("file:///var/lib/list"), Ok(Source::File("/var/lib/list".into())));
        for text in ["geoip:country:XA", "geoip:as:64500"] {
            assert_eq!(Source::parse(text).unwrap().in_full(), text);
        }
        for (text, why) in [
            ("http://example.org/drop.txt", UnusableSource::Plain),
            ("https://me:secret@example.org/", UnusableSource::Login),
            ("ftp://example.org/", UnusableSource::Form),
            ("file://elsewhere/list", UnusableSource::Form),
            ("geoip:country:XYZ", UnusableSource::Form),
            ("geoip:as:x", UnusableSource::Form),
            ("drop.txt", UnusableSource::Form),
            ("", UnusableSource::Form),
        ] {
            assert_eq!(Source::parse(text), Err(why), "{text}");
        }
        assert!(Source::parse(&format!("https://example.org/{}", "a".repeat(LONGEST))).is_err());
    }

    #[test]
    fn what_may_be_a_key_is_not_shown() {
        let source = Source::parse("https://example.org:8443/list?key=secret").unwrap();
        assert_eq!(source.to_string(), "https://example.org:8443/list?…");
        assert!(!format!("{source:?}").contains("secret"));
        assert!(source.in_full().contains("secret"));
    }
}
