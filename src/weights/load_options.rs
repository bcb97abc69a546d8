//! Loading a part of a file into a part of a `VarStore`.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
    path::Path,
};

use tch::{Tensor, nn::VarStore};

use super::{
    fit::{Tolerance, fit},
    loaded::Loaded,
    source::Source,
};
use crate::error::{self, Error, Result};
use crate::parameters::within;

/// The maximal number of names that a displayed report lists.
const SHOWN: usize = 4;

/// Loads pretrained weights: a part of a file into a part of a `VarStore`, with a report.
///
/// Without options it does what [`load`](super::load) does, for more formats. The format follows
/// from the content of the file, not from its name:
///
/// | file | read |
/// |---|---|
/// | safetensors | yes |
/// | `VarStore::save("x.ot")` of tch | yes |
/// | `torch.save(dict(model.state_dict()), …)` of Python | yes |
/// | `torch.save(model.state_dict(), …)`, an OrderedDict; nested checkpoints; pickled modules | no; the error has the line of Python that converts them |
/// | TorchScript modules | the parameters; buffers, such as running statistics, are not listed by libtorch |
///
/// A `.ot` file is a TorchScript archive, so that reading it may run code of its author: see
/// docs/security.md.
///
/// # Example
/// ```
/// use g2d::weights::{self, LoadOptions};
/// use tch::{Device, nn};
///
/// # let folder = tempfile::tempdir()?;
/// # let path = folder.path().join("classifier.safetensors");
/// // A pretrained classifier …
/// let pretrained = nn::VarStore::new(Device::Cpu);
/// nn::linear(pretrained.root() / "encoder" / "fc", 4, 4, Default::default());
/// nn::linear(pretrained.root() / "head", 4, 1000, Default::default());
/// weights::save(&pretrained, &path)?;
/// // … whose encoder becomes that of one modality.
/// let mut vs = nn::VarStore::new(Device::Cpu);
/// nn::linear(vs.root() / "text" / "fc", 4, 4, Default::default());
/// nn::linear(vs.root() / "text" / "adapter", 4, 4, Default::default());
/// let report = LoadOptions::new().prefix("encoder").into_path("text").partial().load(&mut vs, &path)?;
/// assert_eq!(report.loaded, ["text.fc.bias", "text.fc.weight"]);
/// assert_eq!(report.kept, ["text.adapter.bias", "text.adapter.weight"]);
/// assert!(report.unused.is_empty()); // everything in the file after "encoder."
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone, Default)]
#[must_use = "these options do nothing until `load`"]
pub struct LoadOptions {
    prefix: String,
    path: String,
    skipped: Vec<String>,
    tolerance: Tolerance,
}

/// What a [`LoadOptions`] has loaded. The names are full ones, sorted.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct LoadReport {
    /// The variables that were loaded.
    pub loaded: Vec<String>,
    /// The variables of the part of the `VarStore` that keep their values: the file does not have
    /// them, or they were skipped.
    pub kept: Vec<String>,
    /// The tensors of the part of the file that no variable received, except counters of batches and
    /// of averages.
    pub unused: Vec<String>,
}

impl LoadOptions {
    /// Options that load the whole file into the whole `VarStore`.
    pub fn new() -> Self {
        Self::default()
    }

    /// Loads the tensors of the file under `prefix` (whole components, joined by `.`), which is
    /// removed from their names.
    pub fn prefix(mut self, prefix: impl Into<String>) -> Self {
        self.prefix = prefix.into();
        self
    }

    /// Loads into the variables of the `VarStore` under `path` (whole components, joined by `.`).
    pub fn into_path(mut self, path: impl Into<String>) -> Self {
        self.path = path.into();
        self
    }

    /// Leaves out `path`, below the prefix and the path: a head with other classes, for example.
    /// May be called several times.
    pub fn skip(mut self, path: impl Into<String>) -> Self {
        self.skipped.push(path.into());
        self
    }

    /// Accepts variables that the file does not have, which keep their values, and tensors for
    /// which there is no variable. At least one must be loaded. A tensor of another shape is still
    /// an error: [`skip`](Self::skip) leaves it out.
    pub fn partial(mut self) -> Self {
        self.tolerance.partial = true;
        self
    }

