//! Recognises probabilities that are given as logits.

use tch::{Kind, TchError, Tensor};

use crate::error::{self, Error, Result};
use crate::transfer;

/// What the outputs of a teacher so far are, as flags that stay on their device until they are read.
///
/// Logits of class labels whose rows are all ≥ 0 and sum to 1 are probabilities, practically certainly:
/// softmax would flatten them again, so that ρ and L_logit would be wrong without any other sign.
/// Outputs for several labels that all lie in [0, 1] may be, which is only logged.
#[derive(Debug, Default)]
pub(crate) struct ProbabilityCheck {
    /// For each batch, whether all its rows look like probabilities.
    flags: Vec<Tensor>,
    rows: i64,
    labels: Option<Form>,
}

/// The form of the targets, which decides what probabilities look like.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Form {
    /// One class per sample.
    Single,
    /// Zeros and ones for each label.
    Multi,
}

/// Fewer rows may sum to 1 by chance.
const ROWS: i64 = 2;

impl ProbabilityCheck {
    /// Adds logits [B, C] and their targets. Does not synchronise with their device.
    pub(crate) fn add(&mut self, logits: &Tensor, targets: &Tensor) -> Result<()> {
        let (size, labels) = (logits.size(), targets.size());
        let form = match targets.kind() {
            _ if size.len() != 2 || size[0] < 1 || size[1] < 1 => return Ok(()),
            Kind::Int64 if labels == size[..1] && size[1] > 1 => Form::Single,
            _ if labels == size
                && targets.is_floating_point()
                && targets.device() == logits.device() =>
            {
                Form::Multi
            }
            _ => return Ok(()),
        };
        let flag = match form {
            Form::Single => is_distribution(logits),
            Form::Multi => is_share(logits, targets),
        };
        self.flags.push(flag.map_err(|e| Error::torch("check a teacher's logits", e))?);
        self.rows += size[0];
        self.labels = Some(form);
        Ok(())
    }

    /// Refuses probabilities of classes; `what` describes the logits. Synchronises with the device.
    pub(crate) fn finish(self, what: &str) -> Result<()> {
        if self.rows < ROWS {
            return Ok(());
        }
        self.check_flags(what, &transfer::read_scalars(&self.flags)?)
    }

    /// As [`finish`](Self::finish), for logits in host memory; returns whether there were enough rows.
    pub(crate) fn finish_on_host(self, what: &str) -> Result<bool> {
        if self.rows < ROWS {
            return Ok(false);
        }
        let flags = transfer::read_on_host(&self.flags)?;
        self.check_flags(what, &flags).map(|()| true)
    }

    /// The flags that have not been read, to read them together with other scalars.
    pub(crate) fn flags(&self) -> &[Tensor] {
        &self.flags
    }

    /// Refuses probabilities of classes, by the values of [`flags`](Self::flags).
    pub(crate) fn check_flags(&self, what: &str, flags: &[f64]) -> Result<()> {
        if self.rows < ROWS || flags.contains(&0.0) {
            return Ok(());
        }
        match self.labels {
            Some(Form::Single) => Err(error::config(
                what,
                "logits, the input of softmax",
                "rows of numbers ≥ 0 that sum to 1, as probabilities do",
                "return the input of the last softmax, or the logarithm of the probabilities",
            )),
            Some(Form::Multi) => {
                tracing::warn!(
                    "the {what} are all in [0, 1], as probabilities are: logits, the input of \
                     the sigmoid, are expected"
                );
                Ok(())
            }
            None => Ok(()),
        }
    }
}

/// Whether every row of [B, C] is ≥ 0 and sums to 1, and not all are one-hot, which a softmax hardly ever
/// returns.
fn is_distribution(logits: &Tensor) -> std::result::Result<Tensor, TchError> {
    let tolerance = match logits.kind() {
        Kind::Half | Kind::BFloat16 => 1e-2,
        _ => 1e-4,
    };
    let values = logits.f_detach()?.f_to_kind(transfer::wide_kind(logits.device()))?;
    let sums = values.f_sum_dim_intlist([1_i64].as_slice(), false, None::<Kind>)?;
    let sums_to_one = (sums - 1.0).abs().le(tolerance).f_all()?;
    let between = values.gt(0.0).f_logical_and(&values.lt(1.0))?.f_any()?;
    values.ge(0.0).f_all()?.f_logical_and(&sums_to_one)?.f_logical_and(&between)
}

/// Whether all values are in [0, 1], for targets that are 0 or 1.
fn is_share(logits: &Tensor, targets: &Tensor) -> std::result::Result<Tensor, TchError> {
    let logits = logits.f_detach()?;
    let share = logits.ge(0.0).f_logical_and(&logits.le(1.0))?.f_all()?;
    let binary = targets.eq(0.0).f_logical_or(&targets.eq(1.0))?.f_all()?;
    share.f_logical_and(&binary)
}
