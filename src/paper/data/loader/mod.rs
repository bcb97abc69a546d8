//! Clips as batches, decoded on worker threads ahead of training.

mod batches;
mod options;
mod queue;

use std::sync::Arc;

use rand::seq::SliceRandom;
use tch::{Device, Tensor};

pub use batches::ClipBatches;
pub use options::LoaderOptions;

use super::{
    cache::Store,
    clips::Clips,
    recipe::{Draw, Phase, Pipeline, Recipe},
};
use crate::{
    batch::Batch,
    data::Order,
    error::{Error, Result},
    modality::Modality,
};

/// Makes batches of clips: modalities `audio` [B, 1, frequencies, columns] and `visual`
/// [B, 3, frames, side, side], both `Float`, in this order; targets `[B]` labels; ids the clips'.
///
/// A sample depends on the clip, the seed and the epoch only: neither the order, the batch size, the
/// number of workers nor the cache changes a bit of it.
#[derive(Debug, Clone)]
pub struct ClipLoader {
    modalities: Vec<Modality>,
    work: Arc<Work>,
}

/// What the workers share.
#[derive(Debug)]
struct Work {
    clips: Clips,
    pipeline: Pipeline,
    options: LoaderOptions,
    store: Store,
}

impl ClipLoader {
    /// A loader of `clips`; with [`Phase::Train`] augmented, with [`Phase::Evaluate`] not.
    ///
    /// # Errors
    /// [`Error::Config`] for a recipe or options that cannot work, or clips with fewer frames than
    /// the recipe takes.
    pub fn new(
        clips: Clips,
        recipe: &Recipe,
        phase: Phase,
        options: LoaderOptions,
    ) -> Result<Self> {
        options.check()?;
        let pipeline = Pipeline::new(recipe, phase)?;
        if let Some(clip) = clips.clips().iter().find(|c| c.frames.len() < recipe.visual.frames) {
            return Err(crate::error::config(
                "frames of the recipe",
                format!("at most {}, which clip {:?} has", clip.frames.len(), clip.name),
                format!("{}", recipe.visual.frames),
                "index the data set with that number of frames",
            ));
        }
        let store = Store::new(options.cache);
        let modalities = Modality::list(["audio", "visual"]);
        Ok(Self { modalities, work: Arc::new(Work { clips, pipeline, options, store }) })
    }

    /// `audio` and `visual`.
    pub fn modalities(&self) -> &[Modality] {
        &self.modalities
    }

    /// The clips.
    pub fn clips(&self) -> &Clips {
        &self.work.clips
    }

    /// The number of clips.
    pub fn len(&self) -> usize {
        self.work.clips.len()
    }

    /// Never: an empty index cannot be made.
    pub fn is_empty(&self) -> bool {
        self.work.clips.is_empty()
    }

    /// Bytes that the cache holds now.
    pub fn cached_bytes(&self) -> usize {
        self.work.store.bytes()
    }

    /// All clips once, in batches (the last may be smaller), on `device`, augmented as in `epoch`.
    ///
    /// Workers start at once and stay at most [`LoaderOptions::ahead`] batches ahead of the caller.
    /// For a GPU they put batches into page-locked memory, and the copy to it waits for nothing.
    /// Batches come in `order`, whichever worker made them. An error, such as a damaged file, comes in
    /// its batch's place and ends the iteration. Dropping the iterator stops the workers.
    pub fn batches(&self, epoch: u64, order: Order<'_>, device: Device) -> ClipBatches {
        let mut rows: Vec<usize> = (0..self.len()).collect();
        if let Order::Shuffled(rng) = order {
            rows.shuffle(rng);
        }
        let LoaderOptions { batch_size, workers, ahead, .. } = self.work.options;
        let chunks: Vec<Vec<usize>> = rows.chunks(batch_size).map(<[usize]>::to_vec).collect();
        let (work, count) = (Arc::clone(&self.work), chunks.len());
        let make = move |i: usize, stopped: &dyn Fn() -> bool| {
            let batch = work.batch(&chunks[i], epoch, stopped)?;
            // Page-locked by the worker, so that the caller's copy to the GPU waits for nothing.
            if device.is_cuda() {
                batch.map(|batch| batch.pin_memory()).transpose()
            } else {
                Ok(batch)
            }
        };
        ClipBatches::start(count, workers, ahead, device, Arc::new(make))
    }
}

impl Work {
    /// The batch of these rows; `Ok(None)` if it was given up.
    fn batch(
        &self,
        rows: &[usize],
        epoch: u64,
        stopped: &dyn Fn() -> bool,
    ) -> Result<Option<Batch>> {
        let (audio, visual) = (self.pipeline.audio.shape(), self.pipeline.visual.shape());
        let room =
            |shape: &[i64]| Vec::with_capacity(rows.len() * shape.iter().product::<i64>() as usize);
        let mut values = [room(&audio), room(&visual)];
        let (mut labels, mut ids) = (Vec::new(), Vec::new());
        for &row in rows {
            if stopped() {
                return Ok(None);
            }
            let clip = &self.clips.clips()[row];
            let draw = Draw { seed: self.options.seed, epoch, id: clip.id };
            self.pipeline.sample(clip, draw, &self.store, &mut values)?;
            labels.push(clip.label);
            ids.push(clip.id);
        }
        let tensor = |values: &[f32], shape: &[i64]| {
            let shape: Vec<i64> = [rows.len() as i64].iter().chain(shape).copied().collect();
            Tensor::f_from_slice(values)?.f_view(shape.as_slice())
        };
        let inputs = tensor(&values[0], &audio)
            .and_then(|audio| Ok(vec![audio, tensor(&values[1], &visual)?]))
            .map_err(|e| Error::torch("make a batch", e))?;
        let targets = Tensor::f_from_slice(&labels).map_err(|e| Error::torch("make a batch", e))?;
        Ok(Some(Batch::new(inputs, targets).with_ids(ids)))
    }
}
