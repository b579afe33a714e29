//! The end: what was decided is stored, the rules stay.

use std::{
    path::PathBuf,
    sync::{
        Arc, PoisonError,
        atomic::{AtomicBool, Ordering::SeqCst},
    },
    thread::JoinHandle,
    time::Duration,
};

use super::{join, parts::Links};
use crate::{
    control::Reload,
    detector::Supervisor,
    enforcement::{Desired, save_for_boot},
    fleet::Control,
    inbox::Input,
    store::DirLock,
};

/// How long a thread may take to end. None does, unless disk or kernel hang; the service manager has patience for a few.
const PATIENCE: Duration = Duration::from_secs(10);

/// How long learning may take to keep its state. A training takes minutes, and was kept before it began.
const LESSON: Duration = Duration::from_secs(2);

/// Everything that has to be ended.
pub(super) struct Ending {
    pub(super) links: Links,
    pub(super) state_dir: PathBuf,
    /// What the next boot shall load.
    pub(super) at_boot: Desired,
    /// Whether the kernel shall forget everything.
    pub(super) remove: bool,
    pub(super) supervisor: Supervisor,
    pub(super) stop_guard: Arc<AtomicBool>,
    pub(super) server: tokio::task::JoinHandle<()>,
    /// The network of the fleet.
    pub(super) fleet: Arc<Control>,
    /// Who learns what is usual.
    pub(super) learning: Option<JoinHandle<()>>,
    /// Those who bring news, then the driver, then those who carry out.
    pub(super) threads: Vec<JoinHandle<()>>,
    pub(super) reload: Reload,
    pub(super) _lock: DirLock,
}

impl Ending {
    /// Ends everything: first who brings news, then who decides, then who carries out.
    pub(super) fn end(self) {
        let Self {
            links,
            state_dir,
            at_boot,
            remove,
            supervisor,
            stop_guard,
            server,
            fleet,
            learning,
            threads,
            reload,
            _lock,
        } = self;
        server.abort();
        // Others see this node die, not leave: what it said stands.
        let _ = fleet.close(false);
        stop_guard.store(true, SeqCst);
        supervisor.stop();
        if let Err(error) = save_for_boot(&state_dir, &at_boot) {
            tracing::warn!(%error, "a reboot would bring back older blocks");
        }
        learning.into_iter().for_each(|thread| join(thread, LESSON));
        links.inbox.send(Input::Stop);
        for thread in threads {
            match thread.thread().name() {
                // The driver has ended: no more changes and records come.
                Some("enforcer") => links.queue.stop(remove),
                Some("store") => links.backlog.close(),
                _ => {}
            }
            join(thread, PATIENCE);
        }
        links.uplink.end();
        let logs_thread = links.logs_thread.lock().unwrap_or_else(PoisonError::into_inner).take();
        drop((links, reload, fleet));
        logs_thread.into_iter().for_each(|thread| join(thread, Duration::from_secs(2)));
        tracing::info!(removed = remove, "ended");
    }
}
