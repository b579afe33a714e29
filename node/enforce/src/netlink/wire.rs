//! Netlink messages and their attributes, as bytes. Lengths and types are in the host's byte order.

/// This is a request.
pub(crate) const REQUEST: u16 = 0x1;
/// Answer it even when all is well.
pub(crate) const ACK: u16 = 0x4;
/// Answer with everything there is.
pub(crate) const DUMP: u16 = 0x300;
/// Refuse what exists already.
pub(crate) const EXCLUSIVE: u16 = 0x200;

/// The attribute holds attributes.
const NESTED: u16 = 0x8000;
/// The attribute's number is in network byte order.
const NETWORK_ORDER: u16 = 0x4000;

const HEADER: usize = 16;
const ATTRIBUTE: usize = 4;

/// A message in the making.
pub(crate) struct Message {
    bytes: Vec<u8>,
}

impl Message {
    /// An empty message of this type.
    pub(crate) fn new(kind: u16, flags: u16) -> Self {
        let mut bytes = vec![0; HEADER];
        bytes[4..6].copy_from_slice(&kind.to_ne_bytes());
        bytes[6..8].copy_from_slice(&flags.to_ne_bytes());
        Self { bytes }
    }

    /// A message of netfilter's `subsystem`, for one address family (0 for any).
    pub(crate) fn netfilter(subsystem: u8, command: u8, flags: u16, family: u8) -> Self {
        let mut message = Self::new(u16::from(subsystem) << 8 | u16::from(command), flags);
        message.raw(&[family, 0, 0, 0]);
        message
    }

    /// Bytes that are no attribute, padded to four.
    pub(crate) fn raw(&mut self, bytes: &[u8]) -> &mut Self {
        self.bytes.extend_from_slice(bytes);
        self.bytes.resize(self.bytes.len().next_multiple_of(4), 0);
        self
    }

    /// An attribute.
    pub(crate) fn attribute(&mut self, kind: u16, payload: &[u8]) -> &mut Self {
        let length = (ATTRIBUTE + payload.len()) as u16;
        self.bytes.extend_from_slice(&length.to_ne_bytes());
        self.bytes.extend_from_slice(&kind.to_ne_bytes());
        self.raw(payload)
    }

    /// One byte.
    pub(crate) fn byte(&mut self, kind: u16, value: u8) -> &mut Self {
        self.attribute(kind, &[value])
    }

    /// A number of four bytes in network byte order.
    pub(crate) fn number(&mut self, kind: u16, value: u32) -> &mut Self {
        self.attribute(kind | NETWORK_ORDER, &value.to_be_bytes())
    }

    /// A number of eight bytes in network byte order.
    pub(crate) fn long(&mut self, kind: u16, value: u64) -> &mut Self {
        self.attribute(kind | NETWORK_ORDER, &value.to_be_bytes())
    }

    /// An address, in network byte order.
    pub(crate) fn address(&mut self, kind: u16, octets: &[u8]) -> &mut Self {
        self.attribute(kind | NETWORK_ORDER, octets)
    }

    /// A string with its final zero.
    pub(crate) fn text(&mut self, kind: u16, text: &str) -> &mut Self {
        let mut bytes = text.as_bytes().to_vec();
        bytes.push(0);
        self.attribute(kind, &bytes)
    }

    /// Attributes within an attribute, which may hold 65,531 bytes.
    pub(crate) fn nest(&mut self, kind: u16, fill: impl FnOnce(&mut Self)) -> &mut Self {
        let start = self.bytes.len();
        self.attribute(kind | NESTED, &[]);
        fill(self);
        let length = (self.bytes.len() - start) as u16;
        self.bytes[start..start + 2].copy_from_slice(&length.to_ne_bytes());
        self
    }

    /// How many bytes it has so far.
    pub(crate) fn len(&self) -> usize {
        self.bytes.len()
    }

    /// The finished message.
    pub(crate) fn finish(mut self, sequence: u32) -> Vec<u8> {
        let length = self.bytes.len() as u32;
        self.bytes[0..4].copy_from_slice(&length.to_ne_bytes());
        self.bytes[8..12].copy_from_slice(&sequence.to_ne_bytes());
        self.bytes
    }
}

