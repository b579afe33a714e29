use std::time::{Duration, Instant};

use tokio::{
    io::{AsyncBufReadExt as _, BufReader},
    net::TcpListener,
};

use super::*;
use crate::{
    Facility, Format,
    event::tests::{alert, with},
    testing::{WAITS, soon, until},
};

fn start(text: &str) -> Result<Outward, BadSettings> {
    let sending = transport::Patience { waits: WAITS, ..transport::Patience::USUAL };
    let telling = notify::Patience { waits: WAITS, ..notify::Patience::USUAL };
    Outward::start_with(&toml::from_str(text).unwrap(), sending, telling)
}

#[tokio::test]
async fn who_hangs_harms_nobody_else_and_nobody_waits() {
    let (good, bad) =
        (TcpListener::bind("127.0.0.1:0").await.unwrap(), TcpListener::bind("127.0.0.1:0").await.unwrap());
    let (to, hung) = (good.local_addr().unwrap(), bad.local_addr().unwrap());
    let authority = crate::testing::Authority::new();
    let file = authority.file();
    let outward = start(&format!(
        "[[export]]\nname = \"good\"\nto = \"tcp://{to}\"\nformat = \"cef\"\n\
         [[export]]\nname = \"hung\"\nto = \"tls://{hung}\"\nca_file = {file:?}\n\
         [[webhook]]\nname = \"hook\"\nurl = \"http://{hung}/\"\n\
         [[email]]\nname = \"mail\"\nserver = \"{hung}\"\nsecurity = \"none\"\nfrom = \"a@b.org\"\nto = [\"a@b.org\"]"
    ))
    .unwrap();
    let before = Instant::now();
    for number in 0..1000 {
        outward.tell(&Arc::new(with("reason", format!("number {number}"))));
    }
    assert!(before.elapsed() < Duration::from_secs(5), "{:?}", before.elapsed());
    let (stream, _) = soon(good.accept()).await.unwrap();
    let mut lines = BufReader::new(stream).lines();
    for number in 0..1000 {
        let line = soon(lines.next_line()).await.unwrap().unwrap();
        assert!(line.ends_with(&format!("msg=number {number}")), "{line}");
    }
    until("all are sent", || outward.states()[0].sent == 1000).await;
    let names: Vec<String> = outward.states().into_iter().map(|state| state.name).collect();
    assert_eq!(names, ["good", "hung", "hook", "mail"]);
    assert_eq!(outward.states()[1].sent, 0);
}

#[tokio::test]
async fn at_the_end_what_waits_goes_out_first_and_who_hangs_is_not_waited_for() {
    let (good, bad) =
        (TcpListener::bind("127.0.0.1:0").await.unwrap(), TcpListener::bind("127.0.0.1:0").await.unwrap());
    let (to, hung) = (good.local_addr().unwrap(), bad.local_addr().unwrap());
    let outward =
        start(&format!("[[export]]\nname = \"good\"\nto = \"tcp://{to}\"\nformat = \"cef\"")).unwrap();
    (0..100).for_each(|number| outward.tell(&Arc::new(with("reason", format!("number {number}")))));
    outward.finish(Duration::from_secs(20)).await;
    let (stream, _) = soon(good.accept()).await.unwrap();
    let mut lines = BufReader::new(stream).lines();
    let mut count = 0;
    while soon(lines.next_line()).await.unwrap().is_some() {
        count += 1;
    }
    assert_eq!(count, 100);
    let outward = start(&format!("[[webhook]]\nname = \"hook\"\nurl = \"http://{hung}/\"")).unwrap();
    outward.tell(&Arc::new(with("reason", "never heard")));
    let before = Instant::now();
    outward.finish(Duration::from_millis(100)).await;
    assert!(before.elapsed() < Duration::from_secs(5), "{:?}", before.elapsed());
}

#[tokio::test]
async fn names_tell_the_ways_out_apart() {
    let two = "[[export]]\nname = \"a\"\nto = \"udp://127.0.0.1:9\"\n\
               [[slack]]\nname = \"a\"\nurl = \"https://localhost/\"";
    let error = start(two).err().unwrap().to_string();
    assert!(error.starts_with("a: ") && error.contains("`name` of its own"), "{error}");
    let nameless = "[[export]]\nname = \"\"\nto = \"udp://127.0.0.1:9\"";
    assert!(start(nameless).is_err());
    let many: String = (0..65)
        .map(|number| format!("[[export]]\nname = \"{number}\"\nto = \"udp://127.0.0.1:9\"\n"))
        .collect();
    assert!(start(&many).err().unwrap().to_string().contains("more than 64"));
}

#[tokio::test]
async fn a_test_is_sent_by_name() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let to = listener.local_addr().unwrap();
    drop(listener);
    let outward = start(&format!("[[webhook]]\nname = \"hook\"\nurl = \"http://{to}/\"")).unwrap();
    assert!(outward.test("another").await.is_none());
    assert!(matches!(outward.test("hook").await, Some(Err(Trouble::Unreachable(_)))));
    assert!(outward.health()[0].what.starts_with("hook: no connection"));
}

#[tokio::test]
async fn a_rule_that_nothing_can_meet_is_refused() {
    let authority = crate::testing::Authority::new();
    for confidence in ["1.5", "-0.1", "nan"] {
        let text = format!(
            "[[webhook]]\nname = \"hook\"\nurl = \"https://localhost/\"\nca_file = \"{}\"\n\
             rules = {{ min_confidence = {confidence} }}",
            authority.file().display()
        );
        let error = start(&text).err().unwrap();
        assert!(matches!(error.why, SetupError::Confidence), "{error}");
    }
}

#[test]
fn the_documentation_shows_what_is_sent() {
    let page = include_str!("../../../../docs/integrations.md");
    for format in [Format::Cef, Format::Syslog] {
        let record = String::from_utf8(format.record(&alert(), Facility::default(), 65_536)).unwrap();
        assert!(page.contains(&record.replace(env!("CARGO_PKG_VERSION"), "0.1.0")), "{record}");
    }
}
