//! Batches of clips, decoded on worker threads ahead of training.

mod batches;

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use rand::seq::SliceRandom;
use serde::{Deserialize, Serialize};
use tch::{Device, Tensor};

pub use batches::ClipBatches;

use super::{
    Mode,
    cache::{CacheStore, ClipCache},
    clips::Clips,
    file::tensor,
    transform::{ClipTransform, Pipeline},
};
use crate::batch::Batch;
use crate::data::Order;
use crate::error::{self, Result};

/// Options of a [`ClipLoader`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct LoaderOptions {
    /// Number of samples in a batch.
    pub batch_size: usize,
    /// Number of threads that decode.
    pub workers: usize,
    /// Number of batches prefetched at most.
    pub ahead: usize,
    /// Seed of the augmentation.
    pub seed: u64,
    /// The cache of decoded clips.
    pub cache: ClipCache,
}

impl Default for LoaderOptions {
    /// The authors' batch size 16, one worker, four batches ahead, seed 999, no cache.
    fn default() -> Self {
        Self { batch_size: 16, workers: 1, ahead: 4, seed: 999, cache: ClipCache::Off }
    }
}

impl LoaderOptions {
    fn check(&self) -> Result<()> {
        let Self { batch_size, workers, ahead, .. } = *self;
        if batch_size > 0 && workers > 0 && ahead > 0 {
            return Ok(());
        }
        let found = format!("batch_size {batch_size}, workers {workers}, ahead {ahead}");
        Err(error::out_of_range("loader options", "at least 1 of each", found))
    }
}

/// Loads batches of clips: inputs [B, 1, frequencies, columns] of audio and [B, 3, frames, side, side]
/// of frames, `Float`, in this order; labels `[B]` as targets; the clips' ids.
///
/// A sample depends on the clip, the seed and the epoch only, bit by bit: not on order, batch size,
/// number of workers or cache.
#[derive(Debug, Clone)]
pub struct ClipLoader(Arc<Decoder>);

/// The state that the workers share.
#[derive(Debug)]
struct Decoder {
    clips: Clips,
    pipeline: Pipeline,
    options: LoaderOptions,
    cache: CacheStore,
}

impl ClipLoader {
    /// A loader of `clips`, with augmentation in [`Mode::Train`].
    ///
    /// # Errors
    /// [`Error::Config`](crate::Error::Config) for invalid options or an invalid transform, or clips with fewer frames than
    /// the transform takes.
    pub fn new(
        clips: Clips,
        transform: &ClipTransform,
        mode: Mode,
        options: LoaderOptions,
    ) -> Result<Self> {
        options.check()?;
        let pipeline = Pipeline::new(transform, mode)?;
        let frames = transform.visual.frames;
        if let Some(clip) = clips.clips().iter().find(|clip| clip.frames.len() < frames) {
            let expected =
                format!("at most {}, the number of clip {:?}", clip.frames.len(), clip.name);
            let hint = "set this number with `with_frames` of the data set";
            return Err(error::config("frames of the transform", expected, frames, hint));
        }
        let cache = CacheStore::new(options.cache);
        Ok(Self(Arc::new(Decoder { clips, pipeline, options, cache })))
    }

    /// Returns the clips.
    pub fn clips(&self) -> &Clips {
        &self.0.clips
    }

    /// Returns the number of clips.
    pub fn len(&self) -> usize {
        self.0.clips.len()
    }

    /// Returns `false`, since an index has at least one clip.
    pub fn is_empty(&self) -> bool {
        self.0.clips.is_empty()
    }

    /// Returns the number of bytes in the cache.
    pub fn cached_bytes(&self) -> usize {
        self.0.cache.bytes()
    }

    /// Iterates over all clips once, in batches (the last may be smaller) on `device`, with the
    /// augmentation of `epoch`.
    ///
    /// The workers start at once and prefetch up to [`LoaderOptions::ahead`] batches; for a GPU they
    /// pin their memory, so that the copy to the GPU is asynchronous. The batches arrive in `order`.
    /// An error, for example of a corrupted file, takes the place of its batch and ends the iteration.
    /// Dropping the iterator stops the workers.
    pub fn batches(&self, epoch: u64, order: Order<'_>, device: Device) -> ClipBatches {
        let mut rows: Vec<usize> = (0..self.len()).collect();
        if let Order::Shuffled(rng) = order {
            rows.shuffle(rng);
        }
        let LoaderOptions { batch_size, workers, ahead, .. } = self.0.options;
        let chunks: Vec<Vec<usize>> = rows.chunks(batch_size).map(<[usize]>::to_vec).collect();
        let (decoder, count) = (Arc::clone(&self.0), chunks.len());
        let load = move |i: usize, stopped: &AtomicBool| {
            let batch = decoder.batch(&chunks[i], epoch, stopped)?;
            let pin = |batch: Batch| if device.is_cuda() { batch.pin_memory() } else { Ok(batch) };
            batch.map(pin).transpose()
        };
        ClipBatches::start(count, workers, ahead, device, Arc::new(load))
    }
}

impl Decoder {
    /// The batch of these rows, or `Ok(None)` once `stopped` is set.
    fn batch(&self, rows: &[usize], epoch: u64, stopped: &AtomicBool) -> Result<Option<Batch>> {
        let shapes = self.pipeline.shapes();
        let capacity = |shape: &Vec<i64>| rows.len() * shape.iter().product::<i64>() as usize;
        let mut values = shapes.each_ref().map(|shape| Vec::with_capacity(capacity(shape)));
        let (mut labels, mut ids) = (Vec::new(), Vec::new());
        for &row in rows {
            if stopped.load(Ordering::Relaxed) {
                return Ok(None);
            }
            let clip = &self.clips.clips()[row];
            let seeds = [self.options.seed, epoch];
            self.pipeline.sample(clip, seeds, &self.cache, &mut values)?;
            labels.push(clip.label);
            ids.push(clip.id);
        }
        let size = [rows.len() as i64];
        let input = |(values, shape): (&Vec<f32>, &Vec<i64>)| {
            tensor(values, &[&size, shape.as_slice()].concat())
        };
        let inputs: Vec<Tensor> = values.iter().zip(&shapes).map(input).collect::<Result<_>>()?;
        Ok(Some(Batch::new(inputs, tensor(&labels, &size)?).with_ids(ids)))
    }
}
