//! What the bodies of changes say.

use std::time::Duration;

use ipnet::IpNet;
use serde::{Deserialize, Deserializer, de::DeserializeOwned};

use crate::{
    auth::{MOST_PASSWORD, Role, SHORTEST_PASSWORD},
    problem::Problem,
    query::net,
};

/// The longest reason or comment, in characters.
pub(crate) const MOST_REASON: usize = 256;
/// The longest that something lasts, short of for ever: ten years.
pub(crate) const LONGEST: u64 = 10 * 366 * 86_400;
/// How long a block lasts when nothing is said: four hours.
const BLOCK: u64 = 4 * 3_600;
/// No panic of the fleet lasts longer: what nobody ends must not leave it without protection.
pub const LONGEST_PANIC: Duration = Duration::from_secs(86_400);
/// How long a panic lasts when nothing is said: a quarter of an hour.
const PANIC: u64 = 900;

/// A field of a body, as the document describes it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Field {
    pub(crate) name: &'static str,
    /// Its schema, as JSON.
    pub(crate) schema: &'static str,
    pub(crate) needed: bool,
}

const fn needed(name: &'static str, schema: &'static str) -> Field {
    Field { name, schema, needed: true }
}

const fn optional(name: &'static str, schema: &'static str) -> Field {
    Field { name, schema, needed: false }
}

