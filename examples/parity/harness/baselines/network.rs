//! The network of a case.

use std::collections::BTreeMap;

use anyhow::{Context, Result};
use g2d::{
    Batch, Features, Modality, ModalityParams, Student,
    optim::Optimizer,
    paper::networks::{ClassifierConfig, FusionClassifier, FusionKind},
};
use serde_json::{Value, json};
use tch::{
    Device, Kind, Tensor,
    nn::{self, Module, VarStore},
};

use super::{case::Case, recorder::Recorder};
use crate::harness::{case::MODALITIES, formula};

/// The layer of our concatenation, which some networks call `head`.
const FUSED: &str = "fusion_module.fc_out";

/// The authors' network in float64, with the extra layers of a case.
pub struct Network {
    pub vs: VarStore,
    student: FusionClassifier,
    /// Heads of single modalities beside the fusion.
    heads: Vec<nn::Linear>,
    /// The name of [`FUSED`] in the case.
    fused: String,
}

impl Network {
    /// The network of a method that uses its fusion.
    pub fn fused(case: &Case<'_>) -> Result<Self> {
        Ok(Self::new(case, case.fusion()?, |_, _| Ok(()))?.0)
    }

    /// The network, with the parameters of the formula. `extra` registers further layers, for features of a
    /// width.
    pub fn new<T>(
        case: &Case<'_>,
        fusion: FusionKind,
        extra: impl FnOnce(&VarStore, i64) -> Result<T>,
    ) -> Result<(Self, T)> {
        let dataset = case.dataset()?;
        let mut vs = VarStore::new(Device::Cpu);
        let channels = dataset.shapes().map(|shape| shape[0]);
        let modalities: Vec<_> = MODALITIES.iter().map(Modality::new).zip(channels).collect();
        let config = ClassifierConfig::authors(fusion);
        let student = FusionClassifier::new(&vs, &modalities, dataset.classes(), config)?;
        let width = student.feature_shape(0).context("no width")?[0];
        let extra = extra(&vs, width)?;
        let layers = case.layers();
        let is_single = |name: &str| {
            let of_modality = ["audio", "video", "visual"].iter().any(|m| name.contains(m));
            of_modality && !name.starts_with("fusion_module")
        };
        let fused = layers.iter().find(|name| !name.contains('.') && !is_single(name));
        let fused = fused.map_or(FUSED, String::as_str);
        let head = |name: &String| {
            let path = name.split('.').fold(vs.root(), |path, part| path / part);
            nn::linear(path, width, dataset.classes(), nn::LinearConfig::default())
        };
        let mut names: Vec<&String> = layers.iter().filter(|name| is_single(name)).collect();
        names.sort_by_key(|name| !name.contains("audio"));
        let heads = names.into_iter().map(head).collect();
        // Layers that exist in the official network and do not learn.
        let known = vs.variables();
        for layer in &layers {
            if layer != fused && !known.contains_key(&format!("{layer}.weight")) {
                let path = layer.split('.').fold(vs.root(), |path, part| path / part);
                nn::linear(path, 2 * width, dataset.classes(), nn::LinearConfig::default());
            }
        }
        vs.double();
        let network = Self { fused: fused.to_owned(), vs, student, heads };
        formula::fill_as(&network.vs, "student", |own| {
            (own != "boost_rate").then(|| network.name(own))
        })?;
        if case.has("heads") {
            network.define_heads(case.text("heads")?)?;
        }
        Ok((network, extra))
    }

