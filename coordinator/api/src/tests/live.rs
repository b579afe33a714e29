//! The WebSocket, over TLS on loopback.

use std::time::Duration;

use futures_util::{SinkExt as _, StreamExt as _};
use serde_json::Value;
use tokio::{net::TcpStream, time::timeout};
use tokio_rustls::client::TlsStream;
use tokio_tungstenite::{
    WebSocketStream, client_async,
    tungstenite::{Error, Message, client::IntoClientRequest as _, protocol::frame::coding::CloseCode},
};

use super::{bench::Bench, connections::Line};
use crate::handle::live::CLIENTS;

type Socket = WebSocketStream<TlsStream<TcpStream>>;

async fn open(line: &Line, query: &str, headers: &[(&'static str, &str)]) -> Result<Socket, u16> {
    let mut request = format!("wss://fw.example/api/v1/live{query}").into_client_request().unwrap();
    for (name, value) in headers {
        request.headers_mut().insert(*name, value.parse().unwrap());
    }
    match client_async(request, line.dial().await).await {
        Ok((socket, _)) => Ok(socket),
        Err(Error::Http(response)) => Err(response.status().as_u16()),
        Err(error) => panic!("{error}"),
    }
}

async fn next(socket: &mut Socket) -> Message {
    timeout(Duration::from_secs(20), read(socket)).await.unwrap()
}

async fn read(socket: &mut Socket) -> Message {
    loop {
        match socket.next().await.unwrap().unwrap() {
            Message::Ping(_) | Message::Pong(_) => {}
            message => return message,
        }
    }
}

fn bearer(secret: &str) -> String {
    format!("Bearer {secret}")
}

#[tokio::test]
async fn events_come_as_they_happen_and_only_those_that_are_wanted() {
    let bench = Bench::new();
    let line = Line::new(&bench).await;
    let bearer = bearer(&bench.token("viewer").await);
    let mut all = open(&line, "", &[("authorization", &bearer)]).await.unwrap();
    let query = "?class=port_scan,botnet&node=web-2&kind=alert";
    let mut some = open(&line, query, &[("authorization", &bearer)]).await.unwrap();
    bench.fleet.alert("web-1", "port_scan", "203.0.113.1");
    bench.fleet.alert("web-2", "web_attack", "203.0.113.2");
    bench.fleet.alert("web-2", "botnet", "203.0.113.3");
    for host in 1..=3 {
        let Message::Text(text) = next(&mut all).await else { panic!() };
        let event: Value = serde_json::from_str(&text).unwrap();
        assert_eq!(event["source"], format!("203.0.113.{host}"));
    }
    let Message::Text(text) = next(&mut some).await else { panic!() };
    assert!(text.contains("203.0.113.3"));
}

#[tokio::test]
async fn a_client_that_falls_behind_is_told_so_and_dropped() {
    let bench = Bench::new();
    let line = Line::new(&bench).await;
    let bearer = bearer(&bench.token("viewer").await);
    let mut slow = open(&line, "", &[("authorization", &bearer)]).await.unwrap();
    // More than the sockets and the backlog hold.
    let long = "x".repeat(16_000);
    for _ in 0..2_000 {
        bench.fleet.alert(&long, "port_scan", "203.0.113.1");
        tokio::task::yield_now().await;
    }
    let mut read = 0;
    let close = loop {
        match next(&mut slow).await {
            Message::Text(_) => read += 1,
            Message::Close(close) => break close.unwrap(),
            other => panic!("{other:?}"),
        }
    };
    assert_eq!(close.code, CloseCode::Again);
    assert!(close.reason.starts_with("too slow: "), "{}", close.reason);
    assert!(read > 0 && read < 2_000, "{read}");
}

#[tokio::test]
async fn whoever_follows_what_came_too_fast_for_all_is_told_how_much_was_missed() {
    let bench = Bench::new();
    let line = Line::new(&bench).await;
    let bearer = bearer(&bench.token("viewer").await);
    let mut socket = open(&line, "?kind=block", &[("authorization", &bearer)]).await.unwrap();
    bench.fleet.miss(904);
    let Message::Close(close) = next(&mut socket).await else { panic!() };
    let close = close.unwrap();
    assert_eq!(
        (close.code, close.reason.as_str()),
        (CloseCode::Again, "too fast: 904 events were missed; open it again")
    );
}

#[tokio::test]
async fn with_a_cookie_only_our_own_page_opens_it() {
    let bench = Bench::new();
    let line = Line::new(&bench).await;
    let cookie = bench.admin().await;
    let with = |origin: &'static str| [("cookie", cookie.clone()), ("origin", origin.to_owned())];
    for (origin, opens) in
        [("https://evil.example", false), ("http://fw.example", false), ("https://fw.example", true)]
    {
        let headers = with(origin);
        let headers: Vec<(&'static str, &str)> =
            headers.iter().map(|(name, value)| (*name, value.as_str())).collect();
        assert_eq!(
            open(&line, "", &headers).await.map(|_| ()),
            if opens { Ok(()) } else { Err(403) },
            "{origin}"
        );
    }
    assert_eq!(
        open(&line, "", &[("cookie", &cookie)]).await.unwrap_err(),
        403,
        "a browser always says where from"
    );
    assert_eq!(open(&line, "", &[]).await.unwrap_err(), 401);
    assert_eq!(
        open(&line, "?nothing=1", &[("authorization", &bearer(&bench.token("viewer").await))])
            .await
            .unwrap_err(),
        400
    );
}

#[tokio::test]
async fn a_client_that_speaks_is_sent_away() {
    let bench = Bench::new();
    let line = Line::new(&bench).await;
    let bearer = bearer(&bench.token("viewer").await);
    let mut socket = open(&line, "", &[("authorization", &bearer)]).await.unwrap();
    socket.send(Message::text("hello")).await.unwrap();
    let Message::Close(close) = next(&mut socket).await else { panic!() };
    assert_eq!(close.unwrap().code, CloseCode::Unsupported);
}

#[tokio::test]
async fn whoever_is_revoked_sees_no_more() {
    let bench = Bench::new();
    let line = Line::new(&bench).await;
    let bearer = bearer(&bench.token("viewer").await);
    let mut socket = open(&line, "", &[("authorization", &bearer)]).await.unwrap();
    let id = bench.api.0.accounts.tokens().pop().unwrap().id;
    bench.api.0.accounts.revoke(&id).unwrap();
    tokio::time::pause(); // the next ping is at once
    let Message::Close(close) = next(&mut socket).await else { panic!() };
    assert_eq!(close.unwrap().code, CloseCode::Policy);
}

#[tokio::test]
async fn a_client_that_does_not_answer_a_ping_is_gone() {
    let bench = Bench::new();
    let line = Line::new(&bench).await;
    let bearer = bearer(&bench.token("viewer").await);
    let mut dead = open(&line, "", &[("authorization", &bearer)]).await.unwrap();
    tokio::time::pause();
    tokio::time::sleep(Duration::from_secs(60)).await; // it hears nothing meanwhile, and so answers nothing
    tokio::time::resume();
    let mut heard = 0;
    let end = async {
        while let Some(Ok(message)) = dead.next().await {
            assert!(matches!(message, Message::Ping(_)), "{message:?}");
            heard += 1;
        }
    };
    timeout(Duration::from_secs(10), end).await.unwrap();
    assert_eq!(heard, 1);
}

#[tokio::test]
async fn there_are_only_so_many_clients() {
    let bench = Bench::new();
    let line = Line::new(&bench).await;
    let bearer = bearer(&bench.token("viewer").await);
    let mut sockets = Vec::new();
    for _ in 0..CLIENTS {
        sockets.push(open(&line, "", &[("authorization", &bearer)]).await.unwrap());
    }
    assert_eq!(open(&line, "", &[("authorization", &bearer)]).await.unwrap_err(), 503);
    drop(sockets.pop());
    for _ in 0..100 {
        if open(&line, "", &[("authorization", &bearer)]).await.is_ok() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    panic!("no place was given back");
}
