//! The API for people, programs and bouncers, before this fleet.

mod certificate;
mod orders;
mod shown;

use std::{
    net::SocketAddr,
    path::{Path, PathBuf},
    sync::Arc,
};

use anyhow::Context as _;
use smartfw_api::{Api, Clock, Limits, Served, serve, tls};
use tokio::task::JoinSet;

use crate::{fleet::Fleet, settings::WebFiles};

/// The folder within the state folder.
const FOLDER: &str = "web";

/// Where it is served, and with what.
pub struct Web<'a> {
    /// Where.
    pub address: SocketAddr,
    /// With what certificate.
    pub files: &'a WebFiles,
    /// The state folder.
    pub state_dir: PathBuf,
    /// The folder of the audit log.
    pub log_dir: &'a Path,
    /// The cluster's name.
    pub cluster: String,
}

impl Web<'_> {
    /// Serves it; at the first start it says the password of the first admin, once.
    ///
    /// # Errors
    /// When the address is taken, the certificate cannot be used, or the accounts cannot be read.
    pub async fn serve(self, fleet: Fleet, tasks: &mut JoinSet<()>) -> anyhow::Result<Served> {
        let Self { address, files, state_dir, log_dir, cluster } = self;
        let folder = state_dir.join(FOLDER);
        let shown =
            Arc::new(shown::Shown::new(fleet, cluster.clone(), state_dir.join(orders::FOLDER).join(cluster)));
        tasks.spawn(shown.clone().follow());
        let settings =
            smartfw_api::Settings { state: folder.clone(), log: log_dir.to_owned(), clock: Clock::system() };
        let (api, first) = Api::open(settings, shown.clone())?;
        let certificate = certificate::load(&folder, files).context("the web server's certificate")?;
        let served =
            serve(address, tls(certificate)?, api.router(axum::Router::new()), Limits::default()).await?;
        shown.watch_audit(api);
        tracing::info!(address = %served.address(), "the API is there for people");
        if let Some(password) = first {
            announce(served.address(), password.reveal());
        }
        Ok(served)
    }
}

/// For the person who starts it the first time, and for nobody's log file: the journal of a service is a log file, so it
/// also says where else to look.
#[expect(clippy::print_stdout, reason = "it must not go where messages go")]
fn announce(address: SocketAddr, password: &str) {
    println!("https://{address}  user: admin  password, shown this once: {password}");
}