    /// Sets the heads of single modalities where a case defines them otherwise than by the formula: by a
    /// sign ("minus"), and by the columns of the fused head ("columns", "slice") in place of their own
    /// weights. A bias that the text does not mention is that of the formula.
    fn define_heads(&self, text: &str) -> Result<()> {
        let text = text.to_lowercase();
        if text == "by the formula" {
            return Ok(());
        }
        let has = |words: &[&str]| words.iter().any(|word| text.contains(word));
        let sign = if has(&["minus", "negative", "negated", "opposite", "-"]) { -1.0 } else { 1.0 };
        let of_fused = has(&["column", "slice", "part of", "half", "[:"]);
        let _no_grad = tch::no_grad_guard();
        let variables = self.vs.variables();
        let fused = |name: &str| variables.get(&format!("{FUSED}.{name}")).context("no fused head");
        for (m, head) in self.heads.iter().enumerate() {
            let width = head.ws.size()[1];
            let columns = fused("weight")?.narrow(1, m as i64 * width, width);
            let weight = if of_fused { columns } else { head.ws.copy() };
            head.ws.shallow_clone().f_copy_(&(weight * sign))?;
            if let (Some(bias), true) = (&head.bs, has(&["bias"])) {
                let fused = fused("bias")?;
                let zeros = bias.zeros_like();
                let defined = if has(&["zero"]) { zeros } else { fused * sign };
                bias.shallow_clone().f_copy_(&defined)?;
            }
        }
        Ok(())
    }

    /// The name of a variable in the case.
    fn name(&self, own: &str) -> String {
        own.replacen(FUSED, &self.fused, 1)
    }

    pub fn params(&self) -> Result<ModalityParams> {
        // Includes the layers that are beside the student.
        Ok(self.student.encoder_params(&self.vs)?)
    }

    pub fn optimizer(&self, case: &Case<'_>) -> Result<Recorder<'_>> {
        let optimizer = Optimizer::builder(&self.vs, case.sgd()?).build()?;
        Ok(Recorder::new(optimizer, self))
    }

    /// √Σ‖g‖² over the parameters below `part` of the case's network; `None` without gradients.
    pub fn gradient_norm(&self, part: &str) -> Result<Option<f64>> {
        let mut squares = None;
        for (own, variable) in self.vs.variables() {
            let gradient = variable.grad();
            let is_part = self.name(&own).split('.').next() == Some(part);
            if is_part && gradient.defined() {
                let square = f64::try_from(gradient.f_norm()?)?.powi(2);
                *squares.get_or_insert(0.0) += square;
            }
        }
        Ok(squares.map(f64::sqrt))
    }

    /// The gradient norms of both encoders and of the fusion.
    pub fn gradient_norms(&self) -> Result<Value> {
        let fusion = self.fused.split('.').next().unwrap_or_default();
        let norm = |part| self.gradient_norm(part);
        Ok(json!({
            "audio": norm("audio_net")?, "visual": norm("visual_net")?, "fusion": norm(fusion)?,
        }))
    }

    /// Σ|·| of every variable, and of all parameters of each encoder.
    pub fn abs_sums(&self) -> Result<Value> {
        let mut sums = BTreeMap::new();
        for (own, tensor) in self.vs.variables() {
            let name = self.name(&own);
            let sum = f64::try_from(tensor.f_abs()?.f_sum(Kind::Double)?)?;
            let root = name.split('.').next().unwrap_or_default().to_owned();
            if tensor.requires_grad() {
                *sums.entry(format!("all parameters of {root}")).or_insert(0.0) += sum;
                *sums.entry(root).or_insert(0.0) += sum;
            }
            sums.insert(name, sum);
        }
        Ok(json!(sums))
    }
}

impl Student for Network {
    fn modalities(&self) -> &[Modality] {
        self.student.modalities()
    }

    fn encode(&self, m: usize, batch: &Batch, train: bool) -> g2d::Result<Tensor> {
        self.student.encode(m, batch, train)
    }

    fn fuse(&self, features: &Features<'_>, train: bool) -> g2d::Result<Tensor> {
        self.student.fuse(features, train)
    }

    fn feature_shape(&self, m: usize) -> Option<Vec<i64>> {
        self.student.feature_shape(m)
    }

    fn unimodal_logits(&self, m: usize, features: &Features<'_>) -> g2d::Result<Option<Tensor>> {
        match self.heads.get(m) {
            Some(head) => Ok(Some(head.forward(&features[m]))),
            None => self.student.unimodal_logits(m, features),
        }
    }
}
