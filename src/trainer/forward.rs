//! The student's forward pass under a plan.

use std::fmt::Display;

use tch::Tensor;

use super::{
    FeatureProjection, Precision, SuppressedMode, Suppression, feature_cache::FeatureCache,
    missing::features, suppression::Frozen,
};
use crate::batch::{Batch, Rows, SplitBatch};
use crate::error::{self, Result};
use crate::modality::Modality;
use crate::parameters::ModalityParams;
use crate::schedule::Plan;
use crate::step::Objective;
use crate::student::{Features, Student};
use crate::teacher::TeacherOutput;

/// How the student runs in training.
pub(super) struct ForwardPass {
    suppression: Suppression,
    suppressed_mode: SuppressedMode,
    precision: Precision,
    projection: FeatureProjection,
    /// Used in [`SuppressedMode::Cached`].
    cache: FeatureCache,
}

/// The student's output for a batch, checked and in `Float`.
pub(super) struct StudentOutput {
    /// Features [B, d_m] of every modality.
    pub features: Vec<Tensor>,
    /// The fused logits [B, C].
    pub logits: Tensor,
    /// Unimodal logits [B, C]; `None` for a modality that the whole batch lacks, empty unless the loss
    /// needs them.
    pub unimodal: Vec<Option<Tensor>>,
    /// The features that L_feat compares with the teachers'.
    pub distilled: Vec<Tensor>,
}

impl ForwardPass {
    /// # Errors
    /// [`Error::Config`](crate::Error::Config) for a suppressed mode that cannot act, and for the
    /// projection of an unknown modality.
    pub(super) fn new(
        suppression: Suppression,
        suppressed_mode: SuppressedMode,
        precision: Precision,
        projection: FeatureProjection,
        modalities: &[Modality],
    ) -> Result<Self> {
        if suppressed_mode != SuppressedMode::Train && suppression != Suppression::SkipBackward {
            return Err(error::config(
                "suppressed mode",
                "`Suppression::SkipBackward`, which runs suppressed encoders without gradient",
                format!("{suppression:?}, under which they train"),
                "leave one of the two out",
            ));
        }
        if let Some(unknown) = projection.modalities().find(|m| !modalities.contains(m)) {
            let (expected, found) = (format!("one of {modalities:?}"), format!("{unknown:?}"));
            return Err(error::config("feature projection", expected, found, "use one of these"));
        }
        let cache = FeatureCache::new(modalities.len());
        Ok(Self { suppression, suppressed_mode, precision, projection, cache })
    }

    pub(super) fn precision(&self) -> Precision {
        self.precision
    }

    pub(super) fn projection(&self) -> &FeatureProjection {
        &self.projection
    }

    /// Makes constants of what [`run`](Self::run) uses of suppressed encoders.
    pub(super) fn freeze(&self, plan: &Plan, params: &ModalityParams) -> Result<Frozen> {
        self.suppression.freeze(plan, params)
    }

    /// Runs encoders, fusion and projection, under autocast where the precision requires it.
    pub(super) fn run(
        &mut self,
        student: &dyn Student,
        parts: &SplitBatch<'_>,
        teachers: &[Option<TeacherOutput>],
        plan: &Plan,
        params: &ModalityParams,
        objective: &Objective,
    ) -> Result<StudentOutput> {
        let region = self.precision.region(parts.whole().device())?;
        let encoded = features(student, parts, |m, part| {
            let features = self.encode(student, m, part, plan.kappa()[m], params)?;
            self.suppression.gate_encoder(features, plan.kappa()[m])
        })?;
        let gated = self.suppression.gate_fusion(&encoded, plan.kappa())?;
        let fused = gated.as_deref().unwrap_or(&encoded);
        let (rows, batch) = (parts.rows(), parts.whole());
        let logits = student.fuse(&Features::with_rows(fused, rows, batch), true)?;
        check_logits(&logits, teachers, parts, objective)?;
        let own = Features::with_rows(&encoded, rows, batch);
        let unimodal = self.unimodal(student, &own, &logits, objective)?;
        let distilled = if teachers.is_empty() {
            encoded.iter().map(Tensor::shallow_clone).collect()
        } else {
            self.distilled(student, &own)?
        };
        drop(region);
        let widen = |tensors: Vec<Tensor>| -> Result<Vec<Tensor>> {
            tensors.into_iter().map(|tensor| self.precision.widen(tensor)).collect()
        };
        let unimodal = unimodal.into_iter().map(|z| z.map(|z| self.precision.widen(z)).transpose());
        Ok(StudentOutput {
            unimodal: unimodal.collect::<Result<_>>()?,
            features: widen(encoded)?,
            logits: self.precision.widen(logits)?,
            distilled: widen(distilled)?,
        })
    }

