//! The data sets on which every method is run, and the example that runs each.

use std::path::PathBuf;

use anyhow::{Result, ensure};

use crate::cargo::Cargo;

/// A data set on which every method is run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Reproduction {
    /// The embedded spoken digits
    SpokenDigits,
    /// AV-Digits, a folder in the layout of AV-MNIST
    AvDigits,
    /// House prices from photographs and a table
    Houses,
}

impl Reproduction {
    /// The name of its folders.
    pub fn name(self) -> &'static str {
        match self {
            Self::SpokenDigits => "spoken-digits",
            Self::AvDigits => "av-digits",
            Self::Houses => "houses",
        }
    }

    /// The example that trains on it, and the example's arguments.
    pub fn example(self) -> (&'static str, &'static [&'static str]) {
        match self {
            Self::SpokenDigits => ("audio_visual", &["--all-methods"]),
            // Among 0.1, 0.3 and 1, this α of partial suppression was best on validation data at
            // seed 100.
            Self::AvDigits => (
                "audio_visual",
                &["--all-methods", "--epochs", "60", "--stage", "30", "--partial-alpha", "0.1"],
            ),
            Self::Houses => {
                ("regression", &["--methods", "joint,joint_smp,umt,g2d_loss,g2d_smp,g2d_partial"])
            }
        }
    }

    /// Its folder: `given`, or the default beside the workspace; `None` for embedded data.
    pub fn data(self, cargo: &Cargo, given: Option<PathBuf>) -> Result<Option<PathBuf>> {
        let layout = match self {
            Self::SpokenDigits => {
                ensure!(given.is_none(), "the spoken digits are embedded; omit --data");
                return Ok(None);
            }
            Self::AvDigits => "a folder in the layout of AV-MNIST",
            Self::Houses => "a folder with train.csv, val.csv, test.csv and images/",
        };
        let data = given.unwrap_or_else(|| cargo.root().join("../shared/data").join(self.name()));
        let shown = data.display();
        ensure!(data.is_dir(), "expected {layout}, found none at {shown}; pass --data DIR");
        Ok(Some(std::path::absolute(data)?))
    }
}
