//! The authors' networks in float64.

use anyhow::Result;
use g2d::{
    Modality,
    paper::networks::{
        Backbone, ClassifierConfig, FusionClassifier, Initialisation, UnimodalClassifier,
    },
    teacher::Cached,
};
use tch::{Device, nn::VarStore};

use super::{
    case::{GoldenCase, MODALITIES},
    formula,
};

/// The student and its variables, whose values the caller sets.
pub fn student(case: &GoldenCase) -> Result<(VarStore, FusionClassifier)> {
    let mut vs = VarStore::new(Device::Cpu);
    let channels = case.dataset.shapes().map(|shape| shape[0]);
    let modalities: Vec<_> = MODALITIES.iter().map(Modality::new).zip(channels).collect();
    let config = ClassifierConfig::authors(case.fusion);
    let student = FusionClassifier::new(&vs, &modalities, case.dataset.classes(), config)?;
    vs.double();
    Ok((vs, student))
}

/// The teachers, with their outputs for the batches of all steps.
pub fn teachers(case: &GoldenCase) -> Result<Vec<Cached>> {
    let teacher = |(m, shape): (usize, Vec<i64>)| {
        let mut vs = VarStore::new(Device::Cpu);
        let (classes, init) = (case.dataset.classes(), Initialisation::Authors);
        let net = UnimodalClassifier::new(&vs, shape[0], classes, Backbone::ResNet18, init)?;
        vs.double();
        formula::fill(&vs, &format!("{}_teacher", MODALITIES[m]))?;
        let teacher = net.into_teacher(MODALITIES[m], &mut vs);
        let batches = (0..case.steps.len()).map(|t| formula::batch(case.dataset, case.batch, t));
        let batches = batches.collect::<Result<Vec<_>>>()?;
        Ok(Cached::record(&teacher, m, batches.into_iter().map(Ok))?)
    };
    case.dataset.shapes().into_iter().enumerate().map(teacher).collect()
}
