//! The application behind nginx (HTTP on 127.0.0.1:8080), and a clock that answers on UDP port 123.

use std::{
    io::{self, BufRead, BufReader, Read, Write},
    net::{Ipv6Addr, TcpListener, TcpStream, UdpSocket},
    thread,
    time::Duration,
};

use anyhow::{Context, Result};

/// How long a long poll holds its answer.
pub const POLL_HOLD: Duration = Duration::from_secs(30);

/// Starts both in the calling thread's namespace. They live as long as the process, or until their namespace's
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
    Ok(())
}

fn tell_time(clock: &UdpSocket) {
    let mut packet = [0; 48];
    while let Ok((length, from)) = clock.recv_from(&mut packet) {
        packet[0] = 0x24; // version 4, server
        let _ = clock.send_to(&packet[..length.min(48)], from);
    }
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
            _ => {}
        }
        let answer = br#"{"ok":true,"items":[1,2,3,4,5,6,7,8,9,10]}"#;
        write!(writer, "HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", answer.len())?;
        writer.write_all(answer)?;
    }
    Ok(())
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
