//! Models: listed, chosen, taken in and given out; a file is looked at without a daemon.

#[path = "models/service.rs"]
pub(crate) mod service;

use std::{fs, path::Path};

use serde_json::{Value, json};
use smartfw_core::{BlockId, Class, Detector, Features, Time, features::NAMES, record::Lesson};
use smartfw_learn::{
    Card, ModelFile, ModelKey,
    fixture::{card, model},
};
use smartfw_proto::view::{ModelRow, Voucher};
use tonic::Status;

use crate::{
    daemon::{Daemon, Script},
    program::{Ran, smartfw},
};
use service::Kept;

/// A model file, and the folder that it is in.
fn lab() -> (tempfile::TempDir, String, ModelFile) {
    let figures = json!({"macro_f1": 0.97, "by_class": {"port_scan": {"recall": 0.99}}});
    let card = Card { figures, notes: vec!["weak where tools are slow".into()], ..card("lab") };
    let file = ModelFile::write(&model(), &card, &ModelKey::generate().unwrap()).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("lab.sfwm");
    fs::write(&path, file.as_bytes()).unwrap();
    let text = path.to_str().unwrap().to_owned();
    (folder, text, file)
}

fn keeping(kept: Kept) -> Daemon {
    Daemon::start(Script { models: kept, ..Script::default() })
}

fn alone(folder: &Path, arguments: &[&str]) -> Ran {
    smartfw(&folder.join("node.sock"), arguments)
}

#[test]
fn a_model_file_is_looked_at_without_a_daemon() {
    let (folder, path, file) = lab();
    let said = alone(folder.path(), &["model", "verify", &path]).worked();
    assert!(said.starts_with("lab is whole"), "{said}");
    for words in
        [file.signer().to_string().as_str(), "benign, port_scan", "0.97", "weak where tools are slow"]
    {
        assert!(said.contains(words), "{words}: {said}");
    }
    let raw = alone(folder.path(), &["model", "verify", &path, "-o", "raw"]).worked();
    assert_eq!(raw, format!("lab\t{}\n", file.signer()));
    let json = alone(folder.path(), &["model", "verify", &path, "-o", "json"]).worked();
    let json: Value = serde_json::from_str(&json).unwrap();
    assert_eq!(
        (&json["signer"], &json["card"]["figures"]["macro_f1"]),
        (&json!(file.signer().to_string()), &json!(0.97))
    );
}

#[test]
fn a_file_that_is_none_is_refused_in_one_line_with_what_to_do() {
    let (folder, path, file) = lab();
    let changed = |at: usize| {
        let mut bytes = file.as_bytes().to_vec();
        bytes[at] ^= 1;
        bytes
    };
    let cases = [
        (file.as_bytes()[..99].to_vec(), "copy it again"),
        (changed(40), "was changed since it was signed"),
        (b"rubbish".to_vec(), "smartfw-cli train"),
        (model().encode(), "no model file"),
    ];
    let daemon = keeping(Kept::default());
    for (bytes, words) in cases {
        fs::write(&path, bytes).unwrap();
        for command in ["verify", "import"] {
            let ran = smartfw(&daemon.socket(), &["model", command, &path]);
            ran.failed_with(1);
            assert!(ran.stderr.contains(words), "{command}: {}", ran.stderr);
        }
    }
    assert!(daemon.models().lock().unwrap().imports.is_empty());
    for missing in ["/nonexistent/lab.sfwm", folder.path().to_str().unwrap()] {
        let ran = alone(folder.path(), &["model", "verify", missing]);
        ran.failed_with(1);
        assert!(ran.stderr.contains(&format!("cannot read {missing}")), "{}", ran.stderr);
    }
}

#[test]
fn models_are_listed_with_their_place_and_their_fault() {
    let used = ModelRow {
        name: "lab".into(),
        trainer: "forest".into(),
        created: "2026-01-31T12:00:00Z".into(),
        rows: Some(12_345),
        macro_f1: Some(0.97),
        signer: Some([0xab; 32]),
        voucher: Some(Voucher::Configured),
        used: true,
        ..ModelRow::default()
    };
    let fault = "the model `old` is refused: it is truncated: copy it again".to_owned();
    let damaged = ModelRow { name: "old".into(), previous: true, fault, ..ModelRow::default() };
    let daemon = keeping(Kept { rows: vec![used, damaged], ..Kept::default() });
    let said = daemon.run(&["model", "list"]).worked();
    let lines: Vec<&str> = said.lines().map(str::trim_end).collect();
    assert_eq!(
        lines,
        [
            "NAME  KIND    TRAINED       ROWS  MACRO F1  SIGNED BY                      STATE",
            "lab   forest  2026-01-31  12,345    0.9700  abababababababab (configured)  in use",
            "old   -       -                -         -  -                              previous, refused",
            "the model `old` is refused: it is truncated: copy it again",
        ]
    );
    let json: Value = serde_json::from_str(&daemon.run(&["model", "list", "-o", "json"]).worked()).unwrap();
    assert_eq!((&json[0]["used"], &json[0]["rows"]), (&json!(true), &json!(12_345)));
    assert_eq!((&json[1]["signer"], json[1]["fault"].is_string()), (&Value::Null, true));
    let raw = daemon.run(&["model", "list", "-o", "raw"]).worked();
    let key = "ab".repeat(32);
    let expected = format!(
        "lab\tforest\t2026-01-31T12:00:00Z\t12345\t0.97\t{key}\tconfigured\tused\t\t\t\n\
         old\t\t\t\t\t\t\t\t\tprevious\tthe model `old` is refused: it is truncated: copy it again\n"
    );
    assert_eq!(raw, expected);
}

