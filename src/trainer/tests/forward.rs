//! The student's forward pass under a plan.

use tch::{Kind, Tensor};

use super::{Pair, batch, forward};
use crate::batch::SplitBatch;
use crate::schedule::Plan;
use crate::trainer::SuppressedMode;

#[test]
fn a_suppressed_encoder_runs_without_gradient() {
    let (student, batch) = (Pair::new(), batch(0.0));
    let parts = SplitBatch::new(&batch, 2).unwrap();
    let plan = Plan::new([0.0, 1.0]).unwrap();
    let mut pass = forward(SuppressedMode::Train);
    let output =
        pass.run(&student, &parts, &[], &plan, &student.params(), &student.objective()).unwrap();
    let learns: Vec<bool> = output.features.iter().map(Tensor::requires_grad).collect();
    assert_eq!(learns, [false, true]);
    assert!(output.logits.requires_grad());
}

#[test]
fn kappa_scales_the_gradient_and_not_the_features() {
    let (student, batch) = (Pair::new(), batch(0.0));
    let parts = SplitBatch::new(&batch, 2).unwrap();
    let run = |kappa: f64| {
        let plan = Plan::new([kappa, 1.0]).unwrap();
        let mut pass = forward(SuppressedMode::Train);
        let output = pass
            .run(&student, &parts, &[], &plan, &student.params(), &student.objective())
            .unwrap();
        output.logits.sum(Kind::Float).backward();
        let gradient = student.gradient().copy();
        let _ = student.gradient().zero_();
        (output.logits.detach(), gradient)
    };
    let ((whole, full), (scaled, half)) = (run(1.0), run(0.5));
    assert!(whole.allclose(&scaled, 1e-6, 1e-7, false));
    assert!((full * 0.5).allclose(&half, 1e-6, 1e-7, false));
}

#[test]
fn the_suppressed_mode_sets_the_train_flag_of_suppressed_encoders_only() {
    let (student, batch) = (Pair::new(), batch(0.0));
    let parts = SplitBatch::new(&batch, 2).unwrap();
    for (mode, kappa, train) in [
        (SuppressedMode::Evaluation, [1.0, 0.0], false),
        (SuppressedMode::Train, [1.0, 0.0], true),
        (SuppressedMode::Evaluation, [0.0, 1.0], true),
    ] {
        let plan = Plan::new(kappa).unwrap();
        forward(mode)
            .run(&student, &parts, &[], &plan, &student.params(), &student.objective())
            .unwrap();
        assert_eq!(student.train.get(), train, "{mode:?} {kappa:?}"); // of modality b, the last one
    }
}
