//! The state of an optimizer in a file.

use std::path::Path;

use serde::{Deserialize, Serialize};
use tch::Tensor;

use super::{
    group::{Group, foreign},
    lr_schedule::check_factor,
};
use crate::error::{Error, Mismatch, Result};
use crate::file::tensors::{self, TensorFile};

/// The key of [`Header`] in the file's header.
const HEADER: &str = "g2d optimizer";
const VERSION: u32 = 1;
/// The name of the learning rate factor, a tensor, so that no file is without tensors.
const LR_FACTOR: &str = "lr_factor";

/// The JSON in the file's header.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Header {
    version: u32,
    groups: Vec<GroupHeader>,
}

#[derive(Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct GroupHeader {
    name: String,
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
    /// The state tensors by group and parameter.
    groups: Vec<Vec<Vec<Tensor>>>,
}

impl SavedState {
    /// Restores the state of `groups`, and returns the learning rate factor.
    pub(super) fn restore(self, groups: &mut [Group]) -> f64 {
        groups.iter_mut().zip(self.groups).for_each(|(group, state)| group.restore(state));
        self.lr_factor
    }
}

/// Writes a state atomically.
pub(super) fn write(path: &Path, groups: &[Group], lr_factor: f64) -> Result<()> {
    let header = Header { version: VERSION, groups: groups.iter().map(GroupHeader::new).collect() };
    let header = serde_json::to_string(&header).map_err(|e| Error::io("write", path, e.into()))?;
    let lr_factor = (LR_FACTOR.to_owned(), &Tensor::from(lr_factor));
    let state = groups.iter().flat_map(Group::state);
    tensors::write(path, state.chain([lr_factor]), [(HEADER, header)])
}

/// Reads a state and checks that it fits `groups`.
pub(super) fn read(path: &Path, groups: &[Group]) -> Result<SavedState> {
    let file = TensorFile::open(path)?;
    let header: Header = file.header(HEADER)?;
    if header.version > VERSION {
        let mismatch = Mismatch::newer_format("optimizer state", VERSION, header.version);
        return Err(mismatch.in_file(path));
    }
    let own: Vec<_> = groups.iter().map(GroupHeader::new).collect();
    if let Some((expected, found)) = difference(&own, &header.groups) {
        return Err(foreign(path, "groups of the optimizer", expected, found));
    }
    let mut tensors = file.tensors()?;
    let lr_factor = tensors.remove(LR_FACTOR).and_then(|tensor| f64::try_from(tensor).ok());
    let Some(lr_factor) = lr_factor.filter(|&factor| check_factor(factor).is_ok()) else {
        let found = format!("{lr_factor:?}");
        return Err(foreign(path, "learning rate factor", "a finite number ≥ 0".into(), found));
    };
    let read = |group: &Group| group.read_state(path, &mut tensors);
    let groups = groups.iter().map(read).collect::<Result<_>>()?;
    match tensors.into_keys().next() {
        None => Ok(SavedState { lr_factor, groups }),
        Some(other) => Err(foreign(path, "tensors", "only optimizer state".into(), other)),
    }
}

impl GroupHeader {
    fn new(group: &Group) -> Self {
        let algorithm = group.algorithm();
        Self {
            name: group.name().to_owned(),
            algorithm: algorithm.name().to_owned(),
            state_names: algorithm.state_names().iter().map(ToString::to_string).collect(),
            parameters: group.names().cloned().collect(),
        }
    }
}

/// Describes the first difference between the optimizer's groups and those of the file, if any.
fn difference(own: &[GroupHeader], saved: &[GroupHeader]) -> Option<(String, String)> {
    let summary = |groups: &[GroupHeader]| {
        let group = |g: &GroupHeader| format!("{:?}: {} {:?}", g.name, g.algorithm, g.state_names);
        groups.iter().map(group).collect::<Vec<_>>().join(", ")
    };
    if summary(own) != summary(saved) {
        return Some((summary(own), summary(saved)));
    }
    let (own, saved) = own.iter().zip(saved).find(|(own, saved)| own != saved)?;
    let describe = |group: &GroupHeader, other: &GroupHeader| {
        let only = group.parameters.iter().find(|name| !other.parameters.contains(name));
        let only = only.map_or("the same in another order".into(), |name| format!("{name:?}"));
        format!("{} parameters in group {:?}, with {only}", group.parameters.len(), group.name)
    };
    Some((describe(own, saved), describe(saved, own)))
}
