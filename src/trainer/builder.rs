//! The configuration of a trainer, checked before the first step.

use super::{
    FeatureProjection, G2dTrainer, LossScaling, NonFinite, Precision, SuppressedMode, Suppression,
    finite::FiniteGuard, forward::ForwardPass, observers::Observers, planner::Planner,
    window::AccumulationWindow,
};
use crate::{
    error::{self, Result},
    loss::{Confidence, G2dLoss},
    modality::{Modality, check_names},
    modulation::Modulate,
    parameters::ModalityParams,
    probe::ImbalanceProbe,
    schedule::{Joint, Progress, SmpScheduler},
    step::Objective,
    student::Student,
    teacher::Teacher,
};

/// Collects a trainer's parts; [`build`](Self::build) checks them against the student.
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
    modulation: Option<Box<dyn Modulate>>,
    projection: FeatureProjection,
    probes: Vec<Box<dyn ImbalanceProbe>>,
}

impl G2dTrainer {
    /// Starts a trainer for `loss`; [`encoders`](Builder::encoders) is the other part that
    /// must be given.
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
            modulation: None,
            projection: FeatureProjection::default(),
            probes: Vec::new(),
        }
    }
}

impl Builder {
    /// The parameters of every modality's encoder, in the student's order.
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

    /// What a κ below 1 does; [`Suppression::SkipBackward`] if not given.
    pub fn suppression(mut self, suppression: Suppression) -> Self {
        self.suppression = suppression;
        self
    }

    /// How an encoder runs that κ = 0 keeps outside the graph; [`SuppressedMode::Train`] if not given.
    pub fn suppressed_mode(mut self, mode: SuppressedMode) -> Self {
        self.suppressed_mode = mode;
        self
    }

    /// Makes one step of the optimizer of `n` calls of [`step`](G2dTrainer::step), micro-batches: the
    /// gradient is the mean of theirs, Σ κ_i g_i / n. [`StepReport::outcome`](crate::step::StepReport) says
    /// when it is complete:
    ///
    /// ```text
    /// if trainer.step(&student, &batch)?.outcome.is_ready() {
    ///     optimizer.step();
    ///     optimizer.zero_grad();
    /// }
    /// ```
    ///
    /// Every micro-batch is planned by itself and counts in [`Progress`]. Probes look on at a window's
    /// last one.
    pub fn accumulate(mut self, n: u64) -> Self {
        self.accumulate = n;
        self
    }

    /// In which kind student and teachers compute; [`Precision::Full`] if not given.
    pub fn precision(mut self, precision: Precision) -> Self {
        self.precision = precision;
        self
    }

    /// How fp16's loss scale follows overflows; PyTorch's numbers if not given.
    pub fn loss_scaling(mut self, scaling: LossScaling) -> Self {
        self.loss_scaling = scaling;
        self
    }

    /// What happens to a step that is not finite; [`NonFinite::Error`] if not given.
    pub fn non_finite(mut self, policy: NonFinite) -> Self {
        self.non_finite = policy;
        self
    }

    /// Sets what changes gradients after backward; by default nothing does.
    pub fn modulation(mut self, modulation: impl Modulate + 'static) -> Self {
        self.modulation = Some(Box::new(modulation));
        self
    }

    /// Maps student features to their teachers' widths where these differ.
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
    /// [`Error::Config`](crate::error::Error::Config), naming the part, what was expected and a hint: fewer
    /// than two modalities or names that repeat; encoders or teachers whose modalities are not the
    /// student's in its order; a number of the loss or the schedule out of range; a schedule that reads
    /// ρ without teachers; a projection of an unknown modality; accumulation beside
    /// [`Suppression::ZeroGradient`] or a gradient modulation, which would multiply what has
    /// accumulated.
    pub fn build(self, student: &dyn Student) -> Result<G2dTrainer> {
        let modalities = student.modalities().to_vec();
        check_names(&modalities)?;
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
        for (name, tensor) in forward.projection.parameters() {
            params.variables_mut().add_parameter(name, tensor);
        }
        let guard = FiniteGuard::new(self.non_finite)?;
        let window = AccumulationWindow::new(
            self.accumulate,
            self.suppression,
            modulation.is_some(),
            self.precision,
            self.loss_scaling,
            guard.skips(),
        )?;
        Ok(G2dTrainer {
            observers: Observers::new(self.probes, objective.modalities().len()),
            objective,
            params,
            planner,
            forward,
            window,
            guard,
            modulation,
            progress: Progress::default(),
        })
    }
}

/// Refuses other names, another number or another order.
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
        format!("modalities of the {what}"),
        format!("{expected:?}, the student's in its order"),
        format!("{found:?}"),
        "one a modality, added in the student's order",
    ))
}
