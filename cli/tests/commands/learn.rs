//! From a window table to a signed model and its judgement, without a daemon.

use std::{fmt::Write as _, fs, path::Path};

use serde_json::Value;
use smartfw_core::features::{NAMES, SCHEMA};
use smartfw_learn::ModelFile;

use crate::program::{Ran, command, smartfw};

/// Windows of honest clients and of two tools that ask for many ports; every capture has both.
fn table() -> String {
    let mut text = format!("# schema {SCHEMA}\n{},class,capture,tool,family\n", NAMES.join(","));
    let ports = NAMES.iter().position(|name| *name == "distinct_ports").unwrap();
    for row in 0..240 {
        let (class, tool, asked) = match row % 4 {
            0 => ("port_scan", "nmap", 40 + row % 9),
            1 => ("port_scan", "masscan", 60 + row % 7),
            _ => ("benign", "browser", 1 + row % 3),
        };
        for column in 0..NAMES.len() {
            let value = if column == ports { asked } else { (row * 7 + column * 3) % 11 };
            let _ = write!(text, "{value},");
        }
        let _ = writeln!(text, "{class},capture-{},{tool},ipv4", row % 10);
    }
    text
}

struct Place(tempfile::TempDir);

impl Place {
    fn new() -> Self {
        let place = Self(tempfile::tempdir().unwrap());
        fs::write(place.path("windows.csv"), table()).unwrap();
        place
    }

    fn path(&self, name: &str) -> String {
        self.0.path().join(name).to_str().unwrap().to_owned()
    }

    fn run(&self, arguments: &[&str]) -> Ran {
        smartfw(Path::new(&self.path("node.sock")), arguments)
    }

    fn train(&self, out: &str) -> Ran {
        let (table, out) = (self.path("windows.csv"), self.path(out));
        self.run(&["train", &table, "--out", &out, "--name", "lab", "--trees", "8", "-o", "json"])
    }
}

#[test]
fn a_trained_model_is_signed_by_a_key_that_stays_and_says_how_it_was_judged() {
    let place = Place::new();
    let json: Value = serde_json::from_str(&place.train("a.sfwm").worked()).unwrap();
    let file = ModelFile::open(Path::new(&place.path("a.sfwm"))).unwrap();
    assert_eq!(json["signer"], file.signer().to_string());
    assert_eq!((json["card"]["trained_on"]["rows"].as_u64(), file.card().name.as_str()), (Some(240), "lab"));
    assert!(file.card().macro_f1().unwrap() > 0.99, "{:?}", file.card().figures);
    place.train("b.sfwm").worked();
    let again = ModelFile::open(Path::new(&place.path("b.sfwm"))).unwrap();
    assert!(again.as_bytes() == file.as_bytes(), "the same tables, seed and key give the same file");
    let ran = place.train("a.sfwm");
    ran.failed_with(1);
    assert!(ran.stderr.contains("exists"), "{}", ran.stderr);
    let said = place.run(&["model", "verify", &place.path("a.sfwm")]).worked();
    assert!(said.contains("parameters: seed") && said.contains("benign, port_scan"), "{said}");
}

#[test]
fn a_model_says_when_it_was_made_only_where_that_is_given() {
    let place = Place::new();
    let (table, socket) = (place.path("windows.csv"), place.path("node.sock"));
    let created = |name: &str, option: &[&str], epoch: Option<&str>| {
        let out = place.path(name);
        let train = ["train", &table, "--out", &out, "--trees", "2", "--folds", "2"];
        let mut command = command(Path::new(&socket), &[&train[..], option].concat());
        command.envs(epoch.map(|epoch| ("SOURCE_DATE_EPOCH", epoch)));
        Ran::from(command.output().unwrap()).worked();
        ModelFile::open(Path::new(&out)).unwrap().card().created.clone()
    };
    assert_eq!(created("a.sfwm", &[], None), "");
    let day = "2026-01-31T12:00:00.000000Z";
    assert_eq!(created("b.sfwm", &[], Some("1769860800")), day);
    assert_eq!(created("c.sfwm", &["--created", "1769860800"], Some("0")), day);
    for never in ["", "yesterday", "-1", "18446744074"] {
        assert_eq!(place.run(&["train", &table, "--created", never]).code, Some(2), "{never:?}");
    }
}

#[test]
fn a_model_whose_options_were_searched_says_of_how_many() {
    let place = Place::new();
    let (table, out) = (place.path("windows.csv"), place.path("found.sfwm"));
    let train =
        ["train", &table, "--out", &out, "--name", "lab", "--trees", "8", "--search", "3", "-o", "json"];
    let json: Value = serde_json::from_str(&place.run(&train).worked()).unwrap();
    assert_eq!(json["card"]["parameters"]["searched"], 3);
    assert!(
        json["card"]["notes"][0].as_str().unwrap().contains("the best of 3"),
        "{}",
        json["card"]["notes"]
    );
    let json: Value = serde_json::from_str(&place.train("given.sfwm").worked()).unwrap();
    assert_eq!(json["card"]["parameters"].get("searched"), None);
}

