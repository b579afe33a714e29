//! `support dump`: what helps to find a fault, in a .tar.gz. Addresses of the allow list and secrets are left out, and
//! its size is bounded.

mod redact;
mod tar;

use std::{
    fs::{self, File, OpenOptions},
    io::{self, Read, Seek, SeekFrom, Write},
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpStream},
    os::unix::fs::OpenOptionsExt as _,
    path::{Path, PathBuf},
    time::Duration,
};

use flate2::{Compression, write::GzEncoder};
use smartfw_config::Sources;
use smartfw_proto::{
    json,
    view::{AlertFilter, NodeStatus},
    wire,
};

use super::{doctor, status};
use crate::{
    args::{Format, Global},
    client::{self, Daemon},
    duration::now,
    failure::Failure,
    output::Output,
};
use redact::Redactor;
use tar::Bundle;

/// The end of a log that is taken, bytes: some thousand lines.
const LOG: u64 = 1 << 20;
/// Answers of local services, bytes.
const ANSWER: u64 = 1 << 20;
/// Alerts that are taken.
const ALERTS: usize = 1000;

pub(super) fn run(global: &Global, output: &mut Output, to: Option<PathBuf>) -> Result<(), Failure> {
    let seconds = now().as_secs();
    let path = to.unwrap_or_else(|| format!("smartfw-support-{seconds}.tar.gz").into());
    let cannot = |error: io::Error| Failure::failed(format!("cannot write {}: {error}", path.display()));
    let file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&path).map_err(cannot)?;
    if let Err(error) = write(file, pieces(global), seconds) {
        let _ = fs::remove_file(&path); // half a bundle helps nobody
        return Err(cannot(error));
    }
    match output.format {
        Format::Human => {
            output.line(&format!(
                "{} is written: addresses of the allow list and secrets are left out;",
                path.display()
            ))?;
            output.line("addresses of attackers and of this host are in it: look before you send it.")
        }
        Format::Json => output.json(&serde_json::json!({"file": path.to_string_lossy()})),
        Format::Raw => output.raw(&[path.to_string_lossy().into_owned()]),
    }
}

fn write(file: File, pieces: Vec<(String, String)>, seconds: u64) -> io::Result<()> {
    let mut bundle = Bundle::new(GzEncoder::new(file, Compression::default()), seconds);
    for (name, content) in pieces {
        bundle.add(&name, content.as_bytes())?;
    }
    bundle.finish()?.finish()?.sync_all()
}

/// What goes in. Nothing that is missing stops the rest: it says so in its place.
fn pieces(global: &Global) -> Vec<(String, String)> {
    let sources = Sources { environment: smartfw_config::environment(), ..Sources::default() };
    let config = smartfw_config::load(&sources);
    let right = smartfw_config::load_what_is_right(&sources);
    let mut secret = right.policy.allow.clone();
    let asked = client::block_on(ask(global, &mut secret));
    let redactor = Redactor::new(secret);
    let mut pieces = vec![
        ("version.txt".to_owned(), format!("smartfw-cli {}\n{}", env!("CARGO_PKG_VERSION"), kernel())),
        ("doctor.jsonl".to_owned(), lines(doctor::all(global).iter().map(doctor::to_json))),
        ("config.toml".to_owned(), read(Path::new(smartfw_config::DEFAULT_FILE))),
        (
            "config.txt".to_owned(),
            config.as_ref().map_or_else(ToString::to_string, |config| format!("{config:#?}\n")),
        ),
        ("metrics.txt".to_owned(), metrics(right.metrics)),
        ("alerts.log".to_owned(), tail(&right.log_dir.join("alerts.log"))),
        ("heartbeat".to_owned(), read(&global.state_dir.join("heartbeat"))),
    ];
    match asked {
        Ok((status, alerts)) => {
            pieces.push(("status.json".to_owned(), json::text(&json::status(&status)) + "\n"));
            pieces.push(("alerts.jsonl".to_owned(), alerts));
        }
        Err(failure) => pieces.push(("status.json".to_owned(), failure.line().unwrap_or_default())),
    }
    pieces.into_iter().map(|(name, content)| (name, redactor.redact(&content))).collect()
}

