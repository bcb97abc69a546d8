//! What a file of answers must belong to.

use std::fmt;

use serde::{Deserialize, Serialize};
use tch::Kind;

use super::Header;
use crate::{
    error::{self, Result},
    file::Digest,
    modality::Modality,
};

/// Whose answers a file holds, and about what: a file with another identity is refused.
///
/// # Example
/// ```
/// use g2d::{Identity, teacher::cache::Digest};
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
    pub(super) modality: Modality,
    pub(super) weights: Digest,
    pub(super) data: Digest,
    pub(super) view: Option<String>,
    feature_shape: Option<Vec<i64>>,
    classes: Option<i64>,
}

impl Identity {
    /// Of a teacher of `modality` with these `weights`, asked about `data`.
    ///
    /// `weights` are [`Digest::of_weights`] or [`Digest::of_file`]. `data` stands for the samples,
    /// their ids and targets, and all that makes their inputs: [`Digest::of`] and
    /// [`Digest::of_samples`].
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

    /// Names the augmented view that the teacher saw, by name or number: one file a view.
    pub fn view(mut self, view: impl fmt::Display) -> Self {
        self.view = Some(view.to_string());
        self
    }

    /// The shape of a sample's features without the batch, `[d_m]` say; without this any is right.
    pub fn feature_shape(mut self, shape: impl Into<Vec<i64>>) -> Self {
        self.feature_shape = Some(shape.into());
        self
    }

    /// The number of classes (or predictions) C; without this any is right.
    pub fn classes(mut self, classes: i64) -> Self {
        self.classes = Some(classes);
        self
    }

    /// Refuses a header of another identity or storage, and says all that differs.
    pub(super) fn check(&self, storage: Storage, found: &Header) -> Result<()> {
        let view = |view: Option<&str>| view.map_or("none".to_owned(), |view| format!("{view:?}"));
        let mut facts = vec![
            ("modality", format!("{:?}", self.modality), format!("{:?}", found.modality())),
            ("teacher weights", self.weights.to_string(), found.weights().to_string()),
            ("data", self.data.to_string(), found.data().to_string()),
            ("view", view(self.view.as_deref()), view(found.view())),
            ("storage", format!("{storage:?}"), format!("{:?}", found.storage())),
        ];
        facts.extend(self.shapes(found.feature_shape(), found.classes()));
        let hint = "it belongs to something else: keep a file for each teacher, data set and view, \
                    or delete this one and record anew";
        compare("teacher cache", &facts, hint)
    }

    /// Refuses answers of other shapes before they are recorded.
    pub(super) fn check_shapes(&self, features: &[i64], classes: i64) -> Result<()> {
        let hint = "give the identity the teacher's shapes, or record the right teacher";
        compare("teacher to record", &self.shapes(features, classes), hint)
    }

    /// The shapes that are bound, beside those found.
    fn shapes(&self, features: &[i64], classes: i64) -> Vec<Fact> {
        let shape = self.feature_shape.as_ref();
        let shape =
            shape.map(|wanted| ("feature shape", format!("{wanted:?}"), format!("{features:?}")));
        let count = self.classes.map(|wanted| ("classes", wanted.to_string(), classes.to_string()));
        shape.into_iter().chain(count).collect()
    }
}

/// A name, what it should be and what it is.
type Fact = (&'static str, String, String);

/// Refuses facts that are not as they should be, all in one message.
fn compare(what: &str, facts: &[Fact], hint: &str) -> Result<()> {
    let differing: Vec<_> = facts.iter().filter(|(_, wanted, found)| wanted != found).collect();
    if differing.is_empty() {
        return Ok(());
    }
    let list = |pick: fn(&Fact) -> &String| {
        let named = differing.iter().map(|fact| format!("{} {}", fact.0, pick(fact)));
        named.collect::<Vec<_>>().join(", ")
    };
    Err(error::cache(what, list(|fact| &fact.1), list(|fact| &fact.2), hint))
}

/// In which kind a file keeps features; logits and targets are always kept exactly, and so is ρ.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Storage {
    /// As the teacher gave them.
    #[default]
    Full,
    /// 16 bits with 11 of precision (relative error at most 2⁻¹¹ above 6.1e-5); a feature beyond
    /// ±65504 is refused.
    Half,
    /// 16 bits with 8 of precision (relative error at most 2⁻⁸) and the range of `Float`.
    BFloat16,
}

impl Storage {
    /// The kind in which features of `kind` are kept.
    pub(super) fn kind(self, kind: Kind) -> Kind {
        match self {
            Self::Full => kind,
            Self::Half => Kind::Half,
            Self::BFloat16 => Kind::BFloat16,
        }
    }
}

/// The kind in which a file's numbers are given back: `Float` for 16 bits.
pub(super) fn given_back(kind: Kind) -> Kind {
    if matches!(kind, Kind::Half | Kind::BFloat16) { Kind::Float } else { kind }
}
