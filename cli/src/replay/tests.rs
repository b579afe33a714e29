use std::{cell::RefCell, fs, rc::Rc};

use serde_json::Value;
use smartfw_capture::file::PcapWriter;
use smartfw_core::{
    Time,
    features::NAMES,
    model::{Calibration, Forest, ForestParts, IsolationForest, IsolationParts, Model, Node},
};
use smartfw_learn::{Card, ModelFile, ModelKey};

use super::*;
use crate::args::Format;

const BEGIN: u64 = 1_500_000_000_000_000_000; // 2017-07-14T02:40:00Z
const SYN: u8 = 0x02;
const RST_ACK: u8 = 0x14;

/// An IPv4 packet with an empty TCP segment.
fn segment(source: [u8; 4], from: u16, destination: [u8; 4], to: u16, flags: u8) -> Vec<u8> {
    let mut bytes = vec![0x45, 0, 0, 40, 0, 0, 0x40, 0, 64, 6, 0, 0];
    bytes.extend(source);
    bytes.extend(destination);
    bytes.extend(from.to_be_bytes());
    bytes.extend(to.to_be_bytes());
    bytes.extend([0, 0, 0, 1, 0, 0, 0, 0, 0x50, flags, 0x04, 0, 0, 0, 0, 0]);
    bytes
}

/// A scan of `ports` ports, each answered by a reset.
fn scan(attacker: [u8; 4], host: [u8; 4], ports: u16) -> Vec<u8> {
    let mut writer = PcapWriter::new(Vec::new(), 101).unwrap();
    for port in 0..ports {
        let at = Time::from_nanos(BEGIN + u64::from(port) * 1_000_000);
        for bytes in [
            segment(attacker, 40_000, host, 1000 + port, SYN),
            segment(host, 1000 + port, attacker, 40_000, RST_ACK),
        ] {
            writer.write(at, &bytes, bytes.len() as u32).unwrap();
        }
    }
    writer.finish().unwrap()
}

struct Replayed {
    lines: Vec<Value>,
    result: Result<(), Failure>,
}

impl Replayed {
    fn kinds(&self) -> Vec<&str> {
        self.lines.iter().map(|line| line["kind"].as_str().unwrap()).collect()
    }

    fn of(&self, kind: &str) -> Vec<&Value> {
        self.lines.iter().filter(|line| line["kind"] == kind).collect()
    }
}

fn replay(files: &[&[u8]], local: &[&str]) -> Replayed {
    replay_with(files, local, "none".as_ref())
}

fn replay_with(files: &[&[u8]], local: &[&str], model: &Path) -> Replayed {
    let folder = tempfile::tempdir().unwrap();
    let paths = (0..files.len()).map(|index| folder.path().join(format!("{index}.pcap")));
    let files: Vec<PathBuf> = paths
        .zip(files)
        .map(|(path, bytes)| {
            fs::write(&path, bytes).unwrap();
            path
        })
        .collect();
    let local = local.iter().map(|net| net.parse().unwrap()).collect();
    let bytes = Rc::new(RefCell::new(Vec::new()));
    let mut output = Output::to(Format::Json, Rc::clone(&bytes));
    let args = Replay { files, local, model: model.to_owned(), config: None };
    let result = run(folder.path(), &mut output, &args);
    let text = String::from_utf8(bytes.take()).unwrap();
    Replayed { lines: text.lines().map(|line| serde_json::from_str(line).unwrap()).collect(), result }
}

#[test]
fn a_scan_is_told_in_the_order_of_events_with_times_from_the_capture() {
    let replayed = replay(&[&scan([198, 51, 100, 7], [192, 0, 2, 1], 60)], &["192.0.2.1/32"]);
    assert!(replayed.result.is_ok());
    assert_eq!(&replayed.kinds()[..2], ["alert", "block"]);
    assert_eq!(*replayed.kinds().last().unwrap(), "summary");
    let (alert, block) = (replayed.of("alert")[0], replayed.of("block")[0]);
    assert_eq!((&alert["source"], &alert["class"]), (&"198.51.100.7".into(), &"port_scan".into()));
    assert_eq!(block["target"], "198.51.100.7/32");
    for line in [alert, block] {
        assert!(line["time"].as_str().unwrap().starts_with("2017-07-14T02:40:00."), "{line}");
        assert!(line["file"].as_str().unwrap().ends_with("0.pcap"), "{line}");
    }
    let summary = replayed.of("summary")[0];
    assert_eq!((&summary["packets"], &summary["truncated"]), (&120.into(), &false.into()));
    assert!(summary["file"].as_str().unwrap().ends_with("0.pcap"));
}

