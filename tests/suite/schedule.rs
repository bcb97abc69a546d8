//! Plans of the schedulers: expected values, and properties for any number of modalities.

use g2d::{
    Error, Modality, SmpScheduler,
    schedule::{Candidates, Joint, Partial, Plan, Progress, Ranking, SchedulerConfig, Sequential},
};
use proptest::prelude::*;
use serde_json::json;

use crate::support::{assert_config_error, assert_mismatch, assert_number, names};

fn at(epoch: u64, step: u64) -> Progress {
    Progress { epoch, step, ..Progress::default() }
}

fn bound(mut scheduler: impl SmpScheduler + 'static, k: usize) -> Box<dyn SmpScheduler> {
    scheduler.bind(&names(k)).unwrap();
    Box::new(scheduler)
}

/// κ of the first step of `epoch`, with ρ only where the scheduler reads it.
fn kappa(scheduler: &mut dyn SmpScheduler, epoch: u64, rho: &[f64]) -> Vec<f64> {
    let reads = scheduler.reads_confidence(at(epoch, 0));
    let given = if reads {
        Candidates::from_confidence(rho)
    } else {
        Candidates::without_confidence(rho.len())
    };
    scheduler.plan(at(epoch, 0), &given).unwrap().kappa().to_vec()
}

fn kappas<const N: usize>(
    s: &mut dyn SmpScheduler,
    epochs: [u64; N],
    rho: &[f64],
) -> Vec<Vec<f64>> {
    epochs.iter().map(|&epoch| kappa(s, epoch, rho)).collect()
}

fn fixed<const K: usize>(order: [&str; K]) -> Ranking {
    Ranking::Fixed(Modality::list(order))
}

fn authors_window(first: u64, last: u64) -> SchedulerConfig {
    let settings = json!({ "type": "per_batch", "window": { "first": first, "last": last } });
    serde_json::from_value(settings).unwrap()
}

#[test]
fn a_stage_of_two_modalities_ends_before_the_epoch_of_its_length() {
    let mut s = bound(Sequential::new([150]), 2);
    let found = kappas(&mut *s, [0, 149, 150, 299], &[0.7, 0.4]);
    assert_eq!(found, [[0.0, 1.0], [0.0, 1.0], [1.0, 1.0], [1.0, 1.0]]);
    assert_eq!(kappa(&mut *s, 3, &[0.1, 0.4]), [1.0, 0.0], "each batch decides");
}

#[test]
fn stages_of_three_modalities_go_from_the_weakest_to_the_strongest() {
    let mut s = bound(Sequential::new([2, 3, 1]), 3);
    let found = kappas(&mut *s, [0, 1, 2, 4, 5, 6], &[0.5, 0.9, 0.2]);
    let (first, second, third) = ([0.0, 0.0, 1.0], [1.0, 0.0, 0.0], [0.0, 1.0, 0.0]);
    assert_eq!(found, [first, first, second, second, third, [1.0; 3]]);
}

#[test]
fn after_the_last_stage_all_modalities_learn() {
    let mut s = bound(Sequential::new([1, 1]), 5);
    let found = kappas(&mut *s, [0, 1, 2], &[0.5, 0.4, 0.3, 0.2, 0.1]);
    assert_eq!(found, [[0.0, 0.0, 0.0, 0.0, 1.0], [0.0, 0.0, 0.0, 1.0, 0.0], [1.0; 5]]);
}

#[test]
fn stages_of_zero_epochs_are_skipped() {
    let mut s = bound(Sequential::new([0, 2]), 2);
    assert_eq!(kappas(&mut *s, [0, 1, 2], &[0.1, 0.2]), [[0.0, 1.0], [0.0, 1.0], [1.0, 1.0]]);
    let mut s = bound(Sequential::new([]), 2);
    assert_eq!(kappa(&mut *s, 0, &[0.5; 2]), [1.0, 1.0]);
    let mut s = bound(Sequential::new([u64::MAX, 5]), 2);
    assert_eq!(kappa(&mut *s, u64::MAX - 1, &[0.1, 0.2]), [1.0, 0.0], "the sum does not overflow");
}

