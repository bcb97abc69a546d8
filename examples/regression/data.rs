//! Which table is read, and how.

use std::{
    path::{Path, PathBuf},
    str::FromStr,
};

use anyhow::{Context, Result};
use g2d::paper::data::{HouseModalities, ImageTable, ImageTableSplits};

/// What the tables' columns mean.
#[derive(Debug, Clone)]
pub enum Layout {
    Houses,
    MisMe,
    /// An `ImageTable` in JSON.
    File(PathBuf),
}

/// How the photographs of a house are modalities.
#[derive(Debug, Clone, Copy, Default, clap::ValueEnum)]
pub enum HowMany {
    /// All four as one picture, and the table
    #[default]
    Two,
    /// Each room, and the table
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
    /// The three splits below `folder`.
    pub fn read(&self, folder: &Path, modalities: HowMany, seed: u64) -> Result<ImageTableSplits> {
        Ok(self.table(modalities)?.splits(folder, seed)?)
    }

    fn table(&self, modalities: HowMany) -> Result<ImageTable> {
        Ok(match (self, modalities) {
            (Self::Houses, HowMany::Two) => ImageTable::houses(HouseModalities::Two),
            (Self::Houses, HowMany::Five) => ImageTable::houses(HouseModalities::Five),
            (Self::MisMe, _) => ImageTable::mis_me(),
            (Self::File(path), _) => {
                let text = std::fs::read_to_string(path)
                    .with_context(|| format!("read {}", path.display()))?;
                serde_json::from_str(&text)
                    .with_context(|| format!("{} describes no table", path.display()))?
            }
        })
    }
}
