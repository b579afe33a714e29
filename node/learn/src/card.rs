//! What stands beside a model: where it comes from, how it was judged, where it fails.

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::train::{Account, TrainedOn, Weak};

/// The longest name of a model, bytes.
pub const NAME: usize = 64;
/// The most notes, and the longest one, bytes.
const NOTES: (usize, usize) = (64, 1024);
/// What a group's score has beside its name, what a note has beside the name in it, and what a card has beside all that names
/// tools: bytes, each with the longest numbers.
const BESIDE: (usize, usize, usize) = (192, 128, 32 << 10);

/// A model's card. What is free in form is what trainers have to say; people and scripts read it, programs do not
/// depend on it.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Card {
    /// The name that the model goes by unless it is given another.
    pub name: String,
    /// When it was made, RFC 3339; empty where the same data shall give the same file.
    pub created: String,
    /// The tables: `rows`, and what else identifies them.
    pub trained_on: Value,
    /// The trainer's parameters: `trainer`, `seed`, and what else it takes to make it again.
    pub parameters: Value,
    /// How it was judged: `macro_f1`, and what else was measured.
    pub figures: Value,
    /// Where it fails, for people.
    pub notes: Vec<String>,
}

impl Card {
    /// The card of a model that was trained in this program.
    pub fn of(name: &str, created: &str, account: &Account) -> Self {
        let first = account.judged.first();
        let Account { schema, trained_on, dropped, options, judged, weak } = account;
        Self {
            name: name.to_owned(),
            created: created.to_owned(),
            trained_on: value(trained_on),
            parameters: value(options),
            figures: json!({
                "macro_f1": first.map(|judged| judged.macro_f1),
                "benign_false_positives": first.map(|judged| judged.benign_false_positives),
                "schema": schema,
                "dropped": dropped,
                "judged": value(judged),
            }),
            notes: options
                .searched
                .map(flattered)
                .into_iter()
                .chain(weak.iter().map(note))
                .take(NOTES.0)
                .collect(),
        }
    }

    /// A card of such a model has no more bytes, however the model is judged: `named` are the groups that are left out in turn, and
    /// the classes without rows.
    pub(crate) fn longest<'a>(trained_on: &TrainedOn, named: impl Iterator<Item = &'a String>) -> usize {
        let names: Vec<usize> = named.map(|name| value(name).to_string().len()).collect();
        let (score, note, others) = BESIDE;
        value(trained_on).to_string().len()
            + names.iter().map(|name| name + score).sum::<usize>()
            + NOTES.0 * (names.iter().max().unwrap_or(&0) + note)
            + others
    }

    /// The trainer: what kind of model it is.
    pub fn trainer(&self) -> Option<&str> {
        self.parameters.get("trainer")?.as_str()
    }

    /// So many rows it was trained on.
    pub fn rows(&self) -> Option<u64> {
        self.trained_on.get("rows")?.as_u64()
    }

    /// The mean of the classes' F1 in cross-validation.
    pub fn macro_f1(&self) -> Option<f64> {
        self.figures.get("macro_f1")?.as_f64().filter(|score| (0.0..=1.0).contains(score))
    }

    /// Whether the parts with a fixed form have it.
    pub(crate) fn check(&self) -> Result<(), String> {
        if !is_name(&self.name) {
            return Err(format!("its name is none ({NAME_IS})"));
        }
        if self.created.len() > NAME || !self.created.is_ascii() {
            return Err("when it was made is no time".to_owned());
        }
        if self.notes.len() > NOTES.0 || self.notes.iter().any(|note| note.len() > NOTES.1) {
            return Err("its notes are too long".to_owned());
        }
        Ok(())
    }
}

/// What was made by this program can be written down.
fn value(part: &impl Serialize) -> Value {
    serde_json::to_value(part).unwrap_or_default()
}

fn flattered(tried: usize) -> String {
    format!(
        "its options are the best of {tried} that were tried on the same rows, which flatters its figures"
    )
}

fn note(Weak { left_out, name, rows, recall }: &Weak) -> String {
    // Names in tables have at most 128 bytes.
    format!("{name}: found in {:.1} % of {rows} rows, leaving out {left_out}", 100.0 * recall)
}

/// What a model's name is, in words.
pub const NAME_IS: &str = "1 to 64 lower-case letters, digits, dots, dashes and underscores, the first a letter or digit; not `builtin`, `none` or `previous`";

/// Whether a model may have this name: it is a part of file names and command lines.
pub fn is_name(name: &str) -> bool {
    let letter = |c: u8| c.is_ascii_lowercase() || c.is_ascii_digit();
    let fits = |c: u8| letter(c) || matches!(c, b'.' | b'-' | b'_');
    (1..=NAME).contains(&name.len())
        && name.bytes().next().is_some_and(letter)
        && name.bytes().all(fits)
        && !matches!(name, "builtin" | "none" | "previous")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_name_is_safe_in_a_path_and_on_a_command_line() {
        for name in ["lab-2026", "a", "0", "forest.v2_b", &"a".repeat(NAME)] {
            assert!(is_name(name), "{name}");
        }
        for name in ["", ".", "..", ".a", "-a", "a/b", "A", "ä", "a b", "a\0", "builtin", "none", "previous"]
        {
            assert!(!is_name(name), "{name}");
        }
        assert!(!is_name(&"a".repeat(NAME + 1)));
    }

    #[test]
    fn what_a_card_does_not_say_is_not_made_up() {
        let card: Card = serde_json::from_value(json!({"name": "a", "figures": {"macro_f1": 2.0}})).unwrap();
        assert_eq!((card.trainer(), card.rows(), card.macro_f1()), (None, None, None));
        let card: Card = serde_json::from_value(json!({
            "name": "a", "trained_on": {"rows": 7}, "parameters": {"trainer": "forest"}, "figures": {"macro_f1": 0.5}
        }))
        .unwrap();
        assert_eq!((card.trainer(), card.rows(), card.macro_f1()), (Some("forest"), Some(7), Some(0.5)));
    }

    #[test]
    fn notes_beyond_their_limits_are_refused() {
        let card = |notes| Card { name: "a".into(), notes, ..Card::default() };
        assert!(card(vec!["a".repeat(NOTES.1); NOTES.0]).check().is_ok());
        assert!(card(vec!["a".repeat(NOTES.1 + 1)]).check().is_err());
        assert!(card(vec![String::new(); NOTES.0 + 1]).check().is_err());
    }
}
