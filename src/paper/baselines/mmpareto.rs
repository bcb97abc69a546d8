//! MMPareto.

use serde::{Deserialize, Serialize};
use tch::{Kind, Tensor};

use super::{delegate::session_methods, settings};
use crate::algorithm::{Algorithm, Computed, Gradients, Session};
use crate::batch::Batch;
use crate::error::Result;
use crate::optim::ApplyGradients;
use crate::parameters::ModalityParams;
use crate::step::StepReport;
use crate::student::Student;

/// Settings of [`MmPareto`]; the defaults are the authors'.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct MmParetoConfig {
    /// γ, the factor on the encoders' gradients, by default 1.5.
    pub gamma: f64,
}

impl Default for MmParetoConfig {
    fn default() -> Self {
        Self { gamma: 1.5 }
    }
}

/// MMPareto: combines the gradients of the fused and the unimodal loss without conflict, and enlarges the
/// result.
///
/// For the encoder of m, with g = ∂CE(z)/∂θ_m and h = ∂CE(z_m)/∂θ_m over all of its parameters:
///
/// ```text
/// cos(g, h) > 0:   a = b = ½
/// else:            a = (|h|² − ⟨g, h⟩) / (|g|² + |h|² − 2⟨g, h⟩),  b = 1 − a
///                  (0.999 if ⟨g, h⟩ ≥ |g|², 0.001 if ⟨g, h⟩ ≥ |h|²)
/// per parameter:   mixed = 2a g + 2b h,  gradient = γ max(1, |g + h| / |mixed|) mixed
/// ```
///
/// All other parameters receive the gradient of CE(z) + Σ_m CE(z_m).
///
/// The student needs unimodal logits; the authors have a linear head per modality beside the fusion
/// ([`WithHeads`](crate::heads::WithHeads)). Any number of modalities and any fusion, one forward and 1 + k
/// backward passes (the authors' code makes one more), no state. The authors train with lr 2e-3, batches of
/// 64, 50 epochs, and never step the schedule that they build.
///
/// Paper and code differ: from memory, the paper has one norm for the whole gradient of an encoder; the
/// code, and this, one per parameter.
///
/// Details of each modality: `cosine`, `weight_joint` a, `weight_unimodal` b, `joint_norm` |g|,
/// `unimodal_norm` |h|, and the largest and smallest `scale` over its parameters.
///
/// Source: Wei and Hu, "MMPareto: Boosting Multimodal Learning with Innocent Unimodal Assistance", ICML
/// 2024; GeWu-Lab/MMPareto_ICML2024 a339db3.
#[derive(Debug)]
pub struct MmPareto {
    config: MmParetoConfig,
    session: Session,
}

impl MmPareto {
    /// MMPareto of `student`, whose parameters are `params`.
    ///
    /// # Errors
    /// [`Error::Config`](crate::Error::Config) for a setting out of range, and as [`Session::new`].
    pub fn new(
        student: &dyn Student,
        params: ModalityParams,
        config: MmParetoConfig,
    ) -> Result<Self> {
        settings::positive("gamma of MmPareto", config.gamma)?;
        Ok(Self { config, session: Session::new("mmpareto", student, params)? })
    }
}

impl Algorithm for MmPareto {
    session_methods!(stateless);

    fn step(
        &mut self,
        student: &dyn Student,
        batch: &Batch,
        optimizer: &mut dyn ApplyGradients,
    ) -> Result<StepReport> {
        let gamma = self.config.gamma;
        self.session.step(student, batch, |pass| {
            let k = pass.modalities().len();
            let features = pass.encode_all(true)?;
            let logits = pass.fuse(&features, true)?;
            let joint = pass.cross_entropy(&logits)?;
            let losses = pass.all_unimodal_logits(&features)?;
            let losses = losses.iter().map(|z| pass.cross_entropy(z));
            let losses = losses.collect::<Result<Vec<_>>>()?;

            let mut gradients = pass.gradients(&joint, true)?;
            let unimodal = losses.iter().enumerate().map(|(m, loss)| {
                let own = |owner: Option<usize>| owner.is_none() || owner == Some(m);
                pass.gradients_where(loss, m + 1 < k, |p| own(p.modality))
            });
            let unimodal = unimodal.collect::<Result<Vec<_>>>()?;
            let products = unimodal.iter().enumerate().map(|(m, h)| products(&gradients, h, m));
            let products = products.collect::<Result<Vec<_>>>()?;
            let products: Vec<Tensor> = products.into_iter().flatten().collect();
            let products = pass.read("gradients", &products)?;
            let weights: Vec<Weights> = products.chunks(3).map(Weights::new).collect();

            let mut scales = Vec::new();
            let joint_gradients = Gradients::of(&gradients, |p| p.modality.is_some());
            for (m, h) in unimodal.iter().enumerate() {
                let (mixed, own) = mix(&joint_gradients, h, m, &weights[m], gamma)?;
                gradients.set_from(&mixed);
                gradients.add(&Gradients::of(h, |p| p.modality.is_none()))?;
                // A frozen encoder has no scale.
                scales.push(if own.is_empty() {
                    Tensor::from(1.0)
                } else {
                    Tensor::f_stack(&own, 0)?
                });
            }
            pass.update(&gradients, optimizer)?;

            let total: Tensor = &joint + losses.iter().sum::<Tensor>();
            let number = |of: fn(&Weights) -> f64| weights.iter().map(of).collect::<Vec<_>>();
            let names = pass.modalities();
            Ok(Computed::new(&total, &joint, &logits)
                .heads(&losses)
                .numbers("cosine", names, &number(|w| w.cosine))
                .numbers("weight_joint", names, &number(|w| w.joint))
                .numbers("weight_unimodal", names, &number(|w| w.unimodal))
                .numbers("joint_norm", names, &number(|w| w.joint_norm))
                .numbers("unimodal_norm", names, &number(|w| w.unimodal_norm))
                .each("largest_scale", names, &scales.iter().map(Tensor::max).collect::<Vec<_>>())
                .each("smallest_scale", names, &scales.iter().map(Tensor::min).collect::<Vec<_>>()))
        })
    }
}

