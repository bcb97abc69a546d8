//! AV-MNIST's layout: spectrogram and image of a digit.

use std::{
    fs::File,
    io::{Cursor, Read, Seek},
    path::Path,
};

use tch::Tensor;

use super::npy::{Archive, Arrays, Folder};
use crate::data::InMemory;
use crate::{
    error::{Error, Result},
    modality::Modality,
};

/// Audio-visual digits in three splits; modalities `audio` and `image`, in this order.
///
/// Inputs are [N, 1, H, W] (a batch of them floats in [0, 1]), targets class labels `[N]`.
#[derive(Debug)]
pub struct AvMnist {
    /// Training samples.
    pub train: InMemory,
    /// Validation samples, where the data set has them.
    pub val: Option<InMemory>,
    /// Test samples.
    pub test: InMemory,
}

impl AvMnist {
    /// Number of classes, 10 digits.
    pub const CLASSES: i64 = 10;

    /// Reads `image/{train,val,test}_data.npy` (N×784, or N×H×W), `audio/…` (N×H×W) and
    /// `{split}_labels.npy` (N) below `folder`; a set without `val` files has no validation split.
    ///
    /// # Errors
    /// [`Error::Io`] for a file that is missing or unreadable, [`Error::Data`] for one that is cut or
    /// whose content does not fit the layout; both with the file's path.
    pub fn from_folder(folder: impl AsRef<Path>) -> Result<Self> {
        let folder = folder.as_ref();
        let mut arrays = Folder(folder);
        let names = |split: &str| {
            [
                format!("audio/{split}_data"),
                format!("image/{split}_data"),
                format!("{split}_labels"),
            ]
        };
        let has_val = names("val").iter().any(|name| arrays.has(name));
        Ok(Self {
            train: read(&mut arrays, names("train"))?,
            val: has_val.then(|| read(&mut arrays, names("val"))).transpose()?,
            test: read(&mut arrays, names("test"))?,
        })
    }

    /// Reads one `.npz` with `{train,val,test}_{audio,image,labels}`.
    ///
    /// # Errors
    /// As `from_folder`.
    pub fn from_npz(path: impl AsRef<Path>) -> Result<Self> {
        let path = path.as_ref();
        let file = File::open(path).map_err(|e| Error::io("open the file", path, e))?;
        Self::from_archive(path, file)
    }

    /// As [`from_npz`](Self::from_npz) from bytes in memory, called `name` in messages.
    ///
    /// # Errors
    /// [`Error::Data`].
    pub fn from_npz_bytes(name: &str, bytes: &[u8]) -> Result<Self> {
        Self::from_archive(Path::new(name), Cursor::new(bytes))
    }

    fn from_archive(path: &Path, reader: impl Read + Seek) -> Result<Self> {
        let mut arrays = Archive::new(path, reader)?;
        let names =
            |split: &str| ["audio", "image", "labels"].map(|part| format!("{split}_{part}"));
        let has_val = names("val").iter().any(|name| arrays.has(name));
        Ok(Self {
            train: read(&mut arrays, names("train"))?,
            val: has_val.then(|| read(&mut arrays, names("val"))).transpose()?,
            test: read(&mut arrays, names("test"))?,
        })
    }
}

/// One split, its three arrays checked against each other.
fn read(arrays: &mut impl Arrays, [audio, image, labels]: [String; 3]) -> Result<InMemory> {
    let targets = arrays.labels(&labels)?;
    let inputs = [(audio, 112), (image, 28)].map(|(name, side)| {
        let samples = arrays.samples(&name)?;
        as_images(&arrays.path(&name), samples, side, targets.size()[0])
    });
    let [audio, image] = inputs;
    let path = arrays.path(&labels);
    if targets.numel() == 0 {
        return Err(Error::data(&path, "labels", "at least one", "none", "fetch the file again"));
    }
    let (low, high) = (targets.min().int64_value(&[]), targets.max().int64_value(&[]));
    if low < 0 || high >= AvMnist::CLASSES {
        let found = format!("{low}..={high}");
        return Err(Error::data(&path, "labels", "digits 0..=9", found, "check the labels"));
    }
    InMemory::new(Modality::list(["audio", "image"]), vec![audio?, image?], targets)
}

/// [N, side·side] or [N, H, W] as [N, 1, H, W], with one row a label.
fn as_images(path: &Path, samples: Tensor, side: i64, rows: i64) -> Result<Tensor> {
    let size = samples.size();
    let shape = match *size.as_slice() {
        [n, pixels] if n == rows && pixels == side * side => [n, 1, side, side],
        [n, height, width] if n == rows => [n, 1, height, width],
        _ => {
            return Err(Error::data(
                path,
                "samples",
                format!("the shape [{rows}, H, W] (or [{rows}, {}]), one a label", side * side),
                format!("{size:?}"),
                "check that data and labels belong together",
            ));
        }
    };
    samples.f_view(shape).map_err(|e| Error::torch("shape samples", e))
}
