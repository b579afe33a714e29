//! Clients that must come to no harm. Each is something that people and programs really do, chosen because some
//! attack looks like it; each says whether it was served.

mod mail;
mod peers;
mod probe;
mod shell;
mod web;

use std::{net::IpAddr, path::Path, time::Duration};

use anyhow::{Context, Result, bail};

use crate::{
    net::{Host, Net, SERVER_V4, SERVER_V6, Side},
    process::{Running, Stop, last_line},
    site::Site,
};

/// Something harmless that a client does.
#[derive(Clone, Copy, Debug)]
pub struct Benign {
    /// Its name, as in the labels.
    pub name: &'static str,
    /// How long a capture of it alone lasts, in seconds.
    pub seconds: u64,
    /// Whether it belongs into the background of every attack.
    pub beside: bool,
    /// Whether its host hangs on a link of 60 kB/s ([`Net::slow_link`]).
    ///
    /// [`Net::slow_link`]: crate::net::Net::slow_link
    pub slow_link: bool,
    run: fn(&Guest<'_>) -> Result<()>,
}

/// How long a short program may take on a busy machine.
const SHORT: Duration = Duration::from_secs(20);

/// Who does it, from where, and for how long.
#[derive(Debug)]
pub struct Guest<'a> {
    /// From where.
    pub host: &'a Host,
    /// What is served.
    pub site: &'a Site,
    /// Where its programs may log.
    pub dir: &'a Path,
    /// Whether it speaks IPv6.
    pub v6: bool,
    /// Until when.
    pub stop: Stop,
}

/// Every benign client.
pub const ALL: &[Benign] = &[
    benign("browsing", 20, true, web::browsing),
    benign("download", 8, true, web::download),
    on_a_slow_link(benign("slow-download", 20, true, web::slow_download)),
    on_a_slow_link(benign("slow-upload", 20, true, web::slow_upload)),
    benign("slow-reader", 30, false, web::slow_reader),
    benign("ssh-typos", 20, true, shell::ssh_typos),
    benign("ssh-session", 20, true, shell::ssh_session),
    benign("ansible", 60, true, shell::ansible),
    benign("ansible-forks", 25, false, shell::ansible_forks),
    benign("git", 15, false, shell::git),
    benign("monitor", 25, true, probe::monitor),
    benign("api", 12, true, web::api),
    benign("long-poll", 65, true, web::long_poll),
    benign("web-socket", 50, true, web::web_socket),
    benign("events", 20, false, web::events),
    benign("preconnect", 40, true, web::preconnect),
    benign("office", 30, false, web::office),
    benign("dns", 12, true, probe::dns),
    benign("ping", 12, true, probe::ping),
    benign("ping-burst", 4, false, probe::ping_burst),
    benign("traceroute", 12, false, probe::traceroute),
    benign("scp", 15, false, shell::scp),
    benign("ftp-files", 15, true, shell::ftp_files),
    benign("reload-storm", 12, true, web::reload_storm),
    benign("curl-loop", 12, false, web::curl_loop),
    benign("get-loop", 12, false, web::get_loop),
    benign("crawler", 20, false, web::crawler),
    benign("headless", 20, false, web::headless),
    benign("mirror", 20, false, web::mirror),
    benign("video", 20, false, web::video),
    benign("mail", 25, false, mail::mail),
    benign("tunnel", 15, false, probe::tunnel),
    benign("ping-large", 10, false, probe::ping_large),
    benign("closed-port", 15, true, probe::closed_port),
    benign("syslog", 12, false, probe::syslog),
    benign("clock", 12, true, probe::clock),
    benign("backup", 15, false, shell::backup),
    benign("peer-to-peer", 30, true, peers::peer_to_peer),
    benign("site-checks", 20, false, peers::site_checks),
];

const fn benign(name: &'static str, seconds: u64, beside: bool, run: fn(&Guest<'_>) -> Result<()>) -> Benign {
    Benign { name, seconds, beside, slow_link: false, run }
}

const fn on_a_slow_link(benign: Benign) -> Benign {
    Benign { slow_link: true, ..benign }
}

impl Benign {
    /// A host of the kind that this client has.
    pub fn host(&self, net: &Net) -> Result<Host> {
        let host = net.host(Side::Clients)?;
        if self.slow_link {
            net.slow_link(&host)?;
        }
        Ok(host)
    }

    /// Does it in the guest's namespace until the guest's time is over; an error when it was not served.
    pub fn run(&self, guest: &Guest<'_>) -> Result<()> {
        guest
            .host
            .namespace
            .inside(|| (self.run)(guest))?
            .with_context(|| format!("{} was harmed", self.name))
    }
}

impl Guest<'_> {
    /// The address that the guest came from in this run.
    pub fn address(&self) -> IpAddr {
        if self.v6 { self.host.v6.into() } else { self.host.v4.into() }
    }

    fn server(&self) -> IpAddr {
        if self.v6 { SERVER_V6.into() } else { SERVER_V4.into() }
    }

    /// The server's address as it stands in a URL.
    fn host_part(&self) -> String {
        if self.v6 { format!("[{SERVER_V6}]") } else { SERVER_V4.to_string() }
    }

    fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.host_part())
    }

    /// Runs a program until it ends or the time is over; an error when it fails by itself.
    fn tool(&self, program: &str, args: &[String]) -> Result<()> {
        self.tool_until(&self.stop, program, args)
    }

    /// Runs a short program to its end, though the time be over: who breaks off a login again and again looks like
    /// somebody who guesses, and nobody works like that.
    fn short_tool(&self, program: &str, args: &[String]) -> Result<()> {
        self.tool_until(&Stop::after(SHORT), program, args)
    }

    fn tool_until(&self, stop: &Stop, program: &str, args: &[String]) -> Result<()> {
        let log = self.dir.join(format!("benign-{}-{program}.log", self.host.namespace.name()));
        let mut command = self.host.namespace.command(program);
        command.args(args);
        match Running::start(command, &log)?.wait(stop)? {
            Some(status) if !status.success() => bail!("{program} ended with {status}: {}", last_line(&log)),
            _ => Ok(()),
        }
    }
}

fn strings(args: &[&str]) -> Vec<String> {
    args.iter().map(ToString::to_string).collect()
}
