//! The comment of a kernel entry: `smartfw <id> <class> <origin>`, written so that nobody need quote it, and read
//! strictly, so that what others wrote is never taken for ours.

use smartfw_core::{BlockId, Class, IpNet, enforcement::Note};

/// What every comment of ours begins with.
const MARK: &str = "smartfw";
/// Bytes of the encoded origin that are kept: the kernel allows 255 for the whole comment, and the rest takes 38.
const ORIGIN: usize = 200;
/// The origin of entries that somebody else put into our sets.
const FOREIGN: &str = "kernel";

/// The comment of protected entries.
pub(crate) const PROTECTED: &str = "smartfw protected";

/// The comment that carries this note. An origin that is too long is cut.
pub(crate) fn write(note: &Note) -> String {
    format!("{MARK} {} {} {}", note.id, note.class, encode(&note.origin))
}

/// The note in a comment of ours; `None` for any other text.
pub(crate) fn read(text: &str) -> Option<Note> {
    let mut words = text.split(' ');
    let (mark, id, class, origin) = (words.next()?, words.next()?, words.next()?, words.next()?);
    let digits = id.len() == 16 && id.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'));
    if mark != MARK || !digits || words.next().is_some() {
        return None;
    }
    Some(Note { id: id.parse().ok()?, class: class.parse().ok()?, origin: decode(origin)? })
}

/// The note of an entry with a comment that is not ours: a person's, with an id that stays the same at every look.
pub(crate) fn adopted(net: &IpNet) -> Note {
    const OFFSET: u64 = 0xcbf2_9ce4_8422_2325;
    const PRIME: u64 = 0x0100_0000_01b3;
    let hash = |state: u64, byte: u8| (state ^ u64::from(byte)).wrapping_mul(PRIME);
    let id = net.to_string().bytes().fold(OFFSET, hash);
    Note { id: BlockId(id), class: Class::Manual, origin: FOREIGN.into() }
}

/// What the kernel gives back for this note: the same, but for an origin that was too long.
pub(crate) fn as_kept(note: &Note) -> Note {
    read(&write(note)).unwrap_or_else(|| note.clone())
}

fn plain(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-' | b':' | b'@')
}

fn encode(origin: &str) -> String {
    let mut encoded = String::new();
    // An empty word would not survive between spaces.
    let origin = if origin.is_empty() { FOREIGN } else { origin };
    for character in origin.chars() {
        let bytes = character.to_string().into_bytes();
        let word: String = bytes
            .iter()
            .map(|&b| if plain(b) { char::from(b).to_string() } else { format!("%{b:02x}") })
            .collect();
        if encoded.len() + word.len() > ORIGIN {
            break;
        }
        encoded += &word;
    }
    encoded
}

fn decode(word: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(word.len());
    let mut rest = word.bytes();
    while let Some(byte) = rest.next() {
        bytes.push(match byte {
            b'%' => hex(rest.next()?)? << 4 | hex(rest.next()?)?,
            byte if plain(byte) => byte,
            _ => return None,
        });
    }
    String::from_utf8(bytes).ok().filter(|origin| !origin.is_empty())
}

fn hex(byte: u8) -> Option<u8> {
    char::from(byte).to_digit(16).map(|digit| digit as u8)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn note(origin: &str) -> Note {
        Note { id: BlockId(0x1234), class: Class::PortScan, origin: origin.into() }
    }

    #[test]
    fn a_comment_says_id_class_and_origin() {
        assert_eq!(write(&note("web-1")), "smartfw 0000000000001234 port_scan web-1");
        assert_eq!(read("smartfw 0000000000001234 port_scan web-1"), Some(note("web-1")));
    }

    #[test]
    fn what_others_wrote_is_not_taken_for_ours() {
        for text in [
            "",
            "smartfw",
            "smartfw protected",
            "smartfw 1234 port_scan web-1",
            "smartfw 000000000000123G port_scan web-1",
            "smartfw +000000000001234 port_scan web-1",
            "smartfw 0000000000001234 portscan web-1",
            "smartfw 0000000000001234 port_scan web-1 more",
            "smartfw 0000000000001234 port_scan  web-1",
            "smartfw 0000000000001234 port_scan ",
            "smartfw 0000000000001234 port_scan a%2",
            "smartfw 0000000000001234 port_scan a%ff",
            "other 0000000000001234 port_scan web-1",
        ] {
            assert_eq!(read(text), None, "{text}");
        }
    }

    #[test]
    fn the_longest_origin_fits_the_kernels_comment() {
        let longest = Note { id: BlockId(u64::MAX), class: Class::Infiltration, origin: "ü".repeat(300) };
        let comment = write(&longest);
        assert!(comment.len() <= 255, "{}", comment.len());
        assert!(longest.origin.starts_with(&read(&comment).unwrap().origin));
        for class in Class::ALL {
            assert!(write(&Note { class: *class, ..longest.clone() }).len() <= 255);
        }
    }

    proptest::proptest! {
        #[test]
        fn any_origin_comes_back_without_a_character_that_needs_quoting(origin in ".{1,30}") {
            let comment = write(&note(&origin));
            proptest::prop_assert!(comment.bytes().all(|b| b == b' ' || b == b'%' || plain(b)));
            let kept = read(&comment).unwrap().origin;
            proptest::prop_assert!(origin.starts_with(&kept));
            proptest::prop_assert_eq!(as_kept(&note(&kept)), note(&kept));
        }

        #[test]
        fn any_text_is_read_without_a_panic(text: String) {
            read(&text);
        }
    }
}
