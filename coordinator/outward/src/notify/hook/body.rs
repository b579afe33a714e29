//! The JSON of a message.

use serde_json::{Value, json};
use smartfw_core::Time;

use crate::{
    notify::{BadTemplate, Words, message::Message},
    settings::SetupError,
    text,
};

/// Bytes, entities included. Slack advises 4,000 characters at most (docs.slack.dev, `chat.postMessage`).
const SLACK: usize = 3000;

const USUAL_SLACK: (&str, &str) = (
    ":rotating_light: *{{title}}* from `{{source}}` on `{{node}}` ({{action}}, confidence {{confidence}})\n\
     {{reason}}\nrepeated since last told: {{repeats}}",
    ":rotating_light: *{{total}} alerts* from {{first}} to {{last}}, and {{repeats}} repetitions\n\
     Classes: {{classes}}\nSources: {{sources}}\nNodes: {{nodes}}",
);

/// How the body is made.
#[derive(Debug)]
pub(super) enum Body {
    /// All fields.
    Object,
    /// What somebody wrote.
    Json(Words),
    /// A text.
    Slack(Words),
}

impl Body {
    /// A template that gives no JSON is refused now, not when an attack is on.
    pub(super) fn json(text: Option<&str>, digest: Option<&str>) -> Result<Self, SetupError> {
        if text.is_none() && digest.is_none() {
            return Ok(Self::Object);
        }
        if text.is_none() || digest.is_none() {
            return Err(SetupError::Template { key: "text", why: BadTemplate::Alone });
        }
        let words = Words::new("text", text, digest, ("", ""))?;
        let samples = [("text", Message::test(Time::ZERO)), ("digest", Message::Digest(Box::default()))];
        for (key, message) in samples {
            let sample = words.say(&message, in_json);
            if let Err(error) = serde_json::from_str::<Value>(&sample) {
                return Err(SetupError::Template { key, why: BadTemplate::NoJson(error.to_string()) });
            }
        }
        Ok(Self::Json(words))
    }

    pub(super) fn slack(text: Option<&str>, digest: Option<&str>) -> Result<Self, SetupError> {
        Ok(Self::Slack(Words::new("text", text, digest, USUAL_SLACK)?))
    }

    pub(super) fn say(&self, message: &Message) -> String {
        match self {
            Self::Object => smartfw_proto::json::text(&Value::Object(message.fields())),
            Self::Json(words) => words.say(message, in_json),
            Self::Slack(words) => {
                let said = words.say(message, in_slack);
                let text = whole_entities(text::cut(&said, SLACK));
                json!({"text": text, "unfurl_links": false, "unfurl_media": false}).to_string()
            }
        }
    }
}

/// What stands between the quotes of a JSON string.
fn in_json(value: &str) -> String {
    let quoted = Value::from(value).to_string();
    quoted[1..quoted.len() - 1].to_owned()
}

/// Slack's three (docs.slack.dev, "Formatting message text"): without `<` nobody calls a channel or hides an address.
fn in_slack(value: &str) -> String {
    value.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

/// Half an entity at the end is none.
fn whole_entities(text: &str) -> &str {
    match text.rfind('&') {
        Some(at) if !text[at..].contains(';') => &text[..at],
        _ => text,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::tests::with;

    fn single(reason: &str) -> Message {
        Message::Single { event: with("reason", reason).into(), repeats: 2 }
    }

    #[test]
    fn all_fields_go_along_where_no_template_says_otherwise() {
        let said: Value = serde_json::from_str(&Body::json(None, None).unwrap().say(&single("why"))).unwrap();
        assert_eq!((&said["kind"], &said["source"]), (&"alert".into(), &"203.0.113.7".into()));
        assert_eq!(
            (&said["reason"], &said["repeats"], &said["confidence"]),
            (&"why".into(), &2.into(), &0.97.into())
        );
    }

    #[test]
    fn what_an_attacker_says_stays_inside_of_its_quotes() {
        let body = Body::json(Some(r#"{"t":"{{reason}}"}"#), Some(r#"{"t":"{{total}}"}"#)).unwrap();
        let said: Value = serde_json::from_str(&body.say(&single(r#"","admin":true,"x":"\"#))).unwrap();
        assert_eq!(said["t"], r#"","admin":true,"x":"\"#);
        assert_eq!(said.as_object().unwrap().len(), 1);
    }

    #[test]
    fn a_template_that_gives_no_json_is_refused_at_once() {
        for (text, digest) in [("{{reason}}", "1"), ("1", "{"), (r#"{"t":{{reason}}}"#, "1")] {
            let error = Body::json(Some(text), Some(digest)).unwrap_err().to_string();
            assert!(error.contains("no JSON"), "{error}");
        }
        assert!(Body::json(Some("1"), None).is_err() && Body::json(None, Some("1")).is_err());
        assert!(Body::slack(Some("{{sorce}}"), None).unwrap_err().to_string().contains("{{sorce}}"));
    }

    #[test]
    fn nobody_is_called_by_what_an_attacker_says() {
        let said = Body::slack(None, None).unwrap().say(&single("<!channel> & <http://evil|bank>"));
        let said: Value = serde_json::from_str(&said).unwrap();
        let text = said["text"].as_str().unwrap();
        assert!(
            text.contains("&lt;!channel&gt; &amp; &lt;http://evil|bank&gt;") && !text.contains('<'),
            "{text}"
        );
    }

    #[test]
    fn a_text_for_slack_is_short_and_ends_with_a_whole_entity() {
        let long = "{{reason}}".repeat(20);
        let said = Body::slack(Some(&long), None).unwrap().say(&single(&"<".repeat(1000)));
        let said: Value = serde_json::from_str(&said).unwrap();
        let text = said["text"].as_str().unwrap();
        assert!(text.len() <= SLACK && text.ends_with("&lt;"), "{}", text.len());
    }
}
