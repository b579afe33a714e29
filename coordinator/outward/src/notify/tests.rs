use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use smartfw_core::{Class, EventKind};
use tokio::{
    io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _},
    net::TcpListener,
};

use super::*;
use crate::{
    event::tests::{alert, with},
    settings::{Limits, Slack, Webhook},
    state::State,
    testing::{Authority, WAITS, until},
    trouble::Trouble,
};

const PATIENCE: Patience = Patience { answer: Duration::from_millis(500), waits: WAITS };

/// A server of HTTP that answers as it is told, the last answer again and again, and remembers what it was asked.
struct Server {
    url: String,
    asked: Arc<Mutex<Vec<String>>>,
}

impl Server {
    async fn start(answers: &[&str]) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/hook", listener.local_addr().unwrap());
        let asked = Arc::new(Mutex::new(Vec::new()));
        let answers: Vec<String> = answers.iter().map(|answer| (*answer).to_owned()).collect();
        tokio::spawn({
            let asked = asked.clone();
            async move {
                while let Ok((stream, _)) = listener.accept().await {
                    tokio::spawn(serve(stream, answers.clone(), asked.clone()));
                }
            }
        });
        Self { url, asked }
    }

    fn asked(&self) -> Vec<String> {
        self.asked.lock().unwrap().clone()
    }
}

async fn serve(
    mut stream: impl AsyncRead + AsyncWrite + Unpin,
    answers: Vec<String>,
    asked: Arc<Mutex<Vec<String>>>,
) {
    let request = read_request(&mut stream).await;
    let number = {
        let mut asked = asked.lock().unwrap();
        asked.push(request);
        asked.len() - 1
    };
    let answer = answers.get(number).or(answers.last()).unwrap();
    if answer == "hang" {
        tokio::time::sleep(Duration::from_secs(600)).await;
    }
    let _ = stream.write_all(answer.as_bytes()).await;
    let _ = stream.shutdown().await;
}

/// Head and body of a request with a `content-length`.
async fn read_request(stream: &mut (impl AsyncRead + Unpin)) -> String {
    let mut bytes = Vec::new();
    let mut chunk = [0; 4096];
    loop {
        let read = stream.read(&mut chunk).await.unwrap_or(0);
        bytes.extend_from_slice(&chunk[..read]);
        let text = String::from_utf8_lossy(&bytes).into_owned();
        let Some((head, body)) = text.split_once("\r\n\r\n") else {
            if read == 0 {
                return text;
            }
            continue;
        };
        let length = header(head, "content-length").and_then(|value| value.parse().ok()).unwrap_or(0);
        if body.len() >= length || read == 0 {
            return text;
        }
    }
}

fn header(request: &str, name: &str) -> Option<String> {
    let head = request.split("\r\n\r\n").next().unwrap();
    let line = head.lines().find(|line| line.to_lowercase().starts_with(&format!("{name}:")));
    line.map(|line| line[name.len() + 1..].trim().to_owned())
}

fn body(request: &str) -> serde_json::Value {
    serde_json::from_str(request.split_once("\r\n\r\n").unwrap().1).unwrap()
}

fn answer(status: &str, more: &str, body: &str) -> String {
    format!("HTTP/1.1 {status}\r\n{more}content-length: {}\r\nconnection: close\r\n\r\n{body}", body.len())
}

fn webhook(text: &str) -> Result<Notifier, SetupError> {
    let settings: Webhook = toml::from_str(&format!("name = \"pager\"\n{text}")).unwrap();
    let target = hook(&settings, PATIENCE)?;
    Notifier::start("pager", &settings.rules, settings.limits, target, PATIENCE)
}

fn to(server: &Server) -> Notifier {
    webhook(&format!("url = \"{}\"", server.url)).unwrap()
}

