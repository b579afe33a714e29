//! A search through everything, the newest first: of several sources always that one is read whose rows come next.

use std::{collections::BTreeMap, sync::Arc};

use super::segment::{Opened, Scan, Segment};
use crate::{Cursor, HistoryError, Page, Placed, Query};

/// Blocks that are read for one page at most: what takes more goes on with the next page. Half a second's worth.
pub(super) const MOST_BLOCKS: usize = 4_096;

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
        let mut search = Self { query, library, sources: BTreeMap::new(), blocks, read: 0 };
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
                Source::Closed(segment) => self.begin(number, &segment)?,
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

    fn begin(&mut self, number: u64, segment: &Segment) -> Result<(), HistoryError> {
        let Some(opened) = self.library.open(number, segment)? else { return Ok(()) };
        let scan = Scan::begin(opened, self.query, &mut self.read)?;
        self.go_on(number, Box::new(scan))
    }

    /// Takes the next row of a segment, or reads one more block of it.
    fn go_on(&mut self, number: u64, mut scan: Box<Scan>) -> Result<(), HistoryError> {
        if let Some(row) = scan.take() {
            self.sources.insert((row.cursor(), number), Source::Open(scan, Some(row)));
            return Ok(());
        }
        self.read += 1;
        if let Some(before) = scan.go_on(self.query)? {
            let row = scan.take();
            let at = row.as_ref().map_or(before, Placed::cursor);
            self.sources.insert((at, number), Source::Open(scan, row));
        }
        Ok(())
    }
}
