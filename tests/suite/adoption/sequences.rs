//! Encoders that return sequences [B, T, d], padding masks, and a transformer across modalities.

use g2d::{
    Batch, G2dTrainer, Modality, ModalityParams, Result, Student,
    loss::{Classification, Distillation},
    schedule::{Ranking, Sequential},
    trainer::FeatureProjection,
};
use tch::{Device, IndexOp, Kind, Reduction, Tensor, nn, nn::Module, nn::OptimizerConfig};

use super::{labels, moved, teacher, under};
use crate::support::{CLASSES, INPUT, WIDTH, assert_close, fill, mismatch, wave};

/// A word that is not there.
const PADDING: i64 = 0;

/// Words and frames, each a token; attention over all of them from a learnt query.
///
/// Features are [B, T, WIDTH + 1]: the last column is 1 where there is a token. A modality that a
/// sample lacks is zeros, so no token of it is there.
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
        let (tokens, there) = if m == 0 {
            (self.words.forward(input), input.f_ne(PADDING)?.to_kind(Kind::Double))
        } else {
            let [rows, frames, _] = input.size3().map(|(b, t, d)| [b, t, d])?;
            (
                self.frames.forward(input),
                Tensor::f_ones([rows, frames], (Kind::Double, Device::Cpu))?,
            )
        };
        let there = there.unsqueeze(-1);
        Ok(Tensor::f_cat(&[tokens.tanh() * &there, there], -1)?)
    }

    fn fuse(&self, features: &[Tensor], _train: bool) -> Result<Tensor> {
        let (tokens, there) = unpack(&Tensor::f_cat(features, 1)?);
        let (keys, values) = (self.keys.forward(&tokens), self.values.forward(&tokens));
        let scores = self.query.f_matmul(&keys.transpose(1, 2))? / (WIDTH as f64).sqrt();
        let scores = scores + (there.transpose(1, 2) - 1.0) * 1e9;
        Ok(self.head.forward(&scores.softmax(-1, Kind::Double).f_matmul(&values)?.squeeze_dim(1)))
    }

    fn distilled_features(&self, features: &[Tensor]) -> Result<Vec<Tensor>> {
        Ok(features.iter().map(pooled).collect())
    }

    /// One token that is not there.
    fn feature_shape(&self, _m: usize) -> Option<Vec<i64>> {
        Some(vec![1, WIDTH + 1])
    }
}

fn unpack(features: &Tensor) -> (Tensor, Tensor) {
    (features.i((.., .., ..WIDTH)), features.i((.., .., WIDTH..)))
}

/// The mean over the tokens that are there.
fn pooled(features: &Tensor) -> Tensor {
    let (tokens, there) = unpack(features);
    let count = there.sum_dim_intlist(1, false, Kind::Double).clamp_min(1.0);
    tokens.sum_dim_intlist(1, false, Kind::Double) / count
}

/// Six samples of four words, the last one or two of some padding, and three frames.
fn batch() -> Batch {
    let words = Tensor::arange(24, (Kind::Int64, Device::Cpu)).remainder(11).view([6, 4]) + 1;
    let _ = words.i((..3, 3..)).fill_(PADDING);
    let _ = words.i((5.., 2..)).fill_(PADDING);
    Batch::new([words, wave(3.0, &[6, 3, INPUT])], labels(6))
}

#[test]
fn sequences_are_distilled_pooled_and_the_waiting_encoder_stands_still() {
    let model = Transformer::new();
    let sgd = nn::Sgd { momentum: 0.9, wd: 0.1, ..Default::default() };
    let mut optimizer = sgd.build(&model.vs, 0.1).unwrap();
    let mut trainer = model.trainer(Classification::default(), Ranking::Batch);
    let batch = batch();
    for learns in [&["video", "fusion"][..], &["text", "video", "fusion"]] {
        let moved = moved(&mut trainer, &model, &model.vs, &mut optimizer, &batch);
        assert_eq!(moved, under(&model.vs, learns));
        trainer.end_epoch().unwrap();
    }
    let features = [0, 1].map(|m| model.encode(m, &batch, true).unwrap());
    let report = trainer.step(&model, &batch).unwrap();
    for (m, strength) in [3.0, 1.0].into_iter().enumerate() {
        let by_hand = pooled(&features[m]).mse_loss(&wave(strength, &[6, WIDTH]), Reduction::Mean);
        assert_close(report.terms.feature[m].as_ref().unwrap(), &by_hand);
    }
}

