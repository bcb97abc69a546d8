//! Batches of clips, decoded on worker threads ahead of training.

mod batches;
mod options;

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use rand::seq::SliceRandom;
use tch::{Device, Tensor};

pub use batches::ClipBatches;
pub use options::LoaderOptions;

use super::{
    Mode,
    cache::CacheStore,
    clips::Clips,
    transform::{ClipTransform, Pipeline, SampleSeed},
};
use crate::{
    batch::Batch,
    data::Order,
    error::{self, Error, Result},
};

/// Loads batches of clips with the inputs [B, 1, frequencies, columns] of `audio` and
/// [B, 3, frames, side, side] of `visual`, both `Float`; targets are the labels `[B]`, ids those of the
/// clips.
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
    /// The names of the modalities, in the order of a batch's inputs.
    pub const MODALITIES: [&str; 2] = ["audio", "visual"];

    /// A loader of `clips`, with augmentation in [`Mode::Train`].
    ///
    /// # Errors
    /// [`Error::Config`] for invalid options or an invalid transform, or clips with fewer frames than
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
                format_args!("at most {}, the number of clip {:?}", clip.frames.len(), clip.name);
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
            let seed = SampleSeed { seed: self.options.seed, epoch, id: clip.id };
            self.pipeline.sample(clip, seed, &self.cache, &mut values)?;
            labels.push(clip.label);
            ids.push(clip.id);
        }
        let input = |(values, shape): (&Vec<f32>, &Vec<i64>)| {
            Tensor::f_from_slice(values)?
                .f_view([&[rows.len() as i64], &shape[..]].concat().as_slice())
        };
        let inputs: std::result::Result<Vec<_>, _> =
            values.iter().zip(&shapes).map(input).collect();
        let batch =
            inputs.and_then(|inputs| Ok(Batch::new(inputs, Tensor::f_from_slice(&labels)?)));
        Ok(Some(batch.map_err(|e| Error::torch("make a batch", e))?.with_ids(ids)))
    }
}
