//! The API for people, programs and bouncers, before this fleet.

mod certificate;
mod operator;
mod orders;
mod shown;

use std::{
    io::IsTerminal as _,
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
/// In it, the first password, where there was no terminal to show it on.
const FIRST: &str = "first-password";

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
    /// The site that the coordinator is at.
    pub site: String,
}

impl Web<'_> {
    /// Serves it; at the first start it says the password of the first admin, once.
    ///
    /// # Errors
    /// When the address is taken, the certificate cannot be used, or the accounts cannot be read.
    pub async fn serve(self, fleet: Fleet, tasks: &mut JoinSet<()>) -> anyhow::Result<Served> {
        let Self { address, files, state_dir, log_dir, cluster, site } = self;
        let folder = state_dir.join(FOLDER);
        let operator = state_dir.join(orders::FOLDER).join(&cluster);
        tasks.spawn(operator::watch(operator.clone(), fleet.health.clone()));
        let orders = orders::Orders::new(operator, site);
        let shown = Arc::new(shown::Shown::new(fleet, cluster, orders));
        let settings =
            smartfw_api::Settings { state: folder.clone(), log: log_dir.to_owned(), clock: Clock::system() };
        let (api, first) = Api::open(settings, shown.clone())?;
        // At once: whatever fails below, no later start shows it again.
        if let Some(password) = first {
            announce(address, &folder.join(FIRST), password.reveal())?;
        }
        tasks.spawn(shown.clone().follow());
        tasks.spawn(shown.refresh());
        let certificate = certificate::load(&folder, files).context("the web server's certificate")?;
        let router = api.router(axum::Router::new());
        let served = serve(address, tls(certificate)?, router, Limits::default()).await?;
        tracing::info!(address = %served.address(), "the API is there for people");
        Ok(served)
    }
}

/// For the person who starts it the first time, and for no log: where nobody looks on, it goes into a file.
#[expect(clippy::print_stdout, reason = "it must not go where messages go")]
fn announce(address: SocketAddr, file: &Path, password: &str) -> anyhow::Result<()> {
    if std::io::stdout().is_terminal() {
        println!("{}  password, shown this once: {password}", login(address));
        return Ok(());
    }
    certificate::write(file, 0o600, &format!("{password}\n"))?;
    println!("{}  password: in {}, to be deleted once it is known", login(address), file.display());
    Ok(())
}

/// Where a person begins: other paths want a session, and there are no pages.
fn login(address: SocketAddr) -> String {
    format!("POST https://{address}/api/v1/login  user: admin")
}
