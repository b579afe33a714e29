//! The one person who may log in to the server: an account that exists only inside its namespace.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context, Result, ensure};

use crate::namespace::Namespace;

/// The account's name.
pub const USER: &str = "labuser";
/// The account's password. No word list of the attacks holds it.
pub const PASSWORD: &str = "tulip-quartz-91";

/// Where the account's home and its key are.
#[derive(Clone, Debug)]
pub struct Persona {
    /// The home directory on the server.
    pub home: PathBuf,
    /// The private key that lets in without a password.
    pub key: PathBuf,
}

impl Persona {
    /// Adds the account to a namespace: `/etc/passwd` and `/etc/shadow` are covered, not changed.
    pub fn settle(server: &Namespace, dir: &Path) -> Result<Self> {
        let (home, key) = (dir.join("home"), dir.join("key"));
        fs::create_dir_all(home.join(".ssh"))?;
        let hash = output(Command::new("openssl").args(["passwd", "-6", PASSWORD]))?;
        let passwd = fs::read_to_string("/etc/passwd")?;
        let line = format!("{USER}:x:1999:1999::{}:/bin/bash\n", home.display());
        server.etc("passwd", &(passwd + &line))?;
        let shadow = fs::read_to_string("/etc/shadow").context("cannot read /etc/shadow (is this root?)")?;
        server.etc("shadow", &format!("{shadow}{USER}:{}:19000:0:99999:7:::\n", hash.trim()))?;
        server.etc("group", &(fs::read_to_string("/etc/group")? + &format!("{USER}:x:1999:\n")))?;
        output(Command::new("ssh-keygen").args(["-q", "-t", "ed25519", "-N", "", "-f"]).arg(&key))?;
        fs::copy(key.with_extension("pub"), home.join(".ssh/authorized_keys"))?;
        for path in [&home, &home.join(".ssh"), &home.join(".ssh/authorized_keys")] {
            std::os::unix::fs::chown(path, Some(1999), Some(1999))?;
        }
        Ok(Self { home, key })
    }
}

fn output(command: &mut Command) -> Result<String> {
    let done = command.output().with_context(|| format!("cannot run {command:?}"))?;
    ensure!(done.status.success(), "{command:?}: {}", String::from_utf8_lossy(&done.stderr));
    Ok(String::from_utf8(done.stdout)?)
}
