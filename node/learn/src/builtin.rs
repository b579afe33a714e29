//! The model that ships with the program, so that a fresh node detects.

use std::sync::OnceLock;

use crate::ModelFile;

/// Made by `smartfw-cli train tests/lab/windows.csv.gz --name shipped --seed 1 --created 1795996800`; its card says how it
/// was judged. That makes it anew but for the key that signs.
const BYTES: &[u8] = include_bytes!("../models/builtin.sfwm");

/// The model that ships with the program. `None` would mean that the program was built with a broken one, which a test
/// forbids; a node then goes by its rules.
pub fn builtin() -> Option<&'static ModelFile> {
    static FILE: OnceLock<Option<ModelFile>> = OnceLock::new();
    FILE.get_or_init(|| ModelFile::read(BYTES).ok()).as_ref()
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use smartfw_core::{Class, Features, model::BENIGN};

    use super::*;
    use crate::{
        calibrate::highest,
        table::{ReadOptions, Table, read_file},
        train::{TrainOptions, TrainedOn, train},
    };

    fn of_the_laboratory(name: &str) -> Table {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/lab").join(name);
        read_file(&path, &ReadOptions::default()).unwrap()
    }

    #[test]
    fn the_shipped_model_can_be_read_and_knows_the_five_attacks() {
        let file = builtin().unwrap();
        let classes = file.model().classes();
        for class in [Class::PortScan, Class::BruteForce, Class::SlowDos, Class::HttpFlood, Class::NetFlood] {
            assert!(classes.contains(&Some(class)), "{class}");
        }
        let typical = file.model().isolation().parts().typical.as_slice().try_into().unwrap();
        let judged = file.model().judge(&Features::from_array(typical));
        assert_eq!(judged.class, None, "the benign median of each feature: {judged:?}");
        assert_eq!(file.card().rows(), Some(13543), "the card tells of the tables that are kept");
    }

    #[test]
    fn the_shipped_model_is_what_training_on_the_kept_table_gives() {
        let table = of_the_laboratory("windows.csv.gz");
        let options = TrainOptions { folds: 0, ..TrainOptions::default() };
        let trained = train(&table, &options, &mut |_| ()).unwrap();
        let (shipped, card) = (builtin().unwrap().model(), builtin().unwrap().card());
        assert!(
            trained.model.encode() == shipped.encode(),
            "train it anew from the table, or put the table back"
        );
        let kept: TrainedOn = serde_json::from_value(card.trained_on.clone()).unwrap();
        assert_eq!(kept, trained.account.trained_on);
        let parameters: TrainOptions = serde_json::from_value(card.parameters.clone()).unwrap();
        assert_eq!(TrainOptions { folds: 0, ..parameters }, options);
    }

    #[test]
    fn the_model_that_ships_tells_attacks_by_tools_that_it_never_saw_from_honest_clients() {
        let table = of_the_laboratory("held-out.csv.gz");
        let forest = builtin().unwrap().model().forest();
        let mut said = vec![0.0; table.len() * forest.classes().len()];
        forest.batch(table.values(), &mut said);
        let (mut attacks, mut found, mut honest, mut accused) = (0_u32, 0_u32, 0_u32, 0_u32);
        for (row, said) in said.chunks_exact(forest.classes().len()).enumerate() {
            let attack = forest.classes()[highest(said)] != BENIGN;
            if table.class().name_of(row) == BENIGN {
                honest += 1;
                accused += u32::from(attack);
            } else {
                attacks += 1;
                found += u32::from(attack);
            }
        }
        assert!(found * 10 >= attacks * 9, "{found} of {attacks} attacks");
        assert!(accused * 200 <= honest, "{accused} of {honest} honest windows");
    }
}
