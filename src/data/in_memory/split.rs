//! Parts of a data set in memory.

use std::collections::BTreeMap;

use rand::{SeedableRng, rngs::StdRng, seq::SliceRandom};
use tch::{Kind, Tensor};

use super::InMemory;
use crate::batch::Input;
use crate::error::{self, Error, Result};
use crate::transfer;

impl InMemory {
    /// Splits off a random share of the samples: returns the rest and the part held out, a function of
    /// the seed.
    ///
    /// # Errors
    /// [`Error::Config`] if one of the two would be empty.
    pub fn hold_out(&self, share: f64, seed: u64) -> Result<(Self, Self)> {
        let held = self.held_count(share)?;
        let mut rows: Vec<usize> = (0..self.len()).collect();
        rows.shuffle(&mut StdRng::seed_from_u64(seed));
        let (held, rest) = rows.split_at(held);
        Ok((self.select(rest)?, self.select(held)?))
    }

    /// Splits off a random share of the samples of each class, as [`hold_out`](Self::hold_out) does
    /// without regard to the classes. The numbers of held out samples are rounded so that their sum is
    /// that of `hold_out`.
    ///
    /// # Errors
    /// [`Error::Config`] if one of the two parts would be empty, and for a class that is too small to be
    /// in both; [`Error::Kind`] and [`Error::Shape`] for targets that are not labels \[N\] (`Int64`).
    pub fn hold_out_by_class(&self, share: f64, seed: u64) -> Result<(Self, Self)> {
        let held = self.held_count(share)?;
        let mut classes: BTreeMap<i64, Vec<usize>> = BTreeMap::new();
        for (row, label) in self.labels()?.into_iter().enumerate() {
            classes.entry(label).or_default().push(row);
        }
        // Each class gives the whole part of its share; those with the largest remainders one more.
        let exact = |rows: &Vec<usize>| rows.len() as f64 * held as f64 / self.len() as f64;
        let mut remainders: Vec<(f64, i64)> =
            classes.iter().map(|(&label, rows)| (exact(rows).fract(), label)).collect();
        remainders.sort_by(|a, b| b.0.total_cmp(&a.0).then(a.1.cmp(&b.1)));
        let whole: usize = classes.values().map(|rows| exact(rows) as usize).sum();
        let more: Vec<i64> =
            remainders.iter().take(held - whole).map(|(_, label)| *label).collect();
        let mut rng = StdRng::seed_from_u64(seed);
        let (mut rest, mut out) = (Vec::new(), Vec::new());
        for (label, mut rows) in classes {
            let count = exact(&rows) as usize + usize::from(more.contains(&label));
            if count == 0 || count == rows.len() {
                let what = format!("samples of class {label} to hold out");
                let (expected, found) =
                    ("at least 1 in each part", format!("{count} of {}", rows.len()));
                let hint = "choose another share, or call `hold_out`";
                return Err(error::config(what, expected, found, hint));
            }
            rows.shuffle(&mut rng);
            out.extend_from_slice(&rows[..count]);
            rest.extend_from_slice(&rows[count..]);
        }
        rest.sort_unstable();
        out.sort_unstable();
        Ok((self.select(&rest)?, self.select(&out)?))
    }

    /// Selects the first `n` samples, or all if there are fewer.
    ///
    /// # Errors
    /// [`Error::Config`] if `n` is 0.
    pub fn first(&self, n: usize) -> Result<Self> {
        if n == 0 {
            return Err(error::out_of_range("number of first samples", "at least 1", n));
        }
        self.select(&(0..n.min(self.len())).collect::<Vec<_>>())
    }

    /// Selects the samples at `rows`, in this order, for a split of your own.
    ///
    /// # Errors
    /// [`Error::Config`] without a row, or for one that is not below the number of samples.
    pub fn select(&self, rows: &[usize]) -> Result<Self> {
        if rows.is_empty() {
            let hint = "select at least one sample";
            return Err(error::config("rows of a data set", "at least one", 0, hint));
        }
        if let Some(row) = rows.iter().find(|row| **row >= self.len()) {
            let expected = format!("below {}, the number of samples", self.len());
            return Err(error::config("row of a data set", expected, row, "count rows from 0"));
        }
        let index: Vec<i64> = rows.iter().map(|&row| row as i64).collect();
        let index = transfer::send(&Tensor::from_slice(&index), self.targets.device())?;
        let pick = |from: &Tensor| {
            from.f_index_select(0, &index).map_err(|e| Error::torch("select samples", e))
        };
        let flags = |flags: &Vec<bool>| rows.iter().map(|&row| flags[row]).collect();
        let extras = self.extras.iter().map(|(name, tensor)| Ok((name.clone(), pick(tensor)?)));
        Ok(Self {
            modalities: self.modalities.clone(),
            inputs: self
                .inputs
                .iter()
                .map(|input| input.map(pick))
                .collect::<Result<Vec<Input>>>()?,
            targets: pick(&self.targets)?,
            extras: extras.collect::<Result<_>>()?,
            present: self.present.iter().map(|(&m, own)| (m, flags(own))).collect(),
            ids: rows.iter().map(|&row| self.ids[row]).collect(),
        })
    }

    fn held_count(&self, share: f64) -> Result<usize> {
        let held = (self.len() as f64 * share).round() as usize;
        if held == 0 || held >= self.len() {
            let what = format!("share of {} samples to hold out", self.len());
            let hint = "choose a share between 0 and 1";
            return Err(error::config(what, "at least 1 sample in each part", share, hint));
        }
        Ok(held)
    }

    /// The class labels of all samples.
    fn labels(&self) -> Result<Vec<i64>> {
        let (kind, size) = (self.targets.kind(), self.targets.size());
        let hint = "call `hold_out` for other targets";
        if kind != Kind::Int64 {
            return Err(error::wrong_kind("targets", "Int64 class labels", kind, hint));
        }
        if size.len() != 1 {
            return Err(error::wrong_shape("targets", "[N] class labels", &size, hint));
        }
        let labels = transfer::to_host(&self.targets)?;
        Vec::try_from(&labels).map_err(|e| Error::torch("read the labels", e))
    }
}