async fn state_after_one(answers: &[&str]) -> (Server, State) {
    let server = Server::start(answers).await;
    let notifier = to(&server);
    notifier.tell(&Arc::new(alert()));
    until("it is seen", || notifier.state().sent + notifier.state().refused > 0).await;
    until("nothing waits", || notifier.state().waiting == 0).await;
    let state = notifier.state();
    (server, state)
}

#[tokio::test]
async fn a_message_is_json_with_a_signature_that_the_receiver_can_check() {
    let server = Server::start(&[&answer("200 OK", "", "thanks")]).await;
    let more =
        "secret = { env = \"CARGO_PKG_NAME\" }\nheaders = { Authorization = { env = \"CARGO_PKG_NAME\" } }";
    let notifier = webhook(&format!("url = \"{}\"\n{more}", server.url)).unwrap();
    notifier.tell(&Arc::new(alert()));
    until("it is told", || notifier.state().sent == 1).await;
    let request = &server.asked()[0];
    assert_eq!(header(request, "authorization").unwrap(), "smartfw-outward");
    assert_eq!(header(request, "content-type").unwrap(), "application/json");
    assert_eq!(body(request)["source"], "203.0.113.7");
    let signed = format!(
        "{}.{}",
        header(request, "x-smartfw-timestamp").unwrap(),
        request.split_once("\r\n\r\n").unwrap().1
    );
    let hex = header(request, "x-smartfw-signature").unwrap();
    let hex = hex.strip_prefix("sha256=").unwrap();
    let tag: Vec<u8> = (0..32).map(|at| u8::from_str_radix(&hex[2 * at..2 * at + 2], 16).unwrap()).collect();
    let key = ring::hmac::Key::new(ring::hmac::HMAC_SHA256, b"smartfw-outward");
    ring::hmac::verify(&key, signed.as_bytes(), &tag).unwrap();
}

#[tokio::test]
async fn over_https_only_the_right_authority_gets_the_message() {
    let (ours, other) = (Authority::new(), Authority::new());
    for (authority, arrives) in [(&ours, true), (&other, false)] {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let (acceptor, asked) = (ours.acceptor("localhost"), Arc::new(Mutex::new(Vec::new())));
        tokio::spawn({
            let asked = asked.clone();
            async move {
                while let Ok((stream, _)) = listener.accept().await {
                    if let Ok(stream) = acceptor.accept(stream).await {
                        serve(stream, vec![answer("204 No Content", "", "")], asked.clone()).await;
                    }
                }
            }
        });
        let file = authority.file();
        let notifier = webhook(&format!("url = \"https://localhost:{port}/\"\nca_file = {file:?}")).unwrap();
        let said = notifier.test().await;
        assert_eq!(said.is_ok(), arrives, "{said:?}");
        assert!(arrives || matches!(said, Err(Trouble::Tls(_))), "{said:?}");
        assert_eq!(asked.lock().unwrap().len(), usize::from(arrives));
    }
}

#[tokio::test]
async fn who_is_busy_is_asked_again_as_late_as_wanted() {
    let busy = answer("429 Too Many Requests", "retry-after: 1\r\n", "slow down");
    let before = std::time::Instant::now();
    let (server, state) =
        state_after_one(&[&busy, &answer("500 Oops", "", ""), &answer("200 OK", "", "")]).await;
    assert_eq!((server.asked().len(), state.sent, state.refused, state.trouble), (3, 1, 0, None));
    // One second is more than the longest wait of this test, which bounds it.
    assert!(before.elapsed() >= WAITS.longest, "{:?}", before.elapsed());
    let requests = server.asked();
    assert!(requests.iter().all(|request| body(request) == body(&requests[0])), "the same message each time");
}

#[tokio::test]
async fn who_refuses_is_not_asked_again_and_health_says_so() {
    let (server, state) = state_after_one(&[&answer("404 Not Found", "", "no_service\x1b[31m")]).await;
    tokio::time::sleep(Duration::from_millis(300)).await;
    assert_eq!((server.asked().len(), state.sent, state.refused), (1, 0, 1));
    let health = state.health();
    assert_eq!(health[0].what, "pager: the other side refuses: it answers 404 no_service [31m; 0 waiting");
    assert!(health[0].remedy.contains("send a test"));
}

