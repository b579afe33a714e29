//! Which models are kept: taking them in, giving them out, listing them.

use smartfw_core::model::Model;
use smartfw_learn::{Card, ModelFile, Signer, card::is_name};
use smartfw_proto::view::{ModelHead, ModelImported, ModelPlaces, ModelRow, Voucher};

use super::{BUILT_IN, Kept, LEARNED, Models, ModelsError};
use crate::health::Matter;

impl Models {
    /// Every model that is kept, the built-in one first.
    ///
    /// # Errors
    /// When the folder cannot be read.
    pub fn list(&self) -> Result<Vec<ModelRow>, ModelsError> {
        let kept = self.kept();
        let mut names = self.folder.names()?;
        names.extend(self.built_in.as_ref().map(|_| BUILT_IN.to_owned()));
        names.sort_by_key(|name| (name != BUILT_IN, name.clone()));
        Ok(names.into_iter().map(|name| self.row(&kept, name)).collect())
    }

    /// Keeps a model that was signed by somebody who is believed, or by whom the head names. Nothing judges by it yet.
    ///
    /// # Errors
    /// [`ModelsError`] says why it is not kept.
    pub fn import(&self, file: &ModelFile, head: ModelHead) -> Result<ModelImported, ModelsError> {
        let mut kept = self.kept();
        let name = head.name.unwrap_or_else(|| file.card().name.clone());
        if !is_name(&name) {
            return Err(ModelsError::Name(name));
        }
        let (signer, trust) = (file.signer(), head.trust.map(Signer));
        if let Some(trust) = trust.filter(|trust| *trust != signer) {
            return Err(ModelsError::OtherKey { signer, trust });
        }
        let (known, mut state) = (self.voucher(&kept, signer), kept.state.clone());
        match (known, trust) {
            // What the configuration says today it may not say tomorrow.
            (None | Some(Voucher::Configured), Some(_)) => state.trust(signer)?,
            (None, None) => return Err(ModelsError::Stranger { name, signer }),
            (Some(_), _) => {}
        }
        let new = self.folder.add(&name, file.as_bytes())?;
        if state != kept.state {
            state.write(&self.folder.state()).inspect_err(|_| {
                if new {
                    let _ = self.folder.remove(&name);
                }
            })?;
            kept.state = state;
        }
        let voucher = known.or(Some(Voucher::Imported));
        Ok(ModelImported { name, signer: signer.0, voucher })
    }

    /// Keeps a model under the name on its card: what learning on this node makes. See [`sign`](Self::sign).
    ///
    /// # Errors
    /// As [`import`](Self::import).
    pub fn put(&self, file: &ModelFile) -> Result<String, ModelsError> {
        self.import(file, ModelHead::default()).map(|taken| taken.name)
    }

    /// Signs a model with this node's own key, which is made at the first need.
    ///
    /// # Errors
    /// When there is no key and none can be made, or the card is none.
    pub fn sign(&self, model: &Model, card: &Card) -> Result<ModelFile, ModelsError> {
        let mut kept = self.kept();
        let key = match kept.key.take() {
            Some(key) => key,
            None => self.folder.make_key()?,
        };
        self.health.clear(Matter::ModelKey);
        let key = kept.key.insert(key);
        ModelFile::write(model, card, key)
            .map_err(|source| ModelsError::File { name: card.name.clone(), source })
    }

    /// A model as it is kept, whoever signed it.
    ///
    /// # Errors
    /// When there is none of this name, or it is damaged.
    pub fn export(&self, name: &str) -> Result<ModelFile, ModelsError> {
        let _kept = self.kept();
        self.read(name)
    }

    /// Forgets a model that has no place.
    ///
    /// # Errors
    /// When there is none of this name, or it has a place.
    pub fn remove(&self, name: &str) -> Result<ModelPlaces, ModelsError> {
        let kept = self.kept();
        if kept.state.places.hold(name) {
            return Err(ModelsError::Placed(name.to_owned()));
        }
        self.folder.remove(name)?;
        Ok(self.places(&kept.state.places))
    }

    /// Forgets what learning made and what has no place. A person's model stays, whatever its name.
    ///
    /// # Errors
    /// When the folder cannot be read, or a file not be removed.
    pub(crate) fn sweep(&self) -> Result<(), ModelsError> {
        let kept = self.kept();
        let mut names = self.folder.names()?;
        names.retain(|name| name.starts_with(LEARNED) && !kept.state.places.hold(name));
        let own = |file: ModelFile| self.voucher(&kept, file.signer()) == Some(Voucher::Own);
        names.retain(|name| self.folder.read(name).is_ok_and(own));
        names.iter().try_for_each(|name| self.folder.remove(name))
    }

    /// The highest number of a model that is kept under a name as learning gives them, whoever made it; 0 where
    /// there is none.
    ///
    /// # Errors
    /// When the folder cannot be read.
    pub(crate) fn last_learned(&self) -> Result<u64, ModelsError> {
        let _kept = self.kept();
        let names = self.folder.names()?;
        // Learning never comes to higher ones; a person's may bear any.
        let numbers = names.iter().filter_map(|name| name.strip_prefix(LEARNED)?.parse::<u32>().ok());
        Ok(numbers.max().map_or(0, u64::from))
    }

    fn row(&self, kept: &Kept, name: String) -> ModelRow {
        let (used, shadow) = self.names();
        let is = |place: &Option<String>| place.as_ref() == Some(&name);
        let row = ModelRow {
            used: is(&used),
            shadow: is(&shadow),
            previous: is(&kept.state.places.previous),
            ..ModelRow::default()
        };
        let file = match self.read(&name) {
            Ok(file) => file,
            Err(why) => return ModelRow { name, fault: why.to_string(), ..row },
        };
        let (card, signer) = (file.card(), file.signer());
        let voucher = self.voucher(kept, signer);
        let stranger = || ModelsError::Stranger { name: name.clone(), signer }.to_string();
        ModelRow {
            trainer: card.trainer().unwrap_or_default().to_owned(),
            created: card.created.clone(),
            rows: card.rows(),
            macro_f1: card.macro_f1(),
            signer: Some(signer.0),
            voucher,
            fault: if voucher.is_none() { stranger() } else { String::new() },
            name,
            ..row
        }
    }
}
