//! Samples of pictures beside a table, before and after standardisation.

use rand::{SeedableRng, rngs::StdRng, seq::SliceRandom};
use tch::{Kind, Tensor};

use super::{Standardisation, Standardiser, TargetScale, TargetScaler};
use crate::data::InMemory;
use crate::{
    error::{self, Result},
    modality::Modality,
};

/// Samples as they were read: pictures in bytes, the table and the targets in their own units.
#[derive(Debug)]
pub struct ImageTableRows {
    pub(super) modalities: Vec<Modality>,
    pub(super) columns: Vec<String>,
    pub(super) images: Vec<Tensor>,
    pub(super) table: Tensor,
    pub(super) targets: Tensor,
}

impl ImageTableRows {
    /// The modalities, images first.
    pub fn modalities(&self) -> &[Modality] {
        &self.modalities
    }

    /// Cells [N, columns], `Double`; NaN where a value is missing.
    pub fn table(&self) -> &Tensor {
        &self.table
    }

    /// Targets \[N\], `Double`, in their own unit.
    pub fn targets(&self) -> &Tensor {
        &self.targets
    }

    /// Learns the scale of columns and targets; call it on the training rows only.
    ///
    /// # Errors
    /// As [`Standardiser::fit`] and [`TargetScaler::fit`].
    pub fn standardisation(&self, scale: TargetScale) -> Result<Standardisation> {
        Ok(Standardisation {
            table: Standardiser::fit(&self.columns, &self.table)?,
            target: TargetScaler::fit(&self.targets, scale)?,
        })
    }

    /// The samples on that scale: pictures [N, 3, side, side], the table [N, columns], targets \[N\].
    ///
    /// # Errors
    /// As [`Standardiser::apply`] and [`TargetScaler::apply`].
    pub fn standardised(&self, by: &Standardisation) -> Result<InMemory> {
        let mut inputs: Vec<_> = self.images.iter().map(Tensor::shallow_clone).collect();
        inputs.push(by.table.apply(&self.table)?);
        InMemory::new(self.modalities.clone(), inputs, by.target.apply(&self.targets)?)
    }

    /// Samples from tensors: `images` [N, 3, H, W] (bytes, or floats in [0, 1]), `table`
    /// [N, columns] and `targets` \[N\], for a set that is not read from a table.
    ///
    /// # Errors
    /// [`Error::Shape`](crate::error::Error::Shape) if they do not fit each other.
    pub fn from_tensors(
        images: Vec<(Modality, Tensor)>,
        table: (Modality, Vec<String>, Tensor),
        targets: Tensor,
    ) -> Result<Self> {
        let (table_name, columns, table) = table;
        let (mut modalities, images): (Vec<_>, Vec<_>) = images.into_iter().unzip();
        modalities.push(table_name);
        let rows = targets.size();
        let one_a_row = |image: &Tensor| image.dim() == 4 && image.size()[..1] == rows;
        if rows.len() != 1
            || table.size() != [rows[0], columns.len() as i64]
            || !images.iter().all(one_a_row)
        {
            let sizes: Vec<_> = images.iter().map(Tensor::size).collect();
            return Err(error::shape(
                "pictures, table and targets",
                format!("[N, 3, H, W], [N, {}] and [N]", columns.len()),
                format!("{sizes:?}, {:?} and {rows:?}", table.size()),
                "give every sample a row of each",
            ));
        }
        let (table, targets) = (table.to_kind(Kind::Double), targets.to_kind(Kind::Double));
        Ok(Self { modalities, columns, images, table, targets })
    }

    /// Three fifths, one and one, at random.
    pub(super) fn split(&self, seed: u64) -> Result<ImageTableSplits> {
        let n = self.targets.size()[0] as usize;
        let fifth = n / 5;
        if fifth == 0 {
            let found = format!("{n}");
            let hint = "give train, val and test tables of their own";
            return Err(error::config("samples to split", "at least 5", found, hint));
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
        let pick = |from: &Tensor| from.index_select(0, &index);
        Self {
            modalities: self.modalities.clone(),
            columns: self.columns.clone(),
            images: self.images.iter().map(pick).collect(),
            table: pick(&self.table),
            targets: pick(&self.targets),
        }
    }
}

/// The three splits, as they were read.
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
    /// Learns the scale from `train` and puts all three on it: `[train, val, test]`.
    ///
    /// # Errors
    /// As [`ImageTableRows::standardisation`] and [`ImageTableRows::standardised`].
    pub fn standardised(&self, scale: TargetScale) -> Result<([InMemory; 3], Standardisation)> {
        let by = self.train.standardisation(scale)?;
        let (train, val) = (self.train.standardised(&by)?, self.val.standardised(&by)?);
        Ok(([train, val, self.test.standardised(&by)?], by))
    }
}
