//! What a person may write, and what they are told when it is wrong.
#![allow(clippy::unwrap_used, clippy::print_stderr, reason = "a test says what failed by panicking")]

use std::{fs, path::PathBuf, time::Duration};

use smartfw_config::{ConfigError, EnforcerKind, LoginSource, NodeConfig, Sources, example, load, load_file};
use smartfw_core::order::Mode;

#[test]
fn an_empty_file_gives_the_defaults() {
    assert_eq!(Case::new("").load().unwrap(), NodeConfig::default());
}

#[test]
fn the_example_gives_the_defaults_commented_out_or_in() {
    assert_eq!(Case::new(&example()).load().unwrap(), NodeConfig::default());
    let uncommented: String = example()
        .lines()
        .map(|line| {
            line.strip_prefix('#').filter(|rest| !rest.starts_with([' ', '#'])).unwrap_or(line).to_owned()
                + "\n"
        })
        .collect();
    assert!(uncommented.lines().any(|line| line == "ports = 15"), "{uncommented}");
    assert_eq!(Case::new(&uncommented).load().unwrap(), NodeConfig::default());
}

#[test]
fn the_installed_file_and_the_documentation_show_the_example() {
    let root = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../..");
    let read = |name: &str| fs::read_to_string(root.join(name)).unwrap();
    let advice = "write it anew: smartfw-node --example-config";
    assert!(read("deploy/node.toml") == example(), "deploy/node.toml: {advice}");
    assert!(read("docs/configuration.md").contains(&format!("```toml\n{}```", example())), "{advice}");
}

#[test]
fn every_kind_of_value_reaches_its_place() {
    let config = Case::new(
        r#"
        name = "web-1"
        interfaces = ["eth0", "eth1.100"]
        metrics = "off"
        [enforcement]
        enforcer = "dry-run"
        ladder = ["1m", 120, "1h30m", "2d"]
        allow = ["192.0.2.7", "2001:db8::/32"]
        destroy_connections = false
        [detection]
        logins = "/var/log/auth.log"
        [detection.models]
        confidence = 97
        anomaly = false
        [detection.rules.port_scan]
        ports = 0x20
        [mirror]
        outbox_items = 1000
        outbox_bytes = "1GiB"
        [logs]
        max_size = "1MiB"
        "#,
    )
    .load()
    .unwrap();
    assert_eq!(config.policy.node, "web-1");
    assert_eq!(config.interfaces, ["eth0", "eth1.100"]);
    assert_eq!(config.metrics, None);
    assert_eq!(config.enforcer, EnforcerKind::DryRun);
    assert_eq!(config.policy.ladder.map(|step| step.as_secs()), [60, 120, 5400, 172_800]);
    assert_eq!(config.policy.allow[0].to_string(), "192.0.2.7/32");
    assert!(!config.destroy_connections);
    assert_eq!(config.logins, LoginSource::File("/var/log/auth.log".into()));
    assert_eq!(config.sensor.rules.port_scan.ports, 32);
    assert_eq!((config.sensor.models.confidence, config.sensor.models.anomaly), (97, false));
    assert_eq!((config.mirror.outbox_items, config.mirror.outbox_bytes), (1_000, 1 << 30));
    assert_eq!(config.logs.max_size, 1 << 20);
}

#[test]
fn flags_beat_the_environment_which_beats_drop_ins_which_beat_the_file() {
    let mut case =
        Case::new("name = \"file\"\n[enforcement]\nmemory = \"1h\"\nsoft = \"10s\"\nforced = \"10s\"");
    case.drop_in("10-a.toml", "name = \"a\"\n[enforcement]\nmemory = \"2w\"\nforced = \"20s\"");
    case.drop_in("20-b.toml", "name = \"b\"");
    case.drop_in("ignored.txt", "nonsense");
    case.environment("SMARTFW_NODE__ENFORCEMENT__MODE", "manual");
    case.environment("SMARTFW_NODE__NAME", "12345");
    case.environment("SMARTFW_NODE__ENFORCEMENT__FORCED", "30");
    case.environment("SMARTFW_OTHER", "ignored");
    case.sources.flags.push(("enforcement.forced", "--forced", "40s".to_owned()));
    let policy = case.load().unwrap().policy;
    assert_eq!(policy.node, "12345");
    assert_eq!(policy.mode, Mode::Manual);
    assert_eq!(policy.soft, Duration::from_secs(10));
    assert_eq!(policy.memory, Duration::from_secs(1_209_600));
    assert_eq!(policy.forced, Duration::from_secs(40));
}

#[test]
fn lists_in_the_environment_are_separated_by_commas() {
    let mut case = Case::new("");
    case.environment("SMARTFW_NODE__INTERFACES", "eth0, eth1");
    assert_eq!(case.load().unwrap().interfaces, ["eth0", "eth1"]);
}

