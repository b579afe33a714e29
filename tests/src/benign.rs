//! Clients that must come to no harm. Each is something that people and programs really do, chosen because some
//! attack looks like it; each says whether it was served.

use std::{
    net::{IpAddr, SocketAddr, TcpStream, UdpSocket},
    path::Path,
    process::Command,
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail, ensure};

use crate::{
    net::{Host, Net, SERVER_V4, SERVER_V6, Side},
    persona::{PASSWORD, USER},
    process::{Running, Stop, last_line},
    site::{ASSETS, SMALL_FILES, Site},
    web::Connection,
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
    benign("browsing", 20, true, browsing),
    benign("download", 8, true, download),
    on_a_slow_link(benign("slow-download", 20, true, slow_download)),
    on_a_slow_link(benign("slow-upload", 20, true, slow_upload)),
    benign("slow-reader", 30, false, slow_reader),
    benign("ssh-typos", 20, true, ssh_typos),
    benign("ssh-session", 20, true, ssh_session),
    benign("ansible", 60, true, ansible),
    benign("git", 15, false, git),
    benign("monitor", 25, true, monitor),
    benign("api", 12, true, api),
    benign("long-poll", 65, true, long_poll),
    benign("web-socket", 50, true, web_socket),
    benign("preconnect", 40, true, preconnect),
    benign("office", 30, false, office),
    benign("dns", 12, true, dns),
    benign("ping", 12, true, ping),
    benign("ping-burst", 4, false, ping_burst),
    benign("traceroute", 12, false, traceroute),
    benign("scp", 15, false, scp),
    benign("ftp-files", 15, true, ftp_files),
    benign("reload-storm", 12, true, reload_storm),
    benign("curl-loop", 12, false, curl_loop),
    benign("closed-port", 15, true, closed_port),
    benign("syslog", 12, false, syslog),
    benign("clock", 12, true, clock),
    benign("backup", 15, false, backup),
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
        let log = self.dir.join(format!("benign-{}-{program}.log", self.host.namespace.name()));
        let mut command = self.host.namespace.command(program);
        command.args(args);
        match Running::start(command, &log)?.wait(&self.stop)? {
            Some(status) if !status.success() => bail!("{program} ended with {status}: {}", last_line(&log)),
            _ => Ok(()),
        }
    }

    fn ssh(&self, command: &str) -> Result<()> {
        let server = self.server().to_string();
        let args = [
            vec!["-i".into(), self.site.persona.key.display().to_string()],
            ssh_options(),
            vec!["-l".into(), USER.into(), server, command.into()],
        ];
        self.tool("ssh", &args.concat())
    }
}

