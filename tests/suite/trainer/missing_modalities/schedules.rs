//! Plans for batches without a modality, and every scheduler in a trainer.

use std::{cell::RefCell, rc::Rc};

use g2d::{
    Modality, SmpScheduler,
    schedule::{Candidates, Joint, Partial, Progress, Ranking, Sequential},
};
use proptest::prelude::*;

use super::masked;
use crate::support::{
    SharedConfidence, Tiny, assert_mismatch, assert_number, fuzz_config, names, values, with_prefix,
};

fn bound(mut scheduler: impl SmpScheduler + 'static, k: usize) -> Box<dyn SmpScheduler> {
    scheduler.bind(&names(k)).unwrap();
    Box::new(scheduler)
}

fn at(epoch: u64, step: u64) -> Progress {
    Progress { epoch, step, ..Progress::default() }
}

/// κ in `epoch` for a batch without the modalities `missing`.
fn kappa(s: &mut dyn SmpScheduler, epoch: u64, rho: &[f64], missing: &[usize]) -> Vec<f64> {
    let reads = s.reads_confidence(at(epoch, 0));
    let all = if reads {
        Candidates::from_confidence(rho)
    } else {
        Candidates::without_confidence(rho.len())
    };
    let given = missing.iter().copied().fold(all, Candidates::without);
    s.plan(at(epoch, 0), &given).unwrap().kappa().to_vec()
}

fn only(m: usize, k: usize) -> Vec<f64> {
    (0..k).map(|j| f64::from(u8::from(j == m))).collect()
}

#[test]
fn a_ranking_by_batch_counts_stages_among_the_present_modalities() {
    let rho = [0.4, 0.1, 0.5, 0.2, 0.3]; // weakest first: 1 3 4 0 2
    let mut s = bound(Sequential::new([1, 1, 1, 1, 1]), 5);
    for (epoch, learner) in [1, 3, 4, 0, 2].into_iter().enumerate() {
        assert_eq!(kappa(&mut *s, epoch as u64, &rho, &[]), only(learner, 5));
    }
    for (epoch, learner) in [3, 0, 2, 2, 2].into_iter().enumerate() {
        assert_eq!(
            kappa(&mut *s, epoch as u64, &rho, &[1, 4]),
            only(learner, 5),
            "3 0 2 are present"
        );
    }
    for epoch in 0..5 {
        assert_eq!(kappa(&mut *s, epoch, &rho, &[0, 1, 2, 4]), only(3, 5), "the only one");
    }
    // ρ of a missing modality is not read.
    assert_eq!(kappa(&mut *s, 0, &[0.2, f64::NAN, 0.1, 0.3, 0.4], &[1]), only(2, 5));
}

#[test]
fn in_a_known_order_the_next_stronger_present_modality_replaces_a_missing_one() {
    let order = Modality::list(["m2", "m0", "m1"]);
    let fixed = Sequential::new([1, 1, 1]).ranking(Ranking::Fixed(order));
    let mut previous = bound(Sequential::new([2, 1, 1]).ranking(Ranking::PreviousEpoch), 3);
    kappa(&mut *previous, 0, &[0.1, 0.1, 0.1], &[]);
    previous.end_epoch(0, &[Some(0.5), Some(0.6), Some(0.4)]).unwrap(); // weakest first: 2 0 1
    let rho = [0.9; 3];
    for (mut s, first) in [(bound(fixed, 3), 0), (previous, 1)] {
        let mut learner =
            |stage: u64, missing: &[usize]| kappa(&mut *s, first + stage, &rho, missing);
        assert_eq!(learner(0, &[]), only(2, 3));
        assert_eq!(learner(0, &[2]), only(0, 3));
        assert_eq!(learner(0, &[2, 0]), only(1, 3));
        assert_eq!(learner(1, &[2]), only(0, 3), "the modality of the stage is present");
        assert_eq!(learner(1, &[0]), only(1, 3));
        assert_eq!(learner(1, &[0, 1]), only(2, 3), "no stronger one is present");
        assert_eq!(learner(2, &[1]), only(0, 3));
    }
}

#[test]
fn a_modality_missing_in_the_previous_epoch_is_ranked_by_its_batches_so_far() {
    let ranking = Ranking::PreviousEpoch;
    let mut s = bound(Sequential::new([9]).ranking(ranking), 3);
    assert_eq!(kappa(&mut *s, 0, &[0.5, 0.4, 0.1], &[2]), only(1, 3));
    s.end_epoch(0, &[Some(0.5), Some(0.4), None]).unwrap();
    assert!(s.reads_confidence(at(1, 0)), "ρ of m2 is unknown");
    assert_eq!(kappa(&mut *s, 1, &[0.9, 0.9, 0.45], &[]), only(1, 3), "0.5 0.4 against 0.45");
    let mut plan = |rho: [f64; 3]| {
        s.plan(at(1, 1), &Candidates::from_confidence(rho)).unwrap().kappa().to_vec()
    };
    assert_eq!(plan([0.9, 0.9, 0.25]), only(2, 3), "mean 0.35");
    // A second plan for the same step, as after a failed one, replaces the first.
    assert_eq!(plan([0.9, 0.9, 0.37]), only(1, 3), "mean 0.41");
    s.end_epoch(1, &[None, Some(0.4), Some(0.45)]).unwrap();
    assert!(!s.reads_confidence(at(2, 0)));
    assert_eq!(kappa(&mut *s, 2, &[0.0; 3], &[1]), only(2, 3), "m0 keeps its 0.5");
}

