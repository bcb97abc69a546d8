//! Probes and epoch means.

use std::{cell::Cell, rc::Rc};

use super::{Pair, WHOLE, batch};
use crate::error::Result;
use crate::probe::ImbalanceProbe;
use crate::ranks::Ranks;
use crate::schedule::Progress;
use crate::step::{Measurement, MicroBatch, Observation, SkipCause, StepOutcome};
use crate::trainer::observers::Observers;

/// Counts its calls: before backward in units, after the step in hundreds.
struct Count(Rc<Cell<u32>>);

impl ImbalanceProbe for Count {
    fn observe_terms(&mut self, _: &Observation<'_>) -> Result<()> {
        self.0.set(self.0.get() + 1);
        Ok(())
    }

    fn observe(&mut self, _: &Observation<'_>) -> Result<()> {
        self.0.set(self.0.get() + 100);
        Ok(())
    }

    fn end_epoch(&mut self) -> Result<Vec<Measurement>> {
        Ok(vec![Measurement::new("calls", &"a".into(), f64::from(self.0.take()))])
    }
}

/// Observes a step with this outcome and returns its loss.
fn observe(observers: &mut Observers, phase: f64, at: MicroBatch, outcome: StepOutcome) -> f64 {
    Pair::new().observe(&batch(phase), [1.0, 0.0], at, |step| {
        observers.before_backward(step).unwrap();
        observers.after_step(step, &step.report(outcome, None).unwrap()).unwrap();
        step.terms.total.double_value(&[])
    })
}

#[test]
fn probes_see_complete_windows_and_means_leave_skipped_steps_out() {
    let calls = Rc::default();
    let mut observers = Observers::new(vec![Box::new(Count(Rc::clone(&calls)))], 2);
    let first =
        observe(&mut observers, 0.0, MicroBatch { index: 0, count: 2 }, StepOutcome::Accumulating);
    let second =
        observe(&mut observers, 0.5, MicroBatch { index: 1, count: 2 }, StepOutcome::Ready);
    let skipped = StepOutcome::Skipped(SkipCause::Overflow { scale: 2.0 });
    observe(&mut observers, 1.0, WHOLE, skipped);
    assert_eq!(calls.get(), 102); // terms of both last micro-batches, gradients of the ready step
    let at = Progress { step: 3, ..Progress::default() };
    let mut report = observers.means(at, &Pair::new().names, &Ranks::default()).unwrap();
    assert!((report.terms.total - (first + second) / 2.0).abs() < 1e-6);
    assert_eq!((report.steps, report.skipped, report.kappa.as_slice()), (3, 1, &[1.0, 0.0][..]));
    observers.end_epoch(&mut report, &Ranks::default()).unwrap();
    assert_eq!(report.measurements, [Measurement::new("calls", &"a".into(), 102.0)]);
    assert!(
        observers.means(at, &Pair::new().names, &Ranks::default()).unwrap().terms.total.is_nan()
    );
}

#[test]
fn restored_means_continue_where_they_were_saved() {
    let mut first = Observers::new(Vec::new(), 2);
    observe(&mut first, 0.0, WHOLE, StepOutcome::Ready);
    let (totals, probes) = first.state().unwrap();
    let json = serde_json::to_string(&totals).unwrap();
    let totals = serde_json::from_str(&json).unwrap();
    let mut second = Observers::new(Vec::new(), 2);
    second.check(&totals, &probes).unwrap();
    second.restore(&totals, &probes, true).unwrap();
    for observers in [&mut first, &mut second] {
        observe(observers, 0.5, WHOLE, StepOutcome::Ready);
    }
    let at = Progress { step: 2, ..Progress::default() };
    let [first, second] =
        [first, second].map(|o| o.means(at, &Pair::new().names, &Ranks::default()).unwrap());
    assert_eq!(first.terms.total.to_bits(), second.terms.total.to_bits());
    let three = Observers::new(Vec::new(), 3);
    assert!(three.check(&totals, &probes).is_err());
}