#[test]
fn models_are_judged_by_what_is_left_out_and_the_report_is_kept() {
    let place = Place::new();
    let (table, report) = (place.path("windows.csv"), place.path("report"));
    for by in ["stratified", "capture", "tool"] {
        let said = place.run(&["evaluate", &table, "--by", by, "--trees", "8", "--report", &report]).worked();
        assert!(said.contains("port_scan") && said.contains("MACRO F1"), "{by}: {said}");
        assert_eq!(said.contains("masscan"), by == "tool", "{by}: {said}");
    }
    assert!(
        fs::read_to_string(place.path("report/report.md")).unwrap().starts_with("# Judged on 240 windows")
    );
    let json: Value = serde_json::from_slice(&fs::read(place.path("report/report.json")).unwrap()).unwrap();
    assert_eq!((json["judged_on"]["rows"].as_u64(), json["kind"].as_str()), (Some(240), Some("evaluation")));
    is_explained(&place, &json);
    assert!(fs::read_to_string(place.path("report/reliability.svg")).unwrap().starts_with("<svg"));
}

#[test]
fn training_writes_its_report_and_refuses_where_it_could_not_before_the_work() {
    let place = Place::new();
    let (table, out, report) = (place.path("windows.csv"), place.path("a.sfwm"), place.path("report"));
    let train = ["train", &table, "--out", &out, "--trees", "8", "--report"];
    place.run(&[&train[..], &[table.as_str()]].concat()).failed_with(1);
    assert!(!Path::new(&out).exists());
    place.run(&[&train[..], &[report.as_str()]].concat()).worked();
    let page = fs::read_to_string(place.path("report/report.md")).unwrap();
    assert!(page.starts_with("# Model of 240 windows") && page.contains("## Where it fails"), "{page}");
    let json: Value = serde_json::from_slice(&fs::read(place.path("report/report.json")).unwrap()).unwrap();
    let card = ModelFile::open(Path::new(&out)).unwrap().card().clone();
    assert_eq!((&json["kind"], &json["account"]["trained_on"]), (&"training".into(), &card.trained_on));
    is_explained(&place, &json);
    assert!(fs::read_to_string(place.path("report/reliability.svg")).unwrap().starts_with("<svg"));
}

/// The report in both forms says by which ports a scan is known.
#[track_caller]
fn is_explained(place: &Place, json: &Value) {
    assert!(json["explained"]["agreement"].as_f64().unwrap() > 0.99, "{}", json["explained"]);
    let page = fs::read_to_string(place.path("report/report.md")).unwrap();
    let sentences = json["explained"]["sentences"].as_array().unwrap();
    assert!(sentences.len() >= 2, "{sentences:?}");
    for sentence in sentences {
        let sentence = sentence.as_str().unwrap();
        assert!(sentence.contains("distinct_ports") && page.contains(&format!("    {sentence}\n")), "{page}");
    }
}

/// Flows as CICIDS2017 has them: blanks in the header, one column twice, infinite and missing rates, `BENIGN`.
fn flows() -> String {
    let mut text =
        " Destination Port, Flow Packets/s,Fwd Header Length,Fwd Header Length,Flow ID,Day,Source, Label\n"
            .to_owned();
    for row in 0..240 {
        let (class, source, port) = match row % 4 {
            0 => ("PortScan", "nmap", 1000 + row),
            1 => ("PortScan", "masscan", 1100 + row),
            _ => ("BENIGN", "office", 443),
        };
        let rate = ["Infinity", "NaN", "", "7.5"][row % 9 % 4];
        let _ =
            writeln!(text, "{port},{rate},20,{},10.0.0.{row}-6,day-{},{source},{class}", row % 5, row % 10);
    }
    text
}

#[test]
fn tables_of_other_features_are_judged_where_their_columns_are_named() {
    let place = Place::new();
    fs::write(place.path("flows.csv"), flows()).unwrap();
    let (table, report) = (place.path("flows.csv"), place.path("report"));
    let all =
        ["evaluate", &table, "--trees", "8", "--label", "Label", "--capture", "Day", "--tool", "Source"];
    let all = [&all[..], &["--leave-out", "Flow ID", "--keep-missing"]].concat();
    for by in ["stratified", "capture", "tool"] {
        let json = place.run(&[&all[..], &["--by", by, "--report", &report, "-o", "json"]].concat()).worked();
        let json: Value = serde_json::from_str(&json).unwrap();
        let judged = &json["judged"];
        assert_eq!(judged["confusion"]["classes"], serde_json::json!(["benign", "PortScan"]), "{by}");
        assert!(judged["macro_f1"].as_f64().unwrap() > 0.99, "{by}: {judged}");
        let groups = judged["groups"].as_array().unwrap().iter().map(|group| group["name"].as_str().unwrap());
        let tools: &[&str] = if by == "tool" { &["nmap", "masscan"] } else { &[] };
        assert_eq!(groups.collect::<Vec<_>>(), tools, "{by}");
        let page = fs::read_to_string(place.path("report/report.md")).unwrap();
        assert!(page.contains("Destination Port >= ") && !page.contains("Flow ID"), "{page}");
    }
    for (left, why) in [("--keep-missing", "infinite"), ("--leave-out", "no number")] {
        let at = all.iter().position(|word| *word == left).unwrap();
        let words = if left == "--leave-out" { 2 } else { 1 };
        let ran = place.run(&[&all[..at], &all[at + words..]].concat());
        ran.failed_with(1);
        assert!(ran.stderr.contains(why), "{left}: {}", ran.stderr);
    }
    let usage: [&[&str]; 3] =
        [&["--tool", "Source"], &["--keep-missing"], &["--label", "Label", "--model", "builtin"]];
    for wrong in usage {
        assert_eq!(place.run(&[&["evaluate", &table], wrong].concat()).code, Some(2), "{wrong:?}");
    }
}

