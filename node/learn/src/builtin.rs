//! The model that ships with the program, so that a fresh node detects.

use std::sync::OnceLock;

use crate::ModelFile;

/// Made by `smartfw-cli train tests/lab/windows.csv.gz --name shipped --seed 1`; its card says how it was judged.
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
        table::{ReadOptions, read_file},
    };

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
    fn the_model_that_ships_tells_attacks_by_tools_that_it_never_saw_from_honest_clients() {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/lab/held-out.csv.gz");
        let table = read_file(&path, &ReadOptions::default()).unwrap();
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
