//! A student whose encoders are a closure.

use g2d::{
    Batch, Features, G2dTrainer, Modality, ModalityParams, Result, Student, loss::Classification,
};
use tch::{Device, Tensor, nn, nn::Module, nn::OptimizerConfig};

use super::{CLASSES, INPUT, WIDTH, fill, labels, wave};

type Encode = Box<dyn Fn(usize, &Tensor) -> Tensor>;

/// A closure that encodes modality m to [B, [`WIDTH`]], and a linear head over the features,
/// `head`.
pub struct ClosureStudent {
    pub vs: nn::VarStore,
    pub names: Vec<Modality>,
    encode: Encode,
    head: nn::Linear,
}

impl ClosureStudent {
    /// A student in `Double` whose encoders `encoders` makes below the root; `seed` determines the
    /// weights.
    pub fn new<F>(names: [&str; 2], seed: f64, encoders: impl FnOnce(&nn::Path<'_>) -> F) -> Self
    where
        F: Fn(usize, &Tensor) -> Tensor + 'static,
    {
        let mut vs = nn::VarStore::new(Device::Cpu);
        let root = vs.root();
        let encode = Box::new(encoders(&root));
        let head = nn::linear(&root / "head", 2 * WIDTH, CLASSES, Default::default());
        vs.double();
        fill(&vs, seed);
        Self { vs, names: Modality::list(names), encode, head }
    }

    /// A trainer's builder with this student's parameters, by name.
    pub fn builder(&self) -> g2d::trainer::Builder {
        let params = ModalityParams::by_name(&self.vs, &self.names).unwrap();
        G2dTrainer::builder(Classification::default()).encoders(params)
    }

    /// SGD with momentum and weight decay, which move parameters whose gradient is zero.
    pub fn optimizer(&self, lr: f64) -> nn::Optimizer {
        nn::Sgd { momentum: 0.9, wd: 0.1, ..Default::default() }.build(&self.vs, lr).unwrap()
    }

    /// Six samples of [`INPUT`] numbers for each modality.
    pub fn batch(&self) -> Batch {
        Batch::new([wave(0.0, &[6, INPUT]), wave(50.0, &[6, INPUT])], labels(6))
    }
}

impl Student for ClosureStudent {
    fn modalities(&self) -> &[Modality] {
        &self.names
    }

    fn encode(&self, m: usize, batch: &Batch, _train: bool) -> Result<Tensor> {
        Ok((self.encode)(m, batch.input(m)))
    }

    fn fuse(&self, features: &Features<'_>, _train: bool) -> Result<Tensor> {
        Ok(self.head.forward(&Tensor::f_cat(features, 1)?))
    }
}
