//! From teacher outputs to ρ to a plan.

use tch::{Device, Kind, Tensor, nn::VarStore};

use super::{Pair, batch};
use crate::batch::{Batch, SplitBatch};
use crate::error::Result;
use crate::modality::Modality;
use crate::ranks::Ranks;
use crate::schedule::{Candidates, Joint, Plan, Progress, Sequential, SmpScheduler};
use crate::teacher::{FrozenModel, Teacher};
use crate::trainer::buffers::WatchedBuffers;
use crate::trainer::finite::FiniteGuard;
use crate::trainer::planner::{Planned, Planner};
use crate::trainer::{NonFinite, Precision};

/// A teacher whose logit of the first class is `margin` for every sample.
fn teacher(modality: &str, margin: f64) -> Box<dyn Teacher> {
    let mut vs = VarStore::new(Device::Cpu);
    Box::new(FrozenModel::new(modality, &mut vs, move |input, _| {
        let logits = Tensor::zeros([input.size()[0], 2], (Kind::Float, Device::Cpu));
        let mut first = logits.select(1, 0);
        let _ = first.fill_(margin);
        (input.first().shallow_clone(), logits)
    }))
}

/// The plan for two samples, of which the second lacks modality `b`.
fn plan(
    scheduler: impl SmpScheduler + 'static,
    margins: [f64; 2],
    policy: NonFinite,
) -> Result<Planned> {
    plan_with_presence(scheduler, margins, policy, [true, false])
}

/// The plan for two samples with these presence flags of modality `b`.
fn plan_with_presence(
    scheduler: impl SmpScheduler + 'static,
    margins: [f64; 2],
    policy: NonFinite,
    present: [bool; 2],
) -> Result<Planned> {
    let objective = Pair::new().objective();
    let teachers = vec![teacher("a", margins[0]), teacher("b", margins[1])];
    let mut planner = Planner::new(teachers, Box::new(scheduler), Precision::Full, &objective)?;
    // Both samples have label 0, so that ρ grows with the margin.
    let batch = batch(0.0);
    let batch = Batch::new(
        [batch.input(0).shallow_clone(), batch.input(1).shallow_clone()],
        Tensor::from_slice(&[0_i64, 0]),
    )
    .with_present(1, present);
    let parts = SplitBatch::new(&batch, 2)?;
    planner.plan(
        Progress::default(),
        &parts,
        &objective,
        &mut FiniteGuard::new(policy, WatchedBuffers::default())?,
        &Ranks::default(),
    )
}

#[test]
fn the_weaker_teacher_s_modality_learns_alone() {
    let planned = plan(Sequential::new([1]), [0.0, 2.0], NonFinite::Error).unwrap();
    assert_eq!(planned.plan.kappa(), [1.0, 0.0]);
    let rho = planned.confidence.iter().map(|rho| rho.as_ref().unwrap().double_value(&[]));
    let rho: Vec<f64> = rho.collect();
    assert!((rho[0] - 0.5).abs() < 1e-6 && rho[1] > 0.8, "{rho:?}");
    let rows = planned.teachers.iter().map(|teacher| teacher.as_ref().unwrap().logits.size()[0]);
    assert_eq!(rows.collect::<Vec<_>>(), [2, 1]);
}

#[test]
fn a_modality_that_the_whole_batch_lacks_does_not_learn() {
    let (policy, none) = (NonFinite::Error, [false, false]);
    let planned = plan_with_presence(Joint::default(), [0.0, 2.0], policy, none).unwrap();
    assert_eq!(planned.plan.kappa(), [1.0, 0.0]);
    assert!(planned.teachers[1].is_none() && planned.confidence[1].is_none());
}

#[test]
fn a_confidence_that_is_not_finite_is_an_error_or_leaves_all_to_learn() {
    let run = |policy| plan(Sequential::new([1]), [0.0, f64::NAN], policy);
    let error = run(NonFinite::Error).err().unwrap().to_string();
    assert!(error.contains("confidence ρ") && error.contains("logits of teacher \"b\""), "{error}");
    assert_eq!(run(NonFinite::Skip).unwrap().plan.kappa(), [1.0, 1.0]);
}

#[test]
fn a_plan_needs_one_kappa_per_modality() {
    struct Short;
    impl SmpScheduler for Short {
        fn bind(&mut self, _: &[Modality]) -> Result<()> {
            Ok(())
        }
        fn plan(&mut self, _: Progress, _: &Candidates) -> Result<Plan> {
            Ok(Plan::joint(1))
        }
    }
    let error = plan(Short, [0.0, 1.0], NonFinite::Error).err().unwrap().to_string();
    assert!(error.contains("plan of the scheduler"), "{error}");
}