#[test]
fn a_model_is_chosen_and_a_shadow_taken_away() {
    let daemon = keeping(Kept::default());
    let said = daemon.run(&["model", "use", "lab"]).worked();
    assert_eq!(said, "The model lab judges from now on\n");
    let raw = daemon.run(&["model", "use", "previous", "-o", "raw"]).worked();
    assert_eq!(raw, "previous\tnone\tbuiltin\n");
    let said = daemon.run(&["model", "shadow", "lab"]).worked();
    assert!(said.contains("lab judges in the shadow of builtin"), "{said}");
    assert_eq!(daemon.run(&["model", "shadow", "none"]).worked(), "No model judges in the shadow\n");
    daemon.run(&["model", "remove", "lab"]).worked();
    let key = "ab".repeat(32);
    let said = daemon.run(&["model", "distrust", &key]).worked();
    assert_eq!(said, format!("Models signed by {key} are believed no more\n"));
    let asked = daemon.models();
    let asked = asked.lock().unwrap();
    assert_eq!(asked.used, ["lab", "previous"]);
    assert_eq!(asked.shadows, [Some("lab".to_owned()), None]);
    assert_eq!(asked.distrusted, [vec![0xab; 32]]);
}

#[test]
fn a_file_is_imported_whole_under_the_name_and_the_key_that_were_said() {
    let (_folder, path, file) = lab();
    let daemon = keeping(Kept::default());
    let signer = file.signer().to_string();
    let said = daemon.run(&["model", "import", &path, "--name", "mine", "--trust", &signer]).worked();
    assert!(said.contains("smartfw-cli model use mine"), "{said}");
    let asked = daemon.models();
    let asked = asked.lock().unwrap();
    let [(head, bytes)] = &asked.imports[..] else { panic!() };
    assert_eq!((head.name.as_deref(), head.trust), (Some("mine"), Some(file.signer().0)));
    assert_eq!(bytes, file.as_bytes());
}

#[test]
fn an_export_gives_the_file_and_goes_over_no_other() {
    let (folder, _, file) = lab();
    let daemon = keeping(Kept { file: file.as_bytes().to_vec(), ..Kept::default() });
    // The program runs as nobody; the socket's folder is theirs.
    let to = daemon.socket().with_file_name("out.sfwm");
    let to = to.to_str().unwrap();
    daemon.run(&["model", "export", "lab", to]).worked();
    assert_eq!(fs::read(to).unwrap(), file.as_bytes());
    let ran = daemon.run(&["model", "export", "lab", to]);
    ran.failed_with(1);
    assert!(ran.stderr.contains("name another, or remove it first"), "{}", ran.stderr);
    fs::remove_file(to).unwrap();
    let raw = daemon.run(&["model", "export", "lab", to, "-o", "raw"]).worked();
    assert_eq!(raw, format!("lab\t{}\n", file.as_bytes().len()));
    assert_eq!(alone(folder.path(), &["model", "export", "lab", "/nonexistent/x"]).code, Some(3));
}

#[test]
fn what_the_daemon_refuses_is_code_1_and_a_key_that_is_none_code_2() {
    let (folder, path, _) = lab();
    let refusal =
        Some(Status::invalid_argument("there is no model `lab`: look with `smartfw-cli model list`"));
    let daemon = keeping(Kept { refusal, ..Kept::default() });
    let key = "ab".repeat(32);
    let commands: [&[&str]; 6] = [
        &["model", "use", "lab"],
        &["model", "shadow", "lab"],
        &["model", "import", &path],
        &["model", "export", "lab", "/tmp/never"],
        &["model", "remove", "lab"],
        &["model", "distrust", &key],
    ];
    for command in commands {
        let ran = daemon.run(command);
        ran.failed_with(1);
        assert!(ran.stderr.contains("there is no model `lab`"), "{}", ran.stderr);
        assert_eq!(alone(folder.path(), command).code, Some(3), "{command:?}");
    }
    for wrong in [
        &["model"][..],
        &["model", "use"],
        &["model", "distrust", "zz"],
        &["model", "import", &path, "--trust", "zz"],
    ] {
        assert_eq!(daemon.run(wrong).code, Some(2), "{wrong:?}");
    }
}

#[test]
fn corrections_become_rows_to_learn_from() {
    let lesson = Lesson {
        id: BlockId(7),
        at: Time::from_secs(1_769_860_800),
        target: "203.0.113.7/32".parse().unwrap(),
        class: Class::PortScan,
        detector: Detector::Forest,
        features: Some(Features::default()),
    };
    let daemon = keeping(Kept { lessons: vec![lesson], ..Kept::default() });
    let csv = daemon.run(&["model", "lessons", "--csv"]).worked();
    let values = vec!["0"; NAMES.len()].join(",");
    assert_eq!(csv.lines().last(), Some(format!("{values},benign,lessons,operator,ipv4").as_str()));
    let json: Value =
        serde_json::from_str(&daemon.run(&["model", "lessons", "-o", "json"]).worked()).unwrap();
    assert_eq!((&json[0]["class"], &json[0]["detector"]), (&json!("port_scan"), &json!("forest")));
    let said = daemon.run(&["model", "lessons"]).worked();
    assert!(said.contains("203.0.113.7/32  port_scan"), "{said}");
}
