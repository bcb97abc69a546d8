//! Small students, teachers and batches, which depend on their arguments alone.

use g2d::{
    Batch, Features, G2dLoss, G2dTrainer, Modality, ModalityParams, Result, Student, TeacherOutput,
    step::StepValues,
    teacher::{Cached, FrozenModel},
    trainer::Builder,
};
use tch::{Device, Kind, Tensor, nn, nn::ModuleT, nn::OptimizerConfig};

pub const INPUT: i64 = 5;
pub const WIDTH: i64 = 4;
pub const CLASSES: i64 = 3;

/// The modalities m0, m1, ….
pub fn names(k: usize) -> Vec<Modality> {
    Modality::list((0..k).map(|m| format!("m{m}")))
}

/// sin(phase), sin(phase + 1), …, which Python can compute too.
pub fn wave(phase: f64, shape: &[i64]) -> Tensor {
    let n: i64 = shape.iter().product();
    (Tensor::arange(n, (Kind::Double, Device::Cpu)) + phase).sin().reshape(shape)
}

/// Labels 0, 1, 2, 0, ….
pub fn labels(rows: i64) -> Tensor {
    Tensor::arange(rows, (Kind::Int64, Device::Cpu)).remainder(CLASSES)
}

/// Sets every trainable variable to values that depend only on `seed` and the place of its name
/// among all names.
pub fn fill(vs: &nn::VarStore, seed: f64) {
    let _no_grad = tch::no_grad_guard();
    let mut variables: Vec<_> = vs.variables().into_iter().collect();
    variables.sort_by(|a, b| a.0.cmp(&b.0));
    for (i, (_, mut tensor)) in variables.into_iter().enumerate() {
        if tensor.requires_grad() {
            tensor.copy_(&(wave(seed + 0.37 * i as f64, &tensor.size()) * 0.5));
        }
    }
}

/// k encoders `m0`, `m1`, … and a linear head over their concatenated features.
pub struct Tiny {
    pub vs: nn::VarStore,
    names: Vec<Modality>,
    encoders: Vec<nn::SequentialT>,
    head: nn::Linear,
    input: Vec<i64>,
    widths: Vec<i64>,
}

impl Tiny {
    /// Encoders of two linear layers; the features of m have `widths[m]` columns.
    pub fn with_widths(widths: &[i64], kind: Kind) -> Self {
        let encoder = |path: nn::Path<'_>, width| {
            nn::seq_t()
                .add(nn::linear(&path / "a", INPUT, 6, Default::default()))
                .add_fn(|x| x.tanh())
                .add(nn::linear(&path / "b", 6, width, Default::default()))
        };
        Self::new(widths, kind, vec![INPUT], encoder)
    }

    /// k encoders of width [`WIDTH`] in `Double`.
    pub fn linear(k: usize) -> Self {
        Self::with_widths(&vec![WIDTH; k], Kind::Double)
    }

    /// Encoders of a convolution and batch norm: 4-D parameters and running statistics.
    pub fn conv(k: usize) -> Self {
        let encoder = |path: nn::Path<'_>, width| {
            nn::seq_t()
                .add(nn::conv2d(&path / "conv", 1, width, 3, Default::default()))
                .add(nn::batch_norm2d(&path / "bn", width, Default::default()))
                .add_fn(|x| x.relu().mean_dim([2_i64, 3].as_slice(), false, None))
        };
        Self::new(&vec![WIDTH; k], Kind::Double, vec![1, 4, 4], encoder)
    }

    fn new(
        widths: &[i64],
        kind: Kind,
        input: Vec<i64>,
        encoder: impl Fn(nn::Path<'_>, i64) -> nn::SequentialT,
    ) -> Self {
        let mut vs = nn::VarStore::new(Device::Cpu);
        let names = names(widths.len());
        let root = vs.root();
        let encoders =
            names.iter().zip(widths).map(|(m, &width)| encoder(&root / m.name(), width)).collect();
        let head = nn::linear(&root / "head", widths.iter().sum(), CLASSES, Default::default());
        vs.set_kind(kind);
        fill(&vs, 0.3);
        Self { vs, names, encoders, head, input, widths: widths.to_vec() }
    }

    pub fn params(&self) -> ModalityParams {
        ModalityParams::by_name(&self.vs, &self.names).unwrap()
    }

    pub fn kind(&self) -> Kind {
        self.head.ws.kind()
    }

    /// A batch with inputs that depend on `seed`, the [`labels`], and ids 100, 101, ….
    pub fn batch(&self, rows: i64, seed: f64) -> Batch {
        let shape: Vec<i64> = [rows].into_iter().chain(self.input.iter().copied()).collect();
        let input = |m| (wave(seed + 10.0 * m as f64, &shape) * 1.5).to_kind(self.kind());
        let inputs: Vec<_> = (0..self.names.len()).map(input).collect();
        let ids: Vec<i64> = (100..100 + rows).collect();
        Batch::new(inputs, labels(rows)).with_ids(ids)
    }

    /// A trainer's builder with this student's parameters.
    pub fn builder(&self, loss: impl G2dLoss + 'static) -> Builder {
        G2dTrainer::builder(loss).encoders(self.params())
    }

    /// As [`builder`](Self::builder), with a live teacher for each modality.
    pub fn builder_with_teachers(&self, loss: impl G2dLoss + 'static) -> Builder {
        (0..self.names.len())
            .fold(self.builder(loss), |builder, m| builder.teacher(self.teacher(m, WIDTH).0))
    }

    /// As [`builder_with_teachers`](Self::builder_with_teachers), with the outputs of the teachers
    /// for these batches recorded in memory.
    pub fn builder_with_cached_teachers(
        &self,
        loss: impl G2dLoss + 'static,
        batches: impl Fn() -> Vec<Batch>,
    ) -> Builder {
        (0..self.names.len()).fold(self.builder(loss), |builder, m| {
            let live = self.teacher(m, WIDTH).0;
            builder.teacher(Cached::record(&live, m, batches().into_iter().map(Ok)).unwrap())
        })
    }

    /// A teacher of modality `m` for this student's inputs, and its variables.
    pub fn teacher(&self, m: usize, width: i64) -> (FrozenModel, nn::VarStore) {
        teacher(self.names[m].clone(), self.input.iter().product(), width, self.kind(), m as f64)
    }

    /// One step of trainer and optimizer for each batch; returns the reports as numbers.
    pub fn train(
        &self,
        trainer: &mut G2dTrainer,
        optimizer: &mut nn::Optimizer,
        batches: impl IntoIterator<Item = Batch>,
    ) -> Vec<StepValues> {
        let step = |batch| {
            optimizer.zero_grad();
            let report = trainer.step(self, &batch).unwrap();
            optimizer.step();
            report.read().unwrap()
        };
        batches.into_iter().map(step).collect()
    }

    /// SGD with momentum and weight decay, which move parameters whose gradient is zero.
    pub fn optimizer(&self) -> nn::Optimizer {
        let sgd = nn::Sgd { momentum: 0.9, dampening: 0.0, wd: 0.1, nesterov: false };
        sgd.build(&self.vs, 0.05).unwrap()
    }
}

