//! The socket, and who may use it.

use std::{
    fs, io,
    os::unix::{
        fs::{FileTypeExt as _, PermissionsExt as _, chown},
        net::UnixStream as BlockingStream,
    },
    path::{Path, PathBuf},
    time::Duration,
};

use nix::unistd::{Group, Uid, User};
use tokio::{
    net::{UnixListener, UnixStream, unix::UCred},
    sync::mpsc,
};
use tokio_stream::wrappers::ReceiverStream;

/// Connections that may wait to be served.
const BACKLOG: usize = 64;

/// The socket cannot be had.
#[derive(Debug, thiserror::Error)]
pub enum SocketError {
    /// A daemon answers there.
    #[error("another smartfw-node listens on {0}; stop it, or choose another --socket")]
    Live(PathBuf),
    /// Something that is no socket is there.
    #[error("{0} is there and is not a socket; remove it, or choose another --socket")]
    NotASocket(PathBuf),
    /// The system refuses.
    #[error("cannot listen on {path}: {source}")]
    Io {
        /// The socket.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
}

/// The listening socket; it is removed when dropped.
#[derive(Debug)]
pub struct ControlSocket {
    listener: Option<UnixListener>,
    path: PathBuf,
    group: String,
}

impl ControlSocket {
    /// Listens at `path` for root and `group`, replacing a socket that nobody listens on. Needs a runtime.
    ///
    /// # Errors
    /// [`SocketError`]: who is there already, or what the system refuses.
    pub fn bind(path: &Path, group: &str) -> Result<Self, SocketError> {
        let failed = |source| SocketError::Io { path: path.to_owned(), source };
        clear(path)?;
        if let Some(folder) = path.parent().filter(|folder| !folder.as_os_str().is_empty()) {
            make_folder(folder).map_err(failed)?;
        }
        let listener = UnixListener::bind(path).map_err(failed)?;
        if let Some(group) = Group::from_name(group).ok().flatten() {
            chown(path, None, Some(group.gid.as_raw())).map_err(failed)?;
        }
        fs::set_permissions(path, fs::Permissions::from_mode(0o660)).map_err(failed)?;
        Ok(Self { listener: Some(listener), path: path.to_owned(), group: group.to_owned() })
    }

    /// The connections of those who may connect.
    pub fn connections(&mut self) -> ReceiverStream<io::Result<UnixStream>> {
        let (admitted, connections) = mpsc::channel(BACKLOG);
        if let Some(listener) = self.listener.take() {
            tokio::spawn(accept(listener, self.group.clone(), admitted));
        }
        ReceiverStream::new(connections)
    }
}

impl Drop for ControlSocket {
    fn drop(&mut self) {
        // Whoever comes next replaces it anyway.
        let _ = fs::remove_file(&self.path);
    }
}

async fn accept(listener: UnixListener, group: String, admitted: mpsc::Sender<io::Result<UnixStream>>) {
    loop {
        let Ok((stream, _)) = listener.accept().await else {
            tokio::time::sleep(Duration::from_millis(100)).await; // out of file descriptors: do not spin
            continue;
        };
        let Ok(peer) = stream.peer_cred() else { continue };
        // Who a user is may be asked over the network.
        let group = group.clone();
        let may = tokio::task::spawn_blocking(move || may_connect(&peer, &group));
        if !may.await.unwrap_or(false) {
            tracing::warn!(uid = peer.uid(), "a user who is not in the group was turned away");
            continue;
        }
        if admitted.send(Ok(stream)).await.is_err() {
            return;
        }
    }
}

/// Root, the daemon's own user, and the group's members. The socket's mode says the same; this holds also where its
/// folder was made on a file system without permissions.
fn may_connect(peer: &UCred, group: &str) -> bool {
    if peer.uid() == 0 || Uid::effective().as_raw() == peer.uid() {
        return true;
    }
    // Members come and go while the daemon runs.
    Group::from_name(group).ok().flatten().is_some_and(|group| {
        let name = User::from_uid(Uid::from_raw(peer.uid())).ok().flatten().map(|user| user.name);
        group.gid.as_raw() == peer.gid() || name.is_some_and(|name| group.mem.contains(&name))
    })
}

fn clear(path: &Path) -> Result<(), SocketError> {
    let Ok(metadata) = fs::symlink_metadata(path) else { return Ok(()) };
    if !metadata.file_type().is_socket() {
        return Err(SocketError::NotASocket(path.to_owned()));
    }
    if BlockingStream::connect(path).is_ok() {
        return Err(SocketError::Live(path.to_owned()));
    }
    fs::remove_file(path).map_err(|source| SocketError::Io { path: path.to_owned(), source })
}

/// The folder of the socket: members of the group must be able to reach it.
fn make_folder(folder: &Path) -> io::Result<()> {
    if folder.is_dir() {
        return Ok(());
    }
    fs::create_dir_all(folder)?;
    fs::set_permissions(folder, fs::Permissions::from_mode(0o755))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_stale_socket_is_replaced_and_a_live_one_is_not() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("run/node.sock");
        let first = ControlSocket::bind(&path, "no-such-group").unwrap();
        assert!(matches!(ControlSocket::bind(&path, "no-such-group"), Err(SocketError::Live(_))));
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o660);
        drop(first);
        assert!(!path.exists());
        drop(std::os::unix::net::UnixListener::bind(&path).unwrap());
        assert!(path.exists());
        ControlSocket::bind(&path, "no-such-group").unwrap();
    }

    #[tokio::test]
    async fn a_file_in_the_socket_s_place_is_left_alone() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("file");
        fs::write(&path, "precious").unwrap();
        assert!(matches!(ControlSocket::bind(&path, "g"), Err(SocketError::NotASocket(_))));
        assert_eq!(fs::read_to_string(path).unwrap(), "precious");
    }
}
