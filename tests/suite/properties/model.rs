//! A student and teachers of a case, with the fault of the current step.

use std::{cell::Cell, rc::Rc};

use g2d::{
    Batch, Features, Modality, ModalityParams, Result, Student, Teacher, TeacherOutput,
    optim::{Optimizer, SgdConfig},
    teacher::HostCopy,
    trainer::FeatureProjection,
};
use tch::{Device, Kind, Tensor, nn, nn::ModuleT};

use super::{
    case::{Case, Form, Task},
    faults::{Fault, FaultKind},
};
use crate::support::{INPUT, fill, names, wave};

/// The fault of the current step.
#[derive(Clone, Default)]
pub struct CurrentFault(Rc<Cell<Option<Fault>>>);

impl CurrentFault {
    pub fn set(&self, fault: Option<Fault>) {
        self.0.set(fault);
    }

    fn kind(&self) -> Option<FaultKind> {
        self.0.get().map(|fault| fault.kind)
    }

    /// The kind of the fault if `m` is the modality at fault.
    fn kind_at(&self, m: usize) -> Option<FaultKind> {
        self.0.get().filter(|fault| fault.modality == m).map(|fault| fault.kind)
    }
}

/// The shape of one sample.
fn sample(form: Form) -> Vec<i64> {
    match form {
        Form::Flat => vec![INPUT],
        Form::Tokens(tokens) => vec![tokens, INPUT],
        Form::Image => vec![1, 4, 4],
    }
}

pub struct Model {
    pub vs: nn::VarStore,
    names: Vec<Modality>,
    encoders: Vec<nn::SequentialT>,
    head: nn::Linear,
    case: Case,
    fault: CurrentFault,
}

impl Model {
    pub fn new(case: &Case, fault: &CurrentFault) -> (Self, FeatureProjection) {
        let mut vs = nn::VarStore::new(Device::Cpu);
        let names = names(case.k());
        let root = vs.root();
        let encoders = names.iter().zip(&case.widths).map(|(m, &width)| {
            let path = &root / m.name();
            if case.form == Form::Image {
                return nn::seq_t()
                    .add(nn::conv2d(&path / "conv", 1, width, 3, Default::default()))
                    .add(nn::batch_norm2d(&path / "bn", width, Default::default()))
                    .add_fn(|x| x.relu().mean_dim([2_i64, 3].as_slice(), false, None));
            }
            nn::seq_t()
                .add(nn::linear(&path / "a", INPUT, 6, Default::default()))
                .add_fn(|x| x.tanh())
                .add(nn::linear(&path / "b", 6, width, Default::default()))
        });
        let encoders = encoders.collect();
        let head =
            nn::linear(&root / "head", case.widths.iter().sum(), case.columns, Default::default());
        let widths = names.iter().zip(case.widths.iter().zip(&case.teacher_widths));
        let widths = widths.filter(|(_, (student, teacher))| student != teacher);
        let widths = widths.map(|(m, (&student, &teacher))| (m.clone(), student, teacher));
        let widths: Vec<_> = widths.collect();
        let projection = FeatureProjection::new(&(&root / "projection"), widths).unwrap();
        vs.set_kind(case.kind);
        fill(&vs, 0.3);
        let model = Self { vs, names, encoders, head, case: case.clone(), fault: fault.clone() };
        (model, projection)
    }

    pub fn params(&self) -> ModalityParams {
        ModalityParams::by_name(&self.vs, &self.names).unwrap()
    }

    pub fn optimizer(&self) -> Optimizer {
        let sgd = SgdConfig { lr: 0.01, momentum: 0.9, weight_decay: 0.1, ..SgdConfig::default() };
        Optimizer::builder(&self.vs, sgd).build().unwrap()
    }

    /// A valid batch with sample ids from `first_id`.
    pub fn batch(&self, rows: usize, first_id: i64) -> Batch {
        let rows = rows as i64;
        let shape: Vec<i64> = [rows].into_iter().chain(sample(self.case.form)).collect();
        let input = |m| wave(first_id as f64 + 10.0 * m as f64, &shape).to_kind(self.case.kind);
        let inputs: Vec<_> = (0..self.names.len()).map(input).collect();
        let columns = self.case.columns;
        let count = Tensor::arange(rows * columns, (Kind::Int64, Device::Cpu));
        let targets = match self.case.task {
            Task::Single => Tensor::arange(rows, (Kind::Int64, Device::Cpu)).remainder(columns),
            Task::Multi => count.remainder(2).reshape([rows, columns]).to_kind(self.case.kind),
            Task::Regression => wave(first_id as f64, &[rows, columns]).to_kind(self.case.kind),
        };
        Batch::new(inputs, targets).with_ids((first_id..first_id + rows).collect::<Vec<_>>())
    }
}

impl Student for Model {
    fn modalities(&self) -> &[Modality] {
        &self.names
    }

    fn encode(&self, m: usize, batch: &Batch, train: bool) -> Result<Tensor> {
        let x = self.encoders[m].forward_t(batch.input(m), train);
        Ok(match self.fault.kind_at(m) {
            Some(FaultKind::FeatureRows) => Tensor::cat(&[&x, &x], 0),
            Some(FaultKind::FeatureEmpty) => x.narrow(-1, 0, 0),
            Some(FaultKind::FeatureFlat) => x.flatten(0, -1),
            Some(FaultKind::FeatureKind) => x.to_kind(Kind::Int64),
            Some(FaultKind::FeatureUndefined) => Tensor::new(),
            Some(FaultKind::FeatureNan) => x * f64::NAN,
            Some(FaultKind::InfiniteSlope) => &x + (&x * 0.0).abs().sqrt(),
            _ => x,
        })
    }

