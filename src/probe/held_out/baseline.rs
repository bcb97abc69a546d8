//! What replaces a modality that a coalition lacks.

use tch::{Kind, Tensor};

use super::{failed, no_sample};
use crate::batch::{Batch, Input};
use crate::error::{self, Result};
use crate::modality::Modality;
use crate::student::Student;

/// The baseline of an absent modality: what replaces its input or features.
#[derive(Debug, Default)]
pub enum Baseline {
    /// An input of zeros, as in BalanceBenchmark. Of an input of several tensors the first is replaced:
    /// a mask, for example, stays.
    #[default]
    ZeroInput,
    /// The input of one sample for every modality, in the student's order and without the batch
    /// dimension, for example the training mean. It replaces the first tensor, as zeros do.
    Input(Vec<Tensor>),
    /// Features of zeros, which the trainer passes to the fusion for a modality that a sample lacks. To a
    /// fusion that reads masks or rows the modality is present.
    ZeroFeatures,
}

impl Baseline {
    /// The mean of the first tensor of every modality's input over the samples of `batches` that have it,
    /// for float inputs.
    ///
    /// # Errors
    /// [`Error::Config`](crate::Error::Config) if no sample has one of the modalities.
    pub fn from_mean(batches: &[Batch]) -> Result<Self> {
        let _no_grad = tch::no_grad_guard();
        let modalities = batches.first().map_or(0, |batch| batch.inputs().len());
        (0..modalities).map(|m| mean_input(batches, m)).collect::<Result<_>>().map(Self::Input)
    }

    pub(super) fn check(&self, modalities: &[Modality]) -> Result<()> {
        match self {
            Self::Input(inputs) if inputs.len() != modalities.len() => {
                Err(error::one_per_modality(
                    "inputs of `Baseline::Input`",
                    modalities,
                    inputs.len(),
                    "pass one for each modality, in the student's order",
                ))
            }
            _ => Ok(()),
        }
    }

    /// The features of every absent modality, for a batch whose own features are `features`.
    pub(super) fn features(
        &self,
        student: &dyn Student,
        batch: &Batch,
        features: &[Tensor],
    ) -> Result<Vec<Tensor>> {
        let zeros = |tensor: &Tensor| tensor.f_zeros_like().map_err(failed);
        let first = match self {
            Self::ZeroFeatures => return features.iter().map(zeros).collect(),
            Self::ZeroInput => {
                batch.inputs().iter().map(|x| zeros(x)).collect::<Result<Vec<_>>>()?
            }
            Self::Input(samples) => {
                let pairs = samples.iter().zip(batch.inputs());
                pairs.map(|(sample, input)| repeat(sample, input)).collect::<Result<_>>()?
            }
        };
        let pairs = batch.inputs().iter().zip(first);
        let inputs = pairs.map(|(input, first)| input.with_first(first)).collect::<Vec<Input>>();
        let absent = batch.with_inputs(inputs)?;
        (0..features.len()).map(|m| student.encode(m, &absent, false)).collect()
    }
}

/// The mean input of modality `m`, in the dtype of the inputs.
fn mean_input(batches: &[Batch], m: usize) -> Result<Tensor> {
    let (mut sum, mut samples): (Option<Tensor>, i64) = (None, 0);
    for batch in batches {
        let input = batch.checked_input(m)?;
        let rows = batch.rows(m)?;
        if rows.is_missing() {
            continue;
        }
        samples += rows.count(batch.size());
        let input = rows.select(input)?;
        let own = input.f_sum_dim_intlist([0_i64].as_slice(), false, None::<Kind>);
        let own = own.map_err(failed)?;
        sum = Some(match sum {
            Some(sum) => sum.f_add(&own).map_err(failed)?,
            None => own,
        });
    }
    let kind = batches[0].input(m).kind();
    let sum = sum.filter(|_| samples > 0);
    let mean = sum.map(|sum| (sum / samples as f64).to_kind(kind));
    mean.ok_or_else(|| no_sample(format_args!("modality {m}")))
}

/// The input of one sample, repeated for every row of `input`.
fn repeat(sample: &Tensor, input: &Tensor) -> Result<Tensor> {
    if sample.size() != input.size()[1..] {
        return Err(error::wrong_shape(
            "input of `Baseline::Input`",
            format_args!("{:?}, the shape of one sample", &input.size()[1..]),
            &sample.size(),
            "omit the batch dimension",
        ));
    }
    let repeat = || sample.f_to_device(input.device())?.f_to_kind(input.kind())?.f_expand_as(input);
    repeat().map_err(failed)
}
