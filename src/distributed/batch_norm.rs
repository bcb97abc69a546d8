//! Batch norm over the batches of all ranks.

use tch::{Device, Kind, TchError, Tensor, nn, nn::ModuleT};

use super::ProcessGroup;
use crate::error::{self, Error, Result};

/// Batch norm whose statistics in training are those of the batches of all ranks together, as PyTorch's
/// `SyncBatchNorm`: y = γ (x − μ) / √(σ² + ε) + β, with the mean μ and the variance σ² of each channel over all
/// samples of all ranks. So a training by several ranks equals one on the combined batch also in batch norm.
///
/// In evaluation it is the batch norm that it was made from, and has the same variables.
///
/// In training a forward pass is collective, twice, and so is its backward pass: every rank runs the same layers
/// in the same order. A trainer with the group therefore refuses a step in which some ranks have samples of a
/// modality and others have none.
///
/// Source: Ioffe & Szegedy, "Batch Normalization", ICML 2015, over the ranks' batches.
///
/// # Example
/// ```no_run
/// use g2d::distributed::{GroupConfig, ProcessGroup, SyncBatchNorm};
/// use tch::{Device, nn};
///
/// let group = ProcessGroup::from_env(&GroupConfig::default())?;
/// let vs = nn::VarStore::new(Device::Cpu);
/// let config = nn::BatchNormConfig::default();
/// let norm = nn::batch_norm2d(vs.root() / "bn1", 64, config);
/// let norm = SyncBatchNorm::new(norm, config, &group);
/// # Ok::<(), g2d::Error>(())
/// ```
#[derive(Debug)]
pub struct SyncBatchNorm {
    norm: nn::BatchNorm,
    eps: f64,
    momentum: f64,
    group: ProcessGroup,
}

type TchResult<T> = std::result::Result<T, TchError>;

/// The statistics of each channel, [C], over all ranks.
struct Statistics {
    mean: Tensor,
    /// Σ (x − μ)² / N.
    variance: Tensor,
    /// x − μ, for the samples of this rank.
    centred: Tensor,
    /// N: the number of values of a channel, [1].
    count: Tensor,
}

impl SyncBatchNorm {
    /// Replaces `norm`, of the given configuration: ε and the momentum of the running statistics are `config`'s.
    pub fn new(norm: nn::BatchNorm, config: nn::BatchNormConfig, group: &ProcessGroup) -> Self {
        group.layers().mark_used();
        let nn::BatchNormConfig { eps, momentum, .. } = config;
        Self { norm, eps, momentum, group: group.clone() }
    }

    /// Normalises `input` [B, C, …], and in training updates the running statistics, the variance by its
    /// unbiased estimate. The result has the dtype of the input; the statistics are in that of the running ones.
    /// Does not synchronise with the device.
    ///
    /// # Errors
    /// [`Error::Shape`] for another number of channels; [`Error::Torch`] if a rank does not call it within the
    /// timeout or has failed; on the CPU [`Error::Config`] for fewer than two values of a channel on all ranks
    /// together, which make the running variance NaN on another device.
    pub fn forward_t(&self, input: &Tensor, train: bool) -> Result<Tensor> {
        let (size, channels) = (input.size(), self.norm.running_mean.numel() as i64);
        if size.len() < 2 || size[1] != channels {
            let hint = "build the batch norm for the channels of its input";
            return Err(error::wrong_shape(
                "input of a batch norm",
                format!("[B, {channels}, …]"),
                &size,
                hint,
            ));
        }
        if !train {
            return Ok(self.norm.forward_t(input, false));
        }
        let kind = self.norm.running_mean.kind();
        let wide = input.f_to_kind(kind).map_err(failed)?;
        let statistics = self.statistics(&wide)?;
        self.update_running(&statistics).map_err(failed)?;
        self.normalised(&statistics).and_then(|y| y.f_to_kind(input.kind())).map_err(failed)
    }

    fn statistics(&self, input: &Tensor) -> Result<Statistics> {
        let channels = input.size()[1];
        let own = input.numel() as f64 / channels as f64;
        let sums = || {
            let own = Tensor::from_slice(&[own]).f_to_kind(input.kind())?;
            Tensor::f_cat(&[sum_by_channel(input)?, own.f_to_device(input.device())?], 0)
        };
        let sums = self.group.sum_in_graph(&sums().map_err(failed)?)?;
        let count = sums.f_detach().and_then(|sums| sums.f_narrow(0, channels, 1));
        let count = count.map_err(failed)?;
        if count.device() == Device::Cpu {
            check_count(count.f_double_value(&[0]).map_err(failed)?)?;
        }
        let centred = || {
            let mean = sums.f_narrow(0, 0, channels)?.f_div(&count)?;
            let centred = input.f_sub(&per_channel(&mean, input.dim())?)?;
            let squares = sum_by_channel(&centred.f_square()?)?;
            Ok((mean, centred, squares))
        };
        let (mean, centred, squares) = centred().map_err(failed)?;
        let squares = self.group.sum_in_graph(&squares)?;
        let variance = squares.f_div(&count).map_err(failed)?;
        Ok(Statistics { mean, variance, centred, count })
    }

    fn normalised(&self, statistics: &Statistics) -> TchResult<Tensor> {
        let Statistics { variance, centred, .. } = statistics;
        let mut scale = variance.f_add_scalar(self.eps)?.f_rsqrt()?;
        if let Some(gamma) = &self.norm.ws {
            scale = scale.f_mul(gamma)?;
        }
        let scaled = centred.f_mul(&per_channel(&scale, centred.dim())?)?;
        match &self.norm.bs {
            Some(beta) => scaled.f_add(&per_channel(beta, centred.dim())?),
            None => Ok(scaled),
        }
    }

    fn update_running(&self, statistics: &Statistics) -> TchResult<()> {
        let _no_grad = tch::no_grad_guard();
        let Statistics { mean, variance, count, .. } = statistics;
        let unbiased = variance.f_mul(&count.f_div(&count.f_sub_scalar(1.0)?)?)?;
        for (running, new) in [(&self.norm.running_mean, mean), (&self.norm.running_var, &unbiased)]
        {
            let _ =
                running.shallow_clone().f_lerp_(&new.f_to_kind(running.kind())?, self.momentum)?;
        }
        Ok(())
    }
}

/// Refuses a single value of a channel, which has no variance.
fn check_count(count: f64) -> Result<()> {
    if count >= 2.0 {
        return Ok(());
    }
    let what = "values of a channel of a batch norm, on all ranks";
    Err(error::config(what, "at least 2", count, "give the ranks more samples"))
}

/// Σ over all dimensions but the second.
fn sum_by_channel(x: &Tensor) -> TchResult<Tensor> {
    let others: Vec<i64> = (0..x.dim() as i64).filter(|&d| d != 1).collect();
    x.f_sum_dim_intlist(others.as_slice(), false, None::<Kind>)
}

/// [C] as [1, C, 1, …] with `dimensions` dimensions.
fn per_channel(values: &Tensor, dimensions: usize) -> TchResult<Tensor> {
    let mut size = vec![1; dimensions];
    size[1] = -1;
    values.f_view(size.as_slice())
}

fn failed(source: TchError) -> Error {
    Error::torch("normalise a batch over all ranks", source)
}
