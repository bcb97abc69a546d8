//! LFM.

use serde::{Deserialize, Serialize};
use tch::{Kind, Tensor};

use super::{delegate::session_methods, settings};
use crate::algorithm::{Algorithm, Computed, Pass, Session};
use crate::batch::Batch;
use crate::error::{self, Result};
use crate::optim::ApplyGradients;
use crate::parameters::ModalityParams;
use crate::step::StepReport;
use crate::student::Student;
use crate::trainer::ResumeState;

/// Settings of [`Lfm`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, Default)]
#[serde(deny_unknown_fields, default)]
pub struct LfmConfig {
    /// The weight of the alignment, by default [`LfmWeight::Fitted`].
    pub weight: LfmWeight,
}

/// α₁, the weight of the alignment; that of the task is 1 − α₁.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, Default)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum LfmWeight {
    /// The authors' polynomial in the epoch e: 0.795376296 − 3.35472727e-3 e − 1.22989557e-4 e² +
    /// 2.92947416e-6 e³ − 2.23835486e-8 e⁴ + 5.39717505e-11 e⁵, limited to 0 to 1.
    #[default]
    Fitted,
    /// Learned: before each epoch α₁ ← α₁ − η mean(H v), limited to 0.05 to 0.95, on a batch that is given
    /// to [`begin_epoch`](Algorithm::begin_epoch). H is the Hessian of (1 − α₁) CE + α₁ A, v the gradient of
    /// CE, and the mean is over the rows of one parameter.
    Learned {
        /// α₁ at the start; 0.95 in the authors' code.
        start: f64,
        /// η, halved every 20 epochs; 1e-4 in the authors' code.
        lr: f64,
        /// The full name of the parameter; in the authors' code the model's first.
        parameter: String,
        /// Whether the network is in training mode, so that running statistics move. In the authors' code
        /// it is in the first epoch alone.
        train: bool,
    },
}

/// LFM: aligns the predictions of the modalities with their mean beside the task loss.
///
/// ```text
/// loss = 2 ((1 − α₁) CE(z) + α₁ A)      A = 1/k Σ_m KL(p̄ ‖ p_m), p_m = σ(z_m), p̄ their mean
/// ```
///
/// KL has the mean distribution first, the reverse of the Jensen–Shannon divergence. The student needs
/// unimodal logits; the authors have a late fusion, z the mean of two z_m. Any number of modalities. One
/// forward and one backward pass per step; with [`LfmWeight::Learned`] two further backward passes, one of
/// them twice differentiated, per epoch. The state is α₁. The authors train with lr 0.01, weight decay 1e-4,
/// batches of 64, 200 epochs.
///
/// Details: `alpha_task`, `alpha_alignment`, `alignment` A, `hessian_product_mean` of the epoch.
///
/// Source: "Facilitating Multimodal Classification via Dynamically Learning Modality Gap", NeurIPS 2024;
/// njustkmg/NeurIPS24-LFM ad44fa0.
#[derive(Debug)]
pub struct Lfm {
    config: LfmConfig,
    session: Session,
    learned: Learned,
}

/// The learned weight, which is the state.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Learned {
    alpha: f64,
    product: f64,
    /// The epoch that α₁ was learned for.
    made_for: Option<u64>,
}

impl LfmWeight {
    /// The fitted α₁ of `epoch`.
    pub fn fitted(epoch: u64) -> f64 {
        let coefficients = [
            0.795376296,
            -3.35472727e-3,
            -1.22989557e-4,
            2.92947416e-6,
            -2.23835486e-8,
            5.39717505e-11,
        ];
        let e = epoch as f64;
        let value = coefficients.iter().rev().fold(0.0, |sum, c| sum * e + c);
        value.clamp(0.0, 1.0)
    }
}

impl Lfm {
    /// LFM of `student`, whose parameters are `params`.
    ///
    /// # Errors
    /// [`Error::Config`](crate::Error::Config) for a setting out of range, and as [`Session::new`].
    pub fn new(student: &dyn Student, params: ModalityParams, config: LfmConfig) -> Result<Self> {
        let mut alpha = 0.0;
        if let LfmWeight::Learned { start, lr, .. } = &config.weight {
            settings::not_negative("lr of Lfm", *lr)?;
            if !(0.0..=1.0).contains(start) {
                return Err(error::out_of_range("start of Lfm", "0 to 1", start));
            }
            alpha = *start;
        }
        let learned = Learned { alpha, product: 0.0, made_for: None };
        Ok(Self { config, session: Session::new("lfm", student, params)?, learned })
    }

