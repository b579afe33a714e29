//! Models, as a daemon tells of them and is given them.

use smartfw_core::{Features, Time, record::Lesson};

use super::{
    ConvertError, Problem,
    peer::{bytes, fixed},
    scalar::{Result, clip, clip_finite, clipped, finite, list, name, required, target, text},
};
use crate::{
    limits,
    view::{ImportModelPiece, ModelHead, ModelImported, ModelPlaces, ModelRow, Voucher},
    wire,
};

impl From<Option<Voucher>> for wire::Voucher {
    fn from(voucher: Option<Voucher>) -> Self {
        match voucher {
            None => Self::Unspecified,
            Some(Voucher::BuiltIn) => Self::BuiltIn,
            Some(Voucher::Own) => Self::Own,
            Some(Voucher::Configured) => Self::Configured,
            Some(Voucher::Imported) => Self::Imported,
        }
    }
}

fn voucher(field: &'static str, value: i32) -> Result<Option<Voucher>> {
    match wire::Voucher::try_from(value) {
        Ok(wire::Voucher::Unspecified) => Ok(None),
        Ok(wire::Voucher::BuiltIn) => Ok(Some(Voucher::BuiltIn)),
        Ok(wire::Voucher::Own) => Ok(Some(Voucher::Own)),
        Ok(wire::Voucher::Configured) => Ok(Some(Voucher::Configured)),
        Ok(wire::Voucher::Imported) => Ok(Some(Voucher::Imported)),
        Err(_) => Err(ConvertError::new(field, Problem::Unknown(value.into()))),
    }
}

impl From<ModelRow> for wire::ModelRow {
    fn from(row: ModelRow) -> Self {
        Self {
            name: clip(limits::NAME, row.name),
            trainer: clip(limits::NAME, row.trainer),
            created: clip(limits::NAME, row.created),
            rows: row.rows,
            macro_f1: row.macro_f1.map(clip_finite),
            signer: row.signer.map_or_else(Vec::new, |key| key.to_vec()),
            voucher: wire::Voucher::from(row.voucher).into(),
            used: row.used,
            shadow: row.shadow,
            previous: row.previous,
            fault: clip(limits::TEXT, row.fault),
        }
    }
}

impl TryFrom<wire::ModelRow> for ModelRow {
    type Error = ConvertError;
    fn try_from(row: wire::ModelRow) -> Result<Self> {
        let signer = (!row.signer.is_empty()).then(|| fixed("model.signer", &row.signer));
        Ok(Self {
            name: text("model.name", limits::NAME, row.name)?,
            trainer: text("model.trainer", limits::NAME, row.trainer)?,
            created: text("model.created", limits::NAME, row.created)?,
            rows: row.rows,
            macro_f1: row.macro_f1.map(|score| finite("model.macro_f1", score)).transpose()?,
            signer: signer.transpose()?,
            voucher: voucher("model.voucher", row.voucher)?,
            used: row.used,
            shadow: row.shadow,
            previous: row.previous,
            fault: text("model.fault", limits::TEXT, row.fault)?,
        })
    }
}

impl From<Vec<ModelRow>> for wire::ModelList {
    fn from(models: Vec<ModelRow>) -> Self {
        Self { models: clipped(limits::MODELS, models) }
    }
}

impl TryFrom<wire::ModelList> for Vec<ModelRow> {
    type Error = ConvertError;
    fn try_from(answer: wire::ModelList) -> Result<Self> {
        list("models", limits::MODELS, answer.models)
    }
}

impl From<ModelPlaces> for wire::ModelPlaces {
    fn from(ModelPlaces { used, shadow, previous }: ModelPlaces) -> Self {
        let clipped = |name: Option<String>| name.map(|name| clip(limits::NAME, name));
        Self { used: clipped(used), shadow: clipped(shadow), previous: clipped(previous) }
    }
}

