//! Faults of a step, and the error that each must cause.

use g2d::{Batch, batch::Input};
use proptest::prelude::*;
use tch::{Kind, Tensor};

use super::case::{Case, Step, Task, TeacherKind};

/// Declares the enum and the list of its variants.
macro_rules! fault_kinds {
    ($($kind:ident),* $(,)?) => {
        /// What is wrong with a batch, a teacher's output or the student's.
        #[derive(Debug, Clone, Copy, PartialEq)]
        pub enum FaultKind { $($kind),* }

        const ALL: &[FaultKind] = &[$(FaultKind::$kind),*];
    };
}

fault_kinds! {
    InputNan, InputRows, InputMissing, Empty, FlagCount, FlagsOfUnknownModality, NoModality, Label,
    TargetKind, TargetShape, TargetNan, IdCount, IdsUnknown, IdsMissing,
    TeacherClasses, TeacherRows, TeacherWidth, TeacherFlat, TeacherKindInt, TeacherKindHalf,
    TeacherNanLogits, TeacherNanFeatures, HostFlat, HostRows, HostTargets,
    FeatureRows, FeatureFlat, FeatureKind, FeatureUndefined, FeatureNan, InfiniteSlope,
    LogitRows, LogitFlat, LogitKind, LogitDetached, DistilledCount,
    InputEmpty, FeatureEmpty, LogitEmpty, TeacherFeaturesEmpty, TeacherLogitsEmpty, HostEmpty,
    HeadNone, HeadShape, HeadKind, HeadNan,
}

use FaultKind::*;

/// A fault of one step. The modality is the one at fault where only one can be.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Fault {
    pub kind: FaultKind,
    pub modality: usize,
}

pub fn fault(k: usize) -> impl Strategy<Value = Fault> {
    (0..ALL.len(), 0..k).prop_map(|(kind, modality)| Fault { kind: ALL[kind], modality })
}

/// The outcome that a step must have.
#[derive(Debug, Clone, PartialEq)]
pub enum Expected {
    /// A step without error.
    Success,
    /// An error with these words.
    Error(Vec<String>),
    /// Success or an error with these words, since the value is not always read.
    MayBeError(Vec<String>),
    /// A value that is not finite: an error or a skipped step with these words, by the policy.
    NonFinite(Vec<String>),
    /// Success or as `NonFinite`, since the value is not always read.
    MayBeNonFinite(Vec<String>),
}