/// The gradients of the encoder of modality `m` from its parts of g and h, and the scale of each parameter. A
/// gradient that only one of them has is 0 in the other.
fn mix<'a>(
    g: &Gradients<'a>,
    h: &Gradients<'a>,
    m: usize,
    weights: &Weights,
    gamma: f64,
) -> Result<(Gradients<'a>, Vec<Tensor>)> {
    let mut mixed = Gradients::of(g, |p| p.modality == Some(m));
    mixed.add(&Gradients::of(h, |p| p.modality == Some(m)))?;
    let mut scales = Vec::new();
    mixed.replace(|parameter, sum| {
        let part = |gradients: &Gradients<'_>, weight: f64| {
            gradients.get(&parameter.name).map(|own| own * (2.0 * weight))
        };
        let parts = [part(g, weights.joint), part(h, weights.unimodal)];
        let weighted: Tensor = parts.into_iter().flatten().sum();
        let scale = (sum.norm() / weighted.norm().clamp_min(1e-30)).clamp_min(1.0);
        let scaled = weighted * &scale * gamma;
        scales.push(scale);
        Ok(Some(scaled))
    })?;
    Ok((mixed, scales))
}

/// ⟨g, g⟩, ⟨g, h⟩ and ⟨h, h⟩ over the encoder of modality `m`.
fn products(g: &Gradients<'_>, h: &Gradients<'_>, m: usize) -> Result<[Tensor; 3]> {
    let both = g.encoder(m).filter_map(|(parameter, g)| Some((g, h.get(&parameter.name)?)));
    let mixed: Vec<Tensor> = both.map(|(g, h)| (g * h).sum(Kind::Double)).collect();
    let square = |of: &Gradients<'_>| -> Result<Tensor> {
        Ok(of.encoder_norm(m)?.f_to_kind(Kind::Double)?.f_square()?)
    };
    let (gg, hh) = (square(g)?, square(h)?);
    let mixed = if mixed.is_empty() { &gg * 0.0 } else { mixed.iter().sum() };
    Ok([gg, mixed, hh])
}

/// The weights a and b of an encoder's gradients, and what they follow from.
struct Weights {
    joint: f64,
    unimodal: f64,
    cosine: f64,
    joint_norm: f64,
    unimodal_norm: f64,
}

impl Weights {
    /// The weights for the products of [`products`].
    fn new(products: &[f64]) -> Self {
        let &[gg, gh, hh] = products else { unreachable!("three products") };
        let norms = (gg * hh).sqrt();
        let cosine = if norms > 0.0 { gh / norms } else { 0.0 };
        let joint = if cosine > 0.0 { 0.5 } else { minimum_norm_weight(gg, gh, hh) };
        Self {
            joint,
            unimodal: 1.0 - joint,
            cosine,
            joint_norm: gg.sqrt(),
            unimodal_norm: hh.sqrt(),
        }
    }
}

/// The a in [0, 1] that minimises |a g + (1 − a) h|, with the authors' values at the ends.
fn minimum_norm_weight(gg: f64, gh: f64, hh: f64) -> f64 {
    if gh >= gg {
        0.999
    } else if gh >= hh {
        0.001
    } else {
        (hh - gh) / (gg + hh - 2.0 * gh)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn conflicting_gradients_get_the_weights_of_the_point_of_least_norm() {
        // g = (1, 0), h = (−1, 1): the least norm of a g + (1 − a) h is at a = 3/5.
        let weights = Weights::new(&[1.0, -1.0, 2.0]);
        assert!((weights.joint - 0.6).abs() < 1e-15 && (weights.unimodal - 0.4).abs() < 1e-15);
        assert!((weights.cosine + 0.5_f64.sqrt()).abs() < 1e-15);
    }

    #[test]
    fn gradients_without_conflict_get_equal_weights_and_a_zero_gradient_the_authors_end() {
        assert_eq!(Weights::new(&[1.0, 0.5, 4.0]).joint, 0.5);
        assert_eq!(Weights::new(&[0.0, 0.0, 4.0]).joint, 0.999);
        assert_eq!(Weights::new(&[4.0, 0.0, 0.0]).joint, 0.001);
    }
}
