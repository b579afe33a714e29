use std::io::Write;

use flate2::{Compression, write::GzEncoder};
use proptest::prelude::*;
use smartfw_core::{
    Time,
    packet::{Direction, Link},
};

use super::*;
type Seen = (Time, Vec<u8>, Link, Option<Direction>, u32, u32);

fn read(bytes: Vec<u8>) -> (Vec<Seen>, FileSource, Option<CaptureError>) {
    let mut source = FileSource::from_reader(Path::new("test"), Cursor::new(bytes)).unwrap();
    let mut seen = Vec::new();
    loop {
        match source.next(Duration::ZERO) {
            Ok(Next::Frame(c)) => {
                let f = c.frame;
                seen.push((c.at, f.bytes.to_vec(), f.link, f.direction, f.wire_len, c.interface));
            }
            Ok(_) => return (seen, source, None),
            Err(error) => return (seen, source, Some(error)),
        }
    }
}

fn legacy(count: u64) -> Vec<u8> {
    let mut writer = PcapWriter::new(Vec::new(), 1).unwrap();
    for index in 0..count {
        writer.write(Time::from_nanos(1_700_000_000_123_456_789 + index), &[index as u8; 60], 1500).unwrap();
    }
    writer.finish().unwrap()
}

fn legacy_by_hand(
    magic: u32,
    numbers: [u32; 4],
    data: &[u8],
    bytes: fn(u32) -> [u8; 4],
    version: [u8; 4],
) -> Vec<u8> {
    let mut file = bytes(magic).to_vec();
    file.extend(version);
    file.extend([0, 0, 65535, 101].map(bytes).concat());
    file.extend(numbers.map(bytes).concat());
    file.extend(data);
    file
}

/// Blocks of a pcapng file in one byte order.
struct Blocks {
    big: bool,
    file: Vec<u8>,
}

impl Blocks {
    fn new(big: bool) -> Self {
        let mut blocks = Self { big, file: Vec::new() };
        blocks.section();
        blocks
    }

    fn u32(&self, value: u32) -> [u8; 4] {
        if self.big { value.to_be_bytes() } else { value.to_le_bytes() }
    }

    fn u16(&self, value: u16) -> [u8; 2] {
        if self.big { value.to_be_bytes() } else { value.to_le_bytes() }
    }

    fn block(&mut self, kind: u32, body: &[u8]) {
        let padded = body.len().next_multiple_of(4);
        let length = self.u32(12 + padded as u32);
        self.file.extend(self.u32(kind));
        self.file.extend(length);
        self.file.extend(body);
        self.file.extend(vec![0; padded - body.len()]);
        self.file.extend(length);
    }

    fn section(&mut self) {
        let body = [&self.u32(0x1a2b_3c4d)[..], &self.u16(1), &self.u16(0), &[0xff; 8]].concat();
        self.block(0x0a0d_0d0a, &body);
    }

    fn option(&self, code: u16, value: &[u8]) -> Vec<u8> {
        let mut option = [self.u16(code), self.u16(value.len() as u16)].concat();
        option.extend(value);
        option.resize(4 + value.len().next_multiple_of(4), 0);
        option
    }

    fn interface(&mut self, link: u16, snaplen: u32, tsresol: u8, tsoffset: i64) {
        let offset = if self.big { tsoffset.to_be_bytes() } else { tsoffset.to_le_bytes() };
        let body = [
            &self.u16(link)[..],
            &self.u16(0),
            &self.u32(snaplen),
            &self.option(9, &[tsresol]),
            &self.option(14, &offset),
            &self.option(0, &[]),
        ]
        .concat();
        self.block(1, &body);
    }

    fn packet(&mut self, interface: u32, ticks: u64, data: &[u8], wire: u32, flags: Option<u32>) {
        let mut body = [interface, (ticks >> 32) as u32, ticks as u32, data.len() as u32, wire]
            .map(|value| self.u32(value))
            .concat();
        body.extend(data);
        body.resize(body.len().next_multiple_of(4), 0);
        if let Some(flags) = flags {
            body.extend(self.option(1, b"a comment"));
            body.extend(self.option(2, &self.u32(flags)));
            body.extend(self.option(0, &[]));
        }
        self.block(6, &body);
    }
}

