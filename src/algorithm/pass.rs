//! The forward and backward passes over one batch.

use std::cell::Cell;

use tch::{Kind, Reduction, TchError, Tensor};

use super::{Gradients, Parameter};
use crate::batch::{Batch, Input};
use crate::error::{self, Error, Result};
use crate::loss::{Classification, G2dLoss};
use crate::modality::Modality;
use crate::optim::ApplyGradients;
use crate::schedule::Progress;
use crate::student::{Caught, Features, Student};
use crate::trainer::{WatchedBuffers, check_output};
use crate::transfer;

/// The forward and backward passes of an algorithm over one batch, whose samples have all modalities.
///
/// What the student returns is checked, and its panics are errors. A loss is read and must be finite
/// before its backward pass, as must the buffers.
pub struct Pass<'a> {
    pub(super) at: Progress,
    pub(super) student: Caught<'a>,
    pub(super) batch: &'a Batch,
    pub(super) modalities: &'a [Modality],
    pub(super) parameters: &'a [Parameter],
    pub(super) buffers: &'a WatchedBuffers,
    /// The number of updates so far.
    pub(super) updates: Cell<u64>,
}

impl<'a> Pass<'a> {
    /// The position of the step in the run.
    pub fn at(&self) -> Progress {
        self.at
    }

