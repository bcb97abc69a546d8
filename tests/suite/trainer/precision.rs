//! Mixed precision: autocast and loss scaling.

use std::cell::RefCell;

use g2d::{
    Batch, Features, G2dTrainer, Modality, Result, StepOutcome, Student,
    loss::Classification,
    step::SkipCause,
    trainer::{LossScale, LossScaling, Precision, SuppressedMode},
};
use tch::{Kind, Tensor, nn};

use crate::support::{
    FixedKappa, ModifiedStudent, Tiny, WIDTH, assert_mismatch, assert_same, fill, gradients,
    values, wave, with_prefix,
};

fn single(k: usize) -> Tiny {
    Tiny::with_widths(&vec![WIDTH; k], Kind::Float)
}

fn trainer(student: &Tiny, precision: Precision, kappa: &[f64]) -> G2dTrainer {
    let builder = student.builder_with_teachers(Classification::default()).precision(precision);
    builder.scheduler(FixedKappa(kappa.to_vec())).build(student).unwrap()
}

/// The dtype in which layers currently compute.
fn current_kind() -> Kind {
    let x = wave(0.0, &[2, 2]).to_kind(Kind::Float);
    x.matmul(&x).kind()
}

/// Another student that logs the dtypes of its features and logits.
struct Logging<'a>(&'a Tiny, RefCell<Vec<Kind>>);

impl Student for Logging<'_> {
    fn modalities(&self) -> &[Modality] {
        self.0.modalities()
    }
    fn encode(&self, m: usize, batch: &Batch, train: bool) -> Result<Tensor> {
        let features = self.0.encode(m, batch, train)?;
        self.1.borrow_mut().push(features.kind());
        Ok(features)
    }
    fn fuse(&self, features: &Features<'_>, train: bool) -> Result<Tensor> {
        let logits = self.0.fuse(features, train)?;
        self.1.borrow_mut().push(logits.kind());
        Ok(logits)
    }
    fn unimodal_logits(&self, m: usize, features: &Features<'_>) -> Result<Option<Tensor>> {
        self.0.unimodal_logits(m, features)
    }
}

#[test]
fn layers_compute_in_the_dtype_of_the_precision_and_losses_in_float() {
    for (precision, kind) in [
        (Precision::Bf16, Kind::BFloat16),
        (Precision::Fp16, Kind::Half),
        (Precision::Full, Kind::Float),
    ] {
        let student = single(2);
        let logging = Logging(&student, RefCell::default());
        let mut trainer = trainer(&student, precision, &[0.0, 1.0]);
        let report = trainer.step(&logging, &student.batch(4, 0.0)).unwrap();
        assert_eq!(logging.1.take(), [kind; 3]);
        let terms = [&report.terms.total, &report.terms.task].into_iter();
        let terms = terms.chain(report.terms.feature.iter().chain(&report.terms.logit).flatten());
        let all = terms.chain(report.confidence.iter().flatten()).chain([&report.logits]);
        all.for_each(|tensor| assert_eq!(tensor.kind(), Kind::Float));
        gradients(&student.vs).values().for_each(|g| assert_eq!(g.kind(), Kind::Float));
        assert_eq!(current_kind(), Kind::Float, "autocast is off after a step");

        let predictions = trainer.evaluate(&logging, [Ok(student.batch(4, 0.0))]).unwrap();
        assert_eq!(logging.1.take(), [kind; 3]);
        let kinds = (predictions.logits.kind(), predictions.heads[0].1.kind());
        assert_eq!(kinds, (Kind::Float, Kind::Float));
    }
}

#[test]
fn gradients_in_sixteen_bits_are_close_to_those_in_float() {
    let student = single(2);
    let run = |precision| {
        student.optimizer().zero_grad();
        let mut trainer = trainer(&student, precision, &[1.0, 1.0]);
        trainer.step(&student, &student.batch(16, 0.0)).unwrap();
        gradients(&student.vs)
    };
    let full = run(Precision::Full);
    for precision in [Precision::Bf16, Precision::Fp16] {
        let found = run(precision);
        assert!(found.keys().eq(full.keys()));
        for (name, gradient) in &full {
            let error = (gradient - &found[name]).norm() / gradient.norm();
            let error = error.double_value(&[]);
            assert!(error < 0.03, "{precision:?}: {name} has the error {error}");
            assert!(error > 0.0, "{precision:?}: {name} was computed in Float");
        }
    }
}

/// Encoders with a layer each and one that they share.
struct SharedLayer {
    vs: nn::VarStore,
    names: Vec<Modality>,
    own: Vec<nn::Linear>,
    shared: nn::Linear,
}

impl SharedLayer {
    fn new() -> Self {
        let vs = nn::VarStore::new(tch::Device::Cpu);
        let linear = |name: &str| nn::linear(vs.root() / name, 5, 5, Default::default());
        let (own, shared) = (vec![linear("m0"), linear("m1")], linear("shared"));
        fill(&vs, 0.3);
        Self { names: Modality::list(["m0", "m1"]), own, shared, vs }
    }
}

