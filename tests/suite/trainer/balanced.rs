//! Balanced training: head and ensemble terms, and κ on the fused loss.

use std::cell::Cell;

use g2d::{
    Batch, EpochReport, G2dTrainer, Modality, ModalityParams, Result, Student, Teacher, evaluate,
    loss::{Classification, Distillation, EnsembleTerm, HeadTarget, HeadTerm},
    probe::{HeadAccuracy, StudentConfidence},
    step::{NonFiniteSource, SkipCause},
    trainer::{NonFinite, Precision, ResumeState, SuppressedMode, Suppression},
};
use serde_json::Value;
use tch::{Kind, Tensor, nn};

use crate::support::{
    FixedKappa, KappaPerStep, LateFusion, ModifiedStudent, Snapshot, Tiny, WIDTH, assert_close,
    assert_config_error, assert_mismatch, assert_number, assert_same, gradients, labels, values,
    with_prefix,
};

const T: f64 = 2.0;

/// Every term, with a weight of its own.
fn all_terms() -> Distillation {
    Distillation {
        task_weight: 1.5,
        alpha: 0.7,
        beta: 0.4,
        temperature: T.into(),
        head: Some(HeadTerm {
            weight: [0.5, 2.0].into(),
            temperature: T.into(),
            target: HeadTarget::Teacher,
        }),
        ensemble: Some(EnsembleTerm {
            weight: 0.3,
            temperature: T,
            teacher_temperature: [0.5, 3.0].into(),
        }),
        ..Distillation::default()
    }
}

/// A trainer with two teachers for a student that reads the inputs of `Tiny::linear`.
fn trainer(
    student: &dyn Student,
    params: ModalityParams,
    loss: Distillation,
    suppression: Suppression,
    kappa: Vec<Vec<f64>>,
    window: u64,
) -> G2dTrainer {
    let tiny = Tiny::linear(2);
    let builder = G2dTrainer::builder(Classification::new(loss)).encoders(params);
    let builder = builder.suppression(suppression).accumulate(window);
    let builder = builder.teacher(tiny.teacher(0, WIDTH).0).teacher(tiny.teacher(1, WIDTH).0);
    builder.scheduler(KappaPerStep(kappa)).build(student).unwrap()
}

fn softmax_kl(t: &Tensor, s: &Tensor) -> Tensor {
    let [log_t, log_s] = [t, s].map(|x| (x / T).log_softmax(1, Kind::Double));
    (log_t.exp() * (&log_t - log_s)).sum(Kind::Double) * (T * T / s.size()[0] as f64)
}

/// Gradients of one weighted sum by variable; zeros where it does not depend on a variable.
fn differentiate(sum: &Tensor, vs: &nn::VarStore) -> Snapshot {
    let mut variables: Vec<_> = vs.variables().into_iter().collect();
    variables.retain(|(_, tensor)| tensor.requires_grad());
    let tensors: Vec<_> = variables.iter().map(|(_, tensor)| tensor).collect();
    let found = Tensor::run_backward(&[sum], &tensors, true, false);
    let or_zeros = |g: Tensor, v: &Tensor| if g.defined() { g } else { v.zeros_like() };
    let each = variables.iter().zip(found);
    each.map(|((name, v), g)| (name.clone(), or_zeros(g, v))).collect()
}

