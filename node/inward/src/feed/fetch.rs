//! Getting a feed: over HTTPS, or from a file, within limits of size and time.

mod https;
mod unpack;

use std::{
    fs::File,
    io::{self, Read as _},
    path::Path,
    sync::OnceLock,
    time::{Duration, UNIX_EPOCH},
};

use thiserror::Error;

use super::Source;
use crate::geo::{Atlas, GeoError, GeoFiles, Wanted};
use https::Https;

/// How long is waited for what, and how much is taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Patience {
    /// For a connection.
    pub connect: Duration,
    /// For the next byte.
    pub silence: Duration,
    /// For all of it.
    pub whole: Duration,
    /// Bytes, packed or unpacked.
    pub bytes: usize,
}

impl Default for Patience {
    fn default() -> Self {
        let [connect, silence, whole] = [10, 20, 60].map(Duration::from_secs);
        Self { connect, silence, whole, bytes: 32 << 20 }
    }
}

/// What a source said of what it gave, so that it need not give it again.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Validators {
    /// The `ETag` header.
    pub etag: Option<String>,
    /// The `Last-Modified` header, or when a file was changed.
    pub modified: Option<String>,
}

/// What a source gave.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fetched {
    /// It is what it was.
    Unchanged,
    /// All of it, unpacked.
    New(Vec<u8>, Validators),
}

/// Why nothing was fetched.
#[derive(Debug, Error)]
pub enum FetchError {
    /// No connection, no TLS, no answer.
    #[error("the server cannot be reached: {0}")]
    Unreachable(String),
    /// It answered with something else than the list.
    #[error("the server answers {0}")]
    Status(u16),
    /// It sent us to where anybody may change the list.
    #[error("the server redirects to an address that is not https, or too often")]
    Redirect,
    /// It took too long.
    #[error("it took longer than {} s", .0.as_secs())]
    Slow(Duration),
    /// It is larger than any list.
    #[error("it is larger than {0} bytes")]
    Large(usize),
    /// It is packed and cannot be unpacked.
    #[error("it is packed, and cannot be unpacked: {0}")]
    Packed(io::Error),
    /// The file cannot be read.
    #[error("{0}")]
    File(io::Error),
    /// The file of countries or systems cannot be used.
    #[error(transparent)]
    Geo(#[from] GeoError),
    /// The system's part of TLS cannot be used.
    #[error("TLS cannot be set up: {0}")]
    Tls(String),
}

impl FetchError {
    /// What a person can do about it.
    pub const fn remedy(&self) -> &'static str {
        match self {
            Self::Unreachable(_) | Self::Slow(_) => {
                "see that this host reaches it; it is tried again by itself, and the last list is used meanwhile"
            }
            Self::Status(401 | 403) => "see that the address holds a key that is still valid",
            Self::Status(404 | 410) => "see that the feed is still there: smartfw-cli feed remove",
            Self::Status(_) => "nothing: it is tried again by itself, and the last list is used meanwhile",
            Self::Redirect => "use the address that it redirects to, if that is https",
            Self::Large(_) => "use a smaller list",
            Self::Packed(_) => "see whether the list is damaged at its source",
            Self::File(_) => "see that the file is there, is a regular file, and may be read by the node",
            Self::Geo(_) => {
                "name a file in MaxMind's format by geoip.country or geoip.asn, which the node may read"
            }
            Self::Tls(_) => "install ca-certificates",
        }
    }
}

/// Who fetches.
#[derive(Debug)]
pub struct Fetcher {
    patience: Patience,
    authority: Option<Vec<u8>>,
    geo: GeoFiles,
    /// Made at the first need: it reads every authority that the host believes.
    https: OnceLock<Result<Https, String>>,
}

impl Fetcher {
    /// A fetcher that believes the authorities that this host believes, and this one (DER) besides, and has these files of
    /// countries and systems.
    pub const fn new(patience: Patience, authority: Option<Vec<u8>>, geo: GeoFiles) -> Self {
        Self { patience, authority, geo, https: OnceLock::new() }
    }

    /// Gets what is there, unless it is what it was when it had these marks.
    ///
    /// # Errors
    /// [`FetchError`]: why not. What was there before still counts.
    pub async fn fetch(&self, source: &Source, known: &Validators) -> Result<Fetched, FetchError> {
        let fetched = match source {
            Source::File(path) => read_file(path, known, self.patience.bytes)?,
            Source::Place(wanted) => self.place(wanted, known)?,
            Source::Https(url) => self.https()?.get(url, known).await?,
        };
        Ok(match fetched {
            Fetched::New(bytes, marks) => Fetched::New(unpack::unpack(bytes, self.patience.bytes)?, marks),
            Fetched::Unchanged => Fetched::Unchanged,
        })
    }

    /// The networks of a place, a line each.
    fn place(&self, wanted: &Wanted, known: &Validators) -> Result<Fetched, FetchError> {
        let (path, what) = match wanted {
            Wanted::Country(_) => (&self.geo.country, "countries"),
            Wanted::System(_) => (&self.geo.asn, "autonomous systems"),
        };
        let path = path.as_deref().ok_or(GeoError::None(what))?;
        let modified = std::fs::metadata(path).ok().and_then(|metadata| changed(&metadata));
        if modified.is_some() && modified == known.modified {
            return Ok(Fetched::Unchanged);
        }
        let networks = Atlas::open(path)?.networks(wanted)?;
        let lines: String = networks.iter().map(|net| format!("{net}\n")).collect();
        Ok(Fetched::New(lines.into_bytes(), Validators { etag: None, modified }))
    }

    fn https(&self) -> Result<&Https, FetchError> {
        let made = self.https.get_or_init(|| Https::new(&self.patience, self.authority.as_deref()));
        made.as_ref().map_err(|why| FetchError::Tls(why.clone()))
    }
}

fn read_file(path: &Path, known: &Validators, most: usize) -> Result<Fetched, FetchError> {
    let metadata = std::fs::metadata(path).map_err(FetchError::File)?;
    if !metadata.is_file() {
        // A pipe would be waited for.
        return Err(FetchError::File(io::Error::other("it is no regular file")));
    }
    let modified = changed(&metadata);
    if modified.is_some() && modified == known.modified {
        return Ok(Fetched::Unchanged);
    }
    let mut bytes = Vec::new();
    let file = File::open(path).map_err(FetchError::File)?;
    file.take(most as u64 + 1).read_to_end(&mut bytes).map_err(FetchError::File)?;
    if bytes.len() > most {
        return Err(FetchError::Large(most));
    }
    Ok(Fetched::New(bytes, Validators { etag: None, modified }))
}

/// When a file was changed, and its length: what tells that it is another.
fn changed(metadata: &std::fs::Metadata) -> Option<String> {
    let at = metadata.modified().ok()?.duration_since(UNIX_EPOCH).ok()?;
    Some(format!("{} {}", at.as_nanos(), metadata.len()))
}
