//! The end: what was decided is stored, the rules stay.

use std::{
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::SeqCst},
    },
    thread::JoinHandle,
    time::Duration,
};

use smartfw_enforce::snapshot;
use tokio::task::JoinHandle as Task;

use super::join;
use crate::{
    clock,
    control::{ControlSocket, Reload},
    detector::Supervisor,
    enforcement::{Desired, Queue},
    inbox::{Inbox, Input},
    logs::Logs,
    store::{Backlog, DirLock},
};

/// How long a thread may take to end; systemd waits for 90 s.
const PATIENCE: Duration = Duration::from_secs(10);

/// Everything that has to be ended, in order.
pub(super) struct Ending {
    pub(super) inbox: Inbox,
    pub(super) queue: Arc<Queue>,
    pub(super) backlog: Arc<Backlog>,
    pub(super) desired: Desired,
    pub(super) state_dir: PathBuf,
    /// Whether the kernel shall forget everything.
    pub(super) remove: bool,
    pub(super) supervisor: Option<Supervisor>,
    pub(super) stop_guard: Arc<AtomicBool>,
    pub(super) server: Task<Result<(), tonic::transport::Error>>,
    /// In the order in which they end.
    pub(super) threads: Vec<JoinHandle<()>>,
    pub(super) logs: Option<Logs>,
    pub(super) reload: Reload,
    pub(super) _socket: ControlSocket,
    pub(super) _lock: DirLock,
}

impl Ending {
    /// Ends everything: first who brings news, then who decides, then who carries out.
    pub(super) fn end(mut self) {
        self.server.abort();
        self.stop_guard.store(true, SeqCst);
        if let Some(supervisor) = self.supervisor.take() {
            supervisor.stop();
        }
        if let Some(enforced) = (self.desired)()
            && let Err(error) = snapshot::save(&self.state_dir, clock::now(), &enforced)
        {
            tracing::warn!(%error, "a reboot would bring back older blocks");
        }
        self.inbox.send(Input::Stop);
        self.queue.stop(self.remove);
        drop(self.logs.take());
        drop(self.reload);
        for (index, thread) in self.threads.into_iter().enumerate() {
            if index == 2 {
                // The driver has ended: no more records come.
                self.backlog.close();
            }
            join(thread, PATIENCE);
        }
        tracing::info!(removed = self.remove, "ended");
    }
}
