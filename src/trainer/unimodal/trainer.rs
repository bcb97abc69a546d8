//! The configuration of a teacher's training and the loop over epochs.

use std::{fmt, rc::Rc};

use tch::{Tensor, nn::VarStore};

use super::{
    options::StepOptions,
    report::{KeepWeights, TeacherEpoch, TrainedTeacher},
    run::{Run, Score},
    task::Task,
};
use crate::batch::Batch;
use crate::error::{self, Result};
use crate::loss::G2dLoss;
use crate::modality::Modality;
use crate::optim::{self, Algorithm, LrSchedule, Optimizer};
use crate::ranks::Collective;
use crate::teacher::UnimodalModel;
use crate::trainer::{LossScaling, NonFinite, Precision, replicas};
use crate::weights::BestEpoch;

/// Trains a teacher from an encoder and a head, by the task term L_S of a loss.
///
/// Samples without the modality are left out. A step has the options of a student's: accumulation,
/// clipping, precision, a policy for values that are not finite, groups of the optimizer, and a learning
/// rate per epoch and per update.
///
/// With the default options the trainer synchronises with the device once per epoch (and after 1024
/// steps of one), and once before the first if the model has buffers.
/// It draws no random numbers: for a reproducible teacher, seed torch before the model is made (and for
/// dropout), and let the loader order its samples by a seed and the epoch.
///
/// # Example
/// ```
/// use g2d::{
///     Batch,
///     batch::Input,
///     loss::Classification,
///     metrics,
///     optim::{LrSchedule, SgdConfig},
///     teacher::FrozenModel,
///     trainer::{KeepWeights, UnimodalTrainer},
/// };
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
/// let model = move |input: &Input, _train: bool| {
///     let features = encoder.forward(input).relu();
///     let logits = head.forward(&features);
///     (features, logits)
/// };
/// let sgd = SgdConfig { lr: 0.5, ..SgdConfig::default() };
/// // "audio" is modality 0 of the batches.
/// let trained = UnimodalTrainer::new("audio", 0, Classification::default(), sgd)
///     .epochs(30)
///     .schedule(LrSchedule::step(20, 0.1))
///     .score(metrics::accuracy)
///     .keep(KeepWeights::Best)
///     .patience(10)
///     .train(&model, &vs, train, val)?;
/// assert!(trained.score > 0.9, "{trained:?}");
/// let teacher = FrozenModel::new("audio", &mut vs, model);
/// # Ok::<(), g2d::Error>(())
/// ```
#[must_use = "a trainer does nothing until `train`"]
pub struct UnimodalTrainer<'a> {
    task: Task,
    algorithm: Algorithm,
    optimizer: Option<ConfigureOptimizer<'a>>,
    options: StepOptions,
    schedule: LrSchedule,
    epochs: u64,
    keep: KeepWeights,
    patience: Option<u64>,
    score: Option<Box<Score<'a>>>,
    on_epoch: Option<OnEpoch<'a>>,
    group: Option<Rc<dyn Collective>>,
}

type OnEpoch<'a> = Box<dyn FnMut(&TeacherEpoch) + 'a>;
type ConfigureOptimizer<'a> = Box<dyn FnOnce(optim::Builder) -> optim::Builder + 'a>;

impl<'a> UnimodalTrainer<'a> {
    /// A trainer for `modality`, which has index `m` in the batches. By default it trains for 100
    /// epochs at a constant learning rate and keeps the last weights.
    pub fn new(
        modality: impl Into<Modality>,
        m: usize,
        loss: impl G2dLoss + 'static,
        algorithm: impl Into<Algorithm>,
    ) -> Self {
        Self {
            task: Task::new(modality.into(), m, Box::new(loss)),
            algorithm: algorithm.into(),
            optimizer: None,
            options: StepOptions::default(),
            schedule: LrSchedule::constant(),
            epochs: 100,
            keep: KeepWeights::default(),
            patience: None,
            score: None,
            on_epoch: None,
            group: None,
        }
    }

