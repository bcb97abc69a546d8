//! The random cases: a configuration of a trainer, and its steps.

use g2d::{
    Modality, PerModality, SmpScheduler,
    loss::{
        Classification, Distillation, EnsembleTerm, FeatureReduction, HeadTarget, HeadTerm,
        Regression,
    },
    schedule::{Joint, Partial, Ranking, Sequential},
    trainer::{GradientScope, LossScaling, NonFinite, Precision, SuppressedMode, Suppression},
};
use proptest::{collection::vec, option, prelude::*};
use tch::Kind;

use super::faults::{Fault, fault};
use crate::support::names;

/// The form of samples and features.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Form {
    /// Vectors with features [B, d].
    Flat,
    /// Sequences of T tokens with features [B, T, d], which the fusion pools.
    Tokens(i64),
    /// Images, which a convolution and batch norm encode to [B, d].
    Image,
}

#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Task {
    Single,
    Multi,
    Regression,
}

#[derive(Debug, Clone, Copy, PartialEq)]
pub enum TeacherKind {
    Live,
    Cached,
}

#[derive(Debug, Clone)]
pub enum Schedule {
    Joint,
    Sequential { start: u64, stages: Vec<u64>, ranking: Ranking },
    Partial(f64, u64, Ranking),
}

/// What the caller does after a step.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum AfterStep {
    Nothing,
    FinishWindow,
    EndEpoch,
}

#[derive(Debug, Clone)]
pub struct Step {
    pub rows: usize,
    /// The presence flags of some modalities. Where all have flags, row r has modality r mod k.
    pub present: Vec<Option<Vec<bool>>>,
    pub fault: Option<Fault>,
    pub after: AfterStep,
}

#[derive(Debug, Clone)]
pub struct Case {
    pub form: Form,
    pub kind: Kind,
    /// Feature widths of the student, one per modality.
    pub widths: Vec<i64>,
    /// Feature widths of the teachers; a projection maps to those that differ.
    pub teacher_widths: Vec<i64>,
    pub columns: i64,
    pub task: Task,
    pub distillation: Distillation,
    /// One per modality, or none.
    pub teachers: Vec<TeacherKind>,
    pub schedule: Schedule,
    pub suppression: Suppression,
    pub mode: SuppressedMode,
    pub window: u64,
    pub precision: Precision,
    pub scaling: LossScaling,
    pub non_finite: NonFinite,
    pub steps: Vec<Step>,
}

impl Case {
    pub fn k(&self) -> usize {
        self.widths.len()
    }

    pub fn loss(&self) -> Box<dyn g2d::G2dLoss> {
        let distillation = self.distillation.clone();
        match self.task {
            Task::Single => Box::new(Classification::new(distillation)),
            Task::Multi => Box::new(Classification::multi_label(distillation)),
            Task::Regression => Box::new(Regression::new(distillation)),
        }
    }

    pub fn scheduler(&self) -> Box<dyn SmpScheduler> {
        match self.schedule.clone() {
            Schedule::Joint => Box::new(Joint::default()),
            Schedule::Sequential { start, stages, ranking } => {
                Box::new(Sequential::new(stages).starting_at(start).ranking(ranking))
            }
            Schedule::Partial(alpha, end, ranking) => {
                Box::new(Partial::new(alpha, 0..end).ranking(ranking))
            }
        }
    }

    /// Returns whether the loss of a batch that has modality `m` has a head term of it.
    pub fn trains_head(&self, m: usize) -> bool {
        let head = self.distillation.head.as_ref().filter(|head| head.weight.get(m) != 0.0);
        head.is_some_and(|head| head.target == HeadTarget::Labels || !self.teachers.is_empty())
    }

    /// Returns whether the loss needs unimodal logits.
    pub fn needs_heads(&self) -> bool {
        let head = self.distillation.head.as_ref();
        head.is_some_and(|head| (0..self.k()).any(|m| head.weight.get(m) != 0.0))
    }

    /// Returns whether the policy skips steps with values that are not finite.
    pub fn skips(&self) -> bool {
        self.non_finite != NonFinite::Error
    }
}

