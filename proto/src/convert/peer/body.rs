//! The signed bytes of a run.

use prost::Message;
use smartfw_core::{
    Time,
    fleet::{
        CHAIN_BYTES, ENTRY_BYTES, Entry, EntryKind, FleetBlock, NAME_BYTES, RUN_BYTES, RUN_ENTRIES,
        RunHeader, SESSIONS, SignedOrder, TEXT_BYTES, Version,
    },
};

use super::{bytes, fixed, node};
use crate::{
    ConvertError,
    convert::{
        Problem,
        scalar::{
            Result, address, address_bytes, clip, clip_share, durations, name, nanos, optional_name, share,
            small, target, text,
        },
    },
    wire,
};

/// The bytes of a run.
///
/// # Errors
/// When it has more entries or bytes than one may have.
pub fn encode_run(header: &RunHeader, entries: &[Entry]) -> Result<Vec<u8>> {
    let RunHeader { cluster, site, origin, epoch, first, issued, floor } = header;
    within("run.entries", RUN_ENTRIES, entries.len())?;
    let body = wire::RunBody {
        cluster: cluster.clone(),
        site: site.clone(),
        origin: origin.0.to_vec(),
        epoch: *epoch,
        first: *first,
        issued: issued.as_nanos(),
        floor: (*floor != Version::default()).then(|| (*floor).into()),
        entries: entries.iter().map(entry_to_wire).collect(),
    };
    let bytes = body.encode_to_vec();
    within("run", RUN_BYTES, bytes.len())?;
    Ok(bytes)
}

/// The run in these bytes.
///
/// # Errors
/// When they are none, or pass a limit. An entry that is none of those we know is no error.
pub fn decode_run(encoded: &[u8]) -> Result<(RunHeader, Vec<Entry>)> {
    within("run", RUN_BYTES, encoded.len())?;
    let unreadable = |_| ConvertError::new("run", Problem::Unreadable);
    let body = wire::RunBody::decode(encoded).map_err(unreadable)?;
    let wire::RunBody { cluster, site, origin, epoch, first, issued, floor, entries } = body;
    within("run.entries", RUN_ENTRIES, entries.len())?;
    if entries.is_empty() {
        return Err(ConvertError::new("run.entries", Problem::Missing));
    }
    if first.checked_add(entries.len() as u64 - 1).is_none() {
        return Err(ConvertError::new("run.first", Problem::OutOfRange));
    }
    let header = RunHeader {
        cluster: text("run.cluster", NAME_BYTES, cluster)?,
        site: site.map(|site| text("run.site", NAME_BYTES, site)).transpose()?,
        origin: node("run.origin", &origin)?,
        epoch,
        first,
        issued: Time::from_nanos(issued),
        floor: floor
            .map_or_else(Version::default, |floor| Version { epoch: floor.epoch, sequence: floor.sequence }),
    };
    Ok((header, entries.into_iter().map(entry).collect::<Result<_>>()?))
}

fn within(field: &'static str, limit: usize, length: usize) -> Result<()> {
    if length > limit { Err(ConvertError::new(field, Problem::TooLong { length, limit })) } else { Ok(()) }
}

fn entry_to_wire(entry: &Entry) -> wire::RunEntry {
    let lasts = entry.lasts().map(nanos);
    let (kind, body) = match entry {
        Entry::Block(block) => (EntryKind::Block as u32, block_to_wire(block).encode_to_vec()),
        Entry::Withdraw { target, lasts: _ } => (
            EntryKind::Withdraw as u32,
            wire::WithdrawBody { target: Some((*target).into()) }.encode_to_vec(),
        ),
        Entry::Order(order) => (EntryKind::Order as u32, order_to_wire(order).encode_to_vec()),
        Entry::Unknown { kind, lasts: _, bytes } => (*kind, bytes.to_vec()),
        Entry::Sessions { addresses, lasts: _ } => {
            let addresses = addresses.iter().take(SESSIONS).copied().map(address_bytes).collect();
            (EntryKind::Sessions as u32, wire::SessionsBody { addresses }.encode_to_vec())
        }
        Entry::Coordinator { id, address, lasts: _ } => {
            let (id, port) = (id.0.to_vec(), address.port().into());
            let body = wire::CoordinatorBody { id, address: address_bytes(address.ip()), port };
            (EntryKind::Coordinator as u32, body.encode_to_vec())
        }
    };
    wire::RunEntry { kind, lasts, body }
}

