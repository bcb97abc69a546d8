//! Trains a teacher: one modality, an encoder and a head.
//!
//! - [`UnimodalTrainer`]: the recipe; [`KeepWeights`]: whose epoch's weights are kept.
//! - `training.rs`: the loop; `step.rs`: one batch, checked.

mod step;
mod training;

use std::fmt;

use serde::{Deserialize, Serialize};
use tch::Tensor;

pub use training::{TeacherEpoch, TrainedTeacher};

use crate::{
    error::Result,
    loss::G2dLoss,
    modality::Modality,
    optim::{Algorithm, LrSchedule},
};

/// Which epoch's weights a teacher keeps.
///
/// ρ is measured on training data: it says how far a modality can be *fitted*. A teacher that was
/// stopped early has fitted less, so its ρ is lower, and SMP may then hold back the wrong modality.
/// KeepWeights [`Last`](Self::Last) for teachers that rank, and choose on validation data where you are not
/// sure; [`Best`](Self::Best) teachers may have more to teach.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum KeepWeights {
    /// The last epoch's.
    #[default]
    Last,
    /// Those with the highest score on validation data; the first of equals. The authors' choice
    /// (made on their test data).
    Best,
}

/// Who is told of every epoch.
type Watch<'a> = Box<dyn FnMut(&TeacherEpoch) + 'a>;

/// Trains a teacher from the caller's encoder and head, by the task's part L_S of a loss.
///
/// It draws no random numbers: seed torch before the model is made (and for dropout), and let the
/// loader order its samples by a seed and the epoch that it is told. The same seeds then train the same
/// teacher. Samples that lack the modality are left out. The device is waited for once an epoch.
///
/// # Example
/// ```
/// use g2d::optim::{LrSchedule, SgdConfig};
/// use g2d::{Batch, KeepWeights, loss::Classification, metrics, teacher::FrozenModel, trainer::UnimodalTrainer};
/// use tch::{Device, Kind, Tensor, nn, nn::Module};
///
/// # tch::manual_seed(1);
/// # let batch = || {
/// #     let labels = Tensor::arange(32, (Kind::Int64, Device::Cpu)).remainder(4);
/// #     Ok(Batch::new([labels.one_hot(4).to_kind(Kind::Float)], labels))
/// # };
/// # let (train, val) = (|_epoch: u64| (0..8).map(|_| batch()), || [batch()]);
/// let mut vs = nn::VarStore::new(Device::Cpu);
/// let encoder = nn::linear(vs.root() / "encoder", 4, 8, Default::default());
/// let head = nn::linear(vs.root() / "head", 8, 4, Default::default());
/// let model = move |input: &Tensor, _train: bool| {
///     let features = encoder.forward(input).relu();
///     let logits = head.forward(&features);
///     (features, logits)
/// };
/// // "audio" is modality 0 of the batches.
/// let taught = UnimodalTrainer::new("audio", 0, Classification::default(), SgdConfig { lr: 0.5, ..SgdConfig::default() })
///     .epochs(30)
///     .schedule(LrSchedule::step(20, 0.1))
///     .score(metrics::accuracy)
///     .keep(KeepWeights::Best)
///     .patience(10)
///     .train(&model, &vs, train, val)?;
/// assert!(taught.score > 0.9, "{taught:?}");
/// let teacher = FrozenModel::new("audio", &mut vs, model); // frozen; or record it: CachedTeacher
/// # Ok::<(), g2d::Error>(())
/// ```
#[must_use = "a trainer does nothing until `train`"]
pub struct UnimodalTrainer<'a> {
    modality: Modality,
    m: usize,
    loss: Box<dyn G2dLoss + 'a>,
    rule: Algorithm,
    schedule: LrSchedule,
    epochs: u64,
    keep: KeepWeights,
    patience: Option<u64>,
    score: Option<Score<'a>>,
    watch: Option<Watch<'a>>,
}

/// What logits [N, C] are worth beside their targets; higher is better.
type Score<'a> = Box<dyn Fn(&Tensor, &Tensor) -> Result<f64> + 'a>;

impl<'a> UnimodalTrainer<'a> {
    /// For `modality`, which has index `m` in the batches: 100 epochs of `rule` at a constant rate,
    /// the last one kept, unless told otherwise below.
    pub fn new(
        modality: impl Into<Modality>,
        m: usize,
        loss: impl G2dLoss + 'a,
        rule: impl Into<Algorithm>,
    ) -> Self {
        Self {
            modality: modality.into(),
            m,
            loss: Box::new(loss),
            rule: rule.into(),
            schedule: LrSchedule::constant(),
            epochs: 100,
            keep: KeepWeights::default(),
            patience: None,
            score: None,
            watch: None,
        }
    }

    /// At most so many epochs.
    pub fn epochs(mut self, epochs: u64) -> Self {
        self.epochs = epochs;
        self
    }

    /// The learning rate, by epoch.
    pub fn schedule(mut self, schedule: LrSchedule) -> Self {
        self.schedule = schedule;
        self
    }

    /// Which epoch's weights are kept.
    pub fn keep(mut self, keep: KeepWeights) -> Self {
        self.keep = keep;
        self
    }

    /// Stops after so many epochs in a row without a better score; never if not given.
    pub fn patience(mut self, epochs: u64) -> Self {
        self.patience = Some(epochs);
        self
    }

    /// What an epoch is judged by: logits [N, C] and targets of all validation samples, in host
    /// memory, to one number; higher is better. [`metrics::accuracy`](crate::metrics::accuracy), or
    /// `|p, y| Ok(-metrics::rmse(p, y)?)`; if not given, −L_S on the validation data.
    pub fn score(mut self, score: impl Fn(&Tensor, &Tensor) -> Result<f64> + 'a) -> Self {
        self.score = Some(Box::new(score));
        self
    }

    /// Called after each epoch: for progress, or a log.
    pub fn on_epoch(mut self, watch: impl FnMut(&TeacherEpoch) + 'a) -> Self {
        self.watch = Some(Box::new(watch));
        self
    }
}

impl fmt::Debug for UnimodalTrainer<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("UnimodalTrainer")
            .field("modality", &self.modality)
            .field("rule", &self.rule)
            .field("schedule", &self.schedule)
            .field("epochs", &self.epochs)
            .field("keep", &self.keep)
            .field("patience", &self.patience)
            .finish_non_exhaustive()
    }
}
