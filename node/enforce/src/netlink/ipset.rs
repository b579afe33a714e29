//! Sets in the kernel, by netfilter's ipset messages: every refusal comes back with its element.

use smartfw_core::IpNet;

use super::{
    Failure, Socket,
    wire::{self, ACK, DUMP, EXCLUSIVE, Message, REQUEST},
};
use crate::{
    EnforceError,
    sets::{CAPACITY, Element, Family, TYPE},
};

const SUBSYSTEM: u8 = 6;
/// Every kernel since 2.6.39 speaks this version.
const PROTOCOL: u8 = 6;
/// The oldest revision of hash:net that has counters and comments.
const REVISION: u8 = 4;
/// The kernel's own limit is 65,531 bytes for the attribute that holds all elements of one message; one element
/// takes at most 400.
const MESSAGE: usize = 60_000;

mod command {
    pub(super) const PROTOCOL: u8 = 1;
    pub(super) const CREATE: u8 = 2;
    pub(super) const DESTROY: u8 = 3;
    pub(super) const FLUSH: u8 = 4;
    pub(super) const SWAP: u8 = 6;
    pub(super) const LIST: u8 = 7;
    pub(super) const ADD: u8 = 9;
    pub(super) const DELETE: u8 = 10;
}

mod attribute {
    pub(super) const PROTOCOL: u16 = 1;
    pub(super) const NAME: u16 = 2;
    pub(super) const TYPE: u16 = 3;
    pub(super) const OTHER_NAME: u16 = 3;
    pub(super) const REVISION: u16 = 4;
    pub(super) const FAMILY: u16 = 5;
    pub(super) const FLAGS: u16 = 6;
    pub(super) const DATA: u16 = 7;
    pub(super) const ELEMENTS: u16 = 8;
    pub(super) const LINE: u16 = 9;
    /// Within `DATA`.
    pub(super) const IP: u16 = 1;
    pub(super) const PREFIX: u16 = 3;
    pub(super) const TIMEOUT: u16 = 6;
    pub(super) const OPTIONS: u16 = 8;
    pub(super) const HASH_SIZE: u16 = 18;
    pub(super) const CAPACITY: u16 = 19;
    pub(super) const COUNT: u16 = 24;
    pub(super) const REFERENCES: u16 = 25;
    /// Within the `DATA` of an element.
    pub(super) const BYTES: u16 = 24;
    pub(super) const PACKETS: u16 = 25;
    pub(super) const COMMENT: u16 = 26;
    /// Within `IP`.
    pub(super) const IPV4: u16 = 1;
    pub(super) const IPV6: u16 = 2;
}

const LIST_HEADER: u32 = 1 << 2;
const NO_MATCH: u32 = 1 << 2;
const WITH_COUNTERS: u32 = 1 << 3;
const WITH_COMMENT: u32 = 1 << 4;

/// What a set is, without its elements.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Header {
    kind: String,
    family: u8,
    options: u32,
    timeouts: bool,
    /// How many elements it holds.
    pub(crate) count: u32,
    /// How many rules use it.
    pub(crate) references: u32,
}

impl Header {
    /// Whether it is a set as [`Ipset::create`] makes it.
    pub(crate) fn fits(&self, family: Family) -> bool {
        let wanted = WITH_COUNTERS | WITH_COMMENT;
        self.kind == TYPE
            && self.family == family.number()
            && self.timeouts
            && self.options & wanted == wanted
    }
}

/// What becomes of an element.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Operation {
    /// It is added, or its timeout and comment are replaced and its counters kept.
    Add,
    /// It is deleted, if it is there.
    Delete,
}

/// A conversation with the kernel's sets of one network namespace.
pub(crate) struct Ipset {
    socket: Socket,
}

impl Ipset {
    /// Opens it in the calling thread's network namespace.
    pub(crate) fn open() -> Result<Self, EnforceError> {
        Ok(Self { socket: Socket::open(nix::sys::socket::SockProtocol::NetlinkNetFilter, 0)? })
    }

