//! Encoders that return sequences [B, T, d], padding masks, and a transformer across modalities.

use g2d::{
    Batch, Features, G2dTrainer, Modality, ModalityParams, Result, Student,
    batch::Input,
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

/// Attention from a learnt query over the tokens of all modalities: words and video frames.
///
/// Features are [B, T, WIDTH]; the fusion reads the masks of the inputs, in which the tokens that stand for
/// a missing modality are padding.
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
        let tokens = if m == 0 { self.words.forward(input) } else { self.frames.forward(input) };
        Ok(tokens.tanh())
    }

    fn fuse(&self, features: &Features<'_>, _train: bool) -> Result<Tensor> {
        let masks = [features.input(0, "mask")?, features.input(1, "mask")?];
        self.attend(&Tensor::f_cat(features, 1)?, &Tensor::f_cat(&masks, 1)?)
    }

    fn distilled_features(&self, features: &Features<'_>) -> Result<Vec<Tensor>> {
        let each = features.iter().enumerate();
        each.map(|(m, tokens)| Ok(pooled(tokens, &features.input(m, "mask")?))).collect()
    }

    /// One token of padding.
    fn feature_shape(&self, _m: usize) -> Option<Vec<i64>> {
        Some(vec![1, WIDTH])
    }
}

impl Transformer {
    /// The logits from tokens [B, T, WIDTH] and their mask [B, T].
    fn attend(&self, tokens: &Tensor, mask: &Tensor) -> Result<Tensor> {
        let (keys, values) = (self.keys.forward(tokens), self.values.forward(tokens));
        let scores = self.query.f_matmul(&keys.transpose(1, 2))? / (WIDTH as f64).sqrt();
        let scores = scores.f_masked_fill(&mask.logical_not().unsqueeze(1), f64::NEG_INFINITY)?;
        Ok(self.head.forward(&scores.softmax(-1, Kind::Double).f_matmul(&values)?.squeeze_dim(1)))
    }
}

/// The mean over the tokens that are no padding.
fn pooled(tokens: &Tensor, mask: &Tensor) -> Tensor {
    let mask = mask.to_kind(Kind::Double).unsqueeze(-1);
    let count = mask.sum_dim_intlist(1, false, Kind::Double).clamp_min(1.0);
    (tokens * mask).sum_dim_intlist(1, false, Kind::Double) / count
}

/// The sentences of six samples, of up to four words.
fn sentences() -> Vec<Tensor> {
    let words = Tensor::arange(24, (Kind::Int64, Device::Cpu)).remainder(11).view([6, 4]) + 1;
    let lengths = [3, 3, 3, 4, 4, 2];
    (0..6).zip(lengths).map(|(i, length)| words.i((i, ..length))).collect()
}

/// Three frames of six samples.
fn frames() -> Input {
    let mask = Tensor::ones([6, 3], (Kind::Bool, Device::Cpu));
    Input::new("frames", wave(3.0, &[6, 3, INPUT])).with("mask", mask)
}

fn batch() -> Batch {
    Batch::new([Input::padded(&sentences()).unwrap(), frames()], labels(6))
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
    let masks = [0, 1].map(|m| batch.tensor(m, "mask").unwrap());
    let report = trainer.step(&model, &batch).unwrap();
    for (m, strength) in [3.0, 1.0].into_iter().enumerate() {
        let expected =
            pooled(&features[m], masks[m]).mse_loss(&wave(strength, &[6, WIDTH]), Reduction::Mean);
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
    let mut more = sentences();
    more.push(Tensor::zeros([7], (Kind::Int64, Device::Cpu))); // pads all to seven words
    let padded = Input::padded(&more).unwrap();
    let first = |name: &str| padded.tensor(name).unwrap().i(..6);
    let longer = Input::new("ids", first("values")).with("mask", first("mask"));
    assert_eq!(longer.size(), [6, 7]);
    let longer = Batch::new([longer, frames()], labels(6));
    let (short, long) = (step(&batch), step(&longer));
    assert_close(&short.logits, &long.logits);
    assert_close(&short.terms.total, &long.terms.total);
}

#[test]
fn a_sample_without_a_modality_has_the_logits_of_the_other_one_alone() {
    let model = Transformer::new();
    let mut trainer = model.trainer(Classification::default(), Ranking::Batch);
    let alone = model.encode(1, &batch(), true).unwrap();
    let alone = model.attend(&alone, batch().tensor(1, "mask").unwrap()).unwrap();
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
    let words = ["\"text\"", "[6, 4]", "[6, 4, 4]", "Student::distilled_features"];
    assert_mismatch(trainer.step(&unpooled, &batch()), &words);
}

#[test]
fn sequences_are_projected_and_compared_token_by_token_with_teachers_of_sequences() {
    const TEACHER: i64 = 7;
    let model = Transformer::new();
    let unpooled = ModifiedStudent::without_optional_methods(&model);
    let mut projections = nn::VarStore::new(Device::Cpu);
    let widths = ["text", "video"].map(|name| (name, WIDTH, TEACHER));
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