    fn fuse(&self, features: &Features<'_>, _train: bool) -> Result<Tensor> {
        let logits = Tensor::f_cat(&self.pooled(features), 1)?.apply(&self.head);
        Ok(match self.fault.kind() {
            Some(FaultKind::LogitRows) => Tensor::cat(&[&logits, &logits], 0),
            Some(FaultKind::LogitEmpty) => logits.narrow(1, 0, 0),
            Some(FaultKind::LogitFlat) => logits.flatten(0, -1),
            Some(FaultKind::LogitKind) => logits.to_kind(Kind::Int64),
            Some(FaultKind::LogitDetached) => logits.detach(),
            _ => logits,
        })
    }

    fn feature_shape(&self, m: usize) -> Option<Vec<i64>> {
        let width = self.case.widths[m];
        Some(match self.case.form {
            Form::Tokens(tokens) => vec![tokens, width],
            Form::Flat | Form::Image => vec![width],
        })
    }

    fn distilled_features(&self, features: &Features<'_>) -> Result<Vec<Tensor>> {
        let mut pooled = self.pooled(features);
        if self.fault.kind() == Some(FaultKind::DistilledCount) {
            pooled.pop();
        }
        Ok(pooled)
    }

    fn unimodal_logits(&self, m: usize, features: &Features<'_>) -> Result<Option<Tensor>> {
        let only = |(j, f): (usize, Tensor)| if j == m { f } else { f.zeros_like() };
        let own: Vec<_> = self.pooled(features).into_iter().enumerate().map(only).collect();
        let logits = Tensor::cat(&own, 1).apply(&self.head);
        Ok(match self.fault.kind_at(m) {
            Some(FaultKind::HeadNone) => None,
            Some(FaultKind::HeadShape) => Some(Tensor::cat(&[&logits, &logits], 1)),
            Some(FaultKind::HeadKind) => Some(logits.to_kind(Kind::Int64)),
            Some(FaultKind::HeadNan) => Some(logits * f64::NAN),
            _ => Some(logits),
        })
    }
}

impl Model {
    fn pooled(&self, features: &[Tensor]) -> Vec<Tensor> {
        let pool = |x: &Tensor| match self.case.form {
            Form::Tokens(_) => x.mean_dim([1_i64].as_slice(), false, None),
            Form::Flat | Form::Image => x.shallow_clone(),
        };
        features.iter().map(pool).collect()
    }
}

/// A teacher whose features are the tanh of a fixed linear map, with a fixed linear head.
pub struct LinearTeacher {
    modality: Modality,
    map: Tensor,
    head: Tensor,
}

impl LinearTeacher {
    pub fn new(case: &Case, m: usize) -> Self {
        let inputs: i64 = sample(case.form).iter().product();
        let width = case.teacher_widths[m];
        let map = wave(m as f64, &[inputs, width]).to_kind(case.kind);
        let head = (wave(1.0 + m as f64, &[width, case.columns]) * 2.0).to_kind(case.kind);
        Self { modality: names(case.k())[m].clone(), map, head }
    }
}

impl Teacher for LinearTeacher {
    fn modality(&self) -> &Modality {
        &self.modality
    }

    fn output(&self, m: usize, batch: &Batch) -> Result<TeacherOutput> {
        let features = batch.input(m).flatten(1, -1).f_matmul(&self.map)?.tanh();
        Ok(TeacherOutput { logits: features.f_matmul(&self.head)?, features, host: None })
    }
}

/// Another teacher with the current fault.
pub struct FaultyTeacher(pub Box<dyn Teacher>, pub CurrentFault);

impl Teacher for FaultyTeacher {
    fn modality(&self) -> &Modality {
        self.0.modality()
    }

    fn output(&self, m: usize, batch: &Batch) -> Result<TeacherOutput> {
        let TeacherOutput { mut features, mut logits, mut host } = self.0.output(m, batch)?;
        let mut on_host = |change: fn(&mut HostCopy)| host.iter_mut().for_each(change);
        match self.1.kind_at(m) {
            Some(FaultKind::TeacherClasses) => logits = Tensor::cat(&[&logits, &logits], 1),
            Some(FaultKind::TeacherRows) => features = Tensor::cat(&[&features, &features], 0),
            Some(FaultKind::TeacherWidth) => features = Tensor::cat(&[&features, &features], 1),
            Some(FaultKind::TeacherFlat) => logits = logits.flatten(0, -1),
            Some(FaultKind::TeacherKindInt) => logits = logits.to_kind(Kind::Int64),
            Some(FaultKind::TeacherKindHalf) => logits = logits.to_kind(Kind::Half),
            Some(FaultKind::TeacherNanLogits) => logits *= f64::NAN,
            Some(FaultKind::TeacherNanFeatures) => features *= f64::NAN,
            Some(FaultKind::TeacherFeaturesEmpty) => features = features.narrow(1, 0, 0),
            Some(FaultKind::TeacherLogitsEmpty) => logits = logits.narrow(1, 0, 0),
            Some(FaultKind::HostEmpty) => {
                on_host(|host| host.logits = host.logits.narrow(1, 0, 0));
            }
            Some(FaultKind::HostFlat) => {
                on_host(|host| host.logits = host.logits.flatten(0, -1));
            }
            Some(FaultKind::HostRows) => {
                on_host(|host| host.logits = Tensor::cat(&[&host.logits, &host.logits], 0));
            }
            Some(FaultKind::HostTargets) => {
                on_host(|host| host.targets = host.targets.to_kind(Kind::Bool));
            }
            _ => {}
        }
        Ok(TeacherOutput { features, logits, host })
    }
}
