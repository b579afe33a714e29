//! Attacks with the tools that attackers use. Every load is bounded in count or time, and stays in the namespaces.

use std::{fs, net::IpAddr, path::Path, thread, time::Duration};

use anyhow::{Context, Result};
use smartfw_core::Class;

use crate::{
    net::{Host, SERVER_V4, SERVER_V6},
    process::{Running, Stop},
    web::Connection,
};

/// One way to attack the server.
#[derive(Clone, Copy, Debug)]
pub struct Attack {
    /// Its name, as in the labels.
    pub name: &'static str,
    /// What it is.
    pub class: Class,
    /// Which of the attacker's addresses the server sees.
    pub from: From,
    /// After how many seconds it is ended.
    pub seconds: u64,
    how: How,
}

/// Which source addresses an attack has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum From {
    /// The attacker's IPv4 address.
    V4,
    /// The attacker's IPv6 address.
    V6,
    /// Any address at all.
    Random,
}

#[derive(Clone, Copy, Debug)]
enum How {
    /// A program and its arguments; `{v4}`, `{v6}` and `{words}` stand for the server and a list of passwords.
    Tool(&'static str),
    /// Our own code.
    Own(fn(&Stop) -> Result<()>),
}

/// Every attack variant.
pub const ALL: &[Attack] = &[
    tool("nmap-syn", Class::PortScan, 10, "nmap -n -sS {v4}"),
    tool("nmap-connect", Class::PortScan, 10, "nmap -n -sT {v4}"),
    tool("nmap-fin", Class::PortScan, 12, "nmap -n -sF {v4}"),
    tool("nmap-null", Class::PortScan, 12, "nmap -n -sN {v4}"),
    tool("nmap-xmas", Class::PortScan, 12, "nmap -n -sX {v4}"),
    tool("nmap-ack", Class::PortScan, 12, "nmap -n -sA {v4}"),
    tool("nmap-udp", Class::PortScan, 25, "nmap -n -sU --top-ports 1000 {v4}"),
    tool("nmap-version", Class::PortScan, 20, "nmap -n -sV -p 1-200 {v4}"),
    tool("nmap-few", Class::PortScan, 10, "nmap -n -sS --top-ports 20 {v4}"),
    tool("nmap-protocols", Class::PortScan, 20, "nmap -n -sO {v4}"),
    v6("nmap-syn-v6", Class::PortScan, 10, "nmap -6 -n -Pn -sS {v6}"),
    v6("nmap-connect-v6", Class::PortScan, 10, "nmap -6 -n -Pn -sT {v6}"),
    tool("hydra-ssh", Class::BruteForce, 25, "hydra -I -t 4 -l root -P {words} ssh://{v4}"),
    tool("hydra-ssh-one", Class::BruteForce, 40, "hydra -I -t 1 -l root -P {words} ssh://{v4}"),
    tool("hydra-ssh-many", Class::BruteForce, 25, "hydra -I -t 16 -l root -P {words} ssh://{v4}"),
    v6("hydra-ssh-v6", Class::BruteForce, 25, "hydra -I -6 -t 4 -l root -P {words} ssh://[{v6}]"),
    tool("hydra-ftp", Class::BruteForce, 25, "hydra -I -t 4 -l root -P {words} ftp://{v4}"),
    tool("hydra-ftp-many", Class::BruteForce, 25, "hydra -I -t 16 -l root -P {words} ftp://{v4}"),
    tool(
        "slowhttp-headers",
        Class::SlowDos,
        40,
        "slowhttptest -c 500 -H -i 5 -r 100 -l 38 -t GET -u http://{v4}/index.html",
    ),
    tool(
        "slowhttp-body",
        Class::SlowDos,
        40,
        "slowhttptest -c 500 -B -i 5 -r 100 -l 38 -s 8192 -u http://{v4}/app/form",
    ),
    tool(
        "slowhttp-read",
        Class::SlowDos,
        40,
        "slowhttptest -c 500 -X -r 100 -w 10 -y 20 -n 5 -z 32 -l 38 -u http://{v4}/asset1.css",
    ),
    own("slowloris", Class::SlowDos, 40, slowloris),
    own("slowloris-few", Class::SlowDos, 40, slowloris_few),
    own("idle-hoard", Class::SlowDos, 30, idle_hoard),
    tool("hping-syn", Class::NetFlood, 10, "hping3 -q -S -p 80 --faster -c 100000 {v4}"),
    tool("hping-syn-1000", Class::NetFlood, 10, "hping3 -q -S -p 80 -i u1000 -c 10000 {v4}"),
    tool("hping-syn-closed", Class::NetFlood, 10, "hping3 -q -S -p 81 --faster -c 100000 {v4}"),
    tool("hping-udp", Class::NetFlood, 10, "hping3 -q --udp -p 9999 -d 200 --faster -c 100000 {v4}"),
    tool("hping-udp-dns", Class::NetFlood, 10, "hping3 -q --udp -p 53 -d 200 --faster -c 100000 {v4}"),
    tool("hping-icmp", Class::NetFlood, 10, "hping3 -q --icmp -d 56 --faster -c 100000 {v4}"),
    tool("hping-ack", Class::NetFlood, 10, "hping3 -q -A -p 80 --faster -c 100000 {v4}"),
    random("random-syn", Class::NetFlood, 15, "hping3 -q -S -p 80 --faster --rand-source -c 100000 {v4}"),
    random("random-syn-1000", Class::NetFlood, 15, "hping3 -q -S -p 80 -i u1000 --rand-source -c 15000 {v4}"),
    random("random-udp", Class::NetFlood, 12, "hping3 -q --udp -p 53 --faster --rand-source -c 100000 {v4}"),
    tool("ab-flood", Class::HttpFlood, 12, "ab -q -t 10 -n 1000000 -c 100 http://{v4}/index.html"),
    tool("ab-flood-kept", Class::HttpFlood, 12, "ab -q -k -t 10 -n 1000000 -c 100 http://{v4}/index.html"),
    tool("wrk-flood", Class::HttpFlood, 12, "wrk -t 2 -c 100 -d 10s http://{v4}/index.html"),
    tool("nmap-slow", Class::PortScan, 180, "nmap -n -Pn -sS -T2 --top-ports 300 {v4}"),
    tool("nmap-slower", Class::PortScan, 180, "nmap -n -Pn -sS -T1 --top-ports 300 {v4}"),
];

const fn tool(name: &'static str, class: Class, seconds: u64, line: &'static str) -> Attack {
    Attack { name, class, from: From::V4, seconds, how: How::Tool(line) }
}

const fn v6(name: &'static str, class: Class, seconds: u64, line: &'static str) -> Attack {
    Attack { name, class, from: From::V6, seconds, how: How::Tool(line) }
}

const fn random(name: &'static str, class: Class, seconds: u64, line: &'static str) -> Attack {
    Attack { name, class, from: From::Random, seconds, how: How::Tool(line) }
}

const fn own(name: &'static str, class: Class, seconds: u64, run: fn(&Stop) -> Result<()>) -> Attack {
    Attack { name, class, from: From::V4, seconds, how: How::Own(run) }
}

/// The attack of this name.
pub fn named(name: &str) -> Option<&'static Attack> {
    ALL.iter().find(|attack| attack.name == name)
}

