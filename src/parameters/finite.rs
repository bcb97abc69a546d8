//! The check that a model is finite before it is evaluated, saved or used as a teacher.

use tch::{TchError, Tensor};

use super::variables::Variables;
use crate::error::{self, Error, Result};
use crate::libtorch::any_not_finite;
use crate::transfer;

type TchResult<T> = std::result::Result<T, TchError>;

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
        let all: Vec<_> = self.real().collect();
        // One flag for all, without memory of the size of a tensor.
        let must_be_finite = |one: &&Variable<'_>| one.must_be_finite();
        let strict = all.iter().filter(must_be_finite).map(|one| one.tensor);
        let mut flags: Vec<_> = any_not_finite(strict)?.into_iter().collect();
        let others = all.iter().filter(|one| !one.must_be_finite()).map(Variable::flag);
        flags.extend(others.collect::<TchResult<Vec<_>>>().map_err(failed)?);
        if transfer::read_scalars(&flags)?.iter().all(|&flag| flag == 0.0) {
            return Ok(None);
        }
        let flags = all.iter().map(Variable::flag).collect::<TchResult<Vec<_>>>();
        let flags = transfer::read_scalars(&flags.map_err(failed)?)?;
        let found = flags.iter().position(|&flag| flag != 0.0);
        Ok(found.map(|i| (all[i].name, all[i].is_parameter)))
    }

    /// The variables of real numbers, the parameters first.
    fn real(&self) -> impl Iterator<Item = Variable<'_>> {
        let parameters = self.parameters().map(|(name, tensor)| (name, tensor, true));
        let buffers = self.buffers().map(|(name, tensor)| (name, tensor, false));
        let all = parameters.chain(buffers);
        let all = all.map(|(name, tensor, is_parameter)| Variable { name, tensor, is_parameter });
        all.filter(|one| one.tensor.is_floating_point())
    }
}

/// A variable that is checked.
struct Variable<'a> {
    name: &'a str,
    tensor: &'a Tensor,
    is_parameter: bool,
}

impl Variable<'_> {
    fn must_be_finite(&self) -> bool {
        let last = self.name.rsplit('.').next().unwrap_or(self.name);
        self.is_parameter || STATISTICS.contains(&last)
    }

    /// Above 0 if the variable is refused.
    fn flag(&self) -> TchResult<Tensor> {
        if self.must_be_finite() {
            self.tensor.f_isfinite()?.f_all()?.f_logical_not()
        } else {
            self.tensor.f_isnan()?.f_any()
        }
    }
}

fn failed(source: TchError) -> Error {
    Error::torch("check that a model is finite", source)
}