impl Student for Tiny {
    fn modalities(&self) -> &[Modality] {
        &self.names
    }

    fn encode(&self, m: usize, batch: &Batch, train: bool) -> Result<Tensor> {
        Ok(self.encoders[m].forward_t(batch.input(m), train))
    }

    fn fuse(&self, features: &Features<'_>, _train: bool) -> Result<Tensor> {
        Ok(Tensor::f_cat(features, 1)?.apply(&self.head))
    }

    fn feature_shape(&self, m: usize) -> Option<Vec<i64>> {
        Some(vec![self.widths[m]])
    }

    fn unimodal_logits(&self, m: usize, features: &Features<'_>) -> Result<Option<Tensor>> {
        let only = |(j, f): (usize, &Tensor)| if j == m { f.shallow_clone() } else { f * 0.0 };
        let masked: Vec<_> = features.iter().enumerate().map(only).collect();
        Ok(Some(Tensor::cat(&masked, 1).apply(&self.head)))
    }
}

/// Copies of the outputs, as a loss gets them for a batch in which every modality is present.
pub fn all_present(teachers: &[TeacherOutput]) -> Vec<Option<TeacherOutput>> {
    let copy = |t: &TeacherOutput| TeacherOutput {
        features: t.features.shallow_clone(),
        logits: t.logits.shallow_clone(),
        host: None,
    };
    teachers.iter().map(|t| Some(copy(t))).collect()
}

/// Batch norm and dropout differ between training and evaluation; a teacher must be in evaluation.
fn teacher(
    modality: Modality,
    inputs: i64,
    width: i64,
    kind: Kind,
    seed: f64,
) -> (FrozenModel, nn::VarStore) {
    let mut vs = nn::VarStore::new(Device::Cpu);
    let net = nn::linear(vs.root() / "net", inputs, width, Default::default());
    let norm = nn::batch_norm1d(vs.root() / "bn", width, Default::default());
    let head = nn::linear(vs.root() / "classifier", width, CLASSES, Default::default());
    vs.set_kind(kind);
    fill(&vs, 1.1 + seed);
    let teacher = FrozenModel::new(modality, &mut vs, move |input, train| {
        let features = input.flatten(1, -1).apply(&net).apply_t(&norm, train).relu();
        let features = features.dropout(0.5, train);
        let logits = features.apply(&head) * 3.0;
        (features, logits)
    });
    (teacher, vs)
}
