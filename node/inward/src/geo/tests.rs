use std::fs;

use proptest::prelude::*;

use super::*;

/// What a test writes of a network.
type Record = Vec<u8>;

fn text(text: &str) -> Record {
    // From 29 bytes on the length follows in a byte of its own.
    let head = match text.len() {
        length @ 0..29 => vec![2 << 5 | length as u8],
        length => vec![2 << 5 | 29, (length - 29) as u8],
    };
    [head.as_slice(), text.as_bytes()].concat()
}

fn short(number: u16) -> Record {
    [&[5 << 5 | 2], number.to_be_bytes().as_slice()].concat()
}

fn long(number: u32) -> Record {
    [&[6 << 5 | 4], number.to_be_bytes().as_slice()].concat()
}

fn map(entries: &[(&str, Record)]) -> Record {
    let entries = entries.iter().flat_map(|(key, value)| [text(key), value.clone()]);
    [vec![(7 << 5) | (entries.clone().count() as u8 / 2)], entries.collect::<Vec<_>>().concat()].concat()
}

fn country(code: &str) -> Record {
    map(&[("country", map(&[("iso_code", text(code))]))])
}

fn system(number: u32, name: &str) -> Record {
    map(&[("autonomous_system_number", long(number)), ("autonomous_system_organization", text(name))])
}

/// Where a bit leads: to another node, to data, to nothing.
#[derive(Clone, Copy)]
enum Way {
    Node(usize),
    Data(usize),
    Nothing,
}

/// A file in MaxMind's format: a tree of bits with 32 bits a record, then the data, then what is said of both.
fn database(networks: &[(&str, Record)]) -> Vec<u8> {
    let (mut nodes, mut data) = (vec![[Way::Nothing; 2]], Vec::new());
    for (net, record) in networks {
        let net: IpNet = net.parse().unwrap();
        let (bits, length) = match net {
            // IPv4 is the lowest 32 bits of IPv6.
            IpNet::V4(net) => (u128::from(u32::from(net.addr())), net.prefix_len() + 96),
            IpNet::V6(net) => (u128::from(net.addr()), net.prefix_len()),
        };
        let mut at = 0;
        for depth in 0..length {
            let bit = (bits >> (127 - depth) & 1) as usize;
            if depth + 1 == length {
                nodes[at][bit] = Way::Data(data.len());
            } else if let Way::Node(next) = nodes[at][bit] {
                at = next;
            } else {
                nodes.push([Way::Nothing; 2]);
                nodes[at][bit] = Way::Node(nodes.len() - 1);
                at = nodes.len() - 1;
            }
        }
        data.extend_from_slice(record);
    }
    let count = nodes.len();
    let number = |way: Way| match way {
        Way::Node(node) => node,
        Way::Nothing => count,
        Way::Data(offset) => count + 16 + offset,
    };
    let tree: Vec<u8> = nodes.iter().flatten().flat_map(|way| (number(*way) as u32).to_be_bytes()).collect();
    let about = map(&[
        ("node_count", long(count as u32)),
        ("record_size", short(32)),
        ("ip_version", short(6)),
        ("database_type", text("Test")),
        ("languages", vec![0, 4]),
        ("binary_format_major_version", short(2)),
        ("binary_format_minor_version", short(0)),
        ("build_epoch", [vec![8, 2], 1_u64.to_be_bytes().to_vec()].concat()),
        ("description", map(&[])),
    ]);
    [tree, vec![0; 16], data, b"\xab\xcd\xefMaxMind.com".to_vec(), about].concat()
}

fn atlas(bytes: &[u8]) -> Result<Atlas, GeoError> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("test.mmdb");
    fs::write(&path, bytes).unwrap();
    Atlas::open(&path)
}

fn countries() -> Vec<u8> {
    database(&[
        ("192.0.2.0/24", country("XA")),
        ("198.18.0.0/15", country("XB")),
        ("203.0.113.0/24", country("XB")),
        ("2001:db8::/31", country("XB")),
    ])
}

#[test]
fn an_address_has_a_country_and_a_system() {
    let systems = database(&[("203.0.113.0/25", system(64_500, "Example"))]);
    let mut place = Place::default();
    for atlas in [atlas(&countries()).unwrap(), atlas(&systems).unwrap()] {
        atlas.tell("::ffff:203.0.113.7".parse().unwrap(), &mut place);
    }
    let expected =
        Place { country: Some("XB".into()), system: Some(64_500), organisation: Some("Example".into()) };
    assert_eq!(place, expected);
    let mut nowhere = Place::default();
    atlas(&countries()).unwrap().tell("8.8.8.8".parse().unwrap(), &mut nowhere);
    assert_eq!(nowhere, Place::default());
}

#[test]
fn a_country_is_its_networks_and_none_is_wider_than_may_be_blocked() {
    let of = |wanted: &str| {
        let networks = atlas(&countries()).unwrap().networks(&wanted.parse().unwrap()).unwrap();
        networks.iter().map(ToString::to_string).collect::<Vec<_>>()
    };
    assert_eq!(of("country:xa"), ["192.0.2.0/24"]);
    let expected = ["198.18.0.0/16", "198.19.0.0/16", "203.0.113.0/24", "2001:db8::/32", "2001:db9::/32"];
    assert_eq!(of("country:XB"), expected);
    assert!(of("country:XC").is_empty() && of("as:64500").is_empty());
}

#[test]
fn a_place_of_more_networks_than_a_feed_may_list_is_refused() {
    let wide = database(&[("2001::/16", country("XA")), ("2002:8000::/17", country("XB"))]);
    let wide = atlas(&wide).unwrap();
    assert_eq!(wide.networks(&Wanted::Country("XA".into())).unwrap().len(), 1 << 16);
    let wider = atlas(&database(&[("2400::/12", country("XA"))])).unwrap();
    assert!(matches!(wider.networks(&Wanted::Country("XA".into())), Err(GeoError::Large(_))));
}

#[test]
fn what_is_wanted_is_a_country_or_a_system() {
    for text in ["country:XA", "as:64500"] {
        assert_eq!(text.parse::<Wanted>().unwrap().to_string(), text);
    }
    for text in
        ["", "country:", "country:X1", "country:XAB", "as:", "as:0", "as:x", "as:4294967296", "city:x"]
    {
        assert!(text.parse::<Wanted>().is_err(), "{text}");
    }
}

#[test]
fn what_is_no_database_is_refused() {
    for bytes in [&b""[..], b"nonsense", &countries()[..40]] {
        assert!(matches!(atlas(bytes), Err(GeoError::Damaged { .. })));
    }
    assert!(matches!(Atlas::open(Path::new("/dev/null")), Err(GeoError::Unreadable { .. })));
}

proptest! {
    #[test]
    fn no_damage_panics(at in 0..2000_usize, byte in any::<u8>(), address in any::<u32>()) {
        let mut bytes = countries();
        let at = at % bytes.len();
        bytes[at] = byte;
        if let Ok(atlas) = atlas(&bytes) {
            atlas.tell(IpAddr::V4(address.into()), &mut Place::default());
            let _ = atlas.networks(&Wanted::Country("XB".into()));
        }
    }
}
