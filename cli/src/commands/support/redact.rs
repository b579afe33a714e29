//! What nobody else needs to know, taken out of text: addresses of the allow list, and values whose key says that they
//! are secret.

use smartfw_core::{IpNet, prefix};

/// Last words of keys whose value is secret: `api_token`, `private_key`; `passwords` is a number of them.
const SECRETS: [&str; 8] =
    ["password", "passwd", "passphrase", "token", "secret", "key", "credential", "credentials"];

/// Takes out what is to be left out.
pub(super) struct Redactor {
    nets: Vec<IpNet>,
}

impl Redactor {
    /// `nets`: addresses within them, and they themselves, are left out.
    pub(super) const fn new(nets: Vec<IpNet>) -> Self {
        Self { nets }
    }

    pub(super) fn redact(&self, text: &str) -> String {
        text.split_inclusive('\n').map(|line| self.line(line)).collect()
    }

    fn line(&self, line: &str) -> String {
        if let Some(end) = secret_key(line) {
            return format!("{} = <left out>\n", self.addresses(&line[..end]));
        }
        self.addresses(line)
    }

    fn addresses(&self, line: &str) -> String {
        let mut out = String::with_capacity(line.len());
        let mut word = String::new();
        for letter in line.chars() {
            if letter.is_ascii_hexdigit() || matches!(letter, '.' | ':' | '/') {
                word.push(letter);
            } else {
                self.word(&mut out, &word);
                word.clear();
                out.push(letter);
            }
        }
        self.word(&mut out, &word);
        out
    }

    /// A run of letters that addresses are made of.
    fn word(&self, out: &mut String, word: &str) {
        if self.is_secret(word) {
            out.push_str("<allowed>");
        } else {
            out.push_str(word);
        }
    }

    /// Whether an address in it is one that is left out: alone, with a port after it, or with a word before it.
    fn is_secret(&self, word: &str) -> bool {
        let word = word.trim_end_matches(['.', '/']).trim_start_matches('/');
        let word = if word.ends_with("::") { word } else { word.trim_end_matches(':') };
        let word = if word.starts_with("::") { word } else { word.trim_start_matches(':') };
        let with_port = word.rsplit_once(':').map(|(address, _)| address);
        let parts = word.split(':').filter(|part| part.contains('.'));
        let mut readings = [word].into_iter().chain(with_port).chain(parts);
        readings.any(|text| prefix::parse_target(text).is_ok_and(|net| self.covers(&net)))
    }

    fn covers(&self, net: &IpNet) -> bool {
        self.nets.iter().any(|secret| prefix::overlap(secret, net))
    }
}

/// Where the first key of a line ends whose value is secret.
fn secret_key(line: &str) -> Option<usize> {
    let is_key = |letter: char| letter.is_ascii_alphanumeric() || matches!(letter, '_' | '-');
    let mut at = 0;
    while let Some(begin) = line[at..].find(is_key).map(|skip| at + skip) {
        let end = line[begin..].find(|letter| !is_key(letter)).map_or(line.len(), |length| begin + length);
        let value_follows = line[end..].trim_start_matches(['"', '\'', ' ', '\t']).starts_with(['=', ':']);
        let last = line[begin..end].rsplit(['_', '-']).next().unwrap_or_default();
        if value_follows && SECRETS.iter().any(|secret| last.eq_ignore_ascii_case(secret)) {
            return Some(end);
        }
        at = end;
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn redactor() -> Redactor {
        Redactor::new(["198.51.100.7/32", "2001:db8:5::/48"].map(|net| net.parse().unwrap()).to_vec())
    }

    #[test]
    fn addresses_of_the_allow_list_are_left_out() {
        let text = "allow = [\"198.51.100.7\", \"2001:db8:5::/48\"]\n198.51.100.7:443 and 2001:db8:5::1, not 198.51.100.8.\n";
        let expected = "allow = [\"<allowed>\", \"<allowed>\"]\n<allowed> and <allowed>, not 198.51.100.8.\n";
        assert_eq!(redactor().redact(text), expected);
    }

    #[test]
    fn secrets_are_left_out_with_their_whole_line() {
        let text = "api_token = \"abc\"\nname = \"web-1\"\n";
        assert_eq!(redactor().redact(text), "api_token = <left out>\nname = \"web-1\"\n");
    }

    #[test]
    fn addresses_are_found_behind_and_before_other_words() {
        for text in [
            "for:198.51.100.7",
            "face:198.51.100.7",
            "from=198.51.100.7:443,",
            "[2001:db8:5::1]:443",
            "for:2001:db8:5::1",
            "::ffff:198.51.100.7",
        ] {
            let text = redactor().redact(text);
            assert!(
                text.contains("<allowed>") && !text.contains("198.51") && !text.contains("db8"),
                "{text}"
            );
        }
    }

    #[test]
    fn a_number_of_passwords_is_no_secret() {
        let text = "passwords = 25\nset_keys: 3\ntokenizer=x\n";
        assert_eq!(redactor().redact(text), text);
        assert_eq!(redactor().redact("{\"a\":1,\"token\": \"x\"}\n"), "{\"a\":1,\"token = <left out>\n");
        assert_eq!(redactor().redact("SMARTFW_PRIVATE_KEY=abc\n"), "SMARTFW_PRIVATE_KEY = <left out>\n");
    }

    #[test]
    fn text_without_either_stays_as_it_is() {
        let text = "12:30:01 dead beef: 1.5 of 2/3, 203.0.113.7/32\nno end of line";
        assert_eq!(redactor().redact(text), text);
    }
}
