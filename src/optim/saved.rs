//! The state of an optimizer in a file.

use std::{collections::BTreeMap, path::Path};

use serde::{Deserialize, Serialize};
use tch::Tensor;

use super::{group::Group, parameter::Parameter};
use crate::error::{Error, Mismatch, Result};
use crate::file::tensors::{self, TensorFile};

/// The key of [`Header`] in the file's header.
const HEADER: &str = "g2d optimizer";
const VERSION: u32 = 1;
/// The learning rate factor, a tensor, so that no file is without tensors.
const LR_FACTOR: &str = "lr_factor";

/// The JSON in the file's header.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Header {
    version: u32,
    groups: Vec<GroupHeader>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct GroupHeader {
    #[serde(rename = "name")]
    path: String,
    #[serde(rename = "rule")]
    algorithm: String,
    #[serde(rename = "slots")]
    state_names: Vec<String>,
    parameters: Vec<String>,
}

/// A state that was read from a file and checked against an optimizer.
#[derive(Debug)]
pub(crate) struct SavedState {
    lr_factor: f64,
    /// The state tensors by group and parameter; none for a parameter without a step.
    state: Vec<Vec<Vec<Tensor>>>,
}

impl SavedState {
    /// Moves the state tensors to the parameters, and returns the learning rate factor.
    pub(super) fn restore(self, groups: &mut [Group]) -> f64 {
        for (group, state) in groups.iter_mut().zip(self.state) {
            for (parameter, state) in group.parameters_mut().iter_mut().zip(state) {
                parameter.set_state(state);
            }
        }
        self.lr_factor
    }
}

/// Writes a state atomically.
pub(super) fn write(path: &Path, groups: &[Group], lr_factor: f64) -> Result<()> {
    let header = Header { version: VERSION, groups: groups.iter().map(GroupHeader::new).collect() };
    let header = serde_json::to_string(&header).map_err(|e| Error::io("write", path, e.into()))?;
    let lr_factor = Tensor::from(lr_factor);
    let mut tensors = vec![(LR_FACTOR.to_owned(), &lr_factor)];
    for group in groups {
        let state_names = group.algorithm().state_names();
        for parameter in group.parameters() {
            let state = state_names.iter().zip(parameter.state());
            tensors.extend(state.map(|(name, tensor)| (key(name, parameter), tensor)));
        }
    }
    tensors::write(path, tensors, [(HEADER, header)])
}

/// Reads a state and checks that it fits `groups`.
pub(super) fn read(path: &Path, groups: &[Group]) -> Result<SavedState> {
    let file = TensorFile::read(path)?;
    let header: Header = file.header(HEADER)?;
    if header.version > VERSION {
        let mismatch = Mismatch::newer_format("optimizer state", VERSION, header.version);
        return Err(mismatch.in_file(path));
    }
    let expected: Vec<_> = groups.iter().map(GroupHeader::new).collect();
    if let Some((here, there)) = difference(&expected, &header.groups) {
        return Err(foreign(path, "groups of the optimizer", here, there));
    }
    let mut tensors = file.tensors()?;
    let lr_factor = tensors.remove(LR_FACTOR).and_then(|tensor| f64::try_from(tensor).ok());
    let Some(lr_factor) = lr_factor.filter(|factor| factor.is_finite()) else {
        let found = format!("{lr_factor:?}");
        return Err(foreign(path, "learning rate factor", "a finite number".into(), found));
    };
    let mut state = Vec::new();
    for group in groups {
        let state_names = group.algorithm().state_names();
        let parameters = group.parameters().iter();
        let read = |parameter| read_parameter(path, parameter, state_names, &mut tensors);
        state.push(parameters.map(read).collect::<Result<Vec<_>>>()?);
    }
    match tensors.keys().next() {
        None => Ok(SavedState { lr_factor, state }),
        Some(other) => {
            let expected = "none but the state of the parameters".into();
            Err(foreign(path, "tensors", expected, other.clone()))
        }
    }
}

/// Removes the state of one parameter from `tensors`, checks it and copies it to the parameter's device.
fn read_parameter(
    path: &Path,
    parameter: &Parameter,
    state_names: &[&str],
    tensors: &mut BTreeMap<String, Tensor>,
) -> Result<Vec<Tensor>> {
    let found = state_names.iter().filter_map(|name| tensors.remove(&key(name, parameter)));
    let found: Vec<Tensor> = found.collect();
    if !found.is_empty() && found.len() < state_names.len() {
        let what = format!("state of parameter {:?}", parameter.name());
        let expected = format!("all of {state_names:?}, or none");
        return Err(foreign(path, &what, expected, format!("{} of them", found.len())));
    }
    let copy = |(name, tensor): (&&str, Tensor)| {
        let (size, kind) = parameter.form(name);
        if tensor.size() != size || tensor.kind() != kind {
            let what = format!("{name} of parameter {:?}", parameter.name());
            let found = format!("{:?} {:?}", tensor.size(), tensor.kind());
            return Err(foreign(path, &what, format!("{size:?} {kind:?}"), found));
        }
        let failed = |e| Error::torch("load the state of an optimizer", e);
        let mut own = parameter.zeros(name).map_err(failed)?;
        own.f_copy_(&tensor).map_err(failed)?;
        Ok(own)
    };
    state_names.iter().zip(found).map(copy).collect()
}

impl GroupHeader {
    fn new(group: &Group) -> Self {
        let algorithm = group.algorithm();
        Self {
            path: group.path().to_owned(),
            algorithm: algorithm.name().to_owned(),
            state_names: algorithm.state_names().iter().map(|name| (*name).to_owned()).collect(),
            parameters: group.parameters().iter().map(|p| p.name().to_owned()).collect(),
        }
    }
}

/// The name of a state tensor in the file.
fn key(state_name: &str, parameter: &Parameter) -> String {
    format!("{state_name}:{}", parameter.name())
}

/// The error for the state of another optimizer.
fn foreign(path: &Path, what: &str, expected: String, found: String) -> Error {
    let hint =
        "resume with the optimizer configuration, groups and model that the run was started with";
    Error::data(path, what, expected, found, hint)
}

/// Describes the first difference between the groups of the optimizer and those of the file, if any.
fn difference(here: &[GroupHeader], there: &[GroupHeader]) -> Option<(String, String)> {
    let summary = |groups: &[GroupHeader]| {
        let group = |g: &GroupHeader| format!("{:?}: {} {:?}", g.path, g.algorithm, g.state_names);
        groups.iter().map(group).collect::<Vec<_>>().join(", ")
    };
    if summary(here) != summary(there) {
        return Some((summary(here), summary(there)));
    }
    let (here, there) = here.iter().zip(there).find(|(here, there)| here != there)?;
    let only_in = |a: &GroupHeader, b: &GroupHeader| {
        let other = a.parameters.iter().find(|name| !b.parameters.contains(name));
        other.map_or("the same in another order".to_owned(), |name| format!("{name:?}"))
    };
    let count = |group: &GroupHeader| group.parameters.len();
    Some((
        format!(
            "{} parameters in group {:?}, with {}",
            count(here),
            here.path,
            only_in(here, there)
        ),
        format!("{} parameters, with {}", count(there), only_in(there, here)),
    ))
}
