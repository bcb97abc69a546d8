//! Buffers that a step or the training of a teacher would leave NaN, and models that are not finite.

use g2d::{
    Batch, Error, G2dTrainer, Teacher,
    batch::Input,
    checkpoint::{RunParts, SnapshotFolder},
    evaluate,
    loss::Classification,
    optim::SgdConfig,
    step::{NonFiniteSource, SkipCause},
    teacher::{Cached, FrozenModel},
    trainer::{NonFinite, UnimodalTrainer, evaluate_teacher},
    weights,
};
use tch::{Device, Kind, Tensor, nn, nn::ModuleT};

use crate::support::{
    INPUT, ModifiedStudent, Tiny, WIDTH, assert_config_error, assert_error, assert_mismatch,
    assert_same, gradients, labels, values, wave,
};

/// One row of an input whose batch norm has one value per channel.
fn single(student: &Tiny) -> Batch {
    let input = |phase: f64| wave(phase, &[1, 1, 3, 3]).to_kind(student.kind());
    Batch::new([input(0.0), input(1.0)], labels(1))
}

/// Three samples of which one has m0, with one value per channel; all have m1.
fn single_in_m0(student: &Tiny) -> Batch {
    let input = |phase: f64| wave(phase, &[3, 1, 3, 3]).to_kind(student.kind());
    Batch::new([input(0.0), input(1.0)], labels(3)).with_present(0, [false, true, false])
}

fn is_finite(vs: &nn::VarStore) -> bool {
    vs.variables().values().all(|t| t.isfinite().all().int64_value(&[]) == 1)
}

fn set_nan(vs: &nn::VarStore, name: &str) {
    let _no_grad = tch::no_grad_guard();
    let _ = vs.variables().remove(name).unwrap().fill_(f64::NAN);
}

#[test]
fn a_batch_of_one_sample_that_makes_running_statistics_nan_is_an_error_that_changes_nothing() {
    let student = Tiny::conv(2);
    let mut trainer = student.builder(Classification::default()).build(&student).unwrap();
    trainer.step(&student, &student.batch(4, 0.0)).unwrap();
    let (before, grads) = (values(&student.vs), gradients(&student.vs));
    for (batch, samples) in [(single(&student), "one sample"), (single_in_m0(&student), "one")] {
        let words = ["buffer \"m0.bn.running_var\"", "modality \"m0\"", "epoch 0, step 1", samples];
        let error = assert_mismatch(trainer.step(&student, &batch), &words);
        assert!(matches!(error, Error::NonFinite(_)));
        assert_same(&values(&student.vs), &before);
        assert_same(&gradients(&student.vs), &grads);
        assert_eq!(trainer.progress().step, 1);
    }
    trainer.step(&student, &student.batch(4, 1.0)).unwrap();
    assert!(is_finite(&student.vs));
}

#[test]
fn such_a_batch_is_skipped_under_a_policy_that_skips_and_its_window_is_undone() {
    for window in [1, 2] {
        let student = Tiny::conv(2);
        let builder = student.builder(Classification::default()).accumulate(window);
        let mut trainer = builder.non_finite(NonFinite::Skip).build(&student).unwrap();
        let before = values(&student.vs);
        if window > 1 {
            trainer.step(&student, &student.batch(4, 0.0)).unwrap();
        }
        let report = trainer.step(&student, &single(&student)).unwrap();
        let cause = SkipCause::NonFinite(NonFiniteSource::Buffer {
            name: "m0.bn.running_var".into(),
            modality: Some("m0".into()),
        });
        assert_eq!(report.outcome.skipped(), Some(&cause));
        let json = serde_json::to_string(&cause).unwrap();
        assert_eq!(serde_json::from_str::<SkipCause>(&json).unwrap(), cause);
        assert_same(&values(&student.vs), &before);
        assert!(gradients(&student.vs).is_empty());
    }
    let student = Tiny::conv(2);
    let builder = student.builder(Classification::default()).non_finite(NonFinite::StopAfter(1));
    let mut trainer = builder.build(&student).unwrap();
    let before = values(&student.vs);
    assert_mismatch(trainer.step(&student, &single(&student)), &["m0.bn.running_var"]);
    assert_same(&values(&student.vs), &before);
}

