//! What kinds of attack there are, who says so, on what evidence, and how hard one may act on it.

use core::fmt;

/// Declares an enum whose variants have one stable name each, as users and the wire see it.
macro_rules! named {
    ($(#[$meta:meta])* $name:ident { $($(#[$vmeta:meta])* $variant:ident = $text:literal),+ $(,)? }) => {
        $(#[$meta])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize)]
        pub enum $name { $($(#[$vmeta])* $variant),+ }

        impl $name {
            /// Every variant, in order.
            pub const ALL: &'static [Self] = &[$(Self::$variant),+];

            /// The stable, lower-case name.
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $text),+ }
            }
        }

        impl core::fmt::Display for $name {
            fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
                f.pad(self.as_str())
            }
        }

        impl core::str::FromStr for $name {
            type Err = $crate::class::UnknownName;
            fn from_str(text: &str) -> Result<Self, Self::Err> {
                Self::ALL.iter().copied().find(|v| v.as_str() == text).ok_or($crate::class::UnknownName)
            }
        }
    };
}
pub(crate) use named;

/// The text names no variant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UnknownName;

impl fmt::Display for UnknownName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("not a known name")
    }
}

impl core::error::Error for UnknownName {}

named! {
    /// The class of an attack.
    Class {
        /// Looking for open ports or hosts.
        PortScan = "port_scan",
        /// Guessing credentials.
        BruteForce = "brute_force",
        /// Holding connections open to exhaust the server: slow headers, slow body, slow read.
        SlowDos = "slow_dos",
        /// A flood of complete requests.
        HttpFlood = "http_flood",
        /// A flood of packets: SYN, UDP, ICMP, ACK, amplification.
        NetFlood = "net_flood",
        /// Command and control, tunnels, or our own host scanning others.
        Botnet = "botnet",
        /// Attacks on a web application.
        WebAttack = "web_attack",
        /// Movement inside after a break-in.
        Infiltration = "infiltration",
        /// What has no name: the isolation forest's word.
        Anomaly = "anomaly",
        /// Listed by a threat feed.
        Feed = "feed",
        /// Blocked by a person.
        Manual = "manual",
    }
}

named! {
    /// Who came to a verdict.
    Detector {
        /// Deterministic thresholds.
        Rules = "rules",
        /// The random forest over windows.
        Forest = "forest",
        /// The isolation forest.
        Isolation = "isolation",
        /// The flow models.
        Flow = "flow",
        /// The fleet's sums of weak evidence.
        Fleet = "fleet",
        /// A threat feed.
        Feed = "feed",
        /// A person.
        Operator = "operator",
        /// Another program's word.
        External = "external",
    }
}

named! {
    /// What proves that the source address is real.
    Evidence {
        /// Anybody could have sent these packets under this address.
        Spoofable = "spoofable",
        /// The remote end completed a TCP handshake, or a service vouches for it.
        Handshake = "handshake",
    }
}

named! {
    /// How much a block drops. A hard block is stronger than a soft one.
    Strength {
        /// Dropped unless the packet belongs to an established connection.
        Soft = "soft",
        /// Everything is dropped, before connection tracking.
        Hard = "hard",
    }
}
