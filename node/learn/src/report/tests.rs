//! What the page and the plot say.

use super::*;
use crate::{
    calibrate::ReliabilityBin,
    forest::ForestOptions,
    samples,
    train::{TrainOptions, train},
};

fn account() -> Account {
    let forest = ForestOptions { trees: 5, ..ForestOptions::default() };
    let options = TrainOptions { forest, folds: 3, ..TrainOptions::default() };
    train(&samples::windows(600, 0.8, 1), &options, &mut |_| ()).unwrap().account
}

#[test]
fn the_page_has_every_figure_of_the_account() {
    let account = account();
    let page = markdown(&account);
    assert!(page.contains(&account.trained_on.sha256));
    for judged in &account.judged {
        assert!(page.contains(&format!("## Left out of training: {}", judged.left_out)));
        assert!(page.contains(&format!("Macro F1 {:.4}", judged.macro_f1)));
    }
    let counts = &account.judged[0].confusion.counts[1];
    let row = format!("| port_scan | {} | {} | {} |", counts[0], counts[1], counts[2]);
    assert!(page.contains(&row), "{row}\n{page}");
    assert!(!account.weak.is_empty());
    assert!(account.weak.iter().all(|weak| page.contains(&format!("| {:.1} % |", 100.0 * weak.recall))));
}

#[test]
fn a_model_that_was_not_judged_does_not_look_faultless() {
    let account = Account { judged: Vec::new(), weak: Vec::new(), ..account() };
    assert!(markdown(&account).ends_with("It was not judged.\n"));
}

#[test]
fn a_name_cannot_break_the_page() {
    let mut account = account();
    account.trained_on.tools[0].name = "a|b\n# <script>".into();
    let page = markdown(&account);
    assert!(page.contains("| a b #  script> |"), "{page}");
}

#[cfg(feature = "linfa")]
#[test]
fn an_explanation_is_as_many_lines_as_sentences_whatever_features_are_called() {
    let sentences = vec!["a\nb\r# <c> < 3: benign (99 %)".to_owned(), "a >= 3: slow_dos (80 %)".to_owned()];
    let part = explanation(&Explained { sentences, agreement: 0.9876 });
    assert!(part.contains(" 98.8 % of these rows"), "{part}");
    assert!(part.ends_with("\n\n    a b # <c> < 3: benign (99 %)\n    a >= 3: slow_dos (80 %)\n"), "{part}");
}

#[test]
fn the_account_outlives_its_json() {
    let account = account();
    let text = serde_json::to_string(&account).unwrap();
    let back: Account = serde_json::from_str(&text).unwrap();
    assert_eq!((back.trained_on, back.options), (account.trained_on, account.options));
    assert_eq!(back.judged[0].confusion, account.judged[0].confusion);
}

#[test]
fn the_plot_has_a_point_for_each_bin_that_has_rows() {
    let mut bins = vec![ReliabilityBin::default(); 10];
    bins[5] = ReliabilityBin { rows: 10, said: 0.5, right: 0.25 };
    bins[9] = ReliabilityBin { rows: 20, said: 1.0, right: 1.0 };
    let reliability = Reliability { bins, ece: 0.0, brier: 0.0 };
    let svg = reliability_svg(&reliability, &Reliability::default());
    assert_eq!(svg.matches("<circle").count(), 2);
    assert!(svg.contains("M 200.0 280.0 L 360.0 40.0"), "{svg}");
    assert!(svg.starts_with("<svg") && svg.ends_with("</svg>\n"));
}
