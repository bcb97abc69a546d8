//! The configuration of a trainer, checked before the first step.

use std::rc::Rc;

use tch::Device;

use super::{
    FeatureProjection, G2dTrainer, LossScaling, NonFinite, Precision, ReplicaBuffers,
    SuppressedMode, Suppression, buffers::WatchedBuffers, finite::FiniteGuard,
    forward::ForwardPass, observers::Observers, planner::Planner, reduction::Reduction, replicas,
    updater::Updater, window::AccumulationWindow,
};
use crate::error::{self, Result};
use crate::loss::{Confidence, G2dLoss};
use crate::modality::Modality;
use crate::modulation::Modulate;
use crate::parameters::ModalityParams;
use crate::probe::ImbalanceProbe;
use crate::ranks::Collective;
use crate::schedule::{Joint, Progress, SmpScheduler};
use crate::step::Objective;
use crate::student::Student;
use crate::teacher::Teacher;

/// Collects the parts of a trainer; [`build`](Self::build) checks them against the student.
///
/// Loss, teachers, scheduler, modulation and probes may be given as values or as boxes.
#[must_use = "a builder does nothing until `build`"]
pub struct Builder {
    loss: Box<dyn G2dLoss>,
    confidence: Option<Box<dyn Confidence>>,
    encoders: Option<ModalityParams>,
    teachers: Vec<Box<dyn Teacher>>,
    scheduler: Box<dyn SmpScheduler>,
    suppression: Suppression,
    suppressed_mode: SuppressedMode,
    accumulate: u64,
    precision: Precision,
    loss_scaling: LossScaling,
    non_finite: NonFinite,
    clip_norm: Option<f64>,
    modulation: Option<Box<dyn Modulate>>,
    projection: FeatureProjection,
    probes: Vec<Box<dyn ImbalanceProbe>>,
    pub(super) group: Option<Rc<dyn Collective>>,
    pub(super) replica_buffers: ReplicaBuffers,
}

impl G2dTrainer {
    /// Begins the configuration of a trainer for `loss`. [`encoders`](Builder::encoders) is required;
    /// every other part has a default.
    pub fn builder(loss: impl G2dLoss + 'static) -> Builder {
        Builder {
            loss: Box::new(loss),
            confidence: None,
            encoders: None,
            teachers: Vec::new(),
            scheduler: Box::new(Joint::default()),
            suppression: Suppression::default(),
            suppressed_mode: SuppressedMode::default(),
            accumulate: 1,
            precision: Precision::default(),
            loss_scaling: LossScaling::default(),
            non_finite: NonFinite::default(),
            clip_norm: None,
            modulation: None,
            projection: FeatureProjection::default(),
            probes: Vec::new(),
            group: None,
            replica_buffers: ReplicaBuffers::default(),
        }
    }
}

impl Builder {
    /// Sets the parameters of every modality's encoder, in the student's order.
    pub fn encoders(mut self, encoders: ModalityParams) -> Self {
        self.encoders = Some(encoders);
        self
    }

    /// Adds a teacher: one per modality, in the student's order, or none at all.
    pub fn teacher(mut self, teacher: impl Teacher + 'static) -> Self {
        self.teachers.push(Box::new(teacher));
        self
    }

    /// Ranks modalities by this ρ instead of the loss's own.
    pub fn confidence(mut self, confidence: impl Confidence + 'static) -> Self {
        self.confidence = Some(Box::new(confidence));
        self
    }

    /// Sets the scheduler; the default is [`Joint`].
    pub fn scheduler(mut self, scheduler: impl SmpScheduler + 'static) -> Self {
        self.scheduler = Box::new(scheduler);
        self
    }

    /// Sets the effect of a κ below 1; the default is [`Suppression::SkipBackward`].
    pub fn suppression(mut self, suppression: Suppression) -> Self {
        self.suppression = suppression;
        self
    }

    /// Sets the mode of an encoder that runs without gradient; the default is
    /// [`SuppressedMode::Train`].
    pub fn suppressed_mode(mut self, mode: SuppressedMode) -> Self {
        self.suppressed_mode = mode;
        self
    }

    /// Accumulates the gradients of `n` calls of [`step`](G2dTrainer::step), the micro-batches of a
    /// window, into one optimizer step: their mean Σ κ_i g_i / n. The default is 1.
    ///
    /// The gradient is complete where the report's [`outcome`](crate::StepReport::outcome) is `Ready`;
    /// [`G2dTrainer::update`] steps the optimizer there, and [`G2dTrainer::finish_update`] completes
    /// a last, shorter window:
    ///
    /// ```text
    /// for batch in … {
    ///     trainer.step(&student, &batch)?;
    ///     trainer.update(&mut optimizer)?;
    /// }
    /// trainer.finish_update(&mut optimizer)?;
    /// ```
    ///
    /// Each micro-batch has its own plan and counts in [`Progress`]. Probes observe the last one.
    pub fn accumulate(mut self, n: u64) -> Self {
        self.accumulate = n;
        self
    }

    /// Sets the dtype of forward passes; the default is [`Precision::Full`].
    pub fn precision(mut self, precision: Precision) -> Self {
        self.precision = precision;
        self
    }

