//! The policy for values that are NaN or infinite.

use serde::{Deserialize, Serialize};
use tch::{Device, Tensor};

use super::{buffers::WatchedBuffers, sources};
use crate::error::{self, Result};
use crate::parameters::ModalityParams;
use crate::schedule::Progress;
use crate::step::{NonFiniteSource, Observation, SkipCause};
use crate::{libtorch, transfer};

/// What happens to a step whose loss, gradient, teacher, target or buffer is not finite.
///
/// The buffers of the student, such as the running statistics of batch norm, are checked after its
/// forward pass. A step that is an error or is skipped leaves them as it found them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum NonFinite {
    /// A loss or a buffer that is not finite is an error: at once on the CPU, on another device when the
    /// loss is read. Gradients are not checked, and the check does not synchronise with the device.
    ///
    /// A parameter that is not finite, after such a gradient, is found by the loss of the next step. One
    /// that no loss depends on is found where the model is used: by
    /// [`G2dTrainer::evaluate`](crate::G2dTrainer::evaluate), [`weights::save`](crate::weights::save) and
    /// snapshots.
    #[default]
    Error,
    /// The step is skipped, and the report gives the cause:
    /// [`StepOutcome::Skipped`](crate::StepOutcome::Skipped). Complete gradients are checked too. Costs
    /// one pass over the gradients and one synchronisation with the device per step.
    Skip,
    /// As `Skip`, but this number of skipped steps in a row is an error. 1: the first one is.
    StopAfter(u32),
}

/// Finds values that are not finite and applies a [`NonFinite`] policy to them.
#[derive(Debug)]
pub(super) struct FiniteGuard {
    policy: NonFinite,
    buffers: WatchedBuffers,
    /// Losses on a device that have not been read yet.
    deferred: Vec<DeferredLoss>,
    skipped_in_a_row: u32,
}

/// A loss that is checked by a later read.
#[derive(Debug)]
struct DeferredLoss {
    at: Progress,
    total: Tensor,
    terms: sources::Named,
    /// Not 0 where a buffer is not finite.
    buffers: Option<Tensor>,
}

/// The largest number of deferred losses: each holds device memory, and an epoch may be long.
const DEFERRED_AT_MOST: usize = 1024;

/// What the check of a backward pass found.
pub(super) enum Checked {
    Finite,
    /// A value of the forward pass or a buffer is not finite.
    Loss(NonFiniteSource),
    /// A gradient is not finite.
    Gradients,
}

impl FiniteGuard {
    /// # Errors
    /// [`Error::Config`](crate::Error::Config) for `StopAfter(0)`.
    pub(super) fn new(policy: NonFinite, buffers: WatchedBuffers) -> Result<Self> {
        if policy == NonFinite::StopAfter(0) {
            let expected = "at least 1 skipped step";
            return Err(error::config(
                "NonFinite::StopAfter",
                expected,
                "0",
                "1 stops at the first",
            ));
        }
        Ok(Self { policy, buffers, deferred: Vec::new(), skipped_in_a_row: 0 })
    }

    /// Returns whether the policy skips steps.
    pub(super) fn skips(&self) -> bool {
        self.policy != NonFinite::Error
    }

    /// Returns whether the loss of `step` is checked after its backward: on a device, under a policy that
    /// skips.
    pub(super) fn checks_after_backward(&self, step: &Observation<'_>) -> bool {
        self.skips() && step.terms.total.device() != Device::Cpu
    }

    /// Checks the loss and the buffers before backward. On the CPU, returns the source of a value that
    /// is not finite, or an error, as the policy requires. On another device the check is deferred.
    pub(super) fn check_loss(&mut self, step: &Observation<'_>) -> Result<Option<NonFiniteSource>> {
        if step.terms.total.device() != Device::Cpu {
            if !self.skips() {
                self.defer(step)?;
            }
            return Ok(None);
        }
        let (mut scalars, flag) = (self.scalars(step)?, self.buffers.flag()?);
        let losses = scalars.len();
        scalars.extend(flag);
        let values = transfer::read_on_host(&scalars)?;
        let (losses, flags) = values.split_at(losses);
        let finite = losses.iter().all(|value| value.is_finite());
        if finite && flags.iter().all(|&flag| flag == 0.0) {
            return Ok(None);
        }
        let first =
            if finite { self.buffers.first()? } else { sources::first(sources::of_step(step))? };
        if self.skips() {
            return Ok(Some(first));
        }
        if finite {
            return Err(sources::buffer_error(step, &first));
        }
        let term = sources::first(sources::of_terms(step))?;
        Err(sources::loss_error(step.at, &term, losses[0], &first))
    }

