use std::{fs, path::Path};

use super::*;

fn sources(folder: &Path, text: &str) -> Sources {
    let file = folder.join("coordinator.toml");
    fs::write(&file, text).unwrap();
    Sources { file: Some(file), ..Sources::default() }
}

fn load(text: &str) -> Result<Settings, String> {
    let folder = tempfile::tempdir().unwrap();
    Settings::load(&sources(folder.path(), text)).map_err(|error| error.to_string())
}

#[test]
fn an_empty_file_is_the_default_and_the_example_is_one() {
    assert_eq!(load("").unwrap(), Settings::default());
    assert_eq!(load(&example()).unwrap(), Settings::default());
    let shown = |line: &&str| line.starts_with('#') && !line.starts_with("##") && line.contains(" = ");
    assert_eq!(example().lines().filter(shown).count(), 17, "every key is in it");
}

#[test]
fn a_later_source_wins() {
    let folder = tempfile::tempdir().unwrap();
    let mut sources =
        sources(folder.path(), "metrics = \"off\"\n[retention]\nage = \"30d\"\nbytes = \"1GiB\"\n");
    let drop_ins = folder.path().join("coordinator.toml.d");
    fs::create_dir(&drop_ins).unwrap();
    fs::write(drop_ins.join("b.toml"), "retention.age = \"20d\"\nlisten = \"192.0.2.1:1\"").unwrap();
    fs::write(drop_ins.join("a.toml"), "retention.age = \"10d\"").unwrap();
    fs::write(drop_ins.join("c.txt"), "nonsense").unwrap();
    sources.environment = vec![
        ("SMARTFW_COORDINATOR__RETENTION__BYTES".into(), "2GiB".into()),
        ("HOME".into(), "/root".into()),
    ];
    sources.flags = vec![("listen", "--listen", "192.0.2.2:2".into())];
    let settings = Settings::load(&sources).unwrap();
    assert_eq!(settings.retention, Retention { age: Duration::from_secs(20 * 86_400), bytes: 2 << 30 });
    assert_eq!((settings.metrics, settings.listen), (None, "192.0.2.2:2".parse().unwrap()));
}

#[test]
fn a_mistake_is_named_with_its_place_and_what_would_be_right() {
    let wrong = load("\nlisten = \"everywhere\"").unwrap_err();
    assert!(wrong.contains("coordinator.toml:2") && wrong.contains("an address and port"), "{wrong}");
    let unknown = load("[retention]\nagee = \"3d\"\nbytes = \"1B\"").unwrap_err();
    assert!(unknown.contains(":2") && unknown.contains("did you mean `retention.age`"), "{unknown}");
    for bad in [
        "listen = 7471",
        "listen = \"off\"",
        "state_dir = \"\"",
        "logs.format = \"xml\"",
        "history = \"files\"",
    ] {
        assert!(load(bad).is_err(), "{bad}");
    }
    for bad in ["\"59m\"", "\"3651d\"", "3.5", "[1]", "\"soon\""] {
        assert!(load(&format!("retention.age = {bad}")).is_err(), "{bad}");
    }
    for bad in ["\"63MiB\"", "\"99999999999999GiB\"", "-1"] {
        assert!(load(&format!("retention.bytes = {bad}")).is_err(), "{bad}");
        assert!(load(&format!("mirror.outbox_bytes = {bad}")).is_err(), "{bad}");
    }
    for bad in ["999", "100000001", "\"many\"", "1000.0"] {
        assert!(load(&format!("mirror.outbox_items = {bad}")).is_err(), "{bad}");
    }
    assert!(load("= 5").unwrap_err().contains("not valid TOML"));
}

#[test]
fn how_much_may_wait_for_the_mirror_is_a_number_of_items_and_their_bytes() {
    let settings = load("[mirror]\noutbox_items = 1000000\noutbox_bytes = \"2GiB\"").unwrap();
    assert_eq!(settings.mirror.outbox, Limits { items: 1_000_000, bytes: 2 << 30 });
    assert_eq!(Settings::default().mirror.outbox, Limits::default());
}

#[test]
fn a_password_is_neither_in_an_error_nor_in_what_is_printed() {
    let wrong = load("history = \"http://user:hunter2@192.0.2.1\"").unwrap_err();
    assert!(!wrong.contains("hunter2"), "{wrong}");
    let right = load("history = \"redis://user:hunter2@192.0.2.1\"").unwrap();
    assert!(!format!("{right:?}").contains("hunter2"));
}

#[test]
fn what_is_too_large_or_not_there_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let missing = Sources { file: Some(folder.path().join("none.toml")), ..Sources::default() };
    assert!(matches!(Settings::load(&missing), Err(ConfigError::Unreadable { .. })));
    let large = sources(folder.path(), &"#".repeat((1 << 20) + 1));
    assert!(matches!(Settings::load(&large), Err(ConfigError::TooLarge { .. })));
    let many = sources(folder.path(), "");
    let drop_ins = folder.path().join("coordinator.toml.d");
    fs::create_dir(&drop_ins).unwrap();
    for n in 0..257 {
        fs::write(drop_ins.join(format!("{n}.toml")), "").unwrap();
    }
    assert!(Settings::load(&many).unwrap_err().to_string().contains("256"));
}

#[test]
fn what_changed_is_told_apart_by_whether_it_needs_a_restart() {
    let before = Settings::default();
    let mut after = before.clone();
    after.retention.age += Duration::from_secs(1);
    after.metrics = None;
    assert_eq!(before.changes(&after), (vec!["retention.age".into()], vec!["metrics".into()]));
    assert_eq!(before.changes(&before), (vec![], vec![]));
}
