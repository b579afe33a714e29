use std::sync::{Arc, Mutex};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use tokio::{
    io::{AsyncBufReadExt as _, AsyncRead, AsyncWrite, AsyncWriteExt as _, BufReader},
    net::TcpListener,
};
use tokio_rustls::TlsAcceptor;

use super::*;
use crate::{
    event::tests::with,
    testing::{Authority, WAITS},
};

const PATIENCE: Patience = Patience { answer: Duration::from_millis(1500), waits: WAITS };

/// How a server of mail behaves.
#[derive(Clone, Default)]
struct Manner {
    /// TLS from the first byte, or on demand.
    wrapped: Option<TlsAcceptor>,
    on_demand: Option<TlsAcceptor>,
    /// What it says to a receiver, to a login, to a letter.
    receiver: Option<&'static str>,
    login: Option<&'static str>,
    letter: Option<&'static str>,
    greeting: Option<&'static str>,
}

/// A server of mail that writes down what it is told; marks where TLS begins.
async fn server(manner: Manner) -> (u16, Arc<Mutex<Vec<String>>>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let heard = Arc::new(Mutex::new(Vec::new()));
    tokio::spawn({
        let heard = heard.clone();
        async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(serve(stream, manner.clone(), heard.clone()));
            }
        }
    });
    (port, heard)
}

async fn serve(stream: tokio::net::TcpStream, manner: Manner, heard: Arc<Mutex<Vec<String>>>) {
    if let Some(acceptor) = &manner.wrapped {
        let Ok(stream) = acceptor.accept(stream).await else { return };
        heard.lock().unwrap().push("(tls)".to_owned());
        let _ = talk(stream, &manner, &heard, true).await;
        return;
    }
    let Ok(Some(stream)) = talk(stream, &manner, &heard, true).await else { return };
    let Ok(stream) = manner.on_demand.as_ref().unwrap().accept(stream).await else { return };
    heard.lock().unwrap().push("(tls)".to_owned());
    let _ = talk(stream, &Manner { on_demand: None, ..manner }, &heard, false).await;
}

/// Gives the stream back when TLS is asked for.
async fn talk<S: AsyncRead + AsyncWrite + Unpin>(
    stream: S,
    manner: &Manner,
    heard: &Mutex<Vec<String>>,
    greet: bool,
) -> std::io::Result<Option<S>> {
    let mut stream = BufReader::new(stream);
    if greet {
        stream.write_all(manner.greeting.unwrap_or("220 ready\r\n").as_bytes()).await?;
    }
    let mut in_letter = false;
    loop {
        let mut line = String::new();
        if stream.read_line(&mut line).await? == 0 {
            return Ok(None);
        }
        let line = line.trim_end().to_owned();
        heard.lock().unwrap().push(line.clone());
        let answer = match line.split(' ').next().unwrap_or_default() {
            "." if in_letter => manner.letter.unwrap_or("250 queued as 4711"),
            _ if in_letter => continue,
            "EHLO" if manner.on_demand.is_some() => "250-me\r\n250 STARTTLS",
            "EHLO" => "250-me\r\n250 AUTH PLAIN LOGIN",
            "STARTTLS" => {
                stream.write_all(b"220 go ahead\r\n").await?;
                return Ok(Some(stream.into_inner()));
            }
            "AUTH" => manner.login.unwrap_or("235 welcome"),
            "RCPT" => manner.receiver.unwrap_or("250 ok"),
            "DATA" => "354 go on",
            "QUIT" => "221 bye",
            _ => "250 ok",
        };
        in_letter = line == "DATA";
        stream.write_all(format!("{answer}\r\n").as_bytes()).await?;
    }
}

fn mail(port: u16, more: &str) -> Result<Mail, SetupError> {
    let usual = format!(
        "name = \"watch\"\nserver = \"localhost:{port}\"\nfrom = \"SmartFW <fw@example.org>\"\n\
         to = [\"ops@example.org\", \"night@example.org\"]\n{more}"
    );
    Mail::new(&toml::from_str(&usual).unwrap(), PATIENCE)
}

