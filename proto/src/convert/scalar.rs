//! The small things that every message is made of: names, texts, addresses, numbers, lists.

use std::{net::IpAddr, time::Duration};

use smartfw_core::{
    Action, Class, Detector, EventKind, Evidence, Features, HealthLevel, IpNet, Outcome, Strength, Time,
    Withheld, features,
    members::MemberState,
    order::{EnforcementState, Mode},
    prefix,
    protect::Why,
    verdict::Protocol,
};

use super::{ConvertError, Problem};
use crate::{limits, view::Coordinator, wire};

pub(super) type Result<T> = std::result::Result<T, ConvertError>;

/// Ties the variants of an enum of the domain to those of the wire.
macro_rules! mirror {
    ($domain:ident { $($variant:ident => $other:ident),+ $(,)? }) => {
        impl From<$domain> for wire::$domain {
            fn from(value: $domain) -> Self {
                match value { $($domain::$variant => Self::$other),+ }
            }
        }

        impl FromWire for $domain {
            fn from_wire(value: i32) -> Option<Self> {
                match wire::$domain::try_from(value).ok()? {
                    $(wire::$domain::$other => Some(Self::$variant),)+
                    wire::$domain::Unspecified => None,
                }
            }
        }
    };
    ($domain:ident { $($variant:ident),+ $(,)? }) => { mirror!($domain { $($variant => $variant),+ }); };
}

/// An enum of the domain that the wire carries as a number; 0 is none.
pub(super) trait FromWire: Sized {
    fn from_wire(value: i32) -> Option<Self>;
}

mirror!(Class {
    PortScan,
    BruteForce,
    SlowDos,
    HttpFlood,
    NetFlood,
    Botnet,
    WebAttack,
    Infiltration,
    Anomaly,
    Feed,
    Manual,
});
mirror!(Detector { Rules, Forest, Isolation, Flow, Fleet, Feed, Operator, External });
mirror!(Evidence { Spoofable, Handshake });
mirror!(Strength { Soft, Hard });
mirror!(Action { Block, RateLimit, Report, Pending, Protected });
mirror!(Protocol { Tcp, Udp, Icmp, Other });
mirror!(EnforcementState { On, Off, Panic });
mirror!(Mode { Auto, Manual });
mirror!(HealthLevel { Info, Warn, Error });
mirror!(MemberState { Alive, Suspect, Dead, Left });
mirror!(EventKind { Alert, Block, Lift, Health, Audit });
mirror!(Outcome { Passes, Suspended, Limited, Dropped });
mirror!(Why {
    Loopback => Loopback, Unspecified => UnspecifiedAddress, LinkLocal => LinkLocal, Multicast => Multicast,
    Broadcast => Broadcast, Own => Own, Gateway => Gateway, Resolver => Resolver, Dhcp => Dhcp, Ntp => Ntp,
    SshSession => SshSession, AllowList => AllowList, Member => Member, Coordinator => Coordinator,
    Canary => Canary,
});

mirror!(Withheld {
    TooWide,
    NotAnOperator,
    Private,
    Outbound,
    Isolation,
    NoEvidence,
    Canary,
    Distrusted,
    Unblocked,
    HeldBack,
    Proxy,
    Regular,
    Quorum,
    Quota,
});

impl From<Coordinator> for wire::Coordinator {
    fn from(value: Coordinator) -> Self {
        match value {
            Coordinator::None => Self::Unspecified,
            Coordinator::Connected => Self::Connected,
            Coordinator::Away => Self::Away,
        }
    }
}

/// A value that must be there.
pub(super) fn name<T: FromWire>(field: &'static str, value: i32) -> Result<T> {
    optional_name(field, value)?.ok_or(ConvertError::new(field, Problem::Missing))
}

/// A value that may be left out.
pub(super) fn optional_name<T: FromWire>(field: &'static str, value: i32) -> Result<Option<T>> {
    match T::from_wire(value) {
        None if value != 0 => Err(ConvertError::new(field, Problem::Unknown(value.into()))),
        known => Ok(known),
    }
}

/// A message that must be there.
pub(super) fn required<T>(field: &'static str, value: Option<T>) -> Result<T> {
    value.ok_or(ConvertError::new(field, Problem::Missing))
}

