//! Encoders that check their input, and the set of encoders of a student.

use std::fmt;

use tch::{Tensor, nn, nn::ModuleT, nn::VarStore};

use crate::batch::Batch;
use crate::error::{self, Result};
use crate::modality::Modality;
use crate::parameters::ModalityParams;

/// The inputs that an encoder accepts.
#[derive(Debug, Clone, Copy)]
pub(super) enum InputShape {
    /// Images [B, channels, H, W] or videos [B, channels, T, H, W], with H and W of at least `side`.
    Frames { channels: i64, side: i64 },
    /// Images [B, 3, H, W] with H and W of at least `side`.
    Image { side: i64 },
    /// Vectors [B, d].
    Vector(i64),
    /// Packed sequences [B, T, d + 1].
    Sequence(i64),
}

impl InputShape {
    fn accepts(self, size: &[i64]) -> bool {
        let fits = match (self, size) {
            (Self::Frames { channels, side }, &[_, c, h, w] | &[_, c, _, h, w]) => {
                c == channels && h.min(w) >= side
            }
            (Self::Image { side }, &[_, 3, h, w]) => h.min(w) >= side,
            (Self::Vector(d), &[_, columns]) => columns == d,
            (Self::Sequence(d), &[_, _, channels]) => channels == d + 1,
            _ => false,
        };
        fits && size.iter().all(|&n| n > 0)
    }
}

impl fmt::Display for InputShape {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Frames { channels: c, side } => {
                write!(f, "[B, {c}, H, W] or [B, {c}, T, H, W] with H and W of at least {side}")
            }
            Self::Image { side } => write!(f, "[B, 3, H, W] with H and W of at least {side}"),
            Self::Vector(d) => write!(f, "[B, {d}]"),
            Self::Sequence(d) => write!(f, "[B, T, {}] with the mask as the last channel", d + 1),
        }
    }
}

/// The layers of an encoder, and their input and output.
#[derive(Debug)]
pub(super) struct EncoderParts {
    pub(super) input: InputShape,
    /// Number d of features.
    pub(super) width: i64,
    /// From an input [B, …] to features [B, d].
    pub(super) layers: Box<dyn ModuleT>,
}

/// An encoder that checks shape, device and dtype of its input.
#[derive(Debug)]
pub(super) struct CheckedEncoder {
    parts: EncoderParts,
    /// A parameter of the layers; the input must have its device and dtype.
    weight: Tensor,
}

impl CheckedEncoder {
    /// Registers the layers that `build` creates at the path `name` of `vs`.
    pub(super) fn new(
        vs: &VarStore,
        name: &str,
        build: impl FnOnce(&nn::Path<'_>) -> Result<EncoderParts>,
    ) -> Result<Self> {
        let registered = vs.trainable_variables().len();
        let parts = build(&(vs.root() / name))?;
        let weight = vs.trainable_variables().into_iter().nth(registered).ok_or_else(|| {
            error::config("encoder", "a trainable parameter", "none", "report this as a bug")
        })?;
        Ok(Self { parts, weight })
    }

    /// Number d of features.
    pub(super) fn width(&self) -> i64 {
        self.parts.width
    }

    /// Features [B, d] of `input`, which errors call the input of `owner`.
    pub(super) fn forward(&self, owner: &str, input: &Tensor, train: bool) -> Result<Tensor> {
        let what = format!("input of {owner}");
        if !self.parts.input.accepts(&input.size()) {
            let hint = "reshape the input, or build the network for its channels or columns";
            return Err(error::wrong_shape(what, self.parts.input, &input.size(), hint));
        }
        if input.device() != self.weight.device() {
            let hint = "move the batch with `Batch::to_device`";
            let (expected, found) = (self.weight.device(), input.device());
            return Err(error::wrong_device(what, expected, "network", found, hint));
        }
        if input.kind() != self.weight.kind() {
            let expected = format!("{:?}, the dtype of the network", self.weight.kind());
            let hint = "convert the input with `Tensor::to_kind`";
            return Err(error::wrong_kind(what, expected, input.kind(), hint));
        }
        Ok(self.parts.layers.forward_t(input, train))
    }
}

/// One encoder per modality of a student. The parameters of modality `m` are below `{m}_net`.
#[derive(Debug)]
pub(super) struct Encoders {
    modalities: Vec<Modality>,
    encoders: Vec<CheckedEncoder>,
}

impl Encoders {
    /// Registers in `vs` the encoder that `build` creates from each modality's configuration.
    pub(super) fn new<C>(
        vs: &VarStore,
        configs: &[(Modality, C)],
        build: impl Fn(&nn::Path<'_>, &C) -> Result<EncoderParts>,
    ) -> Result<Self> {
        let modalities: Vec<Modality> = configs.iter().map(|(m, _)| m.clone()).collect();
        Modality::check_names(&modalities)?;
        let encoder = |(modality, config): &(Modality, C)| {
            CheckedEncoder::new(vs, &path(modality), |path| build(path, config))
        };
        let encoders = configs.iter().map(encoder).collect::<Result<_>>()?;
        Ok(Self { modalities, encoders })
    }

    pub(super) fn modalities(&self) -> &[Modality] {
        &self.modalities
    }

    /// Number d_m of features of modality `m`.
    pub(super) fn width(&self, m: usize) -> i64 {
        self.encoders[m].width()
    }

    /// The modalities and their numbers of features.
    pub(super) fn widths(&self) -> impl Iterator<Item = (&Modality, i64)> {
        self.modalities.iter().zip(self.encoders.iter().map(CheckedEncoder::width))
    }

    /// The encoders' parameters in `vs`.
    pub(super) fn params(&self, vs: &VarStore) -> Result<ModalityParams> {
        ModalityParams::by_prefix(vs, self.modalities.iter().map(|m| (m.clone(), path(m))))
    }

    /// Features [B, d_m] of modality `m`.
    pub(super) fn encode(&self, m: usize, batch: &Batch, train: bool) -> Result<Tensor> {
        let owner = format!("modality {:?}", self.modalities[m]);
        self.encoders[m].forward(&owner, batch.input(m), train)
    }

    /// Checks that `features` are one tensor [B, d_m] per modality.
    pub(super) fn check_features(&self, features: &[Tensor]) -> Result<()> {
        let rows = features.first().and_then(|f| f.size().first().copied()).unwrap_or(0);
        let fits = |(f, encoder): (&Tensor, &CheckedEncoder)| f.size() == [rows, encoder.width()];
        let same_number = features.len() == self.encoders.len();
        if same_number && features.iter().zip(&self.encoders).all(fits) {
            return Ok(());
        }
        let widths = self.encoders.iter().map(|encoder| format!("[B, {}]", encoder.width()));
        Err(error::shape(
            "features given to the fusion",
            format_args!("{} for {:?}", widths.collect::<Vec<_>>().join(", "), self.modalities),
            format_args!("{:?}", features.iter().map(Tensor::size).collect::<Vec<_>>()),
            "pass the features that `encode` returns, in the student's order",
        ))
    }
}

/// The path of a modality's encoder.
pub(super) fn path(modality: &Modality) -> String {
    format!("{modality}_net")
}
