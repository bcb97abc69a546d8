//! A student whose features are its inputs.

use g2d::{
    Batch, Features, G2dTrainer, ImbalanceProbe, Modality, ModalityParams, Result, Student,
    Teacher, TeacherOutput, loss::Classification, step::Measurement, trainer::Builder,
};
use tch::{Device, Kind, Tensor, nn};

use crate::support::{labels, names, wave};

/// Features [B, 4] that equal the input, by a trainable scale of 1, and fused logits
/// cat(features) W + b [B, 3].
pub struct IdentityStudent {
    pub vs: nn::VarStore,
    names: Vec<Modality>,
    scales: Vec<Tensor>,
    weight: Tensor,
    bias: Tensor,
}

impl IdentityStudent {
    pub fn new(k: usize) -> Self {
        let mut vs = nn::VarStore::new(Device::Cpu);
        let names = names(k);
        let scales = names.iter().map(|m| (vs.root() / m.name()).ones("scale", &[4])).collect();
        vs.set_kind(Kind::Double);
        let bias = Tensor::from_slice(&[0.1, -0.2, 0.3]);
        Self { vs, names, scales, weight: wave(0.7, &[4 * k as i64, 3]), bias }
    }

    /// Inputs wave(seed + 10 m) and the labels 0, 1, 2, 0, ….
    pub fn batch(&self, rows: i64, seed: f64) -> Batch {
        let inputs: Vec<_> =
            (0..self.names.len()).map(|m| wave(seed + 10.0 * m as f64, &[rows, 4])).collect();
        Batch::new(inputs, labels(rows))
    }

    /// A trainer's builder with a [`QuadraticTeacher`] for each modality.
    pub fn builder(&self) -> Builder {
        let params = ModalityParams::by_name(&self.vs, &self.names).unwrap();
        let loss = Classification::new(g2d::loss::Distillation::none());
        let builder = G2dTrainer::builder(loss).encoders(params);
        self.names.iter().fold(builder, |builder, m| builder.teacher(QuadraticTeacher(m.clone())))
    }

    pub fn trainer(&self, probe: impl ImbalanceProbe + 'static) -> G2dTrainer {
        self.builder().probe(probe).build(self).unwrap()
    }
}

impl Student for IdentityStudent {
    fn modalities(&self) -> &[Modality] {
        &self.names
    }

    fn encode(&self, m: usize, batch: &Batch, _train: bool) -> Result<Tensor> {
        Ok(batch.input(m) * &self.scales[m])
    }

    fn fuse(&self, features: &Features<'_>, _train: bool) -> Result<Tensor> {
        Ok(Tensor::f_cat(features, 1)?.matmul(&self.weight) + &self.bias)
    }

    fn feature_shape(&self, _m: usize) -> Option<Vec<i64>> {
        Some(vec![4])
    }

    fn unimodal_logits(&self, m: usize, features: &Features<'_>) -> Result<Option<Tensor>> {
        Ok(Some(features[m].matmul(&self.weight.narrow(0, 4 * m as i64, 4))))
    }
}

/// Features X wave(0.5, 4×3) + ½ wave(seed + 20 m)² of the input X and the batch's seed, and twice
/// these as logits.
struct QuadraticTeacher(Modality);

impl Teacher for QuadraticTeacher {
    fn modality(&self) -> &Modality {
        &self.0
    }

    fn output(&self, m: usize, batch: &Batch) -> Result<TeacherOutput> {
        let input = batch.input(m);
        let rows = batch.size();
        // Of the batches in these tests, those of six rows have the seed 0, those of five 2.
        let seed = if rows == 6 { 0.0 } else { 2.0 };
        let square = wave(seed + 20.0 * m as f64, &[rows, 3]).square() * 0.5;
        let features = input.matmul(&wave(0.5, &[4, 3])) + square;
        Ok(TeacherOutput { logits: &features * 2.0, features, host: None })
    }
}

/// The measurements of an epoch of a batch of 6 samples and one of 5.
pub fn measured(probe: impl ImbalanceProbe + 'static) -> Vec<Measurement> {
    let student = IdentityStudent::new(2);
    let mut trainer = student.trainer(probe);
    trainer.step(&student, &student.batch(6, 0.0)).unwrap();
    trainer.step(&student, &student.batch(5, 2.0)).unwrap();
    trainer.end_epoch().unwrap().measurements
}