/// The gradients of [`all_terms`] in plain autograd: those of the terms of the fused logits, and those of
/// the feature and head terms.
fn by_hand(student: &dyn Student, vs: &nn::VarStore, batch: &Batch) -> [Snapshot; 2] {
    let tiny = Tiny::linear(2);
    let teachers = [0, 1].map(|m| tiny.teacher(m, WIDTH).0.output(m, batch).unwrap());
    let features = [0, 1].map(|m| student.encode(m, batch, true).unwrap());
    let logits = student.fuse(&features, true).unwrap();
    let log_p = logits.log_softmax(1, Kind::Double).gather(1, &batch.targets().unsqueeze(1), false);
    let mut fused = -log_p.mean(Kind::Double) * 1.5;
    let mut direct = Tensor::from(0.0);
    for (m, teacher) in teachers.iter().enumerate() {
        fused += softmax_kl(&teacher.logits, &logits) * 0.4;
        let head = student.unimodal_logits(m, &features).unwrap();
        direct += softmax_kl(&teacher.logits, &head) * [0.5, 2.0][m];
        direct += (&features[m] - &teacher.features).square().mean(Kind::Double) * 0.7;
    }
    let ensemble = &teachers[0].logits / 0.5 + &teachers[1].logits / 3.0;
    fused += softmax_kl(&ensemble, &logits) * 0.3;
    [differentiate(&fused, vs), differentiate(&direct, vs)]
}

#[test]
fn gradients_are_those_of_plain_autograd_under_every_kappa_on_the_fused_loss() {
    let (tiny, late) = (Tiny::linear(2), LateFusion::new(&[0.7, 0.3], Kind::Double));
    let students: [(&dyn Student, &nn::VarStore, &dyn Fn() -> ModalityParams); 2] =
        [(&tiny, &tiny.vs, &|| tiny.params()), (&late, &late.vs, &|| late.params())];
    for (student, vs, params) in students {
        let batch = tiny.batch(5, 0.0);
        let [fused, direct] = by_hand(student, vs, &batch);
        for (suppression, kappa) in [
            (Suppression::SkipBackward, [1.0, 1.0]),
            (Suppression::FusedLoss, [1.0, 1.0]),
            (Suppression::FusedLoss, [0.0, 1.0]),
            (Suppression::FusedLoss, [0.3, 0.0]),
            (Suppression::FusedLoss, [0.0, 0.0]),
        ] {
            vs.trainable_variables().iter_mut().for_each(Tensor::zero_grad);
            let plans = vec![kappa.to_vec()];
            let mut trainer = trainer(student, params(), all_terms(), suppression, plans, 1);
            trainer.step(student, &batch).unwrap();
            let found = gradients(vs);
            assert!(found.keys().eq(fused.keys()), "every parameter has a gradient");
            for (name, gradient) in found {
                let kappa = match name.split('.').next() {
                    Some("m0") => kappa[0],
                    Some("m1") => kappa[1],
                    _ => 1.0,
                };
                assert_close(&gradient, &(&fused[&name] * kappa + &direct[&name]));
            }
        }
    }
}

#[test]
fn kappa_0_under_skip_backward_leaves_the_head_alone_to_learn() {
    let student = LateFusion::new(&[0.7, 0.3], Kind::Double);
    let batch = Tiny::linear(2).batch(5, 0.0);
    let [fused, direct] = by_hand(&student, &student.vs, &batch);
    let (skip, plans) = (Suppression::SkipBackward, vec![vec![0.0, 1.0]]);
    let mut trainer = trainer(&student, student.params(), all_terms(), skip, plans, 1);
    trainer.step(&student, &batch).unwrap();
    let found = gradients(&student.vs);
    assert!(with_prefix(&found, "m0").is_empty());
    for (name, gradient) in found {
        assert_close(&gradient, &(&fused[&name] + &direct[&name]));
    }
}

#[test]
fn without_feature_and_head_terms_kappa_0_on_the_fused_loss_leaves_no_gradient() {
    let student = LateFusion::new(&[0.7, 0.3], Kind::Double);
    let (fused, plans) = (Suppression::FusedLoss, vec![vec![0.0, 1.0]]);
    let loss = Distillation { alpha: 0.0, ..Distillation::default() };
    let mut trainer = trainer(&student, student.params(), loss, fused, plans, 1);
    let report = trainer.step(&student, &Tiny::linear(2).batch(5, 0.0)).unwrap();
    assert!(report.terms.head.is_empty() && report.terms.logit[0].is_some());
    let found = gradients(&student.vs);
    assert!(with_prefix(&found, "m0").is_empty() && !with_prefix(&found, "m1").is_empty());
    assert!(!with_prefix(&found, "head_m0").is_empty());
}

