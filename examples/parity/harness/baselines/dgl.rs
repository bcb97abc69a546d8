//! DGL.

use anyhow::Result;
use g2d::{
    algorithm::Algorithm,
    paper::baselines::{Dgl, DglConfig},
};
use serde_json::{Value, json};

use super::{
    case::{Case, detail, row, scalar},
    network::Network,
};

pub fn train(case: &Case<'_>) -> Result<Value> {
    let network = Network::fused(case)?;
    let mut free = Network::fused(case)?;
    let clip_norm: Option<f64> = case.get("clip_norm")?;
    let config = DglConfig { alpha: case.number("alpha")?, clip_norm };
    let mut dgl = Dgl::new(&network, network.params()?, config)?;
    let unclipped = DglConfig { clip_norm: None, ..config };
    let mut optimizer = network.optimizer(case)?;
    let mut steps = Vec::new();
    for t in 0..case.list("steps")?.len() {
        let batch = case.batch(t)?;
        free.vs.copy(&network.vs)?;
        let mut plain = Dgl::new(&free, free.params()?, unclipped)?;
        let mut before = free.optimizer(case)?;
        plain.step(&free, &batch, &mut before)?;
        let before = before.last();

        let report = dgl.step(&network, &batch, &mut optimizer)?;
        let values = report.read()?;
        let norm = scalar(detail(&report, "gradient_norm", None)?)?;
        let head = |m: usize| values.terms.head[m];
        steps.push(json!({
            "loss": values.terms.total, "task": values.terms.task,
            "audio": head(0), "visual": head(1),
            "grad_norm_before": before, "grad_norm_after": optimizer.last(),
            "grad_norm_all": norm, "clipped": clip_norm.is_some_and(|clip| norm > clip),
            "logits_row0": row(&report.logits)?,
            "audio_logits_row0": row(detail(&report, "logits", "audio")?)?,
            "visual_logits_row0": row(detail(&report, "logits", "visual")?)?,
        }));
    }
    let means = dgl.end_epoch()?;
    Ok(json!({
        "steps": steps, "mean_task": means.terms.task,
        "mean_audio": means.terms.head[0], "mean_visual": means.terms.head[1],
        "final_abs_sum": network.abs_sums()?,
    }))
}
