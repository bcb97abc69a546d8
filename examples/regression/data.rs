//! Layouts of tables with pictures.

use std::{
    path::{Path, PathBuf},
    str::FromStr,
};

use anyhow::{Context, Result};
use g2d::paper::data::{HouseModalities, ImageTable, ImageTableSplits};

/// The layout of the tables.
#[derive(Debug, Clone)]
pub enum Layout {
    Houses,
    MisMe,
    /// A JSON file of an `ImageTable`.
    File(PathBuf),
}

/// The number of modalities of a house.
#[derive(Debug, Clone, Copy, Default, clap::ValueEnum)]
pub enum HouseModalityCount {
    /// The four photographs as one picture, and the table
    #[default]
    Two,
    /// Each of the four photographs, and the table
    Five,
}

impl FromStr for Layout {
    type Err = String;

    fn from_str(name: &str) -> Result<Self, String> {
        match name {
            "houses" => Ok(Self::Houses),
            "mis-me" => Ok(Self::MisMe),
            file if file.ends_with(".json") => Ok(Self::File(file.into())),
            other => Err(format!("{other:?}: expected houses, mis-me or a .json file")),
        }
    }
}

impl Layout {
    /// Reads the three splits in `folder`.
    pub fn read(
        &self,
        folder: &Path,
        modalities: HouseModalityCount,
        seed: u64,
    ) -> Result<ImageTableSplits> {
        Ok(self.table(modalities)?.splits(folder, seed)?)
    }

    fn table(&self, modalities: HouseModalityCount) -> Result<ImageTable> {
        Ok(match (self, modalities) {
            (Self::Houses, HouseModalityCount::Two) => ImageTable::houses(HouseModalities::Two),
            (Self::Houses, HouseModalityCount::Five) => ImageTable::houses(HouseModalities::Five),
            (Self::MisMe, _) => ImageTable::mis_me(),
            (Self::File(path), _) => {
                let text = std::fs::read_to_string(path)
                    .with_context(|| format!("read {}", path.display()))?;
                serde_json::from_str(&text)
                    .with_context(|| format!("{} is not the layout of a table", path.display()))?
            }
        })
    }
}