#[test]
fn a_window_sums_the_gradients_of_its_micro_batches_under_kappa_on_the_fused_loss() {
    let student = LateFusion::new(&[0.7, 0.3], Kind::Double);
    let plans = vec![vec![0.0, 1.0], vec![0.3, 0.0], vec![1.0, 0.0]];
    let batch = |i: usize| Tiny::linear(2).batch(4, i as f64);
    let mut expected = Snapshot::new();
    for (i, kappa) in plans.iter().enumerate() {
        let [fused, direct] = by_hand(&student, &student.vs, &batch(i));
        for (name, direct) in direct {
            let kappa = match name.split('.').next() {
                Some("m0") => kappa[0],
                Some("m1") => kappa[1],
                _ => 1.0,
            };
            let own = (&fused[&name] * kappa + direct) / 3.0;
            let sum = expected.remove(&name).map_or(own.copy(), |sum| sum + own);
            expected.insert(name, sum);
        }
    }
    let params = student.params();
    let mut trainer = trainer(&student, params, all_terms(), Suppression::FusedLoss, plans, 3);
    for i in 0..3 {
        let report = trainer.step(&student, &batch(i)).unwrap();
        assert_eq!(report.outcome.is_ready(), i == 2);
    }
    let found = gradients(&student.vs);
    assert!(found.keys().eq(expected.keys()));
    found.iter().for_each(|(name, gradient)| assert_close(gradient, &expected[name]));
}

#[test]
fn reports_have_the_head_and_ensemble_terms_and_their_means() {
    let student = Tiny::linear(2);
    let run = |loss: Distillation| {
        let builder = student.builder_with_teachers(Classification::new(loss));
        let mut trainer = builder.build(&student).unwrap();
        let steps: Vec<_> = [2, 6]
            .map(|rows| trainer.step(&student, &student.batch(rows, rows as f64)).unwrap())
            .map(|report| report.read().unwrap())
            .into();
        (steps, trainer.end_epoch().unwrap())
    };
    let (steps, epoch) = run(all_terms());
    let mean = |a: f64, b: f64| (2.0 * a + 6.0 * b) / 8.0;
    for m in 0..2 {
        let [a, b] = [0, 1].map(|i: usize| steps[i].terms.head[m].unwrap());
        assert_number(epoch.terms.head[m].unwrap(), mean(a, b));
    }
    let [a, b] = [0, 1].map(|i: usize| steps[i].terms.ensemble.unwrap());
    assert_number(epoch.terms.ensemble.unwrap(), mean(a, b));
    let text = serde_json::to_string(&epoch).unwrap();
    assert_eq!(serde_json::from_str::<EpochReport>(&text).unwrap(), epoch);

    let (steps, epoch) = run(Distillation::default());
    assert!(steps.iter().all(|step| step.terms.head.is_empty() && step.terms.ensemble.is_none()));
    assert!(epoch.terms.head.is_empty() && epoch.terms.ensemble.is_none());
    let text = serde_json::to_string(&epoch).unwrap();
    assert!(!text.contains("head") && !text.contains("ensemble"), "{text}");
}