    /// Sets the loss scaling of fp16; the defaults are PyTorch's.
    pub fn loss_scaling(mut self, scaling: LossScaling) -> Self {
        self.loss_scaling = scaling;
        self
    }

    /// Sets the policy for values that are not finite; the default is [`NonFinite::Error`].
    pub fn non_finite(mut self, policy: NonFinite) -> Self {
        self.non_finite = policy;
        self
    }

    /// Sets the largest L2 norm of all gradients together, to which
    /// [`G2dTrainer::update`] scales them, as `torch.nn.utils.clip_grad_norm_`; by default they are
    /// not clipped. With `f64::INFINITY` the norm is computed, for
    /// [`Update::gradient_norm`](crate::step::Update::gradient_norm), and nothing is clipped.
    pub fn clip_norm(mut self, max_norm: f64) -> Self {
        self.clip_norm = Some(max_norm);
        self
    }

    /// Sets what changes gradients after backward; by default nothing does.
    pub fn modulation(mut self, modulation: impl Modulate + 'static) -> Self {
        self.modulation = Some(Box::new(modulation));
        self
    }

    /// Sets a projection of student features to their teachers' widths.
    pub fn projection(mut self, projection: FeatureProjection) -> Self {
        self.projection = projection;
        self
    }

    /// Adds a probe.
    pub fn probe(mut self, probe: impl ImbalanceProbe + 'static) -> Self {
        self.probes.push(Box::new(probe));
        self
    }

    /// Checks all parts against each other and against the student.
    ///
    /// # Errors
    /// [`Error::Config`](crate::Error::Config) for fewer than two modalities or repeated names;
    /// encoders or teachers whose modalities are not the student's in its order; a number of the loss
    /// or the scheduler out of range; a scheduler that ranks by ρ without teachers; a projection of an
    /// unknown modality; a `clip_norm` that is not above 0; and accumulation together with [`Suppression::ZeroGradient`] or a modulation,
    /// which multiply the accumulated gradient.
    pub fn build(self, student: &dyn Student) -> Result<G2dTrainer> {
        let modalities = student.modalities().to_vec();
        Modality::check_names(&modalities)?;
        let Some(mut params) = self.encoders else {
            return Err(error::config(
                "encoders",
                format!("the parameters of {modalities:?}"),
                "none",
                "call `.encoders(ModalityParams::by_prefix(&vs, [(\"name\", \"path\"), …])?)`",
            ));
        };
        same_modalities("encoders", params.modalities(), &modalities)?;
        if !self.teachers.is_empty() {
            same_modalities("teachers", self.teachers.iter().map(|t| t.modality()), &modalities)?;
        }
        let objective = Objective::new(modalities, self.loss, self.confidence)?;
        let planner = Planner::new(self.teachers, self.scheduler, self.precision, &objective)?;
        let mut modulation = self.modulation;
        if let Some(modulation) = &mut modulation {
            modulation.bind(objective.modalities())?;
        }
        let forward = ForwardPass::new(
            self.suppression,
            self.suppressed_mode,
            self.precision,
            self.projection,
            objective.modalities(),
        )?;
        for (name, tensor) in forward.projection().parameters() {
            params.variables_mut().add_parameter(name, tensor);
        }
        let ranks = replicas::join(self.group, objective.modalities().len(), || {
            format!(
                "modalities {:?}, {} teachers, {:?}, {:?}, accumulate {}, {:?}, {:?}, {:?}, clip norm {:?}, \
                 {} modulation, {} probes, buffers {:?}, on {}",
                objective.modalities(),
                planner.teachers(),
                self.suppression,
                self.suppressed_mode,
                self.accumulate,
                self.precision,
                self.loss_scaling,
                self.non_finite,
                self.clip_norm,
                if modulation.is_some() { "a" } else { "no" },
                self.probes.len(),
                self.replica_buffers,
                if params.device() == Device::Cpu { "the CPU" } else { "a GPU" },
            )
        })?;
        replicas::copy_from_first(&ranks, params.variables())?;
        let guard = FiniteGuard::new(self.non_finite, WatchedBuffers::from_params(&params)?)?;
        let window = AccumulationWindow::new(
            self.accumulate,
            self.suppression,
            modulation.is_some(),
            self.precision,
            self.loss_scaling,
            guard.skips(),
        )?
        .reduced_by(Reduction::new(ranks.clone()));
        Ok(G2dTrainer {
            observers: Observers::new(self.probes, objective.modalities().len()),
            objective,
            params,
            planner,
            forward,
            window,
            guard,
            modulation,
            updater: Updater::new(self.clip_norm)?,
            progress: Progress::default(),
            ranks,
            replica_buffers: self.replica_buffers,
        })
    }
}

/// Refuses modalities other than the student's, or in another order.
fn same_modalities<'a>(
    what: &str,
    found: impl Iterator<Item = &'a Modality>,
    expected: &[Modality],
) -> Result<()> {
    let found: Vec<_> = found.collect();
    if found.iter().copied().eq(expected) {
        return Ok(());
    }
    Err(error::config(
        format_args!("modalities of the {what}"),
        format_args!("{expected:?}, the student's in its order"),
        format_args!("{found:?}"),
        "give one per modality, in the student's order",
    ))
}