#[test]
fn what_was_written_is_read_again() {
    let (seen, source, error) = read(legacy(3));
    assert!(error.is_none() && !source.truncated());
    assert_eq!(seen.len(), 3);
    assert_eq!(
        seen[2],
        (Time::from_nanos(1_700_000_000_123_456_791), vec![2; 60], Link::Ethernet, None, 1500, 0)
    );
}

#[test]
fn classic_files_of_both_byte_orders_and_both_units_are_read() {
    let numbers = [7, 5000, 3, 9];
    for (magic, nanos) in [(0xa1b2_c3d4_u32, 7_005_000_000), (0xa1b2_3c4d, 7_000_005_000)] {
        for (bytes, version) in [
            (u32::to_le_bytes as fn(u32) -> [u8; 4], [2, 0, 4, 0]),
            (u32::to_be_bytes as fn(u32) -> [u8; 4], [0, 2, 0, 4]),
        ] {
            let (seen, _, error) = read(legacy_by_hand(magic, numbers, b"abc", bytes, version));
            assert!(error.is_none());
            assert_eq!(seen, [(Time::from_nanos(nanos), b"abc".to_vec(), Link::Raw, None, 9, 0)]);
        }
    }
}

#[test]
fn lengths_swapped_by_old_writers_are_put_right() {
    let file = legacy_by_hand(0xa1b2_c3d4, [7, 0, 3, 2], b"abc", u32::to_le_bytes, [2, 0, 3, 0]);
    let (seen, ..) = read(file);
    assert_eq!((seen[0].1.as_slice(), seen[0].4), (&b"ab"[..], 3));
}

#[test]
fn each_interface_of_a_pcapng_file_has_its_own_link_and_clock() {
    for big in [false, true] {
        let mut blocks = Blocks::new(big);
        blocks.interface(1, 0, 6, 0);
        blocks.interface(101, 0, 9, 3600);
        blocks.packet(0, 7_000_001, b"ether", 100, None);
        blocks.packet(1, 7_000_000_001, b"raw", 3, Some(1));
        blocks.packet(1, 8_000_000_000, b"raw", 3, Some(2));
        let (seen, source, error) = read(blocks.file);
        assert!(error.is_none() && !source.truncated());
        assert_eq!(
            seen[0],
            (Time::from_nanos(7_000_001_000), b"ether".to_vec(), Link::Ethernet, None, 100, 0)
        );
        let at = Time::from_nanos(3_607_000_000_001);
        assert_eq!(seen[1], (at, b"raw".to_vec(), Link::Raw, Some(Direction::In), 3, 1));
        assert_eq!(seen[2].3, Some(Direction::Out));
    }
}

#[test]
fn sections_of_different_byte_order_follow_each_other() {
    let mut first = Blocks::new(false);
    first.interface(1, 0, 6, 0);
    first.packet(0, 1_000_000, b"little", 6, None);
    let mut second = Blocks::new(true);
    second.interface(113, 0, 6, 0);
    second.packet(0, 2_000_000, b"big", 3, None);
    first.file.extend(second.file);
    let (seen, ..) = read(first.file);
    assert_eq!(
        seen.iter().map(|s| (s.0, s.2)).collect::<Vec<_>>(),
        [(Time::from_secs(1), Link::Ethernet), (Time::from_secs(2), Link::LinuxCooked)]
    );
}

#[test]
fn simple_and_obsolete_packets_are_read() {
    let mut blocks = Blocks::new(false);
    blocks.interface(1, 4, 6, 0);
    blocks.block(3, &[&9_u32.to_le_bytes()[..], b"long"].concat());
    let mut body = [0_u32, 0, 5_000_000, 3, 3].map(u32::to_le_bytes).concat();
    body.extend(b"old");
    blocks.block(2, &body);
    let (seen, ..) = read(blocks.file);
    assert_eq!(seen[0], (Time::ZERO, b"long".to_vec(), Link::Ethernet, None, 9, 0));
    assert_eq!(seen[1], (Time::from_secs(5), b"old".to_vec(), Link::Ethernet, None, 3, 0));
}

