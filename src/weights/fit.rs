//! Whether the tensors of a file fit the variables of a `VarStore`.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::Path,
};

use tch::{Kind, Tensor};

use super::{
    BATCH_COUNTER,
    source::Stored,
    wrappers::{self, Ambiguous, Assignment},
};
use crate::error::{Error, Result};

/// The maximal number of names in each list of an error.
const SHOWN: usize = 6;

/// What is accepted beside equal names, shapes and dtypes.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Tolerance {
    /// Variables without a tensor and tensors without a variable.
    pub(super) partial: bool,
    /// Floating-point tensors of another precision.
    pub(super) convert: bool,
}

/// The variables with their values in a file.
#[derive(Debug)]
pub(super) struct Fit {
    pub(super) fitting: Vec<(String, Tensor, Stored)>,
    /// Variables that the file does not have.
    pub(super) missing: Vec<String>,
    /// Tensors of the file without a variable, except counters.
    pub(super) unexpected: Vec<String>,
}

/// Pairs every variable with its value in the file at `path`, which has the tensors `stored`.
///
/// # Errors
/// [`Error::Data`] with everything that does not fit.
pub(super) fn fit(
    path: &Path,
    variables: &BTreeMap<String, Tensor>,
    stored: &BTreeMap<String, Stored>,
    tolerance: Tolerance,
) -> Result<Fit> {
    let (names, keys) = (names(variables), names(stored));
    let Assignment { reading, keys: assigned } = wrappers::assign(&names, &keys)
        .map_err(|ambiguous| several_candidates(path, &ambiguous))?;
    let used: BTreeSet<&str> = assigned.values().copied().collect();
    let is_ignored = |key: &str| {
        key.rsplit('.').next() == Some(BATCH_COUNTER)
            || stored[key].left_out
            || reading.is_averaging_counter(key)
    };
    let unexpected = keys.iter().filter(|key| !used.contains(*key) && !is_ignored(key));
    let unexpected: Vec<String> = unexpected.map(|&key| key.to_owned()).collect();
    let mut unfit = Unfit { removed: reading.prefix.clone(), ..Unfit::default() };
    let (mut fitting, mut missing) = (Vec::new(), Vec::new());
    for (name, variable) in variables {
        match assigned.get(name.as_str()).map(|key| &stored[*key]) {
            None => missing.push(name.clone()),
            Some(value) if unfit.accepts(name, variable, value, tolerance.convert) => {
                fitting.push((name.clone(), variable.shallow_clone(), value.share()));
            }
            Some(_) => {}
        }
    }
    if !tolerance.partial || used.is_empty() {
        unfit.missing.clone_from(&missing);
        unfit.unexpected = unexpected.iter().map(|key| described(key, &stored[key])).collect();
    }
    let weights = keys.iter().copied().filter(|key| !is_ignored(key)).collect();
    unfit.check(path, &names, &weights).map(|()| Fit { fitting, missing, unexpected })
}

fn names<T>(map: &BTreeMap<String, T>) -> BTreeSet<&str> {
    map.keys().map(String::as_str).collect()
}

fn described(name: &str, stored: &Stored) -> String {
    format!("{name} ({:?} {})", stored.shape, stored.dtype)
}

fn several_candidates(path: &Path, Ambiguous { name, candidates }: &Ambiguous) -> Error {
    Error::data(
        path,
        format!("tensor {name:?}"),
        "one candidate",
        format!("{}: {}", candidates.len(), candidates.join(", ")),
        "keep one set of weights in the file, for example that of the averaged or of the trained \
         model",
    )
}

/// Everything that does not fit.
#[derive(Default)]
struct Unfit {
    missing: Vec<String>,
    unexpected: Vec<String>,
    different: Vec<String>,
    /// The prefix that was removed from the names in the file.
    removed: String,
    other_shape: bool,
    /// Pairs of a variable's dtype and another floating-point dtype of its value.
    other_precision: Vec<(Kind, Kind)>,
    /// Whether a value has a dtype that is not another precision.
    other_dtype: bool,
}