    /// α₁ of the current epoch.
    pub fn alpha(&self) -> f64 {
        match self.config.weight {
            LfmWeight::Fitted => LfmWeight::fitted(self.session.progress().epoch),
            LfmWeight::Learned { .. } => self.learned.alpha,
        }
    }
}

/// What a pass computes: CE(z), A and z.
fn losses(pass: &Pass<'_>, train: bool) -> Result<[Tensor; 3]> {
    let features = pass.encode_all(train)?;
    let logits = pass.fuse(&features, train)?;
    let task = pass.cross_entropy(&logits)?;
    let own = pass.all_unimodal_logits(&features)?;
    let probabilities: Vec<Tensor> = own.iter().map(|z| z.softmax(1, None)).collect();
    let mean = probabilities.iter().sum::<Tensor>() / own.len() as f64;
    let log_mean = mean.f_log()?;
    let divergence = |z: &Tensor| -> Result<Tensor> {
        let difference = log_mean.f_sub(&z.f_log_softmax(1, None)?)?;
        Ok(mean.f_mul(&difference)?.f_sum_dim_intlist(1, false, None::<Kind>)?.f_mean(z.kind())?)
    };
    let divergences = own.iter().map(divergence).collect::<Result<Vec<_>>>()?;
    let alignment = divergences.iter().sum::<Tensor>() / own.len() as f64;
    Ok([task, alignment, logits])
}

impl Algorithm for Lfm {
    session_methods!();

    fn reads_batches(&self) -> bool {
        matches!(self.config.weight, LfmWeight::Learned { .. })
    }

    fn begin_epoch(
        &mut self,
        student: &dyn Student,
        batches: &mut dyn Iterator<Item = Result<Batch>>,
    ) -> Result<()> {
        let LfmWeight::Learned { lr, parameter, train, .. } = &self.config.weight else {
            return Ok(());
        };
        let epoch = self.session.progress().epoch;
        if self.learned.made_for == Some(epoch) {
            return Ok(());
        }
        let Some(batch) = batches.next().transpose()? else {
            let hint = "give `begin_epoch` a batch of training samples";
            return Err(error::config("held-out batch of Lfm", "one batch", "none", hint));
        };
        let pass = self.session.pass(student, &batch)?;
        let [task, alignment, _] = losses(&pass, *train)?;
        let alpha = self.learned.alpha;
        let total = &task * (1.0 - alpha) + alignment * alpha;
        let product = pass.hessian_product(&total, &task, parameter)?;
        let product = pass.read("Hessian product", &[product.f_mean(Kind::Double)?])?[0];
        let lr = lr * 0.5_f64.powf((epoch / 20) as f64);
        let alpha = (alpha - lr * product).clamp(0.05, 0.95);
        self.learned = Learned { alpha, product, made_for: Some(epoch) };
        Ok(())
    }

    fn step(
        &mut self,
        student: &dyn Student,
        batch: &Batch,
        optimizer: &mut dyn ApplyGradients,
    ) -> Result<StepReport> {
        let (alpha, product) = (self.alpha(), self.learned.product);
        self.session.step(student, batch, |pass| {
            let [task, alignment, logits] = losses(pass, true)?;
            let total = (&task * (1.0 - alpha) + &alignment * alpha) * 2.0;
            let gradients = pass.gradients(&total, false)?;
            pass.update(&gradients, optimizer)?;
            Ok(Computed::new(&total, &task, &logits)
                .detail("alignment", &alignment)
                .detail("alpha_task", &Tensor::from(1.0 - alpha))
                .detail("alpha_alignment", &Tensor::from(alpha))
                .detail("hessian_product_mean", &Tensor::from(product)))
        })
    }

    fn state(&mut self) -> Result<ResumeState> {
        self.session.state(&self.learned)
    }

    fn restore(&mut self, state: &ResumeState) -> Result<()> {
        self.learned = self.session.restore(state, |own: &Learned| {
            if own.alpha.is_finite() {
                return Ok(());
            }
            Err(error::foreign_state("alpha of Lfm", "a finite number", own.alpha))
        })?;
        Ok(())
    }
}
