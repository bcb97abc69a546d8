//! AV-MNIST: a spectrogram and an image of a spoken and written digit.

use std::{
    io::{BufReader, Cursor},
    path::Path,
};

use tch::{Kind, Tensor};

use super::{arrays::Arrays, file::open};
use crate::data::InMemory;
use crate::error::{Error, Result};

/// AV-MNIST: three splits with the modalities `audio` and `image`, in this order.
///
/// Inputs are [N, 1, H, W], targets are class labels `[N]`.
///
/// In a batch both modalities are floats in [0, 1]. The values of the files, not their element type,
/// determine the scale, for each modality and over all splits: values up to 1 are kept, values up to
/// 255 are divided by 255. The data set is published with images as floats and spectrograms as bytes,
/// both of 0 to 255. Other ranges are an error.
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
    /// corrupted or does not fit the layout, or whose values are neither of 0 to 1 nor of 0 to 255 in
    /// every split.
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
        let mut scales = [None; 2];
        let mut split = |name| read(&mut arrays, names(name), &mut scales);
        let (train, test) = (split("train")?, split("test")?);
        let val = has_val.then(|| split("val")).transpose()?;
        let scaled = |split: Split| -> Result<InMemory> {
            let inputs = split.inputs.into_iter().zip(scales);
            let inputs = inputs.map(|(input, scale)| Scale::apply(scale, input));
            InMemory::new(["audio", "image"], inputs, split.targets)
        };
        Ok(Self { train: scaled(train)?, val: val.map(scaled).transpose()?, test: scaled(test)? })
    }
}

/// One split as in its files; the inputs are [N, 1, H, W].
struct Split {
    inputs: [Tensor; 2],
    targets: Tensor,
}

/// Reads one split, whose inputs have the `scales` of the splits before.
fn read(
    arrays: &mut Arrays<'_>,
    [audio, image, labels]: [String; 3],
    scales: &mut [Option<Scale>; 2],
) -> Result<Split> {
    let targets = arrays.labels(&labels)?;
    let invalid = |expected, found: String, hint| {
        Err(Error::data(&arrays.path(&labels), "labels", expected, found, hint))
    };
    if targets.numel() == 0 {
        return invalid("at least one", "none".to_owned(), "omit an empty split");
    }
    let (low, high) = (targets.min().int64_value(&[]), targets.max().int64_value(&[]));
    if low < 0 || high >= AvMnist::CLASSES {
        let hint = match (low, high) {
            (1, AvMnist::CLASSES) => "subtract 1: classes are numbered from 0",
            _ => "save the digit of each sample",
        };
        return invalid("digits 0..=9", format!("{low}..={high}"), hint);
    }
    let mut images = |name: String, side, scale: &mut Option<Scale>| {
        let samples = arrays.pixels(&name)?;
        let path = arrays.path(&name);
        let images = as_images(&path, &samples, side, targets.size()[0])?;
        Scale::extend(scale, &path, &images)?;
        Ok::<_, Error>(images)
    };
    let [audio_scale, image_scale] = scales;
    let inputs = [images(audio, 112, audio_scale)?, images(image, 28, image_scale)?];
    Ok(Split { inputs, targets })
}

/// The range of a modality's values in its files.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Scale {
    /// 0 to 1.
    Unit,
    /// 0 to 255.
    Bytes,
}

impl Scale {
    /// The least maximum of [`Scale::Bytes`]: values up to 16 may be of another scale.
    const LEAST: f64 = 16.0;

    /// Determines the scale of `values` and checks that it is that of the splits before, `scale`.
    /// Zeros have any scale.
    fn extend(scale: &mut Option<Self>, path: &Path, values: &Tensor) -> Result<()> {
        let [low, high] = [values.min(), values.max()].map(|x| x.double_value(&[]));
        let found = match (low, high) {
            (0.0, 0.0) => return Ok(()),
            (0.0..=1.0, 0.0..=1.0) => Self::Unit,
            (0.0..=255.0, 0.0..=255.0) if high > Self::LEAST => Self::Bytes,
            _ => return Err(Self::invalid(path, "0 to 1, or of 0 to 255", low, high)),
        };
        match scale.replace(found) {
            Some(Self::Unit) if found == Self::Bytes => {
                Err(Self::invalid(path, "0 to 1, as in the splits before", low, high))
            }
            Some(Self::Bytes) if found == Self::Unit => {
                Err(Self::invalid(path, "0 to 255, as in the splits before", low, high))
            }
            _ => Ok(()),
        }
    }

    fn invalid(path: &Path, expected: &str, low: f64, high: f64) -> Error {
        let found = format!("{low} to {high}");
        let hint = "save every split in one of these scales";
        Error::data(path, "samples", format!("values of {expected}"), found, hint)
    }

    /// Values of 0 to 1, or bytes, which batches divide by 255.
    fn apply(scale: Option<Self>, values: Tensor) -> Tensor {
        match (scale, values.kind()) {
            (Some(Self::Bytes) | None, Kind::Uint8) => values,
            (Some(Self::Bytes), _) => values / 255.0,
            (Some(Self::Unit) | None, _) => values.to_kind(Kind::Float),
        }
    }
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
            let hint = match samples.size().first() {
                Some(&n) if n == rows => "save each sample as an image of one channel",
                _ => "check that samples and labels belong together",
            };
            return Err(Error::data(path, "samples", expected, found, hint));
        }
    };
    samples.f_view(shape).map_err(|e| Error::torch("reshape samples", e))
}
