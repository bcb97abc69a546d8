//! Probes that are restored in the middle of an epoch.

use g2d::{
    ImbalanceProbe, Result,
    checkpoint::State,
    loss::Classification,
    probe::{
        ConfidenceRatio, GradientCosine, GradientNorm, HeadAccuracy, LossRatio, ModalityGap,
        StudentConfidence, TeacherCka, UpdateRatio,
    },
    step::{Measurement, Observation},
};

use crate::support::{Tiny, assert_error, assert_mismatch};

/// A probe that another one replaces after two steps, restored from its state in JSON.
struct Replaced {
    current: Box<dyn ImbalanceProbe>,
    next: Option<Box<dyn ImbalanceProbe>>,
    steps: u32,
}

impl ImbalanceProbe for Replaced {
    fn observe_terms(&mut self, seen: &Observation<'_>) -> Result<()> {
        if self.steps == 2
            && let Some(mut next) = self.next.take()
        {
            let text = serde_json::to_string(&self.current.state()?).unwrap();
            next.restore(&serde_json::from_str(&text).unwrap())?;
            self.current = next;
        }
        self.current.observe_terms(seen)
    }

    fn observe(&mut self, seen: &Observation<'_>) -> Result<()> {
        self.steps += 1;
        self.current.observe(seen)
    }

    fn end_epoch(&mut self) -> Result<Vec<Measurement>> {
        self.current.end_epoch()
    }
}

fn measured(probe: impl ImbalanceProbe + 'static) -> Vec<Measurement> {
    measured_by(Classification::default(), probe)
}

fn measured_by(loss: Classification, probe: impl ImbalanceProbe + 'static) -> Vec<Measurement> {
    let student = Tiny::linear(3);
    let builder = student.builder_with_teachers(loss).probe(probe);
    let mut trainer = builder.build(&student).unwrap();
    let batches = (0..5).map(|step| {
        let batch = student.batch(4 + step % 2, step as f64);
        if step % 2 == 0 { batch.with_present(1, [true, false, true, true]) } else { batch }
    });
    student.train(&mut trainer, &mut student.optimizer(), batches);
    trainer.end_epoch().unwrap().measurements
}

fn assert_resumes<P: ImbalanceProbe + 'static>(new: impl Fn() -> P) {
    let expected = measured(new());
    assert!(!expected.is_empty());
    let replaced = Replaced { current: Box::new(new()), next: Some(Box::new(new())), steps: 0 };
    assert_eq!(measured(replaced), expected);
    assert_mismatch(new().restore(&State::new(&"text").unwrap()), &["state"]);
}

#[test]
fn a_restored_probe_measures_the_same_bits() {
    assert_resumes(ConfidenceRatio::default);
    assert_resumes(StudentConfidence::default);
    assert_resumes(HeadAccuracy::default);
    assert_resumes(LossRatio::default);
    assert_resumes(|| GradientNorm::with_interval(2));
    assert_resumes(|| GradientCosine::with_interval(1));
    assert_resumes(|| UpdateRatio::with_interval(1));
    assert_resumes(|| UpdateRatio::with_interval(3));
    assert_resumes(|| TeacherCka::with_interval(1));
    assert_resumes(ModalityGap::default);
}

/// Its state also has the numbers of samples with a label.
#[test]
fn a_restored_head_accuracy_leaves_out_the_same_samples() {
    let loss = || Classification { ignore_index: Some(1), ..Classification::default() };
    let new = || Box::new(HeadAccuracy::default()) as Box<dyn ImbalanceProbe>;
    let replaced = Replaced { current: new(), next: Some(new()), steps: 0 };
    let found = measured_by(loss(), replaced);
    assert_eq!(found, measured_by(loss(), HeadAccuracy::default()));
    assert_ne!(found, measured(HeadAccuracy::default()));
}

#[test]
fn the_state_of_another_probe_is_an_error() {
    let other = GradientNorm::default().state().unwrap();
    let restored = HeadAccuracy::default().restore(&other);
    assert_error(restored, &["head_accuracy", "resume with"]);
}
