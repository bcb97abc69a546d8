//! The kept features of suppressed encoders: `SuppressedMode::Cached`.

use std::cell::RefCell;

use g2d::{
    Batch, Error, Features, G2dTrainer, Modality, Result, Student,
    loss::Classification,
    optim::{AdamWConfig, Algorithm, Optimizer, SgdConfig},
    trainer::{SuppressedMode, Suppression},
};
use tch::{Tensor, nn::VarStore};

use crate::support::{
    FixedKappa, KappaPerStep, Snapshot, Tiny, assert_close, assert_error, assert_mismatch,
    gradients, labels, select_rows, values,
};

/// A student that notes which encoders run.
struct Noted<'a> {
    inner: &'a Tiny,
    encoded: RefCell<Vec<usize>>,
}

impl<'a> Noted<'a> {
    fn new(inner: &'a Tiny) -> Self {
        Self { inner, encoded: RefCell::default() }
    }

    /// How often the encoder of `m` has run since the last call.
    fn runs(&self, m: usize) -> usize {
        let runs = self.encoded.borrow().iter().filter(|&&other| other == m).count();
        self.encoded.borrow_mut().retain(|&other| other != m);
        runs
    }
}

impl Student for Noted<'_> {
    fn modalities(&self) -> &[Modality] {
        self.inner.modalities()
    }
    fn encode(&self, m: usize, batch: &Batch, train: bool) -> Result<Tensor> {
        self.encoded.borrow_mut().push(m);
        self.inner.encode(m, batch, train)
    }
    fn fuse(&self, features: &Features<'_>, train: bool) -> Result<Tensor> {
        self.inner.fuse(features, train)
    }
    fn feature_shape(&self, m: usize) -> Option<Vec<i64>> {
        self.inner.feature_shape(m)
    }
}

/// Twelve samples as three batches, in an order of the epoch's own.
fn batches(student: &Tiny, epoch: i64) -> Vec<Batch> {
    let all = student.batch(12, 0.0);
    let order: Vec<i64> = (0..12).map(|i| (i * 5 + epoch * 7) % 12).collect();
    order.chunks(4).map(|rows| select_rows(&all, rows)).collect()
}

fn trainer(student: &Tiny, mode: SuppressedMode, kappa: Vec<Vec<f64>>) -> G2dTrainer {
    let builder = student.builder(Classification::default()).scheduler(KappaPerStep(kappa));
    builder.suppressed_mode(mode).build(student).unwrap()
}

/// κ of the six epochs: two stages of the second encoder with all encoders between and after.
const EPOCHS: [f64; 6] = [0.0, 0.0, 1.0, 0.0, 0.0, 1.0];

/// Trains for [`EPOCHS`]; returns the weights, and how often the first encoder has run in each epoch.
fn train(mode: SuppressedMode, algorithm: impl Into<Algorithm>) -> (Snapshot, Vec<usize>) {
    let student = Tiny::conv(2);
    let noted = Noted::new(&student);
    let kappa = EPOCHS.iter().flat_map(|&first| vec![vec![first, 1.0]; 3]).collect();
    let mut trainer = trainer(&student, mode, kappa);
    let mut optimizer = Optimizer::builder(&student.vs, algorithm).build().unwrap();
    let epoch = |epoch| {
        for batch in batches(&student, epoch) {
            trainer.step(&noted, &batch).unwrap();
            trainer.update(&mut optimizer).unwrap();
        }
        noted.runs(0)
    };
    let runs = (0..EPOCHS.len() as i64).map(epoch).collect();
    (values(&student.vs), runs)
}

#[test]
fn a_stage_encodes_each_sample_once_and_trains_as_in_evaluation_mode() {
    let sgd = SgdConfig { lr: 0.05, momentum: 0.9, weight_decay: 0.1, ..Default::default() };
    let adam = AdamWConfig { lr: 0.05, ..Default::default() };
    for algorithm in [Algorithm::from(sgd), Algorithm::from(adam)] {
        let (expected, every) = train(SuppressedMode::Evaluation, algorithm);
        let (found, runs) = train(SuppressedMode::Cached, algorithm);
        assert_eq!(every, [3; 6]);
        assert_eq!(runs, [3, 0, 3, 3, 0, 3], "{algorithm:?}");
        for (name, expected) in &expected {
            assert_close(&found[name], expected);
        }
    }
}

#[test]
fn any_change_of_the_encoder_makes_its_features_new() {
    let student = Tiny::conv(2);
    let noted = Noted::new(&student);
    let mut trainer = trainer(&student, SuppressedMode::Cached, vec![vec![0.0, 1.0]]);
    let batch = student.batch(4, 0.0);
    let mut runs_after = |change: &dyn Fn(&VarStore)| {
        change(&student.vs);
        trainer.step(&noted, &batch).unwrap();
        noted.runs(0)
    };
    let add = |name: &'static str| {
        move |vs: &VarStore| {
            let _ = tch::no_grad(|| vs.variables()[name].shallow_clone().f_add_scalar_(0.5));
        }
    };
    assert_eq!(runs_after(&|_| {}), 1);
    assert_eq!(runs_after(&|_| {}), 0);
    assert_eq!(runs_after(&add("m0.conv.weight")), 1);
    assert_eq!(runs_after(&add("m0.bn.running_mean")), 1);
    assert_eq!(runs_after(&add("m1.conv.weight")), 0);
    assert_eq!(runs_after(&add("head.bias")), 0);
}