/// L_feat alone pulls the pooled sequence to its teacher.
#[test]
fn distillation_of_sequences_comes_closer_to_the_teacher() {
    let model = Transformer::new();
    let mut optimizer = nn::Sgd::default().build(&model.vs, 0.5).unwrap();
    let features = Distillation { task_weight: 0.0, ..Distillation::features_only() };
    let mut trainer =
        model.trainer(Classification::new(features), Ranking::Fixed(model.names.clone()));
    trainer.step(&model, &batch()).unwrap();
    trainer.end_epoch().unwrap(); // the stage is over
    let mut distance = Vec::new();
    for _ in 0..30 {
        optimizer.zero_grad();
        distance.push(trainer.step(&model, &batch()).unwrap().read().unwrap().terms.feature);
        optimizer.step();
    }
    let [first, last] = [&distance[0], &distance[29]];
    for (first, last) in first.iter().zip(last) {
        let (first, last) = (first.unwrap(), last.unwrap());
        assert!(last < 0.8 * first, "{first} then {last}");
    }
}

#[test]
fn padding_changes_nothing() {
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

/// A missing modality's zeros are tokens that are not there: as if the sample had only the other.
#[test]
fn a_missing_modality_has_no_tokens() {
    let model = Transformer::new();
    let mut trainer = model.trainer(Classification::default(), Ranking::Batch);
    let whole = batch();
    let alone = model.encode(1, &whole, true).unwrap();
    let alone = model.fuse(&[alone.i((.., ..0)), alone.shallow_clone()], true).unwrap();
    let part = batch().with_present(0, [true, false, true, true, false, true]);
    let report = trainer.step(&model, &part).unwrap();
    for row in [1, 4] {
        assert_close(&report.logits.i(row), &alone.i(row));
    }
    assert_eq!(report.present, [4, 6]);
    let none = batch().with_present(0, [false; 6]);
    assert_close(&trainer.step(&model, &none).unwrap().logits, &alone.detach());
}

/// A student that leaves its sequences as they are.
struct Unpooled(Transformer);

impl Student for Unpooled {
    fn modalities(&self) -> &[Modality] {
        self.0.modalities()
    }

    fn encode(&self, m: usize, batch: &Batch, train: bool) -> Result<Tensor> {
        self.0.encode(m, batch, train)
    }

    fn fuse(&self, features: &[Tensor], train: bool) -> Result<Tensor> {
        self.0.fuse(features, train)
    }
}

#[test]
fn a_sequence_beside_a_vector_is_refused_with_the_mend() {
    let model = Unpooled(Transformer::new());
    let mut trainer = model.0.trainer(Classification::default(), Ranking::Batch);
    let words = ["\"text\"", "[6, 4]", "[6, 4, 5]", "Student::distilled_features"];
    mismatch(trainer.step(&model, &batch()), &words);
}

/// Teachers that return sequences too: compared token by token, through a projection of the width.
#[test]
fn sequences_are_compared_token_by_token_with_a_teacher_of_sequences() {
    const TEACHER: i64 = 7;
    let model = Unpooled(Transformer::new());
    let mut projections = nn::VarStore::new(Device::Cpu);
    let widths = ["text", "video"].map(|name| (name, WIDTH + 1, TEACHER));
    let projection = FeatureProjection::new(&projections.root(), widths).unwrap();
    projections.double();
    let says = |modality: &str, tokens: i64| {
        let mut vs = nn::VarStore::new(Device::Cpu);
        g2d::teacher::FrozenModel::new(modality, &mut vs, move |input, _| {
            let rows = input.size()[0];
            (wave(1.0, &[rows, tokens, TEACHER]), wave(2.0, &[rows, CLASSES]))
        })
    };
    let mut trainer = G2dTrainer::builder(Classification::default())
        .encoders(ModalityParams::by_name(&model.0.vs, &model.0.names).unwrap())
        .teacher(says("text", 4))
        .teacher(says("video", 3))
        .projection(projection)
        .build(&model)
        .unwrap();
    let report = trainer.step(&model, &batch()).unwrap();
    let maps = projections.variables();
    let features = model.encode(0, &batch(), true).unwrap();
    let mapped = features.linear(&maps["text.weight"], Some(&maps["text.bias"]));
    let by_hand = mapped.mse_loss(&wave(1.0, &[6, 4, TEACHER]), Reduction::Mean);
    assert_close(report.terms.feature[0].as_ref().unwrap(), &by_hand.detach());
}
