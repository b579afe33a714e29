//! JSON: an array, or a line each; texts, or objects with a key. Nothing but the addresses is kept while it is read.

use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, Error as _, IgnoredAny, MapAccess, SeqAccess, Visitor};

use super::{LINE, Parsed, Unparsed};

/// Reads an array, or texts and objects that follow each other.
pub(super) fn read(bytes: &[u8], key: Option<&str>) -> Result<Parsed, Unparsed> {
    let mut parsed = Parsed::default();
    if bytes.trim_ascii_start().first() == Some(&b'[') {
        let mut full = false;
        let mut deserializer = serde_json::Deserializer::from_slice(bytes);
        let read = deserializer.deserialize_seq(Array { key, parsed: &mut parsed, full: &mut full });
        return match read.and_then(|()| deserializer.end()) {
            _ if full => Err(Unparsed::TooMany),
            Err(error) => Err(no_json(&error)),
            Ok(()) => Ok(parsed),
        };
    }
    lines(bytes, key, &mut parsed).map(|()| parsed)
}

fn lines(bytes: &[u8], key: Option<&str>, parsed: &mut Parsed) -> Result<(), Unparsed> {
    for line in bytes.split(|byte| *byte == b'\n').map(<[u8]>::trim_ascii).filter(|line| !line.is_empty()) {
        let mut deserializer = serde_json::Deserializer::from_slice(line);
        let read = Element(key).deserialize(&mut deserializer);
        match read.and_then(|text| deserializer.end().map(|()| text)) {
            Ok(Some(text)) => parsed.take(&text)?,
            Ok(None) => parsed.miss("an element without an address"),
            Err(_) => parsed.miss(&String::from_utf8_lossy(&line[..line.len().min(super::SHOWN)])),
        }
    }
    Ok(())
}

fn no_json(error: &serde_json::Error) -> Unparsed {
    Unparsed::NoJson(format!("line {}, column {}", error.line(), error.column()))
}

/// The elements of an array go straight to where they are kept.
struct Array<'a> {
    key: Option<&'a str>,
    parsed: &'a mut Parsed,
    /// Whether there were more than may be.
    full: &'a mut bool,
}

impl<'de> Visitor<'de> for Array<'_> {
    type Value = ();
    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an array")
    }
    fn visit_seq<A: SeqAccess<'de>>(self, mut elements: A) -> Result<(), A::Error> {
        while let Some(element) = elements.next_element_seed(Element(self.key))? {
            match element {
                None => self.parsed.miss("an element without an address"),
                Some(text) => {
                    if self.parsed.take(&text).is_err() {
                        *self.full = true;
                        return Err(A::Error::custom("too many"));
                    }
                }
            }
        }
        Ok(())
    }
}

/// One element: the text that should be an address, if there is any.
#[derive(Clone, Copy)]
struct Element<'a>(Option<&'a str>);

impl<'de> DeserializeSeed<'de> for Element<'_> {
    type Value = Option<String>;
    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Option<String>, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Element<'_> {
    type Value = Option<String>;
    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("anything")
    }
    fn visit_str<E>(self, text: &str) -> Result<Option<String>, E> {
        Ok((text.len() <= LINE).then(|| text.to_owned()))
    }
    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Option<String>, A::Error> {
        let mut found = None;
        while let Some(key) = map.next_key::<String>()? {
            if self.0 == Some(key.as_str()) {
                // A key within a key is another.
                found = map.next_value_seed(Element(None))?;
            } else {
                map.next_value::<IgnoredAny>()?;
            }
        }
        Ok(found)
    }
    fn visit_seq<A: SeqAccess<'de>>(self, mut elements: A) -> Result<Option<String>, A::Error> {
        while elements.next_element::<IgnoredAny>()?.is_some() {}
        Ok(None)
    }
    fn visit_bool<E>(self, _: bool) -> Result<Option<String>, E> {
        Ok(None)
    }
    fn visit_i64<E>(self, _: i64) -> Result<Option<String>, E> {
        Ok(None)
    }
    fn visit_u64<E>(self, _: u64) -> Result<Option<String>, E> {
        Ok(None)
    }
    fn visit_f64<E>(self, _: f64) -> Result<Option<String>, E> {
        Ok(None)
    }
    fn visit_unit<E>(self) -> Result<Option<String>, E> {
        Ok(None)
    }
}