impl TryFrom<wire::ModelPlaces> for ModelPlaces {
    type Error = ConvertError;
    fn try_from(wire::ModelPlaces { used, shadow, previous }: wire::ModelPlaces) -> Result<Self> {
        Ok(Self {
            used: some_name("places.used", used)?,
            shadow: some_name("places.shadow", shadow)?,
            previous: some_name("places.previous", previous)?,
        })
    }
}

/// The key that is to be believed no more.
///
/// # Errors
/// When it has another length.
pub fn distrusted(request: wire::DistrustKeyRequest) -> Result<[u8; 32]> {
    fixed("distrust_key.key", &request.key)
}

impl From<ImportModelPiece> for wire::ImportModelPiece {
    fn from(piece: ImportModelPiece) -> Self {
        let piece = match piece {
            ImportModelPiece::Head(ModelHead { name, trust }) => {
                let trust = trust.map(|key| key.to_vec());
                wire::import_model_piece::Piece::Head(wire::ImportModelHead { name, trust })
            }
            ImportModelPiece::Data(data) => wire::import_model_piece::Piece::Data(data),
        };
        Self { piece: Some(piece) }
    }
}

impl TryFrom<wire::ImportModelPiece> for ImportModelPiece {
    type Error = ConvertError;
    fn try_from(piece: wire::ImportModelPiece) -> Result<Self> {
        match required("import_model.piece", piece.piece)? {
            wire::import_model_piece::Piece::Head(wire::ImportModelHead { name, trust }) => {
                let trust = trust.map(|key| fixed("import_model.trust", &key)).transpose()?;
                Ok(Self::Head(ModelHead { name: some_name("import_model.name", name)?, trust }))
            }
            wire::import_model_piece::Piece::Data(data) => {
                Ok(Self::Data(bytes("import_model.data", limits::MODEL_PIECE, data)?))
            }
        }
    }
}

impl From<ModelImported> for wire::ModelImported {
    fn from(ModelImported { name, signer, voucher }: ModelImported) -> Self {
        let voucher = wire::Voucher::from(voucher).into();
        Self { name: clip(limits::NAME, name), signer: signer.to_vec(), voucher }
    }
}

impl TryFrom<wire::ModelImported> for ModelImported {
    type Error = ConvertError;
    fn try_from(answer: wire::ModelImported) -> Result<Self> {
        Ok(Self {
            name: text("imported.name", limits::NAME, answer.name)?,
            signer: fixed("imported.signer", &answer.signer)?,
            voucher: voucher("imported.voucher", answer.voucher)?,
        })
    }
}

impl From<Lesson> for wire::Lesson {
    fn from(Lesson { id, at, target, class, detector, features }: Lesson) -> Self {
        Self {
            id: id.0,
            at: at.as_nanos(),
            target: Some(target.into()),
            class: wire::Class::from(class).into(),
            detector: wire::Detector::from(detector).into(),
            features: features.map(Into::into),
        }
    }
}

impl TryFrom<wire::Lesson> for Lesson {
    type Error = ConvertError;
    fn try_from(lesson: wire::Lesson) -> Result<Self> {
        Ok(Self {
            id: smartfw_core::BlockId(lesson.id),
            at: Time::from_nanos(lesson.at),
            target: target("lesson.target", lesson.target)?,
            class: name("lesson.class", lesson.class)?,
            detector: name("lesson.detector", lesson.detector)?,
            features: lesson.features.map(Features::try_from).transpose()?,
        })
    }
}

impl From<Vec<Lesson>> for wire::LessonChunk {
    fn from(lessons: Vec<Lesson>) -> Self {
        Self { lessons: clipped(limits::CHUNK, lessons) }
    }
}

impl TryFrom<wire::LessonChunk> for Vec<Lesson> {
    type Error = ConvertError;
    fn try_from(chunk: wire::LessonChunk) -> Result<Self> {
        list("lessons", limits::CHUNK, chunk.lessons)
    }
}

fn some_name(field: &'static str, name: Option<String>) -> Result<Option<String>> {
    name.map(|name| text(field, limits::NAME, name)).transpose()
}
