//! The entries as they come: read by a thread, so that what has come is sent while nothing more does.

use std::{
    io::BufRead,
    thread::{self, JoinHandle},
    time::Duration,
};

use indicatif::ProgressBar;
use smartfw_proto::limits;
use tokio::sync::mpsc;

use super::{
    Numbered, Tally,
    format::{Bad, Entries, Entry},
};

/// So long nothing may come before what has come is sent.
const IDLE: Duration = Duration::from_millis(500);

/// The entries of a file, or of whoever writes into a pipe now and then.
pub(super) struct Input {
    entries: mpsc::Receiver<Result<Entry, Bad>>,
    reader: JoinHandle<u64>,
    chunk: Vec<Numbered>,
}

impl Input {
    /// Begins to read.
    pub(super) fn read(mut entries: Entries<impl BufRead + Send + 'static>) -> Self {
        let (sender, receiver) = mpsc::channel(limits::CHUNK);
        let reader = thread::spawn(move || {
            for entry in entries.by_ref() {
                if sender.blocking_send(entry).is_err() {
                    break; // nobody wants it any more
                }
            }
            entries.soft()
        });
        Self { entries: receiver, reader, chunk: Vec::new() }
    }

    /// What is to be sent next: `most` entries, or what has come before a pause; nothing at the end. When it is dropped
    /// half way nothing is lost.
    pub(super) async fn chunk(&mut self, most: usize, tally: &mut Tally, bar: &ProgressBar) -> Vec<Numbered> {
        while self.chunk.len() < most {
            let patience = if self.chunk.is_empty() { Duration::MAX } else { IDLE };
            match tokio::time::timeout(patience, self.entries.recv()).await {
                Ok(Some(Ok(Entry { line, order }))) => self.chunk.push((line, order)),
                Ok(Some(Err(bad))) => tally.refuse(Some(bad.line), &bad.what, bar),
                Ok(None) | Err(_) => break,
            }
        }
        std::mem::take(&mut self.chunk)
    }

    /// Everything was read: what the file had besides.
    pub(super) fn end(self, tally: &mut Tally) {
        tally.soft = self.reader.join().unwrap_or_default();
    }
}
