//! Whose models are believed, besides the built-in model's maker and this node itself.

use smartfw_learn::Signer;
use smartfw_proto::view::ModelPlaces;

use super::{Models, ModelsError};
use crate::health::Matter;

impl Models {
    /// Believes a key no more that was vouched for at an import. Its models are kept, and judge no more.
    ///
    /// # Errors
    /// When nobody vouched for it so, when the configuration does as well, or while one of its models judges; then
    /// nothing changes.
    pub fn distrust(&self, signer: Signer) -> Result<ModelPlaces, ModelsError> {
        let mut kept = self.kept();
        if kept.configured.contains(&signer) {
            return Err(ModelsError::Configured(signer));
        }
        let mut state = kept.state.clone();
        if !state.distrust(signer) {
            return Err(ModelsError::NotTrusted(signer));
        }
        let judging = self.judging().clone();
        let own = [judging.used, judging.shadow].into_iter().flatten().find(|named| named.signer == signer);
        // A key that is also the built-in model's or this node's is believed all the same.
        if let Some(judge) = own.filter(|named| named.voucher == smartfw_proto::view::Voucher::Imported) {
            return Err(ModelsError::StillJudges(judge.name));
        }
        state.write(&self.folder.state())?;
        kept.state = state;
        Ok(self.places(&kept.state.places))
    }

    /// The configuration names these keys from now on. Whose model is believed no more judges no more, and who was
    /// chosen and not believed judges.
    pub fn believe(&self, configured: Vec<Signer>) {
        let mut kept = self.kept();
        if kept.configured != configured {
            kept.configured = configured;
            [Matter::Model, Matter::ShadowModel].into_iter().for_each(|matter| self.health.clear(matter));
            self.begin(&kept);
        }
    }
}
