//! Pictures beside a table, as MIS-ME has them: a row a sample, pictures named in columns.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use tch::Tensor;

use super::{ImageTableRows, ImageTableSplits, RgbPicture, Table};
use crate::{
    error::{self, Error, Result},
    modality::Modality,
};

/// An image modality.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Pictures {
    /// Its name.
    pub modality: Modality,
    /// The columns that name a file each. One is a picture; 4, 9, … are tiled into a square, row by
    /// row.
    pub columns: Vec<String>,
}

impl Pictures {
    /// One picture a sample.
    pub fn one(modality: impl Into<Modality>, column: &str) -> Self {
        Self { modality: modality.into(), columns: vec![column.to_owned()] }
    }
}

/// What a table's columns mean, and how its pictures are read.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ImageTable {
    /// Folder of the pictures, relative to the table's.
    pub image_folder: PathBuf,
    /// The image modalities; they come first, in this order.
    pub images: Vec<Pictures>,
    /// The name of the table's modality, which comes last.
    pub table: Modality,
    /// Its columns.
    pub columns: Vec<String>,
    /// The column of the target.
    pub target: String,
    /// Pixels on each side that a sample's picture (or square of pictures) is resized to.
    pub side: usize,
}

impl ImageTable {
    /// MIS-ME's: `image`, eight columns of weather, target `vwc`; pictures 224×224 in `images/`.
    pub fn mis_me() -> Self {
        let columns = [
            "air_temperature",
            "relative_humidity",
            "precipitation",
            "solar_flux_density",
            "wind_speed",
            "barometric_pressure",
            "tilt_north_south",
            "tilt_west_east",
        ];
        Self {
            image_folder: "images".into(),
            images: vec![Pictures::one("image", "image")],
            table: "weather".into(),
            columns: columns.map(str::to_owned).into(),
            target: "vwc".to_owned(),
            side: 224,
        }
    }

    /// Reads one table and the pictures that it names.
    ///
    /// # Errors
    /// [`Error::Io`] for a table or picture that is missing or unreadable, [`Error::Data`] for one
    /// that is damaged or does not fit the layout, both with the path; [`Error::Config`] for a layout
    /// that cannot work.
    pub fn read(&self, table: impl AsRef<Path>) -> Result<ImageTableRows> {
        self.check()?;
        let table = Table::read(table)?;
        let folder = table.path().parent().unwrap_or(Path::new("")).join(&self.image_folder);
        let targets = table.numbers(&self.target)?;
        if let Some(row) = targets.iter().position(|target| target.is_nan()) {
            let what = format!("column {:?}, line {}", self.target, row + 2);
            let hint = "leave samples without a target out";
            return Err(Error::data(table.path(), what, "a target", "an empty cell", hint));
        }
        let columns: Vec<Vec<f64>> =
            self.columns.iter().map(|column| table.numbers(column)).collect::<Result<_>>()?;
        let cells: Vec<f64> = (0..table.len())
            .flat_map(|row| columns.iter().map(move |column| column[row]))
            .collect();
        let images = self.images.iter().map(|pictures| self.pictures(&table, &folder, pictures));
        let shape = [table.len() as i64, self.columns.len() as i64];
        let rows = Tensor::f_from_slice(&cells).and_then(|cells| cells.f_view(shape));
        Ok(ImageTableRows {
            modalities: self.modalities(),
            columns: self.columns.clone(),
            images: images.collect::<Result<_>>()?,
            table: rows.map_err(|e| Error::torch("make a table", e))?,
            targets: Tensor::from_slice(&targets),
        })
    }

    /// Reads `train`, `val` and `test` (`.csv` or `.xlsx`) in `folder`; or, where there is no
    /// `train`, one table `samples`, split 60 : 20 : 20 at random by `seed`.
    ///
    /// # Errors
    /// As [`read`](Self::read).
    pub fn splits(&self, folder: impl AsRef<Path>, seed: u64) -> Result<ImageTableSplits> {
        let folder = folder.as_ref();
        let table = |name: &str| {
            let found = ["csv", "xlsx"].map(|ending| folder.join(format!("{name}.{ending}")));
            found.into_iter().find(|path| path.exists())
        };
        match (table("train"), table("samples")) {
            (None, Some(samples)) => self.read(samples)?.split(seed),
            _ => {
                let read = |name: &str| {
                    self.read(table(name).unwrap_or_else(|| folder.join(format!("{name}.csv"))))
                };
                let (train, val, test) = (read("train")?, read("val")?, read("test")?);
                Ok(ImageTableSplits { train, val, test })
            }
        }
    }

    /// The modalities, images first.
    pub fn modalities(&self) -> Vec<Modality> {
        let images = self.images.iter().map(|pictures| pictures.modality.clone());
        images.chain([self.table.clone()]).collect()
    }

    fn check(&self) -> Result<()> {
        let square = |n: usize| n > 0 && n.isqrt().pow(2) == n;
        let whole = self.images.iter().all(|p| square(p.columns.len()))
            && self.images.iter().all(|p| self.side >= p.columns.len().isqrt());
        if whole && !self.images.is_empty() && !self.columns.is_empty() && self.side > 0 {
            return Ok(());
        }
        Err(error::config(
            "layout of an image table",
            "images of 1, 4, 9, … columns each, columns of the table, and a side above 0",
            format!("{self:?}"),
            "start from `ImageTable::mis_me`",
        ))
    }

    /// Pictures [N, 3, side, side], bytes.
    fn pictures(&self, table: &Table, folder: &Path, pictures: &Pictures) -> Result<Tensor> {
        let (side, across) = (self.side, pictures.columns.len().isqrt());
        let mut pixels = vec![0_u8; table.len() * 3 * side * side];
        for (place, column) in pictures.columns.iter().enumerate() {
            // Edges of the tile, so that all of them fill the square.
            let edge = |i: usize| i * side / across;
            let (row, col) = (place / across, place % across);
            let (top, bottom, left, right) = (edge(row), edge(row + 1), edge(col), edge(col + 1));
            let names = table.texts(column)?;
            for (name, sample) in names.iter().zip(pixels.chunks_exact_mut(3 * side * side)) {
                let tile = RgbPicture::read(folder.join(name))?.resized(right - left, bottom - top);
                for (i, pixel) in tile.pixels().chunks_exact(3).enumerate() {
                    let (y, x) = (top + i / (right - left), left + i % (right - left));
                    for (channel, &byte) in pixel.iter().enumerate() {
                        sample[(channel * side + y) * side + x] = byte;
                    }
                }
            }
        }
        let shape = [table.len() as i64, 3, side as i64, side as i64];
        Tensor::f_from_slice(&pixels)
            .and_then(|pixels| pixels.f_view(shape))
            .map_err(|e| Error::torch("make a tensor of pictures", e))
    }
}
