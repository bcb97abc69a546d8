//! Parameters that modalities share belong to no modality: they learn from the modalities that are
//! not suppressed.

use g2d::{
    Batch, G2dTrainer, Student,
    loss::{Classification, Distillation},
    schedule::Sequential,
};
use tch::{
    Device, IndexOp, Kind, Tensor,
    nn::{self, Module, OptimizerConfig},
};

use super::{changed, names_below, teacher, trainer};
use crate::support::{
    ClosureStudent, INPUT, WIDTH, assert_close, fuse, gradients, labels, values, with_prefix,
};

/// A stem for each modality, then one trunk for both.
fn trunk() -> ClosureStudent {
    ClosureStudent::new(["a", "b"], 0.5, |root| {
        let stems =
            ["a", "b"].map(|name| nn::linear(root / name, INPUT, WIDTH, Default::default()));
        let trunk = nn::linear(root / "trunk", WIDTH, WIDTH, Default::default());
        move |m, x: &Tensor| trunk.forward(&stems[m].forward(x).tanh()).tanh()
    })
}

#[test]
fn a_shared_trunk_learns_while_one_of_its_stems_is_suppressed() {
    let model = trunk();
    let mut optimizer = model.optimizer(0.05);
    let mut trainer = trainer(&model, Sequential::new([1, 1]));
    for learning in
        [&["b", "trunk", "head"][..], &["a", "trunk", "head"], &["a", "b", "trunk", "head"]]
    {
        let found = changed(&mut trainer, &model, &model.vs, &mut optimizer, &model.batch());
        assert_eq!(found, names_below(&model.vs, learning));
        trainer.end_epoch().unwrap();
    }
}

#[test]
fn the_gradient_of_a_shared_trunk_comes_from_the_learning_modality_alone() {
    let model = trunk();
    let batch = model.batch();
    let mut trainer = G2dTrainer::builder(Classification::new(Distillation::none()))
        .encoders(g2d::ModalityParams::by_name(&model.vs, &model.names).unwrap())
        .teacher(teacher("a", 3.0, WIDTH))
        .teacher(teacher("b", 1.0, WIDTH))
        .scheduler(Sequential::new([1]))
        .build(&model)
        .unwrap();
    trainer.step(&model, &batch).unwrap();
    let stepped = gradients(&model.vs);
    model.optimizer(0.1).zero_grad();
    let a = model.encode(0, &batch, true).unwrap().detach();
    let logits = fuse(&model, &[a, model.encode(1, &batch, true).unwrap()], &batch, true);
    // tch's `cross_entropy_for_logits` computes in single precision.
    let loss = logits.log_softmax(-1, Kind::Double).nll_loss(batch.targets());
    loss.backward();
    let expected = gradients(&model.vs);
    assert!(with_prefix(&stepped, "a").is_empty() && !with_prefix(&stepped, "trunk").is_empty());
    assert!(stepped.keys().eq(expected.keys()));
    for (name, gradient) in &stepped {
        assert_close(gradient, &expected[name]);
    }
}

const WORDS: i64 = 10;

/// Two texts that share their embedding.
fn texts() -> ClosureStudent {
    ClosureStudent::new(["question", "context"], 0.6, |root| {
        let words = nn::embedding(root / "words", WORDS, WIDTH, Default::default());
        let layers = ["question", "context"]
            .map(|name| nn::linear(root / name, WIDTH, WIDTH, Default::default()));
        move |m, x: &Tensor| {
            layers[m].forward(&words.forward(x).mean_dim(1, false, Kind::Double)).tanh()
        }
    })
}

/// The question has words 0–4, the context words 5–9.
#[test]
fn a_shared_embedding_learns_the_words_of_the_learning_modality() {
    let model = texts();
    let mut optimizer = nn::Sgd::default().build(&model.vs, 0.1).unwrap();
    let mut trainer = trainer(&model, Sequential::new([1]));
    let question = Tensor::arange(6 * 5, (Kind::Int64, Device::Cpu)).remainder(5).view([6, 5]);
    let batch = Batch::new([question.shallow_clone(), &question + 5], labels(6));
    let before = values(&model.vs);
    let found = changed(&mut trainer, &model, &model.vs, &mut optimizer, &batch);
    assert_eq!(found, names_below(&model.vs, &["context", "words", "head"]));
    let [old, new] = [&before["words.weight"], &values(&model.vs)["words.weight"]];
    assert!(old.i(..5).equal(&new.i(..5)), "a word of the suppressed modality changed");
    for word in 5..WORDS {
        assert!(!old.i(word).equal(&new.i(word)), "word {word} did not learn");
    }
    trainer.end_epoch().unwrap();
    let found = changed(&mut trainer, &model, &model.vs, &mut optimizer, &batch);
    assert_eq!(found, names_below(&model.vs, &["question", "context", "words", "head"]));
    let last = &values(&model.vs)["words.weight"];
    assert!((0..WORDS).all(|word| !new.i(word).equal(&last.i(word))));
}
