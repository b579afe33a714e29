use std::sync::Arc;

use super::*;

const START: OffsetDateTime = OffsetDateTime::UNIX_EPOCH;

fn block(target: &str, seconds: Option<i64>) -> Arc<Block> {
    Arc::new(Block {
        target: target.parse().unwrap(),
        class: "port_scan".into(),
        origin: "web-1".into(),
        confirmed_by: Vec::new(),
        reason: String::new(),
        since: START,
        expires: seconds.map(|seconds| START + Duration::seconds(seconds)),
        strength: "hard".into(),
        ban: true,
    })
}

fn list(version: u64, blocks: &[(&str, Option<i64>)]) -> Blocks {
    let list = blocks.iter().map(|(target, seconds)| block(target, *seconds)).collect();
    Blocks { version, complete: true, list: Arc::new(list) }
}

fn values(decisions: &[Decision]) -> Vec<&str> {
    decisions.iter().map(|decision| decision.value.as_str()).collect()
}

#[test]
fn a_key_hears_everything_once_and_then_what_changed() {
    let ledger = Ledger::open(Path::new("/nonexistent/decisions.json"));
    let first = list(1, &[("192.0.2.1/32", Some(60)), ("198.51.100.0/24", None)]);
    let news = ledger.pull(START, &first, "nginx", true);
    assert_eq!(values(&news.new), ["192.0.2.1", "198.51.100.0/24"]);
    assert_eq!((news.new[0].scope, news.new[1].scope), ("Ip", "Range"));
    assert_eq!((news.new[0].duration.as_str(), news.new[1].duration.as_str()), ("1m0s", "87600h0m0s"));
    assert!(news.deleted.is_empty());
    assert!(ledger.pull(START, &first, "nginx", false).new.is_empty());

    let second = list(2, &[("198.51.100.0/24", None), ("203.0.113.9/32", Some(90))]);
    let news = ledger.pull(START + Duration::seconds(30), &second, "nginx", false);
    assert_eq!((values(&news.new), values(&news.deleted)), (vec!["203.0.113.9"], vec!["192.0.2.1"]));
    assert_eq!(news.deleted[0].duration, "0s");
    assert_eq!(
        values(&ledger.pull(START, &second, "traefik", false).new).len(),
        2,
        "a key that we do not know"
    );
}

