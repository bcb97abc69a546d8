//! What the terms of a classification are made of.

use tch::{Reduction, Tensor};

use super::{Classification, Labels, TaskInput, compare::Compare, sigmoid, softmax, torch};
use crate::error::Result;

impl Compare for Classification {
    /// L_S.
    fn task(&self, input: &TaskInput<'_>) -> Result<Tensor> {
        match self.labels {
            Labels::Multi => sigmoid::task(self, input),
            Labels::Single | Labels::Soft => softmax::task(self, input),
        }
    }

    /// L_logit for one teacher: `KL(σ(teacher/T) ‖ σ(student/T))·T²`, batch mean.
    fn divergence(&self, teacher: &Tensor, student: &Tensor, temperature: f64) -> Result<Tensor> {
        let (t, s) = (at_temperature(teacher, temperature), at_temperature(student, temperature));
        let kl = |log_t: Tensor, log_s: Tensor| log_s.f_kl_div(&log_t, Reduction::Sum, true);
        let sum = || match self.labels {
            Labels::Single | Labels::Soft => {
                kl(t.f_log_softmax(-1, None)?, s.f_log_softmax(-1, None)?)
            }
            Labels::Multi => {
                let ones = kl(t.f_log_sigmoid()?, s.f_log_sigmoid()?)?;
                ones.f_add(&kl((-&t).f_log_sigmoid()?, (-&s).f_log_sigmoid()?)?)
            }
        };
        let scale = temperature * temperature / student.size()[0] as f64;
        Ok(sum().map_err(torch)? * scale)
    }
}

/// Logits divided by a temperature.
fn at_temperature(logits: &Tensor, temperature: f64) -> Tensor {
    if temperature == 1.0 { logits.shallow_clone() } else { logits / temperature }
}
