//! The contract of `SmpScheduler`.

use g2d::{
    Error, SmpScheduler,
    schedule::{Candidates, Joint, Partial, Plan, Progress, Ranking, Sequential},
};

use crate::support::{mismatch, names};

const EPOCHS: u64 = 6;
const STEPS: u64 = 3;

/// Plans of a whole training; ρ differs from step to step.
fn train(scheduler: &mut dyn SmpScheduler, k: usize) -> Vec<Plan> {
    let rho = |i: u64| (0..k).map(|m| (i as f64 + 1.3 * m as f64).sin().abs()).collect::<Vec<_>>();
    let mut plans = Vec::new();
    for epoch in 0..EPOCHS {
        for step in 0..STEPS {
            let total_steps = epoch * STEPS + step;
            let at = Progress { epoch, step, total_steps };
            let reads = scheduler.reads_confidence(at);
            assert!(!reads || scheduler.needs_confidence(), "reads what it said it never needs");
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

/// The first step at which ρ is read, on a scheduler just bound.
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
        assert_eq!(plans, train(&mut b, k), "plans depend on what was given, on nothing else");
        for plan in &plans {
            assert_eq!(plan.kappa().len(), k);
            assert!(plan.kappa().iter().all(|kappa| (0.0..=1.0).contains(kappa)), "{plan:?}");
        }
        assert_eq!(new().needs_confidence(), a.needs_confidence());

        let Some(at) = first_reading(&mut new(), k) else {
            assert!(!a.needs_confidence(), "needs ρ and never reads it");
            continue;
        };
        for bad in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY] {
            let mut rho = vec![0.5; k];
            rho[k - 1] = bad;
            let mut fresh = new();
            fresh.bind(&names(k)).unwrap();
            let last = format!("m{}", k - 1);
            let error = mismatch(
                fresh.plan(at, &Candidates::from_confidence(rho)),
                &[&last, "finite", "teacher"],
            );
            assert!(matches!(error, Error::NonFinite(_)));
        }
        for wrong in [k - 1, k + 1] {
            let mut fresh = new();
            fresh.bind(&names(k)).unwrap();
            let error = mismatch(
                fresh.plan(at, &Candidates::from_confidence(vec![0.5; wrong])),
                &[&k.to_string()],
            );
            assert!(matches!(error, Error::Config(_)));
        }
        let mut tied = new();
        tied.bind(&names(k)).unwrap();
        let plan = tied.plan(at, &Candidates::from_confidence(vec![0.5; k])).unwrap();
        assert_eq!(plan.kappa()[0], 1.0, "of equal modalities the first comes first");
    }
}

#[test]
fn sequential_by_batch() {
    contract(|| Sequential::new([2, 1]));
}

#[test]
fn sequential_by_the_previous_epoch() {
    contract(|| Sequential::new([2, 2]).ranking(Ranking::PreviousEpoch));
    let mut s = Sequential::new([2]).ranking(Ranking::PreviousEpoch);
    s.bind(&names(2)).unwrap();
    mismatch(s.end_epoch(0, &[Some(0.5), Some(f64::NAN)]), &["m1", "NaN", "epoch 0"]);
    mismatch(s.end_epoch(0, &[Some(0.5)]), &["2", "1"]);
}

#[test]
fn sequential_in_a_fixed_order() {
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
fn sequential_that_starts_later() {
    contract(|| Sequential::new([3]).starting_at(1));
}

#[test]
fn partial() {
    contract(|| Partial::new(0.7, 1..4));
    contract(|| Partial::new(0.7, 0..4).ranking(Ranking::PreviousEpoch));
}

#[test]
fn joint() {
    contract(Joint::default);
}
