//! Building of an optimizer.

use std::collections::HashSet;

use tch::nn::VarStore;

use super::{config::Algorithm, group::Group, optimizer::Optimizer, parameter_info::ParameterInfo};
use crate::error::{self, Result};
use crate::parameters::{Stores, Variables, within};

/// The maximal number of names in an error.
const SHOWN: usize = 4;

/// Builds an [`Optimizer`].
#[must_use = "a builder does nothing until `build`"]
pub struct Builder {
    variables: Variables,
    /// The configuration of the parameters of no other group.
    rest: Algorithm,
    groups: Vec<GroupRule>,
    no_decay: Option<Predicate>,
}

/// A condition on a parameter.
type Predicate = Box<dyn Fn(&ParameterInfo) -> bool>;

/// Which parameters make a group.
struct GroupRule {
    name: String,
    /// `None`: the parameters under the path `name`.
    predicate: Option<Predicate>,
    algorithm: Algorithm,
}

impl GroupRule {
    fn owns(&self, parameter: &ParameterInfo) -> bool {
        match &self.predicate {
            None => within(&parameter.name, &self.name),
            Some(predicate) => predicate(parameter),
        }
    }
}

impl Optimizer {
    /// Begins an optimizer that updates the parameters of `stores` that are in no other
    /// [`group`](Builder::group) by `config`, for example an [`SgdConfig`](super::SgdConfig).
    ///
    /// `stores` is `&vs`, several `VarStore`s with names, or the `&params` that the trainer is
    /// built with: see [`Stores`].
    ///
    /// Make the model first: parameters that are made later are not included. Frozen parameters are
    /// included, and are updated after they are unfrozen.
    pub fn builder(stores: impl Into<Stores>, config: impl Into<Algorithm>) -> Builder {
        let (variables, rest) = (Variables::new(stores), config.into());
        Builder { variables, rest, groups: Vec::new(), no_decay: None }
    }
}

impl Builder {
    /// Updates the parameters under `path` (whole components, joined by `.`) by a configuration of
    /// their own.
    pub fn group(mut self, path: impl Into<String>, config: impl Into<Algorithm>) -> Self {
        let (name, algorithm) = (path.into(), config.into());
        self.groups.push(GroupRule { name, predicate: None, algorithm });
        self
    }

    /// Updates the parameters for which `predicate` returns true by a configuration of their own,
    /// as a group called `name`.
    pub fn group_where(
        mut self,
        name: impl Into<String>,
        predicate: impl Fn(&ParameterInfo) -> bool + 'static,
        config: impl Into<Algorithm>,
    ) -> Self {
        let (name, algorithm) = (name.into(), config.into());
        self.groups.push(GroupRule { name, predicate: Some(Box::new(predicate)), algorithm });
        self
    }

    /// Updates the parameters for which `predicate` returns true without weight decay, in whichever
    /// group they are; usually those that
    /// [`is_bias_or_norm`](ParameterInfo::is_bias_or_norm). A second call replaces the first.
    ///
    /// They are a group of their own, in [`Optimizer::lr`] and in files: `"text (no decay)"` beside
    /// `"text"`.
    ///
    /// # Example
    /// ```
    /// use g2d::optim::{AdamWConfig, Optimizer, ParameterInfo};
    /// use tch::{Device, nn};
    ///
    /// let vs = nn::VarStore::new(Device::Cpu);
    /// for name in ["audio", "text", "head"] {
    ///     nn::linear(vs.root() / name, 4, 4, Default::default());
    /// }
    /// let adamw = AdamWConfig { lr: 1e-3, ..Default::default() };
    /// let optimizer = Optimizer::builder(&vs, adamw)
    ///     .group("text", AdamWConfig { lr: 1e-5, ..adamw })
    ///     .no_decay(ParameterInfo::is_bias_or_norm)
    ///     .build()?;
    /// let groups: Vec<_> = optimizer.lr().collect();
    /// let expected = [("", 1e-3), (" (no decay)", 1e-3), ("text", 1e-5), ("text (no decay)", 1e-5)];
    /// assert_eq!(groups, expected);
    /// # g2d::Result::Ok(())
    /// ```
    pub fn no_decay(mut self, predicate: impl Fn(&ParameterInfo) -> bool + 'static) -> Self {
        self.no_decay = Some(Box::new(predicate));
        self
    }

