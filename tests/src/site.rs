//! The services of the protected host: nginx before a small application, sshd, vsftpd, dnsmasq, a clock, and peers.

use std::{
    fs::{self, File},
    net::TcpStream,
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};

use anyhow::{Context, Result, ensure};

use crate::{
    app,
    namespace::Namespace,
    net::{Net, SERVER_V4, SERVER_V6},
    peers,
    persona::Persona,
    process::{Running, until},
};

/// How long a service may take to listen.
const START: Duration = Duration::from_secs(10);

/// Files of 20 kB that a page consists of.
pub const ASSETS: usize = 12;
/// The large download's length in bytes.
pub const BIG: u64 = 200 << 20;
/// The slow upload's length in bytes.
const UPLOAD: u64 = 600_000;
/// Files of a mirror, or parts of a film.
pub const PARTS: usize = 24;
/// The length of each in bytes.
const PART: u64 = 1 << 20;
/// Small files behind FTP.
pub const SMALL_FILES: usize = 30;

/// The services, all in the server's namespace. Dropping it ends them.
#[derive(Debug)]
pub struct Site {
    /// Who may log in.
    pub persona: Persona,
    dir: PathBuf,
    _services: Vec<Running>,
}

impl Site {
    /// Starts every service, with its files under `dir`, and waits until each listens.
    pub fn open(net: &Net, dir: &Path) -> Result<Self> {
        let server = net.server();
        let persona = Persona::settle(server, dir)?;
        content(dir, &persona)?;
        // sshd insists on this directory; packages and units make it at boot.
        fs::create_dir_all("/run/sshd")?;
        let key = dir.join("host_key");
        let made =
            Command::new("ssh-keygen").args(["-q", "-t", "ed25519", "-N", "", "-f"]).arg(&key).status()?;
        ensure!(made.success(), "ssh-keygen failed");
        server.inside(app::serve)??;
        peers::settle(server)?;
        let _services = vec![
            start(server, dir, "nginx", &nginx(dir), &["-c"])?,
            start(
                server,
                dir,
                "/usr/sbin/sshd",
                &sshd(dir, &key),
                &["-D", "-E", &path(dir, "auth.log"), "-f"],
            )?,
            start(server, dir, "vsftpd", &vsftpd(dir), &[])?,
            start(server, dir, "dnsmasq", DNSMASQ, &["-k", "-C"])?,
        ];
        for port in [21, 22, 53, 80] {
            server.inside(|| until(&format!("port {port} answers"), START, || connects(port)))??;
        }
        Ok(Self { persona, dir: dir.to_owned(), _services })
    }

    /// What sshd says about logins.
    pub fn auth_log(&self) -> PathBuf {
        self.dir.join("auth.log")
    }
}

fn connects(port: u16) -> bool {
    TcpStream::connect((SERVER_V4, port)).is_ok() && TcpStream::connect((SERVER_V6, port)).is_ok()
}

fn start(server: &Namespace, dir: &Path, program: &str, config: &str, args: &[&str]) -> Result<Running> {
    let name = program.rsplit('/').next().unwrap_or(program);
    let file = dir.join(format!("{name}.conf"));
    fs::write(&file, config).with_context(|| format!("cannot write {}", file.display()))?;
    let mut command = server.command(program);
    command.args(args).arg(&file);
    Running::start(command, &dir.join(format!("{name}.log")))
}

fn content(dir: &Path, persona: &Persona) -> Result<()> {
    let web = dir.join("web");
    fs::create_dir_all(&web)?;
    fs::create_dir_all(dir.join("empty"))?;
    let text: Vec<u8> = (0..20_000_u32).map(|i| b"abcdefghij klmnopq\n"[(i * i % 19) as usize]).collect();
    fs::write(web.join("index.html"), &text[..4000])?;
    for i in 0..ASSETS {
        fs::write(web.join(format!("asset{i}.css")), &text)?;
    }
    for i in 0..PARTS {
        File::create(web.join(format!("part{i}.bin")))?.set_len(PART)?;
    }
    File::create(web.join("big.bin"))?.set_len(BIG)?;
    File::create(web.join("upload.bin"))?.set_len(UPLOAD)?;
    for i in 0..SMALL_FILES {
        fs::write(persona.home.join(format!("small{i}.txt")), &text[..5000])?;
    }
    Ok(())
}

fn path(dir: &Path, name: &str) -> String {
    dir.join(name).display().to_string()
}

fn nginx(dir: &Path) -> String {
    format!(
        "daemon off; user root; worker_processes 2; pid {0}/nginx.pid; error_log {0}/nginx.err;
events {{ worker_connections 4096; }}
http {{
  access_log off; sendfile on; tcp_nopush on; keepalive_timeout 65; types {{ text/html html; text/css css; }}
  client_body_temp_path {0}/body; proxy_temp_path {0}/proxy; fastcgi_temp_path {0}/fcgi;
  uwsgi_temp_path {0}/uwsgi; scgi_temp_path {0}/scgi;
  server {{
    listen 80 backlog=1024; listen [::]:80 backlog=1024; root {0}/web;
    location /app/ {{
      proxy_pass http://127.0.0.1:8080; proxy_http_version 1.1; proxy_read_timeout 120s; client_max_body_size 100m;
      proxy_set_header Upgrade $http_upgrade; proxy_set_header Connection $http_connection;
    }}
  }}
}}
",
        dir.display()
    )
}

fn sshd(dir: &Path, key: &Path) -> String {
    format!(
        "Port 22\nHostKey {}\nPidFile {}/sshd.pid\nUsePAM yes\nStrictModes no\nPermitRootLogin yes\n\
         PasswordAuthentication yes\nKbdInteractiveAuthentication no\nPrintMotd no\nLogLevel VERBOSE\nMaxStartups 200\n\
         Subsystem sftp internal-sftp\n",
        key.display(),
        dir.display()
    )
}

fn vsftpd(dir: &Path) -> String {
    format!(
        "listen_ipv6=YES\nbackground=NO\nanonymous_enable=NO\nlocal_enable=YES\nwrite_enable=YES\n\
         pam_service_name=vsftpd\nsecure_chroot_dir={}/empty\npasv_min_port=40000\npasv_max_port=40100\n\
         seccomp_sandbox=NO\nmax_per_ip=0\nmax_clients=0\n",
        dir.display()
    )
}

const DNSMASQ: &str = "port=53\nno-resolv\nno-hosts\nuser=root\npid-file=\nbind-interfaces\n\
                       address=/lab.test/192.0.2.2\ncache-size=1000\n";