    /// The batch.
    pub fn batch(&self) -> &'a Batch {
        self.batch
    }

    /// The modalities, in the student's order.
    pub fn modalities(&self) -> &'a [Modality] {
        self.modalities
    }

    /// The parameters of the model, sorted by name within a `VarStore`.
    pub fn parameters(&self) -> &'a [Parameter] {
        self.parameters
    }

    /// The features [B, d_m, …] of modality `m`.
    ///
    /// # Errors
    /// Any error of the student; [`Error::Shape`] for features that do not have one row per sample.
    pub fn encode(&self, m: usize, train: bool) -> Result<Tensor> {
        self.encode_batch(m, self.batch, train)
    }

    /// The features of every modality.
    ///
    /// # Errors
    /// As [`encode`](Self::encode).
    pub fn encode_all(&self, train: bool) -> Result<Vec<Tensor>> {
        (0..self.modalities.len()).map(|m| self.encode(m, train)).collect()
    }

    /// The features of modality `m` for an input of zeros, in evaluation mode. Of an input of several
    /// tensors the first is zeros.
    ///
    /// # Errors
    /// As [`encode`](Self::encode).
    pub fn encode_zeros(&self, m: usize) -> Result<Tensor> {
        let zeros = |input: &Input| Ok(input.with_first(input.f_zeros_like()?));
        let inputs = self.batch.inputs().iter().map(zeros).collect::<Result<Vec<_>>>()?;
        self.encode_batch(m, &self.batch.with_inputs(inputs)?, false)
    }

    fn encode_batch(&self, m: usize, batch: &Batch, train: bool) -> Result<Tensor> {
        let features = self.student.encode(m, batch, train)?;
        let what = format!("features of modality {:?}", self.modalities[m]);
        check_output(&what, &features, None, self.batch)?;
        Ok(features)
    }

    /// The features of every modality, which must be vectors: [B, d_m].
    ///
    /// # Errors
    /// As [`encode`](Self::encode); [`Error::Shape`] for other features.
    pub fn encode_vectors(&self, train: bool) -> Result<Vec<Tensor>> {
        let features = self.encode_all(train)?;
        for (modality, own) in self.modalities.iter().zip(&features) {
            let what = format!("features of modality {modality:?}");
            check_output(&what, own, Some(2), self.batch)?;
        }
        Ok(features)
    }

    /// The fused logits [B, C] of these features.
    ///
    /// # Errors
    /// Any error of the student; [`Error::Shape`] for other logits.
    pub fn fuse(&self, features: &[Tensor], train: bool) -> Result<Tensor> {
        let logits = self.student.fuse(&self.features(features)?, train)?;
        check_output("logits of the student", &logits, Some(2), self.batch)?;
        Ok(logits)
    }

    /// The unimodal logits [B, C] of modality `m`, with gradient.
    ///
    /// # Errors
    /// [`Error::Config`] for a student without unimodal logits; any error of the student.
    pub fn unimodal_logits(&self, m: usize, features: &[Tensor]) -> Result<Tensor> {
        let what = format!("unimodal logits of modality {:?}", self.modalities[m]);
        let logits = self.student.unimodal_logits(m, &self.features(features)?)?;
        let Some(logits) = logits else {
            let hint = "implement it, or add heads with `heads::WithHeads`";
            let found = "`Student::unimodal_logits` returns None";
            return Err(error::config(what, "logits [B, C]", found, hint));
        };
        check_output(&what, &logits, Some(2), self.batch)?;
        Ok(logits)
    }

    /// The unimodal logits of every modality.
    ///
    /// # Errors
    /// As [`unimodal_logits`](Self::unimodal_logits).
    pub fn all_unimodal_logits(&self, features: &[Tensor]) -> Result<Vec<Tensor>> {
        (0..self.modalities.len()).map(|m| self.unimodal_logits(m, features)).collect()
    }

    /// The features of the batch, as a student takes them.
    ///
    /// # Errors
    /// [`Error::Torch`].
    pub fn features<'f>(&'f self, features: &'f [Tensor]) -> Result<Features<'f>> {
        Features::new(features, self.batch)
    }

    /// The labels \[B\] of the samples, checked against logits [B, C].
    ///
    /// # Errors
    /// [`Error::Kind`] or [`Error::Shape`] for other targets, [`Error::Target`] for a label that is no
    /// class.
    pub fn labels(&self, logits: &Tensor) -> Result<&'a Tensor> {
        let targets = self.batch.targets();
        let hint = "this algorithm trains on one class label per sample";
        if targets.kind() != Kind::Int64 {
            return Err(error::wrong_kind("targets", "Int64 class labels", targets.kind(), hint));
        }
        if targets.dim() != 1 {
            return Err(error::wrong_shape("targets", "[B], class labels", &targets.size(), hint));
        }
        Classification::default().check_targets(&logits.size(), targets)?;
        Ok(targets)
    }

    /// The mean cross-entropy of logits [B, C], a scalar with gradient.
    ///
    /// # Errors
    /// As [`labels`](Self::labels).
    pub fn cross_entropy(&self, logits: &Tensor) -> Result<Tensor> {
        let none = None::<&Tensor>;
        let labels = self.labels(logits)?;
        Ok(logits.f_cross_entropy_loss(labels, none, Reduction::Mean, -100, 0.0)?)
    }

    /// σ(logits)\[y\] of every sample, \[B\], with the gradient of `logits`.
    ///
    /// # Errors
    /// As [`labels`](Self::labels).
    pub fn true_class_probability(&self, logits: &Tensor) -> Result<Tensor> {
        let labels = self.labels(logits)?.f_unsqueeze(1)?;
        Ok(logits.f_softmax(1, None)?.f_gather(1, &labels, false)?.f_squeeze_dim(1)?)
    }

    /// Reads scalars in one transfer; synchronises with the device.
    ///
    /// # Errors
    /// [`Error::NonFinite`], which calls them `what`, if one is NaN or infinite.
    pub fn read(&self, what: &str, scalars: &[Tensor]) -> Result<Vec<f64>> {
        let values = transfer::read_scalars(scalars)?;
        match values.iter().find(|value| !value.is_finite()) {
            None => Ok(values),
            Some(found) => Err(self.not_finite(what, found.to_string())),
        }
    }

    fn not_finite(&self, what: &str, found: String) -> Error {
        let what = format!("{what} at epoch {}, step {}", self.at.epoch, self.at.step);
        let hint = "check inputs and targets for NaN, and lower the learning rate";
        error::non_finite(what, "finite numbers", found, hint)
    }

    /// The gradients of the scalar `loss` by all parameters. With `keep_graph` another backward pass may
    /// follow.
    ///
    /// # Errors
    /// [`Error::NonFinite`] for a loss or a buffer that is not finite; [`Error::Config`] for a loss that
    /// depends on no parameter.
    pub fn gradients(&self, loss: &Tensor, keep_graph: bool) -> Result<Gradients<'a>> {
        self.gradients_where(loss, keep_graph, |_| true)
    }

    /// The gradients of `loss` by the parameters for which `which` returns true.
    ///
    /// # Errors
    /// As [`gradients`](Self::gradients).
    pub fn gradients_where(
        &self,
        loss: &Tensor,
        keep_graph: bool,
        which: impl Fn(&Parameter) -> bool,
    ) -> Result<Gradients<'a>> {
        self.check_finite(loss)?;
        let gradients = Gradients::compute(self.parameters, loss, keep_graph, which)
            .map_err(|e| Error::torch("differentiate a loss", e))?;
        if gradients.is_empty() {
            return Err(error::config(
                "loss of the algorithm",
                "a parameter that it depends on",
                "none, so that nothing can learn",
                "pass the student whose `VarStore` the `ModalityParams` were made from",
            ));
        }
        Ok(gradients)
    }

    /// Reads the loss and the buffers.
    fn check_finite(&self, loss: &Tensor) -> Result<()> {
        let flag = self.buffers.flag()?;
        let scalars: Vec<Tensor> = [Some(loss.detach()), flag].into_iter().flatten().collect();
        let values = transfer::read_scalars(&scalars)?;
        if !values[0].is_finite() {
            return Err(self.not_finite("loss", values[0].to_string()));
        }
        if values.get(1).is_some_and(|&flag| flag != 0.0) {
            let source = self.buffers.first()?;
            return Err(self.not_finite(&source.to_string(), "NaN or infinity".to_owned()));
        }
        Ok(())
    }

    /// Updates the parameters by `gradients`, once. A parameter without a gradient does not move.
    ///
    /// # Errors
    /// Any error of the optimizer.
    pub fn update(
        &self,
        gradients: &Gradients<'_>,
        optimizer: &mut dyn ApplyGradients,
    ) -> Result<()> {
        Gradients::clear(self.parameters)?;
        optimizer.clear_gradients()?;
        gradients.set()?;
        let applied = optimizer.apply_gradients();
        Gradients::clear(self.parameters)?;
        applied?;
        self.updates.set(self.updates.get() + 1);
        Ok(())
    }

    /// H v for the parameter `name`: the product of the Hessian of the scalar `curved` with the gradient v
    /// of the scalar `along`, both by all parameters, in the rows of that parameter. Differentiates twice.
    ///
    /// # Errors
    /// [`Error::Config`] for a name of no parameter; [`Error::NonFinite`] for a loss that is not finite.
    pub fn hessian_product(&self, curved: &Tensor, along: &Tensor, name: &str) -> Result<Tensor> {
        self.check_finite(curved)?;
        let Some(rows) = self.parameters.iter().find(|parameter| parameter.name == name) else {
            let names: Vec<_> = self.parameters.iter().map(|p| &p.name).take(4).collect();
            let (what, found) = ("parameter of a Hessian product", format!("{name:?}"));
            let hint = "pass the full name of a parameter";
            return Err(error::config(what, format!("one of {names:?}, …"), found, hint));
        };
        let all = self.parameters.iter().map(|parameter| &parameter.tensor);
        let all: Vec<&Tensor> = all.filter(|tensor| tensor.requires_grad()).collect();
        let compute = || {
            let v = Tensor::f_run_backward(&[along], &all, true, false)?;
            let first = Tensor::f_run_backward(&[curved], &all, true, true)?;
            let pairs = first.iter().zip(&v).filter(|(g, v)| g.defined() && v.defined());
            let products = pairs.map(|(g, v)| g.f_mul(&v.detach())?.f_sum(g.kind()));
            let products = products.collect::<std::result::Result<Vec<_>, TchError>>()?;
            let product = Tensor::f_stack(&products, 0)?.f_sum(along.kind())?;
            Ok(Tensor::f_run_backward(&[product], &[&rows.tensor], false, false)?.swap_remove(0))
        };
        compute().map_err(|e| Error::torch("differentiate a loss twice", e))
    }
}
