//! Every mistake of configuration is found here.

use super::accumulation::Accumulation;
use super::report::EpochTotals;
use super::{
    G2dTrainer, LossScale, LossScaling, NonFinite, Precision, SuppressedMode, Suppression,
};
use crate::modality::check_names;
use crate::{
    Confidence, FeatureProjection, G2dLoss, GradientModulation, ImbalanceProbe, Joint, Modality,
    ModalityParams, Progress, Result, SmpScheduler, Student, Teacher, error,
};

/// Collects a trainer's parts; [`build`](Self::build) checks them against the student.
#[must_use = "a builder does nothing until `build`"]
pub struct G2dTrainerBuilder {
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
    modulation: Option<Box<dyn GradientModulation>>,
    projection: FeatureProjection,
    probes: Vec<Box<dyn ImbalanceProbe>>,
}

impl G2dTrainer {
    /// Starts a trainer for `loss`; [`encoders`](G2dTrainerBuilder::encoders) is the other part that
    /// must be given.
    pub fn builder(loss: impl G2dLoss + 'static) -> G2dTrainerBuilder {
        G2dTrainerBuilder {
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

impl G2dTrainerBuilder {
    /// The parameters of every modality's encoder, in the student's order.
    pub fn encoders(mut self, encoders: ModalityParams) -> Self {
        self.encoders = Some(encoders);
        self
    }

    /// Adds a teacher; call it once a modality, in the student's order, or never.
    pub fn teacher(self, teacher: impl Teacher + 'static) -> Self {
        self.boxed_teacher(Box::new(teacher))
    }

    /// Adds a teacher chosen at run time.
    pub fn boxed_teacher(mut self, teacher: Box<dyn Teacher>) -> Self {
        self.teachers.push(teacher);
        self
    }

    /// By what ρ modalities are ranked; the loss's own if not given.
    pub fn confidence(mut self, confidence: impl Confidence + 'static) -> Self {
        self.confidence = Some(Box::new(confidence));
        self
    }

    /// Who learns when; [`Joint`] if not given.
    pub fn scheduler(self, scheduler: impl SmpScheduler + 'static) -> Self {
        self.boxed_scheduler(Box::new(scheduler))
    }

    /// A scheduler chosen at run time.
    pub fn boxed_scheduler(mut self, scheduler: Box<dyn SmpScheduler>) -> Self {
        self.scheduler = scheduler;
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
    /// gradient is the mean of theirs, Σ κ_i g_i / n. [`StepReport::outcome`](crate::StepReport) says
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

    /// What changes gradients after backward; nothing if not given.
    pub fn modulation(self, modulation: impl GradientModulation + 'static) -> Self {
        self.boxed_modulation(Box::new(modulation))
    }

    /// A modulation chosen at run time.
    pub fn boxed_modulation(mut self, modulation: Box<dyn GradientModulation>) -> Self {
        self.modulation = Some(modulation);
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
    /// [`Error::Config`](crate::Error::Config), naming the part, what was expected and the mend: fewer
    /// than two modalities or names that repeat; encoders or teachers whose modalities are not the
    /// student's in its order; a number of the loss or the schedule out of range; a schedule that reads
    /// ρ without teachers; a projection of an unknown modality; accumulation beside
    /// [`Suppression::ZeroGradient`] or a gradient modulation, which would multiply what has
    /// accumulated.
    pub fn build(self, student: &dyn Student) -> Result<G2dTrainer> {
        let Self {
            loss,
            confidence,
            encoders,
            teachers,
            mut scheduler,
            suppression,
            suppressed_mode,
            accumulate,
            precision,
            loss_scaling,
            non_finite,
            mut modulation,
            projection,
            probes,
        } = self;
        let modalities = student.modalities().to_vec();
        check_names(&modalities)?;
        let Some(mut params) = encoders else {
            return Err(error::config(
                "encoders",
                format!("the parameters of {modalities:?}"),
                "none",
                "call `.encoders(ModalityParams::by_prefix(&vs, [(\"name\", \"path\"), …])?)`",
            ));
        };
        same_modalities("encoders", params.modalities(), &modalities)?;
        if !teachers.is_empty() {
            same_modalities("teachers", teachers.iter().map(|t| t.modality()), &modalities)?;
        }
        loss.check(&modalities)?;
        scheduler.bind(&modalities)?;
        if scheduler.needs_confidence() && teachers.is_empty() {
            return Err(error::config(
                "scheduler",
                "teachers, since it ranks modalities by their confidence ρ",
                "none",
                "add a teacher for each modality, or fix the order with `Ranking::Fixed`",
            ));
        }
        if let Some(modulation) = &mut modulation {
            modulation.bind(&modalities)?;
        }
        if let Some(unknown) = projection.modalities().find(|m| !modalities.contains(m)) {
            return Err(error::config(
                "feature projection",
                format!("one of {modalities:?}"),
                format!("{unknown:?}"),
                "name the student's modality",
            ));
        }
        projection
            .parameters()
            .for_each(|(name, tensor)| params.variables_mut().add_parameter(name, tensor));
        let accumulation = Accumulation::new(accumulate, suppression, modulation.is_some())?;
        loss_scaling.check()?;
        check_numbers(suppression, suppressed_mode, non_finite)?;
        Ok(G2dTrainer {
            totals: EpochTotals::new(modalities.len()),
            modalities,
            loss,
            confidence,
            params,
            teachers,
            scheduler,
            suppression,
            suppressed_mode,
            accumulation,
            precision,
            loss_scale: LossScale::new(loss_scaling),
            loss_scaling,
            non_finite,
            skipped_in_a_row: 0,
            modulation,
            projection,
            probes,
            progress: Progress::default(),
            unread: Vec::new(),
        })
    }
}

/// Refuses settings that could not act.
fn check_numbers(
    suppression: Suppression,
    mode: SuppressedMode,
    non_finite: NonFinite,
) -> Result<()> {
    if non_finite == NonFinite::StopAfter(0) {
        return Err(error::config(
            "NonFinite::StopAfter",
            "at least 1 skipped step",
            "0",
            "1 stops at the first",
        ));
    }
    if mode == SuppressedMode::Evaluation && suppression != Suppression::SkipBackward {
        return Err(error::config(
            "suppressed mode",
            "`Suppression::SkipBackward`, which keeps encoders outside the graph",
            format!("{suppression:?}, under which they train"),
            "leave one of the two out",
        ));
    }
    Ok(())
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
