//! The paper's CREMA-D student and teachers, and batches of their shapes.

use std::{cell::RefCell, rc::Rc};

use anyhow::Result;
use g2d::{
    Batch, G2dTrainer, Modality, Teacher,
    loss::Classification,
    optim::{Optimizer, SgdConfig},
    paper::networks::{
        Backbone, ClassifierConfig, FusionClassifier, FusionKind, Initialisation,
        UnimodalClassifier,
    },
    teacher::{Cached, FrozenModel},
    trainer::Builder,
    weights,
};
use tch::{Device, Kind, Tensor, nn::VarStore};

const NAMES: [&str; 2] = ["audio", "visual"];
const CHANNELS: [i64; 2] = [1, 3];
const CLASSES: i64 = 6;
/// Several batches, so that no step finds its inputs in a processor cache.
const BATCHES: i64 = 4;

/// Batch size, spectrogram size (frequencies × columns) and picture size.
#[derive(Debug, Clone, Copy)]
pub struct InputShape {
    pub batch: i64,
    pub audio: [i64; 2],
    pub side: i64,
}

impl InputShape {
    pub const CREMAD: Self = Self { batch: 16, audio: [257, 188], side: 224 };
    /// No feature map has one column: see the note on bf16 at [`Precision::Bf16`](g2d::trainer::Precision).
    pub const SMOKE: Self = Self { batch: 2, audio: [33, 33], side: 32 };
}

/// The student with its optimizer, teachers and batches.
pub struct CremadSetup {
    vs: VarStore,
    student: FusionClassifier,
    optimizer: Optimizer,
    batches: Vec<Batch>,
    /// Whether the weights of student and teachers are channels-last.
    channels_last: bool,
    cached: Vec<Cached>,
    next: usize,
}

/// A setup that several steps share.
pub type SharedSetup = Rc<RefCell<CremadSetup>>;

impl CremadSetup {
    /// The labels are the audio teacher's predictions, which makes it the stronger teacher, as on
    /// CREMA-D.
    pub fn new(shape: InputShape, channels_last: bool) -> Result<Self> {
        let vs = VarStore::new(Device::Cpu);
        let modalities: Vec<_> = NAMES.iter().map(Modality::new).zip(CHANNELS).collect();
        let config = ClassifierConfig::authors(FusionKind::Late);
        let student = FusionClassifier::new(&vs, &modalities, CLASSES, config)?;
        if channels_last {
            weights::channels_last(&vs)?;
        }
        let sgd = SgdConfig { lr: 1e-3, momentum: 0.9, weight_decay: 1e-4, ..Default::default() };
        let optimizer = Optimizer::builder(&vs, sgd).build()?;
        let teachers = [teacher(0, channels_last)?, teacher(1, channels_last)?];
        let batches = (0..BATCHES).map(|i| batch(shape, i, &teachers[0]));
        let batches = batches.collect::<Result<Vec<_>>>()?;
        let record = |(m, teacher): (usize, &FrozenModel)| {
            let all = batches.iter().map(|batch| batch.to_device(Device::Cpu));
            Cached::record(teacher, m, all)
        };
        let cached = teachers.iter().enumerate().map(record).collect::<g2d::Result<_>>()?;
        Ok(Self { vs, student, optimizer, batches, channels_last, cached, next: 0 })
    }

    /// The same, shared.
    pub fn shared(shape: InputShape, channels_last: bool) -> Result<SharedSetup> {
        Ok(Rc::new(RefCell::new(Self::new(shape, channels_last)?)))
    }

    /// Teachers that run in every step.
    pub fn live_teachers(&self) -> Result<Vec<Box<dyn Teacher>>> {
        let live = |m| Ok(Box::new(teacher(m, self.channels_last)?) as Box<dyn Teacher>);
        (0..NAMES.len()).map(live).collect()
    }

    /// Teachers with recorded outputs.
    pub fn cached_teachers(&self) -> Vec<Box<dyn Teacher>> {
        let share = |cached: &Cached| Box::new(cached.share()) as Box<dyn Teacher>;
        self.cached.iter().map(share).collect()
    }

    /// A trainer for the student; `configure` adds to its builder.
    pub fn trainer(&self, configure: impl FnOnce(Builder) -> Builder) -> Result<G2dTrainer> {
        let encoders = self.student.encoder_params(&self.vs)?;
        let builder = G2dTrainer::builder(Classification::default()).encoders(encoders);
        Ok(configure(builder).build(&self.student)?)
    }

    /// zero_grad, `backward` on the next batch, optimizer step.
    pub fn step(
        &mut self,
        backward: impl FnOnce(&FusionClassifier, &Batch) -> Result<()>,
    ) -> Result<()> {
        self.next = (self.next + 1) % self.batches.len();
        self.optimizer.zero_grad()?;
        backward(&self.student, &self.batches[self.next])?;
        Ok(self.optimizer.step()?)
    }

    /// The elements of all gradients that are defined.
    pub fn gradient_elements(&self) -> usize {
        let parameters = self.vs.trainable_variables();
        parameters.iter().map(Tensor::grad).filter(Tensor::defined).map(|grad| grad.numel()).sum()
    }

    /// Replaces all batches by `batch`.
    pub fn set_batch(&mut self, batch: &Batch) -> Result<()> {
        for place in &mut self.batches {
            *place = batch.to_device(Device::Cpu)?;
        }
        Ok(())
    }
}

fn batch(shape: InputShape, index: i64, audio_teacher: &dyn Teacher) -> Result<Batch> {
    let InputShape { batch, audio, side } = shape;
    let options = (Kind::Float, Device::Cpu);
    let inputs = [
        Tensor::randn([batch, CHANNELS[0], audio[0], audio[1]], options),
        Tensor::randn([batch, CHANNELS[1], 1, side, side], options),
    ];
    let ids: Vec<i64> = (index * batch..(index + 1) * batch).collect();
    let unlabelled = Batch::new(
        inputs.each_ref().map(Tensor::shallow_clone),
        Tensor::zeros([batch], (Kind::Int64, Device::Cpu)),
    );
    let labels = audio_teacher.output(0, &unlabelled)?.logits.argmax(-1, false);
    Ok(Batch::new(inputs, labels).with_ids(ids))
}

/// A teacher. Its weights are the same in every call.
fn teacher(m: usize, channels_last: bool) -> Result<FrozenModel> {
    tch::manual_seed(100 + m as i64);
    let mut vs = VarStore::new(Device::Cpu);
    let (backbone, init) = (Backbone::ResNet18, Initialisation::Authors);
    let net = UnimodalClassifier::new(&vs, CHANNELS[m], CLASSES, backbone, init)?;
    if channels_last {
        weights::channels_last(&vs)?;
    }
    Ok(net.into_teacher(NAMES[m], &mut vs))
}
