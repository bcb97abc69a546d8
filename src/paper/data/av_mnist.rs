//! AV-MNIST: a spectrogram and an image of a spoken and written digit.

use std::{
    io::{BufReader, Cursor},
    path::Path,
};

use tch::Tensor;

use super::{arrays::Arrays, file::open};
use crate::data::InMemory;
use crate::error::{Error, Result};
use crate::modality::Modality;

/// AV-MNIST: three splits with the modalities `audio` and `image`, in this order.
///
/// Inputs are [N, 1, H, W] (floats in [0, 1] in a batch), targets are class labels `[N]`.
#[derive(Debug)]
pub struct AvMnist {
    /// Training samples.
    pub train: InMemory,
    /// Validation samples, if the data set has them.
    pub val: Option<InMemory>,
    /// Test samples.
    pub test: InMemory,
}

impl AvMnist {
    /// Number of classes.
    pub const CLASSES: i64 = 10;

    /// Reads `image/{split}_data.npy` ([N, 784] or [N, H, W]), `audio/{split}_data.npy` ([N, H, W])
    /// and `{split}_labels.npy` (\[N\]) of the splits `train`, `val` (optional) and `test` in `folder`.
    ///
    /// # Errors
    /// [`Error::Io`] for a file that is missing or cannot be read, [`Error::Data`] for one that is
    /// corrupted or does not fit the layout.
    pub fn from_folder(folder: impl AsRef<Path>) -> Result<Self> {
        Self::read(Arrays::Folder(folder.as_ref().to_owned()), |split| {
            [
                format!("audio/{split}_data"),
                format!("image/{split}_data"),
                format!("{split}_labels"),
            ]
        })
    }

    /// Reads one `.npz` with `{train,val,test}_{audio,image,labels}`.
    ///
    /// # Errors
    /// The errors of [`from_folder`](Self::from_folder).
    pub fn from_npz(path: impl AsRef<Path>) -> Result<Self> {
        let path = path.as_ref();
        Self::from_archive(Arrays::from_npz(path, BufReader::new(open(path)?))?)
    }

    /// Reads the bytes of an `.npz`, as [`from_npz`](Self::from_npz) does. Errors name it `name`.
    ///
    /// # Errors
    /// [`Error::Data`].
    pub fn from_npz_bytes(name: &str, bytes: &[u8]) -> Result<Self> {
        Self::from_archive(Arrays::from_npz(Path::new(name), Cursor::new(bytes))?)
    }

    fn from_archive(arrays: Arrays<'_>) -> Result<Self> {
        Self::read(arrays, |split| {
            ["audio", "image", "labels"].map(|part| format!("{split}_{part}"))
        })
    }

    /// Reads the splits, whose arrays are called audio, image and labels by `names`.
    fn read(mut arrays: Arrays<'_>, names: impl Fn(&str) -> [String; 3]) -> Result<Self> {
        let has_val = names("val").iter().any(|name| arrays.has(name));
        Ok(Self {
            train: read(&mut arrays, names("train"))?,
            val: has_val.then(|| read(&mut arrays, names("val"))).transpose()?,
            test: read(&mut arrays, names("test"))?,
        })
    }
}

/// Reads one split.
fn read(arrays: &mut Arrays<'_>, [audio, image, labels]: [String; 3]) -> Result<InMemory> {
    let targets = arrays.labels(&labels)?;
    let invalid = |expected, found: String| {
        Err(Error::data(&arrays.path(&labels), "labels", expected, found, "check the labels"))
    };
    if targets.numel() == 0 {
        return invalid("at least one", "none".to_owned());
    }
    let (low, high) = (targets.min().int64_value(&[]), targets.max().int64_value(&[]));
    if low < 0 || high >= AvMnist::CLASSES {
        return invalid("digits 0..=9", format!("{low}..={high}"));
    }
    let mut images = |name: String, side| {
        let samples = arrays.samples(&name)?;
        as_images(&arrays.path(&name), &samples, side, targets.size()[0])
    };
    let inputs = vec![images(audio, 112)?, images(image, 28)?];
    InMemory::new(Modality::list(["audio", "image"]), inputs, targets)
}

/// [N, side·side] or [N, H, W] as [N, 1, H, W], with N = `rows`.
fn as_images(path: &Path, samples: &Tensor, side: i64, rows: i64) -> Result<Tensor> {
    let pixels = side * side;
    let shape = match samples.size()[..] {
        [n, columns] if n == rows && columns == pixels => [n, 1, side, side],
        [n, height, width] if n == rows && height > 0 && width > 0 => [n, 1, height, width],
        _ => {
            let expected = format!("[{rows}, H, W] or [{rows}, {pixels}], one row per label");
            let found = format!("{:?}", samples.size());
            let hint = "check that samples and labels belong together";
            return Err(Error::data(path, "samples", expected, found, hint));
        }
    };
    samples.f_view(shape).map_err(|e| Error::torch("reshape samples", e))
}