fn schedule(k: usize, taught: bool) -> BoxedStrategy<Schedule> {
    let order = Just(names(k)).prop_shuffle();
    let fixed = order.prop_map(|order: Vec<Modality>| Ranking::Fixed(order));
    let rho = vec(-1.0..1.0_f64, k)
        .prop_map(move |rho| Ranking::HeldOut(names(k).into_iter().zip(rho).collect()));
    let fixed = prop_oneof![2 => fixed, 1 => rho].boxed();
    let read = prop_oneof![Just(Ranking::Batch), Just(Ranking::PreviousEpoch)].boxed();
    let any = if taught { prop_oneof![2 => read.clone(), 1 => fixed].boxed() } else { fixed };
    let sequential = (0..2_u64, vec(0..3_u64, 0..=k), any)
        .prop_map(|(start, stages, ranking)| Schedule::Sequential { start, stages, ranking });
    if !taught {
        return prop_oneof![1 => Just(Schedule::Joint), 2 => sequential].boxed();
    }
    let alpha = prop_oneof![Just(1e-3), 0.1..2.0, Just(1e9)];
    let partial = (alpha, 0..3_u64, read).prop_map(|(a, end, r)| Schedule::Partial(a, end, r));
    prop_oneof![1 => Just(Schedule::Joint), 5 => sequential, 2 => partial].boxed()
}

/// Head and ensemble terms.
fn balanced(k: usize) -> impl Strategy<Value = (Option<HeadTerm>, Option<EnsembleTerm>)> {
    let weight = || prop_oneof![1 => Just(0.0), 3 => 1e-3..10.0];
    let temperature = move || vec(0.25..8.0, k).prop_map(PerModality::Each);
    let weights = prop_oneof![
        3 => Just(PerModality::All(1.0)),
        1 => Just(PerModality::All(0.0)),
        3 => vec(weight(), k).prop_map(PerModality::Each),
    ];
    let target = prop_oneof![2 => Just(HeadTarget::Teacher), 1 => Just(HeadTarget::Labels)];
    let head = (weights, temperature(), target)
        .prop_map(|(weight, temperature, target)| HeadTerm { weight, temperature, target });
    let ensemble = (weight(), 0.25..8.0, temperature()).prop_map(
        |(weight, temperature, teacher_temperature)| EnsembleTerm {
            weight,
            temperature,
            teacher_temperature,
        },
    );
    (option::of(head), option::of(ensemble))
}

fn distillation(k: usize) -> impl Strategy<Value = Distillation> {
    let weight = || prop_oneof![1 => Just(0.0), 3 => Just(1.0), 2 => 1e-3..10.0];
    let each = move || {
        prop_oneof![Just(PerModality::All(1.0)), vec(weight(), k).prop_map(PerModality::Each),]
    };
    let temperature =
        prop_oneof![Just(PerModality::All(1.0)), vec(0.25..4.0, k).prop_map(PerModality::Each),];
    let reduction = prop_oneof![Just(FeatureReduction::Mean), Just(FeatureReduction::SquaredNorm)];
    let published = (weight(), weight(), weight(), each(), each(), temperature, reduction);
    (published, balanced(k)).prop_map(|(published, (head, ensemble))| {
        let (task_weight, alpha, beta, feature_weight, logit_weight, temperature, reduction) =
            published;
        Distillation {
            task_weight,
            alpha,
            beta,
            feature_weight,
            logit_weight,
            temperature,
            feature_reduction: reduction,
            head,
            ensemble,
        }
    })
}

/// A suppression, the mode of suppressed encoders, and an accumulation that the suppression allows.
fn suppression() -> impl Strategy<Value = (Suppression, SuppressedMode, u64)> {
    let zero = |scope| Just((Suppression::ZeroGradient(scope), SuppressedMode::Train, 1));
    let mode = prop_oneof![Just(SuppressedMode::Train), Just(SuppressedMode::Evaluation)];
    let skip = (mode, prop_oneof![3 => Just(1_u64), 3 => 2..4_u64, 1 => Just(u64::MAX)]);
    let window = prop_oneof![Just(1_u64), 2..4_u64];
    let fused = window.prop_map(|n| (Suppression::FusedLoss, SuppressedMode::Train, n));
    prop_oneof![
        4 => skip.prop_map(|(mode, window)| (Suppression::SkipBackward, mode, window)),
        3 => fused,
        1 => zero(GradientScope::All),
        1 => zero(GradientScope::FourDimensional),
    ]
}