fn single(reason: &str) -> Message {
    Message::Single { event: with("reason", reason).into(), repeats: 0 }
}

fn login() -> &'static str {
    "user = \"fw\"\npassword = { env = \"CARGO_PKG_NAME\" }"
}

#[tokio::test]
async fn over_starttls_the_login_and_the_letter_come_after_tls_begins() {
    let authority = Authority::new();
    let on_demand = Some(authority.acceptor("localhost"));
    let (port, heard) = server(Manner { on_demand, ..Manner::default() }).await;
    let mail = mail(port, &format!("{}\nca_file = {:?}", login(), authority.file())).unwrap();
    assert_eq!(mail.send(&single("312 ports")).await.unwrap(), "250 queued as 4711");
    let heard = heard.lock().unwrap().clone();
    let tls = heard.iter().position(|line| line == "(tls)").unwrap();
    assert!(heard[..tls].iter().all(|line| line.starts_with("EHLO") || line == "STARTTLS"), "{heard:?}");
    let auth = heard[tls..].iter().find_map(|line| line.strip_prefix("AUTH PLAIN ")).unwrap();
    assert_eq!(STANDARD.decode(auth).unwrap(), b"\0fw\0smartfw-outward");
    for line in [
        "MAIL FROM:<fw@example.org>",
        "RCPT TO:<night@example.org>",
        "Subject: [SmartFW] port scan from 203.0.113.7 on web-1",
        "Auto-Submitted: auto-generated",
        "312 ports",
        "Done: block",
    ] {
        assert!(heard.iter().any(|said| said.starts_with(line)), "{line}: {heard:#?}");
    }
}

#[tokio::test]
async fn tls_from_the_first_byte_works_too() {
    let authority = Authority::new();
    let wrapped = Some(authority.acceptor("localhost"));
    let (port, heard) = server(Manner { wrapped, ..Manner::default() }).await;
    let more = format!("security = \"tls\"\n{}\nca_file = {:?}", login(), authority.file());
    assert!(mail(port, &more).unwrap().send(&single("x")).await.is_ok());
    assert_eq!(heard.lock().unwrap()[0], "(tls)");
}

#[tokio::test]
async fn no_letter_without_tls_and_none_to_a_stranger() {
    let (ours, other) = (Authority::new(), Authority::new());
    let strangers = [
        Manner::default(),
        Manner { on_demand: Some(other.acceptor("localhost")), ..Manner::default() },
        Manner { on_demand: Some(ours.acceptor("elsewhere.example.org")), ..Manner::default() },
    ];
    for manner in strangers {
        let (port, heard) = server(manner).await;
        let mail = mail(port, &format!("{}\nca_file = {:?}", login(), ours.file())).unwrap();
        let trouble = mail.send(&single("hush")).await.unwrap_err();
        assert!(
            matches!(trouble, Trouble::Tls(_) | Trouble::Nonsense(_) | Trouble::Unreachable(_)),
            "{trouble:?}"
        );
        let heard = heard.lock().unwrap().join("\n");
        assert!(!heard.contains("AUTH") && !heard.contains("hush"), "{heard}");
    }
}