    /// Whether the kernel has sets and lets us use them.
    pub(crate) fn probe(&mut self) -> Result<(), Failure> {
        self.socket.request(request(command::PROTOCOL, REQUEST | ACK), |_| {})
    }

    /// Makes an empty set that expects `hint` elements.
    pub(crate) fn create(&mut self, name: &str, family: Family, hint: usize) -> Result<(), Failure> {
        let mut message = request(command::CREATE, REQUEST | ACK | EXCLUSIVE);
        // Twelve elements fit a bucket: half full is quick and still small.
        let buckets = (hint / 6).next_power_of_two().clamp(1024, 1 << 19) as u32;
        message
            .text(attribute::NAME, name)
            .text(attribute::TYPE, TYPE)
            .byte(attribute::REVISION, REVISION)
            .byte(attribute::FAMILY, family.number())
            .nest(attribute::DATA, |data| {
                data.number(attribute::TIMEOUT, 0)
                    .number(attribute::OPTIONS, WITH_COUNTERS | WITH_COMMENT)
                    .number(attribute::HASH_SIZE, buckets)
                    .number(attribute::CAPACITY, CAPACITY);
            });
        self.socket.request(message, |_| {})
    }

    /// Destroys a set that nothing uses.
    pub(crate) fn destroy(&mut self, name: &str) -> Result<(), Failure> {
        self.on(command::DESTROY, name)
    }

    /// Empties a set.
    pub(crate) fn flush(&mut self, name: &str) -> Result<(), Failure> {
        self.on(command::FLUSH, name)
    }

    /// Exchanges two sets' elements in one step that packets cannot see between.
    pub(crate) fn swap(&mut self, name: &str, other: &str) -> Result<(), Failure> {
        let mut message = request(command::SWAP, REQUEST | ACK);
        message.text(attribute::NAME, name).text(attribute::OTHER_NAME, other);
        self.socket.request(message, |_| {})
    }

    /// What a set is; `None` when there is none of this name.
    pub(crate) fn header(&mut self, name: &str) -> Result<Option<Header>, Failure> {
        let mut message = request(command::LIST, REQUEST | DUMP);
        message.text(attribute::NAME, name).number(attribute::FLAGS, LIST_HEADER);
        let mut header = Header::default();
        let outcome = self.socket.request(message, |answer| {
            read_header(answer.payload.get(4..).unwrap_or_default(), &mut header);
        });
        existing(outcome).map(|exists| exists.then_some(header))
    }

    /// Hands every element of a set to `each`; false when there is none of this name.
    pub(crate) fn list(&mut self, name: &str, mut each: impl FnMut(Element)) -> Result<bool, Failure> {
        let mut message = request(command::LIST, REQUEST | DUMP);
        message.text(attribute::NAME, name);
        let outcome = self.socket.request(message, |answer| {
            let body = answer.payload.get(4..).unwrap_or_default();
            let elements = wire::find(body, attribute::ELEMENTS).unwrap_or_default();
            wire::attributes(elements).filter_map(|(_, data)| read_element(data)).for_each(&mut each);
        });
        existing(outcome)
    }

    /// Adds or deletes elements; what the kernel refused comes back by index, the rest is done.
    pub(crate) fn update(
        &mut self,
        name: &str,
        operation: Operation,
        elements: &[Element],
    ) -> Result<Vec<(usize, i32)>, Failure> {
        let (mut refused, mut next) = (Vec::new(), 0);
        while next < elements.len() {
            let (message, end) = batch(name, operation, elements, next);
            match self.socket.request(message, |_| {}) {
                Ok(()) => next = end,
                Err(failure) => {
                    let Some(index) = culprit(&failure, next..end) else { return Err(failure) };
                    refused.push((index, failure.code()));
                    next = index + 1;
                }
            }
        }
        Ok(refused)
    }

    fn on(&mut self, command: u8, name: &str) -> Result<(), Failure> {
        let mut message = request(command, REQUEST | ACK);
        message.text(attribute::NAME, name);
        self.socket.request(message, |_| {})
    }
}