    /// Sets the maximum number of epochs.
    pub fn epochs(mut self, epochs: u64) -> Self {
        self.epochs = epochs;
        self
    }

    /// Sets the learning rate schedule over epochs.
    pub fn schedule(mut self, schedule: LrSchedule) -> Self {
        self.schedule = schedule;
        self
    }

    /// Sets a learning rate schedule over updates of the optimizer, beside the one over epochs; their
    /// factors are multiplied.
    pub fn schedule_per_update(mut self, schedule: LrSchedule) -> Self {
        self.options.update_schedule = schedule;
        self
    }

    /// Sets groups of the optimizer: `configure` receives its builder, for example
    /// `|builder| builder.group("head", sgd).no_decay(ParameterInfo::is_bias_or_norm)`.
    pub fn optimizer(
        mut self,
        configure: impl FnOnce(optim::Builder) -> optim::Builder + 'a,
    ) -> Self {
        self.optimizer = Some(Box::new(configure));
        self
    }

    /// Accumulates the gradients of `n` batches into one update: their mean. The last window of an
    /// epoch may be shorter. The default is 1.
    pub fn accumulate(mut self, n: u64) -> Self {
        self.options.accumulate = n;
        self
    }

    /// Sets the largest L2 norm of all gradients together, to which they are scaled; by default they
    /// are not clipped.
    pub fn clip_norm(mut self, max_norm: f64) -> Self {
        self.options.clip_norm = Some(max_norm);
        self
    }

    /// Sets the dtype of forward passes; the default is [`Precision::Full`].
    pub fn precision(mut self, precision: Precision) -> Self {
        self.task.precision = precision;
        self
    }

    /// Sets the loss scaling of fp16; the defaults are PyTorch's.
    pub fn loss_scaling(mut self, scaling: LossScaling) -> Self {
        self.options.loss_scaling = scaling;
        self
    }

    /// Sets the policy for values that are not finite; the default is [`NonFinite::Error`]. A skipped
    /// step does not count in the mean loss, which is NaN for an epoch of skipped steps.
    pub fn non_finite(mut self, policy: NonFinite) -> Self {
        self.options.non_finite = policy;
        self
    }

    /// Sets which epoch's weights are kept.
    pub fn keep(mut self, keep: KeepWeights) -> Self {
        self.keep = keep;
        self
    }

    /// Stops the training after this number of epochs in a row without a better score.
    pub fn patience(mut self, epochs: u64) -> Self {
        self.patience = Some(epochs);
        self
    }

    /// Sets the score of an epoch: a function of logits [N, C] and targets of all validation samples,
    /// in host memory; higher is better. For example [`metrics::accuracy`](crate::metrics::accuracy), or
    /// `|p, y| Ok(-metrics::rmse(p, y)?)`; by default −L_S on the validation data.
    pub fn score(mut self, score: impl Fn(&Tensor, &Tensor) -> Result<f64> + 'a) -> Self {
        self.score = Some(Box::new(score));
        self
    }

    /// Sets a callback that is called after each epoch, for progress or a log.
    pub fn on_epoch(mut self, callback: impl FnMut(&TeacherEpoch) + 'a) -> Self {
        self.on_epoch = Some(Box::new(callback));
        self
    }

    /// Trains together with the other ranks of `group`, as
    /// [`Builder::group`](crate::trainer::Builder::group): each step is a step on the batches of all ranks
    /// together. Each rank passes its own part of the training data, in as many batches, and of the validation
    /// data, over all of which the score is computed. A step in which some ranks have samples of the modality and
    /// others have none is an error. Buffers are averaged at the end of an epoch.
    #[cfg(feature = "distributed")]
    pub fn group(mut self, group: &crate::distributed::ProcessGroup) -> Self {
        self.group = Some(group.collective());
        self
    }

