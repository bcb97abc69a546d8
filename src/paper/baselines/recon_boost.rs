//! ReconBoost.

use serde::{Deserialize, Serialize};
use tch::{Kind, Reduction, Tensor};

use super::{boost_head::BoostHead, delegate::session_methods, settings, stage_lr::StageLr};
use crate::algorithm::{Algorithm, Computed, Gradients, Parameter, Pass, Session};
use crate::batch::Batch;
use crate::error::{self, Result};
use crate::optim::ApplyGradients;
use crate::parameters::ModalityParams;
use crate::step::StepReport;
use crate::student::{Features, Student};
use crate::trainer::ResumeState;

/// Settings of [`ReconBoost`]; the defaults are the authors' for CREMA-D.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ReconBoostConfig {
    /// w₁, by default 5; 4 for AVE, 1 for MOSEI.
    pub weight1: f64,
    /// w₂, the weight of the other modalities' probability, by default 1; 0.25 for MOSEI.
    pub weight2: f64,
    /// α, the weight of the consolidation term, by default 0.5. The term has no gradient in the authors'
    /// code; with 0 its forward pass is left out.
    pub alpha: f64,
    /// Number of epochs of a phase, by default 4.
    pub phase_epochs: u64,
    /// The learning rate by stage, by default [`StageLr::Every`] 30 stages × 0.1.
    pub lr: StageLr,
}

impl Default for ReconBoostConfig {
    fn default() -> Self {
        Self {
            weight1: 5.0,
            weight2: 1.0,
            alpha: 0.5,
            phase_epochs: 4,
            lr: StageLr::Every { stages: 30, factor: 0.1 },
        }
    }
}

/// ReconBoost: one modality after the other is trained on what the others do not predict yet, and after each
/// turn all of them together.
///
/// z_m are the logits of the head that all modalities share, z = b Σ z_m the fused ones, b a parameter.
/// Stage t, of modality m = t mod k, has two phases of [`phase_epochs`](ReconBoostConfig::phase_epochs)
/// epochs, each with an optimizer that starts anew ([`ApplyGradients::restart`]):
///
/// ```text
/// 1: encoder m and the head.  q = σ(b Σ_{o≠m} z_o), without gradient, others in training mode
///    loss = mean of −(w₁ − w₂ q[y]) log σ(z_m)[y] / C
///           + α MSE(σ(z_m), σ(z_p)) without gradient, from stage 1 on, p the modality of the stage before
/// 2: all encoders, the head and b.  loss = CE(z)
/// ```
///
/// 1/C is a mean over a one-hot vector in the authors' code, and part of the step size. Without initial heads
/// ([`BoostHead::with_initial`]) q is 1 in stage 0.
///
/// Any number of modalities, whose features have one width. The head is this algorithm's; the student's
/// fusion is not used, and the prediction rule is z. It sets the factor of the learning rate ([`StageLr`]).
/// One backward pass per step; the state is the number of stages. The authors train CREMA-D with lr 0.01,
/// weight decay 5e-4, batches of 64, up to 1001 stages, from pretrained unimodal networks.
///
/// From memory, the paper's consolidation compares m with its own earlier self, and its reconcilement runs
/// over all classes. In the code the former has no gradient, so that its one effect is another forward pass
/// of modality p in training mode, and the latter is of the true class.
///
/// The logits of the report are z_m in phase 1 and z in phase 2; its task term is the boosting loss or
/// CE(z). Details: `phase` 1 or 2, `stage`, `consolidation`, `others_true_class`, the mean of q\[y\].
///
/// Source: Hua et al., "ReconBoost: Boosting Can Achieve Modality Reconcilement", ICML 2024;
/// huacong/ReconBoost 14ab57a.
#[derive(Debug)]
pub struct ReconBoost {
    config: ReconBoostConfig,
    session: Session,
    head: BoostHead,
    /// Number of stages that have begun.
    begun: u64,
}

impl ReconBoost {
    /// ReconBoost of `student`, whose parameters are `params`, among them those of `head`.
    ///
    /// # Errors
    /// [`Error::Config`](crate::Error::Config) for a setting out of range, another number of initial heads
    /// than modalities, a head whose parameters are not in `params`, and as [`Session::new`].
    pub fn new(
        student: &dyn Student,
        params: ModalityParams,
        head: BoostHead,
        config: ReconBoostConfig,
    ) -> Result<Self> {
        for (what, value) in [
            ("weight1 of ReconBoost", config.weight1),
            ("weight2 of ReconBoost", config.weight2),
            ("alpha of ReconBoost", config.alpha),
        ] {
            settings::not_negative(what, value)?;
        }
        config.lr.check()?;
        if config.phase_epochs == 0 {
            return Err(error::out_of_range("phase_epochs of ReconBoost", "at least 1", 0));
        }
        let session = Session::new("recon_boost", student, params)?;
        let (modalities, found) = (session.modalities(), head.initial_heads());
        if found != 0 && found != modalities.len() {
            let hint = "pass all modalities to `BoostHead::with_initial`";
            return Err(error::one_per_modality("initial heads", modalities, found, hint));
        }
        head.check_known(&session)?;
        Ok(Self { config, session, head, begun: 0 })
    }

    /// b.
    pub fn boost_rate(&self) -> &Tensor {
        self.head.rate()
    }

