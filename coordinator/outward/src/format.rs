//! How an event looks to other programs. Each format is a file; none of them can be broken by what it carries.

mod cef;
mod ecs;
mod eve;
mod syslog;

use serde::Deserialize;
use smartfw_proto::json;

use crate::event::{Facts, NodeEvent, Room};

pub use syslog::Facility;

/// What a receiver reads.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Format {
    /// Suricata's eve.json: one JSON object a line.
    #[default]
    Eve,
    /// The Elastic Common Schema 8: one JSON object a line.
    Ecs,
    /// ArcSight's Common Event Format.
    Cef,
    /// RFC 5424, with the facts as structured data and a sentence as message.
    Syslog,
    /// RFC 5424 with CEF as message, as most collectors of CEF want it.
    CefSyslog,
}

impl Format {
    /// Whether records are syslog messages, which are framed by their own rule.
    pub const fn is_syslog(self) -> bool {
        matches!(self, Self::Syslog | Self::CefSyslog)
    }

    /// One record of at most `most` bytes (2,048 always suffice), without its end. What does not fit is left out, the
    /// event's body first, then the ends of long texts: the record stays whole.
    pub fn record(self, told: &NodeEvent, facility: Facility, most: usize) -> Vec<u8> {
        let facts = Facts::of(told);
        let mut record = String::new();
        for room in Room::ALL {
            record = match self {
                Self::Eve => json::text(&eve::record(&facts, room)),
                Self::Ecs => json::text(&ecs::record(&facts, room)),
                Self::Cef => cef::record(&facts, room),
                Self::Syslog => syslog::record(&facts, facility, room, &syslog::sentence(&facts, room)),
                Self::CefSyslog => syslog::record(&facts, facility, room, &cef::record(&facts, room)),
            };
            if record.len() <= most {
                break;
            }
        }
        record.into_bytes()
    }
}

#[cfg(test)]
mod tests;
