//! Inputs of several tensors, and extras of a batch.

use std::{cell::RefCell, rc::Rc};

use g2d::{
    Batch, G2dLoss, G2dTrainer, Modality, Result, Student, Teacher, TeacherOutput,
    batch::Input,
    evaluate,
    loss::{self, Classification, Distillation, Terms},
    optim::SgdConfig,
    probe::held_out::{LinearProbe, Shapley},
    student::Closures,
    trainer::{NonFinite, UnimodalTrainer},
};
use tch::{Device, IndexOp, Kind, Tensor, nn};

use crate::support::{
    CLASSES, FixedKappa, INPUT, Tiny, WIDTH, assert_config_error, assert_error, assert_mismatch,
    labels, wave,
};

/// Token ids, `Int64`, with a mask, `Bool`.
fn text(ids: &[[i64; 3]; 4], lengths: [i64; 4]) -> Input {
    let places = Tensor::arange(3, (Kind::Int64, Device::Cpu));
    let mask = places.unsqueeze(0).lt_tensor(&Tensor::from_slice(&lengths).unsqueeze(1));
    Input::new("ids", Tensor::from_slice2(ids)).with("mask", mask)
}

fn batch() -> Batch {
    let ids = [[1, 2, 3], [4, 5, 0], [1, 0, 0], [2, 2, 5]];
    Batch::new([text(&ids, [3, 2, 1, 3]), wave(0.0, &[4, INPUT]).into()], labels(4))
}

/// A text of masked word vectors, and linear features of the other modality.
struct Layers {
    vs: nn::VarStore,
    words: nn::Embedding,
    linear: nn::Linear,
    head: nn::Linear,
}

impl Layers {
    fn new() -> Self {
        let mut vs = nn::VarStore::new(Device::Cpu);
        let root = vs.root();
        let words = nn::embedding(&root / "text", 6, WIDTH, Default::default());
        let linear = nn::linear(&root / "audio", INPUT, WIDTH, Default::default());
        let head = nn::linear(&root / "head", 2 * WIDTH, CLASSES, Default::default());
        vs.double();
        crate::support::fill(&vs, 0.4);
        Self { vs, words, linear, head }
    }

    fn student(&self) -> Closures<'_> {
        Closures::builder()
            .encoder("text", |input, _train| {
                let mask = input.tensor("mask")?.unsqueeze(-1).to_kind(Kind::Double);
                let words = input.tensor("ids")?.apply(&self.words) * mask;
                Ok(words.f_sum_dim_intlist(1, false, None)?)
            })
            .encoder("audio", |input, _train| Ok(input.apply(&self.linear)))
            .fusion(|features, _train| Ok(Tensor::f_cat(features, 1)?.apply(&self.head)))
            .feature_shape("text", [WIDTH])
            .build()
            .unwrap()
    }

    fn trainer(&self, student: &dyn Student, loss: impl G2dLoss + 'static) -> G2dTrainer {
        let params = g2d::ModalityParams::by_name(&self.vs, student.modalities()).unwrap();
        let builder = G2dTrainer::builder(loss).encoders(params);
        builder.scheduler(FixedKappa(vec![1.0, 1.0])).build(student).unwrap()
    }
}

fn plain() -> Classification {
    Classification::new(Distillation::none())
}

#[test]
fn all_tensors_of_an_input_reach_the_encoder_and_follow_its_rows() {
    let layers = Layers::new();
    let student = layers.student();
    let logits = |batch: Batch| {
        let mut trainer = layers.trainer(&student, plain());
        trainer.step(&student, &batch).unwrap().logits
    };
    // What is masked does not matter.
    let ids = [[1, 2, 3], [4, 5, 1], [1, 5, 2], [2, 2, 5]];
    let other = Batch::new([text(&ids, [3, 2, 1, 3]), wave(0.0, &[4, INPUT]).into()], labels(4));
    let whole = logits(batch());
    assert!(whole.equal(&logits(other)));
    let moved = batch().to_device(Device::Cpu).unwrap();
    assert!(whole.equal(&logits(moved)));

    let present = [true, false, true, true];
    let partial = logits(batch().with_present(0, present));
    for (row, present) in (0..).zip(present) {
        assert_eq!(partial.i(row).equal(&whole.i(row)), present, "row {row}");
    }
    let evaluated = evaluate(&student, [Ok(batch().with_present(0, present))]).unwrap();
    assert!(evaluated.logits.allclose(&partial, 1e-12, 1e-12, false));
    // The text of no sample is read.
    assert_eq!(logits(batch().with_present(0, [false; 4])).size(), [4, CLASSES]);
}

