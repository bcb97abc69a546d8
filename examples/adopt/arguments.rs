//! The command line.

use std::path::PathBuf;

use anyhow::Result;
use clap::Parser;

/// Train a model of audio, images and text
#[derive(Parser)]
pub struct Arguments {
    /// Folder of the run; a second start with the same folder resumes
    #[arg(long, default_value = "target/adopt")]
    pub out: PathBuf,
    /// Number of epochs of every training
    #[arg(long, default_value_t = 8)]
    pub epochs: u64,
    /// One epoch
    #[arg(long)]
    smoke: bool,
}

impl Arguments {
    /// Reads the command line and makes the folder of the run.
    pub fn read() -> Result<Self> {
        let mut arguments = Self::parse();
        if arguments.smoke {
            arguments.epochs = 1;
            arguments.out = arguments.out.join("smoke");
        }
        std::fs::create_dir_all(&arguments.out)?;
        Ok(arguments)
    }
}
