//! The check that a model is finite before it is evaluated, saved or used as a teacher.

use tch::{TchError, Tensor};

use super::variables::Variables;
use crate::error::{self, Error, Result};
use crate::transfer;

/// The buffers of batch norm, which are statistics and so must be finite.
const STATISTICS: [&str; 2] = ["running_mean", "running_var"];

impl Variables {
    /// Refuses a model, described by `what`, that has a parameter or running statistics with NaN or an
    /// infinity, or another buffer with NaN. An infinity in another buffer may be intended, as in an
    /// attention mask. Synchronises with the device.
    pub(crate) fn check_finite(&self, what: &str) -> Result<()> {
        let Some((name, is_parameter)) = self.first_not_finite()? else { return Ok(()) };
        let (kind, hint) = if is_parameter {
            let hint = "restore the last finite weights; `NonFinite::Skip` skips steps whose \
                        gradients are not finite";
            ("parameter", hint)
        } else {
            let hint = "restore the last finite weights; batch norm in training needs more than one \
                        value per channel, so leave out batches of one sample";
            ("buffer", hint)
        };
        let what = format!("{kind} {name:?} of the {what}");
        Err(error::non_finite(what, "finite numbers", "NaN or infinity", hint))
    }

    /// The name of the first variable that [`check_finite`](Self::check_finite) refuses, and whether it
    /// is a parameter.
    fn first_not_finite(&self) -> Result<Option<(&str, bool)>> {
        let parameters = self.parameters().map(|(name, tensor)| (name.as_str(), tensor, true));
        let buffers = self.buffers().map(|(name, tensor)| (name.as_str(), tensor, false));
        let all = parameters.chain(buffers);
        let real = |(_, tensor, _): &(_, &Tensor, _)| tensor.is_floating_point();
        let all: Vec<_> = all.filter(real).collect();
        let flag = |&(name, tensor, is_parameter): &(&str, &Tensor, bool)| {
            let last = name.rsplit('.').next().unwrap_or(name);
            if is_parameter || STATISTICS.contains(&last) {
                tensor.f_isfinite()?.f_all()?.f_logical_not()
            } else {
                tensor.f_isnan()?.f_any()
            }
        };
        let flags = all.iter().map(flag).collect::<std::result::Result<Vec<_>, TchError>>();
        let flags = flags.map_err(|e| Error::torch("check that a model is finite", e))?;
        let found = transfer::read_scalars(&flags)?.iter().position(|&flag| flag != 0.0);
        Ok(found.map(|i| (all[i].0, all[i].2)))
    }
}
