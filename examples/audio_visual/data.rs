//! The data sets, and the networks over them.

use std::{path::Path, sync::Arc};

use anyhow::Result;
use g2d::{
    Modality,
    paper::{
        data::{
            AvMnist, ClipCache, ClipLoader, ClipTransform, Clips, Cremad, GroupShares,
            LoaderOptions, Mode, OnMissing, VggSound,
        },
        networks::{ClassifierConfig, FusionClassifier, UnimodalClassifier},
    },
    teacher::UnimodalModel,
};
use rand::{SeedableRng, rngs::StdRng};
use tch::nn::VarStore;

use crate::support::{
    lab::{
        problem::{Networks, Parts, Problem, Splits},
        source::Source,
        task::Task,
    },
    name_of,
};

const EMBEDDED: &[u8] = include_bytes!("../data/spoken-digits/digits.npz");

/// Where no split for validation comes with the data, this share of training is held out.
const HELD_OUT: f64 = 0.1;

/// A data set in its own layout.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Dataset {
    /// AudioWAV/, Image-01-FPS/, train.csv, test.csv
    Cremad,
    /// The same with audio/ and frames of VGGSound
    Vggsound,
    /// image/, audio/ and labels as .npy
    AvMnist,
}

/// How a set of clips is read.
#[derive(Debug, Clone, clap::Args)]
pub struct Reading {
    /// Split CREMA-D by speaker instead of by the authors' lists, which share all actors
    #[arg(long)]
    by_speaker: bool,
    /// Leave out clips whose files are missing, and say how many, instead of stopping
    #[arg(long)]
    skip_missing: bool,
    /// Frames a clip; 1 of CREMA-D and 3 of VGGSound without it
    #[arg(long, value_name = "N")]
    frames: Option<usize>,
    /// Decoding threads a training
    #[arg(long, default_value_t = 1)]
    workers: usize,
    /// Keep up to this many MiB of decoded clips a split in memory
    #[arg(long, value_name = "MIB", default_value_t = 0)]
    cache: usize,
}

/// Three splits, and what they are of.
pub struct Data {
    name: String,
    splits: Splits,
    classes: i64,
    /// Modalities and their input channels.
    channels: Vec<(Modality, i64)>,
}

impl Data {
    /// The spoken digits that come with the example.
    pub fn embedded() -> Result<Self> {
        let set = AvMnist::from_npz_bytes("spoken-digits/digits.npz", EMBEDDED)?;
        Self::in_memory("the embedded spoken digits", set, 0)
    }

    /// A folder in AV-MNIST's layout.
    pub fn av_mnist(folder: &Path, seed: u64) -> Result<Self> {
        Self::in_memory(&name_of(folder), AvMnist::from_folder(folder)?, seed)
    }

    fn in_memory(name: &str, set: AvMnist, seed: u64) -> Result<Self> {
        let (train, val) = match set.val {
            Some(val) => (set.train, val),
            None => set.train.hold_out(HELD_OUT, &mut StdRng::seed_from_u64(seed))?,
        };
        Ok(Self {
            name: name.to_owned(),
            channels: train.modalities().iter().map(|m| (m.clone(), 1)).collect(),
            splits: Splits::in_memory([train, val, set.test]),
            classes: AvMnist::CLASSES,
        })
    }

    /// A folder of clips; `batch_size` and `seed` as everywhere.
    pub fn clips(
        dataset: Dataset,
        folder: &Path,
        reading: &Reading,
        batch_size: usize,
        seed: u64,
    ) -> Result<Self> {
        let missing = if reading.skip_missing { OnMissing::Skip } else { OnMissing::Error };
        let (splits, transform) = if dataset == Dataset::Vggsound {
            let set = VggSound::new(folder, missing).with_frames(reading.frames.unwrap_or(3));
            (set.split()?, set.transform())
        } else {
            let set = Cremad::new(folder, missing).with_frames(reading.frames.unwrap_or(1));
            let splits = match reading.by_speaker {
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
                eprintln!("{name}: {}", clips.excluded());
            }
        }
        let cache = match reading.cache {
            0 => ClipCache::Off,
            mib => ClipCache::Memory { bytes: mib << 20 },
        };
        let options = LoaderOptions {
            batch_size,
            workers: reading.workers,
            seed,
            cache,
            ..Default::default()
        };
        let classes = train.classes();
        let loader = |clips: Clips, transform: &ClipTransform, mode| {
            ClipLoader::new(clips, transform, mode, options).map(Source::Clips)
        };
        Ok(Self {
            name: name_of(folder),
            channels: vec![("audio".into(), 1), ("visual".into(), 3)],
            splits: Splits {
                train: loader(train, &transform, Mode::Train)?,
                val: loader(val, &transform, Mode::Evaluate)?,
                test: loader(splits.test, &transform, Mode::Evaluate)?,
            },
            classes,
        })
    }

    /// Learnt by these networks.
    pub fn problem(self, classifier: ClassifierConfig) -> Problem {
        let Self { name, splits, classes, channels } = self;
        let modalities = channels.iter().map(|(modality, _)| modality.clone()).collect();
        let networks = Arc::new(Classifiers { channels, classes, classifier });
        Problem { name, modalities, splits, networks, task: Task::Classes(classes) }
    }
}

/// The paper's networks: one backbone a modality.
struct Classifiers {
    channels: Vec<(Modality, i64)>,
    classes: i64,
    classifier: ClassifierConfig,
}

impl Networks for Classifiers {
    fn student(&self, vs: &VarStore) -> Result<Parts> {
        let Self { channels, classes, classifier } = self;
        let student = FusionClassifier::new(vs, channels, *classes, *classifier)?;
        let encoders = student.encoder_params(vs)?;
        Ok((Box::new(student), encoders))
    }

    fn teacher(&self, m: usize, vs: &VarStore) -> Result<Box<dyn UnimodalModel + Send>> {
        let ClassifierConfig { backbone, init, .. } = self.classifier;
        let channels = self.channels[m].1;
        Ok(Box::new(UnimodalClassifier::new(vs, channels, self.classes, backbone, init)?))
    }
}
