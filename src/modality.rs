//! The names of modalities, and hyper-parameters with a value per modality.

use std::{fmt, sync::Arc};

use serde::{Deserialize, Serialize};

use crate::error::{self, Result};

/// The name of a modality, such as `audio`.
///
/// The crate identifies a modality by its index in the student's order. The name appears in
/// messages, parameter prefixes, file names and columns.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Modality(Arc<str>);

impl Modality {
    /// A modality called `name`.
    pub fn new(name: impl AsRef<str>) -> Self {
        Self(name.as_ref().into())
    }

    /// The name.
    pub fn name(&self) -> &str {
        &self.0
    }

    /// Modalities in the order of `names`.
    pub fn list<S: AsRef<str>>(names: impl IntoIterator<Item = S>) -> Vec<Self> {
        names.into_iter().map(Self::new).collect()
    }

    /// Checks that there are at least two modalities, with distinct names of ASCII letters, digits,
    /// `_` and `-`, which columns and file names can hold.
    ///
    /// # Errors
    /// [`Error::Config`](crate::Error::Config).
    pub fn check_names(modalities: &[Self]) -> Result<()> {
        if modalities.len() < 2 {
            let found = format!("{modalities:?}");
            let hint =
                "G²D balances modalities against each other: return two or more from `modalities`";
            return Err(error::config("modalities of the student", "at least 2", found, hint));
        }
        for (m, modality) in modalities.iter().enumerate() {
            let name = modality.name();
            let legal = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '-';
            if name.is_empty() || !name.chars().all(legal) {
                return Err(error::config(
                    format!("name of modality {m}"),
                    "ASCII letters, digits, '_' and '-'",
                    format!("{name:?}"),
                    "rename it: the name becomes part of columns and file names",
                ));
            }
            if modalities[..m].contains(modality) {
                return Err(error::config(
                    "modalities of the student",
                    "distinct names",
                    format!("{name:?} twice"),
                    "give every modality its own name",
                ));
            }
        }
        Ok(())
    }
}

impl fmt::Display for Modality {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for Modality {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", &*self.0)
    }
}

impl<S: AsRef<str>> From<S> for Modality {
    fn from(name: S) -> Self {
        Self::new(name)
    }
}

/// A hyper-parameter with one value for all modalities, or one for each.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(untagged, expecting = "one value for all modalities, or a list with one for each")]
pub enum PerModality<T> {
    /// The same value for all modalities.
    All(T),
    /// One value for each modality, in the student's order.
    Each(Vec<T>),
}

impl<T: Copy> PerModality<T> {
    /// The value of modality `m`.
    ///
    /// # Panics
    /// If `m` is not below the number of values; the trainer's builder checks the number.
    pub fn get(&self, m: usize) -> T {
        match self {
            Self::All(value) => *value,
            Self::Each(values) => values[m],
        }
    }
}

impl PerModality<f64> {
    /// Returns whether all values are 0.
    pub(crate) fn is_zero(&self) -> bool {
        match self {
            Self::All(value) => *value == 0.0,
            Self::Each(values) => values.iter().all(|value| *value == 0.0),
        }
    }

    /// Checks that there is a value for each of `modalities`, and that all values are `legal`,
    /// which `expected` describes.
    pub(crate) fn check(
        &self,
        what: &str,
        modalities: &[Modality],
        expected: &str,
        legal: impl Fn(f64) -> bool,
    ) -> Result<()> {
        let values = match self {
            Self::All(value) => std::slice::from_ref(value),
            Self::Each(values) if values.len() == modalities.len() => values,
            Self::Each(values) => {
                let hint = "pass one value per modality in the student's order, or one for all";
                return Err(error::one_per_modality(what, modalities, values.len(), hint));
            }
        };
        match values.iter().find(|&&value| !legal(value)) {
            None => Ok(()),
            Some(value) => Err(error::out_of_range(what, expected, value)),
        }
    }
}

impl<T> From<T> for PerModality<T> {
    fn from(value: T) -> Self {
        Self::All(value)
    }
}

impl<T, const N: usize> From<[T; N]> for PerModality<T> {
    fn from(values: [T; N]) -> Self {
        Self::Each(values.into())
    }
}
