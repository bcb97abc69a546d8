//! Gradients and parameters equal those of one trainer on the combined batch.

use g2d::{
    loss::{Classification, Distillation, EnsembleTerm, HeadTerm},
    schedule::{Partial, Sequential},
    trainer::{Builder, GradientScope, Suppression},
};
use tch::Kind;

use super::{Training, all};
use crate::support::{FixedKappa, KappaPerStep, Tiny, assert_same};

const KINDS: [Kind; 2] = [Kind::Float, Kind::Double];

/// Several divisions of a combined batch among ranks.
const DIVISIONS: [&[i64]; 4] = [&[6, 6], &[9, 3], &[5, 3, 4], &[2, 4, 1, 5]];

fn with_teachers(student: &Tiny) -> Builder {
    student.builder_with_teachers(Classification::default())
}

fn compare_all(
    steps: usize,
    present: Option<fn(i64) -> bool>,
    builder: &(dyn Fn(&Tiny) -> Builder + Sync),
) {
    for rows in DIVISIONS {
        for kind in KINDS {
            Training { kind, steps, rows, present, builder }.compare();
        }
    }
}

#[test]
fn joint_training_with_equal_and_unequal_batches() {
    compare_all(3, None, &with_teachers);
}

#[test]
fn a_suppressed_encoder_has_undefined_gradients_on_all_ranks() {
    let builder = |student: &Tiny| {
        with_teachers(student).scheduler(KappaPerStep(vec![
            vec![1.0, 0.0],
            vec![0.0, 1.0],
            vec![1.0, 1.0],
        ]))
    };
    for rows in DIVISIONS {
        let training =
            Training { kind: Kind::Double, steps: 6, rows, present: None, builder: &builder };
        let alone = training.compare();
        assert!(!alone.gradients[0].keys().any(|name| name.starts_with("m1.")));
        assert!(!alone.gradients[1].keys().any(|name| name.starts_with("m0.")));
        assert_eq!(alone.gradients[2].len(), alone.parameters.len());
    }
}

#[test]
fn the_ranking_is_that_of_the_combined_batch() {
    let builder = |student: &Tiny| with_teachers(student).scheduler(Sequential::new([1]));
    compare_all(4, None, &builder);
}

#[test]
fn a_share_of_the_gradient_follows_the_ratio_of_the_combined_confidences() {
    let builder = |student: &Tiny| with_teachers(student).scheduler(Partial::new(0.3, 0..9));
    for rows in DIVISIONS {
        // κ is a function of ρ, whose last bits depend on the order of summation.
        let training =
            Training { kind: Kind::Double, steps: 2, rows, present: None, builder: &builder };
        let found = all(rows.len(), |group| training.run(Some(&group)));
        let alone = training.run(None).unwrap();
        for outcome in &found {
            super::assert_near("parameters", &outcome.parameters, &alone.parameters, 1e-12);
            assert_same(&outcome.parameters, &found[0].parameters);
        }
    }
}

#[test]
fn the_other_suppressions_act_on_reduced_gradients() {
    for suppression in [Suppression::FusedLoss, Suppression::ZeroGradient(GradientScope::All)] {
        let builder = |student: &Tiny| {
            with_teachers(student).suppression(suppression).scheduler(FixedKappa(vec![0.25, 0.0]))
        };
        compare_all(3, None, &builder);
    }
}

#[test]
fn samples_without_a_modality_count_for_its_terms_by_their_number() {
    compare_all(3, Some(|row| row % 3 != 1), &with_teachers);
}

#[test]
fn a_rank_whose_whole_batch_lacks_a_modality_learns_its_encoder_from_the_others() {
    // Rows 0 to 5 are the whole batch of the first rank in some divisions.
    compare_all(3, Some(|row| row > 5), &with_teachers);
}

#[test]
fn a_modality_that_no_rank_has_does_not_learn() {
    let training = Training {
        kind: Kind::Double,
        steps: 2,
        rows: &[4, 2],
        present: Some(|_| false),
        builder: &with_teachers,
    };
    let alone = training.compare();
    assert!(!alone.gradients[0].keys().any(|name| name.starts_with("m1.")));
}

#[test]
fn all_terms_of_balanced_training_with_missing_modalities() {
    let builder = |student: &Tiny| {
        let distillation = Distillation {
            task_weight: 0.7,
            beta: 0.3,
            head: Some(HeadTerm { weight: 0.5.into(), ..HeadTerm::default() }),
            ensemble: Some(EnsembleTerm { weight: 0.2, ..EnsembleTerm::default() }),
            ..Distillation::balanced()
        };
        student
            .builder_with_teachers(Classification::new(distillation))
            .suppression(Suppression::FusedLoss)
            .scheduler(Sequential::new([1]))
    };
    compare_all(3, Some(|row| row > 4 && row != 7), &builder);
}

#[test]
fn an_accumulation_window_is_reduced_once() {
    let plans =
        || KappaPerStep(vec![vec![1.0, 1.0], vec![1.0, 0.0], vec![0.0, 1.0], vec![1.0, 0.0]]);
    let builder = |student: &Tiny| with_teachers(student).accumulate(3).scheduler(plans());
    // 7 steps end in a window of one micro-batch, which `finish_window` completes, 8 in one of two.
    for steps in [6, 7, 8] {
        compare_all(steps, Some(|row| row > 5), &builder);
    }
}

#[test]
fn clipped_gradients_have_the_norm_of_the_combined_batch() {
    let builder = |student: &Tiny| with_teachers(student).clip_norm(0.05);
    compare_all(4, None, &builder);
}

#[test]
fn replicas_are_equal_bit_by_bit_after_a_hundred_steps() {
    let builder = |student: &Tiny| {
        with_teachers(student).scheduler(KappaPerStep(vec![vec![1.0, 0.0], vec![1.0, 1.0]]))
    };
    for rows in [[4, 4].as_slice(), &[3, 2, 5]] {
        let training =
            Training { kind: Kind::Float, steps: 100, rows, present: None, builder: &builder };
        let found = all(rows.len(), |group| training.run(Some(&group)));
        for outcome in &found[1..] {
            assert_same(&outcome.parameters, &found[0].parameters);
        }
    }
}
