//! Unit tests of the owners in this folder, one file per owner, and the student that they share.

mod finite;
mod forward;
mod observers;
mod planner;
mod window;

use std::cell::{Cell, OnceCell};

use tch::{
    Device, Kind, Tensor,
    nn::{self, Module as _, VarStore},
};

use super::{FeatureProjection, Precision, SuppressedMode, Suppression, forward::ForwardPass};
use crate::batch::{Batch, Extras, SplitBatch};
use crate::error::Result;
use crate::loss::{self, Classification};
use crate::modality::Modality;
use crate::parameters::ModalityParams;
use crate::ranks::Ranks;
use crate::schedule::{Plan, Progress};
use crate::step::{Combined, MicroBatch, Objective, Observation};
use crate::student::{Features, Student};

/// A student of modalities `a` and `b` with linear encoders, a linear head and one buffer. It records
/// the `train` flag of its latest `encode`.
struct Pair {
    vs: VarStore,
    names: Vec<Modality>,
    encoders: [nn::Linear; 2],
    head: nn::Linear,
    buffer: Tensor,
    train: Cell<bool>,
}

impl Pair {
    fn new() -> Self {
        let vs = VarStore::new(Device::Cpu);
        let linear = |name: &str, inputs, outputs| {
            nn::linear(vs.root() / name, inputs, outputs, Default::default())
        };
        let encoders = [linear("a", 3, 2), linear("b", 3, 2)];
        let head = linear("head", 4, 2);
        let buffer = vs.root().zeros_no_train("statistics", &[1]);
        let mut variables: Vec<_> = vs.variables().into_iter().collect();
        variables.sort_by(|a, b| a.0.cmp(&b.0));
        let _no_grad = tch::no_grad_guard();
        for (i, (_, mut variable)) in variables.into_iter().enumerate() {
            variable.copy_(&wave(i as f64, &variable.size()));
        }
        Self {
            names: Modality::list(["a", "b"]),
            encoders,
            head,
            buffer,
            train: Cell::new(false),
            vs,
        }
    }

    fn objective(&self) -> Objective {
        Objective::new(self.names.clone(), Box::new(Classification::default()), None).unwrap()
    }

    fn params(&self) -> ModalityParams {
        ModalityParams::by_name(&self.vs, &self.names).unwrap()
    }

    /// The gradient of the encoder of `a`.
    fn gradient(&self) -> Tensor {
        self.encoders[0].ws.grad()
    }

    /// Runs a forward pass under `kappa` and passes the observation of it to `action`.
    fn observe<T>(
        &self,
        batch: &Batch,
        kappa: [f64; 2],
        micro_batch: MicroBatch,
        action: impl FnOnce(&Observation<'_>) -> T,
    ) -> T {
        let (objective, params) = (self.objective(), self.params());
        let plan = Plan::new(kappa).unwrap();
        let parts = SplitBatch::new(batch, 2).unwrap();
        let mut forward = forward(SuppressedMode::Train);
        let output = forward.run(self, &parts, &[], &plan, &params, &objective).unwrap();
        let input = loss::Input {
            modalities: objective.modalities(),
            logits: &output.logits,
            features: &output.distilled,
            teachers: &[],
            unimodal: &[],
            rows: parts.rows(),
            targets: batch.targets(),
            extras: &Extras::default(),
        };
        let terms = objective.terms(&input).unwrap();
        action(&Observation {
            at: Progress::default(),
            micro_batch,
            batch,
            rows: parts.rows(),
            params: &params,
            plan: &plan,
            teachers: &[],
            confidence: &[None, None],
            terms: &terms,
            logits: &output.logits.detach(),
            fused: &output.features,
            student: Some(self),
            objective: &objective,
            ranks: &Ranks::default(),
            combined: &Combined::alone(2),
            unimodal: OnceCell::new(),
        })
    }
}

impl Student for Pair {
    fn modalities(&self) -> &[Modality] {
        &self.names
    }

    fn encode(&self, m: usize, batch: &Batch, train: bool) -> Result<Tensor> {
        self.train.set(train);
        Ok(self.encoders[m].forward(batch.input(m)))
    }

    fn fuse(&self, features: &Features<'_>, _train: bool) -> Result<Tensor> {
        Ok(self.head.forward(&Tensor::f_cat(features, 1)?))
    }
}

/// The only micro-batch of a window.
const WHOLE: MicroBatch = MicroBatch { index: 0, count: 1 };

fn forward(suppressed_mode: SuppressedMode) -> ForwardPass {
    let (suppression, precision) = (Suppression::SkipBackward, Precision::Full);
    let projection = FeatureProjection::default();
    let modalities = Modality::list(["a", "b"]);
    ForwardPass::new(suppression, suppressed_mode, precision, projection, &modalities).unwrap()
}

/// Two samples of each modality whose values depend on `phase`.
fn batch(phase: f64) -> Batch {
    let inputs = [wave(phase, &[2, 3]), wave(phase + 1.0, &[2, 3])];
    Batch::new(inputs, Tensor::from_slice(&[0_i64, 1]))
}

/// sin(0 + phase), sin(1 + phase), … in `shape`.
fn wave(phase: f64, shape: &[i64]) -> Tensor {
    let count: i64 = shape.iter().product();
    (Tensor::arange(count, (Kind::Float, Device::Cpu)) + phase).sin().reshape(shape)
}
