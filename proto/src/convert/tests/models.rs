//! What a daemon tells of its models.

use smartfw_core::record::Lesson;

use super::*;
use crate::view::{ImportModelPiece, ModelHead, ModelImported, ModelPlaces, ModelRow, Voucher};

fn row() -> ModelRow {
    ModelRow {
        name: "lab".into(),
        trainer: "forest".into(),
        created: "2026-01-31T12:00:00Z".into(),
        rows: Some(7),
        macro_f1: Some(0.97),
        signer: Some([7; 32]),
        voucher: Some(Voucher::Imported),
        used: true,
        shadow: true,
        previous: true,
        fault: "it is truncated".into(),
    }
}

#[test]
fn what_a_daemon_tells_of_its_models_survives_the_wire() {
    survives!(ModelList, vec![row(), ModelRow { name: "damaged".into(), ..ModelRow::default() }]);
    for voucher in [Voucher::BuiltIn, Voucher::Own, Voucher::Configured] {
        survives!(ModelRow, ModelRow { voucher: Some(voucher), ..row() });
    }
    let (used, shadow) = (Some("builtin".to_owned()), Some("lab".to_owned()));
    survives!(ModelPlaces, ModelPlaces { used, shadow, previous: None });
    survives!(ModelImported, ModelImported { name: "lab".into(), signer: [1; 32], voucher: None });
    let head = ModelHead { name: Some("lab".into()), trust: Some([9; 32]) };
    survives!(ImportModelPiece, ImportModelPiece::Head(head));
    survives!(ImportModelPiece, ImportModelPiece::Data(vec![1, 2, 3]));
}

#[test]
fn lessons_survive_the_wire_with_and_without_their_windows() {
    let lesson = Lesson {
        id: BlockId(7),
        at: Time::from_secs(9),
        target: "203.0.113.0/24".parse().unwrap(),
        class: Class::PortScan,
        detector: Detector::Forest,
        features: Some(features()),
    };
    survives!(LessonChunk, vec![lesson.clone(), Lesson { features: None, ..lesson }]);
}

#[test]
fn a_piece_or_a_list_that_is_too_long_is_refused() {
    let data = vec![0; limits::MODEL_PIECE + 1];
    let piece = wire::ImportModelPiece::from(ImportModelPiece::Data(data));
    assert!(ImportModelPiece::try_from(piece).is_err());
    let models = vec![wire::ModelRow::from(row()); limits::MODELS + 1];
    assert!(<Vec<ModelRow>>::try_from(wire::ModelList { models }).is_err());
    for length in [0, 31, 33] {
        assert!(distrusted(wire::DistrustKeyRequest { key: vec![1; length] }).is_err());
    }
    assert_eq!(distrusted(wire::DistrustKeyRequest { key: vec![1; 32] }), Ok([1; 32]));
    let short = wire::ImportModelHead { name: None, trust: Some(vec![1; 31]) };
    let piece = Some(wire::import_model_piece::Piece::Head(short));
    assert!(ImportModelPiece::try_from(wire::ImportModelPiece { piece }).is_err());
}