#[test]
fn a_tensor_that_an_input_does_not_have_is_an_error_with_those_that_it_has() {
    let words = ["\"length\"", "found [\"ids\", \"mask\"]", "Input::with"];
    assert_config_error(batch().tensor(0, "length"), &words);
    assert_config_error(batch().tensor(1, "mask"), &["\"mask\"", "found [\"values\"]"]);
    assert_config_error(batch().tensor(2, "mask"), &["index of a modality", "below 2"]);
    let replaced = Input::new("ids", labels(2)).with("ids", labels(3));
    assert_eq!(
        replaced.tensors().map(|(name, t)| (name, t.size())).collect::<Vec<_>>(),
        [("ids", vec![3])]
    );
}

#[test]
fn every_tensor_of_an_input_needs_one_row_per_sample_and_no_dimension_of_0() {
    let layers = Layers::new();
    let student = layers.student();
    let check = |input: Input, words: &[&str]| {
        let batch =
            || Batch::new([input.shallow_clone(), wave(0.0, &[4, INPUT]).into()], labels(4));
        let mut trainer = layers.trainer(&student, plain());
        assert_mismatch(trainer.step(&student, &batch()).map(drop), words);
        assert_mismatch(evaluate(&student, [Ok(batch())]).map(drop), words);
    };
    let ids = || Tensor::ones([4, 3], (Kind::Int64, Device::Cpu));
    let bools = |shape: &[i64]| Tensor::ones(shape, (Kind::Bool, Device::Cpu));
    let short = Input::new("ids", ids()).with("mask", bools(&[3, 3]));
    check(short, &["\"mask\" in the input of modality \"text\"", "[4, …]", "[3, 3]"]);
    let empty = Input::new("ids", ids()).with("mask", bools(&[4, 0]));
    check(empty, &["\"mask\"", "dimension of 0", "[4, 0]", "with_present"]);
}

#[test]
fn nan_in_any_tensor_of_an_input_is_named_as_the_modalitys() {
    let layers = Layers::new();
    let student = Closures::builder()
        .encoder("text", |input, _| Ok(input.apply(&layers.linear) * input.tensor("weight")?))
        .encoder("audio", |input, _| Ok(input.apply(&layers.linear)))
        .fusion(|features, _| Ok(Tensor::f_cat(features, 1)?.apply(&layers.head)))
        .build()
        .unwrap();
    let mut vs = nn::VarStore::new(Device::Cpu);
    let _own = ["text", "audio"].map(|m| (vs.root() / m).ones("w", &[1]));
    vs.double();
    let params = g2d::ModalityParams::by_name(&vs, student.modalities()).unwrap();
    let builder = G2dTrainer::builder(plain()).encoders(params.with_store("layers", &layers.vs));
    let mut trainer = builder.non_finite(NonFinite::Error).build(&student).unwrap();
    let input = wave(0.0, &[4, INPUT]);
    let weight = Tensor::full([4, 1], f64::NAN, (Kind::Double, Device::Cpu));
    let text = Input::new("values", input.copy()).with("weight", weight);
    let outcome = trainer.step(&student, &Batch::new([text, input.into()], labels(4)));
    assert_mismatch(outcome, &["input of modality \"text\""]);
}

/// The mean of the samples' cross-entropies, weighted by an extra; records the extra.
struct Weighted(Classification, Seen);

type Seen = Rc<RefCell<Vec<Vec<f64>>>>;

impl G2dLoss for Weighted {
    fn check(&self, modalities: &[Modality]) -> Result<()> {
        self.0.check(modalities)
    }
    fn check_targets(&self, logits: &[i64], targets: &Tensor) -> Result<()> {
        self.0.check_targets(logits, targets)
    }
    fn terms(&self, input: &loss::Input<'_>) -> Result<Terms> {
        let weight = input.extra("weight")?;
        self.1.borrow_mut().push(Vec::try_from(weight).unwrap());
        let log_p = input.logits.log_softmax(1, Kind::Double);
        let own = log_p.f_gather(1, &input.targets.unsqueeze(1), false)?.squeeze_dim(1);
        Ok(Terms::from_task(-(own * weight).mean(Kind::Double)))
    }
    fn confidence(&self, logits: &Tensor, targets: &Tensor) -> Result<Tensor> {
        self.0.confidence(logits, targets)
    }
}

fn weights() -> Tensor {
    Tensor::from_slice(&[0.0, 1.0, 2.0, 0.5])
}

