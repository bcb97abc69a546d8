//! Features that someone else has extracted: an array a modality, and labels.

use std::{collections::BTreeSet, fs, fs::File, path::Path};

use tch::{Kind, Tensor};

use super::npy::{Archive, Arrays, Folder};
use super::{Sequences, Standardiser};
use crate::data::InMemory;
use crate::{
    error::{self, Error, Result},
    modality::Modality,
};

/// What a modality's features are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FeatureShape {
    /// A vector of so many a sample.
    Vector(i64),
    /// A sequence of vectors of so many; inputs are in [`Sequences`]' packed form.
    Sequence(i64),
}

/// Pre-extracted features in three splits, as UR-FUNNY, IEMOCAP and MOSEI come.
///
/// A split is a folder of `.npy` files or one `.npz` archive, called `train`, `val` (not needed) and
/// `test`, with these arrays:
///
/// | array | shape | what |
/// |---|---|---|
/// | `labels` | \[N\] integers from 0, or floats | classes, or values to predict |
/// | `<modality>` | [N, d] | a vector a sample |
/// | `<modality>` | [N, T, d] | a sequence a sample, padded at its end |
/// | `<modality>_lengths` | \[N\] integers in 0..=T | steps of each sequence; all have T without it |
/// | `<modality>_mask` | [N, T] of 0 and 1 | the same said otherwise: ones, then zeros |
#[derive(Debug)]
pub struct Features {
    /// Training samples.
    pub train: InMemory,
    /// Validation samples, where the data set has them.
    pub val: Option<InMemory>,
    /// Test samples.
    pub test: InMemory,
    /// What each modality's features are, in the modalities' order.
    pub shapes: Vec<FeatureShape>,
}

impl Features {
    /// The modalities that `folder` has: the arrays of its training split, by name.
    ///
    /// # Errors
    /// [`Error::Io`] or [`Error::Data`] if the split cannot be read.
    pub fn modalities(folder: impl AsRef<Path>) -> Result<Vec<Modality>> {
        let names: BTreeSet<String> = match open(folder.as_ref(), "train")? {
            Source::Folder(path) => npy_names(&path)?,
            Source::Archive(mut archive) => archive.names()?.into_iter().collect(),
        };
        let side = |name: &String| {
            name == "labels" || name.ends_with("_lengths") || name.ends_with("_mask")
        };
        Ok(names.iter().filter(|name| !side(name)).map(Modality::new).collect())
    }

    /// Reads `modalities`, in this order, from `folder`.
    ///
    /// # Errors
    /// [`Error::Io`] for an array that is missing or unreadable, [`Error::Data`] for one that is
    /// damaged, or does not fit the labels or the other splits; both with its path.
    pub fn read(folder: impl AsRef<Path>, modalities: &[Modality]) -> Result<Self> {
        let folder = folder.as_ref();
        let (train, shapes) = split(folder, "train", modalities)?;
        let has_val = folder.join("val").is_dir() || folder.join("val.npz").exists();
        let other = |name: &str| {
            let (samples, found) = split(folder, name, modalities)?;
            let differs = shapes.iter().zip(&found).position(|(a, b)| a != b);
            let kinds = samples.targets().kind() == train.targets().kind();
            match differs {
                None if kinds => Ok(samples),
                None => Err(Error::data(
                    &folder.join(name),
                    "labels",
                    format!("{:?}, as in train", train.targets().kind()),
                    format!("{:?}", samples.targets().kind()),
                    "save classes as integers and values as floats in every split",
                )),
                Some(m) => Err(Error::data(
                    &folder.join(name),
                    format!("modality {:?}", modalities[m]),
                    format!("{:?}, as in train", shapes[m]),
                    format!("{:?}", found[m]),
                    "extract the same features for every split",
                )),
            }
        };
        let val = if has_val { Some(other("val")?) } else { None };
        let test = other("test")?;
        Ok(Self { val, test, train, shapes })
    }

    /// All splits standardised, a feature at a time, by what the training split says; NaN and
    /// infinite values become the training mean. Padding takes no part and stays 0.
    ///
    /// # Errors
    /// [`Error::NonFinite`] for a feature without any value in the training split.
    pub fn standardised(self) -> Result<(Self, Vec<Standardiser>)> {
        let fit = |(m, &shape): (usize, &FeatureShape)| fit(self.train.input(m), shape);
        let scales: Vec<_> = self.shapes.iter().enumerate().map(fit).collect::<Result<_>>()?;
        let apply = |set: &InMemory| {
            let inputs = scales.iter().zip(&self.shapes).enumerate();
            let scaled = inputs.map(|(m, (scale, &shape))| apply(set.input(m), shape, scale));
            let targets = set.targets().shallow_clone();
            InMemory::new(set.modalities().to_vec(), scaled.collect::<Result<_>>()?, targets)
        };
        let (train, test) = (apply(&self.train)?, apply(&self.test)?);
        let val = self.val.as_ref().map(apply).transpose()?;
        Ok((Self { train, val, test, shapes: self.shapes }, scales))
    }
}

/// Where a split's arrays are.
enum Source {
    Folder(std::path::PathBuf),
    Archive(Archive<std::io::BufReader<File>>),
}

fn open(folder: &Path, split: &str) -> Result<Source> {
    let (path, archive) = (folder.join(split), folder.join(format!("{split}.npz")));
    if path.is_dir() {
        return Ok(Source::Folder(path));
    }
    let file = File::open(&archive).map_err(|e| Error::io("open the file", &archive, e))?;
    Ok(Source::Archive(Archive::new(&archive, file)?))
}

