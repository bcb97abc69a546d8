//! The paper's CREMA-D student and teachers, and batches in their shapes.

use anyhow::Result;
use g2d::{
    Batch, Modality, Teacher,
    optim::{Optimizer, SgdConfig},
    paper::networks::{
        Backbone, ClassifierConfig, FusionClassifier, FusionKind, Initialisation,
        UnimodalClassifier,
    },
    teacher::{Cached, FrozenModel},
};
use tch::{Device, Kind, Tensor, nn::VarStore};

pub const NAMES: [&str; 2] = ["audio", "visual"];
const CHANNELS: [i64; 2] = [1, 3];
pub const CLASSES: i64 = 6;
/// Different batches, so that no step finds its inputs in a cache.
const BATCHES: i64 = 4;

/// Samples in a batch, and how large they are.
#[derive(Debug, Clone, Copy)]
pub struct Shape {
    pub batch: i64,
    pub audio: [i64; 2],
    pub side: i64,
}

impl Shape {
    pub const CREMAD: Self = Self { batch: 16, audio: [257, 188], side: 224 };
    pub const SMOKE: Self = Self { batch: 2, audio: [33, 24], side: 32 };
}

/// A student with its optimizer, and batches.
pub struct Setting {
    pub vs: VarStore,
    pub student: FusionClassifier,
    pub optimizer: Optimizer,
    pub batches: Vec<Batch>,
    /// In which layout student and teachers are.
    channels_last: bool,
    cached: Vec<Cached>,
    next: usize,
}

impl Setting {
    /// Labels are what the audio teacher takes the samples for: it is the stronger one, as on CREMA-D.
    pub fn new(shape: Shape, channels_last: bool) -> Result<Self> {
        let vs = VarStore::new(Device::Cpu);
        let modalities: Vec<_> = NAMES.iter().map(Modality::new).zip(CHANNELS).collect();
        let config = ClassifierConfig::authors(FusionKind::Late);
        let student = FusionClassifier::new(&vs, &modalities, CLASSES, config)?;
        if channels_last {
            g2d::weights::channels_last(&vs)?;
        }
        let rule = SgdConfig { lr: 1e-3, momentum: 0.9, weight_decay: 1e-4, ..Default::default() };
        let optimizer = Optimizer::builder(&vs, rule).build()?;
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

    /// Teachers that run in every step.
    pub fn live(&self) -> Result<Vec<Box<dyn Teacher>>> {
        let live = |m| Ok(Box::new(teacher(m, self.channels_last)?) as Box<dyn Teacher>);
        (0..NAMES.len()).map(live).collect()
    }

    /// Teachers that have answered already.
    pub fn cached(&self) -> Vec<Box<dyn Teacher>> {
        let share = |cached: &Cached| Box::new(cached.share()) as Box<dyn Teacher>;
        self.cached.iter().map(share).collect()
    }

    /// The place of the next batch.
    pub fn turn(&mut self) -> usize {
        self.next += 1;
        self.next % self.batches.len()
    }
}

fn batch(shape: Shape, number: i64, audio_teacher: &dyn Teacher) -> Result<Batch> {
    let Shape { batch, audio, side } = shape;
    let options = (Kind::Float, Device::Cpu);
    let inputs = [
        Tensor::randn([batch, CHANNELS[0], audio[0], audio[1]], options),
        Tensor::randn([batch, CHANNELS[1], 1, side, side], options),
    ];
    let ids: Vec<i64> = (number * batch..(number + 1) * batch).collect();
    let unlabelled = Batch::new(
        inputs.each_ref().map(Tensor::shallow_clone),
        Tensor::zeros([batch], (Kind::Int64, Device::Cpu)),
    );
    let labels = audio_teacher.output(0, &unlabelled)?.logits.argmax(-1, false);
    Ok(Batch::new(inputs, labels).with_ids(ids))
}

/// The same weights whenever it is made; batch norm folded, as `into_folded_teacher` does.
fn teacher(m: usize, channels_last: bool) -> Result<FrozenModel> {
    tch::manual_seed(100 + m as i64);
    let mut vs = VarStore::new(Device::Cpu);
    let (backbone, init) = (Backbone::ResNet18, Initialisation::Authors);
    let net = UnimodalClassifier::new(&vs, CHANNELS[m], CLASSES, backbone, init)?;
    if channels_last {
        g2d::weights::channels_last(&vs)?;
    }
    Ok(net.into_folded_teacher(NAMES[m], &mut vs))
}