impl Attack {
    /// The addresses that the server sees, as in the labels.
    pub fn sources(&self, attacker: &Host) -> String {
        match self.from {
            From::V4 => attacker.v4.to_string(),
            From::V6 => attacker.v6.to_string(),
            From::Random => "random".to_owned(),
        }
    }

    /// Carries it out until its end or `stop`. How well it went says nothing: an attack that is blocked fails.
    pub fn run(&self, attacker: &Host, dir: &Path, stop: &Stop) -> Result<()> {
        let stop = stop.within(Duration::from_secs(self.seconds));
        match self.how {
            How::Own(run) => {
                let _ = attacker.namespace.inside(|| run(&stop))?;
            }
            How::Tool(line) => {
                let words = dir.join("words");
                fs::write(&words, wrong_passwords()).context("cannot write the list of passwords")?;
                let args: Vec<String> = line.split(' ').map(|part| fill(part, &words)).collect();
                let mut command = attacker.namespace.command(&args[0]);
                command.args(&args[1..]).current_dir(dir);
                Running::start(command, &dir.join(format!("attack-{}.log", self.name)))?.wait(&stop)?;
            }
        }
        Ok(())
    }
}

fn fill(part: &str, words: &Path) -> String {
    part.replace("{v4}", &SERVER_V4.to_string())
        .replace("{v6}", &SERVER_V6.to_string())
        .replace("{words}", &words.display().to_string())
}

/// Two thousand passwords that do not fit.
fn wrong_passwords() -> String {
    (0..2000).map(|i| format!("wrong-{i}\n")).collect()
}

/// Two hundred connections that send a header line now and then, and never the last.
fn slowloris(stop: &Stop) -> Result<()> {
    starve(SERVER_V4.into(), stop, 200, Duration::from_secs(5))
}

/// As few connections as hurt a small server, with long pauses.
fn slowloris_few(stop: &Stop) -> Result<()> {
    starve(SERVER_V4.into(), stop, 30, Duration::from_secs(10))
}

/// Opens `count` connections whose requests never end, and sends a line over each after every `pause`.
pub fn starve(server: IpAddr, stop: &Stop, count: usize, pause: Duration) -> Result<()> {
    let mut connections = Vec::new();
    for _ in 0..count {
        let mut connection = Connection::open(server)?;
        connection.send("GET / HTTP/1.1\r\nHost: lab.test\r\nUser-Agent: lab\r\n")?;
        connections.push(connection);
        thread::sleep(Duration::from_millis(5));
    }
    while stop.sleep(pause) {
        for connection in &mut connections {
            connection.send("X-a: b\r\n")?;
        }
    }
    Ok(())
}

/// Three hundred connections that say nothing at all.
fn idle_hoard(stop: &Stop) -> Result<()> {
    let connections = (0..300).map(|_| Connection::open(SERVER_V4.into())).collect::<Result<Vec<_>>>()?;
    while stop.sleep(Duration::from_secs(1)) {}
    drop(connections);
    Ok(())
}