impl Student for SharedLayer {
    fn modalities(&self) -> &[Modality] {
        &self.names
    }
    fn encode(&self, m: usize, batch: &Batch, _train: bool) -> Result<Tensor> {
        Ok(batch.input(m).apply(&self.own[m]).apply(&self.shared))
    }
    fn fuse(&self, features: &Features<'_>, _train: bool) -> Result<Tensor> {
        Ok(&features[0] + &features[1])
    }
}

/// The suppressed encoder runs first, without gradient. libtorch before 2.13 caches its cast of the
/// shared weight, with which the learning encoder would have no gradient.
#[test]
fn a_cast_without_gradient_is_not_reused_with_gradient() {
    let student = SharedLayer::new();
    let tiny = single(2);
    let run = |precision| {
        student.vs.trainable_variables().iter_mut().for_each(Tensor::zero_grad);
        let params = g2d::ModalityParams::by_name(&student.vs, &student.names).unwrap();
        let builder = G2dTrainer::builder(Classification::default()).encoders(params);
        let builder = builder.precision(precision).scheduler(FixedKappa(vec![0.0, 1.0]));
        builder.build(&student).unwrap().step(&student, &tiny.batch(4, 0.0)).unwrap();
        gradients(&student.vs)["shared.weight"].copy()
    };
    let (full, low) = (run(Precision::Full), run(Precision::Bf16));
    let error = ((&full - &low).norm() / full.norm()).double_value(&[]);
    assert!(full.norm().double_value(&[]) > 0.0 && error < 0.03, "error {error}");
}

#[test]
fn a_cast_of_a_weight_is_not_reused_after_an_update() {
    let student = single(2);
    let batch = student.batch(4, 0.0);
    let mut trainer = trainer(&student, Precision::Bf16, &[1.0, 1.0]);
    let first = trainer.step(&student, &batch).unwrap();
    {
        let _no_grad = tch::no_grad_guard();
        for mut weight in student.vs.trainable_variables() {
            let _ = weight.fill_(0.0);
        }
    }
    let second = trainer.step(&student, &batch).unwrap();
    assert!(first.logits.abs().max().double_value(&[]) > 0.0);
    assert_eq!(second.logits.abs().max().double_value(&[]), 0.0);
}

#[test]
fn an_overflow_is_skipped_and_the_loss_scale_adapts() {
    let student = Tiny::with_widths(&[WIDTH; 2], Kind::Float);
    let scaling = LossScaling { initial: 2f64.powi(100), growth: 4.0, backoff: 0.5, interval: 2 };
    let builder =
        student.builder_with_teachers(Classification::default()).precision(Precision::Fp16);
    let mut trainer = builder.loss_scaling(scaling).build(&student).unwrap();
    let mut optimizer = student.optimizer();
    let before = values(&student.vs);
    let batch = student.batch(4, 0.0);
    let report = trainer.step(&student, &batch).unwrap();
    let skipped = SkipCause::Overflow { scale: 2f64.powi(100) };
    assert_eq!(report.outcome, StepOutcome::Skipped(skipped.clone()));
    assert_eq!(report.read().unwrap().outcome.skipped(), Some(&skipped));
    assert!(gradients(&student.vs).is_empty());
    optimizer.step();
    assert_same(&values(&student.vs), &before);
    assert_eq!(trainer.loss_scale(), Some(LossScale { scale: 2f64.powi(99), good_steps: 0 }));

    // After two finite steps in a row the restored scale grows.
    let scale = |scale: f64, good_steps| LossScale { scale, good_steps };
    let restore = |trainer: &mut G2dTrainer, number: f64| {
        let mut state = serde_json::to_value(trainer.state().unwrap()).unwrap();
        state["loss_scale"] = serde_json::json!({"scale": number, "good_steps": 0});
        trainer.restore(&serde_json::from_value(state).unwrap())
    };
    restore(&mut trainer, 1024.0).unwrap();
    for expected in [scale(1024.0, 1), scale(4096.0, 0), scale(4096.0, 1)] {
        optimizer.zero_grad();
        assert!(trainer.step(&student, &batch).unwrap().outcome.is_ready());
        assert_eq!(trainer.loss_scale(), Some(expected));
    }
    let epoch = trainer.end_epoch().unwrap();
    assert_eq!((epoch.steps, epoch.skipped), (4, 1));
    assert_mismatch(restore(&mut trainer, 0.0), &["loss scale", "above 0"]);
    let json = serde_json::to_string(&trainer.loss_scale()).unwrap();
    assert_eq!(serde_json::from_str::<Option<LossScale>>(&json).unwrap(), trainer.loss_scale());
}

