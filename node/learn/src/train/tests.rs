//! What training gives, and what it refuses.

use super::*;
use crate::{Card, samples, table::Row};

fn quick() -> TrainOptions {
    TrainOptions {
        forest: ForestOptions { trees: 20, ..ForestOptions::default() },
        ..TrainOptions::default()
    }
}

#[test]
fn the_same_table_and_seed_give_the_same_bytes_on_any_number_of_threads() {
    let table = samples::windows(3000, 0.5, 1);
    let bytes = |threads, seed| {
        let options = TrainOptions { threads, seed, folds: 0, ..quick() };
        train(&table, &options, &mut |_| ()).unwrap().model.encode()
    };
    let one = bytes(1, 7);
    assert_eq!(one, bytes(4, 7));
    assert_eq!(one, bytes(3, 7));
    assert_ne!(one, bytes(1, 8));
}

#[test]
fn the_account_says_how_the_model_was_judged_and_where_it_fails() {
    let table = samples::windows(3000, 0.3, 1);
    let mut seen = Vec::new();
    let trained = train(&table, &quick(), &mut |progress| seen.push(progress)).unwrap();
    let account = trained.account;
    assert_eq!(
        account.judged.iter().map(|judged| judged.left_out.as_str()).collect::<Vec<_>>(),
        ["rows, 5 folds", "captures, 5 folds", "one tool"]
    );
    assert!(account.judged[0].macro_f1 > 0.95, "{}", account.judged[0].macro_f1);
    assert!(account.judged[0].benign_false_positives < 0.02);
    let sure = &account.judged[0].sure;
    assert!(sure[0].found > 0.95 && sure[0].benign_false_positives < 0.02, "{sure:?}");
    assert!(sure.windows(2).all(|two| two[0].confidence < two[1].confidence && two[0].found >= two[1].found));
    let tools: Vec<_> = account.judged[2].groups.iter().map(|group| group.name.as_str()).collect();
    assert_eq!(tools, ["browser", "backup", "nmap", "masscan"], "slowhttptest is its class's only tool");
    assert_eq!(account.trained_on.captures, 30);
    assert_eq!(account.trained_on.classes[0], Count { name: "benign".into(), rows: 1200, captures: 12 });
    assert_eq!(trained.model.classes()[0], None, "benign comes first");
    let last = seen.last().unwrap();
    assert_eq!((last.stage, last.trees, last.of), (Stage::Growing, 300, 300));
    assert!(seen.windows(2).all(|two| two[0].trees < two[1].trees), "{seen:?}");
}

#[test]
fn a_tool_unlike_the_others_of_its_class_is_named_as_weak() {
    let mut table = samples::windows(2000, 0.2, 1);
    for n in 0..200 {
        let mut values = [0.0; smartfw_core::features::COUNT];
        (values[0], values[6]) = (7.0 + (n % 10) as f32 / 10.0, 3.0);
        let row = Row {
            values: &values,
            class: "port_scan",
            capture: "slow",
            tool: "slow-scan",
            family: "ipv4",
            weight: 1.0,
        };
        table.push(row).unwrap();
    }
    let account = train(&table, &quick(), &mut |_| ()).unwrap().account;
    let weak: Vec<_> = account.weak.iter().filter(|weak| weak.left_out == "one tool").collect();
    assert!(weak.iter().any(|weak| weak.name == "slow-scan" && weak.rows == 200), "{weak:?}");
    assert!(weak.iter().all(|weak| weak.name != "nmap"), "{weak:?}");
}

#[test]
fn calibration_brings_probabilities_nearer_to_what_comes_true() {
    let table = samples::windows(6000, 1.2, 3);
    let account = train(&table, &TrainOptions::default(), &mut |_| ()).unwrap().account;
    let judged = &account.judged[0];
    assert!(
        judged.calibrated.ece < judged.uncalibrated.ece,
        "{:?} {:?}",
        judged.calibrated,
        judged.uncalibrated
    );
    assert!(judged.calibrated.ece < 0.03, "{}", judged.calibrated.ece);
}

#[test]
fn a_class_without_rows_is_dropped_and_named() {
    let table = samples::windows(500, 0.3, 1);
    let rows: Vec<usize> = (0..500).filter(|row| table.class().name_of(*row) != "slow_dos").collect();
    let trained = train(&table.select(&rows), &TrainOptions { folds: 0, ..quick() }, &mut |_| ()).unwrap();
    assert_eq!(trained.account.dropped, ["slow_dos"]);
    assert_eq!(trained.model.forest().classes(), ["benign", "port_scan"]);
}

