//! Reads events from the buffer, beside the thread that writes it.

use std::{
    fs::File,
    io,
    os::unix::fs::FileExt as _,
    path::{Path, PathBuf},
};

use smartfw_core::Event;
use smartfw_proto::limits;

use super::{
    frame,
    index::{Index, Span, path},
};

/// Reads on where it was.
#[derive(Clone, Debug)]
pub(super) struct Reader {
    folder: PathBuf,
    /// Where an event begins: its number, and how far into its piece.
    at: Option<At>,
}

#[derive(Clone, Copy, Debug)]
struct At {
    epoch: u64,
    first: u64,
    sequence: u64,
    offset: u64,
}

/// Some events.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Batch {
    pub(super) events: Vec<Event>,
    /// Where to read on.
    pub(super) next: u64,
    /// Whether something that should be there cannot be read.
    pub(super) damaged: bool,
}

impl Reader {
    pub(super) fn new(folder: &Path) -> Self {
        Self { folder: folder.to_owned(), at: None }
    }

    /// The events from `from` on, as many as fit into one message; none at the end of the buffer.
    pub(super) fn read(&mut self, index: &Index, from: u64) -> Batch {
        let mut batch = Batch { next: from, ..Batch::default() };
        for span in index.spans.iter().filter(|span| span.next > from) {
            batch.next = batch.next.max(span.first);
            if self.read_span(index.epoch, *span, &mut batch).is_err() {
                (batch.damaged, batch.next, self.at) = (true, span.next, None);
            }
            if !batch.events.is_empty() {
                return batch;
            }
        }
        batch
    }

    /// What is asked of one piece, as far as it fits.
    fn read_span(&mut self, epoch: u64, span: Span, batch: &mut Batch) -> io::Result<()> {
        let same = |at: &At| (at.epoch, at.first, at.sequence) == (epoch, span.first, batch.next);
        let begin = At { epoch, first: span.first, sequence: span.first, offset: 0 };
        let mut at = self.at.filter(same).unwrap_or(begin);
        let file = File::open(path(&self.folder, epoch, span.first))?;
        let mut bytes = vec![0; usize::try_from(span.bytes.saturating_sub(at.offset)).unwrap_or(0)];
        file.read_exact_at(&mut bytes, at.offset)?;
        let (mut rest, mut room) = (bytes.as_slice(), limits::EVENT_BYTES);
        while at.sequence < span.next {
            let Some((event, length)) = frame::read(rest).filter(|(event, _)| event.sequence == at.sequence)
            else {
                // What is before it is good.
                return if batch.events.is_empty() { Err(io::ErrorKind::InvalidData.into()) } else { Ok(()) };
            };
            if at.sequence >= batch.next {
                if batch.events.len() >= limits::EVENTS || event.body.len() > room {
                    break;
                }
                room -= event.body.len();
                batch.next = at.sequence + 1;
                batch.events.push(event);
            }
            rest = &rest[length..];
            (at.sequence, at.offset) = (at.sequence + 1, at.offset + length as u64);
        }
        self.at = Some(at);
        Ok(())
    }
}