/// What the kernel's error number means for a set.
pub(crate) fn explain(code: i32) -> String {
    match code {
        2 => "there is no set of this name".into(),
        4097 => "the kernel speaks another version of ipset's protocol".into(),
        4098 => format!(
            "the kernel has no set type {TYPE} of revision {REVISION}: load the module ip_set_hash_net"
        ),
        4099 => "the kernel has no room for another set".into(),
        4100 => "the set is in use by rules that are not ours".into(),
        4101 | 17 => "a set of this name exists already".into(),
        4102 => "the set has another type".into(),
        4104 => "the prefix length is out of range".into(),
        4107 => "the timeout is out of range".into(),
        4108 => "the set is in use by a list of sets".into(),
        4352 => format!("the set is full ({CAPACITY} elements): remove blocks, or block wider prefixes"),
        1 => "not permitted: the capability CAP_NET_ADMIN is missing".into(),
        12 => "the kernel is out of memory".into(),
        code if code < 4096 => std::io::Error::from_raw_os_error(code).to_string(),
        code => format!("ipset's error number {code}"),
    }
}

fn request(command: u8, flags: u16) -> Message {
    let mut message = Message::netfilter(SUBSYSTEM, command, flags, 0);
    message.byte(attribute::PROTOCOL, PROTOCOL);
    message
}

fn existing(outcome: Result<(), Failure>) -> Result<bool, Failure> {
    match outcome {
        Ok(()) => Ok(true),
        Err(Failure::Refused { code: 2, .. }) => Ok(false),
        Err(failure) => Err(failure),
    }
}

/// One message with as many elements from `start` as fit, and the index after the last.
fn batch(name: &str, operation: Operation, elements: &[Element], start: usize) -> (Message, usize) {
    let command = match operation {
        Operation::Add => command::ADD,
        Operation::Delete => command::DELETE,
    };
    let mut message = request(command, REQUEST | ACK);
    message.text(attribute::NAME, name).attribute(attribute::LINE, &0_u32.to_ne_bytes());
    let mut end = start;
    message.nest(attribute::ELEMENTS, |list| {
        for element in &elements[start..] {
            list.nest(attribute::DATA, |data| write_element(data, operation, element, end as u32 + 1));
            end += 1;
            if list.len() > MESSAGE {
                break;
            }
        }
    });
    (message, end)
}

fn write_element(data: &mut Message, operation: Operation, element: &Element, line: u32) {
    data.nest(attribute::IP, |ip| {
        match element.net {
            IpNet::V4(net) => ip.address(attribute::IPV4, &net.network().octets()),
            IpNet::V6(net) => ip.address(attribute::IPV6, &net.network().octets()),
        };
    });
    data.byte(attribute::PREFIX, element.net.prefix_len());
    data.attribute(attribute::LINE, &line.to_ne_bytes());
    if operation == Operation::Delete {
        return;
    }
    data.number(attribute::TIMEOUT, element.timeout).text(attribute::COMMENT, &element.comment);
    if (element.packets, element.bytes) != (0, 0) {
        data.long(attribute::PACKETS, element.packets).long(attribute::BYTES, element.bytes);
    }
}

/// Which of the elements in `sent` a refusal is about: the kernel writes its line into the request it gives back.
fn culprit(failure: &Failure, sent: std::ops::Range<usize>) -> Option<usize> {
    let Failure::Refused { request, .. } = failure else { return None };
    let line = wire::u32_at(wire::find(request.get(4..)?, attribute::LINE)?, 0)?;
    let index = (line as usize).checked_sub(1)?;
    sent.contains(&index).then_some(index)
}

fn read_header(body: &[u8], header: &mut Header) {
    if let Some(kind) = wire::find(body, attribute::TYPE).and_then(wire::text) {
        header.kind = kind.to_owned();
    }
    if let Some(&[family]) = wire::find(body, attribute::FAMILY) {
        header.family = family;
    }
    let Some(data) = wire::find(body, attribute::DATA) else { return };
    let number = |kind| wire::find(data, kind).and_then(wire::be_u32);
    header.timeouts = number(attribute::TIMEOUT).is_some();
    header.options = number(attribute::OPTIONS).unwrap_or(0);
    header.count = number(attribute::COUNT).unwrap_or(0);
    header.references = number(attribute::REFERENCES).unwrap_or(0);
}