/// The daemon's word, and its allow list, which is to be left out.
async fn ask(
    global: &Global,
    secret: &mut Vec<smartfw_core::IpNet>,
) -> Result<(NodeStatus, String), Failure> {
    let mut daemon = Daemon::connect(&global.socket).await?;
    let allowed =
        daemon.ask(async |mut client| client.list_allowed(wire::ListAllowedRequest {}).await).await?;
    let collected = daemon.each(allowed, |one: smartfw_core::order::Allowed| {
        secret.push(one.target);
        Ok(())
    });
    collected.await?;
    let status = status::ask(&mut daemon).await?;
    let request = wire::ListAlertsRequest::from(AlertFilter::default());
    let stream = daemon.ask(async |mut client| client.list_alerts(request).await).await?;
    let mut alerts = std::collections::VecDeque::new();
    let collected = daemon.each(stream, |alert: smartfw_core::Alert| {
        if alerts.len() == ALERTS {
            alerts.pop_front();
        }
        alerts.push_back(json::alert(&alert));
        Ok(())
    });
    collected.await?;
    Ok((status, lines(alerts.into_iter())))
}

fn lines(values: impl Iterator<Item = serde_json::Value>) -> String {
    values.map(|value| json::text(&value) + "\n").collect()
}

fn kernel() -> String {
    ["/proc/version", "/etc/os-release", "/proc/cpuinfo", "/proc/meminfo"]
        .map(|path| head(Path::new(path), 4096))
        .concat()
}

fn read(path: &Path) -> String {
    head(path, LOG)
}

fn head(path: &Path, limit: u64) -> String {
    let bytes = File::open(path).and_then(|file| {
        let mut bytes = Vec::new();
        file.take(limit).read_to_end(&mut bytes).map(|_| bytes)
    });
    bytes.map_or_else(
        |error| format!("{}: {error}\n", path.display()),
        |bytes| String::from_utf8_lossy(&bytes).into_owned(),
    )
}

/// The end of a log, from a line's beginning.
fn tail(path: &Path) -> String {
    let bytes = File::open(path).and_then(|mut file| {
        let length = file.metadata()?.len();
        file.seek(SeekFrom::Start(length.saturating_sub(LOG)))?;
        let mut bytes = Vec::new();
        file.take(LOG).read_to_end(&mut bytes)?;
        Ok((length > LOG, bytes))
    });
    match bytes {
        Err(error) => format!("{}: {error}\n", path.display()),
        Ok((cut, bytes)) => {
            let text = String::from_utf8_lossy(&bytes);
            let begin = if cut { text.find('\n').map_or(0, |end| end + 1) } else { 0 };
            text[begin..].to_owned()
        }
    }
}

/// The metrics of the daemon on this host, as it serves them.
fn metrics(address: Option<SocketAddr>) -> String {
    let Some(mut address) = address else { return "off\n".to_owned() };
    match address.ip() {
        IpAddr::V4(any) if any.is_unspecified() => address.set_ip(Ipv4Addr::LOCALHOST.into()),
        IpAddr::V6(any) if any.is_unspecified() => address.set_ip(Ipv6Addr::LOCALHOST.into()),
        _ => {}
    }
    fetch(address).unwrap_or_else(|error| format!("{address}: {error}\n"))
}

fn fetch(address: SocketAddr) -> io::Result<String> {
    let patience = Duration::from_secs(3);
    let mut stream = TcpStream::connect_timeout(&address, patience)?;
    stream.set_read_timeout(Some(patience))?;
    stream.write_all(b"GET /metrics HTTP/1.0\r\nHost: localhost\r\n\r\n")?;
    let mut answer = Vec::new();
    stream.take(ANSWER).read_to_end(&mut answer)?;
    Ok(String::from_utf8_lossy(&answer).into_owned())
}
