//! Reading a `VarStore` from a file.

use std::{collections::BTreeMap, path::Path};

use safetensors::tensor::TensorView;
use tch::{Kind, TchError, Tensor, nn::VarStore};

use super::BATCH_COUNTER;
use crate::error::{Error, Result};
use crate::file::tensors::TensorFile;

/// The prefix that `torch.nn.DataParallel` adds to every name.
const DATA_PARALLEL: &str = "module.";
/// The maximal number of names in each list of an error.
const SHOWN: usize = 6;

/// Loads a safetensors file into `vs`.
///
/// The file must hold every parameter and buffer of `vs` by name, with the same shape and dtype,
/// and no other tensors. Two differences are accepted: `num_batches_tracked` is ignored, and the
/// prefix `module.` of all names is removed. The file is checked before a variable of `vs` changes.
///
/// # Errors
/// [`Error::Io`] if the file cannot be read; [`Error::Data`] if it is not a safetensors file, or
/// does not fit, with the names that are missing, unexpected, or of another shape or dtype.
pub fn load(vs: &mut VarStore, path: impl AsRef<Path>) -> Result<()> {
    read(vs, path.as_ref())?.apply()
}

/// The values of a file that fits a `VarStore`, which [`apply`](Self::apply) changes.
#[derive(Debug)]
pub(crate) struct Loaded(Vec<Value>);

#[derive(Debug)]
struct Value {
    name: String,
    variable: Tensor,
    value: Tensor,
}

impl Loaded {
    /// Copies the values to the variables.
    pub(crate) fn apply(self) -> Result<()> {
        let _no_grad = tch::no_grad_guard();
        self.0.into_iter().try_for_each(|Value { name, mut variable, value }| {
            variable.f_copy_(&value).map_err(|e| failed(&name, e))
        })
    }
}

/// Reads a file and checks that it fits `vs`, which does not change.
pub(crate) fn read(vs: &VarStore, path: &Path) -> Result<Loaded> {
    let file = TensorFile::read(path)?;
    let variables: BTreeMap<String, Tensor> = vs.variables().into_iter().collect();
    let file = file.parse()?;
    let views = file.tensors().into_iter().collect();
    let value = |(name, variable, view): (String, _, _)| {
        let value = Tensor::try_from(view).map_err(|e| failed(&name, e))?;
        Ok(Value { name, variable, value })
    };
    fit(path, variables, views)?.into_iter().map(value).collect::<Result<_>>().map(Loaded)
}

fn failed(name: &str, source: TchError) -> Error {
    Error::torch(format!("load {name:?}"), source)
}

/// Pairs every variable with its value in the file.
///
/// # Errors
/// [`Error::Data`] with everything that does not fit.
fn fit<'f>(
    path: &Path,
    variables: BTreeMap<String, Tensor>,
    mut views: BTreeMap<String, TensorView<'f>>,
) -> Result<Vec<(String, Tensor, TensorView<'f>)>> {
    let has_prefix = |name: &String| name.starts_with(DATA_PARALLEL);
    if views.keys().all(has_prefix) && !variables.keys().any(has_prefix) {
        let strip = |(name, view): (String, _)| (name[DATA_PARALLEL.len()..].to_owned(), view);
        views = views.into_iter().map(strip).collect();
    }
    let count = variables.len();
    let (mut fitting, mut missing, mut different) = (Vec::new(), Vec::new(), Vec::new());
    for (name, variable) in variables {
        match views.remove(&name) {
            None => missing.push(name),
            Some(view) => match difference(&variable, &view) {
                Some(difference) => different.push(format!("{name} ({difference})")),
                None => fitting.push((name, variable, view)),
            },
        }
    }
    let is_counter = |name: &String| name.rsplit('.').next() == Some(BATCH_COUNTER);
    let unexpected: Vec<String> = views.into_keys().filter(|name| !is_counter(name)).collect();
    let lists = [
        list("missing", &missing),
        list("unexpected", &unexpected),
        list("of another shape or dtype", &different),
    ];
    let lists: Vec<String> = lists.into_iter().flatten().collect();
    if lists.is_empty() {
        return Ok(fitting);
    }
    Err(Error::data(
        path,
        "tensors",
        format_args!("the {count} of the VarStore, with their shapes and dtypes"),
        lists.join("; "),
        "build the same network as the saved one; `VarStore::set_kind` changes its dtype",
    ))
}

/// The difference in shape or dtype between a variable and its value in the file, if any.
fn difference(variable: &Tensor, view: &TensorView<'_>) -> Option<String> {
    let shape: Vec<i64> = view.shape().iter().map(|&n| n as i64).collect();
    let kind = Kind::try_from(view.dtype());
    if shape == variable.size() && kind.as_ref().is_ok_and(|&kind| kind == variable.kind()) {
        return None;
    }
    let kind = kind.map_or_else(|_| format!("{:?}", view.dtype()), |kind| format!("{kind:?}"));
    Some(format!("here {:?} {:?}, there {shape:?} {kind}", variable.size(), variable.kind()))
}

/// For example "3 missing: a, b, c", with at most [`SHOWN`] names; `None` without names.
fn list(what: &str, names: &[String]) -> Option<String> {
    let shown = &names[..names.len().min(SHOWN)];
    let more = if names.len() > shown.len() { ", …" } else { "" };
    (!names.is_empty()).then(|| format!("{} {what}: {}{more}", names.len(), shown.join(", ")))
}