#[test]
fn an_extra_reaches_the_loss_of_a_step_and_of_a_teachers_training() {
    let student = Tiny::linear(2);
    let seen = Seen::default();
    let loss = || Weighted(plain(), seen.clone());
    let batch = || student.batch(4, 0.0).with_extra("weight", weights());
    let mut trainer = student.builder(loss()).build(&student).unwrap();
    let report = trainer.step(&student, &batch()).unwrap();
    let log_p = report.logits.log_softmax(1, Kind::Double);
    let own = log_p.gather(1, &labels(4).unsqueeze(1), false).squeeze_dim(1);
    let expected = -(own * weights()).mean(Kind::Double);
    assert!(report.terms.task.allclose(&expected, 1e-12, 1e-12, false));
    assert_eq!(seen.take(), [[0.0, 1.0, 2.0, 0.5]]);

    let vs = nn::VarStore::new(Device::Cpu);
    let layer = nn::linear(vs.root() / "fc", INPUT, CLASSES, Default::default());
    let model = |input: &Input, _: bool| {
        let logits = input.to_kind(Kind::Float).apply(&layer);
        (logits.shallow_clone(), logits)
    };
    let one = || Ok(batch().with_present(1, [true, false, true, true]));
    let trainer = UnimodalTrainer::new("m1", 1, loss(), SgdConfig::default()).epochs(1);
    trainer.train(&model, &vs, |_| [one()], || [one()]).unwrap();
    assert_eq!(seen.take(), [[0.0, 2.0, 0.5]; 2], "the rows of the modality, twice");
}

#[test]
fn a_missing_or_short_extra_is_an_error() {
    let student = Tiny::linear(2);
    let loss = Weighted(plain(), Seen::default());
    let mut trainer = student.builder(loss).build(&student).unwrap();
    let words = ["extra of the batch", "\"weight\"", "found [\"age\"]", "with_extra"];
    let batch = student.batch(4, 0.0).with_extra("age", weights());
    assert_config_error(trainer.step(&student, &batch), &words);
    let batch = student.batch(4, 0.0).with_extra("weight", weights().i(..3));
    let words = ["extra \"weight\"", "[4, …]", "[3]"];
    assert_mismatch(trainer.step(&student, &batch), &words);
    assert_mismatch(evaluate(&student, [Ok(batch)]), &words);
}

/// A teacher that reads a named tensor and an extra.
struct Reads(Modality);

impl Teacher for Reads {
    fn modality(&self) -> &Modality {
        &self.0
    }
    fn output(&self, m: usize, batch: &Batch) -> Result<TeacherOutput> {
        let rows = batch.tensor(m, "ids")?.size()[0];
        assert_eq!((batch.extra("weight")?.size()[0], batch.targets().size()[0]), (rows, rows));
        let features = Tensor::ones([rows, WIDTH], (Kind::Double, Device::Cpu));
        let logits = Tensor::ones([rows, CLASSES], (Kind::Double, Device::Cpu));
        Ok(TeacherOutput { features, logits, host: None })
    }
}

#[test]
fn a_teacher_gets_the_rows_of_named_tensors_and_extras() {
    let batch = || {
        let flags = [true, false, true, true];
        batch().with_extra("weight", weights()).with_present(0, flags).with_ids([1, 2, 3, 4])
    };
    g2d::trainer::evaluate_teacher(&Reads("text".into()), 0, [Ok(batch())]).unwrap();
    let without = batch().to_device(Device::Cpu).unwrap().with_extra("weight", weights().i(..2));
    let found = g2d::trainer::evaluate_teacher(&Reads("text".into()), 0, [Ok(without)]);
    assert_error(found, &["extra \"weight\""]);
}

/// The baseline replaces the ids and keeps the mask.
#[test]
fn held_out_measures_take_inputs_of_several_tensors() {
    let layers = Layers::new();
    let student = layers.student();
    let batches = || [batch(), batch()];
    let found = Shapley::default().measure(&student, &batches()).unwrap();
    let value = |metric: &str| found.iter().find(|m| m.metric == metric).unwrap().value;
    let zeros = [[0; 3]; 4];
    let silent = Batch::new(
        [text(&zeros, [3, 2, 1, 3]), Tensor::zeros([4, INPUT], (Kind::Double, Device::Cpu)).into()],
        labels(4),
    );
    let expected = evaluate(&student, [Ok(silent)]).unwrap().accuracy().unwrap();
    assert_eq!(value("worth_none"), expected);
    let all = evaluate(&student, [Ok(batch())]).unwrap().accuracy().unwrap();
    assert_eq!(value("worth_all"), all);
    assert_eq!(LinearProbe::default().measure(&student, &batches(), &batches()).unwrap().len(), 2);
}