const TARGET: Field = needed("target", r##"{"$ref":"#/components/schemas/Net","examples":["203.0.113.7"]}"##);
const DURATION: Field = optional(
    "duration",
    r#"{"type":["integer","null"],"minimum":1,"maximum":316224000,"description":"seconds; null: for ever","examples":[3600]}"#,
);
pub(crate) const NAME: Field =
    needed("name", r#"{"type":"string","pattern":"^[A-Za-z0-9._@-]{1,64}$","examples":["ada"]}"#);
/// A member's name or its id, as changes take it.
pub(crate) const MEMBER: &str = r#"{"type":"string","pattern":"^[a-z0-9._-]{1,64}$","examples":["web-1"]}"#;
const TEXT: &str = r##"{"$ref":"#/components/schemas/Text","examples":["seen in the logs"]}"##;
const PASSWORD: &str = r#"{"type":"string","minLength":12,"maxLength":256,"examples":["four random words"]}"#;
const GIVEN: &str = r#"{"type":"string","maxLength":256,"examples":["four random words"]}"#;
const PERSON: &str = r#"{"type":"string","enum":["viewer","operator","admin"],"examples":["viewer"]}"#;
const ANY_ROLE: &str =
    r#"{"type":"string","enum":["bouncer","viewer","operator","admin"],"examples":["bouncer"]}"#;

pub(crate) const BLOCK_FIELDS: &[Field] = &[
    TARGET,
    DURATION,
    optional("reason", TEXT),
    optional(
        "force",
        r#"{"type":"boolean","description":"although it is wide or protected","examples":[false]}"#,
    ),
];
pub(crate) const ALLOW_FIELDS: &[Field] = &[TARGET, DURATION, optional("comment", TEXT)];
pub(crate) const TRUST_FIELDS: &[Field] = &[needed(
    "believed",
    r#"{"type":"boolean","description":"false: its blocks are shown, and not enforced","examples":[false]}"#,
)];
pub(crate) const CANARY_FIELDS: &[Field] = &[
    TARGET,
    optional(
        "wide",
        r#"{"type":"boolean","description":"although it is more than one address","examples":[false]}"#,
    ),
    optional("yes", r#"{"type":"boolean","description":"although it ends blocks","examples":[true]}"#),
];
pub(crate) const PANIC_FIELDS: &[Field] = &[optional(
    "duration",
    r#"{"type":"integer","minimum":1,"maximum":86400,"description":"seconds; 900 unless given","examples":[900]}"#,
)];
pub(crate) const LOGIN_FIELDS: &[Field] = &[NAME, needed("password", GIVEN)];
pub(crate) const PASSWORD_FIELDS: &[Field] = &[needed("old", GIVEN), needed("new", PASSWORD)];
pub(crate) const USER_FIELDS: &[Field] = &[NAME, needed("role", PERSON), needed("password", PASSWORD)];
pub(crate) const USER_CHANGES: &[Field] = &[optional("role", PERSON), optional("password", PASSWORD)];
pub(crate) const TOKEN_FIELDS: &[Field] = &[NAME, needed("role", ANY_ROLE), DURATION];

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct BlockForm {
    #[serde(deserialize_with = "target")]
    pub(crate) target: IpNet,
    #[serde(default = "usual", deserialize_with = "seconds")]
    duration: Option<u64>,
    #[serde(default)]
    reason: String,
    #[serde(default)]
    pub(crate) force: bool,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct AllowForm {
    #[serde(deserialize_with = "target")]
    pub(crate) target: IpNet,
    #[serde(default, deserialize_with = "seconds")]
    duration: Option<u64>,
    #[serde(default)]
    comment: String,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct TrustForm {
    pub(crate) believed: bool,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct CanaryForm {
    #[serde(deserialize_with = "target")]
    pub(crate) target: IpNet,
    #[serde(default)]
    pub(crate) wide: bool,
    #[serde(default)]
    pub(crate) yes: bool,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct PanicForm {
    #[serde(default = "while_", deserialize_with = "seconds")]
    duration: Option<u64>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct LoginForm {
    pub(crate) name: String,
    pub(crate) password: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct PasswordForm {
    pub(crate) old: String,
    pub(crate) new: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct UserForm {
    pub(crate) name: String,
    pub(crate) role: Role,
    pub(crate) password: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct UserChange {
    #[serde(default, deserialize_with = "given")]
    pub(crate) role: Option<Role>,
    #[serde(default, deserialize_with = "given")]
    pub(crate) password: Option<String>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct TokenForm {
    pub(crate) name: String,
    pub(crate) role: Role,
    #[serde(default, deserialize_with = "seconds")]
    duration: Option<u64>,
}

impl BlockForm {
    pub(crate) fn duration(&self) -> Result<Option<Duration>, Problem> {
        span(self.duration)
    }

    pub(crate) fn reason(&self) -> Result<String, Problem> {
        line("reason", &self.reason)
    }
}

impl AllowForm {
    pub(crate) fn duration(&self) -> Result<Option<Duration>, Problem> {
        span(self.duration)
    }

    pub(crate) fn comment(&self) -> Result<String, Problem> {
        line("comment", &self.comment)
    }
}

impl PanicForm {
    pub(crate) fn duration(&self) -> Result<Duration, Problem> {
        let given = self.duration.map(Duration::from_secs);
        given.filter(|given| !given.is_zero() && *given <= LONGEST_PANIC).ok_or_else(|| {
            let why = format!("a panic of the fleet lasts 1 to {} seconds", LONGEST_PANIC.as_secs());
            Problem::invalid(why, "give less, and prolong it in time")
        })
    }
}

impl TokenForm {
    pub(crate) fn duration(&self) -> Result<Option<Duration>, Problem> {
        span(self.duration)
    }
}

/// A body that is what it should be. What is no JSON is a bad request, what is not this body is refused.
pub(crate) fn parse<T: DeserializeOwned>(body: &[u8]) -> Result<T, Problem> {
    let remedy = "GET /api/v1/openapi.json says what the body holds";
    if body.trim_ascii_start().starts_with(b"[") {
        return Err(Problem::invalid("expected an object", remedy)); // serde would take the fields in their order
    }
    serde_json::from_slice(body).map_err(|error| {
        let place = format!("line {}, column {}", error.line(), error.column());
        if error.is_data() {
            Problem::invalid(expected(&error.to_string()), remedy)
        } else {
            Problem::bad(format!("the body is no JSON at {place}"), "send one JSON object")
        }
    })
}

/// What was expected, without what came instead: that may be a password, and reasons are written down.
fn expected(text: &str) -> String {
    text.split_once(", expected").map_or_else(|| text.to_owned(), |(_, rest)| format!("expected{rest}"))
}

/// A new password that is worth its name.
pub(crate) fn password(text: &str) -> Result<(), Problem> {
    if (SHORTEST_PASSWORD..=MOST_PASSWORD).contains(&text.chars().count()) {
        return Ok(());
    }
    let why = format!("a password has {SHORTEST_PASSWORD} to {MOST_PASSWORD} characters");
    Err(Problem::invalid(why, "choose another, for example four random words"))
}

fn usual() -> Option<u64> {
    Some(BLOCK)
}

fn while_() -> Option<u64> {
    Some(PANIC)
}

fn target<'de, D: Deserializer<'de>>(from: D) -> Result<IpNet, D::Error> {
    let text = String::deserialize(from)?;
    net(&text).ok_or_else(|| serde::de::Error::custom("target is neither an address nor a CIDR"))
}

/// What is there if it is named: null is no value of it.
fn given<'de, T: Deserialize<'de>, D: Deserializer<'de>>(from: D) -> Result<Option<T>, D::Error> {
    T::deserialize(from).map(Some)
}

/// A whole number, also as JSON writes one with a point: 3600.0.
fn seconds<'de, D: Deserializer<'de>>(from: D) -> Result<Option<u64>, D::Error> {
    let Some(number) = Option::<serde_json::Number>::deserialize(from)? else { return Ok(None) };
    let pointed =
        number.as_f64().filter(|float| float.fract() == 0.0 && (0.0..=LONGEST as f64).contains(float));
    let whole = number.as_u64().or(pointed.map(|float| float as u64));
    whole
        .map(Some)
        .ok_or_else(|| serde::de::Error::custom("duration is no whole number of seconds from 1 on"))
}

fn span(seconds: Option<u64>) -> Result<Option<Duration>, Problem> {
    match seconds {
        Some(seconds) if !(1..=LONGEST).contains(&seconds) => Err(Problem::invalid(
            format!("a duration is 1 to {LONGEST} seconds"),
            "choose another, or null for ever",
        )),
        seconds => Ok(seconds.map(Duration::from_secs)),
    }
}

fn line(name: &str, text: &str) -> Result<String, Problem> {
    if text.chars().count() > MOST_REASON {
        return Err(Problem::invalid(
            format!("{name} is longer than {MOST_REASON} characters"),
            "shorten it",
        ));
    }
    if text.chars().any(char::is_control) {
        return Err(Problem::invalid(
            format!("{name} holds control characters"),
            "write one line of plain text",
        ));
    }
    Ok(text.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn block(body: &str) -> Result<(IpNet, Option<Duration>, String), Problem> {
        let form: BlockForm = parse(body.as_bytes())?;
        Ok((form.target, form.duration()?, form.reason()?))
    }

    #[test]
    fn a_block_lasts_four_hours_unless_it_says_otherwise() {
        let (target, duration, _) = block(r#"{"target":"203.0.113.7"}"#).unwrap();
        assert_eq!(
            (target.to_string().as_str(), duration),
            ("203.0.113.7/32", Some(Duration::from_secs(14_400)))
        );
        assert_eq!(block(r#"{"target":"203.0.113.7","duration":null}"#).unwrap().1, None);
        for duration in ["60", "60.0", "6e1"] {
            let body = format!(r#"{{"target":"::1","duration":{duration}}}"#);
            assert_eq!(block(&body).unwrap().1, Some(Duration::from_secs(60)));
        }
    }

    #[test]
    fn bodies_that_make_no_sense_are_refused_with_the_right_status() {
        let long = format!(r#"{{"target":"::1","reason":"{}"}}"#, "x".repeat(MOST_REASON + 1));
        let cases = [
            ("", 400),
            ("{", 400),
            ("\u{1}", 400),
            ("[]", 422),
            ("{}", 422),
            (r#"{"target":"everything"}"#, 422),
            (r#"{"target":"::1","duration":0}"#, 422),
            (r#"{"target":"::1","duration":-1}"#, 422),
            (r#"{"target":"::1","duration":1.5}"#, 422),
            (r#"{"target":"::1","duration":1e300}"#, 422),
            (r#"{"target":"::1","duration":"60"}"#, 422),
            (r#"{"target":"::1","reason":null}"#, 422),
            (r#"{"target":"::1","duration":316224001}"#, 422),
            (r#"{"target":"::1","reason":"a\u001b[2Jb"}"#, 422),
            (r#"{"target":"::1","unknown":1}"#, 422),
            (&long, 422),
        ];
        for (body, status) in cases {
            assert_eq!(block(body).unwrap_err().status.as_u16(), status, "{body:.60}");
        }
    }

    #[test]
    fn a_panic_lasts_a_quarter_of_an_hour_unless_it_says_otherwise_and_a_day_at_most() {
        let lasts = |body: &str| {
            let form = parse::<PanicForm>(body.as_bytes()).and_then(|form| form.duration());
            form.map(|lasts| lasts.as_secs()).map_err(|why| why.status.as_u16())
        };
        assert_eq!((lasts("{}"), lasts(r#"{"duration":60}"#)), (Ok(900), Ok(60)));
        assert_eq!(lasts(r#"{"duration":86400}"#), Ok(86_400));
        for wrong in ["86401", "0", "-1", "null", "1.5", "\"15m\""] {
            assert_eq!(lasts(&format!(r#"{{"duration":{wrong}}}"#)), Err(422), "{wrong}");
        }
    }

    #[test]
    fn a_change_of_nothing_is_not_written_as_null() {
        let change = |body: &str| parse::<UserChange>(body.as_bytes()).map(|change| change.role.is_some());
        assert_eq!((change(r#"{"role":"viewer"}"#), change("{}")), (Ok(true), Ok(false)));
        assert!(change(r#"{"role":null}"#).is_err() && change(r#"{"password":null}"#).is_err());
    }

    #[test]
    fn a_passwords_value_is_never_repeated() {
        for body in [
            r#""horse""#,
            r#"{"name":"ada","password":["horse"]}"#,
            r#"{"horse":1}"#,
            r#"{"name":["horse"]}"#,
        ] {
            let refused = parse::<LoginForm>(body.as_bytes()).err().unwrap();
            assert!(!refused.body().to_string().contains("horse"), "{body}");
        }
        assert!(
            password("short").is_err()
                && password(&"x".repeat(257)).is_err()
                && password("long enough it is").is_ok()
        );
    }
}