#[test]
fn packets_without_their_interface_or_their_bytes_are_counted_not_read() {
    let mut blocks = Blocks::new(false);
    blocks.packet(0, 1, b"nobody's", 8, None);
    blocks.interface(1, 0, 6, 0);
    blocks.block(6, &[0_u32, 0, 0, 4000, 4000].map(u32::to_le_bytes).concat());
    blocks.block(6, b"short");
    blocks.packet(0, 1, b"good", 4, None);
    let (seen, mut source, error) = read(blocks.file);
    assert!(error.is_none());
    assert_eq!((seen.len(), source.stats().unusable, source.stats().frames), (1, 3, 1));
}

#[test]
fn packets_of_a_link_type_nobody_parses_are_counted_and_named() {
    let classic = legacy_by_hand(0xa1b2_c3d4, [7, 0, 3, 3], b"abc", u32::to_le_bytes, [2, 0, 4, 0]);
    let classic = [&classic[..20], &127_u32.to_le_bytes(), &classic[24..]].concat();
    let mut blocks = Blocks::new(true);
    blocks.interface(127, 0, 6, 0);
    blocks.packet(0, 1, b"abc", 3, None);
    for file in [classic, blocks.file] {
        let (seen, mut source, error) = read(file);
        assert!(seen.is_empty() && error.is_none() && !source.truncated());
        assert_eq!((source.stats().unusable, source.stats().unknown_link), (1, Some(127)));
    }
}

#[test]
fn a_block_of_no_interest_may_be_larger_than_memory_allows() {
    let mut blocks = Blocks::new(false);
    blocks.interface(1, 0, 6, 0);
    blocks.block(10, &vec![1; 4 * window::MAX_RECORD]);
    blocks.packet(0, 1, b"after", 5, None);
    assert_eq!(read(blocks.file).0.len(), 1);
}

#[test]
fn interfaces_beyond_the_limit_are_left_out() {
    let mut blocks = Blocks::new(false);
    (0..4097).for_each(|_| blocks.interface(1, 0, 6, 0));
    blocks.packet(4095, 1, b"last", 4, None);
    blocks.packet(4096, 1, b"beyond", 6, None);
    let (seen, mut source, _) = read(blocks.file);
    assert_eq!((seen.len(), source.stats().unusable), (1, 1));
}

#[test]
fn a_file_cut_anywhere_yields_what_precedes_the_cut() {
    let classic = legacy(3);
    let mut blocks = Blocks::new(false);
    blocks.interface(1, 0, 6, 0);
    (0..3).for_each(|at| blocks.packet(0, at, &[9; 60], 60, None));
    for file in [classic, blocks.file] {
        let whole = read(file.clone()).0;
        let mut cut_between_records = 0;
        for cut in 4..file.len() {
            let (seen, source, error) = read(file[..cut].to_vec());
            assert!(error.is_none(), "cut at {cut}: {error:?}");
            assert_eq!(seen, whole[..seen.len()]);
            cut_between_records += usize::from(!source.truncated());
        }
        assert!((3..=5).contains(&cut_between_records), "{cut_between_records}");
        assert!(read(file[..file.len() - 1].to_vec()).1.truncated());
    }
}

#[test]
fn a_packet_longer_than_any_is_damage_behind_which_nothing_is_read() {
    let mut file = legacy(2);
    file.extend([0, 0, u32::MAX, 60].map(u32::to_le_bytes).concat());
    file.extend(&legacy(1)[24..]);
    let (seen, mut source, error) = read(file);
    assert_eq!(seen.len(), 2);
    let Some(CaptureError::Damaged { offset, .. }) = error else { panic!("{error:?}") };
    assert_eq!(offset, 24 + 2 * 76);
    assert!(!source.truncated());
    assert!(matches!(source.next(Duration::ZERO), Ok(Next::End)));
}

#[test]
fn the_longest_frames_fit() {
    let mut writer = PcapWriter::new(Vec::new(), 1).unwrap();
    writer.write(Time::ZERO, &vec![5; 512 * 1024], 512 * 1024).unwrap();
    assert_eq!(read(writer.finish().unwrap()).0[0].1.len(), 512 * 1024);
}

