//! Teachers made of tch modules.

use g2d::{
    Batch, Error, Result, Teacher,
    batch::Input,
    teacher::{FrozenModel, UnimodalModel},
};
use tch::{Device, Tensor, nn, nn::Module};

use crate::support::{CLASSES, INPUT, Tiny, WIDTH, assert_error, labels, wave};

/// Two linear layers, whose logits are doubled in training; fails on inputs of another width.
struct Model {
    encoder: nn::Linear,
    head: nn::Linear,
}

impl Model {
    fn new(vs: &nn::VarStore) -> Self {
        let linear = |name, from, to| nn::linear(vs.root() / name, from, to, Default::default());
        Self { encoder: linear("encoder", INPUT, WIDTH), head: linear("head", WIDTH, CLASSES) }
    }
}

impl UnimodalModel for Model {
    fn forward(&self, input: &Input, train: bool) -> Result<(Tensor, Tensor)> {
        let features = input.f_linear(&self.encoder.ws, self.encoder.bs.as_ref())?;
        let logits = self.head.forward(&features) * if train { 2.0 } else { 1.0 };
        Ok((features, logits))
    }
}

fn batch(width: i64) -> Batch {
    let input = wave(0.3, &[4, width]).to_kind(tch::Kind::Float);
    Batch::new([input], labels(4))
}

#[test]
fn a_model_and_a_boxed_model_are_frozen_and_run_in_evaluation_mode() {
    let mut vs = nn::VarStore::new(Device::Cpu);
    let model = Model::new(&vs);
    let (features, logits) = model.forward(&batch(INPUT).inputs()[0], false).unwrap();
    let boxed: Box<dyn UnimodalModel + Send> = Box::new(model);
    assert!(!vs.trainable_variables().is_empty());
    let teacher = FrozenModel::from_model("a", &mut vs, boxed);
    assert!(vs.trainable_variables().iter().all(|variable| !variable.requires_grad()));
    assert_eq!(teacher.modality().name(), "a");
    let output = teacher.output(0, &batch(INPUT)).unwrap();
    assert!(output.features.equal(&features) && output.logits.equal(&logits));
    assert!(output.host.is_none());
}

#[test]
fn an_error_of_the_model_is_an_error_of_the_teacher() {
    let mut vs = nn::VarStore::new(Device::Cpu);
    let model = Model::new(&vs);
    let teacher = FrozenModel::from_model("a", &mut vs, model);
    let error = assert_error(teacher.output(0, &batch(INPUT + 1)), &["cannot be multiplied"]);
    assert!(matches!(error, Error::Torch { .. }));
}

/// Even if the caller's input requires gradients.
#[test]
fn outputs_carry_no_gradient() {
    let student = Tiny::linear(2);
    let input = || wave(0.2, &[6, INPUT]).set_requires_grad(true);
    let batch = Batch::new([input(), input()], labels(6));
    let output = student.teacher(0, WIDTH).0.output(0, &batch).unwrap();
    assert!(!output.features.requires_grad() && !output.logits.requires_grad());
}