fn npy_names(folder: &Path) -> Result<BTreeSet<String>> {
    let failed = |e| Error::io("list the folder", folder, e);
    let mut names = BTreeSet::new();
    for entry in fs::read_dir(folder).map_err(failed)? {
        let path = entry.map_err(failed)?.path();
        let stem = path.file_stem().and_then(|stem| stem.to_str());
        if let (Some("npy"), Some(stem)) = (path.extension().and_then(|e| e.to_str()), stem) {
            names.insert(stem.to_owned());
        }
    }
    Ok(names)
}

fn split(
    folder: &Path,
    name: &str,
    modalities: &[Modality],
) -> Result<(InMemory, Vec<FeatureShape>)> {
    match open(folder, name)? {
        Source::Folder(path) => samples(&mut Folder(&path), modalities),
        Source::Archive(mut archive) => samples(&mut archive, modalities),
    }
}

fn samples(
    arrays: &mut impl Arrays,
    modalities: &[Modality],
) -> Result<(InMemory, Vec<FeatureShape>)> {
    let targets = arrays.targets("labels")?;
    let rows = targets.size()[0];
    if rows == 0 {
        let path = arrays.path("labels");
        return Err(Error::data(&path, "labels", "at least one", "none", "extract them again"));
    }
    if targets.kind() == Kind::Int64 && targets.min().int64_value(&[]) < 0 {
        let found = format!("{}", targets.min().int64_value(&[]));
        let hint = "number the classes from 0, or save values as floats";
        return Err(Error::data(&arrays.path("labels"), "labels", "0 or more", found, hint));
    }
    let (mut inputs, mut shapes) = (Vec::new(), Vec::new());
    for modality in modalities {
        let (input, shape) = modality_input(arrays, modality.name(), rows)?;
        inputs.push(input);
        shapes.push(shape);
    }
    Ok((InMemory::new(modalities.to_vec(), inputs, targets)?, shapes))
}

fn modality_input(
    arrays: &mut impl Arrays,
    name: &str,
    rows: i64,
) -> Result<(Tensor, FeatureShape)> {
    let path = arrays.path(name);
    let values = arrays.samples(name)?.to_kind(Kind::Float);
    let lengths = lengths(arrays, name, &values)?;
    match (values.size().as_slice(), lengths) {
        (&[n, d], None) if n == rows && d > 0 => Ok((values, FeatureShape::Vector(d))),
        (&[n, t, d], lengths) if n == rows && t > 0 && d > 0 => {
            let all = || Tensor::full([n], t, (Kind::Int64, values.device()));
            let packed = Sequences::pack(&values, &lengths.unwrap_or_else(all)).map_err(|e| {
                let hint = "save them again beside their sequences";
                Error::data(&path, "sequences", "lengths that fit", e.to_string(), hint)
            })?;
            Ok((packed, FeatureShape::Sequence(d)))
        }
        (size, lengths) => Err(Error::data(
            &path,
            "features",
            format!("[{rows}, d], or [{rows}, T, d] (which may have lengths), one row a label"),
            format!("{size:?}{}", if lengths.is_some() { " with lengths" } else { "" }),
            "check that features and labels belong together",
        )),
    }
}

/// The lengths \[N\] of the modality's sequences, where it says them, by number or by mask.
fn lengths(arrays: &mut impl Arrays, name: &str, values: &Tensor) -> Result<Option<Tensor>> {
    let (counts, mask) = (format!("{name}_lengths"), format!("{name}_mask"));
    if arrays.has(&counts) {
        return arrays.labels(&counts).map(Some);
    }
    if !arrays.has(&mask) {
        return Ok(None);
    }
    let path = arrays.path(&mask);
    let mask = arrays.flags(&mask)?;
    if values.dim() != 3 || mask.size() != values.size()[..2] {
        let (expected, found) = (format!("[N, T] of {:?}", values.size()), mask.size());
        let hint = "save the mask of these sequences";
        return Err(Error::data(&path, "mask", expected, format!("{found:?}"), hint));
    }
    let ones = mask.sum_dim_intlist([1_i64].as_slice(), false, Kind::Int64);
    // Ones, then zeros: no step is there after one that is not.
    let gaps =
        mask.narrow(1, 1, mask.size()[1] - 1).gt_tensor(&mask.narrow(1, 0, mask.size()[1] - 1));
    if gaps.any().int64_value(&[]) != 0 {
        let hint = "move each sequence's steps to its start";
        return Err(Error::data(&path, "mask", "ones, then zeros", "a gap", hint));
    }
    Ok(Some(ones))
}

fn fit(input: &Tensor, shape: FeatureShape) -> Result<Standardiser> {
    let names = |d: i64| (0..d).map(|i| i.to_string()).collect::<Vec<_>>();
    match shape {
        FeatureShape::Vector(d) => Standardiser::fit(&names(d), input),
        FeatureShape::Sequence(d) => {
            let (values, mask) = Sequences::unpack(input)?;
            let steps = values.masked_select(&mask.unsqueeze(2)).view([-1, d]);
            if steps.numel() == 0 {
                let hint = "check the lengths";
                return Err(error::non_finite("training sequences", "a step", "none", hint));
            }
            Standardiser::fit(&names(d), &steps)
        }
    }
}

fn apply(input: &Tensor, shape: FeatureShape, by: &Standardiser) -> Result<Tensor> {
    match shape {
        FeatureShape::Vector(_) => by.apply(input),
        FeatureShape::Sequence(d) => {
            let (values, mask) = Sequences::unpack(input)?;
            let scaled = by.apply(&values.reshape([-1, d]))?.view_as(&values);
            let lengths = mask.sum_dim_intlist([1_i64].as_slice(), false, Kind::Int64);
            Sequences::pack(&scaled, &lengths)
        }
    }
}