#[tokio::test]
async fn a_redirect_is_not_followed() {
    let elsewhere = Server::start(&[&answer("200 OK", "", "")]).await;
    for status in ["301 Moved", "302 Found", "307 Temporary", "308 Permanent"] {
        let there = answer(status, &format!("location: {}?token=hush\r\n", elsewhere.url), "");
        let (_, state) = state_after_one(&[&there]).await;
        let what = &state.health()[0].what;
        assert!(what.contains("redirects") && what.contains("127.0.0.1") && !what.contains("hush"), "{what}");
    }
    assert!(elsewhere.asked().is_empty());
}

#[tokio::test]
async fn who_hangs_or_talks_nonsense_is_asked_again() {
    for odd in ["hang", "SSH-2.0-OpenSSH_9.2\r\n", "", "HTTP/1.1 200 OK\r\ncontent-length: x\r\n\r\n"] {
        let (server, state) = state_after_one(&[odd, &answer("200 OK", "", "")]).await;
        assert_eq!((server.asked().len(), state.sent, state.trouble), (2, 1, None), "{odd:?}");
    }
}

#[tokio::test]
async fn an_answer_without_an_end_is_read_only_so_far() {
    let endless = format!("HTTP/1.1 200 OK\r\nconnection: close\r\n\r\n{}", "x".repeat(1 << 20));
    let server = Server::start(&[&endless]).await;
    let said = to(&server).test().await.unwrap();
    assert!(said.starts_with("200 xxx") && said.len() <= 210, "{}", said.len());
}

#[tokio::test]
async fn a_message_that_one_server_cannot_take_does_not_keep_back_the_rest() {
    let mut answers = vec![answer("500 Oops", "", ""); 16];
    answers.push(answer("200 OK", "", ""));
    let answers: Vec<&str> = answers.iter().map(String::as_str).collect();
    let server = Server::start(&answers).await;
    let notifier = to(&server);
    notifier.tell(&Arc::new(alert()));
    let mut other = with("source", "203.0.113.8");
    other.event.address = None;
    notifier.tell(&Arc::new(other));
    until("the second is told", || notifier.state().sent == 1).await;
    assert_eq!((server.asked().len(), notifier.state().refused), (17, 1));
    assert_eq!(body(&server.asked()[16])["source"], "203.0.113.8");
}

#[tokio::test]
async fn nobody_there_is_told_without_the_address_which_may_be_a_secret() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    drop(listener);
    let notifier = webhook(&format!("url = \"http://127.0.0.1:{port}/services/T0/hush\"")).unwrap();
    let trouble = notifier.test().await.unwrap_err();
    assert!(matches!(trouble, Trouble::Unreachable(_)), "{trouble:?}");
    assert!(!format!("{trouble:?} {:?}", notifier.state()).contains("hush"));
}

#[tokio::test]
async fn a_storm_ends_in_a_digest() {
    let server = Server::start(&[&answer("200 OK", "", "ok")]).await;
    let limits = "limits = { messages = 2, digest = \"5s\" }";
    let notifier = webhook(&format!("url = \"{}\"\n{limits}", server.url)).unwrap();
    for number in 0..5000 {
        let mut told = with("source", format!("10.1.{}.{}", number / 250, number % 250));
        told.event.address = None;
        notifier.tell(&Arc::new(told));
    }
    until("two messages and a digest", || server.asked().len() == 3).await;
    let digest = body(&server.asked()[2]);
    assert_eq!((&digest["kind"], &digest["total"]), (&"digest".into(), &4998.into()));
    assert_eq!(digest["classes"], "port scan (4998)");
}

