//! Two sentences that explain a comparison of joint and balanced training.

use super::{baselines::Baseline, methods::Method, summary::SeedSummary};

/// What joint training leaves out, and what balanced training does about it; `None` without both methods
/// or for a regression.
pub fn explain(summary: &SeedSummary) -> Option<String> {
    let joint = summary.methods.get(Method::Joint.key())?;
    let balanced = summary.methods.get(Method::Balanced.key())?;
    let metric = summary.metrics.first()?;
    let key = metric.key_on("test");
    let ensemble = summary.baselines.get(&Baseline::EnsembleCalibrated)?.get(&key)?;
    let teacher = |m: &String| summary.teachers.get(m)?.scores.get(&key).copied();
    let lost = |m: &&String| -> Option<f64> { Some(teacher(m)? - joint.heads.get(*m)?) };
    let losses = summary.modalities.iter().filter_map(|m| Some((m, lost(&m)?)));
    let (m, _) = losses.max_by(|a, b| a.1.total_cmp(&b.1))?;
    let shown = |value: f64| format!("{} {}", metric.format(value), metric.unit);
    Some(format!(
        "After joint training the {m} head alone has {} {}, the {m} teacher {}: the loss became small \
         before the {m} encoder had learned. In balanced training every teacher teaches the student's \
         own head of its modality, and calibration weighs the heads: the {m} head reaches {} and the \
         model {}, compared with {} of joint training and {} of the teachers' ensemble, which needs no \
         student.",
        shown(*joint.heads.get(m)?),
        metric.name,
        shown(teacher(m)?),
        shown(*balanced.heads.get(m)?),
        shown(*balanced.scores.get(&key)?),
        shown(*joint.scores.get(&key)?),
        shown(*ensemble),
    ))
}
