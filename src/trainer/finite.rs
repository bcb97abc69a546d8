//! A loss that is not finite is refused.

use tch::{Device, Tensor};

use super::G2dTrainer;
use crate::{Error, LossTerms, Progress, Result, error, host};

impl G2dTrainer {
    /// Refuses a loss that is not finite: at once on the CPU, else when it is read.
    pub(super) fn check_finite(&mut self, terms: &LossTerms) -> Result<()> {
        let total = terms.total.detach();
        if total.device() != Device::Cpu {
            self.unread.push((self.progress, total));
            return Ok(());
        }
        if host::read_scalars(&[total])?[0].is_finite() {
            return Ok(());
        }
        let named = |name: &'static str, terms: &[Option<Tensor>]| -> Vec<(String, Tensor)> {
            let each = terms.iter().zip(&self.modalities);
            each.filter_map(|(t, m)| Some((format!("{name} term of {m:?}"), t.as_ref()?.detach())))
                .collect()
        };
        let mut all = vec![("task term".to_owned(), terms.task.detach())];
        all.extend(named("feature", &terms.feature));
        all.extend(named("logit", &terms.logit));
        let (names, scalars): (Vec<_>, Vec<_>) = all.into_iter().unzip();
        let values = host::read_scalars(&scalars)?;
        let first = names.iter().zip(&values).find(|(_, value)| !value.is_finite());
        let (name, value) =
            first.map_or(("weighted sum".to_owned(), f64::INFINITY), |(n, v)| (n.clone(), *v));
        Err(not_finite(self.progress, &name, value))
    }

    /// Reads `scalars` and, in the same transfer, the losses of earlier steps.
    pub(super) fn read_unread(&mut self, scalars: &[Tensor]) -> Result<Vec<f64>> {
        let unread = std::mem::take(&mut self.unread);
        let losses = unread.iter().map(|(_, total)| total);
        let all: Vec<Tensor> = scalars.iter().chain(losses).map(Tensor::shallow_clone).collect();
        let mut values = host::read_scalars(&all)?;
        let losses = values.split_off(scalars.len());
        match unread.iter().zip(losses).find(|(_, loss)| !loss.is_finite()) {
            Some(((at, _), loss)) => Err(not_finite(*at, "weighted sum", loss)),
            None => Ok(values),
        }
    }
}

fn not_finite(at: Progress, name: &str, value: f64) -> Error {
    error::non_finite(
        format!("loss in epoch {}, step {}: its {name}", at.epoch, at.step),
        "a finite number",
        format!("{value}"),
        "check inputs and targets for NaN, and lower the learning rate",
    )
}