fn scaling() -> impl Strategy<Value = LossScaling> {
    let initial = prop_oneof![3 => Just(65536.0), 2 => Just(1.0), 1 => Just(1e300)];
    let growth = prop_oneof![3 => Just(2.0), 1 => Just(1e300)];
    let backoff = prop_oneof![3 => Just(0.5), 1 => Just(1e-300)];
    (initial, growth, backoff, prop_oneof![Just(1_u64), Just(2000)]).prop_map(
        |(initial, growth, backoff, interval)| LossScaling { initial, growth, backoff, interval },
    )
}

fn step(k: usize) -> impl Strategy<Value = Step> {
    let rows = prop_oneof![2 => Just(1_usize), 5 => 2..7_usize];
    let fault = prop_oneof![5 => Just(None), 3 => fault(k).prop_map(Some)];
    let after = prop_oneof![
        6 => Just(AfterStep::Nothing),
        1 => Just(AfterStep::FinishWindow),
        2 => Just(AfterStep::EndEpoch),
    ];
    (rows, any::<bool>(), fault, after).prop_flat_map(move |(rows, masked, fault, after)| {
        let flags = prop_oneof![
            2 => Just(None),
            1 => Just(Some(vec![false; rows])),
            2 => vec(any::<bool>(), rows).prop_map(Some),
        ];
        let present = if masked { vec(flags, k).boxed() } else { Just(vec![None; k]).boxed() };
        present.prop_map(move |mut present| {
            // Every sample needs a modality.
            if present.iter().all(Option::is_some) {
                for row in 0..rows {
                    if let Some(flags) = &mut present[row % k] {
                        flags[row] = true;
                    }
                }
            }
            Step { rows, present, fault, after }
        })
    })
}

pub fn case() -> impl Strategy<Value = Case> {
    let forms = prop_oneof![
        2 => Just(Form::Flat), 1 => (1..4_i64).prop_map(Form::Tokens), 2 => Just(Form::Image)
    ];
    let tasks =
        prop_oneof![2 => Just(Task::Single), 1 => Just(Task::Multi), 1 => Just(Task::Regression)];
    let precision = prop_oneof![
        3 => Just(Precision::Full), 1 => Just(Precision::Bf16), 2 => Just(Precision::Fp16)
    ];
    let policy = prop_oneof![
        2 => Just(NonFinite::Error),
        2 => Just(NonFinite::Skip),
        1 => (1..3_u32).prop_map(NonFinite::StopAfter),
    ];
    let kind = prop_oneof![2 => Just(Kind::Float), 1 => Just(Kind::Double)];
    (2..=5_usize, any::<bool>(), 1..4_i64).prop_flat_map(move |(k, taught, columns)| {
        let teacher = prop_oneof![Just(TeacherKind::Live), Just(TeacherKind::Cached)];
        let teachers = vec(teacher, if taught { k } else { 0 });
        let model = (forms.clone(), kind.clone(), vec(1..6_i64, k), vec(0..2_i64, k));
        let method = (tasks.clone(), distillation(k), teachers, schedule(k, taught));
        let numerics = (suppression(), precision.clone(), scaling(), policy.clone());
        let steps = vec(step(k), 1..7);
        (model, method, numerics, steps).prop_map(move |(model, method, numerics, steps)| {
            let (form, kind, widths, wider) = model;
            let (task, mut distillation, teachers, schedule) = method;
            if task == Task::Regression {
                distillation.ensemble = None;
            }
            let ((suppression, mode, window), precision, scaling, non_finite) = numerics;
            let teacher_widths = widths.iter().zip(wider).map(|(w, more)| w + more).collect();
            Case {
                form,
                kind,
                widths,
                teacher_widths,
                columns,
                task,
                distillation,
                teachers,
                schedule,
                suppression,
                mode,
                window,
                precision,
                scaling,
                non_finite,
                steps,
            }
        })
    })
}