/// A message that came in.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Received<'a> {
    pub(crate) kind: u16,
    pub(crate) sequence: u32,
    pub(crate) payload: &'a [u8],
}

/// The messages of one datagram; ends at the first that is cut short.
pub(crate) fn messages(mut bytes: &[u8]) -> impl Iterator<Item = Received<'_>> {
    std::iter::from_fn(move || {
        let length = u32_at(bytes, 0)? as usize;
        let (kind, sequence) = (u16_at(bytes, 4)?, u32_at(bytes, 8)?);
        let payload = bytes.get(HEADER..length)?;
        bytes = bytes.get(length.next_multiple_of(4)..).unwrap_or_default();
        Some(Received { kind, sequence, payload })
    })
}

/// The attributes in `bytes`, flags removed from their types; ends at the first that is cut short.
pub(crate) fn attributes(mut bytes: &[u8]) -> impl Iterator<Item = (u16, &[u8])> {
    std::iter::from_fn(move || {
        let length = u16_at(bytes, 0)? as usize;
        let kind = u16_at(bytes, 2)? & !(NESTED | NETWORK_ORDER);
        let payload = bytes.get(ATTRIBUTE..length)?;
        bytes = bytes.get(length.next_multiple_of(4)..).unwrap_or_default();
        Some((kind, payload))
    })
}

/// The first attribute of this type.
pub(crate) fn find(bytes: &[u8], kind: u16) -> Option<&[u8]> {
    attributes(bytes).find(|(k, _)| *k == kind).map(|(_, payload)| payload)
}

/// The whole attribute's number, in network byte order.
pub(crate) fn be_u32(payload: &[u8]) -> Option<u32> {
    Some(u32::from_be_bytes(payload.try_into().ok()?))
}

/// The whole attribute's number, in network byte order.
pub(crate) fn be_u64(payload: &[u8]) -> Option<u64> {
    Some(u64::from_be_bytes(payload.try_into().ok()?))
}

/// A string up to its final zero.
pub(crate) fn text(payload: &[u8]) -> Option<&str> {
    std::str::from_utf8(payload.split(|b| *b == 0).next()?).ok()
}

/// The number at `at`, in the host's byte order.
pub(crate) fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_ne_bytes(bytes.get(at..at + 4)?.try_into().ok()?))
}

fn u16_at(bytes: &[u8], at: usize) -> Option<u16> {
    Some(u16::from_ne_bytes(bytes.get(at..at + 2)?.try_into().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read_back() {
        let mut message = Message::netfilter(6, 9, REQUEST | ACK, 2);
        message.byte(1, 7).text(2, "abc").nest(7, |m| {
            m.number(6, 300).address(1, &[192, 0, 2, 1]);
        });
        let bytes = message.finish(42);
        let received: Vec<_> = messages(&bytes).collect();
        assert_eq!((received.len(), received[0].kind, received[0].sequence), (1, 0x0609, 42));
        let body = &received[0].payload[4..];
        assert_eq!(find(body, 2).and_then(text), Some("abc"));
        let nested = find(body, 7).unwrap();
        assert_eq!(find(nested, 6).and_then(be_u32), Some(300));
        assert_eq!(find(nested, 1), Some(&[192, 0, 2, 1][..]));
    }

    #[test]
    fn attributes_are_laid_out_as_the_kernel_reads_them() {
        let mut message = Message::new(0x0102, REQUEST);
        message.text(2, "ab").number(6, 1);
        let bytes = message.finish(1);
        assert_eq!(u32_at(&bytes, 0), Some(32));
        assert_eq!(&bytes[16..24], &[7, 0, 2, 0, b'a', b'b', 0, 0]);
        assert_eq!(&bytes[24..32], &[8, 0, 6, 0x40, 0, 0, 0, 1]);
    }

    proptest::proptest! {
        #[test]
        fn any_bytes_are_read_without_a_panic(bytes: Vec<u8>) {
            for message in messages(&bytes) {
                attributes(message.payload).for_each(|(_, payload)| { attributes(payload).count(); });
            }
            attributes(&bytes).for_each(|(_, payload)| { text(payload); });
        }
    }
}
