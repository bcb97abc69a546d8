//! From a file to a `VarStore`, checked first.

use std::{collections::BTreeMap, fs, path::Path};

use safetensors::{SafeTensors, tensor::TensorView};
use tch::{Kind, Tensor, nn::VarStore};

use super::BATCH_COUNTER;
use crate::error::{Error, Result};

/// What `DataParallel` puts before every name.
const DATA_PARALLEL: &str = "module.";
/// How many names a message lists of each trouble.
const SHOWN: usize = 6;

/// Loads a safetensors file into `vs`.
///
/// The file must hold every parameter and buffer of `vs` under its name, in its shape and kind, and
/// nothing else. `num_batches_tracked` is passed over, and a `module.` before every name is taken
/// off. All of that is read from the file's header, and nothing in `vs` changes unless all fits.
///
/// # Errors
/// [`Error::Io`] if the file cannot be read; [`Error::Data`] if it is no safetensors file, or does
/// not fit: the names that are missing, unexpected, or of another shape or kind.
pub fn load(vs: &mut VarStore, path: impl AsRef<Path>) -> Result<()> {
    read(vs, path.as_ref())?.apply()
}

/// Values that fit a `VarStore`, which has not taken them over yet.
#[derive(Debug)]
pub(crate) struct Loaded(Vec<(String, Tensor, Tensor)>);

impl Loaded {
    pub(crate) fn apply(self) -> Result<()> {
        let _no_grad = tch::no_grad_guard();
        for (name, mut variable, value) in self.0 {
            variable.f_copy_(&value).map_err(|e| torch(&name, e))?;
        }
        Ok(())
    }
}

/// Reads and checks; changes nothing.
pub(crate) fn read(vs: &VarStore, path: &Path) -> Result<Loaded> {
    let bytes = fs::read(path).map_err(|source| Error::io("read", path, source))?;
    let file = SafeTensors::deserialize(&bytes).map_err(|reason| {
        Error::data(
            path,
            "header",
            "a whole safetensors file",
            format!("{reason:?}"),
            "write it with `safetensors.torch.save_file`; a .pth file must be converted first",
        )
    })?;
    let variables: BTreeMap<String, Tensor> = vs.variables().into_iter().collect();
    let mut values = Vec::with_capacity(variables.len());
    for (name, variable, view) in fit(path, &file, &variables)? {
        let value = Tensor::try_from(view).map_err(|e| torch(name, e))?;
        values.push((name.to_owned(), variable.shallow_clone(), value));
    }
    Ok(Loaded(values))
}

fn torch(name: &str, source: tch::TchError) -> Error {
    Error::torch(format!("load {name:?}"), source)
}

/// Every variable beside its value in the file, or all that does not fit.
fn fit<'v, 'f>(
    path: &Path,
    file: &'f SafeTensors<'f>,
    variables: &'v BTreeMap<String, Tensor>,
) -> Result<Vec<(&'v str, &'v Tensor, TensorView<'f>)>> {
    let mut views: BTreeMap<String, TensorView<'f>> = file.tensors().into_iter().collect();
    let ours = |name: &String| name.starts_with(DATA_PARALLEL);
    if views.keys().all(ours) && !variables.keys().any(ours) {
        let strip = |(name, view): (String, _)| (name[DATA_PARALLEL.len()..].to_owned(), view);
        views = views.into_iter().map(strip).collect();
    }
    let (mut fitting, mut missing, mut other) = (Vec::new(), Vec::new(), Vec::new());
    for (name, variable) in variables {
        match views.remove(name) {
            None => missing.push(name.clone()),
            Some(view) => match difference(variable, &view) {
                Some(difference) => other.push(format!("{name} ({difference})")),
                None => fitting.push((name.as_str(), variable, view)),
            },
        }
    }
    let counter = |name: &String| name.rsplit('.').next() == Some(BATCH_COUNTER);
    let unexpected: Vec<String> = views.into_keys().filter(|name| !counter(name)).collect();
    let troubles =
        [("missing", missing), ("unexpected", unexpected), ("of another shape or kind", other)];
    let found: Vec<String> =
        troubles.iter().filter_map(|(trouble, names)| list(trouble, names)).collect();
    if found.is_empty() {
        return Ok(fitting);
    }
    Err(Error::data(
        path,
        "tensors",
        format!("the {} of the VarStore, in their shapes and kinds", variables.len()),
        found.join("; "),
        "make the network as the one that was saved; `VarStore::set_kind` changes its kind",
    ))
}

/// What of shape and kind differs, if anything.
fn difference(variable: &Tensor, view: &TensorView<'_>) -> Option<String> {
    let shape: Vec<i64> = view.shape().iter().map(|&n| n as i64).collect();
    let kind = Kind::try_from(view.dtype());
    if shape == variable.size() && kind.as_ref().is_ok_and(|&kind| kind == variable.kind()) {
        return None;
    }
    let kind = kind.map_or_else(|_| format!("{:?}", view.dtype()), |kind| format!("{kind:?}"));
    Some(format!("here {:?} {:?}, there {shape:?} {kind}", variable.size(), variable.kind()))
}

/// "3 missing: a, b, c", cut to the first few; `None` of no names.
fn list(trouble: &str, names: &[String]) -> Option<String> {
    let shown = &names[..names.len().min(SHOWN)];
    let more = if names.len() > shown.len() { ", …" } else { "" };
    (!names.is_empty()).then(|| format!("{} {trouble}: {}{more}", names.len(), shown.join(", ")))
}
