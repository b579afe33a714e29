//! How good models are, as tables.

use smartfw_learn::train::{GroupScore, Judged};

use crate::{
    failure::Failure,
    output::{Grid, Output, grouped},
};

/// One row for each way of judging.
pub(super) fn ways(output: &mut Output, judged: &[Judged]) -> Result<(), Failure> {
    let headings = ["LEFT OUT", "MACRO F1", "WEIGHTED F1", "FALSE ALARMS", "CALIBRATION ERROR"];
    let mut grid = Grid::new(&headings).numbers(&[1, 2, 3, 4]);
    for one in judged {
        grid.row([
            one.left_out.clone(),
            score(one.macro_f1),
            score(one.weighted_f1),
            percent(one.benign_false_positives),
            score(one.calibrated.ece),
        ]);
    }
    output.table(grid, 0)
}

/// One row for each class.
pub(super) fn classes(output: &mut Output, judged: &Judged) -> Result<(), Failure> {
    let headings = ["CLASS", "ROWS", "PRECISION", "RECALL", "F1", "STRANGE"];
    let mut grid = Grid::new(&headings).numbers(&[1, 2, 3, 4, 5]);
    for one in judged.confusion.scores() {
        let strange = judged.strange.iter().find(|strange| strange.class == one.class);
        grid.row([
            one.class,
            grouped(one.rows),
            score(one.precision),
            score(one.recall),
            score(one.f1),
            strange.map_or_else(|| "-".to_owned(), |strange| percent(strange.share)),
        ]);
    }
    output.table(grid, 0)
}

/// One row for each group.
pub(super) fn groups(output: &mut Output, groups: &[GroupScore]) -> Result<(), Failure> {
    let headings = ["GROUP", "CLASS", "ROWS", "RECALL", "CALLED ATTACK"];
    let mut grid = Grid::new(&headings).numbers(&[2, 3, 4]);
    for one in groups {
        let (name, class) = (one.name.clone(), one.class.clone());
        grid.row([name, class, grouped(one.rows), score(one.recall), percent(one.called_attack)]);
    }
    output.table(grid, 0)
}

fn score(value: f64) -> String {
    format!("{value:.4}")
}

fn percent(share: f64) -> String {
    format!("{:.2}%", 100.0 * share)
}