#[test]
fn sixteen_bits_compute_heads_under_autocast_and_their_terms_in_float() {
    let student = LateFusion::new(&[0.7, 0.3], Kind::Float);
    let tiny = Tiny::with_widths(&[WIDTH; 2], Kind::Float);
    let run = |precision| {
        student.vs.trainable_variables().iter_mut().for_each(Tensor::zero_grad);
        let loss = Classification::new(all_terms());
        let builder = G2dTrainer::builder(loss).encoders(student.params()).precision(precision);
        let builder = builder.teacher(tiny.teacher(0, WIDTH).0).teacher(tiny.teacher(1, WIDTH).0);
        let builder = builder.suppression(Suppression::FusedLoss);
        let mut trainer = builder.scheduler(FixedKappa(vec![0.3, 0.0])).build(&student).unwrap();
        let report = trainer.step(&student, &tiny.batch(16, 0.0)).unwrap();
        let terms = report.terms.head.iter().chain([&report.terms.ensemble]).flatten();
        assert_eq!(terms.map(Tensor::kind).collect::<Vec<_>>(), [Kind::Float; 3]);
        (report.read().unwrap(), gradients(&student.vs))
    };
    let (full, expected) = run(Precision::Full);
    for precision in [Precision::Bf16, Precision::Fp16] {
        let (report, found) = run(precision);
        let head = report.terms.head[1].unwrap();
        approx::assert_relative_eq!(head, full.terms.head[1].unwrap(), max_relative = 0.02);
        assert!(head != full.terms.head[1].unwrap(), "{precision:?}: computed in Float");
        assert!(found.keys().eq(expected.keys()));
        for (name, gradient) in &expected {
            let error = (gradient - &found[name]).norm() / gradient.norm();
            assert!(error.double_value(&[]) < 0.05, "{precision:?}: {name} {error:?}");
        }
    }
}

#[test]
fn a_student_without_valid_unimodal_logits_is_an_error_before_backward() {
    let student = Tiny::linear(2);
    let before = values(&student.vs);
    let step = |modified: &dyn Student| {
        let loss = Classification::new(Distillation::balanced());
        let mut trainer = student.builder_with_teachers(loss).build(&student).unwrap();
        let outcome = trainer.step(modified, &student.batch(4, 0.0));
        assert_eq!(trainer.progress().total_steps, 0);
        outcome
    };
    let none = ModifiedStudent::without_optional_methods(&student);
    let words = ["unimodal logits of modality \"m0\"", "returns None", "WithHeads"];
    assert_config_error(step(&none), &words);
    let with = |logits| ModifiedStudent::with_unimodal_logits(&student, logits);
    let narrow = with(|f| f[0].narrow(1, 0, 2));
    let words = ["unimodal logits of modality \"m0\"", "[4, 3]", "[4, 2]"];
    assert_mismatch(step(&narrow), &words);
    let short = with(|f| f[0].narrow(1, 0, 3).narrow(0, 0, 1));
    assert_mismatch(step(&short), &["unimodal logits", "[4, C]", "[1, 3]"]);
    let integers = with(|f| f[0].narrow(1, 0, 3).to_kind(Kind::Int64));
    assert_mismatch(step(&integers), &["unimodal logits", "floating-point", "Int64"]);
    let undefined = with(|_| Tensor::new());
    assert_mismatch(step(&undefined), &["unimodal logits", "[4, C]"]);
    let single = with(|f| f[0].narrow(1, 0, 3).to_kind(Kind::Float));
    assert_mismatch(step(&single), &["unimodal logits of student and teacher", "Float"]);
    assert!(gradients(&student.vs).is_empty());
    assert_same(&values(&student.vs), &before);
}

#[test]
fn a_head_term_that_is_not_finite_is_named() {
    let student = Tiny::linear(2);
    let step = |distillation, policy, modified: &dyn Student| {
        let builder = student.builder_with_teachers(Classification::new(distillation));
        let mut trainer = builder.non_finite(policy).build(&student).unwrap();
        trainer.step(modified, &student.batch(4, 0.0))
    };
    let nan = ModifiedStudent::with_unimodal_logits(&student, |f| f[0].narrow(1, 0, 3) * f64::NAN);
    let words = ["epoch 0, step 0", "head term of \"m0\""];
    assert_mismatch(step(Distillation::balanced(), NonFinite::Error, &nan), &words);
    let report = step(Distillation::balanced(), NonFinite::Skip, &nan).unwrap();
    let source = SkipCause::NonFinite(NonFiniteSource::HeadTerm("m0".into()));
    assert_eq!(report.outcome.skipped(), Some(&source));
    // Finite logits, and a calibrated ensemble that overflows.
    let ensemble = EnsembleTerm { teacher_temperature: 1e-308.into(), ..EnsembleTerm::default() };
    let distillation = Distillation { ensemble: Some(ensemble), ..Distillation::none() };
    let report = step(distillation, NonFinite::Skip, &student).unwrap();
    let source = SkipCause::NonFinite(NonFiniteSource::EnsembleTerm);
    assert_eq!(report.outcome.skipped(), Some(&source));
}