    /// Checks, in one transfer, what the policy requires after backward: on a device the loss and ρ of
    /// `step` and the buffers, and `flag`, a scalar that is not 0 where a gradient is not finite.
    pub(super) fn check_gradients(
        &mut self,
        step: Option<&Observation<'_>>,
        flag: Option<Tensor>,
    ) -> Result<Checked> {
        let on_device = step.filter(|step| self.checks_after_backward(step));
        let mut scalars = on_device.map_or_else(|| Ok(Vec::new()), |step| self.scalars(step))?;
        let losses = scalars.len();
        let buffers = on_device.map_or(Ok(None), |_| self.buffers.flag())?;
        let has_buffers = buffers.is_some();
        scalars.extend(buffers.into_iter().chain(flag));
        if scalars.is_empty() {
            return Ok(Checked::Finite);
        }
        let values = self.read(&scalars)?;
        let (losses, flags) = values.split_at(losses);
        let (buffers, flags) = flags.split_at(usize::from(has_buffers));
        match on_device {
            Some(step) if losses.iter().any(|value| !value.is_finite()) => {
                Ok(Checked::Loss(sources::first(sources::of_step(step))?))
            }
            Some(_) if buffers.iter().any(|&flag| flag != 0.0) => {
                Ok(Checked::Loss(self.buffers.first()?))
            }
            _ if flags.iter().all(|&flag| flag == 0.0) => Ok(Checked::Finite),
            _ => Ok(Checked::Gradients),
        }
    }

    /// The cause of a step that is skipped for its gradients, or an error under [`NonFinite::Error`].
    pub(super) fn gradient_cause(
        &self,
        at: Progress,
        params: &ModalityParams,
    ) -> Result<SkipCause> {
        let source = sources::first_gradient(params)?;
        match self.policy {
            NonFinite::Error => Err(sources::gradient_error(at, &source)),
            NonFinite::Skip | NonFinite::StopAfter(_) => Ok(SkipCause::NonFinite(source)),
        }
    }

    /// Counts a completed step, which ends a row of skipped ones.
    pub(super) fn count_completed(&mut self) {
        self.skipped_in_a_row = 0;
    }

    /// Counts a skipped step; too many in a row are an error.
    pub(super) fn count_skipped(&mut self, at: Progress, cause: &SkipCause) -> Result<()> {
        let SkipCause::NonFinite(source) = cause else { return Ok(()) };
        self.skipped_in_a_row += 1;
        match self.policy {
            NonFinite::StopAfter(limit) if self.skipped_in_a_row >= limit => {
                Err(error::non_finite(
                    format!("epoch {}, step {}: {source}", at.epoch, at.step),
                    format!("fewer than {limit} skipped steps in a row"),
                    format!("{}", self.skipped_in_a_row),
                    "check inputs and targets for NaN, and lower the learning rate",
                ))
            }
            _ => Ok(()),
        }
    }

    /// Reads `scalars` and, in the same transfer, the deferred losses and the flags of the buffers.
    pub(super) fn read(&mut self, scalars: &[Tensor]) -> Result<Vec<f64>> {
        let deferred = std::mem::take(&mut self.deferred);
        let each = deferred.iter().flat_map(|loss| [&loss.total].into_iter().chain(&loss.buffers));
        let all: Vec<Tensor> = scalars.iter().chain(each).map(Tensor::shallow_clone).collect();
        let mut values = transfer::read_scalars(&all)?;
        let mut each = values.split_off(scalars.len()).into_iter();
        for loss in deferred {
            let value = each.next().unwrap_or_default();
            let flag = loss.buffers.as_ref().and_then(|_| each.next()).unwrap_or_default();
            if !value.is_finite() {
                let term = sources::first(loss.terms)?;
                return Err(sources::loss_error(loss.at, &term, value, &term));
            }
            if flag != 0.0 {
                return Err(sources::deferred_buffer_error(loss.at, &self.buffers.first()?));
            }
        }
        Ok(values)
    }

    /// Number of steps in a row that were skipped, for a checkpoint.
    pub(super) fn skipped_in_a_row(&self) -> u32 {
        self.skipped_in_a_row
    }

    /// Restores the number of a checkpoint.
    pub(super) fn restore(&mut self, skipped_in_a_row: u32) {
        self.skipped_in_a_row = skipped_in_a_row;
    }

    /// The loss, and under a policy that skips also every ρ.
    fn scalars(&self, step: &Observation<'_>) -> Result<Vec<Tensor>> {
        let confidence = step.confidence.iter().flatten().filter(|_| self.skips());
        std::iter::once(&step.terms.total).chain(confidence).map(libtorch::detach).collect()
    }

    fn defer(&mut self, step: &Observation<'_>) -> Result<()> {
        if self.deferred.len() >= DEFERRED_AT_MOST {
            self.read(&[])?;
        }
        let (total, terms) = (step.terms.total.detach(), sources::of_terms(step));
        let buffers = self.buffers.flag()?;
        self.deferred.push(DeferredLoss { at: step.at, total, terms, buffers });
        Ok(())
    }
}
