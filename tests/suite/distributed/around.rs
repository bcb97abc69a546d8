//! Epochs, probes, modulations and what else spans steps.

use g2d::{
    Modality, Result,
    loss::Classification,
    modulation::Modulate,
    probe::{
        ConfidenceRatio, GradientCosine, GradientNorm, HeadAccuracy, LossRatio, ModalityGap,
        StudentConfidence, TeacherCka, UpdateRatio,
    },
    step::Observation,
    trainer::Builder,
};
#[cfg(feature = "paper")]
use g2d::{paper::baselines::Ogm, trainer::GradientScope};
use tch::Kind;

use super::{Training, all, each};
use crate::support::{Tiny, assert_config_error};

fn with_teachers(student: &Tiny) -> Builder {
    student.builder_with_teachers(Classification::default())
}

#[test]
fn probes_measure_the_samples_of_all_ranks() {
    fn builder(student: &Tiny, loss: Classification) -> Builder {
        student
            .builder_with_teachers(loss)
            .probe(ConfidenceRatio::default())
            .probe(GradientCosine::with_interval(1))
            .probe(GradientNorm::default())
            .probe(HeadAccuracy::default())
            .probe(LossRatio::default())
            .probe(ModalityGap::default())
            .probe(StudentConfidence::default())
            .probe(TeacherCka::with_interval(1))
            .probe(UpdateRatio::with_interval(2))
    }
    let all_labels = |student: &Tiny| builder(student, Classification::default());
    let some_labels = |student: &Tiny| {
        builder(student, Classification { ignore_index: Some(1), ..Default::default() })
    };
    let builders: [&(dyn Fn(&Tiny) -> Builder + Sync); 2] = [&all_labels, &some_labels];
    let each = builders.into_iter().flat_map(|builder| {
        [[6, 6].as_slice(), &[8, 1, 3]].into_iter().map(move |rows| (builder, rows))
    });
    for (builder, rows) in each {
        let present: Option<fn(i64) -> bool> = Some(|row| row > 7);
        let training = Training { kind: Kind::Double, steps: 3, rows, present, builder };
        let alone = training.run(None).unwrap().epoch.measurements;
        let found = all(rows.len(), |group| Ok(training.run(Some(&group))?.epoch.measurements));
        assert!(alone.len() > 20, "{alone:?}");
        for found in found {
            assert_eq!(found.len(), alone.len());
            for (found, expected) in found.iter().zip(&alone) {
                assert_eq!(
                    (&found.metric, &found.modality),
                    (&expected.metric, &expected.modality)
                );
                let difference = (found.value - expected.value).abs();
                assert!(difference < 1e-12, "{found:?} against {expected:?}");
            }
        }
    }
}

#[cfg(feature = "paper")]
#[test]
fn ogm_scales_by_the_scores_of_the_combined_batch_and_adds_the_same_noise() {
    for seed in [None, Some(5)] {
        let builder = |student: &Tiny| {
            let ogm = Ogm::new(1.0, 0..=9).scope(GradientScope::All);
            with_teachers(student).modulation(match seed {
                None => ogm,
                Some(seed) => ogm.with_noise(seed),
            })
        };
        for rows in [[6, 6].as_slice(), &[8, 1, 3]] {
            for present in [None, Some((|row| row > 7) as fn(i64) -> bool)] {
                Training { kind: Kind::Double, steps: 3, rows, present, builder: &builder }
                    .compare();
            }
        }
    }
}

/// Scales by a score of the rank's own batch.
struct OwnScores;

impl Modulate for OwnScores {
    fn bind(&mut self, _modalities: &[Modality]) -> Result<()> {
        Ok(())
    }

    fn modulate(&mut self, step: &Observation<'_>) -> Result<Option<Vec<f64>>> {
        Ok(Some(vec![step.batch.size() as f64; step.modalities().len()]))
    }
}

#[test]
fn a_modulation_that_differs_between_ranks_is_refused() {
    let builder = |student: &Tiny| with_teachers(student).modulation(OwnScores);
    let training =
        |rows| Training { kind: Kind::Float, steps: 1, rows, present: None, builder: &builder };
    for outcome in each(2, |group| training(&[3, 4]).run(Some(&group)).map(drop)) {
        assert_config_error(outcome, &["factors", "rank 1", "[3.0, 3.0]", "[4.0, 4.0]"]);
    }
    for outcome in each(2, |group| training(&[4, 4]).run(Some(&group)).map(drop)) {
        outcome.unwrap();
    }
}
