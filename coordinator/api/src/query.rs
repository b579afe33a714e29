//! What stands behind the question mark: each name once, each value of its sort, and nothing that nobody asked for.

use std::{collections::BTreeMap, net::IpAddr};

use ipnet::IpNet;
use percent_encoding::percent_decode_str;
use time::OffsetDateTime;

use crate::{moment, problem::Problem};

/// The longest query, in bytes as it came: every parameter that there is at its longest, each character in twelve bytes.
pub(crate) const MOST_QUERY: usize = 28 << 10;
/// The longest value, in characters.
pub(crate) const MOST_VALUE: usize = 256;

/// A parameter of a query.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Param {
    /// Its name.
    pub(crate) name: &'static str,
    pub(crate) sort: Sort,
    /// What it is for, as the document says.
    pub(crate) what: &'static str,
}

/// Of what sort a value is.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Sort {
    Text,
    /// An RFC 3339 time.
    Time,
    /// An address or a CIDR.
    Net,
    /// From the first to the last.
    Number(u64, u64),
    /// `true` or `false`.
    Flag,
    /// One of these words.
    OneOf(&'static [&'static str]),
}

#[derive(Clone, Debug, PartialEq)]
enum Value {
    Text(String),
    Time(OffsetDateTime),
    Net(IpNet),
    Number(u64),
    Flag(bool),
}