#[test]
fn equal_confidences_keep_the_order_of_the_modalities() {
    let mut s = bound(Sequential::new([1, 1, 1]), 3);
    let found = kappas(&mut *s, [0, 1, 2], &[0.5; 3]);
    assert_eq!(found, [[1.0, 0.0, 0.0], [0.0, 1.0, 0.0], [0.0, 0.0, 1.0]]);
    assert_eq!(kappa(&mut *s, 0, &[0.6, 0.5, 0.5]), [0.0, 1.0, 0.0]);
    assert_eq!(kappa(&mut *s, 0, &[0.0, -0.0, 0.0]), [1.0, 0.0, 0.0], "the two zeros are equal");
}

#[test]
fn a_fixed_order_needs_no_confidence() {
    let s = Sequential::new([1, 1, 1]).ranking(fixed(["m1", "m2", "m0"]));
    let mut s = bound(s, 3);
    assert!(!s.needs_confidence());
    let found = kappas(&mut *s, [0, 1, 2, 3], &[0.5; 3]);
    assert_eq!(found, [[0.0, 1.0, 0.0], [0.0, 0.0, 1.0], [1.0, 0.0, 0.0], [1.0; 3]]);
}

fn held_out<const K: usize>(confidence: [(&str, f64); K]) -> Ranking {
    Ranking::HeldOut(confidence.map(|(m, rho)| (Modality::new(m), rho)).into())
}

#[test]
fn a_held_out_ranking_begins_with_the_highest_confidence() {
    let ranking = held_out([("m2", 0.4), ("m0", 0.7), ("m1", 0.5)]);
    let mut s = bound(Sequential::new([1, 1, 1]).ranking(ranking), 3);
    assert!(!s.needs_confidence() && !s.reads_confidence(at(0, 0)));
    let found = kappas(&mut *s, [0, 1, 2, 3], &[0.5; 3]);
    assert_eq!(found, [[1.0, 0.0, 0.0], [0.0, 1.0, 0.0], [0.0, 0.0, 1.0], [1.0; 3]]);
    let missing = Candidates::without_confidence(3).without(0);
    assert_eq!(s.plan(at(0, 0), &missing).unwrap(), Plan::only(1, 3), "the next in the order");
    s.end_epoch(0, &[None; 3]).unwrap();
    assert_eq!(kappa(&mut *s, 1, &[0.5; 3]), [0.0, 1.0, 0.0], "epochs do not change it");
    assert!(serde_json::to_string(&s.state().unwrap()).unwrap().len() < 20, "it has no state");
}

#[test]
fn equal_held_out_confidences_keep_the_order_of_the_modalities() {
    let ranking = held_out([("m2", 0.0), ("m1", -0.0), ("m0", 0.0)]);
    let mut s = bound(Sequential::new([1, 1]).ranking(ranking), 3);
    assert_eq!(kappas(&mut *s, [0, 1], &[0.5; 3]), [[1.0, 0.0, 0.0], [0.0, 1.0, 0.0]]);
}

#[test]
fn held_out_confidences_that_are_not_one_number_per_modality_are_errors() {
    let bind = |ranking| Sequential::new([1]).ranking(ranking).bind(&names(2));
    let words = ["Ranking::HeldOut", "each of [\"m0\", \"m1\"] once"];
    for wrong in [
        held_out([("m0", 0.5)]).clone(),
        held_out([("m0", 0.5), ("m2", 0.5)]),
        held_out([("m0", 0.5), ("m0", 0.6)]),
        held_out([("m0", 0.5), ("m1", 0.6), ("m1", 0.7)]),
    ] {
        assert_config_error(bind(wrong), &words);
    }
    for rho in [f64::NAN, f64::INFINITY] {
        let words = ["held-out confidence of modality \"m1\"", &format!("found {rho}")];
        let error = assert_mismatch(bind(held_out([("m0", 0.5), ("m1", rho)])), &words);
        assert!(matches!(error, Error::NonFinite(_)));
    }
}

#[test]
fn partial_refuses_a_ranking_without_confidences_of_the_training() {
    let held_out = held_out([("m0", 0.5), ("m1", 0.7)]);
    for ranking in [held_out, fixed(["m0", "m1"])] {
        let bound = Partial::new(0.5, 0..1).ranking(ranking).bind(&names(2));
        assert_config_error(bound, &["ranking of Partial", "Batch or PreviousEpoch", "fixed"]);
    }
}