#[test]
fn gradients_that_wait_for_the_optimizer_keep_features_from_being_kept() {
    let student = Tiny::linear(2);
    let noted = Noted::new(&student);
    let builder = student.builder(Classification::default());
    let kappa = vec![vec![1.0, 1.0], vec![0.0, 1.0], vec![0.0, 1.0], vec![0.0, 1.0]];
    let builder = builder.scheduler(KappaPerStep(kappa)).accumulate(2);
    let mut trainer = builder.suppressed_mode(SuppressedMode::Cached).build(&student).unwrap();
    let sgd = SgdConfig { lr: 0.05, ..Default::default() };
    let mut optimizer = Optimizer::builder(&student.vs, sgd).build().unwrap();
    let batch = student.batch(4, 0.0);
    let runs = [(); 4].map(|()| {
        trainer.step(&noted, &batch).unwrap();
        trainer.update(&mut optimizer).unwrap();
        noted.runs(0)
    });
    assert_eq!(runs, [1, 1, 1, 0]);
}

#[test]
fn new_samples_and_samples_that_lack_the_modality_are_encoded_as_needed() {
    let student = Tiny::linear(2);
    let noted = Noted::new(&student);
    let mut cached = trainer(&student, SuppressedMode::Cached, vec![vec![0.0, 1.0]]);
    let mut plain = trainer(&student, SuppressedMode::Evaluation, vec![vec![0.0, 1.0]]);
    let all = student.batch(8, 0.0);
    let some = |rows: &[i64], present: &[bool]| select_rows(&all, rows).with_present(0, present);
    for (batch, runs) in [
        (some(&[0, 1, 2, 3], &[true, false, true, true]), 1),
        (some(&[3, 2, 0], &[true; 3]), 0),
        (some(&[3, 1], &[true, false]), 0),
        (some(&[3, 1], &[true, true]), 1),
        (some(&[5, 5, 1], &[true; 3]), 1), // an id twice
        (some(&[1, 2], &[false; 2]), 0),
        (some(&[5, 1, 0], &[true; 3]), 0),
    ] {
        let found = cached.step(&noted, &batch).unwrap();
        assert_eq!(noted.runs(0), runs);
        let own = gradients(&student.vs);
        student.vs.trainable_variables().iter_mut().for_each(Tensor::zero_grad);
        let expected = plain.step(&student, &batch).unwrap();
        assert_close(&found.logits, &expected.logits);
        for (name, gradient) in &gradients(&student.vs) {
            assert_close(&own[name], gradient);
        }
        student.vs.trainable_variables().iter_mut().for_each(Tensor::zero_grad);
    }
}

#[test]
fn inputs_without_ids_or_with_augmentation_are_refused() {
    let student = Tiny::linear(2);
    let mut trainer = trainer(&student, SuppressedMode::Cached, vec![vec![0.0, 1.0]]);
    let batch = |seed| student.batch(4, seed);
    let input = |m: usize, seed: f64| batch(seed).input(m).shallow_clone();
    let without = Batch::new([input(0, 0.0), input(1, 0.0)], labels(4));
    let words = ["cached features of modality \"m0\"", "sample ids", "`Batch::with_ids`"];
    assert_mismatch(trainer.step(&student, &without), &words);
    trainer.step(&student, &batch(0.0)).unwrap();
    let error = assert_error(
        trainer.step(&student, &batch(1e-3)),
        &["cached features of modality \"m0\"", "another input for the same id", "augmentation"],
    );
    assert!(matches!(error, Error::Cache(_)));
    trainer.step(&student, &batch(0.0)).unwrap();

    // The other modality may differ.
    let mixed = Batch::new([input(0, 0.0), input(1, 0.5)], labels(4));
    let mixed = mixed.with_ids(batch(0.0).ids().unwrap());
    trainer.step(&student, &mixed).unwrap();
}

#[test]
fn features_are_kept_under_skip_backward_alone() {
    let student = Tiny::linear(2);
    for suppression in [Suppression::ZeroGradient(Default::default()), Suppression::FusedLoss] {
        let builder = student.builder(Classification::default()).suppression(suppression);
        let built = builder
            .scheduler(FixedKappa(vec![0.0, 1.0]))
            .suppressed_mode(SuppressedMode::Cached)
            .build(&student);
        assert_mismatch(built, &["suppressed mode", "`Suppression::SkipBackward`"]);
    }
}
