//! A fake of a Firebase database on a host of its own, over TLS, for the real programs.
#![expect(clippy::unwrap_used, reason = "a laboratory that cannot go on has failed")]

use std::{fs, net::Ipv4Addr, ops::Deref, path::PathBuf};

use smartfw_mirror_fake::{Door, Fake};
use tempfile::TempDir;
use tokio::runtime::{Builder, Runtime};

use crate::namespace::Namespace;

/// The secret that lets programs in.
pub const SECRET: &str = "lab-database-secret";

/// A database that wants [`SECRET`]. It ends when dropped.
#[derive(Debug)]
pub struct Database {
    fake: Fake,
    dir: TempDir,
    /// It serves in the host's namespace: its threads were started there.
    _runtime: Runtime,
}

impl Database {
    /// Starts on this host, which has this address.
    pub fn start(host: &Namespace, address: Ipv4Addr) -> Self {
        host.inside(|| {
            let runtime = Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
            let (at, name) = (format!("{address}:443"), address.to_string());
            let (fake, authority) = runtime.block_on(Fake::start_tls_at(&at, &name));
            fake.lock().door = Door::Secret(SECRET.to_owned());
            let dir = tempfile::tempdir().unwrap();
            fs::write(dir.path().join("authority.pem"), authority).unwrap();
            fs::write(dir.path().join("secret"), SECRET).unwrap();
            Self { fake, dir, _runtime: runtime }
        })
        .unwrap()
    }

    /// The file of the secret, for `mirror.secret`.
    pub fn secret(&self) -> PathBuf {
        self.dir.path().join("secret")
    }

    /// The certificate of who vouches for it: programs believe it by the variable `SSL_CERT_FILE`.
    pub fn authority(&self) -> PathBuf {
        self.dir.path().join("authority.pem")
    }
}

/// What it holds, what came, and what goes wrong.
impl Deref for Database {
    type Target = Fake;
    fn deref(&self) -> &Fake {
        &self.fake
    }
}
