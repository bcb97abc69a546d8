//! Encoders that return sequences [B, T, d], padding masks, and a transformer across modalities.

use g2d::{
    Batch, G2dTrainer, Modality, ModalityParams, Result, Student,
    loss::{Classification, Distillation},
    schedule::{Ranking, Sequential},
    teacher::FrozenModel,
    trainer::FeatureProjection,
};
use tch::{Device, IndexOp, Kind, Reduction, Tensor, nn, nn::Module, nn::OptimizerConfig};

use super::{changed, names_below, teacher};
use crate::support::{
    CLASSES, INPUT, ModifiedStudent, WIDTH, assert_close, assert_mismatch, fill, labels, wave,
};

/// The index of the padding word.
const PADDING: i64 = 0;

/// Attention from a learnt query over the tokens of all modalities: words and video frames.
///
/// Features are [B, T, WIDTH + 1]; the last column is the mask, 1 for a token and 0 for padding.
/// The zeros that stand for a missing modality are padding too.
struct Transformer {
    vs: nn::VarStore,
    names: Vec<Modality>,
    words: nn::Embedding,
    frames: nn::Linear,
    query: Tensor,
    keys: nn::Linear,
    values: nn::Linear,
    head: nn::Linear,
}

impl Transformer {
    fn new() -> Self {
        let mut vs = nn::VarStore::new(Device::Cpu);
        let root = vs.root();
        let fusion = &root / "fusion";
        let linear = |path, from, to| nn::linear(path, from, to, Default::default());
        let model = Self {
            names: Modality::list(["text", "video"]),
            words: nn::embedding(&root / "text", 12, WIDTH, Default::default()),
            frames: linear(&root / "video", INPUT, WIDTH),
            query: fusion.randn("query", &[1, 1, WIDTH], 0.0, 1.0),
            keys: linear(&fusion / "keys", WIDTH, WIDTH),
            values: linear(&fusion / "values", WIDTH, WIDTH),
            head: linear(&fusion / "head", WIDTH, CLASSES),
            vs: nn::VarStore::new(Device::Cpu),
        };
        vs.double();
        fill(&vs, 0.7);
        Self { vs, ..model }
    }

    fn trainer(&self, loss: Classification, ranking: Ranking) -> G2dTrainer {
        G2dTrainer::builder(loss)
            .encoders(ModalityParams::by_name(&self.vs, &self.names).unwrap())
            .teacher(teacher("text", 3.0, WIDTH))
            .teacher(teacher("video", 1.0, WIDTH))
            .scheduler(Sequential::new([1]).ranking(ranking))
            .build(self)
            .unwrap()
    }
}

impl Student for Transformer {
    fn modalities(&self) -> &[Modality] {
        &self.names
    }

    fn encode(&self, m: usize, batch: &Batch, _train: bool) -> Result<Tensor> {
        let input = batch.input(m);
        let (tokens, mask) = if m == 0 {
            (self.words.forward(input), input.f_ne(PADDING)?.to_kind(Kind::Double))
        } else {
            let [rows, frames, _] = input.size3().map(|(b, t, d)| [b, t, d])?;
            (
                self.frames.forward(input),
                Tensor::f_ones([rows, frames], (Kind::Double, Device::Cpu))?,
            )
        };
        let mask = mask.unsqueeze(-1);
        Ok(Tensor::f_cat(&[tokens.tanh() * &mask, mask], -1)?)
    }

    fn fuse(&self, features: &[Tensor], _train: bool) -> Result<Tensor> {
        let (tokens, mask) = unpack(&Tensor::f_cat(features, 1)?);
        let (keys, values) = (self.keys.forward(&tokens), self.values.forward(&tokens));
        let scores = self.query.f_matmul(&keys.transpose(1, 2))? / (WIDTH as f64).sqrt();
        let scores = scores + (mask.transpose(1, 2) - 1.0) * 1e9;
        Ok(self.head.forward(&scores.softmax(-1, Kind::Double).f_matmul(&values)?.squeeze_dim(1)))
    }

    fn distilled_features(&self, features: &[Tensor]) -> Result<Vec<Tensor>> {
        Ok(features.iter().map(pooled).collect())
    }

    /// One token of padding.
    fn feature_shape(&self, _m: usize) -> Option<Vec<i64>> {
        Some(vec![1, WIDTH + 1])
    }
}

/// Tokens and mask.
fn unpack(features: &Tensor) -> (Tensor, Tensor) {
    (features.i((.., .., ..WIDTH)), features.i((.., .., WIDTH..)))
}

/// The mean over the tokens that are no padding.
fn pooled(features: &Tensor) -> Tensor {
    let (tokens, mask) = unpack(features);
    let count = mask.sum_dim_intlist(1, false, Kind::Double).clamp_min(1.0);
    tokens.sum_dim_intlist(1, false, Kind::Double) / count
}

/// Six samples of four words, of which up to two are padding, and three frames.
fn batch() -> Batch {
    let words = Tensor::arange(24, (Kind::Int64, Device::Cpu)).remainder(11).view([6, 4]) + 1;
    let _ = words.i((..3, 3..)).fill_(PADDING);
    let _ = words.i((5.., 2..)).fill_(PADDING);
    Batch::new([words, wave(3.0, &[6, 3, INPUT])], labels(6))
}