    /// The features of modality `m`, validated; without gradient where κ suppresses the encoder entirely.
    fn encode(
        &mut self,
        student: &dyn Student,
        m: usize,
        batch: &Batch,
        kappa: f64,
        params: &ModalityParams,
    ) -> Result<Tensor> {
        let modality = &student.modalities()[m];
        let encode = |train: bool| {
            let features = student.encode(m, batch, train)?;
            let check = |what| check_output(what, &features, None, batch);
            check(format_args!("features of modality {modality:?}"))?;
            Ok(features)
        };
        if !self.suppression.detaches(kappa) {
            self.cache.forget(m);
            return encode(true);
        }
        let _no_grad = tch::no_grad_guard();
        match self.suppressed_mode {
            SuppressedMode::Train => encode(true),
            SuppressedMode::Evaluation => encode(false),
            SuppressedMode::Cached => {
                self.cache.features(m, modality, batch, params, || encode(false))
            }
        }
    }

    /// The student's unimodal logits, validated, if the loss needs them.
    fn unimodal(
        &self,
        student: &dyn Student,
        features: &Features<'_>,
        fused: &Tensor,
        objective: &Objective,
    ) -> Result<Vec<Option<Tensor>>> {
        if !objective.needs_unimodal_logits() {
            return Ok(Vec::new());
        }
        let logits = |m: usize| {
            if features.rows()[m].is_missing() {
                return Ok(None);
            }
            let modality = &objective.modalities()[m];
            let Some(logits) = student.unimodal_logits(m, features)? else {
                return Err(error::config(
                    format!("unimodal logits of modality {modality:?}"),
                    "logits [B, C], which the head terms of the loss compare",
                    "`Student::unimodal_logits` returns None",
                    "implement it, or add heads with `heads::WithHeads`",
                ));
            };
            let check = |what| check_output(what, &logits, Some(2), features.batch());
            check(format_args!("unimodal logits of modality {modality:?}"))?;
            if logits.size() == fused.size() {
                return Ok(Some(logits));
            }
            let what = format!("unimodal logits of modality {modality:?}");
            let expected = format!("{:?}, like the fused logits", fused.size());
            let hint = "correct `Student::unimodal_logits`";
            Err(error::wrong_shape(what, expected, &logits.size(), hint))
        };
        (0..features.len()).map(logits).collect()
    }

    /// The student's features for L_feat, validated and projected to the teachers' widths.
    fn distilled(&self, student: &dyn Student, features: &Features<'_>) -> Result<Vec<Tensor>> {
        let modalities = student.modalities();
        let distilled = student.distilled_features(features)?;
        if distilled.len() != features.len() {
            let (what, hint) = ("distilled features", "correct `Student::distilled_features`");
            return Err(error::one_per_modality(what, modalities, distilled.len(), hint));
        }
        let project = |(modality, own)| {
            let check = |what| check_output(what, own, None, features.batch());
            check(format_args!("distilled features of modality {modality:?}"))?;
            self.projection.apply(modality, own)
        };
        modalities.iter().zip(&distilled).map(project).collect()
    }
}

/// Checks the fused logits against the batch, the teachers' classes and the targets.
fn check_logits(
    logits: &Tensor,
    teachers: &[Option<TeacherOutput>],
    parts: &SplitBatch<'_>,
    objective: &Objective,
) -> Result<()> {
    check_output("logits of the student", logits, Some(2), parts.whole())?;
    let classes = logits.size()[1];
    let mut checked = false; // against a teacher's logits of the same shape
    for (m, teacher) in teachers.iter().enumerate() {
        let Some(teacher) = teacher else { continue };
        let size = teacher.logits.size();
        if size[1] != classes {
            return Err(error::wrong_shape(
                format_args!("logits of teacher {:?}", objective.modalities()[m]),
                format_args!("{:?}, the student's", [size[0], classes]),
                &size,
                "train teachers and student on the same classes",
            ));
        }
        checked |= matches!(parts.rows()[m], Rows::All);
    }
    if checked { Ok(()) } else { objective.check_targets(&logits.size(), parts.whole().targets()) }
}

/// Refuses a model output that is not a float tensor with one row per sample, with `dimensions`
/// dimensions (at least two if `None`), on the device of the batch. A step makes many such checks, so the
/// text of `what` is made for an error alone.
pub(crate) fn check_output(
    what: impl Display,
    tensor: &Tensor,
    dimensions: Option<usize>,
    batch: &Batch,
) -> Result<()> {
    let size = tensor.size();
    let right = size.len() >= 2 && dimensions.is_none_or(|d| size.len() == d);
    let right = right && !size[1..].contains(&0);
    if !right || size[0] != batch.size() {
        let rest = if dimensions.is_some() { "C" } else { "d, …" };
        let expected = format!("[{}, {rest}], one row per sample", batch.size());
        return Err(error::wrong_shape(what, expected, &size, "check the output of the model"));
    }
    if !tensor.is_floating_point() {
        let expected = "a floating-point dtype";
        return Err(error::wrong_kind(what, expected, tensor.kind(), "convert it"));
    }
    if tensor.device() != batch.device() {
        let (expected, found) = (batch.device(), tensor.device());
        let hint = "move the model to the device of the batch";
        return Err(error::wrong_device(what, expected, "batch", found, hint));
    }
    Ok(())
}
