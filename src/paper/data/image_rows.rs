//! Samples of images beside a table, before and after standardisation.

use rand::{SeedableRng, rngs::StdRng, seq::SliceRandom};
use tch::{Kind, Tensor};

use super::{Standardisation, Standardiser, TargetScale, TargetScaler};
use crate::data::InMemory;
use crate::error::{self, Result};
use crate::modality::Modality;

/// Samples before standardisation: images in bytes, the table and the targets in their own units.
#[derive(Debug)]
pub struct ImageTableRows {
    modalities: Vec<Modality>,
    columns: Vec<String>,
    images: Vec<Tensor>,
    table: Tensor,
    targets: Tensor,
}

impl ImageTableRows {
    /// Samples of `images` [N, 3, H, W] (`Uint8` of 0 to 255, or floats of 0 to 1), `table`
    /// [N, columns] with NaN for missing values, and `targets` \[N\].
    ///
    /// # Errors
    /// [`Error::Shape`](crate::Error::Shape) if the tensors do not have these shapes,
    /// [`Error::Kind`](crate::Error::Kind) or [`Error::Config`](crate::Error::Config) for images of
    /// another dtype or of values outside its range.
    pub fn from_tensors(
        images: Vec<(Modality, Tensor)>,
        table: (Modality, Vec<String>, Tensor),
        targets: Tensor,
    ) -> Result<Self> {
        let (table_name, columns, table) = table;
        let (mut modalities, images): (Vec<_>, Vec<_>) = images.into_iter().unzip();
        modalities.push(table_name);
        let rows = targets.size();
        let fits = |image: &Tensor| {
            let size = image.size();
            matches!(size[..], [_, 3, h, w] if h > 0 && w > 0) && size[..1] == rows
        };
        if rows.len() != 1
            || rows[0] == 0
            || columns.is_empty()
            || table.size() != [rows[0], columns.len() as i64]
            || !images.iter().all(fits)
        {
            let sizes: Vec<_> = images.iter().map(Tensor::size).collect();
            return Err(error::shape(
                "images, table and targets",
                format_args!("[N, 3, H, W], [N, {}] and [N], none of them empty", columns.len()),
                format_args!("{sizes:?}, {:?} and {rows:?}", table.size()),
                "pass one row of each per sample, and RGB images",
            ));
        }
        let scaled = |(image, m): (Tensor, &Modality)| as_pixels(image, m);
        let images = images.into_iter().zip(&modalities).map(scaled).collect::<Result<_>>()?;
        let (table, targets) = (table.to_kind(Kind::Double), targets.to_kind(Kind::Double));
        Ok(Self { modalities, columns, images, table, targets })
    }

    /// Returns the modalities, images first.
    pub fn modalities(&self) -> &[Modality] {
        &self.modalities
    }

    /// Returns the cells [N, columns], `Double`; NaN for missing values.
    pub fn table(&self) -> &Tensor {
        &self.table
    }

    /// Returns the targets \[N\], `Double`, in their own unit.
    pub fn targets(&self) -> &Tensor {
        &self.targets
    }

    /// Fits the standardisation of columns and targets to these samples, which should be the training
    /// samples.
    ///
    /// # Errors
    /// The errors of [`Standardiser::fit`] and [`TargetScaler::fit`].
    pub fn standardisation(&self, scale: TargetScale) -> Result<Standardisation> {
        Ok(Standardisation {
            table: Standardiser::fit(&self.columns, &self.table)?,
            target: TargetScaler::fit(&self.targets, scale)?,
        })
    }

    /// Standardises the samples: images [N, 3, side, side], the table [N, columns] and targets \[N\].
    ///
    /// # Errors
    /// The errors of [`Standardiser::apply`] and [`TargetScaler::apply`].
    pub fn standardised(&self, by: &Standardisation) -> Result<InMemory> {
        let mut inputs: Vec<_> = self.images.iter().map(Tensor::shallow_clone).collect();
        inputs.push(by.table.apply(&self.table)?);
        InMemory::new(self.modalities.clone(), inputs, by.target.apply(&self.targets)?)
    }

    /// Splits 60 : 20 : 20 at random.
    pub(super) fn split(&self, seed: u64) -> Result<ImageTableSplits> {
        let n = self.targets.size()[0] as usize;
        let fifth = n / 5;
        if fifth == 0 {
            let hint = "save train, val and test as tables of their own";
            return Err(error::config("samples to split", "at least 5", n, hint));
        }
        let mut rows: Vec<i64> = (0..n as i64).collect();
        rows.shuffle(&mut StdRng::seed_from_u64(seed));
        let (held, train) = rows.split_at(2 * fifth);
        let (val, test) = held.split_at(fifth);
        let (train, val, test) = (self.select(train), self.select(val), self.select(test));
        Ok(ImageTableSplits { train, val, test })
    }

    fn select(&self, rows: &[i64]) -> Self {
        let index = Tensor::from_slice(rows);
        let select = |from: &Tensor| from.index_select(0, &index);
        Self {
            modalities: self.modalities.clone(),
            columns: self.columns.clone(),
            images: self.images.iter().map(select).collect(),
            table: select(&self.table),
            targets: select(&self.targets),
        }
    }
}

/// Images of a modality as `Uint8` of 0 to 255, or as `Float` of 0 to 1.
fn as_pixels(images: Tensor, modality: &Modality) -> Result<Tensor> {
    let what = format!("images of {modality:?}");
    let kind = images.kind();
    if !matches!(kind, Kind::Uint8 | Kind::Half | Kind::BFloat16 | Kind::Float | Kind::Double) {
        let hint = "convert them with `to_kind(Kind::Uint8)` if they are of 0 to 255";
        return Err(error::wrong_kind(what, "Uint8, or floats", kind, hint));
    }
    if kind == Kind::Uint8 || images.numel() == 0 {
        return Ok(images);
    }
    let [low, high] = [images.min(), images.max()].map(|x| x.double_value(&[]));
    if !(0.0..=1.0).contains(&low) || !(0.0..=1.0).contains(&high) {
        let hint = match low >= 0.0 && high <= 255.0 {
            true => "divide floats of 0 to 255 by 255",
            false => "pass pixels before standardisation",
        };
        let (expected, found) = ("floats of 0 to 1", format!("{low} to {high}"));
        return Err(error::config(what, expected, found, hint));
    }
    Ok(images.to_kind(Kind::Float))
}

/// The three splits before standardisation.
#[derive(Debug)]
pub struct ImageTableSplits {
    /// Training samples.
    pub train: ImageTableRows,
    /// Validation samples.
    pub val: ImageTableRows,
    /// Test samples.
    pub test: ImageTableRows,
}

impl ImageTableSplits {
    /// Fits a standardisation to `train` and applies it to `[train, val, test]`.
    ///
    /// # Errors
    /// The errors of [`ImageTableRows::standardisation`] and [`ImageTableRows::standardised`].
    pub fn standardised(&self, scale: TargetScale) -> Result<([InMemory; 3], Standardisation)> {
        let by = self.train.standardisation(scale)?;
        let (train, val) = (self.train.standardised(&by)?, self.val.standardised(&by)?);
        Ok(([train, val, self.test.standardised(&by)?], by))
    }
}
