use std::{fs, sync::Arc, time::Duration};

use serde_json::Value;
use tokio::{
    io::{AsyncRead, AsyncReadExt as _},
    net::{TcpListener, UdpSocket},
    time::timeout,
};

use super::*;
use crate::{
    event::{NodeEvent, tests::with},
    settings::Bounded,
    testing::{Authority, WAITS, soon, until},
};

const PATIENCE: Patience =
    Patience { connect: Duration::from_secs(2), write: Duration::from_millis(300), waits: WAITS };

fn exporter(text: &str) -> Exporter {
    try_exporter(text).unwrap()
}

fn try_exporter(text: &str) -> Result<Exporter, SetupError> {
    let settings: Export = toml::from_str(&format!("name = \"siem\"\n{text}")).unwrap();
    Exporter::start(&settings, PATIENCE)
}

fn event(reason: &str) -> Arc<NodeEvent> {
    Arc::new(with("reason", reason))
}

/// Reads a record as RFC 6587 counts it.
async fn counted(stream: &mut (impl AsyncRead + Unpin)) -> String {
    let mut length = 0;
    loop {
        match soon(stream.read_u8()).await.unwrap() {
            b' ' => break,
            digit => length = length * 10 + usize::from(digit - b'0'),
        }
    }
    let mut record = vec![0; length];
    stream.read_exact(&mut record).await.unwrap();
    String::from_utf8(record).unwrap()
}

/// Reads a line.
async fn line(stream: &mut (impl AsyncRead + Unpin)) -> String {
    let mut bytes = Vec::new();
    loop {
        match soon(stream.read_u8()).await.unwrap() {
            b'\n' => return String::from_utf8(bytes).unwrap(),
            byte => bytes.push(byte),
        }
    }
}

#[tokio::test]
async fn a_datagram_is_one_whole_record_however_long_the_reason() {
    let receiver = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let to = receiver.local_addr().unwrap();
    let exporter = exporter(&format!("to = \"udp://{to}\"\nformat = \"syslog\""));
    exporter.tell(&event(&"ä".repeat(5000)));
    exporter.tell(&event("short"));
    let mut buffer = [0; 65_536];
    let length = soon(receiver.recv(&mut buffer)).await.unwrap();
    let first = std::str::from_utf8(&buffer[..length]).unwrap();
    assert!(length <= 2048 && first.starts_with("<133>1 ") && first.ends_with("ää"), "{first}");
    let length = soon(receiver.recv(&mut buffer)).await.unwrap();
    assert!(buffer[..length].ends_with(b": short"));
    until("both count as sent", || exporter.state().sent == 2).await;
}

#[tokio::test]
async fn a_closed_port_is_noticed_and_told() {
    let receiver = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let to = receiver.local_addr().unwrap();
    drop(receiver);
    let exporter = exporter(&format!("to = \"udp://{to}\""));
    for _ in 0..200 {
        exporter.tell(&event("is anybody there"));
        tokio::time::sleep(Duration::from_millis(5)).await;
        if exporter.state().trouble.is_some() {
            break;
        }
    }
    let health = exporter.state().health();
    assert!(
        health[0].what.contains("no connection") && health[0].remedy.contains("service runs"),
        "{health:?}"
    );
}

#[tokio::test]
async fn syslog_over_tcp_is_counted_and_json_is_lines() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let to = listener.local_addr().unwrap();
    let syslog = exporter(&format!("to = \"tcp://{to}\"\nformat = \"syslog\""));
    syslog.tell(&event("one\ntwo"));
    syslog.tell(&event("three"));
    let (mut stream, _) = soon(listener.accept()).await.unwrap();
    assert!(counted(&mut stream).await.ends_with(": one two"));
    assert!(counted(&mut stream).await.ends_with(": three"));
    let eve = exporter(&format!("to = \"tcp://{to}\"\nformat = \"eve\""));
    eve.tell(&event("one\ntwo"));
    let (mut stream, _) = soon(listener.accept()).await.unwrap();
    let read: Value = serde_json::from_str(&line(&mut stream).await).unwrap();
    assert_eq!(read["smartfw"]["reason"], "one\ntwo");
}

#[tokio::test]
async fn tls_is_for_whom_the_authority_vouches() {
    let authority = Authority::new();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let (acceptor, file) = (authority.acceptor("localhost"), authority.file());
    let exporter =
        exporter(&format!("to = \"tls://localhost:{port}\"\nformat = \"cef-syslog\"\nca_file = {file:?}"));
    exporter.tell(&event("secret"));
    let (stream, _) = soon(listener.accept()).await.unwrap();
    let mut stream = soon(acceptor.accept(stream)).await.unwrap();
    let record = counted(&mut stream).await;
    assert!(record.contains(" CEF:0|SmartFW|") && record.ends_with("msg=secret"), "{record}");
}

#[tokio::test]
async fn another_name_or_another_authority_gets_nothing() {
    let (ours, other) = (Authority::new(), Authority::new());
    for (acceptor, name) in [
        (ours.acceptor("elsewhere.example.org"), None),
        (other.acceptor("localhost"), None),
        (ours.acceptor("localhost"), Some("elsewhere.example.org")),
    ] {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let (port, file) = (listener.local_addr().unwrap().port(), ours.file());
        let name = name.map_or(String::new(), |name| format!("server_name = \"{name}\""));
        let exporter = exporter(&format!("to = \"tls://localhost:{port}\"\nca_file = {file:?}\n{name}"));
        exporter.tell(&event("secret"));
        let (stream, _) = soon(listener.accept()).await.unwrap();
        let read = async { acceptor.accept(stream).await?.read_u8().await };
        assert!(timeout(Duration::from_secs(5), read).await.unwrap().is_err());
        until("TLS is the trouble", || matches!(exporter.state().trouble, Some(Trouble::Tls(_)))).await;
        assert_eq!(exporter.state().sent, 0);
    }
}

