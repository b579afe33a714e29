//! Who judges: as a person chooses, and as learning may change it.

use smartfw_proto::view::{ModelPlaces, Voucher};

use super::{BUILT_IN, Judging, Kept, LEARNED, Models, ModelsError, Named, PREVIOUS, Places, State};
use crate::health::Matter;

impl Models {
    /// Judges by this model from now on; by `previous` the one that judged before. What learning had on trial was
    /// compared with another, and is no more.
    ///
    /// # Errors
    /// When it cannot be read, is not believed, or the choice cannot be stored; then nothing changes.
    pub fn use_(&self, name: &str) -> Result<ModelPlaces, ModelsError> {
        let mut kept = self.kept();
        let name = match name {
            PREVIOUS => kept.state.places.previous.clone().ok_or(ModelsError::NoPrevious)?,
            name => name.to_owned(),
        };
        let named = self.load(&kept, &name)?;
        let mut judging = self.judging().clone();
        let before = judging.used.replace(named).map(|before| before.name);
        let chosen = kept.state.places.clone();
        let mut places =
            Places { used: name.clone(), shadow: chosen.persons_shadow(), trial: None, ..chosen };
        if before.as_ref() != Some(&name) {
            places.previous = before;
        }
        places.shadow.take_if(|shadow| *shadow == name);
        if places.shadow.is_none() {
            judging.shadow = None;
        }
        self.settle(&mut kept, places, judging)
    }

    /// Lets a model judge beside the one in use, without a say.
    ///
    /// # Errors
    /// As [`use_`](Self::use_).
    pub fn shadow(&self, name: Option<&str>) -> Result<ModelPlaces, ModelsError> {
        let mut kept = self.kept();
        let mut judging = self.judging().clone();
        if judging.used.as_ref().is_some_and(|used| Some(used.name.as_str()) == name) {
            return Err(ModelsError::Judges(name.unwrap_or_default().to_owned()));
        }
        judging.shadow = name.map(|name| self.load(&kept, name)).transpose()?;
        let mut places = kept.state.places.clone();
        if places.trial.is_some() && places.trial == places.shadow {
            places.trial = None;
        }
        places.shadow = name.map(str::to_owned);
        self.settle(&mut kept, places, judging)
    }

    /// What was chosen, by people and by learning.
    pub fn chosen(&self) -> Places {
        self.kept().state.places.clone()
    }

    /// Whether learning may replace the model that was chosen: what people took from elsewhere, under whatever name,
    /// cannot be made better from here.
    pub(crate) fn may_replace(&self) -> bool {
        self.is_ours(&self.kept().state.places.used)
    }

    /// Changes for learning who judges: both places at once or, with an error, none. `plan` sees what is chosen while
    /// nobody else can choose.
    pub(crate) fn arrange(
        &self,
        plan: impl FnOnce(&Places) -> Result<Places, ModelsError>,
    ) -> Result<(), ModelsError> {
        let mut kept = self.kept();
        let before = kept.state.places.clone();
        if !self.is_ours(&before.used) && before.trial.is_none() {
            return Err(ModelsError::Overtaken);
        }
        let mut places = plan(&before)?;
        if places.used != before.used {
            places.previous = Some(before.used);
        }
        let used = Some(self.seat(&kept, &places.used)?);
        let shadow = places.shadow.as_ref().map(|name| self.seat(&kept, name)).transpose()?;
        self.settle(&mut kept, places, Judging { used, shadow }).map(|_| ())
    }

    fn is_ours(&self, chosen: &str) -> bool {
        let learned = |used: &Named| used.name == chosen && used.voucher == Voucher::Own;
        let judges = || self.judging().used.as_ref().is_some_and(learned);
        chosen == BUILT_IN || (chosen.starts_with(LEARNED) && judges())
    }

    /// Who judges already stays the same to the sensor, which begins a comparison anew for another.
    fn seat(&self, kept: &Kept, name: &str) -> Result<Named, ModelsError> {
        let Judging { used, shadow } = self.judging().clone();
        let seated = [used, shadow].into_iter().flatten().find(|named| named.name == name);
        seated.map_or_else(|| self.load(kept, name), Ok)
    }

    /// Stores a choice, and tells the sensor.
    fn settle(&self, kept: &mut Kept, places: Places, judging: Judging) -> Result<ModelPlaces, ModelsError> {
        let state = State { places, ..kept.state.clone() };
        state.write(&self.folder.state())?;
        kept.state = state;
        let chosen = &kept.state.places;
        let fulfilled = judging.used.as_ref().is_some_and(|used| used.name == chosen.used);
        let shadowed = judging.shadow.is_some() == chosen.shadow.is_some();
        *self.judging() = judging;
        self.feed.models(self.judges());
        [(fulfilled, Matter::Model), (shadowed, Matter::ShadowModel)]
            .into_iter()
            .filter(|(right, _)| *right)
            .for_each(|(_, matter)| self.health.clear(matter));
        Ok(self.places(chosen))
    }

    pub(super) fn places(&self, chosen: &Places) -> ModelPlaces {
        let (used, shadow) = self.names();
        ModelPlaces { used, shadow, previous: chosen.previous.clone() }
    }
}