    /// Adds the parameters of another `VarStore`, for example that of a projection. In groups and
    /// files their names begin with `name` and a `.`.
    pub fn with_store(mut self, name: &str, vs: &VarStore) -> Self {
        self.variables.add(name, vs);
        self
    }

    /// Checks the configuration and builds the optimizer.
    ///
    /// # Errors
    /// [`Error::Config`](crate::Error::Config) for a hyper-parameter out of range, a group without
    /// parameters, two groups of one name, a parameter in two groups, two parameters of one name,
    /// or without any parameter.
    pub fn build(self) -> Result<Optimizer> {
        let Self { variables, rest, groups: rules, no_decay } = self;
        // Two groups for each rule: with and without weight decay.
        let rest = [(String::new(), rest)];
        let all =
            rest.into_iter().chain(rules.iter().map(|rule| (rule.name.clone(), rule.algorithm)));
        let mut groups: Vec<[Group; 2]> =
            all.map(|(name, algorithm)| both(name, algorithm)).collect();
        let mut names = HashSet::new();
        for [group, _] in &groups {
            group.algorithm().check(group.name())?;
            if !names.insert(group.name()) {
                let what = format!("group {:?} of the optimizer", group.name());
                let hint = "give every group a name of its own, not the empty one";
                return Err(error::config(what, "one group of this name", "two", hint));
            }
        }
        let mut names = HashSet::new();
        for (name, tensor, modality) in variables.with_modalities() {
            let what = || format!("parameter {name:?} of the optimizer");
            if !names.insert(name) {
                let hint = "give every store of `with_store` a name of its own";
                return Err(error::config(what(), "one parameter of this name", "two", hint));
            }
            let (name, modality) = (name.clone(), modality.cloned());
            let info = ParameterInfo { name, shape: tensor.size(), modality };
            let mut owners = (1..).zip(&rules).filter(|(_, rule)| rule.owns(&info));
            let owner = owners.next();
            if let (Some((_, one)), Some((_, other))) = (owner, owners.next()) {
                let found = format!("{:?} and {:?}", one.name, other.name);
                let hint = "choose groups that do not contain each other";
                return Err(error::config(what(), "one group", found, hint));
            }
            let [decaying, without] = &mut groups[owner.map_or(0, |(i, _)| i)];
            let decays = decaying.algorithm() == without.algorithm()
                || !no_decay.as_ref().is_some_and(|predicate| predicate(&info));
            let group = if decays { decaying } else { without };
            group.add(info.name, tensor.shallow_clone());
        }
        let is_empty = |pair: &[Group; 2]| pair.iter().all(Group::is_empty);
        if let Some(i) = groups[1..].iter().position(is_empty) {
            return Err(empty_group(&rules[i], &variables));
        }
        let groups: Vec<Group> =
            groups.into_iter().flatten().filter(|group| !group.is_empty()).collect();
        if groups.is_empty() {
            let hint = "make the model before its optimizer; pass all VarStores of the model";
            return Err(error::config("optimizer", "a VarStore with parameters", "none", hint));
        }
        Ok(Optimizer::new(groups))
    }
}

/// A group, and the one of its parameters without weight decay.
fn both(name: String, algorithm: Algorithm) -> [Group; 2] {
    let without = Group::new(format!("{name} (no decay)"), algorithm.without_decay());
    [Group::new(name, algorithm), without]
}

fn empty_group(rule: &GroupRule, variables: &Variables) -> error::Error {
    let what = format!("group {:?} of the optimizer", rule.name);
    if rule.predicate.is_none() {
        let hint = "check the path (whole components, joined by '.'), and make the model first";
        return error::config(what, "parameters under this path", "none", hint);
    }
    let shown: Vec<_> = variables.parameters().map(|(name, _)| name).take(SHOWN).collect();
    let found = format!("none among {shown:?}, …");
    let hint = "compare the predicate with these names; modalities are known for an optimizer of \
                `&params`, a `ModalityParams`";
    error::config(what, "parameters for which its predicate is true", found, hint)
}