    /// z_m for features [B, d] of modality `m`.
    fn own_logits(&self, m: usize, features: &Tensor) -> Result<Tensor> {
        self.head.logits(self.begun, m, features)
    }
}

impl Algorithm for ReconBoost {
    session_methods!();

    fn schedules_lr(&self) -> bool {
        true
    }

    fn step(
        &mut self,
        student: &dyn Student,
        batch: &Batch,
        optimizer: &mut dyn ApplyGradients,
    ) -> Result<StepReport> {
        let Self { config, session, head, begun } = self;
        let at = session.progress();
        let phase = at.epoch / config.phase_epochs;
        let (stage, boosts) = (phase / 2, phase % 2 == 0);
        let starts = at.step == 0 && at.epoch % config.phase_epochs == 0;
        let now = (*begun).max(stage + 1);
        let report = session.step(student, batch, |pass| {
            let turn = Turn { config, head, begun: now, stage, pass };
            let (computed, gradients) = if boosts { turn.boost()? } else { turn.rectify()? };
            if starts {
                optimizer.restart()?;
                optimizer.set_lr_factor(config.lr.factor(stage))?;
            }
            pass.update(&gradients, optimizer)?;
            let number = |value: u64| Tensor::from(value as f64);
            Ok(computed
                .detail("stage", &number(stage))
                .detail("phase", &number(if boosts { 1 } else { 2 })))
        })?;
        *begun = now;
        Ok(report)
    }

    fn logits(&self, _student: &dyn Student, features: &Features<'_>) -> Result<Tensor> {
        let own = features.iter().enumerate().map(|(m, own)| self.own_logits(m, own));
        let own = own.collect::<Result<Vec<_>>>()?;
        Ok(own.iter().sum::<Tensor>().f_mul(self.head.rate())?)
    }

    fn unimodal_logits(
        &self,
        _student: &dyn Student,
        m: usize,
        features: &Features<'_>,
    ) -> Result<Option<Tensor>> {
        self.own_logits(m, &features[m]).map(Some)
    }

    fn state(&mut self) -> Result<ResumeState> {
        self.session.state(&self.begun)
    }

    fn restore(&mut self, state: &ResumeState) -> Result<()> {
        self.begun = self.session.restore(state, |_: &u64| Ok(()))?;
        Ok(())
    }
}

/// A step of a stage.
struct Turn<'a, 'p> {
    config: &'a ReconBoostConfig,
    head: &'a BoostHead,
    begun: u64,
    stage: u64,
    pass: &'a Pass<'p>,
}

impl<'p> Turn<'_, 'p> {
    fn own(&self, m: usize) -> Result<Tensor> {
        let features = self.pass.encode(m, true)?;
        self.head.logits(self.begun, m, &features)
    }

    /// Phase 1: the modality of the stage learns what the others do not predict.
    fn boost(&self) -> Result<(Computed, Gradients<'p>)> {
        let Self { config, head, stage, pass, .. } = self;
        let k = pass.modalities().len();
        let m = (*stage % k as u64) as usize;
        let others = {
            let _no_grad = tch::no_grad_guard();
            let others = (0..k).filter(|&o| o != m).map(|o| self.own(o));
            others.collect::<Result<Vec<_>>>()?.iter().sum::<Tensor>().f_mul(head.rate())?
        };
        let logits = self.own(m)?;
        let others = match *stage == 0 && head.initial_heads() == 0 {
            true => pass.true_class_probability(&others)?.f_ones_like()?,
            false => pass.true_class_probability(&others)?,
        };
        let labels = pass.labels(&logits)?.f_unsqueeze(1)?;
        let log = logits.f_log_softmax(1, None)?.f_gather(1, &labels, false)?.f_squeeze_dim(1)?;
        let weights = config.weight1 - &others * config.weight2;
        let classes = logits.size()[1] as f64;
        let loss = -(weights * log).f_mean(logits.kind())? / classes;
        let consolidation = if *stage > 0 && config.alpha > 0.0 {
            let _no_grad = tch::no_grad_guard();
            let previous = self.own(((*stage - 1) % k as u64) as usize)?;
            let [own, previous] = [&logits, &previous].map(|z| z.softmax(1, None));
            own.f_mse_loss(&previous, Reduction::Mean)?
        } else {
            loss.detach().f_zeros_like()?
        };
        let learns =
            |p: &Parameter| p.modality.is_none_or(|owner| owner == m) && !head.is_initial(p);
        let gradients = pass.gradients_where(&loss, false, learns)?;
        let total = loss.detach() + &consolidation * config.alpha;
        let computed = Computed::new(&total, &loss, &logits)
            .detail("consolidation", &consolidation)
            .detail("others_true_class", &others.f_mean(Kind::Double)?);
        Ok((computed, gradients))
    }

    /// Phase 2: all modalities learn.
    fn rectify(&self) -> Result<(Computed, Gradients<'p>)> {
        let Self { head, pass, .. } = self;
        let own = (0..pass.modalities().len()).map(|m| self.own(m));
        let own = own.collect::<Result<Vec<_>>>()?;
        let logits = own.iter().sum::<Tensor>().f_mul(head.rate())?;
        let loss = pass.cross_entropy(&logits)?;
        let gradients = pass.gradients_where(&loss, false, |p| !head.is_initial(p))?;
        Ok((Computed::new(&loss, &loss, &logits), gradients))
    }
}