/// Another student that counts the calls of `unimodal_logits`.
struct Counting<'a>(&'a Tiny, Cell<u64>);

impl Student for Counting<'_> {
    fn modalities(&self) -> &[Modality] {
        self.0.modalities()
    }
    fn encode(&self, m: usize, batch: &Batch, train: bool) -> Result<Tensor> {
        self.0.encode(m, batch, train)
    }
    fn fuse(&self, features: &[Tensor], train: bool) -> Result<Tensor> {
        self.0.fuse(features, train)
    }
    fn unimodal_logits(&self, m: usize, features: &[Tensor]) -> Option<Tensor> {
        self.1.set(self.1.get() + 1);
        self.0.unimodal_logits(m, features)
    }
}

#[test]
fn unimodal_logits_are_computed_once_for_the_loss_and_all_probes() {
    let student = Tiny::linear(2);
    let run = |distillation: Distillation| {
        let counting = Counting(&student, Cell::new(0));
        let builder = student.builder_with_teachers(Classification::new(distillation));
        let builder = builder.probe(HeadAccuracy::default()).probe(StudentConfidence::default());
        let mut trainer = builder.build(&counting).unwrap();
        trainer.step(&counting, &student.batch(6, 0.0)).unwrap();
        (counting.1.get(), trainer.end_epoch().unwrap().measurements)
    };
    let ((balanced, with), (plain, without)) =
        (run(Distillation::balanced()), run(Distillation::none()));
    assert_eq!((balanced, plain), (2, 2));
    assert_eq!(with, without, "the probes measure the same");
    let counting = Counting(&student, Cell::new(0));
    let mut trainer = student.builder(Classification::default()).build(&counting).unwrap();
    trainer.step(&counting, &student.batch(6, 0.0)).unwrap();
    assert_eq!(counting.1.get(), 0, "not computed where nothing needs them");
}

/// In training and in evaluation.
#[test]
fn a_sample_that_lacks_a_modality_is_fused_from_the_others() {
    let student = LateFusion::new(&[0.7, 0.3], Kind::Double);
    let whole = Tiny::linear(2).batch(4, 0.0);
    let (inputs, targets) = (whole.inputs().iter().map(Tensor::copy), labels(4));
    let batch = Batch::new(inputs.collect::<Vec<_>>(), targets)
        .with_present(0, [true, true, false, false])
        .with_present(1, [true, false, true, true]);
    let features = [0, 1].map(|m| student.encode(m, &whole, true).unwrap());
    let heads = [0, 1].map(|m| student.unimodal_logits(m, &features).unwrap());
    let rows = [
        &heads[0].get(0) * 0.7 + &heads[1].get(0) * 0.3,
        heads[0].get(1),
        heads[1].get(2),
        heads[1].get(3),
    ];
    let expected = Tensor::stack(&rows, 0);
    let near = |found: &Tensor| {
        let error = (found - &expected).abs().max().double_value(&[]);
        assert!(error < 1e-7, "{error}: the weights were rounded to Float");
    };
    near(&evaluate(&student, [Ok(copy(&batch))]).unwrap().logits);
    let (fused, plans) = (Suppression::FusedLoss, vec![vec![0.0, 1.0]]);
    let mut trainer = trainer(&student, student.params(), all_terms(), fused, plans, 1);
    let report = trainer.step(&student, &batch).unwrap();
    near(&report.logits);
    // The head terms are over the samples that have the modality.
    for (m, own) in [vec![0_i64, 1], vec![0, 2, 3]].into_iter().enumerate() {
        let index = Tensor::from_slice(&own);
        let teacher = Tiny::linear(2).teacher(m, WIDTH).0.output(m, &whole).unwrap();
        let select = |x: &Tensor| x.index_select(0, &index);
        let expected = softmax_kl(&select(&teacher.logits), &select(&heads[m]));
        let found = report.terms.head[m].as_ref().unwrap();
        assert_number(found.double_value(&[]), expected.double_value(&[]));
    }

    // A batch without m0: no head term, and no gradient in its encoder.
    student.vs.trainable_variables().iter_mut().for_each(Tensor::zero_grad);
    let before = gradients(&student.vs);
    let batch = copy(&whole).with_present(0, [false; 4]);
    let report = trainer.step(&student, &batch).unwrap();
    assert!(report.terms.head[0].is_none() && report.terms.head[1].is_some());
    assert!(report.logits.allclose(&heads[1], 1e-12, 1e-12, false));
    let after = gradients(&student.vs);
    assert_same(&with_prefix(&before, "m0"), &with_prefix(&after, "m0"));
}

