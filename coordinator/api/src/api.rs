//! The API with all that it remembers.

use std::{io, path::PathBuf, sync::Arc};

use axum::Router;

use crate::{
    Clock, Fleet,
    audit::Audit,
    auth::{Accounts, Limiter, Passwords, Secret, Sessions},
    decisions::Ledger,
    dispatch, file,
    handle::live::Seats,
};

/// Where the API keeps its things.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The folder of the accounts, and of what bouncers have heard.
    pub state: PathBuf,
    /// The folder of the audit log.
    pub log: PathBuf,
    /// Where the time comes from.
    pub clock: Clock,
}

/// The API. A copy is the same API.
#[derive(Clone)]
pub struct Api(pub(crate) Arc<Inner>);

pub(crate) struct Inner {
    pub(crate) fleet: Arc<dyn Fleet>,
    pub(crate) clock: Clock,
    pub(crate) accounts: Accounts,
    pub(crate) passwords: Passwords,
    pub(crate) sessions: Sessions,
    pub(crate) limiter: Limiter,
    pub(crate) audit: Audit,
    pub(crate) ledger: Ledger,
    pub(crate) seats: Seats,
}

/// The password of the user `admin` that the first start made. It is nowhere else: show it once.
#[derive(Debug)]
pub struct FirstPassword(Secret);

impl FirstPassword {
    /// The password.
    pub fn reveal(&self) -> &str {
        self.0.reveal()
    }
}

/// The API cannot begin.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// A folder cannot be made.
    #[error("{0}: {1}; give this program access to it, or name another folder")]
    Folder(PathBuf, #[source] io::Error),
    /// The accounts cannot be read.
    #[error("the accounts cannot be read: {0}")]
    Accounts(String),
}

impl Api {
    /// Opens the API; at the first start with the password of the first admin.
    ///
    /// # Errors
    /// When a folder cannot be made, or the accounts make no sense or may be read by others.
    pub fn open(
        settings: Settings,
        fleet: Arc<dyn Fleet>,
    ) -> Result<(Self, Option<FirstPassword>), OpenError> {
        let Settings { state, log, clock } = settings;
        for folder in [&state, &log] {
            file::private_dir(folder).map_err(|error| OpenError::Folder(folder.clone(), error))?;
        }
        let accounts = Accounts::open(&state.join("accounts.json"), clock.now());
        let (accounts, first) = accounts.map_err(|error| OpenError::Accounts(error.to_string()))?;
        let inner = Inner {
            fleet,
            clock,
            accounts,
            passwords: Passwords::default(),
            sessions: Sessions::default(),
            limiter: Limiter::default(),
            audit: Audit::new(&log),
            ledger: Ledger::open(&state.join("decisions.json")),
            seats: Seats::default(),
        };
        Ok((Self(Arc::new(inner)), first.map(FirstPassword)))
    }

    /// What answers requests. `rest` answers what is not the API's, such as the dashboard's pages; its answers get the
    /// same security headers.
    pub fn router(&self, rest: Router) -> Router {
        dispatch::router(self, rest)
    }
}
