//! The hashes that digests are made of. They find what differs; they prove nothing, signatures do.

use core::hash::Hasher;

use siphasher::sip::SipHasher24;

use crate::fleet::{LogId, Version};

/// Keys of the hashes: the same on every member.
const TAG: u64 = 0x736d_6172_7466_7701;
const RUN: u64 = 0x736d_6172_7466_7702;
const QUARANTINED: u64 = 0x736d_6172_7466_7703;

/// Names a log in eight bytes.
pub(super) fn tag(log: &LogId) -> u64 {
    let mut hasher = SipHasher24::new_with_keys(TAG, 0);
    hasher.write(&log.origin.0);
    if let Some(site) = &log.site {
        hasher.write(site.as_bytes());
        hasher.write_u8(1);
    }
    hasher.finish()
}

/// What a run adds to its log's digest.
pub(super) fn run(tag: u64, first: Version, last: u64, signature: &[u8; 64]) -> u64 {
    let mut hasher = SipHasher24::new_with_keys(RUN, tag);
    for number in [first.epoch, first.sequence, last] {
        hasher.write(&number.to_le_bytes());
    }
    hasher.write(signature);
    hasher.finish()
}

/// The digest of a log whose origin was found lying: whichever runs prove it.
pub(super) fn quarantined(tag: u64) -> u64 {
    let mut hasher = SipHasher24::new_with_keys(QUARANTINED, tag);
    hasher.write_u8(1);
    hasher.finish()
}

/// A log's digest within the digest of all: a log without runs adds nothing.
pub(super) fn log(tag: u64, digest: u64) -> u64 {
    if digest == 0 {
        return 0;
    }
    let mut hasher = SipHasher24::new_with_keys(tag, digest);
    hasher.write_u8(2);
    hasher.finish()
}