#[test]
fn an_unknown_key_names_its_line_and_the_nearest_key() {
    Case::new("name = \"x\"\n\n[enforcement]\nmdoe = \"auto\"")
        .refused("F:4: unknown key `enforcement.mdoe`; did you mean `enforcement.mode`?");
    Case::new("[detection.rules.port_scn]\nports = 3").refused(
        "F:2: unknown key `detection.rules.port_scn.ports`; did you mean `detection.rules.port_scan.ports`?",
    );
    Case::new("mode = \"auto\"").refused("F:1: unknown key `mode`; did you mean `enforcement.mode`?");
    Case::new("enforcer = \"xdp\"")
        .refused("F:1: unknown key `enforcer`; did you mean `enforcement.enforcer`?");
    Case::new("allow = []").refused("F:1: unknown key `allow`; did you mean `enforcement.allow`?");
    let error = Case::new("\n[nonsense]\n").load().unwrap_err().to_string();
    assert!(error.contains(":2: unknown key `nonsense`; did you mean `"), "{error}");
}

#[test]
fn an_unknown_variable_and_an_unknown_key_in_a_drop_in_name_themselves() {
    let mut case = Case::new("");
    case.environment("SMARTFW_NODE__ENFORCEMENT__MOD", "auto");
    case.refused(
        "environment variable SMARTFW_NODE__ENFORCEMENT__MOD: unknown key `enforcement.mod`; did you mean `enforcement.mode`?",
    );
    let mut case = Case::new("");
    case.drop_in("a.toml", "nam = 1");
    let error = case.load().unwrap_err().to_string();
    assert!(error.contains("node.toml.d/a.toml:1: unknown key `nam`; did you mean `name`?"), "{error}");
}

#[test]
fn a_key_quoted_with_a_dot_is_not_two_keys() {
    Case::new("\"enforcement.mode\" = \"auto\"")
        .refused("F:1: unknown key `\"enforcement.mode\"`; did you mean `enforcement.mode`?");
}

#[test]
fn a_key_that_a_terminal_would_obey_is_told_harmlessly_and_on_one_line() {
    let error = Case::new("\"na\\nme\\u001b[31m\" = 1").load().unwrap_err().to_string();
    assert!(error.contains("unknown key `na?me?[31m`"), "{error:?}");
}

#[test]
fn the_folders_are_found_in_a_file_with_mistakes() {
    let case = Case::new("state_dir = \"/s\"\nsocket = 3\nnonsense = 1");
    let config = smartfw_config::load_what_is_right(&case.sources);
    assert_eq!(config.state_dir, PathBuf::from("/s"));
    assert_eq!(config.socket, NodeConfig::default().socket);
}

#[test]
fn an_enforcer_that_cannot_start_is_refused_before_the_start() {
    Case::new("[enforcement]\nenforcer = \"xdp\"")
        .refused("F:2: `enforcement.enforcer` cannot be \"xdp\" yet: choose \"iptables\" or \"dry-run\"");
}

#[test]
fn a_wrong_type_names_its_key_its_line_and_what_was_expected() {
    Case::new("\n[detection.rules.port_scan]\nports = \"many\"").refused(
        "F:3: `detection.rules.port_scan.ports` must be an integer from 2 to 1000000000, not \"many\"",
    );
    Case::new("enforcement = 3").refused("F:1: `enforcement` must be a table, not 3");
    Case::new("name = 3").refused(
        "F:1: `name` must be a name of at most 64 letters, digits, dots, dashes or underscores, not 3",
    );
    Case::new("[enforcement]\ndestroy_connections = \"yes\"")
        .refused("F:2: `enforcement.destroy_connections` must be true or false, not \"yes\"");
    Case::new("[enforcement]\nmode = \"automatic\"")
        .refused("F:2: `enforcement.mode` must be \"auto\" or \"manual\", not \"automatic\"");
}

#[test]
fn a_value_out_of_range_is_refused() {
    Case::new("[enforcement]\nsoft = \"6m\"").refused(
        "F:2: `enforcement.soft` must be a duration like \"90s\", \"5m\", \"1h\" or \"7d\" from 1s to 5m, not \"6m\"",
    );
    Case::new("[limits]\nservices = 99999999999999999999")
        .refused("F:2: `limits.services` must be an integer from 16 to 65536, not 99999999999999999999");
    let falling =
        Case::new("[enforcement]\nladder = [\"2m\", \"1m\", \"3m\", \"4m\"]").load().unwrap_err().to_string();
    assert!(falling.ends_with("not a falling list"), "{falling}");
}

#[test]
fn a_wrong_element_of_a_list_is_named() {
    let error =
        Case::new("[enforcement]\nallow = [\"192.0.2.1\", \"300.1.1.1\"]").load().unwrap_err().to_string();
    assert!(error.contains(":2: `enforcement.allow` must be a list of at most 10000"), "{error}");
    assert!(error.ends_with("not \"300.1.1.1\""), "{error}");
}

#[test]
fn values_that_contradict_each_other_are_refused() {
    Case::new("[limits]\nblocks = 100\nautomatic_blocks = 101")
        .refused("F:3: `limits.automatic_blocks` must not be more than `limits.blocks`");
}

