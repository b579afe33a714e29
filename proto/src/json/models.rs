//! Models and lessons.

use std::fmt::Write as _;

use serde_json::{Value, json};
use smartfw_core::record::Lesson;

use super::{features, rfc3339};
use crate::view::{ModelImported, ModelPlaces, ModelRow};

/// A model that is kept. `signer` is the public key in hexadecimal digits.
pub fn model(row: &ModelRow) -> Value {
    let said = |text: &String| Some(text.clone()).filter(|text| !text.is_empty());
    json!({
        "kind": "model",
        "name": row.name,
        "trainer": said(&row.trainer),
        "created": said(&row.created),
        "rows": row.rows,
        "macro_f1": row.macro_f1,
        "signer": row.signer.map(|key| hex(&key)),
        "voucher": row.voucher.map(|voucher| voucher.as_str()),
        "used": row.used,
        "shadow": row.shadow,
        "previous": row.previous,
        "fault": said(&row.fault),
    })
}

/// Which models have a place.
pub fn model_places(places: &ModelPlaces) -> Value {
    json!({"kind": "models", "used": places.used, "shadow": places.shadow, "previous": places.previous})
}

/// A model that was taken.
pub fn model_imported(taken: &ModelImported) -> Value {
    json!({
        "kind": "model_imported",
        "name": taken.name,
        "signer": hex(&taken.signer),
        "voucher": taken.voucher.map(|voucher| voucher.as_str()),
    })
}

/// A person's correction.
pub fn lesson(lesson: &Lesson) -> Value {
    json!({
        "kind": "lesson",
        "time": rfc3339(lesson.at),
        "id": lesson.id.to_string(),
        "target": lesson.target.to_string(),
        "class": lesson.class.as_str(),
        "detector": lesson.detector.as_str(),
        "features": lesson.features.as_ref().map(features),
    })
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        // Writing to a string cannot fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{json::text, view::Voucher};

    #[test]
    fn what_a_card_does_not_say_is_null() {
        let row = ModelRow { name: "builtin".into(), used: true, ..ModelRow::default() };
        assert_eq!(
            text(&model(&row)),
            r#"{"kind":"model","name":"builtin","trainer":null,"created":null,"rows":null,"macro_f1":null,"signer":null,"voucher":null,"used":true,"shadow":false,"previous":false,"fault":null}"#
        );
        let taken = ModelImported { name: "a".into(), signer: [0xab; 32], voucher: Some(Voucher::Own) };
        assert_eq!(model_imported(&taken)["signer"], "ab".repeat(32));
    }
}