/// A query that was understood.
#[derive(Clone, Debug, Default)]
pub(crate) struct Query(BTreeMap<&'static str, Value>);

impl Query {
    /// Understands a query. Bouncers ask for more than we know: from them what is unknown is passed over.
    pub(crate) fn parse(raw: &str, params: &[Param], strict: bool) -> Result<Self, Problem> {
        if raw.len() > MOST_QUERY {
            return Err(Problem::bad(format!("the query is longer than {MOST_QUERY} bytes"), "shorten it"));
        }
        let mut query = Self::default();
        for pair in raw.split('&').filter(|pair| !pair.is_empty()) {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            let name = decoded(name)?;
            match params.iter().find(|param| param.name == name) {
                Some(param) => query.take(param, &decoded(value)?)?,
                None if strict => return Err(unknown(&name, params)),
                None => {}
            }
        }
        Ok(query)
    }

    fn take(&mut self, param: &Param, text: &str) -> Result<(), Problem> {
        let value = value(param, text)?;
        if self.0.insert(param.name, value).is_some() {
            return Err(Problem::bad(format!("{} is given twice", param.name), "give it once"));
        }
        Ok(())
    }

    pub(crate) fn text(&self, name: &str) -> Option<&str> {
        let Some(Value::Text(text)) = self.0.get(name) else { return None };
        Some(text)
    }

    pub(crate) fn owned(&self, name: &str) -> Option<String> {
        self.text(name).map(str::to_owned)
    }

    pub(crate) fn time(&self, name: &str) -> Option<OffsetDateTime> {
        let Some(Value::Time(time)) = self.0.get(name) else { return None };
        Some(*time)
    }

    pub(crate) fn net(&self, name: &str) -> Option<IpNet> {
        let Some(Value::Net(net)) = self.0.get(name) else { return None };
        Some(*net)
    }

    pub(crate) fn number(&self, name: &str) -> Option<u64> {
        let Some(Value::Number(number)) = self.0.get(name) else { return None };
        Some(*number)
    }

    pub(crate) fn flag(&self, name: &str) -> Option<bool> {
        let Some(Value::Flag(flag)) = self.0.get(name) else { return None };
        Some(*flag)
    }

    /// The words of a list with commas; none: it is not given.
    pub(crate) fn words(&self, name: &str) -> Option<Vec<&str>> {
        Some(self.text(name)?.split(',').map(str::trim).filter(|word| !word.is_empty()).collect())
    }
}

/// An address or a CIDR, in canonical form: no host bits, and IPv4 as IPv4.
pub(crate) fn net(text: &str) -> Option<IpNet> {
    let net = match text.parse::<IpNet>() {
        Ok(net) => net,
        Err(_) => IpNet::from(text.parse::<IpAddr>().ok()?),
    };
    let mapped = match net {
        IpNet::V6(v6) if v6.prefix_len() >= 96 => {
            v6.addr().to_ipv4_mapped().map(|v4| (v4, v6.prefix_len() - 96))
        }
        _ => None,
    };
    match mapped {
        Some((v4, length)) => IpNet::new(IpAddr::V4(v4), length).ok().map(|net| net.trunc()),
        None => Some(net.trunc()),
    }
}

/// A name or a value as it was meant.
fn decoded(raw: &str) -> Result<String, Problem> {
    let spaced = raw.replace('+', " ");
    let text = percent_decode_str(&spaced).decode_utf8();
    let text =
        text.map_err(|_| Problem::bad("it holds bytes that are no UTF-8", "send UTF-8, percent-encoded"))?;
    plain(text.into_owned())
}

/// A text that is neither too long nor harmful to whoever reads it in a terminal.
pub(crate) fn plain(text: String) -> Result<String, Problem> {
    if text.chars().count() > MOST_VALUE {
        return Err(Problem::bad(format!("a value is longer than {MOST_VALUE} characters"), "shorten it"));
    }
    if text.chars().any(char::is_control) {
        return Err(Problem::bad("it holds control characters", "leave them out"));
    }
    Ok(text)
}

fn value(param: &Param, text: &str) -> Result<Value, Problem> {
    let wanted = |remedy: &str| Problem::bad(format!("{}={text:?} cannot be read", param.name), remedy);
    match param.sort {
        Sort::Text => Ok(Value::Text(text.to_owned())),
        Sort::Time => {
            moment::parse(text).map(Value::Time).ok_or_else(|| wanted("write a time as 2026-01-31T12:00:00Z"))
        }
        Sort::Net => net(text).map(Value::Net).ok_or_else(|| wanted("write an address or a CIDR")),
        Sort::Flag => text.parse().map(Value::Flag).map_err(|_| wanted("write true or false")),
        Sort::OneOf(words) if words.contains(&text) => Ok(Value::Text(text.to_owned())),
        Sort::OneOf(words) => Err(wanted(&format!("write {}", words.join(" or ")))),
        Sort::Number(least, most) => text
            .parse()
            .ok()
            .filter(|number| (least..=most).contains(number))
            .map(Value::Number)
            .ok_or_else(|| wanted(&format!("write a number from {least} to {most}"))),
    }
}

fn unknown(name: &str, params: &[Param]) -> Problem {
    let known: Vec<&str> = params.iter().map(|param| param.name).collect();
    let remedy =
        if known.is_empty() { "leave it out".to_owned() } else { format!("use {}", known.join(", ")) };
    Problem::bad(format!("there is no parameter {name:?} here"), &remedy)
}

#[cfg(test)]
mod tests {
    use super::*;

    const PARAMS: &[Param] = &[
        Param { name: "text", sort: Sort::Text, what: "" },
        Param { name: "limit", sort: Sort::Number(1, 500), what: "" },
        Param { name: "from", sort: Sort::Time, what: "" },
        Param { name: "source", sort: Sort::Net, what: "" },
        Param { name: "startup", sort: Sort::Flag, what: "" },
    ];

    #[test]
    fn a_query_is_understood_by_the_sorts_of_its_values() {
        let raw =
            "text=a+b%2Bc&limit=7&from=2026-01-31T12:00:00%2B01:00&source=::ffff:192.0.2.9&startup=true&";
        let query = Query::parse(raw, PARAMS, true).unwrap();
        assert_eq!(query.text("text"), Some("a b+c"));
        assert_eq!((query.number("limit"), query.flag("startup")), (Some(7), Some(true)));
        assert_eq!(query.net("source").unwrap().to_string(), "192.0.2.9/32");
        assert_eq!(moment::rfc3339(query.time("from").unwrap()), "2026-01-31T11:00:00Z");
        assert_eq!(query.text("limit"), None);
    }

    #[test]
    fn what_cannot_be_understood_is_refused() {
        let long = format!("text={}", "x".repeat(MOST_VALUE + 1));
        let longer = "&".repeat(MOST_QUERY + 1);
        let hostile = [
            "limit=0",
            "limit=501",
            "limit=-1",
            "limit=1&limit=2",
            "limit=99999999999999999999",
            "from=now",
            "from=",
            "source=1.2.3",
            "source=10.0.0.0/33",
            "source=%00",
            "startup=1",
            "text=%ff",
            "text=%00",
            "text=a%0ab",
            "nothing=1",
            "%6eothing",
            "=",
            &long,
            &longer,
        ];
        for raw in hostile {
            assert!(Query::parse(raw, PARAMS, true).is_err(), "{raw:.60}");
        }
        assert!(Query::parse("nothing=1", PARAMS, false).is_ok(), "bouncers ask for more than we know");
    }

    #[test]
    fn targets_are_taken_in_canonical_form() {
        let cases = [
            ("10.1.2.3/8", Some("10.0.0.0/8")),
            ("2001:DB8::1/64", Some("2001:db8::/64")),
            ("::ffff:10.0.0.1/104", Some("10.0.0.0/8")),
            ("203.0.113.7", Some("203.0.113.7/32")),
            ("203.0.113.7/", None),
            ("fe80::1%eth0", None),
        ];
        for (text, canonical) in cases {
            assert_eq!(net(text).map(|net| net.to_string()).as_deref(), canonical, "{text}");
        }
    }
}
