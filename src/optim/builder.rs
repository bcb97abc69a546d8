//! Building of an optimizer.

use std::collections::HashSet;

use tch::nn::VarStore;

use super::{Algorithm, Optimizer, group::Group};
use crate::error::{self, Result};
use crate::parameters::{Variables, within};

/// Builds an [`Optimizer`].
#[must_use = "a builder does nothing until `build`"]
pub struct Builder {
    variables: Variables,
    /// The parameters of no other group.
    rest: Group,
    groups: Vec<Group>,
}

impl Optimizer {
    /// Begins an optimizer that updates the parameters of `vs` that are in no other
    /// [`group`](Builder::group) by `config`, for example an [`SgdConfig`](super::SgdConfig).
    ///
    /// Make the model first: parameters that are made later are not included. Frozen parameters are
    /// included, and are updated after they are unfrozen.
    pub fn builder(vs: &VarStore, config: impl Into<Algorithm>) -> Builder {
        let rest = Group::new(String::new(), config.into());
        Builder { variables: Variables::new(vs), rest, groups: Vec::new() }
    }
}

impl Builder {
    /// Updates the parameters under `path` (whole components, joined by `.`) by a configuration of
    /// their own.
    pub fn group(mut self, path: impl Into<String>, config: impl Into<Algorithm>) -> Self {
        self.groups.push(Group::new(path.into(), config.into()));
        self
    }

    /// Adds the parameters of another `VarStore`, for example that of a projection. In groups and
    /// files their names begin with `name` and a `.`.
    pub fn with_store(mut self, name: &str, vs: &VarStore) -> Self {
        for (own, tensor) in Variables::new(vs).parameters() {
            self.variables.add_parameter(format!("{name}.{own}"), tensor);
        }
        self
    }

    /// Checks the configuration and builds the optimizer.
    ///
    /// # Errors
    /// [`Error::Config`](crate::Error::Config) for a hyper-parameter out of range, a group without
    /// parameters, a parameter in two groups, two parameters of one name, or without any parameter.
    pub fn build(self) -> Result<Optimizer> {
        let Self { variables, mut rest, mut groups } = self;
        let mut all = std::iter::once(&rest).chain(&groups);
        all.try_for_each(|group| group.algorithm().check(group.path()))?;
        let mut names = HashSet::new();
        for (name, tensor) in variables.parameters() {
            if !names.insert(name) {
                let what = format!("parameter {name:?} of the optimizer");
                let hint = "give every store of `with_store` a name of its own";
                return Err(error::config(what, "one parameter of this name", "two", hint));
            }
            let mut owners = groups.iter_mut().filter(|group| within(name, group.path()));
            let group = owners.next().unwrap_or(&mut rest);
            if let Some(other) = owners.next() {
                let what = format!("parameter {name:?} of the optimizer");
                let found = format!("{:?} and {:?}", group.path(), other.path());
                let hint = "choose paths of groups that do not contain each other";
                return Err(error::config(what, "one group", found, hint));
            }
            group.add(name.clone(), tensor.shallow_clone());
        }
        if let Some(empty) = groups.iter().find(|group| group.is_empty()) {
            let what = format!("group {:?} of the optimizer", empty.path());
            let hint = "check the path (whole components, joined by '.'), and make the model first";
            return Err(error::config(what, "parameters under this path", "none", hint));
        }
        if !rest.is_empty() {
            groups.insert(0, rest);
        }
        if groups.is_empty() {
            let hint = "make the model before its optimizer";
            return Err(error::config("optimizer", "a VarStore with parameters", "none", hint));
        }
        Ok(Optimizer::new(groups))
    }
}