fn block_to_wire(block: &FleetBlock) -> wire::BlockBody {
    let FleetBlock { target, class, confidence, strength, detector, evidence, reason, level, duration: _ } =
        block;
    wire::BlockBody {
        target: Some((*target).into()),
        class: wire::Class::from(*class).into(),
        confidence: clip_share(*confidence),
        strength: wire::Strength::from(*strength).into(),
        detector: wire::Detector::from(*detector).into(),
        evidence: evidence.map_or(0, |evidence| wire::Evidence::from(evidence).into()),
        reason: clip(TEXT_BYTES, reason.clone()),
        level: (*level).into(),
    }
}

fn order_to_wire(order: &SignedOrder) -> wire::CarriedOrder {
    let SignedOrder { bytes, signature, certificate, lasts: _ } = order;
    wire::CarriedOrder {
        body: bytes.to_vec(),
        signature: signature.to_vec(),
        certificate: certificate.to_vec(),
    }
}

/// The entry; what cannot be read as what we know, a later version may read.
fn entry(wire::RunEntry { kind, lasts, body }: wire::RunEntry) -> Result<Entry> {
    let body = bytes("run.entry", ENTRY_BYTES, body)?;
    let known = match kind {
        kind if kind == EntryKind::Block as u32 => {
            wire::BlockBody::decode(&*body).ok().map(|b| block(b, lasts))
        }
        kind if kind == EntryKind::Withdraw as u32 => wire::WithdrawBody::decode(&*body).ok().map(|w| {
            Ok(Entry::Withdraw { target: target("withdraw.target", w.target)?, lasts: durations(lasts) })
        }),
        kind if kind == EntryKind::Order as u32 => {
            wire::CarriedOrder::decode(&*body).ok().map(|o| order(o, lasts))
        }
        kind if kind == EntryKind::Sessions as u32 => {
            wire::SessionsBody::decode(&*body).ok().map(|s| sessions(s, lasts))
        }
        kind if kind == EntryKind::Coordinator as u32 => {
            wire::CoordinatorBody::decode(&*body).ok().map(|c| coordinator(c, lasts))
        }
        _ => None,
    };
    let unknown = || Entry::Unknown { kind, lasts: durations(lasts), bytes: body.clone().into() };
    Ok(known.and_then(Result::ok).unwrap_or_else(unknown))
}

fn block(body: wire::BlockBody, lasts: Option<u64>) -> Result<Entry> {
    let wire::BlockBody { target: net, class, confidence, strength, detector, evidence, reason, level } =
        body;
    Ok(Entry::Block(FleetBlock {
        target: target("block.target", net)?,
        class: name("block.class", class)?,
        confidence: share("block.confidence", confidence)?,
        strength: name("block.strength", strength)?,
        detector: name("block.detector", detector)?,
        evidence: optional_name("block.evidence", evidence)?,
        reason: text("block.reason", TEXT_BYTES, reason)?,
        level: small("block.level", level)?,
        duration: durations(lasts),
    }))
}

fn sessions(body: wire::SessionsBody, lasts: Option<u64>) -> Result<Entry> {
    let wire::SessionsBody { addresses } = body;
    within("sessions", SESSIONS, addresses.len())?;
    let each = |one: Vec<u8>| address("sessions.addresses", &one);
    let addresses = addresses.into_iter().map(each).collect::<Result<_>>()?;
    Ok(Entry::Sessions { addresses, lasts: durations(lasts) })
}

fn coordinator(body: wire::CoordinatorBody, lasts: Option<u64>) -> Result<Entry> {
    let wire::CoordinatorBody { id, address: ip, port } = body;
    let port = u16::try_from(port).ok().filter(|port| *port > 0);
    let port = port.ok_or(ConvertError::new("coordinator.port", Problem::OutOfRange))?;
    let address = (address("coordinator.address", &ip)?, port).into();
    Ok(Entry::Coordinator { id: node("coordinator.id", &id)?, address, lasts: durations(lasts) })
}

fn order(carried: wire::CarriedOrder, lasts: Option<u64>) -> Result<Entry> {
    let wire::CarriedOrder { body, signature, certificate } = carried;
    Ok(Entry::Order(SignedOrder {
        bytes: body.into(),
        signature: fixed("order.signature", &signature)?,
        certificate: bytes("order.certificate", CHAIN_BYTES, certificate)?.into(),
        lasts: durations(lasts),
    }))
}