#[test]
fn what_bans_an_address_is_every_prefix_that_it_lies_in() {
    let ledger = Ledger::open(Path::new("/nonexistent/decisions.json"));
    let targets =
        ["0.0.0.0/0", "192.0.2.0/24", "192.0.2.1/32", "192.0.2.2/32", "2001:db8::/32", "2001:db8::1/128"];
    let blocks = list(1, &targets.map(|target| (target, None)));
    let banning = |text: &str| {
        let found = ledger.banning(START, &blocks, crate::query::net(text).unwrap());
        values(&found).iter().map(|value| (*value).to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(banning("192.0.2.1"), ["0.0.0.0/0", "192.0.2.0/24", "192.0.2.1"]);
    assert_eq!(banning("192.0.2.0/24"), ["0.0.0.0/0", "192.0.2.0/24"]);
    assert_eq!(banning("2001:db8::1"), ["2001:db8::/32", "2001:db8::1"]);
    assert_eq!(banning("2001:db9::1"), Vec::<String>::new());
}

#[test]
fn what_ends_by_itself_is_told_although_the_list_is_the_same() {
    let ledger = Ledger::open(Path::new("/nonexistent/decisions.json"));
    let blocks = list(1, &[("192.0.2.1/32", Some(60)), ("192.0.2.2/32", Some(61))]);
    ledger.pull(START, &blocks, "nginx", true);
    assert!(ledger.pull(START + Duration::seconds(59), &blocks, "nginx", false).deleted.is_empty());
    let news = ledger.pull(START + Duration::seconds(60), &blocks, "nginx", false);
    assert_eq!((values(&news.deleted), news.new.len()), (vec!["192.0.2.1"], 0));
    let news = ledger.pull(START + Duration::seconds(65), &blocks, "nginx", false);
    assert_eq!((values(&news.deleted), news.deleted[0].duration.as_str()), (vec!["192.0.2.2"], "-4s"));
}

#[test]
fn what_ends_and_begins_again_is_new_and_not_deleted() {
    let ledger = Ledger::open(Path::new("/nonexistent/decisions.json"));
    ledger.pull(START, &list(1, &[("192.0.2.1/32", Some(60))]), "nginx", true);
    ledger.pull(START, &list(2, &[]), "other", true);
    let news = ledger.pull(START, &list(3, &[("192.0.2.1/32", Some(90))]), "nginx", false);
    assert_eq!((values(&news.new), news.deleted.len()), (vec!["192.0.2.1"], 0));
    let longer = ledger.pull(START, &list(4, &[("192.0.2.1/32", Some(120))]), "nginx", false);
    assert_eq!((longer.new[0].duration.as_str(), longer.deleted.len()), ("2m0s", 0));
}

#[test]
fn an_older_list_takes_nothing_back() {
    let ledger = Ledger::open(Path::new("/nonexistent/decisions.json"));
    ledger.pull(START, &list(2, &[("192.0.2.1/32", Some(60))]), "nginx", true);
    assert!(ledger.pull(START, &list(1, &[]), "nginx", false).deleted.is_empty());
}

#[test]
fn ends_are_remembered_up_to_a_bound_and_who_missed_some_hears_everything() {
    let ledger = Ledger::open(Path::new("/nonexistent/decisions.json"));
    let many: Vec<Arc<Block>> = (0..=ENDS as u32)
        .map(|number| block(&format!("{}/32", std::net::Ipv4Addr::from(number)), Some(60)))
        .collect();
    let stays = ("203.0.113.9/32", None);
    let mut all = many.clone();
    all.push(block(stays.0, stays.1));
    all.sort_by_key(|block| block.target);
    let all = Blocks { version: 1, complete: true, list: Arc::new(all) };
    ledger.pull(START, &all, "slow", true);
    let few = list(2, &[stays]);
    let news = ledger.pull(START, &few, "slow", false);
    assert_eq!(news.deleted.len(), ENDS, "one end more than that was forgotten");
    assert_eq!(values(&news.new), ["203.0.113.9"], "and so all that stands is told again");
    assert!(ledger.pull(START, &few, "slow", false).new.is_empty());
    assert_eq!(ledger.book().ends.len(), ENDS);
}

#[test]
fn the_places_of_keys_are_bounded() {
    let ledger = Ledger::open(Path::new("/nonexistent/decisions.json"));
    (0..KEYS + 9).for_each(|key| drop(ledger.pull(START, &list(1, &[]), &key.to_string(), true)));
    assert_eq!(ledger.book().heard.len(), KEYS);
}

#[test]
fn a_restart_loses_no_end_and_an_incomplete_list_ends_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("decisions.json");
    let stays = ("203.0.113.9/32", None);
    let first = Ledger::open(&path);
    let all = list(1, &[("192.0.2.1/32", Some(60)), ("192.0.2.2/32", Some(900)), stays]);
    first.pull(START, &all, "nginx", true);
    first.keep(START);

    let again = Ledger::open(&path);
    let empty = Blocks { complete: false, ..list(1, &[]) };
    let news = again.pull(START + Duration::seconds(90), &empty, "nginx", false);
    assert_eq!(values(&news.new), ["192.0.2.2", "203.0.113.9"], "nobody has reported yet");
    assert_eq!(values(&news.deleted), ["192.0.2.1"], "that one's time is over");
    let complete = list(2, &[stays]);
    let news = again.pull(START + Duration::seconds(90), &complete, "nginx", false);
    assert_eq!((values(&news.deleted), news.new.len()), (vec!["192.0.2.2"], 0));
}

#[test]
fn what_was_seen_since_the_start_ends_although_the_list_is_incomplete() {
    let ledger = Ledger::open(Path::new("/nonexistent/decisions.json"));
    let first = Blocks { complete: false, ..list(1, &[("192.0.2.1/32", None)]) };
    ledger.pull(START, &first, "nginx", true);
    let second = Blocks { complete: false, ..list(2, &[]) };
    assert_eq!(values(&ledger.pull(START, &second, "nginx", false).deleted), ["192.0.2.1"]);
}

#[test]
fn what_must_not_be_banned_is_told_to_nobody() {
    let ledger = Ledger::open(Path::new("/nonexistent/decisions.json"));
    let soft = Arc::new(Block { ban: false, ..Block::clone(&block("192.0.2.1/32", None)) });
    let blocks = Blocks { list: Arc::new(vec![soft]), ..list(1, &[]) };
    assert!(ledger.pull(START, &blocks, "nginx", true).new.is_empty());
}

#[test]
fn it_is_kept_where_it_changed_and_not_at_every_pull() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("decisions.json");
    let ledger = Ledger::open(&path);
    let pull = |version, target, seconds| {
        let now = START + Duration::seconds(seconds);
        ledger.pull(now, &list(version, &[(target, None)]), "nginx", false);
        ledger.keep(now);
        Ledger::open(&path).book().standing.keys().map(ToString::to_string).collect::<String>()
    };
    assert_eq!(pull(1, "192.0.2.1/32", 0), "192.0.2.1/32");
    assert_eq!(pull(2, "192.0.2.2/32", 1), "192.0.2.1/32", "too soon");
    assert_eq!(pull(2, "192.0.2.2/32", 60), "192.0.2.2/32");
    std::fs::remove_file(&path).unwrap();
    assert_eq!(pull(2, "192.0.2.2/32", 120), "", "nothing changed");
}

#[test]
fn a_file_that_makes_no_sense_is_as_none() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("decisions.json");
    for bytes in [&b"\xff"[..], b"{}", b"[]", br#"{"format":9,"change":1,"standing":[]}"#] {
        std::fs::write(&path, bytes).unwrap();
        assert_eq!(Ledger::open(&path).book().standing.len(), 0);
    }
}
