//! The contract of `SmpScheduler`.

use g2d::{
    Error, SmpScheduler,
    schedule::{Candidates, Joint, Partial, Plan, Progress, Ranking, Sequential},
};

use crate::support::{assert_mismatch, names};

const EPOCHS: u64 = 6;
const STEPS: u64 = 3;

/// The plans of a whole training, whose ρ differ from step to step.
fn train(scheduler: &mut dyn SmpScheduler, k: usize) -> Vec<Plan> {
    let rho = |i: u64| (0..k).map(|m| (i as f64 + 1.3 * m as f64).sin().abs()).collect::<Vec<_>>();
    let mut plans = Vec::new();
    for epoch in 0..EPOCHS {
        for step in 0..STEPS {
            let total_steps = epoch * STEPS + step;
            let at = Progress { epoch, step, total_steps, updates: total_steps };
            let reads = scheduler.reads_confidence(at);
            assert!(!reads || scheduler.needs_confidence(), "reads ρ although it needs none");
            let given = if reads {
                Candidates::from_confidence(rho(total_steps))
            } else {
                Candidates::without_confidence(k)
            };
            plans.push(scheduler.plan(at, &given).unwrap());
        }
        let known = scheduler.needs_confidence();
        let mean: Vec<_> = rho(epoch).into_iter().map(|rho| known.then_some(rho)).collect();
        scheduler.end_epoch(epoch, &mean).unwrap();
    }
    plans
}

/// The first step of a new scheduler at which it reads ρ.
fn first_reading(scheduler: &mut dyn SmpScheduler, k: usize) -> Option<Progress> {
    scheduler.bind(&names(k)).unwrap();
    let epochs = (0..EPOCHS).map(|epoch| Progress { epoch, ..Progress::default() });
    epochs.into_iter().find(|&at| scheduler.reads_confidence(at))
}

fn contract<S: SmpScheduler>(new: impl Fn() -> S) {
    for k in [2, 3, 5] {
        let (mut a, mut b) = (new(), new());
        a.bind(&names(k)).unwrap();
        b.bind(&names(k)).unwrap();
        let plans = train(&mut a, k);
        assert_eq!(plans, train(&mut b, k), "plans depend on their arguments alone");
        for plan in &plans {
            assert_eq!(plan.kappa().len(), k);
            assert!(plan.kappa().iter().all(|kappa| (0.0..=1.0).contains(kappa)), "{plan:?}");
        }
        assert_eq!(new().needs_confidence(), a.needs_confidence());

        let Some(at) = first_reading(&mut new(), k) else {
            assert!(!a.needs_confidence(), "needs ρ but never reads it");
            continue;
        };
        let plan = |rho: Vec<f64>| {
            let mut scheduler = new();
            scheduler.bind(&names(k)).unwrap();
            scheduler.plan(at, &Candidates::from_confidence(rho))
        };
        for value in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY] {
            let mut rho = vec![0.5; k];
            rho[k - 1] = value;
            let last = format!("m{}", k - 1);
            let error = assert_mismatch(plan(rho), &[&last, "finite", "teacher"]);
            assert!(matches!(error, Error::NonFinite(_)));
        }
        for length in [k - 1, k + 1] {
            let error = assert_mismatch(plan(vec![0.5; length]), &[&k.to_string()]);
            assert!(matches!(error, Error::Config(_)));
        }
        let ties = plan(vec![0.5; k]).unwrap();
        assert_eq!(ties.kappa()[0], 1.0, "the first of equal modalities ranks first");
    }
}

#[test]
fn sequential_by_batch_keeps_the_contract() {
    contract(|| Sequential::new([2, 1]));
}

#[test]
fn sequential_by_the_previous_epoch_keeps_the_contract() {
    contract(|| Sequential::new([2, 2]).ranking(Ranking::PreviousEpoch));
    let mut s = Sequential::new([2]).ranking(Ranking::PreviousEpoch);
    s.bind(&names(2)).unwrap();
    assert_mismatch(s.end_epoch(0, &[Some(0.5), Some(f64::NAN)]), &["m1", "NaN", "epoch 0"]);
    assert_mismatch(s.end_epoch(0, &[Some(0.5)]), &["2", "1"]);
}

#[test]
fn sequential_in_a_fixed_order_reads_no_confidence() {
    for k in [2, 3, 5] {
        let mut s = Sequential::new([1, 1]).ranking(Ranking::Fixed(names(k)));
        s.bind(&names(k)).unwrap();
        let plans = train(&mut s, k);
        assert_eq!(plans[0], Plan::only(0, k));
        assert_eq!(plans[STEPS as usize], Plan::only(1, k));
        assert!(!s.needs_confidence() && first_reading(&mut s, k).is_none());
    }
}

#[test]
fn sequential_with_a_later_start_keeps_the_contract() {
    contract(|| Sequential::new([3]).starting_at(1));
}

#[test]
fn partial_keeps_the_contract() {
    contract(|| Partial::new(0.7, 1..4));
    contract(|| Partial::new(0.7, 0..4).ranking(Ranking::PreviousEpoch));
}

#[test]
fn joint_keeps_the_contract() {
    contract(Joint::default);
}
