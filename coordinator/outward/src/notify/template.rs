//! Texts with `{{fields}}`.

use thiserror::Error;

/// So long is a template at most, in bytes.
const LONGEST: usize = 8 << 10;

/// A template cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum BadTemplate {
    /// There is no such field.
    #[error("there is no field {{{{{unknown}}}}}; there are: {known}")]
    Unknown {
        /// What was written.
        unknown: String,
        /// What could have been written.
        known: String,
    },
    /// A field is not closed.
    #[error("a {{{{ has no }}}}")]
    Open,
    /// It is too long.
    #[error("a template has {LONGEST} bytes at most")]
    TooLong,
    /// Half of a webhook's body would be of another form.
    #[error("a webhook's `text` and `digest` go together: write both or none")]
    Alone,
    /// The body of a webhook must be JSON.
    #[error("with its fields filled in it is no JSON ({0}); fields stand inside of quotes")]
    NoJson(String),
}

/// A text with fields that are known to exist.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Template(Vec<Piece>);

#[derive(Clone, Debug, PartialEq, Eq)]
enum Piece {
    Text(String),
    Field(&'static str),
}

impl Template {
    /// Reads a template over these fields.
    pub(crate) fn parse(text: &str, fields: &'static [&'static str]) -> Result<Self, BadTemplate> {
        if text.len() > LONGEST {
            return Err(BadTemplate::TooLong);
        }
        let mut pieces = Vec::new();
        let mut rest = text;
        while let Some((before, after)) = rest.split_once("{{") {
            let (name, tail) = after.split_once("}}").ok_or(BadTemplate::Open)?;
            let field = fields.iter().find(|field| **field == name.trim());
            let field = field.ok_or_else(|| unknown(name, fields))?;
            pieces.extend([Piece::Text(before.to_owned()), Piece::Field(field)]);
            rest = tail;
        }
        pieces.push(Piece::Text(rest.to_owned()));
        Ok(Self(pieces))
    }

    /// The text with its fields filled in; what is filled in is never read as a template.
    pub(crate) fn render(&self, value: impl Fn(&'static str) -> String) -> String {
        self.0.iter().fold(String::new(), |mut text, piece| {
            match piece {
                Piece::Text(piece) => text.push_str(piece),
                Piece::Field(field) => text.push_str(&value(field)),
            }
            text
        })
    }
}

fn unknown(name: &str, fields: &[&str]) -> BadTemplate {
    BadTemplate::Unknown { unknown: crate::text::shown(name.trim(), 64), known: fields.join(", ") }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FIELDS: &[&str] = &["source", "class"];

    #[test]
    fn fields_are_filled_in_and_what_they_say_is_not_read_again() {
        let template = Template::parse("{{source}} did {{ class }}.", FIELDS).unwrap();
        assert_eq!(template.render(|field| format!("<{{{{{field}}}}}>")), "<{{source}}> did <{{class}}>.");
        assert_eq!(Template::parse("} { }}", FIELDS).unwrap().render(str::to_owned), "} { }}");
    }

    #[test]
    fn what_cannot_be_filled_in_is_an_error_at_once() {
        let error = Template::parse("{{sorce}}", FIELDS).unwrap_err();
        assert_eq!(error.to_string(), "there is no field {{sorce}}; there are: source, class");
        assert_eq!(Template::parse("{{source", FIELDS), Err(BadTemplate::Open));
        assert_eq!(Template::parse(&"x".repeat(LONGEST + 1), FIELDS), Err(BadTemplate::TooLong));
    }
}