#[test]
fn what_is_not_toml_names_its_line() {
    let error = Case::new("name = \"x\"\nname 3\n").load().unwrap_err();
    assert!(matches!(error, ConfigError::Syntax { .. }));
    assert!(error.to_string().contains("node.toml:2: not valid TOML"), "{error}");
    assert!(!error.to_string().contains('\n'));
}

#[test]
fn a_named_file_must_exist_and_be_readable() {
    let missing = Sources { file: Some("/nonexistent/node.toml".into()), ..Sources::default() };
    let error = load(&missing).unwrap_err().to_string();
    assert_eq!(error, "cannot read /nonexistent/node.toml: No such file or directory (os error 2)");
    let folder = tempfile::tempdir().unwrap();
    let error = load_file(folder.path()).unwrap_err().to_string();
    assert!(error.contains("Is a directory"), "{error}");
}

#[test]
fn a_file_of_more_than_a_mebibyte_is_refused() {
    let error = Case::new(&"#".repeat((1 << 20) + 1)).load().unwrap_err();
    assert!(matches!(error, ConfigError::TooLarge { .. }), "{error}");
}

#[test]
fn one_file_is_read_without_its_drop_ins() {
    let mut case = Case::new("name = \"file\"");
    case.drop_in("a.toml", "name = \"drop-in\"");
    assert_eq!(load_file(&case.file()).unwrap().policy.node, "file");
}

/// A configuration file in a folder of its own.
struct Case {
    folder: tempfile::TempDir,
    sources: Sources,
}

impl Case {
    fn new(text: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("node.toml");
        fs::write(&file, text).unwrap();
        Self { folder, sources: Sources { file: Some(file), ..Sources::default() } }
    }

    fn file(&self) -> PathBuf {
        self.folder.path().join("node.toml")
    }

    fn drop_in(&mut self, name: &str, text: &str) {
        let folder = self.folder.path().join("node.toml.d");
        fs::create_dir_all(&folder).unwrap();
        fs::write(folder.join(name), text).unwrap();
    }

    fn environment(&mut self, name: &str, value: &str) {
        self.sources.environment.push((name.to_owned(), value.to_owned()));
    }

    fn load(&self) -> Result<NodeConfig, ConfigError> {
        load(&self.sources)
    }

    /// Asserts the whole message, with `F` for the file.
    fn refused(&self, expected: &str) {
        let error = self.load().unwrap_err().to_string();
        assert_eq!(error.replace(&self.file().display().to_string(), "F"), expected);
    }
}

#[test]
fn feeds_are_tables_and_a_later_place_takes_the_list_as_a_whole() {
    let text = "[[feed]]\nname = \"a\"\nurl = \"https://example.org/a\"\n[[feed]]\nname = \"b\"\nurl = \"file:///b\"\nformat = \"csv:ip\"\nevery = \"2h\"\n";
    let feeds = Case::new(text).load().unwrap().feeds;
    assert_eq!((feeds.len(), feeds[0].max_change, feeds[1].format.as_str()), (2, 50, "csv:ip"));
    assert_eq!(feeds[1].every, Duration::from_secs(7200));
    let mut case = Case::new(text);
    case.drop_in("a.toml", "[[feed]]\nname = \"c\"\nurl = \"https://example.org/c\"");
    let feeds = case.load().unwrap().feeds;
    assert_eq!(feeds.iter().map(|feed| feed.name.as_str()).collect::<Vec<_>>(), ["c"]);
    case.drop_in("b.toml", "feed = []");
    assert!(case.load().unwrap().feeds.is_empty());
}

#[test]
fn a_feed_that_is_wrong_names_its_place() {
    Case::new("[[feed]]\nname = \"a\"\nur = \"https://example.org/a\"")
        .refused("F:3: unknown key `feed.1.ur`; did you mean `feed.1.url`?");
    Case::new("[[feed]]\nname = \"a\"").refused("F:1: `feed.1.url` must be given");
    let twice = "[[feed]]\nname = \"a\"\nurl = \"file:///a\"\n";
    Case::new(&twice.repeat(2)).refused("F:2: `feed.1.name` is the name of two feeds");
    Case::new("feed = 3").refused("F:1: `feed` must be at most 64 tables [[feed]], not 3");
    let error = Case::new("[[feed]]\nname = \"a\"\nurl = \"http://example.org/?secret\"").load().unwrap_err();
    let error = error.to_string();
    assert!(error.contains("`feed.1.url` must be an address like \"https://"), "{error}");
    assert!(!error.contains("secret"), "{error}");
    let row = |n: usize| format!("[[feed]]\nname = \"f{n}\"\nurl = \"file:///{n}\"\n");
    let rows = |count: usize| (0..count).map(row).collect::<String>();
    assert_eq!(Case::new(&rows(64)).load().unwrap().feeds.len(), 64);
    assert!(Case::new(&rows(65)).load().unwrap_err().to_string().contains("not a list of 65 tables"));
}