/// Whatever fails, in the first micro-batch of a window and in a later one.
#[test]
fn an_error_before_backward_restores_the_buffers_of_its_micro_batch() {
    for policy in [NonFinite::Error, NonFinite::Skip] {
        let student = Tiny::conv(2);
        let builder = student.builder(Classification::default()).accumulate(3);
        let mut trainer = builder.non_finite(policy).build(&student).unwrap();
        let flat = ModifiedStudent::with_logits(&student, |logits| logits.flatten(0, -1));
        for step in 0..3 {
            let before = values(&student.vs);
            assert_error(trainer.step(&flat, &student.batch(4, 9.0)), &["logits of the student"]);
            assert_same(&values(&student.vs), &before);
            trainer.step(&student, &student.batch(4, f64::from(step))).unwrap();
            let name = "m0.bn.running_mean";
            assert!(!values(&student.vs)[name].equal(&before[name]), "a step changes statistics");
        }
    }
}

#[test]
fn an_infinite_buffer_that_was_there_before_training_is_no_fault() {
    let student = Tiny::conv(2);
    let mask = student.vs.root().f_zeros_no_train("mask", &[2]).unwrap();
    let _no_grad = tch::no_grad_guard();
    let _ = mask.shallow_clone().fill_(f64::NEG_INFINITY);
    drop(_no_grad);
    let mut trainer = student.builder(Classification::default()).build(&student).unwrap();
    trainer.step(&student, &student.batch(4, 0.0)).unwrap();
    trainer.evaluate(&student, [Ok(student.batch(4, 0.0))]).unwrap();
    let folder = tempfile::tempdir().unwrap();
    weights::save(&student.vs, folder.path().join("weights")).unwrap();
    assert_mismatch(trainer.step(&student, &single(&student)), &["m0.bn.running_var"]);
}

#[test]
fn a_model_that_is_not_finite_is_refused_wherever_it_is_handed_out() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("weights.safetensors");
    for name in ["m1.bn.running_var", "m1.conv.bias", "head.weight"] {
        let mut student = Tiny::conv(2);
        let mut trainer = student.builder(Classification::default()).build(&student).unwrap();
        trainer.step(&student, &student.batch(4, 0.0)).unwrap();
        weights::save(&student.vs, &path).unwrap();
        let file = std::fs::read(&path).unwrap();
        set_nan(&student.vs, name);
        let batches = || [Ok(student.batch(4, 0.0))];
        assert_mismatch(trainer.evaluate(&student, batches()), &[name, "finite"]);
        assert_mismatch(evaluate(&student, batches()), &["logits", "sample 0"]);
        assert_mismatch(weights::save(&student.vs, &path), &[name, "model to save"]);
        assert_eq!(std::fs::read(&path).unwrap(), file, "the previous file is unchanged");
        let mut best = weights::BestEpoch::default();
        assert_mismatch(best.keep(0.5, &student.vs), &[name]);
        let mut snapshots = SnapshotFolder::open(folder.path().join(name)).unwrap();
        let mut parts = RunParts::new(&mut trainer).weights("student", &mut student.vs);
        assert_mismatch(snapshots.save(&mut parts, &(), None), &[name]);
        assert!(snapshots.latest().is_none());
    }
    // A parameter that no loss depends on.
    let student = Tiny::linear(2);
    let unused = student.vs.root().zeros("unused", &[2]);
    let mut trainer = student.builder(Classification::default()).build(&student).unwrap();
    set_nan(&student.vs, "unused");
    trainer.step(&student, &student.batch(4, 0.0)).unwrap();
    let found = trainer.evaluate(&student, [Ok(student.batch(4, 0.0))]);
    assert_mismatch(found, &["parameter \"unused\""]);
    assert_mismatch(weights::save(&student.vs, &path), &["unused"]);
    assert_eq!(unused.size(), [2]);
}

