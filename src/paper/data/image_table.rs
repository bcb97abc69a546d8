//! Images beside a table, as in MIS-ME: one row per sample, with the images' file names in columns.

use std::{
    collections::HashMap,
    path::{Path, PathBuf},
};

use serde::{Deserialize, Serialize};
use tch::{Device, Kind, Tensor};

use super::{ImageTableRows, ImageTableSplits, RgbPicture, Table, image_files::ImageFiles};
use crate::error::{self, Result};
use crate::modality::Modality;

/// An image modality of an [`ImageTable`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ImageColumns {
    /// The modality.
    pub modality: Modality,
    /// The columns with the images' file names: 1, or 4, 9, … whose images are tiled into a square row
    /// by row.
    pub columns: Vec<String>,
}

impl ImageColumns {
    /// A modality of one image per sample.
    pub fn new(modality: impl Into<Modality>, column: &str) -> Self {
        Self { modality: modality.into(), columns: vec![column.to_owned()] }
    }
}

/// The photographs of a house in the Houses data set.
const ROOMS: [&str; 4] = ["bathroom", "bedroom", "frontal", "kitchen"];

/// How the photographs of a house become modalities.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum HouseModalities {
    /// `photos`, the four tiled 2×2, and `table`.
    #[default]
    Two,
    /// `bathroom`, `bedroom`, `frontal`, `kitchen` and `table`.
    Five,
}

/// The layout of a table with images: the roles of its columns, and the size of the images.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ImageTable {
    /// Folder of the images, relative to the table's folder.
    pub image_folder: PathBuf,
    /// The image modalities, which are the first modalities of a sample.
    pub images: Vec<ImageColumns>,
    /// The modality of the table, which is the last modality of a sample.
    pub table: Modality,
    /// The columns of the table's modality.
    pub columns: Vec<String>,
    /// The column of the target.
    pub target: String,
    /// Height and width in pixels of a resized image or square of images.
    pub side: usize,
}