    /// Converts floating-point tensors to the dtypes of their variables, such as `Half` to `Float`.
    pub fn convert(mut self) -> Self {
        self.tolerance.convert = true;
        self
    }

    /// Loads the file at `path` into `vs`. Everything is checked before a variable changes.
    ///
    /// # Errors
    /// [`Error::Config`] if `vs` has no variable under the path; [`Error::Io`] if the file cannot be
    /// read; [`Error::Data`] if it has another format, has no tensor under the prefix, or does not
    /// fit, with the names that are missing, unexpected, or of another shape or dtype. `vs` is
    /// unchanged then, unless the disk fails while the values are read.
    pub fn load(&self, vs: &mut VarStore, path: impl AsRef<Path>) -> Result<LoadReport> {
        let path = path.as_ref();
        let source = Source::from_any(path)?;
        let all: BTreeMap<String, Tensor> = vs.variables().into_iter().collect();
        let here = roots(&all);
        let Part { own: variables, skipped: mut kept } = self.part(all, &self.path);
        if variables.is_empty() {
            let what = format!("path {:?} of the VarStore", self.path);
            let hint = "check the path (whole components, joined by '.'), and make the model first";
            let found = format!("none; the VarStore has the paths {here}");
            return Err(error::config(what, "variables to load", found, hint));
        }
        let all = source.tensors();
        let there = roots(&all);
        let Part { own: stored, skipped: mut unused } = self.part(all, &self.prefix);
        if stored.is_empty() {
            let what = format!("prefix {:?}", self.prefix);
            let found = format!("none; the file has the paths {there}");
            let hint = "check the prefix (whole components, joined by '.')";
            return Err(Error::data(path, what, "tensors with this prefix", found, hint));
        }
        let fit = fit(path, &variables, &stored, self.tolerance)?;
        kept.extend(fit.missing.iter().map(|name| full(&self.path, name)));
        unused.extend(fit.unexpected.iter().map(|name| full(&self.prefix, name)));
        let loaded = fit.fitting.iter().map(|(name, ..)| full(&self.path, name)).collect();
        kept.sort_unstable();
        unused.sort_unstable();
        Loaded::new(fit).apply()?;
        Ok(LoadReport { loaded, kept, unused })
    }

    /// The entries under `root`, by their names without it.
    fn part<T>(&self, all: BTreeMap<String, T>, root: &str) -> Part<T> {
        let (mut own, mut skipped) = (BTreeMap::new(), Vec::new());
        for (name, value) in all {
            let rest = match root {
                "" => Some(name.as_str()),
                _ => name.strip_prefix(root).and_then(|rest| rest.strip_prefix('.')),
            };
            match rest {
                None => {}
                Some(rest) if self.skipped.iter().any(|path| within(rest, path)) => {
                    skipped.push(name);
                }
                Some(rest) => {
                    own.insert(rest.to_owned(), value);
                }
            }
        }
        Part { own, skipped }
    }
}

/// The part of a file or of a `VarStore` that the options select.
struct Part<T> {
    /// By the names without the root of the part.
    own: BTreeMap<String, T>,
    /// The full names of what is left out.
    skipped: Vec<String>,
}

fn full(root: &str, name: &str) -> String {
    if root.is_empty() { name.to_owned() } else { format!("{root}.{name}") }
}

/// The first components of the names, as a list.
fn roots<T>(all: &BTreeMap<String, T>) -> String {
    let roots: BTreeSet<&str> = all.keys().filter_map(|name| name.split('.').next()).collect();
    format!("{roots:?}")
}

impl fmt::Display for LoadReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} variables loaded", self.loaded.len())?;
        for (what, names) in [("kept their values", &self.kept), ("were not used", &self.unused)] {
            let shown = &names[..names.len().min(SHOWN)];
            let more = if names.len() > shown.len() { ", …" } else { "" };
            if !names.is_empty() {
                write!(f, "; {} {what}: {}{more}", names.len(), shown.join(", "))?;
            }
        }
        Ok(())
    }
}
