//! The buffer as a start finds it.

use std::{
    collections::{BTreeMap, VecDeque},
    fs::{self, OpenOptions},
    io,
    path::Path,
};

use super::{
    super::{
        frame,
        index::{Span, named, path},
    },
    Bounds, Buffer,
};
use crate::files;

/// What a piece holds that can be read.
struct Scanned {
    span: Span,
    /// Bytes behind that are no events.
    cut: u64,
}

impl Buffer {
    /// Opens the buffer, or begins one: then its life is later than any before. Also how many events were lost since.
    ///
    /// # Errors
    /// When the disk refuses.
    pub(in super::super) fn open(folder: &Path, bounds: Bounds, now_millis: u64) -> io::Result<(Self, u64)> {
        files::private_dir(folder)?;
        let mut lives = lives(folder)?;
        let (epoch, firsts) = lives.pop_last().unwrap_or_default();
        // A crash came while another life was begun.
        for (epoch, first) in
            lives.iter().flat_map(|(epoch, all)| all.iter().map(move |first| (epoch, first)))
        {
            fs::remove_file(path(folder, *epoch, *first))?;
        }
        let (folder, spans) = (folder.to_owned(), VecDeque::new());
        let mut buffer = Self { folder, bounds, epoch, next: 1, spans, last: None, kept: 0, reached: 0 };
        let mut lost = buffer.find(&firsts)?;
        if buffer.spans.is_empty() {
            buffer.epoch = now_millis.max(epoch.saturating_add(1));
        }
        while buffer.spans.len() > bounds.pieces {
            // What was told is not known yet.
            lost += buffer.remove_oldest().0;
        }
        Ok((buffer, lost))
    }

    /// Takes the pieces over; how many events that lay in them cannot be read.
    fn find(&mut self, firsts: &[u64]) -> io::Result<u64> {
        let mut lost = 0;
        for (place, first) in firsts.iter().enumerate() {
            let Scanned { span, cut } = scan(&self.folder, self.epoch, *first)?;
            let Some(following) = firsts.get(place + 1) else {
                self.spans.push_back(span);
                self.resume(span, cut)?;
                break;
            };
            lost += if cut > 0 { following.saturating_sub(span.next) } else { 0 };
            if span.len() == 0 {
                fs::remove_file(path(&self.folder, self.epoch, *first))?;
            } else {
                self.spans.push_back(span);
            }
        }
        Ok(lost)
    }

    /// Goes on behind the last piece. Numbers of what was cut off are not given again: somebody may have it.
    fn resume(&mut self, span: Span, cut: u64) -> io::Result<()> {
        self.next = span.next + cut.div_ceil(frame::SHORTEST);
        let file = OpenOptions::new().append(true).open(path(&self.folder, self.epoch, span.first))?;
        file.set_len(span.bytes)?;
        self.last = (cut == 0).then_some(file);
        Ok(())
    }
}

/// The pieces of each life, in order.
fn lives(folder: &Path) -> io::Result<BTreeMap<u64, Vec<u64>>> {
    let mut lives: BTreeMap<u64, Vec<u64>> = BTreeMap::new();
    for entry in fs::read_dir(folder)? {
        if let Some((epoch, first)) = entry?.file_name().to_str().and_then(named) {
            lives.entry(epoch).or_default().push(first);
        }
    }
    lives.values_mut().for_each(|firsts| firsts.sort_unstable());
    Ok(lives)
}

fn scan(folder: &Path, epoch: u64, first: u64) -> io::Result<Scanned> {
    let bytes = fs::read(path(folder, epoch, first))?;
    let mut span = Span::empty(first);
    let mut rest = bytes.as_slice();
    while let Some((_, length)) = frame::read(rest).filter(|(event, _)| event.sequence == span.next) {
        span.next += 1;
        span.bytes += length as u64;
        rest = &rest[length..];
    }
    Ok(Scanned { span, cut: rest.len() as u64 })
}
