//! What may be wrong in a step, and in what words it is refused.

use g2d::Batch;
use proptest::prelude::*;
use tch::{Kind, Tensor};

use super::case::{Case, Step, Task, Taught};

/// One thing that is wrong: in the batch, in a teacher's answer, or in the student's. The number is a
/// modality.
#[derive(Debug, Clone, PartialEq)]
pub enum Wrong {
    InputNan(usize),
    InputRows(usize),
    InputMissing,
    Empty,
    Flags(usize),
    FlagsBeyond,
    Nobody,
    Label,
    TargetKind,
    TargetShape,
    TargetNan,
    IdsCut,
    IdsUnknown,
    IdsMissing,
    TeacherClasses(usize),
    TeacherRows(usize),
    TeacherWidth(usize),
    TeacherFlat(usize),
    TeacherKind(usize),
    TeacherHalf(usize),
    TeacherNanLogits(usize),
    TeacherNanFeatures(usize),
    HostFlat(usize),
    HostRows(usize),
    HostTargets(usize),
    FeatureRows(usize),
    FeatureFlat(usize),
    FeatureKind(usize),
    FeatureUndefined(usize),
    FeatureNan(usize),
    Steep(usize),
    LogitRows,
    LogitFlat,
    LogitKind,
    LogitDetached,
    DistilledCount,
}

use Wrong::*;

pub fn wrong(k: usize) -> impl Strategy<Value = Wrong> {
    let of: [fn(usize) -> Wrong; 20] = [
        InputNan,
        InputRows,
        Flags,
        TeacherClasses,
        TeacherRows,
        TeacherWidth,
        TeacherFlat,
        TeacherKind,
        TeacherHalf,
        TeacherNanLogits,
        TeacherNanFeatures,
        HostFlat,
        HostRows,
        HostTargets,
        FeatureRows,
        FeatureFlat,
        FeatureKind,
        FeatureUndefined,
        FeatureNan,
        Steep,
    ];
    let alone = [
        InputMissing,
        Empty,
        FlagsBeyond,
        Nobody,
        Label,
        TargetKind,
        TargetShape,
        TargetNan,
        IdsCut,
        IdsUnknown,
        IdsMissing,
        LogitRows,
        LogitFlat,
        LogitKind,
        LogitDetached,
        DistilledCount,
    ];
    prop_oneof![
        20 => (0..of.len(), 0..k).prop_map(move |(which, m)| of[which](m)),
        16 => (0..alone.len()).prop_map(move |which| alone[which].clone()),
    ]
}

/// What is to come of a step.
#[derive(Debug, Clone, PartialEq)]
pub enum Expected {
    /// All is well.
    Fine,
    /// An error with these words.
    Refused(Vec<String>),
    /// Refused in these words, if it is looked at.
    MayBeRefused(Vec<String>),
    /// Something that is not finite, named so: an error or a skipped step, as the policy says.
    NotFinite(Vec<String>),
    /// The same, if it is looked at.
    MayBeNotFinite(Vec<String>),
}

impl Wrong {
    /// What comes of it.
    pub fn expected(&self, case: &Case, step: &Step) -> Expected {
        let named = |m: usize| format!("\"m{m}\"");
        let says =
            |words: &[&str]| Expected::Refused(words.iter().map(|w| w.to_string()).collect());
        let says_of = |what: &str, m: usize| says(&[&format!("{what} {}", named(m))]);
        let here = |m: usize| step.present[m].as_ref().is_none_or(|flags| flags.contains(&true));
        let asked = |m: usize| here(m) && !case.teachers.is_empty();
        let cached =
            (0..case.teachers.len()).any(|m| case.teachers[m] == Taught::Cached && here(m));
        let (alpha, beta) = (&case.distillation.alpha, &case.distillation.beta);
        let compares_features = |m| alpha * case.distillation.feature_weight.get(m) != 0.0;
        let compares_logits = |m| beta * case.distillation.logit_weight.get(m) != 0.0;
        match *self {
            InputNan(m) | FeatureNan(m) if here(m) => Expected::NotFinite(vec![named(m)]),
            InputRows(m) => says_of("input of modality", m),
            InputMissing => says(&["batch", "inputs"]),
            Empty => says(&["targets", "at least 1"]),
            Flags(m) => says_of("flags of modality", m),
            FlagsBeyond => says(&["with_present"]),
            Nobody => says(&["sample 0"]),
            Label if case.task != Task::Regression => says(&["targets"]),
            TargetKind | TargetShape => says(&["targets"]),
            TargetNan if case.task != Task::Single => Expected::NotFinite(vec!["targets".into()]),
            IdsCut => says(&["sample ids"]),
            IdsUnknown if cached => says(&["teacher", "unknown"]),
            IdsMissing if cached => says(&["teacher", "sample ids"]),
            TeacherClasses(m) if asked(m) => says_of("logits of teacher", m),
            TeacherRows(m) if asked(m) => says_of("features of teacher", m),
            TeacherWidth(m) if asked(m) && compares_features(m) => {
                says_of("features of student and teacher", m)
            }
            TeacherFlat(m) | TeacherKind(m) if asked(m) => says_of("logits of teacher", m),
            TeacherHalf(m) if asked(m) => Expected::MayBeRefused(vec![named(m)]),
            TeacherNanLogits(m) if asked(m) && (case.skips() || compares_logits(m)) => {
                Expected::NotFinite(vec![named(m)])
            }
            TeacherNanLogits(m) if asked(m) => Expected::MayBeNotFinite(vec![named(m)]),
            TeacherNanFeatures(m) if asked(m) && compares_features(m) => {
                Expected::NotFinite(vec![named(m)])
            }
            HostFlat(m) | HostRows(m) | HostTargets(m) if asked(m) => {
                Expected::MayBeRefused(vec![format!("teacher {}", named(m))])
            }
            FeatureRows(m) | FeatureFlat(m) | FeatureKind(m) | FeatureUndefined(m) if here(m) => {
                says_of("features of modality", m)
            }
            Steep(m) if here(m) => Expected::MayBeNotFinite(vec!["gradient".into()]),
            LogitRows | LogitFlat | LogitKind => says(&["logits of the student"]),
            LogitDetached => says(&["loss", "nothing can learn"]),
            DistilledCount if !case.teachers.is_empty() => says(&["distilled features"]),
            _ => Expected::Fine,
        }
    }

    /// The batch with what is wrong in it.
    pub fn spoil(&self, batch: Batch, case: &Case) -> Batch {
        let rows = batch.size();
        let ids = batch.ids().map(<[i64]>::to_vec).unwrap_or_default();
        let mut inputs: Vec<_> = batch.inputs().iter().map(Tensor::shallow_clone).collect();
        let mut targets = batch.targets().shallow_clone();
        match *self {
            InputNan(m) => inputs[m] = &inputs[m] * f64::NAN,
            InputRows(m) => inputs[m] = Tensor::cat(&[&inputs[m], &inputs[m]], 0),
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
        match *self {
            IdsCut => batch.with_ids(&ids[1..]),
            IdsUnknown => batch.with_ids(vec![-1; ids.len()]),
            IdsMissing => batch,
            Flags(m) => batch.with_ids(ids).with_present(m, vec![true; rows as usize + 1]),
            FlagsBeyond => batch.with_ids(ids).with_present(case.k(), vec![true; rows as usize]),
            Nobody => (0..case.k()).fold(batch.with_ids(ids), |batch, m| {
                batch.with_present(m, (0..rows).map(|row| row > 0).collect::<Vec<_>>())
            }),
            _ => batch.with_ids(ids),
        }
    }
}