#[test]
fn without_local_the_initiator_is_judged_and_never_the_victim() {
    let replayed = replay(&[&scan([198, 51, 100, 7], [192, 0, 2, 1], 60)], &[]);
    assert_eq!(replayed.of("block").len(), 1);
    assert_eq!(replayed.of("block")[0]["target"], "198.51.100.7/32");
}

#[test]
fn addresses_of_the_replaying_host_and_private_ones_are_not_protected() {
    for attacker in [[127, 0, 0, 1], [10, 0, 0, 7], [192, 168, 1, 7]] {
        let replayed = replay(&[&scan(attacker, [192, 0, 2, 1], 60)], &[]);
        assert_eq!(replayed.of("block").len(), 1, "{attacker:?}");
    }
}

#[test]
fn several_files_are_independent_and_summed_up_at_the_end() {
    let one = scan([198, 51, 100, 7], [192, 0, 2, 1], 60);
    let replayed = replay(&[&one, &one, &one], &[]);
    assert_eq!(replayed.of("block").len(), 3);
    let summaries = replayed.of("summary");
    assert_eq!(summaries.len(), 4);
    assert_eq!((&summaries[3]["file"], &summaries[3]["packets"]), (&Value::Null, &360.into()));
    let files: Vec<_> = summaries[..3].iter().map(|one| one["file"].as_str().unwrap().to_owned()).collect();
    assert!(files.is_sorted(), "{files:?}");
}

#[test]
fn two_replays_of_a_file_give_the_same() {
    let one = scan([198, 51, 100, 7], [192, 0, 2, 1], 60);
    let told = |replayed: &Replayed| {
        replayed
            .of("block")
            .into_iter()
            .chain(replayed.of("alert"))
            .map(|line| {
                let mut line = line.clone();
                line["file"] = Value::Null;
                line
            })
            .collect::<Vec<_>>()
    };
    assert_eq!(told(&replay(&[&one], &[])), told(&replay(&[&one], &[])));
}

#[test]
fn a_truncated_capture_gives_its_results_and_fails() {
    let whole = scan([198, 51, 100, 7], [192, 0, 2, 1], 60);
    let replayed = replay(&[&whole[..whole.len() - 5]], &[]);
    assert_eq!(replayed.of("block").len(), 1);
    assert_eq!(replayed.of("summary")[0]["truncated"], true);
    assert!(matches!(replayed.result, Err(Failure::Silent)));
}

#[test]
fn a_file_that_is_no_capture_does_not_stop_the_others() {
    let one = scan([198, 51, 100, 7], [192, 0, 2, 1], 60);
    let replayed = replay(&[b"%PDF-1.4 nothing of a capture", &one], &[]);
    assert_eq!(replayed.of("block").len(), 1);
    assert_eq!(replayed.of("summary").len(), 2);
    assert_eq!(replayed.result.unwrap_err().code(), 1);
}

