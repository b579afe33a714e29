//! A search through one segment, from the newest row that is wanted to the oldest, block by block.

use std::sync::Arc;

use super::{FORESEEN, Opened, RowBlock, Start, terms};
use crate::{Cursor, HistoryError, Placed, Query};

/// Where a search stands.
#[derive(Debug)]
pub(in crate::embedded) struct Scan {
    opened: Arc<Opened>,
    /// Rows that may be wanted and were not looked at.
    left: Rows,
    /// The system was asked for the blocks of the rows from this one on.
    foreseen: u32,
    /// Rows that are wanted, the newest last.
    found: Vec<Placed>,
}

/// Numbers of rows, in order.
#[derive(Debug)]
enum Rows {
    /// All before this one.
    Before(u32),
    /// These.
    These(Vec<u32>),
}

impl Scan {
    /// Looks up which rows may be wanted, and asks the system for the newest. Adds the blocks that were read to `read`.
    pub(in crate::embedded) fn begin(
        opened: Arc<Opened>,
        query: &Query,
        read: &mut usize,
    ) -> Result<Self, HistoryError> {
        let mut left = Rows::Before(opened.events);
        for range in terms::wanted(query) {
            let rows = opened.rows_of(&range, read)?;
            left = left.and(rows);
            if left.below(u32::MAX).is_none() {
                break;
            }
        }
        if let Some(name) = &query.name
            && let Some(rows) = opened.rows_of_name(name, read)?
        {
            left = left.and(rows);
        }
        left.cut(opened.end_of(query));
        let mut scan = Self { foreseen: opened.events, opened, left, found: Vec::new() };
        scan.foresee();
        Ok(scan)
    }

    /// Asks the system for the blocks that come next.
    fn foresee(&mut self) {
        for _ in 0..FORESEEN {
            let Some(row) = self.left.below(self.foreseen) else { return };
            let Some(RowBlock { first, block, .. }) = self.opened.block_of(row) else { return };
            block.foresee(&self.opened.file);
            self.foreseen = *first;
        }
    }

    /// The newest row that is wanted and was not taken yet.
    pub(in crate::embedded) fn take(&mut self) -> Option<Placed> {
        self.found.pop()
    }

    /// Reads the next block, when nothing was found that was not taken. Answers where everything that is left lies
    /// before, or `None` when nothing is left.
    pub(in crate::embedded) fn go_on(&mut self, query: &Query) -> Result<Option<Cursor>, HistoryError> {
        let Some(last) = self.left.below(u32::MAX) else { return Ok(None) };
        if last < self.foreseen {
            self.foresee();
        }
        let damaged = || crate::embedded::damaged(&self.opened.path, "a row is in no block");
        let row_block = self.opened.block_of(last).ok_or_else(damaged)?;
        let rows: Vec<Placed> = row_block.block.read(&self.opened.path, &self.opened.file)?;
        let oldest = rows.first().ok_or_else(damaged)?.cursor();
        let mut rows: Vec<Option<Placed>> = rows.into_iter().map(Some).collect();
        while let Some(row) = self.left.below(u32::MAX).filter(|row| *row >= row_block.first) {
            self.left.cut(row);
            let slot = rows.get_mut((row - row_block.first) as usize).ok_or_else(damaged)?;
            let wanted = |row: &Placed| {
                row.cursor() < query.before()
                    && row.place >= query.from
                    && row.place <= query.to
                    && query.wants(&row.event)
            };
            self.found.extend(slot.take().filter(wanted));
        }
        self.found.reverse();
        if oldest.place < query.from {
            self.left.cut(0);
        }
        Ok(Some(oldest))
    }
}

impl Opened {
    /// The block in which a row is.
    fn block_of(&self, row: u32) -> Option<&RowBlock> {
        let blocks = &self.directory.rows;
        blocks[..blocks.partition_point(|block| block.first <= row)].last()
    }

    /// The number behind the last block that begins before what the query asks for the end of.
    fn end_of(&self, query: &Query) -> u32 {
        let before =
            |(place, node, count): Start| place <= query.to && Cursor { place, node, count } < query.before();
        let blocks = &self.directory.rows;
        let behind = blocks.partition_point(|block| before(block.start));
        blocks.get(behind).map_or(self.events, |block| block.first)
    }
}

impl Rows {
    /// Those of `rows` that are among these.
    fn and(self, mut rows: Vec<u32>) -> Self {
        match self {
            Self::Before(end) => rows.retain(|row| *row < end),
            Self::These(these) => rows.retain(|row| these.binary_search(row).is_ok()),
        }
        Self::These(rows)
    }

    /// The last one before `end`.
    fn below(&self, end: u32) -> Option<u32> {
        match self {
            Self::Before(before) => end.min(*before).checked_sub(1),
            Self::These(rows) => rows[..rows.partition_point(|row| *row < end)].last().copied(),
        }
    }

    /// Leaves what is before `end`.
    fn cut(&mut self, end: u32) {
        match self {
            Self::Before(before) => *before = end.min(*before),
            Self::These(rows) => rows.truncate(rows.partition_point(|row| *row < end)),
        }
    }
}
