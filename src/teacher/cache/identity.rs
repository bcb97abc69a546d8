//! The teacher and the data that a file of outputs belongs to.

use std::fmt;

use super::{Header, Storage, json::Metadata};
use crate::error::{self, Result};
use crate::file::Digest;
use crate::modality::Modality;

/// The teacher and the data of a file of outputs; a file of another identity is refused.
///
/// # Example
/// ```
/// use g2d::teacher::cache::{Digest, Identity};
/// use tch::{Device, nn};
///
/// let vs = nn::VarStore::new(Device::Cpu); // the teacher's
/// let data = Digest::from_parts(["spoken digits", "training split", "64 × 48 log-mel"]);
/// let identity = Identity::new("audio", Digest::from_weights(&vs)?, data)
///     .feature_shape([128])
///     .classes(10);
/// # Ok::<(), g2d::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identity {
    modality: Modality,
    weights: Digest,
    data: Digest,
    view: Option<String>,
    feature_shape: Option<Vec<i64>>,
    classes: Option<i64>,
}

impl Identity {
    /// The identity of a teacher of `modality` with these `weights`, run over `data`.
    ///
    /// `weights` is [`Digest::from_weights`] or [`Digest::from_file`]. `data` identifies the samples,
    /// their ids and targets, and all preprocessing of their inputs: combine [`Digest::from_parts`] and
    /// [`Digest::from_samples`].
    pub fn new(modality: impl Into<Modality>, weights: Digest, data: Digest) -> Self {
        Self {
            modality: modality.into(),
            weights,
            data,
            view: None,
            feature_shape: None,
            classes: None,
        }
    }

    /// Sets the augmented view of the inputs, by name or number: one file per view.
    pub fn view(mut self, view: impl fmt::Display) -> Self {
        self.view = Some(view.to_string());
        self
    }

    /// Requires this shape of one sample's features, for example `[d_m]`; by default any is accepted.
    pub fn feature_shape(mut self, shape: impl Into<Vec<i64>>) -> Self {
        self.feature_shape = Some(shape.into());
        self
    }

    /// Requires this number of classes (or predictions) C; by default any is accepted.
    pub fn classes(mut self, classes: i64) -> Self {
        self.classes = Some(classes);
        self
    }

    /// The metadata of a file with this identity.
    pub(super) fn metadata(&self, storage: Storage) -> Metadata {
        let (modality, view) = (self.modality.clone(), self.view.clone());
        Metadata::new(modality, self.weights, self.data, view, storage)
    }

    /// Refuses a file with another identity or storage; the error lists all differences.
    pub(super) fn check(&self, storage: Storage, found: &Header) -> Result<()> {
        let view = |view: Option<&str>| view.map_or("none".to_owned(), |view| format!("{view:?}"));
        let mut facts = vec![
            fact("modality", format!("{:?}", self.modality), format!("{:?}", found.modality())),
            fact("teacher weights", self.weights, found.weights()),
            fact("data", self.data, found.data()),
            fact("view", view(self.view.as_deref()), view(found.view())),
            fact("storage", format!("{storage:?}"), format!("{:?}", found.storage())),
        ];
        facts.extend(self.shapes(found.feature_shape(), found.classes()));
        let hint =
            "use one file per teacher, data set and view, or delete this file and record again";
        compare("teacher cache", &facts, hint)
    }

    /// Refuses a teacher of another modality.
    pub(super) fn check_modality(&self, found: &Modality) -> Result<()> {
        let facts = [fact("modality", format!("{:?}", self.modality), format!("{found:?}"))];
        compare("teacher to record", &facts, "pass the teacher and the identity of one modality")
    }

    /// Refuses outputs of other shapes.
    pub(super) fn check_shapes(&self, features: &[i64], classes: i64) -> Result<()> {
        let hint = "correct the shapes of the identity, or record the right teacher";
        compare("teacher to record", &self.shapes(features, classes), hint)
    }

    /// The required shapes and those found.
    fn shapes(&self, features: &[i64], classes: i64) -> Vec<Fact> {
        let features = self.feature_shape.as_ref().map(|required| {
            fact("feature shape", format!("{required:?}"), format!("{features:?}"))
        });
        let classes = self.classes.map(|required| fact("classes", required, classes));
        features.into_iter().chain(classes).collect()
    }
}

/// A name, its required value, and the value found.
type Fact = (&'static str, String, String);

fn fact(name: &'static str, required: impl fmt::Display, found: impl fmt::Display) -> Fact {
    (name, required.to_string(), found.to_string())
}

/// Refuses facts whose values differ, all in one error.
fn compare(what: &str, facts: &[Fact], hint: &str) -> Result<()> {
    let differing: Vec<_> = facts.iter().filter(|(_, required, found)| required != found).collect();
    if differing.is_empty() {
        return Ok(());
    }
    let list = |value: fn(&Fact) -> &String| {
        let named = differing.iter().map(|fact| format!("{} {}", fact.0, value(fact)));
        named.collect::<Vec<_>>().join(", ")
    };
    Err(error::cache(what, list(|fact| &fact.1), list(|fact| &fact.2), hint))
}
