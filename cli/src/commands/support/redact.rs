//! What nobody else needs to know, taken out of text: addresses of the allow list, and values whose key says that they
//! are secret.

use std::net::IpAddr;

use smartfw_core::{IpNet, prefix};

const SECRETS: [&str; 6] = ["password", "token", "secret", "private_key", "credential", "api_key"];

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
        let lower = line.to_lowercase();
        if SECRETS.iter().any(|secret| lower.contains(secret)) {
            let key: String = line.chars().take_while(|letter| !matches!(letter, '=' | ':')).collect();
            return format!("{}= <left out>\n", key.trim_end_matches('\n'));
        }
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

    fn is_secret(&self, word: &str) -> bool {
        let trimmed = word.trim_end_matches(['.', ':', '/']).trim_start_matches('/');
        let bare = |text: &str| text.parse::<IpAddr>().ok().map(prefix::host);
        let with_port = || trimmed.rsplit_once(':').and_then(|(address, _)| bare(address));
        let net = prefix::parse_target(trimmed).ok().or_else(|| bare(trimmed)).or_else(with_port);
        net.is_some_and(|net| self.nets.iter().any(|secret| prefix::overlap(secret, &net)))
    }
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
    fn text_without_either_stays_as_it_is() {
        let text = "12:30:01 dead beef: 1.5 of 2/3, 203.0.113.7/32\nno end of line";
        assert_eq!(redactor().redact(text), text);
    }
}
