//! The update rules and their numbers.

use serde::{Deserialize, Serialize};

use crate::error::{self, Result};

/// Stochastic gradient descent, as `torch.optim.SGD`:
///
/// ```text
/// g ← ∂L/∂θ + weight_decay · θ
/// b ← momentum · b + (1 − dampening) · g        (b ← g at a parameter's first step)
/// θ ← θ − lr · (g + momentum · b  if nesterov, else b)
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct SgdConfig {
    /// η, 0.001.
    pub lr: f64,
    /// 0.
    pub momentum: f64,
    /// 0.
    pub dampening: f64,
    /// L2 penalty, added to the gradient; 0.
    pub weight_decay: f64,
    /// Looks ahead; needs momentum and no dampening.
    pub nesterov: bool,
}

impl Default for SgdConfig {
    fn default() -> Self {
        Self { lr: 1e-3, momentum: 0.0, dampening: 0.0, weight_decay: 0.0, nesterov: false }
    }
}

/// AdamConfig, as `torch.optim.AdamConfig`: weight decay is added to the gradient.
///
/// ```text
/// g ← ∂L/∂θ + weight_decay · θ
/// m ← β₁ m + (1 − β₁) g,   v ← β₂ v + (1 − β₂) g²,   t ← t + 1
/// θ ← θ − lr · m / (1 − β₁ᵗ) / (√(v / (1 − β₂ᵗ)) + eps)
/// ```
///
/// t counts a parameter's own steps. AMSGrad takes the largest v so far.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct AdamConfig {
    /// η, 0.001.
    pub lr: f64,
    /// β₁ and β₂: 0.9 and 0.999.
    pub betas: [f64; 2],
    /// 1e-8.
    pub eps: f64,
    /// L2 penalty, added to the gradient; 0.
    pub weight_decay: f64,
    /// Divides by the largest second moment so far.
    pub amsgrad: bool,
}

impl Default for AdamConfig {
    fn default() -> Self {
        Self { lr: 1e-3, betas: [0.9, 0.999], eps: 1e-8, weight_decay: 0.0, amsgrad: false }
    }
}

/// AdamConfig with decoupled weight decay, as `torch.optim.AdamWConfig`: θ ← (1 − lr · weight_decay) θ, then
/// [`AdamConfig`]'s update without a penalty in the gradient.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct AdamWConfig {
    /// η, 0.001.
    pub lr: f64,
    /// β₁ and β₂: 0.9 and 0.999.
    pub betas: [f64; 2],
    /// 1e-8.
    pub eps: f64,
    /// Decay of the parameter itself; 0.01.
    pub weight_decay: f64,
    /// Divides by the largest second moment so far.
    pub amsgrad: bool,
}

impl Default for AdamWConfig {
    fn default() -> Self {
        let AdamConfig { lr, betas, eps, amsgrad, .. } = AdamConfig::default();
        Self { lr, betas, eps, weight_decay: 0.01, amsgrad }
    }
}

/// One of the rules, chosen by its `type`:
///
/// ```toml
/// type = "sgd"        # or "adam", "adamw"
/// lr = 0.01
/// momentum = 0.9
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "lowercase")]
pub enum Algorithm {
    /// [`SgdConfig`].
    Sgd(SgdConfig),
    /// [`AdamConfig`].
    Adam(AdamConfig),
    /// [`AdamWConfig`].
    AdamW(AdamWConfig),
}

impl From<SgdConfig> for Algorithm {
    fn from(rule: SgdConfig) -> Self {
        Self::Sgd(rule)
    }
}

impl From<AdamConfig> for Algorithm {
    fn from(rule: AdamConfig) -> Self {
        Self::Adam(rule)
    }
}

impl From<AdamWConfig> for Algorithm {
    fn from(rule: AdamWConfig) -> Self {
        Self::AdamW(rule)
    }
}

impl Algorithm {
    /// Its name in files.
    pub(super) fn name(&self) -> &'static str {
        match self {
            Self::Sgd(_) => "sgd",
            Self::Adam(_) => "adam",
            Self::AdamW(_) => "adamw",
        }
    }

    /// The learning rate that an [`LrSchedule`](super::LrSchedule)'s factor multiplies.
    pub fn lr(&self) -> f64 {
        match self {
            Self::Sgd(SgdConfig { lr, .. })
            | Self::Adam(AdamConfig { lr, .. })
            | Self::AdamW(AdamWConfig { lr, .. }) => *lr,
        }
    }

    /// Refuses numbers out of range; `group` names the group in the error.
    pub(super) fn check(&self, group: &str) -> Result<()> {
        let least =
            |name, value: f64| (name, value, "finite and ≥ 0", value.is_finite() && value >= 0.0);
        let fraction = |name, value: f64| (name, value, "in [0, 1)", (0.0..1.0).contains(&value));
        let mut numbers = vec![least("lr", self.lr())];
        match *self {
            Self::Sgd(SgdConfig { momentum, dampening, weight_decay, nesterov, .. }) => {
                numbers.extend([
                    least("momentum", momentum),
                    ("dampening", dampening, "finite", dampening.is_finite()),
                    least("weight_decay", weight_decay),
                ]);
                if nesterov {
                    numbers.extend([
                        ("momentum", momentum, "> 0 where `nesterov` is on", momentum > 0.0),
                        ("dampening", dampening, "0 where `nesterov` is on", dampening == 0.0),
                    ]);
                }
            }
            Self::Adam(AdamConfig { betas, eps, weight_decay, .. })
            | Self::AdamW(AdamWConfig { betas, eps, weight_decay, .. }) => numbers.extend([
                fraction("β₁", betas[0]),
                fraction("β₂", betas[1]),
                least("eps", eps),
                least("weight_decay", weight_decay),
            ]),
        }
        match numbers.into_iter().find(|(.., right)| !right) {
            None => Ok(()),
            Some((name, value, expected, _)) => Err(error::config(
                format!("{name} of {} in group {group:?}", self.name()),
                expected,
                format!("{value}"),
                "PyTorch's defaults are those of `Default`",
            )),
        }
    }
}
