//! Countries and autonomous systems, by the operator's own files in MaxMind's format (`GeoLite2-Country.mmdb`,
//! `GeoLite2-ASN.mmdb`). Source: maxmind.github.io/MaxMind-DB.

mod wanted;

use std::{
    collections::HashMap,
    fs::File,
    io::{self, Read as _},
    net::IpAddr,
    path::{Path, PathBuf},
};

use maxminddb::{MaxMindDbError, PathElement, Reader};
use smartfw_core::{IpNet, prefix};
use thiserror::Error;

use crate::feed::{ENTRIES, WIDEST_V4, WIDEST_V6};

pub use wanted::{UnknownPlace, Wanted};

/// The largest file that is read: those of whole cities are a quarter of it.
const LARGEST: u64 = 256 << 20;

/// Networks of a file that are looked at: the largest have some millions. A damaged file may seem to have no end.
const NETWORKS: usize = 10_000_000;

/// Bytes of an organisation's name.
const NAME: usize = 128;

/// Where the files are.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct GeoFiles {
    /// The file of countries.
    pub country: Option<PathBuf>,
    /// The file of autonomous systems.
    pub asn: Option<PathBuf>,
}

/// What the files say of an address.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Place {
    /// The country's code, ISO 3166-1 alpha-2.
    pub country: Option<String>,
    /// The autonomous system's number.
    pub system: Option<u32>,
    /// Whose system it is.
    pub organisation: Option<String>,
}

/// A file cannot be used.
#[derive(Debug, Error)]
pub enum GeoError {
    /// None is configured.
    #[error("no file of {0} is configured")]
    None(&'static str),
    /// It cannot be read.
    #[error("{path}: {source}")]
    Unreadable {
        /// Which.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// It is no such file.
    #[error("{path}: {why}")]
    Damaged {
        /// Which.
        path: PathBuf,
        /// What is wrong with it.
        why: String,
    },
    /// It has more networks than can be blocked.
    #[error("{0} has more than {ENTRIES} networks")]
    Large(Wanted),
}

/// One file, read.
#[derive(Debug)]
pub struct Atlas {
    reader: Reader<Vec<u8>>,
    path: PathBuf,
}

impl Atlas {
    /// Reads a file.
    ///
    /// # Errors
    /// When it cannot be read, or is none.
    pub fn open(path: &Path) -> Result<Self, GeoError> {
        let unreadable = |source| GeoError::Unreadable { path: path.to_owned(), source };
        let file = File::open(path).map_err(unreadable)?;
        if !file.metadata().map_err(unreadable)?.is_file() {
            return Err(unreadable(io::Error::other("it is no regular file")));
        }
        let mut bytes = Vec::new();
        file.take(LARGEST + 1).read_to_end(&mut bytes).map_err(unreadable)?;
        if bytes.len() as u64 > LARGEST {
            return Err(unreadable(io::Error::other(format!("it is larger than {LARGEST} bytes"))));
        }
        let reader = Reader::from_source(bytes);
        let reader =
            reader.map_err(|why| GeoError::Damaged { path: path.to_owned(), why: why.to_string() })?;
        Ok(Self { reader, path: path.to_owned() })
    }

    /// What this file says of an address; what it does not say, or says unreadably, stays as it is.
    pub fn tell(&self, address: IpAddr, place: &mut Place) {
        let Ok(found) = self.reader.lookup(prefix::canonical(address)) else { return };
        let text = |path: &[PathElement<'_>]| found.decode_path::<String>(path).ok().flatten();
        place.country = text(&COUNTRY).filter(|code| code.len() == 2).or_else(|| place.country.take());
        let system = found.decode_path::<u32>(&SYSTEM).ok().flatten();
        place.system = system.or(place.system);
        let organisation = text(&ORGANISATION).map(|name| name.chars().take(NAME).collect());
        place.organisation = organisation.or_else(|| place.organisation.take());
    }

    /// The networks of a country or of a system, none wider than may be blocked.
    ///
    /// # Errors
    /// When the file is damaged, or there are too many.
    pub fn networks(&self, wanted: &Wanted) -> Result<Vec<IpNet>, GeoError> {
        let damaged = |why: MaxMindDbError| self.damaged(&why.to_string());
        // Records are shared by many networks.
        let mut known: HashMap<usize, bool> = HashMap::new();
        let mut networks = Vec::new();
        for (found, number) in self.reader.networks(Default::default()).map_err(damaged)?.zip(0..) {
            let found = found.map_err(damaged)?;
            if number >= NETWORKS {
                return Err(self.damaged("it has no end"));
            }
            let Some(offset) = found.offset() else { continue };
            let is_it = || match wanted {
                Wanted::Country(code) => {
                    found.decode_path::<String>(&COUNTRY).is_ok_and(|found| found.as_ref() == Some(code))
                }
                Wanted::System(number) => {
                    found.decode_path::<u32>(&SYSTEM).is_ok_and(|found| found == Some(*number))
                }
            };
            if *known.entry(offset).or_insert_with(is_it) {
                let network = found.network().map_err(damaged)?;
                let net = IpNet::new(network.ip(), network.prefix()).ok();
                net.into_iter().try_for_each(|net| add(&mut networks, net, wanted))?;
            }
        }
        Ok(networks)
    }

    fn damaged(&self, why: &str) -> GeoError {
        GeoError::Damaged { path: self.path.clone(), why: why.to_owned() }
    }
}

const COUNTRY: [PathElement<'static>; 2] = [PathElement::Key("country"), PathElement::Key("iso_code")];
const SYSTEM: [PathElement<'static>; 1] = [PathElement::Key("autonomous_system_number")];
const ORGANISATION: [PathElement<'static>; 1] = [PathElement::Key("autonomous_system_organization")];

/// Adds a network, in pieces where it is wider than may be blocked.
fn add(networks: &mut Vec<IpNet>, net: IpNet, wanted: &Wanted) -> Result<(), GeoError> {
    let net = prefix::canonical_net(net);
    let widest = if matches!(net, IpNet::V4(_)) { WIDEST_V4 } else { WIDEST_V6 };
    let pieces = net.subnets(widest.max(net.prefix_len())).into_iter().flatten();
    for piece in pieces {
        if networks.len() >= ENTRIES {
            return Err(GeoError::Large(wanted.clone()));
        }
        networks.push(piece);
    }
    Ok(())
}

#[cfg(test)]
mod tests;
