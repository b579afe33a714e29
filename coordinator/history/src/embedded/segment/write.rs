//! How a segment is written.

use std::{
    collections::BTreeMap,
    fs::File,
    io::{self, BufWriter, Write as _},
    path::Path,
};

use serde::Serialize;
use smartfw_core::fleet::NodeId;

use super::{
    Directory, RowBlock, Segment, Start, TermBlock, Trailer,
    block::{Block, FULL, FULL_TERMS},
    terms::{self, Posting},
};
use crate::{
    Cursor, Event, HistoryError, Placed,
    embedded::{self, files},
    place::Last,
};

/// Writes `rows`, of which there is at least one.
///
/// # Errors
/// When the disk refuses; then there is no segment.
pub(in crate::embedded) fn write(
    path: &Path,
    rows: &BTreeMap<Cursor, Event>,
) -> Result<Segment, HistoryError> {
    files::publish(path, |file| write_rows(file, rows, terms::all(rows)))
        .map_err(|error| embedded::disk(path, &error))?;
    Segment::find(path)
}

/// The same with these terms.
pub(super) fn write_rows(
    file: File,
    rows: &BTreeMap<Cursor, Event>,
    terms: BTreeMap<Vec<u8>, Vec<u32>>,
) -> io::Result<File> {
    let mut writer = Writer { file: BufWriter::new(file), at: 0 };
    let directory =
        Directory { rows: writer.rows(rows)?, terms: writer.terms(terms)?, lasts: writer.lasts(rows)? };
    let ends = rows.first_key_value().zip(rows.last_key_value());
    let (oldest, newest) =
        ends.map(|((oldest, _), (newest, _))| (oldest.place, newest.place)).unwrap_or_default();
    let events = rows.len() as u32;
    writer.finish(&directory, Trailer { directory: 0, length: 0, checksum: 0, events, oldest, newest })
}

struct Writer {
    file: BufWriter<File>,
    at: u64,
}

impl Writer {
    fn rows(&mut self, rows: &BTreeMap<Cursor, Event>) -> io::Result<Vec<RowBlock>> {
        let (mut blocks, mut pending) = (Vec::new(), Pending::default());
        for (number, (cursor, event)) in rows.iter().enumerate() {
            let Cursor { place, node, count } = *cursor;
            if pending.entries == 0 {
                pending.first = Some((number as u32, (place, node, count)));
            }
            pending.add(&Placed { place, event: event.clone() })?;
            if pending.bytes.len() >= FULL {
                blocks.extend(self.row_block(&mut pending)?);
            }
        }
        blocks.extend(self.row_block(&mut pending)?);
        Ok(blocks)
    }

    fn row_block(&mut self, pending: &mut Pending<Option<(u32, Start)>>) -> io::Result<Option<RowBlock>> {
        let (Some((first, start)), Some(bytes)) = (pending.first, pending.take()) else { return Ok(None) };
        let block = Block::write(&mut self.file, &mut self.at, &bytes)?;
        Ok(Some(RowBlock { first, start, block }))
    }

    fn terms(&mut self, terms: BTreeMap<Vec<u8>, Vec<u32>>) -> io::Result<Vec<TermBlock>> {
        let (mut blocks, mut pending) = (Vec::new(), Pending::default());
        for (term, rows) in terms {
            if pending.entries == 0 {
                pending.first = term.clone();
            }
            pending.add(&Posting::new(term, &rows))?;
            if pending.bytes.len() >= FULL_TERMS {
                blocks.extend(self.term_block(&mut pending)?);
            }
        }
        blocks.extend(self.term_block(&mut pending)?);
        Ok(blocks)
    }

    fn term_block(&mut self, pending: &mut Pending<Vec<u8>>) -> io::Result<Option<TermBlock>> {
        let (first, Some(bytes)) = (std::mem::take(&mut pending.first), pending.take()) else {
            return Ok(None);
        };
        let block = Block::write(&mut self.file, &mut self.at, &bytes)?;
        Ok(Some(TermBlock { first, block }))
    }

    /// A node's events are in the order of their counts: its last is the one that comes last.
    fn lasts(&mut self, rows: &BTreeMap<Cursor, Event>) -> io::Result<Block> {
        let last = |cursor: &Cursor| Last { count: cursor.count, place: cursor.place };
        let lasts: BTreeMap<_, _> = rows.keys().map(|cursor| (cursor.node, last(cursor))).collect();
        let lasts: Vec<(NodeId, Last)> = lasts.into_iter().collect();
        let bytes = postcard::to_allocvec(&lasts).map_err(io::Error::other)?;
        Block::write(&mut self.file, &mut self.at, &bytes)
    }

    fn finish(mut self, directory: &Directory, trailer: Trailer) -> io::Result<File> {
        let directory = postcard::to_allocvec(directory).map_err(io::Error::other)?;
        let (length, checksum) = (directory.len() as u32, crc32fast::hash(&directory));
        let trailer = Trailer { directory: self.at, length, checksum, ..trailer };
        self.file.write_all(&directory)?;
        self.file.write_all(&trailer.encode())?;
        Ok(self.file.into_inner()?)
    }
}

/// Entries of a block that is not full yet, as postcard writes them one after the other.
#[derive(Default)]
struct Pending<F> {
    first: F,
    entries: usize,
    bytes: Vec<u8>,
}

impl<F> Pending<F> {
    fn add(&mut self, entry: &impl Serialize) -> io::Result<()> {
        let bytes = std::mem::take(&mut self.bytes);
        self.bytes = postcard::to_extend(entry, bytes).map_err(io::Error::other)?;
        self.entries += 1;
        Ok(())
    }

    /// The entries as postcard writes a list of them: their number first.
    fn take(&mut self) -> Option<Vec<u8>> {
        let bytes = std::mem::take(&mut self.bytes);
        let entries = std::mem::take(&mut self.entries);
        let mut list = postcard::to_allocvec(&entries).ok().filter(|_| entries > 0)?;
        list.extend(bytes);
        Some(list)
    }
}
