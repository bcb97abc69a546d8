//! The update rules and their numbers.

use serde::{Deserialize, Serialize};

use crate::{Result, error};

/// Stochastic gradient descent, as `torch.optim.SGD`:
///
/// ```text
/// g ← ∂L/∂θ + weight_decay · θ
/// b ← momentum · b + (1 − dampening) · g        (b ← g at a parameter's first step)
/// θ ← θ − lr · (g + momentum · b  if nesterov, else b)
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Sgd {
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

impl Default for Sgd {
    fn default() -> Self {
        Self { lr: 1e-3, momentum: 0.0, dampening: 0.0, weight_decay: 0.0, nesterov: false }
    }
}

/// Adam, as `torch.optim.Adam`: weight decay is added to the gradient.
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
pub struct Adam {
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

impl Default for Adam {
    fn default() -> Self {
        Self { lr: 1e-3, betas: [0.9, 0.999], eps: 1e-8, weight_decay: 0.0, amsgrad: false }
    }
}

/// Adam with decoupled weight decay, as `torch.optim.AdamW`: θ ← (1 − lr · weight_decay) θ, then
/// [`Adam`]'s update without a penalty in the gradient.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct AdamW {
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

impl Default for AdamW {
    fn default() -> Self {
        let Adam { lr, betas, eps, amsgrad, .. } = Adam::default();
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
pub enum Rule {
    /// [`Sgd`].
    Sgd(Sgd),
    /// [`Adam`].
    Adam(Adam),
    /// [`AdamW`].
    AdamW(AdamW),
}

impl From<Sgd> for Rule {
    fn from(rule: Sgd) -> Self {
        Self::Sgd(rule)
    }
}

impl From<Adam> for Rule {
    fn from(rule: Adam) -> Self {
        Self::Adam(rule)
    }
}

impl From<AdamW> for Rule {
    fn from(rule: AdamW) -> Self {
        Self::AdamW(rule)
    }
}

impl Rule {
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
            Self::Sgd(Sgd { lr, .. })
            | Self::Adam(Adam { lr, .. })
            | Self::AdamW(AdamW { lr, .. }) => *lr,
        }
    }

    /// Refuses numbers out of range; `group` names the group in the error.
    pub(super) fn check(&self, group: &str) -> Result<()> {
        let least =
            |name, value: f64| (name, value, "finite and ≥ 0", value.is_finite() && value >= 0.0);
        let fraction = |name, value: f64| (name, value, "in [0, 1)", (0.0..1.0).contains(&value));
        let mut numbers = vec![least("lr", self.lr())];
        match *self {
            Self::Sgd(Sgd { momentum, dampening, weight_decay, nesterov, .. }) => {
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
            Self::Adam(Adam { betas, eps, weight_decay, .. })
            | Self::AdamW(AdamW { betas, eps, weight_decay, .. }) => numbers.extend([
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
