//! What detection says: the one type that the data plane and the control plane share.

use alloc::string::String;
use core::{fmt, net::IpAddr};

use serde::{Deserialize, Serialize};

use crate::{Class, Detector, Evidence, Features, Time, class::named};

/// Detection's word about somebody, with what it rests on. It asks for nothing: policy decides.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Verdict {
    /// When the deciding packet or log line was seen.
    pub at: Time,
    /// About whom.
    pub subject: Subject,
    /// Of what.
    pub class: Class,
    /// How sure, 0 to 1.
    pub confidence: f32,
    /// Who says so.
    pub detector: Detector,
    /// What proves the source's address; `None` where there is no single source.
    pub evidence: Option<Evidence>,
    /// Why, in numbers and in words.
    pub reason: Reason,
    /// The window at that moment.
    pub features: Features,
    /// What else is known of the source that tempers what may follow.
    pub standing: Standing,
}

/// Whom a verdict is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Subject {
    /// A remote address.
    Source(IpAddr),
    /// One of our services under a spoofed or distributed attack, and how many sources were seen.
    Destination {
        /// The service attacked.
        service: Service,
        /// How many different sources were seen, estimated.
        sources_seen: u64,
    },
}

/// A local service. Shown as `10.0.0.5:80/tcp`, `[2001:db8::1]:80/tcp`, and without a port for ICMP.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Service {
    /// The local address.
    pub address: IpAddr,
    /// The local port; 0 for protocols without ports, and for floods over many ports.
    pub port: u16,
    /// The transport protocol.
    pub protocol: Protocol,
}

impl fmt::Display for Service {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.address, self.port) {
            (address, 0) => write!(f, "{address}/{}", self.protocol),
            (IpAddr::V4(v4), port) => write!(f, "{v4}:{port}/{}", self.protocol),
            (IpAddr::V6(v6), port) => write!(f, "[{v6}]:{port}/{}", self.protocol),
        }
    }
}

named! {
    /// The transport protocols that detection tells apart.
    Protocol {
        /// TCP.
        Tcp = "tcp",
        /// UDP.
        Udp = "udp",
        /// ICMP and ICMPv6.
        Icmp = "icmp",
        /// Everything else.
        Other = "other",
    }
}

/// The number that decided, beside the limit that it met.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Reason {
    /// The rule's name, as in the configuration (`detection.rules.<name>`), or the model's.
    pub rule: String,
    /// What was measured.
    pub measured: f64,
    /// The limit that it reached.
    pub limit: f64,
    /// The same for a human being: `312 ports in 4.1 s`.
    pub text: String,
}

/// What is known in favour of a source: it bounds the answer, whatever the class.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Standing {
    /// It completed a benign handshake within the last 24 hours.
    pub known: bool,
    /// Somebody in its /64 did, be it another (IPv6).
    pub network_known: bool,
    /// It has connections open now that are not part of the offence.
    pub established: bool,
    /// Its share of the last hour's established flows, per mille.
    pub flow_share: u16,
    /// It shows several clients behind it (a proxy, a load balancer, a carrier's NAT).
    pub shared: bool,
}
