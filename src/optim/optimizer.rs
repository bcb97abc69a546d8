//! An optimizer over groups of parameters.

use std::path::Path;

use tch::Tensor;

use super::{
    group::Group,
    lr_schedule::check_factor,
    saved::{self, SavedState},
};
use crate::error::{self, Result};
use crate::libtorch;

/// Updates parameters by the gradients of [`G2dTrainer::step`](crate::G2dTrainer::step).
///
/// A parameter without a gradient, such as one of a suppressed encoder, is not updated and keeps
/// its moments. A frozen parameter is never updated, even if it has an old gradient. Updates equal
/// PyTorch's. Each group is one call of libtorch's fused kernel, which does not synchronise with
/// the device.
///
/// [`save`](Self::save) and [`load`](Self::load) hold the whole state, so that a run can resume.
///
/// # Example
/// ```
/// use g2d::optim::{LrSchedule, Optimizer, SgdConfig};
/// use tch::{Device, nn};
///
/// let vs = nn::VarStore::new(Device::Cpu);
/// let _encoder = nn::linear(vs.root() / "audio_net", 4, 2, Default::default());
/// let _head = nn::linear(vs.root() / "head", 4, 2, Default::default());
/// let config = SgdConfig { lr: 0.01, momentum: 0.9, weight_decay: 1e-4, ..Default::default() };
/// let mut optimizer = Optimizer::builder(&vs, config)
///     .group("head", SgdConfig { lr: 0.1, ..config }) // for the parameters under this path
///     .build()?;
/// let schedule = LrSchedule::step(200, 0.1).warmup(5);
/// for epoch in 0..3 {
///     optimizer.set_lr_factor(schedule.factor(epoch))?;
///     optimizer.zero_grad()?;
///     // trainer.step(&student, &batch)?;
///     optimizer.step()?;
/// }
/// # Ok::<(), g2d::Error>(())
/// ```
#[derive(Debug)]
pub struct Optimizer {
    groups: Vec<Group>,
    lr_factor: f64,
}

impl Optimizer {
    pub(super) fn new(groups: Vec<Group>) -> Self {
        Self { groups, lr_factor: 1.0 }
    }

    /// Updates all parameters once.
    ///
    /// # Errors
    /// [`Error::Torch`](crate::Error::Torch) for sparse gradients, for parameters that are views
    /// with gaps, and for errors of libtorch.
    pub fn step(&mut self) -> Result<()> {
        self.groups.iter_mut().try_for_each(|group| group.step(self.lr_factor))
    }

    /// Makes all gradients undefined, as PyTorch's `zero_grad`.
    ///
    /// # Errors
    /// [`Error::Torch`](crate::Error::Torch).
    pub fn zero_grad(&self) -> Result<()> {
        libtorch::clear_grads(self.tensors())
    }

    /// Sets the factor by which the learning rates of all groups are multiplied, for example that
    /// of an [`LrSchedule`](super::LrSchedule). It is 1 at first, and replaces the previous factor.
    ///
    /// # Errors
    /// [`Error::Config`](crate::Error::Config) for a factor that is NaN, infinite or negative, or with
    /// which a learning rate is not finite. The previous factor is kept then.
    pub fn set_lr_factor(&mut self, factor: f64) -> Result<()> {
        check_factor(factor)?;
        if let Some(group) = self.groups.iter().find(|g| !(g.algorithm().lr() * factor).is_finite())
        {
            let what = format!("learning rate of group {:?}", group.name());
            let found = format!("{:e} · {factor:e}", group.algorithm().lr());
            return Err(error::out_of_range(what, "finite and ≥ 0", found));
        }
        self.lr_factor = factor;
        Ok(())
    }

    /// Discards momentum, moments and numbers of steps, as if the optimizer were new. Parameters,
    /// gradients and the learning rate factor do not change.
    pub fn discard_state(&mut self) {
        self.groups.iter_mut().for_each(Group::discard_state);
    }

    /// The name of each group and its current learning rate. The name is the group's path, "" for the
    /// parameters of no group, with " (no decay)" for those without weight decay.
    pub fn lr(&self) -> impl Iterator<Item = (&str, f64)> {
        self.groups.iter().map(|group| (group.name(), group.algorithm().lr() * self.lr_factor))
    }

    /// Scales all gradients so that their joint L2 norm is at most `max_norm`, as
    /// `torch.nn.utils.clip_grad_norm_`. Returns the norm before, a scalar on the device; `None`
    /// without gradients. Does not synchronise with the device.
    ///
    /// Call it between [`G2dTrainer::step`](crate::G2dTrainer::step) and [`step`](Self::step).
    ///
    /// # Errors
    /// [`Error::Config`](crate::Error::Config) if `max_norm` is not above 0.
    pub fn clip_grad_norm(&self, max_norm: f64) -> Result<Option<Tensor>> {
        if max_norm > 0.0 {
            return libtorch::clip_grad_norm(&self.tensors().collect::<Vec<_>>(), max_norm);
        }
        Err(error::out_of_range("max_norm", "above 0", max_norm))
    }

    /// Atomically writes the state to a safetensors file: momentum, moments, numbers of steps and
    /// the learning rate factor. Synchronises with the device.
    ///
    /// # Errors
    /// [`Error::Io`](crate::Error::Io) if the file cannot be written.
    pub fn save(&self, path: impl AsRef<Path>) -> Result<()> {
        saved::write(path.as_ref(), &self.groups, self.lr_factor)
    }

    /// Restores the state that [`save`](Self::save) has written. Hyper-parameters, such as learning
    /// rates, stay those of this optimizer.
    ///
    /// # Errors
    /// [`Error::Io`](crate::Error::Io) if the file cannot be read;
    /// [`Error::Data`](crate::Error::Data) if it is damaged, of a newer format, or of an optimizer
    /// with other algorithms, groups or parameters. The optimizer is unchanged then.
    pub fn load(&mut self, path: impl AsRef<Path>) -> Result<()> {
        let state = self.read(path.as_ref())?;
        self.restore(state);
        Ok(())
    }

    /// Reads a state that fits this optimizer, which does not change.
    pub(crate) fn read(&self, path: &Path) -> Result<SavedState> {
        saved::read(path, &self.groups)
    }

    /// Restores a state that this optimizer has read.
    pub(crate) fn restore(&mut self, state: SavedState) {
        self.lr_factor = state.restore(&mut self.groups);
    }

    fn tensors(&self) -> impl Iterator<Item = &Tensor> {
        self.groups.iter().flat_map(Group::tensors)
    }
}
