//! An optimizer over groups of parameters.

use std::fmt;

use tch::{Tensor, nn::VarStore};

use super::{
    AdamConfig, AdamWConfig, Algorithm, SgdConfig,
    moments::{Parameter, slots},
};
use crate::{
    error::{self, Result},
    libtorch::{self, AdamMoments, AdamNumbers, SgdNumbers},
    parameters::{Variables, within},
};

/// Steps parameters by the gradients that [`G2dTrainer::step`](crate::trainer::G2dTrainer::step) left.
///
/// ```text
/// optimizer.set_lr_factor(schedule.factor(epoch));
/// optimizer.zero_grad()?;
/// trainer.step(&student, &batch)?;
/// optimizer.step()?;
/// ```
///
/// A parameter without gradient (a suppressed encoder's) is not moved and its moments stay, and a
/// frozen one never is, whatever gradient it still has. Numbers are PyTorch's; each group is one call
/// of libtorch's fused kernel. Nothing here waits for the device.
///
/// [`save`](Self::save) and [`load`](Self::load) keep all that a run needs to go on.
///
/// # Example
/// ```
/// use g2d::optim::{LrSchedule, Optimizer, SgdConfig};
/// use tch::{Device, nn};
///
/// let vs = nn::VarStore::new(Device::Cpu);
/// let _encoder = nn::linear(vs.root() / "audio_net", 4, 2, Default::default());
/// let _head = nn::linear(vs.root() / "head", 4, 2, Default::default());
/// let rule = SgdConfig { lr: 0.01, momentum: 0.9, weight_decay: 1e-4, ..Default::default() };
/// let mut optimizer = Optimizer::builder(&vs, rule)
///     .group("head", SgdConfig { lr: 0.1, ..rule })   // what lies under this path
///     .build()?;
/// let schedule = LrSchedule::step(200, 0.1).warmup(5);
/// for epoch in 0..3 {
///     optimizer.set_lr_factor(schedule.factor(epoch));
///     optimizer.zero_grad()?;
///     // trainer.step(&student, &batch)?;
///     optimizer.step()?;
/// }
/// # Ok::<(), g2d::Error>(())
/// ```
pub struct Optimizer {
    pub(super) groups: Vec<Group>,
    pub(super) factor: f64,
}

/// Parameters that one rule steps.
pub(super) struct Group {
    pub name: String,
    pub rule: Algorithm,
    pub parameters: Vec<Parameter>,
}

/// The name of the group of all that no other group takes.
const REST: &str = "";

/// Collects an optimizer's groups; [`build`](Self::build) checks them.
#[must_use = "a builder does nothing until `build`"]
pub struct Builder {
    variables: Variables,
    groups: Vec<(String, Algorithm)>,
}

impl Optimizer {
    /// Steps all parameters of `vs` by `rule`, but those of groups that are added.
    ///
    /// Parameters are those that are there now: make the model first. Frozen ones are taken too, and
    /// step once they are unfrozen.
    pub fn builder(vs: &VarStore, rule: impl Into<Algorithm>) -> Builder {
        let groups = vec![(REST.to_owned(), rule.into())];
        Builder { variables: Variables::new(vs), groups }
    }

    /// One step. Waits for nothing.
    ///
    /// # Errors
    /// [`Error::Torch`](crate::error::Error::Torch) for gradients that are sparse, parameters that are views
    /// with gaps, and what libtorch refuses.
    pub fn step(&mut self) -> Result<()> {
        let factor = self.factor;
        self.groups.iter_mut().try_for_each(|group| group.step(factor))
    }

    /// Makes all gradients undefined, as PyTorch does.
    ///
    /// # Errors
    /// [`Error::Torch`](crate::error::Error::Torch).
    pub fn zero_grad(&self) -> Result<()> {
        libtorch::clear_grads(self.tensors())
    }

    /// Multiplies every group's learning rate from here on: what an
    /// [`LrSchedule`](super::LrSchedule) says. 1 at first; it does not add up.
    pub fn set_lr_factor(&mut self, factor: f64) {
        self.factor = factor;
    }

    /// Each group's path ("" for the rest) and its learning rate now.
    pub fn lr(&self) -> impl Iterator<Item = (&str, f64)> {
        self.groups.iter().map(|group| (group.name.as_str(), group.rule.lr() * self.factor))
    }

    /// Scales all gradients so that their joint 2-norm is `max_norm` at most, as
    /// `torch.nn.utils.clip_grad_norm_`: call it between [`G2dTrainer::step`](crate::trainer::G2dTrainer::step)
    /// and [`step`](Self::step). The answer is the norm before, a scalar on the device that nobody has
    /// waited for; `None` where no gradient is defined.
    ///
    /// # Errors
    /// [`Error::Config`](crate::error::Error::Config) for a norm that is not above 0.
    pub fn clip_grad_norm(&self, max_norm: f64) -> Result<Option<Tensor>> {
        if max_norm > 0.0 {
            return libtorch::clip_grad_norm(&self.tensors().collect::<Vec<_>>(), max_norm);
        }
        let found = format!("{max_norm}");
        Err(error::config("max_norm", "above 0", found, "1 or 5 are usual"))
    }

    fn tensors(&self) -> impl Iterator<Item = &Tensor> {
        let parameters = self.groups.iter().flat_map(|group| &group.parameters);
        parameters.map(|parameter| &parameter.tensor)
    }
}