#[test]
fn what_cannot_be_judged_by_captures_is_refused() {
    let place = Place::new();
    let one_capture: String =
        (0..10).fold(table(), |text, n| text.replace(&format!(",capture-{n},"), ",capture-0,"));
    fs::write(place.path("one.csv"), one_capture).unwrap();
    let ran = place.run(&["evaluate", &place.path("one.csv"), "--by", "capture", "--trees", "8"]);
    ran.failed_with(1);
    assert!(
        ran.stderr.contains("the tables have 1:") && ran.stdout.is_empty(),
        "{}{}",
        ran.stdout,
        ran.stderr
    );
    // Each class has a capture of its own: without either there is nothing to tell apart.
    let by_class = (0..10).fold(table(), |text, n| {
        text.replace(&format!("benign,capture-{n},"), "benign,a,")
            .replace(&format!("port_scan,capture-{n},"), "port_scan,b,")
    });
    fs::write(place.path("two.csv"), by_class).unwrap();
    let ran =
        place.run(&["evaluate", &place.path("two.csv"), "--by", "capture", "--folds", "2", "--trees", "8"]);
    ran.failed_with(1);
    assert!(ran.stderr.contains("no two classes"), "{}", ran.stderr);
}

#[test]
fn a_model_that_is_there_is_asked_about_tables_with_other_classes() {
    let place = Place::new();
    place.train("a.sfwm").worked();
    let benign: String =
        table().lines().filter(|line| !line.contains("port_scan")).map(|line| format!("{line}\n")).collect();
    fs::write(place.path("benign.csv"), benign.replace("benign,capture-2", "net_flood,capture-2")).unwrap();
    let (table, model) = (place.path("benign.csv"), place.path("a.sfwm"));
    let json = place.run(&["evaluate", &table, "--model", &model, "--by", "tool", "-o", "json"]).worked();
    let json: Value = serde_json::from_str(&json).unwrap();
    assert_eq!(
        json["judged"]["confusion"]["classes"],
        serde_json::json!(["benign", "net_flood", "port_scan"])
    );
    assert_eq!(json["judged"]["benign_false_positives"].as_f64(), Some(0.0));
    assert_eq!(json["judged"]["groups"][0]["name"], "browser");
    let report = place.path("report");
    place.run(&["evaluate", &table, "--model", &model, "--report", &report]).worked();
    let json: Value = serde_json::from_slice(&fs::read(place.path("report/report.json")).unwrap()).unwrap();
    assert_eq!(
        json["explained"],
        serde_json::json!({"agreement": 1.0, "sentences": ["always: benign (100 %)"]})
    );
    for other in ["--folds", "--seed", "--trees"] {
        let ran = place.run(&["evaluate", &table, "--model", &model, other, "3"]);
        assert_eq!(ran.code, Some(2), "{other} would do nothing: {ran:?}");
    }
    let ran = place.run(&["evaluate", &table, "--model", "nobody"]);
    ran.failed_with(1);
    assert!(ran.stderr.contains("models/nobody.sfwm"), "{}", ran.stderr);
}

#[test]
fn a_table_that_is_none_is_refused_before_anything_is_made() {
    let place = Place::new();
    let out = place.path("never.sfwm");
    let text = table();
    let head: String = text.lines().take(2).map(|line| format!("{line}\n")).collect();
    let one_class: String =
        text.lines().filter(|line| !line.contains("port_scan")).map(|line| format!("{line}\n")).collect();
    for wrong in ["", "rubbish", &head, &one_class, &text.replace("# schema", "# scheme")] {
        fs::write(place.path("wrong.csv"), wrong).unwrap();
        let ran = place.run(&["train", &place.path("wrong.csv"), "--out", &out]);
        ran.failed_with(1);
    }
    place.run(&["train", &place.path("windows.csv"), "--out", &out, "--name", "No/Name"]).failed_with(1);
    assert!(!Path::new(&out).exists());
    for usage in [&["train"][..], &["train", "x", "--trees", "0"], &["evaluate", "x", "--folds", "1"]] {
        assert_eq!(place.run(usage).code, Some(2), "{usage:?}");
    }
}
