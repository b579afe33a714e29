//! What a model makes of tools that it never saw, on the laboratory's windows.

use std::path::Path;

use smartfw_core::model::BENIGN;
use smartfw_learn::{
    folds::Folds,
    table::{ReadOptions, Table, read_file},
    train::{TrainOptions, ask, judge_groups, with_threads},
};

#[test]
fn nine_in_ten_windows_of_tools_that_were_left_out_are_recognised() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/lab/windows.csv.gz");
    let (table, _) = read_file(&path, &ReadOptions::default()).unwrap().tidy();
    let folds = attack_tools(&table);
    let options = TrainOptions::default();
    let answers = with_threads(0, || ask(&table, &folds, &options, &mut |_| ())).unwrap();
    let groups = judge_groups(&table, &folds, &answers);
    for group in &groups {
        println!("{}\t{}\t{} windows\t{:.2} found", group.name, group.class, group.rows, group.recall);
    }
    assert!(groups.len() >= 15, "every class is to be learned without any one tool");
    let mean = groups.iter().map(|group| group.recall).sum::<f64>() / groups.len() as f64;
    println!("mean {mean:.3}");
    assert!(mean >= 0.9, "the mean recall of left-out tools is {mean:.3}");
}

/// Each attack tool is left out in turn; what is benign is always learned from.
fn attack_tools(table: &Table) -> Folds {
    let mut names = Vec::<String>::new();
    let fold = |row: usize| {
        if table.class().name_of(row) == BENIGN {
            return None;
        }
        let tool = table.tool().name_of(row);
        let known = names.iter().position(|name| name == tool);
        Some(known.unwrap_or_else(|| {
            names.push(tool.to_owned());
            names.len() - 1
        }) as u16)
    };
    let of = (0..table.len()).map(fold).collect();
    Folds { of, names }
}
