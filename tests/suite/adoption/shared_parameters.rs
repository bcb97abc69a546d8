//! Parameters that modalities share belong to none of them: they learn from whoever is not
//! suppressed.

use g2d::{
    Batch, G2dTrainer, Modality, ModalityParams, Result, Student,
    loss::{Classification, Distillation},
    schedule::Sequential,
};
use tch::{Device, IndexOp, Kind, Tensor, nn, nn::Module, nn::OptimizerConfig};

use super::{labels, moved, teacher, under};
use crate::support::{CLASSES, INPUT, WIDTH, assert_close, below, fill, gradients, values, wave};

/// An own stem a modality, then one trunk for both.
struct Trunk {
    vs: nn::VarStore,
    names: Vec<Modality>,
    stems: [nn::Linear; 2],
    trunk: nn::Linear,
    head: nn::Linear,
}

impl Trunk {
    fn new() -> Self {
        let mut vs = nn::VarStore::new(Device::Cpu);
        let root = vs.root();
        let stems =
            ["a", "b"].map(|name| nn::linear(&root / name, INPUT, WIDTH, Default::default()));
        let trunk = nn::linear(&root / "trunk", WIDTH, WIDTH, Default::default());
        let head = nn::linear(&root / "head", 2 * WIDTH, CLASSES, Default::default());
        vs.double();
        fill(&vs, 0.5);
        Self { vs, names: Modality::list(["a", "b"]), stems, trunk, head }
    }

    fn batch(&self) -> Batch {
        Batch::new([wave(0.0, &[6, INPUT]), wave(50.0, &[6, INPUT])], labels(6))
    }
}

impl Student for Trunk {
    fn modalities(&self) -> &[Modality] {
        &self.names
    }

    fn encode(&self, m: usize, batch: &Batch, _train: bool) -> Result<Tensor> {
        Ok(self.trunk.forward(&self.stems[m].forward(batch.input(m)).tanh()).tanh())
    }

    fn fuse(&self, features: &[Tensor], _train: bool) -> Result<Tensor> {
        Ok(self.head.forward(&Tensor::f_cat(features, 1)?))
    }
}

#[test]
fn a_shared_trunk_learns_while_one_of_its_stems_waits() {
    let model = Trunk::new();
    let sgd = nn::Sgd { momentum: 0.9, wd: 0.1, ..Default::default() };
    let mut optimizer = sgd.build(&model.vs, 0.05).unwrap();
    let mut trainer = G2dTrainer::builder(Classification::default())
        .encoders(ModalityParams::by_name(&model.vs, &model.names).unwrap())
        .teacher(teacher("a", 3.0, WIDTH))
        .teacher(teacher("b", 1.0, WIDTH))
        .scheduler(Sequential::new([1, 1]))
        .build(&model)
        .unwrap();
    let batch = model.batch();
    for learns in
        [&["b", "trunk", "head"][..], &["a", "trunk", "head"], &["a", "b", "trunk", "head"]]
    {
        let moved = moved(&mut trainer, &model, &model.vs, &mut optimizer, &batch);
        assert_eq!(moved, under(&model.vs, learns));
        trainer.end_epoch().unwrap();
    }
}

/// What reaches the trunk is the gradient with the waiting modality's features held constant.
#[test]
fn a_shared_trunk_is_taught_by_the_learning_modality_alone() {
    let model = Trunk::new();
    let batch = model.batch();
    let mut trainer = G2dTrainer::builder(Classification::new(Distillation::none()))
        .encoders(ModalityParams::by_name(&model.vs, &model.names).unwrap())
        .teacher(teacher("a", 3.0, WIDTH))
        .teacher(teacher("b", 1.0, WIDTH))
        .scheduler(Sequential::new([1]))
        .build(&model)
        .unwrap();
    trainer.step(&model, &batch).unwrap();
    let stepped = gradients(&model.vs);
    nn::Sgd::default().build(&model.vs, 0.1).unwrap().zero_grad();
    let a = model.encode(0, &batch, true).unwrap().detach();
    let logits = model.fuse(&[a, model.encode(1, &batch, true).unwrap()], true).unwrap();
    // tch's `cross_entropy_for_logits` computes in single precision.
    let loss = logits.log_softmax(-1, Kind::Double).nll_loss(batch.targets());
    loss.backward();
    let by_hand = gradients(&model.vs);
    assert!(below(&stepped, "a").is_empty() && !below(&stepped, "trunk").is_empty());
    assert!(stepped.keys().eq(by_hand.keys()));
    for (name, gradient) in &stepped {
        assert_close(gradient, &by_hand[name]);
    }
}

const WORDS: i64 = 10;

/// Two texts that share their embedding.
struct Texts {
    vs: nn::VarStore,
    names: Vec<Modality>,
    words: nn::Embedding,
    layers: [nn::Linear; 2],
    head: nn::Linear,
}

impl Texts {
    fn new() -> Self {
        let mut vs = nn::VarStore::new(Device::Cpu);
        let root = vs.root();
        let words = nn::embedding(&root / "words", WORDS, WIDTH, Default::default());
        let layers = ["question", "context"]
            .map(|name| nn::linear(&root / name, WIDTH, WIDTH, Default::default()));
        let head = nn::linear(&root / "head", 2 * WIDTH, CLASSES, Default::default());
        vs.double();
        fill(&vs, 0.6);
        Self { vs, names: Modality::list(["question", "context"]), words, layers, head }
    }
}

impl Student for Texts {
    fn modalities(&self) -> &[Modality] {
        &self.names
    }

    fn encode(&self, m: usize, batch: &Batch, _train: bool) -> Result<Tensor> {
        let words = self.words.forward(batch.input(m)).f_mean_dim(1, false, Kind::Double)?;
        Ok(self.layers[m].forward(&words).tanh())
    }

    fn fuse(&self, features: &[Tensor], _train: bool) -> Result<Tensor> {
        Ok(self.head.forward(&Tensor::f_cat(features, 1)?))
    }
}

/// The question has words 0–4, the context words 5–9.
#[test]
fn a_shared_embedding_learns_the_words_of_the_learning_modality() {
    let model = Texts::new();
    let mut optimizer = nn::Sgd::default().build(&model.vs, 0.1).unwrap();
    let mut trainer = G2dTrainer::builder(Classification::default())
        .encoders(ModalityParams::by_name(&model.vs, &model.names).unwrap())
        .teacher(teacher("question", 3.0, WIDTH))
        .teacher(teacher("context", 1.0, WIDTH))
        .scheduler(Sequential::new([1]))
        .build(&model)
        .unwrap();
    let question = Tensor::arange(6 * 5, (Kind::Int64, Device::Cpu)).remainder(5).view([6, 5]);
    let batch = Batch::new([question.shallow_clone(), &question + 5], labels(6));
    let before = values(&model.vs);
    let found = moved(&mut trainer, &model, &model.vs, &mut optimizer, &batch);
    assert_eq!(found, under(&model.vs, &["context", "words", "head"]));
    let [was, is] = [&before["words.weight"], &values(&model.vs)["words.weight"]];
    assert!(was.i(..5).equal(&is.i(..5)), "a word of the suppressed modality alone moved");
    for word in 5..WORDS {
        assert!(!was.i(word).equal(&is.i(word)), "word {word} did not learn");
    }
    trainer.end_epoch().unwrap();
    let found = moved(&mut trainer, &model, &model.vs, &mut optimizer, &batch);
    assert_eq!(found, under(&model.vs, &["question", "context", "words", "head"]));
    let last = &values(&model.vs)["words.weight"];
    assert!((0..WORDS).all(|word| !is.i(word).equal(&last.i(word))));
}
