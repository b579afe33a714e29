//! Tables: one column of them is addresses.

use csv::{ByteRecord, Reader, ReaderBuilder};

use super::{LINE, Parsed, Unparsed};

/// Rows whose column of this number holds the address; a line of headings is one that cannot be read.
pub(super) fn numbered(bytes: &[u8], column: usize) -> Result<Parsed, Unparsed> {
    rows(reader(bytes), column - 1)
}

/// Rows whose column of this name holds the address.
pub(super) fn named(bytes: &[u8], column: &str) -> Result<Parsed, Unparsed> {
    let mut reader = reader(bytes);
    let mut headings = ByteRecord::new();
    let read = reader.read_byte_record(&mut headings);
    let is_it = |field: &[u8]| field.trim_ascii().eq_ignore_ascii_case(column.as_bytes());
    match headings.iter().position(is_it) {
        Some(at) if matches!(read, Ok(true)) => rows(reader, at),
        _ => Err(Unparsed::NoColumn(column.to_owned())),
    }
}

fn reader(bytes: &[u8]) -> Reader<&[u8]> {
    ReaderBuilder::new().has_headers(false).flexible(true).comment(Some(b'#')).from_reader(bytes)
}

fn rows(mut reader: Reader<&[u8]>, column: usize) -> Result<Parsed, Unparsed> {
    let (mut parsed, mut row) = (Parsed::default(), ByteRecord::new());
    // Bytes alone cannot be wrong for this reader: whatever it refused would come again for ever.
    while matches!(reader.read_byte_record(&mut row), Ok(true)) {
        let field = row.get(column).filter(|field| field.len() <= LINE);
        match field.and_then(|field| std::str::from_utf8(field).ok()) {
            Some(text) => parsed.take(text)?,
            None => parsed.miss("a row without that column"),
        }
    }
    Ok(parsed)
}