fn copy(batch: &Batch) -> Batch {
    let inputs: Vec<_> = batch.inputs().iter().map(Tensor::copy).collect();
    let whole = Batch::new(inputs, batch.targets().copy());
    let flags = (0..2).filter_map(|m| Some((m, batch.present(m)?.to_vec())));
    flags.fold(whole, |batch, (m, flags)| batch.with_present(m, flags))
}

/// Removes the keys that versions without these terms did not write.
fn without_new_keys(value: &mut Value) {
    match value {
        Value::Object(entries) => {
            entries.remove("head");
            entries.remove("ensemble");
            entries.values_mut().for_each(without_new_keys);
        }
        Value::Array(items) => items.iter_mut().for_each(without_new_keys),
        _ => {}
    }
}

#[test]
fn states_and_reports_of_versions_without_these_terms_are_read() {
    let student = Tiny::linear(2);
    let run = |distillation: Distillation, old: bool| {
        let new = || {
            let loss = Classification::new(distillation.clone());
            student.builder_with_teachers(loss).build(&student).unwrap()
        };
        let mut trainer = new();
        trainer.step(&student, &student.batch(4, 0.0)).unwrap();
        let mut state = serde_json::to_value(trainer.state().unwrap()).unwrap();
        let written = state.clone();
        if old {
            without_new_keys(&mut state);
            assert_ne!(state, written);
        }
        let mut resumed = new();
        let state: ResumeState = serde_json::from_value(state).unwrap();
        resumed.restore(&state).unwrap();
        for trainer in [&mut trainer, &mut resumed] {
            trainer.step(&student, &student.batch(6, 1.0)).unwrap();
        }
        (trainer.end_epoch().unwrap(), resumed.end_epoch().unwrap())
    };
    for (distillation, old) in
        [(Distillation::default(), true), (Distillation::default(), false), (all_terms(), false)]
    {
        let (expected, found) = run(distillation, old);
        assert_eq!(found, expected);
    }
    // The means of the new terms are over the rest of the epoch.
    let (whole, resumed) = run(all_terms(), true);
    assert_eq!(resumed.terms.feature, whole.terms.feature);
    assert_eq!(resumed.terms.logit, whole.terms.logit);
    assert_eq!(resumed.confidence, whole.confidence);
    assert!(resumed.terms.head.iter().all(Option::is_some) && resumed.terms.ensemble.is_some());

    let mut report = serde_json::to_value(&whole).unwrap();
    without_new_keys(&mut report);
    let report: EpochReport = serde_json::from_value(report).unwrap();
    assert!(report.terms.head.is_empty() && report.terms.ensemble.is_none());
    assert_eq!(report.terms.feature, whole.terms.feature);
}

#[test]
fn a_suppressed_mode_with_kappa_on_the_fused_loss_is_an_error() {
    let student = Tiny::linear(2);
    let builder = student.builder(Classification::default()).suppression(Suppression::FusedLoss);
    let built = builder.suppressed_mode(SuppressedMode::Evaluation).build(&student);
    assert_config_error(built, &["suppressed mode", "FusedLoss", "SkipBackward"]);
}
