//! The three splits that all trainings see.

use std::{fmt, path::Path};

use anyhow::Result;
use g2d::{
    Batch, Modality,
    paper::data::{
        AvMnist, Cache, ClipLoader, Clips, Cremad, GroupShares, InMemory, LoaderOptions, OnMissing,
        Order, Phase, Recipe, VggSound,
    },
};
use rand::{SeedableRng, rngs::StdRng};
use tch::Device;

use crate::support::name_of;

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

/// Samples of one split, in memory or on disk.
pub enum Source {
    Memory(InMemory),
    Clips(ClipLoader),
}

pub struct Splits {
    pub name: String,
    pub train: Source,
    pub val: Source,
    pub test: Source,
    pub classes: i64,
    /// Is every training sample the same in every epoch?
    pub steady: bool,
    /// Modalities and their input channels.
    pub channels: Vec<(Modality, i64)>,
}

impl Splits {
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
            train: Source::Memory(train),
            val: Source::Memory(val),
            test: Source::Memory(set.test),
            classes: AvMnist::CLASSES,
            steady: true,
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
        let (splits, recipe) = if dataset == Dataset::Vggsound {
            let set = VggSound::new(folder, missing).with_frames(reading.frames.unwrap_or(3));
            (set.split()?, set.recipe())
        } else {
            let set = Cremad::new(folder, missing).with_frames(reading.frames.unwrap_or(1));
            let splits = match reading.by_speaker {
                true => set.speaker_split(GroupShares::default(), seed)?,
                false => set.authors_split()?,
            };
            (splits, set.recipe())
        };
        let (train, val) = match splits.val {
            Some(val) => (splits.train, val),
            None => splits.train.hold_out(HELD_OUT, &mut StdRng::seed_from_u64(seed))?,
        };
        for (name, clips) in [("training", &train), ("validation", &val), ("test", &splits.test)] {
            if clips.skipped().total() > 0 {
                eprintln!("{name}: left out {}", clips.skipped());
            }
        }
        let cache = match reading.cache {
            0 => Cache::Off,
            mib => Cache::Memory { bytes: mib << 20 },
        };
        let options = LoaderOptions {
            batch_size,
            workers: reading.workers,
            seed,
            cache,
            ..Default::default()
        };
        let classes = train.classes();
        let loader = |clips: Clips, recipe: &Recipe, phase| {
            ClipLoader::new(clips, recipe, phase, options).map(Source::Clips)
        };
        Ok(Self {
            name: name_of(folder),
            channels: vec![("audio".into(), 1), ("visual".into(), 3)],
            train: loader(train, &recipe, Phase::Train)?,
            val: loader(val, &recipe, Phase::Evaluate)?,
            test: loader(splits.test, &recipe, Phase::Evaluate)?,
            classes,
            steady: false,
        })
    }

    /// The first `n` samples of each split in memory.
    pub fn first(self, n: usize) -> Result<Self> {
        let first = |source: Source| match source {
            Source::Memory(set) => set.first(n).map(Source::Memory),
            clips => Ok(clips),
        };
        let (train, val, test) = (first(self.train)?, first(self.val)?, first(self.test)?);
        Ok(Self { train, val, test, ..self })
    }

    /// A handle on the same samples for another thread.
    pub fn share(&self) -> Self {
        Self {
            name: self.name.clone(),
            train: self.train.share(),
            val: self.val.share(),
            test: self.test.share(),
            channels: self.channels.clone(),
            ..*self
        }
    }
}

impl Source {
    fn len(&self) -> usize {
        match self {
            Self::Memory(set) => set.len(),
            Self::Clips(loader) => loader.len(),
        }
    }

    fn share(&self) -> Self {
        match self {
            Self::Memory(set) => Self::Memory(set.share()),
            Self::Clips(loader) => Self::Clips(loader.clone()),
        }
    }

    /// All samples once.
    pub fn batches(
        &self,
        epoch: u64,
        size: usize,
        order: Order<'_>,
        device: Device,
    ) -> Box<dyn Iterator<Item = g2d::Result<Batch>> + '_> {
        match self {
            Self::Memory(set) => Box::new(set.batches(size, order, device)),
            Self::Clips(loader) => Box::new(loader.batches(epoch, order, device)),
        }
    }
}

impl fmt::Display for Splits {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { name, train, val, test, .. } = self;
        let (train, val, test) = (train.len(), val.len(), test.len());
        write!(f, "{name}: {train} training, {val} validation, {test} test samples")
    }
}