impl Fault {
    /// The outcome of a step with this fault.
    pub fn expected(&self, case: &Case, step: &Step) -> Expected {
        let m = self.modality;
        let named = format!("\"m{m}\"");
        let error = |words: &[&str]| Expected::Error(words.iter().map(|w| w.to_string()).collect());
        let error_of = |what: &str| error(&[&format!("{what} {named}")]);
        let is_present =
            |m: usize| step.present[m].as_ref().is_none_or(|flags| flags.contains(&true));
        let present = is_present(m);
        let taught = present && !case.teachers.is_empty();
        let cached = (0..case.teachers.len())
            .any(|m| case.teachers[m] == TeacherKind::Cached && is_present(m));
        let distillation = &case.distillation;
        let compares_features = distillation.alpha * distillation.feature_weight.get(m) != 0.0;
        let compares_logits = distillation.beta * distillation.logit_weight.get(m) != 0.0;
        match self.kind {
            InputNan | FeatureNan if present => Expected::NonFinite(vec![named]),
            InputRows => error_of("input of modality"),
            InputEmpty if present => error_of("input of modality"),
            TeacherFeaturesEmpty if taught => error_of("features of teacher"),
            TeacherLogitsEmpty if taught => error_of("logits of teacher"),
            InputMissing => error(&["batch", "inputs"]),
            Empty => error(&["targets", "at least 1"]),
            FlagCount => error_of("flags of modality"),
            FlagsOfUnknownModality => error(&["with_present"]),
            NoModality => error(&["sample 0"]),
            Label if case.task != Task::Regression => error(&["targets"]),
            TargetKind | TargetShape => error(&["targets"]),
            TargetNan if case.task != Task::Single => Expected::NonFinite(vec!["targets".into()]),
            IdCount => error(&["sample ids"]),
            IdsUnknown if cached => error(&["teacher", "unknown"]),
            IdsMissing if cached => error(&["teacher", "sample ids"]),
            TeacherClasses if taught => error_of("logits of teacher"),
            TeacherRows if taught => error_of("features of teacher"),
            TeacherWidth if taught && compares_features => {
                error_of("features of student and teacher")
            }
            TeacherFlat | TeacherKindInt if taught => error_of("logits of teacher"),
            TeacherKindHalf if taught => Expected::MayBeError(vec![named]),
            TeacherNanLogits if taught && (case.skips() || compares_logits) => {
                Expected::NonFinite(vec![named])
            }
            TeacherNanLogits if taught => Expected::MayBeNonFinite(vec![named]),
            TeacherNanFeatures if taught && compares_features => Expected::NonFinite(vec![named]),
            HostFlat | HostRows | HostTargets | HostEmpty if taught => {
                Expected::MayBeError(vec![format!("teacher {named}")])
            }
            FeatureRows | FeatureFlat | FeatureKind | FeatureUndefined | FeatureEmpty
                if present =>
            {
                error_of("features of modality")
            }
            InfiniteSlope if present => Expected::MayBeNonFinite(vec!["gradient".into()]),
            LogitRows | LogitFlat | LogitKind | LogitEmpty => error(&["logits of the student"]),
            LogitDetached => error(&["loss", "nothing can learn"]),
            HeadNone if present && case.needs_heads() => error_of("unimodal logits of modality"),
            HeadShape | HeadKind if present => error_of("unimodal logits of modality"),
            HeadNan if present && case.trains_head(m) => Expected::NonFinite(vec![named]),
            DistilledCount if !case.teachers.is_empty() => error(&["distilled features"]),
            _ => Expected::Success,
        }
    }

    /// The batch with this fault.
    pub fn apply(&self, batch: Batch, case: &Case) -> Batch {
        let m = self.modality;
        let rows = batch.size();
        let ids = batch.ids().map(<[i64]>::to_vec).unwrap_or_default();
        let mut inputs: Vec<_> =
            batch.inputs().iter().map(Input::first).map(Tensor::shallow_clone).collect();
        let mut targets = batch.targets().shallow_clone();
        match self.kind {
            InputNan => inputs[m] = &inputs[m] * f64::NAN,
            InputRows => inputs[m] = Tensor::cat(&[&inputs[m], &inputs[m]], 0),
            InputEmpty => inputs[m] = inputs[m].narrow(-1, 0, 0),
            InputMissing => drop(inputs.pop()),
            Empty => targets = targets.narrow(0, 0, 0),
            Label if case.task == Task::Single => targets += case.columns,
            Label if case.task == Task::Multi => targets += 0.5,
            TargetKind if case.task == Task::Single => targets = targets.to_kind(Kind::Float),
            TargetKind => targets = targets.to_kind(Kind::Int64),
            TargetShape => targets = targets.unsqueeze(-1),
            TargetNan if case.task != Task::Single => targets *= f64::NAN,
            _ => {}
        }
        let batch = Batch::new(inputs, targets);
        match self.kind {
            IdCount => batch.with_ids(&ids[1..]),
            IdsUnknown => batch.with_ids(vec![-1; ids.len()]),
            IdsMissing => batch,
            FlagCount => batch.with_ids(ids).with_present(m, vec![true; rows as usize + 1]),
            FlagsOfUnknownModality => {
                batch.with_ids(ids).with_present(case.k(), vec![true; rows as usize])
            }
            NoModality => (0..case.k()).fold(batch.with_ids(ids), |batch, m| {
                batch.with_present(m, (0..rows).map(|row| row > 0).collect::<Vec<_>>())
            }),
            _ => batch.with_ids(ids),
        }
    }
}