#[tokio::test]
async fn what_waited_out_an_outage_arrives_in_order_when_it_is_over() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let to = listener.local_addr().unwrap();
    drop(listener);
    let exporter = exporter(&format!("to = \"tcp://{to}\""));
    (0..5).for_each(|number| exporter.tell(&event(&format!("number {number}"))));
    until("the outage is told", || exporter.state().trouble.is_some()).await;
    assert!(exporter.state().health()[0].what.ends_with("; 5 waiting"));
    let listener = TcpListener::bind(to).await.unwrap();
    let (mut stream, _) = soon(listener.accept()).await.unwrap();
    for number in 0..5 {
        assert!(line(&mut stream).await.contains(&format!("number {number}")));
    }
    until("the outage is over", || exporter.state().trouble.is_none()).await;
    // The receiver starts anew: the next record goes to the new one.
    drop(stream);
    tokio::time::sleep(Duration::from_millis(50)).await;
    exporter.tell(&event("after the restart"));
    let (mut stream, _) = soon(listener.accept()).await.unwrap();
    assert!(line(&mut stream).await.contains("after the restart"));
}

#[tokio::test]
async fn a_receiver_that_does_not_read_makes_nobody_wait_and_the_oldest_go() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let to = listener.local_addr().unwrap();
    let exporter = exporter(&format!("to = \"tcp://{to}\"\nqueue = 100"));
    let _never_read = tokio::spawn(async move {
        let mut open = Vec::new();
        while let Ok((stream, _)) = listener.accept().await {
            open.push(stream);
        }
    });
    let long = event(&"x".repeat(15_000));
    let mut slowest = Duration::ZERO;
    for _ in 0..2000 {
        let before = std::time::Instant::now();
        exporter.tell(&long);
        slowest = slowest.max(before.elapsed());
        tokio::task::yield_now().await;
    }
    until("silence is the trouble", || matches!(exporter.state().trouble, Some(Trouble::Silent(_)))).await;
    let state = exporter.state();
    assert!(state.waiting <= 200 && state.dropped > 1000, "{state:?}");
    assert!(state.health().iter().any(|entry| entry.what.contains("dropped because the queue was full")));
    assert!(slowest < Duration::from_secs(1), "{slowest:?}");
}

#[tokio::test]
async fn only_the_kinds_that_are_wanted_go_out() {
    let receiver = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let to = receiver.local_addr().unwrap();
    let exporter = exporter(&format!("to = \"udp://{to}\"\nkinds = [\"block\"]"));
    exporter.tell(&event("an alert"));
    let mut block = with("reason", "a block");
    block.event.kind = smartfw_core::EventKind::Block;
    exporter.tell(&Arc::new(block));
    let mut buffer = [0; 4096];
    let length = soon(receiver.recv(&mut buffer)).await.unwrap();
    let read: Value = serde_json::from_slice(&buffer[..length]).unwrap();
    assert_eq!(read["event_type"], "block");
    until("nothing else waits", || exporter.state().waiting == 0).await;
}

#[tokio::test]
async fn a_file_is_rotated_and_never_outgrows_its_limits() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("eve.json");
    let exporter = exporter(&format!("to = \"file://{}\"\nmax_size = 65536\nkeep = 2", path.display()));
    for number in 0..100 {
        exporter.tell(&event(&format!("{number:04}{}", "x".repeat(9000))));
    }
    until("all are written", || exporter.state().sent == 100).await;
    let mut names: Vec<_> =
        fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    names.sort();
    assert_eq!(names, ["eve.json", "eve.json.1", "eve.json.2"]);
    for name in names {
        let text = fs::read_to_string(folder.path().join(name)).unwrap();
        assert!(text.len() <= 65_536 && text.ends_with('\n'));
        assert!(text.lines().all(|line| serde_json::from_str::<Value>(line).is_ok()));
    }
    assert!(fs::read_to_string(path).unwrap().contains("0099xxx"), "the newest is in the file itself");
}

#[tokio::test]
async fn a_file_that_cannot_be_written_is_told_and_goes_on_when_it_can() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("missing/eve.json");
    let exporter = exporter(&format!("to = \"file://{}\"", path.display()));
    exporter.tell(&event("patient"));
    until("the disk is the trouble", || matches!(exporter.state().trouble, Some(Trouble::File(_)))).await;
    fs::create_dir(folder.path().join("missing")).unwrap();
    until("it is written", || exporter.state().sent == 1).await;
    assert!(fs::read_to_string(path).unwrap().contains("patient"));
}

#[tokio::test]
async fn what_makes_no_sense_together_is_refused_at_the_start() {
    let refused = |text: &str| try_exporter(text).unwrap_err().to_string();
    assert!(refused("to = \"udp://127.0.0.1:514\"\nca_file = \"/ca.pem\"").contains("tls:// only"));
    assert!(refused("to = \"tls://127.0.0.1:514\"\nca_file = \"/no/such.pem\"").contains("/no/such.pem"));
    let authority = Authority::new();
    let file = authority.file();
    let odd = format!("to = \"tls://127.0.0.1:514\"\nca_file = {file:?}\nserver_name = \"a b\"");
    assert!(refused(&odd).contains("can be in no certificate"));
}

#[test]
fn a_queue_has_bounds() {
    assert!(Bounded::<10_000, 100, 1_000_000>::new(99).is_none());
    assert_eq!(Bounded::<10_000, 100, 1_000_000>::default().get(), 10_000);
}
