//! The data sets and their networks.

use std::{path::Path, sync::Arc};

use anyhow::Result;
use g2d::{
    Modality, ModalityParams, Student,
    data::{BatchOrder, InMemory, Loader, LoaderOptions},
    paper::{
        data::{
            AvMnist, ClipCache, ClipDataset, ClipTransform, Clips, Cremad, GroupShares, Mode,
            OnMissing, VggSound,
        },
        networks::{Backbone, ClassifierConfig, FusionClassifier, FusionKind, UnimodalClassifier},
    },
    teacher::UnimodalModel,
};
use rand::{SeedableRng, rngs::StdRng};
use tch::{Device, Tensor, nn::VarStore};

use crate::support::{
    comparison::{
        HELD_OUT, Networks, PredictionTask, Problem, SplitData, Splits, data_name, with_validation,
    },
    composition::{FusionTraits, StudentDesign},
};

const EMBEDDED: &[u8] = include_bytes!("../data/spoken-digits/digits.npz");

/// The layout of a data folder.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum DataLayout {
    /// AudioWAV/, Image-01-FPS/, train.csv, test.csv
    Cremad,
    /// audio/, Image-01-FPS/, vggsound.csv (or train.csv, test.csv)
    Vggsound,
    /// image/, audio/ and labels, as .npy
    AvMnist,
}

/// How clips are read.
#[derive(Debug, Clone, clap::Args)]
pub struct ClipArguments {
    /// Split CREMA-D by speaker; in the authors' split all actors are in every part
    #[arg(long)]
    by_speaker: bool,
    /// Skip clips with missing files and print their number, instead of an error
    #[arg(long)]
    skip_missing: bool,
    /// Number of frames per clip [default: 1 for CREMA-D, 3 for VGGSound]
    #[arg(long, value_name = "N")]
    frames: Option<usize>,
    /// Number of decoding threads per training
    #[arg(long, default_value_t = 1)]
    workers: usize,
    /// Size of the memory cache of decoded clips, in MiB per split
    #[arg(long, value_name = "MIB", default_value_t = 0)]
    cache: usize,
}

/// The splits of a data set.
pub struct AudioVisualData {
    name: String,
    splits: Splits,
    classes: i64,
    /// The modalities and their numbers of input channels.
    channels: Vec<(Modality, i64)>,
}

impl AudioVisualData {
    /// The embedded spoken digits.
    pub fn embedded() -> Result<Self> {
        let set = AvMnist::from_npz_bytes("spoken-digits/digits.npz", EMBEDDED)?;
        Self::in_memory("the embedded spoken digits", set, 0)
    }

    /// A folder in the layout of AV-MNIST.
    pub fn av_mnist(folder: &Path, seed: u64) -> Result<Self> {
        Self::in_memory(&data_name(folder), AvMnist::from_folder(folder)?, seed)
    }

    fn in_memory(name: &str, set: AvMnist, seed: u64) -> Result<Self> {
        let (train, val) = with_validation(set.train, set.val, seed)?;
        Ok(Self {
            name: name.to_owned(),
            channels: train.modalities().iter().map(|m| (m.clone(), 1)).collect(),
            splits: Splits::in_memory([train, val, set.test]),
            classes: AvMnist::CLASSES,
        })
    }

