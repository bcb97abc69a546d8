//! An optimizer's state in a file.

use std::{collections::BTreeMap, path::Path};

use serde::{Deserialize, Serialize};
use tch::Tensor;

use super::{
    Optimizer,
    moments::{Parameter, slots},
};
use crate::{
    error::{Error, Result},
    file::tensors::{self, TensorFile},
};

/// What the file's header says beside the tensors.
const ABOUT: &str = "g2d optimizer";
const VERSION: u32 = 1;
/// The learning rate's factor, among the tensors: a file without one could not be read.
const FACTOR: &str = "lr_factor";
const HINT: &str = "resume with the optimizer that the run was started with: rule, groups, model";

/// The header's JSON.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct About {
    version: u32,
    groups: Vec<AboutGroup>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct AboutGroup {
    name: String,
    rule: String,
    slots: Vec<String>,
    parameters: Vec<String>,
}

/// A state that fits an optimizer, read and checked, which nothing has taken over yet.
#[derive(Debug)]
pub(crate) struct SavedOptimizer {
    factor: f64,
    /// By group and parameter; empty for one that was never stepped.
    moments: Vec<Vec<Vec<Tensor>>>,
}

impl Optimizer {
    /// Writes momentum, moments, steps and the learning rate's factor to a safetensors file, whole or
    /// not at all. Waits for the device.
    ///
    /// # Errors
    /// [`Error::Io`] if the file cannot be written.
    pub fn save(&self, path: impl AsRef<Path>) -> Result<()> {
        let about = About { version: VERSION, groups: self.about() };
        let about = serde_json::to_string(&about)
            .map_err(|e| Error::io("write", path.as_ref(), e.into()))?;
        let factor = Tensor::from(self.factor);
        let mut named = vec![(FACTOR.to_owned(), &factor)];
        for group in &self.groups {
            for Parameter { name, moments, .. } in &group.parameters {
                let slots = slots(&group.rule).iter().zip(moments);
                named.extend(slots.map(|(slot, tensor)| (of(slot, name), tensor)));
            }
        }
        tensors::write(path.as_ref(), &named, [(ABOUT, about)])
    }

    /// Goes on from what [`save`](Self::save) wrote. The rules' numbers (learning rate, decay) stay
    /// those that this optimizer was built with.
    ///
    /// # Errors
    /// [`Error::Io`], and [`Error::Data`] for a file that is cut, foreign, of a newer format, or of an
    /// optimizer with other rules, groups or parameters; nothing has changed then.
    pub fn load(&mut self, path: impl AsRef<Path>) -> Result<()> {
        let saved = self.read(path.as_ref())?;
        self.take(saved);
        Ok(())
    }

    /// Reads and checks; changes nothing.
    pub(crate) fn read(&self, path: &Path) -> Result<SavedOptimizer> {
        let file = TensorFile::read(path)?;
        let refuse = |what: &str, expected: String, found: String| {
            Error::data(path, what, expected, found, HINT)
        };
        let about = file.about(ABOUT)?;
        let about: About = file.json(ABOUT, about)?;
        if about.version > VERSION {
            return Err(Error::data(
                path,
                "format version of the optimizer's state",
                format!("at most {VERSION}"),
                format!("{}", about.version),
                "it was written by a newer g2d: use that one",
            ));
        }
        let expected = self.about();
        if let Some((here, there)) = difference(&expected, &about.groups) {
            return Err(refuse("groups of the optimizer", here, there));
        }
        let mut views: BTreeMap<String, _> = file.tensors()?;
        let factor = views.remove(FACTOR).and_then(|tensor| f64::try_from(tensor).ok());
        let Some(factor) = factor.filter(|factor| factor.is_finite()) else {
            let found = format!("{factor:?}");
            return Err(refuse("factor of the learning rate", "a finite number".into(), found));
        };
        let mut moments = Vec::new();
        for group in &self.groups {
            let mut each = Vec::new();
            for parameter in &group.parameters {
                let slots = slots(&group.rule);
                let own = |slot: &&str| views.remove(&of(slot, &parameter.name));
                let found: Vec<Option<Tensor>> = slots.iter().map(own).collect();
                let stepped = found.iter().flatten().count();
                if stepped != 0 && stepped != slots.len() {
                    let what = format!("moments of parameter {:?}", parameter.name);
                    let expected = format!("all of {slots:?}, or none");
                    return Err(refuse(&what, expected, format!("{stepped} of them")));
                }
                let found: Vec<Tensor> = found.into_iter().flatten().collect();
                for (slot, tensor) in slots.iter().zip(&found) {
                    let (size, kind) = parameter.form(slot);
                    if tensor.size() != size || tensor.kind() != kind {
                        return Err(refuse(
                            &format!("{slot} of parameter {:?}", parameter.name),
                            format!("{size:?} {kind:?}"),
                            format!("{:?} {:?}", tensor.size(), tensor.kind()),
                        ));
                    }
                }
                let here = slots.iter().zip(&found).map(|(slot, read)| parameter.own(slot, read));
                let here = here.collect::<std::result::Result<Vec<_>, _>>();
                each.push(here.map_err(|e| Error::torch("load an optimizer's moments", e))?);
            }
            moments.push(each);
        }
        match views.keys().next() {
            None => Ok(SavedOptimizer { factor, moments }),
            Some(other) => Err(refuse("tensors", "none but the moments".into(), other.clone())),
        }
    }

    /// Goes on from a state that this optimizer has read.
    pub(crate) fn take(&mut self, saved: SavedOptimizer) {
        self.factor = saved.factor;
        for (group, moments) in self.groups.iter_mut().zip(saved.moments) {
            for (parameter, moments) in group.parameters.iter_mut().zip(moments) {
                parameter.moments = moments;
            }
        }
    }

    fn about(&self) -> Vec<AboutGroup> {
        let names = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
        let about = |group: &super::optimizer::Group| AboutGroup {
            name: group.name.clone(),
            rule: group.rule.name().to_owned(),
            slots: names(slots(&group.rule)),
            parameters: group.parameters.iter().map(|p| p.name.clone()).collect(),
        };
        self.groups.iter().map(about).collect()
    }
}

/// A slot's name in the file.
fn of(slot: &str, parameter: &str) -> String {
    format!("{slot}:{parameter}")
}

/// The first thing that differs: here, there.
fn difference(here: &[AboutGroup], there: &[AboutGroup]) -> Option<(String, String)> {
    let names = |groups: &[AboutGroup]| {
        let name = |g: &AboutGroup| format!("{:?} by {} {:?}", g.name, g.rule, g.slots);
        groups.iter().map(name).collect::<Vec<_>>().join(", ")
    };
    if names(here) != names(there) {
        return Some((names(here), names(there)));
    }
    let (here, there) = here.iter().zip(there).find(|(here, there)| here != there)?;
    let only = |a: &AboutGroup, b: &AboutGroup| {
        let other = a.parameters.iter().find(|name| !b.parameters.contains(name));
        other.map_or("the same in another order".to_owned(), |name| format!("{name:?}"))
    };
    let count = |group: &AboutGroup| group.parameters.len();
    Some((
        format!("{} parameters in group {:?}, with {}", count(here), here.name, only(here, there)),
        format!("{} parameters, with {}", count(there), only(there, here)),
    ))
}
