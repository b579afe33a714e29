use std::fs;

use super::*;

/// A capture of Ethernet frames without addresses, each a SYN from `source` at a second and its fraction.
fn capture(frames: impl IntoIterator<Item = (u64, u8)>) -> Vec<u8> {
    let mut file =
        Vec::from([0xd4, 0xc3, 0xb2, 0xa1, 2, 0, 4, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 4, 0, 1, 0, 0, 0]);
    for (millis, source) in frames {
        let frame = syn(source, (millis % 60_000) as u16);
        for word in [millis / 1000, millis % 1000 * 1000, frame.len() as u64, frame.len() as u64] {
            file.extend((word as u32).to_le_bytes());
        }
        file.extend(frame);
    }
    file
}

fn syn(source: u8, port: u16) -> Vec<u8> {
    let mut frame = vec![0; 12];
    frame.extend([8, 0, 0x45, 0, 0, 40, 0, 0, 0, 0, 64, 6, 0, 0, 203, 0, 113, source]);
    frame.extend(SERVER_V4.octets());
    frame.extend([0x9c, 0x40]);
    frame.extend(port.to_be_bytes());
    frame.extend([0, 0, 0, 1, 0, 0, 0, 0, 0x50, 2, 4, 0, 0, 0, 0, 0]);
    frame
}

fn seconds(seconds: u64) -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_secs(seconds)
}

/// Address 1 attacks from second 10 to 20, address 2 is innocent, nobody knows address 3; each sends ten packets a
/// second for `last` seconds.
fn folder(last: u64, change: impl Fn(&mut Label)) -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    let frames = (0..last * 10).flat_map(|i| (1..=3).map(move |source| (i * 100, source)));
    fs::write(dir.path().join("one.pcap"), capture(frames)).unwrap();
    let mut label = Label {
        variant: "one".into(),
        class: "port_scan".into(),
        attackers: "203.0.113.1".into(),
        span: (seconds(10), seconds(20)),
        innocents: vec![("dns".into(), [203, 0, 113, 2].into())],
        tool: "nmap".into(),
    };
    change(&mut label);
    label.record(&dir.path().join("labels.tsv")).unwrap();
    dir
}

fn rows(dir: &tempfile::TempDir) -> Vec<String> {
    let table = table(&[dir.path().to_owned()]).unwrap();
    table.lines().skip(2).map(str::to_owned).collect()
}

fn count(rows: &[String], class: &str) -> usize {
    rows.iter().filter(|row| row.contains(&format!(",{class},"))).count()
}

#[test]
fn a_table_begins_with_its_schema_and_its_columns() {
    let table = table(&[folder(1, |_| ()).path().to_owned()]).unwrap();
    let head: Vec<&str> = table.lines().take(2).collect();
    assert_eq!(head[0], format!("# schema {SCHEMA}"));
    assert!(head[1].starts_with("packets_per_second,") && head[1].ends_with(",class,capture,tool,family"));
}

#[test]
fn attackers_count_while_they_attack_and_innocents_always() {
    let dir = folder(40, |_| ());
    let rows = rows(&dir);
    // The eighth packet, then each second of ten of attack and of three after its end; the table's most for somebody
    // beside it; nobody else.
    assert_eq!(count(&rows, "port_scan"), 14);
    assert_eq!(count(&rows, "benign"), MOST_BESIDE);
    assert_eq!(rows.len(), 14 + MOST_BESIDE);
    let name = dir.path().file_name().unwrap().to_string_lossy().into_owned();
    assert!(rows.iter().any(|row| row.ends_with(&format!(",port_scan,{name}/one,nmap,ipv4"))), "{rows:?}");
    assert!(rows.iter().any(|row| row.ends_with(&format!(",benign,{name}/one,dns,ipv4"))));
}

#[test]
fn a_long_run_is_spread_to_the_most_that_a_table_takes() {
    let benign = |label: &mut Label| {
        label.class = "benign".into();
        label.attackers = "-".into();
    };
    assert_eq!(rows(&folder(200, benign)).len(), MOST);
}

#[test]
fn who_stands_before_an_attacker_that_nobody_sees_is_left_out() {
    assert_eq!(rows(&folder(30, |label| label.attackers = "-".into())), Vec::<String>::new());
    assert_eq!(count(&rows(&folder(30, |label| label.attackers = "random".into())), "benign"), MOST_BESIDE);
}

#[test]
fn two_readings_of_a_capture_give_the_same_table() {
    let dir = folder(15, |_| ());
    assert_eq!(rows(&dir), rows(&dir));
}

#[test]
fn two_folders_of_one_name_are_refused() {
    let dir = folder(5, |_| ());
    assert!(table(&[dir.path().to_owned(), dir.path().to_owned()]).is_err());
}

#[test]
fn a_window_that_says_too_little_is_left_out() {
    let dir = folder(0, |label| {
        label.class = "benign".into();
        label.attackers = "-".into();
    });
    // A packet every two seconds makes five of a window.
    fs::write(dir.path().join("one.pcap"), capture((0..30).map(|i| (i * 2000, 2)))).unwrap();
    assert!(rows(&dir).is_empty());
}
