//! Pre-extracted features: one array per modality, and labels.

use std::{fmt::Debug, path::Path};

use tch::{Kind, Tensor};

use super::{Sequences, Standardiser, arrays::Arrays};
use crate::data::InMemory;
use crate::error::{self, Error, Result};
use crate::modality::Modality;

/// The shape of a modality's features.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FeatureShape {
    /// One vector of this width per sample.
    Vector(i64),
    /// A sequence of vectors of this width per sample; the input is in the packed form of
    /// [`Sequences`].
    Sequence(i64),
}

/// Pre-extracted features in three splits, as published for UR-FUNNY, IEMOCAP and MOSEI.
///
/// A split is a folder of `.npy` files or one `.npz` archive, called `train`, `val` (optional) and
/// `test`, with these arrays:
///
/// | array | shape | content |
/// |---|---|---|
/// | `labels` | \[N\] integers from 0, or floats | classes, or values to predict |
/// | `<modality>` | [N, d] | one vector per sample |
/// | `<modality>` | [N, T, d] | one sequence per sample, padded at its end |
/// | `<modality>_lengths` | \[N\] integers in 0..=T | lengths of the sequences; T by default |
/// | `<modality>_mask` | [N, T] of 0 and 1 | alternative to the lengths: ones, then zeros |
#[derive(Debug)]
pub struct Features {
    /// Training samples.
    pub train: InMemory,
    /// Validation samples, if the data set has them.
    pub val: Option<InMemory>,
    /// Test samples.
    pub test: InMemory,
    /// The shape of each modality's features, in the order of the modalities.
    pub shapes: Vec<FeatureShape>,
}

impl Features {
    /// Returns the modalities in `folder`, sorted by name: the arrays of the training split.
    ///
    /// # Errors
    /// [`Error::Io`] or [`Error::Data`] if the split cannot be read.
    pub fn modalities(folder: impl AsRef<Path>) -> Result<Vec<Modality>> {
        let is_modality = |name: &String| {
            name != "labels" && !name.ends_with("_lengths") && !name.ends_with("_mask")
        };
        let names = Arrays::from_split(folder.as_ref(), "train")?.names()?;
        Ok(names.iter().filter(|name| is_modality(name)).map(Modality::new).collect())
    }

    /// Reads `modalities`, in this order, from `folder`.
    ///
    /// # Errors
    /// [`Error::Io`] for an array that is missing or cannot be read, [`Error::Data`] for one that is
    /// corrupted or does not fit the labels or the other splits.
    pub fn read(folder: impl AsRef<Path>, modalities: &[Modality]) -> Result<Self> {
        let folder = folder.as_ref();
        let (train, shapes) = read_split(folder, "train", modalities)?;
        let like_train = |name: &str| {
            let (split, found) = read_split(folder, name, modalities)?;
            let differs = |what: &str, expected: &dyn Debug, found: &dyn Debug, hint| {
                let (expected, found) =
                    (format!("{expected:?}, as in train"), format!("{found:?}"));
                Err(Error::data(&folder.join(name), what, expected, found, hint))
            };
            if let Some(m) = (0..shapes.len()).find(|&m| shapes[m] != found[m]) {
                let what = format!("modality {:?}", modalities[m]);
                let hint = "extract the same features for every split";
                return differs(&what, &shapes[m], &found[m], hint);
            }
            let (expected, found) = (train.targets().kind(), split.targets().kind());
            if expected != found {
                let hint = "save classes as integers and values as floats in every split";
                return differs("labels", &expected, &found, hint);
            }
            Ok(split)
        };
        let has_val = folder.join("val").is_dir() || folder.join("val.npz").exists();
        let val = has_val.then(|| like_train("val")).transpose()?;
        let test = like_train("test")?;
        Ok(Self { val, test, train, shapes })
    }

    /// Standardises each feature of all splits by the training split. NaN and infinite values become
    /// the training mean; padding is ignored and stays 0.
    ///
    /// # Errors
    /// [`Error::NonFinite`] for a feature without finite values in the training split.
    pub fn standardised(self) -> Result<(Self, Vec<Standardiser>)> {
        let fit = |(m, &shape): (usize, &FeatureShape)| fit(self.train.input(m), shape);
        let scales: Vec<_> = self.shapes.iter().enumerate().map(fit).collect::<Result<_>>()?;
        let apply = |set: &InMemory| {
            let inputs = scales.iter().zip(&self.shapes).enumerate();
            let scaled = inputs.map(|(m, (scale, &shape))| apply(set.input(m), shape, scale));
            let targets = set.targets().shallow_clone();
            InMemory::new(set.modalities().to_vec(), scaled.collect::<Result<Vec<_>>>()?, targets)
        };
        let (train, test) = (apply(&self.train)?, apply(&self.test)?);
        let val = self.val.as_ref().map(apply).transpose()?;
        Ok((Self { train, val, test, shapes: self.shapes }, scales))
    }
}