impl ImageTable {
    /// The layout of MIS-ME: `image`, eight weather columns, the target `vwc`; images 224×224 in
    /// `images/`.
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
            images: vec![ImageColumns::new("image", "image")],
            table: "weather".into(),
            columns: columns.map(str::to_owned).into(),
            target: "vwc".to_owned(),
            side: 224,
        }
    }

    /// The layout of Houses (Ahmed & Moustafa, "House Price Estimation from Visual and Textual
    /// Features", 2016, arXiv 1609.08399): a table with one row per house and the columns
    /// `{room}_image`, `bedrooms`, `bathrooms`, `area_sqft`, `zipcode`, and the target `price_usd`;
    /// photographs in `images/`.
    ///
    /// Every room is resized to 32×32 pixels; the tiled image has 64×64.
    pub fn houses(modalities: HouseModalities) -> Self {
        let column = |room: &str| format!("{room}_image");
        let (images, side) = match modalities {
            HouseModalities::Two => {
                let columns = ROOMS.map(column).into();
                (vec![ImageColumns { modality: "photos".into(), columns }], 64)
            }
            HouseModalities::Five => {
                (ROOMS.map(|room| ImageColumns::new(room, &column(room))).into(), 32)
            }
        };
        Self {
            image_folder: "images".into(),
            images,
            table: "table".into(),
            columns: ["bedrooms", "bathrooms", "area_sqft", "zipcode"].map(str::to_owned).into(),
            target: "price_usd".to_owned(),
            side,
        }
    }

    /// Reads a table and its images.
    ///
    /// The images of a row identify its sample, so that no other row may have the same ones.
    ///
    /// # Errors
    /// [`Error::Io`](crate::Error::Io) for a table or image that cannot be read, [`Error::Data`](crate::Error::Data) for one that is corrupted
    /// or does not fit the layout, a missing image, and two rows with the same images;
    /// [`Error::Config`](crate::Error::Config) for an invalid layout.
    pub fn read(&self, table: impl AsRef<Path>) -> Result<ImageTableRows> {
        let table = self.open(table.as_ref())?;
        self.check_distinct(&[&table])?;
        self.rows(&table)
    }

    fn open(&self, table: &Path) -> Result<Table> {
        self.check()?;
        Table::read(table)
    }

    fn targets(&self, table: &Table) -> Result<Vec<f64>> {
        let targets = table.numbers(&self.target)?;
        if let Some(row) = targets.iter().position(|target| target.is_nan()) {
            let hint = "omit samples without a target";
            return Err(table.invalid(&self.target, row, "a target", "a missing value", hint));
        }
        Ok(targets)
    }

    fn rows(&self, table: &Table) -> Result<ImageTableRows> {
        let column = |column: &String| Ok(Tensor::from_slice(&table.numbers(column)?));
        let columns = self.columns.iter().map(column).collect::<Result<Vec<_>>>()?;
        let cells = Tensor::stack(&columns, 1);
        let image = |images: &ImageColumns| {
            Ok((images.modality.clone(), self.images(table, &images.columns)?))
        };
        let images = self.images.iter().map(image).collect::<Result<_>>()?;
        let cells = (self.table.clone(), self.columns.clone(), cells);
        ImageTableRows::from_tensors(images, cells, Tensor::from_slice(&self.targets(table)?))
    }

    /// Checks that no two rows of `tables` have the same images.
    fn check_distinct(&self, tables: &[&Table]) -> Result<()> {
        let targets = tables.iter().map(|table| self.targets(table)).collect::<Result<Vec<_>>>()?;
        let mut seen = HashMap::new();
        let columns = || self.images.iter().flat_map(|images| &images.columns);
        for (table, targets) in tables.iter().zip(targets) {
            let names = columns().map(|column| table.texts(column)).collect::<Result<Vec<_>>>()?;
            for row in 0..table.len() {
                let sample: Vec<&str> = names.iter().map(|names| names[row]).collect();
                let here = (*table, row, targets[row]);
                let Some(first) = seen.insert(sample.clone(), here) else { continue };
                let place = |(table, row, target): (&Table, usize, f64)| {
                    let file = table.path().file_name().unwrap_or_default().to_string_lossy();
                    format!("{file} line {} ({} {target})", table.line(row), self.target)
                };
                let found = format!("{sample:?} in {} and {}", place(first), place(here));
                let hint = match () {
                    () if first.2 != here.2 => "remove the row with the wrong target",
                    () if first.0.path() != table.path() => {
                        "remove one row: a sample in two splits makes their comparison worthless"
                    }
                    () => "remove one row",
                };
                let column = columns().next().map_or("", String::as_str);
                return Err(table.invalid(column, row, "one row for a sample", &found, hint));
            }
        }
        Ok(())
    }

    /// Reads the tables `train`, `val` and `test` (`.csv` or `.xlsx`) in `folder`; without `train`,
    /// reads the table `samples` and splits it 60 : 20 : 20 at random.
    ///
    /// # Errors
    /// The errors of [`read`](Self::read), and [`Error::Data`](crate::Error::Data) for a sample in two tables.
    pub fn splits(&self, folder: impl AsRef<Path>, seed: u64) -> Result<ImageTableSplits> {
        let folder = folder.as_ref();
        let table = |name: &str| {
            let extensions = ["csv", "xlsx", "CSV", "XLSX"];
            let mut paths = extensions.map(|end| folder.join(format!("{name}.{end}"))).into_iter();
            paths.find(|path| path.exists())
        };
        if let (None, Some(samples)) = (table("train"), table("samples")) {
            return self.read(samples)?.split(seed);
        }
        let open = |name: &str| {
            self.open(&table(name).unwrap_or_else(|| folder.join(format!("{name}.csv"))))
        };
        let (train, val, test) = (open("train")?, open("val")?, open("test")?);
        self.check_distinct(&[&train, &val, &test])?;
        let (train, val, test) = (self.rows(&train)?, self.rows(&val)?, self.rows(&test)?);
        Ok(ImageTableSplits { train, val, test })
    }

    fn check(&self) -> Result<()> {
        let square = |n: usize| n > 0 && n.isqrt().pow(2) == n;
        let fits = |n: usize| square(n) && self.side >= n.isqrt();
        let images_fit = self.images.iter().all(|images| fits(images.columns.len()));
        if images_fit && !self.images.is_empty() && !self.columns.is_empty() && self.side > 0 {
            return Ok(());
        }
        Err(error::config(
            "layout of an image table",
            "images of 1, 4, 9, … columns each, columns of the table, and a side above 0",
            format_args!("{self:?}"),
            "start from `ImageTable::mis_me`",
        ))
    }

    /// Reads the images that `columns` name, tiled: [N, 3, side, side], bytes.
    fn images(&self, table: &Table, columns: &[String]) -> Result<Tensor> {
        let folder = table.path().parent().unwrap_or(Path::new("")).join(&self.image_folder);
        let mut files = ImageFiles::new(folder);
        let (side, across) = (self.side as i64, columns.len().isqrt());
        let size = [table.len() as i64, 3, side, side];
        let images = Tensor::zeros(size, (Kind::Uint8, Device::Cpu));
        for (tile, column) in columns.iter().enumerate() {
            // Neighbouring tiles share an edge, so that the tiles fill the square.
            let edge = |i: usize| (i * self.side / across) as i64;
            let (row, col) = (tile / across, tile % across);
            let (height, width) = (edge(row + 1) - edge(row), edge(col + 1) - edge(col));
            let tiles = images.narrow(2, edge(row), height).narrow(3, edge(col), width);
            for (sample, name) in table.texts(column)?.into_iter().enumerate() {
                let file = files.find(name).map_err(|(found, hint)| {
                    table.invalid(column, sample, "an image file", &found, &hint)
                })?;
                let image = RgbPicture::read(file)?;
                let image = image.resized(width as usize, height as usize);
                let pixels = Tensor::from_slice(image.pixels()).view([height, width, 3]);
                tiles.get(sample as i64).copy_(&pixels.permute([2, 0, 1]));
            }
        }
        Ok(images)
    }
}