#[test]
fn a_hard_block_suppresses_what_comes_after_it() {
    let (attacker, host) = ([198, 51, 100, 7], [192, 0, 2, 1]);
    let mut writer = PcapWriter::new(Vec::new(), 101).unwrap();
    let mut now = BEGIN;
    let mut write = |there: bool, port: u16, flags: u8, sequence: u32, acknowledged: u32| {
        let client = 40_000 + port;
        let mut bytes = match there {
            true => segment(attacker, client, host, port, flags),
            false => segment(host, port, attacker, client, flags),
        };
        bytes[24..28].copy_from_slice(&sequence.to_be_bytes());
        bytes[28..32].copy_from_slice(&acknowledged.to_be_bytes());
        now += 1_000_000;
        writer.write(Time::from_nanos(now), &bytes, bytes.len() as u32).unwrap();
    };
    // A handshake that proves the address, then a scan, as `nmap -sT` does.
    write(true, 80, SYN, 1, 0);
    write(false, 80, 0x12, 7, 2);
    write(true, 80, 0x10, 2, 8);
    write(true, 80, RST_ACK, 2, 8);
    for port in 1000..1100 {
        write(true, port, SYN, 1, 0);
        write(false, port, RST_ACK, 0, 2);
    }
    let replayed = replay(&[&writer.finish().unwrap()], &["192.0.2.1/32"]);
    let hard: Vec<_> = replayed.of("block").into_iter().filter(|block| block["strength"] == "hard").collect();
    assert_eq!(hard.len(), 1, "{:?}", replayed.lines);
    let suppressed = replayed.of("summary")[0]["suppressed"].as_u64().unwrap();
    assert!((60..100).contains(&suppressed), "{suppressed}");
}

/// A model to which everything is a scan.
fn suspicious() -> Model {
    let features = NAMES.map(str::to_owned).to_vec();
    let forest = Forest::new(ForestParts {
        features: features.clone(),
        classes: vec!["benign".to_owned(), "port_scan".to_owned()],
        roots: vec![0],
        nodes: vec![Node::leaf(0.0)],
        shares: vec![0, 65_535],
        calibration: Calibration::default(),
    });
    let isolation = IsolationForest::new(IsolationParts {
        features,
        roots: vec![0],
        nodes: vec![Node::leaf(1.0)],
        mean_path: 1.0,
        threshold: 1.0,
        typical: vec![0.0; NAMES.len()],
    });
    Model::new(forest.unwrap(), isolation.unwrap()).unwrap()
}

#[test]
fn a_model_judges_what_no_rule_names_and_one_that_is_none_is_refused() {
    let mut writer = PcapWriter::new(Vec::new(), 101).unwrap();
    for tenth in 0..100 {
        let bytes = segment([198, 51, 100, 7], 40_000 + tenth, [192, 0, 2, 1], 80, SYN);
        writer.write(Time::from_nanos(BEGIN + u64::from(tenth) * 100_000_000), &bytes, 40).unwrap();
    }
    let capture = writer.finish().unwrap();
    assert_eq!(replay(&[&capture], &["192.0.2.1/32"]).kinds(), ["summary"]);
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("model");
    let card = Card { name: "suspicious".into(), ..Card::default() };
    let file = ModelFile::write(&suspicious(), &card, &ModelKey::generate().unwrap()).unwrap();
    fs::write(&path, file.as_bytes()).unwrap();
    let replayed = replay_with(&[&capture], &["192.0.2.1/32"], &path);
    let alert = replayed.of("alert")[0];
    assert_eq!((&alert["detector"], &alert["class"]), (&"forest".into(), &"port_scan".into()));
    assert_eq!(alert["action"], "report", "these packets may be forged");
    assert!(replayed.of("block").is_empty());
    fs::write(&path, &file.as_bytes()[1..]).unwrap();
    let refused = replay_with(&[&capture], &[], &path).result.unwrap_err();
    assert_eq!(refused.code(), 1);
    assert!(replay_with(&[&capture], &[], "/nonexistent".as_ref()).result.is_err());
}

#[test]
fn a_clock_that_jumps_by_centuries_does_not_stop_the_replay() {
    let mut writer = PcapWriter::new(Vec::new(), 101).unwrap();
    for (seconds, port) in (0..60).map(|port| (u64::from(port) % 2 * 4_000_000_000, port)) {
        let bytes = segment([198, 51, 100, 7], 40_000, [192, 0, 2, 1], port, SYN);
        writer.write(Time::from_secs(seconds), &bytes, 40).unwrap();
    }
    assert_eq!(replay(&[&writer.finish().unwrap()], &[]).of("summary")[0]["packets"], 60);
}
