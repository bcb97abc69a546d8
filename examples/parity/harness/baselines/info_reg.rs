//! InfoReg.

use anyhow::Result;
use g2d::{
    algorithm::Algorithm,
    paper::baselines::{InfoReg, InfoRegConfig},
};
use serde_json::{Value, json};

use super::{
    case::{Case, detail, row, scalar},
    network::Network,
};
use crate::harness::case::MODALITIES;

pub fn train(case: &Case<'_>) -> Result<Value> {
    let network = Network::fused(case)?;
    let mut free = Network::fused(case)?;
    let config = InfoRegConfig::default();
    let mut method = InfoReg::new(&network, network.params()?, config)?;
    let mut optimizer = network.optimizer(case)?;
    let times = case.times("steps_of_an_epoch")?;
    let mut epochs = Vec::new();
    for epoch in 0..case.list("epochs")?.len() {
        let mut found = json!({ "epoch": epoch, "K": method.information() });
        let mut steps = Vec::new();
        for &t in &times {
            let batch = case.batch(t)?;
            free.vs.copy(&network.vs)?;
            let plain = InfoRegConfig { beta: [0.0; 2], ..config };
            let mut plain = InfoReg::new(&free, free.params()?, plain)?;
            let mut before = free.optimizer(case)?;
            plain.step(&free, &batch, &mut before)?;
            let before = before.last();

            let report = method.step(&network, &batch, &mut optimizer)?;
            let terms = report.read()?.terms;
            let mut step = json!({
                "loss": terms.total, "task": terms.task,
                "grad_norm_before": before, "grad_norm_after": optimizer.last(),
                "logits_row0": row(&report.logits)?,
            });
            for (m, name) in MODALITIES.into_iter().enumerate() {
                step[name] = json!(terms.head[m]);
                for of in ["score", "beta"] {
                    step[format!("{of}_{name}")] = json!(scalar(detail(&report, of, name)?)?);
                }
            }
            steps.push(step);
        }
        let means = method.end_epoch()?.terms;
        found["mean_task"] = means.task.into();
        for (m, name) in MODALITIES.into_iter().enumerate() {
            found[format!("mean_{name}")] = json!(means.head[m]);
            found[format!("trace_{name}")] = method.traces()[epoch][m].into();
        }
        found["steps"] = steps.into();
        epochs.push(found);
    }
    Ok(json!({ "epochs": epochs, "final_abs_sum": network.abs_sums()? }))
}
