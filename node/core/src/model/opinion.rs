//! What a model says about a window.

use super::{Model, node::MAX_CLASSES};
use crate::{Class, Features};

/// A model's word about one window.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Opinion {
    /// The most probable class; `None` is benign.
    pub class: Option<Class>,
    /// Its probability.
    pub probability: f32,
    /// The isolation forest's score: how strange the window is.
    pub anomaly: f32,
}

impl Model {
    /// Judges a window.
    pub fn judge(&self, features: &Features) -> Opinion {
        let row = features.to_array();
        let mut places = [0.0; MAX_CLASSES];
        let out = &mut places[..self.classes().len()];
        self.forest().probabilities(&row, out);
        let mut most = 0;
        for (index, probability) in out.iter().enumerate() {
            if *probability > out[most] {
                most = index;
            }
        }
        let (class, probability) = (self.classes()[most], out[most]);
        Opinion { class, probability, anomaly: self.isolation().score(&row) }
    }

    /// Whether the isolation forest finds the window strange.
    pub fn is_strange(&self, opinion: &Opinion) -> bool {
        opinion.anomaly >= self.isolation().threshold()
    }
}
