//! A probe that is stopped in the middle of an epoch and restored measures the same bits.

use g2d::{
    Batch, ImbalanceProbe, Result,
    checkpoint::State,
    probe::{
        ConfidenceRatio, GradientCosine, GradientNorm, HeadAccuracy, LossRatio, ModalityGap,
        StudentConfidence, TeacherCka, UpdateRatio,
    },
    step::{Measurement, Observation},
};
use tch::nn;

use crate::support::{Tiny, mismatch, refused};
use g2d::loss::Classification;

/// After two steps another probe takes over, with the state that went through text.
struct Handed {
    now: Box<dyn ImbalanceProbe>,
    next: Option<Box<dyn ImbalanceProbe>>,
    seen: u32,
}

impl ImbalanceProbe for Handed {
    fn observe_terms(&mut self, seen: &Observation<'_>) -> Result<()> {
        if self.seen == 2
            && let Some(mut next) = self.next.take()
        {
            let text = serde_json::to_string(&self.now.state()?).unwrap();
            next.restore(&serde_json::from_str(&text).unwrap())?;
            self.now = next;
        }
        self.now.observe_terms(seen)
    }

    fn observe(&mut self, seen: &Observation<'_>) -> Result<()> {
        self.seen += 1;
        self.now.observe(seen)
    }

    fn end_epoch(&mut self) -> Result<Vec<Measurement>> {
        self.now.end_epoch()
    }
}

fn measured(probe: impl ImbalanceProbe + 'static) -> Vec<Measurement> {
    let student = Tiny::linear(3);
    let builder = student.taught(Classification::default()).probe(probe);
    let mut trainer = builder.build(&student).unwrap();
    let mut optimizer: nn::Optimizer = student.optimizer();
    for step in 0..5 {
        optimizer.zero_grad();
        let present = [true, false, true, true];
        let batch: Batch = student.batch(4 + step % 2, step as f64);
        let batch = if step % 2 == 0 { batch.with_present(1, present) } else { batch };
        trainer.step(&student, &batch).unwrap();
        optimizer.step();
    }
    trainer.end_epoch().unwrap().measurements
}

fn same<P: ImbalanceProbe + 'static>(new: impl Fn() -> P) {
    let whole = measured(new());
    assert!(!whole.is_empty());
    let handed = Handed { now: Box::new(new()), next: Some(Box::new(new())), seen: 0 };
    assert_eq!(measured(handed), whole);
    mismatch(new().restore(&State::new(&"another's").unwrap()), &["state"]);
}

#[test]
fn every_probe_goes_on_as_if_never_stopped() {
    same(ConfidenceRatio::default);
    same(StudentConfidence::default);
    same(HeadAccuracy::default);
    same(LossRatio::default);
    same(|| GradientNorm::with_interval(2));
    same(|| GradientCosine::with_interval(1));
    same(|| UpdateRatio::with_interval(1));
    same(|| UpdateRatio::with_interval(3));
    same(|| TeacherCka::with_interval(1));
    same(ModalityGap::default);
}

#[test]
fn the_state_of_another_probe_is_refused() {
    let other = GradientNorm::default().state().unwrap();
    let norm = HeadAccuracy::default().restore(&other);
    refused(norm, &["head_accuracy", "resume with"]);
}