fn read_split(
    folder: &Path,
    name: &str,
    modalities: &[Modality],
) -> Result<(InMemory, Vec<FeatureShape>)> {
    let mut arrays = Arrays::from_split(folder, name)?;
    let targets = arrays.targets("labels")?;
    let (path, rows) = (arrays.path("labels"), targets.size()[0]);
    if rows == 0 {
        let hint = "extract the features again";
        return Err(Error::data(&path, "labels", "at least one", "none", hint));
    }
    let least = targets.min();
    if targets.kind() == Kind::Int64 && least.int64_value(&[]) < 0 {
        let hint = "number the classes from 0, or save values as floats";
        return Err(Error::data(&path, "labels", "0 or more", least.int64_value(&[]), hint));
    }
    let read = |modality: &Modality| read_modality(&mut arrays, modality.name(), rows);
    let inputs = modalities.iter().map(read).collect::<Result<Vec<_>>>()?;
    let (inputs, shapes): (Vec<_>, _) = inputs.into_iter().unzip();
    Ok((InMemory::new(modalities.to_vec(), inputs, targets)?, shapes))
}

fn read_modality(arrays: &mut Arrays<'_>, name: &str, rows: i64) -> Result<(Tensor, FeatureShape)> {
    let path = arrays.path(name);
    let values = arrays.samples(name)?.to_kind(Kind::Float);
    let size = values.size();
    let invalid = |hint: &str| {
        let expected = format!("[{rows}, d] or [{rows}, T, d], with T and d of at least 1");
        Err(Error::data(&path, "features", expected, format!("{size:?}"), hint))
    };
    match size[..] {
        [n, ..] if n != rows => {
            let (labels, found) = (arrays.path("labels"), format!("{n} rows of shape {size:?}"));
            let expected = format!("{rows} rows, one for each label of {}", labels.display());
            let hint = "extract features and labels from the same samples";
            Err(Error::data(&path, "features", expected, found, hint))
        }
        _ if size.contains(&0) => invalid("extract the features again: the array has no values"),
        [_, d] => match read_lengths(arrays, name, &values)? {
            None => Ok((values, FeatureShape::Vector(d))),
            Some(_) => {
                let (what, found) = ("features with lengths or a mask", format!("{size:?}"));
                let hint = "remove the lengths and the mask of vectors";
                Err(Error::data(&path, what, format!("[{rows}, T, d]"), found, hint))
            }
        },
        [n, t, d] => {
            let all = || Tensor::full([n], t, (Kind::Int64, values.device()));
            let lengths = read_lengths(arrays, name, &values)?.unwrap_or_else(all);
            let packed = Sequences::pack(&values, &lengths).map_err(|e| {
                let hint = "save the lengths of these sequences";
                Error::data(&path, "sequences", "lengths that fit", e, hint)
            })?;
            Ok((packed, FeatureShape::Sequence(d)))
        }
        _ => invalid("save a vector, or a sequence of vectors, for each sample"),
    }
}

/// The lengths \[N\] of the modality's sequences, if they are given, as numbers or as a mask.
fn read_lengths(arrays: &mut Arrays<'_>, name: &str, values: &Tensor) -> Result<Option<Tensor>> {
    let (lengths, mask) = (format!("{name}_lengths"), format!("{name}_mask"));
    if arrays.has(&lengths) {
        return arrays.labels(&lengths).map(Some);
    }
    if !arrays.has(&mask) {
        return Ok(None);
    }
    let path = arrays.path(&mask);
    let mask = arrays.flags(&mask)?;
    if values.dim() != 3 || mask.size() != values.size()[..2] {
        let expected = format!("[N, T] of {:?}", values.size());
        let found = format!("{:?}", mask.size());
        let hint = "save the mask of these sequences";
        return Err(Error::data(&path, "mask", expected, found, hint));
    }
    let steps = mask.size()[1];
    let gaps = mask.narrow(1, 1, steps - 1).gt_tensor(&mask.narrow(1, 0, steps - 1));
    if gaps.any().int64_value(&[]) != 0 {
        let hint = "move each sequence's steps to its start";
        return Err(Error::data(&path, "mask", "ones, then zeros", "a gap", hint));
    }
    Ok(Some(count_steps(&mask)))
}

/// The lengths \[N\] of sequences with this mask [N, T].
fn count_steps(mask: &Tensor) -> Tensor {
    mask.sum_dim_intlist([1_i64].as_slice(), false, Kind::Int64)
}

fn fit(input: &Tensor, shape: FeatureShape) -> Result<Standardiser> {
    let names = |d: i64| (0..d).map(|i| i.to_string()).collect::<Vec<_>>();
    match shape {
        FeatureShape::Vector(d) => Standardiser::fit(&names(d), input),
        FeatureShape::Sequence(d) => {
            let (values, mask) = Sequences::unpack(input)?;
            let steps = values.masked_select(&mask.unsqueeze(2)).view([-1, d]);
            if steps.numel() == 0 {
                let (what, hint) = ("training sequences", "check the lengths");
                return Err(error::non_finite(what, "at least one step", "none", hint));
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
            Sequences::pack(&scaled, &count_steps(&mask))
        }
    }
}