#[test]
fn a_gradient_that_is_not_finite_at_a_loss_scale_of_1_is_an_error() {
    let student = Tiny::with_widths(&[WIDTH; 2], Kind::Float);
    let scaling = LossScaling { initial: 2.0, ..LossScaling::default() };
    let builder = student.builder(Classification::default()).precision(Precision::Fp16);
    let mut trainer = builder.loss_scaling(scaling).build(&student).unwrap();
    let slope = |m, x: Tensor| if m == 0 { &x + (&x * 0.0).abs().sqrt() } else { x };
    let modified = ModifiedStudent::with_features(&student, slope);
    let batch = student.batch(4, 0.0);
    let first = trainer.step(&modified, &batch).unwrap();
    assert_eq!(first.outcome, StepOutcome::Skipped(SkipCause::Overflow { scale: 2.0 }));
    let words = ["gradient of \"m0.", "encoder of modality \"m0\"", "bf16"];
    assert_mismatch(trainer.step(&modified, &batch), &words);
    assert!(gradients(&student.vs).is_empty());
    trainer.step(&student, &batch).unwrap();
}

#[test]
fn a_window_in_fp16_accumulates_scaled_gradients_and_unscales_them_once() {
    let student = single(2);
    let run = |precision, n| {
        student.optimizer().zero_grad();
        let builder = student.builder_with_teachers(Classification::default()).precision(precision);
        let mut trainer = builder.accumulate(n).build(&student).unwrap();
        for i in 0..2 {
            let report = trainer.step(&student, &student.batch(4, i as f64)).unwrap();
            assert_eq!(report.outcome.is_ready(), i == 1 && n == 2);
        }
        trainer.finish_window().unwrap();
        gradients(&student.vs)
    };
    let full = run(Precision::Full, 2);
    for n in [2, 3] {
        for (name, gradient) in run(Precision::Fp16, n) {
            let error = (&full[&name] - &gradient).norm() / full[&name].norm();
            assert!(error.double_value(&[]) < 0.03, "{name} of a window of {n}");
        }
    }
}

#[test]
fn autocast_is_off_after_a_failed_step() {
    let student = single(2);
    for kappa in [[0.0, 1.0], [1.0, 1.0]] {
        let mut trainer = trainer(&student, Precision::Bf16, &kappa);
        let failing = ModifiedStudent::with_logits(&student, |logits| logits.slice(0, 0, 1, 1));
        trainer.step(&failing, &student.batch(4, 0.0)).unwrap_err();
        assert_eq!(current_kind(), Kind::Float);
        trainer.step(&student, &student.batch(4, 0.0)).unwrap();
        student.optimizer().zero_grad();
    }
}

#[test]
fn a_suppressed_encoder_in_evaluation_mode_keeps_its_running_statistics() {
    for (mode, keeps) in [(SuppressedMode::Evaluation, true), (SuppressedMode::Train, false)] {
        let student = Tiny::conv(2);
        let before = values(&student.vs);
        let builder =
            student.builder_with_teachers(Classification::default()).suppressed_mode(mode);
        let mut trainer = builder.scheduler(FixedKappa(vec![0.0, 1.0])).build(&student).unwrap();
        trainer.step(&student, &student.batch(4, 0.0)).unwrap();
        student.optimizer().step();
        let after = values(&student.vs);
        let same = with_prefix(&before, "m0").iter().all(|(name, old)| old.equal(&after[name]));
        assert_eq!(same, keeps);
        assert!(!after["m1.bn.running_mean"].equal(&before["m1.bn.running_mean"]));
    }
}

#[test]
fn loss_scaling_out_of_range_is_an_error() {
    let student = single(2);
    let build =
        |scaling| student.builder(Classification::default()).loss_scaling(scaling).build(&student);
    let valid = LossScaling::default();
    assert_mismatch(build(LossScaling { initial: 0.5, ..valid }), &["initial", "0.5"]);
    assert_mismatch(build(LossScaling { growth: 1.0, ..valid }), &["growth", "found 1"]);
    assert_mismatch(build(LossScaling { backoff: 1.0, ..valid }), &["backoff", "found 1"]);
    assert_mismatch(build(LossScaling { interval: 0, ..valid }), &["interval", "found 0"]);
}

/// It does not grow beyond `Float`, like PyTorch's, and does not become 0.
#[test]
fn the_loss_scale_stays_finite_and_positive() {
    let student = single(2);
    let run = |scaling: LossScaling, steps: i32| {
        let builder =
            student.builder_with_teachers(Classification::default()).precision(Precision::Fp16);
        let mut trainer = builder.loss_scaling(scaling).build(&student).unwrap();
        let mut outcomes = Vec::new();
        for i in 0..steps {
            student.optimizer().zero_grad();
            let report = trainer.step(&student, &student.batch(4, f64::from(i))).unwrap();
            outcomes.push(report.outcome.is_ready());
        }
        (trainer.loss_scale().unwrap().scale, outcomes)
    };
    let plain = LossScaling { initial: 1024.0, ..LossScaling::default() };
    let (scale, outcomes) = run(LossScaling { growth: 1e300, interval: 1, ..plain }, 2);
    assert_eq!((scale, outcomes), (1024.0, vec![true, true]));
    let (scale, outcomes) =
        run(LossScaling { initial: 2f64.powi(100), backoff: 1e-320, ..plain }, 3);
    assert_eq!((scale, outcomes), (f64::from(f32::MIN_POSITIVE), vec![false, true, true]));
}
