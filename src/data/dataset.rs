//! The trait of data sets whose samples are read one by one.

use rand::rngs::StdRng;

use super::{Sample, collate};
use crate::batch::Batch;
use crate::error::Result;

/// A data set whose samples are read one by one, for example from files, by the worker threads of a
/// [`Loader`](super::Loader).
///
/// `Tensor` is not `Sync`. A data set therefore holds paths, numbers or arrays of the program, and makes
/// tensors in [`sample`](Self::sample); tensors in memory belong into an
/// [`InMemory`](super::InMemory).
///
/// # Example
/// ```
/// use g2d::data::{BatchOrder, Dataset, Loader, LoaderOptions, Sample};
/// use g2d::data::rand::{Rng, rngs::StdRng};
/// use tch::{Device, Tensor};
///
/// /// Sounds and pictures, which some samples lack; in a program of yours these would be paths.
/// struct Clips(Vec<(Vec<f32>, Option<[f32; 4]>, i64)>);
///
/// impl Dataset for Clips {
///     fn len(&self) -> usize {
///         self.0.len()
///     }
///
///     fn sample(&self, index: usize, rng: &mut StdRng) -> g2d::Result<Sample> {
///         let (sound, picture, label) = &self.0[index];
///         let louder = Tensor::from_slice(sound) * rng.random_range(0.5..2.0); // augmentation
///         let picture = picture.map(|pixels| Tensor::from_slice(&pixels));
///         Ok(Sample::new(*label).input(louder).input_or_missing(picture))
///     }
/// }
///
/// let clips = Clips(vec![(vec![0.1, 0.2], None, 1), (vec![0.3, 0.4], Some([0.5; 4]), 0)]);
/// let loader = Loader::new(clips, BatchOrder::shuffled(2, 7), LoaderOptions::default())?;
/// for epoch in 0..3 {
///     for batch in loader.batches(epoch, Device::Cpu) {
///         let batch = batch?;
///         assert_eq!(batch.ids().unwrap().len(), 2);
///     }
/// }
/// # Ok::<(), g2d::Error>(())
/// ```
pub trait Dataset: Send + Sync {
    /// The number of samples.
    fn len(&self) -> usize;

    /// Returns whether there is no sample.
    fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The id of the sample at `index`: by default, the index.
    ///
    /// A [`Cached`](crate::teacher::Cached) teacher finds its outputs by the id, so it should not depend
    /// on the split that the sample is in, nor on other samples.
    fn id(&self, index: usize) -> i64 {
        index as i64
    }

    /// Reads the sample at `index`, which is below [`len`](Self::len).
    ///
    /// `rng` is for augmentation. Its stream is a function of the seed, the epoch and the sample's id,
    /// so that order, batch size and number of workers do not change a sample. The random functions of
    /// tch draw from one generator of the process: what they return depends on the order in which
    /// workers run. A data set for validation, or for a [`Cached`](crate::teacher::Cached) teacher,
    /// ignores `rng`.
    ///
    /// # Errors
    /// Any error, for example of a file that cannot be read: it takes the place of the sample's batch.
    fn sample(&self, index: usize, rng: &mut StdRng) -> Result<Sample>;

    /// Makes a batch of samples, which has at least one: by default [`collate`]. The loader adds the
    /// ids.
    ///
    /// # Errors
    /// Any error, for example of samples that do not fit each other.
    fn collate(&self, samples: Vec<Sample>) -> Result<Batch> {
        collate(samples)
    }
}

impl<D: Dataset + ?Sized> Dataset for Box<D> {
    fn len(&self) -> usize {
        (**self).len()
    }

    fn is_empty(&self) -> bool {
        (**self).is_empty()
    }

    fn id(&self, index: usize) -> i64 {
        (**self).id(index)
    }

    fn sample(&self, index: usize, rng: &mut StdRng) -> Result<Sample> {
        (**self).sample(index, rng)
    }

    fn collate(&self, samples: Vec<Sample>) -> Result<Batch> {
        (**self).collate(samples)
    }
}