#[test]
fn the_batches_so_far_are_averaged_over_those_that_have_the_modality() {
    let mut s = bound(Sequential::new([1]).ranking(Ranking::PreviousEpoch), 2);
    let mut plan = |step, given: Candidates| s.plan(at(0, step), &given).unwrap().kappa().to_vec();
    assert_eq!(plan(0, Candidates::from_confidence([0.5, 0.0]).without(1)), only(0, 2));
    assert_eq!(plan(1, Candidates::from_confidence([0.5, 0.0]).without(1)), only(0, 2));
    assert_eq!(plan(2, Candidates::from_confidence([0.5, 0.9])), only(0, 2));
}

#[test]
fn per_batch_and_partial_compare_the_present_modalities() {
    let rho = [0.2, 0.3, 0.6];
    let mut s = bound(Sequential::new([1]), 3);
    assert_eq!(kappa(&mut *s, 0, &rho, &[0]), only(1, 3));
    let mut s = bound(Partial::new(0.5, 0..1), 3);
    let found = kappa(&mut *s, 0, &rho, &[0]);
    assert_eq!(found[..2], [0.0, 1.0]);
    assert_number(found[2], 1.0 - (0.5 * (0.6 / 0.3_f64)).tanh());
    let found = kappa(&mut *s, 0, &[-1.0, 0.3, 0.6], &[0]);
    assert_eq!(found[1], 1.0, "ρ of a missing modality is not read");
}

#[test]
fn candidates_have_the_confidence_of_present_modalities_alone() {
    let given = Candidates::from_confidence([0.1, 0.2]).without(0);
    assert_eq!((given.len(), given.is_empty()), (2, false));
    assert_eq!([given.is_present(0), given.is_present(1)], [false, true]);
    assert_eq!([given.confidence(0), given.confidence(1)], [None, Some(0.2)]);
    assert_eq!(Candidates::without_confidence(2).confidence(1), None);
    let mut s = bound(Sequential::new([1]), 2);
    let found = s.plan(at(0, 0), &Candidates::without_confidence(2));
    assert_mismatch(found, &["\"m0\"", "reads_confidence"]);
}

fn schedules(k: usize) -> Vec<(&'static str, Box<dyn SmpScheduler>)> {
    let stages = || Sequential::new(vec![1; k]);
    vec![
        ("by batch", Box::new(stages())),
        ("by previous epoch", Box::new(stages().ranking(Ranking::PreviousEpoch))),
        ("fixed", Box::new(stages().ranking(Ranking::Fixed(names(k))))),
        ("window", Box::new(Sequential::new([2]).starting_at(1))),
        ("partial", Box::new(Partial::new(0.3, 0..2))),
        ("partial, previous epoch", {
            Box::new(Partial::new(0.3, 0..9).ranking(Ranking::PreviousEpoch))
        }),
        ("joint", Box::new(Joint::default())),
    ]
}

proptest! {
    #![proptest_config(fuzz_config(8))]
    /// With missing rows and whole missing modalities: κ of a missing modality is 0, some modality
    /// has κ = 1, an encoder changes if and only if its κ is not 0, and the fusion always changes.
    #[test]
    fn a_missing_modality_never_learns_under_any_scheduler(
        (k, batches) in (2_usize..5).prop_flat_map(|k| {
            let rho = prop::collection::vec(0.1..1.0_f64, k);
            let flags = prop::collection::vec(prop::collection::vec(any::<bool>(), 3), k);
            (Just(k), prop::collection::vec((rho, flags, 0..k), 6))
        }),
    ) {
        for (name, schedule) in schedules(k) {
            let student = Tiny::linear(k);
            let rho: SharedConfidence = Rc::new(RefCell::new(vec![]));
            let builder = student.builder_with_fixed_confidence(&rho).scheduler(schedule);
            let mut trainer = builder.build(&student).unwrap();
            let mut optimizer = student.optimizer();
            for (step, (confidence, flags, present)) in batches.iter().enumerate() {
                let mut flags = flags.clone();
                flags[*present] = vec![true; 3];
                rho.replace(confidence.clone());
                let before = values(&student.vs);
                optimizer.zero_grad();
                let batch = masked(&student, step as f64, &flags);
                let report = trainer.step(&student, &batch).unwrap();
                optimizer.step();
                let after = values(&student.vs);
                for (m, flags) in flags.iter().enumerate() {
                    let kappa = report.plan.kappa()[m];
                    let present = flags.contains(&true);
                    prop_assert!(present || kappa == 0.0, "{name}: κ {kappa} although missing");
                    prop_assert_eq!(report.confidence[m].is_some(), present);
                    for (parameter, value) in with_prefix(&after, &format!("m{m}")) {
                        let unchanged = value.equal(&before[&parameter]);
                        prop_assert_eq!(unchanged, kappa == 0.0, "{}: {}", name, parameter);
                    }
                }
                prop_assert!(report.plan.kappa().contains(&1.0), "{name}: no modality learns");
                prop_assert!(!after["head.weight"].equal(&before["head.weight"]));
                if step % 2 == 1 {
                    trainer.end_epoch().unwrap();
                }
            }
        }
    }
}
