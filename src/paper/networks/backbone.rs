//! Which encoder a classifier has, and what it may be fed.

use serde::{Deserialize, Serialize};
use tch::{Kind, Tensor, nn, nn::ModuleT};

use super::{Encoder, Initialisation, ResNet18};
use crate::error::{self, Result};

/// The kind of encoder.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Backbone {
    /// [`Encoder`]: small enough for two processor cores.
    #[default]
    Compact,
    /// [`ResNet18`], as in the paper.
    ResNet18,
}

impl Backbone {
    /// Its feature width.
    pub const fn width(self) -> i64 {
        match self {
            Self::Compact => Encoder::WIDTH,
            Self::ResNet18 => ResNet18::WIDTH,
        }
    }

    /// The shortest side of an image that it can take.
    const fn least_side(self) -> i64 {
        match self {
            Self::Compact => 4, // halved twice
            Self::ResNet18 => 1,
        }
    }
}

/// The layers of a backbone.
pub(super) trait Foldable: ModuleT {
    /// The same layers for evaluation, every batch norm folded into its convolution.
    fn folded(&self) -> Box<dyn Foldable>;
}

/// An encoder at work: images [B, C, H, W], or videos [B, C, T, H, W] whose frames are folded into
/// the batch and whose features are averaged over time, → [B, d].
#[derive(Debug)]
pub(super) struct Net {
    backbone: Backbone,
    channels: i64,
    /// Whose kind the input must have.
    weight: Tensor,
    module: Box<dyn Foldable>,
}

impl Net {
    pub(super) fn new(
        path: &nn::Path<'_>,
        backbone: Backbone,
        channels: i64,
        init: Initialisation,
    ) -> Result<Self> {
        if channels < 1 {
            return Err(error::config(
                "input channels",
                "at least 1",
                format!("{channels}"),
                "1 for a spectrogram or a grey image, 3 for colour",
            ));
        }
        let module: Box<dyn Foldable> = match backbone {
            Backbone::Compact => Box::new(Encoder::new(path, channels, init)),
            Backbone::ResNet18 => Box::new(ResNet18::new(path, channels, init)),
        };
        let weight = (path / "conv1").get("weight").ok_or_else(|| {
            error::config("encoder", "a conv1.weight in the VarStore", "none", "fix the backbone")
        })?;
        Ok(Self { backbone, channels, weight, module })
    }

    /// The same encoder for evaluation, without batch norm.
    pub(super) fn folded(&self) -> Self {
        Self { weight: self.weight.shallow_clone(), module: self.module.folded(), ..*self }
    }

    pub(super) fn forward(&self, what: &str, input: &Tensor, train: bool) -> Result<Tensor> {
        self.check(what, input)?;
        let size = input.size();
        if size.len() == 4 {
            return Ok(self.module.forward_t(input, train));
        }
        let (batch, frames) = (size[0], size[2]);
        let folded = input.transpose(1, 2).reshape([batch * frames, size[1], size[3], size[4]]);
        let features = self.module.forward_t(&folded, train);
        Ok(features.view([batch, frames, -1]).mean_dim(1, false, None))
    }

    fn check(&self, what: &str, input: &Tensor) -> Result<()> {
        let (size, side) = (input.size(), self.backbone.least_side());
        let fits = matches!(size.len(), 4 | 5)
            && size[1] == self.channels
            && size.iter().all(|&n| n > 0)
            && size[size.len() - 2..].iter().all(|&n| n >= side);
        if !fits {
            let c = self.channels;
            return Err(error::shape(
                format!("input of {what}"),
                format!("[B, {c}, H, W] or [B, {c}, T, H, W] with H and W of at least {side}"),
                format!("{size:?}"),
                "make the network with the input's channels, or reshape the input",
            ));
        }
        if input.device() != self.weight.device() {
            return Err(error::device(
                format!("input of {what}"),
                format!("{:?}, where the network is", self.weight.device()),
                format!("{:?}", input.device()),
                "move the batch with `Batch::to_device`",
            ));
        }
        let kind: Kind = self.weight.kind();
        if input.kind() != kind {
            return Err(error::kind(
                format!("input of {what}"),
                format!("{kind:?}, as the network's weights"),
                format!("{:?}", input.kind()),
                "convert it with `to_kind`",
            ));
        }
        Ok(())
    }
}
