//! How forward passes are computed.

use anyhow::{Result, ensure};
use g2d::trainer::{Precision, SuppressedMode};
use serde::{Deserialize, Serialize};

use super::problem::Problem;
use crate::support::{command_line::choice, methods::Method};

/// How forward passes are computed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize, clap::Args)]
#[serde(default)]
pub struct ComputeConfig {
    /// Dtype of forward passes: full, bf16 or fp16
    #[arg(long, value_parser = choice::<Precision>, default_value = "full")]
    pub precision: Precision,
    /// Mode of a suppressed encoder: train (as in the authors' code), evaluation, or cached
    /// (evaluation, once per stage)
    #[arg(long, value_parser = choice::<SuppressedMode>, default_value = "train")]
    pub suppressed_mode: SuppressedMode,
}

impl ComputeConfig {
    /// Refuses what methods or data do not support.
    pub fn check(self, methods: &[Method], problem: &Problem) -> Result<()> {
        if let Some(method) = methods.iter().find(|method| method.rival().is_some()) {
            let key = method.key();
            ensure!(
                self.precision == Precision::Full,
                "--precision: {key} trains in full precision"
            );
        }
        ensure!(
            self.suppressed_mode != SuppressedMode::Cached || problem.splits.train.is_constant(),
            "--suppressed-mode cached: the training samples are augmented in every epoch"
        );
        Ok(())
    }
}
