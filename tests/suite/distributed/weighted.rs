//! Losses that are not means over samples are those of the combined batch.

use g2d::{
    G2dLoss, Result,
    loss::{
        Classification, Distillation, HeadTarget, HeadTerm, Input, Labels, MultiTask, Task, Terms,
    },
    schedule::Sequential,
};
use tch::{Kind, Tensor};

use super::{Training, each};
use crate::support::{Tiny, assert_config_error, assert_error};

/// Heads that learn from labels, beside the other terms.
fn distillation() -> Distillation {
    let head = HeadTerm { weight: 0.5.into(), target: HeadTarget::Labels, ..HeadTerm::default() };
    Distillation { head: Some(head), ..Distillation::default() }
}

fn compare(loss: &Classification) {
    let loss = Classification { distillation: distillation(), ..loss.clone() };
    let builder = |student: &Tiny| {
        student.builder_with_teachers(loss.clone()).scheduler(Sequential::new([1]))
    };
    // In the first division, the whole batch of the second rank has label 1.
    for rows in [[1, 1, 4].as_slice(), &[5, 4], &[6, 6]] {
        for present in [None, Some((|row| row != 2 && row < 7) as fn(i64) -> bool)] {
            for kind in [Kind::Float, Kind::Double] {
                Training { kind, steps: 3, rows, present, builder: &builder }.compare();
            }
        }
    }
}

#[test]
fn labels_to_ignore() {
    compare(&Classification { ignore_index: Some(1), ..Classification::default() });
}

#[test]
fn weights_of_classes_and_smoothed_labels() {
    compare(&Classification {
        class_weight: Some(vec![0.2, 1.5, 3.0]),
        label_smoothing: 0.1,
        ..Classification::default()
    });
}

#[test]
fn weights_of_samples_and_the_focal_loss() {
    let sample_weight = Some("weight".to_owned());
    compare(&Classification { sample_weight, focal: 2.0, ..Classification::default() });
}

#[test]
fn all_of_them_together() {
    compare(&Classification {
        class_weight: Some(vec![0.2, 1.5, 3.0]),
        ignore_index: Some(0),
        sample_weight: Some("weight".to_owned()),
        ..Classification::default()
    });
}

#[test]
fn a_weighted_task_of_several_is_refused() {
    let weighted = Classification {
        labels: Labels::Single,
        class_weight: Some(vec![1.0, 2.0, 3.0]),
        ..Classification::default()
    };
    let loss = MultiTask::new([Task::new("kind", 3, weighted)]);
    let builder = |student: &Tiny| student.builder(loss.clone());
    let rows = &[3, 3];
    let training =
        Training { kind: Kind::Double, steps: 1, rows, present: None, builder: &builder };
    training.run(None).unwrap();
    for found in each(2, |group| training.run(Some(&group)).map(drop)) {
        assert_config_error(found, &["task \"kind\" on several ranks", "a weighted mean"]);
    }
}

/// A loss of a term of modality 0 that does not tell its weights.
struct Silent;

impl G2dLoss for Silent {
    fn check(&self, _modalities: &[g2d::Modality]) -> Result<()> {
        Ok(())
    }

    fn check_targets(&self, _logits: &[i64], _targets: &Tensor) -> Result<()> {
        Ok(())
    }

    fn terms(&self, input: &Input<'_>) -> Result<Terms> {
        let term = input.rows[1].select(&input.features[1])?.f_square()?.f_mean(None::<Kind>)?;
        let task = input.logits.f_square()?.f_mean(None::<Kind>)?;
        let present = !input.rows[1].is_missing();
        let total = if present { task.f_add(&term)? } else { task.shallow_clone() };
        let feature = vec![None, present.then_some(term)];
        Ok(Terms { total, feature, ..Terms::from_task(task) })
    }

    fn confidence(&self, logits: &Tensor, _targets: &Tensor) -> Result<Tensor> {
        Ok(logits.f_mean(None::<Kind>)?)
    }
}

#[test]
fn a_loss_that_does_not_tell_the_weights_of_its_terms_needs_equal_shares() {
    let builder = |student: &Tiny| student.builder(Silent);
    let kind = Kind::Double;
    for present in [None, Some((|row| row % 2 == 0) as fn(i64) -> bool)] {
        Training { kind, steps: 2, rows: &[4, 4], present, builder: &builder }.compare();
    }
    let present: Option<fn(i64) -> bool> = Some(|row| row < 5);
    let training = Training { kind, steps: 1, rows: &[4, 4], present, builder: &builder };
    for found in each(2, |group| training.run(Some(&group)).map(drop)) {
        assert_error(found, &["term_weights"]);
    }
}
