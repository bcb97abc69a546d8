//! Optimizer configurations.

use serde::{Deserialize, Serialize};

use crate::error::{self, Result};

/// The name of the state tensor that counts a parameter's steps.
pub(super) const STEP: &str = "step";

/// The configuration of stochastic gradient descent, as `torch.optim.SGD`:
///
/// ```text
/// g ← ∂L/∂θ + weight_decay · θ
/// b ← momentum · b + (1 − dampening) · g        (b ← g at a parameter's first step)
/// θ ← θ − lr · (g + momentum · b  if nesterov, else b)
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct SgdConfig {
    /// Learning rate, by default 0.001.
    pub lr: f64,
    /// By default 0.
    pub momentum: f64,
    /// By default 0.
    pub dampening: f64,
    /// L2 penalty, by default 0.
    pub weight_decay: f64,
    /// Nesterov momentum, by default off; requires momentum and a dampening of 0.
    pub nesterov: bool,
}

impl Default for SgdConfig {
    fn default() -> Self {
        Self { lr: 1e-3, momentum: 0.0, dampening: 0.0, weight_decay: 0.0, nesterov: false }
    }
}

/// The configuration of Adam, as `torch.optim.Adam`:
///
/// ```text
/// g ← ∂L/∂θ + weight_decay · θ
/// m ← β₁ m + (1 − β₁) g,   v ← β₂ v + (1 − β₂) g²,   t ← t + 1
/// θ ← θ − lr · m / (1 − β₁ᵗ) / (√(v / (1 − β₂ᵗ)) + eps)
/// ```
///
/// t is the number of the parameter's own steps. AMSGrad replaces v by its largest value so far.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct AdamConfig {
    /// Learning rate, by default 0.001.
    pub lr: f64,
    /// β₁ and β₂, by default 0.9 and 0.999.
    pub betas: [f64; 2],
    /// By default 1e-8.
    pub eps: f64,
    /// L2 penalty, by default 0.
    pub weight_decay: f64,
    /// AMSGrad, by default off.
    pub amsgrad: bool,
}

impl Default for AdamConfig {
    fn default() -> Self {
        Self { lr: 1e-3, betas: [0.9, 0.999], eps: 1e-8, weight_decay: 0.0, amsgrad: false }
    }
}

/// The configuration of Adam with decoupled weight decay, as `torch.optim.AdamW`: θ ← (1 − lr λ) θ
/// with λ = `weight_decay`, then the update of [`AdamConfig`] without a penalty in the gradient.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct AdamWConfig {
    /// Learning rate, by default 0.001.
    pub lr: f64,
    /// β₁ and β₂, by default 0.9 and 0.999.
    pub betas: [f64; 2],
    /// By default 1e-8.
    pub eps: f64,
    /// Decoupled weight decay, by default 0.01.
    pub weight_decay: f64,
    /// AMSGrad, by default off.
    pub amsgrad: bool,
}

impl Default for AdamWConfig {
    fn default() -> Self {
        let AdamConfig { lr, betas, eps, amsgrad, .. } = AdamConfig::default();
        Self { lr, betas, eps, weight_decay: 0.01, amsgrad }
    }
}

/// An optimizer algorithm with its configuration. `type` selects it in configuration files:
///
/// ```toml
/// type = "sgd"        # or "adam", "adamw"
/// lr = 0.01
/// momentum = 0.9
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "lowercase")]
pub enum Algorithm {
    /// Stochastic gradient descent.
    Sgd(SgdConfig),
    /// Adam.
    Adam(AdamConfig),
    /// AdamW.
    AdamW(AdamWConfig),
}

impl From<SgdConfig> for Algorithm {
    fn from(config: SgdConfig) -> Self {
        Self::Sgd(config)
    }
}

impl From<AdamConfig> for Algorithm {
    fn from(config: AdamConfig) -> Self {
        Self::Adam(config)
    }
}

impl From<AdamWConfig> for Algorithm {
    fn from(config: AdamWConfig) -> Self {
        Self::AdamW(config)
    }
}

impl Algorithm {
    /// The name of the algorithm in files.
    pub(super) fn name(&self) -> &'static str {
        match self {
            Self::Sgd(_) => "sgd",
            Self::Adam(_) => "adam",
            Self::AdamW(_) => "adamw",
        }
    }

    /// The learning rate.
    pub fn lr(&self) -> f64 {
        match self {
            Self::Sgd(SgdConfig { lr, .. })
            | Self::Adam(AdamConfig { lr, .. })
            | Self::AdamW(AdamWConfig { lr, .. }) => *lr,
        }
    }

    /// The same algorithm without weight decay.
    pub(super) fn without_decay(mut self) -> Self {
        match &mut self {
            Self::Sgd(SgdConfig { weight_decay, .. })
            | Self::Adam(AdamConfig { weight_decay, .. })
            | Self::AdamW(AdamWConfig { weight_decay, .. }) => *weight_decay = 0.0,
        }
        self
    }

    /// The names of the state tensors of each parameter, as in PyTorch's `state_dict`.
    pub(super) fn state_names(&self) -> &'static [&'static str] {
        match self {
            Self::Sgd(SgdConfig { momentum: 0.0, .. }) => &[],
            Self::Sgd(_) => &["momentum_buffer"],
            Self::Adam(AdamConfig { amsgrad: false, .. })
            | Self::AdamW(AdamWConfig { amsgrad: false, .. }) => &["exp_avg", "exp_avg_sq", STEP],
            Self::Adam(_) | Self::AdamW(_) => &["exp_avg", "exp_avg_sq", STEP, "max_exp_avg_sq"],
        }
    }

    /// Checks the ranges of the hyper-parameters; `group` names the group in the error.
    pub(super) fn check(&self, group: &str) -> Result<()> {
        let not_negative =
            |name, value: f64| (name, value, "finite and ≥ 0", value.is_finite() && value >= 0.0);
        let fraction = |name, value: f64| (name, value, "in [0, 1)", (0.0..1.0).contains(&value));
        let mut checks = vec![not_negative("lr", self.lr())];
        match *self {
            Self::Sgd(SgdConfig { momentum, dampening, weight_decay, nesterov, .. }) => {
                checks.extend([
                    not_negative("momentum", momentum),
                    ("dampening", dampening, "finite", dampening.is_finite()),
                    not_negative("weight_decay", weight_decay),
                ]);
                if nesterov {
                    checks.extend([
                        ("momentum", momentum, "> 0 with `nesterov`", momentum > 0.0),
                        ("dampening", dampening, "0 with `nesterov`", dampening == 0.0),
                    ]);
                }
            }
            Self::Adam(AdamConfig { betas, eps, weight_decay, .. })
            | Self::AdamW(AdamWConfig { betas, eps, weight_decay, .. }) => checks.extend([
                fraction("β₁", betas[0]),
                fraction("β₂", betas[1]),
                not_negative("eps", eps),
                not_negative("weight_decay", weight_decay),
            ]),
        }
        let Some((name, value, expected, _)) = checks.into_iter().find(|(.., legal)| !legal) else {
            return Ok(());
        };
        let what = format!("{name} of {} in group {group:?}", self.name());
        Err(error::out_of_range(what, expected, value))
    }
}
