//! People and programs that log in and carry files.

use std::{process::Command, time::Duration};

use anyhow::{Result, ensure};

use super::{
    Guest, strings,
    web::{curl, each},
};
use crate::{
    persona::{PASSWORD, USER},
    site::SMALL_FILES,
};

/// Two typos, then the right password, then some work.
pub(super) fn ssh_typos(guest: &Guest<'_>) -> Result<()> {
    let server = guest.server().to_string();
    for password in ["tulip-quarts-91", "tulip-quartz-19", PASSWORD] {
        let right = password == PASSWORD;
        let work = if right { "for i in 1 2 3 4 5; do ls /etc; sleep 1; done" } else { "true" };
        let last = strings(&["-o", "PubkeyAuthentication=no", "-o", "NumberOfPasswordPrompts=1", "-l", USER]);
        let args =
            [strings(&["-p", password, "ssh"]), ssh_options(), last, vec![server.clone(), work.into()]]
                .concat();
        let done = guest.tool("sshpass", &args);
        if guest.stop.reached() {
            break;
        }
        ensure!(right || done.is_err(), "the wrong password {password} let somebody in");
        if right {
            done?;
        }
        guest.stop.sleep(Duration::from_secs(1));
    }
    Ok(())
}

pub(super) fn ssh_session(guest: &Guest<'_>) -> Result<()> {
    guest.tool("ssh", &ssh(guest, "for i in $(seq 1000); do date; ls -l /etc; sleep 0.5; done"))
}

/// Short successful commands, twenty in a minute.
pub(super) fn ansible(guest: &Guest<'_>) -> Result<()> {
    loop {
        guest.short_tool("ssh", &ssh(guest, "uptime"))?;
        if !guest.stop.sleep(Duration::from_millis(2500)) {
            return Ok(());
        }
    }
}

/// The same with five hands, in a burst every ten seconds.
pub(super) fn ansible_forks(guest: &Guest<'_>) -> Result<()> {
    loop {
        each(5, |fork| {
            guest.stop.sleep(Duration::from_millis(20 * fork as u64));
            if guest.stop.reached() { Ok(()) } else { guest.short_tool("ssh", &ssh(guest, "uptime")) }
        })?;
        if !guest.stop.sleep(Duration::from_secs(10)) {
            return Ok(());
        }
    }
}

/// A script that fetches a dozen repositories one after the other, without a pause.
pub(super) fn git(guest: &Guest<'_>) -> Result<()> {
    (0..12).try_for_each(|_| {
        if guest.stop.reached() { Ok(()) } else { guest.short_tool("ssh", &ssh(guest, "cat small1.txt")) }
    })
}

pub(super) fn scp(guest: &Guest<'_>) -> Result<()> {
    let remote = format!("{USER}@{}:up.bin", guest.host_part());
    let local = guest.dir.join(format!("scp-{}.bin", guest.host.namespace.name())).display().to_string();
    Command::new("truncate").args(["-s", "20M", &local]).status()?;
    let common =
        [strings(&["-q", "-i", &guest.site.persona.key.display().to_string()]), ssh_options()].concat();
    guest.tool("scp", &[common.clone(), vec![local.clone(), remote.clone()]].concat())?;
    guest.tool("scp", &[common, vec![remote, local]].concat())
}

/// A backup over ssh of the page's files and 40 MB of the large one.
pub(super) fn backup(guest: &Guest<'_>) -> Result<()> {
    let into = guest.dir.join(format!("backup-{}", guest.host.namespace.name())).display().to_string();
    let ssh = format!("ssh -i {} {}", guest.site.persona.key.display(), ssh_options().join(" "));
    let web = guest.dir.join("web").display().to_string();
    let from = format!("{USER}@{}:{web}/", guest.host_part());
    guest.tool("rsync", &strings(&["-aW", "--ignore-times", "--max-size=50m", "-e", &ssh, &from, &into]))
}

fn ssh_options() -> Vec<String> {
    strings(&[
        "-F",
        "/dev/null",
        "-o",
        "StrictHostKeyChecking=no",
        "-o",
        "UserKnownHostsFile=/dev/null",
        "-o",
        "LogLevel=ERROR",
        "-o",
        "ConnectTimeout=15",
        "-o",
        "IdentitiesOnly=yes",
    ])
}

/// Thirty small files over passive FTP: one connection each, all to high ports.
pub(super) fn ftp_files(guest: &Guest<'_>) -> Result<()> {
    let base = format!("ftp://{USER}:{PASSWORD}@{}/small[0-{}].txt", guest.host_part(), SMALL_FILES - 1);
    curl(guest, &["-o", "/dev/null", &base])
}

/// The arguments of an ssh that logs in with the key and runs a command.
fn ssh(guest: &Guest<'_>, command: &str) -> Vec<String> {
    let server = guest.server().to_string();
    let args = [
        vec!["-i".into(), guest.site.persona.key.display().to_string()],
        ssh_options(),
        vec!["-l".into(), USER.into(), server, command.into()],
    ];
    args.concat()
}
