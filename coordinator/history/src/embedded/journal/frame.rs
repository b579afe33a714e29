//! The frames of a journal: a mark, a checksum, a length, and so many bytes.

use std::io;

use serde::Serialize;

/// What a frame begins with. No text holds these bytes, so behind a damaged frame the next one is found.
const MARK: [u8; 4] = [0xf5, b'S', b'F', 0xff];

/// Bytes before the content.
const HEADER: usize = 12;

/// Bytes of content at most: all that may be in memory (a segment's worth, one group of appends, every node's last) is
/// below this.
pub(super) const MOST: usize = 64 << 20;

/// The frame of an entry.
///
/// # Errors
/// When it is too large.
pub(super) fn of(entry: &impl Serialize) -> io::Result<Vec<u8>> {
    let mut frame = postcard::to_extend(entry, vec![0; HEADER]).map_err(io::Error::other)?;
    let length = frame.len() - HEADER;
    if length > MOST {
        return Err(io::Error::other(format!("{length} bytes at once; {MOST} are allowed")));
    }
    frame[8..HEADER].copy_from_slice(&(length as u32).to_le_bytes());
    let checksum = crc32fast::hash(&frame[8..]);
    frame[..4].copy_from_slice(&MARK);
    frame[4..8].copy_from_slice(&checksum.to_le_bytes());
    Ok(frame)
}

/// The content of the frame that these bytes begin with, and what follows it; `None` when it is not whole.
pub(super) fn read(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let (mark, rest) = bytes.split_first_chunk::<4>()?;
    let (checksum, checked) = rest.split_first_chunk::<4>()?;
    let (length, rest) = checked.split_first_chunk::<4>()?;
    let length = u32::from_le_bytes(*length) as usize;
    if *mark != MARK || length > MOST {
        return None;
    }
    let (content, rest) = rest.split_at_checked(length)?;
    let sound = crc32fast::hash(&checked[..4 + length]) == u32::from_le_bytes(*checksum);
    sound.then_some((content, rest))
}

/// Whether a whole frame begins anywhere in these bytes.
pub(super) fn any(bytes: &[u8]) -> bool {
    let marks = bytes.windows(MARK.len()).enumerate().filter(|(_, window)| *window == MARK);
    marks.into_iter().any(|(at, _)| read(&bytes[at..]).is_some())
}