#[test]
fn a_ranking_by_the_previous_epoch_ranks_the_first_epoch_by_its_batches_so_far() {
    let mut s = bound(Sequential::new([3]).ranking(Ranking::PreviousEpoch), 2);
    assert!(s.reads_confidence(at(0, 0)));
    let mut plan = |step, rho: [f64; 2]| {
        s.plan(at(0, step), &Candidates::from_confidence(rho)).unwrap().kappa().to_vec()
    };

    assert_eq!(plan(0, [0.3, 0.2]), [0.0, 1.0]);
    assert_eq!(plan(1, [0.3, 0.35]), [0.0, 1.0], "means 0.3 and 0.275");
    assert_eq!(plan(2, [0.1, 0.3]), [1.0, 0.0], "means 0.233 and 0.283");
    s.end_epoch(0, &[Some(0.9), Some(0.1)]).unwrap();
    let without = Candidates::without_confidence(2);
    assert!(!s.reads_confidence(at(1, 0)), "the means of a whole epoch are known");
    assert_eq!(s.plan(at(1, 0), &without).unwrap(), Plan::only(1, 2));
    s.end_epoch(1, &[Some(0.1), Some(0.9)]).unwrap();
    assert_eq!(s.plan(at(2, 0), &without).unwrap(), Plan::only(0, 2));
    assert!(s.plan(at(3, 0), &without).unwrap().is_joint());
}

#[test]
fn the_authors_window_includes_both_ends() {
    let mut s = bound(authors_window(2, 4), 3);
    let rho = [0.3, 0.2, 0.4];
    let only = [0.0, 1.0, 0.0];
    let found = kappas(&mut *s, [0, 1, 2, 3, 4, 5], &rho);
    assert_eq!(found, [[1.0; 3], [1.0; 3], only, only, only, [1.0; 3]]);
    let mut s = bound(authors_window(0, 150), 2);
    let covered = (0..300).filter(|&epoch| kappa(&mut *s, epoch, &[0.1, 0.2]) != [1.0, 1.0]);
    assert_eq!(covered.count(), 151);
}

#[test]
fn kappa_of_partial_is_one_minus_tanh_of_the_confidence_ratio() {
    let mut s = bound(Partial::new(0.5, 1..3), 2);
    assert_eq!(kappas(&mut *s, [0, 3], &[0.8, 0.2]), [[1.0, 1.0], [1.0, 1.0]]);
    let found = kappa(&mut *s, 1, &[0.8, 0.2]);
    assert_number(found[0], 1.0 - (0.5 * 4.0_f64).tanh());
    assert_eq!(found[1], 1.0);
    let mut s = bound(Partial::new(0.1, 0..1), 3);
    let found = kappa(&mut *s, 0, &[0.2, 0.3, 0.6]);
    assert_eq!(found[0], 1.0);
    assert_number(found[1], 1.0 - (0.1 * (0.3 / 0.2_f64)).tanh());
    assert_number(found[2], 1.0 - (0.1 * (0.6 / 0.2_f64)).tanh());
}

#[test]
fn partial_is_defined_for_equal_confidences_and_for_zeros() {
    let mut s = bound(Partial::new(1.0, 0..1), 3);
    assert_eq!(kappa(&mut *s, 0, &[0.4; 3]), [1.0; 3], "κ of the weakest is 1");
    assert_eq!(kappa(&mut *s, 0, &[0.0, 0.4, 0.0]), [1.0, 0.0, 1.0], "κ of an infinite ratio is 0");
    assert_eq!(kappa(&mut *s, 0, &[0.0; 3]), [1.0; 3]);
}

#[test]
fn partial_reads_the_means_of_the_previous_epoch() {
    let mut s = bound(Partial::new(0.5, 0..9).ranking(Ranking::PreviousEpoch), 2);
    s.plan(at(0, 0), &Candidates::from_confidence([0.2, 0.2])).unwrap();
    // The sums so far are 0.6 and 0.3.
    let found = s.plan(at(0, 1), &Candidates::from_confidence([0.4, 0.1])).unwrap();
    assert_number(found.kappa()[0], 1.0 - (0.5 * (0.6_f64 / 0.3)).tanh());
    s.end_epoch(0, &[Some(0.2), Some(0.6)]).unwrap();
    assert_number(kappa(&mut *s, 1, &[0.5; 2])[1], 1.0 - (0.5 * (0.6_f64 / 0.2)).tanh());
}

#[test]
fn all_modalities_learn_under_joint() {
    let mut s = bound(Joint::default(), 5);
    assert!(!s.needs_confidence());
    assert_eq!(kappas(&mut *s, [0, 1000], &[0.5; 5]), [[1.0; 5], [1.0; 5]]);
}