#[test]
fn pooled_sequences_are_distilled_and_a_suppressed_encoder_is_not_updated() {
    let model = Transformer::new();
    let sgd = nn::Sgd { momentum: 0.9, wd: 0.1, ..Default::default() };
    let mut optimizer = sgd.build(&model.vs, 0.1).unwrap();
    let mut trainer = model.trainer(Classification::default(), Ranking::Batch);
    let batch = batch();
    for learning in [&["video", "fusion"][..], &["text", "video", "fusion"]] {
        let found = changed(&mut trainer, &model, &model.vs, &mut optimizer, &batch);
        assert_eq!(found, names_below(&model.vs, learning));
        trainer.end_epoch().unwrap();
    }
    let features = [0, 1].map(|m| model.encode(m, &batch, true).unwrap());
    let report = trainer.step(&model, &batch).unwrap();
    for (m, strength) in [3.0, 1.0].into_iter().enumerate() {
        let expected = pooled(&features[m]).mse_loss(&wave(strength, &[6, WIDTH]), Reduction::Mean);
        assert_close(report.terms.feature[m].as_ref().unwrap(), &expected);
    }
}

#[test]
fn feature_distillation_alone_brings_pooled_sequences_closer_to_the_teacher() {
    let model = Transformer::new();
    let mut optimizer = nn::Sgd::default().build(&model.vs, 0.5).unwrap();
    let features = Distillation { task_weight: 0.0, ..Distillation::features_only() };
    let mut trainer =
        model.trainer(Classification::new(features), Ranking::Fixed(model.names.clone()));
    trainer.step(&model, &batch()).unwrap();
    trainer.end_epoch().unwrap(); // the stage is over
    let mut terms = Vec::new();
    for _ in 0..30 {
        optimizer.zero_grad();
        terms.push(trainer.step(&model, &batch()).unwrap().read().unwrap().terms.feature);
        optimizer.step();
    }
    let [first, last] = [&terms[0], &terms[29]];
    for (first, last) in first.iter().zip(last) {
        let (first, last) = (first.unwrap(), last.unwrap());
        assert!(last < 0.8 * first, "{first} then {last}");
    }
}

#[test]
fn padding_does_not_change_logits_or_loss() {
    let model = Transformer::new();
    let step = |batch: &Batch| {
        let mut trainer = model.trainer(Classification::default(), Ranking::Batch);
        trainer.step(&model, batch).unwrap()
    };
    let batch = batch();
    let padding = Tensor::full([6, 3], PADDING, (Kind::Int64, Device::Cpu));
    let longer = Tensor::cat(&[batch.input(0), &padding], 1);
    let longer = Batch::new([longer, batch.input(1).shallow_clone()], labels(6));
    let (short, long) = (step(&batch), step(&longer));
    assert_close(&short.logits, &long.logits);
    assert_close(&short.terms.total, &long.terms.total);
}

#[test]
fn a_sample_without_a_modality_has_the_logits_of_the_other_one_alone() {
    let model = Transformer::new();
    let mut trainer = model.trainer(Classification::default(), Ranking::Batch);
    let alone = model.encode(1, &batch(), true).unwrap();
    let alone = model.fuse(&[alone.i((.., ..0)), alone.shallow_clone()], true).unwrap();
    let partial = batch().with_present(0, [true, false, true, true, false, true]);
    let report = trainer.step(&model, &partial).unwrap();
    for row in [1, 4] {
        assert_close(&report.logits.i(row), &alone.i(row));
    }
    assert_eq!(report.present, [4, 6]);
    let none = batch().with_present(0, [false; 6]);
    assert_close(&trainer.step(&model, &none).unwrap().logits, &alone.detach());
}

#[test]
fn sequence_features_with_vector_teachers_are_an_error_with_a_hint() {
    let model = Transformer::new();
    let unpooled = ModifiedStudent::without_optional_methods(&model);
    let mut trainer = model.trainer(Classification::default(), Ranking::Batch);
    let words = ["\"text\"", "[6, 4]", "[6, 4, 5]", "Student::distilled_features"];
    assert_mismatch(trainer.step(&unpooled, &batch()), &words);
}

#[test]
fn sequences_are_projected_and_compared_token_by_token_with_teachers_of_sequences() {
    const TEACHER: i64 = 7;
    let model = Transformer::new();
    let unpooled = ModifiedStudent::without_optional_methods(&model);
    let mut projections = nn::VarStore::new(Device::Cpu);
    let widths = ["text", "video"].map(|name| (name, WIDTH + 1, TEACHER));
    let projection = FeatureProjection::new(&projections.root(), widths).unwrap();
    projections.double();
    let teacher = |modality: &str, tokens: i64| {
        let mut vs = nn::VarStore::new(Device::Cpu);
        FrozenModel::new(modality, &mut vs, move |input, _| {
            let rows = input.size()[0];
            (wave(1.0, &[rows, tokens, TEACHER]), wave(2.0, &[rows, CLASSES]))
        })
    };
    let mut trainer = G2dTrainer::builder(Classification::default())
        .encoders(ModalityParams::by_name(&model.vs, &model.names).unwrap())
        .teacher(teacher("text", 4))
        .teacher(teacher("video", 3))
        .projection(projection)
        .build(&unpooled)
        .unwrap();
    let report = trainer.step(&unpooled, &batch()).unwrap();
    let maps = projections.variables();
    let features = model.encode(0, &batch(), true).unwrap();
    let mapped = features.linear(&maps["text.weight"], Some(&maps["text.bias"]));
    let expected = mapped.mse_loss(&wave(1.0, &[6, 4, TEACHER]), Reduction::Mean);
    assert_close(report.terms.feature[0].as_ref().unwrap(), &expected.detach());
}
