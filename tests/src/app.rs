//! The application behind nginx (HTTP on 127.0.0.1:8080), a clock on UDP port 123, the far end of a tunnel on UDP port
//! 51820, and a mailbox on TCP port 143.

use std::{
    io::{self, BufRead, BufReader, Read, Write},
    net::{Ipv6Addr, TcpListener, TcpStream, UdpSocket},
    thread,
    time::Duration,
};

use anyhow::{Context, Result};

/// How long a long poll holds its answer.
pub const POLL_HOLD: Duration = Duration::from_secs(30);

/// The port of the tunnel's far end.
pub const TUNNEL: u16 = 51_820;
/// The port of the mailbox.
pub const MAILBOX: u16 = 143;
/// The pause between two events of a stream.
const EVENT: Duration = Duration::from_millis(500);

/// Starts them all in the calling thread's namespace. They live as long as the process, or until their namespace's
/// last user is gone; no more than nginx lets through at once.
pub fn serve() -> Result<()> {
    let listener = TcpListener::bind("127.0.0.1:8080").context("the application cannot listen")?;
    let clock = UdpSocket::bind((Ipv6Addr::UNSPECIFIED, 123)).context("the clock cannot listen")?;
    thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            thread::spawn(move || converse(stream));
        }
    });
    thread::spawn(move || tell_time(&clock));
    let tunnel = UdpSocket::bind((Ipv6Addr::UNSPECIFIED, TUNNEL)).context("the tunnel cannot listen")?;
    thread::spawn(move || mirror(&tunnel));
    let mailbox = TcpListener::bind((Ipv6Addr::UNSPECIFIED, MAILBOX)).context("the mailbox cannot listen")?;
    thread::spawn(move || {
        for stream in mailbox.incoming().flatten() {
            thread::spawn(move || deliver(stream));
        }
    });
    Ok(())
}

fn tell_time(clock: &UdpSocket) {
    let mut packet = [0; 48];
    while let Ok((length, from)) = clock.recv_from(&mut packet) {
        packet[0] = 0x24; // version 4, server
        let _ = clock.send_to(&packet[..length.min(48)], from);
    }
}

/// What goes into a tunnel is answered by as much.
fn mirror(tunnel: &UdpSocket) {
    let mut packet = [0; 1500];
    while let Ok((length, from)) = tunnel.recv_from(&mut packet) {
        let _ = tunnel.send_to(&packet[..length], from);
    }
}

/// As much of IMAP as a client sees that only reads: every command succeeds, `FETCH` with a message of 3 kB.
fn deliver(stream: TcpStream) -> io::Result<()> {
    let (mut reader, mut writer, mut line) = (BufReader::new(stream.try_clone()?), stream, String::new());
    writer.write_all(b"* OK ready\r\n")?;
    while reader.read_line(&mut line)? > 0 {
        let tag = line.split(' ').next().unwrap_or("*");
        let message = if line.contains("FETCH") { "x".repeat(3000) + "\r\n" } else { String::new() };
        writer.write_all(format!("{message}{tag} OK done\r\n").as_bytes())?;
        line.clear();
    }
    Ok(())
}

fn converse(stream: TcpStream) -> io::Result<()> {
    let mut reader = BufReader::new(stream.try_clone()?);
    let mut writer = stream;
    while let Some(request) = read_request(&mut reader)? {
        let mut body = (&mut reader).take(request.length);
        io::copy(&mut body, &mut io::sink())?;
        match request.path.as_str() {
            "/app/poll" => thread::sleep(POLL_HOLD),
            "/app/socket" => return echo(&mut reader, &mut writer),
            "/app/events" => return tell_events(&mut writer),
            _ => {}
        }
        let answer = br#"{"ok":true,"items":[1,2,3,4,5,6,7,8,9,10]}"#;
        write!(writer, "HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", answer.len())?;
        writer.write_all(answer)?;
    }
    Ok(())
}

/// Server-sent events until the client is gone. The header keeps nginx from collecting them.
fn tell_events(writer: &mut TcpStream) -> io::Result<()> {
    write!(writer, "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nX-Accel-Buffering: no\r\n\r\n")?;
    loop {
        writer.write_all(b"data: something happened\n\n")?;
        thread::sleep(EVENT);
    }
}

/// What a web socket does, without its framing: whatever comes goes back.
fn echo(reader: &mut BufReader<TcpStream>, writer: &mut TcpStream) -> io::Result<()> {
    write!(writer, "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n")?;
    let mut buffer = [0; 1024];
    loop {
        match reader.read(&mut buffer)? {
            0 => return Ok(()),
            length => writer.write_all(&buffer[..length])?,
        }
    }
}

struct Request {
    path: String,
    length: u64,
}

fn read_request(reader: &mut impl BufRead) -> io::Result<Option<Request>> {
    let (mut line, mut request) = (String::new(), Request { path: String::new(), length: 0 });
    if reader.read_line(&mut line)? == 0 {
        return Ok(None);
    }
    request.path = line.split(' ').nth(1).unwrap_or("/").to_owned();
    loop {
        line.clear();
        if reader.read_line(&mut line)? <= 2 {
            return Ok(Some(request));
        }
        if let Some((name, value)) = line.split_once(':')
            && name.eq_ignore_ascii_case("content-length")
        {
            request.length = value.trim().parse().unwrap_or(0);
        }
    }
}