fn strings(args: &[&str]) -> Vec<String> {
    args.iter().map(ToString::to_string).collect()
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

/// Does `work` on each of `count` threads until the first error.
fn each(count: usize, work: impl Fn(usize) -> Result<()> + Sync) -> Result<()> {
    thread::scope(|scope| {
        let threads: Vec<_> = (0..count)
            .map(|i| {
                scope.spawn({
                    let work = &work;
                    move || work(i)
                })
            })
            .collect();
        threads.into_iter().try_for_each(|t| t.join().map_err(|_| anyhow::anyhow!("a client panicked"))?)
    })
}

/// A person with a browser: six connections that are kept, a page of a dozen parts, a pause for reading.
fn browsing(guest: &Guest<'_>) -> Result<()> {
    each(6, |lane| {
        let mut connection = Connection::open(guest.server())?;
        loop {
            if lane == 0 {
                connection.get("/index.html")?;
            }
            for part in (lane..ASSETS).step_by(6) {
                connection.get(&format!("/asset{part}.css"))?;
            }
            if !guest.stop.sleep(Duration::from_secs(2)) {
                return Ok(());
            }
        }
    })
}

fn curl(guest: &Guest<'_>, args: &[&str]) -> Result<()> {
    let common = ["-sS", "-f", "--connect-timeout", "8", "--speed-limit", "500", "--speed-time", "8"];
    guest.tool("curl", &strings(&[&common, args].concat()))
}

fn download(guest: &Guest<'_>) -> Result<()> {
    curl(guest, &["--limit-rate", "40M", "-o", "/dev/null", &guest.url("/big.bin")])
}

fn slow_download(guest: &Guest<'_>) -> Result<()> {
    curl(guest, &["-o", "/dev/null", &guest.url("/big.bin")])
}

fn slow_upload(guest: &Guest<'_>) -> Result<()> {
    let file = guest.dir.join("web/asset0.css").display().to_string();
    while !guest.stop.reached() {
        curl(guest, &["-o", "/dev/null", "-T", &file, &guest.url("/app/upload")])?;
        let page = guest.dir.join("web/upload.bin").display().to_string();
        curl(guest, &["-o", "/dev/null", "-T", &page, &guest.url("/app/upload")])?;
    }
    Ok(())
}

/// A program that takes no more than it needs: its window closes for seconds, again and again.
fn slow_reader(guest: &Guest<'_>) -> Result<()> {
    guest.tool("curl", &strings(&["-sSf", "--limit-rate", "60k", "-o", "/dev/null", &guest.url("/big.bin")]))
}

/// Two typos, then the right password, then some work.
fn ssh_typos(guest: &Guest<'_>) -> Result<()> {
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

fn ssh_session(guest: &Guest<'_>) -> Result<()> {
    guest.ssh("for i in $(seq 1000); do date; ls -l /etc; sleep 0.5; done")
}

/// Short successful commands, twenty in a minute.
fn ansible(guest: &Guest<'_>) -> Result<()> {
    loop {
        guest.ssh("uptime")?;
        if !guest.stop.sleep(Duration::from_millis(2500)) {
            return Ok(());
        }
    }
}

/// A script that fetches a dozen repositories one after the other, without a pause.
fn git(guest: &Guest<'_>) -> Result<()> {
    (0..12).try_for_each(|_| if guest.stop.reached() { Ok(()) } else { guest.ssh("cat small1.txt") })
}

/// Five ports every five seconds; two of them are closed, and the probe says so in its report.
fn monitor(guest: &Guest<'_>) -> Result<()> {
    loop {
        for (port, open) in [(22, true), (80, true), (21, true), (443, false), (3306, false)] {
            let limit = Duration::from_secs(5);
            let found = TcpStream::connect_timeout(&SocketAddr::new(guest.server(), port), limit).is_ok();
            ensure!(found == open, "port {port} was found {}", if found { "open" } else { "closed" });
        }
        if !guest.stop.sleep(Duration::from_secs(5)) {
            return Ok(());
        }
    }
}

/// A program that calls as fast as it is answered, over six connections.
fn api(guest: &Guest<'_>) -> Result<()> {
    each(6, |_| {
        let mut connection = Connection::open(guest.server())?;
        while !guest.stop.reached() {
            // nginx ends a connection after a thousand requests, which is no harm.
            for _ in 0..900 {
                connection.get("/app/items")?;
                if guest.stop.reached() {
                    return Ok(());
                }
            }
            connection = Connection::open(guest.server())?;
        }
        Ok(())
    })
}

fn long_poll(guest: &Guest<'_>) -> Result<()> {
    each(8, |_| {
        let mut connection = Connection::open(guest.server())?.patient(Duration::from_millis(500))?;
        let mut begun = Instant::now();
        connection.send("GET /app/poll HTTP/1.1\r\nHost: lab.test\r\n\r\n")?;
        while guest.stop.sleep(Duration::from_millis(200)) {
            if begun.elapsed() > Duration::from_secs(31) {
                connection = connection.patient(Duration::from_secs(3))?;
                connection.answer().context("a long poll was not answered")?;
                connection.send("GET /app/poll HTTP/1.1\r\nHost: lab.test\r\n\r\n")?;
                begun = Instant::now();
            }
        }
        Ok(())
    })
}

fn web_socket(guest: &Guest<'_>) -> Result<()> {
    each(3, |_| {
        let mut connection = Connection::open(guest.server())?;
        connection.upgrade("/app/socket")?;
        loop {
            connection.echo(b"still here")?;
            if !guest.stop.sleep(Duration::from_secs(20)) {
                return connection.echo(b"good bye");
            }
        }
    })
}

/// Browsers open connections before they know that they need them, and leave them idle.
fn preconnect(guest: &Guest<'_>) -> Result<()> {
    let mut connections = (0..6).map(|_| Connection::open(guest.server())).collect::<Result<Vec<_>>>()?;
    connections[0].get("/index.html")?;
    while guest.stop.sleep(Duration::from_millis(500)) {}
    Ok(())
}

/// Twenty-five people behind one address.
fn office(guest: &Guest<'_>) -> Result<()> {
    each(25, |person| {
        guest.stop.sleep(Duration::from_millis(150 * person as u64));
        while !guest.stop.reached() {
            let mut connection = Connection::open(guest.server())?;
            connection.get("/index.html")?;
            for part in 0..4 {
                connection.get(&format!("/asset{part}.css"))?;
                guest.stop.sleep(Duration::from_millis(300));
            }
            guest.stop.sleep(Duration::from_secs(3));
        }
        Ok(())
    })
}

/// A hundred questions a second, each from its own port, as a resolver asks. One in fifty may be lost.
fn dns(guest: &Guest<'_>) -> Result<()> {
    let (mut asked, mut answered) = (0_u32, 0_u32);
    while guest.stop.sleep(Duration::from_millis(10)) {
        let mut question = vec![(asked >> 8) as u8, asked as u8, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0];
        for label in [format!("h{asked}").as_str(), "lab", "test"] {
            question.push(label.len() as u8);
            question.extend_from_slice(label.as_bytes());
        }
        question.extend_from_slice(&[0, 0, 1, 0, 1]);
        answered += u32::from(ask(guest.server(), 53, &question)?);
        asked += 1;
    }
    ensure!(answered * 50 >= asked * 49, "{answered} of {asked} questions were answered");
    Ok(())
}

fn clock(guest: &Guest<'_>) -> Result<()> {
    let mut packet = [0; 48];
    packet[0] = 0x23; // version 4, client
    loop {
        let answered = (0..3).any(|_| ask(guest.server(), 123, &packet).unwrap_or(false));
        ensure!(answered, "the clock does not answer");
        if !guest.stop.sleep(Duration::from_secs(2)) {
            return Ok(());
        }
    }
}

/// Sends a datagram from a fresh port; whether an answer came within two seconds.
fn ask(server: IpAddr, port: u16, question: &[u8]) -> Result<bool> {
    let any = if server.is_ipv6() { "[::]:0" } else { "0.0.0.0:0" };
    let socket = UdpSocket::bind(any)?;
    socket.set_read_timeout(Some(Duration::from_secs(2)))?;
    socket.connect((server, port))?;
    socket.send(question)?;
    Ok(socket.recv(&mut [0; 1500]).is_ok())
}

/// Log lines to a collector that is not there.
fn syslog(guest: &Guest<'_>) -> Result<()> {
    let socket = UdpSocket::bind(if guest.v6 { "[::]:0" } else { "0.0.0.0:0" })?;
    while guest.stop.sleep(Duration::from_millis(50)) {
        socket.send_to(b"<13>Jan  1 00:00:00 host app: something happened", (guest.server(), 514))?;
    }
    Ok(())
}

fn ping(guest: &Guest<'_>) -> Result<()> {
    guest.tool("ping", &strings(&["-n", "-c", "1000", "-i", "1", &guest.server().to_string()]))
}

fn ping_burst(guest: &Guest<'_>) -> Result<()> {
    guest.tool("ping", &strings(&["-n", "-q", "-c", "100", "-i", "0.01", &guest.server().to_string()]))
}

fn traceroute(guest: &Guest<'_>) -> Result<()> {
    guest.tool("traceroute", &strings(&["-n", "-w", "1", &guest.server().to_string()]))
}

fn scp(guest: &Guest<'_>) -> Result<()> {
    let remote = format!("{USER}@{}:up.bin", guest.host_part());
    let local = guest.dir.join(format!("scp-{}.bin", guest.host.namespace.name())).display().to_string();
    Command::new("truncate").args(["-s", "20M", &local]).status()?;
    let common =
        [strings(&["-q", "-i", &guest.site.persona.key.display().to_string()]), ssh_options()].concat();
    guest.tool("scp", &[common.clone(), vec![local.clone(), remote.clone()]].concat())?;
    guest.tool("scp", &[common, vec![remote, local]].concat())
}

/// Thirty small files over passive FTP: one connection each, all to high ports.
fn ftp_files(guest: &Guest<'_>) -> Result<()> {
    let base = format!("ftp://{USER}:{PASSWORD}@{}/small[0-{}].txt", guest.host_part(), SMALL_FILES - 1);
    curl(guest, &["-o", "/dev/null", &base])
}

/// A person who presses F5 ten times in ten seconds.
fn reload_storm(guest: &Guest<'_>) -> Result<()> {
    let parts = guest.url(&format!("/asset[0-{}].css", ASSETS - 1));
    for _ in 0..10 {
        curl(guest, &["--parallel", "--parallel-max", "6", "-o", "/dev/null", &parts])?;
        if !guest.stop.sleep(Duration::from_millis(800)) {
            break;
        }
    }
    Ok(())
}

/// A shell loop over curl: a new connection for each request.
fn curl_loop(guest: &Guest<'_>) -> Result<()> {
    while !guest.stop.reached() {
        curl(guest, &["-o", "/dev/null", &guest.url("/index.html")])?;
    }
    Ok(())
}

/// A client that asks for HTTPS where there is none, once a second, and goes on with HTTP.
fn closed_port(guest: &Guest<'_>) -> Result<()> {
    loop {
        let _ = TcpStream::connect_timeout(&SocketAddr::new(guest.server(), 443), Duration::from_secs(1));
        Connection::open(guest.server())?.get("/index.html")?;
        if !guest.stop.sleep(Duration::from_secs(1)) {
            return Ok(());
        }
    }
}

/// A backup over ssh of the page's files and 40 MB of the large one.
fn backup(guest: &Guest<'_>) -> Result<()> {
    let into = guest.dir.join(format!("backup-{}", guest.host.namespace.name())).display().to_string();
    let ssh = format!("ssh -i {} {}", guest.site.persona.key.display(), ssh_options().join(" "));
    let web = guest.dir.join("web").display().to_string();
    let from = format!("{USER}@{}:{web}/", guest.host_part());
    guest.tool("rsync", &strings(&["-a", "--max-size=50m", "-e", &ssh, &from, &into]))
}