impl Unfit {
    /// Returns whether the value in the file has the variable's shape and dtype, and notes the
    /// difference otherwise.
    fn accepts(&mut self, name: &str, variable: &Tensor, stored: &Stored, convert: bool) -> bool {
        let (size, own) = (variable.size(), variable.kind());
        let same_shape = size.iter().map(|&n| usize::try_from(n).ok());
        let same_shape = same_shape.eq(stored.shape.iter().map(|&n| Some(n)));
        let kind = stored.kind;
        let is_float =
            |kind| matches!(kind, Kind::Half | Kind::BFloat16 | Kind::Float | Kind::Double);
        let converted = convert && is_float(own) && kind.is_some_and(is_float);
        if same_shape && (kind == Some(own) || converted) {
            return true;
        }
        self.other_shape |= !same_shape;
        match kind {
            Some(kind) if kind == own || converted => {}
            Some(kind) if is_float(kind) && is_float(own) => {
                self.other_precision.push((own, kind));
            }
            _ => self.other_dtype = true,
        }
        let kind = kind.map_or_else(|| stored.dtype.clone(), |kind| format!("{kind:?}"));
        let (here, there) = (format!("{size:?} {own:?}"), format!("{:?} {kind}", stored.shape));
        self.different.push(format!("{name} (here {here}, there {there})"));
        false
    }

    fn check(self, path: &Path, names: &BTreeSet<&str>, keys: &BTreeSet<&str>) -> Result<()> {
        let lists = [
            list("missing", &self.missing),
            list("unexpected", &self.unexpected),
            list("of another shape or dtype", &self.different),
        ];
        let lists: Vec<String> = lists.into_iter().flatten().collect();
        if lists.is_empty() {
            return Ok(());
        }
        let found = match self.removed.as_str() {
            "" => lists.join("; "),
            prefix => format!("without the prefix {prefix:?}: {}", lists.join("; ")),
        };
        let expected = format!("the {} of the VarStore, with their shapes and dtypes", names.len());
        Err(Error::data(path, "tensors", expected, found, self.hint(path, names, keys)))
    }

    /// How to correct what was found.
    fn hint(&self, path: &Path, names: &BTreeSet<&str>, keys: &BTreeSet<&str>) -> String {
        let mut hints = Vec::new();
        if !self.missing.is_empty() {
            hints.push(missing_hint(path, names, keys));
        } else if self.other_shape {
            hints.push("build the same network as the saved one".to_owned());
        } else if !self.unexpected.is_empty() {
            hints.push(
                "leave the unexpected tensors out of the file, or build a network that has \
                        them"
                    .to_owned(),
            );
        }
        if let Some((own, kind)) = self.other_precision.first() {
            hints.push(format!(
                "convert the tensors of the file to {own:?}, or the network to {kind:?} with \
                 `VarStore::set_kind`"
            ));
        }
        if self.other_dtype {
            hints.push("convert the tensors of the file to the network's dtypes".to_owned());
        }
        hints.join("; ")
    }
}

fn missing_hint(path: &Path, names: &BTreeSet<&str>, keys: &BTreeSet<&str>) -> String {
    if let Some(prefix) = common_prefix(names, keys) {
        return format!(
            "every name is in the file after {prefix:?}: remove this prefix in Python, or build the \
             network at a path of this name"
        );
    }
    if let Some(prefix) = common_prefix(keys, names) {
        return format!(
            "every name of the file is in the VarStore after {prefix:?}: add this prefix in Python, \
             or load the file into a VarStore of this part alone"
        );
    }
    let stem = path.file_stem().unwrap_or_default().to_string_lossy();
    if let Some((_, count)) = stem.rsplit_once("-of-").filter(|(_, n)| n.parse::<u32>().is_ok()) {
        return format!(
            "the file is one of {count} shards by its name: join them in Python, with \
             `safetensors.torch.load_file` for each and one `save_file`"
        );
    }
    "build the same network as the saved one".to_owned()
}

/// The prefix after which `all` contains each of `names`, if there is one.
fn common_prefix<'a>(names: &BTreeSet<&str>, all: &BTreeSet<&'a str>) -> Option<&'a str> {
    let first = names.first()?;
    let mut prefixes = all.iter().filter_map(|key| key.strip_suffix(first));
    prefixes.find(|prefix| {
        prefix.ends_with('.')
            && names.iter().all(|name| all.contains(format!("{prefix}{name}").as_str()))
    })
}

/// For example "3 missing: a, b, c", with at most [`SHOWN`] names; `None` without names.
fn list(what: &str, names: &[String]) -> Option<String> {
    let shown = &names[..names.len().min(SHOWN)];
    let more = if names.len() > shown.len() { ", …" } else { "" };
    (!names.is_empty()).then(|| format!("{} {what}: {}{more}", names.len(), shown.join(", ")))
}