#[tokio::test]
async fn what_the_server_says_decides_whether_it_is_tried_again() {
    for (manner, is_final) in [
        (Manner { receiver: Some("550 no such person"), ..Manner::default() }, true),
        (Manner { receiver: Some("451 come back later"), ..Manner::default() }, false),
        (Manner { letter: Some("554 looks like spam"), ..Manner::default() }, true),
        (Manner { greeting: Some("421 too busy\r\n"), ..Manner::default() }, false),
        (Manner { greeting: Some("HTTP/1.1 200 OK\r\n\r\n"), ..Manner::default() }, false),
    ] {
        let (port, _) = server(manner).await;
        let mail = mail(port, "security = \"none\"").unwrap();
        let trouble = mail.send(&single("x")).await.unwrap_err();
        assert_eq!(trouble.is_final(), is_final, "{trouble:?}");
    }
    let authority = Authority::new();
    let wrapped = Some(authority.acceptor("localhost"));
    let (port, _) = server(Manner { wrapped, login: Some("535 wrong"), ..Manner::default() }).await;
    let more = format!("security = \"tls\"\n{}\nca_file = {:?}", login(), authority.file());
    let trouble = mail(port, &more).unwrap().send(&single("x")).await.unwrap_err();
    assert!(matches!(&trouble, Trouble::Refused { status: 535, .. }), "{trouble:?}");
    assert!(!format!("{trouble:?}").contains("smartfw-outward"));
}

#[tokio::test]
async fn a_server_that_hangs_is_left_in_time() {
    let (port, _) = server(Manner { greeting: Some(""), ..Manner::default() }).await;
    let before = std::time::Instant::now();
    let trouble = mail(port, "security = \"none\"").unwrap().send(&single("x")).await.unwrap_err();
    assert!(!trouble.is_final() && before.elapsed() < Duration::from_secs(10), "{trouble:?}");
}

#[tokio::test]
async fn what_an_attacker_says_adds_no_header_and_no_letter() {
    let (port, heard) = server(Manner::default()).await;
    let more = "security = \"none\"\nsubject = \"{{reason}} on {{node}}\"\ntext = \"{{reason}}\"";
    let mail = mail(port, more).unwrap();
    let reason = "x\r\nBcc: all@example.org\r\n\r\n.\r\nMAIL FROM:<evil@example.org>";
    mail.send(&single(reason)).await.unwrap();
    mail.send(&single(&"ü".repeat(5000))).await.unwrap();
    let heard = heard.lock().unwrap().clone();
    assert!(heard.iter().all(|line| !line.starts_with("Bcc") && line.len() <= 998), "{heard:#?}");
    assert_eq!(heard.iter().filter(|line| line.starts_with("MAIL FROM")).count(), 2);
    assert_eq!(heard.iter().filter(|line| *line == ".").count(), 2);
    // 150 bytes of a subject, encoded and folded.
    let subject = heard.iter().rposition(|line| line.starts_with("Subject: ")).unwrap();
    let folded = heard[subject + 1..].iter().take_while(|line| line.starts_with(' '));
    let length = heard[subject].len() + folded.map(String::len).sum::<usize>();
    assert!((150..400).contains(&length), "{length}");
}

#[test]
fn what_cannot_work_is_refused_at_the_start() {
    let refused = |more: &str| mail(587, more).err().map(|error| error.to_string()).unwrap_or_default();
    assert!(refused("user = \"fw\"").contains("go together"));
    assert!(refused(&format!("security = \"none\"\n{}", login())).contains("not in the open"));
    assert!(refused("subject = \"{{sorce}}\"").contains("{{sorce}}"));
    let with_server = |server: &str, to: &str| {
        let text = format!(
            "name = \"a\"\nserver = \"{server}\"\nsecurity = \"none\"\nfrom = \"a@b.org\"\nto = [{to}]"
        );
        Mail::new(&toml::from_str(&text).unwrap(), PATIENCE)
            .err()
            .map(|error| error.to_string())
            .unwrap_or_default()
    };
    assert!(with_server("smtp.example.org:25", "\"a@b.org\"").contains("this machine only"));
    assert!(with_server("localhost", "\"a@b.org\"").contains("HOST:PORT"));
    assert!(with_server("localhost:25", "").contains("1 to 50"));
    assert!(with_server("localhost:25", &"\"a@b.org\",".repeat(51)).contains("1 to 50"));
    assert!(with_server("localhost:25", "\"nobody\"").contains("no address of mail"));
}
