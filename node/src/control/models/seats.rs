//! How many models pass through at once: each may hold a whole file in memory, for as long as the other side likes.

use std::{sync::Arc, time::Duration};

use smartfw_learn::file::MAX_FILE;
use smartfw_proto::{
    view::{ImportModelPiece, ModelHead},
    wire,
};
use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore, mpsc},
    time::timeout,
};
use tokio_stream::{Stream, StreamExt as _, wrappers::ReceiverStream};
use tonic::Status;

/// Imports at once.
const IMPORTS: usize = 1;
/// Exports and lists at once: a list reads every file, one after the other.
const READS: usize = 2;
/// How long the other side may take for a piece. Who takes longer has gone, and would keep the seat for ever.
pub(super) const PATIENCE: Duration = Duration::from_secs(60);

/// The seats.
#[derive(Clone)]
pub(super) struct Seats {
    imports: Arc<Semaphore>,
    reads: Arc<Semaphore>,
}

/// A seat; it is free again when this is dropped.
pub(super) type Seat = OwnedSemaphorePermit;

impl Default for Seats {
    fn default() -> Self {
        Self { imports: Arc::new(Semaphore::new(IMPORTS)), reads: Arc::new(Semaphore::new(READS)) }
    }
}

impl Seats {
    pub(super) fn import(&self) -> Result<Seat, Status> {
        let full =
            |_| Status::failed_precondition("another model is being imported: try again when that is done");
        self.imports.clone().try_acquire_owned().map_err(full)
    }

    pub(super) fn read(&self) -> Result<Seat, Status> {
        let full =
            |_| Status::failed_precondition("other models are being read: try again when that is done");
        self.reads.clone().try_acquire_owned().map_err(full)
    }
}

/// The head, and the file's bytes: no more of them than a file may have.
pub(super) async fn gather(
    pieces: &mut (impl Stream<Item = Result<wire::ImportModelPiece, Status>> + Unpin),
    patience: Duration,
) -> Result<(ModelHead, Vec<u8>), Status> {
    let wrong = || Status::invalid_argument("a model's import begins with its head, once");
    let late = |_| {
        Status::failed_precondition(format!(
            "no piece of it came for {} s: import it again",
            patience.as_secs()
        ))
    };
    let (mut head, mut bytes) = (None, Vec::new());
    while let Some(piece) = timeout(patience, pieces.next()).await.map_err(late)? {
        match ImportModelPiece::try_from(piece?)? {
            ImportModelPiece::Head(first) if head.is_none() => head = Some(first),
            ImportModelPiece::Data(data) if head.is_some() => bytes.extend(data),
            _ => return Err(wrong()),
        }
        if bytes.len() > MAX_FILE {
            break; // reading it says that it is too long
        }
    }
    Ok((head.ok_or_else(wrong)?, bytes))
}

/// Gives pieces to whoever takes them, one after the other, while the seat is theirs.
pub(super) fn give(
    pieces: Vec<Vec<u8>>,
    seat: Seat,
    patience: Duration,
) -> ReceiverStream<Result<wire::ModelPiece, Status>> {
    let (sender, stream) = mpsc::channel(1);
    tokio::spawn(async move {
        let _seat = seat;
        for data in pieces {
            match timeout(patience, sender.send(Ok(wire::ModelPiece { data }))).await {
                Ok(Ok(())) => {}
                Ok(Err(_)) | Err(_) => return,
            }
        }
    });
    ReceiverStream::new(stream)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SOON: Duration = Duration::from_millis(20);

    fn piece(piece: ImportModelPiece) -> Result<wire::ImportModelPiece, Status> {
        Ok(piece.into())
    }

    fn head() -> Result<wire::ImportModelPiece, Status> {
        piece(ImportModelPiece::Head(ModelHead::default()))
    }

    #[test]
    fn so_many_models_pass_at_once_and_the_next_when_one_has() {
        let seats = Seats::default();
        let import = seats.import().unwrap();
        assert!(seats.import().unwrap_err().message().contains("try again"));
        drop(import);
        drop(seats.import().unwrap());
        let mut reads: Vec<Seat> = (0..READS).map(|_| seats.read().unwrap()).collect();
        assert!(seats.read().unwrap_err().message().contains("try again"));
        reads.pop();
        drop(seats.read().unwrap());
    }

    #[tokio::test]
    async fn an_import_that_stalls_ends() {
        let mut stalled = tokio_stream::iter([head()]).chain(tokio_stream::pending());
        let refused = gather(&mut stalled, SOON).await.unwrap_err();
        assert!(refused.message().contains("import it again"), "{refused}");
    }

    #[tokio::test]
    async fn an_import_is_no_longer_than_a_file_may_be() {
        let data = || piece(ImportModelPiece::Data(vec![0; 1 << 20]));
        let endless = tokio_stream::iter(std::iter::repeat_with(data));
        let mut endless = tokio_stream::iter([head()]).chain(endless);
        let (_, bytes) = gather(&mut endless, SOON).await.unwrap();
        assert!(bytes.len() > MAX_FILE && bytes.len() <= MAX_FILE + (1 << 20));
        let mut headless = tokio_stream::iter([data()]);
        assert!(gather(&mut headless, SOON).await.unwrap_err().message().contains("begins with its head"));
    }

    #[tokio::test]
    async fn an_export_that_nobody_takes_gives_its_seat_back_and_ends_short() {
        let seats = Seats::default();
        let seat = seats.read().unwrap();
        let pieces = |count: u8| (0..count).map(|byte| vec![byte]).collect::<Vec<_>>();
        let stream = give(pieces(9), seat, SOON);
        tokio::time::sleep(SOON * 10).await;
        assert_eq!(seats.reads.available_permits(), READS);
        assert!(stream.collect::<Vec<_>>().await.len() < 9);
        let taken: Vec<_> = give(pieces(9), seats.read().unwrap(), SOON * 100).collect().await;
        assert_eq!(taken.len(), 9);
    }
}
