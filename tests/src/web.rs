//! A small HTTP client that keeps its connection.

use std::{
    io::{self, BufRead, BufReader, Read, Write},
    net::{IpAddr, SocketAddr, TcpStream},
    os::fd::AsRawFd,
    time::Duration,
};

use anyhow::{Context, Result, ensure};

/// How long a person waits for a page before calling it broken.
const PATIENCE: Duration = Duration::from_secs(15);

/// An HTTP/1.1 connection.
#[derive(Debug)]
pub struct Connection {
    stream: BufReader<TcpStream>,
}

impl Connection {
    /// Connects to port 80.
    pub fn open(server: IpAddr) -> Result<Self> {
        let stream = TcpStream::connect_timeout(&SocketAddr::new(server, 80), PATIENCE)
            .with_context(|| format!("cannot connect to {server} port 80"))?;
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.set_write_timeout(Some(PATIENCE))?;
        stream.set_nodelay(true)?;
        Ok(Self { stream: BufReader::new(stream) })
    }

    /// Connects with so small a receive buffer that the server cannot get rid of an answer.
    pub fn narrow(server: IpAddr) -> Result<Self> {
        let connection = Self::open(server)?;
        shrink(connection.stream.get_ref())?;
        Ok(connection)
    }

    /// Takes at most `count` bytes of what has come.
    pub fn sip(&mut self, count: usize) -> Result<()> {
        let _ = self.stream.get_mut().read(&mut vec![0; count]).context("the connection broke")?;
        Ok(())
    }

    /// Waits this long for an answer, instead of as long as a person does.
    pub fn patient(self, patience: Duration) -> Result<Self> {
        self.stream.get_ref().set_read_timeout(Some(patience))?;
        Ok(self)
    }

    /// Fetches a page; the length of its body in bytes.
    pub fn get(&mut self, path: &str) -> Result<u64> {
        self.send(&format!(
            "GET {path} HTTP/1.1\r\nHost: lab.test\r\nUser-Agent: lab\r\nAccept: */*\r\n\r\n"
        ))?;
        self.answer().with_context(|| format!("GET {path} failed"))
    }

    /// Reads an answer; the length of its body in bytes.
    pub fn answer(&mut self) -> Result<u64> {
        let (status, length) = self.head()?;
        ensure!(status == 200, "the answer was {status}");
        let read = io::copy(&mut self.stream.by_ref().take(length), &mut io::sink())?;
        ensure!(read == length, "the answer broke off after {read} of {length} bytes");
        Ok(length)
    }

    /// Turns the connection into a web socket.
    pub fn upgrade(&mut self, path: &str) -> Result<()> {
        let upgrade = "Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n";
        self.send(&format!("GET {path} HTTP/1.1\r\nHost: lab.test\r\n{upgrade}\r\n"))?;
        let (status, _) = self.head()?;
        ensure!(status == 101, "the web socket was answered with {status}");
        Ok(())
    }

    /// Sends a message over the web socket and waits until it comes back.
    pub fn echo(&mut self, message: &[u8]) -> Result<()> {
        self.stream.get_mut().write_all(message).context("the web socket broke")?;
        let mut back = vec![0; message.len()];
        self.stream.read_exact(&mut back).context("the web socket does not answer")
    }

    /// Asks for a stream of events.
    pub fn subscribe(&mut self, path: &str) -> Result<()> {
        self.send(&format!("GET {path} HTTP/1.1\r\nHost: lab.test\r\nAccept: text/event-stream\r\n\r\n"))?;
        let (status, _) = self.head()?;
        ensure!(status == 200, "the stream of events was answered with {status}");
        Ok(())
    }

    /// Waits for the next event.
    pub fn event(&mut self) -> Result<()> {
        let mut line = String::new();
        while !line.starts_with("data:") {
            line.clear();
            let read = self.stream.read_line(&mut line).context("the stream of events broke")?;
            ensure!(read > 0, "the stream of events ended");
        }
        Ok(())
    }

    /// Sends bytes as they are.
    pub fn send(&mut self, text: &str) -> Result<()> {
        self.stream.get_mut().write_all(text.as_bytes()).context("the connection broke")
    }

    fn head(&mut self) -> Result<(u16, u64)> {
        let (mut line, mut length) = (String::new(), 0);
        self.stream.read_line(&mut line)?;
        let status = line.split(' ').nth(1).and_then(|code| code.parse().ok()).context("no HTTP answer")?;
        loop {
            line.clear();
            if self.stream.read_line(&mut line)? <= 2 {
                return Ok((status, length));
            }
            if let Some((name, value)) = line.split_once(':')
                && name.eq_ignore_ascii_case("content-length")
            {
                length = value.trim().parse()?;
            }
        }
    }
}

fn shrink(stream: &TcpStream) -> io::Result<()> {
    let size: libc::c_int = 2048;
    let length = size_of_val(&size) as libc::socklen_t;
    // SAFETY: setsockopt reads `length` bytes of `size`, which lives until it returns; the stream keeps its descriptor open.
    let done = unsafe {
        libc::setsockopt(
            stream.as_raw_fd(),
            libc::SOL_SOCKET,
            libc::SO_RCVBUF,
            (&raw const size).cast(),
            length,
        )
    };
    if done == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}