#[tokio::test]
async fn what_waits_for_people_is_bounded_in_events_and_in_messages() {
    let server = Server::start(&["hang"]).await;
    let notifier = webhook(&format!("url = \"{}\"\nlimits = {{ messages = 1000 }}", server.url)).unwrap();
    // Nobody else runs before the first wait: the queue of events takes all of it.
    for number in 0..10_500 {
        let mut told = with("source", format!("10.1.{}.{}", number / 250, number % 250));
        told.event.address = None;
        notifier.tell(&Arc::new(told));
    }
    assert_eq!((notifier.state().waiting, notifier.state().dropped), (10_000, 500));
    // Of the thousand messages one is in the server's hands, a hundred wait.
    until("the events are judged", || notifier.state().waiting <= 101).await;
    let state = notifier.state();
    assert!((899..=900).contains(&(state.dropped - 500)) && state.sent == 0, "{state:?}");
}

#[tokio::test]
async fn slack_gets_a_text_in_which_nobody_is_called() {
    let server = Server::start(&[&answer("200 OK", "", "ok")]).await;
    let settings: Slack = toml::from_str(&format!("name = \"ops\"\nurl = \"{}\"", server.url)).unwrap();
    let target = slack(&settings, PATIENCE).unwrap();
    let notifier = Notifier::start("ops", &settings.rules, Limits::default(), target, PATIENCE).unwrap();
    assert_eq!(notifier.test().await.unwrap(), "200 ok");
    notifier.tell(&Arc::new(with("reason", "<!channel>")));
    until("it is told", || notifier.state().sent == 2).await;
    let text = body(&server.asked()[1])["text"].as_str().unwrap().to_owned();
    assert!(text.contains("*port scan* from `203.0.113.7`") && text.contains("&lt;!channel&gt;"), "{text}");
}

#[tokio::test]
async fn an_address_in_the_open_is_for_this_machine_only() {
    for url in [
        "http://hooks.example.org/x",
        "http://localhost.example.org/",
        "ftp://127.0.0.1/",
        "hook",
        "https://",
    ] {
        let error = webhook(&format!("url = \"{url}\"")).err().unwrap().to_string();
        assert!(error.contains("https://") && !error.contains("hooks.example.org"), "{error}");
    }
}

#[tokio::test]
async fn a_header_is_plain_and_none_of_ours() {
    for header in
        ["Host = \"x\"", "X-SmartFW-Signature = \"x\"", "\"a b\" = \"x\"", "X-A = \"x\\r\\nX-B: y\""]
    {
        let text = format!("url = \"https://localhost/\"\nheaders = {{ {header} }}");
        assert!(matches!(webhook(&text), Err(SetupError::Header(_))), "{header}");
    }
}

#[test]
fn rules_choose_by_kind_class_confidence_node_and_action() {
    let want = |rules: &str, told: &NodeEvent| toml::from_str::<Rules>(rules).unwrap().want(told);
    let told = alert();
    for (rules, wanted) in [
        ("", true),
        ("kinds = [\"block\"]", false),
        ("classes = [\"port_scan\", \"botnet\"]", true),
        ("classes = [\"botnet\"]", false),
        ("min_confidence = 0.97", true),
        ("min_confidence = 0.98", false),
        ("nodes = [\"web-*\"]", true),
        ("nodes = [\"web-1\", \"db-1\"]", true),
        ("nodes = [\"web\"]", false),
        ("actions = [\"block\"]", true),
        ("actions = [\"pending\", \"protected\"]", false),
    ] {
        assert_eq!(want(rules, &told), wanted, "{rules}");
    }
    let mut health = alert();
    health.event.kind = EventKind::Health;
    health.event.class = None;
    assert!(want("kinds = [\"health\"]", &health) && !want("", &health));
    let mut nameless = alert();
    nameless.event.class = None;
    assert!(!want("classes = [\"botnet\"]", &nameless));
    assert_eq!(alert().event.class, Some(Class::PortScan));
}
