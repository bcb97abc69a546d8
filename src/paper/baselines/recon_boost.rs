//! ReconBoost.

use std::borrow::Borrow;

use serde::{Deserialize, Serialize};
use tch::{
    Kind, Reduction, Tensor,
    nn::{self, Module},
};

use super::{delegate::session_methods, settings, shared_head::SharedHead};
use crate::algorithm::{Algorithm, Computed, Gradients, Parameter, Pass, Session};
use crate::batch::Batch;
use crate::error::{self, Result};
use crate::modality::Modality;
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

/// The factor on the learning rate of the optimizer by stage, counted from 0.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum StageLr {
    /// The learning rate is constant.
    Constant,
    /// factorⁿ after n times `stages` stages: the authors' rule for CREMA-D, 0.1 every 30. With 1 stage it
    /// is what the G²D paper's fork does for CREMA-D and AV-MNIST, by a condition that binds wrongly: frozen
    /// after about three stages.
    Every {
        /// At least 1.
        stages: u64,
        /// The factor of each time.
        factor: f64,
    },
    /// `factor` from stage `stage` on: the authors' rule for AVE, 0.5 at 40.
    Once {
        /// The first stage with the factor.
        stage: u64,
        /// The factor.
        factor: f64,
    },
}

impl StageLr {
    /// The factor of a stage.
    pub fn factor(&self, stage: u64) -> f64 {
        match *self {
            Self::Constant => 1.0,
            Self::Every { stages, factor } => factor.powf((stage / stages.max(1)) as f64),
            Self::Once { stage: first, factor } => {
                if stage < first {
                    1.0
                } else {
                    factor
                }
            }
        }
    }

    fn check(&self) -> Result<()> {
        match *self {
            Self::Constant => Ok(()),
            Self::Every { stages: 0, .. } => {
                Err(error::out_of_range("stages of StageLr", "at least 1", 0))
            }
            Self::Every { factor, .. } | Self::Once { factor, .. } => {
                settings::not_negative("factor of StageLr", factor)
            }
        }
    }
}

/// The heads of [`ReconBoost`]: one that all modalities share, b, and a linear one per modality for the time
/// before its first turn.
#[derive(Debug)]
pub struct BoostHead {
    shared: SharedHead,
    /// b, \[1\].
    rate: Tensor,
    /// Empty without pretrained unimodal networks.
    initial: Vec<nn::Linear>,
}

impl BoostHead {
    /// Registers `head.fc1` [hidden, width], `head.fc2` [outputs, hidden] and `boost_rate`, which is 1, at
    /// `path`. The authors have 512 features and 256 hidden units.
    ///
    /// # Errors
    /// [`Error::Config`](crate::Error::Config) for a size below 1.
    pub fn new<'a>(
        path: impl Borrow<nn::Path<'a>>,
        width: i64,
        hidden: i64,
        outputs: i64,
    ) -> Result<Self> {
        let path = path.borrow();
        let shared = SharedHead::with_hidden(path / "head", width, hidden, outputs)?;
        Ok(Self { shared, rate: path.ones("boost_rate", &[1]), initial: Vec::new() })
    }

    /// Registers a linear layer `fc_{modality}` at `path` for each modality, into which the caller loads
    /// that of a pretrained unimodal network, whose encoder the student starts from. It is not trained, and
    /// gives the modality's logits before its first turn.
    ///
    /// # Errors
    /// [`Error::Config`](crate::Error::Config) for a size below 1.
    pub fn with_initial<'a>(
        mut self,
        path: impl Borrow<nn::Path<'a>>,
        modalities: &[Modality],
        width: i64,
        outputs: i64,
    ) -> Result<Self> {
        if width < 1 || outputs < 1 {
            let found = format!("{width} and {outputs}");
            return Err(error::out_of_range("sizes of the initial heads", "at least 1", found));
        }
        let head = |m: &Modality| {
            let path = path.borrow() / format!("fc_{m}");
            nn::linear(path, width, outputs, nn::LinearConfig::default())
        };
        self.initial = modalities.iter().map(head).collect();
        Ok(self)
    }

    fn is_initial(&self, parameter: &Parameter) -> bool {
        let own = |tensor: &Tensor| tensor.data_ptr() == parameter.tensor.data_ptr();
        self.initial.iter().any(|head| own(&head.ws) || head.bs.as_ref().is_some_and(own))
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
        let (modalities, found) = (session.modalities(), head.initial.len());
        if found != 0 && found != modalities.len() {
            let hint = "pass all modalities to `BoostHead::with_initial`";
            return Err(error::one_per_modality("initial heads", modalities, found, hint));
        }
        head.shared.check_known(&session)?;
        Ok(Self { config, session, head, begun: 0 })
    }

    /// b.
    pub fn boost_rate(&self) -> &Tensor {
        &self.head.rate
    }

    /// z_m for features [B, d] of modality `m`.
    fn own_logits(&self, m: usize, features: &Tensor) -> Result<Tensor> {
        own_logits(&self.head, self.begun, m, features)
    }
}

/// z_m: of the shared head, or of the initial one before the first of the `begun` stages of modality `m`.
fn own_logits(head: &BoostHead, begun: u64, m: usize, features: &Tensor) -> Result<Tensor> {
    match head.initial.get(m) {
        Some(initial) if (m as u64) >= begun => Ok(initial.forward(features)),
        _ => head.shared.forward(features),
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
        Ok(own.iter().sum::<Tensor>().f_mul(&self.head.rate)?)
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
        own_logits(self.head, self.begun, m, &features)
    }

    /// Phase 1: the modality of the stage learns what the others do not predict.
    fn boost(&self) -> Result<(Computed, Gradients<'p>)> {
        let Self { config, head, stage, pass, .. } = self;
        let k = pass.modalities().len();
        let m = (*stage % k as u64) as usize;
        let others = {
            let _no_grad = tch::no_grad_guard();
            let others = (0..k).filter(|&o| o != m).map(|o| self.own(o));
            others.collect::<Result<Vec<_>>>()?.iter().sum::<Tensor>().f_mul(&head.rate)?
        };
        let logits = self.own(m)?;
        let others = match *stage == 0 && head.initial.is_empty() {
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
        let logits = own.iter().sum::<Tensor>().f_mul(&head.rate)?;
        let loss = pass.cross_entropy(&logits)?;
        let gradients = pass.gradients_where(&loss, false, |p| !head.is_initial(p))?;
        Ok((Computed::new(&loss, &loss, &logits), gradients))
    }
}
