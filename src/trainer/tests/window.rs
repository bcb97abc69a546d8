//! The accumulation window.

use tch::{Kind, Tensor};

use super::{Pair, WHOLE, batch};
use crate::step::{MicroBatch, StepOutcome};
use crate::trainer::window::AccumulationWindow;
use crate::trainer::{LossScaling, Precision, Suppression};

fn window(count: u64, precision: Precision, skips: bool) -> AccumulationWindow {
    let (suppression, scaling) = (Suppression::SkipBackward, LossScaling::default());
    AccumulationWindow::new(count, suppression, false, precision, scaling, skips).unwrap()
}

/// The gradient of encoder `a` that plain backward computes for `batch(phase)`.
fn plain(phase: f64) -> Tensor {
    let student = Pair::new();
    student.observe(&batch(phase), [1.0, 1.0], WHOLE, |step| step.terms.total.backward());
    student.gradient()
}

/// Adds the micro-batches `phases` to `window`.
fn accumulate(student: &Pair, window: &mut AccumulationWindow, phases: &[f64]) -> StepOutcome {
    let params = student.params();
    let mut outcome = StepOutcome::Accumulating;
    for &phase in phases {
        let position = window.begin(params.variables()).unwrap();
        student.observe(&batch(phase), [1.0, 1.0], position, |step| {
            assert!(window.backward(step).unwrap().is_none());
        });
        outcome = window.advance();
    }
    outcome
}

#[test]
fn a_full_window_has_the_mean_gradient_of_its_micro_batches() {
    let (student, mut window) = (Pair::new(), window(2, Precision::Full, false));
    assert_eq!(accumulate(&student, &mut window, &[0.0]), StepOutcome::Accumulating);
    assert_eq!(accumulate(&student, &mut window, &[0.5]), StepOutcome::Ready);
    let mean = (plain(0.0) + plain(0.5)) / 2.0;
    assert!(student.gradient().allclose(&mean, 1e-6, 1e-7, false));
    assert_eq!(window.position(), MicroBatch { index: 0, count: 2 });
}

#[test]
fn a_window_completed_early_has_the_mean_gradient_of_the_micro_batches_so_far() {
    let (student, mut window) = (Pair::new(), window(3, Precision::Full, false));
    let params = student.params();
    assert!(window.complete_early(params.variables()).unwrap().is_none());
    accumulate(&student, &mut window, &[0.0, 0.5]);
    assert!(window.complete_early(params.variables()).unwrap().is_some());
    assert_eq!(window.advance(), StepOutcome::Ready);
    let mean = (plain(0.0) + plain(0.5)) / 2.0;
    assert!(student.gradient().allclose(&mean, 1e-6, 1e-7, false));
}

#[test]
fn an_undone_window_leaves_undefined_gradients_and_the_buffers_of_its_beginning() {
    let (student, mut window) = (Pair::new(), window(2, Precision::Full, true));
    let params = student.params();
    accumulate(&student, &mut window, &[0.0]);
    let before = student.buffer.double_value(&[0]);
    let _ = student.buffer.shallow_clone().fill_(before + 1.0);
    window.undo(params.variables()).unwrap();
    assert!(!student.gradient().defined());
    assert_eq!(student.buffer.double_value(&[0]), before);
    assert!(window.position().is_first());
}

#[test]
fn a_discarded_window_returns_its_number_of_micro_batches() {
    let (student, mut window) = (Pair::new(), window(3, Precision::Full, false));
    let params = student.params();
    accumulate(&student, &mut window, &[0.0, 0.5]);
    assert_eq!(window.discard(params.variables()).unwrap(), 2);
    assert!(!student.gradient().defined());
    assert_eq!(window.discard(params.variables()).unwrap(), 0);
}

#[test]
fn the_loss_scale_is_divided_out_of_complete_gradients() {
    let (student, mut window) = (Pair::new(), window(1, Precision::Fp16, false));
    let position = window.begin(student.params().variables()).unwrap();
    let flag = student
        .observe(&batch(0.0), [1.0, 1.0], position, |step| window.backward(step).unwrap())
        .unwrap();
    assert_eq!(flag.double_value(&[]), 0.0);
    assert!(student.gradient().allclose(&plain(0.0), 1e-5, 1e-6, false));
}

#[test]
fn an_overflow_halves_the_loss_scale_until_it_is_not_the_cause() {
    let mut window = window(1, Precision::Fp16, false);
    let initial = LossScaling::default().initial;
    assert_eq!(window.overflow(), Some(initial));
    assert_eq!(window.loss_scale().unwrap().scale, initial / 2.0);
    let mut scale = window.loss_scale().unwrap();
    scale.scale = 1.0;
    window.restore_loss_scale(Some(scale));
    assert_eq!(window.overflow(), None);
    assert_eq!(super::window::window(1, Precision::Full, true).overflow(), None);
}

#[test]
fn a_gradient_that_is_not_finite_raises_the_flag() {
    let (student, mut window) = (Pair::new(), window(1, Precision::Full, true));
    let position = window.begin(student.params().variables()).unwrap();
    let mut bad = student.encoders[0].ws.shallow_clone();
    let flag = student.observe(&batch(0.0), [1.0, 1.0], position, |step| {
        let infinite = Tensor::full_like(&bad, f64::INFINITY).to_kind(Kind::Float);
        (&bad * infinite).sum(Kind::Float).backward();
        window.backward(step).unwrap()
    });
    assert_ne!(flag.unwrap().double_value(&[]), 0.0);
    bad.zero_grad();
}
