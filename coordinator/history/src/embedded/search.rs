//! A search through everything, the newest first: of several sources always that one is read whose rows come next.

use std::{collections::BTreeMap, sync::Arc};

use super::segment::{Opened, Scan, Segment};
use crate::{Cursor, HistoryError, Page, Placed, Query};

/// Blocks, and directories of segments, that are looked at for one page at most: what takes more goes on with the next
/// page. A tenth of a second's worth of a processor.
pub(super) const MOST_BLOCKS: usize = 1_024;

/// Segments that are begun together at most, see [`Search::begin`].
const AHEAD: usize = 32;

/// Opens a segment; `None` when it was deleted meanwhile.
pub(super) trait Library {
    fn open(&self, number: u64, segment: &Segment) -> Result<Option<Arc<Opened>>, HistoryError>;
}

/// Sources by where their next row stands, or is at latest. Two may be at the same position: they have numbers.
pub(super) struct Search<'a, L> {
    query: &'a Query,
    library: &'a L,
    sources: BTreeMap<(Cursor, u64), Source>,
    /// Blocks that may be read.
    blocks: usize,
    read: usize,
    /// Segments that are begun together.
    ahead: usize,
}

enum Source {
    /// Rows that were found, the newest last.
    Found(Vec<Placed>),
    /// A segment that was not opened.
    Closed(Arc<Segment>),
    /// A segment that is being read, perhaps with the row that stands at the position.
    Open(Box<Scan>, Option<Placed>),
}

impl<'a, L: Library> Search<'a, L> {
    /// Begins with rows that were found elsewhere, the newest last, and segments.
    pub(super) fn new(
        query: &'a Query,
        library: &'a L,
        blocks: usize,
        found: Vec<Placed>,
        segments: &BTreeMap<u64, Arc<Segment>>,
    ) -> Self {
        let mut search = Self { query, library, sources: BTreeMap::new(), blocks, read: 0, ahead: 1 };
        search.add_found(found);
        for (number, segment) in segments {
            let trailer = segment.trailer;
            if trailer.newest >= query.from && trailer.oldest <= query.to.min(query.before().place) {
                let at = segment.end().min(query.before());
                search.sources.insert((at, *number), Source::Closed(Arc::clone(segment)));
            }
        }
        search
    }

    /// Reads until the page is full, everything was read, or too much was, but never so little that the next page would
    /// begin where this one did.
    pub(super) fn page(mut self) -> Result<Page, HistoryError> {
        let mut page = Page::default();
        while let Some(((at, number), source)) = self.sources.pop_last() {
            page.next = Some(at);
            if page.events.len() == self.query.rows() {
                page.next = page.events.last().map(Placed::cursor);
                return Ok(page);
            }
            match source {
                Source::Found(mut rows) => {
                    page.events.extend(rows.pop());
                    self.add_found(rows);
                }
                Source::Open(scan, Some(row)) => {
                    page.events.push(row);
                    self.go_on(number, scan)?;
                }
                _ if self.read >= self.blocks && at < self.query.before() => return Ok(page),
                Source::Open(scan, None) => self.go_on(number, scan)?,
                Source::Closed(_) => {
                    self.sources.insert((at, number), source);
                    self.begin()?;
                }
            }
        }
        page.next = None;
        Ok(page)
    }

    /// Their number is that of no segment.
    fn add_found(&mut self, rows: Vec<Placed>) {
        if let Some(row) = rows.last() {
            self.sources.insert((row.cursor(), u64::MAX), Source::Found(rows));
        }
    }

    /// Begins the segment that comes next, and the more of those behind it the more were begun before: what is rare is in
    /// many of them, and the disk reads the beginnings of all in the time of one. What is frequent fills its page from the
    /// first ones. What is wrong with those behind it is told when their turn comes, which may be never.
    fn begin(&mut self) -> Result<(), HistoryError> {
        let mut opened = Vec::new();
        for (at, segment) in self.next_closed() {
            match self.library.open(at.1, &segment) {
                Ok(Some(segment)) => {
                    segment.foresee(self.query);
                    opened.push((at, segment));
                }
                Ok(None) => drop(self.sources.remove(&at)),
                Err(why) if opened.is_empty() => return Err(why),
                Err(_) => break,
            }
        }
        for (number, (at, segment)) in opened.into_iter().enumerate() {
            if number > 0 && self.read >= self.blocks {
                break;
            }
            self.read += 1;
            match Scan::begin(segment, self.query, &mut self.read) {
                Ok(scan) => drop(self.sources.insert(at, Source::Open(Box::new(scan), None))),
                Err(why) if number == 0 => return Err(why),
                Err(_) => break,
            }
        }
        self.ahead = AHEAD.min(2 * self.ahead);
        Ok(())
    }

    /// The segments to begin, in the order in which they come.
    fn next_closed(&self) -> Vec<((Cursor, u64), Arc<Segment>)> {
        let closed = self.sources.iter().rev().filter_map(|(at, source)| match source {
            Source::Closed(segment) => Some((*at, Arc::clone(segment))),
            Source::Found(_) | Source::Open(..) => None,
        });
        closed.take(self.ahead).collect()
    }

    /// Takes the next row of a segment, or reads one more block of it.
    fn go_on(&mut self, number: u64, mut scan: Box<Scan>) -> Result<(), HistoryError> {
        if let Some(row) = scan.take() {
            self.sources.insert((row.cursor(), number), Source::Open(scan, Some(row)));
            return Ok(());
        }
        if let Some(before) = scan.go_on(self.query)? {
            self.read += 1;
            let row = scan.take();
            let at = row.as_ref().map_or(before, Placed::cursor);
            self.sources.insert((at, number), Source::Open(scan, row));
        }
        Ok(())
    }
}
