//! The file of a golden case.

use std::collections::BTreeMap;

use anyhow::{Result, ensure};
use g2d::{
    SmpScheduler,
    loss::{Classification, Distillation},
    modulation::Modulate,
    paper::{baselines::Ogm, networks::FusionKind},
    schedule::{Joint, Sequential},
};
use serde::Deserialize;

/// The modalities, in the student's order.
pub const MODALITIES: [&str; 2] = ["audio", "visual"];

/// A golden case: a configuration, and the numbers that the authors' code reported.
#[derive(Debug, Clone, Deserialize)]
pub struct GoldenCase {
    pub dataset: GoldenDataset,
    pub fusion: FusionKind,
    modulation: AuthorsModulation,
    modulation_starts: u64,
    modulation_ends: u64,
    /// α of OGM.
    #[serde(default = "one")]
    alpha: f64,
    pub batch: i64,
    #[serde(default = "one")]
    temperature_audio: f64,
    #[serde(default = "one")]
    temperature_visual: f64,
    weights: TermWeights,
    pub lr: f64,
    pub momentum: f64,
    pub weight_decay: f64,
    pub steps: Vec<GoldenStep>,
    pub final_abs_sum: BTreeMap<String, f64>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
pub enum GoldenDataset {
    #[serde(rename = "CREMAD")]
    CremaD,
    #[serde(rename = "AVMNIST")]
    AvMnist,
    #[serde(rename = "VGGSound")]
    VggSound,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
enum AuthorsModulation {
    G2D,
    #[serde(rename = "OGM")]
    Ogm,
    Normal,
}

#[derive(Debug, Clone, Deserialize)]
struct TermWeights {
    logit_audio: f64,
    feature_audio: f64,
    logit_visual: f64,
    feature_visual: f64,
}

/// One step: its epoch, and the expected numbers by quantity.
#[derive(Debug, Clone, Deserialize)]
pub struct GoldenStep {
    pub epoch: u64,
    #[serde(flatten)]
    pub expected: BTreeMap<String, GoldenNumbers>,
}

#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(untagged)]
pub enum GoldenNumbers {
    One(f64),
    Row(Vec<f64>),
}

impl GoldenNumbers {
    pub fn as_slice(&self) -> &[f64] {
        match self {
            Self::One(number) => std::slice::from_ref(number),
            Self::Row(numbers) => numbers,
        }
    }
}

fn one() -> f64 {
    1.0
}

impl GoldenCase {
    pub fn parse(text: &str) -> Result<Self> {
        let case: Self = serde_json::from_str(text)?;
        ensure!(case.batch > 0, "batch: expected at least 1, found {}", case.batch);
        Ok(case)
    }

    /// The loss with the case's weights, and with all weights 1.
    pub fn losses(&self) -> [Classification; 2] {
        let TermWeights { logit_audio, feature_audio, logit_visual, feature_visual } = self.weights;
        let temperature = [self.temperature_audio, self.temperature_visual].into();
        let weighted = Distillation {
            feature_weight: [feature_audio, feature_visual].into(),
            logit_weight: [logit_audio, logit_visual].into(),
            temperature,
            ..Distillation::default()
        };
        let plain = Distillation {
            feature_weight: 1.0.into(),
            logit_weight: 1.0.into(),
            ..weighted.clone()
        };
        [Classification::new(weighted), Classification::new(plain)]
    }

    /// Returns whether the window of modulation contains an epoch.
    fn has_window(&self) -> bool {
        self.modulation_starts <= self.modulation_ends
    }

    pub fn scheduler(&self) -> Box<dyn SmpScheduler> {
        match self.modulation {
            AuthorsModulation::G2D if self.has_window() => {
                let epochs = self.modulation_ends - self.modulation_starts + 1;
                Box::new(Sequential::new([epochs]).starting_at(self.modulation_starts))
            }
            _ => Box::new(Joint::default()),
        }
    }

    pub fn gradient_modulation(&self) -> Option<Box<dyn Modulate>> {
        let window = self.modulation_starts..=self.modulation_ends;
        (self.modulation == AuthorsModulation::Ogm && self.has_window())
            .then(|| Box::new(Ogm::new(self.alpha, window)) as Box<dyn Modulate>)
    }
}

impl GoldenDataset {
    pub fn classes(self) -> i64 {
        match self {
            Self::CremaD => 6,
            Self::AvMnist => 10,
            Self::VggSound => 309,
        }
    }

    /// The shapes of an audio and of a visual sample.
    pub fn shapes(self) -> [Vec<i64>; 2] {
        match self {
            Self::CremaD => [vec![1, 33, 47], vec![3, 1, 40, 40]],
            Self::VggSound => [vec![1, 33, 47], vec![3, 2, 40, 40]],
            Self::AvMnist => [vec![1, 36, 36], vec![1, 28, 28]],
        }
    }
}