    /// Trains `model`, all of whose parameters are in `vs`. `train(epoch)` returns the training batches
    /// of an epoch, counted from 0; `val()` returns the validation batches. All are on the device of
    /// `vs`.
    ///
    /// # Errors
    /// [`Error::Config`](crate::Error::Config) without an epoch, a batch, or a parameter that learns,
    /// for a modality that the batches do not have, for a hyper-parameter out of range, and for a model
    /// whose loss depends on no parameter of `vs`;
    /// [`Error::Shape`](crate::Error::Shape), [`Error::Kind`](crate::Error::Kind),
    /// [`Error::Device`](crate::Error::Device) or [`Error::Target`](crate::Error::Target) for batches
    /// and outputs that do not match; [`Error::NonFinite`](crate::Error::NonFinite) for a loss, a
    /// parameter or a buffer that is not finite, for example after a batch of one sample in batch norm,
    /// and for a score that is NaN; any error of a batch, of the model or of the score. Logits of class
    /// labels that are probabilities (every row ≥ 0 with the sum 1) are an `Error::Config`.
    ///
    /// On the CPU a step whose loss or buffers are not finite is found before its backward, and the
    /// buffers are restored; on another device at the end of the epoch, or after 1024 steps. A policy that
    /// skips finds it in the step.
    pub fn train<T, V>(
        mut self,
        model: &dyn UnimodalModel,
        vs: &VarStore,
        mut train: impl FnMut(u64) -> T,
        mut val: impl FnMut() -> V,
    ) -> Result<TrainedTeacher>
    where
        T: IntoIterator<Item = Result<Batch>>,
        V: IntoIterator<Item = Result<Batch>>,
    {
        if self.epochs == 0 || self.patience == Some(0) {
            let what = format!("epochs and patience for {:?}", self.task.modality());
            let found = format!("{} and {:?}", self.epochs, self.patience);
            return Err(error::out_of_range(what, "at least 1", found));
        }
        self.schedule.check()?;
        self.options.update_schedule.check()?;
        let builder = Optimizer::builder(vs, self.algorithm);
        let builder = match self.optimizer.take() {
            Some(configure) => configure(builder),
            None => builder,
        };
        let mut optimizer = builder.build()?;
        let ranks = replicas::join(self.group.take(), 1, || format!("{self:?}"))?;
        let mut run = Run::new(&self.task, model, vs, self.options, ranks)?;
        let mut weights = BestEpoch::default();
        let (mut best, mut best_epoch) = (f64::NEG_INFINITY, 0);
        let mut epochs: Vec<TeacherEpoch> = Vec::new();
        for epoch in 0..self.epochs {
            let losses = run.train(self.schedule.factor(epoch), &mut optimizer, train(epoch))?;
            let report = run.validate(&losses, self.score.as_deref(), val())?;
            if report.score > best {
                (best, best_epoch) = (report.score, epoch);
            }
            if self.keep == KeepWeights::Best {
                weights.keep_finite(report.score, run.variables())?;
            }
            if let Some(on_epoch) = &mut self.on_epoch {
                on_epoch(&report);
            }
            epochs.push(report);
            if self.patience.is_some_and(|patience| epoch - best_epoch >= patience) {
                break;
            }
        }
        let kept = match self.keep {
            KeepWeights::Best => {
                weights.restore()?;
                best_epoch
            }
            KeepWeights::Last => epochs.len() as u64 - 1,
        };
        let stopped_early = (epochs.len() as u64) < self.epochs;
        Ok(TrainedTeacher { score: epochs[kept as usize].score, kept, stopped_early, epochs })
    }
}

impl fmt::Debug for UnimodalTrainer<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("UnimodalTrainer")
            .field("modality", &self.task.modality())
            .field("algorithm", &self.algorithm)
            .field("precision", &self.task.precision)
            .field("options", &self.options)
            .field("schedule", &self.schedule)
            .field("epochs", &self.epochs)
            .field("keep", &self.keep)
            .field("patience", &self.patience)
            .finish_non_exhaustive()
    }
}