    /// A folder of clips.
    pub fn clips(
        layout: DataLayout,
        folder: &Path,
        arguments: &ClipArguments,
        batch_size: usize,
        seed: u64,
    ) -> Result<Self> {
        let missing = if arguments.skip_missing { OnMissing::Skip } else { OnMissing::Error };
        let (splits, transform) = if layout == DataLayout::Vggsound {
            let set = VggSound::new(folder, missing).with_frames(arguments.frames.unwrap_or(3));
            (set.split()?, set.transform())
        } else {
            let set = Cremad::new(folder, missing).with_frames(arguments.frames.unwrap_or(1));
            let splits = match arguments.by_speaker {
                true => set.speaker_split(GroupShares::default(), seed)?,
                false => set.authors_split()?,
            };
            (splits, set.transform())
        };
        let (train, val) = match splits.val {
            Some(val) => (splits.train, val),
            None => splits.train.hold_out(HELD_OUT, &mut StdRng::seed_from_u64(seed))?,
        };
        for (name, clips) in [("training", &train), ("validation", &val), ("test", &splits.test)] {
            if clips.excluded().total() > 0 {
                eprintln!("{name} split: {}", clips.excluded());
            }
        }
        let cache = match arguments.cache {
            0 => ClipCache::Off,
            mib => ClipCache::Memory { bytes: mib << 20 },
        };
        let order = BatchOrder { seed, ..BatchOrder::stored(batch_size) };
        let options = LoaderOptions { workers: arguments.workers, ..Default::default() };
        let classes = train.classes();
        let loader = |clips: Clips, transform: &ClipTransform, mode| {
            let clips = ClipDataset::new(clips, transform, mode, cache)?;
            Loader::new(clips, order, options).map(SplitData::Clips)
        };
        Ok(Self {
            name: data_name(folder),
            channels: vec![("audio".into(), 1), ("visual".into(), 3)],
            splits: Splits {
                train: loader(train, &transform, Mode::Train)?,
                val: loader(val, &transform, Mode::Evaluate)?,
                test: loader(splits.test, &transform, Mode::Evaluate)?,
            },
            classes,
        })
    }

    /// The problem of training `classifier` networks on the data.
    pub fn into_problem(self, classifier: ClassifierConfig) -> Result<Problem> {
        let Self { name, mut splits, classes, channels } = self;
        if classifier.backbone == Backbone::Compact {
            splits = splits.try_map(averaged)?;
        }
        let modalities = channels.iter().map(|(modality, _)| modality.clone()).collect();
        let networks = Arc::new(Classifiers { channels, classes, classifier });
        let task = PredictionTask::Classification { classes };
        Ok(Problem { name, modalities, splits, networks, task })
    }
}

/// A split in memory whose larger inputs are averaged to 28×28, as the compact encoder does in every pass.
fn averaged(split: SplitData) -> Result<SplitData> {
    const SIDE: i64 = 28;
    let SplitData::Memory(set) = split else { return Ok(split) };
    let batches = set.batches(&BatchOrder::stored(256), 0, Device::Cpu);
    let batches = batches.collect::<g2d::Result<Vec<_>>>()?;
    let input = |m: usize| {
        let stored = set.input(m);
        if stored.size()[2..].iter().all(|&side| side <= SIDE) {
            return stored.shallow_clone();
        }
        let parts = batches.iter().map(|batch| batch.input(m).adaptive_avg_pool2d([SIDE; 2]));
        Tensor::cat(&parts.collect::<Vec<_>>(), 0)
    };
    let modalities = set.modalities().to_vec();
    let inputs: Vec<_> = (0..modalities.len()).map(input).collect();
    let averaged = InMemory::new(modalities, inputs, set.targets().shallow_clone())?;
    Ok(SplitData::Memory(averaged.with_ids(set.ids())?))
}

/// The paper's networks, with a backbone per modality.
struct Classifiers {
    channels: Vec<(Modality, i64)>,
    classes: i64,
    classifier: ClassifierConfig,
}

impl Networks for Classifiers {
    fn student(
        &self,
        vs: &VarStore,
        design: &StudentDesign,
    ) -> Result<(Box<dyn Student + Send>, ModalityParams)> {
        let Self { channels, classes, classifier } = self;
        let mut student = FusionClassifier::new(vs, channels, *classes, *classifier)?;
        if design.heads {
            let student = student.with_heads(vs, *classes)?;
            let encoders = student.student().encoder_params(vs)?;
            return Ok((Box::new(student), encoders));
        }
        if let Some(weights) = &design.weights {
            student = student.with_fusion_weights(vs, weights)?;
        }
        let encoders = student.encoder_params(vs)?;
        Ok((Box::new(student), encoders))
    }

    fn fusion(&self) -> FusionTraits {
        FusionTraits { late: self.classifier.fusion == FusionKind::Late, slices: true }
    }

    fn teacher(&self, m: usize, vs: &VarStore) -> Result<Box<dyn UnimodalModel + Send>> {
        let ClassifierConfig { backbone, init, .. } = self.classifier;
        let channels = self.channels[m].1;
        Ok(Box::new(UnimodalClassifier::new(vs, channels, self.classes, backbone, init)?))
    }
}