/// A list of at most `limit` entries, each converted.
pub(super) fn list<W, D>(field: &'static str, limit: usize, values: Vec<W>) -> Result<Vec<D>>
where
    D: TryFrom<W, Error = ConvertError>,
{
    bounded(field, limit, values.len())?;
    values.into_iter().map(D::try_from).collect()
}

/// A list of at most [`limits::LISTED`] names.
pub(super) fn names(field: &'static str, values: Vec<String>) -> Result<Vec<String>> {
    bounded(field, limits::LISTED, values.len())?;
    values.into_iter().map(|value| text(field, limits::NAME, value)).collect()
}

/// A text of at most `limit` bytes.
pub(super) fn text(field: &'static str, limit: usize, value: String) -> Result<String> {
    bounded(field, limit, value.len())?;
    Ok(value)
}

fn bounded(field: &'static str, limit: usize, length: usize) -> Result<()> {
    if length > limit { Err(ConvertError::new(field, Problem::TooLong { length, limit })) } else { Ok(()) }
}

/// `value` cut to at most `limit` bytes, between characters.
pub(super) fn clip(limit: usize, mut value: String) -> String {
    if value.len() > limit {
        let end = (0..=limit).rev().find(|&end| value.is_char_boundary(end)).unwrap_or(0);
        value.truncate(end);
    }
    value
}

/// The first `limit` entries, converted.
pub(super) fn clipped<D, W: From<D>>(limit: usize, values: Vec<D>) -> Vec<W> {
    values.into_iter().take(limit).map(W::from).collect()
}

/// The first [`limits::LISTED`] names, each clipped.
pub(super) fn clipped_names(values: Vec<String>) -> Vec<String> {
    values.into_iter().take(limits::LISTED).map(|value| clip(limits::NAME, value)).collect()
}

pub(super) fn address(field: &'static str, bytes: &[u8]) -> Result<IpAddr> {
    let address = match bytes.len() {
        4 => <[u8; 4]>::try_from(bytes).ok().map(IpAddr::from),
        16 => <[u8; 16]>::try_from(bytes).ok().map(IpAddr::from),
        _ => None,
    };
    address.map(prefix::canonical).ok_or(ConvertError::new(field, Problem::NoAddress))
}

pub(super) fn address_bytes(address: IpAddr) -> Vec<u8> {
    match address {
        IpAddr::V4(v4) => v4.octets().to_vec(),
        IpAddr::V6(v6) => v6.octets().to_vec(),
    }
}

pub(super) fn target(field: &'static str, value: Option<wire::Prefix>) -> Result<IpNet> {
    let wire::Prefix { address, length } = required(field, value)?;
    let bad = ConvertError::new(field, Problem::NoAddress);
    let address = match address.len() {
        4 => <[u8; 4]>::try_from(address).ok().map(IpAddr::from),
        16 => <[u8; 16]>::try_from(address).ok().map(IpAddr::from),
        _ => None,
    };
    let (Some(address), Ok(length)) = (address, u8::try_from(length)) else { return Err(bad) };
    IpNet::new(address, length).map(prefix::canonical_net).map_err(|_| bad)
}

impl From<IpNet> for wire::Prefix {
    fn from(net: IpNet) -> Self {
        Self { address: address_bytes(net.network()), length: net.prefix_len().into() }
    }
}

/// A share between 0 and 1.
pub(super) fn share(field: &'static str, value: f32) -> Result<f32> {
    if (0.0..=1.0).contains(&value) { Ok(value) } else { Err(ConvertError::new(field, Problem::OutOfRange)) }
}

/// `value` within 0 and 1, whatever it was.
pub(super) fn clip_share(value: f32) -> f32 {
    if value.is_finite() { value.clamp(0.0, 1.0) } else { 0.0 }
}

pub(super) fn finite(field: &'static str, value: f64) -> Result<f64> {
    if value.is_finite() { Ok(value) } else { Err(ConvertError::new(field, Problem::OutOfRange)) }
}

pub(super) fn clip_finite(value: f64) -> f64 {
    if value.is_finite() { value } else { 0.0 }
}

pub(super) fn small<T: TryFrom<u32>>(field: &'static str, value: u32) -> Result<T> {
    T::try_from(value).map_err(|_| ConvertError::new(field, Problem::OutOfRange))
}

/// Nanoseconds; what is longer than 584 years is 584 years.
pub(super) fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

pub(super) fn times(value: Option<u64>) -> Option<Time> {
    value.map(Time::from_nanos)
}

pub(super) fn durations(value: Option<u64>) -> Option<Duration> {
    value.map(Duration::from_nanos)
}

impl From<Features> for wire::Features {
    fn from(features: Features) -> Self {
        let finite = |value: f32| if value.is_finite() { value } else { 0.0 };
        Self { schema: features::SCHEMA, values: features.to_array().map(finite).to_vec() }
    }
}

impl TryFrom<wire::Features> for Features {
    type Error = ConvertError;
    fn try_from(wire::Features { schema, values }: wire::Features) -> Result<Self> {
        if schema != features::SCHEMA {
            return Err(ConvertError::new("features.schema", Problem::Unknown(schema.into())));
        }
        let length = values.len();
        let wrong = Problem::TooLong { length, limit: features::NAMES.len() };
        let values = values.try_into().map_err(|_| ConvertError::new("features.values", wrong))?;
        let features = Self::from_array(values);
        if values.iter().all(|value| value.is_finite()) {
            Ok(features)
        } else {
            Err(ConvertError::new("features.values", Problem::OutOfRange))
        }
    }
}