#[test]
fn a_plan_reports_which_modalities_it_suppresses() {
    let plan = Plan::new([0.0, 0.5, 1.0]).unwrap();
    assert!(plan.suppresses(0) && !plan.suppresses(1) && !plan.suppresses(2));
    assert!(!plan.is_joint() && Plan::joint(3).is_joint() && !Plan::only(1, 3).is_joint());
}

/// k from 2 to 6, a ρ for each, and at most k stages.
fn settings() -> impl Strategy<Value = (Vec<f64>, Vec<u64>)> {
    (2_usize..7).prop_flat_map(|k| {
        (prop::collection::vec(0.0..1.0_f64, k), prop::collection::vec(0_u64..4, 0..=k))
    })
}

proptest! {
    #[test]
    fn sequential_keeps_every_stage_for_its_epochs((rho, stages) in settings()) {
        let k = rho.len();
        let mut s = bound(Sequential::new(stages.clone()), k);
        let mut weakest_first: Vec<usize> = (0..k).collect();
        weakest_first.sort_by(|&a, &b| rho[a].partial_cmp(&rho[b]).unwrap());
        let mut expected = Vec::new();
        for (stage, &tau) in stages.iter().enumerate() {
            expected.extend((0..tau).map(|_| Plan::only(weakest_first[stage], k)));
        }
        expected.extend([Plan::joint(k), Plan::joint(k)]);
        for (epoch, plan) in expected.iter().enumerate() {
            prop_assert_eq!(kappa(&mut *s, epoch as u64, &rho), plan.kappa());
        }
    }

    /// The authors' rule: from `first` to `last` the weakest present modality learns alone, before and
    /// after that all learn.
    #[test]
    fn a_window_suppresses_all_but_the_weakest_present_modality(
        batch in prop::collection::vec((0_u8..4, any::<bool>()), 2..7),
        first in 0_u64..5, length in 0_u64..5, epoch in 0_u64..12,
    ) {
        let (k, last) = (batch.len(), first + length);
        let expected = if (first..=last).contains(&epoch) {
            let present = (0..k).filter(|&m| batch[m].1);
            let weakest = present.min_by_key(|&m| batch[m].0); // the first of equals
            (0..k).map(|m| f64::from(u8::from(weakest == Some(m)))).collect()
        } else {
            vec![1.0; k]
        };

        let by_hand = Sequential::new([length + 1]).starting_at(first);
        for mut s in [bound(authors_window(first, last), k), bound(by_hand, k)] {
            prop_assert!(s.needs_confidence());
            prop_assert_eq!(s.reads_confidence(at(epoch, 0)), (first..=last).contains(&epoch));
            let rho: Vec<f64> = batch.iter().map(|&(rho, _)| f64::from(rho) / 4.0).collect();
            let missing = (0..k).filter(|&m| !batch[m].1);
            let given = missing.fold(Candidates::from_confidence(rho), Candidates::without);
            let plan = s.plan(at(epoch, 0), &given).unwrap();
            prop_assert_eq!(plan.kappa(), &expected);
        }
    }

    #[test]
    fn partial_gives_the_stronger_modality_the_smaller_kappa(
        (rho, _) in settings(), alpha in 0.01..2.0_f64,
    ) {
        let mut s = bound(Partial::new(alpha, 0..1), rho.len());
        let found = kappa(&mut *s, 0, &rho);
        let weakest = rho.iter().copied().fold(f64::INFINITY, f64::min);
        for (a, &kappa_a) in found.iter().enumerate() {
            prop_assert!((0.0..=1.0).contains(&kappa_a));
            prop_assert_eq!(kappa_a == 1.0, rho[a] == weakest);
            for (b, &kappa_b) in found.iter().enumerate() {
                prop_assert!(rho[a] > rho[b] || kappa_a >= kappa_b);
            }
        }
    }
}

#[test]
fn kappa_outside_0_to_1_is_an_error() {
    for bad in [-0.1, 1.1, f64::NAN, f64::INFINITY] {
        let found = format!("found {bad}");
        assert_config_error(
            Plan::new([1.0, bad]),
            &["κ of modality 1", "[0, 1]", &found, "scheduler"],
        );
    }
    Plan::new([0.0, 1.0]).unwrap();
}
