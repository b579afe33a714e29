use super::*;

const FULL: &str = r#"
[[export]]
name = "elastic"
to = "tls://logs.example.org:6514"
format = "ecs"
kinds = ["alert", "block"]
ca_file = "/etc/smartfw/logs-ca.pem"

[[export]]
name = "file"
to = "file:///var/log/smartfw/eve.json"
max_size = 1048576
keep = 2

[[webhook]]
name = "pager"
url = "https://hooks.example.org/smartfw"
secret = { file = "/etc/smartfw/hook.secret" }
headers = { Authorization = { env = "HOOK_TOKEN" }, X-Team = "hush" }
rules = { classes = ["botnet"], min_confidence = 0.9, nodes = ["web-*"], actions = ["block"] }
limits = { repeat = "30m", messages = 3, per = "1h", digest = "1h" }

[[slack]]
name = "ops"
url = "https://hooks.slack.com/services/T0/B0/hush"

[[email]]
name = "night watch"
server = "smtp.example.org:587"
user = "smartfw"
password = { file = "/etc/smartfw/smtp.password" }
from = "SmartFW <smartfw@example.org>"
to = ["ops@example.org"]
"#;

#[test]
fn everything_is_read_as_it_is_written() {
    let settings: Settings = toml::from_str(FULL).unwrap();
    assert_eq!(settings.export[0].format, Format::Ecs);
    assert_eq!(settings.export[0].kinds, Named(vec![EventKind::Alert, EventKind::Block]));
    assert_eq!((settings.export[1].max_size.get(), settings.export[1].keep.get()), (1_048_576, 2));
    assert_eq!(settings.webhook[0].limits.per.get().as_secs(), 3600);
    assert_eq!(settings.webhook[0].rules.actions, Named(vec![Action::Block]));
    assert_eq!(settings.email[0].security, Security::Starttls);
    assert_eq!(settings.slack[0].limits, Limits::default());
}

#[test]
fn the_example_of_the_documentation_is_read() {
    let page = include_str!("../../../../docs/integrations.md");
    let example = page.split("```toml\n").nth(1).unwrap().split("```").next().unwrap();
    let settings: Settings = toml::from_str(example).unwrap();
    let Settings { export, webhook, slack, email } = &settings;
    assert_eq!((export.len(), webhook.len(), slack.len(), email.len()), (2, 1, 1, 1));
}

#[test]
fn nothing_secret_is_shown() {
    let settings: Settings = toml::from_str(FULL).unwrap();
    let shown = format!("{settings:?}");
    assert!(!shown.contains("hush") && shown.contains("/etc/smartfw/hook.secret"), "{shown}");
}

#[test]
fn an_empty_table_sends_nothing_anywhere() {
    assert_eq!(toml::from_str::<Settings>("").unwrap(), Settings::default());
}

#[test]
fn what_is_misspelt_or_out_of_bounds_is_refused_by_name() {
    for (text, named) in [
        ("[[exports]]", "exports"),
        ("[[export]]\nname = \"a\"\nto = \"udp://h:1\"\nformta = \"eve\"", "formta"),
        ("[[export]]\nname = \"a\"\nto = \"udp://h:1\"\nformat = \"leef\"", "leef"),
        ("[[export]]\nname = \"a\"\nto = \"h:1\"", "udp://HOST:PORT"),
        ("[[export]]\nname = \"a\"\nto = \"udp://h:1\"\nfacility = 24", "0 to 23"),
        ("[[export]]\nname = \"a\"\nto = \"udp://h:1\"\nqueue = 5", "100 to 1000000"),
        ("[[export]]\nname = \"a\"\nto = \"udp://h:1\"\nkinds = [\"alarm\"]", "alert, block, lift"),
        ("[[slack]]\nname = \"a\"\nurl = \"x\"\nlimits = { per = \"2y\" }", "no duration"),
        ("[[slack]]\nname = \"a\"\nurl = \"x\"\nlimits = { per = \"0s\" }", "no duration"),
        ("[[slack]]\nname = \"a\"\nurl = \"x\"\nrules = { classes = [\"scan\"] }", "port_scan"),
        ("[[webhook]]\nname = \"a\"\nurl = \"x\"\nsecret = \"hush\"", "secret"),
        ("[[webhook]]\nname = \"a\"\nurl = { fiel = \"x\" }", "{ file = \"PATH\" }"),
        ("[[webhook]]\nname = \"a\"\nurl = \"x\"\nsecret = { file = \"a\", env = \"b\" }", "secret"),
    ] {
        let error = toml::from_str::<Settings>(text).unwrap_err().to_string();
        assert!(error.contains(named), "{text}: {error}");
    }
}
