//! Whether the tensors of a file fit the variables of a `VarStore`.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    path::Path,
};

use safetensors::tensor::TensorView;
use tch::{Kind, Tensor};

use super::{
    BATCH_COUNTER,
    wrappers::{self, Ambiguous, Assignment},
};
use crate::error::{Error, Result};
use crate::file::dtype::kind_of;

/// The maximal number of names in each list of an error.
const SHOWN: usize = 6;

/// Pairs every variable with its value in the file. `texts` are those of the file's header, in which
/// `safetensors.torch.save_model` lists the tensors that it left out.
///
/// # Errors
/// [`Error::Data`] with everything that does not fit.
pub(super) fn fit<'f>(
    path: &Path,
    variables: BTreeMap<String, Tensor>,
    mut views: BTreeMap<String, TensorView<'f>>,
    texts: &HashMap<String, String>,
) -> Result<Vec<(String, Tensor, TensorView<'f>)>> {
    let left_out = |(name, shared): (&String, &String)| {
        let view = views.get(shared).filter(|_| !views.contains_key(name))?;
        Some((name.clone(), view.clone()))
    };
    let shared: BTreeMap<String, TensorView<'_>> = texts.iter().filter_map(left_out).collect();
    let optional: BTreeSet<String> = shared.keys().cloned().collect();
    views.extend(shared);

    let (names, keys) = (names(&variables), names(&views));
    let Assignment { reading, keys: assigned } = wrappers::assign(&names, &keys)
        .map_err(|ambiguous| several_candidates(path, &ambiguous))?;
    let used: BTreeSet<&str> = assigned.values().copied().collect();
    let is_ignored = |key: &str| {
        key.rsplit('.').next() == Some(BATCH_COUNTER)
            || optional.contains(key)
            || reading.is_averaging_counter(key)
    };
    let unexpected = keys.iter().filter(|key| !used.contains(*key) && !is_ignored(key));
    let mut unfit = Unfit {
        unexpected: unexpected.map(|key| described(key, &views[*key])).collect(),
        removed: reading.prefix.clone(),
        ..Unfit::default()
    };
    let mut fitting = Vec::new();
    for (name, variable) in &variables {
        match assigned.get(name.as_str()).map(|key| &views[*key]) {
            None => unfit.missing.push(name.clone()),
            Some(view) if unfit.accepts(name, variable, view) => {
                fitting.push((name.clone(), variable.shallow_clone(), view.clone()));
            }
            Some(_) => {}
        }
    }
    let weights = keys.iter().copied().filter(|key| !is_ignored(key)).collect();
    unfit.check(path, &names, &weights).map(|()| fitting)
}

fn names<T>(map: &BTreeMap<String, T>) -> BTreeSet<&str> {
    map.keys().map(String::as_str).collect()
}

fn described(name: &str, view: &TensorView<'_>) -> String {
    format!("{name} ({:?} {})", view.shape(), view.dtype())
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
    fn accepts(&mut self, name: &str, variable: &Tensor, view: &TensorView<'_>) -> bool {
        let (size, own) = (variable.size(), variable.kind());
        let same_shape = size.iter().map(|&n| usize::try_from(n).ok());
        let same_shape = same_shape.eq(view.shape().iter().map(|&n| Some(n)));
        let kind = kind_of(view.dtype());
        if same_shape && kind == Some(own) {
            return true;
        }
        self.other_shape |= !same_shape;
        let is_float =
            |kind| matches!(kind, Kind::Half | Kind::BFloat16 | Kind::Float | Kind::Double);
        match kind {
            Some(kind) if kind == own => {}
            Some(kind) if is_float(kind) && is_float(own) => {
                self.other_precision.push((own, kind));
            }
            _ => self.other_dtype = true,
        }
        let kind = kind.map_or_else(|| view.dtype().to_string(), |kind| format!("{kind:?}"));
        let (here, there) = (format!("{size:?} {own:?}"), format!("{:?} {kind}", view.shape()));
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