/// An element; `None` for an exception (`nomatch`), which holds nobody.
fn read_element(data: &[u8]) -> Option<Element> {
    let number = |kind| wire::find(data, kind).and_then(wire::be_u32);
    let long = |kind| wire::find(data, kind).and_then(wire::be_u64).unwrap_or(0);
    if number(attribute::OPTIONS).unwrap_or(0) & NO_MATCH != 0 {
        return None;
    }
    Some(Element {
        net: read_net(data)?,
        timeout: number(attribute::TIMEOUT).unwrap_or(0),
        comment: wire::find(data, attribute::COMMENT).and_then(wire::text).unwrap_or_default().to_owned(),
        packets: long(attribute::PACKETS),
        bytes: long(attribute::BYTES),
    })
}

fn read_net(data: &[u8]) -> Option<IpNet> {
    let ip = wire::find(data, attribute::IP)?;
    let v4 = || <[u8; 4]>::try_from(wire::find(ip, attribute::IPV4)?).ok().map(std::net::IpAddr::from);
    let v6 = || <[u8; 16]>::try_from(wire::find(ip, attribute::IPV6)?).ok().map(std::net::IpAddr::from);
    let address = v4().or_else(v6)?;
    let longest = if address.is_ipv4() { 32 } else { 128 };
    let length = wire::find(data, attribute::PREFIX).and_then(|p| p.first().copied()).unwrap_or(longest);
    Some(IpNet::new(address, length).ok()?.trunc())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn element(net: &str) -> Element {
        Element { net: net.parse().unwrap(), timeout: 300, comment: "smartfw".into(), packets: 3, bytes: 180 }
    }

    fn sent(message: Message) -> Vec<u8> {
        wire::messages(&message.finish(1)).next().unwrap().payload.to_vec()
    }

    #[test]
    fn an_element_is_read_as_it_was_written() {
        for net in ["203.0.113.7/32", "10.0.0.0/8", "2001:db8::/32", "128.0.0.0/1"] {
            let mut message = Message::new(0, 0);
            write_element(&mut message, Operation::Add, &element(net), 1);
            assert_eq!(read_element(&sent(message)), Some(element(net)));
        }
    }

    #[test]
    fn a_batch_never_outgrows_what_one_attribute_can_hold() {
        let mut long = element("2001:db8::1/128");
        long.comment = "x".repeat(255);
        let elements = vec![long; 1000];
        let (message, end) = batch("smartfw_hard6", Operation::Add, &elements, 0);
        assert!(message.len() < 65_000, "{}", message.len());
        assert!(end > 100 && end < 1000, "{end}");
        let payload = sent(message);
        let list = wire::find(&payload[4..], attribute::ELEMENTS).unwrap();
        assert_eq!(wire::attributes(list).filter_map(|(_, data)| read_element(data)).count(), end);
    }

    #[test]
    fn a_refusal_names_its_element_only_when_it_was_sent() {
        let mut message = request(command::ADD, 0);
        message.attribute(attribute::LINE, &8_u32.to_ne_bytes());
        let failure = Failure::Refused { code: 4352, request: sent(message) };
        assert_eq!(culprit(&failure, 0..10), Some(7));
        assert_eq!(culprit(&failure, 0..7), None);
        assert_eq!(culprit(&Failure::Refused { code: 2, request: Vec::new() }, 0..10), None);
    }

    #[test]
    fn an_exception_in_a_set_holds_nobody() {
        let mut message = Message::new(0, 0);
        write_element(&mut message, Operation::Add, &element("192.0.2.1/32"), 1);
        message.number(attribute::OPTIONS, NO_MATCH);
        assert_eq!(read_element(&sent(message)), None);
    }
}