/// What is refused is refused before any of the work.
fn at_once(progress: Progress) {
    panic!("{progress:?}");
}

#[test]
fn what_cannot_be_learned_from_is_refused_with_its_reason() {
    let refused = |table: &Table| train(table, &quick(), &mut at_once).unwrap_err().to_string();
    let all = samples::windows(500, 0.3, 1);
    let only = |classes: &[&str]| {
        let rows: Vec<usize> = (0..500).filter(|row| classes.contains(&all.class().name_of(*row))).collect();
        all.select(&rows)
    };
    assert_eq!(refused(&Table::windows()), "the table has no rows");
    assert_eq!(
        refused(&only(&["port_scan"])),
        "all rows are of one class, \"port_scan\": there is nothing to tell apart"
    );
    assert!(refused(&only(&["port_scan", "slow_dos"])).starts_with("no row is of class \"benign\""));
    let other = samples::rows(2, [(vec![0.0, 1.0], "benign"), (vec![1.0, 1.0], "port_scan")]);
    let why = refused(&other);
    assert!(why.contains("other features"), "{why}");
    let mut unknown = only(&["benign"]);
    unknown.push(Row { class: "weather", ..all.row(0) }).unwrap();
    let why = refused(&unknown);
    assert!(why.contains("classes are not those"), "{why}");
}

/// Two rows of each of so many tools, whose names are as long in JSON as names can be.
fn of_tools(tools: usize) -> Table {
    let mut table = Table::windows();
    for row in 0..2 * tools {
        let mut values = [0.0; smartfw_core::features::COUNT];
        values[0] = (row % 7) as f32;
        let tool = format!("{:04}{}", row / 2, "\u{1}".repeat(crate::table::MAX_NAME - 4));
        let class = if row / 2 % 2 == 0 { "benign" } else { "port_scan" };
        let row = Row { values: &values, class, capture: "", tool: &tool, family: "ipv4", weight: 1.0 };
        table.push(row).unwrap();
    }
    table
}

/// Every tool is among what fails, and each of its numbers is as long as numbers get.
fn as_badly_as_can_be(account: &mut Account) {
    let by_tool = account.judged.last_mut().unwrap();
    for group in &mut by_tool.groups {
        (group.rows, group.recall, group.called_attack) = (u64::MAX, f64::MIN_POSITIVE, f64::MIN_POSITIVE);
    }
    let weak = by_tool.groups.iter().map(|group| Weak {
        left_out: by_tool.left_out.clone(),
        name: group.name.clone(),
        rows: group.rows,
        recall: group.recall,
    });
    account.weak = weak.collect();
}

#[test]
fn the_most_tools_that_are_taken_fit_into_the_card_and_one_more_is_refused_before_the_work() {
    let options = TrainOptions {
        forest: ForestOptions { trees: 1, ..ForestOptions::default() },
        isolation: IsolationOptions { trees: 1, ..IsolationOptions::default() },
        folds: 2,
        ..TrainOptions::default()
    };
    let most = (2..).find(|tools| admit(&of_tools(tools + 1), &options).is_err()).unwrap();
    assert!(most > 80, "{most}");
    let mut account = train(&of_tools(most), &options, &mut |_| ()).unwrap().account;
    as_badly_as_can_be(&mut account);
    let card = Card::of(&"a".repeat(64), &"a".repeat(64), &account);
    assert_eq!(card.notes.len(), 64);
    let bytes = serde_json::to_vec(&card).unwrap().len();
    assert!(bytes <= MAX_CARD && bytes > MAX_CARD * 3 / 4, "{bytes}");
    let refused = train(&of_tools(most + 1), &options, &mut at_once);
    assert!(matches!(refused, Err(TrainError::Names(_))), "{refused:?}");
}

#[test]
fn the_hash_is_of_what_is_learned_from_and_not_of_how_it_is_stored() {
    let table = samples::windows(100, 0.3, 1);
    let rows: Vec<usize> = (0..100).collect();
    let hash = |table: &Table| TrainedOn::new(table).sha256;
    assert_eq!(hash(&table), hash(&table.select(&rows)));
    assert_ne!(hash(&table), hash(&table.select(&rows[1..])));
    assert_eq!(hash(&table).len(), 64);
}