impl Builder {
    /// Steps the parameters under `path` (whole components, joined by '.') by a rule of their own.
    pub fn group(mut self, path: impl Into<String>, rule: impl Into<Algorithm>) -> Self {
        self.groups.push((path.into(), rule.into()));
        self
    }

    /// Adds the parameters of another `VarStore`, a projection's say; their names, for groups and
    /// files, begin with `name` and a '.'.
    pub fn with_variables_of(mut self, name: &str, vs: &VarStore) -> Self {
        for (own, tensor) in Variables::new(vs).parameters() {
            self.variables.add_parameter(format!("{name}.{own}"), tensor);
        }
        self
    }

    /// Checks the groups and makes the optimizer.
    ///
    /// # Errors
    /// [`Error::Config`](crate::error::Error::Config) for a number out of range, a group without parameters,
    /// a parameter of two groups, or no parameter at all.
    pub fn build(self) -> Result<Optimizer> {
        let Self { variables, groups } = self;
        let mut groups: Vec<Group> = groups
            .into_iter()
            .map(|(name, rule)| Group { name, rule, parameters: Vec::new() })
            .collect();
        groups.iter().try_for_each(|group| group.rule.check(&group.name))?;
        for (name, tensor) in variables.parameters() {
            let own = |group: &Group| group.name != REST && within(name, &group.name);
            let owners: Vec<usize> = (0..groups.len()).filter(|&g| own(&groups[g])).collect();
            if let [a, b, ..] = owners[..] {
                return Err(error::config(
                    format!("parameter {name:?} of the optimizer"),
                    "one group",
                    format!("{:?} and {:?}", groups[a].name, groups[b].name),
                    "let no group's path lie in another's",
                ));
            }
            let parameter = Parameter::new(name.clone(), tensor.shallow_clone());
            groups[owners.first().copied().unwrap_or(0)].parameters.push(parameter);
        }
        if let Some(empty) = groups.iter().skip(1).find(|group| group.parameters.is_empty()) {
            return Err(error::config(
                format!("group {:?} of the optimizer", empty.name),
                "parameters under this path",
                "none",
                "check the path (whole components, joined by '.'), and make the model first",
            ));
        }
        if groups.iter().all(|group| group.parameters.is_empty()) {
            let hint = "make the model before its optimizer";
            return Err(error::config("optimizer", "a VarStore with parameters", "none", hint));
        }
        groups.retain(|group| !group.parameters.is_empty());
        Ok(Optimizer { groups, factor: 1.0 })
    }
}

impl Group {
    fn step(&mut self, factor: f64) -> Result<()> {
        let (mut fresh, mut known) = (Vec::new(), Vec::new());
        let remembers = !slots(&self.rule).is_empty();
        for parameter in self.parameters.iter_mut().filter(|parameter| parameter.moves()) {
            if remembers && parameter.moments.is_empty() {
                parameter.begin(&self.rule)?;
                fresh.push(&*parameter);
            } else {
                known.push(&*parameter);
            }
        }
        match self.rule {
            Algorithm::Sgd(rule) => {
                sgd(&rule, factor, &fresh, true)?;
                sgd(&rule, factor, &known, false)
            }
            Algorithm::Adam(AdamConfig { lr, betas, eps, weight_decay, amsgrad: _ }) => {
                fresh.append(&mut known);
                let lr = lr * factor;
                adam(&fresh, AdamNumbers { lr, betas, weight_decay, eps, decoupled: false })
            }
            Algorithm::AdamW(AdamWConfig { lr, betas, eps, weight_decay, amsgrad: _ }) => {
                fresh.append(&mut known);
                let lr = lr * factor;
                adam(&fresh, AdamNumbers { lr, betas, weight_decay, eps, decoupled: true })
            }
        }
    }
}

fn sgd(rule: &SgdConfig, factor: f64, parameters: &[&Parameter], fresh: bool) -> Result<()> {
    if parameters.is_empty() {
        return Ok(());
    }
    let SgdConfig { lr, momentum, dampening, weight_decay, nesterov } = *rule;
    let numbers = SgdNumbers { lr: lr * factor, momentum, dampening, weight_decay, nesterov };
    let tensors: Vec<_> = parameters.iter().map(|p| &p.tensor).collect();
    let momenta: Option<Vec<_>> = (momentum > 0.0).then(|| slot(parameters, 0));
    libtorch::sgd(&tensors, momenta.as_deref(), numbers, fresh)
}

fn adam(parameters: &[&Parameter], numbers: AdamNumbers) -> Result<()> {
    let Some(one) = parameters.first() else { return Ok(()) };
    let moments = AdamMoments {
        first: slot(parameters, 0),
        second: slot(parameters, 1),
        steps: slot(parameters, 2),
        largest: (one.moments.len() > 3).then(|| slot(parameters, 3)),
    };
    let tensors: Vec<_> = parameters.iter().map(|p| &p.tensor).collect();
    libtorch::adam(&tensors, &moments, numbers)
}

fn slot<'a>(parameters: &[&'a Parameter], slot: usize) -> Vec<&'a Tensor> {
    parameters.iter().map(|parameter| &parameter.moments[slot]).collect()
}

impl fmt::Debug for Optimizer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let group = |group: &Group| (group.name.clone(), group.rule, group.parameters.len());
        f.debug_struct("Optimizer")
            .field("groups", &self.groups.iter().map(group).collect::<Vec<_>>())
            .field("factor", &self.factor)
            .finish()
    }
}