#[test]
fn gzip_is_unpacked_also_in_several_members_and_when_cut() {
    let pack = |bytes: &[u8]| {
        let mut packer = GzEncoder::new(Vec::new(), Compression::fast());
        packer.write_all(bytes).unwrap();
        packer.finish().unwrap()
    };
    let file = legacy(500);
    let packed = [pack(&file[..1000]), pack(&file[1000..])].concat();
    assert_eq!(read(packed.clone()).0.len(), 500);
    let (seen, source, error) = read(packed[..packed.len() - 40].to_vec());
    assert!(error.is_none() && source.truncated(), "{error:?}");
    assert!(seen.len() < 500, "{}", seen.len());
    assert!(read(packed[..packed.len() - 4].to_vec()).1.truncated(), "the check sum is missing");
    let mut broken = packed;
    let middle = broken.len() - 6;
    broken[middle] ^= 0xff;
    assert!(matches!(read(broken).2, Some(CaptureError::Read { .. })));
}

#[test]
fn what_is_no_capture_is_named() {
    let error = FileSource::from_reader(Path::new("notes.txt"), &b"just some text"[..]).err().unwrap();
    assert!(
        error.to_string().starts_with("notes.txt is neither pcap nor pcapng; it looks like text"),
        "{error}"
    );
    let error = FileSource::from_reader(Path::new("x"), &b""[..]).err().unwrap();
    assert!(error.to_string().ends_with("an empty file"));
    let error = FileSource::open(Path::new("/nonexistent/x.pcap")).err().unwrap();
    assert!(matches!(error, CaptureError::Open { .. }));
    assert!(matches!(FileSource::open(Path::new("/")).err().unwrap(), CaptureError::Open { .. }));
}

#[test]
fn every_capture_of_the_data_folder_is_read() {
    let Some(folder) = std::env::var_os("SMARTFW_DATA") else {
        println!("skipped: SMARTFW_DATA does not name a folder of captures");
        return;
    };
    let mut pending = vec![PathBuf::from(folder)];
    let (mut files, mut frames) = (0, 0);
    while let Some(path) = pending.pop() {
        if path.is_dir() {
            pending.extend(std::fs::read_dir(path).unwrap().map(|entry| entry.unwrap().path()));
            continue;
        }
        let extension = path.extension().unwrap_or_default();
        if !["pcap", "pcapng", "gz"].iter().any(|known| extension == *known) {
            continue;
        }
        files += 1;
        match FileSource::open(&path) {
            Ok(mut source) => {
                while let Ok(Some(_)) = source.next_frame() {
                    frames += 1;
                }
            }
            Err(error) => println!("{error}"),
        }
    }
    println!("{files} files, {frames} frames");
    assert!(files > 0 && frames > 0);
}

proptest! {
    #[test]
    fn random_bytes_never_panic(kind in 0..6_usize, bytes in prop::collection::vec(any::<u8>(), 0..4096)) {
        let magics: [&[u8]; 6] = [
            b"", &[0xd4, 0xc3, 0xb2, 0xa1, 2, 0, 4, 0], &[0xa1, 0xb2, 0x3c, 0x4d, 0, 2, 0, 4], b"\x1f\x8b\x08\0",
            b"\x0a\x0d\x0d\x0a\x1c\0\0\0\x4d\x3c\x2b\x1a\x01\0\0\0\xff\xff\xff\xff\xff\xff\xff\xff\x1c\0\0\0", b"\x34\xcd\xb2\xa1\x02\0\x04\0",
        ];
        drain([magics[kind], &bytes].concat());
    }

    #[test]
    fn mutated_files_never_panic(ng: bool, big: bool, changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..16)) {
        let mut file = if ng {
            let mut blocks = Blocks::new(big);
            blocks.interface(1, 96, 0x8a, -3);
            blocks.packet(0, 1 << 40, &[3; 77], 99, Some(1));
            blocks.block(3, &[2; 24]);
            blocks.section();
            blocks.interface(101, 0, 6, 0);
            blocks.packet(0, 1 << 40, &[3; 77], 99, Some(2));
            blocks.file
        } else {
            legacy(5)
        };
        for (index, byte) in changes {
            let at = index.index(file.len());
            file[at] = byte;
        }
        drain(file);
    }
}

fn drain(bytes: Vec<u8>) {
    if let Ok(mut source) = FileSource::from_reader(Path::new("test"), Cursor::new(bytes)) {
        while let Ok(Some(captured)) = source.next_frame() {
            assert!(captured.frame.bytes.len() <= captured.frame.wire_len as usize);
        }
    }
}