#[test]
fn an_evaluation_names_the_head_that_is_not_finite_and_the_sample() {
    let student = Tiny::linear(2);
    let logits: fn(&[Tensor]) -> Tensor = |features| {
        let logits = features[0].narrow(1, 0, 3).copy();
        let _ = logits.get(1).fill_(f64::NAN);
        logits
    };
    let nan = ModifiedStudent::with_unimodal_logits(&student, logits);
    let batches = [Ok(student.batch(4, 0.0)), Ok(student.batch(3, 0.0))];
    let words = ["unimodal logits of modality \"m0\"", "sample 1"];
    assert_mismatch(evaluate(&nan, batches), &words);
    let flat = ModifiedStudent::with_logits(&student, |logits| logits.flatten(0, -1));
    assert_mismatch(evaluate(&flat, [Ok(student.batch(4, 0.0))]), &["logits of the student"]);
}

/// A linear layer and batch norm, as a model of one modality.
fn teacher() -> (nn::VarStore, impl Fn(&Input, bool) -> (Tensor, Tensor) + Send) {
    let vs = nn::VarStore::new(Device::Cpu);
    let encoder = nn::seq_t()
        .add(nn::linear(vs.root() / "fc", INPUT, WIDTH, Default::default()))
        .add(nn::batch_norm1d(vs.root() / "bn", WIDTH, Default::default()));
    let head = nn::linear(vs.root() / "head", WIDTH, 3, Default::default());
    let model = move |input: &Input, train: bool| {
        let features = encoder.forward_t(input, train);
        let logits = features.apply(&head);
        (features, logits)
    };
    (vs, model)
}

fn rows(rows: i64) -> g2d::Result<Batch> {
    let input = wave(0.5, &[rows, INPUT]).to_kind(Kind::Float);
    Ok(Batch::new([input], labels(rows)).with_ids((0..rows).collect::<Vec<_>>()))
}

#[test]
fn a_teacher_that_is_not_finite_is_never_handed_out() {
    let train = || {
        UnimodalTrainer::new("audio", 0, Classification::default(), SgdConfig::default()).epochs(2)
    };
    let (vs, model) = teacher();
    let last_of_one = |_| [rows(8), rows(8), rows(1)];
    let words = ["buffer \"bn.running_var\"", "\"audio\"", "epoch 0, step 2", "one sample"];
    assert_mismatch(train().train(&model, &vs, last_of_one, || [rows(5)]), &words);
    assert!(is_finite(&vs), "the buffers are restored");
    train().train(&model, &vs, |_| [rows(8), rows(8)], || [rows(5)]).unwrap();

    // A parameter that no loss depends on.
    let _ = vs.root().zeros("unused", &[2]);
    set_nan(&vs, "unused");
    let found = train().train(&model, &vs, |_| [rows(8)], || [rows(5)]);
    assert_mismatch(found, &["parameter \"unused\"", "after epoch 0"]);

    let (mut vs, model) = teacher();
    set_nan(&vs, "bn.running_mean");
    let frozen = FrozenModel::new("audio", &mut vs, model);
    let words = ["buffer \"bn.running_mean\"", "frozen model"];
    assert_mismatch(frozen.output(0, &rows(4).unwrap()), &words);
    assert_mismatch(evaluate_teacher(&frozen, 0, [rows(4)]), &words);
    assert_mismatch(Cached::record(&frozen, 0, [rows(4)]), &words);
    let _ = vs.variables().remove("bn.running_mean").unwrap().zero_();
    frozen.output(0, &rows(4).unwrap()).unwrap();
}

/// A student of the same names from another `VarStore` has gradients that the optimizer never sees.
#[test]
fn a_student_of_another_store_is_an_error_of_the_first_step() {
    let (ours, theirs) = (Tiny::linear(2), Tiny::linear(2));
    let mut trainer: G2dTrainer = ours.builder(Classification::default()).build(&ours).unwrap();
    let words = ["student given to `step`", "Builder::encoders", "VarStore"];
    assert_config_error(trainer.step(&theirs, &theirs.batch(4, 0.0)), &words);
    assert_eq!(trainer.progress().step, 0);
    trainer.step(&ours, &ours.batch(4, 0.0)).unwrap();
}
