//! Lists that are packed with gzip, whatever the server calls them.

use std::io::Read as _;

use flate2::read::MultiGzDecoder;

use super::FetchError;

/// How gzip begins (RFC 1952).
const GZIP: [u8; 2] = [0x1f, 0x8b];

/// The bytes, unpacked if they are packed; of a bomb no more than `most` is ever unpacked.
pub(super) fn unpack(bytes: Vec<u8>, most: usize) -> Result<Vec<u8>, FetchError> {
    if !bytes.starts_with(&GZIP) {
        return Ok(bytes);
    }
    let mut unpacked = Vec::new();
    let mut packed = MultiGzDecoder::new(bytes.as_slice()).take(most as u64 + 1);
    packed.read_to_end(&mut unpacked).map_err(FetchError::Packed)?;
    if unpacked.len() > most { Err(FetchError::Large(most)) } else { Ok(unpacked) }
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use flate2::{Compression, write::GzEncoder};

    use super::*;

    fn packed(length: usize) -> Vec<u8> {
        let mut packer = GzEncoder::new(Vec::new(), Compression::best());
        packer.write_all(&vec![b'#'; length]).unwrap();
        packer.finish().unwrap()
    }

    #[test]
    fn a_packed_list_is_unpacked_and_a_bomb_is_not() {
        assert_eq!(unpack(b"192.0.2.1".to_vec(), 4).unwrap(), b"192.0.2.1");
        assert_eq!(unpack(packed(1000), 1000).unwrap().len(), 1000);
        let bomb = packed(64 << 20);
        assert!(bomb.len() < 100_000);
        assert!(matches!(unpack(bomb, 1 << 20), Err(FetchError::Large(_))));
        let mut cut = packed(1000);
        cut.truncate(20);
        assert!(matches!(unpack(cut, 1000), Err(FetchError::Packed(_))));
    }
}
